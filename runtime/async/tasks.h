/* What the rest of the library may use of tasks beside <leat/task.h>. Internal to the library: not
 * installed. */
#ifndef LEAT_TASKS_H
#define LEAT_TASKS_H

#include <leat/task.h>

#include "runtime/base/core.h"

/* Around a call of a user's function that may not await: a listener of an emitter, a function of a
 * stream. what is static: "a listener of an emitter". They nest: the value is for await_allow. */
static inline const char *await_forbid(const char *what)
{
    const char *outer = leat_core_now->awaits_forbidden;
    leat_core_now->awaits_forbidden = what;
    return outer;
}

static inline void await_allow(const char *outer)
{
    leat_core_now->awaits_forbidden = outer;
}

/* What leat_task_start is asked for, and for whom: site is __builtin_return_address(0) of the
 * function that the program called. */
struct task_call {
    leat_task_fn *fn;
    const void *arg;
    size_t arg_bytes;
    struct leat_task_options options;
    const void *site;
};
struct leat_future *task_start(struct leat_loop *loop, const struct task_call *call);

/* At most count tasks at once, instead of LEAT_TASKS_MAX. 0; -EINVAL: it is 0 or more than that; or
 * -ENOMEM. With a sentence in leat_loop_error. */
int tasks_limit(struct leat_loop *loop, uint32_t count) LEAT_MUST_CHECK;

/* Logs each task that is there, the first few by name, and returns how many there are. */
uint32_t tasks_name_parked(struct leat_loop *loop);

/* Cancels every task of the loop and runs microtasks until all have ended: to be called before what
 * they use ends. */
void tasks_stop(struct leat_loop *loop);

#endif
