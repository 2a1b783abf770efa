/* The arena: one reservation of address space, handed out to pools in units and taken back. */
#include "buffers/arena_internal.h"

#include "buffers/heap.h"

#include <errno.h>
#include <string.h>

#define ALL_UNITS        UINT32_MAX
#define TRIM_LOOK_CHUNKS 64 /* a trim takes no longer, whatever the arena's size */

static const uint32_t order_units[ARENA_ORDERS] = {1, 4, 16, 32};

/* What comes to lie at these addresses next may be mapped by somebody whom the sanitizer does not
 * see: liburing. */
static void forget_poison(struct arena *arena, uint32_t index)
{
    UNPOISON(arena->base + (uint64_t)index * LEAT_CHUNK_BYTES, LEAT_CHUNK_BYTES);
}

/* Bits at which an aligned run of the order starts that is wholly free. */
static uint32_t runs_of_order(uint32_t free_units, int order)
{
    uint32_t runs = free_units;
    if (order >= 1) {
        runs &= runs >> 1;
        runs &= runs >> 2;
        runs &= 0x11111111u;
    }
    if (order >= 2) {
        runs &= runs >> 4;
        runs &= runs >> 8;
        runs &= 0x00010001u;
    }
    if (order >= 3)
        runs &= runs >> 16;
    return runs;
}

static int largest_order(uint32_t free_units)
{
    int order = ARENA_ORDERS - 1;
    while (order >= 0 && runs_of_order(free_units, order) == 0)
        order--;
    return order;
}

static uint32_t units_mask(uint32_t first, uint32_t count)
{
    return (count >= ARENA_CHUNK_UNITS ? ALL_UNITS : (1u << count) - 1) << first;
}

static void list_remove(struct arena *arena, struct arena_chunk *chunk)
{
    if (chunk->order < 0)
        return;
    if (chunk->prev != 0)
        arena->chunks[chunk->prev - 1].next = chunk->next;
    else
        arena->lists[chunk->order] = chunk->next;
    if (chunk->next != 0)
        arena->chunks[chunk->next - 1].prev = chunk->prev;
    chunk->order = -1;
}

static void list_place(struct arena *arena, struct arena_chunk *chunk)
{
    int order = chunk->is_committed ? largest_order(chunk->free_units) : -1;
    if (order == chunk->order)
        return;
    list_remove(arena, chunk);
    if (order >= 0) {
        uint32_t self = (uint32_t)(chunk - arena->chunks) + 1;
        chunk->prev = 0;
        chunk->next = arena->lists[order];
        if (chunk->next != 0)
            arena->chunks[chunk->next - 1].prev = self;
        arena->lists[order] = self;
        chunk->order = (int8_t)order;
    }
}

int arena_init(struct arena *arena, uint64_t bytes_max, const struct leat_pages *pages,
               struct leat_error *error)
{
    *arena = (struct arena){.pages = pages};
    arena->reserved_bytes = (bytes_max + LEAT_CHUNK_BYTES - 1) & ~(uint64_t)(LEAT_CHUNK_BYTES - 1);
    arena->base = pages->reserve(pages, &arena->reserved_bytes, error);
    if (arena->base == NULL)
        return -ENOMEM;
    arena->chunk_count = (uint32_t)(arena->reserved_bytes / LEAT_CHUNK_BYTES);
    arena->chunks = leat_heap_calloc(arena->chunk_count, sizeof(*arena->chunks));
    if (arena->chunks == NULL) {
        pages->release(pages, arena->base, arena->reserved_bytes);
        return leat_fail(error, -ENOMEM, "no memory for the table of %u chunks of buffers",
                         arena->chunk_count);
    }
    for (uint32_t i = 0; i < arena->chunk_count; i++) {
        arena->chunks[i].free_units = ALL_UNITS;
        arena->chunks[i].order = -1;
    }
    return 0;
}

void arena_fini(struct arena *arena)
{
    CHECK(arena->units_used == 0);
    for (uint32_t i = 0; i < arena->chunk_count; i++)
        if (arena->chunks[i].is_committed)
            forget_poison(arena, i);
    leat_heap_free(arena->chunks);
    arena->pages->release(arena->pages, arena->base, arena->reserved_bytes);
}

static bool chunk_commit(struct arena *arena, uint32_t index)
{
    struct arena_chunk *chunk = &arena->chunks[index];
    if (!arena->pages->commit(arena->pages, arena->base + (uint64_t)index * LEAT_CHUNK_BYTES,
                              index == 0))
        return false;
    chunk->is_committed = true;
    chunk->was_free = false;
    arena->committed_count++;
    list_place(arena, chunk);
    return true;
}

bool arena_grow(struct arena *arena)
{
    if (arena->committed_count == arena->chunk_count)
        return false;
    uint32_t index = 0;
    while (arena->chunks[index].is_committed)
        index++;
    return chunk_commit(arena, index);
}

/* Takes units of one chunk; returns how far from first they were used. */
static uint32_t chunk_take(struct arena *arena, struct arena_chunk *chunk, uint32_t first,
                           uint32_t count)
{
    uint32_t mask = units_mask(first, count);
    DCHECK((chunk->free_units & mask) == mask);
    uint32_t used = (chunk->used_units & mask) >> first;
    chunk->free_units &= ~mask;
    chunk->used_units &= ~mask;
    chunk->was_free = false;
    arena->units_used += count;
    list_place(arena, chunk);
    return used == 0 ? 0 : 32u - (uint32_t)__builtin_clz(used);
}

