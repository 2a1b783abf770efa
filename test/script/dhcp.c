/* The life of a DHCP lease, on the virtual clock: the peer is the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <leat/conn.h>
#include <leat/udp.h>
#include <stdlib.h>

#include "net/stack/dhcp.h"
#include "test/script/frame.h"
#include "test/script/scripts.h"

#define SERVER  UINT32_C(0x0a090001) /* 10.9.0.1 */
#define OFFERED UINT32_C(0x0a090039)
#define ALL     UINT32_C(0xffffffff)

struct world {
    struct sim *sim;
    struct sim_host *host, *peer;
    struct ends ends;
    unsigned changes, losses, closes;
    enum leat_close_reason reason;
    struct dhcp_lease lease;
    uint32_t xid;
};

static void on_change(void *arg, const struct dhcp_lease *lease)
{
    struct world *w = arg;
    if (lease == NULL) {
        w->losses++;
        return;
    }
    w->changes++;
    w->lease = *lease;
}

static struct world *begin(void)
{
    struct world *w = calloc(1, sizeof(*w));
    struct leat_error error;
    assert_non_null(w);
    w->sim = sim_new(1, NULL, NULL);
    w->host = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_STACK});
    w->peer = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    w->ends = ends_of(w->host, w->peer, false);
    w->ends.peer = ip_addr_v4(be32_put(SERVER));
    w->ends.host = ip_addr_v4(be32_put(ALL));
    sim_run_for(w->sim, 5 * LEAT_NS_PER_S);
    sim_enter(w->host);
    assert_int_equal(dhcp_start(sim_stack(w->host), on_change, w, &error), 0);
    sim_leave(w->host);
    struct sim_frame f;
    while (sim_take(w->peer, &f)) {
    }
    return w;
}

static void end(struct world *w)
{
    assert_string_equal(sim_violation_sentence(w->sim), "");
    assert_int_equal(sim_free(w->sim), 0);
    free(w);
}

static void pass(struct world *w, uint64_t ms)
{
    sim_run_for(w->sim, ms * LEAT_NS_PER_MS);
}

static uint64_t dropped(struct world *w, enum stack_drop drop)
{
    return sim_stack(w->host)->count.drops[drop];
}

/* What was heard of the client. */
struct heard {
    uint64_t at_ns;
    uint8_t type;
    uint32_t xid, src, dst, client, asked, server;
    uint16_t flags;
    bool is_broadcast; /* on the link */
};

static uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void read_options(struct heard *h, const uint8_t *at)
{
    for (; *at != 255; at += 2 + at[1])
        if (*at == 53)
            h->type = at[2];
        else if (*at == 50)
            h->asked = u32_at(at + 2);
        else if (*at == 54)
            h->server = u32_at(at + 2);
}

/* The next DHCP message; ARP is passed over. False: silence. */
static bool next(struct world *w, struct heard *h)
{
    struct sim_frame f;
    while (sim_take(w->peer, &f)) {
        const struct udp_header *udp = payload_of(&f);
        const uint8_t *m = (const uint8_t *)(udp + 1);
        if (!is_type(&f, ETHERTYPE_IPV4) || ip4_of(&f)->protocol != IP_UDP ||
            be16_get(udp->dst_port) != DHCP_SERVER_PORT)
            continue;
        *h = (struct heard){.at_ns = f.at_ns,
                            .src = be32_get(ip4_of(&f)->src),
                            .dst = be32_get(ip4_of(&f)->dst),
                            .xid = u32_at(m + 4),
                            .flags = (uint16_t)(m[10] << 8 | m[11]),
                            .client = u32_at(m + 12),
                            .is_broadcast = (f.bytes[0] & 1) != 0};
        assert_int_equal(be16_get(udp->src_port), DHCP_CLIENT_PORT);
        assert_memory_equal(m + 28, w->ends.host_mac.b, 6);
        read_options(h, m + 240);
        w->xid = h->xid;
        return true;
    }
    return false;
}

static struct heard hear(struct world *w, uint8_t type)
{
    struct heard h;
    assert_true(next(w, &h));
    assert_int_equal(h.type, type);
    return h;
}

/* Passes time, second by second, until something is heard; fails after that many. */
static struct heard hear_within(struct world *w, uint8_t type, unsigned seconds)
{
    struct heard h = {0};
    for (unsigned i = 0; i <= 10 * seconds; i++) {
        if (next(w, &h)) {
            assert_int_equal(h.type, type);
            return h;
        }
        pass(w, 100);
    }
    fail_msg("silence for %u seconds, instead of message type %u", seconds, type);
    return h;
}

