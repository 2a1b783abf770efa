/* Waiting: for a future, and for the check phase. */
#include <errno.h>

#include "runtime/async/task_internal.h"

static _Noreturn void await_refuse(const char *what)
{
    const struct leat_core *core = leat_core_now;
    if (core != NULL && core->tasks != NULL && core->tasks->running != NULL)
        leat_panic(__FILE__, __LINE__, what,
                   "%s may not wait: what is after it runs before it would return; start a task "
                   "there",
                   core->awaits_forbidden);
    leat_panic(__FILE__, __LINE__, what,
               "no task runs here: only a function that leat_task_start started may wait");
}

struct task *task_may_block(const char *what)
{
    const struct leat_core *core = leat_core_now;
    struct task *running = core != NULL && core->tasks != NULL ? core->tasks->running : NULL;
    if (unlikely(running == NULL || core->awaits_forbidden != NULL))
        await_refuse(what);
    return running;
}

/* ---- a future ---- */

static void await_run(void *reaction)
{
    task_resume(container_of(reaction, struct task, reaction));
}

static const struct reaction_class await_class = {REACTION_JOB, await_run};

struct task *task_of_microtask(void (*fn)(void *arg), void *arg)
{
    return fn == await_run ? container_of(arg, struct task, reaction) : NULL;
}

/* Cancelled code cannot wait again. A program that tries for ever would keep the core for ever. */
static struct leat_result await_cut(struct task *task)
{
    if (unlikely(++task->refused_count == LEAT_TASK_REFUSALS_MAX))
        leat_panic(__FILE__, __LINE__, "leat_await",
                   "a task that was cancelled does not end: it has awaited %u times since",
                   LEAT_TASK_REFUSALS_MAX);
    return leat_failure(-ECANCELED, NULL);
}

/* Takes the consumer's reference. */
static void future_leave(struct leat_future *future)
{
    future_unref(future);
    future_cancel_unless_wanted(future);
}

static bool future_is_pending(const struct leat_future *future)
{
    return !future_is_settled(future);
}

static struct leat_result await_refused(struct task *task, struct leat_future *future)
{
    future_handle(future);
    if (future_is_pending(future))
        future_leave(future);
    else
        future_unref(future);
    return await_cut(task);
}

/* Behind the switch: the reaction holds a reference if its future has settled. */
static struct leat_result await_end(struct task *task, struct leat_future *future)
{
    if (unlikely((task->flags & TASK_WOKEN) != 0)) {
        task_mark(task, 0, TASK_WOKEN);
        return await_cut(task);
    }
    future_unref(future);
    if (unlikely(task_is_stopped(task))) { /* after it had settled */
        future_unref(future);
        return await_cut(task);
    }
    struct leat_result result = leat_future_take(future);
    future_unref(future);
    return result;
}

struct leat_result leat_await(struct leat_future *future)
{
    struct task *task = task_may_block(__func__);
    LEAT_CHECK(future_is_here(future));
    if (unlikely(task_is_stopped(task)))
        return await_refused(task, future);
    task->reaction.of = &await_class;
    reaction_add(future, &task->reaction);
    task_leave(task, TASK_AWAITS);
    return await_end(task, future);
}

struct leat_result task_await_held(struct leat_future *future)
{
    struct task *task = task_may_block(__func__);
    bool was_held = (task->flags & TASK_HELD) != 0;
    task_mark(task, TASK_HELD, 0);
    struct leat_result result = leat_await(future);
    if (!was_held)
        task_mark(task, 0, TASK_HELD);
    return result;
}

/* ---- the check phase ---- */

/* Those that are there now: who yields again waits for the next turn. */
static void yielding_run(void *arg)
{
    struct tasks *tasks = arg;
    struct list *link;
    while ((link = list_pull(&tasks->yielding)) != NULL)
        task_queue(container_of(link, struct task, yielding));
}

int leat_task_yield(void)
{
    struct task *task = task_may_block(__func__);
    struct tasks *tasks = task->tasks;
    if (unlikely(task_is_stopped(task)))
        return await_cut(task).code;
    if (list_is_empty(&tasks->yielding) &&
        leat_set_immediate(tasks->loop, yielding_run, tasks) == 0)
        return -ENOMEM;
    list_push(&tasks->yielding, &task->yielding);
    task_leave(task, TASK_YIELDS);
    task_mark(task, 0, TASK_WOKEN);
    return unlikely(task_is_stopped(task)) ? await_cut(task).code : 0;
}

/* ---- cutting short ---- */

static void await_interrupt(struct task *task)
{
    struct leat_future *future = task->reaction.future;
    reaction_unlink(&task->reaction);
    task->reaction.next = NULL;
    task_mark(task, TASK_WOKEN, 0);
    task_queue(task);
    future_leave(future);
}

void task_interrupt(struct task *task)
{
    if (task->place == TASK_AWAITS && reaction_is_waiting(&task->reaction)) {
        await_interrupt(task);
    } else if (task->place == TASK_YIELDS && !list_is_empty(&task->yielding)) {
        list_unlink(&task->yielding);
        task_mark(task, TASK_WOKEN, 0);
        task_queue(task);
    }
}
