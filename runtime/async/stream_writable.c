/* The side of a stream that takes: writes, those that wait, final and finish, drain. */
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/stream_internal.h"

uint64_t leat_writable_waiting(const struct leat_stream *stream)
{
    return stream->writable.length;
}

bool writable_is_full(const struct leat_stream *stream)
{
    return w_has(stream, W_NEEDS_DRAIN | W_BLOCKED);
}

/* ---- dones ---- */

static struct stream_write *write_new(struct leat_stream *stream, leat_done *done, void *arg)
{
    struct stream_write *write = leat_heap_alloc(sizeof(*write));
    if (write == NULL || !loop_queue_reserve(loop_ticks(stream->loop), 1)) {
        leat_heap_free(write);
        return NULL;
    }
    *write = (struct stream_write){.stream = stream, .done = done, .arg = arg};
    return write;
}

static void write_free(struct stream_write *write)
{
    loop_queue_release(loop_ticks(write->stream->loop), 1);
    leat_heap_free(write);
}

/* Calls the dones, and frees their writes. */
static void writes_tell(struct stream_write *writes, const struct leat_result *result)
{
    for (struct stream_write *next; writes != NULL; writes = next) {
        next = writes->next;
        leat_done *done = writes->done;
        void *arg = writes->arg;
        write_free(writes);
        done(arg, result);
    }
}

/* What those hear whose chunks were never written. */
static struct leat_result failure_of(const struct leat_stream *stream)
{
    return stream_has(stream, STREAM_ERRORED)
               ? failure_copy(&stream->error)
               : leat_failure(-ECANCELED, "%s was destroyed", stream->of->name);
}

/* ---- finishing ---- */

static bool may_finish(const struct leat_stream *stream)
{
    const struct leat_stream_writable *w = &stream->writable;
    return w_has(stream, W_ENDING) && w->length == 0 && queue_count(w->queue) == 0 &&
           !w_has(stream, W_FINISHED | W_WRITING) &&
           !stream_has(stream, STREAM_DESTROYED | STREAM_ERRORED);
}

static void writable_finish(struct leat_stream *stream)
{
    stream->writable.pending_count--;
    w_change(stream, W_FINISHED, 0);
    stream_tell(stream, LEAT_STREAM_FINISH, NULL);
    stream_settle(stream);
}

static void final_done(struct leat_stream *stream, struct leat_result result)
{
    w_change(stream, 0, W_FINAL);
    stream->writable.pending_count--;
    if (result.code < 0) {
        stream_fail(stream, result);
        return;
    }
    leat_result_drop(&result);
    if (stream->of->is_transform)
        leat_push_end(stream);
    if (!may_finish(stream))
        return;
    w_change(stream, W_PREFINISHED, 0);
    stream->writable.pending_count++;
    stream_tick(stream, TICK_FINISH);
}

static void final_begin(struct leat_stream *stream)
{
    if (w_has(stream, W_PREFINISHED | W_FINAL_CALLED))
        return;
    if (stream->of->final == NULL && !stream->of->is_transform) {
        w_change(stream, W_PREFINISHED, 0);
        return;
    }
    w_change(stream, W_FINAL | W_FINAL_CALLED, 0);
    stream->writable.pending_count++;
    if (stream->of->final != NULL)
        STREAM_CALL(stream->of->final(stream));
    else
        final_done(stream, leat_nothing());
}

static void writable_finish_maybe(struct leat_stream *stream)
{
    if (!may_finish(stream))
        return;
    final_begin(stream);
    if (stream->writable.pending_count > 0 || !may_finish(stream))
        return;
    stream->writable.pending_count++;
    stream_tick(stream, TICK_FINISH_MAYBE);
}

static void finish_maybe_tick(struct leat_stream *stream)
{
    if (may_finish(stream))
        writable_finish(stream);
    else
        stream->writable.pending_count--;
}

void leat_stream_end(struct leat_stream *stream)
{
    LEAT_CHECK(stream->loop == leat_loop_current() && stream_takes(stream));
    if (w_has(stream, W_ENDING) || stream_has(stream, STREAM_ERRORED | STREAM_DESTROYED))
        return;
    w_change(stream, W_ENDING, 0);
    writable_finish_maybe(stream);
}

/* ---- what has been written ---- */

static void queue_drop_tick(struct leat_stream *stream)
{
    struct leat_stream_writable *w = &stream->writable;
    if (w_has(stream, W_WRITING) || w->queue == NULL)
        return;
    struct stream_queue *queue = w->queue;
    struct stream_write *writes = queue->writes;
    w->queue = NULL;
    queue->writes = NULL;
    w->length = 0;
    struct leat_result failure = failure_of(stream);
    writes_tell(writes, &failure);
    leat_result_drop(&failure);
    queue_free(queue);
}

