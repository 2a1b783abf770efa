/* The loop: phases in order, microtasks, liveness, watches, stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <leat/loop.h>
#include <leat/io.h>
#include <leat/timer.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "runtime/base/clock.h"

struct world {
    struct leat_clock clock; /* first */
    uint64_t now_ns;
    struct leat_loop *loop;
    char trace[1024];
    struct leat_timer timer;
    struct leat_watch watches[2];
    struct leat_hook hooks[3];
    int pipes[2][2];
};

static uint64_t world_now(const struct leat_clock *clock)
{
    return ((const struct world *)clock)->now_ns;
}

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof(*world));
    world->clock.now = world_now;
    world->now_ns = LEAT_NS_PER_S;
    struct leat_loop_options options = {.clock = &world->clock};
    world->loop = leat_loop_new(&options, NULL);
    assert_non_null(world->loop);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pipe(world->pipes[i]), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    leat_loop_free(world->loop);
    for (int i = 0; i < 2; i++) {
        close(world->pipes[i][0]);
        close(world->pipes[i][1]);
    }
    test_free(world);
    return 0;
}

/* The world of the running test, for callbacks whose argument is a text. */
static struct world *test_world;

static void say(void *arg)
{
    struct world *world = test_world;
    snprintf(world->trace + strlen(world->trace), sizeof(world->trace) - strlen(world->trace),
             "%s ", (const char *)arg);
}

static void say_timer(struct leat_timer *timer, void *arg)
{
    say(arg);
}

static void say_watch(struct leat_watch *watch, uint32_t events, void *arg)
{
    say(arg);
    leat_watch_stop(watch);
}

static void test_phases_in_order(void **state)
{
    struct world *world = test_world = *state;
    struct leat_loop *loop = world->loop;
    leat_timer_init(&world->timer, loop, say_timer, (void *)"timer");
    leat_timer_start(&world->timer, 0, 0);
    world->now_ns += LEAT_TIMER_TICK_NS;
    leat_loop_close_later(loop, say, (void *)"close");
    leat_set_immediate(loop, say, (void *)"immediate");
    leat_watch_init(&world->watches[0], loop, world->pipes[0][0], say_watch, (void *)"watch");
    assert_int_equal(leat_watch_start(&world->watches[0], EPOLLIN), 0);
    assert_int_equal(write(world->pipes[0][1], "x", 1), 1);
    static const char *const names[] = {"idle", "prepare", "check"};
    for (int i = 0; i < 3; i++) {
        leat_hook_init(&world->hooks[i], loop, (enum leat_phase)i, say, (void *)names[i]);
        leat_hook_start(&world->hooks[i]);
    }
    leat_loop_pend(loop, say, (void *)"pending");
    leat_next_tick(loop, say, (void *)"tick");
    assert_true(leat_loop_turn(loop, 0));
    assert_string_equal(world->trace, "tick pending idle prepare immediate check close timer ");
    world->trace[0] = '\0';
    leat_loop_turn(loop, 0);
    assert_string_equal(world->trace, "idle prepare watch check ");
    for (int i = 0; i < 3; i++)
        leat_hook_stop(&world->hooks[i]);
    assert_false(leat_loop_is_alive(loop));
}

static void queue_more(void *arg)
{
    struct world *world = arg;
    say((void *)"a");
    leat_next_tick(world->loop, say, (void *)"tick");
    leat_queue_microtask(world->loop, say, (void *)"job");
}

static void test_microtasks_after_each_callback(void **state)
{
    struct world *world = test_world = *state;
    leat_set_immediate(world->loop, queue_more, world);
    leat_set_immediate(world->loop, queue_more, world);
    assert_int_equal(leat_loop_run(world->loop), 0);
    assert_string_equal(world->trace, "a tick job a tick job ");
}

static void stop_other(struct leat_watch *watch, uint32_t events, void *arg)
{
    struct world *world = arg;
    say((void *)"one");
    leat_watch_stop(&world->watches[0]);
    leat_watch_stop(&world->watches[1]);
}

static void test_watch_stopped_inside_a_callback_is_silent(void **state)
{
    struct world *world = test_world = *state;
    for (int i = 0; i < 2; i++) {
        leat_watch_init(&world->watches[i], world->loop, world->pipes[i][0], stop_other, world);
        assert_int_equal(leat_watch_start(&world->watches[i], EPOLLIN), 0);
        assert_int_equal(write(world->pipes[i][1], "x", 1), 1);
    }
    assert_int_equal(leat_loop_run(world->loop), 0);
    assert_string_equal(world->trace, "one ");
}

