/* The life of a stream: made, heard, destroyed, closed, freed. */
#include <leat/error.h>
#include <leat/log.h>

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/stream_internal.h"

/* In the order of enum leat_stream_event. */
static const struct leat_event stream_events[LEAT_STREAM_EVENT_COUNT] = {
    [LEAT_STREAM_DATA] = {"data", false},     [LEAT_STREAM_READABLE] = {"readable", false},
    [LEAT_STREAM_END] = {"end", false},       [LEAT_STREAM_PAUSE] = {"pause", false},
    [LEAT_STREAM_RESUME] = {"resume", false}, [LEAT_STREAM_DRAIN] = {"drain", false},
    [LEAT_STREAM_FINISH] = {"finish", false}, [LEAT_STREAM_PIPE] = {"pipe", false},
    [LEAT_STREAM_UNPIPE] = {"unpipe", false}, [LEAT_STREAM_ERROR] = {"error", true},
    [LEAT_STREAM_CLOSE] = {"close", false},
};

/* ---- made and freed ---- */

static uint32_t mark_default(uint32_t asked, unsigned kinds)
{
    if (asked != 0)
        return asked;
    return kinds == LEAT_CHUNK_OBJECT ? LEAT_STREAM_MARK_OBJECTS : LEAT_STREAM_MARK_BYTES;
}

static void stream_link(struct leat_stream *stream, struct leat_stream **first)
{
    stream->next = *first;
    stream->prev = first;
    if (*first != NULL)
        (*first)->prev = &stream->next;
    *first = stream;
}

static void stream_unlink(struct leat_stream *stream)
{
    *stream->prev = stream->next;
    if (stream->next != NULL)
        stream->next->prev = stream->prev;
}

struct leat_stream *leat_stream_new(struct leat_loop *loop, const struct leat_stream_class *of,
                                    const struct leat_stream_options *options)
{
    static const struct leat_stream_options defaults;
    struct async_core *core = async_core_of(loop);
    LEAT_CHECK(of->length_bytes >= sizeof(struct leat_stream) && (of->gives | of->takes) != 0);
    struct leat_stream *stream = core != NULL ? leat_heap_calloc(1, of->length_bytes) : NULL;
    options = options != NULL ? options : &defaults;
    if (stream == NULL)
        goto no_stream;
    stream->of = of;
    stream->loop = loop;
    stream->refs = 2; /* the maker's, and its own until its close was told */
    stream->site = (uint32_t)(uintptr_t)__builtin_return_address(0);
    stream->flags = options->ends_together ? STREAM_ENDS_TOGETHER : 0;
    stream->readable.mark = mark_default(options->readable_mark, of->gives);
    stream->writable.mark = mark_default(options->writable_mark, of->takes);
    if (stream_ticks_reserve(stream) != 0)
        goto no_ticks;
    stream_link(stream, &core->streams);
    return stream;
no_ticks:
    leat_heap_free(stream);
no_stream:
    (void)leat_fail(&leat_core_now->error, -ENOMEM, "memory is out: no stream of %s", of->name);
    return NULL;
}

struct leat_stream *leat_stream_ref(struct leat_stream *stream)
{
    LEAT_CHECK(stream->loop == leat_loop_current());
    stream->refs++;
    return stream;
}

void leat_stream_unref(struct leat_stream *stream)
{
    if (stream == NULL)
        return;
    LEAT_CHECK(stream->loop == leat_loop_current() && stream->refs > 0);
    if (--stream->refs > 0)
        return;
    DCHECK(stream->watches == NULL && stream->ticks == 0);
    if (stream->of->drop != NULL)
        stream->of->drop(stream);
    leat_emitter_fini(&stream->emitter);
    leat_result_drop(&stream->error);
    stream_unlink(stream);
    stream_ticks_release(stream);
    leat_heap_free(stream);
}

void streams_report(const struct async_core *core)
{
    for (const struct leat_stream *stream = core->streams; stream != NULL; stream = stream->next)
        LEAT_LOG_WARN("a stream of %s was never %s", stream->of->name,
                      stream_has(stream, STREAM_CLOSE_TOLD) ? "given back: leat_stream_unref"
                                                            : "ended or destroyed");
}

/* ---- told ---- */

void stream_watch_add(struct leat_stream *stream, struct stream_watch *watch)
{
    struct stream_watch **last = &stream->watches;
    while (*last != NULL)
        last = &(*last)->next;
    watch->next = NULL;
    watch->prev = last;
    watch->due = 0;
    *last = watch;
}

void stream_watch_remove(struct stream_watch *watch)
{
    if (watch->prev == NULL)
        return;
    *watch->prev = watch->next;
    if (watch->next != NULL)
        watch->next->prev = watch->prev;
    watch->prev = NULL;
}

static struct stream_watch *watch_due(struct leat_stream *stream, uint16_t bit)
{
    struct stream_watch *watch = stream->watches;
    while (watch != NULL && (watch->due & bit) == 0)
        watch = watch->next;
    return watch;
}

/* Those that are there now, whoever comes or goes meanwhile. */
static void watches_tell(struct leat_stream *stream, enum leat_stream_event event)
{
    uint16_t bit = (uint16_t)(1u << event);
    struct stream_watch *watch;
    for (watch = stream->watches; watch != NULL; watch = watch->next)
        watch->due |= bit;
    while ((watch = watch_due(stream, bit)) != NULL) {
        watch->due &= (uint16_t)~bit;
        watch->heard(watch, stream, event);
    }
}

