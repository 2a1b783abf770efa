/* Readiness by epoll: edge-triggered watches on the loop's own descriptor.
 *
 * A connection is added once, and what the kernel said is remembered: pausing, holding, starving
 * and going on cost no system call, and the kernel does not look again at a socket that was just
 * read. The price: whoever stops before the socket is empty must come back by himself
 * (SOCK_READABLE). */
#include "net/socket/socket_internal.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EPOLL_BLOCK_BYTES (UINT32_C(64) << 10)
#define CONN_EVENTS       ((uint32_t)EPOLLET | EPOLLIN | EPOLLPRI | EPOLLRDHUP)

/* A read that came out short has emptied the socket: what arrives later is an edge of its own. Not
 * so where more than bytes was seen (their end, an error, urgent data, at which reads stop), and
 * between pieces of a unix stream that have other credentials. */
static bool has_emptied(const struct sock_conn *c)
{
    return (c->flags & SOCK_READ_ON) == 0 && c->family != LEAT_FAMILY_UNIX;
}

static void conn_receive(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    for (unsigned i = 0; i < SOCK_READS_PER_TURN && sock_may_read(c); i++) {
        if (unlikely(!sock_block_ready(t))) {
            sock_conn_starve(c);
            return;
        }
        size_t room = t->block.length_bytes;
        ssize_t bytes = sock_syscall_recv(c->fd, t->block.data, room, MSG_DONTWAIT);
        if (bytes > 0) {
            struct leat_buf slice = {t->block.data, (size_t)bytes, t->block.block};
            bool is_empty = (size_t)bytes < room && has_emptied(c);
            c->flags &= ~(is_empty ? (uint32_t)SOCK_READABLE : 0);
            sock_received(c, &slice, 1, (size_t)bytes);
            sock_block_recycle(t);
            if (likely(is_empty))
                return;
        } else if (bytes == 0) {
            sock_peer_ended(c);
        } else if (errno == EAGAIN) {
            c->flags &= ~(uint32_t)(SOCK_READABLE | SOCK_READ_ON);
            return;
        } else if (errno != EINTR) {
            sock_conn_fail(c, errno);
        }
    }
    if (sock_may_read(c))
        sock_conn_ready(c); /* others come first */
}

static int socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

static void conn_connected(struct sock_conn *c, uint32_t events)
{
    int error = socket_error(c->fd);
    if (error != 0)
        sock_conn_fail(c, error);
    else if ((events & (EPOLLOUT | EPOLLIN)) != 0)
        sock_conn_established(c);
}

/* Answers leave as soon as their connection has been read, while it is in the processor's caches;
 * in one system call all the same, because HTTP has gathered what the burst asked for. */
static void conn_answer(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    if (t->dirty == c) {
        t->dirty = c->next_dirty;
        sock_conn_flush(c);
    }
}

static void conn_ready(struct leat_watch *watch, uint32_t events, void *arg)
{
    struct sock_conn *c = arg;
    if (likely((events & ~(uint32_t)EPOLLOUT) != 0))
        c->flags |= SOCK_READABLE;
    if (unlikely((events & ~(uint32_t)(EPOLLIN | EPOLLOUT)) != 0))
        c->flags |= SOCK_READ_ON;
    if (unlikely((c->flags & (SOCK_CONNECTING | SOCK_OPEN_DUE)) != 0)) {
        if ((c->flags & SOCK_CONNECTING) != 0)
            conn_connected(c, events);
        return;
    }
    if (unlikely((c->flags & SOCK_BLOCKED) != 0) && (events & (EPOLLOUT | EPOLLERR)) != 0) {
        c->flags &= ~(uint32_t)SOCK_BLOCKED;
        sock_conn_dirty(c);
    }
    if (likely(sock_may_read(c))) {
        if (likely((c->flags & SOCK_READABLE) != 0))
            conn_receive(c);
        conn_answer(c);
    } else if ((events & EPOLLERR) != 0) { /* of one that nobody reads only this is of interest */
        int error = socket_error(c->fd);
        sock_conn_fail(c, error != 0 ? error : ECONNRESET);
    }
}

/* One that was accepted is watched only when its first request was looked for. */
static int epoll_conn_start(struct sock_conn *c)
{
    leat_watch_init(&c->watch, c->transport->loop, c->fd, conn_ready, c);
    leat_watch_unref(&c->watch);
    if ((c->flags & SOCK_OUTGOING) == 0)
        return 0;
    return leat_watch_start(&c->watch, (c->flags & SOCK_CONNECTING) != 0 ? CONN_EVENTS | EPOLLOUT
                                                                         : CONN_EVENTS);
}

