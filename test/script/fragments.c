/* Fragments: RFC 791 3.2, 1122 3.3.2, 5722, 8200 4.5. */
#include "test/script/world.h"

static void expect_drop(struct world *w, struct frame *f, enum stack_drop reason)
{
    uint64_t before = dropped(w, reason);
    say(w, f);
    silence(w);
    if (dropped(w, reason) != before + 1)
        fail_msg("%s was not counted", stack_drop_name(reason));
}

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

static void fragments_are_joined_in_any_order_rfc791_3_2(void **state)
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

static void a_repeated_fragment_does_no_harm_rfc791_3_2(void **state)
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

static void an_overlap_drops_the_datagram_rfc5722_4(void **state)
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

static void a_missing_fragment_times_out_with_a_message_1122_3_3_2(void **state)
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

static void reassembly_is_bounded_and_the_oldest_goes_first_1122_3_3_2(void **state)
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

static void fragments_that_are_empty_uneven_or_too_far_out_are_dropped_rfc791_3_2(void **state)
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

/* ---- IPv6 ---- */

/* A fragment of length bytes of payload at offset, for the protocol next. */
static void v6_part(struct world *w, struct frame *f, uint8_t next, uint16_t field,
                    const uint8_t *bytes, size_t length)
{
    uint8_t body[1500];
    struct ipv6_fragment h = {.next = next, .offset = be16_put(field), .id = be32_put(7)};
    memcpy(body, &h, sizeof(h));
    memcpy(body + sizeof(h), bytes, length);
    frame_ip(f, &w->v6, IPV6_FRAGMENT, body, sizeof(h) + length);
}

static void expect_problem(struct world *w, const struct frame *f, uint8_t code, uint32_t pointer)
{
    say(w, f);
    struct sim_frame got = hear(w, ETHERTYPE_IPV6);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMPV6_PARAMETER);
    assert_int_equal(icmp->code, code);
    assert_int_equal(be32_get(icmp->rest), pointer);
    assert_memory_equal((const uint8_t *)(icmp + 1), f->bytes + 14, 48); /* quotes it */
    silence(w);
}

static void an_uneven_fragment_is_complained_of_rfc8200_4_5(void **state)
{
    struct world w = begin(false);
    struct frame f;
    make_big(&w);
    v6_part(&w, &f, IP_ICMPV6, 1, big, 13);
    expect_problem(&w, &f, 0, 4); /* the payload length */
    end(&w);
}

static void a_fragment_beyond_64_kib_is_complained_of_rfc8200_4_5(void **state)
{
    struct world w = begin(false);
    struct frame f;
    make_big(&w);
    v6_part(&w, &f, IP_ICMPV6, 0xfff8, big, 16);
    expect_problem(&w, &f, 0, 42); /* the fragment offset */
    end(&w);
}

static void a_first_fragment_without_all_headers_is_complained_of_rfc7112_5(void **state)
{
    static const uint8_t destination[16] = {IP_TCP, 0, 1, 4};
    static const uint8_t longer[16] = {IP_TCP, 3, 1, 4};
    struct world w = begin(false);
    struct frame f;
    make_big(&w);
    v6_part(&w, &f, IP_TCP, 1, big, 16); /* half of a TCP header */
    expect_problem(&w, &f, 3, 0);
    v6_part(&w, &f, IPV6_DESTINATION, 1, destination, 16);
    expect_problem(&w, &f, 3, 0);
    v6_part(&w, &f, IPV6_DESTINATION, 1, longer, 16); /* the options themselves are cut */
    expect_problem(&w, &f, 3, 0);
    v6_part(&w, &f, IP_ICMPV6, 1, big, 8); /* these are all */
    say(&w, &f);
    silence(&w);
    assert_int_equal(dropped(&w, STACK_DROP_FRAGMENT_MALFORMED), 3);
    end(&w);
}

static void ipv6_fragments_are_joined_rfc8200_4_5(void **state)
{
    struct world w = begin(false);
    struct frame f;
    uint8_t message[1008];
    introduce(&w);
    assert_int_equal(icmp_echo(message, &w.v6, 3, 1000), sizeof(message));
    v6_part(&w, &f, IP_ICMPV6, 504, message + 504, 504);
    say(&w, &f);
    v6_part(&w, &f, IP_ICMPV6, 1, message, 504);
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV6);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMPV6_ECHO_REPLY);
    assert_memory_equal(icmp + 1, message + 8, 1000);
    end(&w);
}

static void an_atomic_fragment_is_whole_rfc6946_4(void **state)
{
    struct world w = begin(false);
    struct frame f;
    uint8_t message[108];
    introduce(&w);
    assert_int_equal(icmp_echo(message, &w.v6, 3, 100), sizeof(message));
    v6_part(&w, &f, IP_ICMPV6, 0, message, sizeof(message));
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV6);
    assert_int_equal(((const struct icmp_header *)payload_of(&got))->type, ICMPV6_ECHO_REPLY);
    end(&w);
}

/* ---- what is said of a datagram that came in fragments ---- */

/* To a UDP port where nobody listens, its end first. */
static void an_error_quotes_the_whole_datagram_1122_3_2_2(void **state)
{
    struct world w = begin(false);
    struct frame f;
    uint8_t body[48] = {0};
    struct udp_header udp = {be16_put(999), be16_put(9), be16_put(sizeof(body)), {0}};
    introduce(&w);
    memcpy(body, &udp, sizeof(udp));
    frame_ip(&f, &w.v4, IP_UDP, body + 24, 24);
    frame_set_fragment(&f, 3, 5);
    say(&w, &f);
    frame_ip(&f, &w.v4, IP_UDP, body, 24);
    frame_set_fragment(&f, IPV4_MF, 5);
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV4);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMP_UNREACHABLE);
    const struct ipv4_header *quoted = (const void *)(icmp + 1);
    assert_int_equal(be16_get(quoted->length), 20 + sizeof(body));
    assert_int_equal(be16_get(quoted->fragment), 0);
    assert_int_equal(csum_finish(csum_add(CSUM_ZERO, quoted, 20)).raw, 0);
    assert_memory_equal(quoted + 1, body, sizeof(body));
    end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fragments_are_joined_in_any_order_rfc791_3_2),
        cmocka_unit_test(a_repeated_fragment_does_no_harm_rfc791_3_2),
        cmocka_unit_test(an_overlap_drops_the_datagram_rfc5722_4),
        cmocka_unit_test(a_missing_fragment_times_out_with_a_message_1122_3_3_2),
        cmocka_unit_test(reassembly_is_bounded_and_the_oldest_goes_first_1122_3_3_2),
        cmocka_unit_test(fragments_that_are_empty_uneven_or_too_far_out_are_dropped_rfc791_3_2),
        cmocka_unit_test(an_uneven_fragment_is_complained_of_rfc8200_4_5),
        cmocka_unit_test(a_fragment_beyond_64_kib_is_complained_of_rfc8200_4_5),
        cmocka_unit_test(a_first_fragment_without_all_headers_is_complained_of_rfc7112_5),
        cmocka_unit_test(ipv6_fragments_are_joined_rfc8200_4_5),
        cmocka_unit_test(an_atomic_fragment_is_whole_rfc6946_4),
        cmocka_unit_test(an_error_quotes_the_whole_datagram_1122_3_2_2),
    };
    return run_scripts(tests, argc, argv);
}
