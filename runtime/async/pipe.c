/* Pipes: what a source gives goes to a sink, and the sink's fullness stops the source. A pipe is a
 * struct that both streams know, no listeners. */
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/stream_internal.h"

struct stream_pipe {
    struct stream_pipe *next, **prev; /* of the source's; prev NULL: it was taken off */
    struct leat_stream *source, *sink;
    struct stream_watch at_source, at_sink;
    struct stream_queue *kept; /* what the sink has refused */
    bool ends_sink;
    bool is_waiting; /* for the sink's drain */
    bool has_ended;  /* the source's end was heard */
    bool is_due;     /* the chunk that is being delivered has not come to it yet */
    bool is_ticking; /* pipe_end_tick is queued, and frees it */
};

/* ---- going on ---- */

static bool source_waits(const struct leat_stream *source)
{
    const struct stream_pipe *pipe = source->readable.pipes;
    while (pipe != NULL && !pipe->is_waiting)
        pipe = pipe->next;
    return pipe != NULL;
}

static void source_go_on(struct leat_stream *source)
{
    if (!source_waits(source) &&
        (source->readable.pipes != NULL || stream_is_heard(source, LEAT_STREAM_DATA)))
        leat_stream_resume(source);
}

static void pipe_stop(struct stream_pipe *pipe)
{
    pipe->is_waiting = true;
    leat_stream_pause(pipe->source);
}

static void chunks_keep(struct stream_pipe *pipe, struct leat_chunk *chunks, unsigned count)
{
    if (queue_push(&pipe->kept, chunks, count) == 0)
        return;
    chunks_drop(chunks, count);
    stream_fail(pipe->sink, leat_failure(-ENOMEM, "memory is out: a pipe loses what it carries"));
}

/* Takes the chunks, or what is borrowed of them. */
static void pipe_write(struct stream_pipe *pipe, struct leat_chunk *chunks, unsigned count)
{
    int result = -EAGAIN;
    if (queue_count(pipe->kept) == 0)
        result = writable_write(pipe->sink, chunks, count, NULL, NULL);
    if (result == -EAGAIN) {
        chunks_keep(pipe, chunks, count);
    } else if (result < 0) {
        chunks_drop(chunks, count);
        if (result == -ENOMEM)
            stream_fail(pipe->sink, leat_failure(-ENOMEM, "memory is out: a pipe loses what it "
                                                          "carries"));
    }
    if (result != 0 && pipe->prev != NULL)
        pipe_stop(pipe); /* of a sink that has been destroyed its close is heard next */
}

static struct stream_pipe *pipe_due(struct leat_stream *source)
{
    struct stream_pipe *pipe = source->readable.pipes;
    while (pipe != NULL && !pipe->is_due)
        pipe = pipe->next;
    return pipe;
}

static void pipe_deliver(struct stream_pipe *pipe, struct leat_chunk *chunk, bool may_move)
{
    struct leat_chunk own = *chunk;
    if ((chunk->flags & LEAT_CHUNK_BORROWED) == 0) {
        int result = may_move ? 0 : chunk_share(chunk, &own);
        if (may_move)
            chunk->kind = LEAT_CHUNK_NONE;
        if (result != 0) {
            stream_fail(pipe->source,
                        leat_failure(result, "what %s gives has one owner: pipe it to one stream",
                                     pipe->source->of->name));
            return;
        }
    }
    pipe_write(pipe, &own, 1);
}

void pipes_deliver(struct leat_stream *source, struct leat_chunk *chunk, uint32_t flags)
{
    struct stream_pipe *pipe;
    for (pipe = source->readable.pipes; pipe != NULL; pipe = pipe->next)
        pipe->is_due = true;
    while ((pipe = pipe_due(source)) != NULL && chunk->kind != LEAT_CHUNK_NONE) {
        pipe->is_due = false;
        bool is_last = pipe_due(source) == NULL;
        bool is_object = chunk->kind == LEAT_CHUNK_OBJECT;
        pipe_deliver(pipe, chunk, is_last && (flags != 0 || is_object));
    }
}

