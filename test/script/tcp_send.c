/* What is sent and when: segment sizes, windows, Nagle, retransmission (RFC 6298), probes. */
#include "test/script/talk.h"

static void segments_are_of_the_peers_mss_3_7_1(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.mss = 500, .no_ts = true});
    app_send(t, 1, 1200);
    hear(t, "A", 1, 1, 500);
    hear(t, "A", 501, 1, 500);
    hear(t, "A", 1001, 1, 200);
    quiet(t);
    talk_end(t);
}

static void without_an_mss_option_536_3_7_1(void **state)
{
    struct talk *t = talk_listen(&(struct talk_options){.no_ts = true});
    say_raw(t, "S", 0, 0, (const uint8_t *)"", 0);
    struct heard *x = hear(t, "SA", 0, 1, 0);
    assert_false(x->options.has_ts || x->options.sack_ok || x->options.has_scale);
    say(t, "A", 1, 1, 0);
    app_send(t, 1, 600);
    hear(t, "A", 1, 1, 536);
    hear(t, "A", 537, 1, 64);
    talk_end(t);
}

static void the_initial_window_is_ten_segments_rfc6928(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 40000);
    for (uint32_t i = 0; i < 10; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    quiet(t);
    talk_end(t);
}

static void nothing_is_sent_beyond_the_peers_window_3_8_6(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_scale = true, .window = 3000});
    t->window = 3000;
    app_send(t, 1, 10000);
    hear(t, "A", 1, 1, 1448);
    hear(t, "A", 1449, 1, 1448);
    quiet(t);
    t->window = 4000;
    say(t, "A", 1, 2897, 0);
    hear(t, "A", 2897, 1, 1448);
    hear(t, "A", 4345, 1, 1448);
    talk_end(t);
}

static void nagle_waits_for_the_ack_3_7_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.nagle = true});
    app_send(t, 1, 10);
    hear(t, "A", 1, 1, 10);
    app_send(t, 11, 10);
    app_send(t, 21, 10);
    quiet(t);
    say(t, "A", 1, 11, 0);
    hear(t, "A", 11, 1, 20);
    talk_end(t);
}

static void nagle_may_be_switched_while_it_is_open_c31(void **state)
{
    struct talk *t = talk_open(NULL);
    sim_enter(t->host);
    assert_int_equal(leat_conn_set_nagle(t->conn, true), 0);
    sim_leave(t->host);
    app_send(t, 1, 100);
    hear(t, "A", 1, 1, 100);
    app_send(t, 101, 100);
    quiet(t);
    sim_enter(t->host);
    assert_int_equal(leat_conn_set_nagle(t->conn, false), 0);
    sim_leave(t->host);
    pass(t, 1);
    hear(t, "A", 101, 1, 100); /* it waits for nothing any more */
    talk_end(t);
}

static void keepalive_may_be_switched_while_it_is_open_c31(void **state)
{
    struct talk *t = talk_open(NULL);
    pass(t, 20000);
    sim_enter(t->host);
    assert_int_equal(leat_conn_set_keepalive(t->conn, 30 * LEAT_NS_PER_S), 0);
    sim_leave(t->host);
    pass(t, 9000);
    quiet(t);
    pass(t, 1100);
    hear(t, "A", 0, 1, 0); /* idle for 30 s, the 20 before count */
    sim_enter(t->host);
    assert_int_equal(leat_conn_set_keepalive(t->conn, 0), 0);
    sim_leave(t->host);
    pass(t, 100000);
    quiet(t);
    assert_int_equal(t->closes, 0);
    talk_end(t);
}

/* What is tried again already is waited for from when it was sent. */
static void a_user_timeout_may_be_set_while_it_is_open_c31(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 100);
    pass(t, 5000);
    sim_enter(t->host);
    assert_int_equal(leat_conn_set_user_timeout(t->conn, 8 * LEAT_NS_PER_S), 0);
    sim_leave(t->host);
    pass(t, 2900);
    assert_int_equal(t->closes, 0);
    pass(t, 200);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_PEER_GONE);
    talk_end(t);
}

static void without_nagle_small_segments_go_at_once_3_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 10);
    hear(t, "A", 1, 1, 10);
    app_send(t, 11, 10);
    hear(t, "A", 11, 1, 10);
    talk_end(t);
}

