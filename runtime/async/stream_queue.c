/* Chunks: kept, shared, dropped; and the queue of those that wait on a side. */
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/stream_internal.h"

#define QUEUE_CAPACITY_MIN 8

/* ---- one chunk ---- */

void leat_chunk_drop(struct leat_chunk *chunk)
{
    struct leat_chunk old = *chunk;
    chunk->kind = LEAT_CHUNK_NONE;
    if (old.kind == LEAT_CHUNK_NONE || (old.flags & LEAT_CHUNK_BORROWED) != 0)
        return;
    if (old.lender != NULL)
        old.lender->give(old.lender, &old);
    else if (old.kind == LEAT_CHUNK_BYTES)
        leat_buf_unref(old.buf);
    else if (old.kind == LEAT_CHUNK_OBJECT && old.drop != NULL)
        old.drop(old.object);
}

void chunks_drop(struct leat_chunk *chunks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        leat_chunk_drop(&chunks[i]);
}

uint64_t chunks_length(const struct leat_chunk *chunks, unsigned count)
{
    uint64_t length = 0;
    for (unsigned i = 0; i < count; i++)
        length += leat_chunk_length(&chunks[i]);
    return length;
}

/* One more reference on what somebody else keeps too. Of bytes that a connection lent the one who
 * keeps them pays; the share is the pool's. */
int chunk_share(const struct leat_chunk *chunk, struct leat_chunk *own)
{
    *own = *chunk;
    own->flags = 0;
    if ((chunk->flags & LEAT_CHUNK_BORROWED) != 0 || chunk->kind == LEAT_CHUNK_RANGE) {
        own->flags = LEAT_CHUNK_BORROWED;
        int result = own->lender->keep(own->lender, own);
        own->flags = 0;
        return result;
    }
    if (chunk->kind == LEAT_CHUNK_OBJECT)
        return chunk->drop == NULL ? 0 : -EINVAL;
    own->lender = NULL;
    (void)leat_buf_ref(own->buf);
    return 0;
}

int leat_chunk_keep(struct leat_chunk *chunk, struct leat_chunk *own)
{
    if ((chunk->flags & LEAT_CHUNK_MOVABLE) == 0)
        return chunk_share(chunk, own);
    *own = *chunk;
    own->flags = 0;
    chunk->kind = LEAT_CHUNK_NONE;
    return 0;
}

/* ---- those that wait ---- */

static struct stream_queue *queue_of(struct stream_queue **queue)
{
    if (*queue != NULL)
        return *queue;
    struct stream_queue *made = leat_heap_calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    made->writes_end = &made->writes;
    return *queue = made;
}

/* Chunks stand one behind another, so that all of them are one array. */
static int queue_grow(struct stream_queue *queue, uint32_t count)
{
    if (queue->head > 0) {
        memmove(queue->chunks, queue->chunks + queue->head, queue->count * sizeof(*queue->chunks));
        queue->head = 0;
    }
    uint32_t capacity = queue->capacity > 0 ? queue->capacity : QUEUE_CAPACITY_MIN;
    while (capacity < queue->count + count)
        capacity *= 2;
    if (capacity == queue->capacity)
        return 0;
    struct leat_chunk *chunks = leat_heap_realloc(queue->chunks, capacity * sizeof(*chunks));
    if (chunks == NULL)
        return -ENOMEM;
    queue->chunks = chunks;
    queue->capacity = capacity;
    return 0;
}

/* A borrowed chunk becomes the queue's own. */
static int chunk_move(struct leat_chunk *chunk, struct leat_chunk *to)
{
    *to = *chunk;
    to->flags = chunk->flags & LEAT_CHUNK_BORROWED;
    if (to->flags == 0)
        return 0;
    int result = to->lender->keep(to->lender, to);
    to->flags = 0;
    return result;
}

int queue_push(struct stream_queue **where, struct leat_chunk *chunks, unsigned count)
{
    struct stream_queue *queue = queue_of(where);
    if (queue == NULL ||
        (queue->head + queue->count + count > queue->capacity && queue_grow(queue, count) != 0))
        return -ENOMEM;
    struct leat_chunk *to = queue->chunks + queue->head + queue->count;
    for (unsigned i = 0; i < count; i++) {
        if (chunk_move(&chunks[i], &to[i]) == 0)
            continue;
        while (i-- > 0) /* what was borrowed is given back; the rest is still the caller's */
            if ((chunks[i].flags & LEAT_CHUNK_BORROWED) != 0)
                leat_chunk_drop(&to[i]);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < count; i++)
        chunks[i].kind = LEAT_CHUNK_NONE;
    queue->count += count;
    return 0;
}

void queue_push_write(struct stream_queue *queue, struct stream_write *write)
{
    write->last = queue->first + queue->count - 1;
    *queue->writes_end = write;
    queue->writes_end = &write->next;
}

struct leat_chunk queue_pull(struct stream_queue *queue)
{
    DCHECK(queue->count > 0);
    struct leat_chunk chunk = queue->chunks[queue->head++];
    queue->count--;
    queue->first++;
    if (queue->count == 0)
        queue->head = 0;
    return chunk;
}

struct stream_write *queue_pull_writes(struct stream_queue *queue)
{
    struct stream_write *first = queue->writes, **end = &queue->writes;
    while (*end != NULL && (*end)->last < queue->first)
        end = &(*end)->next;
    if (end == &queue->writes)
        return NULL;
    queue->writes = *end;
    if (queue->writes == NULL)
        queue->writes_end = &queue->writes;
    *end = NULL;
    return first;
}

void queue_free(struct stream_queue *queue)
{
    if (queue == NULL)
        return;
    DCHECK(queue->writes == NULL);
    chunks_drop(queue->chunks + queue->head, queue->count);
    leat_heap_free(queue->chunks);
    leat_heap_free(queue);
}

/* The writes that were pulled last, back to the front. */
void queue_unpull_writes(struct stream_queue *queue, struct stream_write *writes)
{
    struct stream_write **last = &writes;
    while (*last != NULL)
        last = &(*last)->next;
    if (queue->writes == NULL && last != &writes)
        queue->writes_end = last;
    *last = queue->writes;
    queue->writes = writes;
}

/* Moves what newer holds behind what queue holds, and frees newer, which may be NULL: 0 or -ENOMEM,
 * and nothing happened. */
int queue_join(struct stream_queue *queue, struct stream_queue *newer)
{
    if (newer == NULL)
        return 0;
    uint64_t behind = queue->first + queue->count - newer->first;
    if (newer->count > 0) {
        struct stream_queue *to = queue;
        if (queue_push(&to, newer->chunks + newer->head, newer->count) != 0)
            return -ENOMEM;
    }
    for (struct stream_write *write = newer->writes; write != NULL; write = write->next)
        write->last += behind;
    if (newer->writes != NULL) {
        *queue->writes_end = newer->writes;
        queue->writes_end = newer->writes_end;
    }
    newer->count = 0;
    newer->writes = NULL;
    queue_free(newer);
    return 0;
}
