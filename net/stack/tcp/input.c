/* Input: a burst in stages, each segment by the steps of RFC 9293 3.10.7, one function each. */
#include "net/stack/tcp/tcp.h"

#define PAWS_IDLE_MS (24u * 24 * 3600 * 1000) /* RFC 7323 5.5: after 24 days nothing is too old */

/* ---- validation and lookup ---- */

/* Everything is validated once, here: 20 <= data offset <= segment (bug 2). */
static bool parse(struct stack *s, struct rx_packet *p, struct tcp_segment *g)
{
    const struct tcp_header *h = (const void *)p->data;
    uint32_t header = p->length_bytes >= sizeof(*h) ? (h->offset >> 4) * 4u : 0;
    enum stack_drop reason;
    if (header < sizeof(*h) || header > p->length_bytes)
        reason = STACK_DROP_TCP_SHORT;
    else if (p->flags & (RX_MULTICAST | RX_LINK_MULTICAST))
        reason = STACK_DROP_TCP_BROADCAST;
    else if (!l4_checksum_is_right(s, p, IP_TCP, p->length_bytes))
        reason = STACK_DROP_TCP_CHECKSUM;
    else {
        *g = (struct tcp_segment){.p = p,
                                  .data = p->data + header,
                                  .length = p->length_bytes - header,
                                  .seq = seq_get(h->seq),
                                  .ack = seq_get(h->ack),
                                  .window = be16_get(h->window),
                                  .flags = h->flags,
                                  .option_bytes = (uint8_t)(header - sizeof(*h)),
                                  .src_port = h->src_port,
                                  .dst_port = h->dst_port,
                                  .options = p->data + sizeof(*h)};
        return true;
    }
    stack_drop(s, reason);
    return false;
}

static struct tcp_flow flow_of(const struct tcp_segment *g)
{
    struct tcp_flow flow = {.local = g->p->dst, .remote = g->p->src};
    be32 ports = be16_pair(g->dst_port, g->src_port); /* as they are read again (wire.h) */
    memcpy((uint8_t *)&flow + offsetof(struct tcp_flow, local_port), &ports, sizeof(ports));
    return flow;
}

/* local, remote and ports lie together, in this order, in all three kinds. */
bool tcp_matches(void *owner, uint32_t reference, const struct tcp_flow *flow)
{
    struct stack_tcp *t = owner;
    uint32_t index = table_index(reference);
    const void *have;
    switch (table_kind(reference)) {
    case KIND_CONN:
        have = &((const struct tcp_conn *)slots_address(&t->conns, index))->local;
        break;
    case KIND_EMBRYO:
        have = &t->embryos[index].local;
        break;
    case KIND_TIME_WAIT:
        have = &t->time_waits[index].local;
        break;
    default:
        return false;
    }
    return memcmp(have, flow, sizeof(*flow)) == 0;
}

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

static void take_reset(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g)
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

/* RFC 7323 5.3, R1. False: dropped. */
static bool check_timestamp(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g)
{
    if (!(c->flags & TCP_USES_TS) || (g->flags & TCP_RST))
        return true;
    if (!g->has_ts) {
        stack_drop(t->stack, STACK_DROP_TCP_NO_TIMESTAMP);
        return false;
    }
    bool is_old = (int32_t)(g->ts_value - c->ts_recent) < 0;
    if (is_old && t->now_ms - c->ts_recent_ms < PAWS_IDLE_MS) {
        stack_drop(t->stack, STACK_DROP_TCP_PAWS);
        tcp_challenge(t, c);
        return false;
    }
    return true;
}

/* RFC 7323 4.3 (2) and 5.3, R3: the echo is of the oldest segment that no ACK has told of, so that
 * the peer measures how long we delay. Only what passed the window and the ACK moves the clock of
 * PAWS, else a stranger could. */
static void note_timestamp(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
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
 * before it arrived late), and DSACK tells of it; what is older may be anybody's. False: dropped.
 */
static bool take_old(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    bool is_recent = seq_span(g->seq, c->rcv_nxt) <= c->receive_max;
    stack_drop(t->stack, STACK_DROP_TCP_DUPLICATE);
    if (tcp_segment_span(g) == 0 || !is_recent) {
        tcp_challenge(t, c);
        return is_recent;
    }
    struct tcp_work *w = tcp_work_of(c);
    if (w != NULL && g->length > 0) {
        struct tcp_rare *rare = tcp_rare(w);
        w->has_dsack = true;
        rare->dsack_from = g->seq;
        rare->dsack_to = seq_add(g->seq, g->length);
    }
    c->flags |= TCP_ACK_NOW;
    tcp_dirty(c);
    g->flags &= (uint8_t)~TCP_FIN;
    g->length = 0; /* its place stays, so that an old window does not count (SND.WL1) */
    return true;
}

