/* Groups of tasks: the first failure ends all, and who waits goes on when all have ended. */
#include <leat/group.h>

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/task_internal.h"

struct leat_group {
    struct leat_loop *loop;
    struct leat_future *ended; /* settles when no task is left and somebody waits */
    struct list members;
    uint32_t count; /* of the tasks that have not ended */
    int code;       /* why it was cancelled; 0: it was not */
    bool is_waited;
};

/* One task: a reaction on its future, which calls nobody of the program's. */
struct group_member {
    struct leat_reaction reaction; /* first */
    struct list link;
    struct leat_group *group;
};

/* Memory is out before there is a group: what stands for it on every core. */
static const struct leat_group group_none = {.code = -ENOMEM};

static bool group_is_none(const struct leat_group *group)
{
    return group == &group_none;
}

static struct leat_group *group_stand_in(void)
{
    return (struct leat_group *)(uintptr_t)&group_none; /* never written to */
}

static const struct leat_future_class group_class = {.name = "group"};

struct leat_group *leat_group_new(struct leat_loop *loop)
{
    struct leat_group *group = leat_heap_calloc(1, sizeof(*group));
    if (group == NULL)
        return group_stand_in();
    group->loop = loop;
    list_init(&group->members);
    group->ended = async_future_new(loop, &group_class, __builtin_return_address(0));
    if (async_is_out_of_memory(group->ended)) {
        leat_heap_free(group);
        return group_stand_in();
    }
    return group;
}

static void group_cancel(struct leat_group *group, int code)
{
    if (group->code != 0)
        return;
    group->code = code;
    for (struct list *link = group->members.next; link != &group->members; link = link->next) {
        struct group_member *member = container_of(link, struct group_member, link);
        leat_future_cancel(member->reaction.future);
    }
}

static void group_settle(struct leat_group *group)
{
    if (group->count == 0 && group->is_waited && leat_future_result(group->ended) == NULL)
        leat_settle(group->ended, leat_nothing());
}

static void member_run(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct group_member *member = container_of(reaction, struct group_member, reaction);
    struct leat_group *group = member->group;
    struct leat_future *future = reaction->future;
    int code = future->result.code;
    list_unlink(&member->link);
    leat_heap_free(member);
    group->count--;
    if (code < 0)
        group_cancel(group, code);
    leat_future_unref(future);
    group_settle(group);
}

static const struct reaction_class member_class = {REACTION_NOW, member_run};

static struct leat_future *group_refuse(const struct leat_group *group)
{
    struct leat_loop *loop = leat_loop_current();
    struct leat_future *future =
        leat_settled(loop, leat_failure(group_is_none(group) ? -ENOMEM : -ECANCELED, NULL));
    future_handle(future);
    return future;
}

struct leat_future *leat_group_start(struct leat_group *group, leat_task_fn *fn, const void *arg,
                                     size_t arg_bytes)
{
    if (group->code != 0)
        return group_refuse(group);
    LEAT_CHECK(!group->is_waited);
    struct group_member *member = leat_heap_calloc(1, sizeof(*member));
    if (member == NULL) {
        group_cancel(group, -ENOMEM);
        return group_refuse(&group_none);
    }
    struct leat_future *future =
        task_start(group->loop, &(struct task_call){.fn = fn,
                                                    .arg = arg,
                                                    .arg_bytes = arg_bytes,
                                                    .site = __builtin_return_address(0)});
    member->group = group;
    member->reaction.of = &member_class;
    list_push(&group->members, &member->link);
    group->count++;
    reaction_add(future, &member->reaction); /* at once, if it did not start */
    return future;
}

/* The time is over, or the task that waits was cancelled. */
static void group_wait_within(struct leat_group *group, uint64_t ns)
{
    struct leat_future *ended = leat_future_ref(group->ended);
    struct leat_result result = leat_await(ns > 0 ? leat_with_deadline(ended, ns) : ended);
    if (result.code < 0)
        group_cancel(group, result.code);
    leat_result_drop(&result);
}

int leat_group_wait(struct leat_group *group, uint64_t ns)
{
    (void)task_may_block(__func__);
    if (group_is_none(group))
        return -ENOMEM;
    group->is_waited = true;
    group_settle(group);
    group_wait_within(group, ns);
    struct leat_result result = task_await_held(group->ended);
    leat_result_drop(&result);
    int code = group->code;
    leat_heap_free(group);
    return code;
}
