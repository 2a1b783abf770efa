/* Connections on io_uring: what is in the kernel for them, and what comes out of it. */
#include "net/socket/uring_internal.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static void start_receive(struct sock_conn *c)
{
    if (ring_receive(c->transport->uring->ring, c->fd, tag(c, URING_RECEIVE)))
        c->uring.operations |= 1u << URING_RECEIVE;
    else
        sock_conn_starve(c);
}

bool uring_start_poll(struct sock_conn *c, enum uring_operation operation, unsigned events)
{
    /* Watching for errors, one shot would be spent on the peer's FIN. */
    bool repeats = operation == URING_ERRORS;
    if (!ring_poll(c->transport->uring->ring, c->fd, events, repeats, tag(c, operation)))
        return false;
    c->uring.operations |= 1u << operation;
    return true;
}

/* Goes on receiving, or, where nobody wants to receive, waits for errors. */
void uring_watch_on(struct sock_conn *c)
{
    const uint32_t watched = 1u << URING_RECEIVE | 1u << URING_ERRORS | 1u << URING_SEND;
    if ((c->flags & (SOCK_FINISHED | SOCK_CONNECTING | SOCK_OPEN_DUE | SOCK_STARVED)) != 0)
        return;
    if (sock_may_read(c)) {
        if ((c->uring.operations & 1u << URING_RECEIVE) == 0 && c->uring.parked_first == NULL)
            start_receive(c);
    } else if ((c->uring.operations & watched) == 0 && !c->uring.hung_up &&
               (c->flags & (SOCK_END_ASKED | SOCK_PEER_ENDED)) !=
                   (SOCK_END_ASKED | SOCK_PEER_ENDED)) {
        (void)uring_start_poll(c, URING_ERRORS, POLLERR | POLLHUP);
    }
}

int uring_conn_start(struct sock_conn *c)
{
    if ((c->flags & SOCK_CONNECTING) != 0)
        return uring_start_poll(c, URING_WRITABLE, POLLOUT) ? 0 : -ENOMEM;
    if ((c->flags & SOCK_OUTGOING) != 0)
        uring_watch_on(c);
    return 0;
}

/* A client's first bytes are mostly there when it is accepted, and where it asks for one thing and
 * goes, the connection is over before anything need wait for it. */
void uring_conn_opened(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    if (sock_may_read(c) && sock_block_ready(t)) {
        ssize_t bytes =
            sock_syscall_recv(c->fd, t->block.data, t->block.length_bytes, MSG_DONTWAIT);
        struct leat_buf slice = {t->block.data, (size_t)bytes, t->block.block};
        if (bytes > 0) {
            sock_received(c, &slice, 1, (size_t)bytes);
            sock_block_recycle(t);
        } else if (bytes == 0) {
            sock_peer_ended(c);
        } else if (errno != EAGAIN && errno != EINTR) {
            sock_conn_fail(c, errno);
        }
    }
    if ((c->flags & SOCK_SOON) ==
        0) /* it goes when it was answered, and what is in flight holds it */
        uring_watch_on(c);
}

void uring_conn_read(struct sock_conn *c)
{
    if (c->uring.parked_first != NULL || c->uring.ended)
        sock_conn_ready(c);
    else
        uring_watch_on(c);
}

static void close_descriptor(struct sock_conn *c)
{
    ring_close(c->transport->uring->ring, c->fd);
    c->fd = -1;
}

static void drop_parked(struct sock_conn *c)
{
    while (c->uring.parked_first != NULL) {
        struct sock_piece *piece = c->uring.parked_first;
        c->uring.parked_first = piece->next;
        leat_buf_unref(piece->buf);
        sock_piece_give(c->transport, piece);
    }
}

void uring_conn_stop(struct sock_conn *c)
{
    drop_parked(c);
    if (c->uring.operations == 0) {
        close_descriptor(c);
        return;
    }
    if (!ring_cancel_descriptor(c->transport->uring->ring, c->fd))
        (void)shutdown(c->fd, SHUT_RDWR); /* completes them as well */
}

bool uring_conn_is_idle(const struct sock_conn *c)
{
    return c->uring.operations == 0;
}

/* An operation of a finished connection has completed. */
void uring_conn_completed(struct sock_conn *c)
{
    if ((c->flags & SOCK_FINISHED) != 0 && c->uring.operations == 0) {
        close_descriptor(c);
        sock_conn_try_free(c);
    }
}

/* Receiving. */

static void slice_park(struct sock_conn *c, uint16_t number, struct leat_buf slice)
{
    struct sock_transport *t = c->transport;
    struct sock_piece *piece = sock_piece_take(t);
    struct leat_buf kept = {0};
    if (slice.length_bytes * 2 < t->receive_block_bytes)
        kept = leat_buf_from_bytes(slice.data, slice.length_bytes);
    if (kept.data == NULL)
        kept = leat_buf_ref(slice);
    ring_give_back(t->uring->ring, number, slice);
    if (piece == NULL) {
        leat_buf_unref(kept);
        sock_conn_fail(c, ENOMEM);
        return;
    }
    *piece = (struct sock_piece){.buf = kept};
    if (c->uring.parked_first == NULL) {
        c->uring.parked_first = piece;
        if ((c->uring.operations & 1u << URING_RECEIVE) != 0)
            ring_cancel(t->uring->ring, tag(c, URING_RECEIVE));
    } else {
        c->uring.parked_last->next = piece;
    }
    c->uring.parked_last = piece;
}

