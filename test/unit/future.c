/* Futures: values and who owns them, jobs and rounds, cancelling, ends of what is unhandled, other
 * threads, memory that is out. The order beside Node's is compared in test/node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <leat/abort.h>
#include <leat/future.h>
#include <leat/io.h>
#include <leat/memory.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"

static char said[1024];
static unsigned dropped_count;
static struct leat_loop *loop;

static void say(const char *word)
{
    size_t length = strlen(said);
    snprintf(said + length, sizeof(said) - length, "%s ", word);
}

static void say_word(void *word)
{
    say(word);
}

static void done_say(void *arg, const struct leat_result *result)
{
    char word[128];
    if (result->code < 0)
        snprintf(word, sizeof(word), "%s:%s", (char *)arg, leat_result_sentence(result));
    else if (result->kind == LEAT_KIND_NUMBER)
        snprintf(word, sizeof(word), "%s:%d", (char *)arg, (int)leat_result_number(result));
    else
        snprintf(word, sizeof(word), "%s", (char *)arg);
    say(word);
}

static void pointer_drop(void *pointer)
{
    dropped_count++;
    leat_heap_free(pointer);
}

static struct leat_result pointer_new(void)
{
    int *number = leat_heap_alloc(sizeof(*number));
    *number = 7;
    return leat_pointer(number, LEAT_KIND_POINTER, pointer_drop);
}

static int setup(void **state)
{
    said[0] = '\0';
    dropped_count = 0;
    loop = leat_loop_new(NULL, NULL);
    return loop == NULL;
}

static int teardown(void **state)
{
    leat_loop_free(loop);
    return 0;
}

static void run(void)
{
    assert_int_equal(leat_loop_run(loop), 0);
}

static void reacts_as_a_job_after_the_call(void **state)
{
    struct leat_future *future = leat_future_new(loop, NULL);
    leat_on_settled(future, done_say, (void *)"a");
    leat_settle(future, leat_number(5));
    leat_on_settled(future, done_say, (void *)"b");
    say("main");
    leat_future_unref(future);
    run();
    assert_string_equal(said, "main a:5 b:5 ");
}

static struct leat_result number_next(void *arg, const struct leat_result *result)
{
    return leat_number(leat_result_number(result) + 1);
}

static struct leat_result number_fail(void *arg, const struct leat_result *result)
{
    return leat_failure(-EIO, "number %d is bad", (int)leat_result_number(result));
}

static struct leat_result failure_heal(void *arg, const struct leat_result *result)
{
    assert_int_equal(result->code, -EIO);
    return leat_number(-1);
}

/* Takes the consumer's reference of what is before. */
static struct leat_future *behind(struct leat_future *before, struct leat_future *derived)
{
    leat_future_unref(before);
    return derived;
}

static void passes_values_and_failures_along(void **state)
{
    struct leat_future *f = leat_settled(loop, leat_number(1));
    f = behind(f, leat_then(f, number_next, NULL, NULL));
    f = behind(f, leat_catch(f, failure_heal, NULL));
    f = behind(f, leat_then(f, number_fail, NULL, NULL));
    f = behind(f, leat_then(f, number_next, NULL, NULL));
    leat_on_settled(f, done_say, (void *)"failed");
    f = behind(f, leat_catch(f, failure_heal, NULL));
    leat_on_settled(f, done_say, (void *)"healed");
    leat_future_unref(f);
    run();
    assert_string_equal(said, "failed:number 2 is bad healed:-1 ");
}

