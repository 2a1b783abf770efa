/* Reactions: what waits on a future, and how it runs when that has settled. */
#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

/* What is spare has a place among the jobs already. */
struct leat_reaction *reaction_new_otherwise(const struct reaction_class *of)
{
    struct async_core *core = async_here();
    LEAT_CHECK(core != NULL); /* no memory even for the first future of this core */
    struct leat_reaction *reaction = async_block_take(core);
    if (reaction == NULL)
        reaction = async_spare_take(core);
    else if (of->when == REACTION_JOB && !loop_queue_reserve(core->jobs, 1)) {
        leat_heap_free(reaction);
        reaction = async_spare_take(core);
    }
    core->reaction_count++;
    reaction->of = of;
    return reaction;
}

void reaction_unlink(struct leat_reaction *reaction)
{
    struct leat_future *future = reaction->future;
    LEAT_CHECK(reaction_is_waiting(reaction));
    if (reaction->next == reaction) {
        future->reactions = NULL;
        return;
    }
    reaction->next->prev = reaction->prev;
    reaction->prev->next = reaction->next;
    if (future->reactions == reaction)
        future->reactions = reaction->next;
}

void reaction_cancel(struct leat_reaction *reaction)
{
    reaction_unlink(reaction);
    if (reaction->of->when == REACTION_JOB)
        loop_queue_release(async_here()->jobs, 1);
    reaction_free(reaction);
}

static void reaction_link(struct leat_future *future, struct leat_reaction *reaction)
{
    struct leat_reaction *first = future->reactions;
    if (first == NULL) {
        future->reactions = reaction->next = reaction->prev = reaction;
        return;
    }
    reaction->next = first;
    reaction->prev = first->prev;
    first->prev->next = reaction;
    first->prev = reaction;
}

void reaction_watch(struct leat_future *future, struct leat_reaction *reaction)
{
    LEAT_CHECK(future_is_here(future));
    reaction->future = future;
    if (future_is_settled(future))
        reaction_schedule(reaction);
    else
        reaction_link(future, reaction);
}

void reaction_add(struct leat_future *future, struct leat_reaction *reaction)
{
    future_handle(future);
    reaction_watch(future, reaction);
}

/* Has a reference on its future. */
static inline void reaction_start(struct leat_reaction *reaction)
{
    struct async_core *core = async_here();
    reaction->next = NULL;
    switch (reaction->of->when) {
    case REACTION_NOW:
        reaction->of->run(reaction);
        break;
    case REACTION_JOB:
        loop_queue_push_reserved(core->jobs, reaction->of->run, reaction);
        break;
    case REACTION_POLL:
        async_call_add(core, reaction);
        break;
    }
}

void reaction_schedule(struct leat_reaction *reaction)
{
    (void)future_ref(reaction->future);
    reaction_start(reaction);
}

/* Those that wait leave the ring, the first first. */
void reactions_schedule(struct leat_future *future)
{
    struct leat_reaction *reaction;
    while ((reaction = future->reactions) != NULL && reaction->next != reaction) {
        reaction_unlink(reaction);
        reaction_schedule(reaction);
    }
    future->reactions = NULL;
    if (reaction != NULL)
        reaction_start(reaction);
    else
        future_unref(future);
}

/* ---- done(arg, result) ---- */

static void done_run(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct leat_future *future = reaction->future;
    leat_done *done = reaction->done;
    void *done_arg = reaction->arg;
    reaction_free(reaction);
    done(done_arg, &future->result);
    future_unref(future);
}

static const struct reaction_class on_settled_class = {REACTION_JOB, done_run};
static const struct reaction_class call_class = {REACTION_POLL, done_run};

static void reaction_add_done(struct leat_future *future, const struct reaction_class *of,
                              leat_done *done, void *arg)
{
    struct leat_reaction *reaction = reaction_new(of);
    reaction->done = done;
    reaction->arg = arg;
    reaction_add(future, reaction);
}

void leat_on_settled(struct leat_future *future, leat_done *done, void *arg)
{
    reaction_add_done(future, &on_settled_class, done, arg);
}

void leat_call(struct leat_future *future, leat_done *done, void *arg)
{
    reaction_add_done(future, &call_class, done, arg);
    future_unref(future); /* the producer's, or the settled reaction's, keeps it */
}
