/* Sockets for datagrams: opening, the calls of leat/udp.h, the end. Readiness of both
 * implementations comes from watches: with io_uring the ring polls them. */
#include "net/socket/udp_internal.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct sock_udp_core *core_of(struct leat_udp_transport *base)
{
    return container_of(base, struct sock_udp_core, base);
}

static struct udp_socket *udp_find(struct leat_udp_transport *base, leat_udp udp)
{
    return slots_find(&core_of(base)->slots, udp.id);
}

/* ---- callbacks that are owed ---- */

static void call_owed(struct udp_socket *k)
{
    struct leat_loop *loop = k->core->transport->loop;
    if ((k->flags & UDP_FAILED) != 0 && (k->flags & UDP_FINISHED) == 0) {
        k->flags &= (uint16_t)~UDP_FAILED;
        if (k->ops->on_error != NULL)
            k->ops->on_error((leat_udp){k->id}, k->user, &k->failed_to,
                             (enum leat_close_reason)k->failed_reason);
        leat_loop_gate(loop);
    }
    if ((k->flags & (UDP_SEND_REFUSED | UDP_FINISHED)) == UDP_SEND_REFUSED &&
        k->count.queued_bytes < k->options.send_low_bytes) {
        k->flags &= (uint16_t)~UDP_SEND_REFUSED;
        if (k->ops->on_writable != NULL)
            k->ops->on_writable((leat_udp){k->id}, k->user);
        leat_loop_gate(loop);
    }
}

static void on_pended(void *arg)
{
    struct sock_udp_core *u = arg;
    struct list now;
    struct list *link;
    u->is_pended = false;
    list_init(&now);
    list_take(&now, &u->ready);
    while ((link = list_pull(&now)) != NULL) {
        struct udp_socket *k = container_of(link, struct udp_socket, link);
        k->flags &= (uint16_t)~UDP_ON_READY;
        call_owed(k);
    }
}

static void ask_for_ready(struct sock_udp_core *u)
{
    if (!u->is_pended && !list_is_empty(&u->ready))
        u->is_pended = leat_loop_pend(u->transport->loop, on_pended, u) == 0;
}

void sock_udp_ready(struct udp_socket *k)
{
    if ((k->flags & (UDP_ON_READY | UDP_FINISHED)) != 0)
        return;
    k->flags |= UDP_ON_READY;
    list_push(&k->core->ready, &k->link);
    ask_for_ready(k->core);
}

static void run_closing(void *arg)
{
    struct sock_udp_core *u = arg;
    struct list *link;
    u->is_close_due = false;
    while ((link = list_pull(&u->closing)) != NULL) {
        struct udp_socket *k = container_of(link, struct udp_socket, link);
        if (k->ops->on_close != NULL)
            k->ops->on_close((leat_udp){k->id}, k->user, (enum leat_close_reason)k->reason);
        leat_loop_gate(u->transport->loop);
        slots_give(&u->slots, k);
        leat_loop_unref(u->transport->loop);
    }
}

static void ask_for_close_phase(struct sock_udp_core *u)
{
    if (!u->is_close_due && !list_is_empty(&u->closing))
        u->is_close_due = leat_loop_close_later(u->transport->loop, run_closing, u) == 0;
}

void sock_udp_finish(struct udp_socket *k, enum leat_close_reason reason)
{
    struct sock_udp_core *u = k->core;
    if ((k->flags & UDP_FINISHED) != 0)
        return;
    if ((k->flags & UDP_ON_READY) != 0)
        list_unlink(&k->link);
    k->flags |= UDP_FINISHED;
    k->reason = (uint8_t)reason;
    sock_udp_drop_queue(k);
    leat_watch_stop(&k->watch);
    sock_port_close(u->transport, k->port, k->fd);
    k->fd = -1;
    list_push(&u->closing, &k->link);
    ask_for_close_phase(u);
}

