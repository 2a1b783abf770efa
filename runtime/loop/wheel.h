/* The timer wheel: hierarchical, pure (it knows no loop and no clock), in virtual or real time.
 *
 * Time is cut into ticks of LEAT_TIMER_TICK_NS. A deadline is rounded up to a tick, so a timer is
 * never early and at most one tick late. WHEEL_LEVELS levels of 64 slots cover all of 64-bit time:
 * a timer lies at the level of the highest 6-bit digit in which its tick differs from wheel->next,
 * in the slot of that digit. So every slot of a level lies after all of the levels below, and the
 * earliest timer is found with one bit scan per level.
 *
 * Invariants (wheel_validate):
 *  W1 level k > 0 has bits only above digit k of next; level 0 only at or above digit 0 of next.
 *  W2 a bit is set exactly when its slot holds a timer, and slot.min_tick <= all ticks in it.
 *  W3 a placed timer's deadline is not before its slot's first tick, except that one that was in
 *     the past when it was started lies in the slot that comes next.
 *  W4 each due run is sorted by (tick, order); ticks of due timers are below next.
 *  W5 count = timers placed + due.
 *
 * Order: ties of a tick fire in the order of their (re)start. Slots are queues, so this costs
 * nothing as long as nobody is re-armed lazily; timers that come late into the queue of due ones
 * open a new sorted run, and taking compares the heads of the runs. Runs are merged so that each is
 * at least twice as long as the next.
 *
 * Work: start, restart, stop O(1). wheel_advance moves at most moves_max timers, at most once per
 * level in a timer's life and once per lazy re-arm. Restart to the same or a later deadline is two
 * stores: the timer stays in its slot, and is put where it belongs when that slot comes up. */
#ifndef LEAT_WHEEL_H
#define LEAT_WHEEL_H

#include <leat/timer.h>

#include "runtime/base/core.h"
#include "runtime/base/list.h"

#define WHEEL_TICK_BITS  14
#define WHEEL_LEVELS     9 /* 9 * 6 bits of digits >= 64 - 14 */
#define WHEEL_RUNS       32
#define WHEEL_TICK_NEVER UINT64_MAX

/* The low bits of leat_timer.order; the others count starts. */
enum {
    TIMER_PLACED = 1, /* in a slot, or on its way between slots */
    TIMER_DUE = 2,    /* in a run */
    TIMER_REPEATS = 4,
    TIMER_UNREF = 8,
    TIMER_OWNED = 16, /* by the loop: leat_set_timeout, leat_set_interval */
    TIMER_FLAGS = 255,
    TIMER_ORDER = 256
};

struct wheel_slot {
    struct list timers;
    uint64_t min_tick; /* a lower bound: not raised when a timer stops or is re-armed lazily */
};

struct wheel_run {
    struct list timers;
    uint64_t pushed_count; /* since the run was opened */
};

struct wheel {
    uint64_t next;  /* all ticks below it were collected */
    uint64_t order; /* of the last start, in units of TIMER_ORDER */
    uint64_t count;
    uint64_t bits[WHEEL_LEVELS];
    struct list moving; /* a slot that was detached and is being dealt out */
    bool is_moving_due; /* it was the slot of tick next - 1 */
    unsigned run_count;
    struct wheel_run runs[WHEEL_RUNS];
    struct wheel_slot slots[WHEEL_LEVELS * 64];
};

void wheel_init(struct wheel *wheel, uint64_t now_ns);

/* Starts or restarts. */
void wheel_start(struct wheel *wheel, struct leat_timer *timer, uint64_t deadline_ns);
void wheel_stop(struct wheel *wheel, struct leat_timer *timer);

/* Makes due what is due at now_ns, moving at most moves_max timers. What is started afterwards is
 * not due before the next call. */
void wheel_advance(struct wheel *wheel, uint64_t now_ns, unsigned moves_max);

/* Takes the first due timer, which is then stopped; NULL: none (yet). */
struct leat_timer *wheel_take(struct wheel *wheel);

/* Takes a timer, due or not, in no order; NULL: none is left. For the end of a wheel. */
struct leat_timer *wheel_take_any(struct wheel *wheel);

/* When to call wheel_advance next: 0 at once, UINT64_MAX never. Not after the earliest timer. */
uint64_t wheel_next_ns(const struct wheel *wheel);

bool wheel_validate(const struct wheel *wheel);

static inline uint64_t wheel_tick(uint64_t deadline_ns)
{
    return (deadline_ns >> WHEEL_TICK_BITS) +
           ((deadline_ns & ((UINT64_C(1) << WHEEL_TICK_BITS) - 1)) != 0);
}

static inline bool wheel_is_started(const struct leat_timer *timer)
{
    return (timer->order & (TIMER_PLACED | TIMER_DUE)) != 0;
}

#endif
