/* ICMP about our segments: path MTU (RFC 1191, 8201), errors (RFC 1122 4.2.3.9), and what is not
 * believed (RFC 5927). */
#include "test/script/talk.h"

#define MSS       1448
#define MS_MINUTE 60000

static void too_big_makes_segments_smaller_rfc1191_6(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 2 * MSS);
    hear(t, "A", 1, 1, MSS);
    hear(t, "A", 1 + MSS, 1, MSS);
    say_icmp(t, ICMP_UNREACHABLE, 4, 1000, 1);
    for (uint32_t i = 0; i < 3; i++) /* all of it again, in pieces that fit */
        hear(t, "A", 1 + 948 * i, 1, 948);
    hear(t, "A", 1 + 3 * 948, 1, 52);
    quiet(t);
    assert_int_equal(sim_stack(t->host)->tcp->count.icmp_too_big, 1);
    talk_end(t);
}

static void too_big_over_ipv6_rfc8201_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.v6 = true});
    app_send(t, 1, 1428);
    hear(t, "A", 1, 1, 1428);
    say_icmp(t, ICMPV6_TOO_BIG, 0, 1400, 1);
    hear(t, "A", 1, 1, 1328);
    hear(t, "A", 1329, 1, 100);
    talk_end(t);
}

static void no_ipv6_path_is_narrower_than_1280_rfc8201_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.v6 = true});
    app_send(t, 1, 1428);
    hear(t, "A", 1, 1, 1428);
    say_icmp(t, ICMPV6_TOO_BIG, 0, 600, 1);
    hear(t, "A", 1, 1, 1280 - 72);
    talk_end(t);
}

static void a_router_that_tells_no_mtu_is_helped_rfc1191_5(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, MSS);
    hear(t, "A", 1, 1, MSS);
    say_icmp(t, ICMP_UNREACHABLE, 4, 0, 1);
    hear(t, "A", 1, 1, 1492 - 52); /* the next plateau */
    talk_end(t);
}

static void an_absurd_mtu_does_not_crush_segments_rfc1191_3(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, MSS);
    hear(t, "A", 1, 1, MSS);
    say_icmp(t, ICMP_UNREACHABLE, 4, 68, 1);
    hear(t, "A", 1, 1, 500);
    talk_end(t);
}

/* No ICMP makes segments smaller than 552 with their headers: narrower paths may cut them. */
static void what_is_as_small_as_can_be_may_be_fragmented_rfc1191_3(void **state)
{
    struct talk *t = talk_open(NULL);
    struct sim_frame f;
    app_send(t, 1, 500);
    assert_true(sim_take(t->peer, &f));
    assert_int_equal(be16_get(ip4_of(&f)->fragment), IPV4_DF);
    say_icmp(t, ICMP_UNREACHABLE, 4, 296, 1);
    for (unsigned i = 0; i < 2; i++) { /* ids differ, for they are put together by them */
        static uint16_t id;
        pass(t, 1000);
        while (!sim_take(t->peer, &f))
            pass(t, 1000);
        assert_int_equal(be16_get(ip4_of(&f)->length), 552);
        assert_int_equal(be16_get(ip4_of(&f)->fragment), 0);
        assert_true(i == 0 || be16_get(ip4_of(&f)->id) != id);
        id = be16_get(ip4_of(&f)->id);
    }
    forget(t);
    talk_end(t);
}

/* Its neighbour is asked for three times, a second apart. */
static void a_missing_neighbour_ends_an_attempt_3_9_2_2(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    sim_enter_quietly(t->host);
    neighbour_forget(sim_stack(t->host), t->ends.peer);
    sim_leave_quietly(t->host);
    sim_run_for(t->sim, 3900 * LEAT_NS_PER_MS); /* the SYN comes again after a second */
    assert_int_equal(t->closes, 0);
    sim_run_for(t->sim, 200 * LEAT_NS_PER_MS);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_UNREACHABLE);
    talk_end(t);
}

static void an_open_connection_outlives_its_neighbour_3_9_2_2(void **state)
{
    struct talk *t = talk_open(NULL);
    sim_enter_quietly(t->host);
    neighbour_forget(sim_stack(t->host), t->ends.peer);
    sim_leave_quietly(t->host);
    app_send(t, 1, 100);
    sim_run_for(t->sim, 20 * LEAT_NS_PER_S);
    assert_int_equal(t->closes, 0);
    talk_end(t);
}

static void too_big_that_is_not_smaller_changes_nothing_rfc8201_4(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, MSS);
    hear(t, "A", 1, 1, MSS);
    say_icmp(t, ICMP_UNREACHABLE, 4, 1500, 1);
    say_icmp(t, ICMP_UNREACHABLE, 4, 9000, 1);
    quiet(t);
    assert_int_equal(sim_stack(t->host)->tcp->count.icmp_too_big, 0);
    talk_end(t);
}

static void what_is_not_in_flight_is_not_believed_rfc5927_4_1(void **state)
{
    struct talk *t = talk_open(NULL);
    say_icmp(t, ICMP_UNREACHABLE, 4, 600, 1); /* nothing is */
    app_send(t, 1, MSS);
    hear(t, "A", 1, 1, MSS);
    say_icmp(t, ICMP_UNREACHABLE, 4, 600, 0);
    say_icmp(t, ICMP_UNREACHABLE, 4, 600, 1 + MSS);
    say_icmp(t, ICMP_UNREACHABLE, 4, 600, 1000000);
    quiet(t);
    assert_int_equal(dropped(t, STACK_DROP_ICMP_QUOTE), 4);
    assert_int_equal(conn_of(t)->mtu_bytes, 1500);
    talk_end(t);
}

