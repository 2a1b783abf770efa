#include "buffers/heap.h"
#include "buffers/pools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct leat_core core_of_test;

static int setup(void **state)
{
    core_of_test = (struct leat_core){.index = 3};
    leat_core_now = &core_of_test;
    assert_int_equal(leat_heap_init(&core_of_test, NULL), 0);
    assert_int_equal(leat_pools_init(&core_of_test, 64 << 20, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(leat_pools_fini(&core_of_test), 0);
    leat_heap_fini(&core_of_test);
    leat_core_now = NULL;
    return 0;
}

static void test_classes_hold_what_they_are_for(void **state)
{
    for (size_t bytes = 1; bytes <= 1 << 20; bytes++) {
        unsigned class = leat_buf_class_of(bytes);
        assert_true(class < LEAT_BUF_CLASSES && leat_buf_class_bytes(class) >= bytes);
        assert_true(class == 0 || leat_buf_class_bytes(class - 1) < bytes);
    }
}

static void test_alloc_is_zero_after_use(void **state)
{
    struct leat_buf buf = leat_buf_alloc_unsafe(1000);
    memset(buf.data, 0xff, 1000);
    leat_buf_unref(buf);
    struct leat_buf again = leat_buf_alloc(600);
    leat_buf_unref(again);
    again = leat_buf_alloc(1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(again.data[i], 0);
    leat_buf_unref(again);
}

static void test_refs_and_slices_share(void **state)
{
    struct leat_buf buf = leat_buf_from_string("hello, world");
    struct leat_buf slice = leat_buf_slice(buf, 7, 100);
    assert_int_equal(slice.length_bytes, 5);
    assert_false(leat_buf_resize(&buf, 20));
    assert_int_equal(leat_buf_capacity(&buf), 12);
    leat_buf_unref(buf);
    assert_memory_equal(slice.data, "world", 5);
    assert_true(leat_buf_resize(&slice, 20));
    assert_int_equal(slice.data[5], 0);
    leat_buf_unref(slice);
    struct leat_buf_stats stats;
    leat_buf_stats(&stats);
    assert_int_equal(stats.live_count, 0);
}

static void set_flag(void *arg)
{
    *(int *)arg += 1;
}

static void test_wrapped_memory_is_freed_once(void **state)
{
    int freed = 0;
    char bytes[16] = "fifteen letters";
    struct leat_buf buf = leat_buf_wrap(bytes, 15, set_flag, &freed);
    struct leat_buf more = leat_buf_ref(buf);
    leat_buf_unref(buf);
    assert_int_equal(freed, 0);
    leat_buf_unref(more);
    assert_int_equal(freed, 1);
}

static void test_chain_reads_as_one_run(void **state)
{
    struct leat_chain chain;
    leat_chain_init(&chain);
    assert_int_equal(leat_chain_push(&chain, leat_buf_from_string("abc")), 0);
    assert_int_equal(leat_chain_push(&chain, leat_buf_from_static("defg", 4)), 0);
    char text[8] = {0};
    assert_int_equal(leat_chain_copy(&chain, 2, text, 7), 5);
    assert_string_equal(text, "cdefg");
    leat_chain_pull(&chain, 4);
    assert_int_equal(chain.length_bytes, 3);
    assert_memory_equal(leat_chain_peek(&chain).data, "efg", 3);
    leat_chain_fini(&chain);
    assert_int_equal(chain.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_hold_what_they_are_for),
        cmocka_unit_test_setup_teardown(test_alloc_is_zero_after_use, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refs_and_slices_share, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrapped_memory_is_freed_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chain_reads_as_one_run, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
