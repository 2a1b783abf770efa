/* RFC 9293: states and events, one conversation each. */
#include "test/script/talk.h"

static void passive_open_3_5(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    struct heard *x = hear(t, "SA", 0, 1, 0);
    assert_int_equal(x->options.mss, 1460);
    assert_true(x->options.has_ts && x->options.sack_ok && x->options.has_scale);
    assert_int_equal(x->window, 65535); /* bug 4: the window of a SYN is not scaled */
    assert_int_equal(t->opens, 0);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    quiet(t);
    talk_end(t);
}

static void active_open_3_5(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    say(t, "SA", 0, 1, 0);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    assert_int_equal(conn_of(t)->snd_wnd, 65535); /* bug 4: a SYN's window is as it stands */
    talk_end(t);
}

static void simultaneous_open_3_5_figure_7(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "SA", 0, 1, 0);
    assert_int_equal(t->opens, 1);
    app_send(t, 1, 10);
    hear(t, "A", 1, 1, 10);
    talk_end(t);
}

static void a_closed_port_resets_3_10_7_1(void **state)
{
    struct talk *t = talk_listen(NULL);
    t->host_port = 81;
    say(t, "S", 0, 0, 0);
    t->host_iss = 0;
    hear(t, "RA", 0, 1, 0);
    say(t, "A", 5, 77, 0);
    hear(t, "R", 77, 0, 0);
    say(t, "R", 5, 0, 0);
    quiet(t);
    talk_end(t);
}

static void refused_3_10_7_3(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    say(t, "RA", 0, 1, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_REFUSED);
    assert_int_equal(t->opens, 0);
    talk_end(t);
}

static void a_reset_without_our_ack_refuses_nothing_3_10_7_3(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    say(t, "R", 0, 0, 0);
    say(t, "RA", 0, 7, 0); /* an ACK of what was never sent */
    assert_int_equal(t->closes, 0);
    forget(t);
    say(t, "SA", 0, 1, 0);
    hear(t, "A", 1, 1, 0);
    talk_end(t);
}

static void a_wrong_ack_in_syn_sent_is_reset_3_10_7_3(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    say(t, "SA", 0, 9, 0);
    hear(t, "R", 9, 0, 0);
    assert_int_equal(t->closes, 0);
    talk_end(t);
}

static void a_wrong_ack_in_syn_received_is_reset_3_10_7_4(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 1, 5, 0);
    hear(t, "R", 5, 0, 0);
    assert_int_equal(t->opens, 0);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    talk_end(t);
}

static void a_lost_syn_ack_is_sent_again_rfc6298_2(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    uint64_t first = hear(t, "SA", 0, 1, 0)->at_ns;
    pass(t, 1100);
    uint64_t second = hear(t, "SA", 0, 1, 0)->at_ns;
    pass(t, 2100);
    uint64_t third = hear(t, "SA", 0, 1, 0)->at_ns;
    assert_true(second - first >= LEAT_NS_PER_S && second - first < 1002 * LEAT_NS_PER_MS);
    assert_true(third - second >= 2 * LEAT_NS_PER_S);
    say(t, "S", 0, 0, 0); /* the peer's SYN again */
    hear(t, "SA", 0, 1, 0);
    talk_end(t);
}

static void a_handshake_that_is_not_finished_is_forgotten(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    pass(t, 200000);
    assert_int_equal(dropped(t, STACK_DROP_TCP_EMBRYO_TIMEOUT), 1);
    assert_int_equal(sim_stack(t->host)->tcp->embryo_count, 0);
    assert_int_equal(sim_stack(t->host)->tcp->table.count, 0);
    talk_end(t);
}

static void a_lost_syn_is_sent_again_and_given_up(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    pass(t, 1100);
    hear(t, "S", 0, 0, 0);
    pass(t, 2100);
    hear(t, "S", 0, 0, 0);
    pass(t, 40000);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_CONNECT_TIMEOUT);
    talk_end(t);
}

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

static void fin_and_its_ack_in_one_segment(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    assert_int_equal(t->closes, 1);
    talk_end(t);
}

static void fin_rides_on_the_last_data(void **state)
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

static void a_lost_fin_is_sent_again(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    pass(t, 2000);
    hear(t, "FA", 1, 1, 0);
    talk_end(t);
}

