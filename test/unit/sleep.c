/* Sources and sleep: a source of the test's own waits for the loop, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "buffers/pools.h"
#include "runtime/loop/loop_internal.h"

#define WAITS_MAX 64

struct world {
    struct leat_clock clock; /* first */
    struct leat_source source;
    uint64_t now_ns;
    struct leat_loop *loop;
    char trace[512];
    uint64_t waits_ns[WAITS_MAX];
    unsigned wait_count;
    bool is_readable;    /* what wait says of the loop's descriptor */
    bool is_quiet;       /* what the waiter says of the kernel */
    unsigned poll_count; /* what poll says */
    struct leat_nap nap; /* what arm says */
    struct leat_timer timer;
    struct leat_hook hooks[3];
    struct leat_watch watch;
    unsigned left_count;
};

static struct world *world_of(struct leat_source *source)
{
    return container_of(source, struct world, source);
}

static void say(struct world *world, const char *word)
{
    size_t length = strlen(world->trace);
    snprintf(world->trace + length, sizeof(world->trace) - length, "%s ", word);
}

static unsigned world_poll(struct leat_source *source)
{
    say(world_of(source), "poll");
    return world_of(source)->poll_count;
}

static void world_flush(struct leat_source *source)
{
    say(world_of(source), "flush");
}

static void world_arm(struct leat_source *source, struct leat_nap *nap)
{
    say(world_of(source), "arm");
    *nap = world_of(source)->nap;
}

static void world_disarm(struct leat_source *source)
{
    say(world_of(source), "disarm");
}

static bool world_wait(struct leat_source *source, int readable_fd, uint64_t timeout_ns)
{
    struct world *world = world_of(source);
    say(world, "wait");
    if (world->wait_count < WAITS_MAX)
        world->waits_ns[world->wait_count++] = timeout_ns;
    if (timeout_ns != UINT64_MAX)
        world->now_ns += timeout_ns;
    return world->is_readable;
}

static bool world_is_quiet(const struct leat_source *source)
{
    return container_of(source, const struct world, source)->is_quiet;
}

static const struct leat_source_ops waiting_ops = {
    .name = "test",
    .poll = world_poll,
    .flush = world_flush,
    .arm = world_arm,
    .disarm = world_disarm,
    .wait = world_wait,
    .is_quiet = world_is_quiet,
};
static const struct leat_source_ops polled_ops = {.name = "polled", .is_polled = true};
static const struct leat_source_ops plain_ops = {.name = "plain", .arm = world_arm};

static uint64_t world_now(const struct leat_clock *clock)
{
    return ((const struct world *)clock)->now_ns;
}

static struct world *world_new(bool busy_poll)
{
    struct world *world = test_calloc(1, sizeof(*world));
    world->clock.now = world_now;
    world->now_ns = LEAT_NS_PER_S;
    world->nap = (struct leat_nap){.fd = -1, .nap_ns_max = UINT64_MAX};
    world->source.ops = &waiting_ops;
    struct leat_loop_options options = {.clock = &world->clock, .busy_poll = busy_poll, .seed = 1};
    world->loop = leat_loop_new(&options, NULL);
    assert_non_null(world->loop);
    assert_int_equal(leat_source_add(world->loop, &world->source), 0);
    leat_loop_ref(world->loop);
    return world;
}

static int set_up(void **state)
{
    *state = world_new(false);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    leat_loop_unref(world->loop);
    leat_source_remove(&world->source);
    leat_loop_free(world->loop);
    test_free(world);
    return 0;
}

static uint64_t turn(struct world *world)
{
    leat_loop_turn(world->loop, UINT64_MAX);
    assert_true(world->wait_count > 0);
    return world->waits_ns[world->wait_count - 1];
}

static void nothing(void *arg)
{
}

static void nothing_timer(struct leat_timer *timer, void *arg)
{
}

static void test_a_turn_of_a_source(void **state)
{
    struct world *world = *state;
    turn(world);
    assert_string_equal(world->trace, "poll flush arm wait disarm ");
    world->trace[0] = '\0';
    leat_set_immediate(world->loop, nothing, NULL);
    leat_loop_turn(world->loop, 0);
    assert_string_equal(world->trace, "poll flush wait ");
}

static void test_sleep_lasts_until_the_next_timer(void **state)
{
    struct world *world = *state;
    assert_true(turn(world) == UINT64_MAX);
    leat_timer_init(&world->timer, world->loop, nothing_timer, NULL);
    leat_timer_start(&world->timer, 3600 * LEAT_NS_PER_S, 0);
    uint64_t before_ns = world->now_ns, nap_ns = turn(world);
    assert_in_range(before_ns + nap_ns - world->timer.deadline_ns, 0, LEAT_TIMER_TICK_NS);
    assert_true(turn(world) == UINT64_MAX); /* it fired in this turn */
    assert_false(leat_timer_is_started(&world->timer));
    leat_timer_start(&world->timer, LEAT_NS_PER_S, 0);
    leat_loop_turn(world->loop, 5000); /* the caller's limit */
    assert_int_equal(world->waits_ns[world->wait_count - 1], 5000);
    leat_timer_stop(&world->timer);
}

