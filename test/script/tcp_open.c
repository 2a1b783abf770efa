/* The handshake: RFC 9293 3.5, 3.10.7.1 to 3.10.7.4; SYN cookies (RFC 4987). */
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

static void a_listener_drops_what_it_cannot_use_3_10_7_2(void **state)
{
    struct talk *t = talk_listen(NULL);
    for (const char *const *flags =
             (const char *const[]){"", "F", "P", "FP", "SF", "R", "RA", NULL};
         *flags != NULL; flags++) {
        say(t, *flags, 0, 0, 0);
        quiet(t);
    }
    say(t, "A", 5, 77, 0);
    t->host_iss = 0;
    hear(t, "R", 77, 0, 0);
    say(t, "FA", 5, 78, 0);
    hear(t, "R", 78, 0, 0);
    assert_int_equal(t->opens, 0);
    t->host_port = 81;
    say(t, "F", 5, 0, 0);
    hear(t, "RA", 0, 6, 0);
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

/* Of an old connection, which our RST ends: the next SYN need not wait for its timeout. */
static void after_the_reset_of_an_old_connection_the_syn_comes_at_once_3_10_7_3(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    say(t, "A", 500, 700, 0);
    hear(t, "R", 700, 0, 0);
    pass(t, 5);
    hear(t, "S", 0, 0, 0);
    say(t, "A", 500, 700, 0); /* whoever says it again does not make us faster */
    hear(t, "R", 700, 0, 0);
    pass(t, 500);
    quiet(t);
    say(t, "SA", 0, 1, 0);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
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

static void a_handshake_that_is_not_finished_is_forgotten_rfc4987_3(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    pass(t, 200000);
    assert_int_equal(dropped(t, STACK_DROP_TCP_EMBRYO_TIMEOUT), 1);
    assert_int_equal(sim_stack(t->host)->tcp->embryo_count, 0);
    assert_int_equal(sim_stack(t->host)->tcp->table.count, 0);
    talk_end(t);
}

static void a_lost_syn_is_sent_again_and_given_up_3_8_3(void **state)
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

/* MUST-23: for three minutes at least, unless the application says less. */
static void a_syn_comes_again_for_three_minutes_3_8_3(void **state)
{
    static const unsigned waits_s[] = {1, 2, 4, 8, 16, 32, 60, 60};
    const struct talk_options options = {.conn.connect_timeout_ns = 200 * LEAT_NS_PER_S};
    struct talk *t = talk_connect(&options);
    uint64_t first_ns = hear(t, "S", 0, 0, 0)->at_ns;
    for (unsigned i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
        pass(t, waits_s[i] * 1000 + 10);
        hear(t, "S", 0, 0, 0);
    }
    assert_true(t->last.at_ns - first_ns >= 180 * LEAT_NS_PER_S);
    say(t, "SA", 0, 1, 0);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    talk_end(t);
}

/* MUST-21: also in a simultaneous open, whose SYN-ACK is a SYN. */
static void the_application_says_how_long_is_tried_3_8_3(void **state)
{
    const struct talk_options options = {.conn.connect_timeout_ns = 200 * LEAT_NS_PER_S};
    for (unsigned is_simultaneous = 0; is_simultaneous < 2; is_simultaneous++) {
        struct talk *t = talk_connect(&options);
        hear(t, "S", 0, 0, 0);
        if (is_simultaneous)
            say(t, "S", 0, 0, 0);
        pass(t, 190000);
        assert_int_equal(t->closes, 0);
        pass(t, 11000);
        assert_int_equal(t->closes, 1);
        assert_int_equal(t->reason, LEAT_CLOSE_CONNECT_TIMEOUT);
        talk_end(t);
    }
}

/* ---- RST and SYN: 3.10.7.4 third and fourth step, RFC 5961 ---- */

static void ipv6_speaks_the_same_3_1(void **state)
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

/* ---- resets and strangers during the handshake ---- */

static void a_reset_ends_a_handshake_3_10_7_4(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "R", 1, 0, 0);
    assert_int_equal(sim_stack(t->host)->tcp->embryo_count, 0);
    say(t, "A", 1, 1, 0);
    hear(t, "R", 1, 0, 0);
    assert_int_equal(t->opens, 0);
    talk_end(t);
}

static void a_reset_in_a_handshakes_window_is_challenged_rfc5961_3(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "R", 5, 0, 0);
    struct heard *x = hear(t, "A", 1, 1, 0);
    assert_true(x->options.has_ts);
    say(t, "R", 10000000, 0, 0);
    quiet(t);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    talk_end(t);
}

