/* What may be left on a core when nothing is under way: no task, no future, no stream. */
#include "test/sim/notes_rest.h"

#include <leat/memory.h>
#include <leat/stream.h>

#include <stdio.h>

#include "runtime/async/task_internal.h"

const char *notes_left(struct leat_loop *loop, char *to, size_t to_bytes)
{
    struct leat_memory memory;
    const struct tasks *tasks = leat_core_now->tasks;
    const struct async_core *async = async_core_of(loop);
    const char *broken = tasks != NULL ? tasks_validate(tasks) : NULL;
    leat_memory_usage(&memory);
    if (broken != NULL)
        snprintf(to, to_bytes, "tasks: %s", broken);
    else if (tasks != NULL && tasks->count != 0)
        snprintf(to, to_bytes, "%u tasks are left", tasks->count);
    else if (memory.future_count != 0 || memory.reaction_count != 0)
        snprintf(to, to_bytes, "%llu futures and %llu reactions are left",
                 (unsigned long long)memory.future_count,
                 (unsigned long long)memory.reaction_count);
    else if (async != NULL && async->streams != NULL)
        snprintf(to, to_bytes, "a stream is left: %s", async->streams->of->name);
    else
        return NULL;
    return to;
}
