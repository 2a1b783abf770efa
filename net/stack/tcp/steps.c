/* The steps of RFC 9293 3.10.7.3 and 3.10.7.4 for a segment of a connection, one function each. */
#include "net/stack/tcp/tcp.h"

#define NO_TS_MAX    3 /* segments without a timestamp are dropped, further ones are not */
#define PAWS_IDLE_MS (24u * 24 * 3600 * 1000) /* RFC 7323 5.5: after 24 days nothing is too old */

/* ---- third and fourth step: RST and SYN, RFC 5961 ---- */

/* At most ten a second and connection. */
void tcp_challenge(struct stack_tcp *t, struct tcp_conn *c)
{
    if (t->now_ms - c->challenge_ms >= 1000) {
        c->challenge_ms = t->now_ms;
        c->challenges = 0;
    }
    if (c->challenges >= 10)
        return;
    c->challenges++;
    t->count.challenges++;
    c->flags |= TCP_ACK_NOW;
    tcp_dirty(c);
}

static void on_reset(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g)
{
    if (!seq_eq(g->seq, c->rcv_nxt)) {
        stack_drop(t->stack, STACK_DROP_TCP_RST_INEXACT);
        if (seq_gt(g->seq, c->rcv_nxt) && seq_lt(g->seq, c->rcv_edge))
            tcp_challenge(t, c);
        return;
    }
    bool is_acked = (c->flags & TCP_FIN_SENT) && seq_eq(c->snd_una, c->snd_nxt);
    if (is_acked && (c->flags & TCP_FIN_RECEIVED)) {
        /* RFC 1337: both streams are complete, only delivery is waited for */
        stack_drop(t->stack, STACK_DROP_TCP_TIME_WAIT);
        return;
    }
    t->count.resets_received++;
    tcp_conn_close(t, c, c->state == TCP_SYN_RCVD ? LEAT_CLOSE_REFUSED : LEAT_CLOSE_RESET);
}

/* ---- first step: sequence number and timestamp ---- */

/* RFC 7323 5.3, R1. What has lost its timestamp is dropped (3.2), but not for ever: some paths take
 * the option away from then on, and the connection would be mute. */
static LEAT_MUST_CHECK enum tcp_step check_timestamp(struct stack_tcp *t, struct tcp_conn *c,
                                                     const struct tcp_segment *g)
{
    if (!(c->flags & TCP_USES_TS) || (g->flags & TCP_RST))
        return TCP_STEP_NEXT;
    if (!g->has_ts && c->no_ts_count < NO_TS_MAX) {
        c->no_ts_count++;
        stack_drop(t->stack, STACK_DROP_TCP_NO_TIMESTAMP);
        return TCP_STEP_DROPPED;
    }
    if (!g->has_ts)
        return TCP_STEP_NEXT;
    bool is_old = (int32_t)(g->ts_value - c->ts_recent) < 0;
    if (is_old && t->now_ms - c->ts_recent_ms < PAWS_IDLE_MS) {
        stack_drop(t->stack, STACK_DROP_TCP_PAWS);
        tcp_challenge(t, c);
        return TCP_STEP_DROPPED;
    }
    return TCP_STEP_NEXT;
}

/* RFC 7323 4.3 (2) and 5.3, R3: the echo is of the oldest segment that no ACK has told of, so that
 * the peer measures how long we delay. Only what passed the window and the ACK moves the clock of
 * PAWS, else a stranger could. */
static void ts_remember(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
                        seq32 seq)
{
    seq32 acked_to = c->work != NULL ? c->work->acked_to : c->rcv_nxt;
    if (!(c->flags & TCP_USES_TS) || !g->has_ts || seq_gt(seq, acked_to))
        return;
    c->ts_recent = g->ts_value;
    c->ts_recent_ms = t->now_ms;
}

static void drop_front(struct tcp_segment *g, uint32_t bytes)
{
    g->data += bytes;
    g->length -= bytes;
    g->seq = seq_add(g->seq, bytes);
}

/* Bug 9: what is cut off at the right edge takes its FIN with it. */
static void cut_back(const struct tcp_conn *c, struct tcp_segment *g)
{
    uint32_t room = seq_gt(c->rcv_edge, g->seq) ? seq_span(g->seq, c->rcv_edge) : 0;
    bool fin_fits = (g->flags & TCP_FIN) && g->length <= room;
    g->length = g->length < room ? g->length : room;
    if (!fin_fits)
        g->flags &= (uint8_t)~TCP_FIN;
}