static void what_lies_outside_of_a_handshakes_window_is_answered_3_10_7_4(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 10000000, 1, 10);
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 0);
    talk_end(t);
}

static void a_reset_refuses_a_simultaneous_open_3_10_7_4(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "R", 5, 0, 0); /* not at the edge: RFC 5961 */
    hear(t, "A", 1, 1, 0);
    assert_int_equal(t->closes, 0);
    say(t, "R", 1, 0, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_REFUSED);
    talk_end(t);
}

static void an_old_syn_is_recovered_from_3_5_figure_9(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "R", 1, 0, 0); /* the peer never meant that one */
    t->peer_iss += 5000;
    t->host_iss_known = false;
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    talk_end(t);
}

static void a_peer_that_crashed_is_discovered_3_5_1_figure_10(void **state)
{
    struct talk *t = talk_open(NULL);
    uint32_t old_iss = t->peer_iss;
    say(t, "A", 1, 1, 300);
    t->peer_iss += 400000000;
    say(t, "S", 0, 0, 0);
    t->peer_iss = old_iss;
    struct heard *x = hear(t, "A", 1, 301, 0); /* a challenge: what of 301? */
    assert_int_equal(x->length, 0);
    say(t, "R", 301, 0, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_RESET);
    t->peer_iss += 400000000;
    t->host_iss_known = false;
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    talk_end(t);
}

/* ---- what rides on the handshake ---- */

static void text_on_the_last_ack_is_taken_3_10_7_4(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "PA", 1, 1, 100);
    assert_int_equal(t->opens, 1);
    assert_int_equal(t->received, 100);
    talk_end(t);
}

static void a_fin_on_the_last_ack_is_taken_3_10_7_4(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "FA", 1, 1, 10);
    hear(t, "A", 1, 12, 0);
    assert_int_equal(t->opens, 1);
    assert_int_equal(t->received, 10);
    assert_int_equal(t->ends_seen, 1);
    talk_end(t);
}

static void text_on_a_syn_comes_again_3_4(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "S", 0, 0, 20);
    hear(t, "SA", 0, 1, 0); /* the SYN only */
    say(t, "PA", 1, 1, 20);
    assert_int_equal(t->received, 20);
    talk_end(t);
}

static void text_on_a_syn_ack_is_taken_3_10_7_3(void **state)
{
    struct talk *t = talk_connect(NULL);
    hear(t, "S", 0, 0, 0);
    t->peer_iss--; /* so that the first byte is that of talk_byte(1) */
    say(t, "SA", 0, 1, 0);
    hear(t, "A", 1, 1, 0);
    say(t, "PA", 1, 1, 30);
    assert_int_equal(t->received, 30);
    talk_end(t);
}

static void a_syn_with_fin_opens_nothing_3_10_7_2(void **state)
{
    struct talk *t = talk_listen(NULL);
    say(t, "SF", 0, 0, 0);
    assert_int_equal(sim_stack(t->host)->tcp->embryo_count, 0);
    quiet(t);
    say(t, "SR", 0, 0, 0);
    quiet(t);
    talk_end(t);
}

static void the_mss_leaves_room_for_the_headers_rfc6691(void **state)
{
    struct talk *t = talk_listen(&(struct talk_options){.mtu_bytes = 1280, .v6 = true});
    say(t, "S", 0, 0, 0);
    assert_int_equal(hear(t, "SA", 0, 1, 0)->options.mss, 1280 - 40 - 20);
    say(t, "A", 1, 1, 0);
    app_send(t, 1, 3000);
    hear(t, "A", 1, 1, 1280 - 40 - 20 - 12); /* timestamps come out of the segment */
    talk_end(t);
}

static void a_tiny_mss_is_not_believed_1122_4_2_2_6(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.mss = 1, .no_ts = true});
    app_send(t, 1, 3 * TCP_MSS_FLOOR);
    for (uint32_t i = 0; i < 3; i++)
        hear(t, "A", 1 + TCP_MSS_FLOOR * i, 1, TCP_MSS_FLOOR);
    talk_end(t);
}

static void a_scale_beyond_14_is_14_rfc7323_2_3(void **state)
{
    struct talk *t = talk_listen(NULL);
    say_raw(t, "S", 0, 0, (const uint8_t[]){1, 3, 3, 200}, 4);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    assert_int_equal(conn_of(t)->snd_scale, 14);
    talk_end(t);
}

