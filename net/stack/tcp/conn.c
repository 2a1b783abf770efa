/* The transport's functions (leat/conn.h), and the life of a connection. */
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/base/siphash.h"

#define EPHEMERAL_FIRST 32768
#define EPHEMERAL_COUNT 28232
#define EPHEMERAL_TRIES 512 /* then the address is as good as out of ports */

static struct stack_tcp *of(struct leat_transport *transport)
{
    return (struct stack_tcp *)transport;
}

static struct tcp_conn *find(struct leat_transport *transport, leat_conn conn)
{
    return slots_find(&of(transport)->conns, conn.id);
}

/* Calls of users come between bursts: at the time of the turn. */
static void set_now(struct stack_tcp *t)
{
    t->stack->now_ns = leat_loop_now(t->loop);
    t->now_ms = (uint32_t)(t->stack->now_ns / LEAT_NS_PER_MS);
}

static uint32_t to_ms(uint64_t ns, uint64_t fallback_ns)
{
    uint64_t ms = (ns != 0 ? ns : fallback_ns) / LEAT_NS_PER_MS;
    return ms > INT32_MAX ? INT32_MAX : ns != 0 && ms == 0 ? 1 : (uint32_t)ms;
}

static uint16_t to_s(uint64_t ns)
{
    uint64_t s = (ns + LEAT_NS_PER_S - 1) / LEAT_NS_PER_S;
    return s < UINT16_MAX ? (uint16_t)s : UINT16_MAX;
}

/* ---- life ---- */

static void set_options(struct tcp_conn *c, const struct leat_conn_options *o)
{
    c->send_high = o->send_high_bytes != 0 ? o->send_high_bytes : 262144;
    c->send_low = o->send_low_bytes != 0 ? o->send_low_bytes : c->send_high / 4;
    c->receive_max = o->receive_bytes_max != 0 ? o->receive_bytes_max : 262144;
    c->timeout_ms = to_ms(o->timeout_ns, 0);
    c->linger_ms = to_ms(o->linger_ns, 2 * LEAT_NS_PER_S);
    c->keepalive_ms = to_ms(o->keepalive_ns, 0);
    c->user_timeout_s = to_s(o->user_timeout_ns);
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
    set_options(c, options);
    return c;
}

static void drop_send_queue(struct stack_tcp *t, struct tcp_work *w)
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

static void drop_work(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    if (w == NULL)
        return;
    tcp_later_drop(t, w);
    drop_send_queue(t, w);
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
        drop_work(t, c);
        slots_give(&t->conns, c);
        leat_loop_unref(t->loop);
    }
}

