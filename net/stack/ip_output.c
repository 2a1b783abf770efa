/* IP output of both families, and what both do with a packet that has come in. */
#include "net/stack/steer.h"
#include "buffers/heap.h"

bool l4_checksum_is_right(struct stack *s, const struct rx_packet *p, uint8_t protocol,
                          uint32_t length)
{
    if (likely(!offload_doubts(&s->offloads[OFFLOAD_RX_L4], p->l4_verdict)))
        return true;
    if ((p->flags & RX_HEAP) && p->l4_verdict == LEAT_VERDICT_NONE)
        return true; /* from ourselves: never summed */
    csum pseudo = csum_pseudo(&p->src, &p->dst, protocol, length);
    enum offload_sum sum = SUM_RIGHT;
    if (unlikely(csum_finish(csum_add(pseudo, p->data, length)).raw != 0)) {
        unsigned at = protocol == IP_TCP ? offsetof(struct tcp_header, checksum)
                                         : offsetof(struct udp_header, checksum);
        be16 partial = csum_seed(pseudo);
        sum = memcmp(p->data + at, &partial, sizeof(partial)) == 0 ? SUM_PARTIAL : SUM_WRONG;
    } else if (p->l4_verdict == LEAT_VERDICT_UNKNOWN) {
        return true;
    }
    return offload_judge(s, OFFLOAD_RX_L4, p->l4_verdict, sum);
}

void ip_deliver(struct stack *s, struct rx_packet *p)
{
    if (unlikely(s->steer != NULL) && (p->protocol == IP_TCP || p->protocol == IP_UDP) &&
        steer_flow(s, p))
        return;
    if (likely(p->protocol == IP_TCP)) {
        s->count.tcp_rx++; /* stays in s->rx for the stages of the burst */
        return;
    }
    bool v4 = ip_addr_is_v4(&p->src);
    uint8_t protocol = p->protocol;
    p->protocol = 0;
    if (protocol == IP_UDP) {
        udp_input(s, p);
    } else if (protocol == IP_IGMP && v4) {
        igmp_input(s, p);
    } else if (protocol == IP_ICMP && v4) {
        icmp_input(s, p);
    } else if (protocol == IP_ICMPV6 && !v4) {
        icmpv6_input(s, p);
    } else {
        stack_drop(s, STACK_DROP_IP_PROTOCOL);
        if (v4)
            icmp_error(s, p, ICMP_UNREACHABLE, ICMP_CODE_PROTOCOL, 0);
        else
            icmp_error(s, p, ICMPV6_PARAMETER, 1, p->next_offset);
    }
}

/* Without its checksum. */
static struct wire_words ipv4_header(const struct stack *s, const struct path *path,
                                     uint8_t protocol, uint32_t length, uint16_t fragment)
{
    /* RFC 6864 4.1: the id of a datagram that is never fragmented means nothing. */
    be16 id = be16_put((fragment & IPV4_DF) ? 0 : (uint16_t)s->ip_id), checksum = {0};
    be16 version_tos = be16_put((uint16_t)(0x4500 | path->tos));
    be16 ttl_protocol = be16_put((uint16_t)(path->hop_limit << 8 | protocol));
    return (struct wire_words){
        .a = be32_pair(be16_pair(version_tos, be16_put((uint16_t)length)),
                       be16_pair(id, be16_put(fragment))),
        .b = be32_pair(be16_pair(ttl_protocol, checksum), ip_addr_get_v4(&path->src)),
        .c = ip_addr_get_v4(&path->dst),
    };
}

static void ipv6_header_write(uint8_t *at, const struct path *path, uint8_t protocol,
                              uint32_t length)
{
    struct ipv6_header ip = {
        .version_class_flow = be32_put(UINT32_C(6) << 28 | (uint32_t)path->tos << 20),
        .length = be16_put((uint16_t)(length - sizeof(ip))),
        .next = protocol,
        .hop_limit = path->hop_limit,
        .src = path->src,
        .dst = path->dst,
    };
    memcpy(at, &ip, sizeof(ip));
}

