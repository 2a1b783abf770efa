/* Neighbour discovery: RFC 4861, duplicate detection and autoconfiguration by RFC 4862. */
#include "net/stack/steer.h"

#define FLAG_ROUTER    (1u << 31)
#define FLAG_SOLICITED (1u << 30)
#define FLAG_OVERRIDE  (1u << 29)
#define OPTIONS_MAX    32 /* a message with more is malformed */

#define PREFIX_ON_LINK    (1u << 7)
#define PREFIX_AUTONOMOUS (1u << 6)
#define PREFIX_BITS       64 /* RFC 4862 5.5.3 (d): with an interface identifier of 64 bits */
#define MTU_BYTES_MIN_V6  1280

static const struct ip_addr all_routers = {{0xff, 0x02, [15] = 2}};

/* What a message has in its options; one that is wrong in itself is passed over. */
struct nd_options {
    const struct mac_addr *source_mac, *target_mac;
    bool names_source; /* rightly or wrongly */
    uint32_t mtu_bytes;
    const uint8_t *prefixes[8];
    unsigned prefix_count;
};

/* NULL: of another link's length, or a group's MAC, which is nobody's: answers to one neighbour
 * would reach all (RFC 1812 3.3.2 of ARP). */
static const struct mac_addr *option_mac(const uint8_t *option, uint32_t size)
{
    return size == 8 && (option[2] & 1) == 0 ? (const void *)(option + 2) : NULL;
}

/* RFC 4861 4.6: a length of 0 makes the whole message invalid. */
static bool options_parse(struct nd_options *o, const uint8_t *at, uint32_t length)
{
    *o = (struct nd_options){0};
    for (unsigned i = 0; length > 0; i++) {
        uint32_t size = length >= 8 ? at[1] * 8u : 0;
        if (size == 0 || size > length || i == OPTIONS_MAX)
            return false;
        if (at[0] == ND_OPTION_SOURCE_MAC) {
            o->names_source = true;
            o->source_mac = option_mac(at, size);
        } else if (at[0] == ND_OPTION_TARGET_MAC)
            o->target_mac = option_mac(at, size);
        else if (at[0] == ND_OPTION_MTU && size == 8) {
            be32 mtu;
            memcpy(&mtu, at + 4, sizeof(mtu));
            o->mtu_bytes = be32_get(mtu);
        } else if (at[0] == ND_OPTION_PREFIX && size == 32 && o->prefix_count < 8)
            o->prefixes[o->prefix_count++] = at;
        at += size;
        length -= size;
    }
    return true;
}

/* ---- sending ---- */

/* Sends body with a link-layer address option of the given type, 0 for none. */
static void nd_send(struct stack *s, struct path *path, const void *body, size_t body_bytes,
                    uint8_t option)
{
    struct leat_packet *packet = tx_reserve(s, TX_CONTROL);
    if (packet == NULL)
        return;
    path->hop_limit = 255;
    path->mtu_bytes = s->mtu_bytes;
    uint8_t *at = tx_l4(s, packet, &path->dst);
    memcpy(at, body, body_bytes);
    size_t length = body_bytes;
    if (option != 0) {
        at[length] = option;
        at[length + 1] = 1;
        memcpy(at + length + 2, &s->mac, sizeof(s->mac));
        length += 8;
    }
    packet->head_bytes = (uint16_t)(s->l2_bytes + sizeof(struct ipv6_header) + length);
    s->count.nd_tx++;
    ip_output(s, packet, path, IP_ICMPV6, offsetof(struct icmp_header, checksum));
}

void nd_solicit(struct stack *s, const struct ip_addr *target, const struct ip_addr *sender,
                const struct mac_addr *unicast)
{
    struct nd_neighbour ns = {.icmp = {.type = ND_SOLICIT}, .target = *target};
    struct path path = {.src = *sender};
    path.dst = unicast != NULL ? *target : group_solicited(target);
    path.hop = path.dst;
    /* RFC 4861 4.3: no source address, no source link-layer option */
    nd_send(s, &path, &ns, sizeof(ns), ip_addr_is_any(sender) ? 0 : ND_OPTION_SOURCE_MAC);
}

void nd_advertise(struct stack *s, const struct ip_addr *target, const struct ip_addr *to,
                  const struct mac_addr *mac, uint32_t flags)
{
    struct nd_neighbour na = {.icmp = {.type = ND_ADVERT, .rest = be32_put(flags)},
                              .target = *target};
    struct path path = {.src = *target, .dst = *to, .hop = *to};
    if (mac != NULL)
        neighbour_learn(s, to, mac, NEIGHBOUR_MAKE);
    nd_send(s, &path, &na, sizeof(na), ND_OPTION_TARGET_MAC);
}

/* ---- receiving ---- */

