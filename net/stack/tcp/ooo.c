/* Text that came out of order waits in a sorted list. */
#include "net/stack/tcp/tcp.h"

#define OOO_ACKS_PER_BURST 3

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

void tcp_set_dsack(struct tcp_work *w, seq32 from, seq32 to)
{
    struct tcp_rare *rare = tcp_rare(w);
    if (w->has_dsack)
        return; /* the first of those that no ACK has told of yet */
    w->has_dsack = true;
    rare->dsack_from = from;
    rare->dsack_to = to;
}

/* RFC 5681 4.2: each segment out of order draws a duplicate ACK, so that a peer without SACK counts
 * to three; more than three for one burst tell it nothing. The last is left to the output. */
static void duplicate_ack_owe(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_rare *rare = tcp_rare(c->work);
    if (rare->dup_acks_burst != t->burst || rare->dup_acks_owed == 0) {
        rare->dup_acks_burst = t->burst;
        rare->dup_acks_owed = 0;
    } else if (rare->dup_acks_owed < OOO_ACKS_PER_BURST && (c->flags & TCP_ACK_NOW)) {
        tcp_send_ack(t, c); /* of the one before */
    }
    if (rare->dup_acks_owed < OOO_ACKS_PER_BURST)
        rare->dup_acks_owed++;
    c->flags |= TCP_ACK_NOW;
}

/* The range of the segment is the one that SACK tells of first. A train of segments is one. */
static void grown_push(struct tcp_rare *rare, const struct tcp_segment *g)
{
    bool is_train = rare->grown_count > 0 && seq_eq(g->seq, rare->grown_end);
    unsigned kept = rare->grown_count < TCP_SACK_GROWN ? rare->grown_count : TCP_SACK_GROWN - 1;
    rare->grown_end = seq_add(g->seq, g->length);
    if (!is_train) {
        memmove(&rare->grown[1], &rare->grown[0], kept * sizeof(rare->grown[0]));
        rare->grown_count = (uint8_t)(kept + 1);
    }
    rare->grown[0] = g->seq;
}

static void front_drop(struct tcp_segment *g, uint32_t bytes)
{
    g->data += bytes;
    g->length -= bytes;
    g->seq = seq_add(g->seq, bytes);
}

/* Drops from the segment's front what before has. False: that was all. */
static bool front_is_new(struct tcp_work *w, const struct tcp_rx *before, struct tcp_segment *g)
{
    seq32 end = seq_add(g->seq, g->length);
    seq32 have = before != NULL ? seq_add(before->seq, before->length_bytes) : g->seq;
    if (!seq_gt(have, g->seq))
        return true;
    seq32 old_end = seq_lt(have, end) ? have : end;
    tcp_set_dsack(w, g->seq, old_end);
    front_drop(g, seq_span(g->seq, old_end));
    return g->length > 0;
}

enum piece {
    PIECE_KEPT,
    PIECE_REFUSED, /* counted; the rest would be, too */
};

/* One gap's part of the segment, behind before. What is_split may not keep the packet: another part
 * does. */
static LEAT_MUST_CHECK enum piece piece_insert(struct stack_tcp *t, struct tcp_work *w,
                                               struct tcp_rx *before, const struct tcp_segment *g,
                                               bool is_split)
{
    struct tcp_rare *rare = tcp_rare(w);
    bool is_copied = is_split || tcp_rx_is_wasteful(t, g);
    if (is_copied && tcp_rx_append(before, g)) {
        rare->ooo_bytes += g->length;
        rare->ooo_hint = before;
        return PIECE_KEPT;
    }
    if (rare->ooo_count >= TCP_OOO_RANGES_MAX || t->pressure != PRESSURE_NONE) {
        stack_drop(t->stack, STACK_DROP_TCP_OOO_LIMIT);
        return PIECE_REFUSED;
    }
    struct tcp_rx *rx = is_copied ? tcp_rx_copy(t, g) : tcp_rx_keep(t, g);
    if (rx == NULL) {
        stack_drop(t->stack, STACK_DROP_TCP_MEMORY);
        return PIECE_REFUSED;
    }
    struct tcp_rx **link = before != NULL ? &before->next : &w->ooo_first;
    rx->next = *link;
    *link = rx;
    rare->ooo_hint = rx;
    rare->ooo_count++;
    rare->ooo_bytes += rx->length_bytes;
    return PIECE_KEPT;
}

/* RFC 9293 3.10.7.4, SHLD-31: what of the segment is new is kept, wherever ranges that have come
 * already cut it. Each turn fills a gap, so there are no more than ranges. */
void tcp_ooo_insert(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    struct tcp_work *w = c->work;
    bool is_split = false, is_any = false;
    t->count.ooo++;
    duplicate_ack_owe(t, c);
    grown_push(tcp_rare(w), g);
    while (g->length > 0) {
        struct tcp_rx *before = ooo_before(w, g->seq);
        if (!front_is_new(w, before, g))
            break;
        const struct tcp_rx *next = before != NULL ? before->next : w->ooo_first;
        struct tcp_segment piece = *g;
        if (next != NULL && seq_lt(next->seq, seq_add(g->seq, g->length)))
            piece.length = seq_span(g->seq, next->seq);
        if (piece.length == 0)
            continue; /* what comes next begins where the front ended */
        is_split |= piece.length < g->length;
        if (piece_insert(t, w, before, &piece, is_split) != PIECE_KEPT)
            return;
        is_any = true;
        front_drop(g, piece.length);
    }
    if (!is_any)
        stack_drop(t->stack, STACK_DROP_TCP_DUPLICATE);
}
