/* Emitters: what the comparison with Node's (test/node/emitters.py) does not show: errors that
 * nobody hears, the next event as a future, ends, memory that is out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <leat/emitter.h>
#include <leat/io.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"

static LEAT_EVENT(joined);
static LEAT_ERROR_EVENT(failed);

static char said[512];
static struct leat_loop *loop;
static struct leat_emitter emitter;

static void say(void *arg, const struct leat_result *value)
{
    size_t length = strlen(said);
    snprintf(said + length, sizeof(said) - length, "%s:%d ", (const char *)arg,
             value->code < 0 ? value->code : (int)value->number);
}

static int setup(void **state)
{
    said[0] = '\0';
    emitter.list = NULL;
    loop = leat_loop_new(NULL, NULL);
    return loop == NULL;
}

static int teardown(void **state)
{
    leat_emitter_fini(&emitter);
    leat_loop_free(loop);
    return 0;
}

static void an_error_without_a_listener_ends_the_loop(void **state)
{
    struct leat_result failure = leat_failure(-EIO, "the disk is gone");
    assert_false(leat_emit(&emitter, &failed, &failure));
    leat_result_drop(&failure);
    assert_int_equal(leat_loop_run(loop), 1);
    assert_int_equal(leat_loop_error(loop)->code, -EIO);
    assert_non_null(strstr(leat_loop_error(loop)->sentence, "the disk is gone"));
}

static void an_error_with_a_listener_does_not(void **state)
{
    struct leat_result failure = leat_failure(-EIO, NULL);
    assert_int_equal(leat_on(&emitter, &failed, say, (void *)"failed"), 0);
    assert_true(leat_emit(&emitter, &failed, &failure));
    assert_int_equal(leat_loop_run(loop), 0);
    assert_string_equal(said, "failed:-5 ");
}

static void nobody_costs_one_pointer(void **state)
{
    assert_int_equal(leat_on(&emitter, &joined, say, (void *)"a"), 0);
    leat_off(&emitter, &joined, say, (void *)"b");
    assert_non_null(emitter.list);
    leat_off(&emitter, &joined, say, (void *)"a");
    assert_null(emitter.list);
    assert_false(leat_emit(&emitter, &joined, NULL));
}

static void emit_ends_the_emitter(void *arg, const struct leat_result *value)
{
    say((void *)"ends", value);
    leat_emitter_fini(&emitter);
}

static void an_emitter_may_end_while_it_emits(void **state)
{
    assert_int_equal(leat_on(&emitter, &joined, emit_ends_the_emitter, NULL), 0);
    assert_int_equal(leat_on(&emitter, &joined, say, (void *)"never"), 0);
    assert_true(leat_emit(&emitter, &joined, NULL));
    assert_null(emitter.list);
    assert_int_equal(leat_on(&emitter, &joined, say, (void *)"again"), 0);
    assert_true(leat_emit(&emitter, &joined, NULL));
    assert_string_equal(said, "ends:0 again:0 ");
}

static void next_settles_with_what_is_emitted(void **state)
{
    struct leat_result value = leat_number(7);
    struct leat_future *next = leat_emitter_next(&emitter, &joined);
    leat_on_settled(next, say, (void *)"next");
    leat_emit(&emitter, &joined, &value);
    leat_emit(&emitter, &joined, NULL);
    assert_null(emitter.list);
    assert_int_equal(leat_loop_run(loop), 0);
    leat_future_unref(next);
    assert_string_equal(said, "next:7 ");
}

static void next_is_rejected_by_an_error_event(void **state)
{
    struct leat_result failure = leat_failure(-EPIPE, "gone");
    struct leat_future *next = leat_emitter_next(&emitter, &joined);
    leat_on_settled(next, say, (void *)"next");
    assert_true(leat_emit(&emitter, &failed, &failure));
    leat_result_drop(&failure);
    assert_null(emitter.list);
    assert_int_equal(leat_loop_run(loop), 0);
    assert_string_equal(leat_result_sentence(leat_future_result(next)), "gone");
    leat_future_unref(next);
    assert_string_equal(said, "next:-32 ");
}

static void next_leaves_when_it_is_cancelled(void **state)
{
    struct leat_future *next = leat_emitter_next(&emitter, &joined);
    leat_on_settled(next, say, (void *)"next");
    leat_future_cancel(next);
    assert_null(emitter.list);
    assert_int_equal(leat_loop_run(loop), 0);
    leat_future_unref(next);
    assert_string_equal(said, "next:-125 ");
}

static void next_hears_that_the_emitter_has_ended(void **state)
{
    struct leat_future *next = leat_emitter_next(&emitter, &joined);
    struct leat_future *other = leat_emitter_next(&emitter, &joined);
    leat_on_settled(next, say, (void *)"next");
    leat_on_settled(other, say, (void *)"other");
    leat_emitter_fini(&emitter);
    assert_int_equal(leat_loop_run(loop), 0);
    leat_future_unref(next);
    leat_future_unref(other);
    assert_string_equal(said, "next:-125 other:-125 ");
}

static struct leat_future *inner;

static void emit_within(void *arg, const struct leat_result *value)
{
    leat_off(&emitter, &joined, emit_within, NULL);
    leat_emit(&emitter, &joined, value);
}

/* The emit that had begun before must not find it again. */
static void next_settled_by_an_emit_within(void **state)
{
    struct leat_result value = leat_number(3);
    assert_int_equal(leat_on(&emitter, &joined, emit_within, NULL), 0);
    inner = leat_emitter_next(&emitter, &joined);
    leat_on_settled(inner, say, (void *)"inner");
    leat_emit(&emitter, &joined, &value);
    assert_int_equal(leat_loop_run(loop), 0);
    leat_future_unref(inner);
    assert_string_equal(said, "inner:3 ");
}