/* Bug 12 */
static void an_ack_inside_a_segment_counts_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 1000);
    hear(t, "A", 1, 1, 1000);
    say(t, "A", 1, 501, 0);
    pass(t, 3000);
    hear(t, "A", 501, 1, 500);
    talk_end(t);
}

static void what_is_acknowledged_leaves_no_timer_rfc6298_5_2(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 10);
    hear(t, "A", 1, 1, 10);
    assert_true(leat_timer_is_started(&conn_of(t)->work->timer));
    say(t, "A", 1, 11, 0);
    quiet(t);
    assert_null(conn_of(t)->work); /* the timer lies in it */
    app_send(t, 11, 10);
    hear(t, "A", 11, 1, 10);
    pass(t, 300);
    hear(t, "A", 11, 1, 10);
    talk_end(t);
}

static void an_unanswered_segment_comes_again_rfc6298_5(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    app_send(t, 1, 100);
    uint64_t first = hear(t, "A", 1, 1, 100)->at_ns;
    pass(t, 300);
    uint64_t second = hear(t, "A", 1, 1, 100)->at_ns;
    assert_true(second - first >= 200 * LEAT_NS_PER_MS);
    pass(t, 500);
    uint64_t third = hear(t, "A", 1, 1, 100)->at_ns;
    assert_true(third - second >= 2 * (second - first) - LEAT_NS_PER_MS);
    say(t, "A", 1, 101, 0);
    pass(t, 5000);
    quiet(t);
    talk_end(t);
}

/* Bug 11 */
static void a_partial_ack_keeps_the_timer_rfc6298_5_3(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    app_send(t, 1, 2896);
    hear(t, "A", 1, 1, 1448);
    hear(t, "A", 1449, 1, 1448);
    say(t, "A", 1, 1449, 0);
    pass(t, 400);
    hear(t, "A", 1449, 1, 1448);
    talk_end(t);
}

static void a_peer_that_never_answers_is_given_up_3_8_3(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 100);
    pass(t, 1000000);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_PEER_GONE);
    talk_end(t);
}

/* ---- the user timeout: C27 of net/api/conn.h ---- */

#define WAITS(s) (&(struct talk_options){.conn.user_timeout_ns = (s)*LEAT_NS_PER_S})

static void what_is_not_acknowledged_ends_it_in_time_3_8_3(void **state)
{
    struct talk *t = talk_open(WAITS(10));
    pass(t, 30000); /* nothing is outstanding */
    app_send(t, 1, 100);
    pass(t, 9900);
    assert_int_equal(t->closes, 0);
    pass(t, 200);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_PEER_GONE);
    talk_end(t);
}

static void a_long_user_timeout_outlasts_the_tries_3_8_3(void **state)
{
    struct talk *t = talk_open(WAITS(20000));
    app_send(t, 1, 100);
    pass(t, 19990000);
    assert_int_equal(t->closes, 0);
    forget(t);
    say(t, "A", 1, 101, 0);
    app_send(t, 101, 100);
    hear(t, "A", 101, 1, 100);
    pass(t, 19990000);
    assert_int_equal(t->closes, 0);
    pass(t, 20000);
    assert_int_equal(t->reason, LEAT_CLOSE_PEER_GONE);
    talk_end(t);
}

static void each_byte_that_gets_through_begins_the_user_timeout_anew_3_8_3(void **state)
{
    struct talk *t = talk_open(WAITS(10));
    app_send(t, 1, 2896);
    pass(t, 8000);
    forget(t);
    say(t, "A", 1, 1449, 0);
    pass(t, 9000);
    assert_int_equal(t->closes, 0);
    pass(t, 2000);
    assert_int_equal(t->closes, 1);
    talk_end(t);
}

static void the_user_timeout_lets_one_retransmission_timeout_pass_rfc5482_3_1(void **state)
{
    struct talk *t = talk_open(WAITS(1));
    conn_of(t)->rto_us = 3000000;
    conn_of(t)->srtt_us = 2000000; /* the tail is not probed before */
    app_send(t, 1, 100);
    pass(t, 2900);
    assert_int_equal(t->closes, 0);
    pass(t, 200);
    assert_int_equal(t->closes, 1);
    talk_end(t);
}

