/* The loop's own state, for the files of this folder. */
#ifndef LEAT_LOOP_INTERNAL_H
#define LEAT_LOOP_INTERNAL_H

#include <leat/loop.h>
#include <leat/source.h>
#include <leat/timer.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "runtime/base/clock.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"
#include "runtime/loop/wheel.h"

#define LOOP_EVENTS_PER_TURN      256
#define LOOP_CALLBACKS_MAX        (UINT32_C(1) << 24) /* per queue; past it -ENOMEM */
#define LOOP_TIMER_MOVES_PER_TURN 16384
#define LOOP_LANE_POSTS_MAX       4096 /* of threads that are no loops; past it -EAGAIN */

struct loop_callback {
    leat_callback *fn;
    void *arg;
};

/* A queue that grows by doubling up to LOOP_CALLBACKS_MAX and does not shrink. */
struct loop_queue {
    struct loop_callback *slots;
    uint32_t head, count, capacity; /* capacity is 0 or a power of two */
};

struct leat_immediate {
    struct list link; /* first */
    struct leat_loop *loop;
    struct loop_callback callback;
};

/* The lane: what threads that are no loops post. */
struct loop_lane {
    pthread_mutex_t lock;
    _Atomic uint32_t count; /* read without the lock to see whether there is any */
    struct loop_callback slots[LOOP_LANE_POSTS_MAX];
};

struct leat_loop {
    struct leat_core core;
    const struct leat_clock *clock; /* NULL: machine_clock */
    struct clock_machine machine_clock;
    uint64_t now_ns;
    uint64_t refs; /* what keeps the loop alive */
    bool busy_poll, is_draining, lacks_pwait2;

    struct loop_queue ticks, jobs, pending, closing;
    struct list immediates;
    struct leat_hook *hooks[3];
    struct leat_hook *hook_next; /* the one to be called next, moved on by leat_hook_stop */

    struct wheel wheel;
    struct leat_timer *timer_running; /* NULL as soon as its callback touches it */

    struct leat_source *sources, *source_next, *waiter;
    int epoll_fd, wake_fd;
    uint32_t watch_count;
    unsigned event_count;
    struct epoll_event events[LOOP_EVENTS_PER_TURN];

    _Atomic bool is_sleeping, is_stopped;
    struct loop_lane *lane;
    struct loop_callback *lane_taken;
};

/* queue.c */
int loop_queue_push(struct loop_queue *queue, leat_callback *fn, void *arg);
struct loop_callback loop_queue_pull(struct loop_queue *queue);
void loop_queue_fini(struct loop_queue *queue);

/* phases.c */
void loop_run_pending(struct leat_loop *loop);
void loop_run_hooks(struct leat_loop *loop, enum leat_phase phase);
void loop_run_immediates(struct leat_loop *loop);
void loop_run_closing(struct leat_loop *loop);

/* timer.c */
void loop_run_timers(struct leat_loop *loop);

/* watch.c */
int loop_watch_init(struct leat_loop *loop, struct leat_error *error);
void loop_watch_fini(struct leat_loop *loop);
unsigned loop_run_watches(struct leat_loop *loop);
void loop_wait(struct leat_loop *loop, uint64_t timeout_ns);

/* post.c */
int loop_post_init(struct leat_loop *loop, struct leat_error *error);
void loop_post_fini(struct leat_loop *loop);
bool loop_has_posts(const struct leat_loop *loop);
unsigned loop_run_posts(struct leat_loop *loop);
void loop_wake(struct leat_loop *loop);

/* sleep.c */
void loop_sleep(struct leat_loop *loop, uint64_t nap_ns_max);

static inline uint64_t loop_clock(struct leat_loop *loop)
{
    return likely(loop->clock == NULL) ? clock_machine_now(&loop->machine_clock)
                                       : loop->clock->now(loop->clock);
}

/* Calls one user callback. */
static inline void loop_call(struct leat_loop *loop, struct loop_callback callback)
{
    callback.fn(callback.arg);
    leat_loop_gate(loop);
}

#endif
