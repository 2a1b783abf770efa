/* The event loop of one core, with Node's phases and microtask rules.
 *
 * One loop belongs to one thread. Every function here is for that thread only, except
 * leat_loop_post and leat_loop_stop.
 *
 * A turn (Node's circle, in libuv's order since 1.45):
 *   pending -> idle -> prepare -> poll -> check -> close -> timers -> flush -> sleep or not.
 * After every single callback, in whichever phase, the gate runs the microtasks: the next-tick
 * queue to its end, then the promise-job queue to its end, and again until both are empty.
 * Callbacks never nest: no function of Leat calls a user's callback before it returns, but for
 * leat_next and leat_request_fail (leat/http.h), which run handlers in their caller's place. */
#ifndef LEAT_LOOP_H
#define LEAT_LOOP_H

#include <leat/defs.h>
#include <leat/error.h>

LEAT_BEGIN

struct leat_clock;
struct leat_loop;
struct leat_mesh;

typedef void leat_callback(void *arg);

struct leat_loop_options {
    uint32_t index;                 /* of the core, unique in the process */
    bool busy_poll;                 /* never sleep */
    const struct leat_clock *clock; /* NULL: the machine's; the simulator's otherwise */
    uint64_t buffer_bytes_max;      /* bound of the core's buffer pools; 0: default */
    uint64_t codec_bytes_max;       /* of its coders' memory; 0: LEAT_CODEC_MEMORY_BYTES */
    struct leat_mesh *mesh;         /* rings between the loops of the process, or NULL */
    uint64_t seed;                  /* of the core's random numbers, leat_random_bytes too: for
                                       tests; 0: from the kernel */
    bool hugepages; /* buffers lie on hugetlb pages that are free, as long as there are any */
};

/* The rings between count loops, whose indices are 0 .. count - 1. Give it to each of them; free it
 * after the last of them. A ring is allocated when it is first posted to. NULL with error filled.
 */
LEAT_API struct leat_mesh *leat_mesh_new(uint32_t count, struct leat_error *error);
LEAT_API void leat_mesh_free(struct leat_mesh *mesh);

/* Creates a loop on the calling thread and makes it current. NULL with error filled. options may be
 * NULL. */
LEAT_API struct leat_loop *leat_loop_new(const struct leat_loop_options *options,
                                         struct leat_error *error);
/* Frees it. All sources must be removed and nobody may post to it any more. What is under way ends
 * first, and whoever waits on it is told, within this call: tasks are cancelled and run to their
 * ends; operations that have not begun are rejected with -ECANCELED, as what is begun now is, and
 * those that run are waited for; then the jobs and callbacks that this caused run, and whatever
 * they cause. So what their callbacks need is freed after the loop. Timers that are still started
 * are stopped; what leat_set_timeout, leat_set_interval and leat_set_immediate left is freed.
 * Buffers still in use are reported as leaks. */
LEAT_API void leat_loop_free(struct leat_loop *loop);

/* Runs until nothing keeps the loop alive or it is stopped. Returns 0 when it ran dry, 1 when
 * stopped. */
LEAT_API int leat_loop_run(struct leat_loop *loop);

/* Runs one turn, sleeping at most nap_ns_max in it. Returns whether the loop is still alive. For
 * embedders and simulators. */
LEAT_API bool leat_loop_turn(struct leat_loop *loop, uint64_t nap_ns_max);

/* How long the loop may sleep as far as it knows itself: 0 when it has work, UINT64_MAX when
 * nothing is timed. For simulators, which let that much virtual time pass, and embedders. */
LEAT_API uint64_t leat_loop_nap_ns(struct leat_loop *loop);

/* Ends leat_loop_run after the current turn. Any thread. */
LEAT_API void leat_loop_stop(struct leat_loop *loop);

/* The loop of the calling thread, or NULL. */
LEAT_API struct leat_loop *leat_loop_current(void);
LEAT_API uint32_t leat_loop_index(const struct leat_loop *loop);
LEAT_API bool leat_loop_is_alive(const struct leat_loop *loop);

/* Nanoseconds of the loop's monotonic clock, as last read in this turn (at its start, before
 * timers, and after those that ran; cheap), and read now. */
LEAT_API uint64_t leat_loop_now(const struct leat_loop *loop);
LEAT_API uint64_t leat_loop_clock(struct leat_loop *loop);

/* The sentence of the last synchronous call that failed on this loop's core. */
LEAT_API const struct leat_error *leat_loop_error(const struct leat_loop *loop);

/* Of each kind of queued callback a loop holds at most so many; one more gives -ENOMEM, as does
 * memory that is out. */
#define LEAT_CALLBACKS_MAX (UINT32_C(1) << 24)

/* process.nextTick and queueMicrotask. Return 0, or -ENOMEM. */
LEAT_API int leat_next_tick(struct leat_loop *loop, leat_callback *fn, void *arg);
LEAT_API int leat_queue_microtask(struct leat_loop *loop, leat_callback *fn, void *arg);

/* setImmediate: runs in the check phase; one queued by an immediate runs in the next turn. The
 * handle has a generation: clearing one that has run has no effect. 0 when memory is out, or
 * LEAT_CALLBACKS_MAX are there. */
typedef uint64_t leat_immediate;
LEAT_API leat_immediate leat_set_immediate(struct leat_loop *loop, leat_callback *fn, void *arg);
/* On the core that set it. */
LEAT_API void leat_clear_immediate(leat_immediate immediate);

/* Hooks run once per turn in their phase, in the order of their start. While an idle hook is
 * started the loop does not sleep. */
enum leat_phase { LEAT_PHASE_IDLE, LEAT_PHASE_PREPARE, LEAT_PHASE_CHECK };
struct leat_hook { /* fields are the loop's own */
    struct leat_hook *next, **prev;
    struct leat_loop *loop;
    leat_callback *fn;
    void *arg;
    uint32_t phase, flags;
};
LEAT_API void leat_hook_init(struct leat_hook *hook, struct leat_loop *loop, enum leat_phase phase,
                             leat_callback *fn, void *arg);
LEAT_API void leat_hook_start(struct leat_hook *hook);
LEAT_API void leat_hook_stop(struct leat_hook *hook);
LEAT_API void leat_hook_ref(struct leat_hook *hook);
LEAT_API void leat_hook_unref(struct leat_hook *hook);

#define LEAT_POSTS_PER_RING 1024 /* from one loop to another, and from a loop to itself */
#define LEAT_LANE_POSTS_MAX 4096 /* from all threads that are no loops of the same mesh */

/* Runs fn(arg) on loop's core, in its poll phase. Any thread. From another loop of the same mesh it
 * goes through a single-producer ring, in order, and wakes the loop only when it sleeps, once per
 * batch, at the latest when the posting loop's turn ends; from any other thread, through one
 * bounded lane. -EAGAIN when the ring or lane is full, -ENOMEM when there is no memory for the
 * ring: nothing was queued. What was not run when the loop is freed is dropped. */
LEAT_API int leat_loop_post(struct leat_loop *loop, leat_callback *fn, void *arg) LEAT_MUST_CHECK;

LEAT_END
#endif
