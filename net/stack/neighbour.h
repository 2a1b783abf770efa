/* Neighbours: which MAC belongs to an address on the link, and the packets that wait for it. */
#ifndef LEAT_STACK_NEIGHBOUR_H
#define LEAT_STACK_NEIGHBOUR_H

#include "net/port/port.h"
#include "net/stack/wire.h"

#define NEIGHBOURS_MAX        512 /* the least recently used idle one is evicted */
#define NEIGHBOUR_BUCKETS     256
#define NEIGHBOUR_PARKED      64 /* packets that wait for addresses, all neighbours together */
#define NEIGHBOUR_PARKED_EACH 8  /* ... for one; the oldest is dropped for a newer one */

struct path;
struct stack;
struct steer_news;

enum neighbour_state {
    NEIGHBOUR_FREE,
    NEIGHBOUR_INCOMPLETE,
    NEIGHBOUR_REACHABLE,
    NEIGHBOUR_STALE,
    NEIGHBOUR_DELAY,
    NEIGHBOUR_PROBE,
};

struct neighbour {
    struct ip_addr ip;
    struct mac_addr mac;
    uint8_t state; /* enum neighbour_state, RFC 4861 7.3.2, for ARP too */
    uint8_t probes;
    uint8_t parked_count;
    bool is_router;
    uint16_t next;                      /* in its bucket, index + 1 */
    uint16_t parked_first, parked_last; /* index + 1 */
    uint32_t generation;                /* changes when the entry gets another owner */
    uint64_t used_ns, confirmed_ns, next_ns;
};

struct neighbour_ref {
    uint16_t index;
    uint16_t unused;
    uint32_t generation; /* 0: none yet */
};

struct neighbour_table {
    struct neighbour entries[NEIGHBOURS_MAX];
    uint16_t buckets[NEIGHBOUR_BUCKETS]; /* index + 1 */
    struct leat_packet parked[NEIGHBOUR_PARKED];
    uint16_t parked_next[NEIGHBOUR_PARKED]; /* index + 1; free list and queues */
    uint16_t parked_free;
    uint32_t generation;
    uint64_t next_ns;
};

/* What is said of a neighbour: RFC 4861 7.2.5. */
enum neighbour_flags {
    NEIGHBOUR_SOLICITED = 1u << 0, /* it answers us: both ways work */
    NEIGHBOUR_OVERRIDE = 1u << 1,  /* another MAC is replaced */
    NEIGHBOUR_ROUTER = 1u << 2,
    NEIGHBOUR_MAKE = 1u << 3, /* an entry is made where there is none */
};

void neighbour_init(struct stack *s);
void neighbour_fini(struct stack *s);
/* A solicitation or request shows a mapping: existing entries are updated; flags: NEIGHBOUR_MAKE or
 * 0. */
void neighbour_learn(struct stack *s, const struct ip_addr *ip, const struct mac_addr *mac,
                     uint32_t flags);
/* An answer; flags: enum neighbour_flags. */
void neighbour_answer(struct stack *s, const struct ip_addr *ip, const struct mac_addr *mac,
                      uint32_t flags);
/* Another core says so. */
void neighbour_hear(struct stack *s, const struct steer_news *heard);
/* The address is no neighbour's any more: it has become a broadcast address. */
void neighbour_forget(struct stack *s, struct ip_addr ip);
/* Packets from an address that is not ours any more do not go out when their neighbour answers. */
void neighbour_drop_parked_from(struct stack *s, const struct ip_addr *src);
/* Paths that lead to it are found anew. */
void neighbour_release_paths(struct stack *s, const struct ip_addr *ip);
/* TCP made progress: the path works in both directions. */
void neighbour_confirm(struct stack *s, struct neighbour_ref ref);
/* Fills the link header of a finished packet and sends it, or parks it until the MAC is known.
 * Takes the packet, which is tx_reserve's last. */
void neighbour_output(struct stack *s, struct leat_packet *packet, struct path *path);
const struct neighbour *neighbour_find(const struct stack *s, const struct ip_addr *ip);
uint64_t neighbour_tick(struct stack *s);

#endif
