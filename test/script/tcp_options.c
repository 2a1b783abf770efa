/* Malformed headers and options: bugs 1 and 2 of test/bugs. */
#include "test/script/talk.h"

static void options_of_every_kind_and_length_do_no_harm_3_1(void **state)
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

static void a_data_offset_beyond_the_segment_is_dropped_3_1(void **state)
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

static void an_option_of_length_zero_is_dropped_3_1(void **state)
{
    struct talk *t = talk_listen(NULL);
    say_raw(t, "S", 0, 0, (const uint8_t[]){2, 0, 1, 1}, 4);
    quiet(t);
    assert_int_equal(dropped(t, STACK_DROP_TCP_OPTIONS), 1);
    talk_end(t);
}

/* RFC 5482's own: sent by nobody here, and whatever it says is passed over. */
static void a_user_timeout_option_is_passed_over_rfc5482_2(void **state)
{
    struct talk *t = talk_listen(
        &(struct talk_options){.no_ts = true, .conn.user_timeout_ns = 10 * LEAT_NS_PER_S});
    say_raw(t, "S", 0, 0, (const uint8_t[]){28, 4, 0, 1, 2, 4, 5, 180}, 8);
    struct heard *x = hear(t, "SA", 0, 1, 0);
    for (unsigned i = 0; i < x->options.option_bytes; i++)
        assert_int_not_equal(x->options.options[i], 28);
    static const uint8_t raw[][4] = {{28, 4, 0, 0},
                                     {28, 4, 255, 255},
                                     {28, 3, 0, 1},
                                     {28, 2, 1, 1}};
    for (unsigned i = 0; i < 4; i++)
        say_raw(t, "A", 1, 1, raw[i], 4);
    assert_int_equal(t->opens, 1);
    assert_int_equal(conn_of(t)->peer_mss, 1460);
    assert_int_equal(conn_of(t)->user_timeout_s, 10);
    say_raw(t, "A", 1, 1, (const uint8_t[]){1, 1, 28, 4}, 4); /* cut off */
    assert_int_equal(dropped(t, STACK_DROP_TCP_OPTIONS), 1);
    quiet(t);
    talk_end(t);
}

/* --mss: for what lies between and drops longer ones in silence. */
static void a_smaller_mss_is_told_and_kept_3_7_1(void **state)
{
    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct talk *t = talk_listen(&(struct talk_options){.v6 = v6 != 0});
        sim_stack(t->host)->mss_bytes_max = 1000;
        say(t, "S", 0, 0, 0);
        assert_int_equal(hear(t, "SA", 0, 1, 0)->options.mss, 1000);
        say(t, "A", 1, 1, 0);
        app_send(t, 1, 1500);
        hear(t, "A", 1, 1, 988); /* options are part of it, RFC 6691 */
        hear(t, "A", 989, 1, 512);
        talk_end(t);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_every_kind_and_length_do_no_harm_3_1),
        cmocka_unit_test(a_data_offset_beyond_the_segment_is_dropped_3_1),
        cmocka_unit_test(an_option_of_length_zero_is_dropped_3_1),
        cmocka_unit_test(a_user_timeout_option_is_passed_over_rfc5482_2),
        cmocka_unit_test(a_smaller_mss_is_told_and_kept_3_7_1),
    };
    return run_scripts(tests, argc, argv);
}