void tcp_conn_close(struct stack_tcp *t, struct tcp_conn *c, enum leat_close_reason reason)
{
    if (c->state == TCP_CLOSED)
        return;
    c->state = TCP_CLOSED;
    c->close_reason = (uint8_t)reason;
    if (c->flags & TCP_PASSIVE)
        tcp_peer_count(t, &c->remote, -1);
    c->predicted = 0;
    uint32_t number = conn_index(c->id) + 1;
    table_remove(&t->table, c->hash, table_reference(KIND_CONN, number - 1));
    drop_work(t, c);
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

/* ---- listening ---- */

static struct ip_addr to_ip(const struct leat_addr *addr)
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

static bool is_taken(struct stack_tcp *t, const struct tcp_listener *l, uint16_t port)
{
    for (uint32_t i = 0; i < t->listener_count; i++) {
        const struct tcp_listener *o = t->listeners[i];
        bool overlaps = l->any && o->any   ? (l->any_v4 && o->any_v4) || (l->any_v6 && o->any_v6)
                        : l->any || o->any ? false /* an exact address goes before a wildcard */
                                           : ip_addr_equal(&l->ip, &o->ip);
        if (o->port == port && overlaps)
            return true;
    }
    return false;
}

/* C25: the n-th of each core is the same. */
static int share_listen_port(struct stack_tcp *t, struct tcp_listener *l, const char *text)
{
    if (t->stack->steer == NULL)
        return 0;
    l->port = steer_zero_port(t->stack, t->zero_listens++, l->port);
    if (l->port != 0 && !is_taken(t, l, l->port))
        return 0;
    return leat_fail(&leat_core_now->error, -EADDRINUSE,
                     "no free port of %s is left that all loops could share: name one", text);
}

static int choose_listen_port(struct stack_tcp *t, struct tcp_listener *l, uint16_t port,
                              const char *text)
{
    if (port != 0) {
        l->port = port;
        return !is_taken(t, l, port)
                   ? 0
                   : leat_fail(&leat_core_now->error, -EADDRINUSE,
                               "%s is in use by another listener of this program: choose another"
                               " port",
                               text);
    }
    for (unsigned i = 0; i < EPHEMERAL_COUNT; i++) {
        l->port = (uint16_t)(EPHEMERAL_FIRST + t->port_counter++ % EPHEMERAL_COUNT);
        if (!is_taken(t, l, l->port))
            return share_listen_port(t, l, text);
    }
    return leat_fail(&leat_core_now->error, -EADDRINUSE, "every port of %s is in use", text);
}

static int tcp_listen(struct leat_transport *transport, const struct leat_addr *addr,
                      const struct leat_listen_options *options, const struct leat_conn_ops *ops,
                      void *user, struct leat_listener **listener)
{
    struct stack_tcp *t = of(transport);
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    struct tcp_listener l = {.tcp = t, .ops = ops, .user = user, .options = *options};
    leat_addr_format(addr, text);
    l.ip = to_ip(addr);
    l.any = leat_addr_is_wildcard(addr);
    l.any_v6 = l.any && addr->family == LEAT_FAMILY_IPV6;
    l.any_v4 = l.any && (addr->family == LEAT_FAMILY_IPV4 || !options->ipv6_only);
    if (!l.any && addr_find(t->stack, &l.ip) == NULL)
        return leat_fail(&leat_core_now->error, -EADDRNOTAVAIL,
                         "%s is no address of this stack: choose one that was given with --ip",
                         text);
    if (t->listener_count == TCP_LISTENERS_MAX)
        return leat_fail(&leat_core_now->error, -ENOMEM, "more than %d listeners on one core",
                         TCP_LISTENERS_MAX);
    int result = choose_listen_port(t, &l, addr->port, text);
    if (result < 0)
        return result;
    struct tcp_listener *to = leat_heap_alloc(sizeof(*to));
    if (to == NULL)
        return leat_fail(&leat_core_now->error, -ENOMEM, "no memory for a listener");
    l.listener = (struct leat_listener){.transport = transport, .addr = *addr};
    l.listener.addr.port = l.port;
    *to = l;
    t->listeners[t->listener_count++] = to;
    leat_loop_ref(t->loop);
    *listener = &to->listener;
    return 0;
}

static void tcp_listener_close(struct leat_listener *listener)
{
    struct tcp_listener *l = (struct tcp_listener *)listener;
    struct stack_tcp *t = l->tcp;
    for (uint32_t i = 0; i < TCP_EMBRYOS_MAX && l->embryo_count > 0; i++)
        if (t->embryos[i].listener == l)
            tcp_embryo_free(t, &t->embryos[i]);
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        struct tcp_conn *c = slots_at(&t->conns, i);
        if (c != NULL && c->listener == l)
            c->listener = NULL;
    }
    for (uint32_t i = 0; i < t->listener_count; i++)
        if (t->listeners[i] == l)
            t->listeners[i--] = t->listeners[--t->listener_count];
    leat_loop_unref(t->loop);
    leat_heap_free(l);
}

static void tcp_listener_pause(struct leat_listener *listener, bool paused)
{
    ((struct tcp_listener *)listener)->paused = paused;
}

/* ---- connecting ---- */

static bool is_free(struct stack_tcp *t, struct tcp_flow *flow, uint32_t *hash)
{
    *hash = table_hash(&t->table, flow);
    return table_find(&t->table, *hash, flow, tcp_matches, t) == 0;
}

/* Whether replies come home to this core. */
static bool is_home(const struct stack_tcp *t, const struct tcp_flow *flow)
{
    return t->stack->steer == NULL ||
           steer_owns(t->stack, &flow->remote, flow->remote_port, &flow->local, flow->local_port);
}

/* RFC 6056 3.3.3: a secret offset for each destination, and a counter. Only ports of this core
 * count as tried: there are keys under which thousands in a row are another's. */
static bool choose_port(struct stack_tcp *t, struct tcp_flow *flow, uint32_t *hash)
{
    unsigned tries = EPHEMERAL_TRIES;
    const struct siphash_key key = {{t->stack->seed[0], t->stack->seed[1] ^ 4}};
    flow->local_port = (be16){0};
    uint64_t offset = siphash(&key, flow, sizeof(*flow));
    for (unsigned i = 0; i < EPHEMERAL_COUNT && tries > 0; i++) {
        uint64_t port = EPHEMERAL_FIRST + (offset + t->port_counter++) % EPHEMERAL_COUNT;
        flow->local_port = be16_put((uint16_t)port);
        if (!is_home(t, flow))
            continue;
        if (is_free(t, flow, hash))
            return true;
        tries--;
    }
    return false;
}

