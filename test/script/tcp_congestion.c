/* How much may be in flight: the initial window (RFC 6928), growth (RFC 9438, 5681), idleness,
 * limited transmit (RFC 3042), proportional rate reduction (RFC 6937), and what a congestion
 * controller is told and may ask for: the delivery rate, and pacing. */
#include "test/script/talk.h"

#define MSS 1448

static void send_full(struct talk *t, uint32_t from, uint32_t count)
{
    app_send(t, from, count * MSS);
    for (uint32_t i = 0; i < count; i++)
        hear(t, "A", from + MSS * i, 1, MSS);
}

static void slow_start_doubles_the_window_rfc5681_3_1(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 40 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        hear(t, "A", 1 + MSS * i, 1, MSS);
    quiet(t);
    uint32_t before = conn_of(t)->cwnd;
    for (uint32_t i = 1; i <= 10; i++)
        say(t, "A", 1, 1 + i * MSS, 0);
    assert_int_equal(conn_of(t)->cwnd, before + 10 * MSS);
    for (uint32_t i = 10; i < 30; i++)
        hear(t, "A", 1 + MSS * i, 1, MSS);
    quiet(t);
    talk_end(t);
}

static void one_ack_of_much_opens_by_eight_segments_rfc9406_4_2(void **state)
{
    struct talk *t = talk_open(NULL);
    send_full(t, 1, 10);
    uint32_t before = conn_of(t)->cwnd;
    say(t, "A", 1, 1 + 10 * MSS, 0);
    assert_int_equal(conn_of(t)->cwnd, before + 8 * MSS);
    talk_end(t);
}

/* Eight samples of a round that are all later than those of the last: a queue builds up. */
static void a_longer_round_trip_slows_slow_start_down_rfc9406_4_2(void **state)
{
    struct talk *t = talk_open(NULL);
    conn_of(t)->srtt_us = 40000; /* so that the tail is not probed before */
    app_send(t, 1, 60 * MSS);
    pass(t, 9);
    for (uint32_t i = 1; i <= 10; i++)
        say(t, "A", 1, 1 + i * MSS, 0);
    pass(t, 25);
    for (uint32_t i = 11; i < 18; i++)
        say(t, "A", 1, 1 + i * MSS, 0);
    uint32_t before = conn_of(t)->cwnd;
    say(t, "A", 1, 1 + 18 * MSS, 0);
    assert_true(conn_of(t)->work->rare.cubic.in_css);
    assert_int_equal(conn_of(t)->cwnd, before + MSS);
    say(t, "A", 1, 1 + 19 * MSS, 0);
    assert_int_equal(conn_of(t)->cwnd, before + MSS + MSS / 4);
    talk_end(t);
}

static void a_window_that_is_not_used_does_not_grow_rfc9438_5_8(void **state)
{
    struct talk *t = talk_open(NULL);
    uint32_t before = conn_of(t)->cwnd;
    for (uint32_t i = 0; i < 20; i++) {
        app_send(t, 1 + 100 * i, 100);
        hear(t, "A", 1 + 100 * i, 1, 100);
        say(t, "A", 1, 101 + 100 * i, 0);
    }
    assert_int_equal(conn_of(t)->cwnd, before);
    talk_end(t);
}

static void after_idleness_the_window_is_small_again_rfc5681_4_1(void **state)
{
    struct talk *t = talk_open(NULL);
    send_full(t, 1, 10);
    say(t, "A", 1, 1 + 10 * MSS, 0);
    uint32_t grown = conn_of(t)->cwnd;
    pass(t, 3000);
    app_send(t, 1 + 10 * MSS, 30 * MSS);
    assert_true(conn_of(t)->cwnd < grown);
    for (uint32_t i = 10; i < 20; i++)
        hear(t, "A", 1 + MSS * i, 1, MSS);
    quiet(t);
    talk_end(t);
}