/* RFC 9293 3.10.7.4, first step: is it acceptable; trims it to the window. False: dropped. */
static bool check_sequence(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    seq32 end = seq_add(g->seq, tcp_segment_span(g));
    uint32_t window = seq_span(c->rcv_nxt, c->rcv_edge);
    if (seq_lt(g->seq, c->rcv_nxt) && seq_le(end, c->rcv_nxt))
        return take_old(t, c, g);
    bool beyond = window == 0 ? seq_gt(g->seq, c->rcv_nxt) : seq_ge(g->seq, c->rcv_edge);
    if (beyond && !(tcp_segment_span(g) == 0 && seq_eq(g->seq, c->rcv_edge))) {
        stack_drop(t->stack, STACK_DROP_TCP_WINDOW);
        if (!(g->flags & TCP_RST))
            tcp_challenge(t, c);
        return false;
    }
    if (seq_lt(g->seq, c->rcv_nxt) && g->length > 0) { /* bug 10: the new part of an overlap */
        uint32_t old = seq_span(g->seq, c->rcv_nxt);
        drop_front(g, old < g->length ? old : g->length);
    }
    if (seq_gt(end, c->rcv_edge)) {
        cut_back(c, g);
        c->flags |= TCP_ACK_NOW; /* bugs 5 and 6: a zero-window probe is answered, its ACK counts */
        tcp_dirty(c);
    }
    return true;
}

/* ---- SYN-SENT: RFC 9293 3.10.7.3 ---- */

static void take_syn_options(struct tcp_conn *c, const struct tcp_segment *g)
{
    if (!g->sack_ok)
        c->flags &= (uint16_t)~TCP_USES_SACK;
    if (!g->has_ts)
        c->flags &= (uint16_t)~TCP_USES_TS;
    tcp_ecn_take_syn(c, g);
    c->ts_recent = g->ts_value;
    c->snd_scale = g->scale;
    if (!g->has_scale)
        c->snd_scale = c->rcv_scale = 0;
    c->peer_mss = g->mss != 0 ? g->mss : c->flags & TCP_IPV4 ? 536 : 1220;
    tcp_update_mss(c);
}

