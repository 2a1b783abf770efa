/* Explicit congestion notification, RFC 3168. */
#include "test/script/talk.h"

enum { NOT_ECT = 0, ECT_0 = 2, CE = 3 };

static struct talk *open_with_ecn(const struct talk_options *options)
{
    struct talk *t = talk_listen(options);
    say(t, "SEC", 0, 0, 0);
    assert_int_equal(hear(t, "SAE", 0, 1, 0)->ecn, NOT_ECT);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    assert_int_equal(conn_of(t)->ecn, ECN_ON);
    return t;
}

/* ---- agreeing ---- */

static void a_syn_that_asks_is_answered_rfc3168_6_1_1(void **state)
{
    talk_end(open_with_ecn(NULL));
    talk_end(open_with_ecn(&(struct talk_options){.v6 = true}));
}

static void a_syn_that_does_not_ask_is_not_rfc3168_6_1_1(void **state)
{
    static const char *const syns[] = {"S", "SE", "SC"};
    for (unsigned i = 0; i < 3; i++) {
        struct talk *t = talk_listen(NULL);
        say(t, syns[i], 0, 0, 0);
        hear(t, "SA", 0, 1, 0);
        say(t, "A", 1, 1, 0);
        app_send(t, 1, 1000);
        assert_int_equal(hear(t, "A", 1, 1, 1000)->ecn, NOT_ECT);
        talk_end(t);
    }
}

static void switched_off_it_is_never_agreed_rfc3168_6_1_1(void **state)
{
    struct talk *t = talk_listen(&(struct talk_options){.ecn = STACK_ECN_OFF});
    say(t, "SEC", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    talk_end(t);
}

static void we_ask_when_told_to_rfc3168_6_1_1(void **state)
{
    struct talk *t = talk_connect(&(struct talk_options){.ecn = STACK_ECN_REQUEST});
    assert_int_equal(hear(t, "SEC", 0, 0, 0)->ecn, NOT_ECT);
    say(t, "SAE", 0, 1, 0);
    hear(t, "A", 1, 1, 0);
    app_send(t, 1, 100);
    assert_int_equal(hear(t, "A", 1, 1, 100)->ecn, ECT_0);
    talk_end(t);
}

static void we_do_not_ask_by_default_rfc3168_6_1_1(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    say(t, "SAE", 0, 1, 0); /* an answer to what was not asked */
    hear(t, "A", 1, 1, 0);
    assert_int_equal(conn_of(t)->ecn, 0);
    talk_end(t);
}

static void a_peer_that_mirrors_our_bits_did_not_agree_rfc3168_6_1_1(void **state)
{
    struct talk *t = talk_connect(&(struct talk_options){.ecn = STACK_ECN_REQUEST});
    hear(t, "SEC", 0, 0, 0);
    say(t, "SAEC", 0, 1, 0);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(conn_of(t)->ecn, 0);
    talk_end(t);
}

static void a_syn_that_vanished_comes_again_without_rfc3168_6_1_1_1(void **state)
{
    struct talk *t = talk_connect(&(struct talk_options){.ecn = STACK_ECN_REQUEST});
    hear(t, "SEC", 0, 0, 0);
    pass(t, 1100);
    hear(t, "S", 0, 0, 0);
    say(t, "SAE", 0, 1, 0); /* to the first one, late: no longer meant */
    hear(t, "A", 1, 1, 0);
    assert_int_equal(conn_of(t)->ecn, 0);
    talk_end(t);
}

static void a_peer_that_gives_up_asking_is_believed_rfc3168_6_1_1_1(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "SEC", 0, 0, 0);
    hear(t, "SAE", 0, 1, 0);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    assert_int_equal(conn_of(t)->ecn, 0);
    talk_end(t);
}

static void both_ask_in_a_simultaneous_open_rfc3168_6_1_1(void **state)
{
    struct talk *t = talk_connect(&(struct talk_options){.ecn = STACK_ECN_REQUEST});
    hear(t, "SEC", 0, 0, 0);
    say(t, "SEC", 0, 0, 0);
    hear(t, "SAE", 0, 1, 0);
    say(t, "SAE", 0, 1, 0);
    assert_int_equal(t->opens, 1);
    assert_int_equal(conn_of(t)->ecn, ECN_ON);
    talk_end(t);
}

