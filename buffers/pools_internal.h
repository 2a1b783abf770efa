/* Blocks, spans and pools: the private state behind buffers/pools.h and leat/buf.h.
 *
 * Way of a block: arena run -> span -> shelf of its class -> user -> shelf -> span -> arena run.
 * The shelf is a short last-in-first-out list, so that the memory that is granted is warm; spans
 * keep the account of what may go back to the arena. README.md has the invariants. */
#ifndef LEAT_POOLS_INTERNAL_H
#define LEAT_POOLS_INTERNAL_H

#include "buffers/arena_internal.h"
#include "buffers/pools.h"

#include <stdatomic.h>
#include <string.h>

#define ABROAD_HOMES      16 /* homes whose foreign blocks one core collects at a time */
#define SHELF_BLOCKS_MAX  64 /* and at most SHELF_BYTES_MAX of one class, but always one */
#define SHELF_BYTES_MAX   (UINT32_C(256) << 10)
#define WRAP_SPAN_BLOCKS  62 /* headers without memory: a page's worth */
#define RECLAIM_SPANS     16 /* given back to the arena in one go */
#define TRIM_CHUNKS_TURN  1  /* a system call each: while there is load */
#define TRIM_CHUNKS_IDLE  16
#define BLOCK_SLACK_CLEAR 1u   /* what a resize adds must read as zeros */
#define FREED_BYTE        0xdb /* fills freed blocks under DCHECK */
#define FREED_LOOK_BYTES  64
#define POOL_CLASSES      (LEAT_BUF_CLASS_WRAP + 1)

/* The header of a block, apart from its bytes, a cache line of its own.
 *   bytes [dirty_bytes, capacity_bytes) of memory are zero, always
 *   refs == 0 <=> the block is free: on a shelf, in its span, or on its way home */
struct leat_block {
    struct leat_block *next;
    uint8_t *memory;
    struct leat_pools *home;
    struct span *span;
    uint32_t refs, capacity_bytes, dirty_bytes;
    uint16_t class;
    uint16_t flags;
    void (*wrap_free)(void *arg); /* of class WRAP */
    void *wrap_arg;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct leat_block) == 64, "one cache line");

/* A run of the arena cut into blocks of one class, carved as they are first needed so that what was
 * never needed is never touched.
 *   out_count == carved_count - blocks in free
 *   in the class's roomy list <=> out_count < block_count; in the pools' empties <=> out_count == 0
 */
struct span {
    struct span *next, *prev;   /* roomy or full list of its class */
    struct span *newer, *older; /* empties */
    struct leat_block *free;
    uint8_t *memory;
    uint32_t out_count, carved_count, block_count;
    uint16_t class;
    uint16_t units;        /* of the arena, at most LEAT_BUF_BYTES_MAX of them; 0: wrap */
    uint32_t used_bytes;   /* how far memory was written when the span was made */
    uint32_t emptied_trim; /* pools.trim_count when it became empty */
    struct leat_block blocks[];
};

struct pool_class {
    struct leat_block *shelf; /* free blocks, the one that was freed last first */
    uint32_t shelf_count, shelf_max;
    uint64_t granted_count, freed_count;
    uint64_t trim_granted_count;     /* granted_count at the last trim */
    struct span *roomy, *roomy_last; /* partly used ones first, empty ones last */
    struct span *full;
};

/* Blocks of another home that were freed here, to be sent in one go. */
struct abroad {
    struct leat_pools *home;
    struct leat_block *first, *last;
};

struct leat_pools {
    struct pool_class classes[POOL_CLASSES];
    uint64_t fail_at;
    uint64_t bytes_max, arena_bytes;
    uint64_t exhausted_count, cleared_bytes, foreign_count;
    uint64_t large_bytes; /* capacity of the live blocks of class LARGE */
    struct arena arena;
    struct span *empties_oldest, *empties_newest;
    struct abroad abroad[ABROAD_HOMES];
    uint32_t abroad_mask;
    uint32_t core_index;
    uint32_t turn_count, trim_count;

    /* Written by other cores. */
    _Atomic(struct leat_block *) inbound __attribute__((aligned(64)));
};

/* spans.c: the slow half of taking and giving blocks. */
void spans_init(struct leat_pools *pools);
/* Puts at least one block on the empty shelf of class; false when the bound is reached. */
bool spans_refill(struct leat_pools *pools, unsigned class);
/* Takes the older half of the shelf back into its spans, or all of it. */
void spans_spill(struct leat_pools *pools, unsigned class, uint32_t keep_count);
struct leat_block *spans_take_large(struct leat_pools *pools, size_t length_bytes);
void spans_give_large(struct leat_pools *pools, struct leat_block *block);
/* Gives at most count_max empty spans back to the arena, the longest empty first, those only that
 * were empty before trim_count. Returns how many. */
uint32_t spans_reclaim(struct leat_pools *pools, uint32_t count_max, uint32_t trim_count);
void spans_flush(struct leat_pools *pools); /* all shelves */
void spans_validate(const struct leat_pools *pools);

/* pools.c */
struct leat_block *pools_take_slow(struct leat_pools *pools, size_t length_bytes);
struct leat_block *pools_take_wrap(struct leat_pools *pools);
bool pools_fails(struct leat_pools *pools); /* the test seam */
void pools_give(struct leat_block *block);  /* refs has become 0 */

/* What a freed block must look like, as far as it is cheap to look: found broken, somebody wrote to
 * a block after it was freed, or past the extent that was granted. */
static inline void block_check_freed(const struct leat_block *block)
{
    DCHECK(block->refs == 0);
#if LEAT_DCHECK_ON && !defined(POOLS_ASAN)
    uint32_t dirty_bytes = block->dirty_bytes;
    for (uint32_t i = 0; i < dirty_bytes && i < FREED_LOOK_BYTES; i++)
        DCHECK(block->memory[i] == FREED_BYTE);
    for (uint32_t i = dirty_bytes; i < block->capacity_bytes; i++) {
        if (i == dirty_bytes + FREED_LOOK_BYTES)
            break;
        DCHECK(block->memory[i] == 0);
    }
#endif
}

static inline void block_fill_freed(struct leat_block *block)
{
#if LEAT_DCHECK_ON && !defined(POOLS_ASAN)
    if (block->dirty_bytes != 0)
        memset(block->memory, FREED_BYTE, block->dirty_bytes);
#endif
    POISON(block->memory, block->capacity_bytes);
}

#endif