static void drain_tell(struct leat_stream *stream)
{
    if (!w_has(stream, W_NEEDS_DRAIN) || w_has(stream, W_ENDING | W_BLOCKED) ||
        stream_has(stream, STREAM_DESTROYED) || stream->writable.length > 0)
        return;
    w_change(stream, 0, W_NEEDS_DRAIN);
    stream_tell(stream, LEAT_STREAM_DRAIN, NULL);
}

static void written_tell(struct leat_stream *stream, uint32_t count, struct stream_write *writes)
{
    static const struct leat_result nothing;
    drain_tell(stream);
    stream->writable.pending_count -= count;
    writes_tell(writes, &nothing);
    if (stream_has(stream, STREAM_DESTROYED))
        queue_drop_tick(stream);
    writable_finish_maybe(stream);
}

static void told_tick(struct leat_stream *stream)
{
    uint32_t count = stream->writable.told_count;
    stream->writable.told_count = 0;
    written_tell(stream, count, NULL);
}

static void write_tick(void *arg)
{
    struct stream_write *writes = arg;
    struct leat_stream *stream = writes->stream;
    CHECK(loop_queue_reserve(loop_ticks(stream->loop),
                             1)); /* its own again, to be given back with it */
    written_tell(stream, 1, writes);
    leat_stream_unref(stream);
}

static void written_later(struct leat_stream *stream, struct stream_write *writes)
{
    if (writes == NULL) {
        stream->writable.told_count++;
        stream_tick(stream, TICK_TOLD);
        return;
    }
    (void)leat_stream_ref(stream);
    loop_queue_push_reserved(loop_ticks(stream->loop), write_tick, writes);
}

/* failure is what write said, and taken: the stream may have another error already. */
static void write_failed(struct leat_stream *stream, struct leat_result failure)
{
    struct stream_write *writes = stream->writable.current;
    stream->writable.current = NULL;
    stream->writable.pending_count--;
    writes_tell(writes, &failure);
    queue_drop_tick(stream);
    leat_stream_destroy(stream, failure);
}

static void write_error_tick(struct leat_stream *stream)
{
    write_failed(stream, failure_of(stream));
}

/* ---- writing ---- */

/* Nothing was accepted. */
static void write_refused(struct leat_stream *stream)
{
    CHECK(w_has(stream, W_SYNC)); /* later the chunks are gone */
    stream->writable.pending_count--;
    stream->writable.writing_length = 0;
    w_change(stream, W_REFUSED | W_BLOCKED | W_NEEDS_DRAIN, W_WRITING);
}

static void write_begin(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count,
                        struct stream_write *writes)
{
    stream->writable.writing_length = chunks_length(chunks, count);
    stream->writable.current = writes;
    stream->writable.given_length = stream->readable.length;
    stream->writable.pending_count++;
    w_change(stream, W_WRITING | W_SYNC, 0);
    STREAM_CALL(stream->of->write(stream, chunks, count));
    w_change(stream, 0, W_SYNC);
}

/* How many chunks one call of write gets: a transform sees them one by one, as Node's do, and a
 * range comes alone. */
static uint32_t part_count(const struct leat_stream *stream, const struct leat_chunk *chunks,
                           uint32_t count)
{
    uint32_t part = 1;
    if (stream->of->is_transform || chunks[0].kind == LEAT_CHUNK_RANGE)
        return 1;
    if (stream->of->chunks_max != 0 && count > stream->of->chunks_max)
        count = stream->of->chunks_max;
    if ((stream->of->takes & LEAT_CHUNK_RANGE) == 0)
        return count;
    while (part < count && chunks[part].kind != LEAT_CHUNK_RANGE)
        part++;
    return part;
}

/* No memory to queue behind what was refused what was written meanwhile. */
static void newer_lost(struct leat_stream *stream, struct stream_queue *newer)
{
    stream_fail(stream, leat_failure(-ENOMEM, "memory is out: %s loses what it was given",
                                     stream->of->name));
    struct leat_result failure = failure_of(stream);
    struct stream_write *writes = newer->writes;
    newer->writes = NULL;
    writes_tell(writes, &failure);
    leat_result_drop(&failure);
    queue_free(newer);
}

