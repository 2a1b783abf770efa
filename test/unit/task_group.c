/* Groups of tasks: all end together, however the first of them ends. Time is virtual. */
#include "test/unit/task_world.h"

#include <leat/group.h>

struct nap {
    uint64_t ns;
    int code; /* what the task ends with behind the nap */
    const char *word;
};

static struct leat_result nap(void *arg)
{
    const struct nap *nap = arg;
    struct leat_result slept = leat_await(leat_delay(world.loop, nap->ns));
    say_code(nap->word, slept.code);
    if (slept.code < 0)
        return slept;
    return nap->code < 0 ? leat_failure(nap->code, "it broke") : leat_number(nap->code);
}

struct family {
    struct nap naps[3];
    uint64_t limit_ns;
};

static struct leat_result raise_family(void *arg)
{
    const struct family *family = arg;
    struct leat_group *group = leat_group_new(world.loop);
    struct leat_future *futures[3];
    for (unsigned i = 0; i < 3; i++)
        futures[i] = leat_group_start(group, nap, &family->naps[i], sizeof(struct nap));
    int code = leat_group_wait(group, family->limit_ns);
    say_code("family", code);
    for (unsigned i = 0; i < 3; i++) {
        assert_non_null(leat_future_result(futures[i])); /* each has ended */
        leat_future_unref(futures[i]);
    }
    return code < 0 ? leat_failure(code, NULL) : leat_nothing();
}

static struct leat_future *family_start(const struct family *family)
{
    struct leat_future *future = leat_task_start(world.loop, raise_family, family, sizeof(*family));
    leat_future_ignore(future);
    return future;
}

static void family_play(const struct family *family, const char *expected)
{
    leat_future_unref(family_start(family));
    world_run();
    assert_string_equal(world.said, expected);
}

#define MS LEAT_NS_PER_MS

static void waits_for_all(void **state)
{
    family_play(&(struct family){.naps = {{3 * MS, 0, "a"}, {1 * MS, 0, "b"}, {2 * MS, 0, "c"}}},
                "b:ok c:ok a:ok family:ok ");
}

static void the_first_failure_cancels_the_rest(void **state)
{
    family_play(&(struct family){.naps = {{3 * MS, 0, "a"},
                                          {1 * MS, -EIO, "b"},
                                          {9 * MS, -EPERM, "c"}}},
                "b:ok a:ECANCELED c:ECANCELED family:EIO ");
}

static void the_time_cancels_what_is_left(void **state)
{
    family_play(&(struct family){.naps = {{1 * MS, 0, "a"}, {60 * MS, 0, "b"}, {60 * MS, 0, "c"}},
                                 .limit_ns = 20 * MS},
                "a:ok b:ECANCELED c:ECANCELED family:ETIME ");
}

static void who_waits_is_cancelled_and_so_are_they(void **state)
{
    struct leat_future *future =
        family_start(&(struct family){.naps = {{60 * MS, 0, "a"}, {60 * MS, 0, "b"}, {1, 0, "c"}}});
    world_turn();
    leat_future_cancel(future);
    world_run();
    assert_string_equal(world.said, "a:ECANCELED b:ECANCELED c:ECANCELED family:ECANCELED ");
    assert_int_equal(leat_future_result(future)->code, -ECANCELED);
    leat_future_unref(future);
}

static void the_loops_end_is_theirs(void **state)
{
    leat_future_unref(family_start(
        &(struct family){.naps = {{60 * MS, 0, "a"}, {60 * MS, 0, "b"}, {1, 0, "c"}}}));
    world_turn();
    world_end();
    assert_string_equal(world.said, "a:ECANCELED b:ECANCELED c:ECANCELED family:ECANCELED ");
}

static struct leat_result wait_for_none(void *arg)
{
    say_code("none", leat_group_wait(leat_group_new(world.loop), 0));
    return leat_nothing();
}

static void a_group_of_none_has_ended(void **state)
{
    start(wait_for_none, NULL, 0);
    world_run();
    assert_string_equal(world.said, "none:ok ");
}

static struct leat_result start_late(void *arg)
{
    struct leat_group *group = leat_group_new(world.loop);
    struct nap broken = {0, -EIO, "broken"}, late = {0, 0, "late"};
    leat_future_unref(leat_group_start(group, nap, &broken, sizeof(broken)));
    struct leat_result slept = leat_await(leat_delay(world.loop, 5 * MS));
    assert_int_equal(slept.code, 0);
    struct leat_future *refused = leat_group_start(group, nap, &late, sizeof(late));
    assert_int_equal(leat_future_result(refused)->code, -ECANCELED);
    leat_future_unref(refused);
    say_code("group", leat_group_wait(group, 0));
    return leat_nothing();
}

static void nothing_starts_in_one_that_has_failed(void **state)
{
    start(start_late, NULL, 0);
    world_run();
    assert_string_equal(world.said, "broken:ok group:EIO ");
}

/* A task that the core has no room for is the failure of its group. */
static void too_many_is_a_failure_too(void **state)
{
    assert_int_equal(tasks_limit(world.loop, 3), 0);
    family_play(&(struct family){.naps = {{3 * MS, 0, "a"}, {1 * MS, 0, "b"}, {2 * MS, 0, "c"}}},
                "a:ECANCELED b:ECANCELED family:EAGAIN ");
}

static void every_allocation_fails_once(void **state)
{
    struct family family = {.naps = {{3 * MS, 0, "a"}, {1 * MS, 0, "b"}, {2 * MS, 0, "c"}}};
    bool has_failed = true;
    for (unsigned nth = 1; has_failed; nth++) {
        struct leat_heap_stats stats;
        leat_heap_fail_at(leat_core_now, nth);
        struct leat_future *future = family_start(&family);
        world_run();
        const struct leat_result *result = leat_future_result(future);
        assert_true(result->code == 0 || result->code == -ENOMEM);
        leat_heap_fail_at(leat_core_now, 0);
        leat_heap_stats(leat_core_now, &stats);
        has_failed = stats.refused_count > 0;
        leat_future_unref(future);
        world_end();
        world_begin();
        assert_true(nth < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(waits_for_all),
        WORLD_TEST(the_first_failure_cancels_the_rest),
        WORLD_TEST(the_time_cancels_what_is_left),
        WORLD_TEST(who_waits_is_cancelled_and_so_are_they),
        WORLD_TEST(the_loops_end_is_theirs),
        WORLD_TEST(a_group_of_none_has_ended),
        WORLD_TEST(nothing_starts_in_one_that_has_failed),
        WORLD_TEST(too_many_is_a_failure_too),
        WORLD_TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
