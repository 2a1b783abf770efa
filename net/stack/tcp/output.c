/* Output: what goes out now, by the windows of RFC 9293 3.8 (segments are always built from the
 * send stream), and what is remembered of it. */
#include "net/stack/tcp/rate.h"
#include "net/stack/tcp/tcp.h"

/* ---- what was sent is remembered ---- */

/* What the port had to do for it; flags of a range. */
static uint32_t sent_by(const struct stack *s, const struct tcp_conn *c, seq32 from, seq32 to)
{
    uint32_t span = seq_span(from, to);
    bool is_ports = (s->can & LEAT_PORT_CAN_TX_L4_CHECKSUM) && !c->is_local && span > 1;
    if (!is_ports || tcp_is_doubtful(c))
        return 0;
    return SENT_BY_PORT | (span > c->mss + 1u ? SENT_CUT_BY_PORT : 0u);
}

void tcp_push_sent(struct stack_tcp *t, struct tcp_conn *c, seq32 from, seq32 to)
{
    struct tcp_work *w = c->work;
    struct tcp_sent *last = w->sent_last;
    uint64_t now_ns = t->stack->now_ns;
    uint32_t by = sent_by(t->stack, c, from, to);
    c->snd_nxt = to;
    if (last != NULL && (last->flags & ~(uint32_t)SENT_APP_LIMITED) == by &&
        last->sent_ns == now_ns) {
        last->to = to;
        return;
    }
    struct tcp_sent *r = tcp_pool_take(&t->sents);
    CHECK(r != NULL); /* tcp_can_push made sure */
    *r = (struct tcp_sent){.prev = last, .from = from, .to = to, .sent_ns = now_ns, .flags = by};
    tcp_rate_sent(w, r, last == NULL);
    if (last != NULL)
        last->next = r;
    else
        w->sent_first = r;
    w->sent_last = r;
    w->sent_count++;
}

/* Room for one more range, in the pool too. */
static bool can_push(struct stack_tcp *t, const struct tcp_work *w)
{
    if (w->sent_count >= TCP_SENT_RANGES_MAX)
        return false;
    if (t->sents.first == NULL) {
        void *object = tcp_pool_take(&t->sents);
        if (object == NULL)
            return false;
        tcp_pool_give(&t->sents, object);
    }
    return true;
}

/* ---- retransmission ---- */

uint8_t tcp_syn_flags(const struct tcp_conn *c)
{
    return (uint8_t)((c->state == TCP_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK) |
                     tcp_ecn_syn_flags(c));
}

bool tcp_resend(struct stack_tcp *t, struct tcp_conn *c, struct tcp_sent *r)
{
    struct tcp_work *w = c->work;
    uint8_t flags = TCP_ACK;
    uint32_t span = seq_span(r->from, r->to);
    if (span > c->mss) {
        if (!can_push(t, w) || tcp_sent_split(t, w, r, seq_add(r->from, c->mss)) == NULL)
            return false;
        span = c->mss;
    }
    uint32_t length = span;
    if (c->state < TCP_ESTABLISHED && seq_eq(r->from, c->iss)) { /* later the number comes round */
        c->ecn &= (uint8_t)~ECN_ASKED; /* RFC 3168 6.1.1.1: perhaps that was what swallowed it */
        flags = tcp_syn_flags(c);
        length--;
    }
    if ((c->flags & TCP_FIN_SENT) && seq_eq(r->to, c->snd_nxt)) {
        flags |= TCP_FIN;
        length--;
    }
    int64_t sent = tcp_emit(t, c, r->from, length, flags);
    if (sent < 0)
        return false;
    if (sent < (int64_t)length) { /* not all found room: the rest stays lost */
        if (sent == 0 || !can_push(t, w) ||
            tcp_sent_split(t, w, r, seq_add(r->from, (uint32_t)sent)) == NULL)
            return false;
        span = (uint32_t)sent;
    }
    t->count.retransmitted++;
    tcp_rare(w)->resent_count++;
    if (!(r->flags & SENT_LOST)) /* a tail loss probe: sent twice, lost never */
        tcp_mark_lost(w, r);
    if (!(r->flags & SENT_RESENT))
        w->resent_bytes += span;
    r->flags |= SENT_RESENT | SENT_EVER_RESENT;
    if (tcp_is_doubtful(c) && (r->flags & SENT_BY_PORT))
        r->flags |= SENT_BY_SOFTWARE;
    r->sent_ns = t->stack->now_ns;
    tcp_rate_sent(w, r, false);
    tcp_undo_resent(t, c, r);
    tcp_rare(w)->prr_out += span;
    return true;
}

