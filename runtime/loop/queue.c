/* Queues of callbacks that grow. */
#include "runtime/loop/queue.h"

#include <errno.h>

#include "buffers/heap.h"

#define QUEUE_CAPACITY_MIN 64

static int queue_grow(struct loop_queue *queue)
{
    uint32_t capacity = queue->capacity == 0 ? QUEUE_CAPACITY_MIN : queue->capacity * 2;
    if (capacity > LEAT_CALLBACKS_MAX)
        return -ENOMEM;
    struct loop_callback *slots = leat_heap_alloc(capacity * sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < queue->count; i++)
        slots[i] = queue->slots[(queue->head + i) & (queue->capacity - 1)];
    leat_heap_free(queue->slots);
    queue->slots = slots;
    queue->capacity = capacity;
    queue->head = 0;
    return 0;
}

int loop_queue_push(struct loop_queue *queue, leat_callback *fn, void *arg)
{
    if (unlikely(queue->count + queue->reserved_count == queue->capacity) && queue_grow(queue) != 0)
        return -ENOMEM;
    uint32_t at = (queue->head + queue->count++) & (queue->capacity - 1);
    queue->slots[at] = (struct loop_callback){fn, arg};
    return 0;
}

int loop_queue_grow(struct loop_queue *queue, uint32_t count)
{
    while (queue->capacity - queue->count - queue->reserved_count < count)
        if (queue_grow(queue) != 0)
            return -ENOMEM;
    return 0;
}

void loop_queue_fini(struct loop_queue *queue)
{
    leat_heap_free(queue->slots);
    *queue = (struct loop_queue){0};
}
