/* Segments: headers around what the send stream has, and replies without a connection. */
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

struct tcp_chunk *tcp_chunk_of(const struct tcp_work *w, seq32 seq)
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
    for (const struct tcp_chunk *k = tcp_chunk_of(w, seq); length > 0; k = k->next) {
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
    for (struct tcp_chunk *k = tcp_chunk_of(w, seq); length > 0 && packet->slice_count < slices_max;
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
static uint16_t window_promise(struct tcp_conn *c)
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

static void on_ack_sent(struct tcp_conn *c)
{
    c->flags &= (uint16_t) ~(TCP_ACK_NOW | TCP_ACK_LATER);
    if (c->work != NULL) {
        c->work->ack_ns = STACK_NEVER;
        c->work->unacked_segments = 0;
        c->work->acked_to = c->rcv_nxt;
    }
}

uint16_t tcp_our_mss(const struct stack *s, bool is_v4)
{
    uint32_t mss = s->mtu_bytes - (is_v4 ? 20u : 40u) - (uint32_t)sizeof(struct tcp_header);
    return (uint16_t)(s->mss_bytes_max != 0 && s->mss_bytes_max < mss ? s->mss_bytes_max : mss);
}

static unsigned syn_options(const struct stack_tcp *t, struct tcp_conn *c, uint8_t *to)
{
    bool answers = c->state == TCP_SYN_RCVD;
    bool scales = !answers || c->rcv_scale != 0 || c->snd_scale != 0;
    return tcp_write_syn_options(to, tcp_our_mss(t->stack, (c->flags & TCP_IPV4) != 0),
                                 scales ? (int)tcp_scale_for(c->receive_max) : -1,
                                 !answers || (c->flags & TCP_USES_SACK),
                                 !answers || (c->flags & TCP_USES_TS), t->now_ms + c->ts_offset,
                                 c->ts_recent);
}

/* After a second timeout nothing is left to the port: perhaps it is to blame. */
bool tcp_is_doubtful(const struct tcp_conn *c)
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
int64_t tcp_emit(struct stack_tcp *t, struct tcp_conn *c, seq32 seq, uint32_t length, uint8_t flags)
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
    path.by_software = length == 0 || tcp_is_doubtful(c);
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
                                      : window_promise(c);
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
        on_ack_sent(c);
    return length;
}

void tcp_send_ack(struct stack_tcp *t, struct tcp_conn *c)
{
    (void)tcp_emit(t, c, c->snd_nxt, 0, TCP_ACK);
}

/* RFC 9293 3.8.4: one before what the peer expects, so that it must answer. */
void tcp_send_probe(struct stack_tcp *t, struct tcp_conn *c)
{
    (void)tcp_emit(t, c, seq_sub(c->snd_una, 1), 0, TCP_ACK);
}

void tcp_send_reset(struct stack_tcp *t, struct tcp_conn *c)
{
    if (tcp_emit(t, c, c->snd_nxt, 0, TCP_RST | TCP_ACK) >= 0)
        t->count.resets_sent++;
}

void tcp_update_mss(struct tcp_conn *c)
{
    uint32_t headers = (c->flags & TCP_IPV4 ? 20u : 40u) + (uint32_t)sizeof(struct tcp_header);
    uint32_t mss = c->mtu_bytes - headers;
    mss = c->peer_mss < mss ? c->peer_mss : mss;
    uint32_t ours = tcp_of(c)->stack->mss_bytes_max;
    mss = ours != 0 && ours < mss ? ours : mss;
    uint32_t options = c->flags & TCP_USES_TS ? 12 : 0; /* RFC 6691: they come out of the segment */
    c->mss = (uint16_t)(mss < TCP_MSS_FLOOR + options ? TCP_MSS_FLOOR : mss - options);
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
