#include "test/script/flood.h"

#include <stdlib.h>

#define FIRST_PORT 1024
#define LINK_NS    LEAT_NS_PER_MS

/* ---- the server ---- */

static bool is_attackers(struct flood *f, leat_conn conn)
{
    struct leat_addr peer;
    struct ip_addr attacker = sim_ip(f->attacker, false);
    return leat_conn_peer(conn, &peer) == 0 && memcmp(peer.ip, attacker.b + 12, 4) == 0;
}

static void server_open(leat_conn conn, void *user)
{
    struct flood *f = user;
    if (f->o.holds && is_attackers(f, conn))
        (void)leat_conn_pause(conn);
}

static void server_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct flood *f = user;
    size_t bytes = 0;
    for (unsigned i = 0; i < count; i++)
        bytes += slices[i].length_bytes;
    for (; bytes >= FLOOD_REQUEST_BYTES; bytes -= FLOOD_REQUEST_BYTES) {
        struct leat_buf answer = leat_buf_alloc(f->o.answer_bytes);
        if (answer.data == NULL || leat_conn_send(conn, &answer, 1) < 0) {
            leat_buf_unref(answer);
            (void)leat_conn_abort(conn);
            return;
        }
    }
}

static void server_end(leat_conn conn, void *user)
{
    (void)user;
    (void)leat_conn_end(conn);
}

static const struct leat_conn_ops server_ops = {.on_open = server_open,
                                                .on_data = server_data,
                                                .on_end = server_end};

/* ---- the client ---- */

static void client_connect(struct flood *f);

static void client_ask(struct flood *f)
{
    static const uint8_t request[FLOOD_REQUEST_BYTES];
    f->got_bytes = 0;
    (void)!leat_conn_send_bytes(f->conn, request, sizeof(request));
}

static void client_open(leat_conn conn, void *user)
{
    (void)conn;
    client_ask(user);
}

static void client_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct flood *f = user;
    for (unsigned i = 0; i < count; i++)
        f->got_bytes += slices[i].length_bytes;
    if (f->got_bytes < f->o.answer_bytes)
        return;
    uint64_t now_ns = sim_now(f->sim), gap_ns = now_ns - f->last_ns;
    f->longest_gap_ns = gap_ns > f->longest_gap_ns ? gap_ns : f->longest_gap_ns;
    f->last_ns = now_ns;
    if (++f->answer_count % 10 == 0)
        (void)leat_conn_close(conn); /* new connections must get in, too */
    else
        client_ask(f);
}

static void client_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct flood *f = user;
    (void)conn;
    f->failure_count += reason != LEAT_CLOSE_DONE && !f->is_stopped;
    f->conn = LEAT_CONN_NONE;
    if (!f->is_stopped)
        client_connect(f);
}

static const struct leat_conn_ops client_ops = {.on_open = client_open,
                                                .on_data = client_data,
                                                .on_close = client_close};

/* On the client's core. */
static void client_connect(struct flood *f)
{
    struct leat_addr to = sim_addr(f->server, false, FLOOD_PORT);
    struct leat_conn_options options = {.linger_ns = 10 * LEAT_NS_PER_MS};
    f->connect_count++;
    assert_int_equal(leat_connect(sim_loop(f->client), &to, NULL, &options, &client_ops, f,
                                  &f->conn),
                     0);
}

/* ---- the attacker ---- */

void flood_shoot(struct flood *f, const struct shot *s)
{
    static const struct ip_addr own;
    uint8_t segment[SIM_FRAME_BYTES];
    struct frame frame;
    struct ends ends = f->ends;
    if (!ip_addr_equal(&s->from, &own))
        ends.peer = s->from;
    if (!ip_addr_is_v4(&ends.peer))
        ends.host = sim_ip(f->server, true);
    struct tcp_header h = {.src_port = be16_put(s->port),
                           .dst_port = be16_put(s->to_port != 0 ? s->to_port : FLOOD_PORT),
                           .seq = be32_put(s->seq),
                           .ack = be32_put(s->ack),
                           .offset = 5 << 4,
                           .flags = s->flags,
                           .window = be16_put(s->window)};
    memset(segment, 0, 20 + s->length);
    memcpy(segment, &h, sizeof(h));
    csum sum = csum_pseudo(&ends.peer, &ends.host, IP_TCP, 20 + s->length);
    h.checksum = csum_finish(csum_add(sum, segment, 20 + s->length));
    memcpy(segment, &h, sizeof(h));
    frame_ip(&frame, &ends, IP_TCP, segment, 20 + s->length);
    sim_inject(f->server, frame.bytes, frame.length);
}

void flood_connect(struct flood *f, uint32_t ally)
{
    struct ally *a = &f->allies[ally];
    *a = (struct ally){.seq = 1000};
    flood_shoot(f, &(struct shot){.port = (uint16_t)(FIRST_PORT + ally),
                                  .seq = a->seq++,
                                  .window = f->window,
                                  .flags = TCP_SYN});
}

void flood_say(struct flood *f, uint32_t ally, uint32_t offset, uint32_t length)
{
    struct ally *a = &f->allies[ally];
    flood_shoot(f, &(struct shot){.port = (uint16_t)(FIRST_PORT + ally),
                                  .seq = a->seq + offset,
                                  .ack = a->ack,
                                  .window = f->window,
                                  .length = length,
                                  .flags = TCP_ACK});
    if (offset == 0)
        a->seq += length;
}

