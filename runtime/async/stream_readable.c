/* The side of a stream that gives: pushed to, flowing or paused, read from. */
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/stream_internal.h"

static bool is_over(const struct leat_stream *stream)
{
    return stream_has(stream, STREAM_DESTROYED | STREAM_ERRORED);
}

static bool readable_has_consumer(const struct leat_stream *stream)
{
    return stream->readable.pipes != NULL || stream_is_heard(stream, LEAT_STREAM_DATA);
}

uint64_t leat_readable_waiting(const struct leat_stream *stream)
{
    return stream->readable.length;
}

/* ---- telling that there is something ---- */

static void readable_announce_now(struct leat_stream *stream);

static void announce_again(void *arg)
{
    struct leat_stream *stream = arg;
    readable_announce_now(stream);
    leat_stream_unref(stream);
}

/* One that is queued stands for all, but those that come after a reading have a place of their own
 * in Node's order; without memory for that the first will do. */
static void readable_announce(struct leat_stream *stream)
{
    r_change(stream, 0, R_NEEDS);
    if (r_has(stream, R_READABLE))
        return;
    r_change(stream, R_READABLE, 0);
    if ((stream->ticks & 1u << TICK_READABLE) == 0)
        stream_tick(stream, TICK_READABLE);
    else if (leat_next_tick(stream->loop, announce_again, stream) == 0)
        (void)leat_stream_ref(stream);
}

static void readable_look(struct leat_stream *stream);

static void readable_flow(struct leat_stream *stream)
{
    struct leat_chunk chunk;
    while (r_has(stream, R_FLOWING) && readable_read(stream, &chunk, LEAT_CHUNK_MOVABLE))
        leat_chunk_drop(&chunk);
}

static void readable_announce_now(struct leat_stream *stream)
{
    struct leat_stream_readable *r = &stream->readable;
    if (!is_over(stream) && (r->length > 0 || r_has(stream, R_ENDED))) {
        stream_tell(stream, LEAT_STREAM_READABLE, NULL);
        r_change(stream, 0, R_READABLE);
        next_serve(stream);
    }
    if (!r_has(stream, R_FLOWING | R_ENDED) && r->length <= r->mark)
        r_change(stream, R_NEEDS, 0);
    readable_flow(stream);
}

static void readable_read_ahead(struct leat_stream *stream)
{
    if (r_has(stream, R_READ_MORE))
        return;
    r_change(stream, R_READ_MORE, 0);
    stream_tick(stream, TICK_READ_MORE);
}

static void read_more_tick(struct leat_stream *stream)
{
    struct leat_stream_readable *r = &stream->readable;
    while (!r_has(stream, R_READING | R_ENDED) &&
           (r->length < r->mark || (r_has(stream, R_FLOWING) && r->length == 0))) {
        uint64_t before = r->length;
        readable_look(stream);
        if (r->length == before)
            break; /* read pushes later */
    }
    r_change(stream, 0, R_READ_MORE);
}

/* ---- pushing ---- */

/* Shows one chunk to who listens, then to the pipes. flags: LEAT_CHUNK_MOVABLE when nobody else
 * wants it: the last of them may have the chunk itself. */
static void chunk_deliver(struct leat_stream *stream, struct leat_chunk *chunk, uint32_t flags)
{
    unsigned listeners = stream_listener_count(stream, LEAT_STREAM_DATA);
    bool is_piped = stream->readable.pipes != NULL;
    if (listeners > 0) {
        struct leat_result value = leat_pointer(chunk, LEAT_KIND_CHUNK, NULL);
        if (listeners == 1 && !is_piped && (chunk->flags & LEAT_CHUNK_BORROWED) == 0)
            chunk->flags |= flags;
        stream_tell(stream, LEAT_STREAM_DATA, &value);
        chunk->flags &= ~(uint32_t)LEAT_CHUNK_MOVABLE;
    }
    if (is_piped)
        pipes_deliver(stream, chunk, flags);
}

static bool may_deliver(const struct leat_stream *stream)
{
    return r_has(stream, R_FLOWING) && stream->readable.length == 0 && !r_has(stream, R_SYNC) &&
           !is_over(stream) && readable_has_consumer(stream);
}

/* What can go on at once; returns how many of them. */
static unsigned chunks_deliver(struct leat_stream *stream, struct leat_chunk *chunks,
                               unsigned count)
{
    unsigned done = 0;
    while (done < count && may_deliver(stream)) {
        if (!stream_is_heard(stream, LEAT_STREAM_DATA) &&
            pipe_deliver_all(stream, chunks + done, count - done))
            return count;
        chunk_deliver(stream, &chunks[done], LEAT_CHUNK_MOVABLE);
        leat_chunk_drop(&chunks[done++]);
    }
    return done;
}