/* What was refused is still at the head of the queue. */
static void queue_flush_once(struct leat_stream *stream)
{
    struct stream_queue *queue = stream->writable.queue;
    struct stream_queue part = *queue;
    part.count = part_count(stream, part.chunks + part.head, part.count);
    queue->head += part.count;
    queue->count -= part.count;
    queue->first += part.count;
    stream->writable.queue = NULL; /* writes that come meanwhile wait in another one */
    struct stream_write *writes = queue_pull_writes(queue);
    write_begin(stream, part.chunks + part.head, part.count, writes);
    struct stream_queue *newer = stream->writable.queue;
    stream->writable.queue = queue;
    if (w_has(stream, W_REFUSED)) {
        w_change(stream, 0, W_REFUSED);
        queue->head = part.head;
        queue->count += part.count;
        queue->first = part.first;
        queue_unpull_writes(queue, writes);
        stream->writable.current = NULL;
    } else {
        chunks_drop(part.chunks + part.head, part.count);
    }
    if (queue_join(queue, newer) != 0)
        newer_lost(stream, newer);
}

static bool may_flush(const struct leat_stream *stream)
{
    return queue_count(stream->writable.queue) > 0 && !w_has(stream, W_WRITING | W_BLOCKED) &&
           !stream_has(stream, STREAM_DESTROYED | STREAM_ERRORED);
}

static void queue_flush(struct leat_stream *stream)
{
    if (w_has(stream, W_FLUSHING))
        return;
    w_change(stream, W_FLUSHING, 0);
    while (may_flush(stream))
        queue_flush_once(stream);
    w_change(stream, 0, W_FLUSHING);
}

/* What a transform has given must be read first, unless this was its last write. */
static bool must_hold(const struct leat_stream *stream, const struct leat_result *result)
{
    const struct leat_stream_readable *r = &stream->readable;
    return stream->of->is_transform && result->code >= 0 && !w_has(stream, W_HELD | W_ENDING) &&
           r->length != stream->writable.given_length && r->length >= r->mark;
}

void writable_unhold(struct leat_stream *stream)
{
    if (!w_has(stream, W_HELD))
        return;
    leat_stream_wrote(stream, leat_nothing());
}

void leat_stream_wrote(struct leat_stream *stream, struct leat_result result)
{
    struct leat_stream_writable *w = &stream->writable;
    if (w_has(stream, W_FINAL)) {
        final_done(stream, result);
        return;
    }
    if (stream_has(stream, STREAM_CLOSE_TOLD)) {
        leat_result_drop(&result); /* too late: its done has heard of the end */
        return;
    }
    LEAT_CHECK(w_has(stream, W_WRITING)); /* twice, or without a write */
    if (result.code == -EAGAIN) {
        write_refused(stream);
        leat_result_drop(&result);
        return;
    }
    if (must_hold(stream, &result)) {
        leat_result_drop(&result);
        w_change(stream, W_HELD, 0);
        return;
    }
    bool is_sync = w_has(stream, W_SYNC);
    w_change(stream, 0, W_WRITING | W_HELD);
    w->length -= w->writing_length;
    w->writing_length = 0;
    if (result.code < 0) {
        struct leat_result failure = failure_copy(&result);
        stream_set_error(stream, &failure);
        if (!is_sync) {
            write_failed(stream, result);
            return;
        }
        leat_result_drop(&result);
        stream_tick(stream, TICK_WRITE_ERROR);
        return;
    }
    if (result.kind == LEAT_KIND_NUMBER && result.number == 1)
        w_change(stream, W_BLOCKED | W_NEEDS_DRAIN, 0);
    leat_result_drop(&result);
    struct stream_write *writes = w->current;
    w->current = NULL;
    queue_flush(stream);
    if (is_sync)
        written_later(stream, writes);
    else
        written_tell(stream, 1, writes);
}

void leat_stream_drained(struct leat_stream *stream)
{
    if (!w_has(stream, W_BLOCKED))
        return;
    w_change(stream, 0, W_BLOCKED);
    queue_flush(stream);
    drain_tell(stream);
    writable_finish_maybe(stream);
}

/* ---- what users call ---- */

static uint64_t over_limit(const struct leat_stream *stream)
{
    bool is_of_objects = stream->of->takes == LEAT_CHUNK_OBJECT;
    return (uint64_t)stream->writable.mark +
           (is_of_objects ? LEAT_STREAM_OVER_OBJECTS : LEAT_STREAM_OVER_BYTES);
}

static int write_check(struct leat_stream *stream)
{
    if (stream_has(stream, STREAM_DESTROYED))
        return -ECANCELED;
    if (w_has(stream, W_ENDING)) {
        stream_fail(stream,
                    leat_failure(-EPIPE, "%s was written to after its end", stream->of->name));
        return -EPIPE;
    }
    return stream->writable.length >= over_limit(stream) ? -EAGAIN : 0;
}

