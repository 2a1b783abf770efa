/* Tasks: start and end, await, order, yielding, cancelling and shields, limits, and what is left
 * when the loop ends. Time is virtual. */
#include "test/unit/task_world.h"

static uint32_t tasks_count(void)
{
    return leat_core_now->tasks->count;
}

/* ---- start and end ---- */

static struct leat_result say_and_give(void *arg)
{
    say(arg);
    return leat_number(7);
}

static void starts_as_a_job_after_the_call(void **state)
{
    struct leat_future *future = leat_task_start(world.loop, say_and_give, "task", 0);
    leat_queue_microtask(world.loop, say_word, (void *)"job");
    leat_next_tick(world.loop, say_word, (void *)"tick");
    say("main");
    assert_null(leat_future_result(future));
    world_run();
    assert_string_equal(world.said, "main tick task job ");
    assert_int_equal(leat_result_number(leat_future_result(future)), 7);
    leat_future_unref(future);
    assert_int_equal(tasks_count(), 0);
}

struct triple {
    char word[LEAT_TASK_ARG_BYTES_MAX];
};

static struct leat_result say_copy(void *arg)
{
    const struct triple *triple = arg;
    char here;
    assert_int_equal((uintptr_t)arg % 16, 0);
    assert_true((char *)arg > &here); /* on this stack */
    say(triple->word);
    return leat_nothing();
}

static void copies_its_argument(void **state)
{
    struct triple triple = {"copied"};
    start(say_copy, &triple, sizeof(triple));
    strcpy(triple.word, "changed");
    world_run();
    assert_string_equal(world.said, "copied ");
}

static struct leat_result break_it(void *arg)
{
    return leat_failure(-EIO, "it broke");
}

static struct leat_result follow(void *arg)
{
    return leat_follow(arg);
}

static void settles_as_its_function_says(void **state)
{
    struct leat_future *inner = leat_future_new(world.loop, NULL);
    struct leat_future *failed = leat_task_start(world.loop, break_it, NULL, 0);
    struct leat_future *followed = leat_task_start(world.loop, follow, leat_future_ref(inner), 0);
    leat_future_ignore(failed);
    world_run();
    assert_string_equal(leat_result_sentence(leat_future_result(failed)), "it broke");
    assert_null(leat_future_result(followed));
    assert_int_equal(tasks_count(), 0);
    leat_settle(inner, leat_number(3));
    world_run();
    assert_int_equal(leat_result_number(leat_future_result(followed)), 3);
    leat_future_unref(inner);
    leat_future_unref(failed);
    leat_future_unref(followed);
}

/* ---- await ---- */

static struct leat_result wait_for(void *future)
{
    struct leat_result result = leat_await(future);
    say_code("awaited", result.code);
    return result;
}

static void awaits_what_is_pending_and_what_is_settled(void **state)
{
    struct leat_future *pending = leat_future_new(world.loop, NULL);
    struct leat_future *first = leat_task_start(world.loop, wait_for, pending, 0);
    struct leat_future *second =
        leat_task_start(world.loop, wait_for, leat_settled(world.loop, leat_number(4)), 0);
    world_turn();
    assert_string_equal(world.said, "awaited:ok ");
    assert_null(leat_future_result(first));
    leat_settle(pending, leat_number(5));
    world_run();
    assert_string_equal(world.said, "awaited:ok awaited:ok ");
    assert_int_equal(leat_result_number(leat_future_result(first)), 5);
    assert_int_equal(leat_result_number(leat_future_result(second)), 4);
    leat_future_unref(first);
    leat_future_unref(second);
}

static void done_say(void *word, const struct leat_result *result)
{
    say(word);
}

static struct leat_result await_and_say(void *future)
{
    leat_on_settled(future, done_say, (void *)"before");
    struct leat_future *kept = leat_future_ref(future);
    struct leat_result result = leat_await(future);
    say("await");
    leat_on_settled(kept, done_say, (void *)"after");
    leat_future_unref(kept);
    return result;
}

/* Round 1, in its place between other reactions. */
static void goes_on_in_the_order_of_reactions(void **state)
{
    start(await_and_say, leat_settled(world.loop, leat_number(1)), 0);
    world_run();
    assert_string_equal(world.said, "before await after ");
}

static unsigned dropped_count;

static void pointer_drop(void *pointer)
{
    dropped_count++;
}