static void stop_loop(void *arg)
{
    leat_loop_stop(((struct world *)arg)->loop);
}

static void test_stop_ends_after_the_turn(void **state)
{
    struct world *world = test_world = *state;
    leat_loop_pend(world->loop, stop_loop, world);
    leat_set_immediate(world->loop, say, (void *)"same-turn");
    leat_timer_init(&world->timer, world->loop, say_timer, (void *)"timer");
    leat_timer_start(&world->timer, LEAT_NS_PER_S, 0);
    assert_int_equal(leat_loop_run(world->loop), 1);
    assert_string_equal(world->trace, "same-turn ");
    leat_timer_stop(&world->timer);
    assert_int_equal(leat_loop_run(world->loop), 0);
}

static void test_unref_lets_the_loop_end(void **state)
{
    struct world *world = test_world = *state;
    leat_timer_init(&world->timer, world->loop, say_timer, (void *)"timer");
    leat_timer_start(&world->timer, LEAT_NS_PER_S, 0);
    assert_true(leat_loop_is_alive(world->loop));
    leat_timer_unref(&world->timer);
    assert_false(leat_loop_is_alive(world->loop));
    leat_timer_ref(&world->timer);
    assert_true(leat_loop_is_alive(world->loop));
    leat_timer_unref(&world->timer);
    assert_int_equal(leat_loop_run(world->loop), 0);
    leat_timer_stop(&world->timer);
    leat_loop_ref(world->loop);
    assert_true(leat_loop_is_alive(world->loop));
    leat_loop_unref(world->loop);
    assert_false(leat_loop_is_alive(world->loop));
}

static void stop_next_hook(void *arg)
{
    struct world *world = arg;
    say((void *)"first");
    leat_hook_stop(&world->hooks[1]);
}

static void test_hooks_in_order_and_stopped_inside(void **state)
{
    struct world *world = test_world = *state;
    leat_hook_init(&world->hooks[0], world->loop, LEAT_PHASE_CHECK, stop_next_hook, world);
    leat_hook_init(&world->hooks[1], world->loop, LEAT_PHASE_CHECK, say, (void *)"second");
    leat_hook_init(&world->hooks[2], world->loop, LEAT_PHASE_CHECK, say, (void *)"third");
    for (int i = 0; i < 3; i++)
        leat_hook_start(&world->hooks[i]);
    leat_hook_start(&world->hooks[2]); /* no effect */
    leat_loop_turn(world->loop, 0);
    assert_string_equal(world->trace, "first third ");
    leat_hook_unref(&world->hooks[0]);
    leat_hook_unref(&world->hooks[2]);
    assert_false(leat_loop_is_alive(world->loop));
    leat_hook_ref(&world->hooks[2]);
    assert_true(leat_loop_is_alive(world->loop));
    for (int i = 0; i < 3; i++)
        leat_hook_stop(&world->hooks[i]);
    assert_false(leat_loop_is_alive(world->loop));
}

static void check_current(void *arg)
{
    assert_ptr_equal(leat_loop_current(), arg);
    say((void *)"here");
}

static void test_several_loops_on_one_thread(void **state)
{
    struct world *world = test_world = *state;
    struct leat_loop_options options = {.index = 1};
    struct leat_loop *second = leat_loop_new(&options, NULL);
    assert_ptr_equal(leat_loop_current(), second);
    assert_int_equal(leat_loop_index(second), 1);
    leat_set_immediate(world->loop, check_current, world->loop);
    leat_set_immediate(second, check_current, second);
    leat_loop_turn(world->loop, 0);
    assert_ptr_equal(leat_loop_current(), second);
    leat_loop_turn(second, 0);
    assert_string_equal(world->trace, "here here ");
    leat_loop_free(second);
    assert_null(leat_loop_current());
}

