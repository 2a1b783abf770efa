/* Where cycles go: layers are told apart, inner ones are not counted to outer ones, and one turn in
 * PROFILE_TURNS is sampled. On the machine's own clock: what is compared is larger by far than what
 * a disturbance could be mistaken for, or exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/loop/loop_internal.h"

#define TURNS (PROFILE_TURNS * 20u)

struct world {
    struct leat_source source; /* first */
    unsigned turn_count, sampled_count;
    uint64_t busy_cycles; /* spent in the inner layer, in each turn */
    bool is_idle;
};

static unsigned world_poll(struct leat_source *source)
{
    struct world *world = container_of(source, struct world, source);
    world->sampled_count += leat_core_now->profile != NULL;
    enum leat_layer outer = profile_enter(LEAT_LAYER_HANDLER);
    uint64_t from = clock_tsc();
    while (clock_tsc() - from < world->busy_cycles)
        continue;
    profile_leave(outer);
    return !world->is_idle;
}

static const struct leat_source_ops ops = {.name = "test", .poll = world_poll};

static bool is_learning(const struct clock_machine *clock)
{
    return clock->counts && clock_machine_counts(clock, 1000) == 0;
}

static struct leat_loop_metrics play(struct world *world)
{
    struct leat_loop *loop = leat_loop_new(NULL, NULL);
    struct leat_loop_metrics metrics;
    assert_non_null(loop);
    world->source.ops = &ops;
    assert_int_equal(leat_source_add(loop, &world->source), 0);
    /* Cycles are known once the clock has learnt how fast they come. */
    while (world->turn_count < TURNS || is_learning(&loop->machine_clock)) {
        leat_loop_turn(loop, 0);
        world->turn_count++;
    }
    leat_source_remove(&world->source);
    leat_loop_metrics(loop, &metrics);
    assert_null(loop->core.profile);
    leat_loop_free(loop);
    return metrics;
}

static uint64_t sum_of(const struct leat_loop_metrics *metrics)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++)
        sum += metrics->layer_cycles[i];
    return sum;
}

static void layers_add_up_to_the_work(void **state)
{
    struct world world = {.busy_cycles = 20000};
    struct leat_loop_metrics metrics = play(&world);
    assert_int_equal(world.sampled_count, world.turn_count / PROFILE_TURNS);
    if (metrics.work_cycles == 0)
        skip(); /* this machine has no counter to measure by */
    assert_in_range(metrics.work_cycles - sum_of(&metrics), 0, LEAT_LAYER_COUNT);
    assert_true(metrics.layer_cycles[LEAT_LAYER_HANDLER] > 0);
    assert_int_equal(metrics.layer_cycles[LEAT_LAYER_DRIVER_IN], 0);
    assert_int_equal(metrics.layer_cycles[LEAT_LAYER_HTTP], 0);
}

static void turns_that_did_nothing_do_not_count(void **state)
{
    struct world world = {.busy_cycles = 1000, .is_idle = true};
    struct leat_loop_metrics metrics = play(&world);
    assert_int_equal(world.sampled_count, world.turn_count / PROFILE_TURNS);
    assert_int_equal(sum_of(&metrics), 0);
}

static void every_layer_has_a_name(void **state)
{
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++)
        assert_true(leat_layer_name(i)[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_add_up_to_the_work),
        cmocka_unit_test(turns_that_did_nothing_do_not_count),
        cmocka_unit_test(every_layer_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
