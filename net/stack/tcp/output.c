/* Output: segments are always built from the send stream (RFC 9293 3.8). */
#include "net/stack/tcp/rate.h"
#include "net/stack/tcp/tcp.h"

#define SUMMED_BYTES_MIN 256

void tcp_path(const struct tcp_conn *c, struct path *path)
{
    *path = (struct path){.src = c->local,
                          .dst = c->remote,
                          .hop = c->hop,
                          .neighbour = c->neighbour,
                          .mtu_bytes = c->mtu_bytes,
                          .hop_limit = c->hop_limit,
                          .tos = c->tos,
                          .local = c->is_local};
}

static struct tcp_chunk *chunk_of(const struct tcp_work *w, seq32 seq)
{
    struct tcp_chunk *k = w->send_first;
    if (w->send_hint != NULL && seq_ge(seq, w->send_hint->seq))
        k = w->send_hint;
    while (k != NULL && seq_ge(seq, seq_add(k->seq, (uint32_t)k->buf.length_bytes)))
        k = k->next;
    return k;
}

/* Sums on the way where the payload is so long that this costs less than coming back to it. */
static csum copy_payload(const struct tcp_work *w, uint8_t *to, seq32 seq, uint32_t length)
{
    csum sum = CSUM_ZERO;
    uint32_t done = 0;
    bool is_summed = length >= SUMMED_BYTES_MIN;
    for (const struct tcp_chunk *k = chunk_of(w, seq); length > 0; k = k->next) {
        uint32_t at = seq_span(k->seq, seq), part = (uint32_t)k->buf.length_bytes - at;
        part = part < length ? part : length;
        if (is_summed)
            sum = csum_append(sum, csum_copy(to + done, k->buf.data + at, part), done);
        else
            memcpy(to + done, k->buf.data + at, part);
        done += part;
        seq = seq_add(seq, part);
        length -= part;
    }
    return sum;
}

/* References to the stream; returns how many bytes found room in the packet's slices. */
static uint32_t slice_payload(const struct tcp_work *w, struct leat_packet *packet, seq32 seq,
                              uint32_t length, unsigned slices_max)
{
    for (struct tcp_chunk *k = chunk_of(w, seq); length > 0 && packet->slice_count < slices_max;
         k = k->next) {
        uint32_t at = seq_span(k->seq, seq), part = (uint32_t)k->buf.length_bytes - at;
        part = part < length ? part : length;
        packet->slices[packet->slice_count++] = leat_buf_slice(k->buf, at, part);
        packet->slice_bytes += part;
        seq = seq_add(seq, part);
        length -= part;
    }
    return packet->slice_bytes;
}

/* The window field; what it promises is remembered, and is never taken back. Rounding up must not
 * promise memory that is not there: with a peer that sends less than a unit at a time the edge
 * would move on with each ACK, without end. So what the scale cannot express is left out then (RFC
 * 7323 2.4), and is accepted all the same. */
static uint16_t take_window(struct tcp_conn *c)
{
    uint32_t promised = seq_span(c->rcv_nxt, c->rcv_edge), unit = UINT32_C(1) << c->rcv_scale;
    uint32_t raw = (promised + unit - 1) >> c->rcv_scale;
    if (raw << c->rcv_scale > promised && raw << c->rcv_scale > tcp_window(c))
        raw = promised >> c->rcv_scale;
    if (tcp_window_may_grow(c) || promised == 0) {
        uint32_t open = tcp_window(c) >> c->rcv_scale;
        raw = open > raw ? open : raw;
    }
    raw = raw < 65535 ? raw : 65535;
    c->rcv_edge = seq_max(c->rcv_edge, seq_add(c->rcv_nxt, raw << c->rcv_scale));
    return (uint16_t)raw;
}

static void acked(struct tcp_conn *c)
{
    c->flags &= (uint16_t) ~(TCP_ACK_NOW | TCP_ACK_LATER);
    if (c->work != NULL) {
        c->work->ack_ns = STACK_NEVER;
        c->work->unacked_segments = 0;
        c->work->acked_to = c->rcv_nxt;
    }
}

static unsigned syn_options(const struct stack_tcp *t, struct tcp_conn *c, uint8_t *to)
{
    unsigned ip = c->flags & TCP_IPV4 ? 20 : 40;
    bool answers = c->state == TCP_SYN_RCVD;
    bool scales = !answers || c->rcv_scale != 0 || c->snd_scale != 0;
    return tcp_write_syn_options(to,
                                 (uint16_t)(t->stack->mtu_bytes - ip - sizeof(struct tcp_header)),
                                 scales ? (int)tcp_scale_for(c->receive_max) : -1,
                                 !answers || (c->flags & TCP_USES_SACK),
                                 !answers || (c->flags & TCP_USES_TS), t->now_ms + c->ts_offset,
                                 c->ts_recent);
}

