/* Timers as users see them: on a loop, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <leat/loop.h>
#include <leat/metrics.h>
#include <leat/timer.h>

#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/loop/wheel.h"

#define MS LEAT_NS_PER_MS

struct world {
    struct leat_clock clock; /* first */
    uint64_t now_ns;
    struct leat_loop *loop;
    struct leat_timer timers[4];
    leat_timeout heap;
    uint64_t fired_ns[64];
    char fired[64]; /* which, in order */
    unsigned fired_count;
    uint64_t count;
};

static uint64_t world_now(const struct leat_clock *clock)
{
    return ((const struct world *)clock)->now_ns;
}

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof(*world));
    world->clock.now = world_now;
    struct leat_loop_options options = {.clock = &world->clock, .seed = 1};
    world->loop = leat_loop_new(&options, NULL);
    assert_non_null(world->loop);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 4; i++)
        if (world->timers[i].loop != NULL)
            leat_timer_stop(&world->timers[i]);
    leat_loop_free(world->loop);
    test_free(world);
    return 0;
}

/* Lets time jump to whatever comes next, until end_ns; returns the number of turns. */
static unsigned world_run_until(struct world *world, uint64_t end_ns)
{
    for (unsigned turns = 0;; turns++) {
        leat_loop_turn(world->loop, 0);
        uint64_t nap_ns = leat_loop_nap_ns(world->loop);
        if (nap_ns > end_ns - world->now_ns) {
            world->now_ns = end_ns;
            return turns;
        }
        world->now_ns += nap_ns;
    }
}

static void fire(struct leat_timer *timer, void *arg)
{
    struct world *world = arg;
    unsigned i = (unsigned)(timer - world->timers);
    assert_true(world->now_ns >= timer->deadline_ns);
    if (world->fired_count < 64) {
        world->fired[world->fired_count] = (char)('a' + i);
        world->fired_ns[world->fired_count++] = world->now_ns;
    }
    world->count++;
}

static void start(struct world *world, int i, leat_timer_fn *fn, uint64_t delay_ns,
                  uint64_t period_ns)
{
    leat_timer_init(&world->timers[i], world->loop, fn, world);
    leat_timer_start(&world->timers[i], delay_ns, period_ns);
}

static void test_equal_deadlines_in_the_order_of_their_start(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 4; i++)
        start(world, i, fire, 10 * MS, 0);
    leat_timer_start(&world->timers[1], 10 * MS, 0); /* restarted: last */
    leat_timer_start_at(&world->timers[0], 10 * MS); /* and now this one is */
    leat_timer_start(&world->timers[2], 10 * MS, 0);
    world_run_until(world, LEAT_NS_PER_S);
    assert_string_equal(world->fired, "dbac");
    assert_false(leat_timer_is_started(&world->timers[0]));
}

static void test_an_interval_does_not_drift_and_skips_what_it_missed(void **state)
{
    struct world *world = *state;
    start(world, 0, fire, 10 * MS, 10 * MS);
    world->now_ns = 13 * MS; /* late */
    leat_loop_turn(world->loop, 0);
    world_run_until(world, 25 * MS);
    assert_int_equal(world->count, 2);
    assert_in_range(world->fired_ns[1], 20 * MS, 20 * MS + LEAT_TIMER_TICK_NS);
    world->now_ns = 68 * MS; /* 30, 40, 50 and 60 at once */
    leat_loop_turn(world->loop, 0);
    assert_int_equal(world->count, 3);
    world_run_until(world, 75 * MS);
    assert_int_equal(world->count, 4);
    assert_in_range(world->fired_ns[3], 70 * MS, 70 * MS + LEAT_TIMER_TICK_NS);
    assert_true(leat_timer_is_started(&world->timers[0]));
}

static void again_at_once(struct leat_timer *timer, void *arg)
{
    fire(timer, arg);
    leat_timer_start(timer, 0, 0);
}

static void test_a_timer_started_by_a_timer_waits_for_the_next_turn(void **state)
{
    struct world *world = *state;
    start(world, 0, again_at_once, 0, 0);
    world->now_ns += LEAT_TIMER_TICK_NS;
    for (unsigned turn = 1; turn <= 5; turn++) {
        leat_loop_turn(world->loop, 0);
        assert_int_equal(world->count, turn);
        assert_int_equal(leat_loop_nap_ns(world->loop) <= LEAT_TIMER_TICK_NS, 1);
        world->now_ns += LEAT_TIMER_TICK_NS;
    }
}

static void stop_and_start_others(struct leat_timer *timer, void *arg)
{
    struct world *world = arg;
    fire(timer, arg);
    leat_timer_stop(&world->timers[1]);             /* due in this very turn */
    leat_timer_start(&world->timers[2], 5 * MS, 0); /* was due too */
    leat_timer_stop(timer);                         /* its own period */
    assert_false(leat_timer_is_started(timer));
}

