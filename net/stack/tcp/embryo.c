/* Handshakes of listeners: embryos in a small fixed table, and what they become. */
#include "net/stack/tcp/tcp.h"

/* ---- SYN-ACK ---- */

static uint32_t receive_max_of(const struct tcp_listener *l)
{
    uint32_t max = l->options.conn.receive_bytes_max;
    return max != 0 ? max : 262144;
}

void tcp_send_syn_ack(struct stack_tcp *t, const struct tcp_embryo *e, uint32_t ts_value)
{
    uint8_t options[40];
    uint32_t max = receive_max_of(e->listener);
    int scale = e->snd_scale == 255 ? -1 : (int)tcp_scale_for(max);
    uint8_t flags = TCP_SYN | TCP_ACK | (e->ecn & ECN_ON ? TCP_ECE : 0);
    unsigned bytes =
        tcp_write_syn_options(options, tcp_our_mss(t->stack, ip_addr_is_v4(&e->remote)), scale,
                              (e->flags & TCP_USES_SACK) != 0, (e->flags & TCP_USES_TS) != 0,
                              ts_value, e->ts_recent);
    tcp_send_reply(t, &(struct tcp_reply){.src = &e->local,
                                          .dst = &e->remote,
                                          .src_port = e->local_port,
                                          .dst_port = e->remote_port,
                                          .seq = e->iss,
                                          .ack = seq_add(e->irs, 1),
                                          .flags = flags,
                                          .window = (uint16_t)(max < 65535 ? max : 65535),
                                          .options = options,
                                          .option_bytes = bytes});
}

/* ---- embryos: queues in the order of their deadlines, one for each number of retries ---- */

static void embryo_queue(struct stack_tcp *t, struct tcp_embryo *e)
{
    uint32_t number = (uint32_t)(e - t->embryos) + 1, q = e->retries;
    e->due_ns = t->stack->now_ns + (TCP_RTO_NS_INITIAL << e->retries);
    e->next = 0;
    e->prev = t->embryo_last[q];
    if (e->prev != 0)
        t->embryos[e->prev - 1].next = number;
    else
        t->embryo_first[q] = number;
    t->embryo_last[q] = number;
    tcp_slow_due(t, e->due_ns);
}

static void embryo_unqueue(struct stack_tcp *t, struct tcp_embryo *e)
{
    uint32_t q = e->retries;
    if (e->prev != 0)
        t->embryos[e->prev - 1].next = e->next;
    else
        t->embryo_first[q] = e->next;
    if (e->next != 0)
        t->embryos[e->next - 1].prev = e->prev;
    else
        t->embryo_last[q] = e->prev;
}

static void embryo_release(struct stack_tcp *t, struct tcp_embryo *e)
{
    embryo_unqueue(t, e);
    e->listener->embryo_count--;
    e->listener = NULL;
    e->next = t->embryo_free;
    t->embryo_free = (uint32_t)(e - t->embryos) + 1;
    t->embryo_count--;
}

void tcp_embryo_free(struct stack_tcp *t, struct tcp_embryo *e)
{
    table_remove(&t->table, e->hash, table_reference(KIND_EMBRYO, (uint32_t)(e - t->embryos)));
    embryo_release(t, e);
}

void tcp_embryos_end(struct stack_tcp *t, const struct ip_addr *local)
{
    for (unsigned q = 0; q < 8; q++)
        for (uint32_t number = t->embryo_first[q]; number != 0;) {
            struct tcp_embryo *e = &t->embryos[number - 1];
            number = e->next;
            if (ip_addr_equal(&e->local, local))
                tcp_embryo_free(t, e);
        }
}

uint64_t tcp_embryo_tick(struct stack_tcp *t)
{
    uint64_t next = STACK_NEVER;
    for (unsigned q = 0; q < 8; q++) {
        while (t->embryo_first[q] != 0) {
            struct tcp_embryo *e = &t->embryos[t->embryo_first[q] - 1];
            if (e->due_ns > t->stack->now_ns) {
                next = e->due_ns < next ? e->due_ns : next;
                break;
            }
            if (e->retries >= TCP_SYN_RETRIES_MAX) {
                stack_drop(t->stack, STACK_DROP_TCP_EMBRYO_TIMEOUT);
                tcp_embryo_free(t, e);
                continue;
            }
            embryo_unqueue(t, e);
            e->retries++;
            embryo_queue(t, e);
            next = e->due_ns < next ? e->due_ns : next;
            tcp_send_syn_ack(t, e, t->now_ms + e->ts_offset);
        }
    }
    return next;
}

