/* Time: a future that is fulfilled later, and a future that is not waited for longer. */
#include <errno.h>

#include "runtime/async/async_internal.h"

/* ---- leat_delay ---- */

struct delay {
    struct leat_future future; /* first */
    struct leat_timer timer;
};

static void delay_over(struct leat_timer *timer, void *arg)
{
    struct delay *delay = arg;
    leat_settle(&delay->future, leat_nothing());
}

static void delay_cancel(struct leat_future *future)
{
    struct delay *delay = container_of(future, struct delay, future);
    leat_timer_stop(&delay->timer);
    leat_settle(future, leat_failure(-ECANCELED, NULL));
}

static const struct leat_future_class delay_class = {.name = "delay",
                                                     .length_bytes = sizeof(struct delay),
                                                     .cancel = delay_cancel};

struct leat_future *leat_delay(struct leat_loop *loop, uint64_t ns)
{
    struct leat_future *future = async_future_new(loop, &delay_class, __builtin_return_address(0));
    if (async_is_out_of_memory(future))
        return future;
    struct delay *delay = container_of(future, struct delay, future);
    leat_timer_init(&delay->timer, loop, delay_over, delay);
    leat_timer_start(&delay->timer, ns, 0);
    return future;
}

/* ---- leat_with_deadline ---- */

struct deadline {
    struct leat_future future; /* first */
    struct leat_timer timer;
    struct leat_future *waited; /* with a reference */
    struct leat_reaction *reaction;
};

static void deadline_settle(struct deadline *deadline, struct leat_result result)
{
    leat_timer_stop(&deadline->timer);
    deadline->reaction = NULL;
    leat_settle(&deadline->future, result);
}

static void deadline_heard(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct deadline *deadline = reaction->arg;
    struct leat_future *waited = reaction->future;
    reaction_free(reaction);
    deadline_settle(deadline, result_share(waited));
    leat_future_unref(waited);
}

/* Leat's own, and it calls nobody: what waits on the deadline has jobs of its own. */
static const struct reaction_class deadline_class = {REACTION_NOW, deadline_heard};

static void deadline_leave(struct deadline *deadline, struct leat_result result)
{
    struct leat_future *waited = deadline->waited;
    (void)leat_future_ref(waited);
    reaction_cancel(deadline->reaction);
    deadline_settle(deadline, result);
    leat_future_cancel(waited);
    leat_future_unref(waited);
}

static void deadline_over(struct leat_timer *timer, void *arg)
{
    deadline_leave(arg, leat_failure(-ETIME, NULL));
}

static void deadline_cancel(struct leat_future *future)
{
    deadline_leave(container_of(future, struct deadline, future), leat_failure(-ECANCELED, NULL));
}

static void deadline_drop(struct leat_future *future)
{
    leat_future_unref(container_of(future, struct deadline, future)->waited);
}

static const struct leat_future_class deadline_future = {.name = "with_deadline",
                                                         .length_bytes = sizeof(struct deadline),
                                                         .cancel = deadline_cancel,
                                                         .drop = deadline_drop};

struct leat_future *leat_with_deadline(struct leat_future *waited, uint64_t ns)
{
    struct leat_loop *loop = leat_loop_current();
    struct leat_future *future =
        async_future_new(loop, &deadline_future, __builtin_return_address(0));
    if (async_is_out_of_memory(future)) {
        leat_future_unref(waited);
        return future;
    }
    struct deadline *deadline = container_of(future, struct deadline, future);
    leat_timer_init(&deadline->timer, loop, deadline_over, deadline);
    deadline->waited = waited;
    deadline->reaction = reaction_new(&deadline_class);
    deadline->reaction->arg = deadline;
    leat_timer_start(&deadline->timer, ns, 0);
    reaction_add(waited, deadline->reaction);
    return future;
}
