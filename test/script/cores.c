/* Conversations with a host of several cores whose port puts each frame into any queue. */
#include "net/sim/sim_internal.h"
#include "test/script/frame.h"
#include "test/script/scripts.h"

#include <leat/conn.h>
#include <leat/udp.h>

#define CORES 4

struct world {
    struct sim *sim;
    struct sim_host *host, *peer;
    struct ends v4;
};

static struct world begin_with(const struct sim_host_options *host)
{
    struct world w = {0};
    w.sim = sim_new(1, NULL, NULL);
    w.host = sim_add_host(w.sim, host);
    w.peer = sim_add_host(w.sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    w.v4 = ends_of(w.host, w.peer, false);
    return w;
}

static struct world begin(enum sim_rss rss, bool probe)
{
    return begin_with(&(struct sim_host_options){.kind = SIM_STACK,
                                                 .core_count = CORES,
                                                 .port.queue_count = 3,
                                                 .port.rss = rss,
                                                 .probe_addresses = probe});
}

static void forget(struct world *w)
{
    struct sim_frame f;
    while (sim_take(w->peer, &f)) {
    }
}

static void end_of(struct world *w, uint32_t cores)
{
    for (uint32_t i = 0; i < cores; i++)
        sim_check_host(sim_core(w->host, i));
    assert_string_equal(sim_violation_sentence(w->sim), "");
    assert_int_equal(sim_free(w->sim), 0);
}

static void end(struct world *w)
{
    end_of(w, CORES);
}

static void say(struct world *w, const struct frame *f)
{
    sim_transmit(w->peer, f->bytes, f->length);
    sim_run_for(w->sim, LEAT_NS_PER_MS);
}

static struct stack *stack_of(struct world *w, uint32_t core)
{
    return sim_stack(sim_core(w->host, core));
}

/* The next frame of a type; others are passed over. */
static struct sim_frame hear(struct world *w, uint16_t type)
{
    struct sim_frame f;
    do
        assert_true(sim_take(w->peer, &f));
    while (!is_type(&f, type));
    return f;
}

static void introduce(struct world *w)
{
    struct frame f;
    frame_arp(&f, ARP_REQUEST, &w->v4);
    say(w, &f);
    (void)hear(w, ETHERTYPE_ARP);
    forget(w);
}

/* ---- the application: one connection of each core ---- */

struct app {
    unsigned opens, closes;
    enum leat_close_reason reason;
};

static void app_on_open(leat_conn conn, void *user)
{
    (void)conn;
    ((struct app *)user)->opens++;
}

static void app_on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct app *app = user;
    (void)conn;
    app->closes++;
    app->reason = reason;
}

static const struct leat_conn_ops app_ops = {.on_open = app_on_open, .on_close = app_on_close};

static leat_conn app_connect(struct world *w, uint32_t core, const struct leat_addr *to,
                             struct app *app)
{
    struct sim_host *host = sim_core(w->host, core);
    leat_conn conn;
    sim_enter(host);
    assert_int_equal(leat_connect(sim_loop(host), to, NULL, NULL, &app_ops, app, &conn), 0);
    sim_leave(host);
    return conn;
}

/* ---- neighbours and addresses ---- */

static void what_one_core_hears_of_a_neighbour_all_know(void **state)
{
    struct world w = begin(SIM_RSS_NONE, false);
    (void)state;
    introduce(&w);
    for (uint32_t i = 0; i < CORES; i++) {
        const struct neighbour *n = neighbour_find(stack_of(&w, i), &w.v4.peer);
        assert_non_null(n);
        assert_memory_equal(&n->mac, &w.v4.peer_mac, sizeof(n->mac));
    }
    end(&w);
}

static void every_core_sends_at_once_to_a_neighbour_of_another(void **state)
{
    struct world w = begin(SIM_RSS_NONE, false);
    struct leat_addr to = sim_addr(w.peer, false, 80);
    struct app apps[CORES] = {0};
    (void)state;
    introduce(&w);
    for (uint32_t i = 0; i < CORES; i++) {
        struct sim_frame f;
        app_connect(&w, i, &to, &apps[i]);
        sim_run_for(w.sim, LEAT_NS_PER_MS);
        assert_true(sim_take(w.peer, &f));
        assert_true(is_type(&f, ETHERTYPE_IPV4));
    }
    end(&w);
}