static void silence(struct world *w)
{
    struct heard h;
    assert_false(next(w, &h));
}

struct answer {
    uint8_t type;
    uint32_t ip, lease_s;
};

static void say(struct world *w, const struct answer *a)
{
    static const uint8_t head[] = {2, 1, 6, 0};
    uint8_t m[8 + 300] = {0}, *at = m + 8 + 240;
    struct udp_header h = {be16_put(67), be16_put(68), be16_put(sizeof(m)), {0}};
    be32 ip = be32_put(a->ip), xid = be32_put(w->xid), server = be32_put(SERVER);
    be32 lease = be32_put(a->lease_s), mask = be32_put(0xffffff00), magic = be32_put(0x63825363);
    memcpy(m, &h, sizeof(h));
    memcpy(m + 8, head, sizeof(head));
    memcpy(m + 12, &xid, 4);
    memcpy(m + 8 + 16, &ip, 4);
    memcpy(m + 8 + 28, w->ends.host_mac.b, 6);
    memcpy(m + 8 + 236, &magic, 4);
    const struct {
        uint8_t code;
        const void *bytes;
        uint8_t length;
    } options[] = {{53, &a->type, 1},
                   {54, &server, 4},
                   {51, &lease, 4},
                   {1, &mask, 4},
                   {3, &server, 4}};
    for (unsigned i = 0; i < 5; i++) {
        *at++ = options[i].code;
        *at++ = options[i].length;
        memcpy(at, options[i].bytes, options[i].length);
        at += options[i].length;
    }
    *at = 255;
    struct frame f;
    struct ends e = w->ends;
    memset(e.host_mac.b, 0xff, 6);
    frame_ip(&f, &e, IP_UDP, m, sizeof(m));
    sim_transmit(w->peer, f.bytes, f.length);
    pass(w, 1);
}

static void arp(struct world *w, uint16_t operation, uint32_t sender, uint32_t target)
{
    struct ends e = w->ends;
    struct frame f;
    e.peer = ip_addr_v4(be32_put(sender));
    e.host = ip_addr_v4(be32_put(target));
    frame_arp(&f, operation, &e);
    sim_transmit(w->peer, f.bytes, f.length);
    pass(w, 1);
}

static bool has_address(struct world *w)
{
    struct ip_addr ip = ip_addr_v4(be32_put(OFFERED));
    return addr_is_local(sim_stack(w->host), &ip);
}

static bool has_route(struct world *w)
{
    struct ip_addr far = ip_addr_v4(be32_put(0x08080808));
    struct path path;
    sim_enter_quietly(w->host);
    bool found = path_find(sim_stack(w->host), NULL, &far, &path) == 0;
    sim_leave_quietly(w->host);
    return found;
}

static const struct answer offer = {DHCP_OFFER, OFFERED, 3600};
static const struct answer ack = {DHCP_ACK, OFFERED, 3600};
static const struct answer nak = {DHCP_NAK, 0, 0};

/* DISCOVER to BOUND; the server's MAC is known afterwards. */
static void obtain(struct world *w)
{
    hear_within(w, DHCP_DISCOVER, 1);
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    say(w, &ack);
    pass(w, 5000);
    assert_true(has_address(w));
    assert_int_equal(w->changes, 1);
    arp(w, ARP_REQUEST, SERVER, OFFERED);
}

static void rfc2131_3_1_a_lease_is_obtained(void **state)
{
    struct world *w = begin();
    struct heard h = hear_within(w, DHCP_DISCOVER, 1);
    assert_int_equal(h.src, 0);
    assert_int_equal(h.dst, ALL);
    assert_true(h.is_broadcast);
    assert_int_equal(h.flags, 0x8000);
    assert_int_equal(h.client, 0);
    uint32_t xid = h.xid;
    say(w, &offer);
    h = hear(w, DHCP_REQUEST);
    assert_int_equal(h.xid, xid);
    assert_int_equal(h.asked, OFFERED);
    assert_int_equal(h.server, SERVER);
    assert_int_equal(h.src, 0);
    assert_int_equal(h.client, 0);
    say(w, &ack);
    assert_false(has_address(w)); /* it is probed for first */
    assert_int_equal(w->changes, 0);
    pass(w, 5000);
    assert_true(has_address(w));
    assert_true(has_route(w));
    assert_int_equal(w->changes, 1);
    assert_int_equal(be32_get(w->lease.ip), OFFERED);
    silence(w);
    end(w);
}

