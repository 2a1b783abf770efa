/* RFC 9293 3.10.7.4, fifth step: the ACK field; SACK (RFC 2018, 6675) with it. */
#include "net/stack/tcp/rate.h"
#include "net/stack/tcp/tcp.h"

/* What an ACK told, gathered while it is worked through. */
struct delivery {
    struct cc_sample cc;
    uint32_t delivered_bytes; /* newly acknowledged or sacked */
    uint64_t sample_ns; /* when the newest of them that was sent only once was sent; 0: none */
    bool had_dsack;
    bool had_resent;
};

/* ---- the scoreboard ---- */

void tcp_sent_remove(struct stack_tcp *t, struct tcp_work *w, struct tcp_sent *r)
{
    uint32_t span = seq_span(r->from, r->to);
    w->sacked_bytes -= r->flags & SENT_SACKED ? span : 0;
    w->lost_bytes -= r->flags & SENT_LOST ? span : 0;
    w->resent_bytes -= r->flags & SENT_RESENT ? span : 0;
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        w->sent_first = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    else
        w->sent_last = r->prev;
    w->sent_count--;
    tcp_pool_give(&t->sents, r);
}

/* Cuts r at at; the second half is new. Its flags are the first one's. */
struct tcp_sent *tcp_sent_split(struct stack_tcp *t, struct tcp_work *w, struct tcp_sent *r,
                                seq32 at)
{
    struct tcp_sent *second = tcp_pool_take(&t->sents);
    if (second == NULL)
        return NULL;
    *second = *r;
    second->from = at;
    second->prev = r;
    r->to = at;
    r->next = second;
    if (second->next != NULL)
        second->next->prev = second;
    else
        w->sent_last = second;
    w->sent_count++;
    return second;
}

/* What it says of the port's offloads that this range got through. */
static void offloads_judge(struct stack *s, const struct tcp_sent *r)
{
    if (!(r->flags & SENT_BY_PORT))
        return;
    bool was_cut = (r->flags & SENT_CUT_BY_PORT) != 0;
    if (!(r->flags & SENT_EVER_RESENT)) {
        offload_worked(s, OFFLOAD_TX_L4);
        if (was_cut)
            offload_worked(s, OFFLOAD_TSO);
        return;
    }
    if (r->flags & SENT_BY_SOFTWARE)
        offload_failed(s, OFFLOAD_TX_L4);
    if (was_cut)
        offload_failed(s, OFFLOAD_TSO);
}

/* RFC 8985 6.2 steps 1 to 3, for one range that was delivered. */
static void on_delivered(struct stack_tcp *t, struct tcp_work *w, const struct tcp_sent *r,
                         struct delivery *d)
{
    uint32_t rtt_us = (uint32_t)((t->stack->now_ns - r->sent_ns) / 1000);
    d->delivered_bytes += seq_span(r->from, r->to);
    tcp_rate_delivered(w, r, t->stack->now_ns, &d->cc);
    offloads_judge(t->stack, r);
    if (r->flags & SENT_EVER_RESENT) {
        d->had_resent = true;
        if (rtt_us < w->min_rtt_us)
            return; /* the first copy was meant, most likely */
    } else {
        if (r->sent_ns > d->sample_ns)
            d->sample_ns = r->sent_ns;
        if (seq_lt(r->to, w->fack))
            w->reordering_seen = true;
    }
    if (seq_gt(r->to, w->fack))
        w->fack = r->to;
    if (r->sent_ns > w->rack_ns || (r->sent_ns == w->rack_ns && seq_gt(r->to, w->rack_end))) {
        w->rack_ns = r->sent_ns;
        w->rack_end = r->to;
        w->rack_rtt_us = rtt_us;
    }
}

static void mark_sacked(struct stack_tcp *t, struct tcp_work *w, struct tcp_sent *r,
                        struct delivery *d)
{
    uint32_t span = seq_span(r->from, r->to);
    on_delivered(t, w, r, d);
    w->lost_bytes -= r->flags & SENT_LOST ? span : 0;
    w->resent_bytes -= r->flags & SENT_RESENT ? span : 0;
    w->sacked_bytes += span;
    r->flags &= (uint32_t) ~(SENT_LOST | SENT_RESENT);
    r->flags |= SENT_SACKED;
}

/* One block: walks the ranges, cutting at its edges. */
static void sack_block(struct stack_tcp *t, struct tcp_work *w, seq32 from, seq32 to,
                       struct delivery *d)
{
    for (struct tcp_sent *r = w->sent_first; r != NULL && seq_lt(r->from, to); r = r->next) {
        if (seq_le(r->to, from) || (r->flags & SENT_SACKED))
            continue;
        if (w->sent_count + 2 > TCP_SENT_RANGES_MAX + 64)
            return;
        if (seq_lt(r->from, from)) {
            if (tcp_sent_split(t, w, r, from) == NULL)
                return;
            continue; /* the second half comes next */
        }
        if (seq_gt(r->to, to) && tcp_sent_split(t, w, r, to) == NULL)
            return;
        mark_sacked(t, w, r, d);
    }
}

