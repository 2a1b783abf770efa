/* UDP sockets on the stack: opening, the calls of leat/udp.h, the end. */
#include "net/stack/udp.h"
#include "net/stack/steer.h"

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/base/siphash.h"

#define EPHEMERAL_FIRST 32768
#define EPHEMERAL_COUNT 28232
#define EPHEMERAL_TRIES 512 /* then the address is as good as out of ports */

static struct stack_udp *udp_of(struct leat_udp_transport *transport)
{
    return (struct stack_udp *)transport;
}

static struct udp_socket *socket_find(struct leat_udp_transport *transport, leat_udp udp)
{
    return slots_find(&udp_of(transport)->sockets, udp.id);
}

struct ip_addr udp_to_ip(const struct leat_addr *addr)
{
    struct ip_addr ip = {0};
    be32 v4;
    memcpy(ip.b, addr->ip, sizeof(ip.b));
    memcpy(&v4, addr->ip, sizeof(v4));
    return addr->family == LEAT_FAMILY_IPV4 ? ip_addr_v4(v4) : ip;
}

void udp_set_addr(struct leat_addr *to, const struct ip_addr *ip, be16 port)
{
    bool v4 = ip_addr_is_v4(ip);
    to->family = v4 ? LEAT_FAMILY_IPV4 : LEAT_FAMILY_IPV6;
    to->via = LEAT_VIA_STACK;
    to->port = be16_get(port);
    to->scope = 0;
    memset(to->ip, 0, sizeof(to->ip));
    memcpy(to->ip, ip->b + (v4 ? 12 : 0), v4 ? 4 : 16);
}

/* ---- the end ---- */

static void closing_run(struct stack_udp *u)
{
    struct list *link;
    u->is_close_pended = false;
    while ((link = list_pull(&u->closing)) != NULL) {
        struct udp_socket *k = container_of(link, struct udp_socket, link);
        if (k->ops->on_close != NULL)
            k->ops->on_close((leat_udp){k->id}, k->user, (enum leat_close_reason)k->reason);
        leat_loop_gate(u->loop);
        slots_give(&u->sockets, k);
        leat_loop_unref(u->loop);
    }
}

static void on_close_phase(void *arg)
{
    (void)arg;
    if (leat_core_now->udp_stack != NULL) /* else the stack ended in between */
        closing_run(udp_of(leat_core_now->udp_stack));
}

static void table_remove(struct stack_udp *u, struct udp_socket *k)
{
    uint32_t number = handle_index(k->id) + 1;
    uint32_t *at = &u->buckets[udp_bucket(k->local_port)];
    while (*at != number)
        at = &udp_at(u, *at)->next;
    *at = k->next;
}

static void socket_finish(struct udp_socket *k, enum leat_close_reason reason)
{
    struct stack_udp *u = k->udp;
    if ((k->flags & UDP_FINISHED) != 0)
        return;
    k->flags = (uint16_t)((k->flags | UDP_FINISHED) & ~(UDP_ON_BURST | UDP_ON_READY));
    k->reason = (uint8_t)reason;
    k->burst_first = k->burst_last = 0;
    for (unsigned i = 0; i < k->group_count; i++)
        group_leave(u->stack, &k->groups[i]);
    u->group_count -= k->group_count;
    if ((k->flags & UDP_HAS_PORT) != 0)
        steer_give_port(u->stack, k->local_port);
    table_remove(u, k);
    udp_drop_waiting(k);
    list_unlink(&k->burst_link);
    list_unlink(&k->link);
    list_push(&u->closing, &k->link);
    if (!u->is_close_pended)
        u->is_close_pended = leat_loop_close_later(u->loop, on_close_phase, NULL) == 0;
}

void udp_address_gone(struct stack *s, const struct ip_addr *ip)
{
    struct stack_udp *u = s->udp;
    for (uint32_t i = 0; u != NULL && i < u->sockets.capacity_count; i++) {
        struct udp_socket *k = slots_at(&u->sockets, i);
        if (k == NULL)
            continue;
        k->path_until_ns = 0;
        if ((k->flags & (UDP_ANY_V4 | UDP_ANY_V6)) == 0 && ip_addr_equal(&k->local, ip))
            socket_finish(k, LEAT_CLOSE_ADDRESS_GONE);
    }
}

/* ---- opening ---- */