static int chunks_wait(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count)
{
    uint64_t length = chunks_length(chunks, count);
    if (queue_push(&stream->readable.queue, chunks, count) != 0) {
        chunks_drop(chunks, count);
        stream_fail(stream, leat_failure(-ENOMEM, "memory is out: %s loses what it was given",
                                         stream->of->name));
        return -ENOMEM;
    }
    stream->readable.length += length;
    if (r_has(stream, R_NEEDS))
        readable_announce(stream);
    return 0;
}

static unsigned chunks_without_empty(struct leat_chunk *chunks, unsigned count)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++)
        if (leat_chunk_length(&chunks[i]) == 0)
            leat_chunk_drop(&chunks[i]);
        else
            chunks[kept++] = chunks[i];
    return kept;
}

static int push_refused(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count)
{
    chunks_drop(chunks, count);
    if (!r_has(stream, R_ENDED))
        return -ECANCELED;
    stream_fail(stream, leat_failure(-EPIPE, "%s was pushed to after its end", stream->of->name));
    return -EPIPE;
}

int leat_push(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count)
{
    struct leat_stream_readable *r = &stream->readable;
    LEAT_CHECK(stream->loop == leat_loop_current() && stream_gives(stream));
    count = chunks_without_empty(chunks, count);
    if (count > 0 && (r_has(stream, R_ENDED) || is_over(stream)))
        return push_refused(stream, chunks, count);
    r_change(stream, 0, R_READING);
    unsigned done = chunks_deliver(stream, chunks, count);
    if (done < count) {
        if (is_over(stream)) {
            chunks_drop(chunks + done, count - done);
            return -ECANCELED;
        }
        int result = chunks_wait(stream, chunks + done, count - done);
        if (result != 0)
            return result;
    }
    readable_read_ahead(stream);
    return !r_has(stream, R_ENDED) && (r->length < r->mark || r->length == 0) ? 0 : 1;
}

int leat_push_bytes(struct leat_stream *stream, const void *bytes, size_t length_bytes)
{
    struct leat_chunk chunk = leat_chunk_buf(leat_buf_from_bytes(bytes, length_bytes));
    if (chunk.buf.data == NULL && length_bytes > 0) {
        stream_fail(stream, leat_failure(-ENOMEM, "buffers are out: %s loses what it was given",
                                         stream->of->name));
        return -ENOMEM;
    }
    return leat_push(stream, &chunk, 1);
}

void leat_push_end(struct leat_stream *stream)
{
    LEAT_CHECK(stream->loop == leat_loop_current() && stream_gives(stream));
    if (r_has(stream, R_ENDED))
        return;
    r_change(stream, R_ENDED, R_READING);
    if (r_has(stream, R_SYNC)) {
        readable_announce(stream);
        return;
    }
    r_change(stream, R_READABLE, R_NEEDS);
    readable_announce_now(stream);
}

/* ---- reading ---- */

static void readable_end(struct leat_stream *stream)
{
    if (!r_has(stream, R_END_TOLD))
        stream_tick(stream, TICK_END);
}

static void end_tick(struct leat_stream *stream)
{
    if (stream_has(stream, STREAM_ERRORED | STREAM_CLOSE_TOLD) || r_has(stream, R_END_TOLD) ||
        stream->readable.length > 0)
        return;
    r_change(stream, R_END_TOLD, 0);
    stream_tell(stream, LEAT_STREAM_END, NULL);
    next_serve(stream);
    if (stream_takes(stream) && (stream->flags & STREAM_ENDS_TOGETHER) != 0 &&
        !w_has(stream, W_ENDING) && !stream_has(stream, STREAM_DESTROYED))
        stream_tick(stream, TICK_END_WRITABLE);
    else
        stream_settle(stream);
}

/* Calls the implementer's read, if it is to be asked. left: what will wait behind this reading. */
static void readable_ask(struct leat_stream *stream, uint64_t left)
{
    struct leat_stream_readable *r = &stream->readable;
    bool is_wanted = r_has(stream, R_NEEDS) || r->length == 0 || left < r->mark;
    if (!is_wanted || r_has(stream, R_ENDED | R_READING) || is_over(stream))
        return;
    r_change(stream, R_READING | R_SYNC | (r->length == 0 ? R_NEEDS : 0), 0);
    if (stream->of->is_transform)
        writable_unhold(stream);
    else if (stream->of->read != NULL)
        STREAM_CALL(stream->of->read(stream, pipes_take(stream)));
    r_change(stream, 0, R_SYNC);
}

static uint64_t first_length(const struct leat_stream *stream)
{
    const struct stream_queue *queue = stream->readable.queue;
    return queue_count(queue) > 0 ? leat_chunk_length(&queue->chunks[queue->head]) : 0;
}

/* Sees to it that there will be something, and takes nothing. */
static void readable_look(struct leat_stream *stream)
{
    struct leat_stream_readable *r = &stream->readable;
    bool has_ended = r_has(stream, R_ENDED);
    if (has_ended && r->length == 0) {
        readable_end(stream);
    } else if (r_has(stream, R_NEEDS) && (r->length >= r->mark || has_ended)) {
        readable_announce(stream);
    } else if (!has_ended) {
        readable_ask(stream, r->length);
        r_change(stream, r->length <= r->mark ? R_NEEDS : 0, 0);
    }
}

