/* What was taken for a loss and was none is taken back: Eifel by timestamps (RFC 3522, 4015), DSACK
 * (RFC 3708). What is kept for it is armed when the window is reduced, and stays until a round trip
 * after the recovery: by then a duplicate would have been reported. */
#include "net/stack/tcp/tcp.h"

/* Before the window is reduced. */
void tcp_undo_arm(struct tcp_conn *c)
{
    struct tcp_rare *rare = tcp_rare(c->work);
    cc_save(c);
    c->work->can_undo = true;
    rare->undo_waits_for_ack = true;
    rare->undo_bytes = 0;
    rare->undo_from = c->snd_una;
    rare->undo_end = c->snd_nxt;
}

void tcp_undo_resent(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_sent *r)
{
    struct tcp_work *w = c->work;
    struct tcp_rare *rare = &w->rare;
    if (!w->can_undo)
        return;
    if (rare->undo_bytes == 0 && rare->undo_waits_for_ack) {
        rare->undo_ts = t->now_ms + c->ts_offset;
        rare->undo_first = r->to;
    }
    rare->undo_bytes += seq_span(r->from, r->to);
}

/* RFC 3522 3.2: the ACK of what was sent again first echoes a time from before that. */
static bool eifel_detects(const struct tcp_conn *c, const struct tcp_segment *g)
{
    const struct tcp_rare *rare = &c->work->rare;
    return rare->undo_waits_for_ack && rare->undo_bytes > 0 &&
           seq_ge(c->snd_una, rare->undo_first) && (c->flags & TCP_USES_TS) && g->has_ts &&
           (int32_t)(g->ts_echo - rare->undo_ts) < 0;
}

/* RFC 3708 3: every byte that was sent again has come twice. */
static bool dsack_detects(struct tcp_rare *rare, const struct tcp_segment *g)
{
    seq32 from = g->sack[0][0], to = g->sack[0][1];
    if (rare->undo_bytes == 0 || seq_lt(from, rare->undo_from) || seq_gt(to, rare->undo_end) ||
        seq_ge(from, to))
        return false;
    uint32_t span = seq_span(from, to);
    rare->undo_bytes -= span < rare->undo_bytes ? span : rare->undo_bytes;
    return rare->undo_bytes == 0;
}

/* RFC 4015 3.3: the round trip that was longer than the timeout counts. Where a duplicate is told
 * of, what was sent again has drawn the ACK: the one before was lost, and no round trip was long.
 */
static void lengthen_rto(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g)
{
    uint32_t rtt_us = (t->now_ms + c->ts_offset - g->ts_echo) * 1000;
    if (!g->has_ts || rtt_us > TCP_RTO_NS_MAX / 1000)
        return;
    c->srtt_us = c->srtt_us > rtt_us ? c->srtt_us : rtt_us;
    c->rttvar_us = c->rttvar_us > rtt_us / 2 ? c->rttvar_us : rtt_us / 2;
    tcp_rto_compute(c);
}

static void reduction_undo(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
                           bool had_dsack)
{
    struct tcp_work *w = c->work;
    for (struct tcp_sent *r = w->sent_first; r != NULL; r = r->next) {
        if ((r->flags & (SENT_LOST | SENT_RESENT)) == SENT_LOST) {
            r->flags &= ~(uint32_t)SENT_LOST;
            w->lost_bytes -= seq_span(r->from, r->to);
        }
    }
    if (w->in_rto_recovery && !had_dsack)
        lengthen_rto(t, c, g);
    else if (!w->in_rto_recovery)
        w->reordering_seen = true; /* what else makes segments late behind later ones */
    cc_undo(c);
    w->can_undo = w->in_recovery = w->in_rto_recovery = false;
    w->dup_acks = 0;
    t->count.undone++;
}

void tcp_undo_check(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
                    uint32_t acked_bytes, bool had_dsack)
{
    struct tcp_work *w = c->work;
    if (likely(!w->can_undo))
        return;
    if (!w->in_recovery && !w->in_rto_recovery && seq_gt(c->snd_una, w->rare.undo_until)) {
        w->can_undo = false;
        return;
    }
    bool is_spurious =
        (acked_bytes > 0 && eifel_detects(c, g)) || (had_dsack && dsack_detects(&w->rare, g));
    if (acked_bytes > 0 && w->rare.undo_bytes > 0 && seq_ge(c->snd_una, w->rare.undo_first))
        w->rare.undo_waits_for_ack = false;
    if (is_spurious)
        reduction_undo(t, c, g, had_dsack);
}
