/* Conversations below TCP: Ethernet, ARP, ND, IP, fragments, ICMP, UDP. */
#include "test/script/frame.h"
#include "test/script/scripts.h"

struct world {
    struct sim *sim;
    struct sim_host *host, *peer;
    struct ends v4, v6;
};

static struct world begin(bool probe)
{
    struct world w = {0};
    w.sim = sim_new(1, NULL, NULL);
    w.host = sim_add_host(w.sim,
                          &(struct sim_host_options){.kind = SIM_STACK, .probe_addresses = probe});
    w.peer = sim_add_host(w.sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    w.v4 = ends_of(w.host, w.peer, false);
    w.v6 = ends_of(w.host, w.peer, true);
    return w;
}

static void settle(struct world *w)
{
    struct sim_frame f;
    sim_run_for(w->sim, 10 * LEAT_NS_PER_S);
    while (sim_take(w->peer, &f)) {
    }
}

/* Probes of neighbours may have come meanwhile; the peer does not mind. */
static void settle_quietly(struct world *w)
{
    struct sim_frame f;
    while (sim_take(w->peer, &f)) {
    }
}

static void end(struct world *w)
{
    assert_string_equal(sim_violation_sentence(w->sim), "");
    assert_int_equal(sim_free(w->sim), 0);
}

static void say(struct world *w, const struct frame *f)
{
    sim_transmit(w->peer, f->bytes, f->length);
    sim_run_for(w->sim, LEAT_NS_PER_MS);
}

static void silence(struct world *w)
{
    struct sim_frame f;
    assert_false(sim_take(w->peer, &f));
}

static struct sim_frame hear(struct world *w, uint16_t type)
{
    struct sim_frame f = {0};
    assert_true(sim_take(w->peer, &f));
    assert_true(is_type(&f, type));
    return f;
}

static uint64_t dropped(struct world *w, enum stack_drop drop)
{
    return sim_stack(w->host)->count.drops[drop];
}

/* The peer says its MAC, so that answers to it do not wait. */
static void introduce(struct world *w)
{
    struct frame f;
    uint8_t ns[32] = {ND_SOLICIT};
    settle(w);
    frame_arp(&f, ARP_REQUEST, &w->v4);
    say(w, &f);
    memcpy(ns + 8, w->v6.host.b, 16);
    ns[24] = ND_OPTION_SOURCE_MAC;
    ns[25] = 1;
    memcpy(ns + 26, w->v6.peer_mac.b, 6);
    icmp_sum(ns, sizeof(ns), &w->v6);
    frame_ip(&f, &w->v6, IP_ICMPV6, ns, sizeof(ns));
    say(w, &f);
    struct sim_frame got;
    while (sim_take(w->peer, &got)) {
    }
}

static void ping(struct world *w, const struct ends *e, uint16_t sequence, size_t length)
{
    static uint8_t message[SIM_FRAME_BYTES];
    struct frame f;
    size_t n = icmp_echo(message, e, sequence, length);
    frame_ip(&f, e, ip_addr_is_v4(&e->host) ? IP_ICMP : IP_ICMPV6, message, n);
    say(w, &f);
}

/* ---- ARP ---- */

static void rfc826_a_request_for_us_is_answered(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    frame_arp(&f, ARP_REQUEST, &w.v4);
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_ARP);
    const struct arp_packet *arp = (const void *)(got.bytes + 14);
    assert_int_equal(be16_get(arp->operation), ARP_REPLY);
    assert_memory_equal(&arp->sender_mac, &w.v4.host_mac, 6);
    assert_memory_equal(&arp->target_mac, &w.v4.peer_mac, 6);
    assert_int_equal(be32_get(arp->sender_ip), 0x0a000001);
    silence(&w);
    end(&w);
}

static void rfc826_a_request_for_another_is_not(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    struct ends e = w.v4;
    e.host = ip_addr_v4(be32_put(0x0a000063));
    frame_arp(&f, ARP_REQUEST, &e);
    say(&w, &f);
    silence(&w);
    end(&w);
}

static void arp_of_other_hardware_is_dropped(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    frame_arp(&f, ARP_REQUEST, &w.v4);
    f.bytes[15] = 6;
    say(&w, &f);
    f.length = 40;
    f.bytes[15] = 1;
    say(&w, &f);
    silence(&w);
    assert_int_equal(dropped(&w, STACK_DROP_ARP_MALFORMED), 2);
    end(&w);
}