static void drops_a_value_once_when_all_let_go(void **state)
{
    struct leat_future *source = leat_settled(loop, pointer_new());
    struct leat_future *one = leat_then(source, NULL, NULL, NULL);
    struct leat_future *two = leat_then(one, NULL, NULL, NULL);
    leat_future_unref(source);
    leat_future_unref(one);
    run();
    const struct leat_result *result = leat_future_result(two);
    assert_int_equal(*(int *)leat_result_pointer(result, LEAT_KIND_POINTER), 7);
    assert_int_equal(dropped_count, 0);
    struct leat_result own = leat_future_take(two);
    leat_future_unref(two);
    assert_int_equal(dropped_count, 0);
    assert_int_equal(*(int *)own.pointer, 7);
    leat_result_drop(&own);
    assert_int_equal(dropped_count, 1);
    leat_result_drop(&own);
    assert_int_equal(dropped_count, 1);
    struct leat_result failed = leat_failure(-EIO, "with a sentence");
    assert_int_equal(leat_result_drop(&failed), -EIO);
    assert_int_equal(leat_result_drop(&failed), 0);
}

static void takes_a_value_that_nobody_else_sees(void **state)
{
    struct leat_future *source = leat_settled(loop, pointer_new());
    struct leat_result own = leat_future_take(source);
    assert_null(own.owner);
    leat_future_unref(source);
    assert_int_equal(dropped_count, 0);
    leat_result_drop(&own);
    assert_int_equal(dropped_count, 1);
}

static void runs_though_its_consumer_has_gone(void **state)
{
    struct leat_future *future = leat_future_new(loop, NULL);
    leat_on_settled(future, done_say, (void *)"late");
    leat_future_unref(future);
    leat_settle(future, pointer_new());
    run();
    assert_string_equal(said, "late ");
    assert_int_equal(dropped_count, 1);
}

static struct leat_result follow_it(void *arg, const struct leat_result *result)
{
    return leat_follow(leat_future_ref(arg));
}

static void follows_what_a_callback_returns(void **state)
{
    struct leat_future *inner = leat_future_new(loop, NULL);
    struct leat_future *first = leat_settled(loop, leat_nothing());
    struct leat_future *outer = behind(first, leat_then(first, follow_it, NULL, inner));
    leat_on_settled(outer, done_say, (void *)"outer");
    assert_true(leat_loop_turn(loop, 0) || true);
    assert_string_equal(said, "");
    leat_settle(inner, leat_number(3));
    run();
    assert_string_equal(said, "outer:3 ");
    leat_future_unref(inner);
    leat_future_unref(outer);
}

static struct leat_result follow_itself(void *arg, const struct leat_result *result)
{
    return leat_follow(leat_future_ref(*(struct leat_future **)arg));
}

static void refuses_to_wait_for_itself(void **state)
{
    struct leat_future *first = leat_settled(loop, leat_nothing()), *self;
    self = leat_then(first, follow_itself, NULL, &self);
    leat_future_unref(first);
    leat_on_settled(self, done_say, (void *)"self");
    run();
    assert_string_equal(said, "self:a future cannot wait for itself ");
    leat_future_unref(self);
}

static struct leat_result say_finally(void *arg, const struct leat_result *result)
{
    say("finally");
    return arg != NULL ? leat_failure(-EPERM, "it threw") : leat_number(99);
}

static void finally_keeps_what_was(void **state)
{
    struct leat_future *f = leat_settled(loop, leat_number(1));
    f = behind(f, leat_finally(f, say_finally, NULL));
    leat_on_settled(f, done_say, (void *)"kept");
    f = behind(f, leat_finally(f, say_finally, (void *)"throw"));
    leat_on_settled(f, done_say, (void *)"thrown");
    leat_future_unref(f);
    run();
    assert_string_equal(said, "finally kept:1 finally thrown:it threw ");
}

/* ---- combinations ---- */

static struct leat_future *pair[2];

static void pair_new(void)
{
    for (unsigned i = 0; i < 2; i++)
        pair[i] = leat_future_ref(leat_future_new(loop, NULL));
}

static void pair_unref(void)
{
    leat_future_unref(pair[0]);
    leat_future_unref(pair[1]);
}

