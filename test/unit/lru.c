/* Caches: which entry goes, bounds held, times to live, drops, each once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <leat/loop.h>
#include <leat/lru.h>

#include "buffers/heap.h"
#include "runtime/base/clock.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"

struct item {
    struct leat_lru_entry entry;
    int number;
    bool is_there;
};

static struct leat_clock test_clock;
static uint64_t now_ns;
static struct leat_loop *loop;
static struct leat_lru *lru;
static unsigned dropped_count;

static uint64_t clock_now(const struct leat_clock *clock)
{
    return now_ns;
}

static int setup(void **state)
{
    now_ns = LEAT_NS_PER_S;
    dropped_count = 0;
    test_clock.now = clock_now;
    loop = leat_loop_new(&(struct leat_loop_options){.clock = &test_clock}, NULL);
    return loop == NULL;
}

static int teardown(void **state)
{
    leat_lru_free(lru);
    lru = NULL;
    leat_loop_free(loop);
    return 0;
}

static void item_drop(struct leat_lru_entry *entry)
{
    struct item *item = container_of(entry, struct item, entry);
    assert_true(item->is_there);
    item->is_there = false;
    dropped_count++;
}

static void make(uint32_t count_max, uint64_t bytes_max, uint64_t ttl_ns)
{
    struct leat_lru_options options = {count_max, bytes_max, ttl_ns, item_drop};
    lru = leat_lru_new(loop, &options);
    assert_non_null(lru);
}

static int put(struct item *item, int number, uint64_t length_bytes)
{
    item->number = number;
    item->entry = (struct leat_lru_entry){.key = &item->number,
                                          .key_bytes = sizeof(item->number),
                                          .length_bytes = length_bytes};
    int result = leat_lru_put(lru, &item->entry);
    item->is_there = result == 0;
    return result;
}

static struct leat_lru_entry *find(int number)
{
    return leat_lru_find(lru, &number, sizeof(number));
}

static void the_longest_unused_goes(void **state)
{
    static struct item items[4];
    make(3, 0, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&items[i], i, 1), 0);
    assert_ptr_equal(find(0), &items[0].entry);
    assert_int_equal(put(&items[3], 3, 1), 0);
    assert_null(find(1));
    assert_non_null(find(0));
    assert_non_null(find(2));
    assert_non_null(find(3));
    assert_int_equal(dropped_count, 1);
}

static void bytes_are_bounded_too(void **state)
{
    static struct item items[4];
    struct leat_lru_info info;
    make(100, 10, 0);
    assert_int_equal(put(&items[0], 0, 11), -EFBIG);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&items[i], i, 3), 0);
    assert_int_equal(put(&items[3], 3, 7), 0);
    leat_lru_info(lru, &info);
    assert_int_equal(info.bytes, 10);
    assert_int_equal(info.count, 2);
    assert_int_equal(info.evicted_count, 2);
    assert_non_null(find(2));
}

static void the_same_key_replaces(void **state)
{
    static struct item one, two;
    make(10, 0, 0);
    assert_int_equal(put(&one, 5, 1), 0);
    assert_int_equal(put(&two, 5, 1), 0);
    assert_ptr_equal(find(5), &two.entry);
    assert_false(one.is_there);
    leat_lru_remove(lru, &two.entry);
    assert_null(find(5));
    assert_int_equal(dropped_count, 2);
}

static void an_entry_is_not_found_when_it_is_old(void **state)
{
    static struct item items[2];
    struct leat_lru_info info;
    make(10, 0, LEAT_NS_PER_S);
    assert_int_equal(put(&items[0], 0, 1), 0);
    now_ns += LEAT_NS_PER_S / 2;
    leat_loop_turn(loop, 0);
    assert_int_equal(put(&items[1], 1, 1), 0);
    assert_non_null(find(0)); /* being used does not make it younger */
    now_ns += LEAT_NS_PER_S / 2 + LEAT_NS_PER_MS;
    leat_loop_turn(loop, 0);
    leat_loop_turn(loop, 0);
    assert_int_equal(dropped_count, 1);
    assert_null(find(0));
    assert_non_null(find(1));
    assert_false(leat_loop_is_alive(loop)); /* it waits for nobody */
    now_ns += LEAT_NS_PER_S;
    leat_loop_turn(loop, 0);
    leat_loop_turn(loop, 0);
    leat_lru_info(lru, &info);
    assert_int_equal(info.expired_count, 2);
    assert_int_equal(info.count, 0);
}

static struct item spare;

static void drop_and_put(struct leat_lru_entry *entry)
{
    item_drop(entry);
    if (!spare.is_there && dropped_count == 1)
        assert_int_equal(put(&spare, 1000, 1), 0);
}

static void drop_may_use_the_cache(void **state)
{
    static struct item items[3];
    struct leat_lru_options options = {2, 0, 0, drop_and_put};
    lru = leat_lru_new(loop, &options);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&items[i], i, 1), 0);
    struct leat_lru_info info;
    leat_lru_info(lru, &info);
    assert_int_equal(info.count, 2);
    assert_non_null(find(1000));
}

/* Beside a slow model: an array in the order of use. */
static void random_use_beside_a_model(void **state)
{
    enum { KEYS = 40, MAX = 16, STEPS = 20000 };
    static struct item items[KEYS];
    int model[MAX + 1], count = 0;
    unsigned seed = 7;
    memset(items, 0, sizeof(items));
    make(MAX, 0, 0);
    for (int step = 0; step < STEPS; step++) {
        int key = rand_r(&seed) % KEYS, at = 0;
        while (at < count && model[at] != key)
            at++;
        bool is_there = at < count;
        assert_int_equal(find(key) != NULL, is_there);
        if (!is_there) {
            assert_int_equal(put(&items[key], key, 1), 0);
            if (count == MAX)
                assert_false(items[model[count - 1]].is_there);
            at = count < MAX ? count++ : MAX - 1;
        }
        memmove(model + 1, model, (size_t)at * sizeof(model[0]));
        model[0] = key;
    }
}

static void memory_that_is_out(void **state)
{
    struct leat_lru_options options = {10, 0, 0, item_drop};
    leat_heap_fail_at(leat_core_now, 1);
    assert_null(leat_lru_new(loop, &options));
    assert_int_equal(leat_loop_error(loop)->code, -ENOMEM);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_longest_unused_goes), TEST(bytes_are_bounded_too),
        TEST(the_same_key_replaces),   TEST(an_entry_is_not_found_when_it_is_old),
        TEST(drop_may_use_the_cache),  TEST(random_use_beside_a_model),
        TEST(memory_that_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
