/* Our addresses, the routes, and which of them a packet takes. */
#include "net/stack/dhcp.h"
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"
#include "net/stack/udp.h"

#include <errno.h>

#define INDEX_SLOTS (2 * STACK_ADDRS_MAX)

static unsigned family_bits(const struct ip_addr *ip, unsigned prefix_bits)
{
    return ip_addr_is_v4(ip) ? prefix_bits + 96 : prefix_bits;
}

static uint32_t index_of(const struct ip_addr *ip)
{
    uint32_t tail;
    memcpy(&tail, ip->b + 12, sizeof(tail));
    return (tail * UINT32_C(0x9e3779b9)) >> 16;
}

static void reindex_broadcasts(struct stack *s)
{
    s->broadcast_count = 0;
    for (uint32_t i = 0; i < s->addr_count; i++) {
        const struct stack_addr *a = &s->addrs[i];
        if (!ip_addr_is_v4(&a->ip) || a->prefix_bits >= 127) /* RFC 3021: /31 has none */
            continue;
        uint32_t host = UINT32_MAX >> (a->prefix_bits - 96), seen = 0;
        be32 all = be32_put(be32_get(ip_addr_get_v4(&a->ip)) | host);
        while (seen < s->broadcast_count && s->broadcasts[seen].raw != all.raw)
            seen++;
        if (seen == s->broadcast_count) {
            s->broadcasts[s->broadcast_count++] = all;
            neighbour_forget(s, ip_addr_v4(all));
        }
    }
}

/* The index is made anew when an address comes or goes: both are rare. */
static void reindex(struct stack *s)
{
    memset(s->addr_index, 0, sizeof(s->addr_index));
    for (uint32_t i = 0; i < s->addr_count; i++) {
        uint32_t slot = index_of(&s->addrs[i].ip) % INDEX_SLOTS;
        while (s->addr_index[slot] != 0)
            slot = (slot + 1) % INDEX_SLOTS;
        s->addr_index[slot] = (uint16_t)(i + 1);
    }
    reindex_broadcasts(s);
}

struct stack_addr *addr_find(struct stack *s, const struct ip_addr *ip)
{
    uint32_t slot = index_of(ip) % INDEX_SLOTS;
    for (; s->addr_index[slot] != 0; slot = (slot + 1) % INDEX_SLOTS) {
        struct stack_addr *a = &s->addrs[s->addr_index[slot] - 1];
        if (ip_addr_equal(&a->ip, ip))
            return a;
    }
    return NULL;
}

bool addr_is_local(struct stack *s, const struct ip_addr *ip)
{
    const struct stack_addr *a = addr_find(s, ip);
    return a != NULL && a->state == ADDR_VALID;
}

bool addr_is_broadcast(const struct stack *s, const struct ip_addr *ip)
{
    if (!ip_addr_is_v4(ip))
        return false;
    be32 v4 = ip_addr_get_v4(ip);
    for (uint32_t i = 0; i < s->broadcast_count; i++)
        if (s->broadcasts[i].raw == v4.raw)
            return true;
    return v4.raw == UINT32_MAX;
}

/* ---- addresses ---- */

/* Not later than its end. */
static void addr_due(struct stack *s, struct stack_addr *a, uint64_t at_ns)
{
    at_ns = at_ns < a->valid_until_ns ? at_ns : a->valid_until_ns;
    a->next_ns = at_ns;
    if (at_ns < s->addr_next_ns)
        s->addr_next_ns = at_ns;
    if (at_ns < s->slow_next_ns)
        s->slow_next_ns = at_ns;
}

static bool is_unicast(const struct ip_addr *ip)
{
    return !ip_addr_is_any(ip) && !ip_addr_is_multicast(ip);
}

