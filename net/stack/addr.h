/* The addresses of a core's stack and their life: probed for, announced, defended, expired. */
#ifndef LEAT_STACK_ADDR_H
#define LEAT_STACK_ADDR_H

#include "runtime/base/error.h"
#include "net/stack/wire.h"

#define STACK_ADDRS_MAX      512 /* further ones are refused */
#define ADDR_AUTOMATIC_MAX   16  /* made from prefixes; a deprecated one makes room */
#define ADDR_CONFLICT_SAY_NS (60 * LEAT_NS_PER_S) /* a conflict is logged so often at most */

struct stack;

/* A prefix length of either family as one of 128 bits. */
static inline unsigned prefix_bits_of_128(const struct ip_addr *ip, unsigned prefix_bits)
{
    return ip_addr_is_v4(ip) ? prefix_bits + 96 : prefix_bits;
}

enum stack_addr_state { ADDR_NONE, ADDR_TENTATIVE, ADDR_VALID, ADDR_DUPLICATE };

struct stack_addr {
    struct ip_addr ip;
    uint8_t prefix_bits; /* of 128: an IPv4 /24 is 120 */
    uint8_t state;       /* enum stack_addr_state */
    uint8_t probes_left, announces_left;
    bool automatic;      /* made from a router's prefix */
    bool is_leased;      /* by DHCP: told of conflicts, and given up to one that lasts */
    uint32_t said_count; /* conflicts that were logged */
    uint64_t next_ns, defended_ns, said_ns;
    uint64_t preferred_until_ns, valid_until_ns; /* STACK_NEVER for configured ones */
};

/* prefix_bits of the family (24, 64). Adds the route to its network. Returns 0, -EEXIST, -ENOSPC,
 * -EINVAL. */
int stack_add_address(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits);
int stack_remove_address(struct stack *s, const struct ip_addr *ip);

/* As stack_add_address, for a lease. ADDR_PROBED: it is probed for before it is used. */
enum addr_use { ADDR_AT_ONCE, ADDR_PROBED };
int stack_add_leased(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits,
                     enum addr_use use);
/* When the lease ends: the address is not used from then on. */
void addr_set_lease_end(struct stack *s, const struct ip_addr *ip, uint64_t until_ns);
/* The entry, whatever its state; NULL: not ours. */
struct stack_addr *addr_find(struct stack *s, const struct ip_addr *ip);
bool addr_is_local(struct stack *s, const struct ip_addr *ip); /* and valid */
/* An IPv4 broadcast address, limited or of one of our networks. */
bool addr_is_broadcast(const struct stack *s, const struct ip_addr *ip);
/* RFC 6724 in short: same family, the gateway's network, matching scope, longest prefix. NULL: none
 */
const struct stack_addr *addr_choose(const struct stack *s, const struct ip_addr *dst,
                                     const struct ip_addr *hop);
/* mac uses the address too. */
void addr_conflict(struct stack *s, struct stack_addr *a, const struct mac_addr *mac);
/* Another core says so. */
void addr_hear(struct stack *s, const struct ip_addr *ip, enum stack_addr_state state);
uint64_t addr_tick(struct stack *s);
/* What has run out goes at once: before anything is sent or taken after a pause. */
void addr_expire(struct stack *s);
/* The link came back: addresses are announced again. */
void addr_announce_all(struct stack *s);
/* Adds an address with lifetimes, or renews it (SLAAC). */
int addr_add_automatic(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits,
                       uint64_t preferred_until_ns, uint64_t valid_until_ns);

#endif
