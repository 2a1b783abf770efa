/* Completion by io_uring: the one file that knows liburing.
 *
 * The transport is the loop's waiter: what the turn produced is submitted, the sleep is slept, and
 * what is complete is collected by one io_uring_enter at the end of the turn. Accepting and
 * receiving are multishot; received bytes come in blocks of a ring that the kernel picks from
 * (URING_BLOCK_COUNT_DEFAULT of URING_BLOCK_BYTES), so that an idle connection holds none. A
 * connection has at most one send in the kernel, and its descriptor stays open, and its slot taken,
 * until every operation has completed. Sockets stay ordinary ones: a queue with a file in it goes
 * out by sendmsg(2) and sendfile(2), as on epoll.
 *
 * Needs Linux 6.0 (multishot receive); 6.1 saves interrupts (IORING_SETUP_DEFER_TASKRUN). */
#include "net/socket/socket_internal.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define URING_SQ_COUNT            512
#define URING_CQ_COUNT            4096 /* past it the kernel keeps the rest: IORING_FEAT_NODROP */
#define URING_BLOCK_BYTES         (UINT32_C(8) << 10)
#define URING_BLOCK_COUNT_DEFAULT 128
#define URING_BLOCK_COUNT_MAX     32768
#define URING_SLICES_MAX          16  /* delivered by one on_data */
#define URING_MESSAGES_MAX        32  /* sends of several pieces between two submissions */
#define URING_ACCEPT_MARGIN       128 /* as many places must be free for accepting unasked */
#define URING_LEND_BYTES          (UINT32_C(128) << 10) /* less is cheaper to copy */
#define URING_LENT_MAX            1024                  /* sends whose memory the kernel has */
#define URING_LENT_WAITS_MAX      1000                  /* of 1 ms, for peers to acknowledge */
#define URING_GROUP               0

/* In the low bits of user_data, and as bits 1 << operation in what a connection or listener counts
 * as being in the kernel. */
enum uring_operation {
    URING_NOTHING, /* a completion that nobody waits for */
    URING_RECEIVE,
    URING_SEND,
    URING_WRITABLE, /* poll for POLLOUT: connecting, or sendfile would block */
    URING_ERRORS,   /* poll for POLLERR, POLLHUP of one that is not being received from */
    URING_ACCEPT,
    URING_ACCEPTABLE, /* poll for POLLIN of a listener, near the limit on connections */
    URING_LEND,       /* zero-copy send: user_data is a struct uring_lent */
    URING_LOOP,       /* poll of the loop's own epoll descriptor */
    URING_OPERATION_MASK = 15
};

struct uring_message {
    struct msghdr header;
    struct iovec iov[SOCK_IOV_COUNT_MAX];
};

/* IORING_SEND_ZC_REPORT_USAGE and its answer came with Linux 6.2, after liburing 2.3. */
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE  (1U << 3)
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

/* Memory that the network card may still be reading: given back when the kernel says so, which may
 * be after the connection's end. */
struct uring_lent {
    struct sock_conn *conn; /* NULL: the send has completed */
    struct leat_buf buf;
    uint64_t id;
};

struct uring {
    struct io_uring ring;
    struct io_uring_buf_ring *offers; /* blocks offered to the kernel */
    struct leat_buf *blocks;          /* by buffer number; data == NULL: it has none */
    uint16_t *missing;                /* numbers without a block */
    uint32_t missing_count, block_count;
    size_t offers_bytes;
    uint32_t message_count; /* used since the last submission */
    unsigned looked_until;  /* place in the completion queue, for URING_LOOP */
    bool loop_is_polled;
    bool cannot_lend; /* the kernel does not say whether it copied */
    uint32_t lent_count;
    struct uring_message messages[URING_MESSAGES_MAX];
};

static uint64_t tag(const void *object, enum uring_operation operation)
{
    return (uint64_t)(uintptr_t)object | operation;
}

/* The kernel has read what was prepared (IORING_FEAT_SUBMIT_STABLE): messages are free again. */
static void submitted(struct uring *u)
{
    if (io_uring_sq_ready(&u->ring) == 0) {
        u->message_count = 0;
    }
}