/* After a second timeout nothing is left to the port: perhaps it is to blame. */
static bool is_doubtful(const struct tcp_conn *c)
{
    return c->work != NULL && c->work->backoff >= 2;
}

/* What a timer sends is alone, and a peer that has all that came before would let its ACK wait for
 * a second segment. It does not where it is told that no more comes for now. */
static bool asks_for_ack(const struct tcp_work *w)
{
    return w->probe_out || w->in_rto_recovery;
}

/* One segment, or several that the hardware cuts. Returns the payload bytes sent, or -1: no room.
 */
static int64_t emit(struct stack_tcp *t, struct tcp_conn *c, seq32 seq, uint32_t length,
                    uint8_t flags)
{
    struct stack *s = t->stack;
    struct leat_packet *packet = tx_reserve(s, length > 0 ? TX_DATA : TX_CONTROL);
    if (unlikely(packet == NULL))
        return -1;
    unsigned before = s->l2_bytes + (c->flags & TCP_IPV4 ? 20u : 40u);
    struct tcp_header *h = (void *)(packet->head + before);
    uint8_t *options = (uint8_t *)(h + 1);
    struct path path;
    tcp_path(c, &path);
    path.by_software = length == 0 || is_doubtful(c);
    unsigned option_bytes =
        flags & TCP_SYN ? syn_options(t, c, options) : tcp_write_options(t, c, options);
    unsigned header = (unsigned)sizeof(*h) + option_bytes;
    if (length > 0 && option_bytes > (c->flags & TCP_USES_TS ? 12u : 0u)) {
        uint32_t room = c->mss - (option_bytes - (c->flags & TCP_USES_TS ? 12u : 0u));
        if (length > room) { /* SACK blocks take from the payload of one segment */
            length = room;
            flags &= (uint8_t)~TCP_FIN;
        }
    }
    packet->head_bytes = (uint16_t)(before + header);
    packet->l4_bytes = (uint8_t)header;
    uint32_t wanted = length;
    if (length > 0 && length <= s->inline_bytes_max) {
        path.inline_sum = copy_payload(c->work, packet->head + packet->head_bytes, seq, length);
        path.inline_bytes = length >= SUMMED_BYTES_MIN ? (uint16_t)length : 0;
        packet->head_bytes = (uint16_t)(packet->head_bytes + length);
    } else if (length > 0) {
        length = slice_payload(c->work, packet, seq, length, s->port->info.slices_max);
    }
    if (length < wanted)
        flags &= (uint8_t)~TCP_FIN;
    if (length > c->mss) {
        packet->flags |= LEAT_PACKET_TSO;
        packet->segment_bytes = c->mss;
    }
    if (length > 0 && (seq_eq(seq_add(seq, length), c->work->send_end) || asks_for_ack(c->work)))
        flags |= TCP_PSH;
    uint16_t window = flags & TCP_SYN ? (uint16_t)(c->receive_max < 65535 ? c->receive_max : 65535)
                                      : take_window(c);
    if (unlikely(c->ecn != 0) && !(flags & (TCP_SYN | TCP_RST)))
        flags |= tcp_ecn_mark(c, length > 0 && seq_eq(seq, c->snd_nxt), &path);
    be16 offset_flags = be16_put((uint16_t)(header / 4 << 12 | flags));
    wire_store(h, (struct wire_words){
                      .a = be32_pair(be16_pair(c->local_port, c->remote_port), seq_put(seq)),
                      .b = be32_pair(seq_put(flags & TCP_ACK ? c->rcv_nxt : (seq32){0}),
                                     be16_pair(offset_flags, be16_put(window))),
                  });
    t->count.segments_out++;
    s->count.tcp_tx++;
    ip_output(s, packet, &path, IP_TCP, offsetof(struct tcp_header, checksum));
    c->neighbour = path.neighbour;
    if (flags & TCP_ACK)
        acked(c);
    return length;
}

void tcp_send_ack(struct stack_tcp *t, struct tcp_conn *c)
{
    (void)emit(t, c, c->snd_nxt, 0, TCP_ACK);
}

/* RFC 9293 3.8.4: one before what the peer expects, so that it must answer. */
void tcp_send_probe(struct stack_tcp *t, struct tcp_conn *c)
{
    (void)emit(t, c, seq_sub(c->snd_una, 1), 0, TCP_ACK);
}

void tcp_send_reset(struct stack_tcp *t, struct tcp_conn *c)
{
    if (emit(t, c, c->snd_nxt, 0, TCP_RST | TCP_ACK) >= 0)
        t->count.resets_sent++;
}

/* ---- what was sent is remembered ---- */

