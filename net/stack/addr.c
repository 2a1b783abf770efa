/* Our addresses and their life: probes, announcements, conflicts, lifetimes (RFC 5227, 4862). */
#include <arpa/inet.h>
#include <errno.h>

#include <leat/log.h>

#include "net/stack/dhcp.h"
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"
#include "net/stack/udp.h"

#define INDEX_SLOTS (2 * STACK_ADDRS_MAX)

static uint32_t addr_hash(const struct ip_addr *ip)
{
    uint32_t tail;
    memcpy(&tail, ip->b + 12, sizeof(tail));
    return (tail * UINT32_C(0x9e3779b9)) >> 16;
}

static void broadcasts_reindex(struct stack *s)
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
static void addrs_reindex(struct stack *s)
{
    memset(s->addr_index, 0, sizeof(s->addr_index));
    for (uint32_t i = 0; i < s->addr_count; i++) {
        uint32_t slot = addr_hash(&s->addrs[i].ip) % INDEX_SLOTS;
        while (s->addr_index[slot] != 0)
            slot = (slot + 1) % INDEX_SLOTS;
        s->addr_index[slot] = (uint16_t)(i + 1);
    }
    broadcasts_reindex(s);
}

struct stack_addr *addr_find(struct stack *s, const struct ip_addr *ip)
{
    uint32_t slot = addr_hash(ip) % INDEX_SLOTS;
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

static bool is_unicast_ip(const struct ip_addr *ip)
{
    return !ip_addr_is_any(ip) && !ip_addr_is_multicast(ip);
}

static unsigned addr_probe_count(const struct stack_addr *a)
{
    return ip_addr_is_v4(&a->ip) ? 3 : 1; /* RFC 5227 1.1, RFC 4862 5.1 */
}

static int addr_add(struct stack *s, const struct stack_addr *a, enum addr_use use)
{
    if (!is_unicast_ip(&a->ip) || a->prefix_bits > 128)
        return -EINVAL;
    if (addr_find(s, &a->ip) != NULL)
        return -EEXIST;
    if (s->addr_count == STACK_ADDRS_MAX)
        return -ENOSPC;
    struct stack_addr *to = &s->addrs[s->addr_count++];
    *to = *a;
    addrs_reindex(s);
    bool probe = use == ADDR_PROBED && s->link_kind == LEAT_LINK_ETHERNET;
    to->state = probe ? ADDR_TENTATIVE : ADDR_VALID;
    if (s->core != 0) { /* the first core probes and announces, and tells the others */
        addr_due(s, to, a->valid_until_ns);
        return 0;
    }
    if (!ip_addr_is_v4(&a->ip)) { /* RFC 4862 5.4.2: joined before it is probed for */
        struct ip_addr group = group_solicited(&a->ip);
        if (group_join(s, &group) < 0) /* sockets have joined them all: it serves all the same */
            stack_drop(s, STACK_DROP_ND_LIMIT);
    }
    to->probes_left = (uint8_t)(probe ? addr_probe_count(a) : 0);
    to->announces_left = s->link_kind == LEAT_LINK_ETHERNET ? 2 : 0;
    /* RFC 5227 2.1.1, RFC 4862 5.4.2: the first probe at a random time within a second. */
    addr_due(s, to, s->now_ns + (probe ? stack_random(s) % LEAT_NS_PER_S : 0));
    return 0;
}

/* The network that an address brings along; owners 0: none (RFC 4861 6.3.4: a prefix that makes
 * addresses is on the link only where its router says so). */
static struct stack_route addr_net(const struct stack_addr *a)
{
    return (struct stack_route){.net = a->ip,
                                .prefix_bits = a->prefix_bits,
                                .owners = a->automatic   ? 0
                                          : a->is_leased ? ROUTE_LEASED_NET
                                                         : ROUTE_STATIC};
}

static int addr_add_with_net(struct stack *s, const struct stack_addr *a, enum addr_use use)
{
    int result = addr_add(s, a, use);
    struct stack_route net = addr_net(a);
    return result < 0 || net.owners == 0 ? result : route_add(s, &net);
}

/* The network goes with the last address that brought it. */
static void addr_net_remove(struct stack *s, const struct stack_addr *gone)
{
    struct stack_route net = addr_net(gone);
    for (uint32_t i = 0; i < s->addr_count; i++) {
        const struct stack_addr *a = &s->addrs[i];
        if (a->prefix_bits == gone->prefix_bits && addr_net(a).owners == net.owners &&
            ip_addr_in(&a->ip, &gone->ip, gone->prefix_bits))
            return;
    }
    if (net.owners != 0)
        route_remove(s, &net);
}

int stack_add_address(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits)
{
    struct stack_addr a = {.ip = *ip,
                           .prefix_bits = (uint8_t)prefix_bits_of_128(ip, prefix_bits),
                           .preferred_until_ns = STACK_NEVER,
                           .valid_until_ns = STACK_NEVER};
    if (prefix_bits > (ip_addr_is_v4(ip) ? 32 : 128))
        return -EINVAL;
    return addr_add_with_net(s, &a, s->probe_addresses ? ADDR_PROBED : ADDR_AT_ONCE);
}

int stack_add_leased(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits,
                     enum addr_use use)
{
    struct stack_addr a = {.ip = *ip,
                           .prefix_bits = (uint8_t)prefix_bits_of_128(ip, prefix_bits),
                           .is_leased = true,
                           .preferred_until_ns = STACK_NEVER,
                           .valid_until_ns = STACK_NEVER};
    return addr_add_with_net(s, &a, use);
}

void addr_set_lease_end(struct stack *s, const struct ip_addr *ip, uint64_t until_ns)
{
    struct stack_addr *a = addr_find(s, ip);
    if (a == NULL || !a->is_leased)
        return;
    a->valid_until_ns = until_ns;
    addr_due(s, a, a->next_ns);
}

/* Whether one more may be made from a prefix: one that is not preferred any more goes for it. */
static bool automatic_make_room(struct stack *s)
{
    const struct stack_addr *oldest = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->addr_count; i++) {
        const struct stack_addr *a = &s->addrs[i];
        count += a->automatic;
        if (a->automatic && a->preferred_until_ns <= s->now_ns &&
            (oldest == NULL || a->valid_until_ns < oldest->valid_until_ns))
            oldest = a;
    }
    if (count < ADDR_AUTOMATIC_MAX)
        return true;
    if (oldest == NULL)
        stack_drop(s, STACK_DROP_ND_LIMIT);
    else
        stack_remove_address(s, &oldest->ip);
    return oldest != NULL;
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
    if (!automatic_make_room(s))
        return -ENOSPC;
    struct stack_addr a = {.ip = *ip,
                           .prefix_bits = (uint8_t)prefix_bits,
                           .automatic = true,
                           .preferred_until_ns = preferred_until_ns,
                           .valid_until_ns = valid_until_ns};
    return addr_add_with_net(s, &a, s->probe_addresses ? ADDR_PROBED : ADDR_AT_ONCE);
}