/* Whichever core the answer comes to: the one that asked sends what waits, and all know. */
static void an_answer_that_comes_to_another_core_is_passed_on(void **state)
{
    (void)state;
    for (uint32_t core = 0; core < CORES; core++)
        for (unsigned tries = 0; tries < 6; tries++) {
            struct world w = begin(SIM_RSS_NONE, false);
            struct leat_addr to = sim_addr(w.peer, false, 80);
            struct app app = {0};
            struct frame f;
            sim_run_for(w.sim, 5 * LEAT_NS_PER_S);
            for (unsigned skip = 0; skip < tries; skip++)
                (void)sim_random(w.sim); /* another queue */
            forget(&w);
            app_connect(&w, core, &to, &app);
            sim_run_for(w.sim, LEAT_NS_PER_MS);
            (void)hear(&w, ETHERTYPE_ARP);
            frame_arp(&f, ARP_REPLY, &w.v4);
            say(&w, &f);
            (void)hear(&w, ETHERTYPE_IPV4);
            for (uint32_t i = 0; i < CORES; i++)
                assert_non_null(neighbour_find(stack_of(&w, i), &w.v4.peer));
            end(&w);
        }
}

static void a_duplicate_address_is_used_by_no_core(void **state)
{
    struct world w = begin(SIM_RSS_NONE, true);
    struct ip_addr own = sim_ip(w.host, false);
    struct ends twin = w.v4;
    struct frame f;
    (void)state;
    twin.peer = own;
    frame_arp(&f, ARP_REPLY, &twin);
    say(&w, &f);
    sim_run_for(w.sim, 10 * LEAT_NS_PER_S);
    for (uint32_t i = 0; i < CORES; i++)
        assert_int_equal(addr_find(stack_of(&w, i), &own)->state, ADDR_DUPLICATE);
    end(&w);
}

static void one_core_probes_and_all_use_the_address(void **state)
{
    struct world w = begin(SIM_RSS_NONE, true);
    struct ip_addr own = sim_ip(w.host, false);
    struct sim_frame f;
    unsigned probes = 0;
    (void)state;
    sim_run_for(w.sim, 20 * LEAT_NS_PER_S);
    while (sim_take(w.peer, &f)) {
        const struct arp_packet *arp = (const void *)(f.bytes + 14);
        probes += is_type(&f, ETHERTYPE_ARP) && arp->sender_ip.raw == 0;
    }
    assert_int_equal(probes, 3);
    for (uint32_t i = 0; i < CORES; i++)
        assert_int_equal(addr_find(stack_of(&w, i), &own)->state, ADDR_VALID);
    end(&w);
}

/* ---- fragments, ICMP ---- */

/* Each datagram in two fragments, each into any queue; nobody listens on the port. */
static void fragments_meet_wherever_they_come_in(void **state)
{
    enum { DATAGRAMS = 32, LENGTH = 1200, CUT = 800 };
    struct world w = begin(SIM_RSS_NONE, false);
    (void)state;
    introduce(&w);
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        uint8_t datagram[LENGTH] = {0};
        struct udp_header udp = {.src_port = be16_put((uint16_t)(5000 + i)),
                                 .dst_port = be16_put(9),
                                 .length = be16_put(LENGTH)};
        struct frame f;
        memcpy(datagram, &udp, sizeof(udp));
        frame_ip(&f, &w.v4, IP_UDP, datagram, CUT);
        frame_set_fragment(&f, IPV4_MF, (uint16_t)(100 + i));
        say(&w, &f);
        frame_ip(&f, &w.v4, IP_UDP, datagram + CUT, LENGTH - CUT);
        frame_set_fragment(&f, CUT / 8, (uint16_t)(100 + i));
        say(&w, &f);
        struct sim_frame answer = hear(&w, ETHERTYPE_IPV4);
        const struct icmp_header *icmp = payload_of(&answer);
        assert_int_equal(icmp->type, ICMP_UNREACHABLE);
        assert_int_equal(icmp->code, ICMP_CODE_PORT);
    }
    uint64_t joined = 0, passed = 0;
    for (uint32_t i = 0; i < CORES; i++) {
        joined += stack_of(&w, i)->count.reassembled;
        passed += stack_of(&w, i)->count.steered_out;
    }
    assert_int_equal(joined, DATAGRAMS);
    assert_true(passed > 0);
    end(&w);
}