static void rfc5227_an_address_is_announced_twice(void **state)
{
    struct world w = begin(false);
    struct sim_frame got;
    unsigned announcements = 0;
    sim_run_for(w.sim, 10 * LEAT_NS_PER_S);
    while (sim_take(w.peer, &got)) {
        const struct arp_packet *arp = (const void *)(got.bytes + 14);
        if (is_type(&got, ETHERTYPE_ARP) && be32_equal(arp->sender_ip, arp->target_ip))
            announcements++;
    }
    assert_int_equal(announcements, 2);
    end(&w);
}

static void rfc5227_probes_come_before_use_and_a_conflict_ends_it(void **state)
{
    struct world w = begin(true);
    struct frame f;
    struct sim_frame got;
    sim_run_for(w.sim, 1100 * LEAT_NS_PER_MS);
    unsigned probes = 0;
    while (sim_take(w.peer, &got))
        probes += is_type(&got, ETHERTYPE_ARP) &&
                  ((const struct arp_packet *)(const void *)(got.bytes + 14))->sender_ip.raw == 0;
    assert_true(probes >= 1);
    struct ends e = w.v4;
    e.peer = w.v4.host; /* somebody else has it */
    frame_arp(&f, ARP_REPLY, &e);
    say(&w, &f);
    assert_int_equal(addr_find(sim_stack(w.host), &w.v4.host)->state, ADDR_DUPLICATE);
    assert_int_equal(dropped(&w, STACK_DROP_ARP_CONFLICT), 1);
    end(&w);
}

static void rfc5227_a_conflict_is_answered_once_in_ten_seconds(void **state)
{
    struct world w = begin(false);
    struct frame f;
    struct ends e = w.v4;
    settle(&w);
    e.peer = w.v4.host;
    frame_arp(&f, ARP_REQUEST, &e);
    say(&w, &f);
    say(&w, &f);
    hear(&w, ETHERTYPE_ARP);
    silence(&w);
    sim_run_for(w.sim, 11 * LEAT_NS_PER_S);
    say(&w, &f);
    hear(&w, ETHERTYPE_ARP);
    end(&w);
}

/* Bug 20: packets are not lost while the neighbour's address is asked for. */
static void rfc1122_2322_packets_wait_for_resolution(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    ping(&w, &w.v4, 1, 56);
    struct sim_frame got = hear(&w, ETHERTYPE_ARP);
    const struct arp_packet *arp = (const void *)(got.bytes + 14);
    assert_int_equal(be32_get(arp->target_ip), 0x0a000002);
    silence(&w);
    frame_arp(&f, ARP_REPLY, &w.v4);
    say(&w, &f);
    got = hear(&w, ETHERTYPE_IPV4);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMP_ECHO_REPLY);
    assert_memory_equal(&eth_of(&got)->dst, &w.v4.peer_mac, 6);
    end(&w);
}

static void the_oldest_waiting_packet_is_dropped_for_a_newer_one(void **state)
{
    struct world w = begin(false);
    struct frame f;
    struct sim_frame got;
    settle(&w);
    for (uint16_t i = 0; i < 12; i++)
        ping(&w, &w.v4, i, 300); /* too long for the head: payload travels as a reference */
    while (sim_take(w.peer, &got))
        assert_true(is_type(&got, ETHERTYPE_ARP));
    assert_int_equal(dropped(&w, STACK_DROP_NEIGHBOUR_QUEUE), 12 - NEIGHBOUR_PARKED_EACH);
    frame_arp(&f, ARP_REPLY, &w.v4);
    say(&w, &f);
    for (uint16_t i = 12 - NEIGHBOUR_PARKED_EACH; i < 12; i++) {
        got = hear(&w, ETHERTYPE_IPV4);
        const struct icmp_header *icmp = payload_of(&got);
        assert_int_equal(be32_get(icmp->rest) & 0xffff, i);
    }
    silence(&w);
    end(&w);
}

static void rfc4861_a_silent_neighbour_is_given_up_after_three_requests(void **state)
{
    struct world w = begin(false);
    settle(&w);
    ping(&w, &w.v4, 1, 56);
    sim_run_for(w.sim, 20 * LEAT_NS_PER_S);
    for (unsigned i = 0; i < 3; i++)
        hear(&w, ETHERTYPE_ARP);
    silence(&w);
    assert_int_equal(dropped(&w, STACK_DROP_NEIGHBOUR_FAILED), 1);
    assert_null(neighbour_find(sim_stack(w.host), &w.v4.peer));
    end(&w);
}

