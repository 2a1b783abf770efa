/* Sequence numbers that pass 2^31 and 2^32: RFC 9293 3.4, bug 3 of test/bugs. */
#include "test/script/talk.h"

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

/* ---- bug 3: sequence numbers pass 2^31 and 2^32 ---- */

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
    neighbour_learn(sim_stack(t->host), &t->ends.peer, &t->ends.peer_mac, NEIGHBOUR_MAKE);
    sim_leave_quietly(t->host);
    neighbour_answer(sim_stack(t->host), &t->ends.peer, &t->ends.peer_mac,
                     NEIGHBOUR_SOLICITED | NEIGHBOUR_OVERRIDE);
    forget(t);
}

/* Opens when the clock of RFC 6528, of 64 ns, has brought the host's initial number to 400 before
 * corner: a few minutes for the numbers to come round. */
static struct talk *open_before(uint32_t corner)
{
    struct talk *t = talk_listen(&(struct talk_options){.no_sack = true});
    uint64_t first_ns = sim_now(t->sim);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "R", 1, 0, 0);
    uint64_t wait_ns = (uint64_t)(corner - 400 - t->host_iss) << 6;
    sim_run_for(t->sim, first_ns + wait_ns - sim_now(t->sim));
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

/* ---- beyond the twenty: found while they were written ---- */

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
        cmocka_unit_test(after_4_gib_nothing_is_taken_for_the_syn_3_4),
    };
    return run_scripts(tests, argc, argv);
}
