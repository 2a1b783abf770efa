/* The timer wheel (wheel.h has its invariants). */
#include "runtime/loop/wheel.h"

#include "runtime/base/bits.h"

_Static_assert(LEAT_TIMER_TICK_NS == UINT64_C(1) << WHEEL_TICK_BITS, "one tick, two names");
_Static_assert(sizeof(struct leat_timer) <= 64, "a timer is one cache line");
_Static_assert(offsetof(struct leat_timer, link) == 0, "links and timers are cast");
_Static_assert(sizeof(struct leat_timer_link) == sizeof(struct list), "a link is a list");

static struct list *link_of(struct leat_timer *timer)
{
    return (struct list *)(void *)timer;
}

static struct leat_timer *timer_of(struct list *link)
{
    return (struct leat_timer *)(void *)link;
}

static bool is_before(const struct leat_timer *a, const struct leat_timer *b)
{
    uint64_t tick_a = wheel_tick(a->deadline_ns), tick_b = wheel_tick(b->deadline_ns);
    return tick_a != tick_b ? tick_a < tick_b : a->order < b->order;
}

void wheel_init(struct wheel *wheel, uint64_t now_ns)
{
    *wheel = (struct wheel){.next = (now_ns >> WHEEL_TICK_BITS) + 1};
    list_init(&wheel->moving);
    for (unsigned i = 0; i < WHEEL_RUNS; i++)
        list_init(&wheel->runs[i].timers);
    for (unsigned i = 0; i < WHEEL_LEVELS * 64; i++)
        list_init(&wheel->slots[i].timers);
}

static void wheel_place(struct wheel *wheel, struct leat_timer *timer)
{
    uint64_t tick = wheel_tick(timer->deadline_ns);
    if (tick < wheel->next)
        tick = wheel->next;
    unsigned level = bits_last((tick ^ wheel->next) | 1) / 6;
    unsigned digit = (unsigned)(tick >> (level * 6)) & 63;
    struct wheel_slot *slot = &wheel->slots[level * 64 + digit];
    uint64_t bit = UINT64_C(1) << digit;
    if ((wheel->bits[level] & bit) == 0 || tick < slot->min_tick)
        slot->min_tick = tick;
    wheel->bits[level] |= bit;
    list_push(&slot->timers, link_of(timer));
    timer->order = (timer->order & ~(uint64_t)TIMER_DUE) | TIMER_PLACED;
}

static void wheel_unlink(struct wheel *wheel, struct leat_timer *timer)
{
    struct list *link = link_of(timer), *next = link->next;
    bool is_last = next == link->prev;
    list_unlink(link);
    uintptr_t offset = (uintptr_t)next - (uintptr_t)wheel->slots;
    if (is_last && offset < sizeof(wheel->slots)) {
        size_t index = offset / sizeof(wheel->slots[0]);
        wheel->bits[index / 64] &= ~(UINT64_C(1) << (index % 64));
    }
}

void wheel_start(struct wheel *wheel, struct leat_timer *timer, uint64_t deadline_ns)
{
    wheel->order += TIMER_ORDER;
    uint64_t flags = timer->order & TIMER_FLAGS;
    timer->order = wheel->order | flags;
    if (likely((flags & TIMER_PLACED) != 0 && deadline_ns >= timer->deadline_ns)) {
        timer->deadline_ns = deadline_ns;
        return;
    }
    if ((flags & (TIMER_PLACED | TIMER_DUE)) != 0)
        wheel_unlink(wheel, timer);
    else
        wheel->count++;
    timer->deadline_ns = deadline_ns;
    wheel_place(wheel, timer);
}

void wheel_stop(struct wheel *wheel, struct leat_timer *timer)
{
    if (!wheel_is_started(timer))
        return;
    wheel_unlink(wheel, timer);
    timer->order &= ~(uint64_t)(TIMER_PLACED | TIMER_DUE);
    wheel->count--;
}

/* Merges the last run into the one before it. */
static void runs_merge_last(struct wheel *wheel)
{
    struct wheel_run *from = &wheel->runs[wheel->run_count - 1], *to = from - 1;
    struct list *at = to->timers.next;
    while (!list_is_empty(&from->timers)) {
        if (at == &to->timers) {
            list_take(&to->timers, &from->timers);
            break;
        }
        if (is_before(timer_of(from->timers.next), timer_of(at)))
            list_push(at, list_pull(&from->timers)); /* in front of at */
        else
            at = at->next;
    }
    to->pushed_count += from->pushed_count;
    wheel->run_count--;
}

/* Runs stay at least twice as long as the next, and at most WHEEL_RUNS. */
static void runs_open(struct wheel *wheel)
{
    while (wheel->run_count >= 2) {
        const struct wheel_run *last = &wheel->runs[wheel->run_count - 1];
        if (wheel->run_count < WHEEL_RUNS && last[-1].pushed_count >= 2 * last->pushed_count)
            break;
        runs_merge_last(wheel);
    }
    wheel->runs[wheel->run_count++].pushed_count = 0;
}

static bool runs_fit(struct wheel *wheel, const struct leat_timer *timer)
{
    if (wheel->run_count == 0)
        return false;
    const struct list *last = &wheel->runs[wheel->run_count - 1].timers;
    return list_is_empty(last) || !is_before(timer, timer_of(last->prev));
}

