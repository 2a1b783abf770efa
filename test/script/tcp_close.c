/* Ending: RFC 9293 3.6, TIME-WAIT and leaving it early (RFC 6191, 1337). */
#include "test/script/talk.h"

static void the_peer_ends_first_3_6(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "FA", 1, 1, 0);
    hear(t, "A", 1, 2, 0);
    assert_int_equal(t->ends_seen, 1);
    assert_int_equal(conn_of(t)->state, TCP_CLOSE_WAIT);
    app_send(t, 1, 5); /* we may still send */
    hear(t, "A", 1, 2, 5);
    app_end(t);
    hear(t, "FA", 6, 2, 0);
    assert_int_equal(conn_of(t)->state, TCP_LAST_ACK);
    say(t, "A", 2, 7, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_DONE);
    talk_end(t);
}

static void we_end_first_3_6_figure_12(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    assert_int_equal(conn_of(t)->state, TCP_FIN_WAIT_1);
    say(t, "A", 1, 2, 0);
    assert_int_equal(conn_of(t)->state, TCP_FIN_WAIT_2);
    say(t, "PA", 1, 2, 30); /* the peer may still send */
    assert_int_equal(t->received, 30);
    say(t, "FA", 31, 2, 0);
    hear(t, "A", 2, 32, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_DONE);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
    say(t, "FA", 31, 2, 0); /* our ACK was lost */
    hear(t, "A", 2, 32, 0);
    pass(t, 61000);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 0);
    talk_end(t);
}

static void both_end_at_once_3_6_figure_13(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 1, 0);
    hear(t, "A", 2, 2, 0);
    assert_int_equal(conn_of(t)->state, TCP_CLOSING);
    say(t, "A", 2, 2, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
    talk_end(t);
}

static void fin_and_its_ack_in_one_segment_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    assert_int_equal(t->closes, 1);
    talk_end(t);
}

static void fin_rides_on_the_last_data_3_10_4(void **state)
{
    struct talk *t = talk_open(NULL);
    sim_enter(t->host);
    assert_int_equal(leat_conn_send_bytes(t->conn, "", 0), 0);
    sim_leave(t->host);
    app_pause(t, false);
    quiet(t);
    sim_enter(t->host);
    uint8_t bytes[3] = {talk_byte(1), talk_byte(2), talk_byte(3)};
    assert_int_equal(leat_conn_send_bytes(t->conn, bytes, 3), 0);
    assert_int_equal(leat_conn_end(t->conn), 0);
    sim_leave(t->host);
    pass(t, 1);
    hear(t, "FPA", 1, 1, 3);
    quiet(t);
    talk_end(t);
}

static void a_lost_fin_is_sent_again_3_10_8(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    pass(t, 2000);
    hear(t, "FA", 1, 1, 0);
    talk_end(t);
}

static struct talk *talk_in_time_wait(const struct talk_options *options)
{
    struct talk *t = talk_open(options);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
    return t;
}

static void time_wait_ends_by_a_reset_at_rcv_nxt_alone_rfc1337(void **state)
{
    struct talk *t = talk_in_time_wait(NULL);
    say(t, "R", 1, 0, 0);
    say(t, "R", 3, 0, 0);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
    say(t, "R", 2, 0, 0);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 0);
    quiet(t);
    talk_end(t);
}

static void a_port_reused_with_a_lower_number_gets_in_by_its_second_syn_rfc1337(void **state)
{
    struct talk *t = talk_in_time_wait(&(struct talk_options){.no_ts = true});
    t->peer_iss -= 100000;
    say(t, "S", 0, 0, 0);
    hear(t, "A", 2, 100002, 0);
    say(t, "R", 100002, 0, 0); /* what SYN-SENT says of such an ACK */
    t->host_iss_known = false;
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 2);
    talk_end(t);
}

/* MAY-2: back to TIME-WAIT if the SYN turns out to open nothing. */
static void a_syn_that_opens_nothing_leaves_time_wait_3_6_1(void **state)
{
    struct talk *t = talk_in_time_wait(NULL);
    uint32_t iss = t->peer_iss;
    t->peer_iss += 100000;
    say(t, "SF", 0, 0, 0);
    leat_listener_pause(t->listener);
    say(t, "S", 0, 0, 0);
    leat_listener_resume(t->listener);
    sim_enter(t->host);
    leat_listener_close(t->listener);
    sim_leave(t->host);
    t->listener = NULL;
    say(t, "S", 0, 0, 0);
    t->peer_iss = iss;
    for (unsigned i = 0; i < 3; i++)
        hear(t, "A", 2, 2, 0);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
    assert_int_equal(sim_stack(t->host)->tcp->count.time_wait_reused, 0);
    talk_end(t);
}

/* A SYN-ACK for an old duplicate of our SYN: an ACK of RCV.NXT would be right for it by chance. */
static void time_wait_completes_no_handshake_3_5_figure_9(void **state)
{
    struct talk *t = talk_in_time_wait(NULL);
    say(t, "SA", 1, 1, 0);
    hear(t, "R", 1, 0, 0);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
    say(t, "SA", 0, 1, 0); /* ours, late: as any other segment */
    hear(t, "A", 2, 2, 0);
    talk_end(t);
}

static void time_wait_is_left_by_a_newer_syn_rfc6191(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    t->host_iss_known = false;
    t->peer_iss += 100000;
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 2);
    talk_end(t);
}

static void time_wait_refuses_an_older_syn_rfc6191(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_ts = true});
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    say(t, "S", 0, 0, 0);
    hear(t, "A", 2, 2, 0);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
    talk_end(t);
}