static void test_no_sleep_with_work(void **state)
{
    struct world *world = *state;
    leat_loop_pend(world->loop, nothing, NULL);
    assert_true(turn(world) == UINT64_MAX); /* it ran */
    leat_hook_init(&world->hooks[0], world->loop, LEAT_PHASE_IDLE, nothing, NULL);
    leat_hook_start(&world->hooks[0]);
    assert_int_equal(turn(world), 0);
    leat_hook_stop(&world->hooks[0]);
    world->nap.has_work = true;
    assert_int_equal(turn(world), 0);
    world->nap.has_work = false;
    assert_true(turn(world) == UINT64_MAX);
}

static void queue_in_check(void *arg)
{
    struct world *world = arg;
    leat_loop_close_later(world->loop, nothing, NULL); /* this turn */
    if (world->left_count-- == 2)
        leat_set_immediate(world->loop, queue_in_check, world); /* next turn */
    else
        leat_loop_pend(world->loop, nothing, NULL); /* next turn */
}

static void test_no_sleep_before_what_is_queued(void **state)
{
    struct world *world = *state;
    world->left_count = 2;
    leat_set_immediate(world->loop, queue_in_check, world);
    assert_int_equal(turn(world), 0);
    assert_int_equal(turn(world), 0);
    assert_true(turn(world) == UINT64_MAX);
}

static void test_busy_poll_never_sleeps(void **state)
{
    struct world *world = world_new(true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(turn(world), 0);
    assert_null(strstr(world->trace, "arm"));
    void *to_end = world;
    tear_down(&to_end);
}

/* Beside a source that must be polled the kernel is visited when the waiter knows of something, and
 * after a millisecond in any case; without such a source in every turn. */
static void test_a_busy_loop_leaves_a_quiet_kernel_alone(void **state)
{
    struct world *world = world_new(true);
    struct leat_source polled = {.ops = &polled_ops};
    world->is_quiet = true;
    for (unsigned i = 1; i <= 3; i++) {
        turn(world);
        assert_int_equal(world->wait_count, i);
    }
    assert_int_equal(leat_source_add(world->loop, &polled), 0);
    for (unsigned i = 0; i < 9; i++) {
        world->now_ns += 100 * LEAT_NS_PER_US;
        turn(world);
    }
    assert_int_equal(world->wait_count, 3);
    world->now_ns += 100 * LEAT_NS_PER_US;
    turn(world);
    assert_int_equal(world->wait_count, 4);
    world->is_quiet = false;
    turn(world);
    turn(world);
    assert_int_equal(world->wait_count, 6);
    leat_source_remove(&polled);
    void *to_end = world;
    tear_down(&to_end);
}

/* Poll on for 50 us, then naps of 50, 100, ... up to what the source allows, at most 1 ms. */
static void test_a_source_without_descriptor_naps(void **state)
{
    struct world *world = *state;
    world->nap.nap_ns_max = 10 * LEAT_NS_PER_MS;
    world->poll_count = 1;
    turn(world); /* here the loop learns that the source must be polled */
    world->poll_count = 0;
    unsigned spins = 0;
    while (turn(world) == 0) {
        spins++;
        world->now_ns += 2000;
    }
    assert_in_range(spins, 23, 27);
    const uint64_t naps_us[] = {50, 100, 200, 400, 800, 1000, 1000};
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(world->waits_ns[world->wait_count - 1], naps_us[i] * 1000);
        turn(world);
    }
    world->nap.nap_ns_max = 30000; /* the source's own limit */
    assert_int_equal(turn(world), 30000);
    world->poll_count = 1; /* work again: spin again */
    assert_int_equal(turn(world), 0);
}

/* A second after the last event, and a second later, memory is given back; then all is quiet. */
static void test_an_idle_loop_trims_its_pools(void **state)
{
    struct world *world = *state;
    struct leat_buf_stats before, after;
    struct leat_buf bufs[64];
    for (int i = 0; i < 64; i++)
        bufs[i] = leat_buf_alloc(1 << 20);
    for (int i = 0; i < 64; i++)
        leat_buf_unref(bufs[i]);
    leat_buf_stats(&before);
    world->poll_count = 1;
    assert_int_equal(turn(world), LEAT_NS_PER_S);
    world->poll_count = 0;
    unsigned turns = 0;
    while (turn(world) != UINT64_MAX) {
        assert_int_equal(world->waits_ns[world->wait_count - 1], LEAT_NS_PER_S);
        assert_true(turns++ < 20);
    }
    leat_buf_stats(&after);
    assert_true(turns >= 2);
    assert_true(after.arena_bytes < before.arena_bytes / 4);
}

