/* The pool and a core's part in it, for the files of this folder.
 *
 * Locks and order:
 *   P1  loop_common's lock comes before the pool's. Loops take either only when they begin and end.
 *   P2  A worker holds the pool's lock while it pulls a job and accounts for one, never while it
 *       runs or tells it.
 *   P3  A queue has one producer, its loop, which takes no lock, and one consumer at a time, who
 *       holds the pool's.
 *   P4  No wake-up is lost: a loop publishes, fences, and looks at idle_count; a worker counts
 *       itself idle, fences, and looks at the queues once more before it sleeps.
 *   P5  A worker that pulls a job while more may begin wakes another one, or starts one: so a loop
 *       wakes once for a turn, however many jobs it left.
 *   P6  While an operation waits in a line its lane's queue is full, or was when the last job of it
 *       was told: the next that is told moves the line on.
 *   P7  A loop ends after its last job was told: running_count of its core is 0 then. */
#ifndef LEAT_POOL_INTERNAL_H
#define LEAT_POOL_INTERNAL_H

#include <pthread.h>

#include <leat/io.h>
#include <leat/timer.h>

#include "runtime/base/ring.h"
#include "runtime/base/topology.h"
#include "runtime/loop/mesh.h"
#include "runtime/loop/part.h"
#include "runtime/os/op.h"

#define POOL_LANES   4
#define POOL_SPIN_NS (20 * LEAT_NS_PER_US) /* before a worker with a CPU of its own sleeps */
#define POOL_CORES   LEAT_CORES_MAX

struct fs_ring;
struct watch_core;

struct pool_queue {
    struct ring ring;
    struct op *slots[LEAT_POOL_JOBS_MAX];
};

/* Operations that wait for a place in a lane's queue (op.h), linked by their nodes. */
struct pool_line {
    struct async_node *first, *last;
};

/* What a core has of the pool: made with its first operation, ends with its loop. */
struct pool_core {
    struct loop_part part;
    struct leat_source source; /* wakes workers at the end of a turn */
    struct leat_loop *loop;
    struct pool *pool; /* NULL: jobs are played */
    struct pool_play *play;
    struct fs_sys *sys;
    struct watch_core *watches;                    /* watch_fs.c; NULL: nothing was watched */
    struct fs_ring *ring;                          /* fs_ring.c; NULL: none was wanted so far */
    struct pool_queue *_Atomic queues[POOL_LANES]; /* made when first needed; workers read them */
    struct pool_line lines[POOL_LANES];
    uint32_t in_line_count;   /* in all of them */
    bool is_in_line;          /* operations that are made now will wait in them */
    struct leat_error error;  /* of the last job that was refused */
    uint32_t published_count; /* since workers were last woken */
    uint32_t open_count;      /* operations that are not settled */
    uint32_t played_count;
    uint64_t dropped_count; /* results of cancelled operations */
    uint64_t blocked_said_ns;
    struct list played;     /* pool_play.c */
    bool has_ended;         /* the loop is being freed: jobs are refused */
    bool ring_is_refused;   /* by the kernel: the pool reads */
    uint32_t running_count; /* the pool's lock */
};

struct pool_lane {
    uint32_t running_count, running_max;
    uint32_t turn; /* the core to be served next */
    bool is_slow;  /* one of those that leave a thread to files */
};

struct pool {
    pthread_mutex_t lock;   /* of all but the atomics */
    pthread_cond_t changed; /* a core's running_count has become 0 */
    struct loop_common *common;
    struct pool_core *cores[POOL_CORES];
    uint32_t cores_count;
    struct pool_lane lanes[POOL_LANES];
    uint32_t lane_turn;
    uint32_t slow_count, slow_max; /* running jobs of all lanes but that of files */
    uint32_t threads_max, threads_count, starting_count;
    uint64_t refused_count; /* threads that could not be started */
    bool is_stopping;
    _Alignas(RING_LINE_BYTES) _Atomic uint32_t idle_count;
    _Atomic uint32_t wakes; /* the word that idle workers sleep on */
    _Atomic bool may_spin;  /* there are as many spare CPUs as threads */
    pthread_t threads[LEAT_POOL_THREADS_MAX];
};

/* pool.c */
struct pool_core *pool_core_of(struct leat_loop *loop);             /* NULL: memory is out */
struct pool_core *pool_core_existing(const struct leat_loop *loop); /* NULL: it has none so far */
/* 0, or -errno with a sentence in core->error. */
int pool_submit(struct pool_core *core, struct op *op) LEAT_MUST_CHECK;
bool pool_may_try(const struct pool_core *core);
void pool_lines_move(struct pool_core *core); /* places may have become free */

/* pool_lanes.c: with the pool's lock held, but for the name */
const char *pool_lane_name(enum leat_lane lane);
void pool_lanes_init(struct pool *pool);
struct op *pool_pull(struct pool *pool); /* NULL: nothing that may begin */
void pool_account(struct pool *pool, struct pool_core *core, enum leat_lane lane); /* after pull */
bool pool_has_ready(struct pool *pool);

/* pool_worker.c */
int pool_worker_start(struct pool *pool) LEAT_MUST_CHECK; /* with the lock held: 0 or -errno */
void pool_wake(struct pool *pool, uint32_t count);        /* after a fence */

/* pool_play.c */
int pool_play_submit(struct pool_core *core, struct op *op) LEAT_MUST_CHECK;
void pool_play_fini(struct pool_core *core);

#endif
