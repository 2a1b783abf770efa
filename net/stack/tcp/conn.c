/* The life of a connection: made, closed, and its end told. */
#include "net/stack/tcp/tcp.h"

uint32_t tcp_to_ms(uint64_t ns, uint64_t fallback_ns)
{
    uint64_t ms = (ns != 0 ? ns : fallback_ns) / LEAT_NS_PER_MS;
    return ms > INT32_MAX ? INT32_MAX : ns != 0 && ms == 0 ? 1 : (uint32_t)ms;
}

uint16_t tcp_to_seconds(uint64_t ns)
{
    uint64_t s = (ns + LEAT_NS_PER_S - 1) / LEAT_NS_PER_S;
    return s < UINT16_MAX ? (uint16_t)s : UINT16_MAX;
}

static void options_set(struct tcp_conn *c, const struct leat_conn_options *o)
{
    c->send_high = o->send_high_bytes != 0 ? o->send_high_bytes : 262144;
    c->send_low = o->send_low_bytes != 0 ? o->send_low_bytes : c->send_high / 4;
    c->receive_max = o->receive_bytes_max != 0 ? o->receive_bytes_max : 262144;
    c->timeout_ms = tcp_to_ms(o->timeout_ns, 0);
    c->linger_ms = tcp_to_ms(o->linger_ns, 2 * LEAT_NS_PER_S);
    c->keepalive_ms = tcp_to_ms(o->keepalive_ns, 0);
    c->user_timeout_s = tcp_to_seconds(o->user_timeout_ns);
    c->rcv_scale = tcp_scale_for(c->receive_max);
    c->flags |= o->nagle ? TCP_NAGLE : 0;
}

/* Not in the table yet. NULL: counted. */
struct tcp_conn *tcp_conn_new(struct stack_tcp *t, const struct tcp_flow *flow, uint32_t hash,
                              const struct leat_conn_options *options)
{
    struct path path;
    if (path_find(t->stack, &flow->local, &flow->remote, &path) < 0)
        return NULL;
    struct tcp_conn *c = slots_take(&t->conns);
    if (c == NULL) {
        stack_drop(t->stack, STACK_DROP_TCP_CONNS);
        return NULL;
    }
    leat_loop_ref(t->loop);
    c->local = flow->local;
    c->remote = flow->remote;
    c->local_port = flow->local_port;
    c->remote_port = flow->remote_port;
    c->hash = hash;
    c->hop = path.hop;
    c->neighbour = path.neighbour;
    c->mtu_bytes = path.mtu_bytes;
    c->hop_limit = path.hop_limit;
    c->is_local = path.local;
    c->flags =
        (uint16_t)(TCP_USES_TS | TCP_USES_SACK | (ip_addr_is_v4(&flow->remote) ? TCP_IPV4 : 0));
    c->rto_us = TCP_RTO_NS_INITIAL / 1000;
    c->idle_since_ms = c->sent_ms = t->now_ms;
    c->challenge_ms = t->now_ms - 1000;
    options_set(c, options);
    return c;
}

static void send_queue_drop(struct stack_tcp *t, struct tcp_work *w)
{
    while (w->send_first != NULL) {
        struct tcp_chunk *k = w->send_first;
        w->send_first = k->next;
        leat_buf_unref(k->buf);
        tcp_pool_give(&t->chunks, k);
    }
    w->send_last = w->send_hint = NULL;
    while (w->sent_first != NULL)
        tcp_sent_remove(t, w, w->sent_first);
}

void tcp_drop_work(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    if (w == NULL)
        return;
    tcp_later_drop(t, w);
    send_queue_drop(t, w);
    tcp_drop_received(t, c);
    while (w->ooo_first != NULL) {
        struct tcp_rx *rx = w->ooo_first;
        w->ooo_first = rx->next;
        tcp_rx_unref(rx);
    }
    leat_timer_stop(&w->timer);
    c->work = NULL;
    w->conn = NULL;
    if (!w->is_dirty)
        tcp_work_free(t, w);
}

static void on_closed(void *arg)
{
    (void)arg;
    struct stack_tcp *t = tcp_of(NULL);
    if (t == NULL)
        return; /* the stack ended in between, and has called them all */
    t->close_pended = false;
    tcp_run_closed(t);
}

/* on_close, exactly once and last; then the handle is stale. Of an accepted connection that ended
 * before its on_open nobody knows: nothing is called. */