static void a_window_closed_for_the_user_timeout_ends_it_rfc6429_4(void **state)
{
    struct talk *t = talk_open(WAITS(10));
    t->window = 0;
    say(t, "A", 1, 1, 0);
    pass(t, 20000);
    app_send(t, 1, 100);
    for (unsigned i = 0; i < 99; i++) { /* however the peer answers */
        forget(t);
        say(t, "A", 1, 1, 0);
        pass(t, 99);
    }
    assert_int_equal(t->closes, 0);
    forget(t);
    pass(t, 200);
    hear(t, "RA", 1, 1, 0);
    assert_int_equal(t->reason, LEAT_CLOSE_PEER_GONE);
    talk_end(t);
}

static void a_window_that_opens_in_time_ends_the_user_timeout_3_8_6_1(void **state)
{
    struct talk *t = talk_open(WAITS(10));
    for (unsigned i = 0; i < 4; i++) {
        t->window = 0;
        say(t, "A", 1, 1 + 100 * i, 0);
        app_send(t, 1 + 100 * i, 100);
        pass(t, 8000);
        forget(t);
        t->window = 1000;
        say(t, "A", 1, 1 + 100 * i, 0);
        hear(t, "A", 1 + 100 * i, 1, 100);
    }
    say(t, "A", 1, 401, 0);
    pass(t, 20000);
    assert_int_equal(t->closes, 0);
    talk_end(t);
}

/* Alive for as long as the user timeout says, be it longer or shorter than five probes. */
static void keepalive_probes_last_the_user_timeout_rfc5482_4_2(void **state)
{
    static const unsigned waits_s[] = {3, 25, 120};
    for (unsigned i = 0; i < 3; i++) {
        struct talk *t = talk_open(
            &(struct talk_options){.conn = {.keepalive_ns = 30 * LEAT_NS_PER_S,
                                            .user_timeout_ns = waits_s[i] * LEAT_NS_PER_S}});
        pass(t, 30000 + 1000 * waits_s[i] - 100);
        assert_int_equal(t->closes, 0);
        for (unsigned k = 0; k < (waits_s[i] + 9) / 10; k++)
            hear(t, "A", 0, 1, 0);
        quiet(t);
        pass(t, 200);
        assert_int_equal(t->closes, 1);
        assert_int_equal(t->reason, LEAT_CLOSE_PEER_GONE);
        talk_end(t);
    }
}

/* Bug 6 */
static void a_closed_window_is_probed_3_8_6_1(void **state)
{
    struct talk *t = talk_open(NULL);
    t->window = 0;
    say(t, "A", 1, 1, 0);
    app_send(t, 1, 100);
    quiet(t);
    pass(t, 350);
    hear(t, "A", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    pass(t, 900);
    hear(t, "A", 0, 1, 0);
    t->window = 1000;
    say(t, "A", 1, 1, 0);
    hear(t, "A", 1, 1, 100);
    talk_end(t);
}

static void an_old_segment_does_not_move_the_window_3_10_7_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_ts = true});
    say(t, "A", 1, 1, 100);
    say(t, "A", 101, 1, 100);
    t->window = 1;
    say(t, "A", 1, 1, 50); /* older than what came: SND.WL1 */
    assert_int_equal(conn_of(t)->snd_wnd, 65535 << 7);
    talk_end(t);
}

/* Found by seed 149: a retransmission, too old to change the window, moved snd_una and with it the
 * edge. */
static void the_windows_edge_stays_when_an_old_segment_acknowledges_3_10_7_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_scale = true, .window = 5000});
    t->window = 5000;
    say(t, "A", 1, 1, 100);
    say(t, "A", 101, 1, 0);
    app_send(t, 1, 10000);
    for (uint32_t i = 0; i < 3; i++)
        hear(t, "A", 1 + 1448 * i, 101, 1448);
    quiet(t);
    t->window = 656;
    say(t, "A", 1, 4345, 100);
    hear(t, "A", 4345, 101, 0);
    quiet(t);
    talk_end(t);
}

/* Found by seed 1010447: text that was sent before a retransmission and came after it brought a
 * window that began at its old ACK. */