/* ---- opening ---- */

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Errors with their addresses; where a datagram was sent to, which only a wildcard needs. */
int sock_udp_settings_apply(int fd, const struct leat_addr *addr, const struct leat_udp_options *o)
{
    bool is_v6 = addr->family == LEAT_FAMILY_IPV6;
    bool is_any = leat_addr_is_wildcard(addr);
    int hops = o->hop_limit;
    int result = set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
    if (result == 0 && is_v6)
        result = set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    if (result == 0 && is_any)
        result = is_v6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                       : set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    if (result == 0 && hops != 0) {
        result = set_option(fd, IPPROTO_IP, IP_TTL, hops);
        if (result == 0)
            result = is_v6 ? set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, hops)
                           : set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, hops);
        if (result == 0 && is_v6)
            result = set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops);
    }
    if (result == 0 && o->broadcast)
        result = set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
    if (result == 0 && o->receive_bytes_max != 0)
        result = set_option(fd, SOL_SOCKET, SO_RCVBUF, (int)o->receive_bytes_max);
    return result;
}

static int connect_to(struct udp_socket *k, const struct leat_addr *to)
{
    struct sockaddr_in6 peer;
    socklen_t length = sock_udp_sockaddr(k->family, to, &peer);
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    struct sockaddr_storage storage;
    socklen_t room = sizeof(storage);
    if (length == 0 || connect(k->fd, (struct sockaddr *)&peer, length) < 0) {
        int code = length == 0 ? -EAFNOSUPPORT : -errno;
        return leat_fail(&leat_core_now->error, code, "no datagrams can be sent to %s (%s)",
                         leat_addr_format(to, text), leat_errno_name(code));
    }
    k->flags |= UDP_CONNECTED;
    k->peer = *to;
    k->peer.via = LEAT_VIA_SOCKETS;
    if (getsockname(k->fd, (struct sockaddr *)&storage, &room) == 0)
        sock_addr_from(&storage, room, &k->local);
    return 0;
}

/* For a socket with a peer: any free port, of the peer's family. */
static struct leat_addr any_of(const struct leat_addr *to)
{
    return (struct leat_addr){.family = to->family};
}

static int open_at(struct udp_socket *k, const struct leat_addr *addr, const struct leat_addr *to,
                   const struct leat_udp_options *options)
{
    struct sock_transport *t = k->core->transport;
    struct leat_addr any = to != NULL ? any_of(to) : (struct leat_addr){0};
    struct sock_binding how = {.udp = options, .is_exclusive = options->exclusive || to != NULL};
    k->fd = sock_port_open(t, addr != NULL ? addr : &any, &how, &k->port, &t->core->error);
    if (k->fd < 0)
        return k->fd;
    k->local = sock_port_addr(k->port);
    k->family = k->local.family;
    int result = to != NULL ? connect_to(k, to) : 0;
    if (result == 0) {
        leat_watch_init(&k->watch, t->loop, k->fd, sock_udp_on_ready, k);
        leat_watch_unref(&k->watch);
        result = leat_watch_start(&k->watch, EPOLLIN);
        if (result == 0)
            return 0;
        leat_fail(&t->core->error, result, "cannot watch the socket (%s)", leat_errno_name(result));
    }
    sock_port_close(t, k->port, k->fd);
    return result;
}

static int udp_open(struct leat_udp_transport *base, const struct leat_addr *addr,
                    const struct leat_addr *to, const struct leat_udp_options *options,
                    const struct leat_udp_ops *ops, void *user, leat_udp *udp)
{
    struct sock_udp_core *u = core_of(base);
    struct leat_error *error = &u->transport->core->error;
    if (u->transport->is_shut)
        return leat_fail(error, -ESHUTDOWN, "the loop is ending: nothing can be opened on it now");
    struct udp_socket *k = slots_take(&u->slots);
    if (k == NULL)
        return leat_fail(error, -ENOMEM, "no room for another UDP socket");
    k->core = u;
    k->ops = ops;
    k->user = user;
    k->options = udp_options_of(options);
    int result = open_at(k, addr, to, options);
    if (result < 0) {
        slots_give(&u->slots, k);
        return result;
    }
    leat_loop_ref(u->transport->loop);
    *udp = (leat_udp){k->id};
    return 0;
}

/* ---- calls ---- */

