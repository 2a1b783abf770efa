/* IPv6: RFC 8200. */
#include "net/stack/steer.h"
#include "net/stack/udp.h"

#define EXTENSIONS_MAX 8 /* a longer chain is dropped: nobody needs one */

static bool header_is_valid(struct stack *s, struct rx_packet *p)
{
    const struct ipv6_header *ip = (const void *)p->data;
    if (p->length_bytes < sizeof(*ip)) {
        stack_drop(s, STACK_DROP_IP_SHORT);
        return false;
    }
    if (be32_get(ip->version_class_flow) >> 28 != 6) {
        stack_drop(s, STACK_DROP_IP_VERSION);
        return false;
    }
    if (be16_get(ip->length) > p->length_bytes - sizeof(*ip)) {
        stack_drop(s, STACK_DROP_IP_SHORT);
        return false;
    }
    return true;
}

/* Multicast groups that we are in: all nodes, and the solicited-node groups of our addresses. */
static bool is_our_group(const struct stack *s, const struct ip_addr *dst)
{
    static const struct ip_addr solicited = {{0xff, 0x02, [11] = 1, [12] = 0xff}};
    static const uint8_t all_nodes[14] = {0};
    if ((dst->b[1] & 15) <= 2 && memcmp(dst->b + 2, all_nodes, 13) == 0 && dst->b[15] == 1)
        return true;
    if (!ip_addr_in(dst, &solicited, 104))
        return udp_is_joined(s, dst);
    for (uint32_t i = 0; i < s->addr_count; i++)
        if (memcmp(s->addrs[i].ip.b + 13, dst->b + 13, 3) == 0)
            return true;
    return false;
}

static bool addresses_are_valid(struct stack *s, struct rx_packet *p)
{
    if (ip_addr_is_multicast(&p->src) || ip_addr_is_v4(&p->src) || ip_addr_is_v4(&p->dst) ||
        (addr_is_local(s, &p->src) && !(p->flags & RX_HEAP))) {
        stack_drop(s, STACK_DROP_IP_SOURCE);
        return false;
    }
    if (ip_addr_is_multicast(&p->dst) && is_our_group(s, &p->dst)) {
        p->flags |= RX_MULTICAST;
        return true;
    }
    /* A tentative address hears neighbour discovery only, which comes to its group. */
    if (likely(addr_is_local(s, &p->dst)))
        return true;
    stack_drop(s, STACK_DROP_IP_NOT_OURS);
    return false;
}

static void parameter_problem(struct stack *s, struct rx_packet *p, uint8_t code, uint32_t offset)
{
    icmp_error(s, p, ICMPV6_PARAMETER, code, offset);
}

/* RFC 8200 4.2: an option nobody knows says itself what to do. */
static bool options_allowed(struct stack *s, struct rx_packet *p, const uint8_t *at, size_t length)
{
    while (length > 0) {
        if (at[0] == 0) { /* Pad1 */
            at++;
            length--;
            continue;
        }
        if (length < 2 || at[1] + 2u > length) {
            stack_drop(s, STACK_DROP_IP_OPTIONS);
            return false;
        }
        bool known = at[0] == 1 || at[0] == 5; /* PadN, router alert */
        if (at[0] == 5)
            p->flags |= RX_ROUTER_ALERT;
        uint8_t action = known ? 0 : at[0] >> 6;
        if (action != 0) {
            if (action == 2 || (action == 3 && !(p->flags & RX_MULTICAST)))
                parameter_problem(s, p, 2, (uint32_t)(at - p->ip));
            stack_drop(s, STACK_DROP_IP_OPTIONS);
            return false;
        }
        length -= at[1] + 2u;
        at += at[1] + 2;
    }
    return true;
}

/* Hop-by-hop, destination and routing headers: all have {next, length in eights - 1}. */
static bool skip_header(struct stack *s, struct rx_packet *p)
{
    const uint8_t *at = p->data;
    if (p->length_bytes < 8 || (at[1] + 1u) * 8u > p->length_bytes) {
        stack_drop(s, STACK_DROP_IP_SHORT);
        return false;
    }
    uint32_t length = (at[1] + 1u) * 8u;
    if (p->protocol == IPV6_ROUTING && at[3] != 0) { /* segments left: RFC 8200 4.4, RFC 5095 */
        parameter_problem(s, p, 0, (uint32_t)(at + 2 - p->ip));
        stack_drop(s, STACK_DROP_IP_SOURCE_ROUTE);
        return false;
    }
    if (p->protocol != IPV6_ROUTING && !options_allowed(s, p, at + 2, length - 2))
        return false;
    p->next_offset = (uint16_t)(at - p->ip);
    p->protocol = at[0];
    p->data += length;
    p->length_bytes -= length;
    return true;
}