/* RFC 792: an error about a segment of a connection reaches that connection. */
static void an_icmp_error_follows_what_it_quotes(void **state)
{
    struct world w = begin(SIM_RSS_NONE, false);
    struct leat_addr to = sim_addr(w.peer, false, 80);
    (void)state;
    introduce(&w);
    for (unsigned i = 0; i < 4 * CORES; i++) {
        struct app app = {0};
        app_connect(&w, i % CORES, &to, &app);
        sim_run_for(w.sim, LEAT_NS_PER_MS);
        struct sim_frame syn = hear(&w, ETHERTYPE_IPV4);
        uint8_t message[8 + 28] = {ICMP_UNREACHABLE, ICMP_CODE_PORT};
        struct frame f;
        memcpy(message + 8, syn.bytes + 14, 28);
        icmp_sum(message, sizeof(message), &w.v4);
        frame_ip(&f, &w.v4, IP_ICMP, message, sizeof(message));
        say(&w, &f);
        assert_int_equal(app.closes, 1);
        assert_int_equal(app.reason, LEAT_CLOSE_REFUSED);
    }
    end(&w);
}

/* ---- connections to ourselves ---- */

static void connections_to_own_addresses_cross_the_cores(void **state)
{
    struct world w = begin(SIM_RSS_NONE, false);
    struct leat_addr at = sim_addr(w.host, false, 80);
    struct app servers[CORES] = {0}, clients[8 * CORES] = {0};
    leat_conn conns[8 * CORES];
    struct leat_listener *listener;
    unsigned accepted = 0;
    (void)state;
    for (uint32_t i = 0; i < CORES; i++) {
        struct sim_host *core = sim_core(w.host, i);
        sim_enter(core);
        assert_int_equal(leat_listen(sim_loop(core), &at, NULL, &app_ops, &servers[i], &listener),
                         0);
        sim_leave(core);
    }
    for (unsigned i = 0; i < 8 * CORES; i++)
        conns[i] = app_connect(&w, i % CORES, &at, &clients[i]);
    sim_run_for(w.sim, LEAT_NS_PER_S);
    for (unsigned i = 0; i < 8 * CORES; i++) {
        assert_int_equal(clients[i].opens, 1);
        sim_enter(sim_core(w.host, i % CORES));
        assert_int_equal(leat_conn_abort(conns[i]), 0);
        sim_leave(sim_core(w.host, i % CORES));
    }
    for (uint32_t i = 0; i < CORES; i++) {
        assert_true(servers[i].opens > 0);
        accepted += servers[i].opens;
    }
    assert_int_equal(accepted, 8 * CORES);
    sim_run_for(w.sim, LEAT_NS_PER_S);
    end(&w);
}

/* ---- UDP ---- */

static void count_datagrams(leat_udp udp, void *user, const struct leat_datagram *datagrams,
                            unsigned count)
{
    (void)udp, (void)datagrams;
    *(unsigned *)user += count;
}