/* It fires soon, and then what it is embedded in is wanted. */
static void wheel_make_due(struct wheel *wheel, struct leat_timer *timer)
{
    __builtin_prefetch(timer + 1);
    if (unlikely(!runs_fit(wheel, timer)))
        runs_open(wheel);
    struct wheel_run *run = &wheel->runs[wheel->run_count - 1];
    list_push(&run->timers, link_of(timer));
    run->pushed_count++;
    timer->order = (timer->order & ~(uint64_t)TIMER_PLACED) | TIMER_DUE;
}

/* Deals out the detached slot. Returns how many moves are left. */
static unsigned wheel_deal(struct wheel *wheel, unsigned moves)
{
    while (moves > 0 && !list_is_empty(&wheel->moving)) {
        struct leat_timer *timer = timer_of(list_pull(&wheel->moving));
        if (wheel_tick(timer->deadline_ns) < wheel->next)
            wheel_make_due(wheel, timer);
        else
            wheel_place(wheel, timer);
        moves--;
    }
    return moves;
}

static void wheel_detach(struct wheel *wheel, unsigned level, unsigned digit)
{
    wheel->bits[level] &= ~(UINT64_C(1) << digit);
    list_take(&wheel->moving, &wheel->slots[level * 64 + digit].timers);
    wheel->is_moving_due = level == 0;
}

/* Having entered a slot of a higher level, next must see it dealt out before anything else. Highest
 * level first. */
static bool wheel_cascade(struct wheel *wheel)
{
    for (unsigned level = WHEEL_LEVELS - 1; level >= 1; level--) {
        unsigned digit = (unsigned)(wheel->next >> (level * 6)) & 63;
        if ((wheel->bits[level] >> digit & 1) != 0) {
            wheel_detach(wheel, level, digit);
            return true;
        }
    }
    return false;
}

/* Detaches the next slot that is not empty and begins before limit (level 0) or at most at it.
 * Returns false when there is none; then next is limit. */
static bool wheel_step(struct wheel *wheel, uint64_t limit)
{
    if ((wheel->next & 63) == 0 && wheel_cascade(wheel))
        return true;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (wheel->bits[level] == 0)
            continue;
        unsigned digit = bits_first(wheel->bits[level]), shift = level * 6;
        uint64_t tick = (((wheel->next >> shift) & ~UINT64_C(63)) | digit) << shift;
        if (level == 0 ? tick >= limit : tick > limit)
            break;
        wheel->next = level == 0 ? tick + 1 : tick;
        wheel_detach(wheel, level, digit);
        return true;
    }
    wheel->next = limit;
    return false;
}

void wheel_advance(struct wheel *wheel, uint64_t now_ns, unsigned moves_max)
{
    uint64_t limit = (now_ns >> WHEEL_TICK_BITS) + 1;
    /* No tick has passed: the usual case in a busy loop. */
    if (limit <= wheel->next && list_is_empty(&wheel->moving))
        return;
    unsigned moves = wheel_deal(wheel, moves_max);
    while (moves > 0 && wheel->next <= limit && wheel_step(wheel, limit))
        moves = wheel_deal(wheel, moves);
}

struct leat_timer *wheel_take(struct wheel *wheel)
{
    struct leat_timer *first = NULL;
    for (unsigned i = 0; i < wheel->run_count; i++) {
        struct list *run = &wheel->runs[i].timers;
        if (!list_is_empty(run) && (first == NULL || is_before(timer_of(run->next), first)))
            first = timer_of(run->next);
    }
    if (first == NULL) {
        wheel->run_count = 0;
        return NULL;
    }
    /* What is still to be dealt out of the last tick's slot may come before the rest of it. */
    if (!list_is_empty(&wheel->moving) && wheel->is_moving_due &&
        wheel_tick(first->deadline_ns) + 1 >= wheel->next)
        return NULL;
    list_unlink(link_of(first));
    first->order &= ~(uint64_t)TIMER_DUE;
    wheel->count--;
    return first;
}

struct leat_timer *wheel_take_any(struct wheel *wheel)
{
    struct list *list = &wheel->moving;
    for (unsigned i = 0; i < wheel->run_count && list_is_empty(list); i++)
        list = &wheel->runs[i].timers;
    for (unsigned level = 0; level < WHEEL_LEVELS && list_is_empty(list); level++)
        if (wheel->bits[level] != 0)
            list = &wheel->slots[level * 64 + bits_first(wheel->bits[level])].timers;
    if (list_is_empty(list))
        return NULL;
    struct leat_timer *timer = timer_of(list->next);
    wheel_stop(wheel, timer);
    return timer;
}

uint64_t wheel_next_ns(const struct wheel *wheel)
{
    if (!list_is_empty(&wheel->moving))
        return 0;
    for (unsigned i = 0; i < wheel->run_count; i++)
        if (!list_is_empty(&wheel->runs[i].timers))
            return 0;
    uint64_t tick = WHEEL_TICK_NEVER;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (wheel->bits[level] == 0)
            continue;
        const struct wheel_slot *slot = &wheel->slots[level * 64 + bits_first(wheel->bits[level])];
        if (slot->min_tick < tick)
            tick = slot->min_tick;
    }
    return tick >= UINT64_MAX >> WHEEL_TICK_BITS ? UINT64_MAX : tick << WHEEL_TICK_BITS;
}
