/* RFC 9293: segment text, windows, acknowledgements, retransmission; SACK, RACK, timestamps. */
#include "test/script/talk.h"

/* ---- receiving ---- */

static void data_in_order_and_a_delayed_ack_3_8_6_3(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "PA", 1, 1, 100);
    assert_int_equal(t->received, 100);
    quiet(t);
    pass(t, 45);
    hear(t, "A", 1, 101, 0);
    talk_end(t);
}

static void every_second_full_segment_is_acknowledged_at_once_3_8_6_3(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 1, 1, 1448);
    quiet(t);
    say(t, "A", 1449, 1, 1448);
    hear(t, "A", 1, 2897, 0);
    talk_end(t);
}

static void the_ack_rides_on_an_answer(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "PA", 1, 1, 100);
    app_send(t, 1, 20);
    hear(t, "A", 1, 101, 20);
    pass(t, 45);
    quiet(t);
    talk_end(t);
}

static void data_before_its_turn_waits_and_is_sacked_rfc2018_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 101, 1, 100);
    struct heard *x = hear(t, "A", 1, 1, 0);
    assert_int_equal(x->options.sack_count, 1);
    assert_int_equal(x->options.sack[0][0].n - t->peer_iss, 101);
    assert_int_equal(x->options.sack[0][1].n - t->peer_iss, 201);
    say(t, "A", 401, 1, 100);
    x = hear(t, "A", 1, 1, 0);
    assert_int_equal(x->options.sack_count, 2);
    assert_int_equal(x->options.sack[0][0].n - t->peer_iss, 401); /* the newest first */
    assert_int_equal(t->received, 0);
    say(t, "A", 1, 1, 100);
    x = hear(t, "A", 1, 201, 0);
    assert_int_equal(x->options.sack_count, 1);
    assert_int_equal(t->received, 200);
    say(t, "A", 201, 1, 200);
    x = hear(t, "A", 1, 501, 0);
    assert_int_equal(x->options.sack_count, 0);
    assert_int_equal(t->received, 500);
    talk_end(t);
}

static void data_that_came_before_is_told_of_rfc2883(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 1, 1, 100);
    say(t, "A", 1, 1, 100);
    struct heard *x = hear(t, "A", 1, 101, 0);
    assert_int_equal(x->options.sack_count, 1);
    assert_int_equal(x->options.sack[0][0].n - t->peer_iss, 1);
    assert_int_equal(x->options.sack[0][1].n - t->peer_iss, 101);
    assert_int_equal(t->received, 100);
    talk_end(t);
}

/* Bug 10 */
static void an_overlapping_retransmission_gives_its_new_part(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 1, 1, 100);
    say(t, "A", 51, 1, 100);
    assert_int_equal(t->received, 150);
    say(t, "A", 301, 1, 100);
    say(t, "A", 251, 1, 100); /* overlaps what waits */
    say(t, "A", 351, 1, 100);
    say(t, "A", 151, 1, 100);
    assert_int_equal(t->received, 450);
    talk_end(t);
}

/* Bug 8 */
static void a_fin_before_its_data_waits(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "FA", 101, 1, 50);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->ends_seen, 0);
    say(t, "A", 1, 1, 100);
    hear(t, "A", 1, 152, 0);
    assert_int_equal(t->received, 150);
    assert_int_equal(t->ends_seen, 1);
    talk_end(t);
}

static void a_bare_fin_before_its_data_waits(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "FA", 101, 1, 0);
    assert_int_equal(t->ends_seen, 0);
    say(t, "A", 1, 1, 100);
    assert_int_equal(t->received, 100);
    assert_int_equal(t->ends_seen, 1);
    talk_end(t);
}

static void data_beyond_the_fin_is_dropped(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "FA", 1, 1, 10);
    say(t, "A", 12, 1, 10);
    assert_int_equal(t->received, 10);
    assert_int_equal(dropped(t, STACK_DROP_TCP_AFTER_FIN), 1);
    talk_end(t);
}

/* Bug 9 */
static void a_fin_that_the_window_cuts_off_is_not_taken(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.receive_bytes_max = 1000});
    say(t, "FA", 1, 1, 1100);
    assert_int_equal(t->received, 1000);
    assert_int_equal(t->ends_seen, 0);
    say(t, "FA", 1001, 1, 100);
    assert_int_equal(t->received, 1100);
    assert_int_equal(t->ends_seen, 1);
    talk_end(t);
}

static void data_beyond_the_window_is_dropped_and_answered_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 5000000, 1, 100);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(dropped(t, STACK_DROP_TCP_WINDOW), 1);
    talk_end(t);
}

/* Bug 7 */
static void a_paused_reader_closes_the_window_and_reopens_it(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.receive_bytes_max = 4000});
    app_pause(t, true);
    say(t, "A", 1, 1, 1448);
    say(t, "A", 1449, 1, 1448);
    hear(t, "A", 1, 2897, 0);
    say(t, "PA", 2897, 1, 1104);
    pass(t, 50);
    struct heard *x = hear(t, "A", 1, 4001, 0);
    assert_int_equal(x->window, 0);
    assert_int_equal(t->received, 0);
    say(t, "A", 4001, 1, 1); /* bug 6: the probe is answered and not taken */
    x = hear(t, "A", 1, 4001, 0);
    assert_int_equal(x->window, 0);
    app_pause(t, false);
    assert_int_equal(t->received, 4000);
    x = hear(t, "A", 1, 4001, 0);
    assert_int_equal(x->window, 4000);
    talk_end(t);
}