/* RFC 4861 7.1.1: who has no address yet asks a solicited-node group, and names no MAC. */
static bool is_probe_valid(const struct rx_packet *p, const struct nd_options *o)
{
    static const struct ip_addr group = {{0xff, 0x02, [11] = 1, [12] = 0xff}};
    return !ip_addr_is_any(&p->src) || (!o->names_source && ip_addr_in(&p->dst, &group, 104));
}

/* RFC 4861 7.1.1, 7.2.3, 7.2.4; RFC 4862 5.4.3 */
static void solicit_input(struct stack *s, struct rx_packet *p)
{
    static const struct ip_addr all_nodes = {{0xff, 0x02, [15] = 1}};
    const struct nd_neighbour *ns = (const void *)p->data;
    struct nd_options o;
    if (p->length_bytes < sizeof(*ns) || ns->icmp.code != 0 || ip_addr_is_multicast(&ns->target) ||
        !options_parse(&o, p->data + sizeof(*ns), p->length_bytes - (uint32_t)sizeof(*ns)) ||
        !is_probe_valid(p, &o)) {
        stack_drop(s, STACK_DROP_ND_MALFORMED);
        return;
    }
    struct stack_addr *ours = addr_find(s, &ns->target);
    if (ours == NULL)
        return;
    if (ours->state != ADDR_VALID) {
        if (ip_addr_is_any(&p->src) && memcmp(&p->src_mac, &s->mac, sizeof(s->mac)) != 0) {
            stack_drop(s, STACK_DROP_ND_CONFLICT);
            addr_conflict(s, ours, &p->src_mac);
        }
        return;
    }
    if (ip_addr_is_any(&p->src)) {
        nd_advertise(s, &ns->target, &all_nodes, NULL, FLAG_OVERRIDE);
        return;
    }
    if (o.source_mac != NULL)
        neighbour_learn(s, &p->src, o.source_mac, NEIGHBOUR_MAKE);
    nd_advertise(s, &ns->target, &p->src, NULL, FLAG_SOLICITED | FLAG_OVERRIDE);
}

/* RFC 4861 7.1.2, 7.2.5 */
static void advert_input(struct stack *s, struct rx_packet *p)
{
    const struct nd_neighbour *na = (const void *)p->data;
    struct nd_options o;
    uint32_t flags = p->length_bytes >= sizeof(*na) ? be32_get(na->icmp.rest) : 0;
    if (p->length_bytes < sizeof(*na) || na->icmp.code != 0 || ip_addr_is_multicast(&na->target) ||
        (ip_addr_is_multicast(&p->dst) && (flags & FLAG_SOLICITED)) ||
        !options_parse(&o, p->data + sizeof(*na), p->length_bytes - (uint32_t)sizeof(*na))) {
        stack_drop(s, STACK_DROP_ND_MALFORMED);
        return;
    }
    struct stack_addr *ours = addr_find(s, &na->target);
    if (ours != NULL) {
        stack_drop(s, STACK_DROP_ND_CONFLICT);
        addr_conflict(s, ours, o.target_mac != NULL ? o.target_mac : &p->src_mac);
        return;
    }
    const struct neighbour *n = neighbour_find(s, &na->target);
    const struct mac_addr *mac = o.target_mac;
    if (mac == NULL && (n == NULL || n->state == NEIGHBOUR_INCOMPLETE))
        return;
    struct mac_addr heard = mac != NULL ? *mac : n->mac;
    neighbour_answer(s, &na->target, &heard,
                     (flags & FLAG_SOLICITED ? NEIGHBOUR_SOLICITED : 0) |
                         (flags & FLAG_OVERRIDE ? NEIGHBOUR_OVERRIDE : 0) |
                         (flags & FLAG_ROUTER ? NEIGHBOUR_ROUTER : 0));
}

static uint64_t lifetime_end(const struct stack *s, const uint8_t *at)
{
    be32 seconds;
    memcpy(&seconds, at, sizeof(seconds));
    uint32_t n = be32_get(seconds);
    return n == UINT32_MAX ? STACK_NEVER : s->now_ns + n * LEAT_NS_PER_S;
}

/* RFC 4291 appendix A: modified EUI-64. */
static struct ip_addr prefix_address(const struct stack *s, const struct ip_addr *net)
{
    struct ip_addr ip = *net;
    memcpy(ip.b + 8, s->mac.b, 3);
    ip.b[8] ^= 2;
    ip.b[11] = 0xff;
    ip.b[12] = 0xfe;
    memcpy(ip.b + 13, s->mac.b + 3, 3);
    return ip;
}

/* RFC 4862 5.5.3 */
static void autonomous_input(struct stack *s, const struct ip_addr *net, uint64_t preferred,
                             uint64_t valid)
{
    struct ip_addr ip = prefix_address(s, net);
    /* (e): an unauthenticated message does not shorten below two hours */
    const struct stack_addr *known = addr_find(s, &ip);
    uint64_t floor = s->now_ns + 7200 * LEAT_NS_PER_S;
    if (known != NULL && valid < floor && valid < known->valid_until_ns)
        valid = known->valid_until_ns < floor ? known->valid_until_ns : floor;
    if (valid > s->now_ns)
        addr_add_automatic(s, &ip, PREFIX_BITS, preferred, valid);
}

