/* What the loop itself costs: a turn without work, a callback of each kind, a post; beside libuv.
 */
#include "bench/harness.h"
#include "bench/settle.h"

#include <leat/io.h>
#include <leat/loop.h>

#include <stdlib.h>
#if BENCH_HAVE_LIBUV
#include <uv.h>
#endif

#define BATCH 32

static void count_up(void *arg)
{
    ++*(uint64_t *)arg;
}

struct loop_bench {
    struct leat_loop *loop, *other;
    struct leat_mesh *mesh;
    uint64_t count;
};

static void *loop_setup(uint64_t argument)
{
    struct loop_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    if ((bench->mesh = leat_mesh_new(2, NULL)) == NULL)
        abort();
    struct leat_loop_options options = {.mesh = bench->mesh, .busy_poll = true};
    bench->other = leat_loop_new(&options, NULL);
    options.index = 1;
    bench->loop = leat_loop_new(&options, NULL); /* the current one */
    if (bench->other == NULL || bench->loop == NULL)
        abort();
    bench_settle_clock(bench->other);
    bench_settle_clock(bench->loop);
    leat_loop_ref(bench->loop);
    return bench;
}

static void loop_teardown(void *state)
{
    struct loop_bench *bench = state;
    leat_loop_unref(bench->loop);
    leat_loop_free(bench->loop);
    leat_loop_free(bench->other);
    leat_mesh_free(bench->mesh);
    free(bench);
}

static void empty_turn(void *state, uint64_t iterations)
{
    struct loop_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++)
        leat_loop_turn(bench->loop, 0);
}

static void next_tick(void *state, uint64_t iterations)
{
    struct loop_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        for (int n = 0; n < BATCH; n++)
            if (leat_next_tick(bench->loop, count_up, &bench->count) != 0)
                abort();
        leat_loop_gate(bench->loop);
    }
}

static void immediate(void *state, uint64_t iterations)
{
    struct loop_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        for (int n = 0; n < BATCH; n++)
            if (leat_set_immediate(bench->loop, count_up, &bench->count) == 0)
                abort();
        leat_loop_turn(bench->loop, 0);
    }
}

static void send_batch(void *arg)
{
    struct loop_bench *bench = arg;
    for (int n = 0; n < BATCH; n++)
        if (leat_loop_post(bench->other, count_up, &bench->count) != 0)
            abort();
}

/* Both ends on one thread: the cost without the cache misses between cores. */
static void post(void *state, uint64_t iterations)
{
    struct loop_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        if (leat_loop_pend(bench->loop, send_batch, bench) != 0)
            abort();
        leat_loop_turn(bench->loop, 0);
        leat_loop_turn(bench->other, 0);
    }
}

#define LOOP_CASE(label, fn, items)                                                                \
    {                                                                                              \
        .name = label, .setup = loop_setup, .run = fn, .teardown = loop_teardown,                  \
        .items_per_iteration = items                                                               \
    }

#if BENCH_HAVE_LIBUV
static void uv_never(uv_timer_t *timer)
{
    abort();
}

struct uv_turn_bench {
    uv_loop_t loop;
    uv_timer_t timer;
};

static void *uv_turn_setup(uint64_t argument)
{
    struct uv_turn_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    if (uv_loop_init(&bench->loop) != 0)
        abort();
    uv_timer_init(&bench->loop, &bench->timer);
    uv_timer_start(&bench->timer, uv_never, 1000000000, 0);
    return bench;
}

static void uv_turn_teardown(void *state)
{
    struct uv_turn_bench *bench = state;
    uv_close((uv_handle_t *)&bench->timer, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    uv_loop_close(&bench->loop);
    free(bench);
}

/* libuv's way to another thread's loop, which runs the callback once for many sends. */
struct uv_async_bench {
    uv_loop_t loop;
    uv_async_t async;
    uint64_t count;
};

static void uv_count_up(uv_async_t *async)
{
    count_up(async->data);
}

static void *uv_async_setup(uint64_t argument)
{
    struct uv_async_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    if (uv_loop_init(&bench->loop) != 0 ||
        uv_async_init(&bench->loop, &bench->async, uv_count_up) != 0)
        abort();
    bench->async.data = &bench->count;
    return bench;
}

static void uv_async_teardown(void *state)
{
    struct uv_async_bench *bench = state;
    uv_close((uv_handle_t *)&bench->async, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    uv_loop_close(&bench->loop);
    free(bench);
}

static void uv_async(void *state, uint64_t iterations)
{
    struct uv_async_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        uv_async_send(&bench->async);
        uv_run(&bench->loop, UV_RUN_NOWAIT);
    }
}

static void uv_turn(void *state, uint64_t iterations)
{
    struct uv_turn_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++)
        uv_run(&bench->loop, UV_RUN_NOWAIT);
}
#endif

static const struct bench_case cases[] = {
    LOOP_CASE("empty turn", empty_turn, 0),
#if BENCH_HAVE_LIBUV
    /* With one system call: libuv looks at its descriptors each time. */
    {.name = "empty turn libuv",
     .setup = uv_turn_setup,
     .run = uv_turn,
     .teardown = uv_turn_teardown,
     .is_alternative = true},
#endif
    LOOP_CASE("32 next ticks", next_tick, BATCH),
    LOOP_CASE("32 immediates and a turn", immediate, BATCH),
    LOOP_CASE("32 posts and two turns", post, BATCH),
#if BENCH_HAVE_LIBUV
    {.name = "one post and a turn libuv",
     .setup = uv_async_setup,
     .run = uv_async,
     .teardown = uv_async_teardown,
     .is_alternative = true},
#endif
};

BENCH_GROUP(loop, cases);