static bool socket_overlaps(const struct udp_socket *a, const struct udp_socket *b)
{
    unsigned any_a = a->flags & (UDP_ANY_V4 | UDP_ANY_V6),
             any_b = b->flags & (UDP_ANY_V4 | UDP_ANY_V6);
    bool is_same = any_a != 0 && any_b != 0   ? (any_a & any_b) != 0
                   : any_a != 0 || any_b != 0 ? false /* the exact one goes first */
                                              : ip_addr_equal(&a->local, &b->local);
    if (!is_same || (a->flags & UDP_CONNECTED) != (b->flags & UDP_CONNECTED))
        return false;
    return (a->flags & UDP_CONNECTED) == 0 ||
           (ip_addr_equal(&a->peer, &b->peer) && be16_equal(a->peer_port, b->peer_port));
}

static bool port_is_free(struct stack_udp *u, struct udp_socket *k, uint16_t port)
{
    unsigned count = 0;
    k->local_port = be16_put(port);
    if (u->stack->steer != NULL && steer_is_port_taken(u->stack, k->local_port))
        return false;
    struct udp_socket *o = udp_at(u, u->buckets[udp_bucket(k->local_port)]);
    for (; o != NULL; o = udp_at(u, o->next))
        if (be16_equal(o->local_port, k->local_port) &&
            (socket_overlaps(k, o) || ++count == UDP_SAME_PORT_MAX))
            return false;
    return true;
}

/* By the tuple, replies to a connected socket come to another core. */
static bool port_is_anothers(const struct stack_udp *u, const struct udp_socket *k)
{
    return u->stack->steer != NULL && (k->flags & UDP_CONNECTED) != 0 &&
           !steer_owns(u->stack, &k->peer, k->peer_port, &k->local, k->local_port);
}

/* Replies come to this core: by the tuple, or because the port is its alone. */
static bool port_comes_home(struct stack_udp *u, struct udp_socket *k, bool is_chosen)
{
    struct stack *s = u->stack;
    if (s->steer == NULL)
        return true;
    bool is_connected = (k->flags & UDP_CONNECTED) != 0;
    if (is_connected && !port_is_anothers(u, k))
        return true;
    if ((is_connected && is_chosen) || !steer_take_port(s, k->local_port))
        return false;
    k->flags |= UDP_HAS_PORT;
    return true;
}

/* A shared one is the same on all cores for the same n: it comes from the secret that they share.
 * Only ports of this core count as tried: there are keys under which thousands in a row are
 * another's. */
static bool port_choose(struct stack_udp *u, struct udp_socket *k, bool is_shared)
{
    const struct siphash_key key = {{u->stack->seed[0], u->stack->seed[1] ^ 6}};
    uint32_t n = u->any_count;
    uint64_t first = is_shared ? siphash(&key, &n, sizeof(n)) : stack_random(u->stack);
    u->any_count += is_shared;
    unsigned tries = EPHEMERAL_TRIES;
    for (uint64_t i = 0; i < EPHEMERAL_COUNT && tries > 0; i++) {
        uint16_t port = (uint16_t)(EPHEMERAL_FIRST + (first + i) % EPHEMERAL_COUNT);
        k->local_port = be16_put(port);
        if (port_is_anothers(u, k))
            continue;
        if (port_is_free(u, k, port) && (is_shared || port_comes_home(u, k, true)))
            return true;
        tries--;
    }
    return false;
}

static int addr_fail(int code, const char *format, const struct leat_addr *addr)
{
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    (void)leat_addr_format(addr, text);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return leat_fail(&leat_core_now->error, code, format, text);
#pragma GCC diagnostic pop
}

static int socket_set_local(struct stack_udp *u, struct udp_socket *k, const struct leat_addr *addr,
                            bool ipv6_only)
{
    if (leat_addr_is_wildcard(addr)) {
        bool v6 = addr->family == LEAT_FAMILY_IPV6;
        k->flags |= v6 ? UDP_ANY_V6 : UDP_ANY_V4;
        k->flags |= v6 && !ipv6_only ? UDP_ANY_V4 : 0;
        return 0;
    }
    k->local = udp_to_ip(addr);
    return addr_find(u->stack, &k->local) != NULL
               ? 0
               : addr_fail(-EADDRNOTAVAIL,
                           "%s is no address of this stack: choose one that was given with --ip",
                           addr);
}

static bool is_loopback_ip(const struct ip_addr *ip)
{
    static const struct ip_addr one = {{[15] = 1}};
    return ip_addr_is_v4(ip) ? ip->b[12] == 127 : ip_addr_equal(ip, &one);
}

