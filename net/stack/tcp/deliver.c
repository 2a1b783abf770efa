/* Delivery: the callbacks of connections, once a burst. */
#include "net/stack/tcp/tcp.h"

#include "runtime/loop/profile.h"

static void call_data(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    struct leat_buf slices[TCP_SLICES_MAX];
    unsigned count = 0;
    while (w->rx_first != NULL && count < TCP_SLICES_MAX) {
        struct tcp_rx *rx = w->rx_first;
        w->rx_first = rx->next;
        w->rx_bytes -= rx->length_bytes;
        c->received_bytes += rx->length_bytes;
        slices[count] = (struct leat_buf){.data = (uint8_t *)(uintptr_t)rx->data,
                                          .length_bytes = rx->length_bytes};
        t->delivered[count++] = rx;
    }
    if (w->rx_first == NULL)
        w->rx_last = NULL;
    t->delivered_count = count;
    if (c->ops->on_data != NULL) {
        enum leat_layer outer = profile_enter(LEAT_LAYER_HANDLER);
        c->ops->on_data((leat_conn){c->id}, c->user, slices, count);
        leat_loop_gate(t->loop);
        profile_leave(outer);
    }
    t->delivered_count = 0;
    for (unsigned i = 0; i < count; i++)
        tcp_rx_unref(t->delivered[i]);
}

static bool may_call(const struct tcp_conn *c)
{
    return c->state != TCP_CLOSED && !(c->flags & TCP_DETACHED);
}

static void deliver_open(struct stack_tcp *t, struct tcp_conn *c)
{
    c->flags |= TCP_OPENED;
    if (c->ops->on_open != NULL) {
        enum leat_layer outer = profile_enter(LEAT_LAYER_HANDLER);
        c->ops->on_open((leat_conn){c->id}, c->user);
        leat_loop_gate(t->loop);
        profile_leave(outer);
    }
}

static void deliver_end(struct stack_tcp *t, struct tcp_conn *c)
{
    c->flags |= TCP_END_DELIVERED;
    if (c->ops->on_end != NULL) {
        enum leat_layer outer = profile_enter(LEAT_LAYER_HANDLER);
        c->ops->on_end((leat_conn){c->id}, c->user);
        leat_loop_gate(t->loop);
        profile_leave(outer);
    }
}

static void deliver_writable(struct stack_tcp *t, struct tcp_conn *c)
{
    if (!(c->flags & TCP_WANTS_WRITABLE) || tcp_queued_bytes(c) >= c->send_low ||
        (c->flags & TCP_FIN_QUEUED))
        return;
    c->flags &= (uint16_t)~TCP_WANTS_WRITABLE;
    if (c->ops->on_writable != NULL) {
        enum leat_layer outer = profile_enter(LEAT_LAYER_HANDLER);
        c->ops->on_writable((leat_conn){c->id}, c->user);
        leat_loop_gate(t->loop);
        profile_leave(outer);
    }
}

static void deliver_one(struct stack_tcp *t, struct tcp_conn *c)
{
    if (may_call(c) && !(c->flags & TCP_OPENED) && c->state >= TCP_ESTABLISHED)
        deliver_open(t, c);
    while (may_call(c) && c->work->rx_first != NULL && !tcp_text_waits(c))
        call_data(t, c);
    if (may_call(c) &&
        (c->flags & (TCP_FIN_RECEIVED | TCP_END_DELIVERED | TCP_PAUSED)) == TCP_FIN_RECEIVED &&
        c->work->rx_first == NULL)
        deliver_end(t, c);
    if (may_call(c) && (c->flags & TCP_OPENED))
        deliver_writable(t, c);
    if (c->state != TCP_CLOSED)
        tcp_settle(t, c);
}

/* What wants it from here on has its turn in the next call. */
void tcp_deliver(struct stack_tcp *t)
{
    struct tcp_work *w = t->deliver_first;
    t->in_burst = false;
    t->deliver_first = NULL;
    t->deliver_last = &t->deliver_first;
    while (w != NULL) {
        struct tcp_work *next = w->deliver_next;
        w->wants_deliver = false;
        if (w->conn != NULL && w->conn->state != TCP_CLOSED)
            deliver_one(t, w->conn);
        w = next;
    }
}