static void submit(struct uring *u)
{
    (void)io_uring_submit(&u->ring);
    submitted(u);
}

/* Submits when the submission queue is full. NULL: the kernel has no memory for requests. */
static struct io_uring_sqe *take_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (unlikely(sqe == NULL)) {
        submit(u);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

/* Blocks: offered, filled, given back. */

static void offer_block(struct sock_transport *t, uint16_t number, struct leat_buf block)
{
    struct uring *u = t->uring;
    u->blocks[number] = block;
    io_uring_buf_ring_add(u->offers, block.data, t->receive_block_bytes, number,
                          io_uring_buf_ring_mask(u->block_count), 0);
    io_uring_buf_ring_advance(u->offers, 1);
}

static bool refill(struct sock_transport *t)
{
    struct uring *u = t->uring;
    while (u->missing_count > 0) {
        struct leat_buf block = leat_buf_alloc_unsafe(t->receive_block_bytes);
        if (block.data == NULL) {
            break;
        }
        offer_block(t, u->missing[--u->missing_count], block);
    }
    return u->missing_count < u->block_count;
}

/* What the callback left in nobody's hands is offered again. */
static void give_back(struct sock_transport *t, uint16_t number, struct leat_buf block)
{
    struct uring *u = t->uring;
    block.length_bytes = t->receive_block_bytes;
    if (likely(leat_buf_resize(&block, block.length_bytes))) {
        offer_block(t, number, block);
        return;
    }
    leat_buf_unref(block);
    block = leat_buf_alloc_unsafe(t->receive_block_bytes);
    if (block.data != NULL) {
        offer_block(t, number, block);
    } else {
        u->missing[u->missing_count++] = number;
    }
}

static struct leat_buf take_filled(struct uring *u, const struct io_uring_cqe *cqe,
                                   uint16_t *number)
{
    *number = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    struct leat_buf slice = u->blocks[*number];
    u->blocks[*number].data = NULL;
    slice.length_bytes = (size_t)cqe->res;
    return slice;
}

/* Connections: what is in the kernel for them. */

static void start_receive(struct sock_conn *c)
{
    struct io_uring_sqe *sqe = take_sqe(c->transport->uring);
    if (sqe == NULL) {
        sock_conn_starve(c);
        return;
    }
    io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_GROUP;
    sqe->user_data = tag(c, URING_RECEIVE);
    c->uring.operations |= 1u << URING_RECEIVE;
}

static bool start_poll(struct sock_conn *c, enum uring_operation operation, unsigned events)
{
    struct io_uring_sqe *sqe = take_sqe(c->transport->uring);
    if (sqe == NULL) {
        return false;
    }
    io_uring_prep_poll_add(sqe, c->fd, events);
    if (operation == URING_ERRORS) {
        sqe->len |= IORING_POLL_ADD_MULTI; /* one shot would be spent on the peer's FIN */
    }
    sqe->user_data = tag(c, operation);
    c->uring.operations |= 1u << operation;
    return true;
}

static void cancel(struct uring *u, uint64_t user_data)
{
    struct io_uring_sqe *sqe = take_sqe(u);
    if (sqe != NULL) {
        io_uring_prep_cancel64(sqe, user_data, 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = tag(NULL, URING_NOTHING);
    }
}

/* Goes on receiving, or, where nobody wants to receive, waits for errors. */
static void watch_on(struct sock_conn *c)
{
    const uint32_t watched = 1u << URING_RECEIVE | 1u << URING_ERRORS | 1u << URING_SEND;
    if ((c->flags & (SOCK_FINISHED | SOCK_CONNECTING | SOCK_OPEN_DUE | SOCK_STARVED)) != 0) {
        return;
    }
    if (sock_may_read(c)) {
        if ((c->uring.operations & 1u << URING_RECEIVE) == 0 && c->uring.parked_first == NULL) {
            start_receive(c);
        }
    } else if ((c->uring.operations & watched) == 0 && !c->uring.hung_up &&
               (c->flags & (SOCK_END_ASKED | SOCK_PEER_ENDED)) !=
                   (SOCK_END_ASKED | SOCK_PEER_ENDED)) {
        (void)start_poll(c, URING_ERRORS, POLLERR | POLLHUP);
    }
}

static int uring_conn_start(struct sock_conn *c)
{
    if ((c->flags & SOCK_CONNECTING) != 0) {
        return start_poll(c, URING_WRITABLE, POLLOUT) ? 0 : -ENOMEM;
    }
    watch_on(c);
    return 0;
}

static void uring_conn_read(struct sock_conn *c)
{
    if (c->uring.parked_first != NULL || c->uring.ended) {
        sock_conn_ready(c);
    } else {
        watch_on(c);
    }
}

static void close_descriptor(struct sock_conn *c)
{
    struct io_uring_sqe *sqe = take_sqe(c->transport->uring);
    if (sqe != NULL) {
        io_uring_prep_close(sqe, c->fd);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        sqe->user_data = tag(NULL, URING_NOTHING);
    } else {
        close(c->fd);
    }
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

static void uring_conn_stop(struct sock_conn *c)
{
    drop_parked(c);
    if (c->uring.operations == 0) {
        close_descriptor(c);
        return;
    }
    struct io_uring_sqe *sqe = take_sqe(c->transport->uring);
    if (sqe == NULL) {
        (void)shutdown(c->fd, SHUT_RDWR); /* completes them as well */
        return;
    }
    io_uring_prep_cancel_fd(sqe, c->fd, IORING_ASYNC_CANCEL_ALL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = tag(NULL, URING_NOTHING);
}

static bool uring_conn_is_idle(const struct sock_conn *c)
{
    return c->uring.operations == 0;
}

/* An operation of a finished connection has completed. */
static void conn_completed(struct sock_conn *c)
{
    if ((c->flags & SOCK_FINISHED) != 0 && c->uring.operations == 0) {
        close_descriptor(c);
        sock_conn_try_free(c);
    }
}

/* Receiving. */

static void park(struct sock_conn *c, uint16_t number, struct leat_buf slice)
{
    struct sock_transport *t = c->transport;
    struct sock_piece *piece = sock_piece_take(t);
    struct leat_buf kept = {0};
    if (slice.length_bytes * 2 < t->receive_block_bytes) {
        kept = leat_buf_from_bytes(slice.data, slice.length_bytes);
    }
    if (kept.data == NULL) {
        kept = leat_buf_ref(slice);
    }
    give_back(t, number, slice);
    if (piece == NULL) {
        leat_buf_unref(kept);
        sock_conn_fail(c, ENOMEM);
        return;
    }
    *piece = (struct sock_piece){.buf = kept};
    if (c->uring.parked_first == NULL) {
        c->uring.parked_first = piece;
        if ((c->uring.operations & 1u << URING_RECEIVE) != 0) {
            cancel(t->uring, tag(c, URING_RECEIVE));
        }
    } else {
        c->uring.parked_last->next = piece;
    }
    c->uring.parked_last = piece;
}

static void uring_conn_deliver_parked(struct sock_conn *c)
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
    watch_on(c);
}

/* The following completions, as far as they are bytes of the same connection, are delivered
 * together. Returns how many completions were used. */
static unsigned received(struct sock_conn *c, struct io_uring_cqe *const *cqes, unsigned count)
{
    struct sock_transport *t = c->transport;
    struct leat_buf slices[URING_SLICES_MAX];
    uint16_t numbers[URING_SLICES_MAX];
    unsigned used = 0;
    size_t bytes = 0;
    do {
        slices[used] = take_filled(t->uring, cqes[used], &numbers[used]);
        bytes += slices[used].length_bytes;
        if ((cqes[used]->flags & IORING_CQE_F_MORE) == 0) {
            c->uring.operations &= ~(1u << URING_RECEIVE);
        }
        used++;
    } while (used < count && used < URING_SLICES_MAX &&
             cqes[used]->user_data == cqes[0]->user_data && cqes[used]->res > 0);
    if (sock_may_read(c) && c->uring.parked_first == NULL) {
        sock_received(c, slices, used, bytes);
        for (unsigned i = 0; i < used; i++) {
            give_back(t, numbers[i], slices[i]);
        }
    } else {
        for (unsigned i = 0; i < used; i++) {
            if ((c->flags & SOCK_FINISHED) != 0) {
                give_back(t, numbers[i], slices[i]);
            } else {
                park(c, numbers[i], slices[i]);
            }
        }
    }
    return used;
}

/* A receive completed without bytes. */
static void receive_ended(struct sock_conn *c, const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        c->uring.operations &= ~(1u << URING_RECEIVE);
    }
    if ((c->flags & SOCK_FINISHED) != 0) {
        return;
    }
    switch (-cqe->res) {
    case 0:
        if (c->uring.parked_first != NULL) {
            c->uring.ended = true;
        } else {
            sock_peer_ended(c);
        }
        break;
    case ENOBUFS:
        sock_conn_starve(c);
        break;
    case ECANCELED:
    case EINTR:
    case EAGAIN:
        break;
    default:
        sock_conn_fail(c, -cqe->res);
    }
}

static unsigned on_receive(struct sock_conn *c, struct io_uring_cqe *const *cqes, unsigned count)
{
    unsigned used = 1;
    if (likely(cqes[0]->res > 0)) {
        used = received(c, cqes, count);
    } else {
        receive_ended(c, cqes[0]);
    }
    watch_on(c);
    conn_completed(c);
    return used;
}

/* Sending. */

static void block(struct sock_conn *c)
{
    if (start_poll(c, URING_WRITABLE, POLLOUT)) {
        c->flags |= SOCK_BLOCKED;
    } else {
        sock_conn_dirty(c); /* tried again in the next turn */
    }
}

static void flush_by_calls(struct sock_conn *c)
{
    switch (sock_send_now(c)) {
    case SOCK_WOULD_BLOCK:
        block(c);
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

static bool prepare_message(struct sock_conn *c, struct io_uring_sqe *sqe,
                            struct uring_message *message)
{
    bool file_follows;
    unsigned count = sock_queue_gather(c, message->iov, SOCK_IOV_COUNT_MAX, &file_follows);
    if (file_follows) {
        return false;
    }
    message->header = (struct msghdr){.msg_iov = message->iov, .msg_iovlen = count};
    io_uring_prep_sendmsg(sqe, c->fd, &message->header, MSG_NOSIGNAL);
    return true;
}

static bool has_file(const struct sock_conn *c)
{
    unsigned looked = 0;
    for (const struct sock_piece *piece = c->out.first;
         piece != NULL && looked < SOCK_IOV_COUNT_MAX; piece = piece->next, looked++) {
        if (piece->file != NULL) {
            return true;
        }
    }
    return false;
}

static bool may_lend(const struct sock_conn *c)
{
    const struct uring *u = c->transport->uring;
    return c->out.first->buf.length_bytes >= URING_LEND_BYTES && !u->cannot_lend &&
           (c->flags & SOCK_COPIES) == 0 && c->family != LEAT_FAMILY_UNIX &&
           u->lent_count < URING_LENT_MAX;
}

static void prepare_lending(struct sock_conn *c, struct io_uring_sqe *sqe, struct uring_lent *lent)
{
    const struct leat_buf *first = &c->out.first->buf;
    *lent = (struct uring_lent){.conn = c, .id = c->id, .buf = leat_buf_ref(*first)};
    if ((c->flags & SOCK_LENDS) == 0) {
        c->flags |= SOCK_COPIES; /* no second one before the kernel has told about the first */
    }
    c->transport->uring->lent_count++;
    c->transport->stats.lent_count++;
    io_uring_prep_send_zc(sqe, c->fd, first->data, first->length_bytes, MSG_NOSIGNAL,
                          IORING_SEND_ZC_REPORT_USAGE);
    sqe->user_data = tag(lent, URING_LEND);
}

static void uring_conn_flush(struct sock_conn *c)
{
    struct uring *u = c->transport->uring;
    const struct sock_piece *first = c->out.first;
    if (first == NULL) {
        sock_sent(c);
        return;
    }
    if (unlikely(has_file(c))) {
        flush_by_calls(c);
        return;
    }
    if (unlikely(first->next != NULL && u->message_count == URING_MESSAGES_MAX)) {
        submit(u);
    }
    bool has_message = first->next == NULL || u->message_count < URING_MESSAGES_MAX;
    struct io_uring_sqe *sqe = has_message ? take_sqe(u) : NULL;
    if (unlikely(sqe == NULL)) {
        sock_conn_dirty(c); /* tried again in the next turn */
        return;
    }
    struct uring_lent *lent = unlikely(may_lend(c)) ? leat_heap_alloc(sizeof(*lent)) : NULL;
    if (lent != NULL) {
        prepare_lending(c, sqe, lent);
    } else if (first->next == NULL) {
        io_uring_prep_send(sqe, c->fd, first->buf.data, first->buf.length_bytes, MSG_NOSIGNAL);
        sqe->user_data = tag(c, URING_SEND);
    } else {
        CHECK(prepare_message(c, sqe, &u->messages[u->message_count++]));
        sqe->user_data = tag(c, URING_SEND);
    }
    c->uring.operations |= 1u << URING_SEND;
    c->flags |= SOCK_BLOCKED;
}

static void on_send(struct sock_conn *c, int result)
{
    c->uring.operations &= ~(1u << URING_SEND);
    c->flags &= ~(uint32_t)SOCK_BLOCKED;
    if ((c->flags & SOCK_FINISHED) != 0) {
        conn_completed(c);
        return;
    }
    if (likely(result > 0)) {
        sock_queue_pull(c, (uint64_t)result);
        sock_moved(c);
    } else if (result != -EAGAIN && result != -EINTR && result != -ECANCELED) {
        sock_conn_fail(c, -result);
        return;
    }
    if (unlikely(c->out.first != NULL)) {
        sock_conn_dirty(c);
    }
    sock_sent(c);
    watch_on(c);
}

static void lent_free(struct sock_transport *t, struct uring_lent *lent)
{
    leat_buf_unref(lent->buf);
    leat_heap_free(lent);
    t->uring->lent_count--;
}

/* The first completion tells what was sent, the second (a notification) that the memory is ours
 * again, and whether lending it was any use: over the loopback interface it never is. */
static void on_lent(struct sock_transport *t, struct uring_lent *lent,
                    const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_NOTIF) != 0) {
        struct sock_conn *c = slots_find(&t->slots, lent->id);
        bool is_copied = ((uint32_t)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED) != 0;
        t->stats.lent_copied_count += is_copied;
        if (c != NULL) {
            c->flags &= ~(uint32_t)(SOCK_COPIES | SOCK_LENDS);
            c->flags |= is_copied ? SOCK_COPIES : SOCK_LENDS;
        }
        lent_free(t, lent);
        return;
    }
    struct sock_conn *c = lent->conn;
    int result = cqe->res;
    lent->conn = NULL;
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        lent_free(t, lent);
    }
    if (result == -EINVAL || result == -EOPNOTSUPP || result == -ENOMEM) {
        /* An older kernel, such a socket, or too little locked memory: an ordinary send may do. */
        t->uring->cannot_lend = t->uring->cannot_lend || result == -EINVAL;
        c->flags = (c->flags & ~(uint32_t)SOCK_LENDS) | SOCK_COPIES;
        result = -EAGAIN;
    }
    on_send(c, result);
}

static int socket_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

static void on_writable(struct sock_conn *c)
{
    c->uring.operations &= ~(1u << URING_WRITABLE);
    if ((c->flags & SOCK_FINISHED) != 0) {
        conn_completed(c);
    } else if ((c->flags & SOCK_CONNECTING) != 0) {
        int error = socket_error(c->fd);
        if (error != 0) {
            sock_conn_fail(c, error);
        } else {
            sock_conn_established(c);
        }
    } else {
        c->flags &= ~(uint32_t)SOCK_BLOCKED;
        sock_conn_dirty(c);
    }
}

/* Reports also that the peer has ended, always: that is no news here. */
static void on_errors(struct sock_conn *c, const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        c->uring.operations &= ~(1u << URING_ERRORS);
    }
    if ((c->flags & SOCK_FINISHED) == 0 && cqe->res > 0 && (cqe->res & (POLLERR | POLLHUP)) != 0) {
        int error = socket_error(c->fd);
        if (error != 0 || (cqe->res & POLLERR) != 0) {
            sock_conn_fail(c, error != 0 ? error : ECONNRESET);
        } else {
            c->uring.hung_up = true;
        }
    }
    watch_on(c);
    conn_completed(c);
}