int stack_remove_address(struct stack *s, const struct ip_addr *ip)
{
    struct stack_addr *a = addr_find(s, ip);
    if (a == NULL)
        return -ENOENT;
    struct stack_addr gone = *a; /* ip may be the entry's own */
    *a = s->addrs[--s->addr_count];
    addrs_reindex(s);
    addr_net_remove(s, &gone);
    if (s->core == 0 && !ip_addr_is_v4(&gone.ip)) {
        struct ip_addr group = group_solicited(&gone.ip);
        group_leave(s, &group);
    }
    neighbour_drop_parked_from(s, &gone.ip);
    tcp_address_gone(s, &gone.ip);
    udp_address_gone(s, &gone.ip);
    return 0;
}

static void addr_tell(struct stack *s, const struct stack_addr *a, enum stack_addr_state state)
{
    struct steer_news news = {.kind = STEER_NEWS_ADDRESS,
                              .ip = a->ip,
                              .address_state = (uint8_t)state};
    if (s->steer != NULL)
        steer_tell(s, &news);
}

/* RFC 5227 2.4 (b): defend once in ten seconds; a leased address is given up when that does not
 * help. RFC 4862 5.4: a tentative address is not used. */
static void addr_contest(struct stack *s, struct stack_addr *a)
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

/* Nobody reads what simulated hosts find. */
static void conflict_say(struct stack *s, struct stack_addr *a, const struct mac_addr *mac)
{
    char text[INET6_ADDRSTRLEN];
    bool is_v4 = ip_addr_is_v4(&a->ip);
    if (a->said_count != 0 && s->now_ns - a->said_ns < ADDR_CONFLICT_SAY_NS)
        return;
    a->said_count++;
    a->said_ns = s->now_ns;
    if (leat_core_now->log == NULL)
        return;
    inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? a->ip.b + 12 : a->ip.b, text, sizeof(text));
    const uint8_t *m = mac->b;
    LEAT_LOG_WARN("%02x:%02x:%02x:%02x:%02x:%02x uses %s too%s: give each host an address of its "
                  "own",
                  m[0], m[1], m[2], m[3], m[4], m[5], text,
                  a->state == ADDR_DUPLICATE ? ", which is not used here" : "");
}

void addr_conflict(struct stack *s, struct stack_addr *a, const struct mac_addr *mac)
{
    addr_contest(s, a);
    conflict_say(s, a, mac);
    addr_tell(s, a, ADDR_DUPLICATE);
}

