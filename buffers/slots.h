/* Slot tables: things by handle, with generations, so that a stale handle finds nothing.
 *
 * A slot is the caller's structure, whose first member is its handle:
 *
 *     struct tcp_conn { uint64_t id; ... };
 *
 * Looking one up costs two loads and a compare: the chunk's address, then the handle in the slot,
 * which equals the one asked for only while the slot is live, of that generation, in this table, on
 * this core. Slots lie in chunks that never move and are given back only by slots_fini. Freed slots
 * are used again last in, first out, with the next generation (1 ... 2^26 - 1, and round again: a
 * handle could name a later connection only after 67 million others in the same slot).
 *
 * One core's; memory is from its heap. At most limit_count slots are live. */
#ifndef LEAT_SLOTS_H
#define LEAT_SLOTS_H

#include "runtime/base/core.h"
#include "runtime/base/handle.h"

#define SLOTS_PER_CHUNK_SHIFT 7
#define SLOTS_PER_CHUNK       (1u << SLOTS_PER_CHUNK_SHIFT)
#define SLOTS_COUNT_MAX       (1u << HANDLE_INDEX_BITS)

struct slots {
    uint8_t **chunks;        /* room for chunk_max of them; doubled when they are there */
    uint64_t prefix;         /* table and core bits */
    uint32_t slot_bytes;     /* a multiple of 64 */
    uint32_t capacity_count; /* slots in chunks: index < capacity_count may be looked at */
    uint32_t limit_count;
    uint32_t live_count;
    uint32_t free_first; /* index, or SLOTS_NONE */
    uint32_t unused;     /* lowest index never taken */
    uint32_t chunk_max;
};

#define SLOTS_NONE UINT32_MAX

/* table: 1 ... 15. slot_bytes is rounded up to 64; limit_count: 1 ... SLOTS_COUNT_MAX. Returns
 * 0, or -ENOMEM. */
int slots_init(struct slots *slots, unsigned table, size_t slot_bytes,
               uint32_t limit_count) LEAT_MUST_CHECK;
/* Frees all chunks; live slots are the caller's loss. */
void slots_fini(struct slots *slots);

/* A slot of zeros but for its handle. NULL when limit_count are live, or memory is out. */
void *slots_take(struct slots *slots) LEAT_MUST_CHECK;
/* From now on the handle is stale, and the slot may be taken again. */
void slots_give(struct slots *slots, void *slot);

/* The handle is stale from now on, but the slot's memory stays the caller's until slots_give: for
 * what must outlive the connection (operations in the kernel). */
void slots_retire(struct slots *slots, void *slot);

/* The live slot of that index, or NULL: to walk over all (index < capacity_count). */
void *slots_at(const struct slots *slots, uint32_t index);

static inline void *slots_address(const struct slots *slots, uint32_t index)
{
    return slots->chunks[index >> SLOTS_PER_CHUNK_SHIFT] +
           (size_t)(index & (SLOTS_PER_CHUNK - 1)) * slots->slot_bytes;
}

/* NULL when the handle is stale or was never given out here. */
static inline void *slots_find(const struct slots *slots, uint64_t id)
{
    uint32_t index = handle_index(id);
    if (unlikely(index >= slots->capacity_count))
        return NULL;
    uint64_t *slot = slots_address(slots, index);
    return likely(*slot == id) ? slot : NULL;
}

#endif
