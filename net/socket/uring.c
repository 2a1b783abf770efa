/* Completion by io_uring: listeners, and the loop's side.
 *
 * The transport is the loop's waiter: what the turn produced is submitted, the sleep is slept, and
 * what is complete is collected by one io_uring_enter at the end of the turn. Accepting and
 * receiving are multishot; received bytes come in blocks of a ring that the kernel picks from, so
 * that an idle connection holds none. A connection has at most one send in the kernel, and its
 * descriptor stays open, and its slot taken, until every operation has completed. Sockets stay
 * ordinary ones: a queue with a file in it goes out by sendmsg(2) and sendfile(2), as on epoll. */
#include "net/socket/uring_internal.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define URING_ACCEPT_MARGIN  128  /* as many places must be free for accepting unasked */
#define URING_LENT_WAITS_MAX 1000 /* of 1 ms, for peers to acknowledge */
#define URING_BATCH          64

static bool is_near_limit(const struct sock_transport *t)
{
    return t->slots.limit_count - t->slots.live_count < URING_ACCEPT_MARGIN;
}

static int uring_listener_start(struct sock_listener *l)
{
    struct ring *ring = l->transport->uring->ring;
    if (l->operations != 0)
        return 0; /* its cancellation is under way: on_accept starts it again */
    enum uring_operation operation = is_near_limit(l->transport) ? URING_ACCEPTABLE : URING_ACCEPT;
    bool is_started = operation == URING_ACCEPT
                          ? ring_accept(ring, l->fd, tag(l, operation))
                          : ring_poll(ring, l->fd, POLLIN, false, tag(l, operation));
    if (!is_started)
        return -ENOMEM;
    l->operations |= 1u << operation;
    return 0;
}

static void uring_listener_stop(struct sock_listener *l)
{
    for (unsigned operation = URING_ACCEPT; operation <= URING_ACCEPTABLE; operation++)
        if ((l->operations & 1u << operation) != 0)
            ring_cancel(l->transport->uring->ring, tag(l, (enum uring_operation)operation));
}

static bool uring_listener_is_idle(const struct sock_listener *l)
{
    return l->operations == 0;
}

static void listener_go_on(struct sock_listener *l)
{
    if (l->operations == 0 && !l->paused && !l->exhausted && !l->closed) {
        int result = uring_listener_start(l);
        if (result < 0)
            sock_accept_failed(l, -result);
    }
}

static void on_accept(struct sock_listener *l, const struct ring_event *event)
{
    if (!event->more)
        l->operations &= ~(1u << URING_ACCEPT);
    if (event->result >= 0) {
        if (l->transport->is_shut)
            close(event->result);
        else
            sock_accepted(l, event->result);
        if (is_near_limit(l->transport) && (l->operations & 1u << URING_ACCEPT) != 0)
            ring_cancel(l->transport->uring->ring, tag(l, URING_ACCEPT));
    } else if (event->result != -ECANCELED) {
        sock_accept_failed(l, -event->result);
    }
    listener_go_on(l);
}

static void on_acceptable(struct sock_listener *l, int events)
{
    l->operations &= ~(1u << URING_ACCEPTABLE);
    if (events > 0 && !l->paused && !l->exhausted && !l->closed)
        sock_accept_burst(l);
    listener_go_on(l);
}

/* The loop's side. */

static unsigned on_completion(struct sock_transport *t, const struct ring_event *events,
                              unsigned count)
{
    const struct ring_event *event = events;
    void *object = (void *)(uintptr_t)(event->tag & ~(uint64_t)URING_OPERATION_MASK);
    switch ((enum uring_operation)(event->tag & URING_OPERATION_MASK)) {
    case URING_RECEIVE:
        return uring_on_receive(object, events, count);
    case URING_SEND:
        uring_on_send(object, event->result);
        break;
    case URING_LEND:
        uring_on_lent(t, object, event);
        break;
    case URING_WRITABLE:
        uring_on_writable(object);
        break;
    case URING_ERRORS:
        uring_on_errors(object, event);
        break;
    case URING_ACCEPT:
        on_accept(object, event);
        break;
    case URING_ACCEPTABLE:
        on_acceptable(object, event->result);
        break;
    case URING_LOOP:
    case URING_NOTHING:
    case URING_OPERATION_MASK:
        break;
    }
    return 1;
}