static void after_a_timeout_the_window_is_one_segment_rfc5681_3_1(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    send_full(t, 1, 4);
    pass(t, 300);
    hear(t, "A", 1, 1, MSS);
    quiet(t);
    assert_int_equal(conn_of(t)->cwnd, MSS);
    assert_true(conn_of(t)->ssthresh >= 2 * MSS);
    say(t, "A", 1, 1 + MSS, 0); /* slow start: two for one */
    hear(t, "A", 1 + MSS, 1, MSS);
    hear(t, "A", 1 + 2 * MSS, 1, MSS);
    quiet(t);
    talk_end(t);
}

static void two_duplicates_send_new_segments_rfc3042(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    app_send(t, 1, 20 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        hear(t, "A", 1 + MSS * i, 1, MSS);
    quiet(t);
    say(t, "A", 1, 1, 0);
    hear(t, "A", 1 + 10 * MSS, 1, MSS);
    quiet(t);
    say(t, "A", 1, 1, 0);
    hear(t, "A", 1 + 11 * MSS, 1, MSS);
    quiet(t);
    say(t, "A", 1, 1, 0); /* the third: fast retransmit */
    hear(t, "A", 1, 1, MSS);
    talk_end(t);
}

static void sacked_segments_make_room_for_new_ones_rfc3042(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 20 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        hear(t, "A", 1 + MSS * i, 1, MSS);
    const uint32_t edges[] = {1 + MSS, 1 + 2 * MSS};
    say_sack(t, 1, 1, 1, edges);
    hear(t, "A", 1 + 10 * MSS, 1, MSS);
    hear(t, "A", 1, 1, MSS); /* only then is the gap a loss */
    talk_end(t);
}

static void recovery_sends_less_than_it_is_told_of_rfc6937_3(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 30 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        hear(t, "A", 1 + MSS * i, 1, MSS);
    uint32_t sent = 0;
    for (uint32_t i = 2; i <= 9; i++) { /* one more sacked at a time */
        const uint32_t edges[] = {1 + MSS, 1 + i * MSS};
        say_sack(t, 1, 1, 1, edges);
    }
    struct sim_frame f;
    while (sim_take(t->peer, &f))
        sent++;
    /* one retransmission, and for eight segments delivered about seven tenths of eight */
    assert_true(sent >= 4 && sent <= 8);
    assert_true(tcp_pipe(conn_of(t)) <= conn_of(t)->ssthresh + MSS);
    talk_end(t);
}

/* What the timer finds lost leaves the pipe, and no ACK has made room for it. */
static void the_reordering_timer_sends_by_the_new_window_rfc6937_3(void **state)
{
    struct talk *t = talk_open(NULL);
    conn_of(t)->cwnd = 40 * MSS;
    conn_of(t)->srtt_us = 40000; /* so that the tail is not probed before */
    send_full(t, 1, 40);
    pass(t, 4);
    struct tcp_work *w = conn_of(t)->work;
    w->reordering_seen = true; /* so that a gap of many segments waits, too */
    w->min_rtt_us = 20000;
    const uint32_t edges[] = {1 + 39 * MSS, 1 + 40 * MSS};
    say_sack(t, 1, 1, 1, edges);
    quiet(t);
    assert_int_equal(w->xmit_timer, XMIT_REORDER);
    pass(t, 3);
    assert_true(w->in_recovery);
    assert_int_equal(w->lost_bytes, 39 * MSS);
    hear(t, "A", 1, 1, MSS); /* for the one that was sacked, and to begin with */
    hear(t, "A", 1 + MSS, 1, MSS);
    quiet(t);
    say(t, "A", 1, 1 + MSS, 0); /* it arrived and nothing more is lost: two go, RFC 9937 6 */
    hear(t, "A", 1 + 2 * MSS, 1, MSS);
    hear(t, "A", 1 + 3 * MSS, 1, MSS);
    quiet(t);
    talk_end(t);
}

/* An ACK that tells of nothing gives no room. */
static void a_duplicate_without_news_sends_nothing_rfc9937_6(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 30 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        hear(t, "A", 1 + MSS * i, 1, MSS);
    const uint32_t edges[] = {1 + 7 * MSS, 1 + 10 * MSS};
    say_sack(t, 1, 1, 1, edges);
    for (uint32_t i = 0; i < 3; i++)
        hear(t, "A", 1 + MSS * i, 1, MSS);
    quiet(t);
    for (uint32_t i = 0; i < 5; i++)
        say_sack(t, 1, 1, 1, edges);
    quiet(t);
    talk_end(t);
}

/* The burst's ACKs count each by itself, also where what was sent again is lost again. */
static void recovery_answers_each_ack_of_a_burst_rfc6937_3(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 30 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        hear(t, "A", 1 + MSS * i, 1, MSS);
    const uint32_t last[] = {1 + 7 * MSS, 1 + 10 * MSS};
    const uint32_t third[] = {1 + 2 * MSS, 1 + 3 * MSS, 1 + 7 * MSS, 1 + 10 * MSS};
    const uint32_t fourth[] = {1 + 2 * MSS, 1 + 4 * MSS, 1 + 7 * MSS, 1 + 10 * MSS};
    say_sack(t, 1, 1, 1, last);
    for (uint32_t i = 0; i < 3; i++) /* three were delivered */
        hear(t, "A", 1 + MSS * i, 1, MSS);
    quiet(t);
    t->holds = true;
    say_sack(t, 1, 1, 2, third);
    say_sack(t, 1, 1, 2, fourth);
    pass(t, 1);
    hear(t, "A", 1, 1, MSS);
    hear(t, "A", 1 + MSS, 1, MSS);
    quiet(t);
    talk_end(t);
}

/* It is the window that is reduced, not what the losses have left of it. */
static void many_losses_are_one_reduction_rfc9438_4_6(void **state)
{
    struct talk *t = talk_open(NULL);
    send_full(t, 1, 10);
    const uint32_t edges[] = {1 + 3 * MSS, 1 + 6 * MSS};
    say_sack(t, 1, 1, 1, edges); /* three are lost, three delivered, four on the way */
    assert_int_equal(conn_of(t)->ssthresh, 7 * MSS);
    pass(t, 300); /* what was sent again is lost, too: the same window once more */
    assert_true(conn_of(t)->work->in_rto_recovery);
    assert_int_equal(conn_of(t)->ssthresh, 7 * MSS);
    talk_end(t);
}

static void a_loss_takes_three_tenths_of_the_window_rfc9438_4_6(void **state)
{
    struct talk *t = talk_open(NULL);
    send_full(t, 1, 10);
    uint32_t before = conn_of(t)->cwnd;
    const uint32_t edges[] = {1 + MSS, 1 + 10 * MSS};
    say_sack(t, 1, 1, 1, edges);
    hear(t, "A", 1, 1, MSS);
    say(t, "A", 1, 1 + 10 * MSS, 0);
    assert_int_equal(conn_of(t)->cwnd, conn_of(t)->ssthresh);
    assert_true(conn_of(t)->ssthresh <= before * 7 / 10 + MSS);
    assert_true(conn_of(t)->ssthresh >= 2 * MSS);
    talk_end(t);
}

/* ---- what a controller is told, and may ask for ---- */

static void the_delivery_rate_is_what_came_in_a_round_trip(void **state)
{
    struct talk *t = talk_open(NULL);
    send_full(t, 1, 10);
    pass(t, 18);
    say(t, "A", 1, 1 + 8 * MSS, 0); /* eight in 20 ms */
    const struct tcp_work *w = conn_of(t)->work;
    assert_int_equal(w->rate_bytes, 8 * MSS);
    assert_in_range(w->rate_ns, 18 * LEAT_NS_PER_MS, 21 * LEAT_NS_PER_MS);
    pass(t, 9);
    say(t, "A", 1, 1 + 9 * MSS, 0); /* nine in 30: no more was sent meanwhile */
    assert_int_equal(w->rate_bytes, 9 * MSS);
    assert_in_range(w->rate_ns, 28 * LEAT_NS_PER_MS, 31 * LEAT_NS_PER_MS);
    talk_end(t);
}

static void a_rate_with_nothing_more_to_send_is_the_applications(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 100);
    hear(t, "A", 1, 1, 100);
    assert_true(conn_of(t)->work->app_limited_end != 0);
    app_send(t, 101, 20 * MSS); /* more than the window: now it is the path's */
    forget(t);
    assert_true(conn_of(t)->work->sent_last->flags & SENT_APP_LIMITED);
    say(t, "A", 1, 101 + 9 * MSS, 0);
    say(t, "A", 1, 101 + 10 * MSS, 0);
    assert_false(conn_of(t)->work->sent_last->flags & SENT_APP_LIMITED);
    talk_end(t);
}