static int udp_send(struct leat_udp_transport *base, leat_udp udp, const struct udp_outgoing *out)
{
    struct udp_socket *k = udp_find(base, udp);
    if (unlikely(k == NULL))
        return -ESTALE;
    if (unlikely((k->flags & UDP_FINISHED) != 0))
        return -EPIPE;
    bool is_connected = (k->flags & UDP_CONNECTED) != 0;
    if (unlikely(is_connected == (out->to != NULL)))
        return is_connected ? -EISCONN : -EDESTADDRREQ;
    if (unlikely(k->count.queued_bytes >= k->options.send_high_bytes)) {
        k->flags |= UDP_SEND_REFUSED;
        return -EAGAIN;
    }
    int result = sock_udp_push(k, out);
    if (result == 0 && (k->flags & UDP_ON_DIRTY) == 0) {
        k->flags |= UDP_ON_DIRTY;
        k->next_dirty = k->core->dirty;
        k->core->dirty = k;
    }
    return result;
}

static int udp_pause(struct leat_udp_transport *base, leat_udp udp, bool paused)
{
    struct udp_socket *k = udp_find(base, udp);
    if (k == NULL)
        return -ESTALE;
    k->flags = (uint16_t)(paused ? k->flags | UDP_PAUSED : k->flags & ~UDP_PAUSED);
    sock_udp_watch(k);
    return 0;
}

static void forget_dirty(struct udp_socket *k)
{
    struct udp_socket **at = &k->core->dirty;
    if ((k->flags & UDP_ON_DIRTY) == 0)
        return;
    while (*at != k)
        at = &(*at)->next_dirty;
    *at = k->next_dirty;
    k->flags &= (uint16_t)~UDP_ON_DIRTY;
}

static int udp_close(struct leat_udp_transport *base, leat_udp udp)
{
    struct udp_socket *k = udp_find(base, udp);
    if (k == NULL)
        return -ESTALE;
    if ((k->flags & UDP_FINISHED) != 0)
        return 0;
    forget_dirty(k);
    sock_udp_flush_one(k);
    sock_udp_finish(k, LEAT_CLOSE_DONE);
    return 0;
}

static struct leat_buf udp_hold(struct leat_udp_transport *base, leat_udp udp, struct leat_buf data)
{
    struct udp_socket *k = udp_find(base, udp);
    if (k == NULL)
        return (struct leat_buf){0};
    struct leat_buf held = data.length_bytes * 2 < UDP_BLOCK_BYTES
                               ? leat_buf_from_bytes(data.data, data.length_bytes)
                               : leat_buf_ref(data);
    if (held.data != NULL)
        k->count.held_bytes += held.length_bytes;
    return held;
}

static void udp_release(struct leat_udp_transport *base, leat_udp udp, struct leat_buf held)
{
    struct udp_socket *k = udp_find(base, udp);
    if (k != NULL) {
        DCHECK(held.length_bytes <= k->count.held_bytes);
        k->count.held_bytes -= held.length_bytes;
        sock_udp_watch(k);
    }
    leat_buf_unref(held);
}

static int udp_join(struct leat_udp_transport *base, leat_udp udp, const struct leat_addr *group,
                    bool joins)
{
    struct udp_socket *k = udp_find(base, udp);
    if (k == NULL)
        return -ESTALE;
    if ((k->flags & UDP_FINISHED) != 0)
        return -EPIPE;
    bool is_v6 = group->family == LEAT_FAMILY_IPV6;
    if ((is_v6 ? group->ip[0] != 0xff : group->ip[0] >> 4 != 14) ||
        (is_v6 && k->family != group->family))
        return -EINVAL;
    int result;
    if (is_v6) {
        struct ipv6_mreq six = {.ipv6mr_interface = group->scope};
        memcpy(&six.ipv6mr_multiaddr, group->ip, sizeof(six.ipv6mr_multiaddr));
        result = setsockopt(k->fd, IPPROTO_IPV6, joins ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &six,
                            sizeof(six));
    } else {
        struct ip_mreqn four = {.imr_ifindex = (int)group->scope};
        memcpy(&four.imr_multiaddr, group->ip, sizeof(four.imr_multiaddr));
        if (four.imr_ifindex == 0 && k->local.family == LEAT_FAMILY_IPV4)
            memcpy(&four.imr_address, k->local.ip, sizeof(four.imr_address));
        result = setsockopt(k->fd, IPPROTO_IP, joins ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP,
                            &four, sizeof(four));
    }
    if (result == 0)
        return 0;
    return errno == EADDRINUSE                ? -EEXIST
           : errno == EADDRNOTAVAIL && !joins ? -ENOENT
           : errno == ENOBUFS                 ? -ENOSPC
                                              : -errno;
}