static void an_ack_before_snd_una_does_not_change_the_window_3_10_7_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_scale = true, .window = 5000});
    t->window = 5000;
    say(t, "A", 1, 1, 100);
    app_send(t, 1, 10000);
    for (uint32_t i = 0; i < 3; i++)
        hear(t, "A", 1 + 1448 * i, 101, 1448);
    t->window = 656;
    say(t, "A", 101, 4345, 0);
    assert_int_equal(conn_of(t)->snd_wnd, 656);
    t->window = 5000;
    say(t, "A", 201, 1, 100);
    assert_int_equal(conn_of(t)->snd_wnd, 656);
    hear(t, "A", 4345, 101, 0);
    quiet(t);
    talk_end(t);
}

static void psh_is_on_what_ends_the_queue_3_9_1_2(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 2000);
    assert_false(hear(t, "A", 1, 1, 1448)->flags & TCP_PSH);
    hear(t, "PA", 1449, 1, 552);
    talk_end(t);
}

static void a_small_window_is_used_after_a_while_3_8_6_2_1(void **state)
{
    struct talk *t = talk_open(NULL);
    t->window = 1; /* 128 bytes, of a peer that once had much more */
    say(t, "A", 1, 1, 0);
    app_send(t, 1, 1000);
    quiet(t);
    pass(t, 400);
    hear(t, "A", 1, 1, 128);
    talk_end(t);
}

static void an_idle_connection_is_probed_3_8_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.keepalive_ns = 30 * LEAT_NS_PER_S});
    pass(t, 29000);
    quiet(t);
    pass(t, 1100);
    hear(t, "A", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    pass(t, 29000);
    quiet(t);
    pass(t, 1500);
    hear(t, "A", 0, 1, 0);
    talk_end(t);
}

static void a_peer_that_answers_no_probe_is_gone_3_8_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.keepalive_ns = 30 * LEAT_NS_PER_S});
    pass(t, 31000);
    for (unsigned i = 0; i < TCP_KEEPALIVE_PROBES; i++) {
        hear(t, "A", 0, 1, 0);
        assert_int_equal(t->closes, 0);
        pass(t, 10000);
    }
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_PEER_GONE);
    talk_end(t);
}

static void what_was_sent_twice_measures_no_round_trip_rfc6298_3(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true, .no_ts = true});
    app_send(t, 1, 100);
    hear(t, "A", 1, 1, 100);
    uint32_t before = conn_of(t)->srtt_us;
    pass(t, 300);
    hear(t, "A", 1, 1, 100);
    pass(t, 80);
    say(t, "A", 1, 101, 0);
    assert_int_equal(conn_of(t)->srtt_us, before);
    talk_end(t);
}

static void the_timeout_follows_the_round_trip_rfc6298_2(void **state)
{
    struct talk *t = talk_open(NULL);
    for (uint32_t i = 0; i < 30; i++) {
        app_send(t, 1 + 100 * i, 100);
        pass(t, 98);
        say(t, "A", 1, 101 + 100 * i, 0);
    }
    assert_in_range(conn_of(t)->srtt_us, 90000, 110000);
    assert_in_range(conn_of(t)->rto_us, 200000, 400000); /* not below the floor */
    forget(t);
    talk_end(t);
}

/* Of many equal round trips the variance is nothing, and one ACK may come late all the same. */
static void a_steady_round_trip_leaves_a_margin_rfc6298_2_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    for (uint32_t i = 0; i < 60; i++) {
        app_send(t, 1 + i * 100, 100);
        hear(t, "A", 1 + i * 100, 1, 100);
        pass(t, 189);
        say(t, "A", 1, 1 + (i + 1) * 100, 0);
    }
    assert_true(4 * conn_of(t)->rttvar_us < 20000);
    app_send(t, 6001, 100);
    hear(t, "A", 6001, 1, 100);
    pass(t, 230);
    quiet(t);
    say(t, "A", 1, 6101, 0);
    assert_int_equal(sim_stack(t->host)->tcp->count.rtos, 0);
    talk_end(t);
}