static int add(struct stack *s, const struct stack_addr *a, bool probes)
{
    if (!is_unicast(&a->ip) || a->prefix_bits > 128)
        return -EINVAL;
    if (addr_find(s, &a->ip) != NULL)
        return -EEXIST;
    if (s->addr_count == STACK_ADDRS_MAX)
        return -ENOSPC;
    struct stack_addr *to = &s->addrs[s->addr_count++];
    *to = *a;
    reindex(s);
    bool probe = probes && s->link_kind == LEAT_LINK_ETHERNET;
    to->state = probe ? ADDR_TENTATIVE : ADDR_VALID;
    if (s->core != 0) { /* the first core probes and announces, and tells the others */
        addr_due(s, to, a->valid_until_ns);
        return 0;
    }
    to->probes_left = !probe ? 0 : ip_addr_is_v4(&a->ip) ? 3 : 1;
    to->announces_left = s->link_kind == LEAT_LINK_ETHERNET ? 2 : 0;
    /* RFC 5227 2.1.1, RFC 4862 5.4.2: the first probe at a random time within a second. */
    addr_due(s, to, s->now_ns + (probe ? stack_random(s) % LEAT_NS_PER_S : 0));
    return 0;
}

int stack_add_address(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits)
{
    struct stack_addr a = {.ip = *ip,
                           .prefix_bits = (uint8_t)family_bits(ip, prefix_bits),
                           .preferred_until_ns = STACK_NEVER,
                           .valid_until_ns = STACK_NEVER};
    if (prefix_bits > (ip_addr_is_v4(ip) ? 32 : 128))
        return -EINVAL;
    int result = add(s, &a, s->probe_addresses);
    return result < 0 ? result : stack_add_route(s, ip, prefix_bits, NULL);
}

int stack_add_leased(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits, bool probes)
{
    struct stack_addr a = {.ip = *ip,
                           .prefix_bits = (uint8_t)family_bits(ip, prefix_bits),
                           .is_leased = true,
                           .preferred_until_ns = STACK_NEVER,
                           .valid_until_ns = STACK_NEVER};
    int result = add(s, &a, probes);
    return result < 0 ? result : stack_add_route(s, ip, prefix_bits, NULL);
}

int addr_add_automatic(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits,
                       uint64_t preferred_until_ns, uint64_t valid_until_ns)
{
    struct stack_addr *known = addr_find(s, ip);
    if (known != NULL) {
        if (known->automatic) {
            known->preferred_until_ns = preferred_until_ns;
            known->valid_until_ns = valid_until_ns;
            addr_due(s, known, known->next_ns);
        }
        return 0;
    }
    struct stack_addr a = {.ip = *ip,
                           .prefix_bits = (uint8_t)prefix_bits,
                           .automatic = true,
                           .preferred_until_ns = preferred_until_ns,
                           .valid_until_ns = valid_until_ns};
    int result = add(s, &a, s->probe_addresses);
    return result < 0 ? result : stack_add_route(s, ip, prefix_bits, NULL);
}

int stack_remove_address(struct stack *s, const struct ip_addr *ip)
{
    struct stack_addr *a = addr_find(s, ip);
    if (a == NULL)
        return -ENOENT;
    struct ip_addr gone = *ip; /* ip may be the entry's own */
    *a = s->addrs[--s->addr_count];
    reindex(s);
    tcp_address_gone(s, &gone);
    udp_address_gone(s, &gone);
    return 0;
}

static void tell(struct stack *s, const struct stack_addr *a, enum stack_addr_state state)
{
    struct steer_news news = {.kind = STEER_NEWS_ADDRESS,
                              .ip = a->ip,
                              .address_state = (uint8_t)state};
    if (s->steer != NULL)
        steer_tell(s, &news);
}

/* RFC 5227 2.4 (b): defend once in ten seconds; a leased address is given up when that does not
 * help. RFC 4862 5.4: a tentative address is not used. */
static void conflict(struct stack *s, struct stack_addr *a)
{
    bool may_defend = a->defended_ns == 0 || s->now_ns - a->defended_ns > 10 * LEAT_NS_PER_S;
    if (a->state == ADDR_TENTATIVE || (a->state == ADDR_VALID && a->is_leased && !may_defend)) {
        a->state = ADDR_DUPLICATE;
        addr_due(s, a, STACK_NEVER);
        if (a->is_leased)
            dhcp_address_changed(s);
    } else if (a->state == ADDR_VALID && s->core == 0 && may_defend) {
        a->defended_ns = s->now_ns;
        a->announces_left = 1;
        addr_due(s, a, s->now_ns);
    }
}

void addr_conflict(struct stack *s, struct stack_addr *a)
{
    conflict(s, a);
    tell(s, a, ADDR_DUPLICATE);
}

