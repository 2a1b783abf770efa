#include "buffers/heap.h"
#include "buffers/pools_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BYTES_MAX_DEFAULT (UINT64_C(1) << 30)
#define PAGE_BYTES        4096

int leat_pools_init(struct leat_core *core, uint64_t bytes_max, struct leat_error *error)
{
    struct leat_pools *pools = leat_heap_alloc_aligned(sizeof(*pools), 64);
    if (pools == NULL) {
        return leat_fail(error, -ENOMEM, "no memory for the buffer pools of core %u", core->index);
    }
    memset(pools, 0, sizeof(*pools));
    pools->bytes_max = bytes_max != 0 ? bytes_max : BYTES_MAX_DEFAULT;
    pools->core_index = core->index;
    core->pools = pools;
    return 0;
}

static struct leat_block *block_new(struct leat_pools *pools, unsigned class, size_t bytes)
{
    if (pools->bytes_max - pools->arena_bytes < bytes + sizeof(struct leat_block)) {
        return NULL;
    }
    struct leat_block *block = leat_heap_alloc_aligned(sizeof(*block), 64);
    if (block == NULL) {
        return NULL;
    }
    *block = (struct leat_block){.home = pools, .class = (uint16_t) class};
    block->capacity_bytes = (uint32_t)bytes;
    if (bytes != 0) {
        block->memory = leat_heap_calloc(1, bytes);
        if (block->memory == NULL) {
            leat_heap_free(block);
            return NULL;
        }
        POISON(block->memory, bytes);
    }
    pools->arena_bytes += bytes + sizeof(*block);
    return block;
}

static void block_delete(struct leat_block *block)
{
    block->home->arena_bytes -= block->capacity_bytes + sizeof(*block);
    UNPOISON(block->memory, block->capacity_bytes);
    leat_heap_free(block->memory);
    leat_heap_free(block);
}

bool pools_fails(struct leat_pools *pools)
{
    if (--pools->fail_at != 0) {
        return false;
    }
    pools->exhausted_count++;
    return true;
}

struct leat_block *pools_refill(struct leat_pools *pools, unsigned class)
{
    return block_new(pools, class, leat_buf_class_bytes(class));
}

struct leat_block *pools_take_large(struct leat_pools *pools, size_t length_bytes)
{
    if (length_bytes > LEAT_BUF_BYTES_MAX) {
        return NULL;
    }
    size_t bytes = (length_bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
    struct leat_block *block = block_new(pools, LEAT_BUF_CLASS_LARGE, bytes);
    if (block != NULL) {
        pools->large_bytes += bytes;
        pools->classes[LEAT_BUF_CLASS_LARGE].granted_count++;
    }
    return block;
}

struct leat_block *pools_take_wrap(struct leat_pools *pools)
{
    struct pool_class *of = &pools->classes[LEAT_BUF_CLASS_WRAP];
    struct leat_block *block = of->shelf;
    if (block != NULL) {
        of->shelf = block->next;
    } else {
        block = block_new(pools, LEAT_BUF_CLASS_WRAP, 0);
    }
    if (block != NULL) {
        of->granted_count++;
    }
    return block;
}

static void give_home(struct leat_pools *pools, struct leat_block *block)
{
    struct pool_class *of = &pools->classes[block->class];
    of->freed_count++;
    if (block->class == LEAT_BUF_CLASS_LARGE) {
        pools->large_bytes -= block->capacity_bytes;
        block_delete(block);
        return;
    }
    void (*free_fn)(void *) = NULL;
    void *arg = NULL;
    if (block->class == LEAT_BUF_CLASS_WRAP) {
        free_fn = block->wrap.free_fn;
        arg = block->wrap.arg;
    } else {
        POISON(block->memory, block->capacity_bytes);
    }
    block->next = of->shelf;
    of->shelf = block;
    if (free_fn != NULL) {
        free_fn(arg);
    }
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
    if (likely(block->home == here)) {
        give_home(here, block);
    } else {
        give_abroad(here, block);
    }
}

void leat_pools_turn(struct leat_core *core)
{
    struct leat_pools *pools = core->pools;
    while (unlikely(pools->abroad_mask != 0)) {
        struct abroad *abroad = &pools->abroad[__builtin_ctz(pools->abroad_mask)];
        pools->abroad_mask &= pools->abroad_mask - 1;
        send_home(abroad->home, abroad->first, abroad->last);
        abroad->first = NULL;
    }
    if (likely(atomic_load_explicit(&pools->inbound, memory_order_relaxed) == NULL)) {
        return;
    }
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
        if (i < LEAT_BUF_CLASSES) {
            snprintf(of, sizeof(of), "of %u bytes", leat_buf_class_bytes(i));
        } else if (i == LEAT_BUF_CLASS_LARGE) {
            snprintf(of, sizeof(of), "larger");
        }
        if (count != 0) {
            used += snprintf(text + used, sizeof(text) - (size_t)used, " %lu %s;",
                             (unsigned long)count, of);
        }
    }
    dprintf(STDERR_FILENO, "%.*s\n", used - 1, text);
}

uint64_t leat_pools_fini(struct leat_core *core)
{
    leat_pools_turn(core);
    struct leat_pools *pools = core->pools;
    uint64_t live_count = 0;
    for (unsigned i = 0; i <= LEAT_BUF_CLASS_WRAP; i++) {
        struct pool_class *of = &pools->classes[i];
        CHECK(of->granted_count >= of->freed_count);
        live_count += of->granted_count - of->freed_count;
        while (of->shelf != NULL) {
            struct leat_block *block = of->shelf;
            of->shelf = block->next;
            block_delete(block);
        }
    }
    core->pools = NULL;
    if (live_count != 0) {
        report_leaks(pools, live_count);
        return live_count;
    }
    CHECK(pools->arena_bytes == 0);
    leat_heap_free(pools);
    return 0;
}

void leat_pools_fail_at(struct leat_core *core, uint64_t nth)
{
    core->pools->fail_at = nth;
}

void leat_pools_validate(const struct leat_core *core)
{
    for (unsigned i = 0; i <= LEAT_BUF_CLASS_WRAP; i++) {
        const struct pool_class *of = &core->pools->classes[i];
        CHECK(of->granted_count >= of->freed_count);
        for (const struct leat_block *block = of->shelf; block != NULL; block = block->next) {
            CHECK(block->refs == 0 && block->class == i && block->home == core->pools);
        }
    }
}