static void datagrams_come_to_the_core_whose_port_it_is(void **state)
{
    static const struct leat_udp_ops ops = {.on_datagrams = count_datagrams};
    static const struct leat_udp_options alone = {.exclusive = true};
    static const uint32_t places[] = {0x0a000001, 0x0a0000ff}; /* the host's, all hosts' */
    struct world w = begin(SIM_RSS_NONE, false);
    struct leat_addr any = {.family = LEAT_FAMILY_IPV4, .port = 5000};
    struct sim_host *core = sim_core(w.host, CORES - 1);
    unsigned received = 0;
    leat_udp udp;
    (void)state;
    introduce(&w);
    sim_enter(core);
    assert_int_equal(leat_udp_bind(sim_loop(core), &any, &alone, &ops, &received, &udp), 0);
    sim_leave(core);
    for (unsigned i = 0; i < 40; i++) {
        struct udp_header datagram = {.src_port = be16_put((uint16_t)(2000 + i)),
                                      .dst_port = be16_put(5000),
                                      .length = be16_put(sizeof(datagram))};
        struct ends e = w.v4;
        struct frame f;
        e.host = ip_addr_v4(be32_put(places[i % 2]));
        frame_ip(&f, &e, IP_UDP, &datagram, sizeof(datagram));
        say(&w, &f);
        assert_int_equal(received, i + 1);
    }
    sim_enter(core);
    assert_int_equal(leat_udp_close(udp), 0);
    sim_leave(core);
    sim_run_for(w.sim, LEAT_NS_PER_S);
    end(&w);
}

/* One socket, and who was heard there. */
struct party {
    leat_udp udp;
    unsigned count;
    uint16_t from_port;
    bool answers;
};

static void note_datagrams(leat_udp udp, void *user, const struct leat_datagram *datagrams,
                           unsigned count)
{
    struct party *party = user;
    for (unsigned i = 0; i < count; i++) {
        party->count++;
        party->from_port = datagrams[i].from.port;
        if (!party->answers)
            continue;
        struct leat_buf echo = leat_buf_from_bytes(datagrams[i].data.data, 2);
        assert_int_equal(leat_udp_reply(udp, &datagrams[i], &echo, 1), 0);
    }
}

static const struct leat_udp_ops party_ops = {.on_datagrams = note_datagrams};

static void party_bind(struct world *w, uint32_t core, struct party *party, uint16_t port)
{
    struct leat_addr any = {.family = LEAT_FAMILY_IPV4, .port = port};
    sim_enter(sim_core(w->host, core));
    assert_int_equal(leat_udp_bind(sim_loop(sim_core(w->host, core)), &any, NULL, &party_ops, party,
                                   &party->udp),
                     0);
    sim_leave(sim_core(w->host, core));
}

static void party_close(struct world *w, uint32_t core, struct party *party)
{
    sim_enter(sim_core(w->host, core));
    assert_int_equal(leat_udp_close(party->udp), 0);
    sim_leave(sim_core(w->host, core));
}

/* Two bytes from the peer's port. */
static void say_datagram(struct world *w, uint16_t from, uint16_t to)
{
    uint8_t datagram[10];
    struct udp_header h = {.src_port = be16_put(from),
                           .dst_port = be16_put(to),
                           .length = be16_put(sizeof(datagram))};
    struct frame f;
    memcpy(datagram, &h, sizeof(h));
    memcpy(datagram + sizeof(h), &h.src_port, 2);
    frame_ip(&f, &w->v4, IP_UDP, datagram, sizeof(datagram));
    say(w, &f);
}

/* The next datagram of the host: two bytes; returns to which port from which. */
static void hear_datagram(struct world *w, uint16_t *from, uint16_t *to)
{
    struct sim_frame f = hear(w, ETHERTYPE_IPV4);
    const struct udp_header *h = payload_of(&f);
    assert_int_equal(ip4_of(&f)->protocol, IP_UDP);
    assert_int_equal(be16_get(h->length), sizeof(*h) + 2);
    *from = be16_get(h->src_port);
    *to = be16_get(h->dst_port);
}