void addr_hear(struct stack *s, const struct ip_addr *ip, enum stack_addr_state state)
{
    struct stack_addr *a = addr_find(s, ip);
    if (a != NULL && state == ADDR_DUPLICATE)
        addr_contest(s, a);
    else if (a != NULL && a->state == ADDR_TENTATIVE)
        a->state = ADDR_VALID;
}

static void addr_announce(struct stack *s, const struct stack_addr *a)
{
    static const struct ip_addr all_nodes = {{0xff, 0x02, [15] = 1}};
    if (ip_addr_is_v4(&a->ip))
        arp_request(s, &a->ip, &a->ip, NULL);
    else
        nd_advertise(s, &a->ip, &all_nodes, NULL, UINT32_C(1) << 29);
}

/* Who slept meanwhile has not heard the answer: it asks again. */
static bool probes_were_missed(const struct stack *s, const struct stack_addr *a)
{
    return a->state == ADDR_TENTATIVE && a->probes_left < addr_probe_count(a) &&
           s->now_ns - a->next_ns > LEAT_NS_PER_S;
}

static void addr_step(struct stack *s, struct stack_addr *a)
{
    static const struct ip_addr none_v4 = {{[10] = 0xff, [11] = 0xff}}, none_v6;
    if (probes_were_missed(s, a))
        a->probes_left = (uint8_t)addr_probe_count(a);
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
        addr_tell(s, a, ADDR_VALID);
        if (ip_addr_is_link_local(&a->ip)) /* RFC 3590 4: until now there was no source address */
            group_announce_all(s, false);
        if (a->is_leased)
            dhcp_address_changed(s);
    }
    if (a->announces_left == 0 || a->state == ADDR_DUPLICATE) {
        a->next_ns = a->valid_until_ns;
        return;
    }
    a->announces_left--;
    addr_announce(s, a);
    addr_due(s, a, a->announces_left > 0 ? s->now_ns + 2 * LEAT_NS_PER_S : STACK_NEVER);
}

/* A lease's end is the client's business, where it runs. */
void addr_expire(struct stack *s)
{
    dhcp_expire(s);
    for (uint32_t i = s->addr_count; i-- > 0;)
        if (s->addrs[i].valid_until_ns <= s->now_ns)
            stack_remove_address(s, &s->addrs[i].ip);
}

void addr_announce_all(struct stack *s)
{
    for (uint32_t i = 0; i < s->addr_count; i++) {
        struct stack_addr *a = &s->addrs[i];
        if (a->state != ADDR_VALID || s->core != 0 || s->link_kind != LEAT_LINK_ETHERNET)
            continue;
        a->announces_left = 2;
        addr_due(s, a, s->now_ns);
    }
}

uint64_t addr_tick(struct stack *s)
{
    if (s->now_ns < s->addr_next_ns)
        return s->addr_next_ns;
    uint64_t next = STACK_NEVER;
    addr_expire(s);
    for (uint32_t i = 0; i < s->addr_count; i++) {
        struct stack_addr *a = &s->addrs[i];
        if (a->next_ns <= s->now_ns)
            addr_step(s, a);
        if (a->next_ns < next)
            next = a->next_ns;
    }
    s->addr_next_ns = next;
    return next;
}

static unsigned common_bits(const struct ip_addr *a, const struct ip_addr *b)
{
    unsigned i = 0;
    while (i < 16 && a->b[i] == b->b[i])
        i++;
    return i == 16 ? 128 : 8 * i + (unsigned)__builtin_clz(a->b[i] ^ b->b[i]) - 24;
}

/* The higher the better; the last rule, the longest common prefix, breaks ties. */
static unsigned addr_rank(const struct stack *s, const struct stack_addr *a,
                          const struct ip_addr *dst, const struct ip_addr *hop)
{
    unsigned rank = 0;
    if (ip_addr_equal(&a->ip, dst))
        rank += 8;
    if (ip_addr_is_link_local(&a->ip) == ip_addr_is_link_local(dst))
        rank += 4;
    if (a->preferred_until_ns > s->now_ns)
        rank += 2;
    if (ip_addr_in(hop, &a->ip, a->prefix_bits))
        rank += 1;
    return rank << 8 | common_bits(&a->ip, dst);
}

const struct stack_addr *addr_choose(const struct stack *s, const struct ip_addr *dst,
                                     const struct ip_addr *hop)
{
    const struct stack_addr *best = NULL;
    unsigned best_rank = 0;
    for (uint32_t i = 0; i < s->addr_count; i++) {
        const struct stack_addr *a = &s->addrs[i];
        if (a->state != ADDR_VALID || ip_addr_is_v4(&a->ip) != ip_addr_is_v4(dst))
            continue;
        unsigned rank = addr_rank(s, a, dst, hop);
        if (best == NULL || rank > best_rank) {
            best = a;
            best_rank = rank;
        }
    }
    return best;
}