static void uring_conn_established(struct sock_conn *c)
{
    watch_on(c);
}

/* Listeners. */

static bool is_near_limit(const struct sock_transport *t)
{
    return t->slots.limit_count - t->slots.live_count < URING_ACCEPT_MARGIN;
}

static int uring_listener_start(struct sock_listener *l)
{
    if (l->operations != 0) {
        return 0; /* its cancellation is under way: on_accept starts it again */
    }
    struct io_uring_sqe *sqe = take_sqe(l->transport->uring);
    if (sqe == NULL) {
        return -ENOMEM;
    }
    enum uring_operation operation = URING_ACCEPT;
    if (is_near_limit(l->transport)) {
        operation = URING_ACCEPTABLE;
        io_uring_prep_poll_add(sqe, l->fd, POLLIN);
    } else {
        io_uring_prep_multishot_accept(sqe, l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    sqe->user_data = tag(l, operation);
    l->operations |= 1u << operation;
    return 0;
}

static void uring_listener_stop(struct sock_listener *l)
{
    for (unsigned operation = URING_ACCEPT; operation <= URING_ACCEPTABLE; operation++) {
        if ((l->operations & 1u << operation) != 0) {
            cancel(l->transport->uring, tag(l, (enum uring_operation)operation));
        }
    }
}

static bool uring_listener_is_idle(const struct sock_listener *l)
{
    return l->operations == 0;
}

static void listener_go_on(struct sock_listener *l)
{
    if (l->operations == 0 && !l->paused && !l->exhausted && !l->closed) {
        int result = uring_listener_start(l);
        if (result < 0) {
            sock_accept_failed(l, -result);
        }
    }
}

static void on_accept(struct sock_listener *l, const struct io_uring_cqe *cqe)
{
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        l->operations &= ~(1u << URING_ACCEPT);
    }
    if (cqe->res >= 0) {
        if (l->transport->is_shut) {
            close(cqe->res);
        } else {
            sock_accepted(l, cqe->res);
        }
        if (is_near_limit(l->transport) && (l->operations & 1u << URING_ACCEPT) != 0) {
            cancel(l->transport->uring, tag(l, URING_ACCEPT));
        }
    } else if (cqe->res != -ECANCELED) {
        sock_accept_failed(l, -cqe->res);
    }
    listener_go_on(l);
}

static void on_acceptable(struct sock_listener *l, int events)
{
    l->operations &= ~(1u << URING_ACCEPTABLE);
    if (events > 0 && !l->paused && !l->exhausted && !l->closed) {
        sock_accept_burst(l);
    }
    listener_go_on(l);
}

/* The loop's side. */

static unsigned on_completion(struct sock_transport *t, struct io_uring_cqe *const *cqes,
                              unsigned count)
{
    const struct io_uring_cqe *cqe = cqes[0];
    void *object = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)URING_OPERATION_MASK);
    switch ((enum uring_operation)(cqe->user_data & URING_OPERATION_MASK)) {
    case URING_RECEIVE:
        return on_receive(object, cqes, count);
    case URING_SEND:
        on_send(object, cqe->res);
        break;
    case URING_LEND:
        on_lent(t, object, cqe);
        break;
    case URING_WRITABLE:
        on_writable(object);
        break;
    case URING_ERRORS:
        on_errors(object, cqe);
        break;
    case URING_ACCEPT:
        on_accept(object, cqe);
        break;
    case URING_ACCEPTABLE:
        on_acceptable(object, cqe->res);
        break;
    case URING_LOOP:
    case URING_NOTHING:
    case URING_OPERATION_MASK:
        break;
    }
    return 1;
}