static void text_after_close_is_acknowledged_and_discarded_3_6(void **state)
{
    struct talk *t = talk_open(NULL);
    app_close(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "PA", 1, 2, 500);
    forget(t);
    assert_int_equal(t->received, 0);
    assert_int_equal(t->closes, 0);
    say(t, "FA", 501, 2, 0);
    hear(t, "A", 2, 502, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_DONE);
    talk_end(t);
}

static void a_peer_that_never_ends_is_left_after_the_linger_c8(void **state)
{
    struct talk *t = talk_open(NULL);
    app_close(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "A", 1, 2, 0);
    pass(t, 1900);
    assert_int_equal(t->closes, 0);
    pass(t, 200);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_DONE);
    quiet(t); /* our FIN was acknowledged: no reset destroys what the peer still reads */
    say(t, "FA", 1, 2, 0);
    hear(t, "R", 2, 0, 0);
    talk_end(t);
}

static void an_ack_of_fin_and_more_is_not_believed_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "A", 1, 3, 0);
    assert_int_equal(conn_of(t)->state, TCP_FIN_WAIT_1);
    talk_end(t);
}

static void the_fin_comes_again_while_its_data_is_missing_3_10_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    app_send(t, 1, 100);
    hear(t, "A", 1, 1, 100);
    app_end(t);
    hear(t, "FA", 101, 1, 0);
    pass(t, 300);
    hear(t, "A", 1, 1, 100);
    say(t, "A", 1, 101, 0);
    hear(t, "FA", 101, 1, 0);
    say(t, "A", 1, 102, 0);
    assert_int_equal(conn_of(t)->state, TCP_FIN_WAIT_2);
    talk_end(t);
}

static void last_ack_sends_its_fin_until_it_is_acknowledged_3_6(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    say(t, "FA", 1, 1, 0);
    hear(t, "A", 1, 2, 0);
    app_end(t);
    hear(t, "FA", 1, 2, 0);
    pass(t, 300);
    hear(t, "FA", 1, 2, 0);
    say(t, "FA", 1, 1, 0); /* it did not see our ACK either */
    hear(t, "A", 2, 2, 0);
    say(t, "A", 2, 2, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 0); /* that is the peer's */
    talk_end(t);
}

static void time_wait_is_left_by_a_newer_timestamp_rfc6191(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    t->host_iss_known = false;
    t->peer_iss -= 100000; /* older by its number, newer by its timestamp */
    t->ts_value += 1000;
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    talk_end(t);
}

/* A SYN whose number and timestamp differ by that much from the last connection's draws an ACK. */
static void time_wait_refuses(uint32_t number, uint32_t timestamp)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    uint32_t iss = t->peer_iss;
    t->peer_iss += number;
    t->ts_value += timestamp;
    say(t, "S", 0, 0, 0);
    t->peer_iss = iss;
    struct heard *x = hear(t, "A", 2, 2, 0);
    assert_true(x->options.has_ts);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
    talk_end(t);
}

static void time_wait_refuses_an_older_timestamp_rfc6191(void **state)
{
    time_wait_refuses(-UINT32_C(100000), -UINT32_C(1000));
}

static void time_wait_refuses_a_newer_number_with_an_older_timestamp_rfc6191(void **state)
{
    time_wait_refuses(100000, -UINT32_C(1000));
}

static void a_repeated_fin_begins_time_wait_anew_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    pass(t, 50000);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    pass(t, 50000);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
    pass(t, 11000);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 0);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_peer_ends_first_3_6),
        cmocka_unit_test(we_end_first_3_6_figure_12),
        cmocka_unit_test(both_end_at_once_3_6_figure_13),
        cmocka_unit_test(fin_and_its_ack_in_one_segment_3_10_7_4),
        cmocka_unit_test(fin_rides_on_the_last_data_3_10_4),
        cmocka_unit_test(a_lost_fin_is_sent_again_3_10_8),
        cmocka_unit_test(time_wait_ends_by_a_reset_at_rcv_nxt_alone_rfc1337),
        cmocka_unit_test(a_port_reused_with_a_lower_number_gets_in_by_its_second_syn_rfc1337),
        cmocka_unit_test(a_syn_that_opens_nothing_leaves_time_wait_3_6_1),
        cmocka_unit_test(time_wait_completes_no_handshake_3_5_figure_9),
        cmocka_unit_test(time_wait_is_left_by_a_newer_syn_rfc6191),
        cmocka_unit_test(time_wait_refuses_an_older_syn_rfc6191),
        cmocka_unit_test(text_after_close_is_acknowledged_and_discarded_3_6),
        cmocka_unit_test(a_peer_that_never_ends_is_left_after_the_linger_c8),
        cmocka_unit_test(an_ack_of_fin_and_more_is_not_believed_3_10_7_4),
        cmocka_unit_test(the_fin_comes_again_while_its_data_is_missing_3_10_4),
        cmocka_unit_test(last_ack_sends_its_fin_until_it_is_acknowledged_3_6),
        cmocka_unit_test(time_wait_is_left_by_a_newer_timestamp_rfc6191),
        cmocka_unit_test(time_wait_refuses_an_older_timestamp_rfc6191),
        cmocka_unit_test(time_wait_refuses_a_newer_number_with_an_older_timestamp_rfc6191),
        cmocka_unit_test(a_repeated_fin_begins_time_wait_anew_3_10_7_4),
    };
    return run_scripts(tests, argc, argv);
}