void tcp_run_closed(struct stack_tcp *t)
{
    while (t->closed_first != 0) {
        struct tcp_conn *c = slots_at(&t->conns, t->closed_first - 1);
        t->closed_first = c->hash;
        if (t->closed_first == 0)
            t->closed_last = 0; /* what on_close closes is the first of a new queue */
        t->count.closed++;
        bool is_known = (c->flags & TCP_OPENED) || !(c->flags & TCP_PASSIVE);
        if (is_known && c->ops->on_close != NULL) {
            c->ops->on_close((leat_conn){c->id}, c->user, (enum leat_close_reason)c->close_reason);
            leat_loop_gate(t->loop);
        }
        tcp_drop_work(t, c);
        slots_give(&t->conns, c);
        leat_loop_unref(t->loop);
    }
}

void tcp_conn_close(struct stack_tcp *t, struct tcp_conn *c, enum leat_close_reason reason)
{
    if (c->state == TCP_CLOSED)
        return;
    if (c->state < TCP_ESTABLISHED)
        tcp_connecting_remove(t, c); /* accepted ones are embryos until then */
    c->state = TCP_CLOSED;
    c->close_reason = (uint8_t)reason;
    if (c->flags & TCP_PASSIVE)
        tcp_peer_count(t, &c->remote, -1);
    c->predicted = 0;
    uint32_t number = handle_index(c->id) + 1;
    table_remove(&t->table, c->hash, table_reference(KIND_CONN, number - 1));
    tcp_drop_work(t, c);
    c->hash = 0;
    if (t->closed_last != 0) {
        struct tcp_conn *last = slots_at(&t->conns, t->closed_last - 1);
        last->hash = number;
    } else {
        t->closed_first = number;
    }
    t->closed_last = number;
    if (!t->close_pended && leat_loop_close_later(t->loop, on_closed, NULL) == 0)
        t->close_pended = true;
}

void tcp_address_gone(struct stack *s, const struct ip_addr *ip)
{
    struct stack_tcp *t = s->tcp;
    for (uint32_t i = 0; t != NULL && i < t->conns.capacity_count; i++) {
        struct tcp_conn *c = slots_at(&t->conns, i);
        if (c != NULL && ip_addr_equal(&c->local, ip))
            tcp_conn_close(t, c, LEAT_CLOSE_ADDRESS_GONE);
    }
    if (t != NULL)
        tcp_embryos_end(t, ip);
}

/* C8: from our FIN on, the peer's is waited for so long. */
void tcp_start_linger(struct stack_tcp *t, struct tcp_conn *c)
{
    tcp_rare(c->work)->end_ns = t->stack->now_ns + (uint64_t)c->linger_ms * LEAT_NS_PER_MS;
    tcp_arm_user(t, c);
}

/* C10: both sides have ended, all was sent and delivered. */
void tcp_settle(struct stack_tcp *t, struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    bool is_acked = (c->flags & TCP_FIN_SENT) && seq_eq(c->snd_una, c->snd_nxt);
    bool is_delivered = (c->flags & TCP_DETACHED) ||
                        ((c->flags & TCP_END_DELIVERED) && (w == NULL || w->rx_first == NULL));
    if (c->state == TCP_CLOSING && is_acked)
        c->state = TCP_TIME_WAIT;
    if (!is_delivered || !is_acked || (c->state != TCP_TIME_WAIT && c->state != TCP_LAST_ACK))
        return;
    bool waits = c->state == TCP_TIME_WAIT;
    if (c->flags & (TCP_ACK_NOW | TCP_ACK_LATER))
        tcp_send_ack(t, c);
    uint32_t hash = c->hash;
    tcp_conn_close(t, c, LEAT_CLOSE_DONE);
    if (waits) {
        struct tcp_conn record = *c;
        record.hash = hash;
        tcp_time_wait_add(t, &record);
    }
}

struct ip_addr tcp_to_ip(const struct leat_addr *addr)
{
    struct ip_addr ip = {0};
    be32 v4;
    memcpy(ip.b, addr->ip, sizeof(ip.b));
    memcpy(&v4, addr->ip, sizeof(v4));
    return addr->family == LEAT_FAMILY_IPV4 ? ip_addr_v4(v4) : ip;
}

struct leat_addr tcp_to_addr(const struct ip_addr *ip, be16 port)
{
    struct leat_addr addr = {.family = LEAT_FAMILY_IPV6, .port = be16_get(port)};
    memcpy(addr.ip, ip->b, sizeof(ip->b));
    if (ip_addr_is_v4(ip)) {
        addr.family = LEAT_FAMILY_IPV4;
        memset(addr.ip, 0, sizeof(addr.ip));
        memcpy(addr.ip, ip->b + 12, 4);
    }
    return addr;
}