/* What the port had to do for it; flags of a range. */
static uint32_t sent_by(const struct stack *s, const struct tcp_conn *c, seq32 from, seq32 to)
{
    uint32_t span = seq_span(from, to);
    bool is_ports = (s->can & LEAT_PORT_CAN_TX_L4_CHECKSUM) && !c->is_local && span > 1;
    if (!is_ports || is_doubtful(c))
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

static uint8_t syn_flags(const struct tcp_conn *c)
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
        flags = syn_flags(c);
        length--;
    }
    if ((c->flags & TCP_FIN_SENT) && seq_eq(r->to, c->snd_nxt)) {
        flags |= TCP_FIN;
        length--;
    }
    int64_t sent = emit(t, c, r->from, length, flags);
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
    if (is_doubtful(c) && (r->flags & SENT_BY_PORT))
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

static void pace(const struct stack_tcp *t, struct tcp_work *w, uint32_t sent_bytes)
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
        int64_t sent = emit(t, c, from, length, fin ? TCP_ACK | TCP_FIN : TCP_ACK);
        if (sent < 0)
            return TCP_STOP_PORT;
        if (unlikely(w->in_recovery))
            tcp_rare(w)->prr_out += (uint32_t)sent;
        fin = fin && sent == length;
        w->send_hint = chunk_of(w, from);
        tcp_push_sent(t, c, from, seq_add(from, (uint32_t)sent + fin));
        c->sent_ms = t->now_ms;
        if (unlikely(w->pace_ns_per_kib != 0))
            pace(t, w, (uint32_t)sent);
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
    if (emit(t, c, c->snd_nxt, 0, TCP_ACK | TCP_FIN) < 0)
        return true;
    c->flags |= TCP_FIN_SENT;
    tcp_push_sent(t, c, c->snd_nxt, seq_add(c->snd_nxt, 1));
    return false;
}

static bool send_syn(struct stack_tcp *t, struct tcp_conn *c)
{
    if (!can_push(t, c->work) || emit(t, c, c->iss, 0, syn_flags(c)) < 0)
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

/* ---- segments without a connection ---- */

void tcp_send_reply(struct stack_tcp *t, const struct tcp_reply *r)
{
    struct stack *s = t->stack;
    struct path path;
    if (path_find(s, r->src, r->dst, &path) < 0)
        return;
    path.by_software = true;
    struct leat_packet *packet = tx_reserve(s, TX_REPLY);
    if (packet == NULL)
        return;
    struct tcp_header *h = (void *)tx_l4(s, packet, r->dst);
    *h = (struct tcp_header){.src_port = r->src_port,
                             .dst_port = r->dst_port,
                             .seq = seq_put(r->seq),
                             .ack = seq_put(r->ack),
                             .offset = (uint8_t)((20 + r->option_bytes) / 4 << 4),
                             .flags = r->flags,
                             .window = be16_put(r->window)};
    memcpy(h + 1, r->options, r->option_bytes);
    packet->head_bytes = (uint16_t)((uint8_t *)h - packet->head + 20 + r->option_bytes);
    packet->l4_bytes = (uint8_t)(20 + r->option_bytes);
    t->count.segments_out++;
    s->count.tcp_tx++;
    ip_output(s, packet, &path, IP_TCP, offsetof(struct tcp_header, checksum));
}

void tcp_reset_segment(struct stack_tcp *t, const struct tcp_segment *g)
{
    if (g->flags & TCP_RST)
        return;
    if (!token_take(&t->reset_bucket, t->stack->now_ns)) {
        stack_drop(t->stack, STACK_DROP_TCP_RST_RATE);
        return;
    }
    struct tcp_reply r = {.src = &g->p->dst,
                          .dst = &g->p->src,
                          .src_port = g->dst_port,
                          .dst_port = g->src_port,
                          .flags = TCP_RST,
                          .options = (const uint8_t *)""};
    if (g->flags & TCP_ACK) {
        r.seq = g->ack;
    } else {
        r.ack = seq_add(g->seq, tcp_segment_span(g));
        r.flags |= TCP_ACK;
    }
    t->count.resets_sent++;
    tcp_send_reply(t, &r);
}

void tcp_update_mss(struct tcp_conn *c)
{
    uint32_t headers = (c->flags & TCP_IPV4 ? 20u : 40u) + (uint32_t)sizeof(struct tcp_header);
    uint32_t mss = c->mtu_bytes - headers;
    mss = c->peer_mss < mss ? c->peer_mss : mss;
    uint32_t options = c->flags & TCP_USES_TS ? 12 : 0; /* RFC 6691: they come out of the segment */
    c->mss = (uint16_t)(mss < TCP_MSS_FLOOR + options ? TCP_MSS_FLOOR : mss - options);
}