/* What a SYN says, as an embryo that is in no table yet. */
struct tcp_embryo tcp_read_syn(struct stack_tcp *t, struct tcp_listener *l,
                               const struct tcp_segment *g)
{
    struct tcp_flow flow = {g->p->dst, g->p->src, g->dst_port, g->src_port};
    return (struct tcp_embryo){.local = flow.local,
                               .remote = flow.remote,
                               .local_port = flow.local_port,
                               .remote_port = flow.remote_port,
                               .hash = g->p->hash,
                               .iss = tcp_initial_seq(t, &flow, t->stack->now_ns),
                               .irs = g->seq,
                               .ts_recent = g->ts_value,
                               .ts_offset = g->has_ts ? tcp_ts_offset(t, &flow) : 0,
                               .peer_mss = g->mss != 0                   ? g->mss
                                           : ip_addr_is_v4(&flow.remote) ? 536
                                                                         : 1220,
                               .flags = (uint16_t)((g->has_ts ? TCP_USES_TS : 0) |
                                                   (g->sack_ok ? TCP_USES_SACK : 0)),
                               .snd_scale = g->has_scale ? g->scale : 255,
                               .peer_window = g->window,
                               .ecn = tcp_ecn_is_asked(t, g) ? ECN_ON : 0,
                               .sent_ns = t->stack->now_ns,
                               .listener = l};
}

static bool embryo_keep(struct stack_tcp *t, const struct tcp_embryo *syn)
{
    if (t->embryo_free == 0)
        return false;
    uint32_t index = t->embryo_free - 1;
    if (table_insert(&t->table, syn->hash, table_reference(KIND_EMBRYO, index)) < 0)
        return false;
    struct tcp_embryo *e = &t->embryos[index];
    t->embryo_free = e->next;
    t->embryo_count++;
    *e = *syn;
    e->listener->embryo_count++;
    embryo_queue(t, e);
    return true;
}

/* ---- the handshake's end ---- */

/* The connection that an embryo becomes; NULL: no room, counted. It is in the table already if
 * from_table. */
static struct tcp_conn *embryo_hatch(struct stack_tcp *t, const struct tcp_embryo *e,
                                     bool from_table)
{
    struct tcp_flow flow = {e->local, e->remote, e->local_port, e->remote_port};
    struct tcp_listener *l = e->listener;
    struct tcp_conn *c = tcp_conn_new(t, &flow, e->hash, &l->options.conn);
    if (c == NULL)
        return NULL;
    uint32_t reference = table_reference(KIND_CONN, handle_index(c->id));
    if (from_table)
        table_replace(&t->table, e->hash, table_reference(KIND_EMBRYO, (uint32_t)(e - t->embryos)),
                      reference);
    else if (table_insert(&t->table, e->hash, reference) < 0) {
        slots_give(&t->conns, c);
        leat_loop_unref(t->loop);
        return NULL;
    }
    c->listener = l;
    c->ops = l->ops;
    c->user = l->user;
    c->flags = (uint16_t)((c->flags & ~(TCP_USES_TS | TCP_USES_SACK)) | e->flags | TCP_PASSIVE);
    c->iss = e->iss;
    c->irs = e->irs;
    c->snd_una = c->snd_nxt = seq_add(e->iss, 1);
    c->rcv_nxt = seq_add(e->irs, 1);
    c->rcv_edge = seq_add(c->rcv_nxt, c->receive_max < 65535 ? c->receive_max : 65535);
    c->ts_recent = e->ts_recent;
    c->ts_recent_ms = t->now_ms;
    c->ts_offset = e->ts_offset;
    c->ecn = e->ecn;
    c->snd_scale = e->snd_scale == 255 ? 0 : e->snd_scale;
    c->rcv_scale = e->snd_scale == 255 ? 0 : c->rcv_scale;
    c->peer_mss = e->peer_mss;
    tcp_update_mss(c);
    if (e->retries == 0 && e->sent_ns != 0) {
        uint64_t rtt_us = (t->stack->now_ns - e->sent_ns) / 1000;
        tcp_rtt_sample(c, rtt_us != 0 ? (uint32_t)rtt_us : 1);
    }
    t->count.opened_passive++;
    tcp_peer_count(t, &c->remote, 1);
    tcp_pressure_crowd(t);
    tcp_established(t, c);
    return c;
}

static void embryo_finish(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    c->snd_wl1 = seq_sub(g->seq, 1);
    c->snd_wnd = c->snd_wnd_max = (uint32_t)g->window << c->snd_scale;
    tcp_conn_input(t, c, g);
}

/* RFC 5961 for a handshake: an ACK that asks the peer what it meant. */
static void embryo_challenge(struct stack_tcp *t, const struct tcp_embryo *e)
{
    struct tcp_reply r = {.src = &e->local,
                          .dst = &e->remote,
                          .src_port = e->local_port,
                          .dst_port = e->remote_port,
                          .seq = seq_add(e->iss, 1),
                          .ack = seq_add(e->irs, 1),
                          .flags = TCP_ACK,
                          .options = (const uint8_t *)""};
    uint8_t options[TCP_TS_BYTES];
    if (!token_take(&t->reset_bucket, t->stack->now_ns))
        return;
    if (e->flags & TCP_USES_TS) {
        r.option_bytes = tcp_write_ts(options, t->now_ms + e->ts_offset, e->ts_recent);
        r.options = options;
    }
    t->count.challenges++;
    tcp_send_reply(t, &r);
}