/* ---- IPv4 ---- */

static void rfc792_echo_comes_back_as_it_came(void **state)
{
    struct world w = begin(false);
    introduce(&w);
    for (size_t length = 0; length < 1473; length += 97) {
        ping(&w, &w.v4, 3, length);
        struct sim_frame got = hear(&w, ETHERTYPE_IPV4);
        const struct icmp_header *icmp = payload_of(&got);
        assert_int_equal(icmp->type, ICMP_ECHO_REPLY);
        assert_int_equal(be16_get(ip4_of(&got)->length), 28 + length);
        assert_int_equal(csum_finish(csum_add(CSUM_ZERO, icmp, 8 + length)).raw, 0);
        assert_int_equal(csum_finish(csum_add(CSUM_ZERO, ip4_of(&got), 20)).raw, 0);
        const uint8_t *data = (const uint8_t *)(icmp + 1);
        for (size_t i = 0; i < length; i++)
            assert_int_equal(data[i], (uint8_t)(i * 7 + 3));
        silence(&w);
    }
    end(&w);
}

static void padding_of_short_frames_is_trimmed(void **state)
{
    struct world w = begin(false);
    struct frame f;
    uint8_t message[64];
    introduce(&w);
    frame_ip(&f, &w.v4, IP_ICMP, message, icmp_echo(message, &w.v4, 1, 4));
    memset(f.bytes + f.length, 0xee, 60 - f.length);
    f.length = 60;
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV4);
    assert_int_equal(got.length_bytes, 14 + 20 + 8 + 4);
    end(&w);
}

static void expect_drop(struct world *w, struct frame *f, enum stack_drop reason)
{
    uint64_t before = dropped(w, reason);
    say(w, f);
    silence(w);
    if (dropped(w, reason) != before + 1)
        fail_msg("%s was not counted", stack_drop_name(reason));
}

static void rfc791_impossible_headers_are_dropped(void **state)
{
    struct world w = begin(false);
    struct frame f;
    uint8_t message[64];
    introduce(&w);
    size_t n = icmp_echo(message, &w.v4, 1, 8);
    struct ipv4_header *ip = (void *)(f.bytes + 14);
#define FRESH() frame_ip(&f, &w.v4, IP_ICMP, message, n)
    FRESH(), f.length = 14 + 19;
    expect_drop(&w, &f, STACK_DROP_IP_SHORT);
    FRESH(), ip->version_ihl = 0x55, frame_fix_ip(&f);
    expect_drop(&w, &f, STACK_DROP_IP_VERSION);
    FRESH(), ip->version_ihl = 0x44;
    expect_drop(&w, &f, STACK_DROP_IP_HEADER);
    FRESH(), ip->length = be16_put(19), frame_fix_ip(&f);
    expect_drop(&w, &f, STACK_DROP_IP_HEADER);
    FRESH(), ip->length = be16_put(1000), frame_fix_ip(&f);
    expect_drop(&w, &f, STACK_DROP_IP_SHORT);
    FRESH(), ip->checksum.raw ^= 1;
    expect_drop(&w, &f, STACK_DROP_IP_CHECKSUM);
    FRESH(), ip->dst = be32_put(0x0a000009), frame_fix_ip(&f);
    expect_drop(&w, &f, STACK_DROP_IP_NOT_OURS);
    FRESH(), ip->src = be32_put(0xe0000001), frame_fix_ip(&f);
    expect_drop(&w, &f, STACK_DROP_IP_SOURCE);
    FRESH(), ip->src = be32_put(0x0a000001), frame_fix_ip(&f);
    expect_drop(&w, &f, STACK_DROP_IP_SOURCE);
    FRESH(), ip->src = be32_put(0x0a0000ff), frame_fix_ip(&f);
    expect_drop(&w, &f, STACK_DROP_IP_SOURCE);
    FRESH(), ip->src = be32_put(0x7f000001), frame_fix_ip(&f);
    expect_drop(&w, &f, STACK_DROP_IP_SOURCE);
    FRESH(), f.bytes[34] ^= 1;
    expect_drop(&w, &f, STACK_DROP_ICMP_CHECKSUM);
    FRESH(), f.bytes[12] = 0x12;
    expect_drop(&w, &f, STACK_DROP_LINK_PROTOCOL);
    FRESH(), f.length = 13;
    sim_inject(w.host, f.bytes, f.length);
    sim_run_for(w.sim, 1);
    assert_int_equal(dropped(&w, STACK_DROP_LINK_SHORT), 1);
    FRESH(), f.bytes[5] = 99;
    sim_inject(w.host, f.bytes, f.length);
    sim_run_for(w.sim, 1);
    assert_int_equal(dropped(&w, STACK_DROP_LINK_OTHER_HOST), 1);
    end(&w);
}