static unsigned uring_poll(struct leat_source *source)
{
    struct sock_transport *t = container_of(source, struct sock_transport, source);
    struct ring *ring = t->uring->ring;
    unsigned left = ring_ready_count(ring);
    unsigned handled = 0;
    while (left > 0) {
        struct ring_event events[URING_BATCH];
        unsigned count = ring_collect(ring, events, left < URING_BATCH ? left : URING_BATCH);
        if (count == 0)
            break;
        for (unsigned i = 0; i < count;)
            i += on_completion(t, &events[i], count - i);
        left -= count;
        handled += count;
    }
    ring_refill(ring);
    sock_run_starved(t);
    return handled + sock_run_ready(t);
}

static void uring_flush(struct leat_source *source)
{
    sock_flush(container_of(source, struct sock_transport, source));
}

static void uring_arm(struct leat_source *source, struct leat_nap *nap)
{
    struct sock_transport *t = container_of(source, struct sock_transport, source);
    sock_arm(t, nap);
    nap->has_work = nap->has_work || ring_ready_count(t->uring->ring) > 0;
}

static bool uring_wait(struct leat_source *source, int readable_fd, uint64_t timeout_ns)
{
    struct sock_transport *t = container_of(source, struct sock_transport, source);
    return ring_wait(t->uring->ring, readable_fd, tag(NULL, URING_LOOP), timeout_ns);
}

static bool uring_is_quiet(const struct leat_source *source)
{
    const struct sock_transport *t = container_of(source, const struct sock_transport, source);
    return ring_is_quiet(t->uring->ring);
}

static bool uring_has_buffers(struct sock_transport *t)
{
    return ring_refill(t->uring->ring);
}

static const struct leat_source_ops source_ops = {
    .name = "uring",
    .poll = uring_poll,
    .flush = uring_flush,
    .arm = uring_arm,
    .wait = uring_wait,
    .is_quiet = uring_is_quiet,
};

static int uring_open(struct sock_transport *t, const struct leat_sockets_options *options,
                      struct leat_error *error)
{
    struct uring *u = leat_heap_calloc(1, sizeof(*u));
    if (u == NULL)
        return leat_fail(error, -ENOMEM, "memory is out: the sockets cannot be opened");
    t->receive_block_bytes =
        options->receive_block_bytes != 0 ? options->receive_block_bytes : URING_BLOCK_BYTES;
    int result = ring_new(&u->ring, options->receive_block_count, t->receive_block_bytes, error);
    if (result < 0) {
        leat_heap_free(u);
        return result;
    }
    t->uring = u;
    t->source.ops = &source_ops;
    result = leat_source_add(t->loop, &t->source);
    if (result < 0) {
        leat_fail(error, result, "%s", t->core->error.sentence);
        ring_free(u->ring);
        leat_heap_free(u);
        t->uring = NULL;
    }
    return result;
}

static void uring_close(struct sock_transport *t)
{
    struct uring *u = t->uring;
    for (unsigned i = 0; i < URING_LENT_WAITS_MAX && u->lent_count > 0; i++) {
        ring_nap(u->ring, LEAT_NS_PER_MS);
        (void)uring_poll(&t->source);
    }
    leat_source_remove(&t->source);
    ring_free(u->ring);
    leat_heap_free(u);
    t->uring = NULL;
}

const struct sock_backend sock_uring = {
    .name = "uring",
    .open = uring_open,
    .close = uring_close,
    .listener_start = uring_listener_start,
    .listener_stop = uring_listener_stop,
    .listener_is_idle = uring_listener_is_idle,
    .conn_start = uring_conn_start,
    .conn_opened = uring_conn_opened,
    .conn_established = uring_conn_established,
    .conn_read = uring_conn_read,
    .conn_flush = uring_conn_flush,
    .conn_stop = uring_conn_stop,
    .conn_is_idle = uring_conn_is_idle,
    .conn_deliver_parked = uring_conn_deliver_parked,
    .has_buffers = uring_has_buffers,
};
