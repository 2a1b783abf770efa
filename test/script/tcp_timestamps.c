/* Timestamps and PAWS: RFC 7323. */
#include "test/script/talk.h"

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

/* A path that takes the option away does not make the peer mute for ever. */
static void three_segments_without_the_timestamp_are_dropped_rfc7323_3_2(void **state)
{
    struct talk *t = talk_open(NULL);
    t->uses_ts = false;
    for (unsigned i = 0; i < 3; i++) {
        say(t, "PA", 1, 1, 50);
        quiet(t);
    }
    assert_int_equal(dropped(t, STACK_DROP_TCP_NO_TIMESTAMP), 3);
    say(t, "PA", 1, 1, 50);
    assert_int_equal(t->received, 50);
    app_send(t, 1, 100);
    hear(t, "A", 1, 51, 100);
    say(t, "A", 51, 101, 0);
    assert_int_equal(conn_of(t)->snd_una.n, conn_of(t)->snd_nxt.n);
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

/* ---- beyond the twenty: found while they were written ---- */

/* RFC 7323 5.3, R2 before R3: who does not know the window cannot move the clock of PAWS. */
static void a_stranger_cannot_move_the_timestamp_rfc7323_5_3(void **state)
{
    static const char *const flags[] = {"A", "PA", "S", "FA"};
    struct talk *t = talk_open(NULL);
    say(t, "A", 1, 1, 100);
    forget(t);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t honest = t->ts_value;
        t->ts_value += UINT32_C(1) << 30;
        say(t, flags[i], UINT32_C(0) - 1000000, 1, i == 0 ? 0 : 10);
        t->ts_value += 1000;
        say(t, flags[i], 2000000000, 1, i == 0 ? 0 : 10);
        t->ts_value = honest + 10;
        forget(t);
        say(t, "A", 101 + 10 * i, 1, 10);
        assert_int_equal(t->received, 110 + 10 * i);
    }
    talk_end(t);
}

static void the_echo_is_of_the_latest_syn_rfc7323_4_3(void **state)
{
    struct talk *t = talk_listen(NULL);
    uint32_t first = t->ts_value;
    say(t, "S", 0, 0, 0);
    assert_int_equal(hear(t, "SA", 0, 1, 0)->options.ts_echo, first);
    uint32_t second = t->ts_value = first + 500;
    say(t, "S", 0, 0, 0);
    assert_int_equal(hear(t, "SA", 0, 1, 0)->options.ts_echo, second);
    t->ts_value = first + 100; /* it was overtaken */
    say(t, "S", 0, 0, 0);
    assert_int_equal(hear(t, "SA", 0, 1, 0)->options.ts_echo, second);
    pass(t, 1000);
    assert_int_equal(hear(t, "SA", 0, 1, 0)->options.ts_echo, second);
    talk_end(t);
}

static void the_echo_is_of_the_oldest_unacknowledged_segment_rfc7323_4_3(void **state)
{
    struct talk *t = talk_open(NULL);
    uint32_t first = t->ts_value;
    say(t, "A", 1, 1, 10);
    say(t, "A", 11, 1, 10);
    say(t, "A", 21, 1, 10);
    pass(t, 45);
    assert_int_equal(hear(t, "A", 1, 31, 0)->options.ts_echo, first);
    uint32_t next = t->ts_value;
    say(t, "A", 31, 1, 10);
    pass(t, 45);
    assert_int_equal(hear(t, "A", 1, 41, 0)->options.ts_echo, next);
    talk_end(t);
}

static void behind_a_hole_the_echo_is_of_what_was_in_order_rfc7323_4_3(void **state)
{
    struct talk *t = talk_open(NULL);
    uint32_t before = t->ts_value;
    say(t, "A", 1, 1, 100);
    pass(t, 45);
    assert_int_equal(hear(t, "A", 1, 101, 0)->options.ts_echo, before);
    say(t, "A", 201, 1, 100);
    assert_int_equal(hear(t, "A", 1, 101, 0)->options.ts_echo, before);
    uint32_t filling = t->ts_value;
    say(t, "A", 101, 1, 100);
    assert_int_equal(hear(t, "A", 1, 301, 0)->options.ts_echo, filling);
    talk_end(t);
}

static void a_reset_needs_no_timestamp_rfc7323_3_2(void **state)
{
    struct talk *t = talk_open(NULL);
    say_raw(t, "R", 1, 0, (const uint8_t *)"", 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_RESET);
    talk_end(t);
}

static void after_24_days_no_timestamp_is_old_rfc7323_5_5(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 1, 1, 10);
    pass(t, UINT64_C(25) * 24 * 3600 * 1000);
    t->ts_value -= 1000;
    say(t, "A", 11, 1, 10);
    assert_int_equal(t->received, 20);
    forget(t);
    talk_end(t);
}

static void timestamps_that_were_not_agreed_are_ignored_rfc7323_3_2(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_ts = true});
    uint8_t options[TCP_TS_BYTES];
    tcp_write_ts(options, 0, 0);
    say_raw(t, "A", 1, 1, options, sizeof(options));
    say(t, "A", 1, 1, 10);
    assert_int_equal(t->received, 10);
    pass(t, 45);
    assert_false(hear(t, "A", 1, 11, 0)->options.has_ts);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_timestamp_is_dropped_rfc7323_5),
        cmocka_unit_test(a_segment_without_the_agreed_timestamp_is_dropped_rfc7323_3_2),
        cmocka_unit_test(three_segments_without_the_timestamp_are_dropped_rfc7323_3_2),
        cmocka_unit_test(the_timestamp_comes_back_rfc7323_4),
        cmocka_unit_test(a_stranger_cannot_move_the_timestamp_rfc7323_5_3),
        cmocka_unit_test(the_echo_is_of_the_latest_syn_rfc7323_4_3),
        cmocka_unit_test(the_echo_is_of_the_oldest_unacknowledged_segment_rfc7323_4_3),
        cmocka_unit_test(behind_a_hole_the_echo_is_of_what_was_in_order_rfc7323_4_3),
        cmocka_unit_test(a_reset_needs_no_timestamp_rfc7323_3_2),
        cmocka_unit_test(after_24_days_no_timestamp_is_old_rfc7323_5_5),
        cmocka_unit_test(timestamps_that_were_not_agreed_are_ignored_rfc7323_3_2),
    };
    return run_scripts(tests, argc, argv);
}