static void with_options(struct frame *f, const struct ends *e, const uint8_t *options, size_t n)
{
    uint8_t message[64], body[128];
    size_t length = icmp_echo(message, e, 1, 8);
    memcpy(body, options, n);
    memcpy(body + n, message, length);
    frame_ip(f, e, IP_ICMP, body, n + length);
    f->bytes[14] = (uint8_t)(0x45 + n / 4);
    frame_fix_ip(f);
}

static void rfc7126_options_are_skipped_and_source_routes_refused(void **state)
{
    struct world w = begin(false);
    struct frame f;
    introduce(&w);
    with_options(&f, &w.v4, (const uint8_t[]){1, 1, 7, 4, 0, 0, 0, 0}, 8);
    say(&w, &f);
    hear(&w, ETHERTYPE_IPV4);
    with_options(&f, &w.v4, (const uint8_t[]){131, 7, 4, 10, 0, 0, 9, 0}, 8);
    expect_drop(&w, &f, STACK_DROP_IP_SOURCE_ROUTE);
    with_options(&f, &w.v4, (const uint8_t[]){7, 0, 0, 0}, 4); /* bug 1, in IP */
    expect_drop(&w, &f, STACK_DROP_IP_OPTIONS);
    with_options(&f, &w.v4, (const uint8_t[]){7, 1, 0, 0}, 4);
    expect_drop(&w, &f, STACK_DROP_IP_OPTIONS);
    with_options(&f, &w.v4, (const uint8_t[]){1, 1, 7, 3}, 4);
    expect_drop(&w, &f, STACK_DROP_IP_OPTIONS);
    end(&w);
}

static void rfc1122_3226_a_broadcast_ping_is_not_answered(void **state)
{
    struct world w = begin(false);
    struct frame f;
    uint8_t message[64];
    introduce(&w);
    struct ends e = w.v4;
    e.host = ip_addr_v4(be32_put(0x0a0000ff));
    size_t n = icmp_echo(message, &e, 1, 8);
    frame_ip(&f, &e, IP_ICMP, message, n);
    expect_drop(&w, &f, STACK_DROP_ICMP_BROADCAST);
    end(&w);
}

/* ---- fragments ---- */

#define BIG 4000

static uint8_t big[BIG];

static void send_part(struct world *w, size_t from, size_t to, uint16_t id)
{
    struct frame f;
    frame_ip(&f, &w->v4, IP_ICMP, big + from, to - from);
    frame_set_fragment(&f, (uint16_t)(from / 8 | (to < BIG ? IPV4_MF : 0)), id);
    say(w, &f);
}

static void make_big(struct world *w)
{
    introduce(w);
    assert_int_equal(icmp_echo(big, &w->v4, 9, BIG - 8), BIG);
}

/* The reply is BIG bytes of ICMP in fragments, in order. */
static void hear_big(struct world *w)
{
    uint8_t reply[BIG];
    size_t at = 0;
    while (at < BIG) {
        struct sim_frame got = hear(w, ETHERTYPE_IPV4);
        uint16_t field = be16_get(ip4_of(&got)->fragment);
        size_t part = be16_get(ip4_of(&got)->length) - 20u;
        assert_int_equal((field & IPV4_OFFSET) * 8, at);
        assert_int_equal((field & IPV4_MF) != 0, at + part < BIG);
        assert_true(got.length_bytes <= 1514);
        memcpy(reply + at, payload_of(&got), part);
        at += part;
    }
    assert_int_equal(csum_finish(csum_add(CSUM_ZERO, reply, BIG)).raw, 0);
    assert_memory_equal(reply + 4, big + 4, BIG - 4);
    silence(w);
}

static void rfc791_fragments_are_joined_in_any_order(void **state)
{
    struct world w = begin(false);
    static const size_t cuts[] = {0, 1480, 2960, BIG};
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    make_big(&w);
    for (uint16_t k = 0; k < 6; k++) {
        for (unsigned i = 0; i < 3; i++) {
            silence(&w);
            send_part(&w, cuts[orders[k][i]], cuts[orders[k][i] + 1], k);
        }
        hear_big(&w);
    }
    assert_int_equal(sim_stack(w.host)->reasm.bytes, 0);
    end(&w);
}

