/* Toeplitz, as Microsoft's "RSS hashing functions" defines it. The hash is linear: it is the sum of
 * what each half byte of the input contributes, which is looked up. */
#include "net/stack/owner.h"

#include <string.h>

#include "runtime/base/core.h"

/* 32 bits of the key from a bit on. */
static uint32_t key_window(const uint8_t key[OWNER_KEY_BYTES], unsigned bit)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 5; i++)
        bits = bits << 8 | (bit / 8 + i < OWNER_KEY_BYTES ? key[bit / 8 + i] : 0u);
    return (uint32_t)(bits >> (8 - bit % 8));
}

static void make_nibbles(struct owner_map *map, const uint8_t key[OWNER_KEY_BYTES])
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
static void share_queues(struct owner_map *map)
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

void owner_init(struct owner_map *map, const struct leat_port_info *info, uint32_t core_count,
                const uint8_t key[OWNER_KEY_BYTES])
{
    uint32_t entries = info->rss_table_count;
    CHECK(core_count > 0 && core_count >= info->rx_queue_count);
    *map = (struct owner_map){.core_count = core_count, .queue_count = info->rx_queue_count};
    map->is_hashed = (info->can & LEAT_PORT_CAN_RSS) != 0 && entries > 0 &&
                     entries <= OWNER_TABLE_MAX && (entries & (entries - 1)) == 0;
    if (!map->is_hashed)
        entries = OWNER_TABLE_MAX;
    map->mask = entries - 1;
    for (uint32_t i = 0; i < entries; i++) {
        map->queues[i] = (uint16_t)(map->is_hashed ? info->rss_table[i] : i % map->queue_count);
        map->cores[i] = (uint16_t)(i % core_count);
    }
    if (map->is_hashed)
        share_queues(map);
    make_nibbles(map, map->is_hashed ? info->rss_key : key);
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