/* Bug 5 */
static void acks_count_while_our_window_is_closed(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.receive_bytes_max = 1000});
    app_pause(t, true);
    say(t, "A", 1, 1, 1000);
    app_send(t, 1, 100);
    hear(t, "A", 1, 1001, 100);
    say(t, "A", 1001, 101, 0);
    assert_int_equal(conn_of(t)->snd_una.n, t->host_iss + 101);
    say(t, "A", 1001, 101, 50); /* with data that has no room */
    app_send(t, 101, 100);
    forget(t);
    say(t, "A", 1001, 201, 50);
    assert_int_equal(conn_of(t)->snd_una.n, t->host_iss + 201);
    talk_end(t);
}

/* Bug 18 */
static void one_byte_segments_out_of_order_cost_little(void **state)
{
    struct talk *t = talk_open(NULL);
    for (uint32_t i = 0; i < 1000; i++)
        say(t, "A", 3 + 2 * i, 1, 1);
    assert_int_equal(conn_of(t)->work->ooo_count, TCP_OOO_RANGES_MAX);
    assert_int_equal(dropped(t, STACK_DROP_TCP_OOO_LIMIT), 1000 - TCP_OOO_RANGES_MAX);
    for (uint32_t i = 0; i < 4000; i++)
        say(t, "A", 10000 - i, 1, 1);
    forget(t);
    talk_end(t);
}

static void contiguous_small_segments_are_gathered(void **state)
{
    struct talk *t = talk_open(NULL);
    for (uint32_t i = 0; i < 1000; i++)
        say(t, "A", 11 + i, 1, 1);
    assert_int_equal(conn_of(t)->work->ooo_count, 1);
    say(t, "A", 1, 1, 10);
    assert_int_equal(t->received, 1010);
    talk_end(t);
}

/* ---- sending ---- */

static void segments_are_of_the_peers_mss(void **state)
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

static void without_nagle_small_segments_go_at_once(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 10);
    hear(t, "A", 1, 1, 10);
    app_send(t, 11, 10);
    hear(t, "A", 11, 1, 10);
    talk_end(t);
}

/* Bug 12 */
static void an_ack_inside_a_segment_counts(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 1000);
    hear(t, "A", 1, 1, 1000);
    say(t, "A", 1, 501, 0);
    pass(t, 3000);
    hear(t, "A", 501, 1, 500);
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

static void a_peer_that_never_answers_is_given_up(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 100);
    pass(t, 1000000);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_PEER_GONE);
    talk_end(t);
}

