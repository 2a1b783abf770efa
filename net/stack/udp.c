/* UDP input: RFC 768, RFC 8200 8.1, RFC 1122 4.1. Datagrams that nobody takes are answered with
 * port unreachable. */
#include "net/stack/udp.h"
#include "net/stack/dhcp.h"
#include "net/stack/steer.h"

#include "buffers/heap.h"

static bool datagram_is_valid(struct stack *s, struct rx_packet *p)
{
    const struct udp_header *udp = (const void *)p->data;
    uint32_t length = p->length_bytes >= sizeof(*udp) ? be16_get(udp->length) : 0;
    if (length < sizeof(*udp) || length > p->length_bytes) {
        stack_drop(s, STACK_DROP_UDP_SHORT);
        return false;
    }
    bool unsummed = udp->checksum.raw == 0;
    if (unsummed ? !ip_addr_is_v4(&p->src) : !l4_checksum_is_right(s, p, IP_UDP, length)) {
        stack_drop(s, STACK_DROP_UDP_CHECKSUM);
        return false;
    }
    p->length_bytes = length;
    return true;
}

static const struct udp_header *datagram_header(const struct rx_packet *p)
{
    return (const void *)p->data;
}

/* ---- whose it is ---- */

static bool socket_has_group(const struct udp_socket *k, const struct ip_addr *group)
{
    for (unsigned i = 0; i < k->group_count; i++)
        if (ip_addr_equal(&k->groups[i], group))
            return true;
    return false;
}

bool udp_is_joined(const struct stack *s, const struct ip_addr *group)
{
    const struct stack_udp *u = s->udp;
    if (u == NULL || u->group_count == 0)
        return false;
    for (uint32_t i = 0; i < u->sockets.capacity_count; i++) {
        const struct udp_socket *k = slots_at(&u->sockets, i);
        if (k != NULL && socket_has_group(k, group))
            return true;
    }
    return false;
}

/* 0: it is not for this socket; else the higher the more particular. */
static unsigned socket_rank(const struct udp_socket *k, const struct ip_addr *local,
                            const struct ip_addr *peer, be16 peer_port)
{
    unsigned any = ip_addr_is_v4(local) ? UDP_ANY_V4 : UDP_ANY_V6;
    unsigned points = 1;
    if ((k->flags & (UDP_ANY_V4 | UDP_ANY_V6)) == 0) {
        if (!ip_addr_equal(&k->local, local))
            return 0;
        points = 2;
    } else if ((k->flags & any) == 0) {
        return 0;
    }
    if ((k->flags & UDP_CONNECTED) != 0) {
        if (!be16_equal(k->peer_port, peer_port) || !ip_addr_equal(&k->peer, peer))
            return 0;
        points += 2;
    }
    return points;
}

static struct udp_socket *socket_find(const struct stack_udp *u, const struct ip_addr *local,
                                      be16 local_port, const struct ip_addr *peer, be16 peer_port)
{
    struct udp_socket *best = NULL;
    unsigned best_points = 0;
    struct udp_socket *k = udp_at(u, u->buckets[udp_bucket(local_port)]);
    for (; k != NULL; k = udp_at(u, k->next)) {
        if (!be16_equal(k->local_port, local_port))
            continue;
        unsigned points = socket_rank(k, local, peer, peer_port);
        if (points > best_points) {
            best = k;
            best_points = points;
        }
    }
    return best;
}

/* ---- taking ---- */

void udp_wait(struct udp_socket *k, const struct rx_packet *p)
{
    uint32_t length = p->length_bytes - (uint32_t)sizeof(struct udp_header);
    uint32_t bytes = (uint32_t)sizeof(struct udp_waiting) + length;
    struct udp_waiting *w =
        k->waiting_bytes + bytes <= k->receive_max ? leat_heap_alloc(bytes) : NULL;
    if (w == NULL) {
        stack_drop(k->udp->stack, STACK_DROP_UDP_QUEUE);
        k->count.dropped_count++;
        return;
    }
    *w = (struct udp_waiting){.src = p->src,
                              .dst = p->dst,
                              .src_port = datagram_header(p)->src_port,
                              .length_bytes = length};
    memcpy(w->bytes, p->data + sizeof(struct udp_header), length);
    if (k->last != NULL)
        k->last->next = w;
    else
        k->first = w;
    k->last = w;
    k->waiting_bytes += bytes;
}

static void socket_join_burst(struct stack_udp *u, struct udp_socket *k)
{
    if ((k->flags & UDP_ON_BURST) == 0) {
        k->flags |= UDP_ON_BURST;
        list_push(&u->burst, &k->burst_link);
    }
}

/* It stays where it is until the burst's end; other datagrams for the socket stand behind it. */
static void socket_on_datagram(struct stack_udp *u, struct udp_socket *k, struct rx_packet *p)
{
    if (unlikely(udp_must_wait(k))) {
        udp_wait(k, p);
        return;
    }
    uint8_t number = (uint8_t)(p - u->stack->rx + 1);
    u->burst_next[number - 1] = 0;
    if (k->burst_last != 0)
        u->burst_next[k->burst_last - 1] = number;
    else
        k->burst_first = number;
    k->burst_last = number;
    socket_join_burst(u, k);
}