/* Fills flow and hash of an outgoing connection, or says why there can be none. */
static int choose_flow(struct stack_tcp *t, const struct leat_addr *to,
                       const struct leat_addr *from, struct tcp_flow *flow, uint32_t *hash)
{
    struct leat_error *error = &leat_core_now->error;
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    struct path path;
    struct ip_addr local;
    bool is_bound = from != NULL && !leat_addr_is_wildcard(from);
    leat_addr_format(to, text);
    if (is_bound)
        local = to_ip(from);
    if (is_bound && !addr_is_local(t->stack, &local))
        return leat_fail(error, -EADDRNOTAVAIL,
                         "cannot connect to %s from an address that is "
                         "not this stack's",
                         text);
    flow->remote = to_ip(to);
    flow->remote_port = be16_put(to->port);
    if (to->port == 0 || ip_addr_is_any(&flow->remote) || ip_addr_is_multicast(&flow->remote))
        return leat_fail(error, -EINVAL, "%s is no address to connect to", text);
    int result = path_find(t->stack, is_bound ? &local : NULL, &flow->remote, &path);
    if (result < 0)
        return leat_fail(error, result, "no route to %s: add one with --gateway", text);
    flow->local = path.src;
    if (from != NULL && from->port != 0) {
        flow->local_port = be16_put(from->port);
        if (!is_home(t, flow))
            return leat_fail(error, -EADDRNOTAVAIL,
                             "answers to local port %u would come to another loop: leave the port "
                             "to the stack, or use --cores 1",
                             from->port);
        return is_free(t, flow, hash)
                   ? 0
                   : leat_fail(error, -EADDRINUSE, "the connection to %s exists already", text);
    }
    return choose_port(t, flow, hash)
               ? 0
               : leat_fail(error, -EADDRNOTAVAIL, "no free local port for %s", text);
}

static int tcp_connect(struct leat_transport *transport, const struct leat_addr *to,
                       const struct leat_addr *from, const struct leat_conn_options *options,
                       const struct leat_conn_ops *ops, void *user, leat_conn *conn)
{
    struct stack_tcp *t = of(transport);
    struct tcp_flow flow = {0};
    uint32_t hash = 0;
    set_now(t);
    int result = choose_flow(t, to, from, &flow, &hash);
    if (result < 0)
        return result;
    struct tcp_conn *c = tcp_conn_new(t, &flow, hash, options);
    if (c == NULL)
        return leat_fail(&leat_core_now->error, -ENOMEM, "no room for another connection");
    c->ops = ops;
    c->user = user;
    c->iss = c->snd_una = c->snd_nxt = tcp_initial_seq(t, &flow);
    c->ts_offset = tcp_ts_offset(t, &flow);
    c->state = TCP_SYN_SENT;
    c->flags |= TCP_SYN_NOW;
    c->ecn = t->stack->ecn == STACK_ECN_REQUEST ? ECN_ASKED : 0;
    c->mss = 536;
    cc_init(c);
    struct tcp_work *w = tcp_work_of(c);
    if (w == NULL ||
        table_insert(&t->table, hash, table_reference(KIND_CONN, conn_index(c->id))) < 0)
        goto no_memory;
    w->send_end = seq_add(c->iss, 1);
    uint64_t timeout_ns = options->connect_timeout_ns;
    tcp_rare(w)->end_ns = t->stack->now_ns + (timeout_ns != 0 ? timeout_ns : 30 * LEAT_NS_PER_S);
    tcp_arm_user(t, c);
    *conn = (leat_conn){c->id};
    return 0;

no_memory:
    drop_work(t, c);
    slots_give(&t->conns, c);
    leat_loop_unref(t->loop);
    return leat_fail(&leat_core_now->error, -ENOMEM, "no memory for another connection");
}

/* C8: from our FIN on, the peer's is waited for so long. */
void tcp_start_linger(struct stack_tcp *t, struct tcp_conn *c)
{
    tcp_rare(c->work)->end_ns = t->stack->now_ns + (uint64_t)c->linger_ms * LEAT_NS_PER_MS;
    tcp_arm_user(t, c);
}

/* ---- sending ---- */

static int may_send(struct tcp_conn *c)
{
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED || (c->flags & TCP_FIN_QUEUED))
        return -EPIPE;
    if (tcp_queued_bytes(c) >= c->send_high) {
        c->flags |= TCP_WANTS_WRITABLE;
        return -EAGAIN;
    }
    return 0;
}

