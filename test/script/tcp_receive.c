/* Segment text, its order, its acknowledgement, and the window: RFC 9293 3.8, 3.10.7.4. */
#include "test/script/talk.h"

/* ---- receiving ---- */

static void data_in_order_and_a_delayed_ack_3_8_6_3(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "PA", 1, 1, 100);
    assert_int_equal(t->received, 100);
    pass(t, 8);
    quiet(t);
    pass(t, 2);
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

static void the_ack_rides_on_an_answer_3_8_6_3(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "PA", 1, 1, 100);
    app_send(t, 1, 20);
    hear(t, "A", 1, 101, 20);
    pass(t, 45);
    quiet(t);
    talk_end(t);
}

/* Bug 10 */
static void an_overlapping_retransmission_gives_its_new_part_3_10_7_4(void **state)
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
static void a_fin_before_its_data_waits_3_10_7_4(void **state)
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

static void a_bare_fin_before_its_data_waits_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "FA", 101, 1, 0);
    assert_int_equal(t->ends_seen, 0);
    say(t, "A", 1, 1, 100);
    assert_int_equal(t->received, 100);
    assert_int_equal(t->ends_seen, 1);
    talk_end(t);
}

static void data_beyond_the_fin_is_dropped_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "FA", 1, 1, 10);
    say(t, "A", 12, 1, 10);
    assert_int_equal(t->received, 10);
    assert_int_equal(dropped(t, STACK_DROP_TCP_AFTER_FIN), 1);
    talk_end(t);
}

/* Bug 9 */
static void a_fin_that_the_window_cuts_off_is_not_taken_3_10_7_4(void **state)
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
static void a_paused_reader_closes_the_window_and_reopens_it_3_8_6(void **state)
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
static void acks_count_while_our_window_is_closed_3_10_7_4(void **state)
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
static void one_byte_segments_out_of_order_cost_little_c14(void **state)
{
    struct talk *t = talk_open(NULL);
    for (uint32_t i = 0; i < 1000; i++)
        say(t, "A", 3 + 2 * i, 1, 1);
    assert_int_equal(conn_of(t)->work->rare.ooo_count, TCP_OOO_RANGES_MAX);
    assert_int_equal(dropped(t, STACK_DROP_TCP_OOO_LIMIT), 1000 - TCP_OOO_RANGES_MAX);
    for (uint32_t i = 0; i < 4000; i++)
        say(t, "A", 10000 - i, 1, 1);
    forget(t);
    talk_end(t);
}

static void contiguous_small_segments_are_gathered_c12(void **state)
{
    struct talk *t = talk_open(NULL);
    for (uint32_t i = 0; i < 1000; i++)
        say(t, "A", 11 + i, 1, 1);
    assert_int_equal(conn_of(t)->work->rare.ooo_count, 1);
    say(t, "A", 1, 1, 10);
    assert_int_equal(t->received, 1010);
    talk_end(t);
}

/* ---- bug 10 ---- */

static void text_that_reaches_into_what_waits_is_not_given_twice_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 101, 1, 100); /* waits */
    say(t, "A", 301, 1, 100);
    say(t, "A", 1, 1, 150); /* its first half once more */
    assert_int_equal(t->received, 200);
    say(t, "A", 201, 1, 300); /* all of the second, and more */
    assert_int_equal(t->received, 500);
    forget(t);
    talk_end(t);
}

static void a_recent_segment_still_acknowledges_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 1, 1, 100);
    app_send(t, 1, 50);
    hear(t, "A", 1, 101, 50);
    say(t, "A", 1, 51, 100); /* all of it came before; what it acknowledges did not */
    struct heard *x = hear(t, "A", 51, 101, 0);
    assert_int_equal(x->options.sack_count, 1);
    assert_int_equal(conn_of(t)->snd_una.n, t->host_iss + 51);
    talk_end(t);
}

static void an_older_segment_is_acknowledged_and_dropped_3_10_7_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.receive_bytes_max = 2000});
    for (uint32_t i = 0; i < 5; i++)
        say(t, "A", 1 + 1000 * i, 1, 1000);
    app_send(t, 1, 50);
    forget(t);
    say(t, "A", 1, 51, 100); /* older than any window we promised: who may that be? */
    struct heard *x = hear(t, "A", 51, 5001, 0);
    assert_int_equal(x->options.sack_count, 0);
    assert_int_equal(conn_of(t)->snd_una.n, t->host_iss + 1);
    talk_end(t);
}

