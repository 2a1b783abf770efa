/* As many tasks at once as a core may have, parked and run on: under sanitizers, valgrind and the
 * C library's switch fewer, since those have limits of their own. */
#include "test/unit/task_world.h"

#if defined(LEAT_HAVE_VALGRIND)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

/* NOLINTBEGIN(bugprone-sizeof-expression): what a task is given is a pointer */

static unsigned count, started_count, ended_count;

static unsigned count_here(void)
{
#if defined(LEAT_SWITCH_UCONTEXT)
    return 4000;
#endif
    if (FIBER_TSAN)
        return 4000;
    if (FIBER_ASAN)
        return 10000;
    return RUNNING_ON_VALGRIND ? 1000 : LEAT_TASKS_MAX;
}

/* A frame of its own, deep enough to be in its own way. */
static struct leat_result park(void *arg)
{
    struct leat_future *gate = *(struct leat_future **)arg;
    volatile unsigned own = started_count++;
    struct leat_result result = leat_await(leat_future_ref(gate));
    assert_int_equal(leat_result_number(&result), 5);
    assert_int_equal(own, ended_count); /* in the order in which they came */
    ended_count++;
    return leat_number(own);
}

/* The gate opens for all at once; each takes its share of the value. */
static void all_wait_and_go_on(struct leat_future *gate)
{
    started_count = ended_count = 0;
    for (unsigned i = 0; i < count; i++)
        start(park, &gate, sizeof(gate));
    world_turn();
    assert_int_equal(started_count, count);
    assert_int_equal(leat_core_now->tasks->count, count);
    leat_settle(gate, leat_number(5));
    world_run();
    assert_int_equal(ended_count, count);
    assert_int_equal(leat_core_now->tasks->count, 0);
    leat_future_unref(gate);
}

static void as_many_as_there_may_be(void **state)
{
    count = count_here();
    all_wait_and_go_on(leat_future_new(world.loop, NULL));
    struct stacks *stacks = &leat_core_now->tasks->stacks;
    uint32_t made_count = stacks->made_count;
    assert_int_equal(made_count, count);
    all_wait_and_go_on(leat_future_new(world.loop, NULL)); /* on the stacks that are there */
    assert_int_equal(stacks->made_count, made_count);
    for (unsigned steps = 0; leat_core_now->tasks->part.trim(&leat_core_now->tasks->part); steps++)
        assert_true(steps < 200);
    assert_in_range(stacks->made_count, 0, STACKS_PER_SLAB);
}

/* One above the other: each starts the next and waits for it. */
static struct leat_result chain(void *arg)
{
    unsigned left = *(unsigned *)arg - 1;
    struct leat_result result = leat_number(0);
    if (left > 0)
        result = leat_await(leat_task_start(world.loop, chain, &left, sizeof(left)));
    return leat_number(leat_result_number(&result) + 1);
}

static void each_waits_for_the_next(void **state)
{
    unsigned length = count_here() / 10;
    struct leat_future *future = leat_task_start(world.loop, chain, &length, sizeof(length));
    world_run();
    assert_int_equal(leat_result_number(leat_future_result(future)), length);
    leat_future_unref(future);
}

static void without_guards_for_free_there_are_fewer(void **state)
{
    struct leat_future *gate = leat_future_new(world.loop, NULL), *first = NULL;
    start(park, &gate, sizeof(gate)); /* makes what a core has for tasks */
    leat_core_now->tasks->stacks.is_old = true;
    stack_guard_pretend(2 * 100);
    started_count = ended_count = 0;
    for (unsigned i = 0; i < 100; i++)
        start(park, &gate, sizeof(gate));
    first = leat_task_start(world.loop, park, &gate, sizeof(gate));
    leat_future_ignore(first);
    assert_int_equal(leat_future_result(first)->code, -EAGAIN);
    assert_non_null(strstr(leat_result_sentence(leat_future_result(first)), "vm.max_map_count"));
    leat_future_unref(first);
    world_turn();
    leat_settle(gate, leat_number(5));
    world_run();
    assert_int_equal(ended_count, 101);
    leat_future_unref(gate);
    stack_guard_pretend(UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(as_many_as_there_may_be),
        WORLD_TEST(each_waits_for_the_next),
        WORLD_TEST(without_guards_for_free_there_are_fewer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
/* NOLINTEND(bugprone-sizeof-expression) */