static int socket_set_peer(struct stack_udp *u, struct udp_socket *k, const struct leat_addr *to,
                           bool is_bound)
{
    k->peer = udp_to_ip(to);
    k->peer_port = be16_put(to->port);
    if (is_loopback_ip(&k->peer))
        return addr_fail(-EADDRNOTAVAIL, "%s is not reached over this stack", to);
    int result = path_find(u->stack, is_bound ? &k->local : NULL, &k->peer, &k->path);
    if (result < 0)
        return addr_fail(result,
                         result == -EADDRNOTAVAIL
                             ? "this stack has no address to reach %s from: give one with --ip"
                             : "no route to %s: add one with --gateway",
                         to);
    k->local = k->path.src;
    k->flags = (uint16_t)((k->flags & ~(UDP_ANY_V4 | UDP_ANY_V6)) | UDP_CONNECTED);
    return 0;
}

static int socket_place(struct stack_udp *u, struct udp_socket *k, const struct leat_addr *addr,
                        const struct leat_addr *to, const struct leat_udp_options *options)
{
    int result = addr != NULL ? socket_set_local(u, k, addr, options->ipv6_only) : 0;
    bool is_bound = addr != NULL && (k->flags & (UDP_ANY_V4 | UDP_ANY_V6)) == 0;
    if (result == 0 && to != NULL)
        result = socket_set_peer(u, k, to, is_bound);
    if (result < 0)
        return result;
    uint16_t port = addr != NULL ? addr->port : 0;
    bool is_shared = to == NULL && !options->exclusive;
    bool is_found = port != 0
                        ? port_is_free(u, k, port) && (is_shared || port_comes_home(u, k, false))
                        : port_choose(u, k, is_shared);
    if (is_found)
        return 0;
    return port != 0
               ? addr_fail(-EADDRINUSE,
                           "%s is in use by another socket of this program: choose another port",
                           addr)
               : leat_fail(&leat_core_now->error, -EADDRINUSE,
                           "no UDP ports left on this address: close sockets, or name a port");
}

static int udp_open(struct leat_udp_transport *transport, const struct leat_addr *addr,
                    const struct leat_addr *to, const struct leat_udp_options *given,
                    const struct leat_udp_ops *ops, void *user, leat_udp *udp)
{
    struct stack_udp *u = udp_of(transport);
    const struct leat_udp_options options = udp_options_of(given);
    if (u->is_shut)
        return leat_fail(&leat_core_now->error, -ESHUTDOWN,
                         "the loop is ending: nothing can be opened on it now");
    struct udp_socket *k = slots_take(&u->sockets);
    if (k == NULL)
        return leat_fail(&leat_core_now->error, -ENOMEM, "no room for another UDP socket");
    u->stack->now_ns = leat_loop_now(u->loop);
    k->ops = ops;
    k->user = user;
    k->udp = u;
    k->receive_max = options.receive_bytes_max;
    k->hop_limit = options.hop_limit;
    k->broadcast = options.broadcast;
    list_init(&k->link);
    list_init(&k->burst_link);
    int result = socket_place(u, k, addr, to, &options);
    if (result < 0) {
        slots_give(&u->sockets, k);
        return result;
    }
    uint32_t *bucket = &u->buckets[udp_bucket(k->local_port)];
    k->next = *bucket;
    *bucket = handle_index(k->id) + 1;
    leat_loop_ref(u->loop);
    *udp = (leat_udp){k->id};
    return 0;
}

/* ---- calls ---- */

static int udp_pause(struct leat_udp_transport *transport, leat_udp udp, bool paused)
{
    struct udp_socket *k = socket_find(transport, udp);
    if (k == NULL)
        return -ESTALE;
    k->flags = (uint16_t)(paused ? k->flags | UDP_PAUSED : k->flags & ~UDP_PAUSED);
    if (!paused && k->first != NULL)
        udp_ready(k);
    return 0;
}

static int udp_close(struct leat_udp_transport *transport, leat_udp udp)
{
    struct udp_socket *k = socket_find(transport, udp);
    if (k == NULL)
        return -ESTALE;
    socket_finish(k, LEAT_CLOSE_DONE);
    return 0;
}

/* Always a copy: the port's buffers go home at the end of the burst. */
static struct leat_buf udp_hold(struct leat_udp_transport *transport, leat_udp udp,
                                struct leat_buf data)
{
    struct udp_socket *k = socket_find(transport, udp);
    if (k == NULL)
        return (struct leat_buf){0};
    struct leat_buf held = leat_buf_from_bytes(data.data, data.length_bytes);
    if (held.data != NULL)
        k->count.held_bytes += held.length_bytes;
    return held;
}

static void udp_release(struct leat_udp_transport *transport, leat_udp udp, struct leat_buf held)
{
    struct udp_socket *k = socket_find(transport, udp);
    if (k != NULL) {
        DCHECK(held.length_bytes <= k->count.held_bytes);
        k->count.held_bytes -= held.length_bytes;
        if (k->first != NULL && !udp_must_wait(k))
            udp_ready(k);
    }
    leat_buf_unref(held);
}

