/* Toeplitz, as Microsoft's "RSS hashing functions" defines it. The hash is linear: it is the sum of
 * what each half byte of the input contributes, which is looked up. */
#include "net/stack/owner.h"

#include <string.h>

#include "runtime/base/core.h"
#include "runtime/base/siphash.h"

#define ENTRY_BITS 9  /* of OWNER_TABLE_MAX */
#define PORT_BITS  14 /* the lowest bits of ephemeral ports, which take all values */
#define KEYS_MAX   16 /* one in thousands is of no use */

_Static_assert(OWNER_TABLE_MAX == 1u << ENTRY_BITS, "entries are numbers of that many bits");
_Static_assert(LEAT_PORT_QUEUES_MAX <= 64, "a set of cores is a word");

/* 32 bits of the key from a bit on. */
static uint32_t key_window(const uint8_t key[OWNER_KEY_BYTES], unsigned bit)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 5; i++)
        bits = bits << 8 | (bit / 8 + i < OWNER_KEY_BYTES ? key[bit / 8 + i] : 0u);
    return (uint32_t)(bits >> (8 - bit % 8));
}

static void nibbles_make(struct owner_map *map, const uint8_t key[OWNER_KEY_BYTES])
{
    for (unsigned at = 0; at < 72; at++)
        for (unsigned value = 0; value < 16; value++) {
            uint32_t sum = 0;
            for (unsigned bit = 0; bit < 4; bit++)
                sum ^= value & 8u >> bit ? key_window(key, at * 4 + bit) : 0;
            map->nibbles[at][value] = sum;
        }
}

/* Each queue's entries go round the cores that share it: its own core, and those without one. */
static void queues_share(struct owner_map *map)
{
    uint32_t next[LEAT_PORT_QUEUES_MAX];
    CHECK(map->queue_count > 0);
    for (uint32_t q = 0; q < map->queue_count; q++)
        next[q] = q;
    for (uint32_t i = 0; i <= map->mask; i++) {
        uint32_t q = map->queues[i] % map->queue_count;
        map->cores[i] = (uint16_t)next[q];
        next[q] += map->queue_count;
        if (next[q] >= map->core_count)
            next[q] = q;
    }
}

static uint32_t sum_of(const struct owner_map *map, unsigned at, const uint8_t *bytes,
                       unsigned count)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum ^= map->nibbles[2 * (at + i)][bytes[i] >> 4] ^
               map->nibbles[2 * (at + i) + 1][bytes[i] & 15];
    return sum;
}

/* ---- whether every core has local ports ---- */

/* The entry without what the local port's bits can change of it; basis[i] is 0, or has i as its
 * highest bit. Entries that are equal then are those that the ports of one peer lead to. */
static uint32_t entry_reduce(const uint32_t basis[ENTRY_BITS], uint32_t entry)
{
    for (unsigned bit = ENTRY_BITS; bit-- > 0;)
        entry ^= entry >> bit & 1 ? basis[bit] : 0;
    return entry;
}

static void basis_find(const struct owner_map *map, unsigned at, uint32_t basis[ENTRY_BITS])
{
    for (unsigned bit = 0; bit < PORT_BITS; bit++) {
        const uint8_t port[2] = {(uint8_t)(1u << bit >> 8), (uint8_t)(1u << bit)};
        uint32_t adds = entry_reduce(basis, sum_of(map, at, port, sizeof(port)) & map->mask);
        if (adds != 0)
            basis[31 - __builtin_clz(adds)] = adds;
    }
}

/* Whether each core has a local port for whatever peer: there are keys whose bits repeat, so that
 * all ports lead to a few entries. at: the local port's place in the hash's input. */
static bool ports_reach_all(const struct owner_map *map, unsigned at)
{
    const uint64_t all = UINT64_MAX >> (64 - map->core_count);
    uint32_t basis[ENTRY_BITS] = {0};
    uint64_t cores[OWNER_TABLE_MAX] = {0};
    basis_find(map, at, basis);
    for (uint32_t i = 0; i <= map->mask; i++)
        cores[entry_reduce(basis, i)] |= UINT64_C(1) << map->cores[i];
    for (uint32_t i = 0; i <= map->mask; i++)
        if (entry_reduce(basis, i) == i && cores[i] != all)
            return false;
    return true;
}

static bool map_is_useful(const struct owner_map *map)
{
    return ports_reach_all(map, 10) && ports_reach_all(map, 34);
}

/* ---- the map ---- */

static void map_set_key(struct owner_map *map, const uint8_t key[OWNER_KEY_BYTES])
{
    memmove(map->key, key, OWNER_KEY_BYTES);
    nibbles_make(map, map->key);
}

/* False: the port does not hash, or in a way that is of no use. */
static bool map_read_port(struct owner_map *map, const struct leat_port_info *info)
{
    uint32_t entries = info->rss_table_count;
    if ((info->can & LEAT_PORT_CAN_RSS) == 0 || entries == 0 || entries > OWNER_TABLE_MAX ||
        (entries & (entries - 1)) != 0)
        return false;
    map->mask = entries - 1;
    for (uint32_t i = 0; i < entries; i++)
        map->queues[i] = (uint16_t)info->rss_table[i];
    queues_share(map);
    map_set_key(map, info->rss_key);
    return map_is_useful(map);
}

static void map_spread(struct owner_map *map, const uint8_t key[OWNER_KEY_BYTES])
{
    map->mask = OWNER_TABLE_MAX - 1;
    for (uint32_t i = 0; i < OWNER_TABLE_MAX; i++) {
        map->queues[i] = (uint16_t)(i % map->queue_count);
        map->cores[i] = (uint16_t)(i % map->core_count);
    }
    map_set_key(map, key);
    for (unsigned i = 0; i < KEYS_MAX && !map_is_useful(map); i++) {
        struct siphash_key from;
        uint64_t words[OWNER_KEY_BYTES / 8] = {0};
        memcpy(&from, map->key, sizeof(from));
        for (uint64_t n = 0; n < OWNER_KEY_BYTES / 8; n++)
            words[n] = siphash(&from, &n, sizeof(n));
        map_set_key(map, (const uint8_t *)words);
    }
}

void owner_init(struct owner_map *map, const struct leat_port_info *info, uint32_t core_count,
                const uint8_t key[OWNER_KEY_BYTES])
{
    CHECK(core_count > 0 && core_count >= info->rx_queue_count &&
          core_count <= LEAT_PORT_QUEUES_MAX);
    *map = (struct owner_map){.core_count = core_count, .queue_count = info->rx_queue_count};
    map->is_hashed = map_read_port(map, info);
    if (!map->is_hashed)
        map_spread(map, key);
}

uint32_t owner_hash_pair(const struct owner_map *map, const struct ip_addr *src,
                         const struct ip_addr *dst)
{
    if (ip_addr_is_v4(src))
        return sum_of(map, 0, src->b + 12, 4) ^ sum_of(map, 4, dst->b + 12, 4);
    return sum_of(map, 0, src->b, 16) ^ sum_of(map, 16, dst->b, 16);
}

uint32_t owner_hash(const struct owner_map *map, const struct ip_addr *src,
                    const struct ip_addr *dst, const uint8_t ports[4])
{
    return owner_hash_pair(map, src, dst) ^ sum_of(map, ip_addr_is_v4(src) ? 8 : 32, ports, 4);
}
