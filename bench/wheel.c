/* Timers with 10 million pending: the loop's wheel beside libuv's heap. Both read the clock as
 * their users do: Leat when a timer is started, libuv once per turn of its loop, so that its cases
 * have no clock in them. */
#include "bench/harness.h"
#include "bench/settle.h"

#include <leat/loop.h>
#include <leat/timer.h>

#include <stdlib.h>

#include "runtime/loop/wheel.h"
#if BENCH_HAVE_LIBUV
#include <uv.h>
#endif

#define PENDING    10000000
#define COUNTED    10000   /* pending when instructions are counted: no more are spent on more */
#define UV_COUNTED 1000000 /* its heap: a few levels less */
#define BATCH      64
#define HOUR_MS    3600000

struct wheel_bench {
    struct leat_loop *loop;
    struct leat_timer *timers; /* so many that are pending, then one that is not */
    uint64_t pending, random, now_ns;
    struct wheel wheel; /* of "start and fire", which needs no loop */
};

static void never(struct leat_timer *timer, void *arg)
{
    abort();
}

static void *wheel_setup(uint64_t pending)
{
    struct wheel_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    if ((bench->loop = leat_loop_new(NULL, NULL)) == NULL)
        abort();
    bench_settle_clock(bench->loop);
    bench->timers = calloc(pending + 1, sizeof(*bench->timers));
    if (bench->timers == NULL)
        abort();
    bench->pending = pending;
    bench->random = 1;
    for (uint64_t i = 0; i <= pending; i++) {
        leat_timer_init(&bench->timers[i], bench->loop, never, NULL);
        if (i < pending)
            leat_timer_start(&bench->timers[i],
                             (bench_random(&bench->random) % HOUR_MS + HOUR_MS) * LEAT_NS_PER_MS,
                             0);
    }
    return bench;
}

static void wheel_teardown(void *state)
{
    struct wheel_bench *bench = state;
    for (uint64_t i = 0; i <= bench->pending; i++)
        leat_timer_stop(&bench->timers[i]);
    leat_loop_free(bench->loop);
    free(bench->timers);
    free(bench);
}

/* The deadline of one connection, put off with each request. */
static void wheel_restart(void *state, uint64_t iterations)
{
    struct wheel_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++)
        leat_timer_start(&bench->timers[0], 2 * HOUR_MS * LEAT_NS_PER_MS, 0);
    bench_keep(bench->timers);
}

static void wheel_clock(void *state, uint64_t iterations)
{
    struct wheel_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++)
        bench_keep_value(leat_loop_clock(bench->loop));
}

static void wheel_start_stop(void *state, uint64_t iterations)
{
    struct wheel_bench *bench = state;
    struct leat_timer *timer = &bench->timers[bench->pending];
    for (uint64_t i = 0; i < iterations; i++) {
        leat_timer_start(timer, bench_random(&bench->random) % HOUR_MS * LEAT_NS_PER_MS, 0);
        leat_timer_stop(timer);
    }
}

/* Another timer each time, to an earlier or later deadline: memory that no cache holds. */
static void wheel_restart_any(void *state, uint64_t iterations)
{
    struct wheel_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        struct leat_timer *timer = &bench->timers[bench_random(&bench->random) % bench->pending];
        uint64_t delay_ms = bench_random(&bench->random) % HOUR_MS + HOUR_MS;
        leat_timer_start(timer, delay_ms * LEAT_NS_PER_MS, 0);
    }
}

/* The wheel alone, in virtual time: BATCH timers that fire within a millisecond. */
static void wheel_fire(void *state, uint64_t iterations)
{
    struct wheel_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i += BATCH) {
        for (unsigned n = 0; n < BATCH; n++)
            wheel_start(&bench->wheel, &bench->timers[n],
                        bench->now_ns + bench_random(&bench->random) % LEAT_NS_PER_MS);
        bench->now_ns += 2 * LEAT_NS_PER_MS;
        wheel_advance(&bench->wheel, bench->now_ns, UINT32_MAX);
        for (unsigned n = 0; n < BATCH; n++)
            if (wheel_take(&bench->wheel) == NULL)
                abort();
    }
}

static void *fire_setup(uint64_t count)
{
    struct wheel_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    bench->timers = calloc(count, sizeof(*bench->timers));
    if (bench->timers == NULL)
        abort();
    bench->random = 1;
    bench->now_ns = LEAT_NS_PER_S;
    wheel_init(&bench->wheel, bench->now_ns);
    return bench;
}

