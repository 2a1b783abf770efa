/* One timer per connection in use, for several deadlines: a later deadline is one store, looked at
 * when the timer fires. RTO by RFC 6298.
 *
 * The user timeout (C27, RFC 9293 3.8.3) is looked at when something is tried again, and costs
 * nothing before; so it is never shorter than the first retransmission timeout (RFC 5482 3.1). The
 * option of RFC 5482 is neither sent nor read: an application's own timeout forbids to take over
 * the peer's, without one the RFC has it off, no other system speaks it, and it would let strangers
 * say for how long their memory is ours to keep. */
#include "net/stack/tcp/tcp.h"

#include <limits.h>

#define PROBE_ACK_DELAY_US 200000 /* RFC 8985 7.2: a single segment's ACK may be delayed */

uint64_t tcp_due_ns(const struct tcp_work *w)
{
    uint64_t a = w->xmit_ns < w->ack_ns ? w->xmit_ns : w->ack_ns;
    uint64_t b = w->user_ns < w->pace_wait_ns ? w->user_ns : w->pace_wait_ns;
    return a < b ? a : b;
}

void tcp_set_timer(struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    uint64_t due = tcp_due_ns(w);
    if (due != STACK_NEVER && (!leat_timer_is_started(&w->timer) || due < w->timer.deadline_ns))
        leat_timer_start_at(&w->timer, due);
}

/* RFC 6298 2 */
void tcp_rtt_sample(struct tcp_conn *c, uint32_t rtt_us)
{
    if (c->srtt_us == 0) {
        c->srtt_us = rtt_us;
        c->rttvar_us = rtt_us / 2;
    } else {
        uint32_t error = rtt_us > c->srtt_us ? rtt_us - c->srtt_us : c->srtt_us - rtt_us;
        c->rttvar_us += (uint32_t)(((int64_t)error - c->rttvar_us) / 4);
        c->srtt_us += (uint32_t)(((int64_t)rtt_us - c->srtt_us) / 8);
        c->srtt_us += c->srtt_us == 0;
    }
    tcp_rto_compute(c);
    if (c->work != NULL && rtt_us < c->work->min_rtt_us)
        c->work->min_rtt_us = rtt_us;
}

/* RFC 6298 2.4 has a floor of a second under the whole. Here the margin over the round trip has
 * one: a steady path of 190 ms would have none, and one late ACK would be a timeout. */
void tcp_rto_compute(struct tcp_conn *c)
{
    uint64_t margin_us = 4ull * c->rttvar_us;
    margin_us = margin_us < TCP_RTO_NS_MARGIN / 1000 ? TCP_RTO_NS_MARGIN / 1000 : margin_us;
    uint64_t rto_us = c->srtt_us + margin_us;
    rto_us = rto_us > TCP_RTO_NS_MAX / 1000 ? TCP_RTO_NS_MAX / 1000 : rto_us;
    c->rto_us = (uint32_t)rto_us;
}

static uint64_t backed_off_ns(const struct tcp_conn *c, unsigned backoff)
{
    uint64_t ns = (uint64_t)c->rto_us * 1000 << (backoff < 16 ? backoff : 16);
    return ns < TCP_RTO_NS_MAX ? ns : TCP_RTO_NS_MAX;
}

static bool may_probe(const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    return (c->flags & TCP_USES_SACK) && c->srtt_us != 0 && w->backoff == 0 && !w->probe_out &&
           !w->in_recovery && !w->in_rto_recovery && w->sacked_bytes == 0 && w->lost_bytes == 0 &&
           c->state >= TCP_ESTABLISHED;
}

static uint64_t probe_wait_ns(const struct tcp_conn *c)
{
    uint32_t flight = seq_span(c->snd_una, c->snd_nxt);
    return (2ull * c->srtt_us + (flight <= c->mss ? PROBE_ACK_DELAY_US : 2000)) * 1000;
}

void tcp_arm_rto(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    if (w->xmit_timer == XMIT_REORDER)
        return;
    uint32_t flight = seq_span(c->snd_una, c->snd_nxt);
    if (flight == 0) {
        w->xmit_timer = XMIT_NONE;
        w->xmit_ns = STACK_NEVER;
        return;
    }
    uint64_t wait_ns = backed_off_ns(c, w->backoff);
    w->xmit_timer = XMIT_RTO;
    if (may_probe(c)) { /* RFC 8985 7.2: at the timeout a probe goes, and the timeout after it */
        uint64_t probe_ns = probe_wait_ns(c);
        wait_ns = probe_ns < wait_ns ? probe_ns : wait_ns;
        w->xmit_timer = XMIT_PROBE;
    }
    w->xmit_ns = t->stack->now_ns + wait_ns;
}