/* Wholly old: acknowledged again. RFC 9293 drops it then. Within a window's length of what was
 * received it is a repetition or was overtaken, so that its ACK and SACK still count (they did
 * before it arrived late), and DSACK tells of it; what is older may be anybody's.
 */
static LEAT_MUST_CHECK enum tcp_step on_old(struct stack_tcp *t, struct tcp_conn *c,
                                            struct tcp_segment *g)
{
    bool is_recent = seq_span(g->seq, c->rcv_nxt) <= c->receive_max;
    stack_drop(t->stack, STACK_DROP_TCP_DUPLICATE);
    if (tcp_segment_span(g) == 0 || !is_recent) {
        tcp_challenge(t, c);
        return is_recent ? TCP_STEP_NEXT : TCP_STEP_DROPPED;
    }
    struct tcp_work *w = tcp_work_of(c);
    if (w != NULL && g->length > 0)
        tcp_set_dsack(w, g->seq, seq_add(g->seq, g->length));
    c->flags |= TCP_ACK_NOW;
    tcp_dirty(c);
    g->flags &= (uint8_t)~TCP_FIN;
    g->length = 0; /* its place stays, so that an old window does not count (SND.WL1) */
    return TCP_STEP_NEXT;
}

/* RFC 9293 3.10.7.4, first step: is it acceptable; trims it to the window. */
static LEAT_MUST_CHECK enum tcp_step check_sequence(struct stack_tcp *t, struct tcp_conn *c,
                                                    struct tcp_segment *g)
{
    seq32 end = seq_add(g->seq, tcp_segment_span(g));
    uint32_t window = seq_span(c->rcv_nxt, c->rcv_edge);
    if (seq_lt(g->seq, c->rcv_nxt) && seq_le(end, c->rcv_nxt))
        return on_old(t, c, g);
    bool beyond = window == 0 ? seq_gt(g->seq, c->rcv_nxt) : seq_ge(g->seq, c->rcv_edge);
    if (beyond && !(tcp_segment_span(g) == 0 && seq_eq(g->seq, c->rcv_edge))) {
        stack_drop(t->stack, STACK_DROP_TCP_WINDOW);
        if (!(g->flags & TCP_RST))
            tcp_challenge(t, c);
        return TCP_STEP_DROPPED;
    }
    if (seq_lt(g->seq, c->rcv_nxt) && g->length > 0) { /* bug 10: the new part of an overlap */
        uint32_t old = seq_span(g->seq, c->rcv_nxt);
        old = old < g->length ? old : g->length;
        if (tcp_work_of(c) != NULL)
            tcp_set_dsack(c->work, g->seq, seq_add(g->seq, old)); /* RFC 2883 4.1 */
        drop_front(g, old);
    }
    if (seq_gt(end, c->rcv_edge)) {
        cut_back(c, g);
        c->flags |= TCP_ACK_NOW; /* bugs 5 and 6: a zero-window probe is answered, its ACK counts */
        tcp_dirty(c);
    }
    return TCP_STEP_NEXT;
}

/* ---- SYN-SENT: RFC 9293 3.10.7.3 ---- */

static void on_syn_options(struct tcp_conn *c, const struct tcp_segment *g)
{
    if (!g->sack_ok)
        c->flags &= (uint16_t)~TCP_USES_SACK;
    if (!g->has_ts)
        c->flags &= (uint16_t)~TCP_USES_TS;
    tcp_ecn_on_syn(c, g);
    c->ts_recent = g->ts_value;
    c->snd_scale = g->scale;
    if (!g->has_scale)
        c->snd_scale = c->rcv_scale = 0;
    c->peer_mss = g->mss != 0 ? g->mss : c->flags & TCP_IPV4 ? 536 : 1220;
    tcp_update_mss(c);
}

void tcp_established(struct stack_tcp *t, struct tcp_conn *c)
{
    if (!(c->flags & TCP_PASSIVE))
        tcp_connecting_remove(t, c);
    c->state = TCP_ESTABLISHED;
    c->idle_since_ms = t->now_ms;
    if (c->work != NULL) {
        c->work->rare.end_ns = 0;
        c->work->in_rto_recovery = false;
        c->work->can_undo = false;
    }
    cc_init(c);
    tcp_want_deliver(t, c);
    tcp_arm_user(t, c);
}