/* RFC 6675 4, NextSeg (1): the first lost range that was not sent again. */
static bool resend_lost(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    struct tcp_sent *r = w->sent_first;
    while (w->lost_bytes > w->resent_bytes && r != NULL) {
        if ((r->flags & (SENT_LOST | SENT_RESENT)) == SENT_LOST) {
            if (tcp_send_allowance(c) == 0)
                return false;
            if (!tcp_resend(t, c, r))
                return true;
        }
        r = r->next;
    }
    return false;
}

/* ---- new data ---- */

bool tcp_has_unsent(const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    return w != NULL && c->state >= TCP_ESTABLISHED && seq_lt(c->snd_nxt, w->send_end);
}

/* The FIN follows what is queued. */
static bool is_last(const struct tcp_conn *c)
{
    return (c->flags & TCP_FIN_QUEUED) && c->work->later_first == NULL;
}

/* RFC 9293 3.8.6.2.1 and 3.7.4: whether length bytes are worth a segment. */
static bool is_worth_sending(const struct tcp_conn *c, uint32_t length, uint32_t queued)
{
    if (length >= c->mss || (length == queued && is_last(c)))
        return true;
    bool is_idle = seq_eq(c->snd_una, c->snd_nxt);
    if (c->work->later_first != NULL)
        queued = UINT32_MAX; /* more is being read: a short segment would be for nothing */
    if (length == queued && (is_idle || !(c->flags & TCP_NAGLE)))
        return true;
    return length >= c->snd_wnd_max / 2 && length > 0;
}

static uint32_t burst_bytes(const struct stack_tcp *t, const struct tcp_conn *c)
{
    const struct stack *s = t->stack;
    if (!(s->can & LEAT_PORT_CAN_TSO) || c->is_local || (c->ecn & ECN_CWR) ||
        c->work->pace_ns_per_kib != 0) /* one says CWR; each has its time */
        return c->mss;
    uint32_t most = s->port->info.tso_bytes_max < 61440 ? s->port->info.tso_bytes_max : 61440;
    return most - most % c->mss;
}

/* How much may go out in the next segment; 0: nothing now. */
static uint32_t next_length(const struct stack_tcp *t, const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    uint32_t queued = seq_span(c->snd_nxt, w->send_end);
    seq32 edge = seq_add(c->snd_una, c->snd_wnd);
    uint32_t window = seq_gt(edge, c->snd_nxt) ? seq_span(c->snd_nxt, edge) : 0;
    uint32_t allowed = tcp_send_allowance(c);
    uint32_t length = burst_bytes(t, c);
    length = length < queued ? length : queued;
    length = length < window ? length : window;
    if (length > allowed) /* whole segments out of the congestion window */
        length = allowed >= c->mss ? allowed - allowed % c->mss : 0;
    if (length > c->mss && length < queued)
        length -= length % c->mss;
    return is_worth_sending(c, length, queued) ? length : 0;
}

/* Pacing: not before the controller's time. */
static bool must_wait(const struct stack_tcp *t, struct tcp_work *w)
{
    bool is_early = w->rare.pace_next_ns > t->stack->now_ns;
    w->pace_wait_ns = is_early ? w->rare.pace_next_ns : STACK_NEVER;
    return is_early;
}

static void pace_next(const struct stack_tcp *t, struct tcp_work *w, uint32_t sent_bytes)
{
    uint64_t from_ns =
        w->rare.pace_next_ns > t->stack->now_ns ? w->rare.pace_next_ns : t->stack->now_ns;
    tcp_rare(w)->pace_next_ns = from_ns + ((uint64_t)sent_bytes * w->pace_ns_per_kib >> 10);
}