static bool must_wait(const struct leat_stream *stream)
{
    return w_has(stream, W_WRITING | W_BLOCKED) || queue_count(stream->writable.queue) > 0 ||
           stream_has(stream, STREAM_ERRORED);
}

static int write_wait(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count,
                      struct stream_write *write)
{
    if (queue_push(&stream->writable.queue, chunks, count) != 0)
        return -ENOMEM;
    if (write != NULL)
        queue_push_write(stream->writable.queue, write);
    return 0;
}

static int write_now(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count,
                     struct stream_write *write)
{
    write_begin(stream, chunks, count, write);
    if (!w_has(stream, W_REFUSED)) {
        chunks_drop(chunks, count);
        return 0;
    }
    stream->writable.current = NULL;
    w_change(stream, 0, W_REFUSED);
    return write_wait(stream, chunks, count, write);
}

static int write_any(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count,
                     struct stream_write *write)
{
    if (!must_wait(stream) && part_count(stream, chunks, count) == count)
        return write_now(stream, chunks, count, write);
    int result = write_wait(stream, chunks, count, write);
    if (result == 0)
        queue_flush(stream);
    return result;
}

int writable_write(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count,
                   leat_done *done, void *arg)
{
    struct leat_stream_writable *w = &stream->writable;
    struct stream_write *write = NULL;
    int result = write_check(stream);
    if (result != 0)
        return result;
    if (done != NULL && (write = write_new(stream, done, arg)) == NULL)
        return -ENOMEM;
    uint64_t length = chunks_length(chunks, count);
    w->length += length;
    bool is_full = count > 1 && w->length >= w->mark; /* of an array, as if it was corked */
    result = write_any(stream, chunks, count, write);
    if (result != 0) {
        w->length -= length;
        if (write != NULL)
            write_free(write);
        return result;
    }
    if (is_full || w->length >= w->mark) /* what was written at once does not wait */
        w_change(stream, W_NEEDS_DRAIN, 0);
    return is_full || w->length >= w->mark || w_has(stream, W_BLOCKED) ||
           stream_has(stream, STREAM_ERRORED | STREAM_DESTROYED);
}

int leat_write_call(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count,
                    leat_done *done, void *arg)
{
    LEAT_CHECK(stream->loop == leat_loop_current() && stream_takes(stream) && count > 0);
    for (unsigned i = 0; i < count; i++)
        LEAT_CHECK((chunks[i].kind & stream->of->takes) != 0); /* a kind that the class takes */
    return writable_write(stream, chunks, count, done, arg);
}

int leat_write(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count)
{
    return leat_write_call(stream, chunks, count, NULL, NULL);
}

int leat_write_bytes(struct leat_stream *stream, const void *bytes, size_t length_bytes)
{
    struct leat_chunk chunk = leat_chunk_buf(leat_buf_from_bytes(bytes, length_bytes));
    if (chunk.buf.data == NULL && length_bytes > 0)
        return -ENOMEM;
    int result = leat_write(stream, &chunk, 1);
    if (result < 0)
        leat_chunk_drop(&chunk);
    return result;
}

/* ---- ticks and the end ---- */

static void end_writable_tick(struct leat_stream *stream)
{
    if (!stream_has(stream, STREAM_DESTROYED))
        leat_stream_end(stream);
}

void writable_run_tick(struct leat_stream *stream, enum stream_tick tick)
{
    static void (*const writable_ticks[TICK_COUNT])(struct leat_stream *) = {
        [TICK_END_WRITABLE] = end_writable_tick, [TICK_TOLD] = told_tick,
        [TICK_WRITE_ERROR] = write_error_tick,   [TICK_DROP_QUEUE] = queue_drop_tick,
        [TICK_FINISH_MAYBE] = finish_maybe_tick, [TICK_FINISH] = writable_finish,
    };
    writable_ticks[tick](stream);
}

/* Closed: a write that is out by then is never done, and its done hears so. */
void writable_drop(struct leat_stream *stream)
{
    struct stream_write *writes = stream->writable.current;
    struct leat_result failure = failure_of(stream);
    stream->writable.current = NULL;
    w_change(stream, 0, W_WRITING | W_FINAL | W_HELD);
    writes_tell(writes, &failure);
    leat_result_drop(&failure);
    queue_drop_tick(stream);
    stream->writable.length = stream->writable.writing_length = 0;
}
