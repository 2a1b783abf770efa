/* Watches, and the wait on the loop's epoll descriptor. */
#include "runtime/loop/loop_internal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* leat_watch.flags: WATCH_UNREF, and above it 1 + the index of its event in loop->events that was
 * collected but not delivered. */
enum { WATCH_UNREF = 1, WATCH_EVENT = 2 };

int loop_watch_init(struct leat_loop *loop, struct leat_error *error)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return leat_fail(error, -errno,
                         "cannot create an epoll descriptor (%s); raise the limit "
                         "on open files (ulimit -n)",
                         leat_errno_name(errno));
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0) {
        int code = -errno;
        close(loop->epoll_fd);
        return leat_fail(error, code,
                         "cannot create an event descriptor (%s); raise the limit on "
                         "open files (ulimit -n)",
                         leat_errno_name(code));
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    CHECK(epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) == 0);
    return 0;
}

void loop_watch_fini(struct leat_loop *loop)
{
    close(loop->wake_fd);
    close(loop->epoll_fd);
}

void leat_watch_init(struct leat_watch *watch, struct leat_loop *loop, int fd, leat_watch_fn *fn,
                     void *arg)
{
    *watch = (struct leat_watch){.fn = fn, .arg = arg, .loop = loop, .fd = fd};
}

static void watch_forget_event(struct leat_watch *watch)
{
    if (watch->flags >= WATCH_EVENT)
        watch->loop->events[watch->flags / WATCH_EVENT - 1].data.ptr = NULL;
    watch->flags &= WATCH_UNREF;
}

int leat_watch_start(struct leat_watch *watch, uint32_t epoll_events)
{
    struct leat_loop *loop = watch->loop;
    if (epoll_events == 0) {
        leat_watch_stop(watch);
        return 0;
    }
    struct epoll_event event = {.events = epoll_events, .data.ptr = watch};
    int op = watch->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(loop->epoll_fd, op, watch->fd, &event) != 0)
        return leat_fail(&loop->core.error, -errno, "cannot watch descriptor %d (%s)", watch->fd,
                         leat_errno_name(errno));
    if (watch->events == 0) {
        loop->watch_count++;
        if ((watch->flags & WATCH_UNREF) == 0)
            loop->refs++;
    }
    watch->events = epoll_events;
    return 0;
}

void leat_watch_stop(struct leat_watch *watch)
{
    if (watch->events == 0)
        return;
    struct leat_loop *loop = watch->loop;
    /* EBADF, ENOENT: the owner closed it first, and the kernel has removed it. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch_forget_event(watch);
    watch->events = 0;
    loop->watch_count--;
    if ((watch->flags & WATCH_UNREF) == 0)
        loop->refs--;
}

void leat_watch_unref(struct leat_watch *watch)
{
    if ((watch->flags & WATCH_UNREF) == 0 && watch->events != 0)
        watch->loop->refs--;
    watch->flags |= WATCH_UNREF;
}

void leat_watch_ref(struct leat_watch *watch)
{
    if ((watch->flags & WATCH_UNREF) != 0 && watch->events != 0)
        watch->loop->refs++;
    watch->flags &= ~(uint32_t)WATCH_UNREF;
}

unsigned loop_run_watches(struct leat_loop *loop)
{
    unsigned count = loop->event_count;
    for (unsigned i = 0; i < count; i++) {
        struct leat_watch *watch = loop->events[i].data.ptr;
        if (watch == NULL)
            continue;
        watch->flags &= WATCH_UNREF;
        /* What the callback asked to see no more since it was collected is not delivered. */
        uint32_t events = loop->events[i].events & (watch->events | EPOLLERR | EPOLLHUP);
        if (events == 0)
            continue;
        watch->fn(watch, events, watch->arg);
        leat_loop_gate(loop);
    }
    loop->event_count = 0;
    return count;
}

static int epoll_wait_ns(struct leat_loop *loop, uint64_t timeout_ns)
{
    struct timespec timeout = {(time_t)(timeout_ns / LEAT_NS_PER_S),
                               (long)(timeout_ns % LEAT_NS_PER_S)};
    return epoll_pwait2(loop->epoll_fd, loop->events, LOOP_EVENTS_PER_TURN,
                        timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
}

static int epoll_wait_ms(struct leat_loop *loop, uint64_t timeout_ns)
{
    uint64_t timeout_ms = timeout_ns / LEAT_NS_PER_MS + (timeout_ns % LEAT_NS_PER_MS != 0);
    int timeout = timeout_ns == UINT64_MAX ? -1 : timeout_ms > 3600000 ? 3600000 : (int)timeout_ms;
    return epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_PER_TURN, timeout);
}

static void loop_collect(struct leat_loop *loop, uint64_t timeout_ns)
{
    int count = -1;
    if (!loop->lacks_pwait2) {
        count = epoll_wait_ns(loop, timeout_ns);
        loop->lacks_pwait2 = count < 0 && (errno == ENOSYS || errno == EPERM);
    }
    if (loop->lacks_pwait2)
        count = epoll_wait_ms(loop, timeout_ns);
    CHECK(count >= 0 || errno == EINTR);
    loop->event_count = 0;
    for (unsigned i = 0; (int)i < count; i++) {
        struct leat_watch *watch = loop->events[i].data.ptr;
        if (watch != NULL) {
            watch->flags = (watch->flags & WATCH_UNREF) | (i + 1) * WATCH_EVENT;
        } else {
            uint64_t wakes;
            while (read(loop->wake_fd, &wakes, sizeof(wakes)) < 0 && errno == EINTR)
                ;
        }
        loop->event_count = i + 1;
    }
}

void loop_wait(struct leat_loop *loop, uint64_t timeout_ns)
{
    struct leat_source *waiter = loop->waiter;
    if (waiter == NULL) {
        /* Nothing but the wake-up is watched, and nobody needs to wake us: no system call. */
        if (timeout_ns > 0 || loop->watch_count > 0)
            loop_collect(loop, timeout_ns);
    } else if (waiter->ops->wait(waiter, loop->epoll_fd, timeout_ns)) {
        loop_collect(loop, 0);
    }
}
