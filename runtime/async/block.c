/* Blocks of one cache line for futures and reactions: a free list of each core, and what is kept
 * for when memory is out. Under sanitizers each block is one of the heap's, so that they see every
 * error. */
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

_Static_assert(sizeof(struct leat_future) == BLOCK_BYTES, "a future is one cache line");
_Static_assert(sizeof(struct leat_reaction) <= BLOCK_BYTES, "a reaction is one cache line");

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BLOCKS_KEPT 0
#else
#define BLOCKS_KEPT ASYNC_BLOCKS_KEPT
#endif

static struct async_block *block_new(void)
{
    return leat_heap_alloc_aligned(BLOCK_BYTES, BLOCK_BYTES);
}

void *async_block_take(struct async_core *core)
{
    struct async_block *block = core->blocks;
    if (unlikely(block == NULL))
        return block_new();
    core->blocks = block->next;
    core->block_count--;
    return block;
}

/* Spare blocks come first: they are what memory that is given back is for. */
void async_block_give(struct async_core *core, void *memory)
{
    struct async_block *block = memory;
    if (unlikely(core->spare_count < LEAT_REACTIONS_SPARE) &&
        loop_job_reserve(core->loop, 1) == 0) {
        block->next = core->spare;
        core->spare = block;
        core->spare_count++;
    } else if (likely(core->block_count != BLOCKS_KEPT)) {
        block->next = core->blocks;
        core->blocks = block;
        core->block_count++;
    } else {
        leat_heap_free(block);
    }
}

int async_spare_fill(struct async_core *core)
{
    while (core->spare_count < LEAT_REACTIONS_SPARE) {
        struct async_block *block = block_new();
        if (block == NULL || loop_job_reserve(core->loop, 1) != 0) {
            leat_heap_free(block);
            return -ENOMEM;
        }
        async_block_give(core, block);
        loop_job_release(core->loop, 1);
    }
    return 0;
}

void *async_spare_take(struct async_core *core)
{
    struct async_block *block = core->spare;
    if (block == NULL)
        leat_panic(__FILE__, __LINE__, __func__,
                   "memory is out, and with it the %u reactions kept for that: a callback would be "
                   "lost; give the program more memory, or less to do at once",
                   LEAT_REACTIONS_SPARE);
    core->spare = block->next;
    core->spare_count--;
    return block;
}

static void blocks_free(struct async_block *block)
{
    while (block != NULL) {
        struct async_block *next = block->next;
        leat_heap_free(block);
        block = next;
    }
}

void async_blocks_fini(struct async_core *core)
{
    loop_job_release(core->loop, core->spare_count);
    blocks_free(core->spare);
    blocks_free(core->blocks);
}
