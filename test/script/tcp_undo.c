/* Retransmissions that were not needed, and what is done when that turns out: Eifel (RFC 3522,
 * 4015), DSACK (RFC 2883, 3708, 8985 6.2). */
#include "test/script/talk.h"

#define MSS 1448 /* with timestamps */

static uint64_t undone(struct talk *t)
{
    return sim_stack(t->host)->tcp->count.undone;
}

/* Sends count full segments; returns the timestamp they carry. */
static uint32_t send_full(struct talk *t, uint32_t from, uint32_t count, uint32_t mss)
{
    app_send(t, from, count * mss);
    for (uint32_t i = 0; i < count; i++)
        hear(t, "A", from + mss * i, 1, mss);
    return t->last.options.ts_value;
}

/* Six segments, of which the first seems to be lost, and is sent again. */
static uint32_t seem_to_lose_the_first(struct talk *t, uint32_t mss)
{
    uint32_t first = send_full(t, 1, 6, mss);
    const uint32_t edges[] = {1 + mss, 1 + 5 * mss};
    pass(t, 2); /* not so long that the tail is probed */
    say_sack(t, 1, 1, 1, edges);
    hear(t, "A", 1, 1, mss);
    return first;
}

static void a_late_segment_ends_the_recovery_it_caused_rfc3522(void **state)
{
    struct talk *t = talk_open(NULL);
    uint32_t before = conn_of(t)->cwnd, first = seem_to_lose_the_first(t, MSS);
    assert_true(conn_of(t)->work->in_recovery && conn_of(t)->ssthresh < before);
    t->ts_echo = first; /* the ACK of the original */
    say(t, "A", 1, 1 + 5 * MSS, 0);
    assert_int_equal(undone(t), 1);
    assert_false(conn_of(t)->work->in_recovery);
    assert_true(conn_of(t)->cwnd >= before);
    assert_int_equal(conn_of(t)->ssthresh, UINT32_MAX);
    assert_true(conn_of(t)->work->reordering_seen);
    talk_end(t);
}

static void a_loss_that_was_repaired_is_not_undone_rfc3522(void **state)
{
    struct talk *t = talk_open(NULL);
    uint32_t before = conn_of(t)->cwnd;
    (void)seem_to_lose_the_first(t, MSS);
    say(t, "A", 1, 1 + 5 * MSS, 0); /* echoes the retransmission */
    assert_int_equal(undone(t), 0);
    assert_true(conn_of(t)->ssthresh < before);
    talk_end(t);
}

static void a_timeout_that_came_too_early_is_undone_rfc4015(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    uint32_t before = conn_of(t)->cwnd, first = send_full(t, 1, 3, MSS);
    pass(t, 300);
    hear(t, "A", 1, 1, MSS);
    assert_int_equal(conn_of(t)->cwnd, MSS);
    t->ts_echo = first;
    say(t, "A", 1, 1 + MSS, 0);
    assert_int_equal(undone(t), 1);
    assert_true(conn_of(t)->cwnd >= before);
    quiet(t); /* the others are not sent again */
    assert_true(conn_of(t)->srtt_us >= 300000 && conn_of(t)->rto_us >= 900000);
    say(t, "A", 1, 1 + 3 * MSS, 0);
    pass(t, 5000);
    quiet(t);
    talk_end(t);
}

/* The duplicate tells that it was the ACK that was lost: nothing was slow. */
static void a_lost_ack_leaves_the_timeout_as_it_was_rfc4015_3_3(void **state)
{
    struct talk *t = talk_open(NULL);
    uint32_t first = send_full(t, 1, 3, MSS), before = conn_of(t)->rto_us;
    pass(t, 300);
    assert_true(conn_of(t)->work->in_rto_recovery);
    forget(t);
    const uint32_t edges[] = {1, 1 + MSS};
    t->ts_echo = first;
    say_sack(t, 1, 1 + 3 * MSS, 1, edges);
    assert_int_equal(undone(t), 1);
    assert_int_equal(conn_of(t)->rto_us, before);
    talk_end(t);
}

/* Neither is a sample what was sent once and is acknowledged only after something was resent. */
static void what_a_timeout_resent_spoils_the_sample_rfc6298_3(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true, .no_ts = true});
    (void)send_full(t, 1, 3, 1460);
    uint32_t before = conn_of(t)->srtt_us;
    pass(t, 300);
    hear(t, "A", 1, 1, 1460);
    say(t, "A", 1, 1 + 3 * 1460, 0);
    assert_int_equal(conn_of(t)->srtt_us, before);
    talk_end(t);
}

