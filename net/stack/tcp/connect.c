/* Outgoing connections: addresses, a local port (RFC 6056), the SYN. */
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"

#include <errno.h>

#include "runtime/base/siphash.h"

#define EPHEMERAL_TRIES 512 /* then the address is as good as out of ports */

static bool is_flow_free(struct stack_tcp *t, struct tcp_flow *flow, uint32_t *hash)
{
    *hash = table_hash(&t->table, flow);
    return table_find(&t->table, *hash, flow, tcp_matches, t) == 0;
}

/* Whether replies come home to this core. */
static bool is_flow_home(const struct stack_tcp *t, const struct tcp_flow *flow)
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
    for (unsigned i = 0; i < TCP_EPHEMERAL_COUNT && tries > 0; i++) {
        uint64_t port = TCP_EPHEMERAL_FIRST + (offset + t->port_counter++) % TCP_EPHEMERAL_COUNT;
        flow->local_port = be16_put((uint16_t)port);
        if (!is_flow_home(t, flow))
            continue;
        if (is_flow_free(t, flow, hash))
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
        local = tcp_to_ip(from);
    if (is_bound && !addr_is_local(t->stack, &local))
        return leat_fail(error, -EADDRNOTAVAIL,
                         "cannot connect to %s from an address that is "
                         "not this stack's",
                         text);
    flow->remote = tcp_to_ip(to);
    flow->remote_port = be16_put(to->port);
    if (to->port == 0 || ip_addr_is_any(&flow->remote) || ip_addr_is_multicast(&flow->remote))
        return leat_fail(error, -EINVAL, "%s is no address to connect to", text);
    int result = path_find(t->stack, is_bound ? &local : NULL, &flow->remote, &path);
    if (result < 0)
        return leat_fail(error, result,
                         result == -EADDRNOTAVAIL
                             ? "this stack has no address to reach %s from: give one with --ip"
                             : "no route to %s: add one with --gateway",
                         text);
    flow->local = path.src;
    if (from != NULL && from->port != 0) {
        flow->local_port = be16_put(from->port);
        if (!is_flow_home(t, flow))
            return leat_fail(error, -EADDRNOTAVAIL,
                             "answers to local port %u would come to another loop: leave the port "
                             "to the stack, or use --cores 1",
                             from->port);
        return is_flow_free(t, flow, hash)
                   ? 0
                   : leat_fail(error, -EADDRINUSE, "the connection to %s exists already", text);
    }
    return choose_port(t, flow, hash)
               ? 0
               : leat_fail(error, -EADDRINUSE, /* not the sentence of another transport */
                           "no ports left on this address for %s: close connections to it, or "
                           "connect from another address",
                           text);
}

/* ---- attempts under way ---- */

static void connecting_add(struct stack_tcp *t, struct tcp_work *w)
{
    struct tcp_rare *rare = tcp_rare(w);
    rare->connecting_next = t->connecting_first;
    if (t->connecting_first != NULL)
        t->connecting_first->rare.connecting_prev = w;
    t->connecting_first = w;
}

void tcp_connecting_remove(struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    struct tcp_rare *rare = &w->rare;
    if (rare->connecting_prev != NULL)
        rare->connecting_prev->rare.connecting_next = rare->connecting_next;
    else
        t->connecting_first = rare->connecting_next;
    if (rare->connecting_next != NULL)
        rare->connecting_next->rare.connecting_prev = rare->connecting_prev;
    rare->connecting_next = rare->connecting_prev = NULL;
}

/* RFC 9293 3.9.2.2: a host that is unreachable ends an attempt, and no connection that is open. */
void tcp_neighbour_gone(struct stack *s, const struct ip_addr *hop)
{
    struct stack_tcp *t = s->tcp;
    struct tcp_work *w = t != NULL ? t->connecting_first : NULL;
    while (w != NULL) {
        struct tcp_conn *c = w->conn;
        w = w->rare.connecting_next;
        if (c->state == TCP_SYN_SENT && ip_addr_equal(&c->hop, hop))
            tcp_conn_close(t, c, LEAT_CLOSE_UNREACHABLE);
    }
}

int tcp_connect(struct leat_transport *transport, const struct leat_addr *to,
                const struct leat_addr *from, const struct leat_conn_options *options,
                const struct leat_conn_ops *ops, void *user, leat_conn *conn)
{
    struct stack_tcp *t = tcp_of_transport(transport);
    struct tcp_flow flow = {0};
    uint32_t hash = 0;
    if (t->is_shut)
        return leat_fail(&leat_core_now->error, -ESHUTDOWN,
                         "the loop is ending: nothing can connect on it now");
    /* Read now: a callback may have run for long, or the loop slept. */
    uint64_t now_ns = leat_loop_clock(t->loop);
    tcp_set_now(t);
    int result = choose_flow(t, to, from, &flow, &hash);
    if (result < 0)
        return result;
    struct tcp_conn *c = tcp_conn_new(t, &flow, hash, options);
    if (c == NULL)
        return leat_fail(&leat_core_now->error, -ENOMEM, "no room for another connection");
    c->ops = ops;
    c->user = user;
    c->iss = c->snd_una = c->snd_nxt = tcp_initial_seq(t, &flow, now_ns);
    c->ts_offset = tcp_ts_offset(t, &flow);
    c->state = TCP_SYN_SENT;
    c->flags |= TCP_SYN_NOW;
    c->ecn = t->stack->ecn == STACK_ECN_REQUEST ? ECN_ASKED : 0;
    c->mss = 536;
    cc_init(c);
    struct tcp_work *w = tcp_work_of(c);
    if (w == NULL ||
        table_insert(&t->table, hash, table_reference(KIND_CONN, handle_index(c->id))) < 0)
        goto no_memory;
    w->send_end = seq_add(c->iss, 1);
    uint64_t timeout_ns = options->connect_timeout_ns;
    tcp_rare(w)->end_ns = now_ns + (timeout_ns != 0 ? timeout_ns : 30 * LEAT_NS_PER_S);
    connecting_add(t, w);
    tcp_arm_user(t, c);
    *conn = (leat_conn){c->id};
    return 0;

no_memory:
    tcp_drop_work(t, c);
    slots_give(&t->conns, c);
    leat_loop_unref(t->loop);
    return leat_fail(&leat_core_now->error, -ENOMEM, "no memory for another connection");
}
