/* Spans: runs of units that are cut into blocks of one size. */
#include "buffers/heap.h"
#include "buffers/pools_internal.h"

#include <string.h>

static void list_push(struct span **first, struct span *span)
{
    span->prev = NULL;
    span->next = *first;
    if (*first != NULL)
        (*first)->prev = span;
    *first = span;
}

static void roomy_push_front(struct pool_class *of, struct span *span)
{
    list_push(&of->roomy, span);
    if (span->next == NULL)
        of->roomy_last = span;
}

static void roomy_push_back(struct pool_class *of, struct span *span)
{
    span->next = NULL;
    span->prev = of->roomy_last;
    if (of->roomy_last != NULL)
        of->roomy_last->next = span;
    else
        of->roomy = span;
    of->roomy_last = span;
}

static void list_remove(struct pool_class *of, struct span *span)
{
    if (span->next != NULL)
        span->next->prev = span->prev;
    else if (of->roomy_last == span)
        of->roomy_last = span->prev;
    if (span->prev != NULL)
        span->prev->next = span->next;
    else if (of->roomy == span)
        of->roomy = span->next;
    else
        of->full = span->next;
}

static void empties_push(struct leat_pools *pools, struct span *span)
{
    span->newer = NULL;
    span->older = pools->empties_newest;
    span->emptied_trim = pools->trim_count;
    if (span->older != NULL)
        span->older->newer = span;
    else
        pools->empties_oldest = span;
    pools->empties_newest = span;
}

static void empties_remove(struct leat_pools *pools, struct span *span)
{
    *(span->newer != NULL ? &span->newer->older : &pools->empties_newest) = span->older;
    *(span->older != NULL ? &span->older->newer : &pools->empties_oldest) = span->newer;
}

/* Small runs for small blocks, so that a class that is hardly used holds little; at least four
 * blocks to a run up to 512 KiB, so that at most an eighth of the run is left over. */
static uint32_t class_units(unsigned class)
{
    uint32_t bytes = leat_buf_class_bytes(class);
    return bytes <= 16 << 10 ? 1 : bytes <= 64 << 10 ? 4 : bytes <= 256 << 10 ? 16 : 32;
}

static uint64_t span_bytes(const struct span *span)
{
    return span->units != 0 ? (uint64_t)span->units * ARENA_UNIT_BYTES
                            : sizeof(*span) + span->block_count * sizeof(struct leat_block);
}

void spans_init(struct leat_pools *pools)
{
    for (unsigned i = 0; i < POOL_CLASSES; i++) {
        uint32_t max =
            i < LEAT_BUF_CLASSES ? SHELF_BYTES_MAX / leat_buf_class_bytes(i) : SHELF_BLOCKS_MAX;
        pools->classes[i].shelf_max = max == 0                 ? 1
                                      : max < SHELF_BLOCKS_MAX ? max
                                                               : SHELF_BLOCKS_MAX;
    }
}

static bool is_within_bound(const struct leat_pools *pools, uint64_t bytes)
{
    return bytes <= pools->bytes_max && pools->arena_bytes <= pools->bytes_max - bytes;
}

static uint8_t *run_try(struct leat_pools *pools, uint32_t units, uint32_t *used_bytes)
{
    bool is_long = units > 16 && units != ARENA_CHUNK_UNITS;
    if (!is_within_bound(pools, (uint64_t)units * ARENA_UNIT_BYTES))
        return NULL;
    return is_long ? arena_take_long(&pools->arena, units, used_bytes)
                   : arena_take(&pools->arena, units, used_bytes);
}

/* What other classes have left empty serves before the arena grows; what the shelves hold, only
 * when all else is used up. */
static uint8_t *run_take(struct leat_pools *pools, uint32_t units, uint32_t *used_bytes)
{
    uint8_t *run = run_try(pools, units, used_bytes);
    if (run == NULL && spans_reclaim(pools, RECLAIM_SPANS, UINT32_MAX) != 0)
        run = run_try(pools, units, used_bytes);
    if (run == NULL && is_within_bound(pools, (uint64_t)units * ARENA_UNIT_BYTES) &&
        arena_grow(&pools->arena))
        run = run_try(pools, units, used_bytes);
    if (run == NULL) {
        spans_flush(pools);
        while (run == NULL && spans_reclaim(pools, RECLAIM_SPANS, UINT32_MAX) != 0)
            run = run_try(pools, units, used_bytes);
        if (run == NULL && is_within_bound(pools, (uint64_t)units * ARENA_UNIT_BYTES) &&
            arena_grow(&pools->arena))
            run = run_try(pools, units, used_bytes);
    }
    if (run != NULL)
        POISON(run, (size_t)units * ARENA_UNIT_BYTES);
    return run;
}

