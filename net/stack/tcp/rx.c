/* Received bytes: kept where they lie, or copied out of buffers that are much larger. */
#include "net/stack/tcp/tcp.h"

#include "buffers/heap.h"

#define COPY_BYTES 2048 /* what is copied out is gathered in buffers of this size */

void tcp_rx_unref(struct tcp_rx *rx)
{
    if (--rx->refs > 0)
        return;
    struct stack *s = rx->stack;
    if (rx->rx_flags & RX_HEAP)
        s->tcp->copied_bytes -= rx->buffer_bytes;
    else
        s->kept_count--;
    stack_release(s, rx->handle, rx->queue, rx->rx_flags);
    tcp_pool_give(&s->tcp->rxs, rx);
}

/* Keeps the packet's buffer: no byte moves. */
struct tcp_rx *tcp_rx_keep(struct stack_tcp *t, const struct tcp_segment *g)
{
    struct tcp_rx *rx = tcp_pool_take(&t->rxs);
    if (rx == NULL)
        return NULL;
    *rx = (struct tcp_rx){.stack = t->stack,
                          .data = g->data,
                          .handle = g->p->handle,
                          .length_bytes = g->length,
                          .buffer_bytes = g->p->buffer_bytes,
                          .seq = g->seq,
                          .refs = 1,
                          .rx_flags = (uint8_t)(g->p->flags & (RX_HEAP | RX_FOREIGN)),
                          .queue = g->p->queue};
    g->p->flags |= RX_KEPT;
    if (rx->rx_flags & RX_HEAP)
        t->copied_bytes += rx->buffer_bytes;
    else
        t->stack->kept_count++;
    return rx;
}

/* Copies the payload out of a buffer that is much larger: budgets are of buffer bytes. */
struct tcp_rx *tcp_rx_copy(struct stack_tcp *t, const struct tcp_segment *g)
{
    uint32_t bytes = g->length < COPY_BYTES ? COPY_BYTES : g->length;
    bool has_room = t->copied_bytes + bytes <= t->copied_bytes_max;
    struct tcp_rx *rx = has_room ? tcp_pool_take(&t->rxs) : NULL;
    uint8_t *to = rx != NULL ? leat_heap_alloc(bytes) : NULL;
    if (to == NULL) {
        if (rx != NULL)
            tcp_pool_give(&t->rxs, rx);
        return NULL;
    }
    memcpy(to, g->data, g->length);
    *rx = (struct tcp_rx){.stack = t->stack,
                          .data = to,
                          .handle = to,
                          .length_bytes = g->length,
                          .buffer_bytes = bytes,
                          .seq = g->seq,
                          .refs = 1,
                          .rx_flags = RX_HEAP};
    t->count.compacted++;
    t->copied_bytes += bytes;
    return rx;
}

/* Behind an own copy that has room and ends where the segment begins. */
bool tcp_rx_append(struct tcp_rx *rx, const struct tcp_segment *g)
{
    if (rx == NULL || !(rx->rx_flags & RX_HEAP) || rx->data != rx->handle || rx->refs != 1 ||
        !seq_eq(seq_add(rx->seq, rx->length_bytes), g->seq) ||
        rx->length_bytes + g->length > rx->buffer_bytes)
        return false;
    memcpy((uint8_t *)rx->handle + rx->length_bytes, g->data, g->length);
    rx->length_bytes += g->length;
    return true;
}

/* Not to be kept where it lies: the buffer is much larger, or the port needs it. */
bool tcp_rx_is_wasteful(const struct stack_tcp *t, const struct tcp_segment *g)
{
    return g->length * 2 < g->p->buffer_bytes || t->stack->kept_count >= t->stack->kept_max;
}

void tcp_rx_enqueue(struct tcp_work *w, struct tcp_rx *rx)
{
    rx->next = NULL;
    if (w->rx_last != NULL)
        w->rx_last->next = rx;
    else
        w->rx_first = rx;
    w->rx_last = rx;
    w->rx_bytes += rx->length_bytes;
}

void tcp_drop_received(struct stack_tcp *t, struct tcp_conn *c)
{
    (void)t;
    struct tcp_work *w = c->work;
    struct tcp_rx *rx;
    while ((rx = w->rx_first) != NULL) {
        w->rx_first = rx->next;
        tcp_rx_unref(rx);
    }
    w->rx_last = NULL;
    w->rx_bytes = 0;
}

/* ---- hold ---- */

static void on_held_free(void *arg)
{
    tcp_rx_unref(arg);
}

struct leat_buf tcp_hold(struct stack_tcp *t, struct tcp_conn *c, struct leat_buf slice)
{
    for (unsigned i = 0; i < t->delivered_count; i++) {
        struct tcp_rx *rx = t->delivered[i];
        if (slice.data < rx->data || slice.data + slice.length_bytes > rx->data + rx->length_bytes)
            continue;
        struct leat_buf held;
        bool is_lent = !(rx->rx_flags & RX_HEAP) && t->stack->kept_count > t->stack->kept_max;
        if (rx->buffer_bytes > 2 * slice.length_bytes || is_lent) {
            held = leat_buf_from_bytes(slice.data, slice.length_bytes);
        } else {
            held = leat_buf_wrap(slice.data, slice.length_bytes, on_held_free, rx);
            rx->refs += held.data != NULL;
        }
        if (held.data != NULL)
            c->held_bytes += (uint32_t)slice.length_bytes;
        return held;
    }
    return (struct leat_buf){0};
}
