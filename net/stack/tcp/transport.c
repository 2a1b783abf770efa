/* The functions of the transport (leat/conn.h), connecting and listening apart. */
#include "net/stack/tcp/tcp.h"

#include <errno.h>

static struct tcp_conn *conn_find(struct leat_transport *transport, leat_conn conn)
{
    return slots_find(&tcp_of_transport(transport)->conns, conn.id);
}

/* ---- sending ---- */

static int may_send(struct tcp_conn *c)
{
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED || (c->flags & TCP_FIN_QUEUED))
        return -EPIPE;
    if (tcp_queued_bytes(c) >= c->send_high) {
        c->flags |= TCP_WANTS_WRITABLE;
        return -EAGAIN;
    }
    return 0;
}

void tcp_push_chunk(struct tcp_work *w, struct tcp_chunk *k, struct leat_buf buf)
{
    *k = (struct tcp_chunk){.seq = w->send_end, .buf = buf};
    if (w->send_last != NULL)
        w->send_last->next = k;
    else
        w->send_first = k;
    w->send_last = k;
    w->send_end = seq_add(w->send_end, (uint32_t)buf.length_bytes);
}

static uint64_t total_bytes(const struct leat_buf *bufs, unsigned count)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += bufs[i].length_bytes;
    return total;
}

static void give_chunks(struct stack_tcp *t, struct tcp_chunk *k)
{
    while (k != NULL) {
        struct tcp_chunk *next = k->next;
        tcp_pool_give(&t->chunks, k);
        k = next;
    }
}

/* All or nothing: every chunk is taken before the first is queued. */
static int queue_bufs(struct stack_tcp *t, struct tcp_conn *c, const struct leat_buf *bufs,
                      unsigned count)
{
    struct tcp_work *w = tcp_work_of(c);
    struct tcp_chunk *spare = NULL;
    if (w == NULL)
        return -ENOMEM;
    if (unlikely(w->later_first != NULL || !tcp_has_numbers_for(c, total_bytes(bufs, count))))
        return tcp_later_bufs(t, c, bufs, count);
    for (unsigned i = 0; i < count; i++) {
        struct tcp_chunk *k = tcp_pool_take(&t->chunks);
        if (k == NULL) {
            give_chunks(t, spare);
            return -ENOMEM;
        }
        k->next = spare;
        spare = k;
    }
    for (unsigned i = 0; i < count; i++) {
        struct tcp_chunk *k = spare;
        spare = k->next;
        if (bufs[i].length_bytes == 0) {
            leat_buf_unref(bufs[i]);
            tcp_pool_give(&t->chunks, k);
        } else {
            tcp_push_chunk(w, k, bufs[i]);
        }
    }
    return 0;
}

static int tcp_send(struct leat_transport *transport, leat_conn conn, const struct leat_buf *bufs,
                    unsigned count)
{
    struct tcp_conn *c = conn_find(transport, conn);
    int result = may_send(c);
    uint64_t bytes = total_bytes(bufs, count);
    if (result == 0)
        result = queue_bufs(tcp_of_transport(transport), c, bufs, count);
    if (result < 0)
        return result;
    c->accepted_bytes += bytes;
    tcp_dirty(c);
    return tcp_queued_bytes(c) >= c->send_high;
}

/* C19; read in pieces by and by: file.c. */
static int tcp_send_file(struct leat_transport *transport, leat_conn conn, struct leat_file *file,
                         uint64_t offset_bytes, uint64_t length_bytes)
{
    struct stack_tcp *t = tcp_of_transport(transport);
    struct tcp_conn *c = conn_find(transport, conn);
    int result = may_send(c);
    if (result == 0 && (offset_bytes > INT64_MAX || length_bytes > INT64_MAX - offset_bytes))
        return -EINVAL;
    if (result == 0 && length_bytes > 0)
        result = tcp_later_file(t, c, file, offset_bytes, length_bytes);
    if (result < 0)
        return result;
    c->accepted_bytes += length_bytes;
    tcp_dirty(c);
    return tcp_queued_bytes(c) >= c->send_high;
}

static int tcp_want_writable(struct leat_transport *transport, leat_conn conn)
{
    struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED || (c->flags & TCP_FIN_QUEUED))
        return -EPIPE;
    c->flags |= TCP_WANTS_WRITABLE;
    if (tcp_queued_bytes(c) < c->send_low)
        tcp_want_deliver(tcp_of_transport(transport), c);
    return 0;
}

/* ---- ending ---- */

static int tcp_end(struct leat_transport *transport, leat_conn conn)
{
    struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED || (c->flags & TCP_FIN_QUEUED))
        return 0;
    c->flags |= TCP_FIN_QUEUED;
    c->predicted = 0;
    tcp_dirty(c);
    return 0;
}

/* Soon or not: it is we who see to it that the peer gets everything. */
static int tcp_close(struct leat_transport *transport, leat_conn conn, bool soon)
{
    struct stack_tcp *t = tcp_of_transport(transport);
    struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED || (c->flags & TCP_DETACHED))
        return 0;
    tcp_set_now(t);
    c->flags |= TCP_FIN_QUEUED | TCP_DETACHED;
    c->flags &= (uint16_t)~TCP_WANTS_WRITABLE;
    c->predicted = 0;
    struct tcp_work *w = tcp_work_of(c);
    if (c->state < TCP_ESTABLISHED || w == NULL) {
        tcp_conn_close(t, c, LEAT_CLOSE_ABORTED);
        return 0;
    }
    tcp_drop_received(t, c);
    if (c->flags & TCP_FIN_SENT)
        tcp_start_linger(t, c);
    tcp_dirty(c);
    tcp_settle(t, c);
    return 0;
}