static void paced_segments_keep_their_distance(void **state)
{
    struct talk *t = talk_open(NULL);
    conn_of(t)->srtt_us = 40000; /* so that the tail is not probed meanwhile */
    app_send(t, 1, 10);
    hear(t, "A", 1, 1, 10);
    conn_of(t)->work->pace_ns_per_kib = (uint32_t)(5 * LEAT_NS_PER_MS * 1024 / MSS);
    app_send(t, 11, 3 * MSS);
    uint64_t first = hear(t, "A", 11, 1, MSS)->at_ns;
    quiet(t);
    pass(t, 12);
    uint64_t second = hear(t, "A", 11 + MSS, 1, MSS)->at_ns;
    uint64_t third = hear(t, "A", 11 + 2 * MSS, 1, MSS)->at_ns;
    assert_in_range(second - first, 5 * LEAT_NS_PER_MS - 1000, 6 * LEAT_NS_PER_MS);
    assert_in_range(third - second, 5 * LEAT_NS_PER_MS - 1000, 6 * LEAT_NS_PER_MS);
    quiet(t);
    say(t, "A", 1, 11 + 3 * MSS, 0);
    talk_end(t);
}

static void retransmissions_are_not_paced(void **state)
{
    struct talk *t = talk_open(NULL);
    send_full(t, 1, 6);
    conn_of(t)->work->pace_ns_per_kib = 1u << 30;
    conn_of(t)->work->rare.pace_next_ns = sim_now(t->sim) + LEAT_NS_PER_S;
    const uint32_t edges[] = {1 + MSS, 1 + 6 * MSS};
    say_sack(t, 1, 1, 1, edges);
    hear(t, "A", 1, 1, MSS);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_start_doubles_the_window_rfc5681_3_1),
        cmocka_unit_test(one_ack_of_much_opens_by_eight_segments_rfc9406_4_2),
        cmocka_unit_test(a_longer_round_trip_slows_slow_start_down_rfc9406_4_2),
        cmocka_unit_test(a_window_that_is_not_used_does_not_grow_rfc9438_5_8),
        cmocka_unit_test(after_idleness_the_window_is_small_again_rfc5681_4_1),
        cmocka_unit_test(after_a_timeout_the_window_is_one_segment_rfc5681_3_1),
        cmocka_unit_test(two_duplicates_send_new_segments_rfc3042),
        cmocka_unit_test(sacked_segments_make_room_for_new_ones_rfc3042),
        cmocka_unit_test(recovery_sends_less_than_it_is_told_of_rfc6937_3),
        cmocka_unit_test(recovery_answers_each_ack_of_a_burst_rfc6937_3),
        cmocka_unit_test(the_reordering_timer_sends_by_the_new_window_rfc6937_3),
        cmocka_unit_test(a_duplicate_without_news_sends_nothing_rfc9937_6),
        cmocka_unit_test(many_losses_are_one_reduction_rfc9438_4_6),
        cmocka_unit_test(a_loss_takes_three_tenths_of_the_window_rfc9438_4_6),
        cmocka_unit_test(the_delivery_rate_is_what_came_in_a_round_trip),
        cmocka_unit_test(a_rate_with_nothing_more_to_send_is_the_applications),
        cmocka_unit_test(paced_segments_keep_their_distance),
        cmocka_unit_test(retransmissions_are_not_paced),
    };
    return run_scripts(tests, argc, argv);
}