static struct leat_result take_and_drop(void *future)
{
    struct leat_result result = leat_await(future);
    assert_null(result.owner); /* nobody else sees it */
    assert_int_equal(dropped_count, 0);
    leat_result_drop(&result);
    assert_int_equal(dropped_count, 1);
    return leat_nothing();
}

static void owns_what_it_is_given(void **state)
{
    dropped_count = 0;
    struct leat_future *future = leat_future_new(world.loop, NULL);
    start(take_and_drop, future, 0);
    world_turn();
    leat_settle(future, leat_pointer(&dropped_count, LEAT_KIND_POINTER, pointer_drop));
    world_run();
    assert_int_equal(dropped_count, 1);
}

static struct leat_result sleep_twice(void *arg)
{
    struct leat_result result = leat_await(leat_delay(world.loop, 3 * LEAT_NS_PER_S));
    say_code("first", result.code);
    result = leat_await(leat_delay(world.loop, LEAT_NS_PER_S));
    say_code("second", result.code);
    return result;
}

static void time_passes_while_it_waits(void **state)
{
    uint64_t began_ns = world.now_ns;
    start(sleep_twice, NULL, 0);
    world_run();
    assert_string_equal(world.said, "first:ok second:ok ");
    assert_in_range(world.now_ns - began_ns, 4 * LEAT_NS_PER_S, 5 * LEAT_NS_PER_S);
}

static struct leat_result wait_for_child(void *arg)
{
    struct leat_result result = leat_await(leat_task_start(world.loop, say_and_give, "child", 0));
    say("parent");
    return result;
}

static void waits_for_a_task_that_it_started(void **state)
{
    struct leat_future *future = leat_task_start(world.loop, wait_for_child, NULL, 0);
    world_run();
    assert_string_equal(world.said, "child parent ");
    assert_int_equal(leat_result_number(leat_future_result(future)), 7);
    leat_future_unref(future);
}

/* ---- yield ---- */

static struct leat_result yield_thrice(void *word)
{
    for (unsigned i = 0; i < 3; i++) {
        say(word);
        assert_int_equal(leat_task_yield(), 0);
    }
    return leat_nothing();
}

static void yields_to_the_next_check_phase(void **state)
{
    start(yield_thrice, "a", 0);
    start(yield_thrice, "b", 0);
    world_turn();
    assert_string_equal(world.said, "a b a b ");
    leat_set_immediate(world.loop, say_word, (void *)"immediate");
    world_turn();
    assert_string_equal(world.said, "a b a b a b immediate ");
    world_run();
    assert_string_equal(world.said, "a b a b a b immediate ");
    assert_int_equal(tasks_count(), 0);
}

/* ---- cancelling ---- */

static struct leat_result wait_in_vain(void *future)
{
    say_code("present", leat_await(future).code);
    say_code("later", leat_await(leat_delay(world.loop, LEAT_NS_PER_S)).code);
    say_code("yield", leat_task_yield());
    struct leat_result settled = leat_await(leat_settled(world.loop, leat_number(1)));
    say_code("settled", settled.code);
    return leat_number(9);
}

static void cancelling_ends_each_await(void **state)
{
    struct leat_future *delay = leat_delay(world.loop, 3600 * LEAT_NS_PER_S);
    struct leat_future *future = leat_task_start(world.loop, wait_in_vain, delay, 0);
    world_turn();
    leat_future_cancel(future);
    leat_future_cancel(future);
    assert_string_equal(world.said, "");
    assert_null(leat_future_result(future));
    uint64_t began_ns = world.now_ns;
    world_run(); /* no timer is left */
    assert_string_equal(world.said, "present:ECANCELED later:ECANCELED yield:ECANCELED "
                                    "settled:ECANCELED ");
    assert_int_equal(leat_result_number(leat_future_result(future)), 9);
    assert_int_equal(world.now_ns, began_ns);
    leat_future_unref(future);
}

static void what_others_want_goes_on(void **state)
{
    struct leat_future *delay = leat_delay(world.loop, LEAT_NS_PER_S);
    leat_on_settled(delay, done_say, (void *)"delay");
    struct leat_future *future = leat_task_start(world.loop, wait_for, delay, 0);
    leat_future_ignore(future);
    world_turn();
    leat_future_cancel(future);
    world_run();
    assert_string_equal(world.said, "awaited:ECANCELED delay ");
    leat_future_unref(future);
}