/* RFC 4861 6.3.4: a prefix without the on-link flag says nothing of the link, neither that its
 * hosts are there nor that they are not. */
static void prefix_input(struct stack *s, const uint8_t *option)
{
    uint8_t bits = option[2], flags = option[3];
    struct ip_addr net;
    memcpy(net.b, option + 16, sizeof(net.b));
    uint64_t valid = lifetime_end(s, option + 4), preferred = lifetime_end(s, option + 8);
    if (bits > 128 || ip_addr_is_link_local(&net) || ip_addr_is_multicast(&net))
        return;
    if (flags & PREFIX_ON_LINK)
        route_advertise(s, &(struct stack_route){.net = net,
                                                 .prefix_bits = bits,
                                                 .valid_until_ns = valid});
    if ((flags & PREFIX_AUTONOMOUS) && bits == PREFIX_BITS && preferred <= valid)
        autonomous_input(s, &net, preferred, valid);
}

/* RFC 4861 6.3.4: what of it is out of range is passed over. A hop limit is only ever raised, for
 * one message of a stranger could cut us off (RFC 3756 4.2.7). */
static void router_parameters(struct stack *s, const struct nd_options *o, uint8_t hop_limit)
{
    if (hop_limit > s->hop_limit_v6)
        s->hop_limit_v6 = hop_limit;
    if (o->mtu_bytes < MTU_BYTES_MIN_V6 || o->mtu_bytes > s->mtu_link_bytes)
        return;
    s->mtu_advertised_bytes = (uint16_t)o->mtu_bytes;
    stack_mtu_update(s);
}

static void router_input(struct stack *s, struct rx_packet *p)
{
    struct nd_options o;
    if (p->length_bytes < 16 || p->data[1] != 0 || !ip_addr_is_link_local(&p->src) ||
        !options_parse(&o, p->data + 16, p->length_bytes - 16)) {
        stack_drop(s, STACK_DROP_ND_MALFORMED);
        return;
    }
    if (!s->autoconfigure)
        return;
    if (s->steer != NULL && !(p->flags & RX_STEERED))
        steer_copy(s, p, IP_ICMPV6);
    uint32_t seconds = (uint32_t)p->data[6] << 8 | p->data[7];
    s->router_solicits_left = 0;
    if (o.source_mac != NULL)
        neighbour_learn(s, &p->src, o.source_mac, NEIGHBOUR_MAKE);
    route_advertise(s,
                    &(struct stack_route){.gateway = p->src,
                                          .valid_until_ns = s->now_ns + seconds * LEAT_NS_PER_S});
    router_parameters(s, &o, p->data[4]);
    for (unsigned i = 0; i < o.prefix_count; i++)
        prefix_input(s, o.prefixes[i]);
}

void nd_input(struct stack *s, struct rx_packet *p)
{
    const struct icmp_header *icmp = (const void *)p->data;
    if (p->hop_limit != 255) {
        stack_drop(s, STACK_DROP_ND_HOP_LIMIT);
        return;
    }
    s->count.nd_rx++;
    if (icmp->type == ND_SOLICIT)
        solicit_input(s, p);
    else if (icmp->type == ND_ADVERT)
        advert_input(s, p);
    else if (icmp->type == ND_ROUTER_ADVERT)
        router_input(s, p);
}

void nd_routers_ask(struct stack *s)
{
    if (!s->autoconfigure || s->core != 0)
        return;
    s->router_solicits_left = 3;
    s->router_next_ns = s->now_ns;
    if (s->now_ns < s->slow_next_ns)
        s->slow_next_ns = s->now_ns;
}

/* RFC 4861 6.3.7: three solicitations, four seconds apart. */
uint64_t nd_router_tick(struct stack *s)
{
    if (s->now_ns < s->router_next_ns || s->router_solicits_left == 0)
        return s->router_solicits_left == 0 ? STACK_NEVER : s->router_next_ns;
    struct ip_addr link = {{0xfe, 0x80}};
    for (uint32_t i = 0; i < s->addr_count; i++)
        if (ip_addr_is_link_local(&s->addrs[i].ip) && s->addrs[i].state == ADDR_VALID)
            link = s->addrs[i].ip;
    s->router_next_ns = s->now_ns + 4 * LEAT_NS_PER_S;
    if (link.b[15] == 0 && link.b[8] == 0)
        return s->router_next_ns; /* our link-local address is not ready */
    s->router_solicits_left--;
    struct icmp_header rs = {.type = ND_ROUTER_SOLICIT};
    struct path path = {.src = link, .dst = all_routers, .hop = all_routers};
    nd_send(s, &path, &rs, sizeof(rs), ND_OPTION_SOURCE_MAC);
    return s->router_solicits_left > 0 ? s->router_next_ns : STACK_NEVER;
}
