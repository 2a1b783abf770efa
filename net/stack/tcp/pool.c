/* Free objects of one size, kept for the next who needs one. */
#include "net/stack/tcp/tcp.h"

#include "buffers/heap.h"

void *tcp_pool_take(struct tcp_pool *pool)
{
    void *object = pool->first;
    if (likely(object != NULL)) {
        memcpy(&pool->first, object, sizeof(void *));
        pool->free_count--;
    } else {
        object = leat_heap_alloc_aligned(pool->bytes, 64);
    }
    pool->live_count += object != NULL;
    return object;
}

void tcp_pool_give(struct tcp_pool *pool, void *object)
{
    pool->live_count--;
    if (pool->free_count >= TCP_POOL_MAX) {
        leat_heap_free(object);
        return;
    }
    memcpy(object, &pool->first, sizeof(void *));
    pool->first = object;
    pool->free_count++;
}

void tcp_pool_init(struct tcp_pool *pool, size_t bytes)
{
    pool->bytes = (uint32_t)((bytes + 63) / 64 * 64);
}

void tcp_pool_fini(struct tcp_pool *pool)
{
    while (pool->first != NULL) {
        void *object = pool->first;
        memcpy(&pool->first, object, sizeof(void *));
        leat_heap_free(object);
    }
}
