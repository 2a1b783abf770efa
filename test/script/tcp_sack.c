/* Selective acknowledgement and loss: RFC 2018, 2883, 6582, 6675, 8985. */
#include "test/script/talk.h"

/* ---- receiving ---- */

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

static void assert_blocks(struct talk *t, struct heard *x, unsigned count, const uint32_t *edges)
{
    assert_int_equal(x->options.sack_count, count);
    for (unsigned i = 0; i < 2 * count; i++)
        assert_int_equal(x->options.sack[i / 2][i % 2].n - t->peer_iss, edges[i]);
}

/* Whichever ACK is lost, two others tell the same. */
static void each_range_is_told_of_in_three_acks_the_latest_first_rfc2018_4(void **state)
{
    struct talk *t = talk_open(NULL);
    static const uint32_t at[] = {901, 101, 701, 301, 501};
    const uint32_t edges[][6] = {{901, 1001},
                                 {101, 201, 901, 1001},
                                 {701, 801, 101, 201, 901, 1001},
                                 {301, 401, 701, 801, 101, 201},
                                 {501, 601, 301, 401, 701, 801}};
    for (unsigned i = 0; i < 5; i++) {
        say(t, "A", at[i], 1, 100);
        assert_blocks(t, hear(t, "A", 1, 1, 0), i < 3 ? i + 1 : 3, edges[i]);
    }
    say(t, "A", 201, 1, 50); /* it grows: so it is the latest again */
    const uint32_t grown[] = {101, 251, 501, 601, 301, 401};
    assert_blocks(t, hear(t, "A", 1, 1, 0), 3, grown);
    talk_end(t);
}

/* SHLD-31 of RFC 9293: what is new is kept, wherever it lies. */
static void the_new_parts_of_an_overlap_out_of_order_are_kept_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 201, 1, 100);
    say(t, "A", 401, 1, 100);
    forget(t);
    say(t, "A", 151, 1, 500); /* 50 before, 100 between, 150 behind */
    const uint32_t edges[] = {201, 301, 151, 651};
    assert_blocks(t, hear(t, "A", 1, 1, 0), 2, edges);
    say(t, "A", 1, 1, 150);
    hear(t, "A", 1, 651, 0);
    assert_int_equal(t->received, 650);
    assert_false(t->bytes_wrong);
    talk_end(t);
}

static void an_overlap_of_neighbours_out_of_order_adds_nothing_3_10_7_4(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 1101, 1, 1100); /* large enough to stay where they lie: two ranges */
    say(t, "A", 2201, 1, 1100);
    say(t, "A", 1801, 1, 1448);
    assert_int_equal(conn_of(t)->work->rare.ooo_count, 2);
    say(t, "A", 1901, 1, 1448); /* 49 behind */
    forget(t);
    say(t, "A", 1, 1, 1100);
    hear(t, "A", 1, 3349, 0);
    assert_int_equal(t->received, 3348);
    assert_false(t->bytes_wrong);
    talk_end(t);
}

static void a_part_that_came_before_is_told_of_rfc2883_4_1(void **state)
{
    struct talk *t = talk_open(NULL);
    say(t, "A", 1, 1, 100);
    say(t, "A", 51, 1, 100); /* in order, and half of it old */
    const uint32_t old[] = {51, 101};
    assert_blocks(t, hear(t, "A", 1, 151, 0), 1, old);
    say(t, "A", 251, 1, 100);
    forget(t);
    say(t, "A", 201, 1, 100); /* out of order, and half of it there */
    const uint32_t there[] = {251, 301, 201, 351};
    assert_blocks(t, hear(t, "A", 1, 151, 0), 2, there);
    say(t, "A", 151, 1, 100); /* fills the gap, and more */
    const uint32_t more[] = {201, 251};
    assert_blocks(t, hear(t, "A", 1, 351, 0), 1, more);
    assert_int_equal(t->received, 350);
    talk_end(t);
}

/* A peer without SACK recovers by three duplicates, also if our burst took all of them at once. */
static void each_segment_out_of_order_draws_a_duplicate_ack_rfc5681_4_2(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    t->holds = true;
    for (uint32_t i = 1; i <= 6; i++)
        say(t, "A", 1 + i * 1448, 1, 1448);
    pass(t, 1);
    for (unsigned i = 0; i < 3; i++)
        hear(t, "A", 1, 1, 0);
    quiet(t);
    for (uint32_t i = 7; i <= 8; i++) /* the next burst draws its own */
        say(t, "A", 1 + i * 1448, 1, 1448);
    pass(t, 1);
    hear(t, "A", 1, 1, 0);
    hear(t, "A", 1, 1, 0);
    quiet(t);
    t->holds = false;
    say(t, "A", 1, 1, 1448);
    hear(t, "A", 1, 1 + 9 * 1448, 0);
    t->holds = true;
    for (uint32_t i = 9; i < 13; i++) /* in order: one */
        say(t, "A", 1 + i * 1448, 1, 1448);
    pass(t, 1);
    hear(t, "A", 1, 1 + 13 * 1448, 0);
    quiet(t);
    talk_end(t);
}

/* What SACK would have told of is forgotten where there is none. */
static void without_sack_a_duplicate_is_acknowledged_once_3_8_6_3(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    say(t, "A", 1, 1, 100);
    say(t, "A", 1, 1, 100);
    assert_int_equal(hear(t, "A", 1, 101, 0)->options.sack_count, 0);
    say(t, "A", 101, 1, 100);
    quiet(t); /* delayed as ever */
    pass(t, 10);
    hear(t, "A", 1, 201, 0);
    talk_end(t);
}