static int udp_join(struct leat_udp_transport *transport, leat_udp udp,
                    const struct leat_addr *group, bool joins)
{
    struct udp_socket *k = socket_find(transport, udp);
    struct ip_addr ip = udp_to_ip(group);
    unsigned at = 0;
    if (k == NULL)
        return -ESTALE;
    if ((k->flags & UDP_FINISHED) != 0)
        return -EPIPE;
    if (!ip_addr_is_multicast(&ip))
        return -EINVAL;
    while (at < k->group_count && !ip_addr_equal(&k->groups[at], &ip))
        at++;
    if (joins ? at < k->group_count : at == k->group_count)
        return joins ? -EEXIST : -ENOENT;
    if (joins && k->group_count == LEAT_UDP_GROUPS_MAX)
        return -ENOSPC;
    if (joins && group_join(udp_of(transport)->stack, &ip) < 0)
        return -ENOSPC;
    if (joins) {
        k->groups[k->group_count++] = ip;
        udp_of(transport)->group_count++;
    } else {
        group_leave(udp_of(transport)->stack, &ip);
        k->groups[at] = k->groups[--k->group_count];
        udp_of(transport)->group_count--;
    }
    return 0;
}

static int udp_set(struct leat_udp_transport *transport, leat_udp udp,
                   const struct leat_udp_ops *ops, void *user)
{
    struct udp_socket *k = socket_find(transport, udp);
    if (k == NULL)
        return -ESTALE;
    k->ops = ops != NULL ? ops : k->ops;
    k->user = user;
    return 0;
}

static int udp_address(struct leat_udp_transport *transport, leat_udp udp, bool peer,
                       struct leat_addr *addr)
{
    struct udp_socket *k = socket_find(transport, udp);
    if (k == NULL)
        return -ESTALE;
    if (peer && (k->flags & UDP_CONNECTED) == 0)
        return -ENOTCONN;
    *addr = (struct leat_addr){0};
    udp_set_addr(addr, peer ? &k->peer : &k->local, peer ? k->peer_port : k->local_port);
    if (!peer && (k->flags & (UDP_ANY_V4 | UDP_ANY_V6)) == UDP_ANY_V4)
        addr->family = LEAT_FAMILY_IPV4;
    return 0;
}

static int udp_info(struct leat_udp_transport *transport, leat_udp udp, struct leat_udp_info *info)
{
    const struct udp_socket *k = socket_find(transport, udp);
    if (k == NULL)
        return -ESTALE;
    *info = k->count;
    info->transport = "stack";
    return 0;
}

const struct leat_udp_transport_ops udp_transport_ops = {
    .open = udp_open,
    .send = udp_send,
    .pause = udp_pause,
    .close = udp_close,
    .hold = udp_hold,
    .release = udp_release,
    .join = udp_join,
    .set = udp_set,
    .address = udp_address,
    .info = udp_info,
};

/* ---- life of the module ---- */

int udp_init(struct stack *s, struct leat_loop *loop, struct leat_error *error)
{
    struct stack_udp *u = leat_heap_calloc(1, sizeof(*u));
    if (u == NULL)
        return leat_fail(error, -ENOMEM, "no memory for UDP");
    u->transport.ops = &udp_transport_ops;
    u->stack = s;
    u->loop = loop;
    list_init(&u->burst);
    list_init(&u->ready);
    list_init(&u->refused);
    list_init(&u->closing);
    if (slots_init(&u->sockets, LEAT_TRANSPORT_UDP_STACK, sizeof(struct udp_socket),
                   UDP_SOCKETS_MAX) < 0) {
        leat_heap_free(u);
        return leat_fail(error, -ENOMEM, "no memory for UDP");
    }
    s->udp = u;
    leat_core_now->udp_stack = &u->transport;
    return 0;
}

void udp_shut(struct stack *s)
{
    struct stack_udp *u = s->udp;
    u->is_shut = true;
    u->is_pended = u->is_close_pended = true; /* nothing is put off any more */
    for (uint32_t i = 0; i < u->sockets.capacity_count; i++) {
        struct udp_socket *k = slots_at(&u->sockets, i);
        if (k != NULL)
            socket_finish(k, LEAT_CLOSE_SHUTDOWN);
    }
    closing_run(u);
}

void udp_fini(struct stack *s)
{
    struct stack_udp *u = s->udp;
    udp_shut(s);
    leat_core_now->udp_stack = NULL;
    slots_fini(&u->sockets);
    s->udp = NULL;
    leat_heap_free(u);
}
