/* What a loop did: counters, utilisation, and how long I/O had to wait for callbacks. All functions
 * are for the loop's own core. */
#ifndef LEAT_METRICS_H
#define LEAT_METRICS_H

#include <leat/defs.h>

LEAT_BEGIN

struct leat_loop;

struct leat_loop_metrics {
    uint64_t busy_ns, idle_ns; /* idle: asleep for want of work; their sum is the loop's age */
    /* Of busy_ns, what turns took that did work: their poll, a callback or a flush handled
     * something. The rest was polling in vain. Counted when a turn has ended, in the loop's time
     * and in counts of the time-stamp counter; no cycles where the clock does not follow that. */
    uint64_t work_ns, work_cycles;
    uint64_t work_turn_count;
    uint64_t turn_count;
    uint64_t event_count; /* of sources and watches */
    uint64_t timer_count; /* fired */
    uint64_t post_count;  /* callbacks of leat_loop_post that were run */
    uint64_t microtask_count;
    uint64_t sleep_count;
    uint64_t wake_count;            /* sleeps that were ended by a post or a stop */
    uint64_t slow_turn_count;       /* turns of more than 100 ms: a callback kept I/O waiting */
    uint64_t microtask_storm_count; /* 100,000 microtasks in one drain */
};

LEAT_API void leat_loop_metrics(struct leat_loop *loop, struct leat_loop_metrics *metrics);

/* Node's eventLoopUtilization: the busy share, 0 .. 1, of the time between two readings; before may
 * be NULL for the time since the loop was made. */
LEAT_API double leat_loop_utilization(const struct leat_loop_metrics *before,
                                      const struct leat_loop_metrics *after);

/* Loop delay: how long each turn kept the loop from looking at I/O again. The value at or below
 * which percent (0 .. 100) of the turns were, at most 0.8 % too high; 100: the longest. Unlike
 * Node's monitorEventLoopDelay it needs no timer, so that watching a loop does not wake it. */
LEAT_API uint64_t leat_loop_delay_ns(const struct leat_loop *loop, double percent);
LEAT_API void leat_loop_delay_reset(struct leat_loop *loop);

LEAT_END
#endif