static void a_timeout_that_was_right_is_not_undone_rfc4015(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    (void)send_full(t, 1, 3, MSS);
    pass(t, 300);
    hear(t, "A", 1, 1, MSS);
    say(t, "A", 1, 1 + MSS, 0);
    assert_int_equal(undone(t), 0);
    hear(t, "A", 1 + MSS, 1, MSS);
    talk_end(t);
}

static void without_timestamps_eifel_tells_nothing_rfc3522(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true, .no_ts = true});
    (void)send_full(t, 1, 3, 1460);
    pass(t, 300);
    hear(t, "A", 1, 1, 1460);
    say(t, "A", 1, 1 + 1460, 0);
    assert_int_equal(undone(t), 0);
    talk_end(t);
}

static void a_duplicate_that_is_reported_undoes_the_recovery_rfc3708(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_ts = true});
    uint32_t before = conn_of(t)->cwnd;
    (void)seem_to_lose_the_first(t, 1460);
    say(t, "A", 1, 1 + 5 * 1460, 0);
    assert_int_equal(undone(t), 0);
    const uint32_t twice[] = {1, 1 + 1460};
    say_sack(t, 1, 1 + 5 * 1460, 1, twice);
    assert_int_equal(undone(t), 1);
    assert_true(conn_of(t)->cwnd >= before);
    talk_end(t);
}

static void every_retransmission_must_be_reported_rfc3708(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_ts = true});
    (void)send_full(t, 1, 6, 1460);
    const uint32_t edges[] = {1 + 2 * 1460, 1 + 5 * 1460};
    say_sack(t, 1, 1, 1, edges);
    hear(t, "A", 1, 1, 1460);
    hear(t, "A", 1461, 1, 1460);
    say(t, "A", 1, 1 + 5 * 1460, 0);
    const uint32_t one[] = {1, 1461}, other[] = {1461, 2921};
    say_sack(t, 1, 1 + 5 * 1460, 1, one);
    assert_int_equal(undone(t), 0);
    say_sack(t, 1, 1 + 5 * 1460, 1, other);
    assert_int_equal(undone(t), 1);
    talk_end(t);
}

static void a_duplicate_of_something_else_undoes_nothing_rfc3708(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_ts = true});
    (void)send_full(t, 1, 1, 1460);
    say(t, "A", 1, 1461, 0);
    (void)send_full(t, 1461, 6, 1460);
    const uint32_t edges[] = {1461 + 1460, 1461 + 5 * 1460}, older[] = {1, 1461};
    say_sack(t, 1, 1461, 1, edges);
    hear(t, "A", 1461, 1, 1460);
    say(t, "A", 1, 1461 + 5 * 1460, 0);
    say_sack(t, 1, 1461 + 5 * 1460, 1, older);
    assert_int_equal(undone(t), 0);
    talk_end(t);
}

static void a_round_trip_after_the_recovery_it_is_too_late_rfc3708(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_ts = true});
    (void)seem_to_lose_the_first(t, 1460);
    say(t, "A", 1, 1 + 6 * 1460, 0);
    uint32_t at = 1 + 6 * 1460;
    (void)send_full(t, at, 3, 1460);
    say(t, "A", 1, at + 1460, 0); /* sent after the recovery, and acknowledged */
    const uint32_t twice[] = {1, 1461};
    say_sack(t, 1, at + 1460, 1, twice);
    assert_int_equal(undone(t), 0);
    talk_end(t);
}