/* Each core has bound it: every peer has one core, and hears from it. */
static void peers_of_a_shared_port_are_spread(unsigned cores, unsigned queues)
{
    struct world w = begin_with(&(struct sim_host_options){.kind = SIM_STACK,
                                                           .core_count = cores,
                                                           .port.queue_count = queues});
    struct party parties[CORES] = {0};
    unsigned before[CORES];
    introduce(&w);
    for (uint32_t i = 0; i < cores; i++) {
        parties[i].answers = true;
        party_bind(&w, i, &parties[i], 5000);
    }
    for (unsigned k = 0; k < 32 * cores; k++) {
        uint16_t port = (uint16_t)(2000 + k), from, to;
        unsigned owners = 0;
        for (uint32_t i = 0; i < cores; i++)
            before[i] = parties[i].count;
        for (unsigned again = 0; again < 3; again++) {
            say_datagram(&w, port, 5000);
            hear_datagram(&w, &from, &to);
            assert_int_equal(from, 5000);
            assert_int_equal(to, port);
        }
        for (uint32_t i = 0; i < cores; i++) {
            assert_true(parties[i].count == before[i] || parties[i].count == before[i] + 3);
            owners += parties[i].count != before[i];
        }
        assert_int_equal(owners, 1);
    }
    for (uint32_t i = 0; i < cores; i++) {
        assert_true(parties[i].count > 0);
        party_close(&w, i, &parties[i]);
    }
    sim_run_for(w.sim, LEAT_NS_PER_S);
    end_of(&w, cores);
}

static void every_peer_of_a_shared_port_has_one_core_u05(void **state)
{
    (void)state;
    peers_of_a_shared_port_are_spread(1, 1);
    peers_of_a_shared_port_are_spread(2, 1);
    peers_of_a_shared_port_are_spread(2, 2);
    peers_of_a_shared_port_are_spread(4, 1);
    peers_of_a_shared_port_are_spread(4, 3);
    peers_of_a_shared_port_are_spread(4, 4);
}

static void party_connect(struct world *w, uint32_t core, struct party *party,
                          const struct leat_addr *from)
{
    struct sim_host *host = sim_core(w->host, core);
    struct leat_addr to = sim_addr(w->peer, false, 53);
    sim_enter(host);
    assert_int_equal(leat_udp_connect(sim_loop(host), &to, from, NULL, &party_ops, party,
                                      &party->udp),
                     0);
    assert_int_equal(leat_udp_send_bytes(party->udp, NULL, "??", 2), 0);
    sim_leave(host);
    sim_run_for(w->sim, LEAT_NS_PER_MS);
}

/* Also where the port was named, and the tuple would belong to another core. */
static void answers_to_a_connected_socket_come_home_u07(void **state)
{
    enum { EACH = 8 };
    struct world w = begin(SIM_RSS_NONE, false);
    struct party parties[CORES * EACH * 2] = {0};
    (void)state;
    introduce(&w);
    for (unsigned i = 0; i < CORES * EACH * 2; i++) {
        struct leat_addr named = sim_addr(w.host, false, (uint16_t)(6000 + i));
        uint16_t from, to;
        party_connect(&w, i % CORES, &parties[i], i < CORES * EACH ? NULL : &named);
        hear_datagram(&w, &from, &to);
        assert_int_equal(to, 53);
        assert_true(i < CORES * EACH || from == 6000 + i);
        say_datagram(&w, 53, from);
        assert_int_equal(parties[i].count, 1);
        assert_int_equal(parties[i].from_port, 53);
    }
    for (unsigned i = 0; i < CORES * EACH * 2; i++) {
        assert_int_equal(parties[i].count, 1);
        party_close(&w, i % CORES, &parties[i]);
    }
    sim_run_for(w.sim, LEAT_NS_PER_S);
    end(&w);
}

static void peers_of_a_core_that_has_not_bound_are_refused_u05(void **state)
{
    struct world w = begin(SIM_RSS_NONE, false);
    struct party parties[2] = {0};
    unsigned refused = 0;
    (void)state;
    introduce(&w);
    for (uint32_t i = 0; i < 2; i++)
        party_bind(&w, i, &parties[i], 5000);
    for (unsigned k = 0; k < 64; k++) {
        unsigned before = parties[0].count + parties[1].count;
        say_datagram(&w, (uint16_t)(2000 + k), 5000);
        if (parties[0].count + parties[1].count != before)
            continue;
        struct sim_frame f = hear(&w, ETHERTYPE_IPV4);
        const struct icmp_header *icmp = payload_of(&f);
        assert_int_equal(ip4_of(&f)->protocol, IP_ICMP);
        assert_int_equal(icmp->type, ICMP_UNREACHABLE);
        assert_int_equal(icmp->code, ICMP_CODE_PORT);
        refused++;
    }
    assert_int_equal(parties[0].count + parties[1].count + refused, 64);
    assert_in_range(refused, 10, 54);
    for (uint32_t i = 0; i < 2; i++)
        party_close(&w, i, &parties[i]);
    sim_run_for(w.sim, LEAT_NS_PER_S);
    end(&w);
}

