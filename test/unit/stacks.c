/* Stacks of tasks: slabs, colours, guards of both kinds, what is given back to the system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "runtime/async/stacks.h"

#define SOME 200 /* several slabs */

static struct stacks stacks;
static struct stack *taken[SOME];

static int setup(void **state)
{
    stacks_init(&stacks);
    return 0;
}

static int setup_old(void **state)
{
    (void)setup(state);
    stacks.is_old = true;
    return 0;
}

static int teardown(void **state)
{
    stacks_fini(&stacks);
    stack_guard_pretend(UINT32_MAX);
    return 0;
}

static void take_some(enum stack_size size)
{
    for (unsigned i = 0; i < SOME; i++) {
        taken[i] = stack_take(&stacks, size, NULL);
        assert_non_null(taken[i]);
    }
}

static void give_some(void)
{
    for (unsigned i = 0; i < SOME; i++)
        stack_give(&stacks, taken[i]);
}

/* Whether the byte can be read, asked of the kernel: a signal would end the test. */
static bool is_readable(const char *at)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)at, 1};
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

static void each_has_its_bytes_and_its_guard(void **state)
{
    for (enum stack_size size = 0; size < STACK_SIZES; size++) {
        take_some(size);
        for (unsigned i = 0; i < SOME; i++) {
            struct stack *stack = taken[i];
            assert_int_equal((uintptr_t)stack->top % STACK_LINE_BYTES, 0);
            assert_in_range(stack->top - stack->low,
                            stack_bytes(size) - STACK_LINE_BYTES * (STACK_COLOURS - 1),
                            stack_bytes(size));
            memset(stack->low, 1, 16);
            memset(stack->top - 16, 1, 16);
            assert_true(is_readable(stack->low));
            assert_false(is_readable(stack->low - 1));
            assert_false(is_readable(stack->low - LEAT_TASK_GUARD_BYTES));
            assert_true(stack_is_full(stack, stack->low - 1, stack->low));
            assert_true(stack_is_full(stack, stack->low - LEAT_TASK_GUARD_BYTES, NULL));
            assert_false(stack_is_full(stack, stack->low, stack->low));
            assert_false(stack_is_full(stack, stack->low - LEAT_TASK_GUARD_BYTES - 1, NULL));
            assert_true(stack_is_full(stack, stack->low - (1 << 20), stack->low - 1));
        }
        give_some();
    }
}

static void neighbours_have_different_colours(void **state)
{
    take_some(STACK_PLAIN);
    for (unsigned i = 0; i + 1 < STACK_COLOURS; i++)
        assert_int_not_equal((uintptr_t)taken[i]->top % STACK_PAGE_BYTES,
                             (uintptr_t)taken[i + 1]->top % STACK_PAGE_BYTES);
    give_some();
}

static void the_last_given_is_the_first_taken(void **state)
{
    take_some(STACK_PLAIN);
    give_some();
    assert_ptr_equal(stack_take(&stacks, STACK_PLAIN, NULL), taken[SOME - 1]);
    assert_ptr_equal(stack_take(&stacks, STACK_PLAIN, NULL), taken[SOME - 2]);
    stack_give(&stacks, taken[SOME - 2]);
    stack_give(&stacks, taken[SOME - 1]);
    assert_int_equal(stacks.used_count_max, SOME);
}

static unsigned pages_resident(const char *low, size_t bytes)
{
    unsigned char pages[512] = {0};
    unsigned count = 0;
    assert_true(bytes / STACK_PAGE_BYTES <= sizeof(pages));
    assert_int_equal(mincore((void *)(uintptr_t)low, bytes, pages), 0);
    for (size_t i = 0; i < bytes / STACK_PAGE_BYTES; i++)
        count += pages[i] & 1;
    return count;
}

static void trimming_leaves_a_page_and_the_guard(void **state)
{
    struct stack *stack = stack_take(&stacks, STACK_PLAIN, NULL);
    size_t bytes = stack_bytes(STACK_PLAIN);
    memset(stack->low, 1, (size_t)(stack->top - stack->low));
    assert_int_equal(pages_resident(stack->low, bytes), bytes / STACK_PAGE_BYTES);
    stack_give(&stacks, stack);
    assert_false(stacks_trim(&stacks));
    assert_in_range(pages_resident(stack->low, bytes), 0, 1);
    assert_false(is_readable(stack->low - 1));
    assert_ptr_equal(stack_take(&stacks, STACK_PLAIN, NULL), stack);
    assert_int_equal(stack->low[0], 0);
    stack_give(&stacks, stack);
}