static void three_duplicates_resend_without_sack_rfc6582(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    app_send(t, 1, 5 * 1448);
    for (uint32_t i = 0; i < 5; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    say(t, "A", 1, 1, 0);
    say(t, "A", 1, 1, 0);
    quiet(t);
    say(t, "A", 1, 1, 0);
    hear(t, "A", 1, 1, 1448);
    say(t, "A", 1, 1449, 0); /* a partial ACK: the next hole */
    hear(t, "A", 1449, 1, 1448);
    say(t, "A", 1, 1 + 5 * 1448, 0);
    pass(t, 5000);
    quiet(t);
    talk_end(t);
}

static void sack_resends_the_hole_only_rfc8985(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 6 * 1448);
    for (uint32_t i = 0; i < 6; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    const uint32_t edges[] = {1449, 1 + 5 * 1448};
    say_sack(t, 1, 1, 1, edges);
    hear(t, "A", 1, 1, 1448);
    quiet(t);
    say(t, "A", 1, 1 + 6 * 1448, 0);
    pass(t, 5000);
    quiet(t);
    talk_end(t);
}

static void a_lost_tail_is_probed_rfc8985_7(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 3 * 1448);
    for (uint32_t i = 0; i < 3; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    say(t, "A", 1, 1449, 0);
    pass(t, 100);
    hear(t, "A", 1 + 2 * 1448, 1, 1448); /* the last one, well before the timeout */
    talk_end(t);
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

/* ---- timestamps ---- */

static void an_old_timestamp_is_dropped_rfc7323_5(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 1, 1, 10);
    t->ts_value -= 50;
    say(t, "A", 11, 1, 10);
    assert_int_equal(t->received, 10);
    assert_int_equal(dropped(t, STACK_DROP_TCP_PAWS), 1);
    t->ts_value += 50;
    say(t, "A", 11, 1, 10);
    assert_int_equal(t->received, 20);
    talk_end(t);
}

static void a_segment_without_the_agreed_timestamp_is_dropped_rfc7323_3_2(void **state)
{
    struct talk *t = talk_open(NULL);
    say_raw(t, "A", 1, 1, (const uint8_t *)"", 0);
    assert_int_equal(dropped(t, STACK_DROP_TCP_NO_TIMESTAMP), 1);
    talk_end(t);
}

static void the_timestamp_comes_back_rfc7323_4(void **state)
{
    struct talk *t = talk_open(NULL);
    uint32_t sent = t->ts_value;
    say(t, "A", 1, 1, 10);
    pass(t, 45);
    assert_int_equal(hear(t, "A", 1, 11, 0)->options.ts_echo, sent);
    talk_end(t);
}

/* ---- malformed: bugs 1 and 2 ---- */

static void options_of_every_kind_and_length_do_no_harm(void **state)
{
    struct talk *t = talk_open(NULL);
    uint8_t options[40];
    for (unsigned kind = 0; kind < 256; kind++) {
        for (unsigned length = 0; length < 44; length++) {
            memset(options, (int)kind, sizeof(options));
            options[1] = (uint8_t)length;
            say_raw(t, "A", 1, 1, options, 4 * (1 + length % 10));
        }
    }
    forget(t);
    assert_true(dropped(t, STACK_DROP_TCP_OPTIONS) > 0);
    assert_int_equal(t->closes, 0);
    app_send(t, 1, 10);
    talk_end(t);
}

static void a_data_offset_beyond_the_segment_is_dropped(void **state)
{
    struct talk *t = talk_open(NULL);
    for (t->offset_bias = 1; t->offset_bias < 8; t->offset_bias++)
        say(t, "A", 1, 1, 0);
    t->offset_bias = 16 - 8; /* less than a header */
    say(t, "A", 1, 1, 0);
    quiet(t);
    assert_int_equal(dropped(t, STACK_DROP_TCP_SHORT), 8);
    talk_end(t);
}

static void an_option_of_length_zero_is_dropped(void **state)
{
    struct talk *t = talk_listen(NULL);
    say_raw(t, "S", 0, 0, (const uint8_t[]){2, 0, 1, 1}, 4);
    quiet(t);
    assert_int_equal(dropped(t, STACK_DROP_TCP_OPTIONS), 1);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_in_order_and_a_delayed_ack_3_8_6_3),
        cmocka_unit_test(every_second_full_segment_is_acknowledged_at_once_3_8_6_3),
        cmocka_unit_test(the_ack_rides_on_an_answer),
        cmocka_unit_test(data_before_its_turn_waits_and_is_sacked_rfc2018_4),
        cmocka_unit_test(data_that_came_before_is_told_of_rfc2883),
        cmocka_unit_test(an_overlapping_retransmission_gives_its_new_part),
        cmocka_unit_test(a_fin_before_its_data_waits),
        cmocka_unit_test(a_bare_fin_before_its_data_waits),
        cmocka_unit_test(data_beyond_the_fin_is_dropped),
        cmocka_unit_test(a_fin_that_the_window_cuts_off_is_not_taken),
        cmocka_unit_test(data_beyond_the_window_is_dropped_and_answered_3_10_7_4),
        cmocka_unit_test(a_paused_reader_closes_the_window_and_reopens_it),
        cmocka_unit_test(acks_count_while_our_window_is_closed),
        cmocka_unit_test(one_byte_segments_out_of_order_cost_little),
        cmocka_unit_test(contiguous_small_segments_are_gathered),
        cmocka_unit_test(segments_are_of_the_peers_mss),
        cmocka_unit_test(without_an_mss_option_536_3_7_1),
        cmocka_unit_test(the_initial_window_is_ten_segments_rfc6928),
        cmocka_unit_test(nothing_is_sent_beyond_the_peers_window_3_8_6),
        cmocka_unit_test(nagle_waits_for_the_ack_3_7_4),
        cmocka_unit_test(without_nagle_small_segments_go_at_once),
        cmocka_unit_test(an_ack_inside_a_segment_counts),
        cmocka_unit_test(an_unanswered_segment_comes_again_rfc6298_5),
        cmocka_unit_test(a_partial_ack_keeps_the_timer_rfc6298_5_3),
        cmocka_unit_test(a_peer_that_never_answers_is_given_up),
        cmocka_unit_test(three_duplicates_resend_without_sack_rfc6582),
        cmocka_unit_test(sack_resends_the_hole_only_rfc8985),
        cmocka_unit_test(a_lost_tail_is_probed_rfc8985_7),
        cmocka_unit_test(a_closed_window_is_probed_3_8_6_1),
        cmocka_unit_test(an_old_segment_does_not_move_the_window_3_10_7_4),
        cmocka_unit_test(the_windows_edge_stays_when_an_old_segment_acknowledges_3_10_7_4),
        cmocka_unit_test(an_old_timestamp_is_dropped_rfc7323_5),
        cmocka_unit_test(a_segment_without_the_agreed_timestamp_is_dropped_rfc7323_3_2),
        cmocka_unit_test(the_timestamp_comes_back_rfc7323_4),
        cmocka_unit_test(options_of_every_kind_and_length_do_no_harm),
        cmocka_unit_test(a_data_offset_beyond_the_segment_is_dropped),
        cmocka_unit_test(an_option_of_length_zero_is_dropped),
    };
    return run_scripts(tests, argc, argv);
}
