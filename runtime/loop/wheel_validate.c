/* The wheel's invariants W1 to W5, checked. */
#include "runtime/loop/wheel.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return false;                                                                          \
    } while (0)

static const struct leat_timer *timer_of(const struct list *link)
{
    return (const struct leat_timer *)(const void *)link;
}

static bool slot_validate(const struct wheel *wheel, unsigned level, unsigned digit,
                          uint64_t *count)
{
    const struct wheel_slot *slot = &wheel->slots[level * 64 + digit];
    unsigned shift = level * 6;
    bool is_set = (wheel->bits[level] >> digit & 1) != 0;
    REQUIRE(is_set == !list_is_empty(&slot->timers)); /* W2 */
    if (!is_set)
        return true;
    unsigned digit_next = (unsigned)(wheel->next >> shift) & 63;
    bool has_entered = (wheel->next & ((UINT64_C(1) << shift) - 1)) == 0;
    REQUIRE(digit > digit_next || (digit == digit_next && (level == 0 || has_entered))); /* W1 */
    uint64_t start = (((wheel->next >> shift) & ~UINT64_C(63)) | digit) << shift;
    for (const struct list *link = slot->timers.next; link != &slot->timers; link = link->next) {
        const struct leat_timer *timer = timer_of(link);
        uint64_t tick = wheel_tick(timer->deadline_ns);
        REQUIRE(link->next->prev == link && link->prev->next == link);
        REQUIRE((timer->order & (TIMER_PLACED | TIMER_DUE)) == TIMER_PLACED);
        REQUIRE(level == 0 || tick >= start);                     /* W3 */
        REQUIRE(slot->min_tick <= (tick < start ? start : tick)); /* W2 */
        (*count)++;
    }
    return true;
}

static bool run_validate(const struct wheel *wheel, const struct wheel_run *run, uint64_t *count)
{
    const struct leat_timer *before = NULL;
    const struct list *timers = &run->timers;
    for (const struct list *link = timers->next; link != timers; link = link->next) {
        const struct leat_timer *timer = timer_of(link);
        uint64_t tick = wheel_tick(timer->deadline_ns);
        REQUIRE((timer->order & (TIMER_PLACED | TIMER_DUE)) == TIMER_DUE);
        REQUIRE(tick < wheel->next); /* W4 */
        if (before != NULL) {
            uint64_t tick_before = wheel_tick(before->deadline_ns);
            REQUIRE(tick_before < tick || (tick_before == tick && before->order < timer->order));
        }
        before = timer;
        (*count)++;
    }
    return true;
}

bool wheel_validate(const struct wheel *wheel)
{
    uint64_t count = 0;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++)
        for (unsigned digit = 0; digit < 64; digit++)
            REQUIRE(slot_validate(wheel, level, digit, &count));
    for (unsigned i = 0; i < WHEEL_RUNS; i++) {
        REQUIRE(i < wheel->run_count || list_is_empty(&wheel->runs[i].timers));
        REQUIRE(run_validate(wheel, &wheel->runs[i], &count));
    }
    for (const struct list *link = wheel->moving.next; link != &wheel->moving; link = link->next)
        count++;
    return count == wheel->count; /* W5 */
}
