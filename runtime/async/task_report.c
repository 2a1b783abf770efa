/* What is said about tasks: which there are, where they wait, and which one has broken. */
#include <leat/log.h>

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/async/task_internal.h"
#include "runtime/base/crash.h"

#define TASKS_NAMED_MAX 20 /* in the log, of those that are left */

static const char *const place_names[] = {[TASK_NEW] = "has not run yet",
                                          [TASK_RUNS] = "runs",
                                          [TASK_AWAITS] = "awaits",
                                          [TASK_YIELDS] = "yields",
                                          [TASK_ENDED] = "has ended"};

const char *leat_task_name(void)
{
    const struct tasks *tasks = leat_core_now != NULL ? leat_core_now->tasks : NULL;
    return tasks != NULL && tasks->running != NULL ? tasks->running->name : NULL;
}

const char *task_describe(const struct task *task, char *to, size_t to_bytes)
{
    char future[320];
    leat_future_describe(task->future, future, sizeof(future));
    snprintf(to, to_bytes, "%s%s%s", task->name, task->name[0] != '\0' ? ", a " : "", future);
    return to;
}

bool tasks_name_microtask(void (*fn)(void *arg), void *arg, char *to, size_t to_bytes)
{
    const struct task *task = task_of_microtask(fn, arg);
    if (task == NULL)
        return false;
    task_describe(task, to, to_bytes);
    return true;
}

/* ---- a crash: signal-safe up to the names of symbols ---- */

static void report_line(int fd, const char *format, ...) LEAT_PRINTF(2, 3);
static void report_line(int fd, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (length < 0)
        return;
    ssize_t written =
        write(fd, line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
    (void)written;
}

static void overflow_report(int fd, const struct task *task)
{
    unsigned bytes = (unsigned)stack_bytes(task->stack->slab->size);
    report_line(fd, "leat: the stack of this task is full: its %u KiB are used up; %s\n",
                bytes / 1024,
                task->stack->slab->size == STACK_PLAIN
                    ? "start it with .stack_bytes = LEAT_TASK_STACK_BYTES_BIG (leat_task_options), "
                      "or keep large arrays on the heap"
                    : "there are no larger ones: keep large arrays on the heap, and recursion "
                      "bounded");
}

const void *tasks_note_crash(int fd, const void *address, const void *sp)
{
    const struct tasks *tasks = leat_core_now->tasks;
    const struct task *task = tasks != NULL ? tasks->running : NULL;
    if (task == NULL)
        return NULL;
    if (address != NULL && stack_is_full(task->stack, address, sp))
        overflow_report(fd, task);
    report_line(fd, "leat: in the task \"%s\", which was started at %p (named below)\n", task->name,
                task->site);
    return task->site;
}

/* ---- all of them ---- */

void tasks_name(const struct tasks *tasks, const char *why)
{
    uint32_t left_count = TASKS_NAMED_MAX;
    for (struct list *link = tasks->all.next; link != &tasks->all && left_count > 0;
         link = link->next, left_count--) {
        const struct task *task = container_of(link, struct task, link);
        char name[400];
        LEAT_LOG_ERROR("%s: %s, which %s", why, task_describe(task, name, sizeof(name)),
                       place_names[task->place]);
    }
    if (tasks->count > TASKS_NAMED_MAX)
        LEAT_LOG_ERROR("%s: and %u more", why, tasks->count - TASKS_NAMED_MAX);
}

uint32_t tasks_name_parked(struct leat_loop *loop)
{
    const struct tasks *tasks = loop_core(loop)->tasks;
    if (tasks == NULL || tasks->count == 0)
        return 0;
    tasks_name(tasks, "nothing is left to do, and a task waits for ever");
    return tasks->count;
}

void task_dump(struct task *task)
{
    leat_crash_backtrace(task->tasks->dump_fd, __builtin_return_address(0));
}

static bool task_is_parked(const struct task *task)
{
    return task->place == TASK_AWAITS || task->place == TASK_YIELDS;
}

static void task_dump_one(struct tasks *tasks, struct task *task)
{
    char name[400], waited[320] = "";
    task_describe(task, name, sizeof(name));
    if (task->place == TASK_AWAITS && reaction_is_waiting(&task->reaction))
        leat_future_describe(task->reaction.future, waited, sizeof(waited));
    report_line(tasks->dump_fd, "leat: %s: %s %s\n", name, place_names[task->place], waited);
    if (!task_is_parked(task))
        return;
    task_mark(task, TASK_DUMPS, 0);
    fiber_switch(&tasks->fiber, &task->fiber, false);
    task_mark(task, 0, TASK_DUMPS);
}

/* From a task, that one's stack is what the others come back to. */
void leat_loop_dump_tasks(struct leat_loop *loop, int fd)
{
    struct tasks *tasks = loop_core(loop)->tasks;
    LEAT_CHECK(loop_core(loop) == leat_core_now);
    if (tasks == NULL)
        return;
    struct fiber outer = tasks->fiber;
    tasks->dump_fd = fd;
    for (struct list *link = tasks->all.next; link != &tasks->all; link = link->next)
        task_dump_one(tasks, container_of(link, struct task, link));
    tasks->fiber = outer;
}
