/* UDP: RFC 768, RFC 8200 8.1. Datagrams that nobody takes are answered with port unreachable. */
#include "net/stack/stack.h"

static bool checksum_is_right(const struct rx_packet *p, uint32_t length)
{
    if (p->l4_verdict == LEAT_VERDICT_GOOD || p->l4_verdict == LEAT_VERDICT_NONE)
        return true;
    if (p->l4_verdict == LEAT_VERDICT_BAD)
        return false;
    csum sum = csum_pseudo(&p->src, &p->dst, IP_UDP, length);
    return csum_finish(csum_add(sum, p->data, length)).raw == 0;
}

static bool is_valid(struct stack *s, struct rx_packet *p)
{
    const struct udp_header *udp = (const void *)p->data;
    uint32_t length = p->length_bytes >= sizeof(*udp) ? be16_get(udp->length) : 0;
    if (length < sizeof(*udp) || length > p->length_bytes) {
        stack_drop(s, STACK_DROP_UDP_SHORT);
        return false;
    }
    bool unsummed = udp->checksum.raw == 0;
    if (unsummed ? !ip_addr_is_v4(&p->src) : !checksum_is_right(p, length)) {
        stack_drop(s, STACK_DROP_UDP_CHECKSUM);
        return false;
    }
    p->length_bytes = length;
    return true;
}

void udp_input(struct stack *s, struct rx_packet *p)
{
    if (!is_valid(s, p))
        return;
    s->count.udp_rx++;
    stack_drop(s, STACK_DROP_UDP_NO_PORT);
    if (ip_addr_is_v4(&p->src))
        icmp_error(s, p, ICMP_UNREACHABLE, ICMP_CODE_PORT, 0);
    else
        icmp_error(s, p, ICMPV6_UNREACHABLE, 4, 0);
}
