/* What a core has for its tasks: made with the first of them, ends with the loop. */
#include <leat/error.h>

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/task_internal.h"

static bool tasks_part_end(struct loop_part *part)
{
    struct tasks *tasks = container_of(part, struct tasks, part);
    bool had_some = !list_is_empty(&tasks->all);
    tasks_name(tasks, "the loop ends, and with it a task");
    tasks_end(tasks);
    return had_some;
}

static void tasks_fini(struct loop_part *part)
{
    struct tasks *tasks = container_of(part, struct tasks, part);
    leat_timer_stop(&tasks->shield_timer);
    stacks_fini(&tasks->stacks);
    leat_core_now->tasks = NULL;
    leat_core_now->note_crash = NULL;
    leat_core_now->name_microtask = NULL;
    leat_heap_free(tasks);
}

static bool tasks_trim(struct loop_part *part)
{
    return stacks_trim(&container_of(part, struct tasks, part)->stacks);
}

static struct tasks *tasks_new(struct leat_loop *loop, struct leat_error *error)
{
    if (switch_is_possible(error) != 0)
        return NULL;
    struct tasks *tasks = async_begin(loop) == 0 ? leat_heap_calloc(1, sizeof(*tasks)) : NULL;
    if (tasks == NULL) {
        leat_fail(error, -ENOMEM, "no memory for tasks");
        return NULL;
    }
    tasks->loop = loop;
    tasks->jobs = loop_jobs(loop);
    tasks->count_max = LEAT_TASKS_MAX;
    stacks_init(&tasks->stacks);
    list_init(&tasks->all);
    list_init(&tasks->yielding);
    list_init(&tasks->shielded);
    leat_timer_init(&tasks->shield_timer, loop, tasks_on_shield_over, tasks);
    leat_timer_unref(&tasks->shield_timer);
    fiber_init_running(&tasks->fiber);
    tasks->part.end = tasks_part_end;
    tasks->part.fini = tasks_fini;
    tasks->part.trim = tasks_trim;
    loop_part_add(loop, &tasks->part);
    leat_core_now->note_crash = tasks_note_crash;
    leat_core_now->name_microtask = tasks_name_microtask;
    return leat_core_now->tasks = tasks;
}

struct tasks *tasks_of(struct leat_loop *loop, struct leat_error *error)
{
    LEAT_CHECK(leat_core_now == loop_core(loop));
    struct tasks *tasks = leat_core_now->tasks;
    return likely(tasks != NULL) ? tasks : tasks_new(loop, error);
}

int tasks_limit(struct leat_loop *loop, uint32_t count)
{
    struct leat_error *error = &leat_core_now->error;
    if (count == 0 || count > LEAT_TASKS_MAX)
        return leat_fail(error, -EINVAL, "a core may have 1 to %u tasks, not %u", LEAT_TASKS_MAX,
                         count);
    struct tasks *tasks = tasks_of(loop, error);
    if (tasks == NULL)
        return error->code;
    tasks->count_max = count;
    return 0;
}

void tasks_stop(struct leat_loop *loop)
{
    struct tasks *tasks = loop_core(loop)->tasks;
    if (tasks != NULL)
        tasks_end(tasks);
}