#define URING_BATCH 64

static unsigned uring_poll(struct leat_source *source)
{
    struct sock_transport *t = container_of(source, struct sock_transport, source);
    struct uring *u = t->uring;
    unsigned left = io_uring_cq_ready(&u->ring);
    unsigned handled = 0;
    while (left > 0) {
        struct io_uring_cqe *cqes[URING_BATCH];
        unsigned count =
            io_uring_peek_batch_cqe(&u->ring, cqes, left < URING_BATCH ? left : URING_BATCH);
        if (count == 0) {
            break;
        }
        for (unsigned i = 0; i < count;) {
            i += on_completion(t, &cqes[i], count - i);
        }
        io_uring_cq_advance(&u->ring, count);
        left -= count;
        handled += count;
    }
    if (unlikely(u->missing_count > 0)) {
        (void)refill(t);
    }
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
    nap->has_work = nap->has_work || io_uring_cq_ready(&t->uring->ring) > 0;
}

/* Whether the loop's descriptor was reported readable among the completions that are new. */
static bool loop_was_readable(struct uring *u)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    bool readable = false;
    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        if ((int)(head - u->looked_until) >= 0 && cqe->user_data == tag(NULL, URING_LOOP)) {
            u->loop_is_polled = false;
            readable = true;
        }
    }
    u->looked_until = head;
    return readable;
}

