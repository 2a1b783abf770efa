/* RFC 9293 3.10.7.4, seventh and eighth step: segment text and FIN; delivery to the application;
 * the receive window. */
#include "net/stack/tcp/tcp.h"

#include "buffers/heap.h"
#include "runtime/loop/profile.h"

#define WINDOW_LOW_BYTES 32768 /* with more than this promised nobody waits */
#define COPY_BYTES       2048  /* what is copied out is gathered in buffers of this size */

/* ---- received bytes ---- */

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
static struct tcp_rx *rx_keep(struct stack_tcp *t, const struct tcp_segment *g)
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
static struct tcp_rx *rx_copy(struct stack_tcp *t, const struct tcp_segment *g)
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
static bool rx_append(struct tcp_rx *rx, const struct tcp_segment *g)
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
static bool is_wasteful(const struct stack_tcp *t, const struct tcp_segment *g)
{
    return g->length * 2 < g->p->buffer_bytes || t->stack->kept_count >= t->stack->kept_max;
}

/* ---- in order ---- */

static void enqueue(struct tcp_work *w, struct tcp_rx *rx)
{
    rx->next = NULL;
    if (w->rx_last != NULL)
        w->rx_last->next = rx;
    else
        w->rx_first = rx;
    w->rx_last = rx;
    w->rx_bytes += rx->length_bytes;
}

static bool will_wait(const struct tcp_conn *c)
{
    return (c->flags & TCP_PAUSED) || c->held_bytes >= c->receive_max;
}

/* Takes the text, which begins at rcv_nxt. False: no memory, it must come again. */
static bool take_text(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g)
{
    struct tcp_work *w = c->work;
    if (!(c->flags & TCP_DETACHED)) {
        bool wait = will_wait(c) && is_wasteful(t, g);
        if (wait && rx_append(w->rx_last, g)) {
            w->rx_bytes += g->length;
        } else {
            struct tcp_rx *rx = wait ? rx_copy(t, g) : rx_keep(t, g);
            if (rx == NULL) {
                stack_drop(t->stack, STACK_DROP_TCP_MEMORY);
                return false;
            }
            enqueue(w, rx);
        }
    }
    c->rcv_nxt = seq_add(c->rcv_nxt, g->length);
    c->idle_since_ms = t->now_ms;
    return true;
}

/* ---- out of order ---- */

static void ooo_remove_first(struct tcp_work *w)
{
    struct tcp_rx *rx = w->ooo_first;
    w->ooo_first = rx->next;
    w->rare.ooo_count--;
    w->rare.ooo_bytes -= rx->length_bytes;
    if (w->rare.ooo_hint == rx)
        w->rare.ooo_hint = NULL;
}

/* Moves what became contiguous to the receive queue. */
static void ooo_pull(struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    struct tcp_rx *rx;
    while ((rx = w->ooo_first) != NULL && seq_le(rx->seq, c->rcv_nxt)) {
        uint32_t old = seq_span(rx->seq, c->rcv_nxt);
        ooo_remove_first(w);
        if (old >= rx->length_bytes || (c->flags & TCP_DETACHED)) {
            if (old < rx->length_bytes)
                c->rcv_nxt = seq_add(c->rcv_nxt, rx->length_bytes - old);
            tcp_rx_unref(rx);
            continue;
        }
        rx->data += old;
        rx->seq = c->rcv_nxt;
        rx->length_bytes -= old;
        c->rcv_nxt = seq_add(c->rcv_nxt, rx->length_bytes);
        enqueue(w, rx);
    }
}

/* The last range that begins at or before seq; NULL: before all. The hint makes a train of segments
 * behind one hole cheap. */
static struct tcp_rx *ooo_before(struct tcp_work *w, seq32 seq)
{
    struct tcp_rx *before = NULL;
    if (w->rare.ooo_hint != NULL && seq_le(w->rare.ooo_hint->seq, seq))
        before = w->rare.ooo_hint;
    else if (w->ooo_first != NULL && seq_le(w->ooo_first->seq, seq))
        before = w->ooo_first;
    while (before != NULL && before->next != NULL && seq_le(before->next->seq, seq))
        before = before->next;
    return before;
}