/* RFC 2883 4: the first block lies below the ACK, or inside of the second. */
static bool is_dsack(const struct tcp_segment *g)
{
    if (g->sack_count == 0)
        return false;
    if (seq_lt(g->sack[0][0], g->ack))
        return true;
    return g->sack_count > 1 && seq_ge(g->sack[0][0], g->sack[1][0]) &&
           seq_le(g->sack[0][1], g->sack[1][1]);
}

static void on_sacks(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
                     struct delivery *d)
{
    d->had_dsack = is_dsack(g);
    for (unsigned i = 0; i < g->sack_count; i++) {
        seq32 from = g->sack[i][0], to = g->sack[i][1];
        if (seq_lt(from, to) && seq_gt(from, c->snd_una) && seq_gt(from, g->ack) &&
            seq_le(to, c->snd_nxt))
            sack_block(t, c->work, from, to, d);
    }
}

/* ---- the cumulative ACK ---- */

static void release_chunks(struct stack_tcp *t, struct tcp_work *w, seq32 una)
{
    struct tcp_chunk *k;
    while ((k = w->send_first) != NULL &&
           seq_le(seq_add(k->seq, (uint32_t)k->buf.length_bytes), una)) {
        w->send_first = k->next;
        if (k->next == NULL)
            w->send_last = NULL;
        if (w->send_hint == k)
            w->send_hint = NULL;
        leat_buf_unref(k->buf);
        tcp_pool_give(&t->chunks, k);
    }
    if (k != NULL && seq_lt(k->seq, una)) {
        uint32_t cut = seq_span(k->seq, una);
        k->buf.data += cut;
        k->buf.length_bytes -= cut;
        k->seq = una;
    }
}

static void una_advance(struct stack_tcp *t, struct tcp_conn *c, seq32 ack, struct delivery *d)
{
    struct tcp_work *w = c->work;
    struct tcp_sent *r;
    d->cc.acked_bytes = seq_span(c->snd_una, ack);
    while ((r = w->sent_first) != NULL && seq_lt(r->from, ack)) {
        if (seq_gt(r->to, ack)) { /* bug 12: an ACK inside of a range */
            struct tcp_sent front = *r;
            front.to = ack;
            uint32_t cut = seq_span(r->from, ack);
            if (!(r->flags & SENT_SACKED))
                on_delivered(t, w, &front, d);
            w->sacked_bytes -= r->flags & SENT_SACKED ? cut : 0;
            w->lost_bytes -= r->flags & SENT_LOST ? cut : 0;
            w->resent_bytes -= r->flags & SENT_RESENT ? cut : 0;
            r->from = ack;
            break;
        }
        if (!(r->flags & SENT_SACKED))
            on_delivered(t, w, r, d);
        tcp_sent_remove(t, w, r);
    }
    c->snd_una = ack;
    /* The right edge stays: a segment that is too old to change the window (WL1) may still move
     * snd_una, and SND.UNA + SND.WND must not pass what the peer promised. */
    c->snd_wnd -= d->cc.acked_bytes < c->snd_wnd ? d->cc.acked_bytes : c->snd_wnd;
    if (seq_lt(w->fack, ack))
        w->fack = ack;
    release_chunks(t, w, ack);
    w->backoff = 0;
    w->dup_acks = 0;
    c->idle_since_ms = t->now_ms;
    if ((c->flags & TCP_WANTS_WRITABLE) && tcp_queued_bytes(c) < c->send_low)
        tcp_want_deliver(t, c);
}

/* RFC 9293 3.10.7.4: SND.WL1 and SND.WL2 keep old segments from changing the window, and so does an
 * ACK before SND.UNA: its window begins there, and would end too late. */
static void update_window(struct tcp_conn *c, const struct tcp_segment *g)
{
    if (seq_lt(g->ack, c->snd_una))
        return;
    bool is_newer =
        seq_lt(c->snd_wl1, g->seq) || (seq_eq(c->snd_wl1, g->seq) && seq_le(c->snd_wl2, g->ack));
    if (!is_newer)
        return;
    uint32_t window = (uint32_t)g->window << (g->flags & TCP_SYN ? 0 : c->snd_scale);
    if (window > c->snd_wnd && c->work != NULL && c->work->xmit_timer == XMIT_PERSIST)
        c->work->backoff = 0; /* what counted zero windows must not count losses */
    c->snd_wnd = window;
    if (window > c->snd_wnd_max)
        c->snd_wnd_max = window;
    c->snd_wl1 = g->seq;
    c->snd_wl2 = g->ack;
}