static void poll_loop(struct uring *u, int readable_fd)
{
    struct io_uring_sqe *sqe = take_sqe(u);
    if (sqe != NULL) {
        io_uring_prep_poll_add(sqe, readable_fd, POLLIN);
        sqe->user_data = tag(NULL, URING_LOOP);
        u->loop_is_polled = true;
    }
}

static bool uring_wait(struct leat_source *source, int readable_fd, uint64_t timeout_ns)
{
    struct sock_transport *t = container_of(source, struct sock_transport, source);
    struct uring *u = t->uring;
    if (!u->loop_is_polled) {
        poll_loop(u, readable_fd);
    }
    if (timeout_ns == 0) {
        (void)io_uring_submit_and_get_events(&u->ring);
    } else if (timeout_ns == UINT64_MAX) {
        (void)io_uring_submit_and_wait(&u->ring, 1);
    } else {
        struct __kernel_timespec timeout = {
            .tv_sec = (long long)(timeout_ns / LEAT_NS_PER_S),
            .tv_nsec = (long long)(timeout_ns % LEAT_NS_PER_S),
        };
        struct io_uring_cqe *cqe;
        (void)io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &timeout, NULL);
    }
    submitted(u);
    return loop_was_readable(u) || !u->loop_is_polled;
}

static const struct leat_source_ops source_ops = {
    .name = "uring",
    .poll = uring_poll,
    .flush = uring_flush,
    .arm = uring_arm,
    .wait = uring_wait,
};

