/* The state of tasks on one core, for the files of this folder. */
#ifndef LEAT_TASK_INTERNAL_H
#define LEAT_TASK_INTERNAL_H

#include <leat/task.h>
#include <leat/timer.h>

#include "runtime/async/async_internal.h"
#include "runtime/async/fiber.h"
#include "runtime/async/stacks.h"
#include "runtime/async/tasks.h"

/* Where a task is. Who writes it: task_state.c alone.
 *
 * | place  | what is true                                                  | from           |
 * |--------|---------------------------------------------------------------|----------------|
 * | NEW    | its first job is queued; nothing of it has run                | -              |
 * | RUNS   | its stack is the core's; tasks->running is it                 | all but ENDED  |
 * | AWAITS | its reaction is in a future's ring, or its job is queued      | RUNS           |
 * | YIELDS | it is in tasks->yielding, or its job is queued                | RUNS           |
 * | ENDED  | its future has settled; its stack is left for the last time   | RUNS           | */
enum task_place { TASK_NEW, TASK_RUNS, TASK_AWAITS, TASK_YIELDS, TASK_ENDED };

/* | bit       | set by                              | cleared by     | never with          |
 * |-----------|-------------------------------------|----------------|---------------------|
 * | CANCELLED | leat_future_cancel, the loop's end  | -              |                     |
 * | EXPIRED   | the shield's time, the loop's end   | the last unshield | not CANCELLED    |
 * | HELD      | group_wait                          | group_wait     | NEW, ENDED          |
 * | WOKEN     | task_interrupt                      | the await      | RUNS                |
 * | DUMPS     | leat_loop_dump_tasks                     | the same call  | NEW, RUNS, ENDED    |
 */
enum {
    TASK_CANCELLED = 1u << 0,
    TASK_EXPIRED = 1u << 1,
    TASK_HELD = 1u << 2,  /* no cancelling ends what it waits for */
    TASK_WOKEN = 1u << 3, /* what it waited for has not come */
    TASK_DUMPS = 1u << 4,
};

/* At the top of its stack. */
struct task {
    struct fiber fiber;
    struct tasks *tasks;
    leat_task_fn *fn;
    void *arg;
    const char *name;              /* "": none */
    const void *site;              /* of the call that started it */
    struct leat_future *future;    /* with the producer's reference */
    struct leat_reaction reaction; /* while it awaits */
    struct list link;              /* of the core's */
    struct list yielding;          /* while it yields; in the order of calls */
    struct list shielded; /* while it is cancelled and shielded; in the order of their ends */
    struct stack *stack;
    uint64_t shield_end_ns;
    uint32_t refused_count; /* awaits since it was cancelled */
    uint8_t place;          /* enum task_place */
    uint8_t flags;
    uint8_t shield_depth;
};

struct tasks {
    struct loop_part part; /* ends with the loop */
    struct leat_loop *loop;
    struct loop_queue *jobs; /* the loop's */
    struct task *running;    /* NULL: the loop's own stack is the core's */
    struct fiber fiber;      /* of the loop, while a task runs */
    struct stacks stacks;
    struct list all, yielding, shielded;
    struct leat_timer shield_timer;
    uint32_t count, count_max;
    int dump_fd;
};

#define TASK_BYTES ((sizeof(struct task) + 63) & ~(size_t)63)

/* task_state.c */
void task_move(struct task *task, enum task_place to);
void task_mark(struct task *task, uint8_t set, uint8_t clear);
void task_shield_deepen(struct task *task);
bool task_shield_lift(struct task *task); /* whether it was the last */
/* Cancelled, and nothing keeps that from it. */
static inline bool task_is_stopped(const struct task *task)
{
    return unlikely((task->flags & TASK_CANCELLED) != 0) && (task->flags & TASK_HELD) == 0 &&
           (task->shield_depth == 0 || (task->flags & TASK_EXPIRED) != 0);
}
/* The first rule that does not hold, as text; NULL: all do. Between two jobs. */
const char *tasks_validate(const struct tasks *tasks);

/* task_core.c */
struct tasks *tasks_of(struct leat_loop *loop, struct leat_error *error); /* NULL with a sentence */

/* task.c */
void task_resume(struct task *task); /* from a job of its own */
void task_queue(struct task *task);  /* its next run; its place among the jobs is kept for it */

/* task_await.c */
struct task *task_of_microtask(void (*fn)(void *arg), void *arg); /* that resumes it, or NULL */
struct task *task_may_block(const char *what); /* the running one; or stops the program */
void task_interrupt(struct task *task); /* what it waits for, if it does: it goes on by a job */
struct leat_result task_await_held(struct leat_future *future); /* whatever cancels the task */

bool tasks_name_microtask(void (*fn)(void *arg), void *arg, char *to,
                          size_t to_bytes); /* likewise */
void task_dump(struct task *task);          /* task_report.c; on its own stack */
/* The running one leaves its stack until it goes on. In line: behind a switch the processor
 * predicts each return wrongly, so that there should be one less. */
static inline void task_leave(struct task *task, enum task_place place)
{
    struct tasks *tasks = task->tasks;
    task_move(task, place);
    fiber_switch(&task->fiber, &tasks->fiber, false);
    while (unlikely((task->flags & TASK_DUMPS) != 0)) {
        task_dump(task);
        fiber_switch(&task->fiber, &tasks->fiber, false);
    }
}

/* task_cancel.c */
extern const struct leat_future_class task_future_class;
void tasks_on_shield_over(struct leat_timer *timer, void *arg);
/* Cancels all, shields or not, and runs the gate until all have ended. */
void tasks_end(struct tasks *tasks);

/* task_report.c */
const void *tasks_note_crash(int fd, const void *address,
                             const void *sp); /* for struct leat_core */
/* Logs the first few and how many more there are. */
void tasks_name(const struct tasks *tasks, const char *why);
const char *task_describe(const struct task *task, char *to, size_t to_bytes);

#endif
