/* Tasks: functions that may wait. Node's async and await, each on a stack of its own.
 *
 *     static struct leat_result greet(void *arg)
 *     {
 *         struct leat_result file = leat_await(leat_fs_read_file(arg, "name", 0));
 *         if (file.code < 0)
 *             return file;                      (settles the task's future, as a throw does)
 *         ...
 *         leat_result_drop(&file);
 *         return leat_number(0);
 *     }
 *     struct leat_future *greeted = leat_task_start(loop, greet, loop, 0);
 *
 * Order. A task starts as a promise job, never within the call that starts it, and goes on as one:
 * behind leat_await in round 1, as in Node, also when the future has settled already. It runs until
 * it awaits or returns; nothing else runs on its core meanwhile, and it never leaves its core.
 * A loop that awaits only what has settled keeps all others waiting, as in Node; leat_task_yield
 * lets the next turn come.
 *
 * Ends. A task's future settles with what its function returns; leat_follow(future) is waited for.
 * A task keeps no loop alive, what it waits for does: a loop that has nothing left to do while
 * tasks wait names each of them, and leat_run ends the program with 13. When a loop is freed, the
 * tasks that are left are cancelled and run to their ends.
 *
 * Cancelling. leat_future_cancel on a task's future makes the await under way and every later one
 * return -ECANCELED, and asks what was awaited to stop if nobody else waits for it. The task itself
 * decides when to return, and only then its future settles. One that is cancelled before it has
 * started runs all the same: what its argument owns is its to free. Clean-up that has to wait
 * stands between leat_task_shield and leat_task_unshield.
 *
 * Not across an await: a locked mutex, errno, an OpenSSL error queue, strtok, the locale, the
 * rounding mode. Not at all: awaiting in a listener of an emitter, in a stream's functions, or in
 * a callback that a C library calls; the first two are checked. An exception that leaves a task's
 * function ends the program.
 *
 * Stacks. LEAT_TASK_STACK_BYTES, or LEAT_TASK_STACK_BYTES_BIG for a task that asks for more, with a
 * guard below: an overflow ends the program with the task's name. Memory is used as it is touched.
 *
 * Everything here is for the core that made it; using it on another is a programmer's error. */
#ifndef LEAT_TASK_H
#define LEAT_TASK_H

#include <leat/defs.h>
#include <leat/future.h>
#include <leat/result.h>

LEAT_BEGIN

#define LEAT_TASKS_MAX            100000 /* per core, or --tasks; one more is -EAGAIN */
#define LEAT_TASK_STACK_BYTES     131072
#define LEAT_TASK_STACK_BYTES_BIG 1048576
#define LEAT_TASK_GUARD_BYTES     65536
#define LEAT_TASK_ARG_BYTES_MAX   256
#define LEAT_TASK_SHIELD_NS       (5 * LEAT_NS_PER_S)
#define LEAT_TASK_REFUSALS_MAX    100000 /* awaits of a cancelled task: then the program is wrong */

typedef struct leat_result leat_task_fn(void *arg);

struct leat_task_options { /* zero: the default */
    const char *name;      /* static, for reports; else the place of its start tells */
    size_t stack_bytes;    /* above LEAT_TASK_STACK_BYTES: LEAT_TASK_STACK_BYTES_BIG */
};

/* Starts fn(arg) as a task. With arg_bytes > 0 (at most LEAT_TASK_ARG_BYTES_MAX) arg is copied, and
 * fn gets the copy, which lives on its stack, aligned to 16; with 0 fn gets arg itself. Returns the
 * task's future; one that is rejected at once did not start, and arg is still the caller's:
 * -EAGAIN: LEAT_TASKS_MAX are there, or the system allows no more guards; -ENOMEM; -ENOTSUP: the
 * processor's shadow stack is on. */
LEAT_API struct leat_future *leat_task_start(struct leat_loop *loop, leat_task_fn *fn,
                                             const void *arg, size_t arg_bytes) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_task_start_with(struct leat_loop *loop,
                                                  const struct leat_task_options *options,
                                                  leat_task_fn *fn, const void *arg,
                                                  size_t arg_bytes) LEAT_MUST_CHECK;

/* ---- Within a task ---- */

/* Waits until future has settled, takes the reference, and returns the result, which is the
 * caller's: leat_result_drop. -ECANCELED: the task was cancelled, or the operation. */
LEAT_API struct leat_result leat_await(struct leat_future *future) LEAT_MUST_CHECK;

/* Waits for the check phase: whatever is ready comes first. 0; -ECANCELED; or -ENOMEM, at once. */
LEAT_API int leat_task_yield(void);

/* From here to leat_task_unshield a cancelled task may await, for at most LEAT_TASK_SHIELD_NS from
 * the moment at which it is both. They nest, up to 255 deep. */
LEAT_API void leat_task_shield(void);
LEAT_API void leat_task_unshield(void);

/* What the running task was named, "" for one without a name; NULL: no task runs. */
LEAT_API const char *leat_task_name(void);

/* ---- For who looks from outside ---- */

/* Writes each task of this core to fd: its name, what it waits for, and its backtrace. In gdb, of a
 * program that runs and of core files: `leat tasks`, `leat bt N`. */
LEAT_API void leat_loop_dump_tasks(struct leat_loop *loop, int fd);

LEAT_END
#endif
