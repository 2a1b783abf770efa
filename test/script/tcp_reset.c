/* RST, SYN and ACK that do not belong: RFC 9293 3.10.7.4, RFC 5961. */
#include "test/script/talk.h"

static void rst_at_the_edge_resets_rfc5961_3(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "R", 1, 0, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_RESET);
    quiet(t);
    talk_end(t);
}

/* Bug 16 */
static void rst_in_the_window_is_challenged_rfc5961_3(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "R", 2, 0, 0);
    hear(t, "A", 1, 1, 0);
    say(t, "R", 60000, 0, 0);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->closes, 0);
    talk_end(t);
}

static void rst_outside_the_window_is_dropped_rfc5961_3(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "R", 10000000, 0, 0);
    say(t, "R", 0, 0, 0);
    quiet(t);
    assert_int_equal(t->closes, 0);
    talk_end(t);
}

static void syn_on_a_connection_is_challenged_rfc5961_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "S", 0, 0, 0);
    hear(t, "A", 1, 1, 0);
    say(t, "S", 500, 0, 0);
    hear(t, "A", 1, 1, 0);
    say(t, "S", 50000000, 0, 0);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->closes, 0);
    talk_end(t);
}

static void challenges_are_limited_rfc5961_7(void **state)
{
    struct talk *t = talk_open(NULL);
    for (unsigned i = 0; i < 50; i++)
        say(t, "S", 0, 0, 0);
    for (unsigned i = 0; i < 10; i++)
        hear(t, "A", 1, 1, 0);
    quiet(t);
    talk_end(t);
}

static void an_ack_of_the_unsent_is_challenged_rfc5961_5(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "PA", 1, 1000, 10);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->received, 0);
    assert_int_equal(dropped(t, STACK_DROP_TCP_ACK_RANGE), 1);
    talk_end(t);
}

static void a_segment_without_ack_is_dropped_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "P", 1, 0, 10);
    quiet(t);
    assert_int_equal(t->received, 0);
    assert_int_equal(dropped(t, STACK_DROP_TCP_FLAGS), 1);
    talk_end(t);
}

static void abort_sends_rst_3_10_5(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 10);
    hear(t, "A", 1, 1, 10);
    app_abort(t);
    hear(t, "RA", 11, 1, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_ABORTED);
    say(t, "A", 1, 11, 0);
    hear(t, "R", 11, 0, 0);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rst_at_the_edge_resets_rfc5961_3),
        cmocka_unit_test(rst_in_the_window_is_challenged_rfc5961_3),
        cmocka_unit_test(rst_outside_the_window_is_dropped_rfc5961_3),
        cmocka_unit_test(syn_on_a_connection_is_challenged_rfc5961_4),
        cmocka_unit_test(challenges_are_limited_rfc5961_7),
        cmocka_unit_test(an_ack_of_the_unsent_is_challenged_rfc5961_5),
        cmocka_unit_test(a_segment_without_ack_is_dropped_3_10_7_4),
        cmocka_unit_test(abort_sends_rst_3_10_5),
    };
    return run_scripts(tests, argc, argv);
}