static void a_cookie_keeps_it_rfc4987(void **state)
{
    struct talk *t = talk_listen(NULL);
    for (unsigned i = 0; i < TCP_EMBRYOS_MAX; i++) {
        t->peer_port = (uint16_t)(10000 + i);
        say(t, "S", 0, 0, 0);
        forget(t);
    }
    t->peer_port = 5000;
    t->host_iss_known = false;
    say(t, "SEC", 0, 0, 0);
    hear(t, "SAE", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    assert_int_equal(conn_of(t)->ecn, ECN_ON);
    talk_end(t);
}

/* ---- sending ---- */

static void only_new_text_may_be_marked_rfc3168_6_1_4(void **state)
{
    struct talk *t = open_with_ecn(&(struct talk_options){.no_sack = true});
    say(t, "A", 1, 1, 1448);
    say(t, "A", 1449, 1, 1448);
    assert_int_equal(hear(t, "A", 1, 2897, 0)->ecn, NOT_ECT); /* an ACK */
    app_send(t, 1, 100);
    assert_int_equal(hear(t, "A", 1, 2897, 100)->ecn, ECT_0);
    pass(t, 300);
    assert_int_equal(hear(t, "A", 1, 2897, 100)->ecn, NOT_ECT); /* again */
    say(t, "A", 2897, 101, 0);
    t->window = 0;
    say(t, "A", 2897, 101, 0);
    app_send(t, 101, 10);
    pass(t, 350);
    assert_int_equal(hear(t, "A", 100, 2897, 0)->ecn, NOT_ECT); /* a window probe */
    talk_end(t);
}

static void an_echo_halves_the_window_once_a_round_trip_rfc3168_6_1_2(void **state)
{
    struct talk *t = open_with_ecn(NULL);
    app_send(t, 1, 14 * 1448);
    for (uint32_t i = 0; i < 10; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    uint32_t before = conn_of(t)->cwnd;
    say(t, "AE", 1, 1 + 1448, 0);
    uint32_t after = conn_of(t)->cwnd;
    assert_true(after < before * 3 / 4 && after >= before / 2);
    assert_int_equal(sim_stack(t->host)->tcp->count.ecn_reductions, 1);
    quiet(t); /* more is in flight than the window now allows */
    say(t, "AE", 1, 1 + 2 * 1448, 0);
    say(t, "AE", 1, 1 + 5 * 1448, 0);
    assert_int_equal(conn_of(t)->cwnd, after);
    assert_int_equal(hear(t, "AC", 1 + 10 * 1448, 1, 1448)->ecn, ECT_0); /* we did */
    say(t, "AE", 1, 1 + 10 * 1448, 0); /* from before the peer saw that */
    assert_int_equal(sim_stack(t->host)->tcp->count.ecn_reductions, 1);
    hear(t, "A", 1 + 11 * 1448, 1, 1448);
    hear(t, "A", 1 + 12 * 1448, 1, 1448);
    hear(t, "A", 1 + 13 * 1448, 1, 1448);
    say(t, "AE", 1, 1 + 12 * 1448, 0); /* marked again, in the next round */
    assert_int_equal(sim_stack(t->host)->tcp->count.ecn_reductions, 2);
    talk_end(t);
}

static void what_was_reduced_for_a_loss_is_not_reduced_again_rfc3168_6_1_2(void **state)
{
    struct talk *t = open_with_ecn(NULL);
    app_send(t, 1, 10 * 1448);
    for (uint32_t i = 0; i < 10; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    const uint32_t edges[] = {1 + 1448, 1 + 5 * 1448};
    say_sack(t, 1, 1, 1, edges);
    assert_int_equal(hear(t, "A", 1, 1, 1448)->ecn, NOT_ECT);
    uint32_t ssthresh = conn_of(t)->ssthresh;
    say(t, "AE", 1, 1 + 6 * 1448, 0);
    assert_int_equal(conn_of(t)->ssthresh, ssthresh);
    assert_int_equal(sim_stack(t->host)->tcp->count.ecn_reductions, 0);
    say(t, "A", 1, 1 + 10 * 1448, 0);
    app_send(t, 1 + 10 * 1448, 100);
    hear(t, "AC", 1 + 10 * 1448, 1, 100); /* CWR tells of that reduction */
    talk_end(t);
}

static void without_agreement_an_echo_means_nothing_rfc3168_6_1_2(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 2896);
    forget(t);
    uint32_t before = conn_of(t)->cwnd;
    say(t, "AE", 1, 1449, 0);
    assert_true(conn_of(t)->cwnd >= before);
    talk_end(t);
}

/* One segment says CWR, so the hardware is not given several in one. */
static void cwr_does_not_ride_on_a_train_rfc3168_6_1_2(void **state)
{
    struct talk *t = open_with_ecn(&(struct talk_options){
        .can = LEAT_PORT_CAN_TX_IP_CHECKSUM | LEAT_PORT_CAN_TX_L4_CHECKSUM | LEAT_PORT_CAN_TSO});
    app_send(t, 1, 4 * 1448);
    for (uint32_t i = 0; i < 4; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    say(t, "AE", 1, 1 + 4 * 1448, 0);
    app_send(t, 1 + 4 * 1448, 4 * 1448);
    hear(t, "AC", 1 + 4 * 1448, 1, 1448);
    for (uint32_t i = 5; i < 8; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    talk_end(t);
}

/* ---- receiving ---- */

static void a_mark_is_echoed_until_cwr_rfc3168_6_1_3(void **state)
{
    struct talk *t = open_with_ecn(NULL);
    t->ecn = CE;
    say(t, "A", 1, 1, 100);
    hear(t, "AE", 1, 101, 0); /* at once */
    t->ecn = ECT_0;
    say(t, "A", 101, 1, 1448);
    say(t, "A", 1549, 1, 1448);
    hear(t, "AE", 1, 2997, 0);
    app_send(t, 1, 10);
    hear(t, "AE", 1, 2997, 10); /* on text too */
    say(t, "AC", 2997, 11, 1448);
    say(t, "A", 4445, 11, 1448);
    hear(t, "A", 11, 5893, 0);
    assert_int_equal(t->received, 5892);
    talk_end(t);
}

static void a_mark_on_the_segment_with_cwr_counts_rfc3168_6_1_3(void **state)
{
    struct talk *t = open_with_ecn(NULL);
    t->ecn = CE;
    say(t, "A", 1, 1, 100);
    hear(t, "AE", 1, 101, 0);
    say(t, "AC", 101, 1, 100);
    pass(t, 45);
    hear(t, "AE", 1, 201, 0);
    talk_end(t);
}

static void marks_on_acks_and_on_old_text_mean_nothing_rfc3168_6_1_5(void **state)
{
    struct talk *t = open_with_ecn(NULL);
    say(t, "A", 1, 1, 100);
    t->ecn = CE;
    say(t, "A", 101, 1, 0);
    pass(t, 45);
    hear(t, "A", 1, 101, 0);
    say(t, "A", 1, 1, 100);
    hear(t, "A", 1, 101, 0);
    say(t, "A", 50000000, 1, 100); /* a stranger's */
    hear(t, "A", 1, 101, 0);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syn_that_asks_is_answered_rfc3168_6_1_1),
        cmocka_unit_test(a_syn_that_does_not_ask_is_not_rfc3168_6_1_1),
        cmocka_unit_test(switched_off_it_is_never_agreed_rfc3168_6_1_1),
        cmocka_unit_test(we_ask_when_told_to_rfc3168_6_1_1),
        cmocka_unit_test(we_do_not_ask_by_default_rfc3168_6_1_1),
        cmocka_unit_test(a_peer_that_mirrors_our_bits_did_not_agree_rfc3168_6_1_1),
        cmocka_unit_test(a_syn_that_vanished_comes_again_without_rfc3168_6_1_1_1),
        cmocka_unit_test(a_peer_that_gives_up_asking_is_believed_rfc3168_6_1_1_1),
        cmocka_unit_test(both_ask_in_a_simultaneous_open_rfc3168_6_1_1),
        cmocka_unit_test(a_cookie_keeps_it_rfc4987),
        cmocka_unit_test(only_new_text_may_be_marked_rfc3168_6_1_4),
        cmocka_unit_test(an_echo_halves_the_window_once_a_round_trip_rfc3168_6_1_2),
        cmocka_unit_test(what_was_reduced_for_a_loss_is_not_reduced_again_rfc3168_6_1_2),
        cmocka_unit_test(without_agreement_an_echo_means_nothing_rfc3168_6_1_2),
        cmocka_unit_test(cwr_does_not_ride_on_a_train_rfc3168_6_1_2),
        cmocka_unit_test(a_mark_is_echoed_until_cwr_rfc3168_6_1_3),
        cmocka_unit_test(a_mark_on_the_segment_with_cwr_counts_rfc3168_6_1_3),
        cmocka_unit_test(marks_on_acks_and_on_old_text_mean_nothing_rfc3168_6_1_5),
    };
    return run_scripts(tests, argc, argv);
}
