/* Slot tables: places that never move, handles with generations. */
#include "buffers/slots.h"
#include "buffers/heap.h"

#include <errno.h>
#include <string.h>

/* The first word of a slot is its handle while it is live. Retired or free, its table bits are
 * zero, so that it equals no handle. A free one's generation is the one last used, its index bits
 * are the next free slot's index + 1, 0 for none. */

#define TABLE_BITS (~UINT64_C(0) << HANDLE_TABLE_SHIFT)
#define CHUNKS_MIN 16 /* that there is room for at first */

int slots_init(struct slots *slots, unsigned table, size_t slot_bytes, uint32_t limit_count)
{
    CHECK(table > 0 && table < 1u << HANDLE_TABLE_BITS);
    CHECK(limit_count > 0 && limit_count < SLOTS_COUNT_MAX);
    *slots = (struct slots){
        .chunks = leat_heap_calloc(CHUNKS_MIN, sizeof(*slots->chunks)),
        .chunk_max = CHUNKS_MIN,
        .prefix = (uint64_t)table << HANDLE_TABLE_SHIFT | (uint64_t)leat_core_now->index
                                                              << HANDLE_CORE_SHIFT,
        .slot_bytes = (uint32_t)((slot_bytes + 63) & ~(size_t)63),
        .limit_count = limit_count,
        .free_first = SLOTS_NONE,
    };
    return slots->chunks != NULL ? 0 : -ENOMEM;
}

void slots_fini(struct slots *slots)
{
    for (uint32_t i = 0; i < slots->capacity_count >> SLOTS_PER_CHUNK_SHIFT; i++)
        leat_heap_free(slots->chunks[i]);
    leat_heap_free(slots->chunks);
    *slots = (struct slots){.free_first = SLOTS_NONE};
}

static bool make_room(struct slots *slots)
{
    uint8_t **chunks = leat_heap_realloc(slots->chunks, slots->chunk_max * 2 * sizeof(*chunks));
    if (chunks == NULL)
        return false;
    slots->chunks = chunks;
    slots->chunk_max *= 2;
    return true;
}

static bool slots_grow(struct slots *slots)
{
    uint32_t chunk_count = slots->capacity_count >> SLOTS_PER_CHUNK_SHIFT;
    if (chunk_count == slots->chunk_max && !make_room(slots))
        return false;
    size_t bytes = (size_t)SLOTS_PER_CHUNK * slots->slot_bytes;
    uint8_t *chunk = leat_heap_calloc_aligned(bytes, 64);
    if (chunk == NULL)
        return false;
    slots->chunks[chunk_count] = chunk;
    slots->capacity_count += SLOTS_PER_CHUNK;
    return true;
}

void *slots_take(struct slots *slots)
{
    uint32_t index = slots->free_first;
    if (slots->live_count == slots->limit_count)
        return NULL;
    if (index == SLOTS_NONE) {
        if (slots->unused == slots->capacity_count && !slots_grow(slots))
            return NULL;
        index = slots->unused++;
    }
    uint64_t *slot = slots_address(slots, index);
    uint32_t generation = handle_generation(*slot);
    if (index == slots->free_first) {
        uint32_t next = handle_index(*slot);
        slots->free_first = next != 0 ? next - 1 : SLOTS_NONE;
    }
    generation = generation == HANDLE_GENERATION_MASK ? 1 : generation + 1;
    memset(slot, 0, slots->slot_bytes);
    *slot = slots->prefix | (uint64_t)generation << HANDLE_INDEX_BITS | index;
    slots->live_count++;
    return slot;
}

void slots_retire(struct slots *slots, void *slot)
{
    uint64_t *id = slot;
    DCHECK(slots_find(slots, *id) == slot);
    *id &= ~TABLE_BITS;
}

void slots_give(struct slots *slots, void *slot)
{
    uint64_t *id = slot;
    uint32_t index = handle_index(*id);
    uint32_t next = slots->free_first == SLOTS_NONE ? 0 : slots->free_first + 1;
    DCHECK(index < slots->unused && slots_address(slots, index) == slot);
    DCHECK(slots->live_count > 0);
    *id = (uint64_t)handle_generation(*id) << HANDLE_INDEX_BITS | next;
    slots->free_first = index;
    slots->live_count--;
}

void *slots_at(const struct slots *slots, uint32_t index)
{
    if (index >= slots->capacity_count)
        return NULL;
    uint64_t *slot = slots_address(slots, index);
    return (*slot & TABLE_BITS) != 0 ? slot : NULL;
}