/* leat_done_settle is a listener: promisify. */
static void a_future_may_listen(void **state)
{
    struct leat_result value = leat_number(9);
    struct leat_future *future = leat_future_new(loop, NULL);
    leat_on_settled(future, say, (void *)"future");
    assert_int_equal(leat_once(&emitter, &joined, leat_done_settle, future), 0);
    leat_emit(&emitter, &joined, &value);
    leat_emit(&emitter, &joined, &value);
    assert_int_equal(leat_loop_run(loop), 0);
    leat_future_unref(future);
    assert_string_equal(said, "future:9 ");
}

/* What is refused leaves nothing behind, whichever allocation fails. */
static void memory_that_is_out(void **state)
{
    for (uint64_t nth = 1;; nth++) {
        leat_heap_fail_at(leat_core_now, nth);
        int result = leat_on(&emitter, &joined, say, (void *)"a");
        struct leat_future *next = leat_emitter_next(&emitter, &joined);
        leat_heap_fail_at(leat_core_now, 0);
        bool has_failed = result != 0 || leat_future_result(next) != NULL;
        leat_future_ignore(next);
        leat_emit(&emitter, &joined, NULL);
        leat_future_unref(next);
        leat_emitter_fini(&emitter);
        assert_int_equal(leat_loop_run(loop), 0);
        if (!has_failed)
            break;
        assert_true(result == 0 || result == -ENOMEM);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_error_without_a_listener_ends_the_loop),
        TEST(an_error_with_a_listener_does_not),
        TEST(nobody_costs_one_pointer),
        TEST(an_emitter_may_end_while_it_emits),
        TEST(next_settles_with_what_is_emitted),
        TEST(next_is_rejected_by_an_error_event),
        TEST(next_leaves_when_it_is_cancelled),
        TEST(next_hears_that_the_emitter_has_ended),
        TEST(next_settled_by_an_emit_within),
        TEST(a_future_may_listen),
        TEST(memory_that_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
