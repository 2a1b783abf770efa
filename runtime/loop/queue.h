/* Queues of callbacks that grow: microtasks and phases. A place may be kept beforehand for who must
 * not be refused later. For the loop's core. Internal to the library: not installed. */
#ifndef LEAT_LOOP_QUEUE_H
#define LEAT_LOOP_QUEUE_H

#include <leat/loop.h>

#include "runtime/base/core.h"

struct loop_callback {
    leat_callback *fn;
    void *arg;
};

/* A queue that grows by doubling up to LEAT_CALLBACKS_MAX and does not shrink. */
struct loop_queue {
    struct loop_callback *slots;
    uint32_t head, count, capacity; /* capacity is 0 or a power of two */
    uint32_t reserved_count;        /* places kept for who may not be refused */
};

int loop_queue_push(struct loop_queue *queue, leat_callback *fn, void *arg);
/* 0, or -ENOMEM. */
int loop_queue_grow(struct loop_queue *queue, uint32_t count); /* until so many more have room */
void loop_queue_fini(struct loop_queue *queue);

static inline struct loop_callback loop_queue_pull(struct loop_queue *queue)
{
    DCHECK(queue->count > 0);
    struct loop_callback callback = queue->slots[queue->head];
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    return callback;
}

/* Whether there was memory. */
static inline bool loop_queue_reserve(struct loop_queue *queue, uint32_t count)
{
    uint32_t free_count = queue->capacity - queue->count - queue->reserved_count;
    if (unlikely(free_count < count) && loop_queue_grow(queue, count) != 0)
        return false;
    queue->reserved_count += count;
    return true;
}

static inline void loop_queue_release(struct loop_queue *queue, uint32_t count)
{
    DCHECK(queue->reserved_count >= count);
    queue->reserved_count -= count;
}

/* Into a place that was kept. What runs may keep its own place again at once: it has just become
 * free. */
static inline void loop_queue_push_reserved(struct loop_queue *queue, leat_callback *fn, void *arg)
{
    loop_queue_release(queue, 1);
    uint32_t at = (queue->head + queue->count++) & (queue->capacity - 1);
    queue->slots[at] = (struct loop_callback){fn, arg};
}

#endif
