/* ICMP (RFC 792, 1122 3.2.2) and ICMPv6 (RFC 4443): echo, errors sent and received. */
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"
#include "net/stack/udp.h"

#define QUOTE_BYTES_MAX_V4 548  /* RFC 1812 4.3.2.3: the error fits in 576 bytes */
#define QUOTE_BYTES_MAX_V6 1184 /* RFC 4443 2.4 (c), kept below 1280 with room for options */

static bool icmp_checksum_is_right(const struct rx_packet *p, bool v6)
{
    csum sum = v6 ? csum_pseudo(&p->src, &p->dst, IP_ICMPV6, p->length_bytes) : CSUM_ZERO;
    return csum_finish(csum_add(sum, p->data, p->length_bytes)).raw == 0;
}

static bool icmp_is_valid(struct stack *s, struct rx_packet *p, bool v6)
{
    if (p->length_bytes < sizeof(struct icmp_header)) {
        stack_drop(s, STACK_DROP_ICMP_SHORT);
        return false;
    }
    if (!icmp_checksum_is_right(p, v6)) {
        stack_drop(s, STACK_DROP_ICMP_CHECKSUM);
        return false;
    }
    s->count.icmp_rx++;
    return true;
}

/* Writes the checksum of a whole ICMP message and sends it. Takes the reference. */
static void icmp_send(struct stack *s, struct path *path, struct leat_buf message)
{
    struct icmp_header *icmp = (void *)message.data;
    bool v4 = ip_addr_is_v4(&path->dst);
    uint8_t protocol = v4 ? IP_ICMP : IP_ICMPV6;
    csum sum = CSUM_ZERO;
    if (!v4)
        sum = csum_pseudo(&path->src, &path->dst, protocol, (uint32_t)message.length_bytes);
    icmp->checksum = (be16){0};
    icmp->checksum = csum_finish(csum_add(sum, message.data, message.length_bytes));
    s->count.icmp_tx++;
    ip_send(s, path, protocol, message);
}

/* RFC 1122 3.2.2.6, RFC 4443 4.2: the data comes back as it came. */
static void echo_reply(struct stack *s, struct rx_packet *p, uint8_t reply_type)
{
    struct path path;
    const struct ip_addr *from = p->flags & RX_MULTICAST ? NULL : &p->dst;
    if (path_find(s, from, &p->src, &path) < 0)
        return;
    struct leat_buf message = leat_buf_from_bytes(p->data, p->length_bytes);
    if (message.data == NULL) {
        stack_drop(s, STACK_DROP_TX_MEMORY);
        return;
    }
    ((struct icmp_header *)(void *)message.data)->type = reply_type;
    icmp_send(s, &path, message);
}

/* What an ICMP error quotes: one of our packets, or its beginning. */
struct quote {
    struct ip_addr src, dst;
    uint8_t protocol;
    const uint8_t *l4;
    uint32_t l4_bytes;
};

static bool quote_parse(struct quote *q, const uint8_t *at, uint32_t length, bool v6)
{
    const struct ipv4_header *ip4 = (const void *)at;
    const struct ipv6_header *ip6 = (const void *)at;
    uint32_t header = v6 ? (uint32_t)sizeof(*ip6) : 0;
    if (!v6 && length >= sizeof(*ip4) && ip4->version_ihl >> 4 == 4)
        header = (ip4->version_ihl & 15u) * 4u;
    if (header < sizeof(*ip4) || length < header + 8)
        return false;
    q->src = v6 ? ip6->src : ip_addr_v4(ip4->src);
    q->dst = v6 ? ip6->dst : ip_addr_v4(ip4->dst);
    q->protocol = v6 ? ip6->next : ip4->protocol;
    q->l4 = at + header;
    q->l4_bytes = length - header;
    if (v6) /* else an ICMPv6 message could speak of IPv4 connections */
        return !ip_addr_is_v4(&q->src) && !ip_addr_is_v4(&q->dst);
    return (be16_get(ip4->fragment) & IPV4_OFFSET) == 0;
}