bool pipe_deliver_all(struct leat_stream *source, struct leat_chunk *chunks, unsigned count)
{
    struct stream_pipe *pipe = source->readable.pipes;
    if (pipe == NULL || pipe->next != NULL)
        return false;
    pipe_write(pipe, chunks, count);
    return true;
}

/* ---- coming off ---- */

static void pipe_free(struct stream_pipe *pipe)
{
    struct leat_stream *source = pipe->source, *sink = pipe->sink;
    stream_watch_remove(&pipe->at_source);
    stream_watch_remove(&pipe->at_sink);
    queue_free(pipe->kept);
    if (pipe->is_ticking) {
        pipe->source = NULL; /* the tick frees the rest */
        pipe->kept = NULL;
    } else {
        leat_heap_free(pipe);
    }
    leat_stream_unref(source);
    leat_stream_unref(sink);
}

static void pipe_unlink(struct stream_pipe *pipe)
{
    *pipe->prev = pipe->next;
    if (pipe->next != NULL)
        pipe->next->prev = pipe->prev;
    pipe->prev = NULL;
}

/* It is told at the sink; another one may have waited for nothing but this one's drain. */
static void pipe_leave(struct stream_pipe *pipe)
{
    struct leat_stream *source = pipe->source;
    bool was_waiting = pipe->is_waiting && w_has(pipe->sink, W_NEEDS_DRAIN);
    struct leat_result value = leat_pointer(source, LEAT_KIND_STREAM, NULL);
    (void)leat_stream_ref(source);
    stream_tell(pipe->sink, LEAT_STREAM_UNPIPE, &value);
    pipe_free(pipe);
    if (was_waiting)
        source_go_on(source);
    leat_stream_unref(source);
}

static void pipe_remove(struct stream_pipe *pipe)
{
    struct leat_stream *source = pipe->source;
    CHECK(source != NULL); /* it was not freed before */
    pipe_unlink(pipe);
    if (source->readable.pipes == NULL)
        leat_stream_pause(source);
    pipe_leave(pipe);
}

void leat_unpipe(struct leat_stream *source, struct leat_stream *sink)
{
    struct stream_pipe *pipe = source->readable.pipes;
    while (pipe != NULL && sink != NULL && pipe->sink != sink)
        pipe = pipe->next;
    if (pipe == NULL)
        return;
    if (sink != NULL) {
        pipe_remove(pipe);
        return;
    }
    (void)leat_stream_ref(source);
    while ((pipe = source->readable.pipes) != NULL)
        pipe_remove(pipe);
    leat_stream_unref(source);
}

/* ---- what it hears ---- */

static void pipe_end(struct stream_pipe *pipe)
{
    pipe->has_ended = true;
    if (queue_count(pipe->kept) > 0)
        return; /* behind that */
    if (pipe->ends_sink)
        leat_stream_end(pipe->sink);
    else
        pipe_remove(pipe);
}

static void source_heard(struct stream_watch *watch, struct leat_stream *source,
                         enum leat_stream_event event)
{
    if (event == LEAT_STREAM_END)
        pipe_end(container_of(watch, struct stream_pipe, at_source));
}

static void pipe_end_tick(void *arg)
{
    struct stream_pipe *pipe = arg;
    pipe->is_ticking = false;
    if (pipe->source == NULL)
        leat_heap_free(pipe);
    else
        pipe_end(pipe);
}

static void pipe_drained(struct stream_pipe *pipe)
{
    struct stream_queue *kept = pipe->kept;
    if (!pipe->is_waiting)
        return;
    pipe->is_waiting = false;
    pipe->kept = NULL;
    if (queue_count(kept) > 0)
        pipe_write(pipe, kept->chunks + kept->head, kept->count);
    if (kept != NULL)
        kept->count = 0;
    queue_free(kept);
    if (pipe->has_ended && queue_count(pipe->kept) == 0)
        pipe_end(pipe);
    else if (!pipe->is_waiting)
        source_go_on(pipe->source);
}