static void test_a_callback_may_touch_any_timer(void **state)
{
    struct world *world = *state;
    start(world, 0, stop_and_start_others, 10 * MS, 10 * MS);
    for (int i = 1; i < 4; i++)
        start(world, i, fire, 10 * MS, 0);
    world_run_until(world, LEAT_NS_PER_S);
    assert_string_equal(world->fired, "adc");
    assert_false(leat_loop_is_alive(world->loop));
}

static void restart_own_interval(struct leat_timer *timer, void *arg)
{
    fire(timer, arg);
    assert_true(leat_timer_is_started(timer));
    leat_timer_start(timer, 100 * MS, 0); /* once more, and that is all */
    timer->fn = fire;
}

static void test_a_callback_may_restart_its_own_interval(void **state)
{
    struct world *world = *state;
    start(world, 0, restart_own_interval, 10 * MS, 10 * MS);
    world_run_until(world, LEAT_NS_PER_S);
    assert_int_equal(world->count, 2);
    assert_in_range(world->fired_ns[1], 110 * MS, 111 * MS);
}

static void free_itself(struct leat_timer *timer, void *arg)
{
    ((struct world *)arg)->count++;
    free(timer);
}

static void test_a_timer_that_fires_once_may_free_itself(void **state)
{
    struct world *world = *state;
    struct leat_timer *timer = malloc(sizeof(*timer));
    leat_timer_init(timer, world->loop, free_itself, world);
    leat_timer_start(timer, MS, 0);
    world_run_until(world, 2 * MS);
    assert_int_equal(world->count, 1);
}

static void count_heap(struct leat_timer *timer, void *arg)
{
    struct world *world = arg;
    if (++world->count == 3)
        leat_clear_timeout(world->heap);
}

static void refresh_twice(struct leat_timer *timer, void *arg)
{
    struct world *world = arg;
    if (++world->count < 3)
        leat_timer_refresh(timer);
}

static void test_timeouts_and_intervals_free_themselves(void **state)
{
    struct world *world = *state;
    world->heap = leat_set_interval(world->loop, count_heap, world, 10);
    world_run_until(world, 100 * MS);
    assert_int_equal(world->count, 3);
    world->count = 0;
    assert_int_not_equal(leat_set_timeout(world->loop, refresh_twice, world, 10), 0);
    world_run_until(world, 125 * MS);
    assert_int_equal(world->count, 2);
    world_run_until(world, 200 * MS);
    assert_int_equal(world->count, 3);
    leat_clear_timeout(leat_set_timeout(world->loop, count_heap, world, 10));
    leat_clear_timeout(0);
    assert_false(leat_loop_is_alive(world->loop));
    /* A delay of 0 is one of 1 ms, as in Node. */
    world->count = 0;
    leat_set_timeout(world->loop, count_heap, world, 0);
    world_run_until(world, world->now_ns + MS - LEAT_TIMER_TICK_NS);
    assert_int_equal(world->count, 0);
    world_run_until(world, world->now_ns + 2 * LEAT_TIMER_TICK_NS);
    assert_int_equal(world->count, 1);
}

static void count_up(struct leat_timer *timer, void *arg)
{
    ++*(unsigned *)arg;
}

static void stop_itself(struct leat_timer *timer, void *arg)
{
    ++*(unsigned *)arg;
    leat_timer_stop(timer);
}

/* Cleared late, or twice; the place of the first is the second's by then. */
static void test_a_handle_outlives_its_timer(void **state)
{
    struct world *world = *state;
    unsigned fired = 0;
    leat_timeout old = leat_set_timeout(world->loop, count_up, &fired, 1);
    assert_non_null(leat_timeout_timer(old));
    world_run_until(world, world->now_ns + 10 * MS);
    assert_int_equal(fired, 1);
    assert_null(leat_timeout_timer(old));
    leat_timeout next = leat_set_timeout(world->loop, count_up, &fired, 1);
    assert_true(next != old);
    leat_clear_timeout(old);
    leat_clear_timeout(old);
    world_run_until(world, world->now_ns + 10 * MS);
    assert_int_equal(fired, 2);
    leat_timeout interval = leat_set_interval(world->loop, stop_itself, &fired, 1);
    world_run_until(world, world->now_ns + 10 * MS);
    assert_int_equal(fired, 3);
    assert_null(leat_timeout_timer(interval));
    leat_clear_timeout(interval);
    assert_false(leat_loop_is_alive(world->loop));
}