static void ally_hears(struct flood *f, struct ally *a, const struct tcp_header *h)
{
    uint32_t number = (uint32_t)(a - f->allies);
    if (h->flags & TCP_RST) {
        f->reset_count += !a->is_reset && a->is_open;
        a->is_reset = true;
    } else if ((h->flags & TCP_SYN) && !a->is_open) {
        a->is_open = true;
        a->ack = be32_get(h->seq) + 1;
        f->open_count++;
        flood_say(f, number, 0, f->allies_ask ? FLOOD_REQUEST_BYTES : 0);
    } else if (a->is_open && !a->is_reset && f->allies_answer) {
        flood_say(f, number, 0, 0);
    }
}

/* What the server said to the attacker; else it would pile up. */
static void hear_all(struct flood *f)
{
    struct sim_frame frame;
    while (sim_take(f->attacker, &frame)) {
        if (!is_type(&frame, ETHERTYPE_IPV4) || ip4_of(&frame)->protocol != IP_TCP)
            continue;
        const struct tcp_header *h = payload_of(&frame);
        uint32_t ally = be16_get(h->dst_port) - (uint32_t)FIRST_PORT;
        if (ip_addr_get_v4(&f->ends.peer).raw == ip4_of(&frame)->dst.raw &&
            ally < FLOOD_ALLIES_MAX && f->allies[ally].seq != 0)
            ally_hears(f, &f->allies[ally], h);
    }
}

static void on_ms(struct sim *sim, void *arg)
{
    struct flood *f = arg;
    hear_all(f);
    if (f->attack != NULL)
        f->attack(f, f->ms);
    if (++f->ms < f->ms_max)
        sim_at(sim, sim_now(sim) + LEAT_NS_PER_MS, on_ms, f);
}

void flood_run(struct flood *f, void (*attack)(struct flood *f, uint64_t ms), uint64_t ms)
{
    f->attack = attack;
    f->ms = 0;
    f->ms_max = ms;
    f->longest_gap_ns = 0;
    sim_at(f->sim, sim_now(f->sim), on_ms, f);
    sim_run_for(f->sim, ms * LEAT_NS_PER_MS);
    uint64_t gap_ns = sim_now(f->sim) - f->last_ns;
    f->longest_gap_ns = gap_ns > f->longest_gap_ns ? gap_ns : f->longest_gap_ns;
    assert_string_equal(sim_violation_sentence(f->sim), "");
}

/* ---- the world ---- */

struct stack *flood_stack(struct flood *f)
{
    return sim_stack(f->server);
}

struct stack_tcp *flood_tcp(struct flood *f)
{
    return sim_stack(f->server)->tcp;
}

static void listen_and_connect(struct flood *f)
{
    struct leat_addr at = {.family = LEAT_FAMILY_IPV6, .port = FLOOD_PORT}; /* every address */
    struct leat_listen_options options = {.conn = {.linger_ns = 10 * LEAT_NS_PER_MS}};
    sim_enter(f->server);
    assert_int_equal(leat_listen(sim_loop(f->server), &at, &options, &server_ops, f, &f->listener),
                     0);
    neighbour_learn(sim_stack(f->server), &f->ends.peer, &f->ends.peer_mac, NEIGHBOUR_MAKE);
    neighbour_answer(sim_stack(f->server), &f->ends.peer, &f->ends.peer_mac,
                     NEIGHBOUR_SOLICITED | NEIGHBOUR_OVERRIDE);
    sim_leave(f->server);
    sim_enter(f->client);
    client_connect(f);
    sim_leave(f->client);
}

struct flood *flood_new(const struct flood_options *options)
{
    struct flood *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->o = *options;
    f->o.rx_buffers_max = f->o.rx_buffers_max != 0 ? f->o.rx_buffers_max : 2048;
    f->o.buffer_bytes_max = f->o.buffer_bytes_max != 0 ? f->o.buffer_bytes_max : 16u << 20;
    f->o.answer_bytes = f->o.answer_bytes != 0 ? f->o.answer_bytes : 1000;
    f->allies = calloc(FLOOD_ALLIES_MAX, sizeof(*f->allies));
    assert_non_null(f->allies);
    f->sim = sim_new(7, NULL, NULL);
    const struct sim_link link = {.delay_ns = LINK_NS};
    f->server =
        sim_add_host(f->sim,
                     &(struct sim_host_options){.kind = SIM_STACK,
                                                .buffer_bytes_max = f->o.buffer_bytes_max,
                                                .link = link,
                                                .port = {.rx_buffers_max = f->o.rx_buffers_max}});
    f->client = sim_add_host(f->sim, &(struct sim_host_options){.kind = SIM_STACK, .link = link});
    f->attacker = sim_add_host(f->sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    f->ends = ends_of(f->server, f->attacker, false);
    f->window = 65535;
    if (f->o.conns_max != 0)
        flood_tcp(f)->conns.limit_count = f->o.conns_max;
    sim_run_for(f->sim, 5 * LEAT_NS_PER_S); /* announcements */
    listen_and_connect(f);
    f->last_ns = sim_now(f->sim);
    flood_run(f, NULL, 100);
    assert_true(f->answer_count > 20);
    return f;
}

void flood_end(struct flood *f)
{
    sim_enter(f->client);
    (void)leat_conn_abort(f->conn); /* a new one follows */
    sim_leave(f->client);
    uint64_t failures = f->failure_count, before = f->answer_count;
    flood_run(f, NULL, 1000);
    assert_true(f->answer_count > before);
    assert_true(f->failure_count <= failures + 1); /* the one that was aborted */
    f->is_stopped = true;
    assert_string_equal(sim_violation_sentence(f->sim), "");
    assert_int_equal(sim_free(f->sim), 0);
    free(f->allies);
    free(f);
}
