/* A leat_buf: made, shared, resized, sliced, given back. */
#include "buffers/pools_internal.h"

#include <string.h>

/* Nothing behind a shrunk buffer's end may be touched until resize grants it again. */
static void poison_slack(struct leat_block *block, uint8_t *end)
{
    if (block != NULL && block->class != LEAT_BUF_CLASS_WRAP)
        POISON(end, (size_t)(block->memory + block->capacity_bytes - end));
}

#define NO_BUF ((struct leat_buf){NULL, 0, NULL})

static struct leat_block *block_take(struct leat_pools *pools, size_t length_bytes)
{
    if (unlikely(pools->fail_at != 0 && pools_fails(pools)))
        return NULL;
    if (unlikely(length_bytes - 1 >= LEAT_BUF_CLASSED_MAX))
        return pools_take_slow(pools, length_bytes);
    struct pool_class *of = &pools->classes[leat_buf_class_of(length_bytes)];
    struct leat_block *block = of->shelf;
    if (unlikely(block == NULL))
        return pools_take_slow(pools, length_bytes);
    of->shelf = block->next;
    of->shelf_count--;
    of->granted_count++;
    block_check_freed(block);
    block->refs = 1;
    return block;
}

static struct leat_pools *pools_now(void)
{
    struct leat_core *core = leat_core_now;
    CHECK(core != NULL && core->pools != NULL);
    return core->pools;
}

struct leat_buf leat_buf_alloc(size_t length_bytes)
{
    struct leat_pools *pools = pools_now();
    struct leat_block *block = block_take(pools, length_bytes);
    if (unlikely(block == NULL))
        return NO_BUF;
    if (block->dirty_bytes != 0) {
        UNPOISON(block->memory, block->dirty_bytes);
        memset(block->memory, 0, block->dirty_bytes);
        POISON(block->memory, block->capacity_bytes);
        pools->cleared_bytes += block->dirty_bytes;
    }
    UNPOISON(block->memory, length_bytes);
    block->flags = BLOCK_SLACK_CLEAR;
    block->dirty_bytes = (uint32_t)length_bytes;
    return (struct leat_buf){block->memory, length_bytes, block};
}

static struct leat_buf alloc_dirty(size_t length_bytes, uint16_t flags)
{
    struct leat_block *block = block_take(pools_now(), length_bytes);
    if (unlikely(block == NULL))
        return NO_BUF;
    UNPOISON(block->memory, length_bytes);
    block->flags = flags;
    if (block->dirty_bytes < length_bytes)
        block->dirty_bytes = (uint32_t)length_bytes;
    return (struct leat_buf){block->memory, length_bytes, block};
}

struct leat_buf leat_buf_alloc_unsafe(size_t length_bytes)
{
    return alloc_dirty(length_bytes, 0);
}

struct leat_buf leat_buf_from_bytes(const void *bytes, size_t length_bytes)
{
    struct leat_buf buf = alloc_dirty(length_bytes, BLOCK_SLACK_CLEAR);
    if (buf.data != NULL)
        memcpy(buf.data, bytes, length_bytes);
    return buf;
}

struct leat_buf leat_buf_from_string(const char *string)
{
    return leat_buf_from_bytes(string, strlen(string));
}

struct leat_buf leat_buf_from_static(const void *bytes, size_t length_bytes)
{
    union {
        const void *in;
        uint8_t *out;
    } as = {.in = bytes};
    return (struct leat_buf){as.out, length_bytes, NULL};
}

struct leat_buf leat_buf_wrap(void *bytes, size_t length_bytes, void (*free_fn)(void *arg),
                              void *arg)
{
    struct leat_pools *pools = pools_now();
    bool is_refused = pools->fail_at != 0 && pools_fails(pools);
    struct leat_block *block = is_refused ? NULL : pools_take_wrap(pools);
    if (unlikely(block == NULL))
        return NO_BUF;
    block->wrap_free = free_fn;
    block->wrap_arg = arg;
    return (struct leat_buf){bytes, length_bytes, block};
}

