/* UDP output: straight to the backlog towards the port, in fragments where the path's MTU is
 * smaller. */
#include "net/stack/udp.h"

#include <errno.h>

#define INLINE_BYTES_MAX 256 /* copied beside the headers: cheaper than a slice of its own */

static int socket_path(struct udp_socket *k, const struct ip_addr *src, const struct ip_addr *dst)
{
    struct stack *s = k->udp->stack;
    struct path *path = &k->path;
    bool is_same = s->now_ns < k->path_until_ns && ip_addr_equal(&path->dst, dst) &&
                   (src == NULL || ip_addr_equal(&path->src, src));
    if (likely(is_same))
        return 0;
    k->path_until_ns = 0;
    int result = path_find(s, src, dst, path);
    if (result < 0)
        return result;
    if (k->hop_limit != 0)
        path->hop_limit = k->hop_limit;
    else if (ip_addr_is_multicast(dst))
        path->hop_limit = 1; /* RFC 1112 6.1 */
    k->path_until_ns = src != NULL ? s->now_ns + UDP_PATH_NS : 0;
    return 0;
}

/* The source: the socket's address, else the one that a reply wants, else chosen by the route. */
static const struct ip_addr *socket_source(struct udp_socket *k, const struct udp_outgoing *out,
                                           struct ip_addr *room)
{
    if ((k->flags & (UDP_ANY_V4 | UDP_ANY_V6)) == 0)
        return &k->local;
    if (out->from == NULL)
        return NULL;
    *room = udp_to_ip(out->from);
    return addr_is_local(k->udp->stack, room) ? room : NULL;
}

static int destination_check(struct udp_socket *k, const struct ip_addr *dst, size_t length)
{
    bool v4 = ip_addr_is_v4(dst);
    bool is_any = (k->flags & (UDP_ANY_V4 | UDP_ANY_V6)) != 0;
    bool fits =
        is_any ? (k->flags & (v4 ? UDP_ANY_V4 : UDP_ANY_V6)) != 0 : ip_addr_is_v4(&k->local) == v4;
    if (!fits)
        return -EAFNOSUPPORT;
    if (length > udp_bytes_max(v4 ? LEAT_FAMILY_IPV4 : LEAT_FAMILY_IPV6))
        return -EMSGSIZE;
    return k->broadcast || !addr_is_broadcast(k->udp->stack, dst) ? 0 : -EACCES;
}

static int send_refuse(struct udp_socket *k)
{
    k->flags |= UDP_SEND_REFUSED;
    if ((k->flags & UDP_ON_READY) == 0) {
        list_unlink(&k->link);
        list_push(&k->udp->refused, &k->link);
    }
    return -EAGAIN;
}

static bool backlog_has_room(struct stack *s, const struct path *path, size_t length)
{
    size_t room = path->mtu_bytes - ip_header_bytes(&path->dst) - sizeof(struct ipv6_fragment) - 8;
    size_t packets = (length + sizeof(struct udp_header)) / room + 1;
    if (unlikely(tx_room(s, TX_DATA) < packets))
        tx_flush(s);
    return tx_room(s, TX_DATA) >= packets && tx_has_head(s);
}

static struct udp_header datagram_header(const struct udp_socket *k, be16 port, size_t length)
{
    return (struct udp_header){.src_port = k->local_port,
                               .dst_port = port,
                               .length = be16_put((uint16_t)(length + sizeof(struct udp_header)))};
}

static int datagram_send_whole(struct udp_socket *k, be16 port, struct leat_buf data)
{
    struct stack *s = k->udp->stack;
    struct leat_packet *packet = tx_reserve(s, TX_DATA);
    if (packet == NULL)
        return send_refuse(k);
    struct udp_header h = datagram_header(k, port, data.length_bytes);
    uint8_t *at = tx_l4(s, packet, &k->path.dst);
    memcpy(at, &h, sizeof(h));
    at += sizeof(h);
    if (data.length_bytes <= INLINE_BYTES_MAX) {
        if (data.length_bytes > 0)
            memcpy(at, data.data, data.length_bytes);
        at += data.length_bytes;
        leat_buf_unref(data);
    } else {
        packet->slices[0] = data;
        packet->slice_count = 1;
        packet->slice_bytes = (uint32_t)data.length_bytes;
    }
    packet->head_bytes = (uint16_t)(at - packet->head);
    ip_output(s, packet, &k->path, IP_UDP, offsetof(struct udp_header, checksum));
    return 0;
}

static int datagram_send_fragments(struct udp_socket *k, be16 port, struct leat_buf data)
{
    struct udp_header h = datagram_header(k, port, data.length_bytes);
    struct leat_buf whole = leat_buf_alloc_unsafe(sizeof(h) + data.length_bytes);
    if (whole.data == NULL)
        return -ENOMEM;
    memcpy(whole.data, &h, sizeof(h));
    memcpy(whole.data + sizeof(h), data.data, data.length_bytes);
    csum sum = csum_pseudo(&k->path.src, &k->path.dst, IP_UDP, (uint32_t)whole.length_bytes);
    h.checksum = csum_finish(csum_add(sum, whole.data, whole.length_bytes));
    if (h.checksum.raw == 0)
        h.checksum.raw = 0xffff;
    memcpy(whole.data, &h, sizeof(h));
    leat_buf_unref(data);
    ip_send(k->udp->stack, &k->path, IP_UDP, whole);
    return 0;
}

int udp_send(struct leat_udp_transport *transport, leat_udp udp, const struct udp_outgoing *out)
{
    struct stack_udp *u = (struct stack_udp *)transport;
    struct stack *s = u->stack;
    stack_set_now(s, leat_loop_now(u->loop));
    struct udp_socket *k = slots_find(&u->sockets, udp.id);
    if (unlikely(k == NULL))
        return -ESTALE;
    if (unlikely((k->flags & UDP_FINISHED) != 0))
        return -EPIPE;
    bool is_connected = (k->flags & UDP_CONNECTED) != 0;
    if (unlikely(is_connected == (out->to != NULL)))
        return is_connected ? -EISCONN : -EDESTADDRREQ;
    struct ip_addr dst = is_connected ? k->peer : udp_to_ip(out->to), room;
    be16 port = is_connected ? k->peer_port : be16_put(out->to->port);
    size_t length = out->data.length_bytes;
    int result = destination_check(k, &dst, length);
    if (result == 0)
        result = socket_path(k, socket_source(k, out, &room), &dst);
    if (unlikely(result < 0))
        return result;
    if (unlikely(!backlog_has_room(s, &k->path, length)))
        return send_refuse(k);
    bool is_whole = length + sizeof(struct udp_header) + ip_header_bytes(&dst) <= k->path.mtu_bytes;
    result = is_whole ? datagram_send_whole(k, port, out->data)
                      : datagram_send_fragments(k, port, out->data);
    if (result == 0) {
        s->count.udp_tx++;
        k->count.sent_count++;
        k->count.sent_bytes += length;
    }
    return result;
}