/* RFC 8985 7.2: after each new data; but not beyond the timeout of the first that is in flight, or
 * who always has something to send would never probe. */
void tcp_arm_probe_again(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    if (w->xmit_timer != XMIT_PROBE)
        return;
    uint64_t due_ns = t->stack->now_ns + probe_wait_ns(c);
    uint64_t rto_ns = w->sent_first->sent_ns + (uint64_t)c->rto_us * 1000;
    uint64_t last_ns = rto_ns > w->xmit_ns ? rto_ns : w->xmit_ns;
    w->xmit_ns = due_ns < last_ns ? due_ns : last_ns;
}

/* Less than a segment is there, and more is being read. */
static bool waits_for_file(const struct tcp_conn *c)
{
    return c->work->is_reading && seq_span(c->snd_nxt, c->work->send_end) < c->mss;
}

void tcp_arm_xmit(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    if (!seq_eq(c->snd_una, c->snd_nxt)) {
        if (w->xmit_timer == XMIT_NONE || w->xmit_timer == XMIT_PERSIST)
            tcp_arm_rto(t, c);
        return;
    }
    /* RFC 9293 3.8.6.1: nothing in flight, something to send, and no window for it */
    if (tcp_has_unsent(c) && !waits_for_file(c)) {
        if (w->xmit_timer != XMIT_PERSIST) {
            w->xmit_timer = XMIT_PERSIST;
            w->xmit_ns = t->stack->now_ns + backed_off_ns(c, w->backoff);
        }
    } else if (w->xmit_timer != XMIT_NONE) {
        w->xmit_timer = XMIT_NONE;
        w->xmit_ns = STACK_NEVER;
    }
}

static void back_off(struct tcp_work *w)
{
    if (w->backoff < UINT8_MAX)
        w->backoff++;
}

static bool has_user_timeout(const struct tcp_conn *c)
{
    return c->user_timeout_s != 0 && c->state >= TCP_ESTABLISHED;
}

/* Since since_ns, unless it is tried already. */
static bool user_timeout_is_over(const struct stack_tcp *t, struct tcp_conn *c, uint64_t since_ns)
{
    struct tcp_work *w = c->work;
    if (w->backoff == 0 && !w->probe_out)
        tcp_rare(w)->stuck_ns = since_ns; /* also for a timeout that is set only later */
    if (!has_user_timeout(c))
        return false;
    return t->stack->now_ns >= w->rare.stuck_ns + c->user_timeout_s * LEAT_NS_PER_S;
}

/* The next try, or the end that comes before it. */
static void wait_for_user_timeout(struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    uint64_t end_ns = w->rare.stuck_ns + c->user_timeout_s * LEAT_NS_PER_S;
    if (has_user_timeout(c) && end_ns < w->xmit_ns)
        w->xmit_ns = end_ns;
}

/* C31. Where nothing was tried again yet, the next try looks at it. */
void tcp_user_timeout_changed(struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    if (w->xmit_ns != STACK_NEVER && (w->backoff > 0 || w->probe_out))
        wait_for_user_timeout(c);
}

/* RFC 9293 3.8.3: for how long a SYN is sent again the application says, and end_ns ends it; three
 * minutes must be possible. */
static bool has_tried_enough(const struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    bool is_over = user_timeout_is_over(t, c, w->sent_first->sent_ns);
    if (has_user_timeout(c))
        return is_over;
    return c->state >= TCP_ESTABLISHED && w->backoff >= TCP_RETRIES_MAX;
}

/* RFC 6298 5.4 to 5.6 */
static void on_rto(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    if (has_tried_enough(t, c)) {
        tcp_conn_close(t, c, LEAT_CLOSE_PEER_GONE);
        return;
    }
    t->count.rtos++;
    if (w->backoff == 0) {
        tcp_undo_arm(c);
        cc_rto(t, c);
        tcp_ecn_reduced(c);
    }
    c->cwnd = c->mss;
    back_off(w);
    w->in_recovery = false;
    w->in_rto_recovery = true;
    tcp_rare(w)->recovery_end = c->snd_nxt;
    w->probe_out = false;
    w->dup_acks = 0;
    tcp_mark_all_lost(c);
    w->xmit_timer = XMIT_NONE;
    tcp_arm_rto(t, c);
    wait_for_user_timeout(c);
}