void tcp_push_chunk(struct tcp_work *w, struct tcp_chunk *k, struct leat_buf buf)
{
    *k = (struct tcp_chunk){.seq = w->send_end, .buf = buf};
    if (w->send_last != NULL)
        w->send_last->next = k;
    else
        w->send_first = k;
    w->send_last = k;
    w->send_end = seq_add(w->send_end, (uint32_t)buf.length_bytes);
}

static uint64_t total_bytes(const struct leat_buf *bufs, unsigned count)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++)
        total += bufs[i].length_bytes;
    return total;
}

static void give_chunks(struct stack_tcp *t, struct tcp_chunk *k)
{
    while (k != NULL) {
        struct tcp_chunk *next = k->next;
        tcp_pool_give(&t->chunks, k);
        k = next;
    }
}

/* All or nothing: every chunk is taken before the first is queued. */
static int queue_bufs(struct stack_tcp *t, struct tcp_conn *c, const struct leat_buf *bufs,
                      unsigned count)
{
    struct tcp_work *w = tcp_work_of(c);
    struct tcp_chunk *spare = NULL;
    if (w == NULL)
        return -ENOMEM;
    if (unlikely(w->later_first != NULL || !tcp_has_numbers_for(c, total_bytes(bufs, count))))
        return tcp_later_bufs(t, c, bufs, count);
    for (unsigned i = 0; i < count; i++) {
        struct tcp_chunk *k = tcp_pool_take(&t->chunks);
        if (k == NULL) {
            give_chunks(t, spare);
            return -ENOMEM;
        }
        k->next = spare;
        spare = k;
    }
    for (unsigned i = 0; i < count; i++) {
        struct tcp_chunk *k = spare;
        spare = k->next;
        if (bufs[i].length_bytes == 0) {
            leat_buf_unref(bufs[i]);
            tcp_pool_give(&t->chunks, k);
        } else {
            tcp_push_chunk(w, k, bufs[i]);
        }
    }
    return 0;
}

static int tcp_send(struct leat_transport *transport, leat_conn conn, const struct leat_buf *bufs,
                    unsigned count)
{
    struct tcp_conn *c = find(transport, conn);
    int result = may_send(c);
    uint64_t bytes = total_bytes(bufs, count);
    if (result == 0)
        result = queue_bufs(of(transport), c, bufs, count);
    if (result == 0) {
        c->sent_bytes += bytes;
        tcp_dirty(c);
    }
    return result;
}

/* C19; read in pieces by and by: file.c. */
static int tcp_send_file(struct leat_transport *transport, leat_conn conn, struct leat_file *file,
                         uint64_t offset_bytes, uint64_t length_bytes)
{
    struct stack_tcp *t = of(transport);
    struct tcp_conn *c = find(transport, conn);
    int result = may_send(c);
    if (result == 0 && (offset_bytes > INT64_MAX || length_bytes > INT64_MAX - offset_bytes))
        return -EINVAL;
    if (result == 0 && length_bytes > 0)
        result = tcp_reader_ready(t);
    if (result == 0 && length_bytes > 0)
        result = tcp_later_file(t, c, file, offset_bytes, length_bytes);
    if (result == 0) {
        c->sent_bytes += length_bytes;
        tcp_dirty(c);
    }
    return result;
}

static int tcp_want_writable(struct leat_transport *transport, leat_conn conn)
{
    struct tcp_conn *c = find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED || (c->flags & TCP_FIN_QUEUED))
        return -EPIPE;
    c->flags |= TCP_WANTS_WRITABLE;
    if (tcp_queued_bytes(c) < c->send_low)
        tcp_want_deliver(of(transport), c);
    return 0;
}

/* ---- ending ---- */

static int tcp_end(struct leat_transport *transport, leat_conn conn)
{
    struct tcp_conn *c = find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED || (c->flags & TCP_FIN_QUEUED))
        return 0;
    c->flags |= TCP_FIN_QUEUED;
    c->predicted = 0;
    tcp_dirty(c);
    return 0;
}