/* The value has come, and the task has not seen it yet. */
static void a_value_that_came_before_the_cancel_is_dropped(void **state)
{
    dropped_count = 0;
    struct leat_future *value = leat_future_new(world.loop, NULL);
    struct leat_future *future = leat_task_start(world.loop, wait_for, value, 0);
    leat_future_ignore(future);
    world_turn();
    leat_settle(value, leat_pointer(&dropped_count, LEAT_KIND_POINTER, pointer_drop));
    leat_future_cancel(future);
    world_run();
    assert_string_equal(world.said, "awaited:ECANCELED ");
    assert_int_equal(dropped_count, 1);
    leat_future_unref(future);
}

static void one_that_has_not_started_runs(void **state)
{
    struct leat_future *future =
        leat_task_start(world.loop, wait_in_vain, leat_delay(world.loop, LEAT_NS_PER_S), 0);
    leat_future_cancel(future);
    world_run();
    assert_string_equal(world.said, "present:ECANCELED later:ECANCELED yield:ECANCELED "
                                    "settled:ECANCELED ");
    leat_future_unref(future);
}

static struct leat_result yield_once(void *arg)
{
    say_code("yield", leat_task_yield());
    return leat_nothing();
}

static void a_yield_is_cancelled_too(void **state)
{
    struct leat_future *future = leat_task_start(world.loop, yield_once, NULL, 0);
    leat_loop_gate(world.loop);
    leat_future_cancel(future);
    leat_loop_gate(world.loop);
    assert_string_equal(world.said, "yield:ECANCELED ");
    world_run();
    leat_future_unref(future);
}

static void a_parents_cancel_goes_to_what_it_waits_for(void **state)
{
    struct leat_future *child =
        leat_task_start(world.loop, wait_for, leat_delay(world.loop, LEAT_NS_PER_S), 0);
    struct leat_future *parent = leat_task_start(world.loop, wait_for, child, 0);
    leat_future_ignore(parent);
    world_turn();
    leat_future_cancel(parent);
    world_run();
    assert_string_equal(world.said, "awaited:ECANCELED awaited:ECANCELED ");
    leat_future_unref(parent);
}

/* ---- shields ---- */

static struct leat_result clean_up(void *ns)
{
    struct leat_result result = leat_await(leat_delay(world.loop, 3600 * LEAT_NS_PER_S));
    say_code("work", result.code);
    leat_task_shield();
    leat_task_shield();
    result = leat_await(leat_delay(world.loop, *(uint64_t *)ns));
    say_code("clean", result.code);
    leat_task_unshield();
    result = leat_await(leat_settled(world.loop, leat_nothing()));
    say_code("still", result.code);
    leat_task_unshield();
    result = leat_await(leat_settled(world.loop, leat_nothing()));
    say_code("after", result.code);
    return leat_nothing();
}

static void cleans_up_behind_a_shield(void **state)
{
    uint64_t ns = LEAT_TASK_SHIELD_NS / 2;
    struct leat_future *future = leat_task_start(world.loop, clean_up, &ns, sizeof(ns));
    world_turn();
    leat_future_cancel(future);
    world_run();
    assert_string_equal(world.said, "work:ECANCELED clean:ok still:ok after:ECANCELED ");
    leat_future_unref(future);
}

static void a_shield_is_over_in_time(void **state)
{
    uint64_t ns = 3600 * LEAT_NS_PER_S, began_ns = world.now_ns;
    struct leat_future *future = leat_task_start(world.loop, clean_up, &ns, sizeof(ns));
    world_turn();
    leat_future_cancel(future);
    world_run();
    assert_string_equal(world.said,
                        "work:ECANCELED clean:ECANCELED still:ECANCELED after:ECANCELED ");
    assert_in_range(world.now_ns - began_ns, LEAT_TASK_SHIELD_NS,
                    LEAT_TASK_SHIELD_NS + LEAT_NS_PER_S);
    leat_future_unref(future);
}

static struct leat_result shielded_from_the_start(void *ns)
{
    leat_task_shield();
    struct leat_result result = leat_await(leat_delay(world.loop, *(uint64_t *)ns));
    say_code("shielded", result.code);
    leat_task_unshield();
    return leat_nothing();
}

