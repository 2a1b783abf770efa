/* Loss detection and recovery: RACK-TLP (RFC 8985), pipe (RFC 6675), PRR (RFC 6937), and NewReno's
 * three duplicates (RFC 6582) where the peer has no SACK. */
#include "net/stack/tcp/tcp.h"

#define REO_MULT_MAX 16 /* of a quarter of the round trip */

uint32_t tcp_pipe(const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    uint32_t flight = seq_span(c->snd_una, c->snd_nxt);
    if (w == NULL)
        return flight;
    uint32_t pipe = flight - w->sacked_bytes - w->lost_bytes + w->resent_bytes;
    /* without SACK each duplicate ACK tells of one segment that left the network */
    if (!(c->flags & TCP_USES_SACK)) {
        uint32_t left = w->dup_acks * c->mss;
        pipe -= left < pipe ? left : pipe;
    }
    return pipe;
}

uint32_t tcp_send_allowance(const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    uint32_t pipe = tcp_pipe(c), window = c->cwnd;
    /* RFC 3042, limited transmit: the first two duplicates send new data each */
    if (!w->in_recovery && !(c->flags & TCP_USES_SACK) && w->dup_acks > 2)
        pipe = seq_span(c->snd_una, c->snd_nxt) - 2u * c->mss;
    return window > pipe ? window - pipe : 0;
}

void tcp_mark_lost(struct tcp_work *w, struct tcp_sent *r)
{
    uint32_t span = seq_span(r->from, r->to);
    if (r->flags & SENT_RESENT) {
        r->flags &= ~(uint32_t)SENT_RESENT;
        w->resent_bytes -= span;
    } else if (!(r->flags & SENT_LOST)) {
        r->flags |= SENT_LOST;
        w->lost_bytes += span;
    }
}

/* RFC 2018 8: a left edge that is sacked and still not acknowledged after a timeout was thrown away
 * by the peer, and then what else it sacked may be too. */
void tcp_mark_all_lost(struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    bool has_reneged = w->sent_first != NULL && (w->sent_first->flags & SENT_SACKED);
    for (struct tcp_sent *r = w->sent_first; r != NULL; r = r->next) {
        if (has_reneged && (r->flags & SENT_SACKED)) {
            r->flags &= ~(uint32_t)SENT_SACKED;
            w->sacked_bytes -= seq_span(r->from, r->to);
        }
        if (!(r->flags & SENT_SACKED))
            tcp_mark_lost(w, r);
    }
}

/* RFC 8985 6.2 step 4: how long reordering is waited for. */
static uint64_t reorder_window_ns(const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    if (!w->reordering_seen && (w->in_recovery || w->sacked_bytes >= 3u * c->mss))
        return 0;
    uint64_t us = (uint64_t)(w->min_rtt_us == UINT32_MAX ? 0 : w->min_rtt_us / 4) * w->reo_mult;
    us = us < c->srtt_us ? us : c->srtt_us;
    return us * 1000;
}

/* RFC 8985 6.2 step 5. True: something is newly lost. due_ns: when to look again. */
bool tcp_rack_detect(struct stack_tcp *t, struct tcp_conn *c, uint64_t *due_ns)
{
    struct tcp_work *w = c->work;
    uint64_t now_ns = t->stack->now_ns;
    uint64_t wait_ns = (uint64_t)w->rack_rtt_us * 1000 + reorder_window_ns(c);
    bool found = false;
    *due_ns = STACK_NEVER;
    if (w->rack_ns == 0)
        return false;
    for (struct tcp_sent *r = w->sent_first; r != NULL; r = r->next) {
        bool is_waiting =
            (r->flags & SENT_SACKED) || (r->flags & (SENT_LOST | SENT_RESENT)) == SENT_LOST;
        bool is_older =
            r->sent_ns < w->rack_ns || (r->sent_ns == w->rack_ns && seq_lt(r->to, w->rack_end));
        if (is_waiting || !is_older)
            continue;
        uint64_t at_ns = r->sent_ns + wait_ns;
        if (at_ns <= now_ns) {
            tcp_mark_lost(w, r);
            found = true;
        } else if (at_ns < *due_ns) {
            *due_ns = at_ns;
        }
    }
    return found;
}

void tcp_enter_recovery(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    struct tcp_rare *rare = tcp_rare(w);
    t->count.fast_recoveries++;
    rare->prr_flight = tcp_pipe(c) + w->lost_bytes;
    if (rare->prr_flight == 0)
        rare->prr_flight = c->mss;
    tcp_undo_arm(c);
    cc_loss(t, c);
    tcp_ecn_reduced(c);
    w->in_recovery = true;
    rare->recovery_end = c->snd_nxt;
    rare->prr_delivered = rare->prr_out = rare->prr_out_before = 0;
    rare->prr_fresh = rare->prr_credit = 0;
    w->probe_out = false;
}

static void leave_recovery(struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    w->in_recovery = w->in_rto_recovery = false;
    tcp_rare(w)->undo_until = c->snd_nxt;
    w->dup_acks = 0;
    if (c->cwnd > c->ssthresh || c->cwnd < c->mss)
        c->cwnd = c->ssthresh;
}

/* RFC 9937 6: cwnd = pipe + what may be sent for this ACK, and for those before it in the same
 * burst, to which no output has come yet: the RFC has each ACK answered at once. is_safe: the ACK
 * moved SND.UNA and told of no further loss. */
