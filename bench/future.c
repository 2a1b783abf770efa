/* What a future costs from its making to its end: with a reaction, a derived future, a callback in
 * the poll phase, in a combination; beside a bare microtask. */
#include "bench/harness.h"
#include "bench/settle.h"

#include <leat/future.h>
#include <leat/io.h>
#include <leat/loop.h>

#include <stdlib.h>

#define BATCH 32

struct future_bench {
    struct leat_loop *loop;
    uint64_t count;
};

static void *future_setup(uint64_t argument)
{
    struct future_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    bench->loop = bench_loop_new();
    return bench;
}

static void future_teardown(void *state)
{
    struct future_bench *bench = state;
    bench_loop_free(bench->loop);
    free(bench);
}

static void done_count(void *arg, const struct leat_result *result)
{
    *(uint64_t *)arg += (uint64_t)leat_result_number(result);
}

static struct leat_result then_next(void *arg, const struct leat_result *result)
{
    return leat_number(leat_result_number(result) + 1);
}

static void job_count(void *arg)
{
    ++*(uint64_t *)arg;
}

static void microtask(void *state, uint64_t iterations)
{
    struct future_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        for (int n = 0; n < BATCH; n++)
            (void)leat_queue_microtask(bench->loop, job_count, &bench->count);
        leat_loop_gate(bench->loop);
    }
}

/* Made, reacted to, settled, run, dropped. */
static void reaction(void *state, uint64_t iterations)
{
    struct future_bench *bench = state;
    struct leat_future *futures[BATCH];
    for (uint64_t i = 0; i < iterations; i++) {
        for (int n = 0; n < BATCH; n++) {
            futures[n] = leat_future_new(bench->loop, NULL);
            leat_on_settled(futures[n], done_count, &bench->count);
            leat_future_unref(futures[n]);
        }
        for (int n = 0; n < BATCH; n++)
            leat_settle(futures[n], leat_number(1));
        leat_loop_gate(bench->loop);
    }
}

static void then(void *state, uint64_t iterations)
{
    struct future_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        for (int n = 0; n < BATCH; n++) {
            struct leat_future *future = leat_future_new(bench->loop, NULL);
            struct leat_future *derived = leat_then(future, then_next, NULL, NULL);
            leat_on_settled(derived, done_count, &bench->count);
            leat_future_unref(derived);
            leat_settle(future, leat_number(1));
            leat_future_unref(future);
        }
        leat_loop_gate(bench->loop);
    }
}

static void call(void *state, uint64_t iterations)
{
    struct future_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        for (int n = 0; n < BATCH; n++) {
            struct leat_future *future = leat_future_new(bench->loop, NULL);
            leat_call(future, done_count, &bench->count);
            leat_settle(future, leat_number(1));
        }
        leat_loop_turn(bench->loop, 0);
    }
}

static void all_of_four(void *state, uint64_t iterations)
{
    struct future_bench *bench = state;
    struct leat_future *futures[4];
    for (uint64_t i = 0; i < iterations; i++) {
        for (int n = 0; n < 4; n++)
            futures[n] = leat_settled(bench->loop, leat_number(n));
        struct leat_future *all = leat_all(bench->loop, futures, 4);
        leat_loop_gate(bench->loop);
        leat_future_unref(all);
    }
}

#define FUTURE_CASE(label, fn, items)                                                              \
    {                                                                                              \
        .name = label, .setup = future_setup, .run = fn, .teardown = future_teardown,              \
        .items_per_iteration = items                                                               \
    }

static const struct bench_case cases[] = {
    FUTURE_CASE("microtask", microtask, BATCH), FUTURE_CASE("reaction", reaction, BATCH),
    FUTURE_CASE("then", then, BATCH),           FUTURE_CASE("call", call, BATCH),
    FUTURE_CASE("all of four", all_of_four, 0),
};

BENCH_GROUP(future, cases);
