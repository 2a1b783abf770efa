/* Bugs that home-made stacks have, where no clause of an RFC names the conversation that shows
 * them. The numbers are those of test/bugs. */
#include "test/script/talk.h"

#define EVERYTHING 1000000 /* millionths */

/* ---- bug 3: sequence numbers pass 2^31 and 2^32 ---- */

static void the_peers_numbers_pass(uint32_t corner)
{
    struct talk *t = talk_listen(NULL);
    t->peer_iss = corner - 150;
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    say(t, "A", 201, 1, 100); /* behind the corner */
    hear(t, "A", 1, 1, 0);
    say(t, "A", 101, 1, 100); /* across it */
    hear(t, "A", 1, 1, 0);
    say(t, "A", 1, 1, 100);
    hear(t, "A", 1, 301, 0);
    assert_int_equal(t->received, 300);
    say(t, "A", 1, 1, 100); /* again, from before the corner */
    hear(t, "A", 1, 301, 0);
    say(t, "FA", 301, 1, 100);
    hear(t, "A", 1, 402, 0);
    assert_int_equal(t->received, 400);
    assert_int_equal(t->ends_seen, 1);
    talk_end(t);
}

static void the_peers_sequence_numbers_pass_2_32_3_4(void **state)
{
    the_peers_numbers_pass(0);
}

static void the_peers_sequence_numbers_pass_2_31_3_4(void **state)
{
    the_peers_numbers_pass(UINT32_C(1) << 31);
}

static void keep_neighbour(struct talk *t)
{
    sim_enter_quietly(t->host);
    neighbour_learn(sim_stack(t->host), &t->ends.peer, &t->ends.peer_mac, true);
    sim_leave_quietly(t->host);
    neighbour_answer(sim_stack(t->host), &t->ends.peer, &t->ends.peer_mac, true, true, false);
    forget(t);
}

/* Opens when the clock of RFC 6528 has brought the host's initial number to less than 500 before
 * corner: a few hours for the numbers to come round. */
static struct talk *open_before(uint32_t corner)
{
    struct talk *t = talk_listen(&(struct talk_options){.no_sack = true});
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "R", 1, 0, 0);
    sim_run_for(t->sim, (uint64_t)(corner - 700 - t->host_iss) << 12);
    keep_neighbour(t);
    t->host_iss_known = false;
    t->ts_value += 1000;
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    assert_true(corner - t->host_iss > 100 && corner - t->host_iss < 800);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    return t;
}

static void our_numbers_pass(uint32_t corner)
{
    struct talk *t = open_before(corner);
    app_send(t, 1, 3 * 1448);
    for (uint32_t i = 0; i < 3; i++)
        hear(t, "A", 1 + 1448 * i, 1, 1448);
    say(t, "A", 1, 51, 0); /* before the corner, in the segment that crosses it */
    pass(t, 400);
    hear(t, "A", 51, 1, 1448);
    say(t, "A", 1, 1449, 0); /* behind it */
    forget(t);
    say(t, "A", 1, 1 + 3 * 1448, 0);
    assert_int_equal(conn_of(t)->snd_una.n, conn_of(t)->snd_nxt.n);
    app_end(t);
    hear(t, "FA", 1 + 3 * 1448, 1, 0);
    say(t, "FA", 1, 2 + 3 * 1448, 0);
    assert_int_equal(t->closes, 1);
    assert_int_equal(t->reason, LEAT_CLOSE_DONE);
    talk_end(t);
}

static void our_sequence_numbers_pass_2_32_3_4(void **state)
{
    our_numbers_pass(0);
}

static void our_sequence_numbers_pass_2_31_3_4(void **state)
{
    our_numbers_pass(UINT32_C(1) << 31);
}

/* ---- bug 10 ---- */

static void text_that_reaches_into_what_waits_is_not_given_twice(void **state)
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

/* ---- bugs 13 and 14: what waits for the port, or is still read by it, does not change ---- */

static void an_ack_that_overtakes_a_retransmission_leaves_it_whole(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    app_send(t, 1, 1000);
    hear(t, "A", 1, 1, 1000);
    sim_port(t->host)->tx_refuse_ppm = EVERYTHING;
    pass(t, 300);
    quiet(t); /* the retransmission waits in the backlog */
    say(t, "A", 1, 1001, 0);
    app_send(t, 1001, 1000); /* into the memory that the ACK made free, if it did */
    sim_port(t->host)->tx_refuse_ppm = 0;
    pass(t, 1);
    hear(t, "A", 1, 1, 1000);
    hear(t, "A", 1001, 1, 1000);
    say(t, "A", 1, 2001, 0);
    pass(t, 1000);
    quiet(t);
    talk_end(t);
}

static void a_partial_ack_changes_nothing_that_the_port_reads(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    sim_port(t->host)->completion_ns = 100 * LEAT_NS_PER_MS;
    app_send(t, 1, 1400); /* one buffer */
    hear(t, "A", 1, 1, 1400);
    say(t, "A", 1, 701, 0);
    pass(t, 200);
    say(t, "A", 1, 1401, 0);
    pass(t, 1000);
    talk_end(t);
}

/* ---- bug 20 ---- */

static void what_the_port_refuses_waits_and_goes_as_soon_as_it_can(void **state)
{
    struct talk *t = talk_open(NULL);
    sim_port(t->host)->tx_refuse_ppm = EVERYTHING;
    app_send(t, 1, 1000);
    quiet(t);
    sim_port(t->host)->tx_refuse_ppm = 0;
    pass(t, 1); /* long before a timeout */
    hear(t, "A", 1, 1, 1000);
    quiet(t);
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

/* The numbers come round: what is sent again 4 GiB later is no SYN. */
static void after_4_gib_nothing_is_taken_for_the_syn_3_4(void **state)
{
    struct talk *t = talk_open(&(struct talk_options){.no_sack = true});
    conn_of(t)->iss = conn_of(t)->snd_nxt;
    app_send(t, 1, 100);
    hear(t, "A", 1, 1, 100);
    pass(t, 300);
    hear(t, "A", 1, 1, 100);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_peers_sequence_numbers_pass_2_32_3_4),
        cmocka_unit_test(the_peers_sequence_numbers_pass_2_31_3_4),
        cmocka_unit_test(our_sequence_numbers_pass_2_32_3_4),
        cmocka_unit_test(our_sequence_numbers_pass_2_31_3_4),
        cmocka_unit_test(text_that_reaches_into_what_waits_is_not_given_twice),
        cmocka_unit_test(an_ack_that_overtakes_a_retransmission_leaves_it_whole),
        cmocka_unit_test(a_partial_ack_changes_nothing_that_the_port_reads),
        cmocka_unit_test(what_the_port_refuses_waits_and_goes_as_soon_as_it_can),
        cmocka_unit_test(a_peer_that_reneges_gets_its_data_again_rfc2018_8),
        cmocka_unit_test(a_stranger_cannot_move_the_timestamp_rfc7323_5_3),
        cmocka_unit_test(after_4_gib_nothing_is_taken_for_the_syn_3_4),
    };
    return run_scripts(tests, argc, argv);
}
