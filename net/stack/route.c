/* Routes and their owners, and the path that a packet takes. */
#include <errno.h>

#include "net/stack/stack.h"

static bool route_is_same(const struct stack_route *a, const struct stack_route *b)
{
    return a->prefix_bits == b->prefix_bits && ip_addr_in(&a->net, &b->net, a->prefix_bits) &&
           ip_addr_equal(&a->gateway, &b->gateway);
}

static struct stack_route *route_same(struct stack *s, const struct stack_route *r)
{
    for (uint32_t i = 0; i < s->route_count; i++)
        if (route_is_same(&s->routes[i], r))
            return &s->routes[i];
    return NULL;
}

/* Longest prefix first, the older one first of the same length. */
static int route_insert(struct stack *s, const struct stack_route *r)
{
    uint32_t at = 0;
    if (s->route_count == STACK_ROUTES_MAX)
        return -ENOSPC;
    while (at < s->route_count && s->routes[at].prefix_bits >= r->prefix_bits)
        at++;
    memmove(&s->routes[at + 1], &s->routes[at], (s->route_count - at) * sizeof(s->routes[0]));
    s->routes[at] = *r;
    s->route_count++;
    return 0;
}

/* Paths through the gateway look for another one (RFC 4861 6.3.5). */
static void route_delete(struct stack *s, struct stack_route *r)
{
    struct ip_addr gateway = r->gateway;
    uint32_t at = (uint32_t)(r - s->routes);
    s->route_count--;
    memmove(r, r + 1, (s->route_count - at) * sizeof(*r));
    if (!ip_addr_is_any(&gateway))
        neighbour_release_paths(s, &gateway);
}

int route_add(struct stack *s, const struct stack_route *r)
{
    struct stack_route *known = route_same(s, r);
    if (known == NULL)
        return route_insert(s, r);
    known->owners |= r->owners;
    if (r->owners & ROUTE_ADVERTISED)
        known->valid_until_ns = r->valid_until_ns;
    return 0;
}

void route_remove(struct stack *s, const struct stack_route *r)
{
    struct stack_route *known = route_same(s, r);
    if (known == NULL)
        return;
    known->owners &= (uint8_t)~r->owners;
    if (known->owners == 0)
        route_delete(s, known);
}

static struct stack_route route_static(const struct ip_addr *net, unsigned prefix_bits,
                                       const struct ip_addr *gateway)
{
    struct stack_route r = {.net = *net,
                            .prefix_bits = (uint8_t)prefix_bits_of_128(net, prefix_bits),
                            .owners = ROUTE_STATIC};
    if (gateway != NULL)
        r.gateway = *gateway;
    return r;
}

int stack_add_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                    const struct ip_addr *gateway)
{
    if (prefix_bits > (ip_addr_is_v4(net) ? 32 : 128))
        return -EINVAL;
    struct stack_route r = route_static(net, prefix_bits, gateway);
    return route_add(s, &r);
}

void stack_remove_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                        const struct ip_addr *gateway)
{
    struct stack_route r = route_static(net, prefix_bits, gateway);
    route_remove(s, &r);
}

/* ---- what routers advertise ---- */

static void advertised_due(struct stack *s, uint64_t at_ns)
{
    if (at_ns < s->route_next_ns)
        s->route_next_ns = at_ns;
    if (at_ns < s->slow_next_ns)
        s->slow_next_ns = at_ns;
}

static bool advertised_has_room(const struct stack *s, bool is_router)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->route_count; i++) {
        const struct stack_route *r = &s->routes[i];
        count += (r->owners & ROUTE_ADVERTISED) != 0 && !ip_addr_is_any(&r->gateway) == is_router;
    }
    return count < (is_router ? ROUTE_ROUTERS_MAX : ROUTE_PREFIXES_MAX);
}

void route_advertise(struct stack *s, const struct stack_route *r)
{
    struct stack_route advertised = *r;
    advertised.owners = ROUTE_ADVERTISED;
    const struct stack_route *known = route_same(s, r);
    bool is_known = known != NULL && (known->owners & ROUTE_ADVERTISED) != 0;
    if (r->valid_until_ns <= s->now_ns) {
        route_remove(s, &advertised);
        return;
    }
    if (!is_known && !advertised_has_room(s, !ip_addr_is_any(&r->gateway))) {
        stack_drop(s, STACK_DROP_ND_LIMIT);
        return;
    }
    if (route_add(s, &advertised) == 0)
        advertised_due(s, r->valid_until_ns);
}

uint64_t route_tick(struct stack *s)
{
    if (s->now_ns < s->route_next_ns)
        return s->route_next_ns;
    s->route_next_ns = STACK_NEVER;
    for (uint32_t i = s->route_count; i-- > 0;) {
        struct stack_route *r = &s->routes[i];
        if ((r->owners & ROUTE_ADVERTISED) == 0)
            continue;
        if (r->valid_until_ns > s->now_ns) {
            advertised_due(s, r->valid_until_ns);
            continue;
        }
        r->owners &= (uint8_t)~ROUTE_ADVERTISED;
        if (r->owners == 0)
            route_delete(s, r);
    }
    return s->route_next_ns;
}

/* ---- the path of a packet ---- */

/* Of routes to the same net one whose gateway answers goes first (RFC 4861 6.3.6, RFC 1122
 * 3.3.1.4). */
static const struct stack_route *route_find(const struct stack *s, const struct ip_addr *dst)
{
    const struct stack_route *suspect = NULL;
    bool v4 = ip_addr_is_v4(dst);
    for (uint32_t i = 0; i < s->route_count; i++) {
        const struct stack_route *r = &s->routes[i];
        if (suspect != NULL && r->prefix_bits != suspect->prefix_bits)
            break;
        bool is_valid = r->owners != ROUTE_ADVERTISED || r->valid_until_ns > s->now_ns;
        if (!is_valid || v4 != (r->prefix_bits >= 96 && ip_addr_is_v4(&r->net)) ||
            !ip_addr_in(dst, &r->net, r->prefix_bits))
            continue;
        if (r->suspect_until_ns <= s->now_ns)
            return r;
        if (suspect == NULL)
            suspect = r;
    }
    return suspect;
}

bool route_hop(const struct stack *s, const struct ip_addr *dst, struct ip_addr *hop)
{
    const struct stack_route *r = route_find(s, dst);
    if (r == NULL)
        return false;
    *hop = ip_addr_is_any(&r->gateway) ? *dst : r->gateway;
    return true;
}

void route_suspect(struct stack *s, const struct ip_addr *gateway)
{
    for (uint32_t i = 0; i < s->route_count; i++)
        if (ip_addr_equal(&s->routes[i].gateway, gateway))
            s->routes[i].suspect_until_ns = s->now_ns + ROUTE_SUSPECT_NS;
}

int path_find(struct stack *s, const struct ip_addr *src, const struct ip_addr *dst,
              struct path *path)
{
    *path = (struct path){.dst = *dst,
                          .hop = *dst,
                          .hop_limit = ip_addr_is_v4(dst) ? s->hop_limit : s->hop_limit_v6};
    path->local = addr_is_local(s, dst);
    if (!path->local && !ip_addr_is_multicast(dst) && !addr_is_broadcast(s, dst) &&
        !route_hop(s, dst, &path->hop)) {
        stack_drop(s, STACK_DROP_ROUTE_NONE);
        return -ENETUNREACH;
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
