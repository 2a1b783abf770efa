#include "test/script/frame.h"

struct ends ends_of(const struct sim_host *host, const struct sim_host *peer, bool v6)
{
    return (struct ends){sim_mac(peer), sim_mac(host), sim_ip(peer, v6), sim_ip(host, v6)};
}

void frame_eth(struct frame *f, const struct ends *e, uint16_t type)
{
    struct eth_header eth = {e->host_mac, e->peer_mac, be16_put(type)};
    memcpy(f->bytes, &eth, sizeof(eth));
    f->length = sizeof(eth);
}

void frame_fix_ip(struct frame *f)
{
    struct ipv4_header *ip = (void *)(f->bytes + 14);
    ip->checksum = (be16){0};
    ip->checksum = csum_finish(csum_add(CSUM_ZERO, ip, (ip->version_ihl & 15u) * 4u));
}

void frame_ip(struct frame *f, const struct ends *e, uint8_t protocol, const void *payload,
              size_t length)
{
    bool v4 = ip_addr_is_v4(&e->host);
    frame_eth(f, e, v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    if (v4) {
        struct ipv4_header ip = {.version_ihl = 0x45,
                                 .length = be16_put((uint16_t)(20 + length)),
                                 .ttl = 64,
                                 .protocol = protocol,
                                 .src = ip_addr_get_v4(&e->peer),
                                 .dst = ip_addr_get_v4(&e->host)};
        memcpy(f->bytes + 14, &ip, sizeof(ip));
        frame_fix_ip(f);
    } else {
        struct ipv6_header ip = {.version_class_flow = be32_put(UINT32_C(6) << 28),
                                 .length = be16_put((uint16_t)length),
                                 .next = protocol,
                                 .hop_limit = 255,
                                 .src = e->peer,
                                 .dst = e->host};
        memcpy(f->bytes + 14, &ip, sizeof(ip));
    }
    size_t at = 14 + (v4 ? 20 : 40);
    memcpy(f->bytes + at, payload, length);
    f->length = at + length;
}

void frame_set_fragment(struct frame *f, uint16_t field, uint16_t id)
{
    struct ipv4_header *ip = (void *)(f->bytes + 14);
    ip->fragment = be16_put(field);
    ip->id = be16_put(id);
    frame_fix_ip(f);
}

void frame_set_ecn(struct frame *f, const struct ends *e, uint8_t ecn)
{
    struct ipv6_header *ip6 = (void *)(f->bytes + 14);
    if (ip_addr_is_v4(&e->host)) {
        f->bytes[14 + offsetof(struct ipv4_header, tos)] = ecn;
        frame_fix_ip(f);
    } else {
        ip6->version_class_flow = be32_put(UINT32_C(6) << 28 | (uint32_t)ecn << 20);
    }
}

uint8_t ecn_of(const struct sim_frame *f)
{
    if (is_type(f, ETHERTYPE_IPV6))
        return be32_get(ip6_of(f)->version_class_flow) >> 20 & 3;
    return ip4_of(f)->tos & 3;
}

void frame_arp(struct frame *f, uint16_t operation, const struct ends *e)
{
    struct arp_packet arp = {.hardware = be16_put(1),
                             .protocol = be16_put(ETHERTYPE_IPV4),
                             .hardware_bytes = 6,
                             .protocol_bytes = 4,
                             .operation = be16_put(operation),
                             .sender_mac = e->peer_mac,
                             .sender_ip = ip_addr_get_v4(&e->peer),
                             .target_mac = e->host_mac,
                             .target_ip = ip_addr_get_v4(&e->host)};
    frame_eth(f, e, ETHERTYPE_ARP);
    memcpy(f->bytes + 14, &arp, sizeof(arp));
    f->length = 14 + sizeof(arp);
}

void icmp_sum(uint8_t *message, size_t length, const struct ends *e)
{
    struct icmp_header *icmp = (void *)message;
    csum sum = CSUM_ZERO;
    if (!ip_addr_is_v4(&e->host))
        sum = csum_pseudo(&e->peer, &e->host, IP_ICMPV6, (uint32_t)length);
    icmp->checksum = (be16){0};
    icmp->checksum = csum_finish(csum_add(sum, message, length));
}

size_t icmp_echo(uint8_t *to, const struct ends *e, uint16_t sequence, size_t length)
{
    struct icmp_header icmp = {.type = ip_addr_is_v4(&e->host) ? ICMP_ECHO : ICMPV6_ECHO,
                               .rest = be32_put(0x12340000u | sequence)};
    memcpy(to, &icmp, sizeof(icmp));
    for (size_t i = 0; i < length; i++)
        to[sizeof(icmp) + i] = (uint8_t)(i * 7 + sequence);
    icmp_sum(to, sizeof(icmp) + length, e);
    return sizeof(icmp) + length;
}