static void count_watch(struct leat_watch *watch, uint32_t events, void *arg)
{
    ++*(unsigned *)arg;
}

static void test_the_waiter_reports_watches(void **state)
{
    struct world *world = *state;
    unsigned count = 0;
    int fd = eventfd(1, EFD_NONBLOCK);
    leat_watch_init(&world->watch, world->loop, fd, count_watch, &count);
    assert_int_equal(leat_watch_start(&world->watch, EPOLLIN), 0);
    turn(world);
    turn(world);
    assert_int_equal(count, 0);
    world->is_readable = true;
    turn(world);
    turn(world);
    assert_int_equal(count, 1);
    leat_watch_stop(&world->watch);
    close(fd);
}

static void test_one_waiter_only(void **state)
{
    struct world *world = *state;
    struct leat_source second = {.ops = &waiting_ops};
    assert_int_equal(leat_source_add(world->loop, &second), -EBUSY);
    assert_int_equal(leat_loop_error(world->loop)->code, -EBUSY);
}

/* Without a waiter the loop sleeps in epoll, where a source's descriptor wakes it. */
static void test_a_source_with_descriptor_wakes_the_loop(void **state)
{
    struct world *world = *state;
    struct world *other = world_new(false);
    leat_source_remove(&other->source);
    other->source.ops = &plain_ops;
    assert_int_equal(leat_source_add(other->loop, &other->source), 0);
    int fd = eventfd(1, EFD_NONBLOCK);
    other->nap.fd = fd;
    leat_loop_turn(other->loop, UINT64_MAX); /* returns at once, or never */
    assert_string_equal(other->trace, "arm ");
    struct leat_loop_metrics metrics;
    leat_loop_metrics(other->loop, &metrics);
    assert_int_equal(metrics.sleep_count, 1);
    other->nap.fd = -1;
    leat_loop_turn(other->loop, 1000);
    assert_int_equal(other->source.nap_fd_plus_1, 0);
    close(fd);
    void *to_end = other;
    tear_down(&to_end);
    (void)world;
}

static void take_100_ms(void *arg)
{
    ((struct world *)arg)->now_ns += 100 * LEAT_NS_PER_MS + 1;
}

static void test_utilisation_delay_and_slow_turns(void **state)
{
    struct world *world = *state;
    struct leat_loop_metrics before, after;
    leat_loop_metrics(world->loop, &before);
    leat_timer_init(&world->timer, world->loop, nothing_timer, NULL);
    leat_set_immediate(world->loop, take_100_ms, world);
    leat_timer_start(&world->timer, 400 * LEAT_NS_PER_MS, 0);
    turn(world);
    leat_loop_metrics(world->loop, &after);
    assert_int_equal(after.slow_turn_count, 1);
    assert_int_equal(after.turn_count, 1);
    assert_in_range(after.idle_ns, 299 * LEAT_NS_PER_MS, 301 * LEAT_NS_PER_MS);
    assert_int_equal(after.work_turn_count, 1);
    assert_in_range(after.work_ns, 100 * LEAT_NS_PER_MS, 101 * LEAT_NS_PER_MS);
    assert_int_equal(after.work_cycles, 0); /* the clock is not the machine's */
    assert_in_range(leat_loop_utilization(&before, &after) * 1000, 245, 255);
    assert_in_range(leat_loop_delay_ns(world->loop, 100), 100 * LEAT_NS_PER_MS,
                    101 * LEAT_NS_PER_MS);
    turn(world);
    leat_loop_metrics(world->loop, &after);
    assert_int_equal(after.timer_count, 1);
    assert_int_equal(after.sleep_count, 2);
    assert_int_equal(after.work_turn_count, 2);
    leat_loop_turn(world->loop, 0); /* finds nothing to do */
    leat_loop_metrics(world->loop, &before);
    assert_int_equal(before.work_turn_count, 2);
    leat_loop_worked(world->loop); /* as a flush says that sent something */
    leat_loop_turn(world->loop, 0);
    leat_loop_metrics(world->loop, &after);
    assert_int_equal(after.work_turn_count, 3);
    leat_loop_delay_reset(world->loop);
    assert_int_equal(leat_loop_delay_ns(world->loop, 100), 0);
}

static void one_more(void *arg)
{
    struct world *world = arg;
    if (--world->left_count > 0)
        leat_next_tick(world->loop, one_more, world);
}

