/* Groups: tasks that end together. A function that starts tasks in a group and waits for it leaves
 * none behind.
 *
 *     struct leat_group *group = leat_group_new(loop);
 *     struct leat_future *owner = leat_group_start(group, load_owner, &id, sizeof(id));
 *     struct leat_future *seen = leat_group_start(group, count_view, &id, sizeof(id));
 *     int code = leat_group_wait(group, 200 * LEAT_NS_PER_MS);
 *     ... leat_future_result(owner) ...
 *     leat_future_unref(owner);
 *     leat_future_unref(seen);
 *
 * The first of its tasks that fails cancels the others, and so does the time when it is over, and
 * whatever cancels the task that waits. For the core that made it. */
#ifndef LEAT_GROUP_H
#define LEAT_GROUP_H

#include <leat/defs.h>
#include <leat/future.h>
#include <leat/task.h>

LEAT_BEGIN

struct leat_group;

/* Never NULL: without memory its tasks do not start, and leat_group_wait says so. */
LEAT_API struct leat_group *leat_group_new(struct leat_loop *loop) LEAT_MUST_CHECK;

/* As leat_task_start. Its rejection counts as handled. In a group that has been cancelled nothing
 * starts: -ECANCELED. */
LEAT_API struct leat_future *leat_group_start(struct leat_group *group, leat_task_fn *fn,
                                              const void *arg, size_t arg_bytes) LEAT_MUST_CHECK;

/* Within a task: waits until all of its tasks have ended, frees the group, and returns 0 or why it
 * was cancelled: the code of the first that failed, -ETIME after ns (0: no limit), -ECANCELED with
 * the task that waits. Each task has ended then, which may be later than ns. */
LEAT_API int leat_group_wait(struct leat_group *group, uint64_t ns) LEAT_MUST_CHECK;

LEAT_END
#endif
