/* The loop's own state, for the files of this folder. */
#ifndef LEAT_LOOP_INTERNAL_H
#define LEAT_LOOP_INTERNAL_H

#include <leat/loop.h>
#include <leat/metrics.h>
#include <leat/io.h>
#include <leat/timer.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "buffers/slots.h"
#include "runtime/base/clock.h"
#include "runtime/base/core.h"
#include "runtime/base/histogram.h"
#include "runtime/base/list.h"
#include "runtime/base/ring.h"
#include "runtime/base/rng.h"
#include "runtime/loop/mesh.h"
#include "runtime/loop/part.h"
#include "runtime/loop/profile.h"
#include "runtime/loop/queue.h"
#include "runtime/loop/wheel.h"

#define LOOP_EVENTS_PER_TURN      256
#define LOOP_TIMER_MOVES_PER_TURN 16384
#define LOOP_TURN_NS_MAX          (100 * LEAT_NS_PER_MS) /* longer: a slow turn */
#define LOOP_MICROTASKS_MAX       100000                 /* more in one drain: a storm */
#define LOOP_WARN_NS              LEAT_NS_PER_S          /* between two warnings of starvation */
#define LOOP_NAP_NS_MIN           (50 * LEAT_NS_PER_US) /* the first nap; then each twice as long */
#define LOOP_SPIN_NS              LOOP_NAP_NS_MIN       /* of polling after the last event */
#define LOOP_TRIM_NS              LEAT_NS_PER_S         /* between trims of an idle core */
#define LOOP_NAP_NS_MAX           LEAT_NS_PER_MS
#define LOOP_HOLD_ROUNDS          64 /* for how long deadlines wait for what came before them */
#define LOOP_HOLD_NS              (10 * LEAT_NS_PER_MS)
#define LOOP_KERNEL_NS            (50 * LEAT_NS_PER_US) /* between looks at the kernel, spinning */
#define LOOP_KERNEL_QUIET_NS      LEAT_NS_PER_MS        /* the same, by a waiter that would tell */

struct loop_immediate {
    uint64_t id; /* first; of immediates_set */
    struct list link;
    struct loop_callback callback;
};

struct loop_timeout {
    uint64_t id; /* first; of timeouts_set */
    struct leat_timer timer;
};

struct mesh_channel {
    struct ring ring;
    struct loop_callback slots[LEAT_POSTS_PER_RING];
};

struct leat_mesh {
    uint32_t count;
    struct loop_common common;
    struct leat_loop *_Atomic *loops;
    struct mesh_channel *_Atomic *channels; /* [to * count + from] */
};

/* What threads that are no loops of the mesh post. */
struct loop_lane {
    pthread_mutex_t lock;
    _Atomic uint32_t count; /* read without the lock to see whether there is any */
    struct loop_callback slots[LEAT_LANE_POSTS_MAX], taken[LEAT_LANE_POSTS_MAX];
};

struct leat_loop {
    struct leat_core core;
    const struct leat_clock *clock; /* NULL: machine_clock */
    struct clock_machine machine_clock;
    uint64_t now_ns;
    uint64_t refs; /* what keeps the loop alive */
    bool busy_poll, is_turning, is_draining, is_ending, has_failed, lacks_pwait2;

    struct loop_queue ticks, jobs, pending, closing;
    struct loop_callback drained; /* loop_when_drained */
    struct loop_part *parts;
    struct list immediates;
    struct slots timeouts_set, immediates_set; /* made with the first */
    struct leat_hook *hooks[3];
    struct leat_hook *hook_next; /* the one to be called next, moved on by leat_hook_stop */

    struct wheel wheel;
    struct leat_timer *timer_running; /* NULL as soon as its callback touches it */
    uint64_t timer_flags;             /* of timer_running, which may have been freed */

    struct leat_source *sources, *source_next, *waiter;
    int epoll_fd, wake_fd;
    uint32_t watch_count;
    unsigned event_count;
    struct epoll_event events[LOOP_EVENTS_PER_TURN];

