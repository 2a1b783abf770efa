/* Passive opens: listeners, embryos in a small table, SYN cookies beyond (RFC 4987). */
#include "net/stack/tcp/tcp.h"

#include "runtime/base/siphash.h"

#define COOKIE_PERIOD_SHIFT 36 /* of nanoseconds: 69 seconds */
#define COOKIE_AGE_MAX      2  /* periods */
#define COOKIE_SCALE_NONE   15
#define COOKIE_SACK         16
#define COOKIE_ECN          32
#define COOKIE_BITS         63 /* of the timestamp */

static const uint16_t cookie_mss[8] = {536, 1220, 1300, 1400, 1440, 1460, 4312, 8960};

/* ---- secrets of a flow ---- */

static uint64_t flow_secret(struct stack_tcp *t, const struct tcp_flow *flow, uint64_t purpose)
{
    const struct siphash_key key = {{t->stack->seed[0], t->stack->seed[1] ^ purpose}};
    return siphash(&key, flow, sizeof(*flow));
}

/* RFC 6528 3: a clock of 4 us and a secret offset for each flow. */
seq32 tcp_initial_seq(struct stack_tcp *t, const struct tcp_flow *flow)
{
    return (seq32){(uint32_t)(flow_secret(t, flow, 1) + (t->stack->now_ns >> 12))};
}

/* RFC 7323 5.4: timestamps tell nothing of the uptime. */
uint32_t tcp_ts_offset(struct stack_tcp *t, const struct tcp_flow *flow)
{
    return (uint32_t)flow_secret(t, flow, 2);
}

uint8_t tcp_scale_for(uint32_t receive_max)
{
    uint8_t scale = 0;
    while (scale < TCP_SCALE_MAX && receive_max >> scale > 65535)
        scale++;
    return scale;
}

/* ---- listeners ---- */

static bool listens_on(const struct tcp_listener *l, const struct ip_addr *ip)
{
    return l->any ? (ip_addr_is_v4(ip) ? l->any_v4 : l->any_v6) : ip_addr_equal(&l->ip, ip);
}

/* An exact address goes before a wildcard. */
struct tcp_listener *tcp_find_listener(struct stack_tcp *t, const struct ip_addr *ip, uint16_t port)
{
    struct tcp_listener *found = NULL;
    for (uint32_t i = 0; i < t->listener_count; i++) {
        struct tcp_listener *l = t->listeners[i];
        if (l->port == port && listens_on(l, ip) && (found == NULL || !l->any))
            found = l;
    }
    return found;
}

/* ---- SYN-ACK ---- */

static uint16_t our_mss(const struct stack_tcp *t, const struct ip_addr *remote)
{
    return (uint16_t)(t->stack->mtu_bytes - ip_header_bytes(remote) - sizeof(struct tcp_header));
}

static uint32_t receive_max_of(const struct tcp_listener *l)
{
    uint32_t max = l->options.conn.receive_bytes_max;
    return max != 0 ? max : 262144;
}

static void send_syn_ack(struct stack_tcp *t, const struct tcp_embryo *e, uint32_t ts_value)
{
    uint8_t options[40];
    uint32_t max = receive_max_of(e->listener);
    int scale = e->snd_scale == 255 ? -1 : (int)tcp_scale_for(max);
    uint8_t flags = TCP_SYN | TCP_ACK | (e->ecn & ECN_ON ? TCP_ECE : 0);
    unsigned bytes = tcp_write_syn_options(options, our_mss(t, &e->remote), scale,
                                           (e->flags & TCP_USES_SACK) != 0,
                                           (e->flags & TCP_USES_TS) != 0, ts_value, e->ts_recent);
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

static void queue_embryo(struct stack_tcp *t, struct tcp_embryo *e)
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

static void unqueue_embryo(struct stack_tcp *t, struct tcp_embryo *e)
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

static void release_embryo(struct stack_tcp *t, struct tcp_embryo *e)
{
    unqueue_embryo(t, e);
    e->listener->embryo_count--;
    e->listener = NULL;
    e->next = t->embryo_free;
    t->embryo_free = (uint32_t)(e - t->embryos) + 1;
    t->embryo_count--;
}

void tcp_embryo_free(struct stack_tcp *t, struct tcp_embryo *e)
{
    table_remove(&t->table, e->hash, table_reference(KIND_EMBRYO, (uint32_t)(e - t->embryos)));
    release_embryo(t, e);
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
            unqueue_embryo(t, e);
            e->retries++;
            queue_embryo(t, e);
            next = e->due_ns < next ? e->due_ns : next;
            send_syn_ack(t, e, t->now_ms + e->ts_offset);
        }
    }
    return next;
}