static struct span *span_alloc(unsigned class, uint32_t block_count)
{
    /* A cache line for each block: the flexible array is aligned as its type says. */
    struct span *span =
        leat_heap_alloc_aligned(sizeof(*span) + block_count * sizeof(struct leat_block),
                                sizeof(struct leat_block));
    if (span != NULL) {
        memset(span, 0, sizeof(*span));
        span->class = (uint16_t) class;
        span->block_count = block_count;
    }
    return span;
}

static struct span *span_new(struct leat_pools *pools, unsigned class)
{
    uint32_t units = class == LEAT_BUF_CLASS_WRAP ? 0 : class_units(class);
    uint32_t block_count =
        units != 0 ? units * ARENA_UNIT_BYTES / leat_buf_class_bytes(class) : WRAP_SPAN_BLOCKS;
    struct span *span = span_alloc(class, block_count);
    if (span == NULL)
        return NULL;
    span->units = (uint16_t)units;
    if (units == 0) {
        if (!is_within_bound(pools, span_bytes(span))) {
            leat_heap_free(span);
            return NULL;
        }
    } else {
        span->memory = run_take(pools, units, &span->used_bytes);
        if (span->memory == NULL) {
            leat_heap_free(span);
            return NULL;
        }
    }
    pools->arena_bytes += span_bytes(span);
    roomy_push_back(&pools->classes[class], span);
    empties_push(pools, span);
    return span;
}

/* How far the run was ever written: the dirty extents of its blocks, and what was there before. */
static uint32_t span_used_bytes(const struct span *span)
{
    uint32_t used_bytes = span->used_bytes;
    for (uint32_t i = span->carved_count; i-- > 0;) {
        const struct leat_block *block = &span->blocks[i];
        uint32_t end = (uint32_t)(block->memory - span->memory) + block->dirty_bytes;
        if (block->dirty_bytes != 0)
            return end > used_bytes ? end : used_bytes;
    }
    return used_bytes;
}

static void span_delete(struct leat_pools *pools, struct span *span)
{
    pools->arena_bytes -= span_bytes(span);
    if (span->units != 0)
        arena_give(&pools->arena, span->memory, span->units, span_used_bytes(span));
    leat_heap_free(span);
}

uint32_t spans_reclaim(struct leat_pools *pools, uint32_t count_max, uint32_t trim_count)
{
    uint32_t count = 0;
    while (count < count_max && pools->empties_oldest != NULL &&
           pools->empties_oldest->emptied_trim < trim_count) {
        struct span *span = pools->empties_oldest;
        DCHECK(span->out_count == 0);
        empties_remove(pools, span);
        list_remove(&pools->classes[span->class], span);
        span_delete(pools, span);
        count++;
    }
    return count;
}

static struct leat_block *span_carve(struct leat_pools *pools, struct span *span)
{
    uint32_t index = span->carved_count++;
    struct leat_block *block = &span->blocks[index];
    *block = (struct leat_block){.home = pools, .span = span, .class = span->class};
    if (span->units != 0) {
        block->capacity_bytes = leat_buf_class_bytes(span->class);
        uint32_t offset = index * block->capacity_bytes;
        block->memory = span->memory + offset;
        uint32_t used_bytes = span->used_bytes > offset ? span->used_bytes - offset : 0;
        block->dirty_bytes =
            used_bytes < block->capacity_bytes ? used_bytes : block->capacity_bytes;
        block_fill_freed(block);
    }
    return block;
}

static struct leat_block *span_take(struct leat_pools *pools, struct span *span)
{
    struct pool_class *of = &pools->classes[span->class];
    struct leat_block *block = span->free;
    if (span->out_count == 0)
        empties_remove(pools, span);
    if (block != NULL)
        span->free = block->next;
    else
        block = span_carve(pools, span);
    if (++span->out_count == span->block_count) {
        list_remove(of, span);
        list_push(&of->full, span);
    }
    return block;
}

bool spans_refill(struct leat_pools *pools, unsigned class)
{
    struct pool_class *of = &pools->classes[class];
    DCHECK(of->shelf == NULL && of->shelf_count == 0);
    uint32_t want = (of->shelf_max + 1) / 2;
    if (of->roomy == NULL && span_new(pools, class) == NULL)
        return false;
    struct leat_block **tail = &of->shelf;
    while (of->shelf_count < want && of->roomy != NULL) {
        struct leat_block *block = span_take(pools, of->roomy);
        *tail = block;
        tail = &block->next;
        of->shelf_count++;
    }
    *tail = NULL;
    return true;
}

