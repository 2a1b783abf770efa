/* What waiting costs in a task: one await from the making of its future to the return of its value,
 * a task from its start to its end, tasks in turn, a page of memory each. */
#include "bench/harness.h"
#include "bench/settle.h"

#include <leat/future.h>
#include <leat/io.h>
#include <leat/loop.h>
#include <leat/task.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH   32
#define IN_TURN 1024
#define PARKED  10000

struct task_bench {
    struct leat_loop *loop;
    uint64_t count, left;
    struct leat_future *gate; /* what parked tasks wait for */
    double parked_bytes;      /* of resident memory for each of them */
};

static void *task_setup(uint64_t argument)
{
    struct task_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    bench->loop = bench_loop_new();
    return bench;
}

static void task_teardown(void *state)
{
    struct task_bench *bench = state;
    bench_loop_free(bench->loop);
    free(bench);
}

static void gate_settle(void *future)
{
    leat_settle(future, leat_number(1));
}

/* Each future is new, pending when it is awaited, and settled by a job. */
static struct leat_result await_often(void *arg)
{
    struct task_bench *bench = arg;
    for (; bench->left > 0; bench->left--) {
        struct leat_future *future = leat_future_new(bench->loop, NULL);
        if (leat_queue_microtask(bench->loop, gate_settle, future) != 0)
            abort();
        struct leat_result result = leat_await(future);
        bench->count += (uint64_t)leat_result_number(&result);
    }
    return leat_nothing();
}

static void await(void *state, uint64_t iterations)
{
    struct task_bench *bench = state;
    bench->left = iterations * BATCH;
    leat_future_unref(leat_task_start(bench->loop, await_often, bench, 0));
    leat_loop_gate(bench->loop);
}

static struct leat_result count_one(void *arg)
{
    ++*(uint64_t *)arg;
    return leat_nothing();
}

static void start_to_end(void *state, uint64_t iterations)
{
    struct task_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        for (int n = 0; n < BATCH; n++)
            leat_future_unref(leat_task_start(bench->loop, count_one, &bench->count, 0));
        leat_loop_gate(bench->loop);
    }
}

/* ---- many, in turn ---- */

static struct leat_result park_in_turn(void *arg)
{
    struct task_bench *bench = arg;
    while (bench->left > 0) {
        struct leat_result result = leat_await(leat_future_ref(bench->gate));
        bench->count += (uint64_t)leat_result_number(&result);
    }
    return leat_nothing();
}

/* IN_TURN tasks go on once for each iteration, from the same future. */
static void in_turn(void *state, uint64_t iterations)
{
    struct task_bench *bench = state;
    bench->left = iterations;
    bench->gate = leat_future_new(bench->loop, NULL);
    for (int n = 0; n < IN_TURN; n++)
        leat_future_unref(leat_task_start(bench->loop, park_in_turn, bench, 0));
    leat_loop_gate(bench->loop);
    while (bench->left > 0) {
        struct leat_future *gate = bench->gate;
        bench->left--;
        bench->gate = leat_future_new(bench->loop, NULL);
        leat_settle(gate, leat_number(1));
        leat_future_unref(gate);
        leat_loop_gate(bench->loop);
    }
    leat_settle(bench->gate, leat_number(1));
    leat_future_unref(bench->gate);
    leat_loop_gate(bench->loop);
}

/* ---- what one costs that waits ---- */

static double resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2)
        abort();
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static struct leat_result park_once(void *arg)
{
    struct task_bench *bench = arg;
    struct leat_result result = leat_await(leat_future_ref(bench->gate));
    bench->count += (uint64_t)leat_result_number(&result);
    return leat_nothing();
}

static void parked(void *state, uint64_t iterations)
{
    struct task_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        double before = resident_bytes();
        bench->gate = leat_future_new(bench->loop, NULL);
        for (int n = 0; n < PARKED; n++)
            leat_future_unref(leat_task_start(bench->loop, park_once, bench, 0));
        leat_loop_gate(bench->loop);
        if (bench->parked_bytes == 0.0)
            bench->parked_bytes = (resident_bytes() - before) / PARKED;
        leat_settle(bench->gate, leat_number(1));
        leat_future_unref(bench->gate);
        leat_loop_gate(bench->loop);
    }
}

static void parked_report(void *state, struct bench_report *report)
{
    struct task_bench *bench = state;
    bench_counter(report, "bytes", bench->parked_bytes);
}

#define TASK_CASE(label, fn, items, said)                                                          \
    {                                                                                              \
        .name = label, .setup = task_setup, .run = fn, .teardown = task_teardown, .report = said,  \
        .items_per_iteration = items                                                               \
    }

static const struct bench_case cases[] = {
    TASK_CASE("await", await, BATCH, NULL),
    TASK_CASE("start to end", start_to_end, BATCH, NULL),
    TASK_CASE("in turn", in_turn, IN_TURN, NULL),
    TASK_CASE("parked", parked, PARKED, parked_report),
};

BENCH_GROUP(task, cases);