/* ---- sending ---- */

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

/* Of a single segment the ACK may be delayed by as much as the timeout: the probe goes then. */
static void a_probe_goes_before_the_timeout_rfc8985_7_2(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 100);
    hear(t, "A", 1, 1, 100);
    uint32_t cwnd = conn_of(t)->cwnd;
    pass(t, 210);
    hear(t, "A", 1, 1, 100);
    const struct tcp_counters *count = &sim_stack(t->host)->tcp->count;
    assert_int_equal(count->probes, 1);
    assert_int_equal(count->rtos, 0);
    assert_int_equal(conn_of(t)->cwnd, cwnd);
    pass(t, 210);
    hear(t, "A", 1, 1, 100);
    assert_int_equal(count->rtos, 1);
    talk_end(t);
}

static void new_data_starts_the_probes_timer_again_rfc8985_7_2(void **state)
{
    struct talk *t = talk_open(NULL);
    conn_of(t)->srtt_us = 40000;
    tcp_rto_compute(conn_of(t));
    for (uint32_t i = 0; i < 3; i++) { /* two round trips of silence are never together */
        app_send(t, 1 + i * 2000, 2000);
        hear(t, "A", 1 + i * 2000, 1, 1448);
        hear(t, "A", 1449 + i * 2000, 1, 552);
        pass(t, 60);
        quiet(t);
    }
    pass(t, 25);
    hear(t, "A", 4553, 1, 1448); /* the end of what was sent last */
    talk_end(t);
}

/* Who always has something to send has a timeout all the same. */
static void new_data_does_not_put_off_the_probe_for_ever_rfc8985_7_2(void **state)
{
    struct talk *t = talk_open(NULL);
    conn_of(t)->srtt_us = 100000;
    tcp_rto_compute(conn_of(t));
    for (uint32_t i = 0; i < 6; i++) {
        app_send(t, 1 + i * 100, 100);
        pass(t, 55);
    }
    assert_int_equal(sim_stack(t->host)->tcp->count.probes, 1);
    forget(t);
    talk_end(t);
}

/* A receiver that has everything else would delay its ACK for what comes alone. */
static void what_a_timer_sends_asks_for_an_ack_rfc8985_7_3(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 20 * 1448);
    for (uint32_t i = 0; i < 10; i++)
        assert_false(hear(t, "A", 1 + 1448 * i, 1, 1448)->flags & TCP_PSH);
    pass(t, 100);
    hear(t, "PA", 1 + 10 * 1448, 1, 1448); /* the probe, new data */
    pass(t, 300);
    hear(t, "PA", 1, 1, 1448);
    talk_end(t);
}

/* ---- beyond the twenty: found while they were written ---- */

/* RFC 2018 8: the left edge is sent again after a timeout, whether it was sacked or not. */
static void a_peer_that_reneges_gets_its_data_again_rfc2018_8(void **state)
{
    struct talk *t = talk_open(NULL);
    app_send(t, 1, 3 * 1448);
    for (uint32_t i = 0; i < 3; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    const uint32_t edges[] = {1449, 1 + 3 * 1448};
    say_sack(t, 1, 1, 1, edges);
    pass(t, 1000);
    forget(t);
    say(t, "A", 1, 1449, 0); /* and it no longer has what it had sacked */
    forget(t);
    pass(t, 3000);
    hear(t, "A", 1449, 1, 1448);
    forget(t);
    say(t, "A", 1, 2897, 0);
    hear(t, "A", 2897, 1, 1448);
    say(t, "A", 1, 1 + 3 * 1448, 0);
    assert_int_equal(conn_of(t)->snd_una.n, conn_of(t)->snd_nxt.n);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_before_its_turn_waits_and_is_sacked_rfc2018_4),
        cmocka_unit_test(data_that_came_before_is_told_of_rfc2883),
        cmocka_unit_test(each_range_is_told_of_in_three_acks_the_latest_first_rfc2018_4),
        cmocka_unit_test(the_new_parts_of_an_overlap_out_of_order_are_kept_3_10_7_4),
        cmocka_unit_test(an_overlap_of_neighbours_out_of_order_adds_nothing_3_10_7_4),
        cmocka_unit_test(a_part_that_came_before_is_told_of_rfc2883_4_1),
        cmocka_unit_test(each_segment_out_of_order_draws_a_duplicate_ack_rfc5681_4_2),
        cmocka_unit_test(without_sack_a_duplicate_is_acknowledged_once_3_8_6_3),
        cmocka_unit_test(three_duplicates_resend_without_sack_rfc6582),
        cmocka_unit_test(sack_resends_the_hole_only_rfc8985),
        cmocka_unit_test(a_lost_tail_is_probed_rfc8985_7),
        cmocka_unit_test(a_probe_goes_before_the_timeout_rfc8985_7_2),
        cmocka_unit_test(new_data_starts_the_probes_timer_again_rfc8985_7_2),
        cmocka_unit_test(new_data_does_not_put_off_the_probe_for_ever_rfc8985_7_2),
        cmocka_unit_test(what_a_timer_sends_asks_for_an_ack_rfc8985_7_3),
        cmocka_unit_test(a_peer_that_reneges_gets_its_data_again_rfc2018_8),
    };
    return run_scripts(tests, argc, argv);
}