static void rfc2131_4_1_discover_backs_off_with_jitter(void **state)
{
    static const unsigned seconds[] = {4, 8, 16, 32, 64, 64};
    struct world *w = begin();
    uint64_t before = hear_within(w, DHCP_DISCOVER, 1).at_ns;
    for (unsigned i = 0; i < 6; i++) {
        uint64_t now = hear_within(w, DHCP_DISCOVER, 66).at_ns, gap = now - before;
        assert_in_range(gap, (seconds[i] - 1) * LEAT_NS_PER_S, (seconds[i] + 1) * LEAT_NS_PER_S);
        before = now;
    }
    end(w);
}

static void rfc2131_3_1_a_request_without_answer_begins_anew(void **state)
{
    struct world *w = begin();
    uint32_t xid = hear_within(w, DHCP_DISCOVER, 1).xid;
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    for (unsigned i = 0; i < 3; i++)
        hear_within(w, DHCP_REQUEST, 20);
    assert_true(hear_within(w, DHCP_DISCOVER, 40).xid != xid);
    end(w);
}

static void rfc2131_3_1_a_nak_begins_anew(void **state)
{
    struct world *w = begin();
    hear_within(w, DHCP_DISCOVER, 1);
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    say(w, &nak);
    silence(w);
    hear_within(w, DHCP_DISCOVER, 2);
    assert_int_equal(w->changes, 0);
    end(w);
}

static void rfc5227_2_1_1_a_conflict_is_declined(void **state)
{
    struct world *w = begin();
    hear_within(w, DHCP_DISCOVER, 1);
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    say(w, &ack);
    pass(w, 1500);
    arp(w, ARP_REPLY, OFFERED, 0); /* another has it */
    struct heard h = hear(w, DHCP_DECLINE);
    assert_int_equal(h.asked, OFFERED);
    assert_int_equal(h.server, SERVER);
    assert_int_equal(h.client, 0);
    assert_false(has_address(w));
    pass(w, 9000);
    silence(w); /* RFC 2131 3.1: ten seconds */
    hear_within(w, DHCP_DISCOVER, 3);
    assert_int_equal(w->changes, 0);
    end(w);
}

static void rfc5227_2_4_a_conflict_that_lasts_takes_the_address(void **state)
{
    struct world *w = begin();
    obtain(w);
    arp(w, ARP_REPLY, OFFERED, 0);
    assert_true(has_address(w)); /* defended once */
    pass(w, 2000);
    arp(w, ARP_REPLY, OFFERED, 0);
    hear(w, DHCP_DECLINE);
    assert_false(has_address(w));
    assert_int_equal(w->losses, 1);
    end(w);
}

static void rfc2131_4_4_5_renewal_is_unicast_at_t1(void **state)
{
    struct world *w = begin();
    obtain(w);
    pass(w, 1790 * 1000);
    silence(w);
    struct heard h = hear_within(w, DHCP_REQUEST, 10);
    assert_int_equal(h.src, OFFERED);
    assert_int_equal(h.dst, SERVER);
    assert_false(h.is_broadcast);
    assert_int_equal(h.client, OFFERED);
    assert_int_equal(h.asked, 0);
    assert_int_equal(h.server, 0);
    assert_int_equal(h.flags, 0);
    say(w, &ack);
    assert_int_equal(w->changes, 2);
    arp(w, ARP_REPLY, SERVER, OFFERED); /* the server is there, should ARP have asked */
    pass(w, 1700 * 1000);
    silence(w);
    for (unsigned i = 0; i < 120; i++) {
        pass(w, 1000);
        arp(w, ARP_REPLY, SERVER, OFFERED);
    }
    hear(w, DHCP_REQUEST);
    assert_int_equal(w->losses, 0);
    end(w);
}

/* Half of the time to T2, at least a minute; then all servers are asked; then it is over. */
static void rfc2131_4_4_5_rebinding_then_expiry(void **state)
{
    struct world *w = begin();
    obtain(w);
    uint64_t begun = sim_now(w->sim);
    unsigned unicasts = 0, broadcasts = 0;
    while (has_address(w)) {
        struct heard h;
        pass(w, 1000);
        arp(w, ARP_REPLY, SERVER, OFFERED);
        while (has_address(w) && next(w, &h)) {
            assert_int_equal(h.type, DHCP_REQUEST);
            assert_int_equal(h.client, OFFERED);
            unicasts += !h.is_broadcast;
            broadcasts += h.is_broadcast;
            assert_true(h.is_broadcast == (h.dst == ALL));
        }
        assert_true(sim_now(w->sim) - begun < 3700 * LEAT_NS_PER_S);
    }
    assert_in_range(unicasts, 4, 8);
    assert_in_range(broadcasts, 3, 6);
    assert_in_range((sim_now(w->sim) - begun) / LEAT_NS_PER_S, 3590, 3600);
    assert_int_equal(w->losses, 1);
    assert_false(has_route(w));
    hear_within(w, DHCP_DISCOVER, 2);
    end(w);
}