static void all_gives_results_in_order(void **state)
{
    pair_new();
    struct leat_future *all = leat_all(loop, pair, 2);
    leat_settle(pair[1], leat_number(2));
    leat_settle(pair[0], pointer_new());
    pair_unref();
    run();
    const struct leat_results *results =
        leat_result_pointer(leat_future_result(all), LEAT_KIND_RESULTS);
    assert_int_equal(results->count, 2);
    assert_int_equal(leat_result_number(&results->items[1]), 2);
    assert_int_equal(*(int *)leat_result_pointer(&results->items[0], LEAT_KIND_POINTER), 7);
    leat_future_unref(all);
    assert_int_equal(dropped_count, 1);
}

static void race_leaves_the_loser(void **state)
{
    pair_new();
    struct leat_future *race = leat_race(loop, pair, 2);
    leat_settle(pair[0], leat_number(1));
    run();
    assert_null(pair[1]->reactions); /* nothing of the race is left there */
    assert_int_equal(leat_result_number(leat_future_result(race)), 1);
    leat_future_unref(race);
    leat_settle(pair[1], leat_nothing());
    pair_unref();
}

static void any_wants_one_that_is_fulfilled(void **state)
{
    pair_new();
    struct leat_future *any = leat_any(loop, pair, 2);
    leat_settle(pair[0], leat_failure(-EIO, "first"));
    leat_settle(pair[1], leat_failure(-EIO, "second"));
    pair_unref();
    leat_on_settled(any, done_say, (void *)"any");
    leat_future_unref(any);
    run();
    assert_string_equal(said, "any:none of 2 was fulfilled; the last: second ");
}

static void all_of_one_that_fails_fails_at_once(void **state)
{
    pair_new();
    struct leat_future *all = leat_all(loop, pair, 2);
    leat_on_settled(all, done_say, (void *)"all");
    leat_settle(pair[1], leat_failure(-EIO, "broken"));
    run();
    assert_string_equal(said, "all:broken ");
    leat_future_unref(all);
    leat_settle(pair[0], leat_nothing());
    pair_unref();
}

static void none_and_the_same_twice(void **state)
{
    struct leat_future *all = leat_all(loop, NULL, 0), *any = leat_any(loop, NULL, 0);
    leat_on_settled(all, done_say, (void *)"all");
    leat_on_settled(any, done_say, (void *)"any");
    leat_future_unref(all);
    leat_future_unref(any);
    struct leat_future *one = leat_settled(loop, leat_number(4));
    struct leat_future *twice[] = {one, leat_future_ref(one)};
    struct leat_future *both = leat_all_settled(loop, twice, 2);
    run();
    assert_string_equal(said, "all any:any of no futures would never be fulfilled ");
    const struct leat_results *results =
        leat_result_pointer(leat_future_result(both), LEAT_KIND_RESULTS);
    assert_int_equal(leat_result_number(&results->items[1]), 4);
    leat_future_unref(both);
}

/* ---- calls, cancelling, time ---- */

static void call_runs_in_the_poll_phase(void **state)
{
    struct leat_future *future = leat_future_new(loop, NULL);
    leat_call(future, done_say, (void *)"called");
    leat_settle(future, leat_number(1));
    leat_queue_microtask(loop, say_word, (void *)"job");
    leat_set_immediate(loop, say_word, (void *)"immediate");
    run();
    assert_string_equal(said, "job called:1 immediate ");
}

static void cancel_goes_to_what_is_behind(void **state)
{
    struct leat_future *delay = leat_delay(loop, LEAT_NS_PER_S * 3600);
    struct leat_future *then = behind(delay, leat_then(delay, number_next, NULL, NULL));
    struct leat_future *all = leat_all(loop, &then, 1);
    struct leat_future *bound = leat_with_deadline(all, LEAT_NS_PER_S * 3600);
    leat_on_settled(bound, done_say, (void *)"bound");
    leat_future_cancel(bound);
    leat_future_cancel(bound);
    leat_future_unref(bound);
    run(); /* no timer is left */
    assert_string_equal(said, "bound:ECANCELED ");
}

