/* The timer wheel against a naive model, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "runtime/base/rng.h"
#include "runtime/loop/wheel.h"

#define MODEL_TIMERS 400
#define UNBOUNDED    UINT32_MAX

/* The model: what is started when, and since which start. */
struct model {
    struct wheel wheel;
    struct leat_rng rng;
    uint64_t now_ns, order;
    struct leat_timer timers[MODEL_TIMERS];
    uint64_t deadlines[MODEL_TIMERS], orders[MODEL_TIMERS], ticks_min[MODEL_TIMERS];
    bool is_started[MODEL_TIMERS], is_due[MODEL_TIMERS];
};

static struct model *model_new(uint64_t seed, uint64_t now_ns)
{
    struct model *model = test_calloc(1, sizeof(*model));
    rng_init(&model->rng, seed);
    model->now_ns = now_ns;
    wheel_init(&model->wheel, now_ns);
    return model;
}

static void model_start(struct model *model, unsigned i, uint64_t deadline_ns)
{
    model->deadlines[i] = deadline_ns;
    model->orders[i] = ++model->order;
    model->ticks_min[i] = model->wheel.next; /* in the past: due with the next tick */
    model->is_started[i] = true;
    model->is_due[i] = false;
    wheel_start(&model->wheel, &model->timers[i], deadline_ns);
}

static void model_stop(struct model *model, unsigned i)
{
    model->is_started[i] = model->is_due[i] = false;
    wheel_stop(&model->wheel, &model->timers[i]);
}

/* Delays of all magnitudes, many of them equal. */
static uint64_t random_delay(struct model *model)
{
    uint64_t bits = rng_below(&model->rng, 46), delay_ns = rng_next(&model->rng) >> (63 - bits);
    return rng_below(&model->rng, 2) == 0 ? delay_ns : delay_ns & ~UINT64_C(0xfffffff);
}

static void random_operation(struct model *model)
{
    unsigned i = (unsigned)rng_below(&model->rng, MODEL_TIMERS);
    switch (rng_below(&model->rng, 8)) {
    case 0:
        model_stop(model, i);
        break;
    case 1: /* in the past */
        model_start(model, i, model->now_ns - rng_below(&model->rng, LEAT_NS_PER_S));
        break;
    case 2: /* the same deadline as another */
        model_start(model, i, model->deadlines[rng_below(&model->rng, MODEL_TIMERS)]);
        break;
    case 3: /* lazily later */
        model_start(model, i, model->deadlines[i] + rng_below(&model->rng, LEAT_NS_PER_S));
        break;
    default:
        model_start(model, i, model->now_ns + random_delay(model));
    }
}

static int model_first(const struct model *model)
{
    int first = -1;
    for (int i = 0; i < MODEL_TIMERS; i++) {
        if (!model->is_due[i])
            continue;
        uint64_t tick = wheel_tick(model->deadlines[i]);
        uint64_t tick_first = first < 0 ? 0 : wheel_tick(model->deadlines[first]);
        if (first < 0 || tick < tick_first ||
            (tick == tick_first && model->orders[i] < model->orders[first]))
            first = i;
    }
    return first;
}

static uint64_t model_next_ns(const struct model *model)
{
    uint64_t next_ns = UINT64_MAX;
    for (int i = 0; i < MODEL_TIMERS; i++) {
        uint64_t tick_ns = wheel_tick(model->deadlines[i]) << WHEEL_TICK_BITS;
        if (model->is_started[i] && tick_ns < next_ns)
            next_ns = tick_ns;
    }
    return next_ns;
}

/* Everything due is taken in order, while "callbacks" start and stop others. */
static void model_run(struct model *model)
{
    wheel_advance(&model->wheel, model->now_ns, UNBOUNDED);
    uint64_t tick_now = model->now_ns >> WHEEL_TICK_BITS;
    for (int i = 0; i < MODEL_TIMERS; i++)
        model->is_due[i] = model->is_started[i] && model->ticks_min[i] <= tick_now &&
                           wheel_tick(model->deadlines[i]) <= tick_now;
    struct leat_timer *timer;
    while ((timer = wheel_take(&model->wheel)) != NULL) {
        int i = (int)(timer - model->timers);
        assert_int_equal(i, model_first(model));
        assert_true(timer->deadline_ns <= model->now_ns);
        model->is_started[i] = model->is_due[i] = false;
        for (uint64_t n = rng_below(&model->rng, 3); n > 0; n--)
            random_operation(model);
    }
    assert_int_equal(model_first(model), -1);
}

