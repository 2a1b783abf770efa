/* Which core a packet belongs to: one function for each port, the same on all of its cores.
 *
 * The owner of a flow is what a card with receive-side scaling would say: the Toeplitz hash of the
 * incoming packet's addresses and ports under the port's key, and an indirection table. So a card
 * that does it right delivers every packet to its owner, and nothing needs to be passed on; but the
 * answer comes from here, never from the card. Software steering, the check that is made on every
 * packet, and the choice of the source ports of outgoing connections all ask this file.
 *
 * Constant after owner_init: any core may ask. */
#ifndef LEAT_OWNER_H
#define LEAT_OWNER_H

#include "net/port/port.h"
#include "net/stack/wire.h"

#define OWNER_TABLE_MAX 512 /* entries, a power of two */
#define OWNER_KEY_BYTES 40  /* for the longest input: IPv6 addresses and ports */

struct owner_map {
    uint32_t core_count, queue_count;
    uint32_t mask; /* entries of the tables - 1 */
    uint16_t cores[OWNER_TABLE_MAX];
    uint16_t queues[OWNER_TABLE_MAX]; /* where the card delivers, if it hashes */
    bool is_hashed;                   /* by the port: key and table are its own */
    uint8_t key[OWNER_KEY_BYTES];
    uint32_t nibbles[2 * 36][16]; /* the hash of each value of each half byte of the input */
};

/* A port that hashes brings its key and its table: cores share what its queues get. Otherwise, or
 * if some core would then have no local port for some peer, the flows are spread evenly by the key
 * that is given, which should be random, or one made of it that gives each core ports for every
 * peer. core_count is at least the port's queue count. */
void owner_init(struct owner_map *map, const struct leat_port_info *info, uint32_t core_count,
                const uint8_t key[OWNER_KEY_BYTES]);

/* Hash of a packet as it comes in; ports: source and destination as they lie in its header. */
uint32_t owner_hash(const struct owner_map *map, const struct ip_addr *src,
                    const struct ip_addr *dst, const uint8_t ports[4]);
/* Hash of what has no ports: a fragment, and what cards make of it. */
uint32_t owner_hash_pair(const struct owner_map *map, const struct ip_addr *src,
                         const struct ip_addr *dst);

static inline uint32_t owner_of(const struct owner_map *map, uint32_t hash)
{
    return map->cores[hash & map->mask];
}

#endif