/* What was taken, or asked for in vain, may have been the last. */
static void readable_took(struct leat_stream *stream)
{
    if (stream->readable.length > 0)
        return;
    if (r_has(stream, R_ENDED))
        readable_end(stream);
    else
        r_change(stream, R_NEEDS, 0);
}

bool readable_read(struct leat_stream *stream, struct leat_chunk *chunk, uint32_t flags)
{
    struct leat_stream_readable *r = &stream->readable;
    r_change(stream, 0, R_READABLE);
    if (r->length > 0 || !r_has(stream, R_ENDED))
        readable_ask(stream, r->length - first_length(stream));
    if (queue_count(r->queue) == 0) {
        readable_took(stream);
        return false;
    }
    *chunk = queue_pull(r->queue);
    r->length -= leat_chunk_length(chunk);
    readable_took(stream);
    if (!stream_has(stream, STREAM_ERROR_TOLD | STREAM_CLOSE_TOLD))
        chunk_deliver(stream, chunk, flags);
    return true;
}

bool leat_read(struct leat_stream *stream, struct leat_chunk *chunk)
{
    LEAT_CHECK(stream->loop == leat_loop_current() && stream_gives(stream));
    if (stream->readable.next != NULL || !readable_read(stream, chunk, 0))
        return false;
    return chunk->kind != LEAT_CHUNK_NONE; /* an object that a pipe has taken */
}

/* ---- flowing and paused ---- */

void leat_stream_resume(struct leat_stream *stream)
{
    if (!r_has(stream, R_FLOWING)) {
        bool flows = !r_has(stream, R_LISTENING);
        r_change(stream, flows ? R_FLOWING : R_STOPPED, flows ? R_STOPPED : 0);
        if (!r_has(stream, R_RESUMING)) {
            r_change(stream, R_RESUMING, 0);
            stream_tick(stream, TICK_RESUME);
        }
    }
    r_change(stream, 0, R_PAUSED);
}

static void resume_tick(struct leat_stream *stream)
{
    if (!r_has(stream, R_READING))
        readable_look(stream);
    r_change(stream, 0, R_RESUMING);
    stream_tell(stream, LEAT_STREAM_RESUME, NULL);
    readable_flow(stream);
    if (r_has(stream, R_FLOWING) && !r_has(stream, R_READING))
        readable_look(stream);
}

void leat_stream_pause(struct leat_stream *stream)
{
    if (!r_has(stream, R_STOPPED)) {
        r_change(stream, R_STOPPED, R_FLOWING);
        stream_tell(stream, LEAT_STREAM_PAUSE, NULL);
    }
    r_change(stream, R_PAUSED, 0);
}

void readable_flow_on(struct leat_stream *stream)
{
    if (!r_has(stream, R_STOPPED))
        leat_stream_resume(stream);
}

void readable_listen(struct leat_stream *stream)
{
    struct leat_stream_readable *r = &stream->readable;
    if (r_has(stream, R_END_TOLD | R_LISTENING))
        return;
    r_change(stream, R_LISTENING | R_NEEDS | R_STOPPED, R_FLOWING | R_READABLE);
    if (r->length > 0)
        readable_announce(stream);
    else if (!r_has(stream, R_READING))
        stream_tick(stream, TICK_LISTEN);
}

/* One that listened for READABLE has gone. */
static void listeners_tick(struct leat_stream *stream)
{
    bool listens = stream_is_heard(stream, LEAT_STREAM_READABLE) || stream->readable.next != NULL;
    r_change(stream, listens ? R_LISTENING : 0, listens ? 0 : R_LISTENING);
    if (r_has(stream, R_RESUMING) && !r_has(stream, R_PAUSED))
        r_change(stream, R_FLOWING, R_STOPPED);
    else if (readable_has_consumer(stream))
        leat_stream_resume(stream);
    else if (!listens)
        r_change(stream, 0, R_FLOWING | R_STOPPED);
}

void readable_drop(struct leat_stream *stream)
{
    queue_free(stream->readable.queue);
    stream->readable.queue = NULL;
    stream->readable.length = 0;
}

/* ---- ticks ---- */

void stream_run_tick(struct leat_stream *stream, enum stream_tick tick)
{
    static void (*const readable_ticks[TICK_COUNT])(struct leat_stream *) = {
        [TICK_READ_MORE] = read_more_tick, [TICK_READABLE] = readable_announce_now,
        [TICK_RESUME] = resume_tick,       [TICK_LISTEN] = readable_look,
        [TICK_LISTENERS] = listeners_tick, [TICK_END] = end_tick,
    };
    if (readable_ticks[tick] != NULL)
        readable_ticks[tick](stream);
    else if (tick == TICK_CLOSE)
        stream_close_tick(stream);
    else
        writable_run_tick(stream, tick);
}