static bool is_duplicate(const struct tcp_conn *c, const struct tcp_segment *g, uint32_t window)
{
    return seq_eq(g->ack, c->snd_una) && g->length == 0 && !(g->flags & (TCP_SYN | TCP_FIN)) &&
           !seq_eq(c->snd_una, c->snd_nxt) && window == c->snd_wnd;
}

/* What follows from everything sent having arrived, our FIN included. */
static void on_all_acked(struct stack_tcp *t, struct tcp_conn *c)
{
    if (!(c->flags & TCP_FIN_SENT))
        return;
    if (c->state == TCP_FIN_WAIT_1)
        c->state = TCP_FIN_WAIT_2;
    else if (c->state == TCP_CLOSING || c->state == TCP_LAST_ACK)
        tcp_settle(t, c);
}

/* RFC 5961 5.2: no ACK older than the largest window, none of what was not sent. */
static enum tcp_step check_range(struct stack_tcp *t, struct tcp_conn *c,
                                 const struct tcp_segment *g)
{
    if (seq_le(g->ack, c->snd_nxt) && seq_ge(g->ack, seq_sub(c->snd_una, c->snd_wnd_max)))
        return TCP_STEP_NEXT;
    stack_drop(t->stack, STACK_DROP_TCP_ACK_RANGE);
    tcp_challenge(t, c);
    return TCP_STEP_DROPPED;
}

/* Nothing is lost, waited for or suspected, and this ACK tells of nothing either: what recovery.c
 * does would do nothing. */
static bool is_calm(const struct tcp_work *w, const struct delivery *d)
{
    bool is_under_way = w->in_recovery | w->in_rto_recovery | w->probe_out | w->can_undo |
                        (w->xmit_timer == XMIT_REORDER) | d->had_dsack;
    return !is_under_way && (w->sacked_bytes | w->lost_bytes | w->resent_bytes | w->dup_acks) == 0;
}

enum tcp_step tcp_ack(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g)
{
    struct delivery d = {0};
    if (check_range(t, c, g) != TCP_STEP_NEXT)
        return TCP_STEP_DROPPED;
    if (c->work == NULL) {
        update_window(c, g);
        return TCP_STEP_NEXT;
    }
    struct tcp_work *w = c->work;
    uint32_t window = (uint32_t)g->window << c->snd_scale;
    bool duplicate = is_duplicate(c, g, window);
    uint32_t flight = tcp_pipe(c);
    bool was_limited =
        flight + c->mss >= c->cwnd || (c->cwnd < c->ssthresh && 2 * flight >= c->cwnd);
    w->probes = 0;
    if (seq_gt(g->ack, c->snd_una))
        una_advance(t, c, g->ack, &d);
    if ((c->flags & TCP_USES_SACK) && g->sack_count > 0)
        on_sacks(t, c, g, &d);
    update_window(c, g);
    /* Karn's rule, RFC 6298 3: what was resent may have drawn this ACK in place of one that was
     * lost, and then the time since the rest was sent is the timeout's, not the path's. */
    if (d.sample_ns != 0 && !d.had_resent) {
        d.cc.rtt_us = (uint32_t)((t->stack->now_ns - d.sample_ns) / 1000);
        tcp_rtt_sample(c, d.cc.rtt_us != 0 ? d.cc.rtt_us : 1);
    }
    if (d.delivered_bytes > 0)
        tcp_rate_end(w, &d.cc);
    if (duplicate) {
        w->dup_acks++;
        t->count.dup_acks++;
    }
    if (unlikely(!is_calm(w, &d)))
        tcp_recover(t, c, g, d.cc.acked_bytes, d.delivered_bytes, d.had_dsack);
    bool is_marked = (g->flags & TCP_ECE) && (c->ecn & ECN_ON);
    if (unlikely(is_marked))
        tcp_ecn_on_echo(t, c, g);
    else if (d.cc.acked_bytes > 0 && !w->in_recovery && (was_limited || w->in_rto_recovery))
        cc_ack(t, c, &d.cc);
    if (d.cc.acked_bytes > 0) {
        neighbour_confirm(t->stack, c->neighbour);
        tcp_arm_rto(t, c);
    }
    tcp_dirty(c);
    if (seq_eq(c->snd_una, c->snd_nxt))
        on_all_acked(t, c);
    return c->state != TCP_CLOSED ? TCP_STEP_NEXT : TCP_STEP_DROPPED;
}