static void a_repeated_fragment_does_no_harm(void **state)
{
    struct world w = begin(false);
    make_big(&w);
    send_part(&w, 1480, 2960, 1);
    send_part(&w, 1480, 2960, 1);
    send_part(&w, 0, 1480, 1);
    send_part(&w, 0, 1480, 1);
    send_part(&w, 2960, BIG, 1);
    hear_big(&w);
    end(&w);
}

static void rfc5722_an_overlap_drops_the_datagram(void **state)
{
    static const struct {
        size_t from, to;
    } overlaps[] = {{1472, 2960}, {1480, 2968}, {1400, 1600}, {2952, BIG}};
    struct world w = begin(false);
    make_big(&w);
    for (uint16_t k = 0; k < 4; k++) {
        send_part(&w, 0, 1480, k);
        if (k != 0)
            send_part(&w, 1480, 2960, (uint16_t)(k + 100 * (k == 1)));
        if (k == 1)
            send_part(&w, 2960, BIG, k);
        uint64_t before = dropped(&w, STACK_DROP_FRAGMENT_OVERLAP);
        big[1500] ^= 1;
        send_part(&w, overlaps[k].from, overlaps[k].to, k);
        big[1500] ^= 1;
        assert_int_equal(dropped(&w, STACK_DROP_FRAGMENT_OVERLAP), before + 1);
        silence(&w);
    }
    sim_run_for(w.sim, 61 * LEAT_NS_PER_S);
    assert_int_equal(sim_stack(w.host)->reasm.bytes, 0);
    end(&w);
}

static void rfc1122_332_a_missing_fragment_times_out_with_a_message(void **state)
{
    struct world w = begin(false);
    make_big(&w);
    send_part(&w, 0, 1480, 1);
    send_part(&w, 2960, BIG, 2); /* without its first fragment: no message */
    sim_run_for(w.sim, 29 * LEAT_NS_PER_S);
    assert_int_equal(dropped(&w, STACK_DROP_FRAGMENT_TIMEOUT), 0);
    settle_quietly(&w);
    sim_run_for(w.sim, 2 * LEAT_NS_PER_S);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV4);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMP_TIME_EXCEEDED);
    assert_int_equal(icmp->code, 1);
    silence(&w);
    assert_int_equal(dropped(&w, STACK_DROP_FRAGMENT_TIMEOUT), 2);
    assert_int_equal(sim_stack(w.host)->reasm.bytes, 0);
    end(&w);
}

static void reassembly_is_bounded_and_the_oldest_goes_first(void **state)
{
    struct world w = begin(false);
    make_big(&w);
    for (uint16_t id = 0; id < 100; id++)
        send_part(&w, 1480, 2960, id);
    assert_int_equal(dropped(&w, STACK_DROP_FRAGMENT_LIMIT), 100 - REASM_MAX);
    send_part(&w, 0, 1480, 99);
    send_part(&w, 2960, BIG, 99);
    hear_big(&w);
    end(&w);
}

static void fragments_that_are_empty_uneven_or_too_far_out_are_dropped(void **state)
{
    struct world w = begin(false);
    struct frame f;
    make_big(&w);
    frame_ip(&f, &w.v4, IP_ICMP, big, 0);
    frame_set_fragment(&f, IPV4_MF, 1);
    expect_drop(&w, &f, STACK_DROP_FRAGMENT_MALFORMED);
    frame_ip(&f, &w.v4, IP_ICMP, big, 13);
    frame_set_fragment(&f, IPV4_MF, 1);
    expect_drop(&w, &f, STACK_DROP_FRAGMENT_MALFORMED);
    frame_ip(&f, &w.v4, IP_ICMP, big, 64);
    frame_set_fragment(&f, IPV4_OFFSET, 1); /* the ping of death */
    expect_drop(&w, &f, STACK_DROP_FRAGMENT_MALFORMED);
    end(&w);
}

/* ---- UDP and ICMP errors ---- */