unsigned stream_listener_count(const struct leat_stream *stream, enum leat_stream_event event)
{
    return leat_emitter_count(&stream->emitter, &stream_events[event]);
}

static bool error_is_watched(const struct leat_stream *stream)
{
    const struct stream_watch *watch = stream->watches;
    while (watch != NULL && !watch->hears_errors)
        watch = watch->next;
    return watch != NULL;
}

void stream_tell(struct leat_stream *stream, enum leat_stream_event event,
                 const struct leat_result *value)
{
    bool is_watched = event == LEAT_STREAM_ERROR && error_is_watched(stream);
    if (stream->watches != NULL && event != LEAT_STREAM_DATA)
        watches_tell(stream, event);
    if (stream->emitter.list == NULL && (is_watched || event != LEAT_STREAM_ERROR))
        return;
    if (is_watched && !stream_is_heard(stream, event))
        return;
    (void)leat_emit(&stream->emitter, &stream_events[event], value);
}

static int listener_added(struct leat_stream *stream, enum leat_stream_event event, int result)
{
    if (result != 0)
        return result;
    if (event == LEAT_STREAM_DATA)
        readable_flow_on(stream);
    else if (event == LEAT_STREAM_READABLE)
        readable_listen(stream);
    return 0;
}

static bool listener_is_refused(const struct leat_stream *stream, enum leat_stream_event event)
{
    return event == LEAT_STREAM_DATA && stream->readable.next != NULL;
}

int leat_stream_on(struct leat_stream *stream, enum leat_stream_event event, leat_done *fn,
                   void *arg)
{
    if (listener_is_refused(stream, event))
        return -EBUSY;
    return listener_added(stream, event, leat_on(&stream->emitter, &stream_events[event], fn, arg));
}

int leat_stream_once(struct leat_stream *stream, enum leat_stream_event event, leat_done *fn,
                     void *arg)
{
    if (listener_is_refused(stream, event))
        return -EBUSY;
    return listener_added(stream, event,
                          leat_once(&stream->emitter, &stream_events[event], fn, arg));
}

void leat_stream_off(struct leat_stream *stream, enum leat_stream_event event, leat_done *fn,
                     void *arg)
{
    leat_off(&stream->emitter, &stream_events[event], fn, arg);
    if (event == LEAT_STREAM_READABLE)
        stream_tick(stream, TICK_LISTENERS);
}

/* ---- errors and the end ---- */

struct leat_result failure_copy(const struct leat_result *failure)
{
    return leat_failure(failure->code, failure->pointer != NULL ? "%s" : NULL,
                        leat_result_sentence(failure));
}

void stream_set_error(struct leat_stream *stream, struct leat_result *failure)
{
    if (failure->code >= 0 || stream_has(stream, STREAM_ERRORED)) {
        leat_result_drop(failure);
        return;
    }
    stream->error = *failure;
    *failure = leat_nothing();
    stream_change(stream, STREAM_ERRORED);
}

void leat_stream_destroy(struct leat_stream *stream, struct leat_result result)
{
    LEAT_CHECK(stream == NULL || stream->loop == leat_loop_current());
    if (stream == NULL || stream_has(stream, STREAM_DESTROYED)) {
        leat_result_drop(&result);
        return;
    }
    if (queue_count(stream->writable.queue) > 0)
        stream_tick(stream, TICK_DROP_QUEUE);
    stream->flags |= result.code < 0 ? STREAM_TELLS_ERROR : 0;
    stream_set_error(stream, &result);
    stream_change(stream, STREAM_DESTROYED);
    if (stream->of->destroy != NULL)
        STREAM_CALL(stream->of->destroy(stream));
    else
        leat_stream_destroyed(stream, leat_nothing());
}

void leat_stream_destroyed(struct leat_stream *stream, struct leat_result result)
{
    LEAT_CHECK(stream_has(stream, STREAM_DESTROYED) && !stream_has(stream, STREAM_CLOSED));
    stream->flags |= result.code < 0 ? STREAM_TELLS_ERROR : 0;
    stream_set_error(stream, &result);
    stream_change(stream, STREAM_CLOSED);
    stream_tick(stream, TICK_CLOSE);
}

void stream_fail(struct leat_stream *stream, struct leat_result failure)
{
    leat_stream_destroy(stream, failure);
}

/* Nothing is told after close; what it holds for others goes with it. */
void stream_close_tick(struct leat_stream *stream)
{
    if ((stream->flags & STREAM_TELLS_ERROR) != 0) {
        stream_change(stream, STREAM_ERROR_TOLD);
        stream_tell(stream, LEAT_STREAM_ERROR, &stream->error);
    }
    stream_change(stream, STREAM_CLOSE_TOLD);
    stream_tell(stream, LEAT_STREAM_CLOSE, NULL);
    next_serve(stream);
    outcome_keep(stream);
    readable_drop(stream);
    writable_drop(stream);
    leat_stream_unref(stream); /* its own */
}

void stream_settle(struct leat_stream *stream)
{
    bool has_ended = !stream_gives(stream) || r_has(stream, R_END_TOLD);
    bool has_finished = !stream_takes(stream) || w_has(stream, W_FINISHED);
    if (has_ended && has_finished)
        leat_stream_destroy(stream, leat_nothing());
}

const struct leat_result *leat_stream_error(const struct leat_stream *stream)
{
    return stream_has(stream, STREAM_ERRORED) ? &stream->error : NULL;
}

bool leat_stream_is_destroyed(const struct leat_stream *stream)
{
    return stream_has(stream, STREAM_DESTROYED);
}