static int tcp_abort(struct leat_transport *transport, leat_conn conn)
{
    struct stack_tcp *t = tcp_of_transport(transport);
    struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED)
        return 0;
    tcp_set_now(t);
    if (c->state >= TCP_ESTABLISHED || c->state == TCP_SYN_RCVD)
        tcp_send_reset(t, c);
    tcp_conn_close(t, c, LEAT_CLOSE_ABORTED);
    return 0;
}

/* ---- receiving ---- */

static int tcp_pause(struct leat_transport *transport, leat_conn conn, bool paused)
{
    struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (paused) {
        c->flags |= TCP_PAUSED;
        return 0;
    }
    c->flags &= (uint16_t)~TCP_PAUSED;
    if (c->work != NULL || (c->flags & (TCP_FIN_RECEIVED | TCP_END_DELIVERED)) == TCP_FIN_RECEIVED)
        tcp_want_deliver(tcp_of_transport(transport), c);
    return 0;
}

static struct leat_buf tcp_transport_hold(struct leat_transport *transport, leat_conn conn,
                                          struct leat_buf slice)
{
    struct tcp_conn *c = conn_find(transport, conn);
    return c != NULL ? tcp_hold(tcp_of_transport(transport), c, slice) : (struct leat_buf){0};
}

/* Frames are the port's, which has few: what is to stay goes out of them. */
static struct leat_buf tcp_take(struct leat_transport *transport, leat_conn conn,
                                struct leat_buf slice)
{
    return conn_find(transport, conn) != NULL ? leat_buf_from_bytes(slice.data, slice.length_bytes)
                                              : (struct leat_buf){0};
}

static void tcp_release(struct leat_transport *transport, leat_conn conn, struct leat_buf held)
{
    struct tcp_conn *c = conn_find(transport, conn);
    uint32_t bytes = (uint32_t)held.length_bytes;
    leat_buf_unref(held);
    if (c == NULL || c->state == TCP_CLOSED)
        return;
    CHECK(c->held_bytes >= bytes);
    c->held_bytes -= bytes;
    if (c->work != NULL && c->work->rx_first != NULL)
        tcp_want_deliver(tcp_of_transport(transport), c);
    else if (tcp_window_update_due(c))
        tcp_dirty(c);
}

/* ---- the rest ---- */

static int tcp_set(struct leat_transport *transport, leat_conn conn,
                   const struct leat_conn_ops *ops, void *user)
{
    struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (ops != NULL)
        c->ops = ops;
    c->user = user;
    return 0;
}

static int tcp_set_timeout(struct leat_transport *transport, leat_conn conn, uint64_t timeout_ns)
{
    struct stack_tcp *t = tcp_of_transport(transport);
    struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    tcp_set_now(t);
    c->timeout_ms = tcp_to_ms(timeout_ns, 0);
    if (c->state != TCP_CLOSED)
        tcp_arm_user(t, c);
    return 0;
}

/* Probes that are under way belong to the keepalive before. */
static void keepalive_set(struct stack_tcp *t, struct tcp_conn *c, uint64_t keepalive_ns)
{
    c->keepalive_ms = tcp_to_ms(keepalive_ns, 0);
    if (c->work != NULL && c->work->xmit_timer != XMIT_PERSIST)
        c->work->probes = 0;
    tcp_arm_user(t, c);
}

static int tcp_set_option(struct leat_transport *transport, leat_conn conn,
                          enum leat_transport_option option, uint64_t value)
{
    struct stack_tcp *t = tcp_of_transport(transport);
    struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (c->state < TCP_ESTABLISHED)
        return -ENOTCONN;
    tcp_set_now(t);
    switch (option) {
    case LEAT_TRANSPORT_NAGLE:
        c->flags = (uint16_t)((c->flags & ~TCP_NAGLE) | (value != 0 ? TCP_NAGLE : 0));
        break;
    case LEAT_TRANSPORT_KEEPALIVE:
        keepalive_set(t, c, value);
        break;
    case LEAT_TRANSPORT_USER_TIMEOUT:
        c->user_timeout_s = tcp_to_seconds(value);
        if (c->work != NULL)
            tcp_user_timeout_changed(c);
        break;
    }
    if (c->work != NULL) /* what waits may go, and deadlines have moved */
        tcp_dirty(c);
    return 0;
}

static int tcp_address(struct leat_transport *transport, leat_conn conn, bool peer,
                       struct leat_addr *addr)
{
    const struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    *addr = peer ? tcp_to_addr(&c->remote, c->remote_port) : tcp_to_addr(&c->local, c->local_port);
    return 0;
}

static int tcp_info(struct leat_transport *transport, leat_conn conn, struct leat_conn_info *info)
{
    const struct tcp_conn *c = conn_find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    *info = (struct leat_conn_info){.received_bytes = c->received_bytes,
                                    .sent_bytes = tcp_sent_bytes(c),
                                    .queued_bytes = tcp_queued_bytes(c),
                                    .held_bytes = c->held_bytes,
                                    .transport = "stack"};
    return 0;
}

const struct leat_transport_ops tcp_transport_ops = {
    .name = "stack",
    .listen = tcp_listen,
    .connect = tcp_connect,
    .listener_close = tcp_listener_close,
    .listener_pause = tcp_listener_pause,
    .send = tcp_send,
    .send_file = tcp_send_file,
    .want_writable = tcp_want_writable,
    .end = tcp_end,
    .close = tcp_close,
    .abort = tcp_abort,
    .pause = tcp_pause,
    .hold = tcp_transport_hold,
    .take = tcp_take,
    .release = tcp_release,
    .set = tcp_set,
    .set_timeout = tcp_set_timeout,
    .set_option = tcp_set_option,
    .address = tcp_address,
    .info = tcp_info,
};
