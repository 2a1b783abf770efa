/* Timers on the hierarchical wheel of one loop.
 *
 * A timer is memory of the caller (embed it), may be used by the loop's core only, and must not be
 * freed while it is started. Start, restart and stop are O(1) whatever the number pending. A timer
 * never fires early; timers with equal deadlines fire in the order in which they were started; an
 * interval's deadlines are start + k * period, and those that were missed altogether are skipped,
 * not caught up (as in Node). Restarting to a later deadline is one store: the wheel looks at the
 * deadline when the old place comes up. At most LEAT_TIMERS_PER_TURN callbacks run in one turn of
 * the loop, the rest in the next, after I/O.
 *
 * Resolution is LEAT_TIMER_TICK_NS: a deadline is rounded up to it. */
#ifndef LEAT_TIMER_H
#define LEAT_TIMER_H

#include <leat/defs.h>

LEAT_BEGIN

struct leat_loop;
struct leat_timer;

typedef void leat_timer_fn(struct leat_timer *timer, void *arg);

#define LEAT_TIMER_TICK_NS   UINT64_C(16384)
#define LEAT_TIMERS_PER_TURN 4096

struct leat_timer { /* fields are the wheel's own */
    struct leat_timer_link {
        void *next, *prev;
    } link;
    struct leat_loop *loop;
    leat_timer_fn *fn;
    void *arg;
    uint64_t deadline_ns; /* when it is due */
    uint64_t delay_ns;    /* of the last start, or the period of one that repeats */
    uint64_t order;       /* place among equal deadlines, and flags */
};

LEAT_API void leat_timer_init(struct leat_timer *timer, struct leat_loop *loop, leat_timer_fn *fn,
                              void *arg);

/* Starts, or restarts, at now + delay_ns, the clock being read now. period_ns > 0 repeats. */
LEAT_API void leat_timer_start(struct leat_timer *timer, uint64_t delay_ns, uint64_t period_ns);

/* The same at an absolute time of the loop's clock: for transports that work with the time of the
 * turn. */
LEAT_API void leat_timer_start_at(struct leat_timer *timer, uint64_t deadline_ns);

/* Starts again with the delay of the last leat_timer_start, or the period if it repeats (Node's
 * timer.refresh). */
LEAT_API void leat_timer_refresh(struct leat_timer *timer);

/* No effect on a timer that is not started. After it the memory is the caller's again. */
LEAT_API void leat_timer_stop(struct leat_timer *timer);

LEAT_API bool leat_timer_is_started(const struct leat_timer *timer);

/* An unref'd timer does not keep the loop alive. Timers are ref'd when initialised. */
LEAT_API void leat_timer_ref(struct leat_timer *timer);
LEAT_API void leat_timer_unref(struct leat_timer *timer);

/* Node's setTimeout and setInterval: the timer is the loop's, and gone when it has fired once or
 * was cleared. What they return is a handle with a generation: one of a timer that has gone, or of
 * another core, has no effect. 0 when memory is out, or LEAT_TIMEOUTS_MAX are there. A delay below
 * one millisecond counts as one, as in Node. */
typedef uint64_t leat_timeout;
#define LEAT_TIMEOUTS_MAX ((UINT32_C(1) << 24) - 1) /* a core */
LEAT_API leat_timeout leat_set_timeout(struct leat_loop *loop, leat_timer_fn *fn, void *arg,
                                       uint64_t delay_ms);
LEAT_API leat_timeout leat_set_interval(struct leat_loop *loop, leat_timer_fn *fn, void *arg,
                                        uint64_t period_ms);
/* clearTimeout and clearInterval. On the core that set it; may be called by its own callback. */
LEAT_API void leat_clear_timeout(leat_timeout timeout);
/* The timer itself, to be refreshed, ref'd or unref'd; NULL when it has gone. Within its callback
 * it may also be stopped, which clears it. */
LEAT_API struct leat_timer *leat_timeout_timer(leat_timeout timeout);

LEAT_END
#endif