static void time_wait_ignores_a_reset_rfc1337(void **state)
{
    struct talk *t = talk_open(NULL);
    app_end(t);
    hear(t, "FA", 1, 1, 0);
    say(t, "FA", 1, 2, 0);
    hear(t, "A", 2, 2, 0);
    say(t, "R", 2, 0, 0);
    assert_int_equal(sim_stack(t->host)->tcp->time_wait_count, 1);
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

static void time_wait_refuses_an_older_syn(void **state)
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

/* ---- RST and SYN: 3.10.7.4 third and fourth step, RFC 5961 ---- */

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

static void rst_outside_the_window_is_dropped(void **state)
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

static void ipv6_speaks_the_same(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.v6 = true});
    say(t, "PA", 1, 1, 100);
    assert_int_equal(t->received, 100);
    app_send(t, 1, 100);
    hear(t, "A", 1, 101, 100);
    say(t, "FA", 101, 101, 0);
    hear(t, "A", 101, 102, 0);
    talk_end(t);
}

static void syn_cookies_take_over_when_embryos_are_full_rfc4987(void **state)
{
    struct talk *t = talk_listen(NULL);
    for (unsigned i = 0; i < TCP_EMBRYOS_MAX; i++) {
        t->peer_port = (uint16_t)(10000 + i);
        say(t, "S", 0, 0, 0);
        forget(t);
    }
    assert_int_equal(sim_stack(t->host)->tcp->embryo_count, TCP_EMBRYOS_MAX);
    t->peer_port = 5000;
    t->host_iss_known = false;
    say(t, "S", 0, 0, 0);
    struct heard *x = hear(t, "SA", 0, 1, 0);
    assert_true(x->options.has_ts && x->options.sack_ok && x->options.has_scale);
    assert_int_equal(sim_stack(t->host)->tcp->count.cookies_sent, 1);
    say(t, "PA", 1, 1, 20);
    assert_int_equal(t->opens, 1);
    assert_int_equal(t->received, 20);
    const struct tcp_conn *c = conn_of(t);
    assert_int_equal(c->snd_scale, 7); /* kept in the timestamp */
    assert_true((c->flags & TCP_USES_SACK) && (c->flags & TCP_USES_TS));
    t->peer_port = 5001; /* a made-up cookie */
    forget(t);
    say(t, "A", 1, 1, 0);
    hear(t, "R", 1, 0, 0);
    assert_int_equal(dropped(t, STACK_DROP_TCP_COOKIE), 1);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passive_open_3_5),
        cmocka_unit_test(active_open_3_5),
        cmocka_unit_test(simultaneous_open_3_5_figure_7),
        cmocka_unit_test(a_closed_port_resets_3_10_7_1),
        cmocka_unit_test(refused_3_10_7_3),
        cmocka_unit_test(a_reset_without_our_ack_refuses_nothing_3_10_7_3),
        cmocka_unit_test(a_wrong_ack_in_syn_sent_is_reset_3_10_7_3),
        cmocka_unit_test(a_wrong_ack_in_syn_received_is_reset_3_10_7_4),
        cmocka_unit_test(a_lost_syn_ack_is_sent_again_rfc6298_2),
        cmocka_unit_test(a_handshake_that_is_not_finished_is_forgotten),
        cmocka_unit_test(a_lost_syn_is_sent_again_and_given_up),
        cmocka_unit_test(the_peer_ends_first_3_6),
        cmocka_unit_test(we_end_first_3_6_figure_12),
        cmocka_unit_test(both_end_at_once_3_6_figure_13),
        cmocka_unit_test(fin_and_its_ack_in_one_segment),
        cmocka_unit_test(fin_rides_on_the_last_data),
        cmocka_unit_test(a_lost_fin_is_sent_again),
        cmocka_unit_test(time_wait_ignores_a_reset_rfc1337),
        cmocka_unit_test(time_wait_is_left_by_a_newer_syn_rfc6191),
        cmocka_unit_test(time_wait_refuses_an_older_syn),
        cmocka_unit_test(rst_at_the_edge_resets_rfc5961_3),
        cmocka_unit_test(rst_in_the_window_is_challenged_rfc5961_3),
        cmocka_unit_test(rst_outside_the_window_is_dropped),
        cmocka_unit_test(syn_on_a_connection_is_challenged_rfc5961_4),
        cmocka_unit_test(challenges_are_limited_rfc5961_7),
        cmocka_unit_test(an_ack_of_the_unsent_is_challenged_rfc5961_5),
        cmocka_unit_test(a_segment_without_ack_is_dropped_3_10_7_4),
        cmocka_unit_test(abort_sends_rst_3_10_5),
        cmocka_unit_test(ipv6_speaks_the_same),
        cmocka_unit_test(syn_cookies_take_over_when_embryos_are_full_rfc4987),
    };
    return run_scripts(tests, argc, argv);
}