uint8_t *arena_take(struct arena *arena, uint32_t units, uint32_t *used_bytes)
{
    int order = 0;
    while (order_units[order] != units)
        order++;
    for (int from = order; from < ARENA_ORDERS; from++) {
        if (arena->lists[from] != 0) {
            uint32_t index = arena->lists[from] - 1;
            struct arena_chunk *chunk = &arena->chunks[index];
            uint32_t first = (uint32_t)__builtin_ctz(runs_of_order(chunk->free_units, order));
            *used_bytes = chunk_take(arena, chunk, first, units) * ARENA_UNIT_BYTES;
            return arena->base + (uint64_t)index * LEAT_CHUNK_BYTES +
                   (uint64_t)first * ARENA_UNIT_BYTES;
        }
    }
    return NULL;
}

/* The first unit of the first run of that many free units, UINT64_MAX: there is none. */
static uint64_t find_long(const struct arena *arena, uint32_t units)
{
    uint64_t start = 0, length = 0;
    for (uint32_t i = 0; i < arena->chunk_count; i++) {
        uint32_t free_units = arena->chunks[i].free_units;
        for (uint32_t bit = 0; bit < ARENA_CHUNK_UNITS; bit++) {
            if ((free_units >> bit & 1) == 0) {
                length = 0;
                start = (uint64_t)i * ARENA_CHUNK_UNITS + bit + 1;
            } else if (++length == units) {
                return start;
            }
        }
    }
    return UINT64_MAX;
}

uint8_t *arena_take_long(struct arena *arena, uint32_t units, uint32_t *used_bytes)
{
    uint64_t start = find_long(arena, units);
    if (start == UINT64_MAX)
        return NULL;
    for (uint64_t i = start / ARENA_CHUNK_UNITS; i <= (start + units - 1) / ARENA_CHUNK_UNITS; i++)
        if (!arena->chunks[i].is_committed && !chunk_commit(arena, (uint32_t)i))
            return NULL; /* what was committed stays so, for others */
    *used_bytes = 0;
    for (uint32_t done = 0; done < units;) {
        uint32_t first = (uint32_t)((start + done) % ARENA_CHUNK_UNITS);
        uint32_t count = ARENA_CHUNK_UNITS - first;
        if (count > units - done)
            count = units - done;
        uint32_t used =
            chunk_take(arena, &arena->chunks[(start + done) / ARENA_CHUNK_UNITS], first, count);
        if (used != 0)
            *used_bytes = (done + used) * ARENA_UNIT_BYTES;
        done += count;
    }
    return arena->base + start * ARENA_UNIT_BYTES;
}

void arena_give(struct arena *arena, uint8_t *run, uint32_t units, uint32_t used_bytes)
{
    uint64_t start = (uint64_t)(run - arena->base) / ARENA_UNIT_BYTES;
    uint32_t used = (used_bytes + ARENA_UNIT_BYTES - 1) / ARENA_UNIT_BYTES;
    for (uint32_t done = 0; done < units;) {
        struct arena_chunk *chunk = &arena->chunks[(start + done) / ARENA_CHUNK_UNITS];
        uint32_t first = (uint32_t)((start + done) % ARENA_CHUNK_UNITS);
        uint32_t count = ARENA_CHUNK_UNITS - first;
        if (count > units - done)
            count = units - done;
        uint32_t mask = units_mask(first, count);
        CHECK((chunk->free_units & mask) == 0);
        chunk->free_units |= mask;
        if (used > done)
            chunk->used_units |= units_mask(first, used - done < count ? used - done : count);
        arena->units_used -= count;
        list_place(arena, chunk);
        done += count;
    }
}

bool arena_trim(struct arena *arena, uint32_t count_max)
{
    bool has_more = false;
    uint32_t next = arena->pages->decommit != NULL ? arena->lists[ARENA_ORDERS - 1] : 0;
    for (uint32_t i = 0; next != 0 && i < TRIM_LOOK_CHUNKS; i++) {
        uint32_t index = next - 1;
        struct arena_chunk *chunk = &arena->chunks[index];
        next = chunk->next;
        if (index == 0)
            continue;
        if (!chunk->was_free || count_max == 0) {
            chunk->was_free = true;
            has_more = true;
            continue;
        }
        forget_poison(arena, index);
        arena->pages->decommit(arena->pages, arena->base + (uint64_t)index * LEAT_CHUNK_BYTES);
        chunk->is_committed = false;
        chunk->used_units = 0;
        arena->committed_count--;
        list_remove(arena, chunk);
        count_max--;
    }
    return has_more || next != 0;
}

void arena_validate(const struct arena *arena)
{
    uint32_t used = 0, committed = 0, listed = 0, listable = 0;
    for (uint32_t i = 0; i < arena->chunk_count; i++) {
        const struct arena_chunk *chunk = &arena->chunks[i];
        used += 32 - (uint32_t)__builtin_popcount(chunk->free_units);
        committed += chunk->is_committed;
        CHECK(chunk->is_committed || (chunk->free_units == ALL_UNITS && chunk->used_units == 0));
        CHECK((chunk->used_units & ~chunk->free_units) == 0);
        CHECK(chunk->order == (chunk->is_committed ? largest_order(chunk->free_units) : -1));
        listable += chunk->order >= 0;
    }
    for (int order = 0; order < ARENA_ORDERS; order++)
        for (uint32_t at = arena->lists[order]; at != 0; at = arena->chunks[at - 1].next)
            CHECK(arena->chunks[at - 1].order == order && ++listed <= listable);
    CHECK(used == arena->units_used && committed == arena->committed_count && listed == listable);
}
