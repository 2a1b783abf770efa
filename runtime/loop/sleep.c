/* The end of a turn: sleep or not, and how long. */
#include "runtime/loop/loop_internal.h"

static bool loop_has_work(const struct leat_loop *loop)
{
    return loop->pending.count > 0 || loop->closing.count > 0 ||
           !list_is_empty(&loop->immediates) || loop->hooks[LEAT_PHASE_IDLE] != NULL ||
           atomic_load_explicit(&loop->is_stopped, memory_order_relaxed) || loop->refs == 0;
}

static uint64_t loop_timers_nap(struct leat_loop *loop)
{
    uint64_t next_ns = wheel_next_ns(&loop->wheel);
    if (next_ns == UINT64_MAX)
        return UINT64_MAX;
    uint64_t now_ns = loop_clock(loop);
    return next_ns > now_ns ? next_ns - now_ns : 0;
}

/* Asks every source for its nap; returns the longest nap that all allow. */
static uint64_t loop_arm(struct leat_loop *loop, uint64_t nap_ns)
{
    for (struct leat_source *source = loop->sources; source != NULL; source = source->next) {
        if (source->ops->arm == NULL)
            continue;
        struct leat_nap nap = {.has_work = false, .fd = -1, .nap_ns_max = UINT64_MAX};
        source->ops->arm(source, &nap);
        if (nap.has_work)
            return 0;
        if (nap.nap_ns_max < nap_ns)
            nap_ns = nap.nap_ns_max;
    }
    return nap_ns;
}

static void loop_disarm(struct leat_loop *loop)
{
    for (struct leat_source *source = loop->sources; source != NULL; source = source->next)
        if (source->ops->disarm != NULL)
            source->ops->disarm(source);
}

void loop_sleep(struct leat_loop *loop, uint64_t nap_ns_max)
{
    loop->core.phase = "sleep";
    uint64_t nap_ns = nap_ns_max;
    if (nap_ns > 0 && (loop->busy_poll || loop_has_work(loop) || loop_has_posts(loop)))
        nap_ns = 0;
    if (nap_ns > 0) {
        uint64_t timers_ns = loop_timers_nap(loop);
        nap_ns = timers_ns < nap_ns ? timers_ns : nap_ns;
    }
    if (nap_ns == 0) {
        loop_wait(loop, 0);
        return;
    }
    nap_ns = loop_arm(loop, nap_ns);
    if (nap_ns > 0) {
        atomic_store(&loop->is_sleeping, true);
        if (loop_has_posts(loop) || atomic_load(&loop->is_stopped))
            nap_ns = 0;
    }
    loop_wait(loop, nap_ns);
    atomic_store_explicit(&loop->is_sleeping, false, memory_order_relaxed);
    loop_disarm(loop);
}