static void test_any_operations_agree_with_the_model(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct model *model = model_new(seed, seed * LEAT_NS_PER_S * 1000000);
        for (unsigned i = 0; i < MODEL_TIMERS; i++)
            model->deadlines[i] = model->now_ns;
        for (int round = 0; round < 600; round++) {
            for (uint64_t n = rng_below(&model->rng, 20); n > 0; n--)
                random_operation(model);
            model->now_ns += random_delay(model) >> rng_below(&model->rng, 20);
            model_run(model);
            if (round % 16 == 0)
                assert_true(wheel_validate(&model->wheel));
            uint64_t next_ns = wheel_next_ns(&model->wheel), due_ns = model_next_ns(model);
            /* A timer in the past waits for the next tick. */
            uint64_t tick_ns = model->wheel.next << WHEEL_TICK_BITS;
            assert_true(next_ns <= (due_ns < tick_ns ? tick_ns : due_ns));
        }
        test_free(model);
    }
}

/* Moving a few timers at a time must change when they come, never in which order. */
static void test_bounded_work_keeps_the_order(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct model *model = model_new(seed, 0);
        for (int round = 0; round < 30; round++) {
            for (unsigned i = 0; i < MODEL_TIMERS; i++)
                model_start(model, i, model->now_ns + 1 + rng_below(&model->rng, 4) * 100000000);
            for (unsigned i = 0; i < MODEL_TIMERS; i += 2) /* lazily re-armed */
                model_start(model, i, model->deadlines[i] + rng_below(&model->rng, 2) * 100000000);
            model->now_ns += LEAT_NS_PER_S;
            memcpy(model->is_due, model->is_started, sizeof(model->is_due));
            unsigned taken_count = 0, turns = 0;
            while (wheel_next_ns(&model->wheel) <= model->now_ns) {
                wheel_advance(&model->wheel, model->now_ns, 3);
                struct leat_timer *timer = wheel_take(&model->wheel);
                assert_true(turns++ < 10 * MODEL_TIMERS);
                if (timer == NULL)
                    continue;
                int i = (int)(timer - model->timers);
                assert_int_equal(i, model_first(model));
                model->is_started[i] = model->is_due[i] = false;
                taken_count++;
            }
            assert_int_equal(taken_count, MODEL_TIMERS);
            assert_int_equal(model->wheel.count, 0);
        }
        test_free(model);
    }
}

static void test_a_lone_timer_is_slept_for_exactly(void **state)
{
    struct model *model = model_new(7, 12345678);
    for (int round = 0; round < 20000; round++) {
        model_start(model, 0, model->now_ns + random_delay(model));
        uint64_t tick_ns = wheel_tick(model->deadlines[0]) << WHEEL_TICK_BITS;
        uint64_t next_ns = wheel_next_ns(&model->wheel);
        assert_true(next_ns == tick_ns || next_ns == model->wheel.next << WHEEL_TICK_BITS);
        assert_true(next_ns >= tick_ns);
        model->now_ns = next_ns - 1;
        wheel_advance(&model->wheel, model->now_ns, UNBOUNDED);
        assert_null(wheel_take(&model->wheel));
        model->now_ns = next_ns;
        wheel_advance(&model->wheel, model->now_ns, UNBOUNDED);
        assert_ptr_equal(wheel_take(&model->wheel), &model->timers[0]);
    }
    test_free(model);
}

/* A keep-alive deadline that is put off 50 times a second costs a handful of wake-ups a minute. */
static void test_lazy_rearm_wakes_once_per_deadline(void **state)
{
    struct model *model = model_new(7, 0);
    unsigned wakes = 0;
    for (int i = 0; i < 3000; i++) {
        model_start(model, 0, model->now_ns + 5 * LEAT_NS_PER_S);
        model->now_ns += 20 * LEAT_NS_PER_MS;
        if (wheel_next_ns(&model->wheel) > model->now_ns)
            continue;
        wakes++;
        wheel_advance(&model->wheel, model->now_ns, UNBOUNDED);
        assert_null(wheel_take(&model->wheel));
    }
    assert_in_range(wakes, 11, 13);
    test_free(model);
}