/* A header of TCP's is summed as it was written (struct wire_words). */
static csum header_sum(csum sum, const uint8_t *l4, uint32_t length, uint8_t protocol)
{
    if (unlikely(protocol != IP_TCP))
        return csum_add(sum, l4, length);
    sum.sum += csum_words(wire_load(l4)).sum;
    length -= (uint32_t)sizeof(struct tcp_header);
    return length > 0 ? csum_add(sum, l4 + sizeof(struct tcp_header), length) : sum;
}

/* sum, and the transport header, inline payload and slices. */
static csum payload_sum(csum sum, const uint8_t *l4, uint32_t inline_bytes,
                        const struct leat_packet *packet, const struct path *path, uint8_t protocol)
{
    uint32_t known = path->inline_bytes, header = inline_bytes - known;
    sum = header_sum(sum, l4, header, protocol);
    if (known != 0)
        sum = csum_append(sum, path->inline_sum, header);
    size_t at = inline_bytes;
    for (unsigned i = 0; i < packet->slice_count; i++) {
        const struct leat_buf *slice = &packet->slices[i];
        sum = csum_append(sum, csum_add(CSUM_ZERO, slice->data, slice->length_bytes), at);
        at += slice->length_bytes;
    }
    return sum;
}

static void checksum_settle(struct stack *s, struct leat_packet *packet, const struct path *path,
                            uint8_t protocol, unsigned checksum_at)
{
    unsigned before = s->l2_bytes + ip_header_bytes(&path->dst);
    uint8_t *l4 = packet->head + before;
    uint32_t inline_bytes = packet->head_bytes - before;
    bool tso = (packet->flags & LEAT_PACKET_TSO) != 0;
    uint32_t length = inline_bytes + packet->slice_bytes;
    csum sum = csum_pseudo(&path->src, &path->dst, protocol, tso ? 0 : length);
    be16 value;
    bool is_ports = (s->can & LEAT_PORT_CAN_TX_L4_CHECKSUM) && protocol == IP_TCP && !path->local;
    if (tso || (is_ports && !path->by_software)) {
        packet->flags |= LEAT_PACKET_TCP_CHECKSUM;
        value = csum_seed(sum);
    } else {
        value = csum_finish(payload_sum(sum, l4, inline_bytes, packet, path, protocol));
        if (protocol == IP_UDP && value.raw == 0)
            value.raw = 0xffff;
    }
    memcpy(l4 + checksum_at, &value, sizeof(value));
}

static void ip_header_write(struct stack *s, struct leat_packet *packet, const struct path *path,
                            uint8_t protocol, uint16_t fragment)
{
    uint8_t *at = packet->head + s->l2_bytes;
    uint32_t length = packet->head_bytes - (uint32_t)s->l2_bytes + packet->slice_bytes;
    packet->l2_bytes = s->l2_bytes;
    packet->l3_bytes = (uint8_t)ip_header_bytes(&path->dst);
    if (!ip_addr_is_v4(&path->dst)) {
        packet->flags |= LEAT_PACKET_IPV6;
        ipv6_header_write(at, path, protocol, length);
        return;
    }
    packet->flags |= LEAT_PACKET_IPV4;
    struct wire_words header = ipv4_header(s, path, protocol, length, fragment);
    /* Ten words are summed sooner than the port is asked; where it cuts segments it must be. */
    if ((s->can & LEAT_PORT_CAN_TX_IP_CHECKSUM) && (packet->flags & LEAT_PACKET_TSO))
        packet->flags |= LEAT_PACKET_IP_CHECKSUM;
    else
        header.b |= be32_pair(be16_pair((be16){0}, csum_finish(csum_words(header))), (be32){0});
    wire_store(at, header);
}