void uring_conn_deliver_parked(struct sock_conn *c)
{
    while (c->uring.parked_first != NULL && sock_may_read(c)) {
        struct sock_piece *piece = c->uring.parked_first;
        struct leat_buf slice = piece->buf;
        c->uring.parked_first = piece->next;
        sock_piece_give(c->transport, piece);
        sock_received(c, &slice, 1, slice.length_bytes);
        leat_buf_unref(slice);
    }
    if (c->uring.ended && c->uring.parked_first == NULL && (c->flags & SOCK_FINISHED) == 0) {
        c->uring.ended = false;
        sock_peer_ended(c);
    }
    uring_watch_on(c);
}

/* The following completions, as far as they are bytes of the same connection, are delivered
 * together. Returns how many completions were used. */
static unsigned events_received(struct sock_conn *c, const struct ring_event *events,
                                unsigned count)
{
    struct sock_transport *t = c->transport;
    struct leat_buf slices[URING_SLICES_MAX];
    unsigned used = 0;
    size_t bytes = 0;
    do {
        slices[used] = ring_take_filled(t->uring->ring, &events[used]);
        bytes += slices[used].length_bytes;
        if (!events[used].more)
            c->uring.operations &= ~(1u << URING_RECEIVE);
        used++;
    } while (used < count && used < URING_SLICES_MAX && events[used].tag == events[0].tag &&
             events[used].result > 0);
    if (sock_may_read(c) && c->uring.parked_first == NULL) {
        sock_received(c, slices, used, bytes);
        for (unsigned i = 0; i < used; i++)
            ring_give_back(t->uring->ring, events[i].block, slices[i]);
    } else {
        for (unsigned i = 0; i < used; i++)
            if ((c->flags & SOCK_FINISHED) != 0)
                ring_give_back(t->uring->ring, events[i].block, slices[i]);
            else
                slice_park(c, events[i].block, slices[i]);
    }
    return used;
}

/* Linux 6.18 loses a reset that comes right behind the bytes that a multishot receive was woken
 * for, and others lose also the end of a unix socket: its first look sees both events, it takes the
 * bytes, and goes back to sleep. A send would tell, so only one that answers nothing is watched;
 * once it is, it stays so. */
static void watch_behind_bytes(struct sock_conn *c)
{
    bool send_follows = c->out.first != NULL && (c->uring.operations & 1u << URING_SEND) == 0;
    if (send_follows || (c->uring.operations & 1u << URING_ERRORS) != 0 || c->uring.hung_up ||
        (c->flags & (SOCK_FINISHED | SOCK_CLOSING)) != 0)
        return;
    (void)uring_start_poll(c, URING_ERRORS, POLLERR | POLLHUP);
}

/* A receive completed without bytes. */
static void receive_ended(struct sock_conn *c, const struct ring_event *event)
{
    if (!event->more)
        c->uring.operations &= ~(1u << URING_RECEIVE);
    if ((c->flags & SOCK_FINISHED) != 0)
        return;
    switch (-event->result) {
    case 0:
        if (c->uring.parked_first != NULL)
            c->uring.ended = true;
        else
            sock_peer_ended(c);
        break;
    case ENOBUFS:
        sock_conn_starve(c);
        break;
    case ECANCELED:
    case EINTR:
    case EAGAIN:
        break;
    default:
        sock_conn_fail(c, -event->result);
    }
}

unsigned uring_on_receive(struct sock_conn *c, const struct ring_event *events, unsigned count)
{
    unsigned used = 1;
    if (likely(events[0].result > 0)) {
        used = events_received(c, events, count);
        watch_behind_bytes(c);
    } else {
        receive_ended(c, &events[0]);
    }
    uring_watch_on(c);
    uring_conn_completed(c);
    return used;
}

static int socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

void uring_on_writable(struct sock_conn *c)
{
    c->uring.operations &= ~(1u << URING_WRITABLE);
    if ((c->flags & SOCK_FINISHED) != 0) {
        uring_conn_completed(c);
    } else if ((c->flags & SOCK_CONNECTING) != 0) {
        int error = socket_error(c->fd);
        if (error != 0)
            sock_conn_fail(c, error);
        else
            sock_conn_established(c);
    } else {
        c->flags &= ~(uint32_t)SOCK_BLOCKED;
        sock_conn_dirty(c);
    }
}

/* A receive that slept through it is started again. */
static void hang_up(struct sock_conn *c)
{
    c->uring.hung_up = true;
    if ((c->uring.operations & 1u << URING_RECEIVE) != 0)
        ring_cancel(c->transport->uring->ring, tag(c, URING_RECEIVE));
}

/* Reports also that the peer has ended, always: that is no news here. */
void uring_on_errors(struct sock_conn *c, const struct ring_event *event)
{
    if (!event->more)
        c->uring.operations &= ~(1u << URING_ERRORS);
    if ((c->flags & SOCK_FINISHED) == 0 && event->result > 0 &&
        (event->result & (POLLERR | POLLHUP)) != 0) {
        int error = socket_error(c->fd);
        if (error != 0 || (event->result & POLLERR) != 0)
            sock_conn_fail(c, error != 0 ? error : ECONNRESET);
        else
            hang_up(c);
    }
    uring_watch_on(c);
    uring_conn_completed(c);
}

void uring_conn_established(struct sock_conn *c)
{
    uring_watch_on(c);
}