/* Several, whose times end one after another. */
static void shields_are_timed_from_the_cancel(void **state)
{
    uint64_t ns = 60 * LEAT_NS_PER_S, began_ns = world.now_ns;
    struct leat_future *futures[3];
    for (unsigned i = 0; i < 3; i++)
        futures[i] = leat_task_start(world.loop, shielded_from_the_start, &ns, sizeof(ns));
    world_turn();
    for (unsigned i = 0; i < 3; i++) {
        leat_future_cancel(futures[i]);
        world.now_ns += LEAT_NS_PER_S;
        world_turn();
        leat_future_unref(futures[i]);
    }
    assert_string_equal(world.said, "");
    world_run();
    assert_string_equal(world.said, "shielded:ECANCELED shielded:ECANCELED shielded:ECANCELED ");
    assert_in_range(world.now_ns - began_ns, LEAT_TASK_SHIELD_NS + 2 * LEAT_NS_PER_S,
                    LEAT_TASK_SHIELD_NS + 3 * LEAT_NS_PER_S);
}

/* ---- limits ---- */

static void one_too_many_is_refused(void **state)
{
    struct leat_future *futures[4];
    assert_int_equal(tasks_limit(world.loop, 0), -EINVAL);
    assert_int_equal(tasks_limit(world.loop, LEAT_TASKS_MAX + 1), -EINVAL);
    assert_int_equal(tasks_limit(world.loop, 3), 0);
    for (unsigned i = 0; i < 4; i++)
        futures[i] = leat_task_start(world.loop, say_and_give, "task", 0);
    const struct leat_result *refused = leat_future_result(futures[3]);
    assert_int_equal(refused->code, -EAGAIN);
    assert_non_null(strstr(leat_result_sentence(refused), "3 tasks"));
    leat_future_ignore(futures[3]);
    world_run();
    assert_string_equal(world.said, "task task task ");
    for (unsigned i = 0; i < 4; i++)
        leat_future_unref(futures[i]);
    start(say_and_give, "again", 0);
    world_run();
    assert_string_equal(world.said, "task task task again ");
}

/* ---- the loop's end ---- */

static struct leat_result wait_shielded(void *future)
{
    leat_task_shield();
    struct leat_result result = leat_await(future);
    say_code("parked", result.code);
    leat_task_unshield();
    return leat_nothing();
}

static struct leat_result never_settled(void *future)
{
    struct leat_result result = leat_await(future);
    say_code("parked", result.code);
    return leat_nothing();
}

static void a_loop_without_work_leaves_tasks_parked(void **state)
{
    struct leat_future *never = leat_future_new(world.loop, NULL);
    start(never_settled, leat_future_ref(never), 0);
    leat_future_unref(leat_task_start_with(world.loop,
                                           &(struct leat_task_options){.name = "waiter"},
                                           never_settled, leat_future_ref(never), 0));
    start(yield_once, NULL, 0);
    world_run();
    assert_string_equal(world.said, "yield:ok ");
    assert_int_equal(tasks_name_parked(world.loop), 2);
    start(say_and_give, "new", 0);
    leat_settle(never, leat_nothing());
    leat_future_unref(never);
    world_end();
    assert_string_equal(world.said, "yield:ok new parked:ECANCELED parked:ECANCELED ");
}

static void stopping_goes_through_shields(void **state)
{
    struct leat_future *never = leat_future_new(world.loop, NULL);
    start(wait_shielded, leat_future_ref(never), 0);
    world_turn();
    tasks_stop(world.loop);
    assert_string_equal(world.said, "parked:ECANCELED ");
    assert_int_equal(tasks_count(), 0);
    leat_settle(never, leat_nothing());
    leat_future_unref(never);
}

/* ---- memory that is out ---- */

static struct leat_result scenario(void *arg)
{
    struct leat_result a = leat_await(leat_task_start(world.loop, say_and_give, "child", 0));
    int yielded = leat_task_yield();
    struct leat_result b = leat_await(leat_delay(world.loop, LEAT_NS_PER_MS));
    *(int *)arg = a.code < 0 ? a.code : yielded < 0 ? yielded : b.code;
    leat_result_drop(&a);
    leat_result_drop(&b);
    return leat_nothing();
}

static void ignore_unhandled(void *arg, struct leat_future *future)
{
}

/* The nth allocation fails: what was asked for is refused, or does without, and nothing is lost. */
static void every_allocation_fails_once(void **state)
{
    bool has_failed = true;
    for (unsigned nth = 1; has_failed; nth++) {
        struct leat_heap_stats stats;
        int code = -ECHILD;
        leat_loop_on_unhandled(world.loop, ignore_unhandled, NULL);
        leat_heap_fail_at(leat_core_now, nth);
        struct leat_future *future = leat_task_start(world.loop, scenario, &code, 0);
        world_run();
        const struct leat_result *result = leat_future_result(future);
        assert_non_null(result);
        assert_true(result->code == 0 || result->code == -ENOMEM);
        assert_true(result->code < 0 || code == 0 || code == -ENOMEM);
        leat_heap_fail_at(leat_core_now, 0);
        leat_heap_stats(leat_core_now, &stats);
        has_failed = stats.refused_count > 0;
        leat_future_unref(future);
        world_end();
        world_begin();
        assert_true(nth < 1000);
    }
}

