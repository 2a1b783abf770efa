/* For those who implement I/O: how transports, drivers and thread pools take part in a turn of the
 * loop without the loop knowing them. A program that only uses transports needs nothing of it, but
 * for a leat_watch on a descriptor of its own.
 *
 * Sources. The loop calls each source once per turn and phase, so one indirect call is paid per
 * burst. A turn is: pending, idle, prepare, poll (every source's poll, then ready watches, then the
 * mailbox), check, close, timers; then every source's flush; then the decision to sleep.
 *
 * Everything here is for the loop's own core, except leat_loop_notify. */
#ifndef LEAT_IO_H
#define LEAT_IO_H

#include <leat/defs.h>
#include <leat/loop.h>

LEAT_BEGIN

struct leat_source;

/* What a source says when the loop would like to sleep. */
struct leat_nap {
    bool has_work;       /* out: do not sleep, call poll again */
    int fd;              /* out: readable when there is work; -1 when there is no such descriptor */
    uint64_t nap_ns_max; /* out: sleep no longer than this (UINT64_MAX: no limit) */
    bool is_fd_doubted;  /* out: fd may stay silent: nap as if there were none, and watch it too */
};

struct leat_source_ops {
    const char *name; /* static: "uring", "epoll", "stack" */

    /* Handles what is ready, at most a bounded burst; returns how many events it handled (0: it was
     * idle). */
    unsigned (*poll)(struct leat_source *source);

    /* Sends what became dirty since the last flush. Called at the end of each turn, and never
     * leaves anything unsent that could be sent. NULL when there is nothing to flush. */
    void (*flush)(struct leat_source *source);

    /* Prepares a sleep: enables interrupts or notifications, then looks once more. NULL: {false,
     * -1, UINT64_MAX}. */
    void (*arm)(struct leat_source *source, struct leat_nap *nap);

    /* Whether another core has left work here since arm. Asked when the loop has said that it
     * sleeps, so that who leaves work and calls leat_loop_notify is either seen here or wakes it.
     * NULL: other cores leave none. */
    bool (*has_work)(struct leat_source *source);

    /* After the sleep. May be NULL. */
    void (*disarm)(struct leat_source *source);

    /* The one source that can wait for the kernel on the loop's behalf may implement wait: it
     * sleeps at most timeout_ns (0: only collects what is ready) or until something of its own or
     * readable_fd is ready. Returns true when readable_fd is. With it, submitting, sleeping and
     * collecting cost one system call a turn. NULL for all others; a second source with wait is
     * refused by leat_source_add. */
    bool (*wait)(struct leat_source *source, int readable_fd, uint64_t timeout_ns);

    /* For a source with wait: there is nothing to submit and, as the kernel has said without being
     * asked, nothing to collect, so that a loop which polls other sources may leave it alone. NULL:
     * that cannot be told. */
    bool (*is_quiet)(const struct leat_source *source);

    bool is_polled; /* its work shows in no descriptor: while it is busy the loop polls for it */
};

struct leat_source {
    const struct leat_source_ops *ops;
    struct leat_loop *loop; /* the loop's, as are the rest */
    struct leat_source *next;
    int nap_fd_plus_1; /* the descriptor that the loop watches for the source, or 0 */
};

/* The source's memory is the caller's and must live until leat_source_remove. Returns 0, or -EBUSY
 * for a second waiter, with a sentence in leat_loop_error. */
LEAT_API int leat_source_add(struct leat_loop *loop, struct leat_source *source);
LEAT_API void leat_source_remove(struct leat_source *source);

/* Whatever may still call back (a listener, a connection, a request to
 * a thread pool) has one reference, which keeps the loop alive. */
LEAT_API void leat_loop_ref(struct leat_loop *loop);
LEAT_API void leat_loop_unref(struct leat_loop *loop);

/* A callback put off to the next turn's pending phase, or to this
 * turn's close phase (the place where 'close' events are delivered and memory is freed). Return 0,
 * or -ENOMEM. */
LEAT_API int leat_loop_pend(struct leat_loop *loop, leat_callback *fn, void *arg);
LEAT_API int leat_loop_close_later(struct leat_loop *loop, leat_callback *fn, void *arg);

/* Whoever calls a user's callback calls the gate afterwards: it runs the microtasks. */
LEAT_API void leat_loop_gate(struct leat_loop *loop);

/* For a flush that sent something: the turn counts as work even if nothing was received in it
 * (leat_loop_metrics). */
LEAT_API void leat_loop_worked(struct leat_loop *loop);
/* Whether this turn has handled something so far. */
LEAT_API bool leat_loop_has_worked(const struct leat_loop *loop);

/* For deadlines of a peer (an idle connection, a request's head, a lingering close, a lease):
 * whether what came before deadline_ns was delivered, so that the deadline may be believed. False:
 * it was not, or the time has not come; a timer is started again at the same deadline, and the loop
 * goes round without sleeping until it has looked everywhere: until a round begun at the deadline
 * or later has found nothing, at most 64 rounds or 10 ms, whichever is longer. An application's own
 * timers never wait.
 */
LEAT_API bool leat_loop_has_heard(struct leat_loop *loop, uint64_t deadline_ns);
/* The time up to which what came was delivered: what a deadline is measured against when it depends
 * on several events. Never later than leat_loop_now. */
LEAT_API uint64_t leat_loop_heard(const struct leat_loop *loop);
/* When this turn began: what a source's poll has seen is no older. For timers of a source that must
 * look once before they fire (a retransmission), instead of leat_loop_now. */
LEAT_API uint64_t leat_loop_turn_began(const struct leat_loop *loop);

/* For sources that take work from each other's cores through memory of their own: called after
 * something was published for loop's core, wakes it if it sleeps. Within a turn of a loop of the
 * same mesh that is put off to the end of the turn: one fence for all that was published in it. Any
 * thread. */
LEAT_API void leat_loop_notify(struct leat_loop *loop);

/* Watches: a kernel descriptor's readiness, level-triggered, on the loop's own epoll descriptor.
 * The callback runs in the poll phase, through the gate. */
struct leat_watch;
typedef void leat_watch_fn(struct leat_watch *watch, uint32_t epoll_events, void *arg);
struct leat_watch {
    leat_watch_fn *fn;
    void *arg;
    struct leat_loop *loop;
    int fd;
    uint32_t events; /* EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLET as asked for; 0 when not started */
    uint32_t flags;  /* the loop's */
};

LEAT_API void leat_watch_init(struct leat_watch *watch, struct leat_loop *loop, int fd,
                              leat_watch_fn *fn, void *arg);
/* Starts, or changes what is watched. Returns 0, or the -errno of epoll_ctl with a
 * sentence in leat_loop_error. */
LEAT_API int leat_watch_start(struct leat_watch *watch, uint32_t epoll_events);
/* May be called inside any callback; an event already collected for it is not delivered. */
LEAT_API void leat_watch_stop(struct leat_watch *watch);
LEAT_API void leat_watch_unref(struct leat_watch *watch); /* does not keep the loop alive */
LEAT_API void leat_watch_ref(struct leat_watch *watch);

LEAT_END
#endif