/* RFC 1122 4.1.3.6, 3.3.6: to all who listen to the group, or to every address of the broadcast. */
static bool sockets_on_multicast(struct stack_udp *u, struct rx_packet *p)
{
    const struct udp_header *h = datagram_header(p);
    bool is_group = ip_addr_is_multicast(&p->dst), is_taken = false;
    unsigned any = ip_addr_is_v4(&p->dst) ? UDP_ANY_V4 : UDP_ANY_V6;
    struct udp_socket *k = udp_at(u, u->buckets[udp_bucket(h->dst_port)]);
    for (; k != NULL; k = udp_at(u, k->next)) {
        bool listens = is_group ? socket_has_group(k, &p->dst) : (k->flags & any) != 0;
        bool is_peer = (k->flags & UDP_CONNECTED) == 0 ||
                       (ip_addr_equal(&k->peer, &p->src) && be16_equal(k->peer_port, h->src_port));
        if (!be16_equal(k->local_port, h->dst_port) || !listens || !is_peer)
            continue;
        udp_wait(k, p);
        socket_join_burst(u, k);
        is_taken = true;
    }
    return is_taken;
}

void udp_input(struct stack *s, struct rx_packet *p)
{
    if (!datagram_is_valid(s, p))
        return;
    s->count.udp_rx++;
    struct stack_udp *u = s->udp;
    const struct udp_header *h = datagram_header(p);
    if (unlikely(s->dhcp != NULL) && be16_get(h->dst_port) == DHCP_CLIENT_PORT) {
        dhcp_input(s, p);
        return;
    }
    if (unlikely(s->steer != NULL) && (p->flags & (RX_MULTICAST | RX_STEERED)) == RX_MULTICAST)
        steer_copy(s, p, IP_UDP); /* its listeners may be any core's */
    if (u != NULL && (p->flags & RX_MULTICAST)) {
        if (sockets_on_multicast(u, p))
            return;
    } else if (u != NULL) {
        struct udp_socket *k = socket_find(u, &p->dst, h->dst_port, &p->src, h->src_port);
        if (likely(k != NULL)) {
            socket_on_datagram(u, k, p);
            return;
        }
    }
    stack_drop(s, STACK_DROP_UDP_NO_PORT);
    if (ip_addr_is_v4(&p->src))
        icmp_error(s, p, ICMP_UNREACHABLE, ICMP_CODE_PORT, 0);
    else
        icmp_error(s, p, ICMPV6_UNREACHABLE, 4, 0);
}

/* ---- delivery ---- */

static void datagram_fill(struct leat_datagram *d, const uint8_t *bytes, uint32_t length)
{
    /* leat_udp_hold copies, so nobody writes through it */
    d->data = (struct leat_buf){.data = (uint8_t *)(uintptr_t)bytes, .length_bytes = length};
}

static void socket_call(struct udp_socket *k, const struct leat_datagram *datagrams, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        k->count.received_bytes += datagrams[i].data.length_bytes;
    k->count.received_count += count;
    if (k->ops->on_datagrams != NULL)
        k->ops->on_datagrams((leat_udp){k->id}, k->user, datagrams, count);
    leat_loop_gate(k->udp->loop);
}

static void waiting_free(struct udp_waiting *w)
{
    while (w != NULL) {
        struct udp_waiting *next = w->next;
        leat_heap_free(w);
        w = next;
    }
}

void udp_drop_waiting(struct udp_socket *k)
{
    waiting_free(k->first);
    k->first = k->last = NULL;
    k->waiting_bytes = 0;
}

/* One callback's worth of what waits. */
static void waiting_deliver_some(struct udp_socket *k)
{
    struct leat_datagram datagrams[LEAT_PORT_BURST];
    struct udp_waiting *first = k->first, *last = NULL;
    unsigned count = 0;
    for (struct udp_waiting *w = first; w != NULL && count < LEAT_PORT_BURST; w = w->next) {
        struct leat_datagram *d = &datagrams[count++];
        datagram_fill(d, w->bytes, w->length_bytes);
        udp_set_addr(&d->from, &w->src, w->src_port);
        udp_set_addr(&d->to, &w->dst, k->local_port);
        k->waiting_bytes -= (uint32_t)sizeof(*w) + w->length_bytes;
        last = w;
    }
    k->first = last->next;
    if (k->first == NULL)
        k->last = NULL;
    last->next = NULL;
    socket_call(k, datagrams, count);
    waiting_free(first);
}

static void waiting_deliver(struct udp_socket *k)
{
    while (k->first != NULL && !udp_must_wait(k) && (k->flags & UDP_FINISHED) == 0)
        waiting_deliver_some(k);
}