/* Soon or not: it is we who see to it that the peer gets everything. */
static int tcp_close(struct leat_transport *transport, leat_conn conn, bool soon)
{
    struct stack_tcp *t = of(transport);
    struct tcp_conn *c = find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED || (c->flags & TCP_DETACHED))
        return 0;
    set_now(t);
    c->flags |= TCP_FIN_QUEUED | TCP_DETACHED;
    c->flags &= (uint16_t)~TCP_WANTS_WRITABLE;
    c->predicted = 0;
    struct tcp_work *w = tcp_work_of(c);
    if (c->state < TCP_ESTABLISHED || w == NULL) {
        tcp_conn_close(t, c, LEAT_CLOSE_ABORTED);
        return 0;
    }
    tcp_drop_received(t, c);
    if (c->flags & TCP_FIN_SENT)
        tcp_start_linger(t, c);
    tcp_dirty(c);
    tcp_settle(t, c);
    return 0;
}

static int tcp_abort(struct leat_transport *transport, leat_conn conn)
{
    struct stack_tcp *t = of(transport);
    struct tcp_conn *c = find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (c->state == TCP_CLOSED)
        return 0;
    set_now(t);
    if (c->state >= TCP_ESTABLISHED || c->state == TCP_SYN_RCVD)
        tcp_send_reset(t, c);
    tcp_conn_close(t, c, LEAT_CLOSE_ABORTED);
    return 0;
}

/* ---- receiving ---- */

static int tcp_pause(struct leat_transport *transport, leat_conn conn, bool paused)
{
    struct tcp_conn *c = find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (paused) {
        c->flags |= TCP_PAUSED;
        return 0;
    }
    c->flags &= (uint16_t)~TCP_PAUSED;
    if (c->work != NULL || (c->flags & (TCP_FIN_RECEIVED | TCP_END_DELIVERED)) == TCP_FIN_RECEIVED)
        tcp_want_deliver(of(transport), c);
    return 0;
}

static struct leat_buf tcp_transport_hold(struct leat_transport *transport, leat_conn conn,
                                          struct leat_buf slice)
{
    struct tcp_conn *c = find(transport, conn);
    return c != NULL ? tcp_hold(of(transport), c, slice) : (struct leat_buf){0};
}

static void tcp_release(struct leat_transport *transport, leat_conn conn, struct leat_buf held)
{
    struct tcp_conn *c = find(transport, conn);
    uint32_t bytes = (uint32_t)held.length_bytes;
    leat_buf_unref(held);
    if (c == NULL || c->state == TCP_CLOSED)
        return;
    CHECK(c->held_bytes >= bytes);
    c->held_bytes -= bytes;
    if (c->work != NULL && c->work->rx_first != NULL)
        tcp_want_deliver(of(transport), c);
    else if (tcp_window_update_due(c))
        tcp_dirty(c);
}

/* ---- the rest ---- */

static int tcp_set(struct leat_transport *transport, leat_conn conn,
                   const struct leat_conn_ops *ops, void *user)
{
    struct tcp_conn *c = find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    if (ops != NULL)
        c->ops = ops;
    c->user = user;
    return 0;
}

static int tcp_set_timeout(struct leat_transport *transport, leat_conn conn, uint64_t timeout_ns)
{
    struct stack_tcp *t = of(transport);
    struct tcp_conn *c = find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    set_now(t);
    c->timeout_ms = to_ms(timeout_ns, 0);
    if (c->state != TCP_CLOSED)
        tcp_arm_user(t, c);
    return 0;
}

static int tcp_address(struct leat_transport *transport, leat_conn conn, bool peer,
                       struct leat_addr *addr)
{
    const struct tcp_conn *c = find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    *addr = peer ? tcp_to_addr(&c->remote, c->remote_port) : tcp_to_addr(&c->local, c->local_port);
    return 0;
}

static int tcp_info(struct leat_transport *transport, leat_conn conn, struct leat_conn_info *info)
{
    const struct tcp_conn *c = find(transport, conn);
    if (c == NULL)
        return -ESTALE;
    *info = (struct leat_conn_info){.received_bytes = c->received_bytes,
                                    .sent_bytes = c->sent_bytes,
                                    .queued_bytes = tcp_queued_bytes(c),
                                    .held_bytes = c->held_bytes,
                                    .transport = "stack"};
    return 0;
}

const struct leat_transport_ops tcp_transport_ops = {
    .name = "stack",
    .listen = tcp_listen,
    .connect = tcp_connect,
    .listener_close = tcp_listener_close,
    .listener_pause = tcp_listener_pause,
    .send = tcp_send,
    .send_file = tcp_send_file,
    .want_writable = tcp_want_writable,
    .end = tcp_end,
    .close = tcp_close,
    .abort = tcp_abort,
    .pause = tcp_pause,
    .hold = tcp_transport_hold,
    .release = tcp_release,
    .set = tcp_set,
    .set_timeout = tcp_set_timeout,
    .address = tcp_address,
    .info = tcp_info,
};
