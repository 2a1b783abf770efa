/* Routes, and the path that a packet takes. */
#include <errno.h>

#include "net/stack/stack.h"

static int route_insert(struct stack *s, const struct stack_route *r)
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
                            .prefix_bits = (uint8_t)prefix_bits_of_128(net, prefix_bits),
                            .valid_until_ns = STACK_NEVER};
    if (prefix_bits > (ip_addr_is_v4(net) ? 32 : 128))
        return -EINVAL;
    if (gateway != NULL)
        r.gateway = *gateway;
    return route_insert(s, &r);
}

void stack_remove_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                        const struct ip_addr *gateway)
{
    static const struct ip_addr none;
    unsigned bits = prefix_bits_of_128(net, prefix_bits);
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
    route_insert(s, &r);
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