static void span_give(struct leat_pools *pools, struct leat_block *block)
{
    struct span *span = block->span;
    struct pool_class *of = &pools->classes[block->class];
    block->next = span->free;
    span->free = block;
    if (span->out_count-- == span->block_count) {
        list_remove(of, span);
        roomy_push_front(of, span);
    }
    if (span->out_count == 0) {
        list_remove(of, span);
        roomy_push_back(of, span);
        empties_push(pools, span);
    }
}

void spans_spill(struct leat_pools *pools, unsigned class, uint32_t keep_count)
{
    struct pool_class *of = &pools->classes[class];
    struct leat_block **at = &of->shelf;
    for (uint32_t i = 0; i < keep_count && *at != NULL; i++)
        at = &(*at)->next;
    struct leat_block *block = *at;
    *at = NULL;
    while (block != NULL) {
        struct leat_block *next = block->next;
        span_give(pools, block);
        of->shelf_count--;
        block = next;
    }
}

void spans_flush(struct leat_pools *pools)
{
    for (unsigned i = 0; i < POOL_CLASSES; i++)
        spans_spill(pools, i, 0);
}

struct leat_block *spans_take_large(struct leat_pools *pools, size_t length_bytes)
{
    if (length_bytes > LEAT_BUF_BYTES_MAX)
        return NULL;
    uint32_t units = (uint32_t)((length_bytes + ARENA_UNIT_BYTES - 1) / ARENA_UNIT_BYTES);
    struct span *span = span_alloc(LEAT_BUF_CLASS_LARGE, 1);
    if (span == NULL)
        return NULL;
    span->units = (uint16_t)units;
    span->memory = run_take(pools, units, &span->used_bytes);
    if (span->memory == NULL) {
        leat_heap_free(span);
        return NULL;
    }
    struct leat_block *block = &span->blocks[0];
    *block = (struct leat_block){
        .home = pools,
        .span = span,
        .class = LEAT_BUF_CLASS_LARGE,
        .memory = span->memory,
        .capacity_bytes = units * ARENA_UNIT_BYTES,
        .dirty_bytes = span->used_bytes,
    };
    block_fill_freed(block);
    span->carved_count = span->out_count = 1;
    span->used_bytes = 0; /* the block's extent tells it from now on */
    pools->arena_bytes += span_bytes(span);
    pools->large_bytes += block->capacity_bytes;
    list_push(&pools->classes[LEAT_BUF_CLASS_LARGE].full, span);
    return block;
}

void spans_give_large(struct leat_pools *pools, struct leat_block *block)
{
    pools->large_bytes -= block->capacity_bytes;
    list_remove(&pools->classes[LEAT_BUF_CLASS_LARGE], block->span);
    span_delete(pools, block->span);
}

static void span_validate(const struct leat_pools *pools, const struct span *span)
{
    uint32_t free_count = 0;
    for (const struct leat_block *block = span->free; block != NULL; block = block->next) {
        CHECK(block->refs == 0 && block->span == span && ++free_count <= span->carved_count);
        block_check_freed(block);
    }
    CHECK(span->carved_count <= span->block_count);
    CHECK(span->out_count == span->carved_count - free_count);
    for (uint32_t i = 0; i < span->carved_count; i++) {
        const struct leat_block *block = &span->blocks[i];
        CHECK(block->home == pools && block->class == span->class && block->span == span);
        CHECK(block->dirty_bytes <= block->capacity_bytes);
    }
}

void spans_validate(const struct leat_pools *pools)
{
    uint64_t bytes = 0;
    uint32_t empty_count = 0;
    for (unsigned class = 0; class < POOL_CLASSES; class ++) {
        const struct pool_class *of = &pools->classes[class];
        uint64_t out_count = 0;
        for (const struct span *span = of->roomy; span != NULL; span = span->next) {
            CHECK(span->out_count < span->block_count);
            CHECK((span->next == NULL) == (span == of->roomy_last));
            span_validate(pools, span);
            out_count += span->out_count;
            empty_count += span->out_count == 0;
            bytes += span_bytes(span);
        }
        for (const struct span *span = of->full; span != NULL; span = span->next) {
            CHECK(span->out_count == span->block_count);
            span_validate(pools, span);
            out_count += span->out_count;
            bytes += span_bytes(span);
        }
        uint32_t shelf_count = 0;
        for (const struct leat_block *block = of->shelf; block != NULL; block = block->next) {
            CHECK(block->refs == 0 && block->class == class);
            shelf_count++;
            block_check_freed(block);
        }
        CHECK(shelf_count == of->shelf_count && shelf_count <= of->shelf_max);
        CHECK(of->granted_count - of->freed_count + shelf_count == out_count);
    }
    for (const struct span *span = pools->empties_oldest; span != NULL; span = span->newer)
        CHECK(span->out_count == 0 && empty_count-- > 0);
    CHECK(empty_count == 0 && bytes == pools->arena_bytes && bytes <= pools->bytes_max);
}