static void set_dsack(struct tcp_work *w, seq32 from, seq32 to)
{
    struct tcp_rare *rare = tcp_rare(w);
    w->has_dsack = true;
    rare->dsack_from = from;
    rare->dsack_to = to;
}

/* Drops from the segment's front what before has, and from its back what comes next; ranges that
 * the segment covers whole stay, and it is cut at the first of them: the rest comes again. */
static bool ooo_trim(struct tcp_work *w, struct tcp_rx *before, struct tcp_segment *g)
{
    seq32 end = seq_add(g->seq, g->length);
    if (before != NULL) {
        seq32 have = seq_add(before->seq, before->length_bytes);
        if (seq_ge(have, end)) {
            set_dsack(w, g->seq, end);
            return false;
        }
        if (seq_gt(have, g->seq)) {
            uint32_t cut = seq_span(g->seq, have);
            g->data += cut;
            g->length -= cut;
            g->seq = have;
        }
    }
    const struct tcp_rx *next = before != NULL ? before->next : w->ooo_first;
    if (next != NULL && seq_lt(next->seq, end))
        g->length = seq_span(g->seq, next->seq);
    return g->length > 0;
}

static void ooo_insert(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    struct tcp_work *w = c->work;
    struct tcp_rare *rare = tcp_rare(w);
    struct tcp_rx *before = ooo_before(w, g->seq);
    c->flags |= TCP_ACK_NOW; /* RFC 5681 4.2 */
    t->count.ooo++;
    rare->last_ooo = g->seq;
    if (!ooo_trim(w, before, g)) {
        stack_drop(t->stack, STACK_DROP_TCP_DUPLICATE);
        return;
    }
    bool is_copied = is_wasteful(t, g);
    if (is_copied && rx_append(before, g)) {
        rare->ooo_bytes += g->length;
        rare->ooo_hint = before;
        return;
    }
    if (rare->ooo_count >= TCP_OOO_RANGES_MAX || t->pressure != PRESSURE_NONE) {
        stack_drop(t->stack, STACK_DROP_TCP_OOO_LIMIT);
        return;
    }
    struct tcp_rx *rx = is_copied ? rx_copy(t, g) : rx_keep(t, g);
    if (rx == NULL) {
        stack_drop(t->stack, STACK_DROP_TCP_MEMORY);
        return;
    }
    struct tcp_rx **link = before != NULL ? &before->next : &w->ooo_first;
    rx->next = *link;
    *link = rx;
    rare->ooo_hint = rx;
    rare->ooo_count++;
    rare->ooo_bytes += rx->length_bytes;
}

/* ---- FIN ---- */

/* RFC 9293 3.10.7.4, eighth step, once all before the FIN has come. */
static void take_fin(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    w->fin_known = false;
    c->rcv_nxt = seq_add(c->rcv_nxt, 1);
    c->rcv_edge = seq_max(c->rcv_edge, c->rcv_nxt);
    c->flags |= TCP_FIN_RECEIVED | TCP_ACK_NOW;
    bool is_acked = (c->flags & TCP_FIN_SENT) && seq_eq(c->snd_una, c->snd_nxt);
    if (c->state == TCP_ESTABLISHED || c->state == TCP_SYN_RCVD)
        c->state = TCP_CLOSE_WAIT;
    else if (c->state == TCP_FIN_WAIT_2 || (c->state == TCP_FIN_WAIT_1 && is_acked))
        c->state = TCP_TIME_WAIT;
    else if (c->state == TCP_FIN_WAIT_1)
        c->state = TCP_CLOSING;
    tcp_want_deliver(t, c);
    tcp_settle(t, c);
}

static bool has_text_beyond(const struct tcp_work *w, seq32 seq)
{
    for (const struct tcp_rx *rx = w->ooo_first; rx != NULL; rx = rx->next)
        if (seq_gt(seq_add(rx->seq, rx->length_bytes), seq))
            return true;
    return false;
}

/* The position of the FIN is remembered. One before text that has come already is not believed: the
 * stream cannot end there. */