static void the_timeout_doubles_up_to_a_minute_rfc6298_5_5(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    app_send(t, 1, 100);
    uint64_t last = hear(t, "A", 1, 1, 100)->at_ns, gap = 0;
    pass(t, 250000);
    for (unsigned i = 0; i < 10; i++) {
        uint64_t at = hear(t, "A", 1, 1, 100)->at_ns;
        uint64_t least = 2 * gap < 60 * LEAT_NS_PER_S ? 2 * gap : 60 * LEAT_NS_PER_S;
        assert_in_range(at - last + LEAT_NS_PER_MS, least, 60 * LEAT_NS_PER_S + 2 * LEAT_NS_PER_MS);
        gap = at - last;
        last = at;
    }
    talk_end(t);
}

static void a_new_window_is_used_at_once_3_8_6(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_scale = true, .window = 2000});
    t->window = 2000;
    app_send(t, 1, 5000);
    hear(t, "A", 1, 1, 1448);
    quiet(t); /* 552 bytes of room are no segment yet */
    t->window = 5000;
    say(t, "A", 1, 1, 0);
    hear(t, "A", 1449, 1, 1448);
    hear(t, "A", 2897, 1, 1448);
    hear(t, "A", 4345, 1, 656);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_of_the_peers_mss_3_7_1),
        cmocka_unit_test(without_an_mss_option_536_3_7_1),
        cmocka_unit_test(the_initial_window_is_ten_segments_rfc6928),
        cmocka_unit_test(nothing_is_sent_beyond_the_peers_window_3_8_6),
        cmocka_unit_test(nagle_waits_for_the_ack_3_7_4),
        cmocka_unit_test(nagle_may_be_switched_while_it_is_open_c31),
        cmocka_unit_test(keepalive_may_be_switched_while_it_is_open_c31),
        cmocka_unit_test(a_user_timeout_may_be_set_while_it_is_open_c31),
        cmocka_unit_test(without_nagle_small_segments_go_at_once_3_7_4),
        cmocka_unit_test(an_ack_inside_a_segment_counts_3_10_7_4),
        cmocka_unit_test(what_is_acknowledged_leaves_no_timer_rfc6298_5_2),
        cmocka_unit_test(an_unanswered_segment_comes_again_rfc6298_5),
        cmocka_unit_test(a_partial_ack_keeps_the_timer_rfc6298_5_3),
        cmocka_unit_test(a_peer_that_never_answers_is_given_up_3_8_3),
        cmocka_unit_test(what_is_not_acknowledged_ends_it_in_time_3_8_3),
        cmocka_unit_test(a_long_user_timeout_outlasts_the_tries_3_8_3),
        cmocka_unit_test(each_byte_that_gets_through_begins_the_user_timeout_anew_3_8_3),
        cmocka_unit_test(the_user_timeout_lets_one_retransmission_timeout_pass_rfc5482_3_1),
        cmocka_unit_test(a_window_closed_for_the_user_timeout_ends_it_rfc6429_4),
        cmocka_unit_test(a_window_that_opens_in_time_ends_the_user_timeout_3_8_6_1),
        cmocka_unit_test(keepalive_probes_last_the_user_timeout_rfc5482_4_2),
        cmocka_unit_test(a_closed_window_is_probed_3_8_6_1),
        cmocka_unit_test(an_old_segment_does_not_move_the_window_3_10_7_4),
        cmocka_unit_test(the_windows_edge_stays_when_an_old_segment_acknowledges_3_10_7_4),
        cmocka_unit_test(an_ack_before_snd_una_does_not_change_the_window_3_10_7_4),
        cmocka_unit_test(psh_is_on_what_ends_the_queue_3_9_1_2),
        cmocka_unit_test(a_small_window_is_used_after_a_while_3_8_6_2_1),
        cmocka_unit_test(an_idle_connection_is_probed_3_8_4),
        cmocka_unit_test(a_peer_that_answers_no_probe_is_gone_3_8_4),
        cmocka_unit_test(what_was_sent_twice_measures_no_round_trip_rfc6298_3),
        cmocka_unit_test(the_timeout_follows_the_round_trip_rfc6298_2),
        cmocka_unit_test(a_steady_round_trip_leaves_a_margin_rfc6298_2_4),
        cmocka_unit_test(the_timeout_doubles_up_to_a_minute_rfc6298_5_5),
        cmocka_unit_test(a_new_window_is_used_at_once_3_8_6),
    };
    return run_scripts(tests, argc, argv);
}
