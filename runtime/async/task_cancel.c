/* Cancelling tasks, shields against it, and the end of all tasks of a core. */
#include <errno.h>

#include "runtime/async/task_internal.h"

#define ENDING_ROUNDS_MAX 1000 /* of tasks that start tasks while all are being ended */

/* ---- the time of shields ---- */

/* All last equally long, so the first of the list is the first to be over. */
static void shields_time(struct tasks *tasks)
{
    if (list_is_empty(&tasks->shielded))
        return;
    const struct task *first = container_of(tasks->shielded.next, struct task, shielded);
    if (!leat_timer_is_started(&tasks->shield_timer))
        leat_timer_start_at(&tasks->shield_timer, first->shield_end_ns);
}

void tasks_on_shield_over(struct leat_timer *timer, void *arg)
{
    struct tasks *tasks = arg;
    uint64_t now_ns = leat_loop_now(tasks->loop);
    while (!list_is_empty(&tasks->shielded)) {
        struct task *task = container_of(tasks->shielded.next, struct task, shielded);
        if (task->shield_end_ns > now_ns)
            break;
        list_unlink(&task->shielded);
        task_mark(task, TASK_EXPIRED, 0);
        if (task_is_stopped(task))
            task_interrupt(task);
    }
    shields_time(tasks);
}

/* It has become both cancelled and shielded. */
static void shield_bound(struct task *task)
{
    struct tasks *tasks = task->tasks;
    task->shield_end_ns = leat_loop_clock(tasks->loop) + LEAT_TASK_SHIELD_NS;
    list_push(&tasks->shielded, &task->shielded);
    shields_time(tasks);
}

void leat_task_shield(void)
{
    struct task *task = task_may_block(__func__);
    task_shield_deepen(task);
    if (task->shield_depth == 1 &&
        (task->flags & (TASK_CANCELLED | TASK_EXPIRED)) == TASK_CANCELLED)
        shield_bound(task);
}

void leat_task_unshield(void)
{
    struct task *task = task_may_block(__func__);
    if (task_shield_lift(task))
        list_unlink(&task->shielded);
}

/* ---- cancelling ---- */

static void task_cancel(struct task *task)
{
    if ((task->flags & TASK_CANCELLED) != 0)
        return;
    task_mark(task, TASK_CANCELLED, 0);
    if (task->shield_depth > 0)
        shield_bound(task);
    if (task_is_stopped(task))
        task_interrupt(task);
}

/* Its own function decides when it ends; its future settles then. */
static void task_future_cancel(struct leat_future *future)
{
    task_cancel(future->result.pointer);
}

const struct leat_future_class task_future_class = {.name = "task", .cancel = task_future_cancel};

/* ---- the end of all ---- */

static void tasks_cancel_all(struct tasks *tasks)
{
    for (struct list *link = tasks->all.next; link != &tasks->all; link = link->next) {
        struct task *task = container_of(link, struct task, link);
        list_unlink(&task->shielded);
        leat_future_ignore(task->future); /* that it is cancelled now is no failure of its own */
        task_mark(task, TASK_CANCELLED | TASK_EXPIRED, 0);
        if (task_is_stopped(task))
            task_interrupt(task);
    }
}

/* Each round runs every task to its end, but for those that wait for others' ends. */
void tasks_end(struct tasks *tasks)
{
    CHECK(tasks->running == NULL);
    for (unsigned rounds = 0; !list_is_empty(&tasks->all); rounds++) {
        CHECK(rounds < ENDING_ROUNDS_MAX); /* each ends when its awaits are refused */
        tasks_cancel_all(tasks);
        leat_loop_gate(tasks->loop);
    }
}