size_t leat_buf_capacity(const struct leat_buf *buf)
{
    const struct leat_block *block = buf->block;
    if (block == NULL || block->class == LEAT_BUF_CLASS_WRAP || block->refs != 1)
        return buf->length_bytes;
    return block->capacity_bytes - (size_t)(buf->data - block->memory);
}

bool leat_buf_resize(struct leat_buf *buf, size_t length_bytes)
{
    struct leat_block *block = buf->block;
    if (length_bytes <= buf->length_bytes) {
        if (block != NULL && block->refs != 1)
            return false;
        poison_slack(block, buf->data + length_bytes);
        buf->length_bytes = length_bytes;
        return true;
    }
    if (length_bytes > leat_buf_capacity(buf))
        return false;
    uint8_t *old_end = buf->data + buf->length_bytes;
    size_t end = (size_t)(buf->data - block->memory) + length_bytes;
    UNPOISON(old_end, length_bytes - buf->length_bytes);
    uint8_t *dirty_end = block->memory + (block->dirty_bytes < end ? block->dirty_bytes : end);
    if ((block->flags & BLOCK_SLACK_CLEAR) != 0 && dirty_end > old_end)
        memset(old_end, 0, (size_t)(dirty_end - old_end));
    if (block->dirty_bytes < end)
        block->dirty_bytes = (uint32_t)end;
    buf->length_bytes = length_bytes;
    return true;
}

struct leat_buf leat_buf_ref(struct leat_buf buf)
{
    if (buf.block != NULL) {
        DCHECK(buf.block->refs > 0 && buf.block->refs < UINT32_MAX);
        buf.block->refs++;
    }
    return buf;
}

void leat_buf_unref(struct leat_buf buf)
{
    struct leat_block *block = buf.block;
    if (block == NULL)
        return;
    DCHECK(block->refs > 0);
    if (--block->refs != 0)
        return;
    struct leat_core *core = leat_core_now;
    if (likely(core != NULL && core->pools == block->home && block->class < LEAT_BUF_CLASSES)) {
        struct pool_class *of = &block->home->classes[block->class];
        if (likely(of->shelf_count < of->shelf_max)) {
            block_fill_freed(block);
            of->freed_count++;
            of->shelf_count++;
            block->next = of->shelf;
            of->shelf = block;
            return;
        }
    }
    pools_give(block);
}

struct leat_buf leat_buf_slice(struct leat_buf buf, size_t offset_bytes, size_t length_bytes)
{
    if (offset_bytes > buf.length_bytes)
        offset_bytes = buf.length_bytes;
    size_t rest_bytes = buf.length_bytes - offset_bytes;
    if (buf.data != NULL)
        buf.data += offset_bytes;
    buf.length_bytes = length_bytes < rest_bytes ? length_bytes : rest_bytes;
    return leat_buf_ref(buf);
}

void leat_buf_stats(struct leat_buf_stats *stats)
{
    const struct leat_pools *pools = pools_now();
    *stats = (struct leat_buf_stats){
        .exhausted_count = pools->exhausted_count,
        .cleared_bytes = pools->cleared_bytes,
        .foreign_count = pools->foreign_count,
        .arena_bytes = pools->arena_bytes,
        .live_bytes = pools->large_bytes,
        .pages = pools->arena.pages->name,
    };
    for (unsigned i = 0; i <= LEAT_BUF_CLASS_WRAP; i++) {
        const struct pool_class *of = &pools->classes[i];
        stats->granted_count += of->granted_count;
        stats->freed_count += of->freed_count;
        if (i < LEAT_BUF_CLASSES)
            stats->live_bytes += (of->granted_count - of->freed_count) * leat_buf_class_bytes(i);
    }
    stats->live_count = stats->granted_count - stats->freed_count;
}
