/* Sending on io_uring: one operation of a connection at a time, large memory lent, files by calls.
 */
#include "net/socket/uring_internal.h"

#include <leat/log.h>

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static void conn_block(struct sock_conn *c)
{
    if (uring_start_poll(c, URING_WRITABLE, POLLOUT))
        c->flags |= SOCK_BLOCKED;
    else
        sock_conn_dirty(c); /* tried again in the next turn */
}

static void flush_by_calls(struct sock_conn *c)
{
    switch (sock_send_now(c)) {
    case SOCK_WOULD_BLOCK:
        conn_block(c);
        break;
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

static bool has_file(const struct sock_conn *c)
{
    unsigned looked = 0;
    for (const struct sock_piece *piece = c->out.first;
         piece != NULL && looked < SOCK_IOV_COUNT_MAX; piece = piece->next, looked++)
        if (piece->file != NULL)
            return true;
    return false;
}

static bool may_lend(const struct sock_conn *c)
{
    const struct uring *u = c->transport->uring;
    return c->out.first->buf.length_bytes >= URING_LEND_BYTES && !u->cannot_lend &&
           (c->flags & SOCK_COPIES) == 0 && c->family != LEAT_FAMILY_UNIX &&
           u->lent_count < URING_LENT_MAX;
}

/* Returns whether the front of the queue was lent. */
static bool conn_lend(struct sock_conn *c)
{
    struct sock_transport *t = c->transport;
    const struct leat_buf *first = &c->out.first->buf;
    struct uring_lent *lent = leat_heap_alloc(sizeof(*lent));
    if (lent == NULL || !ring_lend(t->uring->ring, c->fd, first, tag(lent, URING_LEND))) {
        leat_heap_free(lent);
        return false;
    }
    *lent = (struct uring_lent){.conn = c, .id = c->id, .buf = leat_buf_ref(*first)};
    t->uring->lent_count++;
    t->stats.lent_count++;
    if ((c->flags & SOCK_LENDS) == 0)
        c->flags |= SOCK_COPIES; /* no second one before the kernel has told about the first */
    return true;
}

static bool send_by_ring(struct sock_conn *c)
{
    struct ring *ring = c->transport->uring->ring;
    const struct sock_piece *first = c->out.first;
    if (likely(first->next == NULL))
        return ring_send(ring, c->fd, &first->buf, tag(c, URING_SEND));
    struct iovec *iov = ring_iov(ring);
    if (iov == NULL)
        return false;
    bool file_follows;
    unsigned count = sock_queue_gather(c, iov, SOCK_IOV_COUNT_MAX, &file_follows);
    DCHECK(!file_follows);
    return ring_send_iov(ring, c->fd, count, tag(c, URING_SEND));
}

void uring_conn_flush(struct sock_conn *c)
{
    if (c->out.first == NULL) {
        sock_sent(c);
    } else if (unlikely(has_file(c))) {
        flush_by_calls(c);
    } else if ((unlikely(may_lend(c)) && conn_lend(c)) || likely(send_by_ring(c))) {
        c->uring.operations |= 1u << URING_SEND;
        c->flags |= SOCK_BLOCKED;
    } else {
        sock_conn_dirty(c); /* tried again in the next turn */
    }
}

void uring_on_send(struct sock_conn *c, int result)
{
    c->uring.operations &= ~(1u << URING_SEND);
    c->flags &= ~(uint32_t)SOCK_BLOCKED;
    if ((c->flags & SOCK_FINISHED) != 0) {
        uring_conn_completed(c);
        return;
    }
    if (likely(result > 0)) {
        sock_queue_pull(c, (uint64_t)result);
        sock_moved(c);
    } else if (result != -EAGAIN && result != -EINTR && result != -ECANCELED) {
        sock_conn_fail(c, -result);
        return;
    }
    if (unlikely(c->out.first != NULL))
        sock_conn_dirty(c);
    sock_sent(c);
    uring_watch_on(c);
}

static void lent_free(struct sock_transport *t, struct uring_lent *lent)
{
    leat_buf_unref(lent->buf);
    leat_heap_free(lent);
    t->uring->lent_count--;
}

/* The first completion tells what was sent, the second (a notification) that the memory is ours
 * again, and whether lending it was any use: over the loopback interface it never is. */
void uring_on_lent(struct sock_transport *t, struct uring_lent *lent,
                   const struct ring_event *event)
{
    if (event->is_notification) {
        struct sock_conn *c = slots_find(&t->slots, lent->id);
        bool is_copied = event->is_copied;
        t->stats.lent_copied_count += is_copied;
        if (c != NULL) {
            c->flags &= ~(uint32_t)(SOCK_COPIES | SOCK_LENDS);
            c->flags |= is_copied ? SOCK_COPIES : SOCK_LENDS;
        }
        lent_free(t, lent);
        return;
    }
    struct sock_conn *c = lent->conn;
    int result = event->result;
    lent->conn = NULL;
    if (!event->more)
        lent_free(t, lent);
    if (result == -EINVAL || result == -EOPNOTSUPP || result == -ENOMEM) {
        /* An older kernel, such a socket, or too little locked memory: an ordinary send may do. */
        t->uring->cannot_lend = t->uring->cannot_lend || result == -EINVAL;
        if (result == -ENOMEM && sock_tells_first(t->shared, SOCK_TOLD_COPYING)) {
            LEAT_LOG_INFO("large sends are copied: the kernel lends no more memory; raise the "
                          "limit on locked memory (ulimit -l)");
        }
        c->flags = (c->flags & ~(uint32_t)SOCK_LENDS) | SOCK_COPIES;
        result = -EAGAIN;
    }
    uring_on_send(c, result);
}