void addr_hear(struct stack *s, const struct ip_addr *ip, enum stack_addr_state state)
{
    struct stack_addr *a = addr_find(s, ip);
    if (a != NULL && state == ADDR_DUPLICATE)
        conflict(s, a);
    else if (a != NULL && a->state == ADDR_TENTATIVE)
        a->state = ADDR_VALID;
}

static void announce(struct stack *s, const struct stack_addr *a)
{
    static const struct ip_addr all_nodes = {{0xff, 0x02, [15] = 1}};
    if (ip_addr_is_v4(&a->ip))
        arp_request(s, &a->ip, &a->ip, NULL);
    else
        nd_advertise(s, &a->ip, &all_nodes, NULL, UINT32_C(1) << 29);
}

static void addr_step(struct stack *s, struct stack_addr *a)
{
    static const struct ip_addr none_v4 = {{[10] = 0xff, [11] = 0xff}}, none_v6;
    if (a->state == ADDR_TENTATIVE && a->probes_left > 0) {
        a->probes_left--;
        if (ip_addr_is_v4(&a->ip))
            arp_request(s, &a->ip, &none_v4, NULL);
        else
            nd_solicit(s, &a->ip, &none_v6, NULL);
        addr_due(s, a, s->now_ns + LEAT_NS_PER_S);
        return;
    }
    if (a->state == ADDR_TENTATIVE) {
        a->state = ADDR_VALID;
        tell(s, a, ADDR_VALID);
        if (a->is_leased)
            dhcp_address_changed(s);
    }
    if (a->announces_left == 0 || a->state == ADDR_DUPLICATE) {
        a->next_ns = a->valid_until_ns;
        return;
    }
    a->announces_left--;
    announce(s, a);
    addr_due(s, a, a->announces_left > 0 ? s->now_ns + 2 * LEAT_NS_PER_S : STACK_NEVER);
}

uint64_t addr_tick(struct stack *s)
{
    if (s->now_ns < s->addr_next_ns)
        return s->addr_next_ns;
    uint64_t next = STACK_NEVER;
    for (uint32_t i = 0; i < s->addr_count; i++) {
        struct stack_addr *a = &s->addrs[i];
        if (a->valid_until_ns <= s->now_ns) {
            struct ip_addr gone = a->ip;
            stack_remove_address(s, &gone);
            i--;
            continue;
        }
        if (a->next_ns <= s->now_ns)
            addr_step(s, a);
        if (a->next_ns < next)
            next = a->next_ns;
    }
    s->addr_next_ns = next;
    return next;
}

const struct stack_addr *addr_choose(const struct stack *s, const struct ip_addr *dst,
                                     const struct ip_addr *hop)
{
    const struct stack_addr *best = NULL;
    int best_rank = -1;
    for (uint32_t i = 0; i < s->addr_count; i++) {
        const struct stack_addr *a = &s->addrs[i];
        if (a->state != ADDR_VALID || ip_addr_is_v4(&a->ip) != ip_addr_is_v4(dst))
            continue;
        int rank = 0;
        if (ip_addr_is_link_local(&a->ip) == ip_addr_is_link_local(dst))
            rank += 4;
        if (a->preferred_until_ns > s->now_ns)
            rank += 2;
        if (ip_addr_in(hop, &a->ip, a->prefix_bits))
            rank += 1;
        if (ip_addr_equal(&a->ip, dst))
            rank += 8;
        if (rank > best_rank) {
            best = a;
            best_rank = rank;
        }
    }
    return best;
}

/* ---- routes ---- */

static int insert_route(struct stack *s, const struct stack_route *r)
{
    uint32_t at = 0;
    for (; at < s->route_count && s->routes[at].prefix_bits >= r->prefix_bits; at++) {
        struct stack_route *old = &s->routes[at];
        if (old->prefix_bits == r->prefix_bits && ip_addr_in(&r->net, &old->net, r->prefix_bits) &&
            ip_addr_equal(&old->gateway, &r->gateway)) {
            old->valid_until_ns = r->valid_until_ns;
            return 0;
        }
    }
    if (s->route_count == STACK_ROUTES_MAX)
        return -ENOSPC;
    memmove(&s->routes[at + 1], &s->routes[at], (s->route_count - at) * sizeof(s->routes[0]));
    s->routes[at] = *r;
    s->route_count++;
    return 0;
}