static void a_keepalive_probe_is_answered_3_8_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 0, 1, 0);
    hear(t, "A", 1, 1, 0);
    say(t, "A", 0, 1, 1); /* some send a byte that was acknowledged */
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->received, 0);
    talk_end(t);
}

static void urgent_data_is_inline_rfc6093(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "UPA", 1, 1, 100);
    say(t, "UA", 101, 1, 0);
    say(t, "A", 101, 1, 100);
    assert_int_equal(t->received, 200);
    talk_end(t);
}

static void the_window_does_not_open_by_small_steps_3_8_6_2_2(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.receive_bytes_max = 8000});
    app_pause(t, true);
    say(t, "A", 1, 1, 1448);
    say(t, "A", 1449, 1, 1448);
    hear(t, "A", 1, 2897, 0);
    say(t, "A", 2897, 1, 1448);
    say(t, "A", 4345, 1, 1448);
    hear(t, "A", 1, 5793, 0);
    say(t, "A", 5793, 1, 1448);
    say(t, "A", 7241, 1, 760);
    pass(t, 50);
    assert_int_equal(hear(t, "A", 1, 8001, 0)->window, 0);
    app_pause(t, false);
    assert_int_equal(hear(t, "A", 1, 8001, 0)->window, 8000); /* all at once */
    quiet(t);
    talk_end(t);
}

static void the_edge_of_the_window_never_moves_back_3_8_6(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.receive_bytes_max = 10000});
    app_pause(t, true);
    uint32_t edge = 0;
    for (uint32_t at = 1; at <= 9001; at += 500) {
        say(t, "A", at, 1, 500);
        pass(t, 50);
        struct heard *x = hear(t, "A", 1, at + 500, 0);
        assert_true(x->ack.n + x->window >= edge);
        edge = x->ack.n + x->window;
    }
    talk_end(t);
}

static void text_that_the_window_cuts_comes_again_3_10_7_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.conn.receive_bytes_max = 1000});
    say(t, "A", 1, 1, 1400);
    hear(t, "A", 1, 1001, 0);
    assert_int_equal(t->received, 1000);
    say(t, "A", 1001, 1, 400);
    assert_int_equal(t->received, 1400);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_in_order_and_a_delayed_ack_3_8_6_3),
        cmocka_unit_test(every_second_full_segment_is_acknowledged_at_once_3_8_6_3),
        cmocka_unit_test(the_ack_rides_on_an_answer_3_8_6_3),
        cmocka_unit_test(an_overlapping_retransmission_gives_its_new_part_3_10_7_4),
        cmocka_unit_test(a_fin_before_its_data_waits_3_10_7_4),
        cmocka_unit_test(a_bare_fin_before_its_data_waits_3_10_7_4),
        cmocka_unit_test(data_beyond_the_fin_is_dropped_3_10_7_4),
        cmocka_unit_test(a_fin_that_the_window_cuts_off_is_not_taken_3_10_7_4),
        cmocka_unit_test(data_beyond_the_window_is_dropped_and_answered_3_10_7_4),
        cmocka_unit_test(a_paused_reader_closes_the_window_and_reopens_it_3_8_6),
        cmocka_unit_test(acks_count_while_our_window_is_closed_3_10_7_4),
        cmocka_unit_test(one_byte_segments_out_of_order_cost_little_c14),
        cmocka_unit_test(contiguous_small_segments_are_gathered_c12),
        cmocka_unit_test(text_that_reaches_into_what_waits_is_not_given_twice_3_10_7_4),
        cmocka_unit_test(a_recent_segment_still_acknowledges_3_10_7_4),
        cmocka_unit_test(an_older_segment_is_acknowledged_and_dropped_3_10_7_4),
        cmocka_unit_test(a_keepalive_probe_is_answered_3_8_4),
        cmocka_unit_test(urgent_data_is_inline_rfc6093),
        cmocka_unit_test(the_window_does_not_open_by_small_steps_3_8_6_2_2),
        cmocka_unit_test(the_edge_of_the_window_never_moves_back_3_8_6),
        cmocka_unit_test(text_that_the_window_cuts_comes_again_3_10_7_4),
    };
    return run_scripts(tests, argc, argv);
}