static int udp_set(struct leat_udp_transport *base, leat_udp udp, const struct leat_udp_ops *ops,
                   void *user)
{
    struct udp_socket *k = udp_find(base, udp);
    if (k == NULL)
        return -ESTALE;
    k->ops = ops != NULL ? ops : k->ops;
    k->user = user;
    return 0;
}

static int udp_address(struct leat_udp_transport *base, leat_udp udp, bool peer,
                       struct leat_addr *addr)
{
    struct udp_socket *k = udp_find(base, udp);
    if (k == NULL)
        return -ESTALE;
    if (peer && (k->flags & UDP_CONNECTED) == 0)
        return -ENOTCONN;
    *addr = peer ? k->peer : k->local;
    return 0;
}

static int udp_info(struct leat_udp_transport *base, leat_udp udp, struct leat_udp_info *info)
{
    struct udp_socket *k = udp_find(base, udp);
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof(memory);
    if (k == NULL)
        return -ESTALE;
    if (k->fd >= 0 && getsockopt(k->fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0)
        k->count.dropped_count = memory[SK_MEMINFO_DROPS];
    *info = k->count;
    info->transport = k->core->transport->backend->name;
    return 0;
}

const struct leat_udp_transport_ops sock_udp_ops = {
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

static void on_retry(struct leat_timer *timer, void *arg)
{
    struct sock_udp_core *u = arg;
    for (uint32_t i = 0; i < u->slots.capacity_count; i++) {
        struct udp_socket *k = slots_at(&u->slots, i);
        if (k != NULL && (k->flags & UDP_STARVED) != 0) {
            k->flags &= (uint16_t)~UDP_STARVED;
            sock_udp_watch(k);
        }
    }
}

struct sock_udp_core *sock_udp_new(struct sock_transport *t)
{
    struct sock_udp_core *u = leat_heap_calloc(1, sizeof(*u));
    if (u == NULL)
        return NULL;
    u->base.ops = &sock_udp_ops;
    u->transport = t;
    list_init(&u->ready);
    list_init(&u->closing);
    leat_timer_init(&u->retry, t->loop, on_retry, u);
    leat_timer_unref(&u->retry);
    if (slots_init(&u->slots, LEAT_TRANSPORT_UDP_SOCKETS, sizeof(struct udp_socket),
                   UDP_SOCKETS_MAX) < 0) {
        leat_heap_free(u);
        return NULL;
    }
    t->core->udp_sockets = &u->base;
    return u;
}

void sock_udp_free(struct sock_udp_core *u)
{
    leat_timer_stop(&u->retry);
    sock_udp_drop_blocks(u);
    while (u->spare != NULL) {
        struct udp_message *m = u->spare;
        u->spare = m->next;
        leat_heap_free(m);
    }
    u->transport->core->udp_sockets = NULL;
    slots_fini(&u->slots);
    leat_heap_free(u);
}

void sock_udp_flush(struct sock_udp_core *u)
{
    struct udp_socket *k = u->dirty;
    u->dirty = NULL;
    while (k != NULL) {
        struct udp_socket *next = k->next_dirty;
        k->flags &= (uint16_t)~UDP_ON_DIRTY;
        if ((k->flags & (UDP_FINISHED | UDP_BLOCKED)) == 0)
            sock_udp_flush_one(k);
        k = next;
    }
    ask_for_ready(u);
    ask_for_close_phase(u);
}

bool sock_udp_shut(struct sock_udp_core *u)
{
    for (uint32_t i = 0; i < u->slots.capacity_count; i++) {
        struct udp_socket *k = slots_at(&u->slots, i);
        if (k != NULL) {
            forget_dirty(k);
            sock_udp_finish(k, LEAT_CLOSE_SHUTDOWN);
        }
    }
    return u->slots.live_count == 0 && !u->is_pended && !u->is_close_due;
}