/* Hashes are keyed; here the script knows the key, as nobody should. */
static void handshakes_that_clump_in_the_table_get_another_key_rfc4987_2(void **state)
{
    enum { FLOWS = 100 };
    struct talk *t = talk_listen(NULL);
    struct tcp_table *table = &sim_stack(t->host)->tcp->table;
    struct tcp_flow flow = {t->ends.host, t->ends.peer, be16_put(80), {0}};
    uint32_t mask = table->mask, count = 0, iss[FLOWS];
    uint16_t ports[FLOWS];
    uint64_t key = table->key[1];
    for (uint32_t port = 1; port < 65536 && count < FLOWS; port++) {
        flow.remote_port = be16_put((uint16_t)port);
        if ((table_hash(table, &flow) & mask) == 0)
            ports[count++] = (uint16_t)port;
    }
    assert_int_equal(count, FLOWS);
    for (uint32_t i = 0; i < FLOWS; i++) {
        t->peer_port = ports[i];
        t->host_iss_known = false;
        say(t, "S", 0, 0, 0);
        hear(t, "SA", 0, 1, 0);
        iss[i] = t->host_iss;
    }
    assert_int_equal(sim_stack(t->host)->tcp->count.rekeys, 1);
    assert_int_not_equal(table->key[1], key);
    assert_true(table->chain_longest <= TABLE_CHAIN_MAX);
    assert_int_equal(table->count, FLOWS);
    for (uint32_t i = 0; i < FLOWS; i++) { /* nobody was lost */
        t->peer_port = ports[i];
        t->host_iss = iss[i];
        say(t, "A", 1, 1, 0);
    }
    assert_int_equal(t->opens, FLOWS);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passive_open_3_5),
        cmocka_unit_test(active_open_3_5),
        cmocka_unit_test(simultaneous_open_3_5_figure_7),
        cmocka_unit_test(a_closed_port_resets_3_10_7_1),
        cmocka_unit_test(a_listener_drops_what_it_cannot_use_3_10_7_2),
        cmocka_unit_test(refused_3_10_7_3),
        cmocka_unit_test(a_reset_without_our_ack_refuses_nothing_3_10_7_3),
        cmocka_unit_test(a_wrong_ack_in_syn_sent_is_reset_3_10_7_3),
        cmocka_unit_test(after_the_reset_of_an_old_connection_the_syn_comes_at_once_3_10_7_3),
        cmocka_unit_test(a_wrong_ack_in_syn_received_is_reset_3_10_7_4),
        cmocka_unit_test(a_lost_syn_ack_is_sent_again_rfc6298_2),
        cmocka_unit_test(a_handshake_that_is_not_finished_is_forgotten_rfc4987_3),
        cmocka_unit_test(a_lost_syn_is_sent_again_and_given_up_3_8_3),
        cmocka_unit_test(a_syn_comes_again_for_three_minutes_3_8_3),
        cmocka_unit_test(the_application_says_how_long_is_tried_3_8_3),
        cmocka_unit_test(ipv6_speaks_the_same_3_1),
        cmocka_unit_test(syn_cookies_take_over_when_embryos_are_full_rfc4987),
        cmocka_unit_test(a_reset_ends_a_handshake_3_10_7_4),
        cmocka_unit_test(a_reset_in_a_handshakes_window_is_challenged_rfc5961_3),
        cmocka_unit_test(what_lies_outside_of_a_handshakes_window_is_answered_3_10_7_4),
        cmocka_unit_test(a_reset_refuses_a_simultaneous_open_3_10_7_4),
        cmocka_unit_test(an_old_syn_is_recovered_from_3_5_figure_9),
        cmocka_unit_test(a_peer_that_crashed_is_discovered_3_5_1_figure_10),
        cmocka_unit_test(text_on_the_last_ack_is_taken_3_10_7_4),
        cmocka_unit_test(a_fin_on_the_last_ack_is_taken_3_10_7_4),
        cmocka_unit_test(text_on_a_syn_comes_again_3_4),
        cmocka_unit_test(text_on_a_syn_ack_is_taken_3_10_7_3),
        cmocka_unit_test(a_syn_with_fin_opens_nothing_3_10_7_2),
        cmocka_unit_test(the_mss_leaves_room_for_the_headers_rfc6691),
        cmocka_unit_test(a_tiny_mss_is_not_believed_1122_4_2_2_6),
        cmocka_unit_test(a_scale_beyond_14_is_14_rfc7323_2_3),
        cmocka_unit_test(handshakes_that_clump_in_the_table_get_another_key_rfc4987_2),
    };
    return run_scripts(tests, argc, argv);
}