static enum tcp_stop send_new(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    seq32 first = c->snd_nxt;
    while (tcp_has_unsent(c)) {
        uint32_t length = next_length(t, c);
        if (length == 0 || (unlikely(w->pace_ns_per_kib != 0) && must_wait(t, w)))
            return TCP_STOP_NONE;
        if (t->stack->count.tx_bytes >= t->turn_end_bytes && !seq_eq(c->snd_nxt, first))
            return TCP_STOP_TURN;
        if (!can_push(t, w))
            return TCP_STOP_PORT;
        bool fin = is_last(c) && length == seq_span(c->snd_nxt, w->send_end);
        seq32 from = c->snd_nxt;
        int64_t sent = tcp_emit(t, c, from, length, fin ? TCP_ACK | TCP_FIN : TCP_ACK);
        if (sent < 0)
            return TCP_STOP_PORT;
        if (unlikely(w->in_recovery))
            tcp_rare(w)->prr_out += (uint32_t)sent;
        fin = fin && sent == length;
        w->send_hint = tcp_chunk_of(w, from);
        tcp_push_sent(t, c, from, seq_add(from, (uint32_t)sent + fin));
        c->sent_ms = t->now_ms;
        if (unlikely(w->pace_ns_per_kib != 0))
            pace_next(t, w, (uint32_t)sent);
        if (fin)
            c->flags |= TCP_FIN_SENT;
    }
    uint32_t pipe = tcp_pipe(c);
    if (pipe + c->mss <= c->cwnd && w->later_first == NULL && w->lost_bytes <= w->resent_bytes)
        tcp_rate_limited(w, pipe);
    return TCP_STOP_NONE;
}

/* RFC 9293 3.10.4: FIN follows the last byte. */
static bool send_fin(struct stack_tcp *t, struct tcp_conn *c)
{
    if (!is_last(c) || (c->flags & TCP_FIN_SENT) || tcp_has_unsent(c) || c->state < TCP_ESTABLISHED)
        return false;
    if (!can_push(t, c->work))
        return true;
    if (tcp_emit(t, c, c->snd_nxt, 0, TCP_ACK | TCP_FIN) < 0)
        return true;
    c->flags |= TCP_FIN_SENT;
    tcp_push_sent(t, c, c->snd_nxt, seq_add(c->snd_nxt, 1));
    return false;
}

static bool send_syn(struct stack_tcp *t, struct tcp_conn *c)
{
    if (!can_push(t, c->work) || tcp_emit(t, c, c->iss, 0, tcp_syn_flags(c)) < 0)
        return true;
    c->flags &= (uint16_t)~TCP_SYN_NOW;
    if (seq_eq(c->snd_nxt, c->iss))
        tcp_push_sent(t, c, c->iss, seq_add(c->iss, 1));
    return false;
}

static void enter_fin_states(struct stack_tcp *t, struct tcp_conn *c)
{
    bool was_open = c->state == TCP_ESTABLISHED || c->state == TCP_CLOSE_WAIT;
    if (!(c->flags & TCP_FIN_SENT) || !was_open)
        return;
    c->state = c->state == TCP_ESTABLISHED ? TCP_FIN_WAIT_1 : TCP_LAST_ACK;
    if (c->flags & TCP_DETACHED)
        tcp_start_linger(t, c);
}

enum tcp_stop tcp_output(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    bool is_blocked = false;
    enum tcp_stop stop = TCP_STOP_PORT;
    seq32 before = c->snd_nxt;
    if (unlikely(c->flags & TCP_SYN_NOW))
        is_blocked = send_syn(t, c);
    if (seq_eq(c->snd_una, c->snd_nxt) && tcp_has_unsent(c))
        cc_idle(t, c);
    if (unlikely(w->lost_bytes > w->resent_bytes))
        is_blocked |= resend_lost(t, c);
    if (!is_blocked)
        stop = send_new(t, c);
    if (stop == TCP_STOP_NONE && send_fin(t, c))
        stop = TCP_STOP_PORT;
    if (!seq_eq(c->snd_nxt, before))
        tcp_arm_probe_again(t, c);
    enter_fin_states(t, c);
    if (c->state >= TCP_ESTABLISHED && !(c->flags & TCP_ACK_NOW) && tcp_window_update_due(c))
        c->flags |= TCP_ACK_NOW; /* bug 7: the reader made room */
    if ((c->flags & TCP_ACK_NOW) && c->state >= TCP_SYN_RCVD) {
        tcp_send_ack(t, c);
        if (c->flags & TCP_ACK_NOW)
            stop = TCP_STOP_PORT;
    }
    tcp_arm_xmit(t, c);
    return stop;
}
