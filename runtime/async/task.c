/* The life of a task: started, run, ended; and what a core has for them. */
#include <leat/error.h>

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/task_internal.h"

_Static_assert(FIBER_ASAN || FIBER_TSAN || sizeof(struct task) <= 192,
               "control block, argument and first frames share a page");

/* ---- on the task's own stack ---- */

static void task_settle(struct task *task, struct leat_result result)
{
    if (unlikely(result.kind == LEAT_KIND_FOLLOW))
        future_follow(task->future, result.pointer);
    else
        leat_settle(task->future, result);
}

static void task_main(void *arg)
{
    struct task *task = arg;
    struct tasks *tasks = task->tasks;
    fiber_arrive(&task->fiber, &tasks->fiber);
    struct leat_result result = task->fn(task->arg);
    CHECK(task->shield_depth == 0);                 /* each shield was lifted */
    CHECK(leat_core_now->awaits_forbidden == NULL); /* and each await_forbid undone */
    task_settle(task, result);
    task_move(task, TASK_ENDED);
    fiber_switch(&task->fiber, &tasks->fiber, true);
    CHECK(false); /* it has ended */
}

/* ---- on the loop's stack ---- */

static void task_end(struct tasks *tasks, struct task *task)
{
    list_unlink(&task->link);
    tasks->count--;
    loop_queue_release(tasks->jobs, 1);
    fiber_fini(&task->fiber);
    stack_give(&tasks->stacks, task->stack);
}

/* The place among the jobs that has just become free is kept for the next time. */
void task_resume(struct task *task)
{
    struct tasks *tasks = task->tasks;
    CHECK(tasks == leat_core_now->tasks && tasks->running == NULL);
    CHECK(loop_queue_reserve(tasks->jobs, 1));
    task_move(task, TASK_RUNS);
    tasks->running = task;
    fiber_switch(&tasks->fiber, &task->fiber, false);
    tasks->running = NULL;
    if (unlikely(task->place == TASK_ENDED))
        task_end(tasks, task);
}

static void task_job(void *task)
{
    task_resume(task);
}

void task_queue(struct task *task)
{
    loop_queue_push_reserved(task->tasks->jobs, task_job, task);
}

/* ---- start ---- */

/* Below the control block; at the same place modulo 16. */
static char *task_copy_arg(struct task *task, const struct task_call *call)
{
    char *top = (char *)task;
    task->arg = (void *)(uintptr_t)call->arg;
    if (call->arg_bytes == 0)
        return top;
    top -= (call->arg_bytes + 15) & ~(size_t)15;
    memcpy(top, call->arg, call->arg_bytes);
    task->arg = top;
    return top;
}

static void task_init(struct task *task, struct tasks *tasks, struct stack *stack,
                      const struct task_call *call)
{
    const char *name = call->options.name;
    *task = (struct task){.tasks = tasks,
                          .fn = call->fn,
                          .name = name != NULL ? name : "",
                          .site = call->site,
                          .stack = stack,
                          .place = TASK_NEW};
    list_init(&task->yielding);
    list_init(&task->shielded);
    list_push(&tasks->all, &task->link);
    char *top = task_copy_arg(task, call);
    fiber_init(&task->fiber, stack->low, top, task_main, task);
}

static struct task *task_refuse(struct leat_error *error, const struct tasks *tasks)
{
    leat_fail(error, -EAGAIN,
              "%u tasks are there, as many as a core may have: wait for some, or use more cores",
              tasks->count);
    return NULL;
}

/* NULL with a sentence. */
static struct task *task_new(struct leat_loop *loop, const struct task_call *call,
                             struct leat_error *error)
{
    struct tasks *tasks = tasks_of(loop, error);
    if (unlikely(tasks == NULL))
        return NULL;
    if (unlikely(tasks->count >= tasks->count_max))
        return task_refuse(error, tasks);
    enum stack_size size =
        call->options.stack_bytes > LEAT_TASK_STACK_BYTES ? STACK_BIG : STACK_PLAIN;
    if (unlikely(!loop_queue_reserve(tasks->jobs, 1))) {
        leat_fail(error, -ENOMEM, "no memory to queue another task");
        return NULL;
    }
    struct stack *stack = stack_take(&tasks->stacks, size, error);
    if (unlikely(stack == NULL)) {
        loop_queue_release(tasks->jobs, 1);
        return NULL;
    }
    struct task *task = (struct task *)(void *)(stack->top - TASK_BYTES);
    task_init(task, tasks, stack, call);
    tasks->count++;
    return task;
}

struct leat_future *task_start(struct leat_loop *loop, const struct task_call *call)
{
    LEAT_CHECK(call->arg_bytes <= LEAT_TASK_ARG_BYTES_MAX);
    LEAT_CHECK(call->options.stack_bytes <= LEAT_TASK_STACK_BYTES_BIG);
    struct leat_future *future = async_future_new(loop, &task_future_class, call->site);
    if (unlikely(async_is_out_of_memory(future)))
        return future;
    struct leat_error error; /* half a KiB: not zeroed for every task */
    struct task *task = task_new(loop, call, &error);
    if (unlikely(task == NULL)) {
        leat_settle(future, leat_failure(error.code, "%s", error.sentence));
        return future;
    }
    task->future = future;
    future->result.pointer = task; /* until it settles: for the class's cancel */
    task_queue(task);
    return future;
}

struct leat_future *leat_task_start(struct leat_loop *loop, leat_task_fn *fn, const void *arg,
                                    size_t arg_bytes)
{
    return task_start(loop, &(struct task_call){.fn = fn,
                                                .arg = arg,
                                                .arg_bytes = arg_bytes,
                                                .site = __builtin_return_address(0)});
}

struct leat_future *leat_task_start_with(struct leat_loop *loop,
                                         const struct leat_task_options *options, leat_task_fn *fn,
                                         const void *arg, size_t arg_bytes)
{
    return task_start(loop, &(struct task_call){.fn = fn,
                                                .arg = arg,
                                                .arg_bytes = arg_bytes,
                                                .options = *options,
                                                .site = __builtin_return_address(0)});
}
