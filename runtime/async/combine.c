/* all, allSettled, race and any: one future behind several. When it has settled it leaves the ring
 * of each that is still pending, so that a long-lived one keeps nothing of it. */
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

struct combine_kind {
    struct leat_future_class future;    /* first */
    bool ends_fulfilled, ends_rejected; /* with the first that is */
    bool collects;                      /* the results; they are its value when none is left */
};

/* Its reactions are its own; one that waits or is queued holds a reference on it. */
struct combine {
    struct leat_future future; /* first */
    struct leat_results *results;
    struct combine_part *parts;
    uint32_t count, left_count;
};

struct combine_part {
    struct leat_reaction reaction; /* first; arg is the combination */
    struct leat_future *future;    /* with a reference; NULL once it has been let go */
};

static const struct combine_kind *combine_kind_of(const struct combine *combine)
{
    return container_of(combine->future.of, const struct combine_kind, future);
}

static void results_free(void *pointer)
{
    struct leat_results *results = pointer;
    for (uint32_t i = 0; i < results->count; i++)
        leat_result_drop(&results->items[i]);
    leat_heap_free(results);
}

/* The future that was let go, with its reference, or NULL. */
static struct leat_future *part_leave(struct combine_part *part)
{
    struct leat_future *future = part->future;
    struct combine *combine = part->reaction.arg;
    part->future = NULL;
    if (future != NULL && reaction_is_waiting(&part->reaction)) {
        reaction_unlink(&part->reaction);
        loop_queue_release(async_here()->jobs, 1);
        leat_future_unref(&combine->future);
    }
    return future;
}

static void combine_leave(struct combine *combine, bool is_cancelled)
{
    for (uint32_t i = 0; i < combine->count; i++) {
        struct leat_future *future = part_leave(&combine->parts[i]);
        if (future == NULL)
            continue;
        if (is_cancelled && future->refs < 3 * FUTURE_REF && future->reactions == NULL)
            leat_future_cancel(future);
        leat_future_unref(future);
    }
}

/* When the last has settled and none of them was the end. */
static struct leat_result combine_rest(struct combine *combine, const struct leat_result *last)
{
    struct leat_results *results = combine->results;
    combine->results = NULL;
    if (results != NULL)
        return leat_pointer(results, LEAT_KIND_RESULTS, results_free);
    return leat_failure(-ECANCELED, "none of %u was fulfilled; the last: %s", combine->count,
                        leat_result_sentence(last));
}

static void combine_hear(struct combine *combine, struct combine_part *part)
{
    const struct combine_kind *kind = combine_kind_of(combine);
    struct leat_future *one = part->reaction.future;
    bool is_end = one->result.code < 0 ? kind->ends_rejected : kind->ends_fulfilled;
    if (kind->collects)
        combine->results->items[part - combine->parts] = result_share(one);
    if (--combine->left_count > 0 && !is_end)
        return;
    leat_settle(&combine->future, is_end ? result_share(one) : combine_rest(combine, &one->result));
    combine_leave(combine, false);
}

static void part_run(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct combine_part *part = container_of(reaction, struct combine_part, reaction);
    struct combine *combine = reaction->arg;
    struct leat_future *one = reaction->future;
    if (!future_is_settled(&combine->future))
        combine_hear(combine, part);
    leat_future_unref(one);
    leat_future_unref(&combine->future);
}

static const struct reaction_class part_class = {REACTION_JOB, part_run};

static void combine_cancel(struct leat_future *future)
{
    struct combine *combine = container_of(future, struct combine, future);
    future_settle(future, leat_failure(-ECANCELED, NULL));
    combine_leave(combine, true);
    leat_future_unref(future); /* the producer's */
}

static void combine_drop(struct leat_future *future)
{
    struct combine *combine = container_of(future, struct combine, future);
    if (combine->results != NULL)
        results_free(combine->results);
    leat_heap_free(combine->parts);
}

#define COMBINE_KIND(word)                                                                         \
    .future = {.name = word,                                                                       \
               .length_bytes = sizeof(struct combine),                                             \
               .cancel = combine_cancel,                                                           \
               .drop = combine_drop}

static const struct combine_kind combine_all = {COMBINE_KIND("all"), .ends_rejected = true,
                                                .collects = true};
static const struct combine_kind combine_all_settled = {COMBINE_KIND("all_settled"),
                                                        .collects = true};
static const struct combine_kind combine_race = {COMBINE_KIND("race"), .ends_fulfilled = true,
                                                 .ends_rejected = true};
static const struct combine_kind combine_any = {COMBINE_KIND("any"), .ends_fulfilled = true};

/* The arrays, and a place among the jobs for each. */
static int combine_memory(struct combine *combine, uint32_t count, bool collects)
{
    combine->parts = leat_heap_calloc(count, sizeof(*combine->parts));
    if (combine->parts == NULL)
        return -ENOMEM;
    if (collects) {
        size_t bytes = sizeof(struct leat_results) + count * sizeof(struct leat_result);
        combine->results = leat_heap_calloc(1, bytes);
        if (combine->results == NULL)
            return -ENOMEM;
        combine->results->count = count;
    }
    return loop_queue_reserve(async_here()->jobs, count) ? 0 : -ENOMEM;
}

static void combine_begin(struct combine *combine, struct leat_future *const *futures)
{
    for (uint32_t i = 0; i < combine->count; i++) {
        struct combine_part *part = &combine->parts[i];
        part->reaction = (struct leat_reaction){.of = &part_class, .arg = combine};
        part->future = futures[i];
        (void)leat_future_ref(&combine->future);
        reaction_add(futures[i], &part->reaction);
    }
}

static struct leat_future *combine_none(struct leat_future *future, const struct combine_kind *kind)
{
    struct combine *combine = container_of(future, struct combine, future);
    if (kind->collects)
        leat_settle(future, combine_rest(combine, NULL));
    else
        leat_settle(future, leat_failure(-EINVAL, "%s of no futures would never be fulfilled",
                                         kind->future.name));
    return future;
}

static struct leat_future *combine_new(struct leat_loop *loop, const struct combine_kind *kind,
                                       struct leat_future *const *futures, uint32_t count,
                                       const void *site)
{
    struct leat_future *future = async_future_new(loop, &kind->future, site);
    struct combine *combine = container_of(future, struct combine, future);
    bool has_memory = !async_is_out_of_memory(future);
    if (!has_memory || combine_memory(combine, count, kind->collects) != 0) {
        for (uint32_t i = 0; i < count; i++)
            leat_future_unref(futures[i]);
        if (has_memory)
            leat_settle(future, leat_failure(-ENOMEM, NULL));
        return future;
    }
    combine->count = combine->left_count = count;
    if (count == 0)
        return combine_none(future, kind);
    combine_begin(combine, futures);
    return future;
}

struct leat_future *leat_all(struct leat_loop *loop, struct leat_future *const *futures,
                             uint32_t count)
{
    return combine_new(loop, &combine_all, futures, count, __builtin_return_address(0));
}

struct leat_future *leat_all_settled(struct leat_loop *loop, struct leat_future *const *futures,
                                     uint32_t count)
{
    return combine_new(loop, &combine_all_settled, futures, count, __builtin_return_address(0));
}

struct leat_future *leat_race(struct leat_loop *loop, struct leat_future *const *futures,
                              uint32_t count)
{
    return combine_new(loop, &combine_race, futures, count, __builtin_return_address(0));
}

struct leat_future *leat_any(struct leat_loop *loop, struct leat_future *const *futures,
                             uint32_t count)
{
    return combine_new(loop, &combine_any, futures, count, __builtin_return_address(0));
}
