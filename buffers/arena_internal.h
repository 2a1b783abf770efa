/* The arena of one core: a range of addresses, cut into chunks of 2 MiB and units of 64 KiB, from
 * which runs of units are taken and to which they are given back.
 *
 * Invariants (arena_validate):
 *   units_used == sum over committed chunks of (32 - popcount(free_units))
 *   a committed chunk is in list order <=> order == the largest aligned run that is free in it
 *   an uncommitted chunk: free_units == ~0, used_units == 0, in no list
 *   a unit in free_units but not in used_units reads as zeros
 *   used_units is a subset of free_units
 */
#ifndef LEAT_ARENA_INTERNAL_H
#define LEAT_ARENA_INTERNAL_H

#include "buffers/pages.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOLS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOLS_ASAN 1
#endif
#endif
#if defined(POOLS_ASAN)
#include <sanitizer/asan_interface.h>
#define POISON(memory, bytes)   __asan_poison_memory_region(memory, bytes)
#define UNPOISON(memory, bytes) __asan_unpoison_memory_region(memory, bytes)
#else
#define POISON(memory, bytes)   ((void)(memory), (void)(bytes))
#define UNPOISON(memory, bytes) ((void)(memory), (void)(bytes))
#endif

#define ARENA_UNIT_BYTES  (UINT32_C(64) << 10)
#define ARENA_CHUNK_UNITS 32
#define ARENA_ORDERS      4 /* aligned runs of 1, 4, 16 and 32 units */

struct arena_chunk {
    uint32_t free_units; /* bit i: unit i is in no run */
    uint32_t used_units; /* bit i: unit i is free and may hold other bytes than zeros */
    uint32_t next, prev; /* index + 1 in its list, 0: none */
    int8_t order;        /* of its list; -1: in none */
    bool is_committed;
    bool was_free; /* wholly free when arena_trim last looked */
};

struct arena {
    const struct leat_pages *pages;
    uint8_t *base;
    uint64_t reserved_bytes;
    struct arena_chunk *chunks;
    uint32_t chunk_count, committed_count;
    uint32_t units_used;
    uint32_t lists[ARENA_ORDERS];
};

int arena_init(struct arena *arena, uint64_t bytes_max, const struct leat_pages *pages,
               struct leat_error *error);
void arena_fini(struct arena *arena); /* everything taken must have been given back */

/* An aligned run of 1, 4, 16 or 32 units out of committed chunks, in constant time; or of any
 * number of units above 16, by first fit over all chunks, committing as needed. NULL: none.
 * *used_bytes: how far it may hold other bytes than zeros. */
uint8_t *arena_take(struct arena *arena, uint32_t units, uint32_t *used_bytes);
uint8_t *arena_take_long(struct arena *arena, uint32_t units, uint32_t *used_bytes);

/* used_bytes: how far the run was ever written. */
void arena_give(struct arena *arena, uint8_t *run, uint32_t units, uint32_t used_bytes);

/* Commits one more chunk; false when the range or the system's memory is used up. */
bool arena_grow(struct arena *arena);

/* Gives the pages of at most count_max chunks back that have been wholly free since the last call.
 * The first chunk keeps its pages. Returns whether there are more, or will be at the next call. */
bool arena_trim(struct arena *arena, uint32_t count_max);
void arena_validate(const struct arena *arena);

#endif