static void fire_teardown(void *state)
{
    struct wheel_bench *bench = state;
    free(bench->timers);
    free(bench);
}

#if BENCH_HAVE_LIBUV
struct uv_bench {
    uv_loop_t loop;
    uv_timer_t *timers;
    uint64_t count, random, delay_ms;
};

static void uv_never(uv_timer_t *timer)
{
    abort();
}

static struct uv_bench *uv_new(uint64_t count, uint64_t pending)
{
    struct uv_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    if (uv_loop_init(&bench->loop) != 0)
        abort();
    bench->timers = calloc(count, sizeof(*bench->timers));
    if (bench->timers == NULL)
        abort();
    bench->count = count;
    bench->random = 1;
    bench->delay_ms = 2 * HOUR_MS;
    for (uint64_t i = 0; i < count; i++) {
        uv_timer_init(&bench->loop, &bench->timers[i]);
        if (i < pending)
            uv_timer_start(&bench->timers[i], uv_never,
                           bench_random(&bench->random) % HOUR_MS + HOUR_MS, 0);
    }
    return bench;
}

static void *uv_setup(uint64_t pending)
{
    return uv_new(pending + 1, pending);
}

static void *uv_fire_setup(uint64_t count)
{
    return uv_new(count, 0);
}

static void uv_teardown(void *state)
{
    struct uv_bench *bench = state;
    for (uint64_t i = 0; i < bench->count; i++)
        uv_close((uv_handle_t *)&bench->timers[i], NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    uv_loop_close(&bench->loop);
    free(bench->timers);
    free(bench);
}

static void uv_restart(void *state, uint64_t iterations)
{
    struct uv_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++)
        uv_timer_start(&bench->timers[0], uv_never, bench->delay_ms++, 0);
}

static void uv_start_stop(void *state, uint64_t iterations)
{
    struct uv_bench *bench = state;
    uv_timer_t *timer = &bench->timers[bench->count - 1];
    for (uint64_t i = 0; i < iterations; i++) {
        uv_timer_start(timer, uv_never, bench_random(&bench->random) % HOUR_MS, 0);
        uv_timer_stop(timer);
    }
}

static void uv_restart_any(void *state, uint64_t iterations)
{
    struct uv_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        uv_timer_t *timer = &bench->timers[bench_random(&bench->random) % (bench->count - 1)];
        uint64_t delay_ms = bench_random(&bench->random) % HOUR_MS + HOUR_MS;
        uv_timer_start(timer, uv_never, delay_ms, 0);
    }
}
/* BATCH that are due in one turn, with its system call; libuv's timers are in milliseconds. */
static void uv_fired(uv_timer_t *timer)
{
}

static void uv_fire(void *state, uint64_t iterations)
{
    struct uv_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i += BATCH) {
        for (unsigned n = 0; n < BATCH; n++)
            uv_timer_start(&bench->timers[n], uv_fired, 0, 0);
        uv_run(&bench->loop, UV_RUN_NOWAIT);
    }
}
#define UV_CASE(label, fn)                                                                         \
    {                                                                                              \
        .name = label " libuv", .setup = uv_setup, .run = fn, .teardown = uv_teardown,             \
        .argument = PENDING, .counted_argument = UV_COUNTED, .is_alternative = true                \
    }
#endif

#define WHEEL_CASE(label, fn)                                                                      \
    {                                                                                              \
        .name = label, .setup = wheel_setup, .run = fn, .teardown = wheel_teardown,                \
        .argument = PENDING, .counted_argument = COUNTED                                           \
    }

static const struct bench_case cases[] = {
    WHEEL_CASE("restart one of 10M", wheel_restart),
    WHEEL_CASE("restart any of 10M", wheel_restart_any),
    WHEEL_CASE("start and stop beside 10M", wheel_start_stop),
#if BENCH_HAVE_LIBUV
    UV_CASE("restart one of 10M", uv_restart),
    UV_CASE("restart any of 10M", uv_restart_any),
    UV_CASE("start and stop beside 10M", uv_start_stop),
#endif
    WHEEL_CASE("read the clock", wheel_clock),
    {.name = "start and fire",
     .setup = fire_setup,
     .run = wheel_fire,
     .teardown = fire_teardown,
     .argument = BATCH},
#if BENCH_HAVE_LIBUV
    {.name = "start and fire libuv",
     .setup = uv_fire_setup,
     .run = uv_fire,
     .teardown = uv_teardown,
     .argument = BATCH,
     .is_alternative = true},
#endif
};

BENCH_GROUP(wheel, cases);