    _Alignas(RING_LINE_BYTES) _Atomic bool is_sleeping; /* read by those who post */
    _Atomic bool is_stopped;
    _Alignas(RING_LINE_BYTES) struct loop_lane *lane;
    struct loop_queue own_posts;
    struct leat_mesh *mesh;
    uint64_t posted_to[LEAT_CORES_MAX / 64]; /* bits: loops to wake when the turn ends */
    bool has_posted;

    bool has_worked;       /* this turn did something */
    unsigned polled_count; /* sources that are polled */
    bool is_napping;       /* a source without a descriptor limits the loop's sleep */
    bool has_to_trim;      /* the pools may have memory to give back */
    uint64_t active_ns;    /* when the last event was handled */
    uint64_t trim_ns;      /* when the pools were last trimmed */
    uint64_t kernel_ns;    /* when the kernel was last looked at */
    uint64_t nap_ns;       /* the last nap */
    uint64_t turn_ns;      /* when the turn began */
    uint64_t slept_ns;     /* in this turn */
    /* heard.c: when the last turn whose poll found nothing began, and asked the kernel. */
    uint64_t quiet_turn_ns, quiet_kernel_ns;
    uint64_t hold_ns;     /* since when deadlines wait for that; 0: none does */
    unsigned hold_rounds; /* since hold_ns */
    uint64_t warned_ns;   /* when starvation was last logged */
    uint64_t started_ns;  /* when the loop was made */
    struct leat_rng rng;
    struct leat_loop_metrics metrics; /* busy_ns is filled in when asked */
    struct histogram delays;
    struct profile profile;
    struct loop_common own_common; /* of a loop without a mesh */
};

/* mesh.c */
void loop_common_join(struct leat_loop *loop);
void loop_common_leave(struct leat_loop *loop);

/* part.c */
void loop_fini_parts(struct leat_loop *loop);
bool loop_trim_parts(struct leat_loop *loop); /* whether there is more to give back */

/* phases.c */
void loop_run_pending(struct leat_loop *loop);
void loop_run_hooks(struct leat_loop *loop, enum leat_phase phase);
void loop_run_immediates(struct leat_loop *loop);
void loop_fini_immediates(struct leat_loop *loop);
void loop_run_closing(struct leat_loop *loop);

/* timer.c */
void loop_run_timers(struct leat_loop *loop);
void loop_fini_timers(struct leat_loop *loop);

/* watch.c */
int loop_watch_init(struct leat_loop *loop, struct leat_error *error);
void loop_watch_fini(struct leat_loop *loop);
unsigned loop_run_watches(struct leat_loop *loop);
void loop_wait(struct leat_loop *loop, uint64_t timeout_ns);

/* heard.c */
void loop_hold_on(struct leat_loop *loop);

/* post.c */
int loop_post_init(struct leat_loop *loop, struct leat_error *error);
void loop_post_fini(struct leat_loop *loop);
bool loop_has_posts(const struct leat_loop *loop);
unsigned loop_run_posts(struct leat_loop *loop);
void loop_wake(struct leat_loop *loop);
void loop_wake_posted(struct leat_loop *loop);

/* sleep.c */
void loop_sleep(struct leat_loop *loop, uint64_t nap_ns_max);

/* metrics.c */
void loop_count_work(struct leat_loop *loop, uint64_t now_ns); /* when a turn has ended */
void loop_note_turn(struct leat_loop *loop, uint64_t end_ns);
void loop_note_storm(struct leat_loop *loop, const struct loop_callback *last);
const struct histogram *loop_delays(const struct leat_loop *loop);

static inline uint64_t loop_clock(struct leat_loop *loop)
{
    return likely(loop->clock == NULL) ? clock_machine_now(&loop->machine_clock)
                                       : loop->clock->now(loop->clock);
}

/* A table of what leat_set_timeout and its kin make, made with the first. */
static inline void *loop_slot_take(struct slots *slots, unsigned table, size_t slot_bytes)
{
    if (unlikely(slots->chunks == NULL) &&
        slots_init(slots, table, slot_bytes, SLOTS_COUNT_MAX - 1) != 0)
        return NULL;
    return slots_take(slots);
}

/* Calls one user callback. */
static inline void loop_call(struct leat_loop *loop, struct loop_callback callback)
{
    loop->has_worked = true;
    callback.fn(callback.arg);
    leat_loop_gate(loop);
}

#endif
