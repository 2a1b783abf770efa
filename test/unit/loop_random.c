/* A loop on which every callback does random things to random handles, in virtual time. After each
 * turn the loop's count of references must be what the handles say, and the wheel valid; nothing
 * may be called that was stopped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/loop/loop_internal.h"

#define HANDLES 6

struct world {
    struct leat_clock clock; /* first */
    uint64_t now_ns;
    struct leat_loop *loop;
    struct leat_rng rng;
    struct leat_timer timers[HANDLES];
    struct leat_hook hooks[HANDLES];
    struct leat_watch watches[HANDLES];
    int fds[HANDLES];
    leat_immediate immediates[HANDLES];
    bool timer_unref[HANDLES], hook_started[HANDLES], hook_unref[HANDLES], watch_unref[HANDLES];
    bool is_in_callback;
    unsigned called_count;
};

static uint64_t world_now(const struct leat_clock *clock)
{
    return ((const struct world *)clock)->now_ns;
}

static void on_timer(struct leat_timer *timer, void *arg);
static void on_immediate(void *arg);
static void on_task(void *arg);

static void do_timer(struct world *world, unsigned i, uint64_t action)
{
    struct leat_timer *timer = &world->timers[i];
    uint64_t delay_ns = rng_below(&world->rng, 3 * LEAT_NS_PER_MS);
    switch (action) {
    case 0:
        leat_timer_stop(timer);
        assert_false(leat_timer_is_started(timer));
        break;
    case 1:
        leat_timer_ref(timer);
        world->timer_unref[i] = false;
        break;
    case 2:
        leat_timer_unref(timer);
        world->timer_unref[i] = true;
        break;
    case 3:
        leat_timer_refresh(timer);
        break;
    default:
        leat_timer_start(timer, delay_ns, action == 4 ? delay_ns + 1 : 0);
        assert_true(leat_timer_is_started(timer));
    }
}

static void do_hook(struct world *world, unsigned i, uint64_t action)
{
    struct leat_hook *hook = &world->hooks[i];
    if (action <= 2) {
        leat_hook_start(hook);
        world->hook_started[i] = true;
    } else if (action <= 5) {
        leat_hook_stop(hook);
        world->hook_started[i] = false;
    } else {
        (action == 6 ? leat_hook_ref : leat_hook_unref)(hook);
        world->hook_unref[i] = action != 6;
    }
}

static void do_watch(struct world *world, unsigned i, uint64_t action)
{
    struct leat_watch *watch = &world->watches[i];
    if (action <= 3) {
        assert_int_equal(leat_watch_start(watch, action == 0 ? EPOLLIN | EPOLLOUT : EPOLLIN), 0);
    } else if (action <= 5) {
        leat_watch_stop(watch);
    } else {
        (action == 6 ? leat_watch_ref : leat_watch_unref)(watch);
        world->watch_unref[i] = action != 6;
    }
}

static void do_queue(struct world *world, unsigned i, uint64_t action)
{
    struct leat_loop *loop = world->loop;
    if (action == 0) {
        leat_clear_immediate(world->immediates[i]);
        world->immediates[i] = 0;
    } else if (action <= 3 && world->immediates[i] == 0) {
        world->immediates[i] = leat_set_immediate(loop, on_immediate, &world->immediates[i]);
    } else if (action == 4) {
        assert_int_equal(leat_next_tick(loop, on_task, world), 0);
    } else if (action == 5) {
        assert_int_equal(leat_loop_pend(loop, on_task, world), 0);
    } else if (action == 6) {
        assert_int_equal(leat_loop_close_later(loop, on_task, world), 0);
    } else {
        assert_int_equal(leat_loop_post(loop, on_task, world), 0);
    }
}

static void do_something(struct world *world)
{
    unsigned i = (unsigned)rng_below(&world->rng, HANDLES);
    uint64_t action = rng_below(&world->rng, 8);
    switch (rng_below(&world->rng, 4)) {
    case 0:
        do_timer(world, i, action);
        break;
    case 1:
        do_hook(world, i, action);
        break;
    case 2:
        do_watch(world, i, action);
        break;
    default:
        do_queue(world, i, action);
    }
}

static struct world *test_world;

/* Less than one new thing per callback, so that microtasks come to an end. */
static void on_any(struct world *world)
{
    assert_false(world->is_in_callback);
    world->is_in_callback = true;
    world->called_count++;
    if (rng_below(&world->rng, 3) != 0)
        do_something(world);
    world->is_in_callback = false;
}

static void on_timer(struct leat_timer *timer, void *arg)
{
    assert_true(timer->deadline_ns <= test_world->now_ns);
    on_any(arg);
}

static void on_hook(void *arg)
{
    assert_true(test_world->hook_started[(struct leat_hook *)arg - test_world->hooks]);
    on_any(test_world);
}

static void on_watch(struct leat_watch *watch, uint32_t events, void *arg)
{
    assert_true(watch->events != 0);
    on_any(arg);
}

static void on_immediate(void *arg)
{
    leat_immediate *immediate = arg;
    assert_int_not_equal(*immediate, 0);
    *immediate = 0;
    on_any(test_world);
}

static void on_task(void *arg)
{
    on_any(arg);
}

static uint64_t refs_of_handles(const struct world *world)
{
    uint64_t refs = 0;
    for (unsigned i = 0; i < HANDLES; i++) {
        refs += leat_timer_is_started(&world->timers[i]) && !world->timer_unref[i];
        refs += world->hook_started[i] && !world->hook_unref[i];
        refs += world->watches[i].events != 0 && !world->watch_unref[i];
    }
    return refs;
}

static void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){.clock.now = world_now, .now_ns = LEAT_NS_PER_S};
    rng_init(&world->rng, seed);
    struct leat_loop_options options = {.clock = &world->clock, .seed = seed};
    world->loop = leat_loop_new(&options, NULL);
    assert_non_null(world->loop);
    for (unsigned i = 0; i < HANDLES; i++) {
        leat_timer_init(&world->timers[i], world->loop, on_timer, world);
        leat_hook_init(&world->hooks[i], world->loop, (enum leat_phase)(i % 3), on_hook,
                       &world->hooks[i]);
        world->fds[i] = eventfd(i % 2, EFD_NONBLOCK | EFD_CLOEXEC);
        leat_watch_init(&world->watches[i], world->loop, world->fds[i], on_watch, world);
    }
}

static void world_end(struct world *world)
{
    for (unsigned i = 0; i < HANDLES; i++) {
        leat_timer_stop(&world->timers[i]);
        leat_hook_stop(&world->hooks[i]);
        leat_watch_stop(&world->watches[i]);
        close(world->fds[i]);
    }
    assert_int_equal(world->loop->refs, 0);
    assert_int_equal(world->loop->wheel.count, 0);
    leat_loop_free(world->loop);
}

static void test_random_callbacks(void **state)
{
    static struct world world;
    test_world = &world;
    unsigned called_count = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        world_init(&world, seed);
        for (int turn = 0; turn < 400; turn++) {
            do_something(&world);
            leat_loop_turn(world.loop, 0);
            assert_int_equal(world.loop->refs, refs_of_handles(&world));
            if (turn % 16 == 0)
                assert_true(wheel_validate(&world.loop->wheel));
            world.now_ns += rng_below(&world.rng, LEAT_NS_PER_MS);
        }
        called_count += world.called_count;
        world_end(&world);
    }
    assert_true(called_count > 30 * 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_callbacks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
