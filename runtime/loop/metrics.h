/* What a loop did: counters, utilisation, and how long I/O had to wait for callbacks. All functions
 * are for the loop's own core. */
#ifndef LEAT_METRICS_H
#define LEAT_METRICS_H

#include <leat/defs.h>

LEAT_BEGIN

struct leat_loop;

/* Where the cycles of turns that did work go; each is counted without what it calls of the others.
 * The loop itself with its hooks and microtasks; the driver, which takes and gives frames; the
 * stack, or the sockets, on the way in and out; HTTP; the application's callbacks and handlers; the
 * kernel, which is asked at the end of a turn. */
#define LEAT_LAYERS(X)                                                                             \
    X(LOOP, "loop")                                                                                \
    X(DRIVER_IN, "driver_in")                                                                      \
    X(NET_IN, "net_in")                                                                            \
    X(HTTP, "http")                                                                                \
    X(HANDLER, "handler")                                                                          \
    X(NET_OUT, "net_out")                                                                          \
    X(DRIVER_OUT, "driver_out")                                                                    \
    X(TIMERS, "timers")                                                                            \
    X(MAILBOX, "mailbox")                                                                          \
    X(KERNEL, "kernel")

enum leat_layer {
#define LEAT_X(name, text) LEAT_LAYER_##name,
    LEAT_LAYERS(LEAT_X)
#undef LEAT_X
        LEAT_LAYER_COUNT
};

struct leat_loop_metrics {
    /* Of the loop's thread, in callbacks and in the kernel: with io_uring it also works while the
     * loop counts as idle. 0 where the clock is not the machine's. */
    uint64_t cpu_ns;
    uint64_t busy_ns, idle_ns; /* idle: asleep for want of work; their sum is the loop's age */
    /* Of busy_ns, what turns took that did work: their poll, a callback or a flush handled
     * something. The rest was polling in vain. Counted when a turn has ended, in the loop's time
     * and in counts of the time-stamp counter; no cycles where the clock does not follow that. */
    uint64_t work_ns, work_cycles;
    uint64_t work_turn_count;
    /* work_cycles by layer, estimated from one turn in 64; their sum is work_cycles. All 0 while
     * no turn that did work was sampled. */
    uint64_t layer_cycles[LEAT_LAYER_COUNT];
    uint64_t turn_count;
    uint64_t event_count; /* of sources and watches */
    uint64_t timer_count; /* fired */
    uint64_t post_count;  /* callbacks of leat_loop_post that were run */
    uint64_t microtask_count;
    uint64_t sleep_count;
    uint64_t wake_count;            /* sleeps that were ended by a post or a stop */
    uint64_t slow_turn_count;       /* turns of more than 100 ms: a callback kept I/O waiting */
    uint64_t microtask_storm_count; /* 100,000 microtasks behind one callback */
    uint64_t blocked_ns;            /* in _sync functions that a callback called */
};

/* "http": static. */
LEAT_API const char *leat_layer_name(enum leat_layer layer);

LEAT_API void leat_loop_metrics(struct leat_loop *loop, struct leat_loop_metrics *metrics);

/* Node's eventLoopUtilization: the busy share, 0 .. 1, of the time between two readings, or what
 * the thread used of the CPU where that is more; before may be NULL for the time since the loop was
 * made. */
LEAT_API double leat_loop_utilization(const struct leat_loop_metrics *before,
                                      const struct leat_loop_metrics *after);

/* Loop delay: how long each turn kept the loop from looking at I/O again. The value at or below
 * which percent (0 .. 100) of the turns were, at most 0.8 % too high; 100: the longest. Unlike
 * Node's monitorEventLoopDelay it needs no timer, so that watching a loop does not wake it. */
LEAT_API uint64_t leat_loop_delay_ns(const struct leat_loop *loop, double percent);
LEAT_API void leat_loop_delay_reset(struct leat_loop *loop);

LEAT_END
#endif