static void embryo_on_reset(struct stack_tcp *t, struct tcp_embryo *e, const struct tcp_segment *g,
                            bool is_outside)
{
    if (seq_eq(g->seq, seq_add(e->irs, 1))) {
        tcp_embryo_free(t, e);
        return;
    }
    stack_drop(t->stack, STACK_DROP_TCP_RST_INEXACT);
    if (!is_outside)
        embryo_challenge(t, e);
}

/* Our SYN-ACK was lost. */
static void embryo_on_syn(struct stack_tcp *t, struct tcp_embryo *e, const struct tcp_segment *g)
{
    if (!tcp_ecn_is_asked(t, g))
        e->ecn = 0; /* RFC 3168 6.1.1.1: the peer gave up asking */
    /* RFC 7323 4.3: by the first one's echo the peer would take all of the wait for a round trip */
    if ((e->flags & TCP_USES_TS) && g->has_ts && (int32_t)(g->ts_value - e->ts_recent) > 0)
        e->ts_recent = g->ts_value;
    tcp_send_syn_ack(t, e, t->now_ms + e->ts_offset);
}

/* RFC 9293 3.10.7.4 in SYN-RECEIVED, for a handshake that came to a listener. */
void tcp_embryo_input(struct stack_tcp *t, struct tcp_embryo *e, struct tcp_segment *g)
{
    uint32_t window = receive_max_of(e->listener);
    seq32 first = seq_add(e->irs, 1), edge = seq_add(first, window < 65535 ? window : 65535);
    bool is_outside = seq_lt(g->seq, first) || seq_ge(g->seq, edge);
    if (g->flags & TCP_RST) {
        embryo_on_reset(t, e, g, is_outside);
        return;
    }
    if (g->flags & TCP_SYN) {
        stack_drop(t->stack, STACK_DROP_TCP_DUPLICATE);
        if (seq_eq(g->seq, e->irs))
            embryo_on_syn(t, e, g);
        return;
    }
    if (is_outside) {
        stack_drop(t->stack, STACK_DROP_TCP_WINDOW);
        embryo_challenge(t, e);
        return;
    }
    if (!(g->flags & TCP_ACK)) {
        stack_drop(t->stack, STACK_DROP_TCP_FLAGS);
        return;
    }
    if (!seq_eq(g->ack, seq_add(e->iss, 1))) {
        stack_drop(t->stack, STACK_DROP_TCP_ACK_RANGE);
        tcp_reset_segment(t, g);
        return;
    }
    if (e->listener->paused) {
        stack_drop(t->stack, STACK_DROP_TCP_BACKLOG);
        return; /* the SYN-ACK comes again, and so will this ACK */
    }
    struct tcp_conn *c = tcp_lets_in(t, &e->remote) ? embryo_hatch(t, e, true) : NULL;
    if (c == NULL)
        return;
    embryo_release(t, e);
    embryo_finish(t, c, g);
}

struct tcp_listener *tcp_listener_of_syn(struct stack_tcp *t, const struct tcp_segment *g)
{
    struct tcp_listener *l = tcp_find_listener(t, &g->p->dst, be16_get(g->dst_port));
    if (l == NULL || (g->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN)
        return NULL;
    if (l->paused || t->conns.live_count >= t->conns.limit_count) {
        stack_drop(t->stack, l->paused ? STACK_DROP_TCP_BACKLOG : STACK_DROP_TCP_CONNS);
        return NULL;
    }
    return tcp_lets_in(t, &g->p->src) ? l : NULL;
}

void tcp_listener_on_syn(struct stack_tcp *t, struct tcp_listener *l, const struct tcp_segment *g)
{
    struct tcp_embryo syn = tcp_read_syn(t, l, g);
    if (embryo_keep(t, &syn))
        tcp_send_syn_ack(t, &syn, t->now_ms + syn.ts_offset);
    else
        tcp_send_cookie(t, &syn);
}

/* RFC 9293 3.10.7.2 and, with nobody listening, 3.10.7.1 */
void tcp_listen_input(struct stack_tcp *t, struct tcp_segment *g)
{
    struct tcp_listener *l = tcp_find_listener(t, &g->p->dst, be16_get(g->dst_port));
    if (!tcp_parse_options(g)) {
        stack_drop(t->stack, STACK_DROP_TCP_OPTIONS);
        return;
    }
    if (l != NULL && (g->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN) {
        l = tcp_listener_of_syn(t, g);
        if (l != NULL)
            tcp_listener_on_syn(t, l, g);
        return;
    }
    bool may_be_cookie =
        l != NULL && !l->paused && (g->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK;
    struct tcp_embryo e;
    if (may_be_cookie && tcp_read_cookie(t, l, g, &e)) {
        t->count.cookies_received++;
        struct tcp_conn *c = tcp_lets_in(t, &e.remote) ? embryo_hatch(t, &e, false) : NULL;
        if (c != NULL)
            embryo_finish(t, c, g);
        return;
    }
    stack_drop(t->stack, l == NULL       ? STACK_DROP_TCP_NO_PORT
                         : may_be_cookie ? STACK_DROP_TCP_COOKIE
                                         : STACK_DROP_TCP_NO_CONN);
    if (l == NULL || (g->flags & TCP_ACK))
        tcp_reset_segment(t, g);
}