/* Setting up. */

static int refused(struct leat_error *error, const char *what, int code)
{
    const char *remedy = code == -EPERM || code == -EACCES
                             ? ": allow it (sysctl kernel.io_uring_disabled=0, or the container's "
                               "seccomp profile), or use --net epoll"
                         : code == -ENOMEM ? ": raise the limit on locked memory (ulimit -l), or "
                                             "use --net epoll"
                                           : ": Linux 6.0 or later is needed, or --net epoll";
    return leat_fail(error, code, "io_uring is refused (%s: %s)%s", what, leat_errno_name(code),
                     remedy);
}

static int ring_init(struct uring *u, struct leat_error *error)
{
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    };
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && result == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
            .cq_entries = URING_CQ_COUNT,
        };
        result = io_uring_queue_init_params(URING_SQ_COUNT, &u->ring, &params);
    }
    if (result < 0) {
        return refused(error, "io_uring_setup", result);
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
    bool is_new_enough = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
    io_uring_free_probe(probe);
    if (!is_new_enough || (u->ring.features & IORING_FEAT_NODROP) == 0) {
        io_uring_queue_exit(&u->ring);
        return refused(error, "multishot receive", -ENOSYS);
    }
    return 0;
}

static int offers_init(struct sock_transport *t, struct leat_error *error)
{
    struct uring *u = t->uring;
    u->offers_bytes = u->block_count * sizeof(struct io_uring_buf);
    u->offers =
        mmap(NULL, u->offers_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (u->offers == MAP_FAILED) {
        return refused(error, "mmap", -errno);
    }
    /* After a fork the kernel and this process must still see the same page. */
    (void)madvise(u->offers, u->offers_bytes, MADV_DONTFORK);
    io_uring_buf_ring_init(u->offers);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)u->offers,
        .ring_entries = u->block_count,
        .bgid = URING_GROUP,
    };
    int result = io_uring_register_buf_ring(&u->ring, &registration, 0);
    if (result < 0) {
        munmap(u->offers, u->offers_bytes);
        return refused(error, "provided buffers", result);
    }
    u->blocks = leat_heap_calloc(u->block_count, sizeof(*u->blocks));
    u->missing = leat_heap_calloc(u->block_count, sizeof(*u->missing));
    if (u->blocks != NULL && u->missing != NULL) {
        for (uint32_t i = 0; i < u->block_count; i++) {
            u->missing[u->missing_count++] = (uint16_t)i;
        }
        if (refill(t)) {
            return 0;
        }
    }
    leat_heap_free(u->blocks);
    leat_heap_free(u->missing);
    munmap(u->offers, u->offers_bytes);
    return leat_fail(error, -ENOMEM, "memory is out: no buffers to receive into");
}