static void burst_deliver(struct stack_udp *u, struct udp_socket *k)
{
    struct leat_datagram datagrams[LEAT_PORT_BURST];
    unsigned count = 0, number = k->burst_first;
    bool waits = udp_must_wait(k) || k->first != NULL;
    k->burst_first = k->burst_last = 0;
    for (; number != 0; number = u->burst_next[number - 1]) {
        const struct rx_packet *p = &u->stack->rx[number - 1];
        if (waits) {
            udp_wait(k, p);
            continue;
        }
        struct leat_datagram *d = &datagrams[count++];
        datagram_fill(d, p->data + sizeof(struct udp_header),
                      p->length_bytes - (uint32_t)sizeof(struct udp_header));
        udp_set_addr(&d->from, &p->src, datagram_header(p)->src_port);
        udp_set_addr(&d->to, &p->dst, k->local_port);
    }
    if (count > 0)
        socket_call(k, datagrams, count);
}

void udp_deliver(struct stack *s)
{
    struct stack_udp *u = s->udp;
    struct list *link;
    if (u == NULL)
        return;
    while ((link = list_pull(&u->burst)) != NULL) {
        struct udp_socket *k = container_of(link, struct udp_socket, burst_link);
        k->flags &= (uint16_t)~UDP_ON_BURST;
        if ((k->flags & UDP_FINISHED) != 0)
            continue;
        waiting_deliver(k);
        if (k->burst_first != 0 && (k->flags & UDP_FINISHED) == 0)
            burst_deliver(u, k);
    }
}

static void on_pended(void *arg)
{
    (void)arg;
    struct stack_udp *u = (struct stack_udp *)leat_core_now->udp_stack;
    if (u == NULL)
        return; /* the stack ended in between */
    struct list now;
    struct list *link;
    u->is_pended = false;
    u->stack->now_ns = leat_loop_now(u->loop);
    list_init(&now);
    list_take(&now, &u->ready);
    while ((link = list_pull(&now)) != NULL) {
        struct udp_socket *k = container_of(link, struct udp_socket, link);
        k->flags &= (uint16_t)~UDP_ON_READY;
        if ((k->flags & (UDP_SEND_REFUSED | UDP_FINISHED)) == UDP_SEND_REFUSED) {
            k->flags &= (uint16_t)~UDP_SEND_REFUSED;
            if (k->ops->on_writable != NULL)
                k->ops->on_writable((leat_udp){k->id}, k->user);
            leat_loop_gate(u->loop);
        }
        waiting_deliver(k);
    }
}

/* ---- what ICMP says (RFC 1122 4.1.3.3) ---- */

static enum leat_close_reason close_reason_of(const struct icmp_report *r)
{
    if (r->is_v6)
        return r->type == ICMPV6_UNREACHABLE && r->code == 4 ? LEAT_CLOSE_REFUSED
               : r->type == ICMPV6_PARAMETER                 ? LEAT_CLOSE_PROTOCOL
                                                             : LEAT_CLOSE_UNREACHABLE;
    return r->type == ICMP_UNREACHABLE && r->code == ICMP_CODE_PORT ? LEAT_CLOSE_REFUSED
           : r->type == ICMP_PARAMETER                              ? LEAT_CLOSE_PROTOCOL
                                                                    : LEAT_CLOSE_UNREACHABLE;
}

void udp_icmp(struct stack *s, const struct icmp_report *r)
{
    const struct udp_header *h = (const void *)r->l4;
    struct stack_udp *u = s->udp;
    struct udp_socket *k =
        u != NULL ? socket_find(u, &r->src, h->src_port, &r->dst, h->dst_port) : NULL;
    if (k == NULL) {
        stack_drop(s, STACK_DROP_ICMP_QUOTE);
        return;
    }
    k->path_until_ns = 0;
    if (r->mtu_bytes != 0) {
        pmtu_learn(s, &r->dst, r->mtu_bytes);
        return;
    }
    struct leat_addr peer = {0};
    udp_set_addr(&peer, &r->dst, h->dst_port);
    if (k->ops->on_error != NULL)
        k->ops->on_error((leat_udp){k->id}, k->user, &peer, close_reason_of(r));
    leat_loop_gate(u->loop);
}

void udp_ready(struct udp_socket *k)
{
    struct stack_udp *u = k->udp;
    if ((k->flags & (UDP_ON_READY | UDP_FINISHED)) != 0)
        return;
    k->flags |= UDP_ON_READY;
    list_unlink(&k->link); /* it may be refused */
    list_push(&u->ready, &k->link);
    if (!u->is_pended)
        u->is_pended = leat_loop_pend(u->loop, on_pended, NULL) == 0;
}

bool udp_flushed(struct stack *s)
{
    struct stack_udp *u = s->udp;
    struct list *link;
    if (u == NULL)
        return false;
    if (unlikely(!list_is_empty(&u->refused)) && tx_room(s, TX_DATA) >= STACK_BACKLOG / 2 &&
        tx_has_head(s))
        while ((link = list_pull(&u->refused)) != NULL)
            udp_ready(container_of(link, struct udp_socket, link));
    if (unlikely(!list_is_empty(&u->ready)) && !u->is_pended)
        u->is_pended = leat_loop_pend(u->loop, on_pended, NULL) == 0;
    return !list_is_empty(&u->refused);
}
