/* The end of a turn: sleep or not, and how long.
 *
 * With work at hand the kernel is only looked at. Without, and with descriptors for all that may
 * happen (sockets), the loop sleeps at once, until its next timer. A source that can only be polled
 * says how long it may be left alone: then the loop polls on for LOOP_SPIN_NS, and naps after that,
 * each nap twice as long as the one before, up to what the source says. */
#include "runtime/loop/loop_internal.h"

#include <errno.h>

#include "buffers/pools.h"

static bool loop_has_work(const struct leat_loop *loop)
{
    return loop->ticks.count > 0 || loop->jobs.count > 0 || loop->pending.count > 0 ||
           loop->closing.count > 0 || !list_is_empty(&loop->immediates) ||
           loop->hooks[LEAT_PHASE_IDLE] != NULL ||
           atomic_load_explicit(&loop->is_stopped, memory_order_relaxed);
}

static uint64_t loop_timers_nap(const struct leat_loop *loop, uint64_t now_ns)
{
    uint64_t next_ns = wheel_next_ns(&loop->wheel);
    if (next_ns == UINT64_MAX)
        return UINT64_MAX;
    return next_ns > now_ns ? next_ns - now_ns : 0;
}

static void watch_nap_fd(struct leat_loop *loop, struct leat_source *source, int fd)
{
    if (source->nap_fd_plus_1 == fd + 1)
        return;
    if (source->nap_fd_plus_1 != 0)
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->nap_fd_plus_1 - 1, NULL);
    source->nap_fd_plus_1 = fd + 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (fd >= 0)
        CHECK(epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST);
}

/* Asks every source; returns the longest nap that all allow, at most nap_ns. */
static uint64_t loop_arm(struct leat_loop *loop, uint64_t nap_ns)
{
    loop->is_napping = false;
    for (struct leat_source *source = loop->sources; source != NULL; source = source->next) {
        if (source->ops->arm == NULL)
            continue;
        struct leat_nap nap = {.has_work = false, .fd = -1, .nap_ns_max = UINT64_MAX};
        source->ops->arm(source, &nap);
        watch_nap_fd(loop, source, nap.fd);
        if ((nap.fd < 0 || nap.is_fd_doubted) && nap.nap_ns_max != UINT64_MAX) {
            loop->is_napping = true;
            if (nap.nap_ns_max > LOOP_NAP_NS_MAX)
                nap.nap_ns_max = LOOP_NAP_NS_MAX;
        }
        if (nap.has_work)
            nap_ns = 0;
        if (nap.nap_ns_max < nap_ns)
            nap_ns = nap.nap_ns_max;
    }
    return nap_ns;
}

static bool sources_have_work(const struct leat_loop *loop)
{
    for (struct leat_source *source = loop->sources; source != NULL; source = source->next)
        if (source->ops->has_work != NULL && source->ops->has_work(source))
            return true;
    return false;
}

uint64_t leat_loop_nap_ns(struct leat_loop *loop)
{
    bool has_work = loop_has_work(loop) || loop_has_posts(loop) || sources_have_work(loop);
    return has_work ? 0 : loop_timers_nap(loop, loop_clock(loop));
}

static void loop_disarm(struct leat_loop *loop)
{
    for (struct leat_source *source = loop->sources; source != NULL; source = source->next)
        if (source->ops->disarm != NULL)
            source->ops->disarm(source);
}

/* How long the kernel may be left alone. While other sources are polled it is looked at now and
 * then, not each time round: seldom, if the waiter can tell by itself that there is something. */
static uint64_t kernel_pause_ns(const struct leat_loop *loop)
{
    const struct leat_source *waiter = loop->waiter;
    if (loop->polled_count == 0)
        return 0;
    if (waiter == NULL || waiter->ops->is_quiet == NULL)
        return LOOP_KERNEL_NS;
    return waiter->ops->is_quiet(waiter) ? LOOP_KERNEL_QUIET_NS : 0;
}

