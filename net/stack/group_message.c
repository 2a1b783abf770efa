/* IGMP and MLD messages, read and written: RFC 3376 4, RFC 2236 2, RFC 3810 5, RFC 2710 3. */
#include "net/stack/group.h"

#include "net/stack/stack.h"

enum { IGMP_QUERY = 0x11, IGMP_REPORT_V1 = 0x12, IGMP_REPORT_V2 = 0x16, IGMP_LEAVE = 0x17 };
enum { IGMP_REPORT_V3 = 0x22 };
enum { MLD_DONE = 132, MLD_REPORT_V2 = 143 };
enum { IP4_ROUTER_ALERT = 0x94, IP6_ROUTER_ALERT = 5, IP6_PAD_N = 1 };

#define TOS_CONTROL    0xc0 /* RFC 3376 4: internetwork control */
#define TICK_NS        (100 * LEAT_NS_PER_MS)
#define OLDEST_WAIT_NS (10 * LEAT_NS_PER_S) /* RFC 3376 7.2.1: an IGMPv1 query names no time */

/* ---- reading ---- */

static struct ip_addr read_ip(const uint8_t *at, bool is_v4)
{
    static const struct ip_addr none;
    struct ip_addr ip = none;
    be32 v4;
    memcpy(&v4, at, sizeof(v4));
    if (is_v4)
        return v4.raw != 0 ? ip_addr_v4(v4) : none;
    memcpy(ip.b, at, sizeof(ip.b));
    return ip;
}

/* RFC 3376 4.1.1, RFC 3810 5.1.3: a floating-point number from its highest bit on. */
static uint64_t read_code(uint32_t code, unsigned bits)
{
    unsigned mantissa_bits = bits - 4;
    if (code >> (bits - 1) == 0)
        return code;
    uint32_t mantissa = code & ((1u << mantissa_bits) - 1);
    return (uint64_t)(mantissa | 1u << mantissa_bits) << ((code >> mantissa_bits & 7) + 3);
}

static enum group_heard read_igmp_query(const struct rx_packet *p, struct group_query *query)
{
    const uint8_t *m = p->data;
    query->ip = read_ip(m + 4, true);
    query->version = m[1] == 0 ? GROUP_OLDEST : GROUP_OLDER;
    query->answer_ns_max = m[1] == 0 ? OLDEST_WAIT_NS : m[1] * TICK_NS;
    if (p->length_bytes > 8 && p->length_bytes < 12)
        return GROUP_MALFORMED;
    if (p->length_bytes >= 12) {
        query->version = GROUP_NEWEST;
        query->answer_ns_max = read_code(m[1], 8) * TICK_NS;
        query->robustness = m[8] & 7;
    }
    return GROUP_HEARD_QUERY;
}

/* RFC 3810 6.2: what a router on the link has sent. */
static bool is_of_a_router(const struct rx_packet *p)
{
    return ip_addr_is_link_local(&p->src) && p->hop_limit == 1 && (p->flags & RX_ROUTER_ALERT);
}

static enum group_heard read_mld_query(const struct rx_packet *p, struct group_query *query)
{
    const uint8_t *m = p->data;
    uint32_t code = (uint32_t)m[4] << 8 | m[5];
    if (!is_of_a_router(p) || (p->length_bytes > 24 && p->length_bytes < 28))
        return GROUP_MALFORMED;
    query->ip = read_ip(m + 8, false);
    query->version = p->length_bytes == 24 ? GROUP_OLDER : GROUP_NEWEST;
    query->answer_ns_max = code * LEAT_NS_PER_MS;
    if (query->version == GROUP_NEWEST) {
        query->answer_ns_max = read_code(code, 16) * LEAT_NS_PER_MS;
        query->robustness = m[24] & 7;
    }
    return GROUP_HEARD_QUERY;
}

enum group_heard group_message_read(const struct rx_packet *p, struct group_query *query)
{
    bool is_v4 = ip_addr_is_v4(&p->src);
    const uint8_t *m = p->data;
    *query = (struct group_query){.version = GROUP_NEWEST};
    if (p->length_bytes < (is_v4 ? 8 : 24))
        return GROUP_MALFORMED;
    if (m[0] == (is_v4 ? IGMP_QUERY : MLD_QUERY))
        return is_v4 ? read_igmp_query(p, query) : read_mld_query(p, query);
    query->ip = read_ip(m + (is_v4 ? 4 : 8), is_v4);
    bool is_report = is_v4 ? m[0] == IGMP_REPORT_V1 || m[0] == IGMP_REPORT_V2 : m[0] == MLD_REPORT;
    return is_report ? GROUP_HEARD_REPORT : GROUP_HEARD_NOTHING;
}

/* ---- sending ---- */

/* With the router alert option (RFC 2113). Returns its length. */
static unsigned write_ip4(struct stack *s, uint8_t *at, const struct ip_addr *to, unsigned length)
{
    static const uint8_t alert[] = {IP4_ROUTER_ALERT, 4, 0, 0};
    const struct stack_addr *from = addr_choose(s, to, to);
    struct ipv4_header ip = {.version_ihl = 0x46,
                             .tos = TOS_CONTROL,
                             .length = be16_put((uint16_t)(sizeof(ip) + sizeof(alert) + length)),
                             .fragment = be16_put(IPV4_DF),
                             .ttl = 1,
                             .protocol = IP_IGMP,
                             .dst = ip_addr_get_v4(to)};
    if (from != NULL) /* else 0.0.0.0: RFC 3376 4.2.13 */
        ip.src = ip_addr_get_v4(&from->ip);
    csum sum = csum_add(csum_add(CSUM_ZERO, &ip, sizeof(ip)), alert, sizeof(alert));
    ip.checksum = csum_finish(sum);
    memcpy(at, &ip, sizeof(ip));
    memcpy(at + sizeof(ip), alert, sizeof(alert));
    return sizeof(ip) + sizeof(alert);
}