static void test_watch_liveness_and_changes(void **state)
{
    struct world *world = test_world = *state;
    struct leat_watch *watch = &world->watches[0];
    leat_watch_init(watch, world->loop, world->pipes[0][1], say_watch, (void *)"writable");
    assert_int_equal(leat_watch_start(watch, EPOLLIN), 0);
    assert_true(leat_loop_is_alive(world->loop));
    leat_loop_turn(world->loop, 0);
    leat_loop_turn(world->loop, 0);
    assert_string_equal(world->trace, "");
    leat_watch_unref(watch);
    assert_false(leat_loop_is_alive(world->loop));
    leat_watch_ref(watch);
    assert_int_equal(leat_watch_start(watch, EPOLLOUT), 0);
    assert_int_equal(leat_loop_run(world->loop), 0);
    assert_string_equal(world->trace, "writable ");
    leat_watch_init(watch, world->loop, -1, say_watch, NULL);
    assert_int_equal(leat_watch_start(watch, EPOLLIN), -EBADF);
    assert_false(leat_loop_is_alive(world->loop));
}

/* An event was collected; before it is delivered the watch is changed so as not to ask for it. */
static void ask_for_nothing(void *arg)
{
    struct world *world = arg;
    assert_int_equal(leat_watch_start(&world->watches[0], EPOLLOUT), 0);
}

static void test_a_collected_event_that_is_no_longer_asked_for(void **state)
{
    struct world *world = test_world = *state;
    leat_watch_init(&world->watches[0], world->loop, world->pipes[0][0], say_watch,
                    (void *)"stale");
    assert_int_equal(leat_watch_start(&world->watches[0], EPOLLIN), 0);
    assert_int_equal(write(world->pipes[0][1], "x", 1), 1);
    leat_loop_turn(world->loop, 0); /* collects */
    leat_loop_pend(world->loop, ask_for_nothing, world);
    leat_loop_turn(world->loop, 0);
    assert_string_equal(world->trace, "");
    leat_watch_stop(&world->watches[0]);
}

static void test_immediates_cleared_and_left_behind(void **state)
{
    struct world *world = test_world = *state;
    leat_clear_immediate(leat_set_immediate(world->loop, say, (void *)"never"));
    leat_clear_immediate(0);
    assert_false(leat_loop_is_alive(world->loop));
    leat_immediate old = leat_set_immediate(world->loop, say, (void *)"once");
    (void)leat_loop_turn(world->loop, 0);
    leat_set_immediate(world->loop, say, (void *)"again"); /* in the place of the first */
    leat_clear_immediate(old);
    leat_clear_immediate(old);
    (void)leat_loop_turn(world->loop, 0);
    assert_string_equal(world->trace, "once again ");
    leat_set_immediate(world->loop, say, (void *)"left"); /* freed with the loop */
}

static void pend_again(void *arg)
{
    struct world *world = arg;
    say((void *)"pending");
    if (world->trace[9] == '\0')
        leat_loop_pend(world->loop, pend_again, world);
}

static void test_pending_again_is_for_the_next_turn(void **state)
{
    struct world *world = test_world = *state;
    leat_loop_pend(world->loop, pend_again, world);
    leat_loop_turn(world->loop, 0);
    assert_string_equal(world->trace, "pending ");
    leat_loop_turn(world->loop, 0);
    assert_string_equal(world->trace, "pending pending ");
}

static void spend_a_second(struct leat_timer *timer, void *arg)
{
    (void)timer;
    ((struct world *)arg)->now_ns += LEAT_NS_PER_S;
}

/* What a source sends after a timer that took long is sent when it is sent. */
static void test_the_time_is_read_again_after_timers_that_ran(void **state)
{
    struct world *world = test_world = *state;
    leat_timer_init(&world->timer, world->loop, spend_a_second, world);
    leat_timer_start(&world->timer, LEAT_NS_PER_MS, 0);
    world->now_ns += 2 * LEAT_NS_PER_MS;
    leat_loop_turn(world->loop, 0);
    assert_int_equal(world->now_ns, 2 * LEAT_NS_PER_S + 2 * LEAT_NS_PER_MS);
    assert_int_equal(leat_loop_now(world->loop), world->now_ns);
}

static void test_an_index_that_cannot_be(void **state)
{
    struct leat_error error;
    struct leat_loop_options options = {.index = 1024};
    assert_null(leat_loop_new(&options, &error));
    assert_int_equal(error.code, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_phases_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_microtasks_after_each_callback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_stopped_inside_a_callback_is_silent, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stop_ends_after_the_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unref_lets_the_loop_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hooks_in_order_and_stopped_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_loops_on_one_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_liveness_and_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_collected_event_that_is_no_longer_asked_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_immediates_cleared_and_left_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pending_again_is_for_the_next_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_time_is_read_again_after_timers_that_ran, set_up,
                                        tear_down),
        cmocka_unit_test(test_an_index_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