/* A client's first bytes are mostly there when it is accepted, and where it asks for one thing and
 * goes, the connection is over before anybody need watch it. */
static void epoll_conn_opened(struct sock_conn *c)
{
    c->flags |= SOCK_READABLE;
    if (sock_may_read(c)) {
        conn_receive(c);
        conn_answer(c);
    }
    if ((c->flags & SOCK_FINISHED) != 0 || c->watch.events != 0)
        return;
    int result = leat_watch_start(&c->watch, CONN_EVENTS);
    if (result < 0)
        sock_conn_fail(c, -result);
}

static void epoll_conn_read(struct sock_conn *c)
{
    if ((c->flags & SOCK_READABLE) != 0)
        sock_conn_ready(c);
}

static void epoll_conn_deliver(struct sock_conn *c)
{
    if ((c->flags & SOCK_READABLE) != 0)
        conn_receive(c);
}

static void epoll_conn_flush(struct sock_conn *c)
{
    switch (sock_send_now(c)) {
    case SOCK_WOULD_BLOCK: {
        /* Asked anew each time: the kernel says at once if there is room by now, and whether it
         * was room that ended a short write does not matter. */
        int result = leat_watch_start(&c->watch, CONN_EVENTS | EPOLLOUT);
        c->flags |= SOCK_BLOCKED;
        if (result < 0)
            sock_conn_fail(c, -result);
        break;
    }
    case SOCK_MORE:
        sock_conn_dirty(c);
        break;
    case SOCK_DRAINED:
        break;
    case SOCK_FAILED:
        return;
    }
    sock_sent(c);
}

static void epoll_conn_stop(struct sock_conn *c)
{
    leat_watch_stop(&c->watch);
    close(c->fd);
    c->fd = -1;
}

static bool epoll_conn_is_idle(const struct sock_conn *c)
{
    return true;
}

static void listener_ready(struct leat_watch *watch, uint32_t events, void *arg)
{
    sock_accept_burst(arg);
}

static int epoll_listener_start(struct sock_listener *l)
{
    if (l->watch.fn == NULL) {
        leat_watch_init(&l->watch, l->transport->loop, l->fd, listener_ready, l);
        leat_watch_unref(&l->watch);
    }
    return leat_watch_start(&l->watch, EPOLLIN);
}

static void epoll_listener_stop(struct sock_listener *l)
{
    leat_watch_stop(&l->watch);
}

static bool epoll_listener_is_idle(const struct sock_listener *l)
{
    return true;
}

static unsigned epoll_poll(struct leat_source *source)
{
    struct sock_transport *t = container_of(source, struct sock_transport, source);
    sock_run_starved(t);
    return sock_run_ready(t);
}

static void epoll_flush(struct leat_source *source)
{
    sock_flush(container_of(source, struct sock_transport, source));
}

static void epoll_arm(struct leat_source *source, struct leat_nap *nap)
{
    sock_arm(container_of(source, struct sock_transport, source), nap);
}

static const struct leat_source_ops source_ops = {
    .name = "epoll",
    .poll = epoll_poll,
    .flush = epoll_flush,
    .arm = epoll_arm,
};

static int epoll_open(struct sock_transport *t, const struct leat_sockets_options *options,
                      struct leat_error *error)
{
    t->receive_block_bytes =
        options->receive_block_bytes != 0 ? options->receive_block_bytes : EPOLL_BLOCK_BYTES;
    t->source.ops = &source_ops;
    return leat_source_add(t->loop, &t->source);
}

static void epoll_close(struct sock_transport *t)
{
    leat_source_remove(&t->source);
}

const struct sock_backend sock_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .listener_start = epoll_listener_start,
    .listener_stop = epoll_listener_stop,
    .listener_is_idle = epoll_listener_is_idle,
    .conn_start = epoll_conn_start,
    .conn_opened = epoll_conn_opened,
    .conn_established = epoll_conn_read,
    .conn_read = epoll_conn_read,
    .conn_flush = epoll_conn_flush,
    .conn_stop = epoll_conn_stop,
    .conn_is_idle = epoll_conn_is_idle,
    .conn_deliver_parked = epoll_conn_deliver, /* it is parked in the kernel */
    .has_buffers = sock_block_ready,
};