static void note_fin(struct stack_tcp *t, struct tcp_work *w, const struct tcp_segment *g)
{
    seq32 fin = seq_add(g->seq, g->length);
    if (!(g->flags & TCP_FIN) || w->fin_known)
        return;
    if (has_text_beyond(w, fin)) {
        stack_drop(t->stack, STACK_DROP_TCP_AFTER_FIN);
        return;
    }
    w->fin_known = true;
    tcp_rare(w)->fin_seq = fin;
}

/* RFC 9293 3.8.6.3: every second full segment at once, others within the delay. */
static void owe_ack(struct stack_tcp *t, struct tcp_conn *c, uint32_t length)
{
    struct tcp_work *w = c->work;
    w->unacked_segments += length >= c->mss ? 2 : 1;
    if (w->unacked_segments >= 4 || w->ooo_first != NULL || w->has_dsack) {
        c->flags |= TCP_ACK_NOW;
        return;
    }
    if (!(c->flags & TCP_ACK_LATER)) {
        c->flags |= TCP_ACK_LATER;
        w->ack_ns = t->stack->now_ns + TCP_DELAYED_ACK_NS;
        t->count.delayed_acks++;
    }
}

void tcp_receive(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *from)
{
    if (from->length == 0 && !(from->flags & TCP_FIN))
        return;
    if (c->flags & TCP_FIN_RECEIVED) {
        stack_drop(t->stack, STACK_DROP_TCP_AFTER_FIN);
        return;
    }
    struct tcp_work *w = tcp_work_of(c);
    if (w == NULL)
        return;
    struct tcp_segment g = *from;
    tcp_dirty(c);
    if (unlikely((c->ecn & ECN_ON) && g.length > 0))
        tcp_ecn_take_text(t, c, &g);
    note_fin(t, w, &g);
    if (w->fin_known && seq_gt(seq_add(g.seq, g.length), w->rare.fin_seq)) {
        stack_drop(t->stack, STACK_DROP_TCP_AFTER_FIN);
        return;
    }
    if (g.length > 0 && !seq_eq(g.seq, c->rcv_nxt)) {
        ooo_insert(t, c, &g);
        return;
    }
    if (g.length > 0) {
        bool had_hole = w->ooo_first != NULL;
        if (!take_text(t, c, &g))
            return;
        if (had_hole) {
            ooo_pull(c);
            c->flags |= TCP_ACK_NOW; /* RFC 5681 4.2: it fills a gap */
        }
        owe_ack(t, c, g.length);
        if (!(c->flags & (TCP_PAUSED | TCP_DETACHED)))
            tcp_want_deliver(t, c);
    }
    if (w->fin_known && seq_eq(c->rcv_nxt, w->rare.fin_seq))
        take_fin(t, c);
    else if (from->flags & TCP_FIN)
        c->flags |= TCP_ACK_NOW;
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

/* ---- window ---- */

uint32_t tcp_window(const struct tcp_conn *c)
{
    uint32_t used = c->held_bytes + (c->work != NULL ? c->work->rx_bytes : 0);
    const struct stack_tcp *t = tcp_of(c);
    uint32_t max =
        likely(t->pressure == PRESSURE_NONE) ? c->receive_max : tcp_pressure_window(t, c);
    return used < max ? max - used : 0;
}

/* RFC 9293 3.8.6.2.2: no small steps. */
bool tcp_window_may_grow(const struct tcp_conn *c)
{
    uint32_t promised = seq_span(c->rcv_nxt, c->rcv_edge), open = tcp_window(c);
    uint32_t step = 2u * c->mss < c->receive_max / 2 ? 2u * c->mss : c->receive_max / 2;
    uint32_t most = 65535u << c->rcv_scale;
    open = open < most ? open : most;
    return !(c->flags & TCP_FIN_RECEIVED) && open > promised && open - promised >= step;
}

/* Worth a segment of its own: the peer may be waiting for it. */
bool tcp_window_update_due(const struct tcp_conn *c)
{
    uint32_t promised = seq_span(c->rcv_nxt, c->rcv_edge);
    bool is_low = promised < c->receive_max / 2 && promised < WINDOW_LOW_BYTES;
    return (is_low || promised < 2u * c->mss) && tcp_window_may_grow(c);
}

/* ---- delivery ---- */

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
    while (may_call(c) && c->work->rx_first != NULL && !will_wait(c))
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