/* RFC 8985 7.3: new data if there is any and room for it, else the last range again. */
static void on_probe(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    if (!may_probe(c)) { /* something was sacked or lost meanwhile */
        w->xmit_timer = XMIT_NONE;
        tcp_arm_rto(t, c);
        return;
    }
    if (has_tried_enough(t, c)) {
        tcp_conn_close(t, c, LEAT_CLOSE_PEER_GONE);
        return;
    }
    t->count.probes++;
    w->probe_out = true;
    uint32_t cwnd = c->cwnd;
    seq32 before = c->snd_nxt;
    if (tcp_has_unsent(c)) {
        c->cwnd = tcp_pipe(c) + c->mss;
        (void)tcp_output(t, c);
        c->cwnd = cwnd;
    }
    w->probe_was_new = !seq_eq(before, c->snd_nxt);
    if (!w->probe_was_new) {
        struct tcp_sent *r = w->sent_last;
        uint32_t span = seq_span(r->from, r->to);
        if (span > c->mss)
            r = tcp_sent_split(t, w, r, seq_sub(r->to, c->mss));
        if (r != NULL)
            (void)tcp_resend(t, c, r);
    }
    tcp_rare(w)->probe_end = c->snd_nxt;
    w->xmit_timer = XMIT_NONE;
    tcp_arm_rto(t, c);
    wait_for_user_timeout(c);
}

static void on_reorder(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    uint64_t due_ns;
    w->xmit_timer = XMIT_NONE;
    if (tcp_rack_detect(t, c, &due_ns))
        tcp_rack_timeout(t, c);
    if (due_ns != STACK_NEVER) {
        w->xmit_timer = XMIT_REORDER;
        w->xmit_ns = due_ns;
    } else {
        tcp_arm_rto(t, c);
    }
}

/* RFC 9293 3.8.6.1: for as long as the peer answers, unless the application waits only for so long
 * (RFC 6429 4). */
static void on_persist(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    bool is_over = user_timeout_is_over(t, c, t->stack->now_ns - backed_off_ns(c, 0));
    if (is_over)
        tcp_send_reset(t, c);
    if (is_over || (!has_user_timeout(c) && w->probes >= TCP_RETRIES_MAX)) {
        tcp_conn_close(t, c, LEAT_CLOSE_PEER_GONE);
        return;
    }
    t->count.persists++;
    w->probes++;
    back_off(w);
    if (c->snd_wnd > 0) { /* a window too small to be worth a segment, for too long */
        uint32_t max = c->snd_wnd_max;
        c->snd_wnd_max = c->snd_wnd;
        (void)tcp_output(t, c);
        c->snd_wnd_max = max;
    }
    if (seq_eq(c->snd_una, c->snd_nxt))
        tcp_send_probe(t, c);
    if (w->xmit_timer == XMIT_PERSIST)
        w->xmit_ns = t->stack->now_ns + backed_off_ns(c, w->backoff);
    wait_for_user_timeout(c);
}

static void on_xmit(struct stack_tcp *t, struct tcp_conn *c)
{
    switch ((enum tcp_xmit_timer)c->work->xmit_timer) {
    case XMIT_RTO:
        on_rto(t, c);
        break;
    case XMIT_PROBE:
        on_probe(t, c);
        break;
    case XMIT_REORDER:
        on_reorder(t, c);
        break;
    case XMIT_PERSIST:
        on_persist(t, c);
        break;
    case XMIT_NONE:
        c->work->xmit_ns = STACK_NEVER;
        break;
    }
}

/* ---- what the application's options time: connecting, lingering, idleness, keepalive ---- */

static uint64_t since_ns(const struct stack_tcp *t, uint32_t then_ms, uint32_t wait_ms)
{
    uint32_t past = t->now_ms - then_ms;
    return t->stack->now_ns + (past < wait_ms ? (uint64_t)(wait_ms - past) * LEAT_NS_PER_MS : 0);
}

/* For keepalive an answered probe is as good as a byte. */
static uint32_t quiet_since_ms(const struct tcp_conn *c)
{
    uint32_t probed_ms = c->work->rare.probed_ms;
    bool is_later = probed_ms != 0 && (int32_t)(probed_ms - c->idle_since_ms) > 0;
    return is_later ? probed_ms : c->idle_since_ms;
}

