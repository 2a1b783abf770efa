/* Pipelines: streams that stand or fall together. */
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/stream_internal.h"

/* What a stage still owes. */
enum {
    STAGE_END = 1u << 0,    /* its readable side's end; not of the last */
    STAGE_FINISH = 1u << 1, /* its writable side's finish; not of the first */
    STAGE_CLOSE = 1u << 2,  /* of one with no other side than what it owes */
};

struct pipeline_stage {
    struct stream_watch at_close; /* before a pipe hears it */
    struct stream_watch watch;    /* of all else, behind the pipes */
    struct pipeline *pipeline;
    struct leat_stream *stream;
    struct leat_stream *behind; /* to be ended when this one has */
    uint32_t owes;
};

struct pipeline {
    struct leat_future future; /* first */
    struct leat_loop *loop;
    struct pipeline_stage *stages;
    uint32_t count;
    struct leat_result error; /* the first */
    bool has_failed, is_settling;
};

static void pipeline_drop(struct leat_future *future)
{
    struct pipeline *pipeline = container_of(future, struct pipeline, future);
    leat_result_drop(&pipeline->error);
    leat_heap_free(pipeline->stages);
}

/* ---- settling: one tick behind the last event ---- */

static void pipeline_leave(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->count; i++) {
        stream_watch_remove(&pipeline->stages[i].at_close);
        stream_watch_remove(&pipeline->stages[i].watch);
        leat_stream_unref(pipeline->stages[i].stream);
    }
    pipeline->count = 0;
}

static void settle_tick(void *arg)
{
    struct pipeline *pipeline = arg;
    struct leat_result error = pipeline->error;
    pipeline->error = leat_nothing();
    pipeline_leave(pipeline);
    leat_settle(&pipeline->future, error);
}

static void pipeline_settle_maybe(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->count; i++)
        if (pipeline->stages[i].owes != 0)
            return;
    if (pipeline->is_settling)
        return;
    pipeline->is_settling = true;
    loop_queue_push_reserved(loop_ticks(pipeline->loop), settle_tick, pipeline);
}

/* ---- failing ---- */

static void pipeline_fail(struct pipeline *pipeline, struct leat_result failure)
{
    if (pipeline->is_settling) { /* all had gone through before */
        leat_result_drop(&failure);
        return;
    }
    bool is_better = pipeline->error.code == -ECONNABORTED && failure.code != -ECONNABORTED;
    if (pipeline->has_failed) {
        if (is_better) { /* why it was closed before its end */
            struct leat_result first = pipeline->error;
            pipeline->error = failure;
            failure = first;
        }
        leat_result_drop(&failure);
        return;
    }
    pipeline->has_failed = true;
    pipeline->error = failure;
    for (uint32_t i = 0; i < pipeline->count; i++) {
        struct pipeline_stage *stage = &pipeline->stages[i];
        if (stage->owes == 0)
            continue;
        stage->owes = STAGE_CLOSE;
        if (!stream_has(stage->stream, STREAM_DESTROYED))
            leat_stream_destroy(stage->stream, failure_copy(&failure));
        else if (stream_has(stage->stream, STREAM_CLOSE_TOLD))
            stage->owes = 0;
    }
}

static void pipeline_cancel(struct leat_future *future)
{
    struct pipeline *pipeline = container_of(future, struct pipeline, future);
    async_settle_cancelled(future);
    pipeline_fail(pipeline, leat_failure(-ECANCELED, "the pipeline was cancelled"));
    pipeline_settle_maybe(pipeline);
}

static const struct leat_future_class pipeline_class = {.name = "pipeline",
                                                        .length_bytes = sizeof(struct pipeline),
                                                        .cancel = pipeline_cancel,
                                                        .drop = pipeline_drop};

/* ---- what the stages say ---- */

/* It can take no more, and the one before has not come to its end. */
static bool stage_is_ahead(const struct pipeline_stage *stage)
{
    return stage > stage->pipeline->stages && (stage[-1].owes & STAGE_END) != 0;
}

static void stage_closed(struct pipeline_stage *stage)
{
    unsigned wants = ((stage->owes & STAGE_END) != 0 ? SIDE_READABLE : 0u) |
                     ((stage->owes & STAGE_FINISH) != 0 ? SIDE_WRITABLE : 0u);
    struct leat_result outcome = leat_nothing();
    if (wants != 0 || (stage->owes != 0 && stage->pipeline->has_failed))
        outcome = stream_outcome(stage->stream, wants);
    if (stage_is_ahead(stage))
        pipeline_fail(stage->pipeline, leat_failure(-ECONNABORTED, "closed before its end"));
    if (outcome.code < 0)
        pipeline_fail(stage->pipeline, outcome);
    stage->owes = 0;
}

