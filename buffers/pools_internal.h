/* Blocks and pools: the private state behind buffers/pools.h and leat/buf.h. */
#ifndef LEAT_POOLS_INTERNAL_H
#define LEAT_POOLS_INTERNAL_H

#include "buffers/pools.h"

#include <stdatomic.h>

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

#define ABROAD_HOMES      16 /* homes whose foreign blocks one core collects at a time */
#define BLOCK_SLACK_CLEAR 1u /* what a resize adds must read as zeros */
#define FREED_BYTE        0xdb

/* The header of a block, apart from its bytes, a cache line of its own.
 *   bytes [dirty_bytes, capacity_bytes) of memory are zero, always
 *   refs == 0 <=> the block is free: on a shelf, in its span, or on its way home */
struct leat_block {
    struct leat_block *next;
    uint8_t *memory;
    struct leat_pools *home;
    uint32_t refs, capacity_bytes, dirty_bytes;
    uint16_t class;
    uint16_t flags;
    union {
        struct {
            void (*free_fn)(void *arg);
            void *arg;
        } wrap;
    };
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct leat_block) == 64, "one cache line");

struct pool_class {
    struct leat_block *shelf; /* free blocks, the one that was freed last first */
    uint64_t granted_count, freed_count;
};

/* Blocks of another home that were freed here, to be sent in one go. */
struct abroad {
    struct leat_pools *home;
    struct leat_block *first, *last;
};

struct leat_pools {
    struct pool_class classes[LEAT_BUF_CLASS_WRAP + 1];
    uint64_t fail_at;
    uint64_t bytes_max, arena_bytes;
    uint64_t exhausted_count, cleared_bytes, foreign_count;
    uint64_t large_bytes; /* capacity of the live blocks of class LARGE */
    struct abroad abroad[ABROAD_HOMES];
    uint32_t abroad_mask;
    uint32_t core_index;

    /* Written by other cores. */
    _Atomic(struct leat_block *) inbound __attribute__((aligned(64)));
};

/* The slow half of taking a block: NULL when the bound is reached. */
struct leat_block *pools_refill(struct leat_pools *pools, unsigned class);
struct leat_block *pools_take_large(struct leat_pools *pools, size_t length_bytes);
struct leat_block *pools_take_wrap(struct leat_pools *pools);
bool pools_fails(struct leat_pools *pools); /* the test seam; counts */
/* refs has become 0. */
void pools_give(struct leat_block *block);

#endif