static void test_one_turn_runs_a_bounded_number(void **state)
{
    struct world *world = *state;
    unsigned count = 3 * LEAT_TIMERS_PER_TURN + 7, fired = 0;
    struct leat_timer *timers = calloc(count, sizeof(*timers));
    for (unsigned i = 0; i < count; i++) {
        leat_timer_init(&timers[i], world->loop, count_up, &fired);
        leat_timer_start(&timers[i], MS, 0);
    }
    world->now_ns = 2 * MS;
    for (unsigned turn = 1; turn <= 4; turn++) {
        leat_loop_turn(world->loop, UINT64_MAX); /* must not sleep: there is more to do */
        assert_int_equal(fired, turn < 4 ? turn * LEAT_TIMERS_PER_TURN : count);
    }
    free(timers);
}

/* A server's day: a tick each second, a keep-alive that is put off by it, a report each hour, and a
 * timeout of a day. */
static void put_off(struct leat_timer *timer, void *arg)
{
    struct world *world = arg;
    world->count++;
    leat_timer_start(&world->timers[1], 5 * LEAT_NS_PER_S, 0);
}

static void test_a_day(void **state)
{
    struct world *world = *state;
    uint64_t day_ns = 24 * 3600 * LEAT_NS_PER_S;
    start(world, 0, put_off, LEAT_NS_PER_S, LEAT_NS_PER_S);
    start(world, 1, fire, 5 * LEAT_NS_PER_S, 0);
    start(world, 2, fire, 3600 * LEAT_NS_PER_S, 3600 * LEAT_NS_PER_S);
    start(world, 3, fire, day_ns - 1, 0);
    unsigned turns = world_run_until(world, day_ns + MS);
    assert_int_equal(world->fired_count, 25);
    assert_memory_equal(world->fired, "ccccccccccccccccccccccc", 23);
    /* Both fall into the last tick of the day; the one-day timeout was started first. */
    assert_string_equal(world->fired + 23, "dc");
    for (unsigned i = 0; i < 23; i++)
        assert_in_range(world->fired_ns[i] - (i + 1) * 3600 * LEAT_NS_PER_S, 0, LEAT_TIMER_TICK_NS);
    assert_int_equal(world->count, 24 * 3600 + 25);
    /* One turn a tick, one for each time that the keep-alive's old place comes up, and few more. */
    assert_in_range(turns, 24 * 3600, 24 * 3600 * 5 / 4);
}

static void test_timeouts_left_behind_are_freed(void **state)
{
    struct world *world = *state;
    leat_timer_unref(leat_timeout_timer(leat_set_timeout(world->loop, count_heap, world, 1)));
    leat_timer_unref(leat_timeout_timer(leat_set_timeout(world->loop, count_heap, world, 1000000)));
    leat_timer_unref(leat_timeout_timer(leat_set_interval(world->loop, count_heap, world, 1000)));
    assert_int_equal(leat_loop_run(world->loop), 0); /* not alive; the sanitizer sees leaks */
    start(world, 0, fire, MS, 0);
    leat_loop_free(world->loop);
    assert_false(wheel_is_started(&world->timers[0]));
    world->timers[0].loop = NULL;
    world->loop = NULL;
}

static bool was_alive;

static void free_itself_and_ask(struct leat_timer *timer, void *arg)
{
    free_itself(timer, arg);
    was_alive = leat_loop_is_alive(((struct world *)arg)->loop);
}

static void ask(struct leat_timer *timer, void *arg)
{
    was_alive = leat_loop_is_alive(((struct world *)arg)->loop);
    leat_timer_stop(timer);
}

static void test_liveness_as_seen_by_a_callback(void **state)
{
    struct world *world = *state;
    struct leat_timer *timer = malloc(sizeof(*timer));
    leat_timer_init(timer, world->loop, free_itself_and_ask, world);
    leat_timer_start(timer, MS, 0);
    world_run_until(world, 2 * MS);
    assert_false(was_alive);
    start(world, 0, ask, MS, MS);
    world_run_until(world, 4 * MS);
    assert_true(was_alive);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_equal_deadlines_in_the_order_of_their_start),
        TEST(test_an_interval_does_not_drift_and_skips_what_it_missed),
        TEST(test_a_timer_started_by_a_timer_waits_for_the_next_turn),
        TEST(test_a_callback_may_touch_any_timer),
        TEST(test_a_callback_may_restart_its_own_interval),
        TEST(test_a_timer_that_fires_once_may_free_itself),
        TEST(test_timeouts_and_intervals_free_themselves),
        TEST(test_a_handle_outlives_its_timer),
        TEST(test_one_turn_runs_a_bounded_number),
        TEST(test_a_day),
        TEST(test_timeouts_left_behind_are_freed),
        TEST(test_liveness_as_seen_by_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
