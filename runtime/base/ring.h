/* The indices of a ring between one producing and one consuming thread. The slots are the user's:
 * an array of capacity elements of any type, addressed by `position & ring->mask`.
 *
 * Producer: room = ring_room(ring); write slots ring->tail_local ... (at most room), then
 * ring_publish(ring, count). Consumer: ready = ring_ready(ring); read slots ring->head_local ...,
 * then ring_release(ring, count). Each side rereads the other's index only when its own copy says
 * full or empty, so that a batch costs one cache line each way. Positions run through all of 32
 * bits; capacity is a power of two up to 2^31. */
#ifndef LEAT_RING_H
#define LEAT_RING_H

#include <stdatomic.h>

#include "runtime/base/bits.h"
#include "runtime/base/core.h"

#define RING_LINE_BYTES 64

struct ring {
    _Alignas(RING_LINE_BYTES) _Atomic uint32_t tail; /* the producer's line */
    uint32_t tail_local, head_seen;
    _Alignas(RING_LINE_BYTES) _Atomic uint32_t head; /* the consumer's line */
    uint32_t head_local, tail_seen;
    _Alignas(RING_LINE_BYTES) uint32_t mask;
};

static inline void ring_init(struct ring *ring, uint32_t capacity)
{
    CHECK(bits_is_power_of_two(capacity));
    *ring = (struct ring){.mask = capacity - 1};
}

/* How many slots the producer may write. */
static inline uint32_t ring_room(struct ring *ring)
{
    uint32_t used = ring->tail_local - ring->head_seen;
    if (used > ring->mask) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        used = ring->tail_local - ring->head_seen;
    }
    return ring->mask + 1 - used;
}

static inline void ring_publish(struct ring *ring, uint32_t count)
{
    ring->tail_local += count;
    atomic_store_explicit(&ring->tail, ring->tail_local, memory_order_release);
}

/* How many slots the consumer may read. */
static inline uint32_t ring_ready(struct ring *ring)
{
    if (ring->tail_seen == ring->head_local)
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return ring->tail_seen - ring->head_local;
}

static inline void ring_release(struct ring *ring, uint32_t count)
{
    ring->head_local += count;
    atomic_store_explicit(&ring->head, ring->head_local, memory_order_release);
}

/* A full fence that ThreadSanitizer accepts: it does not model fences, and needs none for what the
 * rings publish with release and acquire. */
static inline void ring_fence(void)
{
#if defined(__SANITIZE_THREAD__)
    _Atomic int fence = 0;
    atomic_exchange(&fence, 1);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

#endif