int stack_add_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                    const struct ip_addr *gateway)
{
    struct stack_route r = {.net = *net,
                            .prefix_bits = (uint8_t)family_bits(net, prefix_bits),
                            .valid_until_ns = STACK_NEVER};
    if (prefix_bits > (ip_addr_is_v4(net) ? 32 : 128))
        return -EINVAL;
    if (gateway != NULL)
        r.gateway = *gateway;
    return insert_route(s, &r);
}

void stack_remove_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                        const struct ip_addr *gateway)
{
    static const struct ip_addr none;
    unsigned bits = family_bits(net, prefix_bits);
    for (uint32_t i = 0; i < s->route_count; i++) {
        struct stack_route *r = &s->routes[i];
        if (r->prefix_bits == bits && ip_addr_in(net, &r->net, bits) &&
            ip_addr_equal(&r->gateway, gateway != NULL ? gateway : &none)) {
            s->route_count--;
            memmove(r, r + 1, (s->route_count - i) * sizeof(*r));
            return;
        }
    }
}

void route_set_default(struct stack *s, const struct ip_addr *gateway, uint64_t until_ns)
{
    struct stack_route r = {.gateway = *gateway, .automatic = true, .valid_until_ns = until_ns};
    if (ip_addr_is_v4(gateway)) {
        r.net = ip_addr_v4((be32){0});
        r.prefix_bits = 96;
    }
    insert_route(s, &r);
}

static const struct stack_route *route_find(const struct stack *s, const struct ip_addr *dst)
{
    bool v4 = ip_addr_is_v4(dst);
    for (uint32_t i = 0; i < s->route_count; i++) {
        const struct stack_route *r = &s->routes[i];
        if (v4 == (r->prefix_bits >= 96 && ip_addr_is_v4(&r->net)) &&
            ip_addr_in(dst, &r->net, r->prefix_bits) && r->valid_until_ns > s->now_ns)
            return r;
    }
    return NULL;
}

int path_find(struct stack *s, const struct ip_addr *src, const struct ip_addr *dst,
              struct path *path)
{
    *path = (struct path){.dst = *dst, .hop = *dst, .hop_limit = s->hop_limit};
    path->local = addr_is_local(s, dst);
    if (!path->local && !ip_addr_is_multicast(dst) && !addr_is_broadcast(s, dst)) {
        const struct stack_route *r = route_find(s, dst);
        if (r == NULL) {
            stack_drop(s, STACK_DROP_ROUTE_NONE);
            return -ENETUNREACH;
        }
        if (!ip_addr_is_any(&r->gateway))
            path->hop = r->gateway;
    }
    if (src == NULL) {
        const struct stack_addr *a = addr_choose(s, dst, &path->hop);
        if (a == NULL)
            return -EADDRNOTAVAIL;
        src = &a->ip;
    }
    path->src = *src;
    path->mtu_bytes = pmtu_of(s, dst);
    return 0;
}

/* ---- path MTU ---- */

uint16_t pmtu_of(const struct stack *s, const struct ip_addr *dst)
{
    for (unsigned i = 0; i < PMTU_MAX; i++)
        if (s->pmtu[i].mtu_bytes != 0 && s->pmtu[i].until_ns > s->now_ns &&
            ip_addr_equal(&s->pmtu[i].dst, dst))
            return s->pmtu[i].mtu_bytes;
    return s->mtu_bytes;
}

/* RFC 1191 6.3 and RFC 8201 4: never grows by a message, is forgotten after ten minutes. */
void pmtu_learn(struct stack *s, const struct ip_addr *dst, uint32_t mtu_bytes)
{
    uint32_t floor = ip_addr_is_v4(dst) ? 552 : 1280;
    uint32_t mtu = mtu_bytes < floor ? floor : mtu_bytes;
    if (mtu >= pmtu_of(s, dst))
        return;
    struct pmtu_entry *to = &s->pmtu[0];
    for (unsigned i = 0; i < PMTU_MAX; i++) {
        struct pmtu_entry *e = &s->pmtu[i];
        if (e->mtu_bytes != 0 && ip_addr_equal(&e->dst, dst)) {
            to = e;
            break;
        }
        if (e->until_ns < to->until_ns)
            to = e;
    }
    *to = (struct pmtu_entry){*dst, (uint16_t)mtu, s->now_ns + 600 * LEAT_NS_PER_S};
}