static void loop_glance(struct leat_loop *loop, uint64_t now_ns)
{
    if (loop->hold_ns == 0 && now_ns - loop->kernel_ns < kernel_pause_ns(loop))
        return;
    loop->kernel_ns = now_ns;
    profile_pass(&loop->core, LEAT_LAYER_KERNEL);
    loop_wait(loop, 0);
    profile_pass(&loop->core, LEAT_LAYER_LOOP);
}

static bool is_spinning(struct leat_loop *loop, uint64_t now_ns)
{
    if (!loop->is_napping || now_ns - loop->active_ns >= LOOP_SPIN_NS)
        return false;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
    return true;
}

static uint64_t next_nap(struct leat_loop *loop, uint64_t nap_ns)
{
    if (!loop->is_napping)
        return nap_ns;
    loop->nap_ns = loop->nap_ns == 0 ? LOOP_NAP_NS_MIN : loop->nap_ns * 2;
    if (loop->nap_ns > nap_ns)
        loop->nap_ns = nap_ns;
    return loop->nap_ns;
}

/* A loop that has become idle gives memory back, in steps of LOOP_TRIM_NS for which it wakes, until
 * there is nothing to give. Returns the longest nap until the next step. */
static uint64_t loop_trim(struct leat_loop *loop, uint64_t now_ns)
{
    uint64_t since_ns = loop->active_ns > loop->trim_ns ? loop->active_ns : loop->trim_ns;
    if (now_ns - since_ns < LOOP_TRIM_NS)
        return LOOP_TRIM_NS - (now_ns - since_ns);
    loop->trim_ns = now_ns;
    bool parts_have_more = loop_trim_parts(loop);
    loop->has_to_trim = leat_pools_trim(&loop->core) || parts_have_more;
    return loop->has_to_trim ? LOOP_TRIM_NS : UINT64_MAX;
}

static void loop_doze(struct leat_loop *loop, uint64_t nap_ns, uint64_t now_ns)
{
    uint64_t trim_ns = loop->has_to_trim ? loop_trim(loop, now_ns) : UINT64_MAX;
    nap_ns = loop_arm(loop, trim_ns < nap_ns ? trim_ns : nap_ns);
    nap_ns = is_spinning(loop, now_ns) ? 0 : next_nap(loop, nap_ns);
    if (nap_ns > 0) {
        atomic_store_explicit(&loop->is_sleeping, true, memory_order_relaxed);
        ring_fence();
        if (loop_has_posts(loop) || sources_have_work(loop) || atomic_load(&loop->is_stopped))
            nap_ns = 0;
    }
    loop->metrics.sleep_count += nap_ns > 0;
    loop->kernel_ns = now_ns;
    loop_wait(loop, nap_ns);
    if (atomic_load_explicit(&loop->is_sleeping, memory_order_relaxed))
        atomic_store_explicit(&loop->is_sleeping, false, memory_order_relaxed);
    else
        loop->metrics.wake_count += nap_ns > 0;
    loop_disarm(loop);
    if (nap_ns > 0) {
        loop->slept_ns = loop_clock(loop) - now_ns;
        loop->metrics.idle_ns += loop->slept_ns;
    }
}

void loop_sleep(struct leat_loop *loop, uint64_t nap_ns_max)
{
    loop->core.phase = "sleep";
    uint64_t now_ns = loop_clock(loop), nap_ns = nap_ns_max;
    loop_note_turn(loop, now_ns);
    if (loop->active_ns == loop->turn_ns) {
        loop->nap_ns = 0;
        loop->has_to_trim = true;
    }
    if (nap_ns > 0) {
        uint64_t timers_ns = loop_timers_nap(loop, now_ns);
        nap_ns = timers_ns < nap_ns ? timers_ns : nap_ns;
    }
    bool is_idle = nap_ns > 0 && !loop->busy_poll && loop->refs > 0 && !loop_has_work(loop) &&
                   !is_spinning(loop, now_ns);
    if (!is_idle)
        loop_glance(loop, now_ns);
    profile_turn_end(&loop->core, loop->has_worked);
    if (is_idle)
        loop_doze(loop, nap_ns, now_ns);
}