static void test_a_million_timers_come_in_order(void **state)
{
    unsigned count = 1000000;
    struct wheel *wheel = test_malloc(sizeof(*wheel));
    struct leat_timer *timers = calloc(count, sizeof(*timers));
    struct leat_rng rng;
    rng_init(&rng, 3);
    wheel_init(wheel, 0);
    uint64_t day_ns = 24 * 3600 * LEAT_NS_PER_S;
    for (unsigned i = 0; i < count; i++)
        wheel_start(wheel, &timers[i], rng_below(&rng, day_ns));
    for (unsigned i = 0; i < count; i += 3) /* lazily, and not */
        wheel_start(wheel, &timers[i], rng_below(&rng, day_ns));
    assert_true(wheel_validate(wheel));
    unsigned taken_count = 0;
    uint64_t tick_before = 0, order_before = 0, now_ns;
    while ((now_ns = wheel_next_ns(wheel)) != UINT64_MAX) {
        wheel_advance(wheel, now_ns, UNBOUNDED);
        struct leat_timer *timer;
        while ((timer = wheel_take(wheel)) != NULL) {
            uint64_t tick = wheel_tick(timer->deadline_ns);
            assert_true(timer->deadline_ns <= now_ns);
            assert_true(now_ns - timer->deadline_ns <= LEAT_TIMER_TICK_NS);
            assert_true(tick > tick_before || (tick == tick_before && timer->order > order_before));
            tick_before = tick;
            order_before = timer->order;
            taken_count++;
        }
    }
    assert_int_equal(taken_count, count);
    free(timers);
    test_free(wheel);
}

static void test_the_end_of_time_is_far(void **state)
{
    struct model *model = model_new(7, 0);
    model_start(model, 0, UINT64_MAX - 2 * LEAT_TIMER_TICK_NS);
    model_start(model, 1, 1);
    assert_true(wheel_next_ns(&model->wheel) == LEAT_TIMER_TICK_NS);
    wheel_advance(&model->wheel, UINT64_C(1) << 60, UNBOUNDED);
    assert_ptr_equal(wheel_take(&model->wheel), &model->timers[1]);
    assert_null(wheel_take(&model->wheel));
    assert_true(wheel_validate(&model->wheel));
    wheel_advance(&model->wheel, UINT64_MAX - 1, UNBOUNDED);
    assert_ptr_equal(wheel_take(&model->wheel), &model->timers[0]);
    test_free(model);
}

static void test_the_validator_sees_corruption(void **state)
{
    struct model *model = model_new(7, 0);
    for (unsigned i = 0; i < 3; i++)
        model_start(model, i, LEAT_NS_PER_S * (i + 1));
    struct wheel *wheel = &model->wheel;
    assert_true(wheel_validate(wheel));
    wheel->count++;
    assert_false(wheel_validate(wheel));
    wheel->count--;
    wheel->bits[0] ^= 16;
    assert_false(wheel_validate(wheel));
    wheel->bits[0] ^= 16;
    model->timers[1].deadline_ns = 1;
    assert_false(wheel_validate(wheel));
    model->timers[1].deadline_ns = 2 * LEAT_NS_PER_S;
    model->timers[2].order |= TIMER_DUE;
    assert_false(wheel_validate(wheel));
    model->timers[2].order &= ~(uint64_t)TIMER_DUE;
    assert_true(wheel_validate(wheel));
    wheel_advance(wheel, 4 * LEAT_NS_PER_S, UNBOUNDED);
    assert_true(wheel_validate(wheel));
    model->timers[0].deadline_ns = 3 * LEAT_NS_PER_S + 1;
    assert_false(wheel_validate(wheel));
    test_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_operations_agree_with_the_model),
        cmocka_unit_test(test_bounded_work_keeps_the_order),
        cmocka_unit_test(test_a_lone_timer_is_slept_for_exactly),
        cmocka_unit_test(test_lazy_rearm_wakes_once_per_deadline),
        cmocka_unit_test(test_a_million_timers_come_in_order),
        cmocka_unit_test(test_the_end_of_time_is_far),
        cmocka_unit_test(test_the_validator_sees_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