static void test_a_storm_of_microtasks_is_counted(void **state)
{
    struct world *world = *state;
    world->left_count = 2 * LOOP_MICROTASKS_MAX + 5;
    leat_next_tick(world->loop, one_more, world);
    turn(world);
    struct leat_loop_metrics metrics;
    leat_loop_metrics(world->loop, &metrics);
    assert_int_equal(metrics.microtask_storm_count, 2);
    assert_int_equal(metrics.microtask_count, 2 * LOOP_MICROTASKS_MAX + 5);
}

/* Where the kernel has no epoll_pwait2, timeouts are rounded up to milliseconds. */
static void test_without_epoll_pwait2_no_timer_is_early(void **state)
{
    struct leat_loop *loop = leat_loop_new(NULL, NULL);
    loop->lacks_pwait2 = true;
    for (int i = 0; i < 5; i++) {
        struct leat_timer timer;
        uint64_t start_ns = leat_loop_clock(loop);
        leat_timer_init(&timer, loop, nothing_timer, NULL);
        leat_timer_start(&timer, 1100 * LEAT_NS_PER_US, 0);
        assert_int_equal(leat_loop_run(loop), 0);
        assert_true(leat_loop_clock(loop) - start_ns >= 1100 * LEAT_NS_PER_US);
    }
    struct leat_loop_metrics metrics;
    leat_loop_metrics(loop, &metrics);
    assert_in_range(metrics.sleep_count, 5, 6);
    leat_loop_free(loop);
}

static void test_what_memory_refuses(void **state)
{
    struct world *world = *state;
    struct leat_loop *loop = world->loop;
    leat_heap_fail_at(&loop->core, 1);
    assert_int_equal(leat_next_tick(loop, nothing, NULL), -ENOMEM);
    leat_heap_fail_at(&loop->core, 1);
    assert_int_equal(leat_queue_microtask(loop, nothing, NULL), -ENOMEM);
    leat_heap_fail_at(&loop->core, 1);
    assert_int_equal(leat_loop_pend(loop, nothing, NULL), -ENOMEM);
    leat_heap_fail_at(&loop->core, 1);
    assert_int_equal(leat_loop_close_later(loop, nothing, NULL), -ENOMEM);
    leat_heap_fail_at(&loop->core, 1);
    assert_int_equal(leat_set_immediate(loop, nothing, NULL), 0);
    leat_heap_fail_at(&loop->core, 1);
    assert_int_equal(leat_set_timeout(loop, nothing_timer, NULL, 1), 0);
    leat_heap_fail_at(&loop->core, 1);
    assert_int_equal(leat_set_interval(loop, nothing_timer, NULL, 1), 0);
    assert_true(turn(world) == UINT64_MAX);
}

static void fire(struct leat_timer *timer, void *arg)
{
    ++*(unsigned *)arg;
}

/* On the machine's clock: one timer is two turns, and nothing in between. */
static void test_a_loop_at_rest_does_not_wake(void **state)
{
    struct leat_loop *loop = leat_loop_new(NULL, NULL);
    unsigned count = 0;
    uint64_t start_ns = leat_loop_clock(loop);
    assert_int_not_equal(leat_set_timeout(loop, fire, &count, 60), 0);
    assert_int_equal(leat_loop_run(loop), 0);
    assert_int_equal(count, 1);
    assert_true(leat_loop_clock(loop) - start_ns >= 60 * LEAT_NS_PER_MS);
    struct leat_loop_metrics metrics;
    leat_loop_metrics(loop, &metrics);
    assert_in_range(metrics.turn_count, 1, 3);
    assert_in_range(metrics.sleep_count, 1, 2);
    leat_loop_free(loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_turn_of_a_source),
        TEST(test_sleep_lasts_until_the_next_timer),
        TEST(test_no_sleep_with_work),
        TEST(test_no_sleep_before_what_is_queued),
        cmocka_unit_test(test_busy_poll_never_sleeps),
        cmocka_unit_test(test_a_busy_loop_leaves_a_quiet_kernel_alone),
        TEST(test_a_source_without_descriptor_naps),
        TEST(test_an_idle_loop_trims_its_pools),
        TEST(test_the_waiter_reports_watches),
        TEST(test_one_waiter_only),
        TEST(test_a_source_with_descriptor_wakes_the_loop),
        TEST(test_utilisation_delay_and_slow_turns),
        TEST(test_a_storm_of_microtasks_is_counted),
        cmocka_unit_test(test_without_epoll_pwait2_no_timer_is_early),
        TEST(test_what_memory_refuses),
        cmocka_unit_test(test_a_loop_at_rest_does_not_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