static void on_syn_ack(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    c->snd_wl1 = seq_sub(g->seq, 1); /* so that the window counts */
    if (tcp_ack(t, c, g) != TCP_STEP_NEXT)
        return;
    c->flags |= TCP_ACK_NOW;
    t->count.opened_active++;
    tcp_established(t, c);
    g->seq = c->rcv_nxt;
    g->flags &= (uint8_t)~TCP_SYN;
    cut_back(c, g); /* our SYN's window holds for the text of a SYN-ACK too */
    tcp_receive(t, c, g);
}

static void syn_sent_input(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    bool has_ack = (g->flags & TCP_ACK) != 0;
    bool acceptable = has_ack && seq_gt(g->ack, c->iss) && seq_le(g->ack, c->snd_nxt);
    if (has_ack && !acceptable) {
        stack_drop(t->stack, STACK_DROP_TCP_ACK_RANGE);
        tcp_reset_segment(t, g);
        /* of an old connection that our RST ends: the SYN comes again at once, but only once */
        if (!(g->flags & TCP_RST) && c->work->backoff == 0)
            c->work->xmit_ns = t->stack->now_ns;
        tcp_dirty(c);
        return;
    }
    if (g->flags & TCP_RST) {
        if (acceptable)
            tcp_conn_close(t, c, LEAT_CLOSE_REFUSED);
        else
            stack_drop(t->stack, STACK_DROP_TCP_RST_INEXACT);
        return;
    }
    if (!(g->flags & TCP_SYN)) {
        stack_drop(t->stack, STACK_DROP_TCP_FLAGS);
        return;
    }
    c->irs = g->seq;
    c->rcv_nxt = c->work->acked_to = seq_add(g->seq, 1);
    c->rcv_edge =
        seq_add(c->rcv_nxt, c->receive_max < 65535 ? c->receive_max : 65535); /* unscaled: bug 4 */
    c->ts_recent_ms = t->now_ms;
    on_syn_options(c, g);
    if (acceptable) {
        on_syn_ack(t, c, g);
        return;
    }
    c->state = TCP_SYN_RCVD; /* simultaneous open, RFC 9293 3.5 figure 7 */
    c->snd_wnd = c->snd_wnd_max = g->window;
    c->snd_wl1 = g->seq;
    c->snd_wl2 = c->iss;
    c->flags |= TCP_SYN_NOW;
    tcp_dirty(c);
}

/* ---- the steps ---- */

/* The fifth step in SYN-RECEIVED. */
static LEAT_MUST_CHECK enum tcp_step syn_rcvd_ack(struct stack_tcp *t, struct tcp_conn *c,
                                                  struct tcp_segment *g)
{
    if (!seq_gt(g->ack, c->snd_una) || !seq_le(g->ack, c->snd_nxt)) {
        stack_drop(t->stack, STACK_DROP_TCP_ACK_RANGE);
        tcp_reset_segment(t, g);
        return TCP_STEP_DROPPED;
    }
    c->snd_wl1 = seq_sub(g->seq, 1);
    t->count.opened_active++;
    tcp_established(t, c);
    return TCP_STEP_NEXT;
}

void tcp_conn_input(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    if (!tcp_parse_options(g)) {
        stack_drop(t->stack, STACK_DROP_TCP_OPTIONS);
        return;
    }
    if (c->state == TCP_SYN_SENT) {
        syn_sent_input(t, c, g);
        return;
    }
    if (c->state == TCP_SYN_RCVD && (g->flags & TCP_SYN) && seq_eq(g->seq, c->irs)) {
        g->flags &= (uint8_t) ~(TCP_SYN | TCP_ECE | TCP_CWR); /* the other half of both opening */
        g->seq = seq_add(g->seq, 1);
    }
    if (check_timestamp(t, c, g) != TCP_STEP_NEXT)
        return;
    if (g->flags & TCP_RST) {
        on_reset(t, c, g);
        return;
    }
    if (g->flags & TCP_SYN) { /* RFC 5961 4.2: whatever its sequence number */
        stack_drop(t->stack, STACK_DROP_TCP_SYN_IN_WINDOW);
        tcp_challenge(t, c);
        return;
    }
    seq32 seq = g->seq;
    if (check_sequence(t, c, g) != TCP_STEP_NEXT)
        return;
    if (!(g->flags & TCP_ACK)) {
        stack_drop(t->stack, STACK_DROP_TCP_FLAGS);
        return;
    }
    if (c->state == TCP_SYN_RCVD && syn_rcvd_ack(t, c, g) != TCP_STEP_NEXT)
        return;
    if (tcp_ack(t, c, g) != TCP_STEP_NEXT)
        return;
    ts_remember(t, c, g, seq);
    tcp_receive(t, c, g);
}
