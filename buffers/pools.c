/* A core's pools of blocks by size class, and buffers that come home from other cores. */
#include "buffers/heap.h"
#include "buffers/pools_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/output.h"
#include "runtime/base/topology.h"

#define BYTES_MAX_DEFAULT (UINT64_C(1) << 30)
#define BYTES_MAX_LEAST   (UINT64_C(4) << 20)

static uint64_t bytes_max_default(void)
{
    uint64_t quarter = leat_memory_bytes("") / 4;
    return quarter > BYTES_MAX_DEFAULT ? BYTES_MAX_DEFAULT
           : quarter < BYTES_MAX_LEAST ? BYTES_MAX_LEAST
                                       : quarter;
}

int leat_pools_init_on(struct leat_core *core, uint64_t bytes_max, const struct leat_pages *pages,
                       struct leat_error *error)
{
    struct leat_pools *pools = leat_heap_alloc_aligned(sizeof(*pools), 64);
    if (pools == NULL)
        return leat_fail(error, -ENOMEM, "no memory for the buffer pools of core %u", core->index);
    memset(pools, 0, sizeof(*pools));
    pools->bytes_max = bytes_max != 0 ? bytes_max : bytes_max_default();
    pools->core_index = core->index;
    int rc = arena_init(&pools->arena, pools->bytes_max, pages, error);
    if (rc != 0) {
        leat_heap_free(pools);
        return rc;
    }
    spans_init(pools);
    core->pools = pools;
    return 0;
}

int leat_pools_init(struct leat_core *core, uint64_t bytes_max, struct leat_error *error)
{
    return leat_pools_init_on(core, bytes_max, leat_pages_default(), error);
}

bool pools_fails(struct leat_pools *pools)
{
    if (--pools->fail_at != 0)
        return false;
    pools->exhausted_count++;
    return true;
}

struct leat_block *pools_take_slow(struct leat_pools *pools, size_t length_bytes)
{
    struct leat_block *block = NULL;
    unsigned class = LEAT_BUF_CLASS_LARGE;
    if (length_bytes == 0)
        return NULL;
    if (length_bytes > LEAT_BUF_CLASSED_MAX) {
        block = spans_take_large(pools, length_bytes);
    } else {
        class = leat_buf_class_of(length_bytes);
        if (spans_refill(pools, class)) {
            block = pools->classes[class].shelf;
            pools->classes[class].shelf = block->next;
            pools->classes[class].shelf_count--;
        }
    }
    if (block == NULL) {
        pools->exhausted_count++;
        return NULL;
    }
    pools->classes[class].granted_count++;
    block_check_freed(block);
    block->refs = 1;
    return block;
}

struct leat_block *pools_take_wrap(struct leat_pools *pools)
{
    struct pool_class *of = &pools->classes[LEAT_BUF_CLASS_WRAP];
    if (of->shelf == NULL && !spans_refill(pools, LEAT_BUF_CLASS_WRAP)) {
        pools->exhausted_count++;
        return NULL;
    }
    struct leat_block *block = of->shelf;
    of->shelf = block->next;
    of->shelf_count--;
    of->granted_count++;
    block->refs = 1;
    return block;
}

static void give_home(struct leat_pools *pools, struct leat_block *block)
{
    struct pool_class *of = &pools->classes[block->class];
    of->freed_count++;
    block_fill_freed(block);
    if (unlikely(block->class == LEAT_BUF_CLASS_LARGE)) {
        spans_give_large(pools, block);
        return;
    }
    void (*wrap_free)(void *) = block->wrap_free;
    void *wrap_arg = block->wrap_arg;
    block->next = of->shelf;
    of->shelf = block;
    if (unlikely(++of->shelf_count > of->shelf_max))
        spans_spill(pools, block->class, of->shelf_max / 2);
    if (unlikely(wrap_free != NULL))
        wrap_free(wrap_arg);
}

static void send_home(struct leat_pools *home, struct leat_block *first, struct leat_block *last)
{
    struct leat_block *top = atomic_load_explicit(&home->inbound, memory_order_relaxed);
    do {
        last->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&home->inbound, &top, first,
                                                    memory_order_release, memory_order_relaxed));
}

static void give_abroad(struct leat_pools *here, struct leat_block *block)
{
    if (here == NULL) {
        send_home(block->home, block, block);
        return;
    }
    unsigned slot = block->home->core_index % ABROAD_HOMES;
    struct abroad *abroad = &here->abroad[slot];
    if (abroad->first != NULL && abroad->home != block->home) {
        send_home(abroad->home, abroad->first, abroad->last);
        abroad->first = NULL;
    }
    if (abroad->first == NULL) {
        abroad->home = block->home;
        abroad->last = block;
        here->abroad_mask |= 1u << slot;
    }
    block->next = abroad->first;
    abroad->first = block;
}

