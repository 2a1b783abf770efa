/* Futures of streams: the next chunk, ready to be written to, finished. */
#include <errno.h>

#include "runtime/async/stream_internal.h"

/* ---- how it ended ---- */

static bool readable_is_done(const struct leat_stream *stream)
{
    if ((stream->flags & STREAM_SHORT_OF_END) != 0)
        return false;
    return r_has(stream, R_END_TOLD) || (r_has(stream, R_ENDED) && stream->readable.length == 0);
}

static bool writable_is_done(const struct leat_stream *stream)
{
    if ((stream->flags & STREAM_SHORT_OF_FINISH) != 0)
        return false;
    return w_has(stream, W_FINISHED) || (w_has(stream, W_ENDING) && stream->writable.length == 0);
}

void outcome_keep(struct leat_stream *stream)
{
    stream->flags |= (readable_is_done(stream) ? 0u : STREAM_SHORT_OF_END) |
                     (writable_is_done(stream) ? 0u : STREAM_SHORT_OF_FINISH);
}

struct leat_result stream_outcome(const struct leat_stream *stream, unsigned wants)
{
    bool is_short =
        ((wants & SIDE_READABLE) != 0 && stream_gives(stream) && !readable_is_done(stream)) ||
        ((wants & SIDE_WRITABLE) != 0 && stream_takes(stream) && !writable_is_done(stream));
    if (stream_has(stream, STREAM_ERRORED))
        return failure_copy(&stream->error);
    return is_short ? leat_failure(-ECONNABORTED, "closed before its end") : leat_nothing();
}

/* ---- the next chunk ---- */

struct stream_next {
    struct leat_future future; /* first */
    struct leat_stream *stream;
    struct stream_watch watch; /* it hears errors */
};

static void next_leave(struct stream_next *next)
{
    struct leat_stream *stream = next->stream;
    stream->readable.next = NULL;
    stream_watch_remove(&next->watch);
    stream_tick(stream, TICK_LISTENERS);
    leat_stream_unref(stream);
}

static void next_cancel(struct leat_future *future)
{
    next_leave(container_of(future, struct stream_next, future));
    leat_settle(future, leat_failure(-ECANCELED, NULL));
}

static const struct leat_future_class next_class = {.name = "readable_next",
                                                    .length_bytes = sizeof(struct stream_next),
                                                    .cancel = next_cancel};

/* Bytes that were lent are now the reader's: who lent them has their credit back. */
static struct leat_result chunk_result(struct leat_chunk *chunk)
{
    struct leat_result result;
    if (chunk->kind == LEAT_CHUNK_OBJECT) {
        result = leat_pointer(chunk->object, LEAT_KIND_POINTER, chunk->drop);
    } else {
        result = leat_bytes(leat_buf_ref(chunk->buf));
        leat_chunk_drop(chunk);
    }
    result.code = 1;
    return result;
}

/* What a next has to be settled with now; false: it waits. */
static bool next_result(struct leat_stream *stream, struct leat_result *result)
{
    struct leat_chunk chunk;
    if (!stream_has(stream, STREAM_DESTROYED) && readable_read(stream, &chunk, 0))
        *result = chunk_result(&chunk);
    else if (r_has(stream, R_END_TOLD))
        *result = leat_nothing();
    else if (stream_has(stream, STREAM_DESTROYED))
        *result = stream_outcome(stream, SIDE_READABLE);
    else
        return false;
    return true;
}

void next_serve(struct leat_stream *stream)
{
    struct stream_next *next = stream->readable.next;
    struct leat_result result;
    if (next == NULL || !next_result(stream, &result))
        return;
    next_leave(next);
    leat_settle(&next->future, result);
}

static void next_heard(struct stream_watch *watch, struct leat_stream *stream,
                       enum leat_stream_event event)
{
    if (event == LEAT_STREAM_ERROR)
        next_serve(stream);
}

struct leat_future *leat_readable_next(struct leat_stream *stream)
{
    LEAT_CHECK(stream->loop == leat_loop_current() && stream_gives(stream));
    struct leat_future *future =
        async_future_new(stream->loop, &next_class, __builtin_return_address(0));
    struct leat_result result;
    if (async_is_out_of_memory(future))
        return future;
    if (stream->readable.next != NULL || stream->readable.pipes != NULL ||
        stream_is_heard(stream, LEAT_STREAM_DATA)) {
        leat_settle(future, leat_failure(-EBUSY, "%s has another reader", stream->of->name));
    } else if (next_result(stream, &result)) {
        leat_settle(future, result);
    } else {
        struct stream_next *next = container_of(future, struct stream_next, future);
        next->stream = leat_stream_ref(stream);
        next->watch = (struct stream_watch){.heard = next_heard, .hears_errors = true};
        stream->readable.next = next;
        stream_watch_add(stream, &next->watch);
        readable_listen(stream);
    }
    return future;
}

/* ---- ready to be written to ---- */

struct stream_wait {
    struct leat_future future; /* first */
    struct leat_stream *stream;
    struct stream_watch watch;
};

