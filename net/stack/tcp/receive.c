/* RFC 9293 3.10.7.4, seventh and eighth step: segment text and FIN. */
#include "net/stack/tcp/tcp.h"

bool tcp_text_waits(const struct tcp_conn *c)
{
    return (c->flags & TCP_PAUSED) || c->held_bytes >= c->receive_max;
}

/* Takes the text, which begins at rcv_nxt. False: no memory, it must come again. */
static bool text_keep(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g)
{
    struct tcp_work *w = c->work;
    if (!(c->flags & TCP_DETACHED)) {
        bool wait = tcp_text_waits(c) && tcp_rx_is_wasteful(t, g);
        if (wait && tcp_rx_append(w->rx_last, g)) {
            w->rx_bytes += g->length;
        } else {
            struct tcp_rx *rx = wait ? tcp_rx_copy(t, g) : tcp_rx_keep(t, g);
            if (rx == NULL) {
                stack_drop(t->stack, STACK_DROP_TCP_MEMORY);
                return false;
            }
            tcp_rx_enqueue(w, rx);
        }
    }
    c->rcv_nxt = seq_add(c->rcv_nxt, g->length);
    c->idle_since_ms = t->now_ms;
    return true;
}

/* RFC 9293 3.10.7.4, eighth step, once all before the FIN has come. */
static void on_fin(struct stack_tcp *t, struct tcp_conn *c)
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
static void fin_remember(struct stack_tcp *t, struct tcp_work *w, const struct tcp_segment *g)
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
        tcp_ecn_on_text(t, c, &g);
    fin_remember(t, w, &g);
    if (w->fin_known && seq_gt(seq_add(g.seq, g.length), w->rare.fin_seq)) {
        stack_drop(t->stack, STACK_DROP_TCP_AFTER_FIN);
        return;
    }
    if (g.length > 0 && !seq_eq(g.seq, c->rcv_nxt)) {
        tcp_ooo_insert(t, c, &g);
        return;
    }
    if (g.length > 0) {
        const struct tcp_rx *next = w->ooo_first;
        bool had_hole = next != NULL;
        seq32 end = seq_add(g.seq, g.length);
        if (had_hole && seq_lt(next->seq, end)) {
            seq32 have = seq_add(next->seq, next->length_bytes);
            tcp_set_dsack(w, next->seq, seq_lt(have, end) ? have : end);
        }
        if (!text_keep(t, c, &g))
            return;
        if (had_hole) {
            tcp_ooo_pull(c);
            c->flags |= TCP_ACK_NOW; /* RFC 5681 4.2: it fills a gap */
        }
        owe_ack(t, c, g.length);
        if (!(c->flags & (TCP_PAUSED | TCP_DETACHED)))
            tcp_want_deliver(t, c);
    }
    if (w->fin_known && seq_eq(c->rcv_nxt, w->rare.fin_seq))
        on_fin(t, c);
    else if (from->flags & TCP_FIN)
        c->flags |= TCP_ACK_NOW;
}
