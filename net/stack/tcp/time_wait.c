/* TIME_WAIT: records of one line in the order of their end, capped; RFC 9293 3.10.7.4, 6191, 1337.
 */
#include "net/stack/tcp/tcp.h"

#include "buffers/heap.h"

#define AT(t, number) (&(t)->time_waits[(number)-1])

static void record_link_last(struct stack_tcp *t, uint32_t number)
{
    struct tcp_time_wait *tw = AT(t, number);
    tw->next = 0;
    tw->prev = t->time_wait_last;
    tw->expires_ms = t->now_ms + (uint32_t)(TCP_TIME_WAIT_NS / LEAT_NS_PER_MS);
    if (t->time_wait_last != 0)
        AT(t, t->time_wait_last)->next = number;
    else
        t->time_wait_first = number;
    t->time_wait_last = number;
}

static void record_unlink(struct stack_tcp *t, uint32_t number)
{
    struct tcp_time_wait *tw = AT(t, number);
    if (tw->prev != 0)
        AT(t, tw->prev)->next = tw->next;
    else
        t->time_wait_first = tw->next;
    if (tw->next != 0)
        AT(t, tw->next)->prev = tw->prev;
    else
        t->time_wait_last = tw->prev;
}

void tcp_time_wait_remove(struct stack_tcp *t, uint32_t index)
{
    uint32_t number = index + 1;
    table_remove(&t->table, AT(t, number)->hash, table_reference(KIND_TIME_WAIT, index));
    record_unlink(t, number);
    AT(t, number)->next = t->time_wait_free;
    t->time_wait_free = number;
    t->time_wait_count--;
}

static bool records_grow(struct stack_tcp *t)
{
    uint32_t old = t->time_wait_capacity, capacity = old == 0 ? 64 : old * 2;
    if (old >= TCP_TIME_WAIT_MAX)
        return false;
    void *grown = leat_heap_realloc(t->time_waits, capacity * sizeof(*t->time_waits));
    if (grown == NULL)
        return false;
    t->time_waits = grown;
    t->time_wait_capacity = capacity;
    for (uint32_t number = capacity; number > old; number--) {
        AT(t, number)->next = t->time_wait_free;
        t->time_wait_free = number;
    }
    return true;
}

/* The connection has left the table already. */
void tcp_time_wait_add(struct stack_tcp *t, const struct tcp_conn *c)
{
    if (t->time_wait_free == 0 && !records_grow(t)) {
        if (t->time_wait_first == 0)
            return;
        tcp_time_wait_remove(t, t->time_wait_first - 1);
    }
    uint32_t number = t->time_wait_free;
    struct tcp_time_wait *tw = AT(t, number);
    if (table_insert(&t->table, c->hash, table_reference(KIND_TIME_WAIT, number - 1)) < 0)
        return;
    t->time_wait_free = tw->next;
    *tw = (struct tcp_time_wait){.local = c->local,
                                 .remote = c->remote,
                                 .local_port = c->local_port,
                                 .remote_port = c->remote_port,
                                 .snd_nxt = c->snd_nxt,
                                 .rcv_nxt = c->rcv_nxt,
                                 .ts_recent = c->flags & TCP_USES_TS ? c->ts_recent : 0,
                                 .hash = c->hash};
    record_link_last(t, number);
    t->time_wait_count++;
    t->count.time_waits++;
    tcp_slow_due(t, t->stack->now_ns + TCP_TIME_WAIT_NS);
}

static void reply_ack(struct stack_tcp *t, const struct tcp_time_wait *tw,
                      const struct tcp_segment *g)
{
    struct tcp_reply r = {.src = &tw->local,
                          .dst = &tw->remote,
                          .src_port = tw->local_port,
                          .dst_port = tw->remote_port,
                          .seq = tw->snd_nxt,
                          .ack = tw->rcv_nxt,
                          .flags = TCP_ACK,
                          .options = (const uint8_t *)""};
    uint8_t options[TCP_TS_BYTES];
    if (g->has_ts && tw->ts_recent != 0) {
        struct tcp_flow flow = {tw->local, tw->remote, tw->local_port, tw->remote_port};
        r.option_bytes = tcp_write_ts(options, t->now_ms + tcp_ts_offset(t, &flow), tw->ts_recent);
        r.options = options;
    }
    tcp_send_reply(t, &r);
}

/* RFC 6191 2: newer by its timestamp, and by its sequence number where that says nothing. */
static bool opens_anew(const struct tcp_time_wait *tw, const struct tcp_segment *g)
{
    if ((g->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
        return false;
    if (g->has_ts && tw->ts_recent != 0 && g->ts_value != tw->ts_recent)
        return (int32_t)(g->ts_value - tw->ts_recent) > 0;
    return seq_gt(g->seq, tw->rcv_nxt);
}

/* A SYN-ACK to which our ACK would be the end of a handshake that nobody began: it answers an old
 * duplicate of our SYN, and its number is by chance the one before our RCV.NXT. */
static bool would_complete(const struct tcp_time_wait *tw, const struct tcp_segment *g)
{
    return (g->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) &&
           seq_eq(seq_add(g->seq, 1), tw->rcv_nxt);
}

/* RFC 9293 3.10.7.4 in TIME-WAIT. A RST at RCV.NXT ends it, which RFC 1337 advises against: it is
 * the answer of a peer that reuses its port, and to which our ACK of its SYN meant nothing. */
void tcp_time_wait_input(struct stack_tcp *t, uint32_t index, const struct tcp_segment *g)
{
    struct tcp_time_wait *tw = &t->time_waits[index];
    struct tcp_listener *l = opens_anew(tw, g) ? tcp_listener_of_syn(t, g) : NULL;
    if (l != NULL) {
        tcp_time_wait_remove(t, index);
        t->count.time_wait_reused++;
        tcp_listener_on_syn(t, l, g);
        return;
    }
    stack_drop(t->stack, STACK_DROP_TCP_TIME_WAIT);
    if (g->flags & TCP_RST) {
        if (seq_eq(g->seq, tw->rcv_nxt))
            tcp_time_wait_remove(t, index);
        return;
    }
    if (would_complete(tw, g)) {
        tcp_reset_segment(t, g);
        return;
    }
    if (tcp_segment_span(g) == 0 && seq_eq(g->seq, tw->rcv_nxt))
        return;
    if (!token_take(&t->reset_bucket, t->stack->now_ns))
        return;
    if ((g->flags & (TCP_FIN | TCP_SYN)) == TCP_FIN) { /* our ACK was lost: it begins again */
        record_unlink(t, index + 1);
        record_link_last(t, index + 1);
    }
    reply_ack(t, tw, g);
}

uint64_t tcp_time_wait_tick(struct stack_tcp *t)
{
    while (t->time_wait_first != 0) {
        const struct tcp_time_wait *tw = AT(t, t->time_wait_first);
        int32_t left_ms = (int32_t)(tw->expires_ms - t->now_ms);
        if (left_ms > 0)
            return t->stack->now_ns + (uint64_t)left_ms * LEAT_NS_PER_MS;
        tcp_time_wait_remove(t, t->time_wait_first - 1);
    }
    return STACK_NEVER;
}