static struct stream_wait *wait_of(struct stream_watch *watch)
{
    return container_of(watch, struct stream_wait, watch);
}

static void wait_settle(struct stream_wait *wait, struct leat_result result)
{
    stream_watch_remove(&wait->watch);
    leat_stream_unref(wait->stream);
    leat_settle(&wait->future, result);
}

static void wait_cancel(struct leat_future *future)
{
    wait_settle(container_of(future, struct stream_wait, future), leat_failure(-ECANCELED, NULL));
}

static void wait_begin(struct stream_wait *wait, struct leat_stream *stream,
                       void (*heard)(struct stream_watch *, struct leat_stream *,
                                     enum leat_stream_event))
{
    wait->stream = leat_stream_ref(stream);
    wait->watch = (struct stream_watch){.heard = heard, .hears_errors = true};
    stream_watch_add(stream, &wait->watch);
}

static void ready_heard(struct stream_watch *watch, struct leat_stream *stream,
                        enum leat_stream_event event)
{
    if (event == LEAT_STREAM_DRAIN)
        wait_settle(wait_of(watch), leat_nothing());
    else if (event == LEAT_STREAM_ERROR)
        wait_settle(wait_of(watch), failure_copy(&stream->error));
    else if (event == LEAT_STREAM_CLOSE)
        wait_settle(wait_of(watch), leat_failure(-ECONNABORTED, "closed before it drained"));
}

static const struct leat_future_class ready_class = {.name = "writable_ready",
                                                     .length_bytes = sizeof(struct stream_wait),
                                                     .cancel = wait_cancel};

struct leat_future *leat_writable_ready(struct leat_stream *stream)
{
    LEAT_CHECK(stream->loop == leat_loop_current() && stream_takes(stream));
    struct leat_future *future =
        async_future_new(stream->loop, &ready_class, __builtin_return_address(0));
    if (async_is_out_of_memory(future))
        return future;
    if (stream_has(stream, STREAM_ERRORED))
        leat_settle(future, failure_copy(&stream->error));
    else if (w_has(stream, W_ENDING) || stream_has(stream, STREAM_DESTROYED))
        leat_settle(future, leat_failure(-EPIPE, "%s has ended", stream->of->name));
    else if (!writable_is_full(stream))
        leat_settle(future, leat_nothing());
    else
        wait_begin(container_of(future, struct stream_wait, future), stream, ready_heard);
    return future;
}

/* ---- finished ---- */

/* The last of its ends was told although it had been destroyed before: as in Node that counts. */
static bool has_ended_late(const struct leat_stream *stream, enum leat_stream_event event)
{
    bool is_end = event == LEAT_STREAM_END || event == LEAT_STREAM_FINISH;
    return is_end && stream_has(stream, STREAM_DESTROYED) &&
           (!stream_gives(stream) || r_has(stream, R_END_TOLD)) &&
           (!stream_takes(stream) || w_has(stream, W_FINISHED));
}

static void finished_heard(struct stream_watch *watch, struct leat_stream *stream,
                           enum leat_stream_event event)
{
    if (has_ended_late(stream, event))
        wait_settle(wait_of(watch), leat_nothing());
    else if (event == LEAT_STREAM_ERROR || event == LEAT_STREAM_CLOSE)
        wait_settle(wait_of(watch), stream_outcome(stream, SIDE_READABLE | SIDE_WRITABLE));
}

static const struct leat_future_class finished_class = {.name = "finished",
                                                        .length_bytes = sizeof(struct stream_wait),
                                                        .cancel = wait_cancel};

static void finished_tick(void *arg)
{
    struct stream_wait *wait = arg;
    wait_settle(wait, stream_outcome(wait->stream, SIDE_READABLE | SIDE_WRITABLE));
}

/* One whose close was told before: a tick later. */
static void finished_late(struct stream_wait *wait, struct leat_stream *stream)
{
    if (!loop_queue_reserve(loop_ticks(stream->loop), 1)) {
        leat_settle(&wait->future, leat_failure(-ENOMEM, NULL));
        return;
    }
    wait->stream = leat_stream_ref(stream);
    loop_queue_push_reserved(loop_ticks(stream->loop), finished_tick, wait);
}

static const struct leat_future_class late_class = {.name = "finished",
                                                    .length_bytes = sizeof(struct stream_wait)};

struct leat_future *leat_finished(struct leat_stream *stream)
{
    LEAT_CHECK(stream->loop == leat_loop_current());
    bool is_late = stream_has(stream, STREAM_CLOSE_TOLD);
    struct leat_future *future =
        async_future_new(stream->loop, is_late ? &late_class : &finished_class,
                         __builtin_return_address(0));
    if (async_is_out_of_memory(future))
        return future;
    struct stream_wait *wait = container_of(future, struct stream_wait, future);
    if (is_late)
        finished_late(wait, stream);
    else
        wait_begin(wait, stream, finished_heard);
    return future;
}