static void cancel_spares_what_others_want(void **state)
{
    struct leat_future *delay = leat_delay(loop, LEAT_NS_PER_MS);
    struct leat_future *then = leat_then(delay, NULL, NULL, NULL);
    leat_on_settled(delay, done_say, (void *)"delay");
    leat_on_settled(then, done_say, (void *)"then");
    leat_future_cancel(then);
    leat_future_unref(then);
    leat_future_unref(delay);
    run();
    assert_string_equal(said, "then:ECANCELED delay ");
}

static void deadline_comes_first_or_last(void **state)
{
    struct leat_future *late = leat_with_deadline(leat_delay(loop, LEAT_NS_PER_S * 3600), 1);
    struct leat_future *early = leat_with_deadline(leat_delay(loop, 1), LEAT_NS_PER_S * 3600);
    leat_on_settled(late, done_say, (void *)"late");
    leat_on_settled(early, done_say, (void *)"early");
    leat_future_unref(late);
    leat_future_unref(early);
    run();
    assert_non_null(strstr(said, "late:ETIME"));
    assert_non_null(strstr(said, "early "));
}

static void abort_cancels_what_is_under_way(void **state)
{
    struct leat_abort *one = leat_abort_new(loop), *two = leat_abort_new(loop);
    struct leat_future *a = leat_delay(loop, LEAT_NS_PER_S * 3600);
    struct leat_future *b = leat_delay(loop, 1);
    assert_int_equal(leat_abort_add_abort(one, two), 0);
    leat_abort_add(two, a);
    leat_abort_add(two, b);
    leat_on_settled(b, done_say, (void *)"b");
    leat_future_unref(b);
    leat_on_settled(a, done_say, (void *)"a");
    leat_future_unref(a);
    while (leat_loop_turn(loop, LEAT_NS_PER_MS) && said[0] == '\0')
        ;
    leat_abort_fire(one, -ECANCELED, "enough");
    leat_abort_fire(one, -EIO, "twice");
    assert_int_equal(leat_abort_code(two), -ECANCELED);
    assert_string_equal(leat_abort_sentence(two), "enough");
    struct leat_future *c = leat_delay(loop, LEAT_NS_PER_S * 3600);
    leat_abort_add(two, c); /* has fired */
    leat_on_settled(c, done_say, (void *)"c");
    leat_future_unref(c);
    run();
    assert_string_equal(said, "b a:ECANCELED c:ECANCELED ");
    leat_abort_free(one);
    leat_abort_free(two);
}

/* ---- rejections that nobody looks at ---- */

static void unhandled_say(void *arg, struct leat_future *future)
{
    done_say(arg, leat_future_result(future));
}

static void unhandled_is_reported_when_the_jobs_have_run(void **state)
{
    leat_loop_on_unhandled(loop, unhandled_say, (void *)"unhandled");
    leat_loop_on_rejection_handled(loop, unhandled_say, (void *)"handled");
    struct leat_future *seen = leat_settled(loop, leat_failure(-EIO, "seen"));
    struct leat_future *lost = leat_settled(loop, leat_failure(-EIO, "lost"));
    struct leat_future *ignored = leat_settled(loop, leat_failure(-EIO, "ignored"));
    leat_future_ignore(ignored);
    leat_on_settled(seen, done_say, (void *)"reaction");
    (void)leat_loop_turn(loop, 0);
    leat_on_settled(lost, done_say, (void *)"late");
    leat_future_unref(lost);
    leat_future_unref(seen);
    leat_future_unref(ignored);
    run();
    assert_string_equal(said, "reaction:seen unhandled:lost late:lost handled:lost ");
}

static void unhandled_ends_the_loop_by_default(void **state)
{
    struct leat_future *lost = leat_settled(loop, leat_failure(-EIO, "disk gone"));
    leat_future_unref(lost);
    assert_int_equal(leat_loop_run(loop), 1);
    assert_non_null(strstr(leat_loop_error(loop)->sentence, "disk gone"));
}

/* ---- other threads ---- */

static void *thread_settle(void *arg)
{
    struct leat_remote *remote = arg;
    assert_int_equal(leat_remote_settle(*remote, leat_number(42)), 0);
    return NULL;
}

