/* The invariants of tcp.h, executable: each gives the sentence of the one that does not hold. */
#include "net/stack/tcp/tcp.h"

#define WASTE_EACH_BYTES (9000 + 18) /* the largest buffer that keeps a byte or two for a while */

/* The send side: ranges cover what is in flight exactly, counts are sums over them. */
static const char *invalid_sent(const struct tcp_conn *c, const struct tcp_work *w)
{
    uint32_t sacked = 0, lost = 0, resent = 0, count = 0;
    seq32 at = c->snd_una;
    const struct tcp_sent *last = NULL;
    for (const struct tcp_sent *r = w->sent_first; r != NULL; r = r->next) {
        uint32_t span = seq_span(r->from, r->to);
        if (!seq_eq(r->from, at) || !seq_gt(r->to, r->from) || r->prev != last)
            return "the ranges in flight have a gap, overlap, or are linked wrongly";
        if ((r->flags & SENT_SACKED) && (r->flags & (SENT_LOST | SENT_RESENT)))
            return "a range is sacked and lost at once";
        if ((r->flags & SENT_RESENT) && !(r->flags & SENT_LOST))
            return "a range was sent again that is not lost";
        sacked += r->flags & SENT_SACKED ? span : 0;
        lost += r->flags & SENT_LOST ? span : 0;
        resent += r->flags & SENT_RESENT ? span : 0;
        at = r->to;
        last = r;
        count++;
    }
    if (!seq_eq(at, c->snd_nxt) || last != w->sent_last || count != w->sent_count)
        return "the ranges in flight do not end at SND.NXT, or are counted wrongly";
    if (sacked != w->sacked_bytes || lost != w->lost_bytes || resent != w->resent_bytes)
        return "the bytes sacked, lost or sent again are counted wrongly";
    return count > TCP_SENT_RANGES_MAX ? "more ranges in flight than their limit" : NULL;
}

static const char *invalid_queue(const struct tcp_work *w)
{
    seq32 at = w->send_first != NULL ? w->send_first->seq : w->send_end;
    for (const struct tcp_chunk *k = w->send_first; k != NULL; k = k->next) {
        if (!seq_eq(k->seq, at))
            return "what waits to be sent has a gap or overlaps";
        at = seq_add(at, (uint32_t)k->buf.length_bytes);
    }
    return seq_eq(at, w->send_end) ? NULL : "what waits to be sent does not end where it should";
}

/* The receive side. Budgets are of buffers: what is kept may waste as much as it holds, and a
 * buffer for each range out of order and each frame of a burst. */
static const char *invalid_received(const struct tcp_conn *c, const struct tcp_work *w)
{
    const uint64_t waste_max = (TCP_OOO_RANGES_MAX + LEAT_PORT_BURST) * (uint64_t)WASTE_EACH_BYTES;
    uint32_t bytes = 0, count = 0;
    uint64_t kept = 0;
    for (const struct tcp_rx *rx = w->rx_first; rx != NULL; rx = rx->next) {
        if (rx->length_bytes == 0 || rx->refs == 0)
            return "an empty or freed buffer waits for delivery";
        bytes += rx->length_bytes;
        kept += rx->buffer_bytes;
    }
    if (bytes != w->rx_bytes)
        return "the bytes that wait for delivery are counted wrongly";
    seq32 at = c->rcv_nxt;
    bytes = 0;
    for (const struct tcp_rx *rx = w->ooo_first; rx != NULL; rx = rx->next) {
        if (rx->length_bytes == 0 || seq_lt(rx->seq, at))
            return "ranges out of order overlap, are empty, or are not sorted";
        at = seq_add(rx->seq, rx->length_bytes);
        bytes += rx->length_bytes;
        kept += rx->buffer_bytes;
        count++;
    }
    if (bytes != w->rare.ooo_bytes || count != w->rare.ooo_count)
        return "ranges out of order are counted wrongly";
    if (count > TCP_OOO_RANGES_MAX)
        return "more ranges out of order than their limit";
    if (w->ooo_first != NULL && !seq_gt(w->ooo_first->seq, c->rcv_nxt))
        return "a range out of order is in order";
    return kept > 2 * (uint64_t)(w->rx_bytes + w->rare.ooo_bytes) + waste_max
               ? "what waits keeps buffers of many times its size"
               : NULL;
}

/* What is unacknowledged has a timer, an owed ACK too, and the timer is not later than either. */
static const char *invalid_timers(const struct tcp_conn *c, const struct tcp_work *w)
{
    if (w->is_dirty)
        return NULL;
    if (!seq_eq(c->snd_una, c->snd_nxt) && w->xmit_ns == STACK_NEVER)
        return "data is unacknowledged and has no timer";
    if ((c->flags & TCP_ACK_LATER) && w->ack_ns == STACK_NEVER)
        return "an ACK is owed and has no timer";
    if (tcp_has_unsent(c) && w->xmit_ns == STACK_NEVER)
        return "data waits to be sent and has no timer";
    if (c->state < TCP_ESTABLISHED && w->rare.end_ns == 0)
        return "a connection that is being opened may take for ever";
    uint64_t due = tcp_due_ns(w);
    if (due != STACK_NEVER && (!leat_timer_is_started(&w->timer) || w->timer.deadline_ns > due))
        return "the timer is later than what it is for";
    return NULL;
}