static void udp_to(struct frame *f, const struct ends *e, uint16_t port, size_t length)
{
    uint8_t body[1500] = {0};
    struct udp_header udp = {be16_put(999), be16_put(port), be16_put((uint16_t)(8 + length)), {0}};
    memcpy(body, &udp, sizeof(udp));
    csum sum = csum_pseudo(&e->peer, &e->host, IP_UDP, (uint32_t)(8 + length));
    udp.checksum = csum_finish(csum_add(sum, body, 8 + length));
    memcpy(body, &udp, sizeof(udp));
    frame_ip(f, e, IP_UDP, body, 8 + length);
}

static void rfc1122_4131_nobody_on_a_udp_port_is_said(void **state)
{
    struct world w = begin(false);
    struct frame f;
    introduce(&w);
    udp_to(&f, &w.v4, 7, 1000);
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV4);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMP_UNREACHABLE);
    assert_int_equal(icmp->code, ICMP_CODE_PORT);
    assert_true(got.length_bytes <= 14 + 576);
    assert_memory_equal(icmp + 1, f.bytes + 14, 500);
    udp_to(&f, &w.v6, 7, 100);
    say(&w, &f);
    got = hear(&w, ETHERTYPE_IPV6);
    icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMPV6_UNREACHABLE);
    assert_int_equal(icmp->code, 4);
    end(&w);
}

static void rfc1812_errors_are_rate_limited(void **state)
{
    struct world w = begin(false);
    struct frame f;
    struct sim_frame got;
    unsigned errors = 0;
    introduce(&w);
    udp_to(&f, &w.v4, 7, 10);
    for (unsigned i = 0; i < 1000; i++)
        sim_inject(w.host, f.bytes, f.length);
    sim_run_for(w.sim, 10 * LEAT_NS_PER_MS);
    while (sim_take(w.peer, &got))
        errors++;
    assert_int_equal(errors, 50);
    assert_int_equal(dropped(&w, STACK_DROP_ICMP_RATE), 950);
    end(&w);
}

static void udp_checksums_are_verified(void **state)
{
    struct world w = begin(false);
    struct frame f;
    introduce(&w);
    udp_to(&f, &w.v4, 7, 10);
    f.bytes[45] ^= 4;
    expect_drop(&w, &f, STACK_DROP_UDP_CHECKSUM);
    udp_to(&f, &w.v6, 7, 10);
    memset(f.bytes + 54 + 6, 0, 2); /* RFC 8200 8.1: no checksum is allowed in IPv4 only */
    expect_drop(&w, &f, STACK_DROP_UDP_CHECKSUM);
    udp_to(&f, &w.v4, 7, 10);
    f.bytes[39] = 200;
    expect_drop(&w, &f, STACK_DROP_UDP_SHORT);
    end(&w);
}

static void rfc1122_3221_an_unknown_protocol_is_said(void **state)
{
    struct world w = begin(false);
    struct frame f;
    introduce(&w);
    frame_ip(&f, &w.v4, 200, big, 100);
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV4);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->code, ICMP_CODE_PROTOCOL);
    frame_ip(&f, &w.v6, 200, big, 100);
    say(&w, &f);
    got = hear(&w, ETHERTYPE_IPV6);
    icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMPV6_PARAMETER);
    assert_int_equal(icmp->code, 1);
    assert_int_equal(be32_get(icmp->rest), 6);
    end(&w);
}

/* ---- IPv6 ---- */

static void rfc4861_a_solicitation_is_answered(void **state)
{
    struct world w = begin(false);
    struct frame f;
    uint8_t ns[32] = {ND_SOLICIT};
    settle(&w);
    struct ends e = w.v6;
    e.host = (struct ip_addr){{0xff, 0x02, [11] = 1, [12] = 0xff, [15] = 1}};
    memcpy(ns + 8, w.v6.host.b, 16);
    ns[24] = ND_OPTION_SOURCE_MAC;
    ns[25] = 1;
    memcpy(ns + 26, e.peer_mac.b, 6);
    icmp_sum(ns, sizeof(ns), &e);
    frame_ip(&f, &e, IP_ICMPV6, ns, sizeof(ns));
    memcpy(f.bytes, (const uint8_t[]){0x33, 0x33, 0xff, 0, 0, 1}, 6);
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV6);
    const struct nd_neighbour *na = payload_of(&got);
    assert_int_equal(na->icmp.type, ND_ADVERT);
    assert_int_equal(be32_get(na->icmp.rest) >> 29, 3); /* solicited, override */
    assert_memory_equal(&na->target, &w.v6.host, 16);
    assert_int_equal(ip6_of(&got)->hop_limit, 255);
    assert_memory_equal((const uint8_t *)(na + 1) + 2, &w.v6.host_mac, 6);
    f.bytes[14 + 7] = 254; /* came through a router */
    expect_drop(&w, &f, STACK_DROP_ND_HOP_LIMIT);
    f.bytes[14 + 7] = 255;
    ns[25] = 0; /* bug 1, in ND: an option of length 0 */
    icmp_sum(ns, sizeof(ns), &e);
    memcpy(f.bytes + 54, ns, sizeof(ns));
    expect_drop(&w, &f, STACK_DROP_ND_MALFORMED);
    end(&w);
}

