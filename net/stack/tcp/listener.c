/* Listeners: C25, and which of them a segment is for. */
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"

#include <errno.h>

#include "buffers/heap.h"

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

static bool is_port_taken(struct stack_tcp *t, const struct tcp_listener *l, uint16_t port)
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
    if (l->port != 0 && !is_port_taken(t, l, l->port))
        return 0;
    return leat_fail(&leat_core_now->error, -EADDRINUSE,
                     "no free port of %s is left that all loops could share: name one", text);
}

static int choose_listen_port(struct stack_tcp *t, struct tcp_listener *l, uint16_t port,
                              const char *text)
{
    if (port != 0) {
        l->port = port;
        return !is_port_taken(t, l, port)
                   ? 0
                   : leat_fail(&leat_core_now->error, -EADDRINUSE,
                               "%s is in use by another listener of this program: choose another"
                               " port",
                               text);
    }
    for (unsigned i = 0; i < TCP_EPHEMERAL_COUNT; i++) {
        l->port = (uint16_t)(TCP_EPHEMERAL_FIRST + t->port_counter++ % TCP_EPHEMERAL_COUNT);
        if (!is_port_taken(t, l, l->port))
            return share_listen_port(t, l, text);
    }
    return leat_fail(&leat_core_now->error, -EADDRINUSE, "every port of %s is in use", text);
}

int tcp_listen(struct leat_transport *transport, const struct leat_addr *addr,
               const struct leat_listen_options *options, const struct leat_conn_ops *ops,
               void *user, struct leat_listener **listener)
{
    struct stack_tcp *t = tcp_of_transport(transport);
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    struct tcp_listener l = {.tcp = t, .ops = ops, .user = user, .options = *options};
    leat_addr_format(addr, text);
    l.ip = tcp_to_ip(addr);
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

void tcp_listener_close(struct leat_listener *listener)
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

void tcp_listener_pause(struct leat_listener *listener, bool paused)
{
    ((struct tcp_listener *)listener)->paused = paused;
}