bool tcp_rare_is_zero(const struct tcp_work *w)
{
    const uint8_t *bytes = (const uint8_t *)&w->rare;
    uint8_t all = 0;
    for (size_t i = 0; i < sizeof(w->rare); i++)
        all |= bytes[i];
    return all == 0;
}

const char *tcp_invalid(const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    const char *sentence;
    if (c->state == TCP_CLOSED)
        return NULL;
    if (seq_gt(c->snd_una, c->snd_nxt))
        return "SND.UNA is behind SND.NXT";
    if (seq_gt(c->rcv_nxt, c->rcv_edge))
        return "RCV.NXT is behind the window's right edge";
    if (w == NULL)
        return seq_eq(c->snd_una, c->snd_nxt) && !(c->flags & (TCP_ACK_NOW | TCP_ACK_LATER))
                   ? NULL
                   : "an idle connection has data unacknowledged or owes an ACK";
    if (w->conn != c)
        return "the work is another connection's";
    if (!w->has_rare && !tcp_rare_is_zero(w))
        return "what is rarely used is in use, and not marked";
    sentence = invalid_sent(c, w);
    sentence = sentence != NULL ? sentence : invalid_queue(w);
    sentence = sentence != NULL ? sentence : invalid_received(c, w);
    return sentence != NULL ? sentence : invalid_timers(c, w);
}

void tcp_validate(struct stack_tcp *t, struct tcp_conn *c)
{
    (void)t;
    const char *broken_invariant = tcp_invalid(c);
    if (broken_invariant != NULL)
        leat_panic(__FILE__, __LINE__, __func__, "%s", broken_invariant);
}

/* ---- counts ---- */

struct census {
    uint32_t conns, works, chunks, sents, rxs;
};

static void count_conn(const struct tcp_conn *c, struct census *n)
{
    const struct tcp_work *w = c->work;
    n->conns += c->state != TCP_CLOSED;
    if (w == NULL)
        return;
    n->works++;
    n->sents += w->sent_count;
    for (const struct tcp_chunk *k = w->send_first; k != NULL; k = k->next)
        n->chunks++;
    for (const struct tcp_rx *rx = w->rx_first; rx != NULL; rx = rx->next)
        n->rxs++;
    n->rxs += w->rare.ooo_count;
}

static bool is_in_table(struct stack_tcp *t, const struct tcp_conn *c)
{
    struct tcp_flow flow = {c->local, c->remote, c->local_port, c->remote_port};
    uint32_t reference = table_find(&t->table, c->hash, &flow, tcp_matches, t);
    return reference == table_reference(KIND_CONN, handle_index(c->id));
}

static const char *invalid_embryos(const struct stack_tcp *t)
{
    uint32_t count = 0, of_listeners = 0;
    for (unsigned q = 0; q < sizeof(t->embryo_first) / sizeof(t->embryo_first[0]); q++)
        for (uint32_t n = t->embryo_first[q]; n != 0 && count <= TCP_EMBRYOS_MAX; count++)
            n = t->embryos[n - 1].next;
    for (uint32_t i = 0; i < t->listener_count; i++)
        of_listeners += t->listeners[i]->embryo_count;
    return count == t->embryo_count && count == of_listeners ? NULL : "embryos are counted wrongly";
}

static const char *invalid_time_waits(const struct stack_tcp *t)
{
    uint32_t count = 0, before = 0;
    for (uint32_t n = t->time_wait_first; n != 0 && count <= t->time_wait_count; count++) {
        const struct tcp_time_wait *tw = &t->time_waits[n - 1];
        if (count > 0 && (int32_t)(tw->expires_ms - before) < 0)
            return "records of TIME_WAIT are not in the order of their end";
        before = tw->expires_ms;
        n = tw->next;
    }
    return count == t->time_wait_count ? NULL : "records of TIME_WAIT are counted wrongly";
}

const char *tcp_invalid_counts(struct stack_tcp *t)
{
    struct census n = {0};
    uint32_t slots = 0;
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        const struct tcp_conn *c = slots_at(&t->conns, i);
        if (c == NULL)
            continue;
        slots++;
        count_conn(c, &n);
        if (c->state != TCP_CLOSED && !is_in_table(t, c))
            return "a connection is not found by its addresses and ports";
    }
    uint32_t flows = n.conns + t->embryo_count + t->time_wait_count;
    if (slots != t->conns.live_count)
        return "live slots are counted wrongly";
    if (flows != t->table.count || flows != table_recount(&t->table))
        return "the table does not hold what there is, each once";
    for (const struct tcp_work *w = t->dirty_first; w != NULL; w = w->dirty_next)
        n.works += w->conn == NULL; /* of a closed connection, freed by the next flush */
    if (n.works != t->works.live_count || n.chunks != t->chunks.live_count ||
        n.sents != t->sents.live_count)
        return "works, chunks or ranges are lost";
    if (n.rxs > t->rxs.live_count) /* more: the application holds them */
        return "received buffers are counted wrongly";
    const char *sentence = invalid_embryos(t);
    return sentence != NULL ? sentence : invalid_time_waits(t);
}