static void rfc4443_echo_over_ipv6(void **state)
{
    struct world w = begin(false);
    introduce(&w);
    ping(&w, &w.v6, 5, 700);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV6);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMPV6_ECHO_REPLY);
    csum sum = csum_pseudo(&w.v6.host, &w.v6.peer, IP_ICMPV6, 708);
    assert_int_equal(csum_finish(csum_add(sum, icmp, 708)).raw, 0);
    end(&w);
}

static void with_extension(struct frame *f, const struct ends *e, uint8_t kind,
                           const uint8_t *header, size_t n)
{
    uint8_t body[256], message[64];
    size_t length = icmp_echo(message, e, 1, 8);
    memcpy(body, header, n);
    memcpy(body + n, message, length);
    frame_ip(f, e, kind, body, n + length);
}

static void rfc8200_extension_headers_are_walked(void **state)
{
    struct world w = begin(false);
    struct frame f;
    introduce(&w);
    with_extension(&f, &w.v6, IPV6_DESTINATION,
                   (const uint8_t[]){IPV6_DESTINATION, 0, 1, 4, 0, 0, 0, 0, 58, 0, 0, 0, 0, 0, 0,
                                     0},
                   16);
    say(&w, &f);
    hear(&w, ETHERTYPE_IPV6);
    with_extension(&f, &w.v6, IPV6_DESTINATION, (const uint8_t[]){58, 200, 0, 0, 0, 0, 0, 0}, 8);
    expect_drop(&w, &f, STACK_DROP_IP_SHORT);
    with_extension(&f, &w.v6, IPV6_DESTINATION, (const uint8_t[]){58, 0, 1, 90, 0, 0, 0, 0}, 8);
    expect_drop(&w, &f, STACK_DROP_IP_OPTIONS);
    with_extension(&f, &w.v6, IPV6_NO_NEXT, (const uint8_t[]){0}, 0);
    expect_drop(&w, &f, STACK_DROP_IP_NO_NEXT);
    /* 4.2: an unknown option of action 2 is reported with a pointer to it */
    with_extension(&f, &w.v6, IPV6_DESTINATION, (const uint8_t[]){58, 0, 0x9e, 4, 0, 0, 0, 0}, 8);
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV6);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMPV6_PARAMETER);
    assert_int_equal(icmp->code, 2);
    assert_int_equal(be32_get(icmp->rest), 42);
    /* RFC 5095: routing headers with segments left */
    with_extension(&f, &w.v6, IPV6_ROUTING, (const uint8_t[]){58, 0, 0, 1, 0, 0, 0, 0}, 8);
    say(&w, &f);
    got = hear(&w, ETHERTYPE_IPV6);
    assert_int_equal(dropped(&w, STACK_DROP_IP_SOURCE_ROUTE), 1);
    /* RFC 6946: an atomic fragment */
    with_extension(&f, &w.v6, IPV6_FRAGMENT, (const uint8_t[]){58, 0, 0, 0, 0, 0, 0, 1}, 8);
    say(&w, &f);
    hear(&w, ETHERTYPE_IPV6);
    end(&w);
}