/* What a SYN says, as an embryo that is in no table yet. */
static struct tcp_embryo read_syn(struct stack_tcp *t, struct tcp_listener *l,
                                  const struct tcp_segment *g)
{
    struct tcp_flow flow = {g->p->dst, g->p->src, g->dst_port, g->src_port};
    return (struct tcp_embryo){.local = flow.local,
                               .remote = flow.remote,
                               .local_port = flow.local_port,
                               .remote_port = flow.remote_port,
                               .hash = g->p->hash,
                               .iss = tcp_initial_seq(t, &flow),
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

static bool keep_embryo(struct stack_tcp *t, const struct tcp_embryo *syn)
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
    queue_embryo(t, e);
    return true;
}

/* ---- cookies: 5 bits of time, 3 of MSS, 24 of hash; scale and SACK ride in the timestamp ---- */

static uint32_t cookie_hash(struct stack_tcp *t, const struct tcp_flow *flow, seq32 irs,
                            uint32_t when)
{
    return (uint32_t)flow_secret(t, flow, UINT64_C(3) << 56 | (uint64_t)irs.n << 8 | (when & 31)) &
           0xffffff;
}

static void send_cookie(struct stack_tcp *t, struct tcp_embryo *e)
{
    struct tcp_flow flow = {e->local, e->remote, e->local_port, e->remote_port};
    uint32_t when = (uint32_t)(t->stack->now_ns >> COOKIE_PERIOD_SHIFT) & 31, mss = 7;
    while (mss > 0 && cookie_mss[mss] > e->peer_mss)
        mss--;
    e->iss.n = when << 27 | mss << 24 | cookie_hash(t, &flow, e->irs, when);
    uint32_t bits = e->snd_scale == 255 ? COOKIE_SCALE_NONE : e->snd_scale;
    bits |= (e->flags & TCP_USES_SACK ? COOKIE_SACK : 0) | (e->ecn ? COOKIE_ECN : 0);
    if (!(e->flags & TCP_USES_TS)) {
        e->snd_scale = 255;
        e->flags = 0;
        e->ecn = 0;
    }
    /* Never ahead of the clock: the peer would take what follows for old (PAWS). */
    uint32_t now = t->now_ms + e->ts_offset, value = (now & ~(uint32_t)COOKIE_BITS) | bits;
    if (value - now - 1 < COOKIE_BITS)
        value -= COOKIE_BITS + 1;
    t->count.cookies_sent++;
    send_syn_ack(t, e, value);
}

/* Makes of an ACK the embryo that its cookie stands for. */
static bool read_cookie(struct stack_tcp *t, struct tcp_listener *l, const struct tcp_segment *g,
                        struct tcp_embryo *e)
{
    struct tcp_flow flow = {g->p->dst, g->p->src, g->dst_port, g->src_port};
    uint32_t cookie = seq_sub(g->ack, 1).n, when = cookie >> 27;
    uint32_t now = (uint32_t)(t->stack->now_ns >> COOKIE_PERIOD_SHIFT);
    seq32 irs = seq_sub(g->seq, 1);
    if (((now - when) & 31) > COOKIE_AGE_MAX ||
        (cookie & 0xffffff) != cookie_hash(t, &flow, irs, when))
        return false;
    *e = read_syn(t, l, g);
    e->iss.n = cookie;
    e->irs = irs;
    e->peer_mss = cookie_mss[cookie >> 24 & 7];
    e->sent_ns = 0;
    e->flags = 0;
    e->ecn = 0;
    e->snd_scale = 255;
    if (g->has_ts) {
        uint32_t scale = g->ts_echo & 15;
        e->flags = TCP_USES_TS | (g->ts_echo & COOKIE_SACK ? TCP_USES_SACK : 0);
        e->ecn = (g->ts_echo & COOKIE_ECN) && t->stack->ecn != STACK_ECN_OFF ? ECN_ON : 0;
        e->snd_scale = scale == COOKIE_SCALE_NONE ? 255 : (uint8_t)scale;
    }
    return true;
}

/* ---- the handshake's end ---- */

/* The connection that an embryo becomes; NULL: no room, counted. It is in the table already if
 * from_table. */
static struct tcp_conn *hatch(struct stack_tcp *t, const struct tcp_embryo *e, bool from_table)
{
    struct tcp_flow flow = {e->local, e->remote, e->local_port, e->remote_port};
    struct tcp_listener *l = e->listener;
    struct tcp_conn *c = tcp_conn_new(t, &flow, e->hash, &l->options.conn);
    if (c == NULL)
        return NULL;
    uint32_t reference = table_reference(KIND_CONN, conn_index(c->id));
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

static void finish(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g)
{
    c->snd_wl1 = seq_sub(g->seq, 1);
    c->snd_wnd = c->snd_wnd_max = (uint32_t)g->window << c->snd_scale;
    tcp_conn_input(t, c, g);
}

/* RFC 5961 for a handshake: an ACK that asks the peer what it meant. */
static void challenge(struct stack_tcp *t, const struct tcp_embryo *e)
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

static void take_embryo_reset(struct stack_tcp *t, struct tcp_embryo *e,
                              const struct tcp_segment *g, bool is_outside)
{
    if (seq_eq(g->seq, seq_add(e->irs, 1))) {
        tcp_embryo_free(t, e);
        return;
    }
    stack_drop(t->stack, STACK_DROP_TCP_RST_INEXACT);
    if (!is_outside)
        challenge(t, e);
}

/* Our SYN-ACK was lost. */
static void take_syn_again(struct stack_tcp *t, struct tcp_embryo *e, const struct tcp_segment *g)
{
    if (!tcp_ecn_is_asked(t, g))
        e->ecn = 0; /* RFC 3168 6.1.1.1: the peer gave up asking */
    /* RFC 7323 4.3: by the first one's echo the peer would take all of the wait for a round trip */
    if ((e->flags & TCP_USES_TS) && g->has_ts && (int32_t)(g->ts_value - e->ts_recent) > 0)
        e->ts_recent = g->ts_value;
    send_syn_ack(t, e, t->now_ms + e->ts_offset);
}

/* RFC 9293 3.10.7.4 in SYN-RECEIVED, for a handshake that came to a listener. */
void tcp_embryo_input(struct stack_tcp *t, struct tcp_embryo *e, struct tcp_segment *g)
{
    uint32_t window = receive_max_of(e->listener);
    seq32 first = seq_add(e->irs, 1), edge = seq_add(first, window < 65535 ? window : 65535);
    bool is_outside = seq_lt(g->seq, first) || seq_ge(g->seq, edge);
    if (g->flags & TCP_RST) {
        take_embryo_reset(t, e, g, is_outside);
        return;
    }
    if (g->flags & TCP_SYN) {
        stack_drop(t->stack, STACK_DROP_TCP_DUPLICATE);
        if (seq_eq(g->seq, e->irs))
            take_syn_again(t, e, g);
        return;
    }
    if (is_outside) {
        stack_drop(t->stack, STACK_DROP_TCP_WINDOW);
        challenge(t, e);
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
    struct tcp_conn *c = tcp_lets_in(t, &e->remote) ? hatch(t, e, true) : NULL;
    if (c == NULL)
        return;
    release_embryo(t, e);
    finish(t, c, g);
}

static void take_syn(struct stack_tcp *t, struct tcp_listener *l, struct tcp_segment *g)
{
    if (l->paused || t->conns.live_count >= t->conns.limit_count) {
        stack_drop(t->stack, l->paused ? STACK_DROP_TCP_BACKLOG : STACK_DROP_TCP_CONNS);
        return;
    }
    if (!tcp_lets_in(t, &g->p->src))
        return;
    struct tcp_embryo syn = read_syn(t, l, g);
    if (keep_embryo(t, &syn))
        send_syn_ack(t, &syn, t->now_ms + syn.ts_offset);
    else
        send_cookie(t, &syn);
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
        take_syn(t, l, g);
        return;
    }
    bool may_be_cookie =
        l != NULL && !l->paused && (g->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK;
    struct tcp_embryo e;
    if (may_be_cookie && read_cookie(t, l, g, &e)) {
        t->count.cookies_received++;
        struct tcp_conn *c = tcp_lets_in(t, &e.remote) ? hatch(t, &e, false) : NULL;
        if (c != NULL)
            finish(t, c, g);
        return;
    }
    stack_drop(t->stack, l == NULL       ? STACK_DROP_TCP_NO_PORT
                         : may_be_cookie ? STACK_DROP_TCP_COOKIE
                                         : STACK_DROP_TCP_NO_CONN);
    if (l == NULL || (g->flags & TCP_ACK))
        tcp_reset_segment(t, g);
}
