/* A loop: made, turned, run, stopped, freed. */
#include "runtime/loop/loop_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buffers/heap.h"
#include "buffers/pages.h"
#include "buffers/pools.h"

struct leat_loop *leat_loop_new(const struct leat_loop_options *options, struct leat_error *error)
{
    static const struct leat_loop_options defaults;
    if (options == NULL)
        options = &defaults;
    if (options->index >= LEAT_CORES_MAX) {
        leat_fail(error, -EINVAL, "core index %u is too large; at most %u cores are supported",
                  options->index, LEAT_CORES_MAX);
        return NULL;
    }
    struct leat_loop *loop = aligned_alloc(RING_LINE_BYTES, sizeof(*loop));
    if (loop == NULL) {
        leat_fail(error, -ENOMEM,
                  "no memory for the loop of core %u: raise the limit on address space "
                  "(ulimit -v) or of the container",
                  options->index);
        return NULL;
    }
    memset(loop, 0, sizeof(*loop));
    loop->core.loop = loop;
    loop->core.index = options->index;
    loop->clock = options->clock;
    loop->busy_poll = options->busy_poll;
    loop->mesh = options->mesh;
    rng_init(&loop->rng, options->seed);
    loop->core.rng = &loop->rng;
    loop->core.codec_bytes_max = options->codec_bytes_max;
    clock_machine_init(&loop->machine_clock);
    profile_init(&loop->profile);
    loop->now_ns = loop->started_ns = loop->turn_ns = loop_clock(loop);
    wheel_init(&loop->wheel, loop->now_ns);
    list_init(&loop->immediates);
    struct leat_core *outer = leat_core_now;
    leat_core_now = &loop->core;
    if (loop_watch_init(loop, error) != 0)
        goto free_loop;
    if (leat_heap_init(&loop->core, error) != 0)
        goto fini_watch;
    const struct leat_pages *pages = options->hugepages ? leat_pages_hugetlb() : NULL;
    if (leat_pools_init_on(&loop->core, options->buffer_bytes_max,
                           pages != NULL ? pages : leat_pages_default(), error) != 0)
        goto fini_heap;
    if (loop_post_init(loop, error) != 0)
        goto fini_pools;
    return loop;

fini_pools:
    (void)leat_pools_fini(&loop->core);
fini_heap:
    leat_heap_fini(&loop->core);
fini_watch:
    loop_watch_fini(loop);
free_loop:
    free(loop);
    leat_core_now = outer;
    return NULL;
}

void leat_loop_free(struct leat_loop *loop)
{
    if (loop == NULL)
        return;
    struct leat_core *outer = leat_core_now;
    leat_core_now = &loop->core;
    loop_fini_parts(loop);
    CHECK(loop->sources == NULL);
    loop_fini_timers(loop);
    loop_fini_immediates(loop);
    loop_queue_fini(&loop->ticks);
    loop_queue_fini(&loop->jobs);
    loop_queue_fini(&loop->pending);
    loop_queue_fini(&loop->closing);
    loop_post_fini(loop);
    leat_pools_turn(&loop->core);
    (void)leat_pools_fini(&loop->core);
    leat_heap_fini(&loop->core);
    loop_watch_fini(loop);
    leat_core_now = outer == &loop->core ? NULL : outer;
    free(loop);
}

struct leat_loop *leat_loop_current(void)
{
    return leat_core_now != NULL ? leat_core_now->loop : NULL;
}

uint32_t leat_loop_index(const struct leat_loop *loop)
{
    return loop->core.index;
}

bool leat_loop_is_alive(const struct leat_loop *loop)
{
    return loop->refs > 0 || loop->pending.count > 0 || loop->closing.count > 0 ||
           loop->ticks.count > 0 || loop->jobs.count > 0 || !list_is_empty(&loop->immediates) ||
           loop_has_posts(loop) ||
           (loop->timer_running != NULL &&
            (loop->timer_flags & (TIMER_REPEATS | TIMER_UNREF)) == TIMER_REPEATS);
}

void leat_loop_ref(struct leat_loop *loop)
{
    loop->refs++;
}

void leat_loop_unref(struct leat_loop *loop)
{
    CHECK(loop->refs > 0);
    loop->refs--;
}

uint64_t leat_loop_now(const struct leat_loop *loop)
{
    return loop->now_ns;
}

uint64_t leat_loop_clock(struct leat_loop *loop)
{
    return loop_clock(loop);
}

const struct leat_error *leat_loop_error(const struct leat_loop *loop)
{
    return &loop->core.error;
}

int leat_source_add(struct leat_loop *loop, struct leat_source *source)
{
    if (source->ops->wait != NULL) {
        if (loop->waiter != NULL)
            return leat_fail(&loop->core.error, -EBUSY,
                             "source %s cannot wait for the loop: %s does", source->ops->name,
                             loop->waiter->ops->name);
        loop->waiter = source;
    }
    loop->polled_count += source->ops->is_polled;
    struct leat_source **end = &loop->sources;
    while (*end != NULL)
        end = &(*end)->next;
    source->loop = loop;
    source->next = NULL;
    *end = source;
    return 0;
}

