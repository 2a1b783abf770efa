#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "buffers/heap.h"
#include "buffers/slots.h"

struct thing {
    uint64_t id;
    uint8_t filler[100];
};

static struct leat_core core = {.index = 5};
static struct slots slots;

static int set_up(void **state)
{
    leat_core_now = &core;
    return leat_heap_init(&core, NULL) == 0 ? slots_init(&slots, 3, sizeof(struct thing), 1000)
                                            : -1;
}

static int tear_down(void **state)
{
    struct leat_heap_stats stats;
    slots_fini(&slots);
    leat_heap_stats(&core, &stats);
    assert_int_equal(stats.allocated_bytes, stats.freed_bytes);
    leat_heap_fini(&core);
    leat_core_now = NULL;
    return 0;
}

static void a_handle_names_transport_core_and_slot(void **state)
{
    struct thing *first = slots_take(&slots);
    struct thing *second = slots_take(&slots);
    assert_int_equal(handle_table(first->id), 3);
    assert_int_equal(handle_core(first->id), 5);
    assert_int_equal(handle_generation(first->id), 1);
    assert_int_equal(handle_index(first->id), 0);
    assert_int_equal(handle_index(second->id), 1);
    assert_ptr_equal(slots_find(&slots, first->id), first);
    assert_ptr_equal(slots_find(&slots, second->id), second);
    assert_int_equal((uintptr_t)second % 64, 0);
}

static void a_stale_handle_finds_nothing_although_its_slot_is_taken_again(void **state)
{
    struct thing *thing = slots_take(&slots);
    uint64_t stale = thing->id;
    thing->filler[0] = 1;
    slots_give(&slots, thing);
    assert_null(slots_find(&slots, stale));
    struct thing *again = slots_take(&slots);
    assert_ptr_equal(again, thing);
    assert_int_equal(again->filler[0], 0);
    assert_int_equal(handle_generation(again->id), 2);
    assert_null(slots_find(&slots, stale));
    assert_ptr_equal(slots_find(&slots, again->id), again);
}

static void invented_handles_find_nothing(void **state)
{
    struct thing *thing = slots_take(&slots);
    for (unsigned bit = 0; bit < 64; bit++)
        assert_null(slots_find(&slots, thing->id ^ UINT64_C(1) << bit));
    assert_null(slots_find(&slots, 0));
    assert_null(slots_find(&slots, UINT64_MAX));
    uint64_t id = thing->id;
    slots_give(&slots, thing);
    for (unsigned bit = 0; bit < 64; bit++)
        assert_null(slots_find(&slots, id ^ UINT64_C(1) << bit));
}

static void the_generation_goes_round_past_zero(void **state)
{
    struct thing *thing = slots_take(&slots);
    thing->id |= HANDLE_GENERATION_MASK << HANDLE_INDEX_BITS;
    slots_give(&slots, thing);
    thing = slots_take(&slots);
    assert_int_equal(handle_generation(thing->id), 1);
}

static void the_limit_holds_and_freed_slots_come_back_last_in_first_out(void **state)
{
    struct thing *things[1000];
    for (unsigned i = 0; i < 1000; i++) {
        things[i] = slots_take(&slots);
        assert_non_null(things[i]);
        assert_int_equal(handle_index(things[i]->id), i);
    }
    assert_null(slots_take(&slots));
    for (unsigned i = 0; i < 1000; i++)
        assert_ptr_equal(slots_find(&slots, things[i]->id), things[i]);
    slots_give(&slots, things[10]);
    slots_give(&slots, things[900]);
    assert_ptr_equal(slots_take(&slots), things[900]);
    assert_ptr_equal(slots_take(&slots), things[10]);
    assert_null(slots_take(&slots));
    assert_int_equal(slots.live_count, 1000);
}

static void a_retired_slot_is_stale_but_not_taken_again(void **state)
{
    struct thing *thing = slots_take(&slots);
    uint64_t id = thing->id;
    slots_retire(&slots, thing);
    assert_null(slots_find(&slots, id));
    assert_null(slots_at(&slots, 0));
    struct thing *other = slots_take(&slots);
    assert_ptr_not_equal(other, thing);
    assert_ptr_equal(slots_at(&slots, 1), other);
    slots_give(&slots, thing);
    assert_ptr_equal(slots_take(&slots), thing);
    assert_int_equal(handle_generation(thing->id), handle_generation(id) + 1);
}

static void memory_that_is_out_gives_null_and_nothing_is_lost(void **state)
{
    leat_heap_fail_at(&core, 1);
    assert_null(slots_take(&slots));
    assert_int_equal(slots.live_count, 0);
    assert_non_null(slots_take(&slots));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_handle_names_transport_core_and_slot),
        T(a_stale_handle_finds_nothing_although_its_slot_is_taken_again),
        T(invented_handles_find_nothing),
        T(the_generation_goes_round_past_zero),
        T(the_limit_holds_and_freed_slots_come_back_last_in_first_out),
        T(a_retired_slot_is_stale_but_not_taken_again),
        T(memory_that_is_out_gives_null_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
