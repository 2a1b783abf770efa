/* Input: a burst in stages; header prediction; segments that belong to no connection. */
#include "net/stack/tcp/tcp.h"

/* ---- validation and lookup ---- */

/* Everything is validated once, here: 20 <= data offset <= segment (bug 2). */
static bool segment_parse(struct stack *s, struct rx_packet *p, struct tcp_segment *g)
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
        if (tcp_ack(t, c, g) == TCP_STEP_NEXT)
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

static uint32_t segment_find(struct stack_tcp *t, const struct tcp_segment *g)
{
    struct tcp_flow flow = flow_of(g);
    return table_find(&t->table, g->p->hash, &flow, tcp_matches, t);
}

static uint32_t segment_find_guessed(struct stack_tcp *t, const struct tcp_segment *g,
                                     uint32_t guess)
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
        else
            tcp_time_wait_input(t, index, g);
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
    t->burst++;
    tcp_pressure_look(t);
    for (uint32_t i = 0; i < s->rx_count; i++) {
        struct rx_packet *p = &s->rx[i];
        struct tcp_segment *g = &segments[count];
        if (p->protocol != IP_TCP || !segment_parse(s, p, g))
            continue;
        struct tcp_flow flow = flow_of(g);
        p->hash = table_hash(&t->table, &flow);
        table_prefetch(&t->table, p->hash);
        count++;
    }
    prefetch_conns(t, segments, found, count);
    for (unsigned i = 0; i < count; i++)
        found[i] = segment_find_guessed(t, &segments[i], found[i]);
    uint32_t change_count = t->table.change_count;
    for (unsigned i = 0; i < count; i++)
        segment_input(t, &segments[i],
                      t->table.change_count == change_count ? found[i]
                                                            : segment_find(t, &segments[i]));
    tcp_deliver(t);
}