static void offers_fini(struct sock_transport *t)
{
    struct uring *u = t->uring;
    for (uint32_t i = 0; i < u->block_count; i++) {
        if (u->blocks[i].data != NULL) {
            leat_buf_unref(u->blocks[i]);
        }
    }
    leat_heap_free(u->blocks);
    leat_heap_free(u->missing);
    munmap(u->offers, u->offers_bytes);
}

static int uring_open(struct sock_transport *t, const struct leat_sockets_options *options,
                      struct leat_error *error)
{
    uint32_t count = options->receive_block_count != 0 ? options->receive_block_count
                                                       : URING_BLOCK_COUNT_DEFAULT;
    if (count > URING_BLOCK_COUNT_MAX || (count & (count - 1)) != 0) {
        return leat_fail(error, -EINVAL, "%u receive blocks: a power of two up to %d is wanted",
                         count, URING_BLOCK_COUNT_MAX);
    }
    struct uring *u = leat_heap_calloc(1, sizeof(*u));
    if (u == NULL) {
        return leat_fail(error, -ENOMEM, "memory is out: the sockets cannot be opened");
    }
    t->uring = u;
    u->block_count = count;
    t->receive_block_bytes =
        options->receive_block_bytes != 0 ? options->receive_block_bytes : URING_BLOCK_BYTES;
    int result = ring_init(u, error);
    if (result < 0) {
        goto no_ring;
    }
    result = offers_init(t, error);
    if (result < 0) {
        goto no_offers;
    }
    t->source.ops = &source_ops;
    result = leat_source_add(t->loop, &t->source);
    if (result < 0) {
        leat_fail(error, result, "%s", t->core->error.sentence);
        goto no_source;
    }
    return 0;
no_source:
    io_uring_queue_exit(&u->ring);
    offers_fini(t);
    leat_heap_free(u);
    t->uring = NULL;
    return result;
no_offers:
    io_uring_queue_exit(&u->ring);
no_ring:
    leat_heap_free(u);
    t->uring = NULL;
    return result;
}

static void uring_close(struct sock_transport *t)
{
    struct uring *u = t->uring;
    for (unsigned i = 0; i < URING_LENT_WAITS_MAX && u->lent_count > 0; i++) {
        struct __kernel_timespec timeout = {.tv_nsec = (long long)LEAT_NS_PER_MS};
        struct io_uring_cqe *cqe;
        (void)io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &timeout, NULL);
        (void)uring_poll(&t->source);
    }
    leat_source_remove(t->loop, &t->source);
    (void)io_uring_submit(&u->ring); /* descriptors that are to be closed */
    io_uring_queue_exit(&t->uring->ring);
    offers_fini(t);
    leat_heap_free(t->uring);
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
    .conn_established = uring_conn_established,
    .conn_read = uring_conn_read,
    .conn_flush = uring_conn_flush,
    .conn_stop = uring_conn_stop,
    .conn_is_idle = uring_conn_is_idle,
    .conn_deliver_parked = uring_conn_deliver_parked,
    .has_buffers = refill,
};