void tcp_arm_user(struct stack_tcp *t, struct tcp_conn *c)
{
    if (c->timeout_ms == 0 && c->keepalive_ms == 0 && c->work == NULL)
        return;
    struct tcp_work *w = tcp_work_of(c);
    if (w == NULL)
        return;
    uint64_t due = w->rare.end_ns != 0 ? w->rare.end_ns : STACK_NEVER;
    if (c->timeout_ms != 0 && c->state >= TCP_ESTABLISHED) {
        uint64_t at = since_ns(t, c->idle_since_ms, c->timeout_ms);
        due = at < due ? at : due;
    }
    if (c->keepalive_ms != 0 && c->state >= TCP_ESTABLISHED && w->probes == 0) {
        bool is_flying = !seq_eq(c->snd_una, c->snd_nxt); /* retransmission probes as well */
        uint32_t since_ms = is_flying ? t->now_ms : quiet_since_ms(c);
        uint64_t at = since_ns(t, since_ms, c->keepalive_ms);
        due = at < due ? at : due;
    }
    w->user_ns = due;
    tcp_dirty(c);
}

/* RFC 9293 3.8.4; for as long as data would be tried, RFC 5482 4.2. */
static void keep_alive(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    uint64_t waited_ns = w->probes * TCP_KEEPALIVE_GAP_NS;
    uint64_t most_ns = TCP_KEEPALIVE_PROBES * TCP_KEEPALIVE_GAP_NS;
    if (has_user_timeout(c))
        most_ns = c->user_timeout_s * LEAT_NS_PER_S;
    if (waited_ns >= most_ns) {
        tcp_conn_close(t, c, LEAT_CLOSE_PEER_GONE);
        return;
    }
    w->probes++;
    tcp_rare(w)->probed_ms = t->now_ms | 1;
    tcp_send_probe(t, c);
    uint64_t left_ns = most_ns - waited_ns;
    w->user_ns =
        t->stack->now_ns + (left_ns < TCP_KEEPALIVE_GAP_NS ? left_ns : TCP_KEEPALIVE_GAP_NS);
}

/* heard_ns: what came until then was delivered; a byte of later is no silence. */
static void on_user(struct stack_tcp *t, struct tcp_conn *c, uint64_t heard_ns)
{
    struct tcp_work *w = c->work;
    int32_t idle_ms = (int32_t)((uint32_t)(heard_ns / LEAT_NS_PER_MS) - c->idle_since_ms);
    w->user_ns = STACK_NEVER;
    if (w->rare.end_ns != 0 && w->rare.end_ns <= heard_ns) {
        bool connecting = c->state < TCP_ESTABLISHED;
        bool is_acked = (c->flags & TCP_FIN_SENT) && seq_eq(c->snd_una, c->snd_nxt);
        if (!connecting && !is_acked)
            tcp_send_reset(t, c);
        tcp_conn_close(t, c, connecting ? LEAT_CLOSE_CONNECT_TIMEOUT : LEAT_CLOSE_DONE);
        return;
    }
    if (c->timeout_ms != 0 && c->state >= TCP_ESTABLISHED && idle_ms >= 0 &&
        (uint32_t)idle_ms >= c->timeout_ms) {
        tcp_send_reset(t, c);
        tcp_conn_close(t, c, LEAT_CLOSE_TIMEOUT);
        return;
    }
    bool is_quiet = w->probes > 0 || t->now_ms - quiet_since_ms(c) >= c->keepalive_ms;
    if (c->keepalive_ms != 0 && c->state >= TCP_ESTABLISHED && is_quiet &&
        seq_eq(c->snd_una, c->snd_nxt)) {
        keep_alive(t, c);
        return;
    }
    w->probes = 0;
    tcp_arm_user(t, c);
}

void tcp_on_timer(struct leat_timer *timer, void *arg)
{
    struct tcp_work *w = arg;
    struct tcp_conn *c = w->conn;
    struct stack_tcp *t = tcp_of(c);
    /* A retransmission, a probe or an ACK goes out when the turn has looked for what makes it
     * needless; the application's deadlines when nothing more is to be found. */
    uint64_t now_ns = t->stack->now_ns = leat_loop_turn_began(t->loop);
    (void)timer;
    tcp_prefetch(c); /* for the output that follows */
    t->now_ms = (uint32_t)(now_ns / LEAT_NS_PER_MS);
    tcp_dirty(c);
    if (w->ack_ns <= now_ns) {
        w->ack_ns = STACK_NEVER;
        if (c->flags & TCP_ACK_LATER)
            c->flags |= TCP_ACK_NOW;
    }
    if (w->pace_wait_ns <= now_ns)
        w->pace_wait_ns = STACK_NEVER;
    if (w->xmit_ns <= now_ns)
        on_xmit(t, c);
    if (c->state != TCP_CLOSED && w->user_ns <= now_ns && leat_loop_has_heard(t->loop, w->user_ns))
        on_user(t, c, leat_loop_heard(t->loop));
}
