/* A core's heap on mimalloc, and what is allocated on it by whom. */
#include "buffers/heap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_SYSTEM 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEAP_SYSTEM 1
#endif
#endif

#if defined(HEAP_SYSTEM)
#include <malloc.h>
#else
#include <mimalloc.h>
#endif

#define HEAP_PLAIN_BYTES_MIN 1024 /* blocks from here on may be aligned without asking */

struct leat_heap {
    struct leat_heap_stats stats;
    uint64_t fail_at;
#if !defined(HEAP_SYSTEM)
    mi_heap_t *mi;
#endif
};

#if defined(HEAP_SYSTEM)
static void *raw_alloc(struct leat_heap *heap, size_t bytes)
{
    return malloc(bytes);
}
static void *raw_calloc(struct leat_heap *heap, size_t count, size_t bytes)
{
    return calloc(count, bytes);
}
static void *raw_realloc(struct leat_heap *heap, void *memory, size_t bytes)
{
    return realloc(memory, bytes);
}
static void *raw_aligned(struct leat_heap *heap, size_t bytes, size_t alignment)
{
    void *memory = NULL;
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    return posix_memalign(&memory, alignment, bytes) == 0 ? memory : NULL;
}
static size_t raw_usable(void *memory)
{
    return malloc_usable_size(memory);
}
static void raw_free(void *memory)
{
    free(memory);
}
#else
static void *raw_alloc(struct leat_heap *heap, size_t bytes)
{
    return heap != NULL ? mi_heap_malloc(heap->mi, bytes) : mi_malloc(bytes);
}
static void *raw_calloc(struct leat_heap *heap, size_t count, size_t bytes)
{
    return heap != NULL ? mi_heap_calloc(heap->mi, count, bytes) : mi_calloc(count, bytes);
}
static void *raw_realloc(struct leat_heap *heap, void *memory, size_t bytes)
{
    return heap != NULL ? mi_heap_realloc(heap->mi, memory, bytes) : mi_realloc(memory, bytes);
}
static void *raw_aligned(struct leat_heap *heap, size_t bytes, size_t alignment)
{
    return heap != NULL ? mi_heap_malloc_aligned(heap->mi, bytes, alignment)
                        : mi_malloc_aligned(bytes, alignment);
}
static size_t raw_usable(void *memory)
{
    return mi_usable_size(memory);
}
static void raw_free(void *memory)
{
    mi_free(memory);
}
#endif

static struct leat_heap *heap_now(void)
{
    return leat_core_now != NULL ? leat_core_now->heap : NULL;
}

static bool heap_refuses(struct leat_heap *heap)
{
    if (likely(heap == NULL || heap->fail_at == 0) || --heap->fail_at != 0)
        return false;
    heap->stats.refused_count++;
    return true;
}

static void *heap_counted(struct leat_heap *heap, void *memory)
{
    if (heap != NULL) {
        if (likely(memory != NULL)) {
            heap->stats.allocated_count++;
            heap->stats.allocated_bytes += raw_usable(memory);
        } else {
            heap->stats.refused_count++;
        }
    }
    return memory;
}

static void heap_uncount(struct leat_heap *heap, size_t usable_bytes)
{
    if (heap != NULL) {
        heap->stats.freed_count++;
        heap->stats.freed_bytes += usable_bytes;
    }
}

int leat_heap_init(struct leat_core *core, struct leat_error *error)
{
    struct leat_heap *heap = raw_calloc(NULL, 1, sizeof(*heap));
    if (heap == NULL)
        return leat_fail(error, -ENOMEM, "no memory for the heap of core %u", core->index);
#if !defined(HEAP_SYSTEM)
    heap->mi = mi_heap_new();
    if (heap->mi == NULL) {
        raw_free(heap);
        return leat_fail(error, -ENOMEM, "no memory for the heap of core %u", core->index);
    }
#endif
    core->heap = heap;
    return 0;
}

void leat_heap_fini(struct leat_core *core)
{
    struct leat_heap *heap = core->heap;
    core->heap = NULL;
#if !defined(HEAP_SYSTEM)
    /* deleting alone keeps its empty pages: a process that makes loop after loop would grow */
    mi_heap_collect(heap->mi, true);
    mi_heap_delete(heap->mi); /* not destroy: another core may still hold memory of this one */
#endif
    raw_free(heap);
}

void *leat_heap_alloc(size_t bytes)
{
    struct leat_heap *heap = heap_now();
    return heap_refuses(heap) ? NULL : heap_counted(heap, raw_alloc(heap, bytes != 0 ? bytes : 1));
}

void *leat_heap_calloc(size_t count, size_t bytes)
{
    struct leat_heap *heap = heap_now();
    if (count == 0 || bytes == 0)
        count = bytes = 1;
    return heap_refuses(heap) ? NULL : heap_counted(heap, raw_calloc(heap, count, bytes));
}

void *leat_heap_realloc(void *memory, size_t bytes)
{
    struct leat_heap *heap = heap_now();
    if (memory == NULL)
        return leat_heap_alloc(bytes);
    if (heap_refuses(heap))
        return NULL;
    size_t before_bytes = raw_usable(memory);
    void *moved = heap_counted(heap, raw_realloc(heap, memory, bytes != 0 ? bytes : 1));
    if (moved != NULL)
        heap_uncount(heap, before_bytes);
    return moved;
}

/* mimalloc asks for more when it is to align, and so takes the next size class, a fifth more for a
 * power of two. Large blocks lie well without: it is asked plainly first. */
static void *heap_aligned(struct leat_heap *heap, size_t bytes, size_t alignment)
{
    if (bytes < HEAP_PLAIN_BYTES_MIN || bytes % alignment != 0)
        return raw_aligned(heap, bytes, alignment);
    void *memory = raw_alloc(heap, bytes);
    if (memory == NULL || (uintptr_t)memory % alignment == 0)
        return memory;
    raw_free(memory);
    return raw_aligned(heap, bytes, alignment);
}

void *leat_heap_alloc_aligned(size_t bytes, size_t alignment)
{
    struct leat_heap *heap = heap_now();
    return heap_refuses(heap)
               ? NULL
               : heap_counted(heap, heap_aligned(heap, bytes != 0 ? bytes : 1, alignment));
}

/* Pages that come fresh from the system are zero, and are not touched. */
static void *aligned_zeros(struct leat_heap *heap, size_t bytes, size_t alignment)
{
    void *memory = raw_calloc(heap, 1, bytes);
    if (memory == NULL || (uintptr_t)memory % alignment == 0)
        return memory;
    raw_free(memory);
    memory = raw_aligned(heap, bytes, alignment);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

void *leat_heap_calloc_aligned(size_t bytes, size_t alignment)
{
    struct leat_heap *heap = heap_now();
    return heap_refuses(heap)
               ? NULL
               : heap_counted(heap, aligned_zeros(heap, bytes != 0 ? bytes : 1, alignment));
}

void leat_heap_free(void *memory)
{
    if (memory != NULL) {
        struct leat_heap *heap = heap_now();
        if (heap != NULL)
            heap_uncount(heap, raw_usable(memory));
        raw_free(memory);
    }
}

void leat_heap_stats(const struct leat_core *core, struct leat_heap_stats *stats)
{
    *stats = core->heap->stats;
}

void leat_heap_fail_at(struct leat_core *core, uint64_t nth)
{
    core->heap->fail_at = nth;
}