static void a_mark_of_the_network_is_not_undone_rfc4015_3_2(void **state)
{
    struct talk *t = talk_listen(&(struct talk_options){.no_ts = true});
    say(t, "SEC", 0, 0, 0);
    hear(t, "SAE", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    (void)seem_to_lose_the_first(t, 1460);
    say(t, "A", 1, 1 + 6 * 1460, 0);
    app_send(t, 1 + 6 * 1460, 3 * 1460);
    hear(t, "AC", 1 + 6 * 1460, 1, 1460);
    forget(t);
    say(t, "AE", 1, 1 + 7 * 1460, 0);
    const uint32_t twice[] = {1, 1461};
    say_sack(t, 1, 1 + 7 * 1460, 1, twice);
    assert_int_equal(undone(t), 0);
    talk_end(t);
}

/* ---- the window for reordering ---- */

static void a_reported_duplicate_widens_the_reordering_window_rfc8985_6_2(void **state)
{
    struct talk *t = talk_open(NULL);
    (void)send_full(t, 1, 4, MSS);
    const uint32_t twice[] = {1, 1 + MSS};
    say_sack(t, 1, 1 + MSS, 1, twice);
    assert_int_equal(conn_of(t)->work->reo_mult, 2);
    say_sack(t, 1, 1 + 2 * MSS, 1, twice); /* in the same round trip: once */
    assert_int_equal(conn_of(t)->work->reo_mult, 2);
    (void)send_full(t, 1 + 4 * MSS, 2, MSS);
    say_sack(t, 1, 1 + 5 * MSS, 1, twice);
    assert_int_equal(conn_of(t)->work->reo_mult, 3);
    talk_end(t);
}

static void after_reordering_was_seen_a_gap_waits_rfc8985_6_2(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 10);
    hear(t, "A", 1, 1, 10);
    pass(t, 40);
    say(t, "A", 1, 11, 0);       /* a round trip of 40 ms, so a window of 10 */
    conn_of(t)->srtt_us = 40000; /* so that the tail is not probed before */
    app_send(t, 11, 6 * MSS);
    for (uint32_t i = 0; i < 6; i++)
        hear(t, "A", 11 + MSS * i, 1, MSS);
    conn_of(t)->work->reordering_seen = true;
    conn_of(t)->work->min_rtt_us = 40000;
    pass(t, 36);
    const uint32_t edges[] = {11 + MSS, 11 + 5 * MSS};
    say_sack(t, 1, 11, 1, edges);
    quiet(t);
    pass(t, 6);
    quiet(t);
    pass(t, 8);
    hear(t, "A", 11, 1, MSS);
    talk_end(t);
}

static void every_kind_of_gap_waits_no_longer_than_a_round_trip_rfc8985_6_2(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 10);
    hear(t, "A", 1, 1, 10);
    pass(t, 40);
    say(t, "A", 1, 11, 0);
    conn_of(t)->srtt_us = 40000; /* so that the tail is not probed before */
    app_send(t, 11, 6 * MSS);
    for (uint32_t i = 0; i < 6; i++)
        hear(t, "A", 11 + MSS * i, 1, MSS);
    conn_of(t)->work->reordering_seen = true;
    conn_of(t)->work->reo_mult = 16;
    pass(t, 36);
    const uint32_t edges[] = {11 + MSS, 11 + 5 * MSS};
    say_sack(t, 1, 11, 1, edges);
    quiet(t);
    pass(t, 60);
    hear(t, "A", 11, 1, MSS);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_segment_ends_the_recovery_it_caused_rfc3522),
        cmocka_unit_test(a_loss_that_was_repaired_is_not_undone_rfc3522),
        cmocka_unit_test(a_timeout_that_came_too_early_is_undone_rfc4015),
        cmocka_unit_test(a_lost_ack_leaves_the_timeout_as_it_was_rfc4015_3_3),
        cmocka_unit_test(what_a_timeout_resent_spoils_the_sample_rfc6298_3),
        cmocka_unit_test(a_timeout_that_was_right_is_not_undone_rfc4015),
        cmocka_unit_test(without_timestamps_eifel_tells_nothing_rfc3522),
        cmocka_unit_test(a_duplicate_that_is_reported_undoes_the_recovery_rfc3708),
        cmocka_unit_test(every_retransmission_must_be_reported_rfc3708),
        cmocka_unit_test(a_duplicate_of_something_else_undoes_nothing_rfc3708),
        cmocka_unit_test(a_round_trip_after_the_recovery_it_is_too_late_rfc3708),
        cmocka_unit_test(a_mark_of_the_network_is_not_undone_rfc4015_3_2),
        cmocka_unit_test(a_reported_duplicate_widens_the_reordering_window_rfc8985_6_2),
        cmocka_unit_test(after_reordering_was_seen_a_gap_waits_rfc8985_6_2),
        cmocka_unit_test(every_kind_of_gap_waits_no_longer_than_a_round_trip_rfc8985_6_2),
    };
    return run_scripts(tests, argc, argv);
}
