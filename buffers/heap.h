/* The heap of one core: everything that is not packet or byte buffers.
 *
 * Each core has a mimalloc heap of its own, on its own NUMA node by first touch. The functions
 * allocate from the current core's heap, or, on a thread that is no core's, from that thread's
 * default heap. Memory may be freed on any thread. Under the sanitizers the system's malloc is
 * used instead, so that they see every error.
 *
 * Accounting: allocations count on the core that made them, frees on the core that frees; the sums
 * over all cores are conserved, those of one core only if no pointer crosses. Threads without a
 * core are not counted. There is no bound here: every user of the heap has its own.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HEAP_H
#define LEAT_HEAP_H

#include "runtime/base/core.h"

struct leat_heap_stats {
    uint64_t allocated_count, freed_count;
    uint64_t allocated_bytes, freed_bytes; /* usable sizes */
    uint64_t refused_count;                /* the system gave no memory, or the test seam said so */
};

/* On the thread that runs the core. Sets core->heap. Returns 0, or -ENOMEM with a sentence. */
int leat_heap_init(struct leat_core *core, struct leat_error *error) LEAT_MUST_CHECK;
/* What is still allocated stays valid. */
void leat_heap_fini(struct leat_core *core);

/* As malloc, calloc, realloc, free: NULL when memory is out; a size of 0 counts as 1. */
void *leat_heap_alloc(size_t bytes) __attribute__((malloc, alloc_size(1))) LEAT_MUST_CHECK;
void *leat_heap_calloc(size_t count, size_t bytes)
    __attribute__((malloc, alloc_size(1, 2))) LEAT_MUST_CHECK;
void *leat_heap_realloc(void *memory, size_t bytes) __attribute__((alloc_size(2))) LEAT_MUST_CHECK;
/* alignment: a power of two. */
void *leat_heap_alloc_aligned(size_t bytes, size_t alignment)
    __attribute__((malloc, alloc_size(1))) LEAT_MUST_CHECK;
/* Zeros; large ones are not touched when they come fresh from the system. */
void *leat_heap_calloc_aligned(size_t bytes, size_t alignment)
    __attribute__((malloc, alloc_size(1))) LEAT_MUST_CHECK;
void leat_heap_free(void *memory); /* NULL: no effect */

void leat_heap_stats(const struct leat_core *core, struct leat_heap_stats *stats);

/* Test seam: the nth allocation from now on this core fails, once (1: the next; 0: none). */
void leat_heap_fail_at(struct leat_core *core, uint64_t nth);

#endif