static void stage_heard(struct stream_watch *watch, struct leat_stream *stream,
                        enum leat_stream_event event)
{
    struct pipeline_stage *stage = container_of(watch, struct pipeline_stage, watch);
    if (event == LEAT_STREAM_END && (stage->owes & STAGE_END) != 0) {
        stage->owes &= ~(uint32_t)STAGE_END;
        leat_stream_end(stage->behind);
    } else if (event == LEAT_STREAM_FINISH) {
        stage->owes &= ~(uint32_t)STAGE_FINISH;
    } else if (event == LEAT_STREAM_ERROR) {
        pipeline_fail(stage->pipeline, failure_copy(&stream->error));
    }
    pipeline_settle_maybe(stage->pipeline);
}

static void close_heard(struct stream_watch *watch, struct leat_stream *stream,
                        enum leat_stream_event event)
{
    struct pipeline_stage *stage = container_of(watch, struct pipeline_stage, at_close);
    if (event != LEAT_STREAM_CLOSE)
        return;
    stage_closed(stage);
    pipeline_settle_maybe(stage->pipeline);
}

/* ---- beginning ---- */

static uint32_t stage_debts(const struct leat_stream *stream, bool is_first, bool is_last)
{
    uint32_t owes = (is_last ? 0 : STAGE_END) | (is_first ? 0 : STAGE_FINISH);
    bool has_other_side = stream_gives(stream) && stream_takes(stream);
    return has_other_side ? owes : owes | STAGE_CLOSE;
}

static void stages_init(struct pipeline *pipeline, struct leat_stream *const *streams)
{
    for (uint32_t i = 0; i < pipeline->count; i++) {
        bool is_last = i + 1 == pipeline->count;
        struct pipeline_stage *stage = &pipeline->stages[i];
        *stage = (struct pipeline_stage){
            .at_close = {.heard = close_heard},
            .watch = {.heard = stage_heard, .hears_errors = true},
            .pipeline = pipeline,
            .stream = streams[i],
            .behind = is_last ? NULL : streams[i + 1],
            .owes = stage_debts(streams[i], i == 0, is_last),
        };
        stream_watch_add(streams[i], &stage->at_close);
    }
}

/* What has come to its end before it was piped. */
static void stage_look(struct pipeline_stage *stage)
{
    if (stream_has(stage->stream, STREAM_CLOSE_TOLD))
        stage_closed(stage);
    else if (stream_has(stage->stream, STREAM_ERRORED))
        pipeline_fail(stage->pipeline, failure_copy(&stage->stream->error));
}

static void pipeline_begin(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->count; i++)
        stage_look(&pipeline->stages[i]);
    for (uint32_t i = 0; i + 1 < pipeline->count && !pipeline->has_failed; i++) {
        int result = pipe_add(pipeline->stages[i].stream, pipeline->stages[i + 1].stream, true);
        if (result != 0)
            pipeline_fail(pipeline, leat_failure(result, "%s cannot be piped to %s",
                                                 pipeline->stages[i].stream->of->name,
                                                 pipeline->stages[i + 1].stream->of->name));
    }
    for (uint32_t i = 0; i < pipeline->count; i++)
        stream_watch_add(pipeline->stages[i].stream, &pipeline->stages[i].watch);
    pipeline_settle_maybe(pipeline);
}

static void streams_give_up(struct leat_stream *const *streams, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (streams[i] == NULL)
            continue;
        leat_stream_destroy(streams[i], leat_nothing());
        leat_stream_unref(streams[i]);
    }
}

/* What leat_loop_error says of the one that could not be made. */
static struct leat_future *pipeline_refuse(struct leat_loop *loop,
                                           struct leat_stream *const *streams, unsigned count)
{
    struct leat_error error = *leat_loop_error(loop);
    streams_give_up(streams, count);
    int code = error.code < 0 ? error.code : -ENOMEM;
    return leat_settled(loop, leat_failure(code, "no pipeline: %s", error.sentence));
}

static bool streams_are_made(struct leat_stream *const *streams, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (streams[i] == NULL)
            return false;
    return true;
}

struct leat_future *leat_pipeline(struct leat_stream *const *streams, unsigned count)
{
    struct leat_loop *loop = leat_loop_current();
    LEAT_CHECK(count >= 2 && loop != NULL);
    if (!streams_are_made(streams, count))
        return pipeline_refuse(loop, streams, count);
    LEAT_CHECK(streams[0]->loop == loop);
    struct leat_future *future =
        async_future_new(loop, &pipeline_class, __builtin_return_address(0));
    if (async_is_out_of_memory(future)) {
        streams_give_up(streams, count);
        return future;
    }
    struct pipeline *pipeline = container_of(future, struct pipeline, future);
    pipeline->loop = loop;
    pipeline->stages = leat_heap_calloc(count, sizeof(*pipeline->stages));
    if (pipeline->stages == NULL || !loop_queue_reserve(loop_ticks(loop), 1)) {
        streams_give_up(streams, count);
        leat_settle(future, leat_failure(-ENOMEM, "memory is out: no pipeline"));
        return future;
    }
    pipeline->count = count;
    stages_init(pipeline, streams);
    pipeline_begin(pipeline);
    return future;
}