/* RFC 5927: nothing is believed of a message whose quoted packet could not be in flight. */
static void error_input(struct stack *s, struct rx_packet *p, bool v6)
{
    const struct icmp_header *icmp = (const void *)p->data;
    struct quote q;
    if (!quote_parse(&q, p->data + sizeof(*icmp), p->length_bytes - 8, v6) ||
        !addr_is_local(s, &q.src)) {
        stack_drop(s, STACK_DROP_ICMP_QUOTE);
        return;
    }
    if (unlikely(s->steer != NULL) && (q.protocol == IP_TCP || q.protocol == IP_UDP) &&
        steer_quote(s, p, &q.src, &q.dst, q.l4))
        return;
    bool too_big =
        v6 ? icmp->type == ICMPV6_TOO_BIG : icmp->type == ICMP_UNREACHABLE && icmp->code == 4;
    struct icmp_report report = {.src = q.src,
                                 .dst = q.dst,
                                 .l4 = q.l4,
                                 .l4_bytes = q.l4_bytes,
                                 .protocol = q.protocol,
                                 .type = icmp->type,
                                 .code = icmp->code,
                                 .is_v6 = v6};
    if (too_big)
        report.mtu_bytes = v6 ? be32_get(icmp->rest) : be32_get(icmp->rest) & 0xffff;
    if (q.protocol == IP_TCP && s->tcp != NULL)
        tcp_icmp(s, &report);
    else if (q.protocol == IP_UDP)
        udp_icmp(s, &report);
    else
        stack_drop(s, STACK_DROP_ICMP_QUOTE);
}

void icmp_input(struct stack *s, struct rx_packet *p)
{
    const struct icmp_header *icmp = (const void *)p->data;
    if (!icmp_is_valid(s, p, false))
        return;
    switch (icmp->type) {
    case ICMP_ECHO:
        if (p->flags & RX_MULTICAST)
            stack_drop(s, STACK_DROP_ICMP_BROADCAST);
        else
            echo_reply(s, p, ICMP_ECHO_REPLY);
        break;
    case ICMP_UNREACHABLE:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETER:
        error_input(s, p, false);
        break;
    default:
        stack_drop(s, STACK_DROP_ICMP_TYPE);
    }
}

void icmpv6_input(struct stack *s, struct rx_packet *p)
{
    const struct icmp_header *icmp = (const void *)p->data;
    if (!icmp_is_valid(s, p, true))
        return;
    switch (icmp->type) {
    case ICMPV6_ECHO:
        echo_reply(s, p, ICMPV6_ECHO_REPLY);
        break;
    case MLD_QUERY:
    case MLD_REPORT:
        mld_input(s, p);
        break;
    case ND_ROUTER_SOLICIT:
    case ND_ROUTER_ADVERT:
    case ND_SOLICIT:
    case ND_ADVERT:
        nd_input(s, p);
        break;
    case ICMPV6_UNREACHABLE:
    case ICMPV6_TOO_BIG:
    case ICMPV6_TIME_EXCEEDED:
    case ICMPV6_PARAMETER:
        error_input(s, p, true);
        break;
    default:
        stack_drop(s, STACK_DROP_ICMP_TYPE);
    }
}

void icmp_error_quote(struct stack *s, const struct ip_addr *to, const struct ip_addr *from,
                      const uint8_t *quote, size_t quote_bytes, const struct icmp_header *icmp)
{
    struct path path;
    if (from != NULL && !addr_is_local(s, from))
        return; /* it has gone meanwhile */
    if (!token_take(&s->icmp_bucket, s->now_ns)) {
        stack_drop(s, STACK_DROP_ICMP_RATE);
        return;
    }
    if (path_find(s, from, to, &path) < 0)
        return;
    size_t most = ip_addr_is_v4(to) ? QUOTE_BYTES_MAX_V4 : QUOTE_BYTES_MAX_V6;
    if (quote_bytes > most)
        quote_bytes = most;
    struct leat_buf message = leat_buf_alloc_unsafe(sizeof(*icmp) + quote_bytes);
    if (message.data == NULL) {
        stack_drop(s, STACK_DROP_TX_MEMORY);
        return;
    }
    memcpy(message.data, icmp, sizeof(*icmp));
    memcpy(message.data + sizeof(*icmp), quote, quote_bytes);
    icmp_send(s, &path, message);
}

/* RFC 1122 3.2.2, RFC 4443 2.4 (e): never about a broadcast, a multicast, an unspecified source or
 * an ICMP error. */
void icmp_error(struct stack *s, const struct rx_packet *p, uint8_t type, uint8_t code,
                uint32_t rest)
{
    bool v6 = !ip_addr_is_v4(&p->src);
    bool option_error = v6 && type == ICMPV6_PARAMETER && code == 2;
    if (ip_addr_is_any(&p->src) || ((p->flags & RX_LINK_MULTICAST) && !option_error) ||
        ((p->flags & RX_MULTICAST) && !option_error))
        return;
    const struct ip_addr *from = p->flags & RX_MULTICAST ? NULL : &p->dst;
    struct icmp_header icmp = {.type = type, .code = code, .rest = be32_put(rest)};
    icmp_error_quote(s, &p->src, from, p->ip, p->ip_bytes, &icmp);
}