/* RFC 8200 4.5, RFC 7112 5: a first fragment holds all headers, the upper layer's included, so that
 * everybody on the path can judge the datagram by it. */
static bool has_all_headers(const struct rx_packet *p, uint8_t next)
{
    const uint8_t *at = p->data;
    uint32_t left = p->length_bytes;
    for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
        uint32_t upper = next == IP_TCP ? sizeof(struct tcp_header) : 8; /* UDP, ICMPv6 */
        bool is_extension = next == IPV6_DESTINATION || next == IPV6_ROUTING;
        if (next == IPV6_NO_NEXT)
            return true;
        if (!is_extension)
            return left >= upper || (next != IP_TCP && next != IP_UDP && next != IP_ICMPV6);
        if (left < 8 || (at[1] + 1u) * 8u > left)
            return false;
        next = at[0];
        left -= (at[1] + 1u) * 8u;
        at += (at[1] + 1u) * 8u;
    }
    return false;
}

/* RFC 8200 4.5: what is said to the sender of a fragment that cannot be put together. */
static bool is_acceptable(struct stack *s, struct rx_packet *p, const struct fragment *f)
{
    uint8_t code = 0;
    uint32_t pointer;
    if (f->more && p->length_bytes % 8 != 0) {
        pointer = offsetof(struct ipv6_header, length);
    } else if (f->offset_bytes + p->length_bytes > 65535) {
        pointer = (uint32_t)(p->data - p->ip - (int)sizeof(struct ipv6_fragment)) +
                  (uint32_t)offsetof(struct ipv6_fragment, offset);
    } else if (f->offset_bytes == 0 && !has_all_headers(p, f->protocol)) {
        code = 3;
        pointer = 0;
    } else {
        return true;
    }
    parameter_problem(s, p, code, pointer);
    stack_drop(s, STACK_DROP_FRAGMENT_MALFORMED);
    return false;
}

/* True when the datagram is whole: at once for an atomic fragment (RFC 6946). */
static bool fragment_input(struct stack *s, struct rx_packet *p)
{
    const struct ipv6_fragment *h = (const void *)p->data;
    if (p->length_bytes < sizeof(*h)) {
        stack_drop(s, STACK_DROP_IP_SHORT);
        return false;
    }
    uint16_t field = be16_get(h->offset);
    struct fragment f = {.offset_bytes = field & 0xfff8u,
                         .id = be32_get(h->id),
                         .protocol = h->next,
                         .more = (field & 1) != 0};
    p->next_offset = (uint16_t)(p->data - p->ip);
    p->data += sizeof(*h);
    p->length_bytes -= (uint32_t)sizeof(*h);
    p->protocol = f.protocol;
    if (f.offset_bytes == 0 && !f.more)
        return true;
    if (!is_acceptable(s, p, &f)) {
        p->protocol = 0;
        return false;
    }
    return !(unlikely(s->steer != NULL) && steer_fragment(s, p)) && reasm_input(s, p, &f);
}

static bool walk_headers(struct stack *s, struct rx_packet *p)
{
    for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
        switch (p->protocol) {
        case IPV6_HOP_BY_HOP:
            if (i != 0) { /* only first: RFC 8200 4.1 */
                parameter_problem(s, p, 1, p->next_offset);
                stack_drop(s, STACK_DROP_IP_OPTIONS);
                return false;
            }
            if (!skip_header(s, p))
                return false;
            break;
        case IPV6_DESTINATION:
        case IPV6_ROUTING:
            if (!skip_header(s, p))
                return false;
            break;
        case IPV6_FRAGMENT:
            if (!fragment_input(s, p))
                return false;
            break;
        case IPV6_NO_NEXT:
            stack_drop(s, STACK_DROP_IP_NO_NEXT);
            return false;
        default:
            return true;
        }
    }
    stack_drop(s, STACK_DROP_IP_OPTIONS);
    return false;
}

void ipv6_input(struct stack *s, struct rx_packet *p)
{
    if (unlikely(!header_is_valid(s, p)))
        return;
    const struct ipv6_header *ip = (const void *)p->data;
    p->ip = p->data;
    p->src = ip->src;
    p->dst = ip->dst;
    p->ip_header_bytes = sizeof(*ip);
    p->ip_bytes = (uint32_t)sizeof(*ip) + be16_get(ip->length);
    if (unlikely(!addresses_are_valid(s, p)))
        return;
    p->data += sizeof(*ip);
    p->length_bytes = be16_get(ip->length);
    p->protocol = ip->next;
    p->next_offset = offsetof(struct ipv6_header, next);
    p->ecn = (be32_get(ip->version_class_flow) >> 20) & 3;
    p->hop_limit = ip->hop_limit;
    if (likely(p->protocol == IP_TCP) || walk_headers(s, p))
        ip_deliver(s, p);
}
