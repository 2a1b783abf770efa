/* Work off the loop: threads for what blocks or takes long. Files use it by themselves
 * (leat/fs.h); leat_pool_run is for a program's own functions.
 *
 * The loops of a program share one pool. Its threads are started as they are needed, at most
 * LEAT_POOL_THREADS of them or what the environment's LEAT_THREADPOOL_SIZE says (1 to
 * LEAT_POOL_THREADS_MAX), and end with the last loop that had something to do for them. They run on
 * the CPUs that no loop is pinned to, or on all where there are no others, with all signals
 * blocked.
 *
 * Lanes share the threads, so that one kind of work does not keep another one waiting for ever: of
 * N threads LEAT_LANE_DNS gets at most half, and DNS, CPU and USER together all but one, which
 * always remains for files. With one thread files come first. Each core has a queue of
 * LEAT_POOL_JOBS_MAX jobs for each lane; the queues of the cores are served in turn. Jobs of one
 * queue begin in their order, and end in any. A full queue refuses; streams of files, files that
 * a connection sends, and closes, which have one job at a time each, wait in line for it instead.
 *
 * A job keeps its loop alive. Cancelling its future rejects it at once; a job that had not begun
 * never does, one that runs goes on, and what it returns is dropped. leat_loop_free waits for the
 * jobs of its loop that run, and so hangs with one that hangs; those that have not begun are
 * cancelled. */
#ifndef LEAT_POOL_H
#define LEAT_POOL_H

#include <leat/defs.h>
#include <leat/future.h>

LEAT_BEGIN

#define LEAT_POOL_THREADS     4
#define LEAT_POOL_THREADS_MAX 1024
#define LEAT_POOL_JOBS_MAX    4096 /* that wait, of each core and lane */
#define LEAT_POOL_STACK_BYTES (UINT32_C(1) << 20)

enum leat_lane { LEAT_LANE_FS, LEAT_LANE_DNS, LEAT_LANE_CPU, LEAT_LANE_USER };

/* On a thread of the pool: no function of Leat may be called there that wants a loop. The result is
 * taken; it must not hold what belongs to a core (a buffer, a future): a number, a failure, or a
 * pointer with a drop that any thread may call. */
typedef struct leat_result leat_pool_fn(void *arg);

/* Settles with what fn(arg) returned. Rejected at once: -EAGAIN, the lane's queue is full, or no
 * thread could be started; -EINVAL, there is no such lane, or LEAT_THREADPOOL_SIZE is no number. */
LEAT_API struct leat_future *leat_pool_run(struct leat_loop *loop, enum leat_lane lane,
                                           leat_pool_fn *fn, void *arg) LEAT_MUST_CHECK;

LEAT_END
#endif
