/* IPv4: RFC 791, 1122, 6864. */
#include "net/stack/steer.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_LSRR = 131, OPTION_SSRR = 137 };

/* Options are skipped, but source routes are refused (RFC 7126 4.3) and lengths are checked. */
static bool options_allowed(struct stack *s, const uint8_t *at, size_t length)
{
    while (length > 0 && at[0] != OPTION_END) {
        if (at[0] == OPTION_NOP) {
            at++;
            length--;
            continue;
        }
        if (at[0] == OPTION_LSRR || at[0] == OPTION_SSRR) {
            stack_drop(s, STACK_DROP_IP_SOURCE_ROUTE);
            return false;
        }
        if (length < 2 || at[1] < 2 || at[1] > length) {
            stack_drop(s, STACK_DROP_IP_OPTIONS);
            return false;
        }
        length -= at[1];
        at += at[1];
    }
    return true;
}

static bool checksum_is_right(struct stack *s, const struct rx_packet *p, uint32_t header)
{
    if (likely(!offload_doubts(&s->offloads[OFFLOAD_RX_IP], p->ip_verdict)))
        return true;
    csum sum = header == sizeof(struct ipv4_header) ? csum_words(wire_load(p->data))
                                                    : csum_add(CSUM_ZERO, p->data, header);
    bool is_right = csum_finish(sum).raw == 0;
    return (is_right && p->ip_verdict == LEAT_VERDICT_UNKNOWN) ||
           offload_judge(s, OFFLOAD_RX_IP, p->ip_verdict, is_right ? SUM_RIGHT : SUM_WRONG);
}

/* Version, lengths and checksum; trims what the link padded. */
static bool header_is_valid(struct stack *s, struct rx_packet *p)
{
    const struct ipv4_header *ip = (const void *)p->data;
    enum stack_drop reason;
    uint32_t header = p->length_bytes >= sizeof(*ip) ? (ip->version_ihl & 15u) * 4u : 0;
    if (p->length_bytes < sizeof(*ip))
        reason = STACK_DROP_IP_SHORT;
    else if (ip->version_ihl >> 4 != 4)
        reason = STACK_DROP_IP_VERSION;
    else if (header < sizeof(*ip) || header > be16_get(ip->length))
        reason = STACK_DROP_IP_HEADER;
    else if (be16_get(ip->length) > p->length_bytes)
        reason = STACK_DROP_IP_SHORT;
    else if (!checksum_is_right(s, p, header))
        reason = STACK_DROP_IP_CHECKSUM;
    else {
        p->ip = p->data;
        p->ip_header_bytes = (uint16_t)header;
        p->ip_bytes = be16_get(ip->length);
        return header == sizeof(*ip) || options_allowed(s, p->data + 20, header - 20);
    }
    stack_drop(s, reason);
    return false;
}

/* RFC 1122 3.2.1.3: what can be no source; what is for us. */
static bool addresses_are_valid(struct stack *s, struct rx_packet *p)
{
    uint32_t src = be32_get(ip_addr_get_v4(&p->src));
    if (ip_addr_is_multicast(&p->src) || src >> 24 == 127 || addr_is_broadcast(s, &p->src) ||
        (addr_find(s, &p->src) != NULL && !(p->flags & RX_HEAP))) {
        stack_drop(s, STACK_DROP_IP_SOURCE);
        return false;
    }
    if (likely(addr_is_local(s, &p->dst)))
        return true;
    if (ip_addr_is_multicast(&p->dst) || addr_is_broadcast(s, &p->dst)) {
        p->flags |= RX_MULTICAST;
        return true;
    }
    stack_drop(s, STACK_DROP_IP_NOT_OURS);
    return false;
}

void ipv4_input(struct stack *s, struct rx_packet *p)
{
    if (unlikely(!header_is_valid(s, p)))
        return;
    const struct ipv4_header *ip = (const void *)p->data;
    p->src = ip_addr_v4(ip->src);
    p->dst = ip_addr_v4(ip->dst);
    if (unlikely(!addresses_are_valid(s, p)))
        return;
    p->data += p->ip_header_bytes;
    p->length_bytes = p->ip_bytes - p->ip_header_bytes;
    p->protocol = ip->protocol;
    p->ecn = ip->tos & 3;
    p->hop_limit = ip->ttl;
    uint16_t fragment = be16_get(ip->fragment);
    if (unlikely((fragment & (IPV4_MF | IPV4_OFFSET)) != 0)) {
        struct fragment f = {.offset_bytes = (fragment & IPV4_OFFSET) * 8u,
                             .id = be16_get(ip->id),
                             .protocol = ip->protocol,
                             .more = (fragment & IPV4_MF) != 0};
        if ((unlikely(s->steer != NULL) && steer_fragment(s, p)) || !reasm_input(s, p, &f))
            return;
    }
    ip_deliver(s, p);
}