static void settles_from_another_thread(void **state)
{
    struct leat_future *future = leat_future_new(loop, NULL);
    struct leat_remote remote = leat_future_remote(future);
    leat_call(future, done_say, (void *)"remote");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, thread_settle, &remote), 0);
    run(); /* the loop lives until it is settled */
    pthread_join(thread, NULL);
    assert_string_equal(said, "remote:42 ");
}

/* ---- memory ---- */

static void usage_counts_what_is_there(void **state)
{
    struct leat_memory before, now;
    leat_memory_usage(&before);
    struct leat_future *future = leat_future_new(loop, NULL);
    struct leat_buf buf = leat_buf_alloc(100000);
    void *block = leat_heap_alloc(5000);
    leat_on_settled(future, done_say, (void *)"end");
    leat_memory_usage(&now);
    assert_true(now.resident_bytes > 0);
    assert_int_equal(now.future_count, before.future_count + 1);
    assert_int_equal(now.reaction_count, before.reaction_count + 1);
    assert_int_equal(now.buffer_count, before.buffer_count + 1);
    assert_true(now.buffer_bytes >= before.buffer_bytes + 100000);
    assert_true(now.buffer_reserved_bytes >= now.buffer_bytes);
    assert_true(now.heap_bytes >= before.heap_bytes + 5000);
    leat_heap_free(block);
    leat_buf_unref(buf);
    leat_future_unref(future);
    leat_settle(future, leat_nothing());
    run();
    leat_memory_usage(&now);
    assert_int_equal(now.future_count, 0);
    assert_int_equal(now.reaction_count, 0);
    assert_int_equal(now.buffer_bytes, before.buffer_bytes);
}

static void scenario(void)
{
    struct leat_future *f = leat_settled(loop, leat_number(1));
    f = behind(f, leat_then(f, number_next, NULL, NULL));
    struct leat_future *both[] = {f, leat_delay(loop, 1)};
    f = leat_all(loop, both, 2);
    f = behind(f, leat_finally(f, say_finally, NULL));
    f = leat_with_deadline(f, LEAT_NS_PER_S * 3600);
    leat_call(f, done_say, (void *)"end");
}

static void every_allocation_fails_once(void **state)
{
    struct leat_heap_stats stats;
    for (uint64_t nth = 1;; nth++) {
        leat_loop_free(loop);
        assert_int_equal(setup(NULL), 0);
        leat_future_unref(leat_settled(loop, leat_nothing())); /* this core has futures */
        leat_heap_stats(leat_core_now, &stats);
        uint64_t refused_count = stats.refused_count;
        leat_heap_fail_at(leat_core_now, nth);
        scenario();
        run();
        leat_heap_fail_at(leat_core_now, 0);
        assert_non_null(strstr(said, "end"));
        leat_heap_stats(leat_core_now, &stats);
        if (stats.refused_count == refused_count) {
            assert_true(nth > 4);
            return;
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(reacts_as_a_job_after_the_call),
        TEST(passes_values_and_failures_along),
        TEST(drops_a_value_once_when_all_let_go),
        TEST(takes_a_value_that_nobody_else_sees),
        TEST(runs_though_its_consumer_has_gone),
        TEST(follows_what_a_callback_returns),
        TEST(refuses_to_wait_for_itself),
        TEST(finally_keeps_what_was),
        TEST(all_gives_results_in_order),
        TEST(race_leaves_the_loser),
        TEST(any_wants_one_that_is_fulfilled),
        TEST(all_of_one_that_fails_fails_at_once),
        TEST(none_and_the_same_twice),
        TEST(call_runs_in_the_poll_phase),
        TEST(cancel_goes_to_what_is_behind),
        TEST(cancel_spares_what_others_want),
        TEST(deadline_comes_first_or_last),
        TEST(abort_cancels_what_is_under_way),
        TEST(unhandled_is_reported_when_the_jobs_have_run),
        TEST(unhandled_ends_the_loop_by_default),
        TEST(settles_from_another_thread),
        TEST(usage_counts_what_is_there),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