/* To ourselves: copied into a packet that comes in with the next burst. */
static void packet_loop_back(struct stack *s, struct leat_packet *packet)
{
    uint32_t ip_bytes = packet->head_bytes - (uint32_t)s->l2_bytes;
    uint32_t length = ip_bytes + packet->slice_bytes;
    uint8_t *bytes = s->looped_count < STACK_LOOPED_MAX ? leat_heap_alloc(length) : NULL;
    if (bytes == NULL) {
        stack_drop(s, STACK_DROP_LOOP_FULL);
    } else {
        memcpy(bytes, packet->head + s->l2_bytes, ip_bytes);
        for (unsigned i = 0; i < packet->slice_count; i++) {
            memcpy(bytes + ip_bytes, packet->slices[i].data, packet->slices[i].length_bytes);
            ip_bytes += (uint32_t)packet->slices[i].length_bytes;
        }
        struct rx_packet *p = &s->looped[(s->looped_first + s->looped_count++) % STACK_LOOPED_MAX];
        *p = (struct rx_packet){.data = bytes,
                                .length_bytes = length,
                                .buffer_bytes = length,
                                .handle = bytes,
                                .flags = RX_HEAP,
                                .ip_verdict = LEAT_VERDICT_NONE,
                                .l4_verdict = LEAT_VERDICT_NONE};
        s->count.looped++;
    }
    for (unsigned i = 0; i < packet->slice_count; i++)
        leat_buf_unref(packet->slices[i]);
}

static void packet_send(struct stack *s, struct leat_packet *packet, struct path *path)
{
    if (unlikely(path->local))
        packet_loop_back(s, packet); /* not committed: the head stays granted */
    else
        neighbour_output(s, packet, path);
}

void ip_output(struct stack *s, struct leat_packet *packet, struct path *path, uint8_t protocol,
               unsigned checksum_at)
{
    checksum_settle(s, packet, path, protocol, checksum_at);
    /* no message makes a datagram smaller than this: a narrower path may cut it (RFC 1191 3) */
    uint16_t df = path->mtu_bytes > PMTU_IPV4_MIN ? IPV4_DF : 0;
    s->ip_id += df == 0;
    ip_header_write(s, packet, path, protocol, df);
    packet_send(s, packet, path);
}

static void fragment_send(struct stack *s, struct path *path, uint8_t protocol,
                          const struct fragment *f, struct leat_buf part)
{
    struct leat_packet *packet = tx_reserve(s, TX_DATA);
    if (packet == NULL) {
        leat_buf_unref(part);
        return;
    }
    bool v4 = ip_addr_is_v4(&path->dst), whole = f->offset_bytes == 0 && !f->more;
    unsigned head = s->l2_bytes + ip_header_bytes(&path->dst);
    if (!whole && !v4) {
        struct ipv6_fragment h = {.next = protocol,
                                  .offset = be16_put((uint16_t)(f->offset_bytes | f->more)),
                                  .id = be32_put(f->id)};
        memcpy(packet->head + head, &h, sizeof(h));
        head += (unsigned)sizeof(h);
        protocol = IPV6_FRAGMENT;
    }
    packet->head_bytes = (uint16_t)head;
    if (part.length_bytes <= LEAT_PORT_HEAD_BYTES - head) {
        memcpy(packet->head + head, part.data, part.length_bytes);
        packet->head_bytes = (uint16_t)(head + part.length_bytes);
        leat_buf_unref(part);
    } else {
        packet->slices[0] = part;
        packet->slice_count = 1;
        packet->slice_bytes = (uint32_t)part.length_bytes;
    }
    if (!whole)
        s->count.fragments_tx++;
    uint16_t field = (uint16_t)(f->offset_bytes / 8 | (f->more ? IPV4_MF : 0));
    ip_header_write(s, packet, path, protocol, field);
    packet_send(s, packet, path);
}

void ip_send(struct stack *s, struct path *path, uint8_t protocol, struct leat_buf datagram)
{
    unsigned header = ip_header_bytes(&path->dst);
    size_t room = path->mtu_bytes - header, length = datagram.length_bytes;
    if (length > (ip_addr_is_v4(&path->dst) ? 65535 - header : 65535)) {
        stack_drop(s, STACK_DROP_TX_TOO_BIG);
        leat_buf_unref(datagram);
        return;
    }
    s->ip_id++;
    struct fragment f = {.id = (uint32_t)stack_random(s)};
    if (length > room)
        room = (room - (ip_addr_is_v4(&path->dst) ? 0 : sizeof(struct ipv6_fragment))) & ~7u;
    for (size_t at = 0; at < length; at += room) {
        size_t part = length - at < room ? length - at : room;
        f.offset_bytes = (uint32_t)at;
        f.more = at + part < length;
        fragment_send(s, path, protocol, &f, leat_buf_slice(datagram, at, part));
    }
    leat_buf_unref(datagram);
}
