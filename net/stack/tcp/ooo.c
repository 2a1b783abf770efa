/* Text that came out of order waits in a sorted list. */
#include "net/stack/tcp/tcp.h"

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
void tcp_ooo_pull(struct tcp_conn *c)
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
        tcp_rx_enqueue(w, rx);
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

void tcp_ooo_insert(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
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
    bool is_copied = tcp_rx_is_wasteful(t, g);
    if (is_copied && tcp_rx_append(before, g)) {
        rare->ooo_bytes += g->length;
        rare->ooo_hint = before;
        return;
    }
    if (rare->ooo_count >= TCP_OOO_RANGES_MAX || t->pressure != PRESSURE_NONE) {
        stack_drop(t->stack, STACK_DROP_TCP_OOO_LIMIT);
        return;
    }
    struct tcp_rx *rx = is_copied ? tcp_rx_copy(t, g) : tcp_rx_keep(t, g);
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
