/* IPv4 and IPv6 headers, ICMP: RFC 791, 792, 1122 3.2, 4443, 8200. */
#include "test/script/world.h"

/* ---- IPv4 ---- */

static void echo_comes_back_as_it_came_rfc792(void **state)
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

static void padding_of_short_frames_is_trimmed_rfc894(void **state)
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

static void impossible_headers_are_dropped_rfc791_3_1(void **state)
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

static void options_are_skipped_and_source_routes_refused_rfc7126_4_3(void **state)
{
    struct world w = begin(false);
    struct frame f;
    introduce(&w);
    with_options(&f, &w.v4, (const uint8_t[]){1, 1, 7, 4, 0, 0, 0, 0}, 8);
    say(&w, &f);
    hear(&w, ETHERTYPE_IPV4);
    with_options(&f, &w.v4, (const uint8_t[]){131, 7, 4, 10, 0, 0, 9, 0}, 8);
    expect_drop(&w, &f, STACK_DROP_IP_SOURCE_ROUTE);
    with_options(&f, &w.v4, (const uint8_t[]){7, 0, 0, 0}, 4); /* an option of length 0 */
    expect_drop(&w, &f, STACK_DROP_IP_OPTIONS);
    with_options(&f, &w.v4, (const uint8_t[]){7, 1, 0, 0}, 4);
    expect_drop(&w, &f, STACK_DROP_IP_OPTIONS);
    with_options(&f, &w.v4, (const uint8_t[]){1, 1, 7, 3}, 4);
    expect_drop(&w, &f, STACK_DROP_IP_OPTIONS);
    end(&w);
}

static void a_broadcast_ping_is_not_answered_1122_3_2_2_6(void **state)
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

#define BIG 4000

static uint8_t big[BIG];

static void make_big(struct world *w)
{
    introduce(w);
    assert_int_equal(icmp_echo(big, &w->v4, 9, BIG - 8), BIG);
}

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

/* ---- UDP and ICMP errors ---- */

static void nobody_on_a_udp_port_is_said_1122_4_1_3_1(void **state)
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

static void errors_are_rate_limited_rfc1812_4_3_2_8(void **state)
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

static void udp_checksums_are_verified_1122_4_1_3_4(void **state)
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

static void an_unknown_protocol_is_said_1122_3_2_2_1(void **state)
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

static void echo_over_ipv6_rfc4443_4_2(void **state)
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

static void extension_headers_are_walked_rfc8200_4(void **state)
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

/* ---- all of it at once ---- */

static void mutated_frames_neither_crash_nor_leak_1122_1_2_2(void **state)
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
        cmocka_unit_test(echo_comes_back_as_it_came_rfc792),
        cmocka_unit_test(padding_of_short_frames_is_trimmed_rfc894),
        cmocka_unit_test(impossible_headers_are_dropped_rfc791_3_1),
        cmocka_unit_test(options_are_skipped_and_source_routes_refused_rfc7126_4_3),
        cmocka_unit_test(a_broadcast_ping_is_not_answered_1122_3_2_2_6),
        cmocka_unit_test(nobody_on_a_udp_port_is_said_1122_4_1_3_1),
        cmocka_unit_test(errors_are_rate_limited_rfc1812_4_3_2_8),
        cmocka_unit_test(udp_checksums_are_verified_1122_4_1_3_4),
        cmocka_unit_test(an_unknown_protocol_is_said_1122_3_2_2_1),
        cmocka_unit_test(echo_over_ipv6_rfc4443_4_2),
        cmocka_unit_test(extension_headers_are_walked_rfc8200_4),
        cmocka_unit_test(mutated_frames_neither_crash_nor_leak_1122_1_2_2),
    };
    return run_scripts(tests, argc, argv);
}
