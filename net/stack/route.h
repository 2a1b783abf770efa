/* Routes, and the path that a packet takes: source address, next hop, MTU. */
#ifndef LEAT_STACK_ROUTE_H
#define LEAT_STACK_ROUTE_H

#include "net/stack/neighbour.h"

#define STACK_ROUTES_MAX 64 /* further ones are refused */
#define PMTU_MAX         64 /* narrow paths; the oldest is forgotten */

struct stack;

struct stack_route {
    struct ip_addr net, gateway; /* gateway 0: on the link */
    uint8_t prefix_bits;
    bool automatic;
    uint64_t valid_until_ns;
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

/* gateway NULL: on the link. */
int stack_add_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                    const struct ip_addr *gateway);
void stack_remove_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                        const struct ip_addr *gateway);

/* A default router with a lifetime; until now: it is withdrawn. */
void route_set_default(struct stack *s, const struct ip_addr *gateway, uint64_t until_ns);

/* src NULL: chosen. Returns 0, -ENETUNREACH (no route), -EADDRNOTAVAIL (no source address). */
int path_find(struct stack *s, const struct ip_addr *src, const struct ip_addr *dst,
              struct path *path) LEAT_MUST_CHECK;

/* RFC 1191, 8201: the MTU of a path shrank. */
void pmtu_learn(struct stack *s, const struct ip_addr *dst, uint32_t mtu_bytes);
uint16_t pmtu_of(const struct stack *s, const struct ip_addr *dst);

#endif