static void reduce_proportionally(struct tcp_conn *c, uint32_t delivered, bool is_safe)
{
    struct tcp_rare *rare = tcp_rare(c->work);
    uint32_t pipe = tcp_pipe(c);
    int64_t room;
    if (rare->prr_out != rare->prr_out_before) {
        rare->prr_out_before = rare->prr_out;
        rare->prr_fresh = rare->prr_credit = 0;
    }
    rare->prr_delivered += delivered;
    rare->prr_fresh += delivered;
    rare->prr_credit += is_safe ? c->mss : 0;
    if (pipe > c->ssthresh) {
        uint64_t share =
            ((uint64_t)rare->prr_delivered * c->ssthresh + rare->prr_flight - 1) / rare->prr_flight;
        room = (int64_t)share - rare->prr_out;
    } else {
        int64_t owed = (int64_t)rare->prr_delivered - rare->prr_out;
        room =
            (owed > (int64_t)rare->prr_fresh ? owed : (int64_t)rare->prr_fresh) + rare->prr_credit;
        int64_t most = (int64_t)c->ssthresh - pipe;
        room = room < most ? room : most;
    }
    if (rare->prr_out == 0 && room < c->mss)
        room = c->mss; /* the first retransmission always goes */
    c->cwnd = pipe + (uint32_t)(room > 0 ? room : 0);
}

/* RFC 8985 6.3: the timer found losses. No ACK gives room for them, and what is marked lost leaves
 * the pipe: by the window as it was, all of it would go at once. As much goes as was sacked while
 * the timer ran, and a segment, up to the new window; the ACKs that follow let out the rest. */
void tcp_rack_timeout(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    bool is_first = !w->in_recovery && !w->in_rto_recovery;
    if (is_first)
        tcp_enter_recovery(t, c);
    if (!w->in_recovery)
        return;
    uint32_t pipe = tcp_pipe(c), room = (is_first ? w->sacked_bytes : 0) + c->mss;
    uint32_t most = c->ssthresh > pipe + c->mss ? c->ssthresh - pipe : c->mss;
    c->cwnd = pipe + (room < most ? room : most);
}

/* RFC 6582 without SACK: the first hole, three duplicates or a partial ACK. */
static bool newreno_detect(struct tcp_conn *c, uint32_t acked)
{
    struct tcp_work *w = c->work;
    struct tcp_sent *r = w->sent_first;
    bool partial = w->in_recovery && acked > 0;
    bool third = !w->in_recovery && !w->in_rto_recovery && w->dup_acks == 3;
    if (r == NULL || !(partial || third))
        return false;
    if (seq_span(r->from, r->to) > c->mss &&
        tcp_sent_split(tcp_of(c), w, r, seq_add(r->from, c->mss)) == NULL)
        return false;
    if ((r->flags & (SENT_LOST | SENT_RESENT)) == SENT_LOST)
        return false;
    tcp_mark_lost(w, r);
    return true;
}

/* RFC 8985 6.2 step 4: a duplicate shows that the window for reordering was too small; once a round
 * trip. After 16 recoveries without any it is small again. */
static void adapt_reorder_window(struct tcp_conn *c, bool had_dsack, bool left_recovery)
{
    struct tcp_work *w = c->work;
    if (w->in_dsack_round && seq_ge(c->snd_una, w->rare.dsack_round))
        w->in_dsack_round = false;
    if (had_dsack && !w->in_dsack_round) {
        w->in_dsack_round = true;
        tcp_rare(w)->dsack_round = c->snd_nxt;
        w->reo_persist = 16;
        w->reo_mult = (uint8_t)(w->reo_mult + (w->reo_mult < REO_MULT_MAX));
    } else if (left_recovery && w->reo_persist > 0 && --w->reo_persist == 0) {
        w->reo_mult = 1;
    }
}

/* RFC 8985 7.4: the probe repaired a loss that nothing else told of. */
static void answer_probe(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
                         bool had_dsack)
{
    struct tcp_work *w = c->work;
    if (!w->probe_out || seq_lt(g->ack, w->rare.probe_end))
        return;
    if (w->probe_was_new || had_dsack) {
        w->probe_out = false;
    } else if (seq_gt(g->ack, w->rare.probe_end)) {
        w->probe_out = false;
        cc_ecn(t, c);
        tcp_ecn_reduced(c);
    }
}

void tcp_recover(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
                 uint32_t acked_bytes, uint32_t delivered_bytes, bool had_dsack)
{
    struct tcp_work *w = c->work;
    uint64_t due_ns = STACK_NEVER;
    if (w->xmit_timer == XMIT_REORDER) {
        w->xmit_timer = XMIT_NONE;
        w->xmit_ns = STACK_NEVER;
    }
    tcp_undo_check(t, c, g, acked_bytes, had_dsack);
    answer_probe(t, c, g, had_dsack);
    bool is_over =
        (w->in_recovery || w->in_rto_recovery) && seq_ge(c->snd_una, w->rare.recovery_end);
    if (is_over)
        leave_recovery(c);
    if (unlikely(had_dsack || is_over))
        adapt_reorder_window(c, had_dsack, is_over);
    bool is_lost;
    if (c->flags & TCP_USES_SACK)
        is_lost = (w->sacked_bytes > 0 || w->resent_bytes > 0 || w->lost_bytes > 0) &&
                  tcp_rack_detect(t, c, &due_ns);
    else
        is_lost = newreno_detect(c, acked_bytes);
    if (is_lost && !w->in_recovery && !w->in_rto_recovery)
        tcp_enter_recovery(t, c);
    if (w->in_recovery) {
        bool is_dup = !(c->flags & TCP_USES_SACK) && acked_bytes == 0;
        reduce_proportionally(c, is_dup ? c->mss : delivered_bytes, acked_bytes > 0 && !is_lost);
    }
    if (due_ns != STACK_NEVER) {
        w->xmit_timer = XMIT_REORDER;
        w->xmit_ns = due_ns;
    }
}