/* ---- every await is cancelled once ---- */

enum { AWAITS = 12 };

static struct {
    unsigned cancel_at; /* the await that is under way when it is cancelled */
    struct leat_future *future;
} many;

static void many_cancel(void *arg)
{
    leat_future_cancel(many.future);
}

static struct leat_result many_awaits(void *arg)
{
    unsigned cut_count = 0;
    for (unsigned i = 0; i < AWAITS; i++) {
        if (i == many.cancel_at)
            leat_queue_microtask(world.loop, many_cancel, NULL);
        struct leat_result result;
        switch (i % 4) {
        case 0:
            result = leat_await(leat_delay(world.loop, LEAT_NS_PER_MS));
            break;
        case 1:
            result = leat_await(leat_settled(world.loop, leat_number(1)));
            break;
        case 2:
            result = leat_await(leat_task_start(world.loop, yield_once, NULL, 0));
            break;
        default:
            result = leat_nothing();
            result.code = leat_task_yield();
            break;
        }
        cut_count += result.code == -ECANCELED;
        leat_result_drop(&result);
    }
    return leat_number(cut_count);
}

static void every_await_is_cancelled_once(void **state)
{
    for (many.cancel_at = 0; many.cancel_at <= AWAITS; many.cancel_at++) {
        many.future = leat_task_start(world.loop, many_awaits, NULL, 0);
        world_run();
        assert_int_equal(leat_result_number(leat_future_result(many.future)),
                         AWAITS - many.cancel_at);
        assert_int_equal(tasks_count(), 0);
        leat_future_unref(many.future);
    }
}

/* ---- the validator ---- */

static void validator_sees_what_is_wrong(void **state)
{
    struct leat_future *never = leat_future_new(world.loop, NULL);
    start(never_settled, leat_future_ref(never), 0);
    world_turn();
    struct tasks *tasks = leat_core_now->tasks;
    struct task *task = container_of(tasks->all.next, struct task, link);
    const struct task good = *task;
    task->place = TASK_RUNS;
    assert_non_null(tasks_validate(tasks));
    task->place = TASK_ENDED;
    assert_non_null(tasks_validate(tasks));
    *task = good;
    task->flags |= TASK_EXPIRED;
    assert_non_null(tasks_validate(tasks));
    *task = good;
    tasks->count++;
    assert_non_null(tasks_validate(tasks));
    tasks->count--;
    assert_null(tasks_validate(tasks));
    leat_settle(never, leat_nothing());
    leat_future_unref(never);
    world_run();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(starts_as_a_job_after_the_call),
        WORLD_TEST(copies_its_argument),
        WORLD_TEST(settles_as_its_function_says),
        WORLD_TEST(awaits_what_is_pending_and_what_is_settled),
        WORLD_TEST(goes_on_in_the_order_of_reactions),
        WORLD_TEST(owns_what_it_is_given),
        WORLD_TEST(time_passes_while_it_waits),
        WORLD_TEST(waits_for_a_task_that_it_started),
        WORLD_TEST(yields_to_the_next_check_phase),
        WORLD_TEST(cancelling_ends_each_await),
        WORLD_TEST(what_others_want_goes_on),
        WORLD_TEST(a_value_that_came_before_the_cancel_is_dropped),
        WORLD_TEST(one_that_has_not_started_runs),
        WORLD_TEST(a_yield_is_cancelled_too),
        WORLD_TEST(a_parents_cancel_goes_to_what_it_waits_for),
        WORLD_TEST(cleans_up_behind_a_shield),
        WORLD_TEST(a_shield_is_over_in_time),
        WORLD_TEST(shields_are_timed_from_the_cancel),
        WORLD_TEST(one_too_many_is_refused),
        WORLD_TEST(a_loop_without_work_leaves_tasks_parked),
        WORLD_TEST(stopping_goes_through_shields),
        WORLD_TEST(every_allocation_fails_once),
        WORLD_TEST(every_await_is_cancelled_once),
        WORLD_TEST(validator_sees_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