/* ---- local ports ---- */

/* A key under which 4096 ports in a row belong to one core: only two bits of the local port, of
 * IPv4 and of IPv6, move the hash's last two. */
static void have_long_runs(struct world *w)
{
    struct sim_host *host = w->host;
    memset(host->rss_key, 0, sizeof(host->rss_key));
    host->rss_key[14] = host->rss_key[38] = 0x40;
    owner_init(&host->steer->owners, &host->port.info, CORES, host->rss_key);
    assert_memory_equal(host->steer->owners.key, host->rss_key, sizeof(host->rss_key));
}

static void a_port_of_its_own_is_found_behind_thousands_of_others_rfc6056_3_3_3(void **state)
{
    struct world w = begin(SIM_RSS_NONE, false);
    struct leat_addr to = sim_addr(w.peer, false, 80);
    struct app apps[CORES] = {0};
    (void)state;
    have_long_runs(&w);
    introduce(&w);
    for (uint32_t i = 0; i < CORES; i++)
        app_connect(&w, i, &to, &apps[i]);
    sim_run_for(w.sim, LEAT_NS_PER_MS);
    for (uint32_t i = 0; i < CORES; i++)
        (void)hear(&w, ETHERTYPE_IPV4);
    end(&w);
}

static void a_connected_socket_finds_a_port_of_its_core(void **state)
{
    static const struct leat_udp_ops ops = {.on_datagrams = count_datagrams};
    struct world w = begin(SIM_RSS_NONE, false);
    struct leat_addr to = sim_addr(w.peer, false, 53);
    unsigned received = 0;
    (void)state;
    have_long_runs(&w);
    introduce(&w);
    for (uint32_t i = 0; i < 4 * CORES; i++) {
        struct sim_host *core = sim_core(w.host, i % CORES);
        leat_udp udp;
        sim_enter(core);
        assert_int_equal(leat_udp_connect(sim_loop(core), &to, NULL, NULL, &ops, &received, &udp),
                         0);
        assert_int_equal(leat_udp_close(udp), 0);
        sim_leave(core);
    }
    sim_run_for(w.sim, LEAT_NS_PER_S);
    end(&w);
}

/* The query comes in on one core; the sockets are on all of them. */
static void a_group_query_reaches_every_core_rfc3376_5_2(void **state)
{
    static const struct leat_udp_ops ops = {0};
    struct world w = begin(SIM_RSS_NONE, false);
    struct leat_addr any = {.family = LEAT_FAMILY_IPV4, .port = 5353};
    uint8_t query[12] = {0x11, 10, [8] = 2};
    struct frame f;
    struct sim_frame got;
    unsigned heard = 0;
    (void)state;
    for (uint32_t i = 0; i < CORES; i++) {
        struct sim_host *core = sim_core(w.host, i);
        struct leat_addr group = {.family = LEAT_FAMILY_IPV4, .ip = {239, 0, 0, (uint8_t)i}};
        leat_udp udp;
        sim_enter(core);
        assert_int_equal(leat_udp_bind(sim_loop(core), &any, NULL, &ops, NULL, &udp), 0);
        assert_int_equal(leat_udp_join(udp, &group), 0);
        sim_leave(core);
    }
    sim_run_for(w.sim, 5 * LEAT_NS_PER_S);
    forget(&w);
    struct ends e = w.v4;
    e.host = ip_addr_v4(be32_put(UINT32_C(0xe0000001)));
    icmp_sum(query, sizeof(query), &e);
    frame_ip(&f, &e, IP_IGMP, query, sizeof(query));
    memcpy(f.bytes, (const uint8_t[]){1, 0, 0x5e, 0, 0, 1}, 6);
    say(&w, &f);
    sim_run_for(w.sim, 2 * LEAT_NS_PER_S);
    while (sim_take(w.peer, &got))
        if (is_type(&got, ETHERTYPE_IPV4) && ip4_of(&got)->protocol == IP_IGMP)
            heard |= 1u << got.bytes[14 + 24 + 8 + 7];
    assert_int_equal(heard, (1u << CORES) - 1);
    end(&w);
}

