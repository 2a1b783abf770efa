/* Routes, and the path that a packet takes: source address, next hop, MTU.
 *
 * A route has owners: the flags, the lease, a router's advertisement. It lives as long as one of
 * them wants it, so that a lease that ends takes nothing from the flags. What routers advertise is
 * bounded apart, so that a flood of advertisements leaves room for the others. */
#ifndef LEAT_STACK_ROUTE_H
#define LEAT_STACK_ROUTE_H

#include "net/stack/neighbour.h"

#define STACK_ROUTES_MAX   64 /* further ones are refused */
#define ROUTE_PREFIXES_MAX 24 /* on-link prefixes of routers; further ones are refused */
#define ROUTE_ROUTERS_MAX  8  /* default routers that advertise themselves; ... */
#define ROUTE_SUSPECT_NS   (30 * LEAT_NS_PER_S) /* a gateway that did not answer comes last */
#define PMTU_MAX           64                   /* narrow paths; the oldest is forgotten */
#define PMTU_IPV4_MIN      552 /* less is not believed; datagrams that small have no DF */

struct stack;

enum route_owner {
    ROUTE_STATIC = 1u << 0,     /* the flags: networks of addresses, gateways */
    ROUTE_LEASED = 1u << 1,     /* a lease's routers and classless routes */
    ROUTE_LEASED_NET = 1u << 2, /* the network of a leased address */
    ROUTE_ADVERTISED = 1u << 3, /* a router, until valid_until_ns */
};

struct stack_route {
    struct ip_addr net, gateway; /* gateway 0: on the link */
    uint8_t prefix_bits;         /* of 128: an IPv4 /24 is 120 */
    uint8_t owners;              /* enum route_owner */
    uint64_t valid_until_ns;     /* for ROUTE_ADVERTISED */
    uint64_t suspect_until_ns;   /* the gateway did not answer: others of the same net go first */
};

/* Where a packet goes: what connections remember of a route. */
struct path {
    struct ip_addr src, dst;
    struct ip_addr hop; /* the neighbour: dst or a gateway */
    struct neighbour_ref neighbour;
    uint16_t mtu_bytes;
    uint8_t hop_limit;
    uint8_t tos;           /* traffic class, ECN included */
    bool local;            /* to ourselves */
    bool by_software;      /* the checksum is not left to the port */
    uint16_t inline_bytes; /* at the end of the head, their sum is known: */
    csum inline_sum;
};

struct pmtu_entry {
    struct ip_addr dst;
    uint16_t mtu_bytes; /* 0: free */
    uint64_t until_ns;
};

/* Owner ROUTE_STATIC. gateway NULL: on the link. Returns 0, -EINVAL, -ENOSPC. */
int stack_add_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                    const struct ip_addr *gateway);
void stack_remove_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                        const struct ip_addr *gateway);

/* Adds r.owners to the route's owners, and makes the route if there is none. 0 or -ENOSPC. */
int route_add(struct stack *s, const struct stack_route *r);
/* Takes r.owners from the owners of the same route. */
void route_remove(struct stack *s, const struct stack_route *r);
/* What a router says of a net: on the link (gateway all zero) or through itself; until now: not any
 * more. */
void route_advertise(struct stack *s, const struct stack_route *r);
/* Drops what routers have said and what has run out; returns when the next does. */
uint64_t route_tick(struct stack *s);

/* The next hop towards dst; false: no route. */
bool route_hop(const struct stack *s, const struct ip_addr *dst, struct ip_addr *hop);
/* The neighbour does not answer: another gateway is to be tried. */
void route_suspect(struct stack *s, const struct ip_addr *gateway);

/* src NULL: chosen. Returns 0, -ENETUNREACH (no route), -EADDRNOTAVAIL (no source address). */
int path_find(struct stack *s, const struct ip_addr *src, const struct ip_addr *dst,
              struct path *path) LEAT_MUST_CHECK;

/* RFC 1191, 8201: the MTU of a path shrank. */
void pmtu_learn(struct stack *s, const struct ip_addr *dst, uint32_t mtu_bytes);
uint16_t pmtu_of(const struct stack *s, const struct ip_addr *dst);

#endif
