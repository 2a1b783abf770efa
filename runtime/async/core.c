/* Futures on one core: what is made with the first of them and ends with the loop, and the part of
 * the poll phase that is theirs: what other threads told, and the callbacks of leat_call. */
#include <leat/log.h>

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

void async_call_add(struct async_core *core, struct leat_reaction *reaction)
{
    if (core->calls == NULL)
        leat_loop_ref(core->loop);
    reaction->next = NULL;
    *core->calls_end = reaction;
    core->calls_end = &reaction->next;
}

/* Those that are there now: what they add runs in the next turn. */
static unsigned calls_run(struct async_core *core)
{
    struct leat_reaction *reaction = core->calls;
    if (reaction == NULL)
        return 0;
    core->calls = NULL;
    core->calls_end = &core->calls;
    unsigned count = 0;
    for (struct leat_reaction *next; reaction != NULL; reaction = next, count++) {
        next = reaction->next;
        reaction->of->run(reaction);
        leat_loop_gate(core->loop);
    }
    leat_loop_unref(core->loop);
    return count;
}

void async_tell(struct leat_loop *loop, struct async_node *node)
{
    struct async_core *core = loop_core(loop)->async;
    node->next = atomic_load_explicit(&core->told, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&core->told, &node->next, node,
                                                  memory_order_release, memory_order_relaxed))
        ;
    leat_loop_notify(loop);
}

/* Oldest first. */
static struct async_node *told_take(struct async_core *core)
{
    struct async_node *newest = atomic_exchange_explicit(&core->told, NULL, memory_order_acquire);
    struct async_node *oldest = NULL;
    for (struct async_node *next; newest != NULL; newest = next) {
        next = newest->next;
        newest->next = oldest;
        oldest = newest;
    }
    return oldest;
}

static unsigned told_run(struct async_core *core)
{
    if (atomic_load_explicit(&core->told, memory_order_relaxed) == NULL)
        return 0;
    struct async_node *oldest = told_take(core);
    unsigned count = 0;
    for (struct async_node *next; oldest != NULL; oldest = next, count++) {
        next = oldest->next;
        oldest->run(oldest);
        leat_loop_gate(core->loop);
    }
    return count;
}

void async_hear(struct leat_loop *loop)
{
    struct async_node *oldest = told_take(loop_core(loop)->async);
    for (struct async_node *next; oldest != NULL; oldest = next) {
        next = oldest->next;
        oldest->run(oldest);
    }
}

static unsigned async_poll(struct leat_source *source)
{
    struct async_core *core = container_of(source, struct async_core, source);
    unsigned count = told_run(core);
    return count + calls_run(core);
}

static bool async_has_work(struct leat_source *source)
{
    struct async_core *core = container_of(source, struct async_core, source);
    return core->calls != NULL || atomic_load_explicit(&core->told, memory_order_acquire) != NULL;
}

static void async_arm(struct leat_source *source, struct leat_nap *nap)
{
    nap->has_work = async_has_work(source);
}

static const struct leat_source_ops async_ops = {.name = "futures",
                                                 .poll = async_poll,
                                                 .arm = async_arm,
                                                 .has_work = async_has_work};

/* ---- begin and end ---- */

static void calls_drop(struct async_core *core)
{
    struct leat_reaction *reaction = core->calls;
    if (reaction != NULL)
        leat_loop_unref(core->loop);
    for (struct leat_reaction *next; reaction != NULL; reaction = next) {
        next = reaction->next;
        leat_future_unref(reaction->future);
        reaction_free(reaction);
    }
}

static bool async_end(struct loop_part *part)
{
    struct async_core *core = container_of(part, struct async_core, part);
    return async_poll(&core->source) > 0;
}

static void async_fini(struct loop_part *part)
{
    struct async_core *core = container_of(part, struct async_core, part);
    calls_drop(core);
    unhandled_fini(core);
    streams_report(core);
    if (core->future_count > 0 || core->reaction_count > 0)
        LEAT_LOG_WARN("%llu futures and %llu reactions of core %u were never freed",
                      (unsigned long long)core->future_count,
                      (unsigned long long)core->reaction_count, leat_core_now->index);
    leat_source_remove(&core->source);
    async_blocks_fini(core);
    leat_core_now->async = NULL;
    leat_heap_free(core);
}

struct async_core *async_core_new(struct leat_loop *loop)
{
    LEAT_CHECK(leat_core_now == loop_core(loop)); /* not on another thread or core */
    struct async_core *core = leat_heap_calloc_aligned(sizeof(*core), _Alignof(struct async_core));
    if (core == NULL)
        return NULL;
    core->loop = loop;
    core->jobs = loop_jobs(loop);
    core->calls_end = &core->calls;
    if (async_spare_fill(core) != 0) {
        async_blocks_fini(core);
        leat_heap_free(core);
        return NULL;
    }
    core->part.end = async_end;
    core->part.fini = async_fini;
    loop_part_add(loop, &core->part);
    core->source.ops = &async_ops;
    (void)leat_source_add(loop, &core->source); /* it does not wait, so it is not refused */
    return leat_core_now->async = core;
}

void async_counts(uint64_t *futures, uint64_t *reactions)
{
    const struct async_core *core = async_here();
    *futures = core != NULL ? core->future_count : 0;
    *reactions = core != NULL ? core->reaction_count : 0;
}

int async_begin(struct leat_loop *loop)
{
    return async_core_of(loop) != NULL ? 0 : -ENOMEM;
}
