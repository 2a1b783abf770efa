/* A port that refuses, or reads late: what waits for it does not change. Bugs 13, 14 and 20 of
 * test/bugs. */
#include "test/script/talk.h"

#define EVERYTHING 1000000 /* millionths */

/* ---- bugs 13 and 14: what waits for the port, or is still read by it, does not change ---- */

static void an_ack_that_overtakes_a_retransmission_leaves_it_whole_c18(void **state)
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

static void a_partial_ack_changes_nothing_that_the_port_reads_c18(void **state)
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

static void what_the_port_refuses_waits_and_goes_as_soon_as_it_can_c17(void **state)
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ack_that_overtakes_a_retransmission_leaves_it_whole_c18),
        cmocka_unit_test(a_partial_ack_changes_nothing_that_the_port_reads_c18),
        cmocka_unit_test(what_the_port_refuses_waits_and_goes_as_soon_as_it_can_c17),
    };
    return run_scripts(tests, argc, argv);
}