static void the_path_is_remembered_for_ten_minutes_rfc8201_5_3(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, MSS);
    hear(t, "A", 1, 1, MSS);
    say_icmp(t, ICMP_UNREACHABLE, 4, 1000, 1);
    forget(t);
    app_abort(t);
    forget(t);
    for (unsigned i = 0; i < 2; i++) {
        t->peer_port++;
        t->host_iss_known = false;
        say(t, "S", 0, 0, 0);
        hear(t, "SA", 0, 1, 0);
        say(t, "A", 1, 1, 0);
        app_send(t, 1, MSS);
        hear(t, "A", 1, 1, i == 0 ? 948 : MSS);
        forget(t);
        app_abort(t);
        pass(t, 11 * MS_MINUTE);
        forget(t);
        t->closes = 0;
    }
    talk_end(t);
}

/* ---- errors ---- */

static void nobody_on_the_port_refuses_a_connection_1122_4_2_3_9(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    say_icmp(t, ICMP_UNREACHABLE, ICMP_CODE_PORT, 0, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_REFUSED);
    talk_end(t);
}

static void no_route_ends_an_attempt_1122_4_2_3_9(void **state)
{
    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct talk *t = talk_connect(&(struct talk_options){.v6 = v6 != 0});
        hear(t, "S", 0, 0, 0);
        say_icmp(t, v6 ? ICMPV6_UNREACHABLE : ICMP_UNREACHABLE, v6 ? 0 : 1, 0, 0);
        assert_int_equal(t->closes, 1);
        assert_int_equal(t->reason, LEAT_CLOSE_UNREACHABLE);
        talk_end(t);
    }
}

static void an_open_connection_outlives_hard_errors_rfc5927_5_2(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 100);
    hear(t, "A", 1, 1, 100);
    for (uint8_t code = 0; code < 16; code++)
        if (code != 4)
            say_icmp(t, ICMP_UNREACHABLE, code, 0, 1);
    say_icmp(t, ICMP_TIME_EXCEEDED, 0, 0, 1);
    say_icmp(t, ICMP_PARAMETER, 0, 0, 1);
    say(t, "A", 1, 101, 0);
    assert_int_equal(t->closes, 0);
    talk_end(t);
}

static void source_quench_is_ignored_rfc6633(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 100);
    hear(t, "A", 1, 1, 100);
    uint32_t before = conn_of(t)->cwnd;
    say_icmp(t, 4, 0, 0, 1);
    assert_int_equal(conn_of(t)->cwnd, before);
    assert_int_equal(dropped(t, STACK_DROP_ICMP_TYPE), 1);
    talk_end(t);
}

/* The four-tuple of an IPv4 connection, as IPv6 would write it. */
static void icmpv6_cannot_speak_of_ipv4_rfc5927_4(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, MSS);
    hear(t, "A", 1, 1, MSS);
    struct ends v6 = ends_of(t->host, t->peer, true);
    struct ipv6_header quoted = {.version_class_flow = be32_put(UINT32_C(6) << 28),
                                 .length = be16_put(MSS + 32),
                                 .next = IP_TCP,
                                 .hop_limit = 64,
                                 .src = t->ends.host,
                                 .dst = t->ends.peer};
    struct tcp_header h = {.src_port = be16_put(t->host_port),
                           .dst_port = be16_put(t->peer_port),
                           .seq = seq_put((seq32){t->host_iss + 1})};
    struct icmp_header icmp = {.type = ICMPV6_TOO_BIG, .rest = be32_put(1280)};
    uint8_t message[8 + 40 + 20];
    struct frame f;
    memcpy(message, &icmp, 8);
    memcpy(message + 8, &quoted, 40);
    memcpy(message + 48, &h, 20);
    icmp_sum(message, sizeof(message), &v6);
    frame_ip(&f, &v6, IP_ICMPV6, message, sizeof(message));
    sim_transmit(t->peer, f.bytes, f.length);
    pass(t, 1);
    assert_int_equal(conn_of(t)->mtu_bytes, 1500);
    assert_int_equal(dropped(t, STACK_DROP_ICMP_QUOTE), 1);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_big_makes_segments_smaller_rfc1191_6),
        cmocka_unit_test(too_big_over_ipv6_rfc8201_4),
        cmocka_unit_test(no_ipv6_path_is_narrower_than_1280_rfc8201_4),
        cmocka_unit_test(a_router_that_tells_no_mtu_is_helped_rfc1191_5),
        cmocka_unit_test(an_absurd_mtu_does_not_crush_segments_rfc1191_3),
        cmocka_unit_test(what_is_as_small_as_can_be_may_be_fragmented_rfc1191_3),
        cmocka_unit_test(a_missing_neighbour_ends_an_attempt_3_9_2_2),
        cmocka_unit_test(an_open_connection_outlives_its_neighbour_3_9_2_2),
        cmocka_unit_test(too_big_that_is_not_smaller_changes_nothing_rfc8201_4),
        cmocka_unit_test(what_is_not_in_flight_is_not_believed_rfc5927_4_1),
        cmocka_unit_test(the_path_is_remembered_for_ten_minutes_rfc8201_5_3),
        cmocka_unit_test(nobody_on_the_port_refuses_a_connection_1122_4_2_3_9),
        cmocka_unit_test(no_route_ends_an_attempt_1122_4_2_3_9),
        cmocka_unit_test(an_open_connection_outlives_hard_errors_rfc5927_5_2),
        cmocka_unit_test(source_quench_is_ignored_rfc6633),
        cmocka_unit_test(icmpv6_cannot_speak_of_ipv4_rfc5927_4),
    };
    return run_scripts(tests, argc, argv);
}