static void empty_slabs_go_back(void **state)
{
    take_some(STACK_PLAIN);
    struct stack *kept = taken[STACKS_PER_SLAB]; /* of the second slab */
    char *gone = taken[0]->low;
    for (unsigned i = 0; i < SOME; i++)
        if (taken[i] != kept)
            stack_give(&stacks, taken[i]);
    while (stacks_trim(&stacks))
        ;
    assert_int_equal(stacks.made_count, STACKS_PER_SLAB + SOME % STACKS_PER_SLAB);
    assert_false(is_readable(gone));
    assert_true(is_readable(kept->low));
    stack_give(&stacks, kept);
    take_some(STACK_PLAIN);
    give_some();
}

static void more_than_a_step_is_trimmed_in_steps(void **state)
{
    enum { MANY = STACKS_TRIMMED_MAX + STACKS_PER_SLAB };
    static struct stack *many[MANY];
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(many[i] = stack_take(&stacks, STACK_PLAIN, NULL));
    for (unsigned i = 0; i < MANY; i++) /* one in each slab stays, so that none goes back whole */
        if (i % STACKS_PER_SLAB != 0)
            stack_give(&stacks, many[i]);
    unsigned steps = 1;
    while (stacks_trim(&stacks))
        steps++;
    assert_int_equal(steps, 1 + (MANY - MANY / STACKS_PER_SLAB - 1) / STACKS_TRIMMED_MAX);
    for (unsigned i = 0; i < MANY; i += STACKS_PER_SLAB)
        stack_give(&stacks, many[i]);
}

/* Before Linux 6.13 each guard costs mappings, and the system has a bound for those. */
static void no_stack_is_without_its_guard(void **state)
{
    struct leat_error error = {0};
    stack_guard_pretend(5);
    taken[0] = stack_take(&stacks, STACK_PLAIN, &error);
    taken[1] = stack_take(&stacks, STACK_PLAIN, &error);
    assert_non_null(taken[0]);
    assert_non_null(taken[1]);
    assert_null(stack_take(&stacks, STACK_PLAIN, &error));
    assert_int_equal(error.code, -EAGAIN);
    assert_non_null(strstr(error.sentence, "sysctl vm.max_map_count="));
    stack_give(&stacks, taken[0]);
    assert_ptr_equal(stack_take(&stacks, STACK_PLAIN, &error), taken[0]);
    stack_give(&stacks, taken[0]);
    stack_give(&stacks, taken[1]);
    stacks_fini(&stacks); /* which gives the mappings back */
    (void)setup_old(state);
    taken[0] = stack_take(&stacks, STACK_BIG, &error);
    taken[1] = stack_take(&stacks, STACK_BIG, &error);
    assert_non_null(taken[1]);
    stack_give(&stacks, taken[0]);
    stack_give(&stacks, taken[1]);
}

static void a_shadow_stack_is_refused(void **state)
{
    struct leat_error error = {0};
    assert_int_equal(switch_judge_shadow_stack(-1, 1, &error), 0); /* the kernel knows none */
    assert_int_equal(switch_judge_shadow_stack(0, 0, &error), 0);
    assert_int_equal(switch_judge_shadow_stack(0, 3, &error), -ENOTSUP);
    assert_non_null(strstr(error.sentence, "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define OLD(name)                                                                                  \
    {                                                                                              \
#name " (mprotect)", name, setup_old, teardown, NULL                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_has_its_bytes_and_its_guard),
        TEST(neighbours_have_different_colours),
        TEST(the_last_given_is_the_first_taken),
        TEST(trimming_leaves_a_page_and_the_guard),
        TEST(empty_slabs_go_back),
        TEST(more_than_a_step_is_trimmed_in_steps),
        OLD(each_has_its_bytes_and_its_guard),
        OLD(trimming_leaves_a_page_and_the_guard),
        OLD(empty_slabs_go_back),
        OLD(no_stack_is_without_its_guard),
        TEST(a_shadow_stack_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