static void rfc2131_4_4_5_any_server_may_rebind(void **state)
{
    struct world *w = begin();
    struct heard h;
    obtain(w);
    pass(w, 3150 * 1000);
    do {
        assert_true(next(w, &h));
    } while (!h.is_broadcast);
    say(w, &ack);
    assert_int_equal(w->changes, 2);
    assert_true(has_address(w));
    pass(w, 1700 * 1000);
    assert_true(has_address(w));
    end(w);
}

static void a_nak_while_renewing_takes_the_address(void **state)
{
    struct world *w = begin();
    obtain(w);
    hear_within(w, DHCP_REQUEST, 1900);
    say(w, &nak);
    assert_false(has_address(w));
    assert_int_equal(w->losses, 1);
    hear_within(w, DHCP_DISCOVER, 3);
    end(w);
}

static void a_renewal_may_move_us(void **state)
{
    static const struct answer moved = {DHCP_ACK, OFFERED + 1, 3600};
    struct world *w = begin();
    obtain(w);
    hear_within(w, DHCP_REQUEST, 1900);
    say(w, &moved);
    assert_false(has_address(w));
    assert_int_equal(w->losses, 1);
    pass(w, 5000);
    struct ip_addr ip = ip_addr_v4(be32_put(OFFERED + 1));
    assert_true(addr_is_local(sim_stack(w->host), &ip));
    assert_int_equal(w->changes, 2);
    end(w);
}

static void a_lease_for_ever_is_never_renewed(void **state)
{
    static const struct answer for_ever = {DHCP_ACK, OFFERED, UINT32_MAX};
    struct world *w = begin();
    hear_within(w, DHCP_DISCOVER, 1);
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    say(w, &for_ever);
    pass(w, 1000 * 3600 * 48);
    assert_true(has_address(w));
    silence(w);
    end(w);
}

static void answers_to_others_are_not_heard(void **state)
{
    struct world *w = begin();
    hear_within(w, DHCP_DISCOVER, 1);
    w->xid ^= 1;
    say(w, &offer);
    silence(w);
    w->xid ^= 1;
    w->ends.host_mac.b[5] ^= 1;
    say(w, &offer);
    w->ends.host_mac.b[5] ^= 1;
    silence(w);
    assert_int_equal(dropped(w, STACK_DROP_DHCP_OTHER), 2);
    say(w, &ack); /* nothing was requested */
    assert_int_equal(w->changes, 0);
    end(w);
}

static void on_close(leat_udp udp, void *user, enum leat_close_reason reason)
{
    struct world *w = user;
    w->closes++;
    w->reason = reason;
}

static void what_is_bound_to_a_lost_address_ends(void **state)
{
    static const struct leat_udp_ops ops = {.on_close = on_close};
    struct leat_addr at = {.family = LEAT_FAMILY_IPV4, .port = 53, .ip = {10, 9, 0, 57}};
    struct world *w = begin();
    leat_udp udp;
    obtain(w);
    sim_enter(w->host);
    assert_int_equal(leat_udp_bind(sim_loop(w->host), &at, NULL, &ops, w, &udp), 0);
    sim_leave(w->host);
    pass(w, 3600 * 1000);
    assert_int_equal(w->closes, 1);
    assert_int_equal(w->reason, LEAT_CLOSE_ADDRESS_GONE);
    end(w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc2131_3_1_a_lease_is_obtained),
        cmocka_unit_test(rfc2131_4_1_discover_backs_off_with_jitter),
        cmocka_unit_test(rfc2131_3_1_a_request_without_answer_begins_anew),
        cmocka_unit_test(rfc2131_3_1_a_nak_begins_anew),
        cmocka_unit_test(rfc5227_2_1_1_a_conflict_is_declined),
        cmocka_unit_test(rfc5227_2_4_a_conflict_that_lasts_takes_the_address),
        cmocka_unit_test(rfc2131_4_4_5_renewal_is_unicast_at_t1),
        cmocka_unit_test(rfc2131_4_4_5_rebinding_then_expiry),
        cmocka_unit_test(rfc2131_4_4_5_any_server_may_rebind),
        cmocka_unit_test(a_nak_while_renewing_takes_the_address),
        cmocka_unit_test(a_renewal_may_move_us),
        cmocka_unit_test(a_lease_for_ever_is_never_renewed),
        cmocka_unit_test(answers_to_others_are_not_heard),
        cmocka_unit_test(what_is_bound_to_a_lost_address_ends),
    };
    return scripts_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