void pools_give(struct leat_block *block)
{
    struct leat_pools *here = leat_core_now != NULL ? leat_core_now->pools : NULL;
    DCHECK(block->home != NULL);
    if (likely(block->home == here))
        give_home(here, block);
    else
        give_abroad(here, block);
}

static bool pools_trim(struct leat_pools *pools, uint32_t chunks_max)
{
    bool has_more = false;
    for (unsigned i = 0; i < POOL_CLASSES; i++) {
        struct pool_class *of = &pools->classes[i];
        if (of->granted_count == of->trim_granted_count)
            spans_spill(pools, i, 0);
        of->trim_granted_count = of->granted_count;
        has_more |= of->shelf_count != 0;
    }
    spans_reclaim(pools, RECLAIM_SPANS, pools->trim_count);
    pools->trim_count++;
    has_more |= pools->empties_oldest != NULL;
    return arena_trim(&pools->arena, chunks_max) || has_more;
}

bool leat_pools_trim(struct leat_core *core)
{
    return pools_trim(core->pools, TRIM_CHUNKS_IDLE);
}

unsigned leat_pools_share(const struct leat_core *core)
{
    const struct leat_pools *pools = core->pools;
    uint64_t bytes = pools->large_bytes;
    for (unsigned i = 0; i < LEAT_BUF_CLASSES; i++)
        bytes += (pools->classes[i].granted_count - pools->classes[i].freed_count) *
                 leat_buf_class_bytes(i);
    return (unsigned)(bytes * 256 / pools->bytes_max);
}

void leat_pools_turn(struct leat_core *core)
{
    struct leat_pools *pools = core->pools;
    if (unlikely(++pools->turn_count % POOLS_TRIM_TURNS == 0))
        pools_trim(pools, TRIM_CHUNKS_TURN);
    while (unlikely(pools->abroad_mask != 0)) {
        struct abroad *abroad = &pools->abroad[__builtin_ctz(pools->abroad_mask)];
        pools->abroad_mask &= pools->abroad_mask - 1;
        send_home(abroad->home, abroad->first, abroad->last);
        abroad->first = NULL;
    }
    if (likely(atomic_load_explicit(&pools->inbound, memory_order_relaxed) == NULL))
        return;
    struct leat_block *block =
        atomic_exchange_explicit(&pools->inbound, NULL, memory_order_acquire);
    while (block != NULL) {
        struct leat_block *next = block->next;
        pools->foreign_count++;
        give_home(pools, block);
        block = next;
    }
}

static void report_leaks(const struct leat_pools *pools, uint64_t live_count)
{
    char text[512];
    int used = snprintf(text, sizeof(text),
                        "leat: core %u: %lu buffers were never freed:", pools->core_index,
                        (unsigned long)live_count);
    for (unsigned i = 0; i <= LEAT_BUF_CLASS_WRAP && used < (int)sizeof(text) - 64; i++) {
        uint64_t count = pools->classes[i].granted_count - pools->classes[i].freed_count;
        char of[32] = "wrapped";
        if (i < LEAT_BUF_CLASSES)
            snprintf(of, sizeof(of), "of %u bytes", leat_buf_class_bytes(i));
        else if (i == LEAT_BUF_CLASS_LARGE)
            snprintf(of, sizeof(of), "larger");
        if (count != 0) {
            used += snprintf(text + used, sizeof(text) - (size_t)used, " %lu %s;",
                             (unsigned long)count, of);
        }
    }
    text[used - 1] = '\n'; /* for the last semicolon */
    (void)leat_output_write(STDERR_FILENO, text, (size_t)used, LEAT_LOG_DIRECT_MS);
}

uint64_t leat_pools_fini(struct leat_core *core)
{
    leat_pools_turn(core);
    struct leat_pools *pools = core->pools;
    spans_flush(pools);
    spans_reclaim(pools, UINT32_MAX, UINT32_MAX);
    leat_pools_validate(core);
    uint64_t live_count = 0;
    for (unsigned i = 0; i < POOL_CLASSES; i++)
        live_count += pools->classes[i].granted_count - pools->classes[i].freed_count;
    core->pools = NULL;
    if (live_count != 0) {
        report_leaks(pools, live_count);
        return live_count;
    }
    CHECK(pools->arena_bytes == 0 && pools->large_bytes == 0);
    arena_fini(&pools->arena);
    leat_heap_free(pools);
    return 0;
}

void leat_pools_fail_at(struct leat_core *core, uint64_t nth)
{
    core->pools->fail_at = nth;
}

void leat_pools_validate(const struct leat_core *core)
{
    spans_validate(core->pools);
    arena_validate(&core->pools->arena);
}