/* RFC 3810 5.2.13, RFC 3590: a valid link-local address, else none. */
static struct ip_addr link_local_source(const struct stack *s)
{
    for (uint32_t i = 0; i < s->addr_count; i++)
        if (ip_addr_is_link_local(&s->addrs[i].ip) && s->addrs[i].state == ADDR_VALID)
            return s->addrs[i].ip;
    return (struct ip_addr){{0}};
}

static unsigned write_ip6(const struct ip_addr *from, uint8_t *at, const struct ip_addr *to,
                          unsigned length)
{
    static const uint8_t alert[] = {IP_ICMPV6, 0, IP6_ROUTER_ALERT, 2, 0, 0, IP6_PAD_N, 0};
    struct ipv6_header ip = {.version_class_flow = be32_put(UINT32_C(6) << 28),
                             .length = be16_put((uint16_t)(sizeof(alert) + length)),
                             .next = IPV6_HOP_BY_HOP,
                             .hop_limit = 1,
                             .src = *from,
                             .dst = *to};
    memcpy(at, &ip, sizeof(ip));
    memcpy(at + sizeof(ip), alert, sizeof(alert));
    return sizeof(ip) + sizeof(alert);
}

/* Writes the checksum and the headers, and sends. */
static void message_send(struct stack *s, const struct ip_addr *to, uint8_t *message,
                         unsigned length)
{
    bool is_v4 = ip_addr_is_v4(to);
    struct leat_packet *packet = tx_reserve(s, TX_CONTROL);
    struct path path = {.dst = *to, .hop = *to};
    struct ip_addr from = link_local_source(s); /* of IPv6 */
    if (packet == NULL)
        return; /* it is said again */
    csum sum = is_v4 ? CSUM_ZERO : csum_pseudo(&from, to, IP_ICMPV6, length);
    be16 checksum = csum_finish(csum_add(sum, message, length));
    memcpy(message + 2, &checksum, sizeof(checksum));
    uint8_t *at = packet->head + s->l2_bytes;
    unsigned header = is_v4 ? write_ip4(s, at, to, length) : write_ip6(&from, at, to, length);
    memcpy(at + header, message, length);
    packet->l2_bytes = s->l2_bytes;
    packet->l3_bytes = (uint8_t)header;
    packet->flags |= is_v4 ? LEAT_PACKET_IPV4 : LEAT_PACKET_IPV6;
    packet->head_bytes = (uint16_t)(s->l2_bytes + header + length);
    s->count.icmp_tx++;
    neighbour_output(s, packet, &path);
}

_Static_assert(18 + sizeof(struct ipv6_header) + 8 + sizeof(((struct group_report *)0)->bytes) <=
                   LEAT_PORT_HEAD_BYTES,
               "a report fits into a packet's head");

static unsigned put_ip(uint8_t *at, const struct ip_addr *ip)
{
    be32 v4 = ip_addr_get_v4(ip);
    if (ip_addr_is_v4(ip)) {
        memcpy(at, &v4, sizeof(v4));
        return sizeof(v4);
    }
    memcpy(at, ip->b, sizeof(ip->b));
    return sizeof(ip->b);
}

void group_report_add(struct stack *s, struct group_report *r, const struct ip_addr *ip,
                      enum group_record record)
{
    if (r->length + 4 + sizeof(ip->b) > sizeof(r->bytes))
        group_report_send(s, r);
    if (r->record_count++ == 0)
        r->length = 8;
    uint8_t *at = r->bytes + r->length;
    memcpy(at, (const uint8_t[]){(uint8_t)record, 0, 0, 0}, 4);
    r->length += 4 + put_ip(at + 4, ip);
}

void group_report_send(struct stack *s, struct group_report *r)
{
    static const struct ip_addr mld_routers = {{0xff, 0x02, [15] = 0x16}};
    struct ip_addr to = r->is_v4 ? ip_addr_v4(be32_put(UINT32_C(0xe0000016))) : mld_routers;
    if (r->record_count == 0)
        return;
    r->bytes[0] = r->is_v4 ? IGMP_REPORT_V3 : MLD_REPORT_V2;
    r->bytes[7] = (uint8_t)r->record_count;
    message_send(s, &to, r->bytes, r->length);
    *r = (struct group_report){.is_v4 = r->is_v4};
}

void group_say_older(struct stack *s, const struct ip_addr *ip, enum group_version version,
                     enum group_record record)
{
    static const struct ip_addr all_routers = {{0xff, 0x02, [15] = 2}};
    bool is_v4 = ip_addr_is_v4(ip), is_left = record == GROUP_TO_INCLUDE;
    struct ip_addr to = *ip;
    uint8_t message[24] = {0};
    if (is_left && version == GROUP_OLDEST)
        return; /* RFC 1112: it is left in silence */
    if (is_left)
        to = is_v4 ? ip_addr_v4(be32_put(UINT32_C(0xe0000002))) : all_routers;
    if (is_v4)
        message[0] = is_left                   ? IGMP_LEAVE
                     : version == GROUP_OLDEST ? IGMP_REPORT_V1
                                               : IGMP_REPORT_V2;
    else
        message[0] = is_left ? MLD_DONE : MLD_REPORT;
    unsigned at = is_v4 ? 4 : 8;
    message_send(s, &to, message, at + put_ip(message + at, ip));
}