static void sink_heard(struct stream_watch *watch, struct leat_stream *sink,
                       enum leat_stream_event event)
{
    struct stream_pipe *pipe = container_of(watch, struct stream_pipe, at_sink);
    if (event == LEAT_STREAM_DRAIN)
        pipe_drained(pipe);
    else if (event == LEAT_STREAM_FINISH || event == LEAT_STREAM_ERROR ||
             event == LEAT_STREAM_CLOSE)
        pipe_remove(pipe);
}

/* ---- coming on ---- */

unsigned pipes_take(const struct leat_stream *source)
{
    const struct stream_pipe *pipe = source->readable.pipes;
    unsigned takes = LEAT_CHUNK_BYTES | LEAT_CHUNK_OBJECT;
    if (pipe == NULL || pipe->next != NULL || stream_is_heard(source, LEAT_STREAM_DATA))
        return takes & source->of->gives;
    return pipe->sink->of->takes & source->of->gives;
}

const char *leat_pipe_engine_name(const struct leat_stream *source, const struct leat_stream *sink)
{
    const struct stream_pipe *pipe = source->readable.pipes;
    while (pipe != NULL && pipe->sink != sink)
        pipe = pipe->next;
    if (pipe == NULL)
        return NULL;
    bool is_range = (pipes_take(source) & LEAT_CHUNK_RANGE) != 0 && sink->of->engine != NULL;
    return is_range ? sink->of->engine : "chunks";
}

static int pipe_check(const struct leat_stream *source, const struct leat_stream *sink)
{
    const unsigned plain = LEAT_CHUNK_BYTES | LEAT_CHUNK_OBJECT;
    LEAT_CHECK(source->loop == leat_loop_current() && sink->loop == source->loop &&
               stream_gives(source) && stream_takes(sink));
    if (source->readable.next != NULL)
        return -EBUSY;
    return (source->of->gives & plain & ~(unsigned)sink->of->takes) != 0 ? -EINVAL : 0;
}

static void pipe_link(struct stream_pipe *pipe)
{
    struct stream_pipe **last = &pipe->source->readable.pipes;
    while (*last != NULL)
        last = &(*last)->next;
    pipe->prev = last;
    *last = pipe;
    pipe->at_source.heard = source_heard;
    pipe->at_sink.heard = sink_heard;
    stream_watch_add(pipe->source, &pipe->at_source);
    stream_watch_add(pipe->sink, &pipe->at_sink);
}

int pipe_add(struct leat_stream *source, struct leat_stream *sink, bool leaves_open)
{
    int result = pipe_check(source, sink);
    if (result != 0)
        return result;
    bool is_late = r_has(source, R_END_TOLD);
    struct stream_pipe *pipe = leat_heap_calloc(1, sizeof(*pipe));
    if (pipe == NULL || (is_late && !loop_queue_reserve(loop_ticks(source->loop), 1))) {
        leat_heap_free(pipe);
        return -ENOMEM;
    }
    pipe->source = leat_stream_ref(source);
    pipe->sink = leat_stream_ref(sink);
    pipe->ends_sink = !leaves_open;
    pipe_link(pipe);
    if (is_late) {
        pipe->is_ticking = true;
        loop_queue_push_reserved(loop_ticks(source->loop), pipe_end_tick, pipe);
    }
    readable_flow_on(source);
    struct leat_result value = leat_pointer(source, LEAT_KIND_STREAM, NULL);
    stream_tell(sink, LEAT_STREAM_PIPE, &value);
    if (w_has(sink, W_NEEDS_DRAIN) && !w_has(sink, W_ENDING) && !stream_has(sink, STREAM_DESTROYED))
        pipe_stop(pipe);
    else if (!r_has(source, R_FLOWING))
        leat_stream_resume(source);
    return 0;
}

int leat_pipe(struct leat_stream *source, struct leat_stream *sink, bool leaves_open)
{
    return pipe_add(source, sink, leaves_open);
}