void tcp_established(struct stack_tcp *t, struct tcp_conn *c)
{
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

static void take_syn_ack(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    c->snd_wl1 = seq_sub(g->seq, 1); /* so that the window counts */
    if (!tcp_ack(t, c, g))
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
    take_syn_options(c, g);
    if (acceptable) {
        take_syn_ack(t, c, g);
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

/* The fifth step in SYN-RECEIVED. False: dropped. */
static bool syn_rcvd_ack(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    if (!seq_gt(g->ack, c->snd_una) || !seq_le(g->ack, c->snd_nxt)) {
        stack_drop(t->stack, STACK_DROP_TCP_ACK_RANGE);
        tcp_reset_segment(t, g);
        return false;
    }
    c->snd_wl1 = seq_sub(g->seq, 1);
    t->count.opened_active++;
    tcp_established(t, c);
    return true;
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
    if (!check_timestamp(t, c, g))
        return;
    if (g->flags & TCP_RST) {
        take_reset(t, c, g);
        return;
    }
    if (g->flags & TCP_SYN) { /* RFC 5961 4.2: whatever its sequence number */
        stack_drop(t->stack, STACK_DROP_TCP_SYN_IN_WINDOW);
        tcp_challenge(t, c);
        return;
    }
    seq32 seq = g->seq;
    if (!check_sequence(t, c, g))
        return;
    if (!(g->flags & TCP_ACK)) {
        stack_drop(t->stack, STACK_DROP_TCP_FLAGS);
        return;
    }
    if (c->state == TCP_SYN_RCVD && !syn_rcvd_ack(t, c, g))
        return;
    if (!tcp_ack(t, c, g))
        return;
    note_timestamp(t, c, g, seq);
    tcp_receive(t, c, g);
}

/* ---- header prediction ---- */

/* Bytes 12 and 13 of the header: offset and flags; PSH does not matter. Nor does the window, which
 * moves with each segment of a peer whose own receive window fills; tcp_ack takes it. */
static uint32_t prediction_word(const struct tcp_segment *g)
{
    return (uint32_t)g->options[-8] | (uint32_t)(g->options[-7] & ~TCP_PSH) << 8;
}

/* In the fast case the only options are {NOP, NOP, timestamp}. */
static bool predicted_timestamp(struct tcp_conn *c, struct tcp_segment *g)
{
    static const uint8_t head[4] = {1, 1, 8, 10};
    if (!(c->flags & TCP_USES_TS))
        return g->option_bytes == 0;
    if (g->option_bytes != 12 || memcmp(g->options, head, 4) != 0)
        return false;
    be32 value, echo;
    memcpy(&value, g->options + 4, 4);
    memcpy(&echo, g->options + 8, 4);
    g->has_ts = true;
    g->ts_value = be32_get(value);
    g->ts_echo = be32_get(echo);
    return (int32_t)(g->ts_value - c->ts_recent) >= 0;
}

/* The expected segment of an established connection: next in order, no loss on either side. What
 * remains to be done of the steps is the ACK and the text. */
static bool is_predicted(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    const struct tcp_work *w = c->work;
    if (c->predicted == 0 || prediction_word(g) != c->predicted || !seq_eq(g->seq, c->rcv_nxt) ||
        g->length > seq_span(c->rcv_nxt, c->rcv_edge))
        return false;
    if (w != NULL && (w->ooo_first != NULL || w->fin_known || w->sent_count > 0) &&
        (w->ooo_first != NULL || w->fin_known || w->in_recovery || w->in_rto_recovery ||
         w->sacked_bytes != 0 || w->probe_out || w->lost_bytes != 0))
        return false;
    if (seq_lt(g->ack, c->snd_una) || seq_gt(g->ack, c->snd_nxt) ||
        (g->length == 0 && seq_eq(g->ack, c->snd_una)) || !predicted_timestamp(c, g))
        return false;
    if (g->has_ts && (w == NULL || seq_eq(w->acked_to, g->seq))) { /* as note_timestamp */
        c->ts_recent = g->ts_value;
        c->ts_recent_ms = t->now_ms;
    }
    t->count.predicted++;
    return true;
}

static void established_input(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    if (is_predicted(t, c, g)) {
        if (tcp_ack(t, c, g))
            tcp_receive(t, c, g);
        return;
    }
    uint32_t word = prediction_word(g);
    bool is_plain = (g->flags & (uint8_t)~TCP_PSH) == TCP_ACK;
    tcp_conn_input(t, c, g);
    c->predicted = is_plain && c->state == TCP_ESTABLISHED ? word : 0;
}

/* ---- the burst ---- */

static void no_connection(struct stack_tcp *t, struct tcp_segment *g)
{
    if ((g->flags & (TCP_SYN | TCP_RST)) == TCP_SYN || (g->flags & TCP_ACK)) {
        tcp_listen_input(t, g);
        return;
    }
    stack_drop(t->stack, STACK_DROP_TCP_NO_CONN);
    /* RFC 9293 3.10.7.2: a listener drops what has neither RST, ACK nor SYN */
    if (tcp_find_listener(t, &g->p->dst, be16_get(g->dst_port)) == NULL)
        tcp_reset_segment(t, g);
}

static uint32_t find(struct stack_tcp *t, const struct tcp_segment *g)
{
    struct tcp_flow flow = flow_of(g);
    return table_find(&t->table, g->p->hash, &flow, tcp_matches, t);
}

static uint32_t find_guessed(struct stack_tcp *t, const struct tcp_segment *g, uint32_t guess)
{
    struct tcp_flow flow = flow_of(g);
    if (likely(guess == 0 || tcp_matches(t, guess, &flow)))
        return guess;
    return table_find(&t->table, g->p->hash, &flow, tcp_matches, t);
}

static void segment_input(struct stack_tcp *t, struct tcp_segment *g, uint32_t reference)
{
    uint32_t index = table_index(reference);
    t->count.segments_in++;
    switch (table_kind(reference)) {
    case KIND_CONN:
        established_input(t, slots_address(&t->conns, index), g);
        break;
    case KIND_EMBRYO:
        if (tcp_parse_options(g))
            tcp_embryo_input(t, &t->embryos[index], g);
        else
            stack_drop(t->stack, STACK_DROP_TCP_OPTIONS);
        break;
    case KIND_TIME_WAIT:
        if (!tcp_parse_options(g))
            stack_drop(t->stack, STACK_DROP_TCP_OPTIONS);
        else if (tcp_time_wait_input(t, index, g))
            tcp_listen_input(t, g);
        break;
    case KIND_NONE:
        no_connection(t, g);
        break;
    }
}

/* What the steps will touch comes from memory, for all of the burst at the same time: each round
 * asks for what the addresses lie in that the one before asked for. Of a connection: its block;
 * its work and what the application keeps of it; what of it is sent and not acknowledged; the
 * memory of that. */
static void prefetch_conns(struct stack_tcp *t, struct tcp_segment *segments, uint32_t *found,
                           unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        found[i] = table_guess(&t->table, segments[i].p->hash);
        if (table_kind(found[i]) == KIND_CONN)
            tcp_prefetch(slots_address(&t->conns, table_index(found[i])));
    }
    for (unsigned i = 0; i < count; i++) {
        if (table_kind(found[i]) != KIND_CONN)
            continue;
        const struct tcp_conn *c = slots_address(&t->conns, table_index(found[i]));
        __builtin_prefetch(c->user);
        segments[i].work = c->work;
        if (c->work != NULL)
            tcp_work_prefetch(c->work);
    }
    for (unsigned i = 0; i < count; i++) {
        if (segments[i].work == NULL)
            continue;
        __builtin_prefetch(segments[i].work->sent_first);
        __builtin_prefetch(segments[i].work->send_first);
    }
    for (unsigned i = 0; i < count; i++)
        if (segments[i].work != NULL && segments[i].work->send_first != NULL)
            __builtin_prefetch(segments[i].work->send_first->buf.block);
}

/* Stages: validate and hash all, prefetching buckets; then all that hangs on them; then the steps.
 */
void tcp_input_burst(struct stack *s)
{
    struct stack_tcp *t = s->tcp;
    struct tcp_segment segments[LEAT_PORT_BURST];
    uint32_t found[LEAT_PORT_BURST];
    unsigned count = 0;
    t->now_ms = (uint32_t)(s->now_ns / LEAT_NS_PER_MS);
    t->in_burst = true;
    tcp_pressure_look(t);
    for (uint32_t i = 0; i < s->rx_count; i++) {
        struct rx_packet *p = &s->rx[i];
        struct tcp_segment *g = &segments[count];
        if (p->protocol != IP_TCP || !parse(s, p, g))
            continue;
        struct tcp_flow flow = flow_of(g);
        p->hash = table_hash(&t->table, &flow);
        table_prefetch(&t->table, p->hash);
        count++;
    }
    prefetch_conns(t, segments, found, count);
    for (unsigned i = 0; i < count; i++)
        found[i] = find_guessed(t, &segments[i], found[i]);
    uint32_t change_count = t->table.change_count;
    for (unsigned i = 0; i < count; i++)
        segment_input(t, &segments[i],
                      t->table.change_count == change_count ? found[i] : find(t, &segments[i]));
    tcp_deliver(t);
}

/* ---- ICMP errors, RFC 5927 and RFC 9293 3.9.2.2 ---- */

static void too_big(struct stack_tcp *t, struct tcp_conn *c, uint32_t mtu_bytes)
{
    struct stack *s = t->stack;
    if (mtu_bytes == 0) /* a router from before RFC 1191 */
        mtu_bytes = c->mtu_bytes > 1492 ? 1492 : c->mtu_bytes > 1006 ? 1006 : 576;
    pmtu_learn(s, &c->remote, mtu_bytes);
    uint16_t mtu = pmtu_of(s, &c->remote), old = c->mss;
    if (mtu >= c->mtu_bytes)
        return;
    c->mtu_bytes = mtu;
    tcp_update_mss(c);
    t->count.icmp_too_big++;
    for (struct tcp_sent *r = c->work->sent_first; r != NULL; r = r->next) {
        if ((r->flags & SENT_SACKED) || (seq_span(r->from, r->to) <= c->mss && old <= c->mss))
            continue;
        r->flags &= ~(uint32_t)(SENT_BY_PORT | SENT_CUT_BY_PORT); /* it is not to blame */
        tcp_mark_lost(c->work, r);
    }
    tcp_dirty(c);
}

void tcp_icmp(struct stack *s, const struct icmp_report *report)
{
    struct stack_tcp *t = s->tcp;
    const struct tcp_header *h = (const void *)report->l4;
    struct tcp_flow flow = {report->src, report->dst, h->src_port, h->dst_port};
    uint32_t hash = table_hash(&t->table, &flow);
    uint32_t reference = table_find(&t->table, hash, &flow, tcp_matches, t);
    struct tcp_conn *c = table_kind(reference) == KIND_CONN
                             ? slots_address(&t->conns, table_index(reference))
                             : NULL;
    seq32 seq = seq_get(h->seq);
    if (c == NULL || c->work == NULL || seq_lt(seq, c->snd_una) || seq_ge(seq, c->snd_nxt)) {
        stack_drop(s, STACK_DROP_ICMP_QUOTE);
        return;
    }
    bool v6 = report->is_v6, is_big = v6 ? report->type == ICMPV6_TOO_BIG
                                         : report->type == ICMP_UNREACHABLE && report->code == 4;
    bool unreachable = v6 ? report->type == ICMPV6_UNREACHABLE : report->type == ICMP_UNREACHABLE;
    if (is_big) {
        too_big(t, c, report->mtu_bytes);
    } else if (unreachable && c->state == TCP_SYN_SENT) {
        bool is_port = report->code == (v6 ? 4 : ICMP_CODE_PORT) ||
                       (!v6 && report->code == ICMP_CODE_PROTOCOL);
        tcp_conn_close(t, c, is_port ? LEAT_CLOSE_REFUSED : LEAT_CLOSE_UNREACHABLE);
    }
    /* on a synchronised connection hard errors are soft: RFC 5927 5.2 */
}