static void rfc4862_a_conflict_ends_duplicate_detection(void **state)
{
    struct world w = begin(true);
    struct frame f;
    uint8_t na[32] = {ND_ADVERT, [4] = 0x20};
    sim_run_for(w.sim, 100);
    struct ends e = w.v6;
    e.peer = w.v6.host;
    e.host = (struct ip_addr){{0xff, 0x02, [15] = 1}};
    memcpy(na + 8, w.v6.host.b, 16);
    na[24] = ND_OPTION_TARGET_MAC;
    na[25] = 1;
    icmp_sum(na, sizeof(na), &e);
    frame_ip(&f, &e, IP_ICMPV6, na, sizeof(na));
    memcpy(f.bytes, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
    say(&w, &f);
    assert_int_equal(addr_find(sim_stack(w.host), &w.v6.host)->state, ADDR_DUPLICATE);
    end(&w);
}

/* ---- all of it at once ---- */

static void mutated_frames_neither_crash_nor_leak(void **state)
{
    struct world w = begin(false);
    struct frame f;
    struct sim_frame got;
    make_big(&w);
    for (unsigned i = 0; i < 30000; i++) {
        const struct ends *e = i & 1 ? &w.v6 : &w.v4;
        uint8_t message[256];
        size_t n = icmp_echo(message, e, (uint16_t)i, i % 200);
        switch (i / 2 % 6) {
        case 0:
            udp_to(&f, e, 7, i % 99);
            break;
        case 1:
            frame_arp(&f, (uint16_t)(1 + i % 3), &w.v4);
            break;
        case 2:
            with_extension(&f, &w.v6, IPV6_FRAGMENT,
                           (const uint8_t[]){58, 0, 0, (uint8_t)(i % 2), 0, 0, 0, (uint8_t)i}, 8);
            break;
        default:
            frame_ip(&f, e, i & 1 ? IP_ICMPV6 : IP_ICMP, message, n);
        }
        for (uint64_t k = sim_random_below(w.sim, 4); k > 0; k--)
            f.bytes[14 + sim_random_below(w.sim, f.length - 14)] = (uint8_t)sim_random(w.sim);
        if (is_type(&(struct sim_frame){.bytes = f.bytes}, ETHERTYPE_IPV4))
            frame_fix_ip(&f);
        if (i % 7 == 0)
            f.length = 14 + sim_random_below(w.sim, f.length - 13);
        sim_inject(w.host, f.bytes, f.length);
        if (i % 10 == 0)
            sim_run_for(w.sim, 100 * LEAT_NS_PER_US);
        while (sim_take(w.peer, &got)) {
        }
    }
    sim_run_for(w.sim, 100 * LEAT_NS_PER_S);
    end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc826_a_request_for_us_is_answered),
        cmocka_unit_test(rfc826_a_request_for_another_is_not),
        cmocka_unit_test(arp_of_other_hardware_is_dropped),
        cmocka_unit_test(rfc5227_an_address_is_announced_twice),
        cmocka_unit_test(rfc5227_probes_come_before_use_and_a_conflict_ends_it),
        cmocka_unit_test(rfc5227_a_conflict_is_answered_once_in_ten_seconds),
        cmocka_unit_test(rfc1122_2322_packets_wait_for_resolution),
        cmocka_unit_test(the_oldest_waiting_packet_is_dropped_for_a_newer_one),
        cmocka_unit_test(rfc4861_a_silent_neighbour_is_given_up_after_three_requests),
        cmocka_unit_test(rfc792_echo_comes_back_as_it_came),
        cmocka_unit_test(padding_of_short_frames_is_trimmed),
        cmocka_unit_test(rfc791_impossible_headers_are_dropped),
        cmocka_unit_test(rfc7126_options_are_skipped_and_source_routes_refused),
        cmocka_unit_test(rfc1122_3226_a_broadcast_ping_is_not_answered),
        cmocka_unit_test(rfc791_fragments_are_joined_in_any_order),
        cmocka_unit_test(a_repeated_fragment_does_no_harm),
        cmocka_unit_test(rfc5722_an_overlap_drops_the_datagram),
        cmocka_unit_test(rfc1122_332_a_missing_fragment_times_out_with_a_message),
        cmocka_unit_test(reassembly_is_bounded_and_the_oldest_goes_first),
        cmocka_unit_test(fragments_that_are_empty_uneven_or_too_far_out_are_dropped),
        cmocka_unit_test(rfc1122_4131_nobody_on_a_udp_port_is_said),
        cmocka_unit_test(rfc1812_errors_are_rate_limited),
        cmocka_unit_test(udp_checksums_are_verified),
        cmocka_unit_test(rfc1122_3221_an_unknown_protocol_is_said),
        cmocka_unit_test(rfc4861_a_solicitation_is_answered),
        cmocka_unit_test(rfc4443_echo_over_ipv6),
        cmocka_unit_test(rfc8200_extension_headers_are_walked),
        cmocka_unit_test(rfc4862_a_conflict_ends_duplicate_detection),
        cmocka_unit_test(mutated_frames_neither_crash_nor_leak),
    };
    return run_scripts(tests, argc, argv);
}