void leat_source_remove(struct leat_source *source)
{
    struct leat_loop *loop = source->loop;
    struct leat_source **at = &loop->sources;
    while (*at != NULL && *at != source)
        at = &(*at)->next;
    CHECK(*at == source);
    if (loop->source_next == source)
        loop->source_next = source->next;
    if (loop->waiter == source)
        loop->waiter = NULL;
    *at = source->next;
    loop->polled_count -= source->ops->is_polled;
    if (source->nap_fd_plus_1 != 0)
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->nap_fd_plus_1 - 1, NULL);
    source->nap_fd_plus_1 = 0;
}

static void loop_poll(struct leat_loop *loop)
{
    loop->core.phase = "poll";
    unsigned count = 0;
    profile_pass(&loop->core, LEAT_LAYER_NET_IN);
    for (struct leat_source *source = loop->sources; source != NULL; source = loop->source_next) {
        loop->source_next = source->next;
        if (source->ops->poll != NULL)
            count += source->ops->poll(source);
    }
    profile_pass(&loop->core, LEAT_LAYER_LOOP);
    loop->source_next = NULL;
    count += loop_run_watches(loop);
    loop->metrics.event_count += count;
    profile_pass(&loop->core, LEAT_LAYER_MAILBOX);
    count += loop_run_posts(loop);
    profile_pass(&loop->core, LEAT_LAYER_LOOP);
    if (count == 0) {
        loop->quiet_turn_ns = loop->turn_ns;
        loop->quiet_kernel_ns = loop->kernel_ns;
        loop->hold_ns = 0;
        return;
    }
    loop->active_ns = loop->turn_ns;
    loop->has_worked = true;
    if (unlikely(loop->hold_ns != 0))
        loop_hold_on(loop);
}

static void loop_flush(struct leat_loop *loop)
{
    loop->core.phase = "flush";
    profile_pass(&loop->core, LEAT_LAYER_NET_OUT);
    for (struct leat_source *source = loop->sources; source != NULL; source = source->next)
        if (source->ops->flush != NULL)
            source->ops->flush(source);
    profile_pass(&loop->core, LEAT_LAYER_LOOP);
}

static void loop_turn(struct leat_loop *loop, uint64_t nap_ns_max)
{
    uint64_t now_ns = loop_clock(loop);
    loop_count_work(loop, now_ns); /* of the turn before this one */
    loop->is_turning = true;
    loop->now_ns = loop->turn_ns = now_ns;
    profile_turn_begin(&loop->core, &loop->profile);
    if (loop->pending.count > 0)
        loop_run_pending(loop);
    if (loop->hooks[LEAT_PHASE_IDLE] != NULL)
        loop_run_hooks(loop, LEAT_PHASE_IDLE);
    if (loop->hooks[LEAT_PHASE_PREPARE] != NULL)
        loop_run_hooks(loop, LEAT_PHASE_PREPARE);
    loop_poll(loop);
    if (!list_is_empty(&loop->immediates))
        loop_run_immediates(loop);
    if (loop->hooks[LEAT_PHASE_CHECK] != NULL)
        loop_run_hooks(loop, LEAT_PHASE_CHECK);
    if (loop->closing.count > 0)
        loop_run_closing(loop);
    profile_pass(&loop->core, LEAT_LAYER_TIMERS);
    loop_run_timers(loop);
    profile_pass(&loop->core, LEAT_LAYER_LOOP);
    leat_loop_gate(loop); /* microtasks that were queued outside of any callback */
    loop_flush(loop);
    leat_pools_turn(&loop->core);
    loop_wake_posted(loop);
    loop->is_turning = false;
    loop_sleep(loop, nap_ns_max);
    loop->core.phase = NULL;
}

/* Microtasks that were queued before the loop ran, as Node runs them after the main script. */
static struct leat_core *loop_enter(struct leat_loop *loop)
{
    CHECK(!loop->is_turning); /* not from within a callback */
    struct leat_core *outer = leat_core_now;
    leat_core_now = &loop->core;
    leat_loop_gate(loop);
    return outer;
}

bool leat_loop_turn(struct leat_loop *loop, uint64_t nap_ns_max)
{
    struct leat_core *outer = loop_enter(loop);
    loop_turn(loop, nap_ns_max);
    loop_count_work(loop, loop_clock(loop)); /* what the caller does until the next is not ours */
    bool is_alive = leat_loop_is_alive(loop);
    leat_core_now = outer;
    return is_alive;
}

int leat_loop_run(struct leat_loop *loop)
{
    struct leat_core *outer = loop_enter(loop);
    /* As libuv since 1.45: timers that are due come before the first poll. */
    if (!atomic_load(&loop->is_stopped) && leat_loop_is_alive(loop))
        loop_run_timers(loop);
    loop->has_worked = false; /* what happened before the first turn is no turn's */
    while (!atomic_load_explicit(&loop->is_stopped, memory_order_acquire) &&
           leat_loop_is_alive(loop))
        loop_turn(loop, UINT64_MAX);
    loop_count_work(loop, loop_clock(loop));
    leat_core_now = outer;
    return atomic_exchange(&loop->is_stopped, false) ? 1 : 0;
}

void leat_loop_stop(struct leat_loop *loop)
{
    atomic_store(&loop->is_stopped, true);
    loop_wake(loop);
}
