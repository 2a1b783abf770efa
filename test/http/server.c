/* The table of conversations over the transport in memory: each request whole, one byte at a time,
 * and cut in two at every place, as two deliveries and as two slices of one. */
#include "test/http/bench.h"

#include <stdio.h>
#include <string.h>

enum way { WAY_WHOLE, WAY_BYTES, WAY_DELIVERIES, WAY_SLICES };

static struct bench bench;

static void deliver(struct wire_conn *conn, const struct conversation *c, enum way way, size_t cut)
{
    size_t length = strlen(c->request), cuts[2] = {cut, length};

    switch (way) {
    case WAY_WHOLE:
        wire_feed(bench.wire, conn, c->request, length);
        break;
    case WAY_BYTES:
        for (size_t i = 0; i < length; i++)
            wire_feed(bench.wire, conn, c->request + i, 1);
        break;
    case WAY_DELIVERIES:
        wire_feed(bench.wire, conn, c->request, cut);
        wire_settle(bench.wire);
        if (conn->soon && !c->overruns)
            fail_msg("%s: sends on behind its close: .overruns", c->name);
        wire_feed(bench.wire, conn, c->request + cut, length - cut);
        break;
    case WAY_SLICES:
        wire_slices(bench.wire, conn, c->request, cuts, 2);
        break;
    }
    if (c->ends)
        wire_end(bench.wire, conn);
    wire_settle(bench.wire);
}

static void check_text(const struct conversation *c, const struct wire_conn *conn)
{
    const char *sent = (const char *)conn->sent;

    if ((c->has && !strstr(sent, c->has)) || (c->lacks && strstr(sent, c->lacks)))
        fail_msg("%s: the response must have \"%s\" and lack \"%s\":\n%s", c->name,
                 c->has ? c->has : "", c->lacks ? c->lacks : "", sent);
}

static void play(const struct conversation *c, enum way way, size_t cut)
{
    struct wire_conn *conn = bench_connect(&bench);
    char text[OUTCOME_BYTES], expected[OUTCOME_BYTES];

    snprintf(expected, sizeof(expected), "%s", c->outcome);
    if (way != WAY_WHOLE)
        outcome_strip_interim(expected);
    deliver(conn, c, way, cut);
    for (unsigned i = 0; i < 5; i++) {
        bench_outcome(conn, c->heads, text);
        if (way != WAY_WHOLE)
            outcome_strip_interim(text);
        if (strcmp(text, expected) == 0)
            break;
        wire_pass(bench.wire, APP_LATER_NS);
    }
    if (strcmp(text, expected) != 0)
        fail_msg("%s (way %d, cut at %zu):\n  expected %s\n  got      %s", c->name, way, cut,
                 expected, text);
    check_text(c, conn);
    wire_drop(bench.wire, conn);
    wire_settle(bench.wire);
    bench_check_rest(&bench);
}

static void played_whole(void **state)
{
    for (unsigned i = 0; i < conversation_count; i++)
        play(&conversations[i], WAY_WHOLE, 0);
}

static void played_byte_by_byte(void **state)
{
    for (unsigned i = 0; i < conversation_count; i++)
        play(&conversations[i], WAY_BYTES, 0);
}

static void played_cut(enum way way)
{
    for (unsigned i = 0; i < conversation_count; i++)
        for (size_t cut = 1; cut < strlen(conversations[i].request); cut++)
            play(&conversations[i], way, cut);
}

static void played_in_two_deliveries(void **state)
{
    played_cut(WAY_DELIVERIES);
}

static void played_in_two_slices(void **state)
{
    played_cut(WAY_SLICES);
}

/* The client vanishes behind every byte, with whatever is in progress. */
static void the_client_vanishes_everywhere(void **state)
{
    for (unsigned i = 0; i < conversation_count; i++) {
        size_t length = strlen(conversations[i].request);
        for (size_t cut = 0; cut <= length; cut++) {
            struct wire_conn *conn = bench_connect(&bench);
            wire_feed(bench.wire, conn, conversations[i].request, cut);
            wire_reset(bench.wire, conn);
            wire_drop(bench.wire, conn);
            wire_settle(bench.wire);
            bench_check_rest(&bench);
        }
    }
    wire_pass(bench.wire, 4 * APP_LATER_NS);
    bench_check_rest(&bench);
    assert_true(bench.app.aborted_count > 0);
}

static int group_setup(void **state)
{
    struct leat_http_options options = bench_options();

    bench_init(&bench, &options);
    return 0;
}

static int group_teardown(void **state)
{
    bench_fini(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(played_whole),
        cmocka_unit_test(played_byte_by_byte),
        cmocka_unit_test(played_in_two_deliveries),
        cmocka_unit_test(played_in_two_slices),
        cmocka_unit_test(the_client_vanishes_everywhere),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
