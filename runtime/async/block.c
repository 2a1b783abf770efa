/* Blocks of one cache line for futures and reactions: a free list of each core, and what is kept
 * for when memory is out. */
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

_Static_assert(sizeof(struct leat_future) == BLOCK_BYTES, "a future is one cache line");
_Static_assert(sizeof(struct leat_reaction) <= BLOCK_BYTES, "a reaction is one cache line");

struct async_block *async_block_new(void)
{
    return leat_heap_alloc_aligned(BLOCK_BYTES, BLOCK_BYTES);
}

/* Spare blocks come first: they are what memory that is given back is for. */
void async_block_free(struct async_core *core, struct async_block *block)
{
    if (core->spare_count == LEAT_REACTIONS_SPARE || !loop_queue_reserve(core->jobs, 1)) {
        leat_heap_free(block);
        return;
    }
    block->next = core->spare;
    core->spare = block;
    core->spare_count++;
}

int async_spare_fill(struct async_core *core)
{
    while (core->spare_count < LEAT_REACTIONS_SPARE) {
        uint32_t before = core->spare_count;
        struct async_block *block = async_block_new();
        if (block == NULL)
            return -ENOMEM;
        async_block_free(core, block);
        if (core->spare_count == before)
            return -ENOMEM;
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
    loop_queue_release(core->jobs, core->spare_count);
    blocks_free(core->spare);
    blocks_free(core->blocks);
}