/* ---- what the card says ---- */

static enum steer_rss judged(enum sim_rss rss, uint64_t *passed)
{
    struct world w = begin(rss, false);
    introduce(&w);
    *passed = 0;
    for (unsigned i = 0; i < 4 * CORES * STEER_RSS_PROOF; i++) {
        struct tcp_header h = {.src_port = be16_put((uint16_t)(1000 + i)),
                               .dst_port = be16_put(80),
                               .offset = 5 << 4,
                               .flags = TCP_RST};
        struct frame f;
        frame_ip(&f, &w.v4, IP_TCP, &h, sizeof(h));
        say(&w, &f);
    }
    for (uint32_t i = 0; i < CORES; i++)
        *passed += stack_of(&w, i)->count.steered_out;
    enum steer_rss now = (enum steer_rss)atomic_load(&w.host->steer->rss);
    end(&w);
    return now;
}

/* Core 3 has no queue: a quarter or so of one queue's packets is passed on in any case. */
static void a_card_that_hashes_right_is_found_out(void **state)
{
    uint64_t passed, packets = UINT64_C(4) * CORES * STEER_RSS_PROOF;
    (void)state;
    assert_int_equal(judged(SIM_RSS_TRUE, &passed), STEER_RSS_TRUE);
    assert_in_range(passed, 1, packets / 3);
}

static void a_card_that_lies_is_found_out(void **state)
{
    uint64_t passed, packets = UINT64_C(4) * CORES * STEER_RSS_PROOF;
    (void)state;
    assert_int_equal(judged(SIM_RSS_OTHER_KEY, &passed), STEER_RSS_FALSE);
    assert_in_range(passed, packets / 2, packets);
    assert_int_equal(judged(SIM_RSS_OTHER_QUEUE, &passed), STEER_RSS_FALSE);
    assert_in_range(passed, packets / 2, packets);
    assert_int_equal(judged(SIM_RSS_NONE, &passed), STEER_RSS_NONE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_core_hears_of_a_neighbour_all_know),
        cmocka_unit_test(every_core_sends_at_once_to_a_neighbour_of_another),
        cmocka_unit_test(an_answer_that_comes_to_another_core_is_passed_on),
        cmocka_unit_test(a_duplicate_address_is_used_by_no_core),
        cmocka_unit_test(one_core_probes_and_all_use_the_address),
        cmocka_unit_test(fragments_meet_wherever_they_come_in),
        cmocka_unit_test(an_icmp_error_follows_what_it_quotes),
        cmocka_unit_test(connections_to_own_addresses_cross_the_cores),
        cmocka_unit_test(datagrams_come_to_the_core_whose_port_it_is),
        cmocka_unit_test(every_peer_of_a_shared_port_has_one_core_u05),
        cmocka_unit_test(answers_to_a_connected_socket_come_home_u07),
        cmocka_unit_test(peers_of_a_core_that_has_not_bound_are_refused_u05),
        cmocka_unit_test(a_port_of_its_own_is_found_behind_thousands_of_others_rfc6056_3_3_3),
        cmocka_unit_test(a_connected_socket_finds_a_port_of_its_core),
        cmocka_unit_test(a_group_query_reaches_every_core_rfc3376_5_2),
        cmocka_unit_test(a_card_that_hashes_right_is_found_out),
        cmocka_unit_test(a_card_that_lies_is_found_out),
    };
    return run_scripts(tests, argc, argv);
}
