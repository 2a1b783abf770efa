/* The state of a task: every change of its place and its bits is here (the tables are in
 * task_internal.h). */
#include "runtime/async/task_internal.h"

/* Bits: the places from which a task may come to this one. */
static const uint8_t places_before[] = {
    [TASK_NEW] = 0,
    [TASK_RUNS] = 1u << TASK_NEW | 1u << TASK_AWAITS | 1u << TASK_YIELDS,
    [TASK_AWAITS] = 1u << TASK_RUNS,
    [TASK_YIELDS] = 1u << TASK_RUNS,
    [TASK_ENDED] = 1u << TASK_RUNS,
};

void task_move(struct task *task, enum task_place to)
{
    CHECK((places_before[to] >> task->place & 1) != 0);
    task->place = (uint8_t)to;
}

void task_mark(struct task *task, uint8_t set, uint8_t clear)
{
    task->flags = (uint8_t)((task->flags & ~clear) | set);
}

void task_shield_deepen(struct task *task)
{
    CHECK(task->shield_depth < UINT8_MAX); /* shields are lifted as often as they are raised */
    task->shield_depth++;
}

bool task_shield_lift(struct task *task)
{
    CHECK(task->shield_depth > 0);
    if (--task->shield_depth > 0)
        return false;
    task_mark(task, 0, TASK_EXPIRED);
    return true;
}

static const char *task_validate(const struct tasks *tasks, const struct task *task)
{
    bool is_running = task == tasks->running;
    if (is_running != (task->place == TASK_RUNS))
        return "a task runs exactly while it is the running one";
    if (task->place == TASK_ENDED)
        return "a task that has ended has left the list";
    if (!list_is_empty(&task->yielding) && task->place != TASK_YIELDS)
        return "only a task that yields waits for the check phase";
    if (!list_is_empty(&task->shielded) &&
        ((task->flags & TASK_CANCELLED) == 0 || task->shield_depth == 0))
        return "only a cancelled task behind a shield has its time bounded";
    if ((task->flags & TASK_EXPIRED) != 0 && (task->flags & TASK_CANCELLED) == 0)
        return "only a cancelled task's shield is over";
    if ((task->flags & TASK_WOKEN) != 0 && is_running)
        return "a task that runs has seen what woke it";
    return NULL;
}

const char *tasks_validate(const struct tasks *tasks)
{
    uint32_t count = 0;
    for (struct list *link = tasks->all.next; link != &tasks->all; link = link->next) {
        const char *broken = task_validate(tasks, container_of(link, struct task, link));
        if (broken != NULL)
            return broken;
        count++;
    }
    if (count != tasks->count || count != tasks->stacks.used_count)
        return "each task is in the list and has a stack";
    return NULL;
}
