/* Streams: bytes and who owns them, limits, what an implementer may say, futures, pipes; every
 * allocation fails once, and every stream is destroyed at every event. The order of events beside
 * Node's is compared in test/node (streams.txt). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <leat/io.h>
#include <leat/stream.h>

#include "buffers/heap.h"
#include "runtime/async/stream_internal.h"
#include "runtime/base/core.h"

static char said[4096];
static struct leat_loop *loop;

/* An end whose write is done when the test says so, or at once. */
struct end {
    struct leat_stream stream; /* first */
    const char *name;
    bool is_prompt, asks_again;
    int64_t answer;      /* what a prompt write says */
    uint32_t read_count; /* that were asked for */
    uint32_t given_count;
    struct leat_chunk kept[64];
    unsigned kept_count;
    uint64_t written_bytes;
};

static void say(const char *format, ...) LEAT_PRINTF(1, 2);
static void say(const char *format, ...)
{
    size_t length = strlen(said);
    va_list args;
    va_start(args, format);
    vsnprintf(said + length, sizeof(said) - length, format, args);
    va_end(args);
}

static struct end *end_of(struct leat_stream *stream)
{
    return container_of(stream, struct end, stream);
}

static void end_read(struct leat_stream *stream, unsigned takes)
{
    struct end *end = end_of(stream);
    if (!end->is_prompt)
        return;
    if (end->given_count++ < end->read_count)
        (void)leat_push_bytes(stream, "abcd", 4);
    else
        leat_push_end(stream);
}

static void end_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct end *end = end_of(stream);
    if (end->answer == -EAGAIN) {
        leat_stream_wrote(stream, leat_failure(-EAGAIN, NULL));
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        end->written_bytes += leat_chunk_length(&chunks[i]);
        if (end->kept_count < 64) {
            struct leat_chunk seen = chunks[i];
            if (leat_chunk_keep(&seen, &end->kept[end->kept_count]) == 0)
                end->kept_count++;
        }
    }
    if (end->is_prompt)
        leat_stream_wrote(stream, end->answer == 1 ? leat_number(1) : leat_nothing());
}

static void end_transform(struct leat_stream *stream, const struct leat_chunk *chunks,
                          unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct leat_chunk seen = chunks[i], own;
        if (leat_chunk_keep(&seen, &own) == 0)
            (void)leat_push(stream, &own, 1);
    }
    leat_stream_wrote(stream, leat_nothing());
}

static void end_drop(struct leat_stream *stream)
{
    struct end *end = end_of(stream);
    for (unsigned i = 0; i < end->kept_count; i++)
        leat_chunk_drop(&end->kept[i]);
    end->kept_count = 0;
}

static const struct leat_stream_class source_class = {.name = "source",
                                                      .length_bytes = sizeof(struct end),
                                                      .gives = LEAT_CHUNK_BYTES | LEAT_CHUNK_RANGE,
                                                      .read = end_read,
                                                      .drop = end_drop};
static const struct leat_stream_class sink_class = {.name = "sink",
                                                    .length_bytes = sizeof(struct end),
                                                    .takes = LEAT_CHUNK_BYTES,
                                                    .write = end_write,
                                                    .drop = end_drop};
static const struct leat_stream_class range_sink_class = {.name = "range sink",
                                                          .length_bytes = sizeof(struct end),
                                                          .takes =
                                                              LEAT_CHUNK_BYTES | LEAT_CHUNK_RANGE,
                                                          .engine = "send_file",
                                                          .write = end_write,
                                                          .drop = end_drop};
static const struct leat_stream_class stage_class = {.name = "stage",
                                                     .length_bytes = sizeof(struct end),
                                                     .gives = LEAT_CHUNK_BYTES,
                                                     .takes = LEAT_CHUNK_BYTES,
                                                     .is_transform = true,
                                                     .write = end_transform};

static struct end *end_new(const struct leat_stream_class *of, uint32_t mark)
{
    struct leat_stream_options options = {.readable_mark = mark, .writable_mark = mark};
    struct leat_stream *stream = leat_stream_new(loop, of, &options);
    if (stream == NULL)
        return NULL;
    end_of(stream)->is_prompt = true;
    return end_of(stream);
}

static int setup(void **state)
{
    said[0] = '\0';
    loop = leat_loop_new(NULL, NULL);
    return loop == NULL;
}

static struct leat_buf_stats buf_stats(void)
{
    struct leat_buf_stats stats;
    leat_buf_stats(&stats);
    return stats;
}

static int teardown(void **state)
{
    assert_null(leat_core_now->async != NULL ? leat_core_now->async->streams : NULL);
    assert_int_equal(buf_stats().live_count, 0);
    leat_loop_free(loop);
    return 0;
}

static void run(void)
{
    assert_int_equal(leat_loop_run(loop), 0);
}

static void end_free(struct end *end)
{
    leat_stream_destroy(&end->stream, leat_nothing());
    run();
    assert_true(stream_has(&end->stream, STREAM_CLOSE_TOLD));
    leat_stream_unref(&end->stream);
}

static void said_done(void *arg, const struct leat_result *result)
{
    say("%s:%d ", (const char *)arg, result->code);
}

static void said_event(void *arg, const struct leat_result *result)
{
    say("%s ", (const char *)arg);
}

static void wait_for(struct leat_future *future, const char *name)
{
    leat_on_settled(future, said_done, (void *)name);
    leat_future_unref(future);
}

/* ---- writing ---- */

static void writes_past_the_limit_are_refused(void **state)
{
    struct end *sink = end_new(&sink_class, 8);
    sink->is_prompt = false;
    assert_int_equal(leat_write_bytes(&sink->stream, "abcd", 4), 0);
    assert_int_equal(leat_write_bytes(&sink->stream, "abcd", 4), 1);
    struct leat_buf big = leat_buf_alloc(LEAT_STREAM_OVER_BYTES);
    struct leat_chunk chunk = leat_chunk_buf(big);
    assert_int_equal(leat_write(&sink->stream, &chunk, 1), 1);
    assert_int_equal(leat_write_bytes(&sink->stream, "x", 1), -EAGAIN);
    assert_int_equal(leat_writable_waiting(&sink->stream), 8 + LEAT_STREAM_OVER_BYTES);
    assert_null(stream_validate(&sink->stream));
    end_free(sink);
}

/* As a connection does: accepted and full, then drained at its own mark. */
static void an_end_that_is_full_by_its_own_mark(void **state)
{
    struct end *sink = end_new(&sink_class, 1000);
    sink->answer = 1;
    assert_int_equal(leat_stream_on(&sink->stream, LEAT_STREAM_DRAIN, said_event, (void *)"drain"),
                     0);
    assert_int_equal(leat_write_bytes(&sink->stream, "abcd", 4), 1);
    assert_int_equal(sink->written_bytes, 4);
    assert_int_equal(leat_writable_waiting(&sink->stream), 0);
    assert_int_equal(leat_write_bytes(&sink->stream, "efgh", 4), 1);
    assert_int_equal(sink->written_bytes, 4); /* what was written past 1 waits in the stream */
    run();
    assert_string_equal(said, "");
    sink->answer = 0;
    leat_stream_drained(&sink->stream);
    assert_int_equal(sink->written_bytes, 8);
    assert_string_equal(said, "drain ");
    leat_stream_drained(&sink->stream); /* twice */
    run();
    assert_string_equal(said, "drain ");
    end_free(sink);
}

static void an_end_that_refuses_gets_it_again(void **state)
{
    struct end *sink = end_new(&sink_class, 1000);
    struct leat_chunk chunk = leat_chunk_buf(leat_buf_from_bytes("abc", 3));
    sink->answer = -EAGAIN;
    assert_int_equal(leat_write_call(&sink->stream, &chunk, 1, said_done, (void *)"done"), 1);
    leat_stream_end(&sink->stream);
    run();
    assert_string_equal(said, "");
    assert_null(stream_validate(&sink->stream));
    leat_stream_drained(&sink->stream); /* refused once more, out of the queue */
    assert_int_equal(sink->written_bytes, 0);
    assert_null(stream_validate(&sink->stream));
    sink->answer = 0;
    assert_int_equal(leat_stream_on(&sink->stream, LEAT_STREAM_FINISH, said_event,
                                    (void *)"finish"),
                     0);
    leat_stream_drained(&sink->stream);
    run();
    assert_int_equal(sink->written_bytes, 3);
    assert_string_equal(said, "done:0 finish ");
    leat_stream_unref(&sink->stream);
}

static void ready_settles_at_the_drain(void **state)
{
    struct end *sink = end_new(&sink_class, 4);
    wait_for(leat_writable_ready(&sink->stream), "now");
    sink->is_prompt = false;
    assert_int_equal(leat_write_bytes(&sink->stream, "abcd", 4), 1);
    wait_for(leat_writable_ready(&sink->stream), "later");
    run();
    assert_string_equal(said, "now:0 ");
    leat_stream_wrote(&sink->stream, leat_nothing());
    run();
    assert_string_equal(said, "now:0 later:0 ");
    end_free(sink);
}

/* node#39005 */
static void ready_fails_when_the_stream_only_closes(void **state)
{
    struct end *sink = end_new(&sink_class, 4);
    sink->is_prompt = false;
    assert_int_equal(leat_write_bytes(&sink->stream, "abcd", 4), 1);
    wait_for(leat_writable_ready(&sink->stream), "closed");
    end_free(sink);
    sink = end_new(&sink_class, 4);
    sink->is_prompt = false;
    assert_int_equal(leat_write_bytes(&sink->stream, "abcd", 4), 1);
    wait_for(leat_writable_ready(&sink->stream), "failed");
    leat_stream_destroy(&sink->stream, leat_failure(-EIO, NULL));
    wait_for(leat_writable_ready(&sink->stream), "failed");
    run();
    wait_for(leat_writable_ready(&sink->stream), "after");
    run();
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "closed:%d failed:%d failed:%d after:%d ", -ECONNABORTED, -EIO,
             -EIO, -EIO);
    assert_string_equal(said, wanted);
    leat_stream_unref(&sink->stream);
}

/* ---- reading ---- */

static void next_gives_chunks_and_the_end(void **state)
{
    struct end *source = end_new(&source_class, 8);
    source->read_count = 2;
    for (int i = 0; i < 4; i++) {
        struct leat_future *next = leat_readable_next(&source->stream);
        leat_on_settled(next, said_done, (void *)"next");
        run();
        const struct leat_result *result = leat_future_result(next);
        assert_int_equal(result->code == 1 ? leat_result_buf(result).length_bytes : 0,
                         i < 2 ? 4 : 0);
        leat_future_unref(next);
    }
    assert_string_equal(said, "next:1 next:1 next:0 next:0 ");
    end_free(source);
}

static void next_is_alone(void **state)
{
    struct end *source = end_new(&source_class, 8);
    source->is_prompt = false;
    struct leat_future *first = leat_readable_next(&source->stream);
    wait_for(leat_readable_next(&source->stream), "second");
    assert_int_equal(leat_stream_on(&source->stream, LEAT_STREAM_DATA, said_event, (void *)"data"),
                     -EBUSY);
    struct end *sink = end_new(&sink_class, 8);
    assert_int_equal(leat_pipe(&source->stream, &sink->stream, false), -EBUSY);
    leat_future_cancel(first);
    leat_on_settled(first, said_done, (void *)"first");
    leat_future_unref(first);
    run();
    assert_int_equal(leat_stream_on(&source->stream, LEAT_STREAM_DATA, said_event, (void *)"data"),
                     0);
    wait_for(leat_readable_next(&source->stream), "third");
    (void)leat_push_bytes(&source->stream, "x", 1);
    run();
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "second:%d first:%d data third:%d ", -EBUSY, -ECANCELED,
             -EBUSY);
    assert_string_equal(said, wanted);
    end_free(source);
    end_free(sink);
}

static void next_hears_of_a_failure(void **state)
{
    struct end *source = end_new(&source_class, 8);
    source->is_prompt = false;
    wait_for(leat_readable_next(&source->stream), "next");
    leat_stream_destroy(&source->stream, leat_failure(-EIO, NULL));
    run();
    wait_for(leat_readable_next(&source->stream), "after");
    run();
    leat_stream_unref(&source->stream);
    source = end_new(&source_class, 8);
    source->is_prompt = false;
    wait_for(leat_readable_next(&source->stream), "short");
    end_free(source);
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "next:%d after:%d short:%d ", -EIO, -EIO, -ECONNABORTED);
    assert_string_equal(said, wanted);
}

/* ---- lent bytes ---- */

struct lender {
    struct leat_lender lender; /* first */
    unsigned kept_count, given_count;
    bool is_out;
};

static int lender_keep(struct leat_lender *base, struct leat_chunk *chunk)
{
    struct lender *lender = (struct lender *)base;
    if (lender->is_out)
        return -ENOMEM;
    lender->kept_count++;
    (void)leat_buf_ref(chunk->buf);
    chunk->flags = 0;
    return 0;
}

static void lender_give(struct leat_lender *base, struct leat_chunk *chunk)
{
    ((struct lender *)base)->given_count++;
    leat_buf_unref(chunk->buf);
}

static struct leat_chunk chunk_lent(struct lender *lender, struct leat_buf buf)
{
    struct leat_chunk chunk = leat_chunk_buf(buf);
    chunk.lender = &lender->lender;
    chunk.flags = LEAT_CHUNK_BORROWED;
    return chunk;
}

static void lent_bytes_pass_through_in_place(void **state)
{
    struct lender lender = {{lender_keep, lender_give}, 0, 0, false};
    struct end *source = end_new(&source_class, 1000), *sink = end_new(&sink_class, 1000);
    source->is_prompt = false;
    assert_int_equal(leat_pipe(&source->stream, &sink->stream, false), 0);
    run();
    struct leat_buf buf = leat_buf_from_bytes("abcd", 4);
    struct leat_chunk chunks[2] = {chunk_lent(&lender, buf), chunk_lent(&lender, buf)};
    assert_int_equal(leat_push(&source->stream, chunks, 2), 0);
    assert_int_equal(sink->written_bytes, 8);
    assert_int_equal(lender.kept_count, 2); /* by the sink, which keeps what it writes */
    assert_ptr_equal(sink->kept[0].buf.data, buf.data);
    leat_buf_unref(buf);
    end_free(source);
    end_free(sink);
    assert_int_equal(lender.given_count, 2);
}

/* What a paused stream keeps counts against who lent it, until it was read. */
static void lent_bytes_are_kept_while_they_wait(void **state)
{
    struct lender lender = {{lender_keep, lender_give}, 0, 0, false};
    struct end *source = end_new(&source_class, 6);
    source->is_prompt = false;
    struct leat_buf buf = leat_buf_from_bytes("abcd", 4);
    struct leat_chunk chunk = chunk_lent(&lender, buf);
    assert_int_equal(leat_push(&source->stream, &chunk, 1), 0);
    chunk = chunk_lent(&lender, buf);
    assert_int_equal(leat_push(&source->stream, &chunk, 1), 1);
    leat_buf_unref(buf);
    assert_int_equal(lender.kept_count, 2);
    assert_null(stream_validate(&source->stream));
    assert_true(leat_read(&source->stream, &chunk));
    assert_int_equal(lender.given_count, 0);
    leat_chunk_drop(&chunk);
    assert_int_equal(lender.given_count, 1);
    end_free(source);
    assert_int_equal(lender.given_count, 2);
}

static struct leat_chunk listener_kept;

static void data_keep(void *arg, const struct leat_result *result)
{
    struct leat_chunk *chunk = leat_result_pointer(result, LEAT_KIND_CHUNK);
    assert_int_equal(leat_chunk_keep(chunk, &listener_kept), 0);
}

/* A chunk that waited, and that its one listener keeps, still counts against who lent it. */
static void a_listener_may_keep_what_waited(void **state)
{
    struct lender lender = {{lender_keep, lender_give}, 0, 0, false};
    struct end *source = end_new(&source_class, 8);
    source->is_prompt = false;
    struct leat_buf buf = leat_buf_from_bytes("abcd", 4);
    struct leat_chunk chunk = chunk_lent(&lender, buf);
    assert_int_equal(leat_push(&source->stream, &chunk, 1), 0);
    leat_buf_unref(buf);
    assert_int_equal(leat_stream_on(&source->stream, LEAT_STREAM_DATA, data_keep, NULL), 0);
    run();
    assert_int_equal(lender.given_count, 0);
    leat_chunk_drop(&listener_kept);
    assert_int_equal(lender.given_count, 1);
    end_free(source);
}

static void a_lender_without_memory_fails_the_stream(void **state)
{
    struct lender lender = {{lender_keep, lender_give}, 0, 0, true};
    struct end *source = end_new(&source_class, 8);
    source->is_prompt = false;
    wait_for(leat_finished(&source->stream), "finished");
    struct leat_buf buf = leat_buf_from_bytes("abcd", 4);
    struct leat_chunk chunk = chunk_lent(&lender, buf);
    assert_int_equal(leat_push(&source->stream, &chunk, 1), -ENOMEM);
    leat_buf_unref(buf);
    run();
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "finished:%d ", -ENOMEM);
    assert_string_equal(said, wanted);
    leat_stream_unref(&source->stream);
}

/* ---- pipes ---- */

/* What a full sink refuses is not lost. */
static void a_pipe_keeps_what_is_refused(void **state)
{
    struct end *source = end_new(&source_class, 4), *sink = end_new(&sink_class, 4);
    sink->is_prompt = false;
    source->read_count = 3;
    struct leat_chunk big = leat_chunk_buf(leat_buf_alloc(LEAT_STREAM_OVER_BYTES + 4));
    assert_int_equal(leat_write(&sink->stream, &big, 1), 1);
    assert_int_equal(leat_pipe(&source->stream, &sink->stream, false), 0);
    leat_stream_resume(&source->stream); /* although it waits */
    run();
    assert_int_equal(leat_write_bytes(&sink->stream, "x", 1), -EAGAIN);
    for (int i = 0; i < 8 && !w_has(&sink->stream, W_FINISHED); i++) {
        if (w_has(&sink->stream, W_WRITING))
            leat_stream_wrote(&sink->stream, leat_nothing());
        run();
    }
    assert_true(w_has(&sink->stream, W_FINISHED));
    assert_int_equal(sink->written_bytes, LEAT_STREAM_OVER_BYTES + 4 + 12);
    leat_stream_unref(&source->stream);
    leat_stream_unref(&sink->stream);
}

static void the_engine_is_visible(void **state)
{
    struct end *source = end_new(&source_class, 4), *sink = end_new(&range_sink_class, 4);
    struct end *other = end_new(&sink_class, 4);
    source->is_prompt = false;
    assert_null(leat_pipe_engine_name(&source->stream, &sink->stream));
    assert_int_equal(leat_pipe(&source->stream, &sink->stream, false), 0);
    assert_string_equal(leat_pipe_engine_name(&source->stream, &sink->stream), "send_file");
    assert_int_equal(leat_stream_on(&source->stream, LEAT_STREAM_DATA, said_event, (void *)"data"),
                     0);
    assert_string_equal(leat_pipe_engine_name(&source->stream, &sink->stream), "chunks");
    leat_stream_off(&source->stream, LEAT_STREAM_DATA, said_event, (void *)"data");
    assert_int_equal(leat_pipe(&source->stream, &other->stream, false), 0);
    assert_string_equal(leat_pipe_engine_name(&source->stream, &sink->stream), "chunks");
    leat_unpipe(&source->stream, NULL);
    assert_null(leat_pipe_engine_name(&source->stream, &sink->stream));
    end_free(source);
    end_free(sink);
    end_free(other);
}

static void a_cancelled_pipeline_destroys_its_streams(void **state)
{
    struct end *source = end_new(&source_class, 4), *sink = end_new(&sink_class, 4);
    sink->is_prompt = false;
    source->read_count = 100;
    struct leat_stream *streams[] = {leat_stream_ref(&source->stream),
                                     leat_stream_ref(&sink->stream)};
    struct leat_future *all = leat_pipeline(streams, 2);
    leat_on_settled(all, said_done, (void *)"all");
    run();
    leat_future_cancel(all);
    assert_true(leat_stream_is_destroyed(&source->stream));
    assert_true(leat_stream_is_destroyed(&sink->stream));
    run();
    leat_future_unref(all);
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "all:%d ", -ECANCELED);
    assert_string_equal(said, wanted);
    leat_stream_unref(&source->stream);
    leat_stream_unref(&sink->stream);
}

/* A stage that could not be made need not be looked at before. */
static void a_pipeline_of_a_stream_that_was_not_made_is_rejected(void **state)
{
    struct end *source = end_new(&source_class, 4), *sink = end_new(&sink_class, 4);
    leat_future_unref(leat_settled(loop, leat_nothing())); /* what the core makes once */
    leat_heap_fail_at(leat_core_now, 1);
    struct leat_stream *streams[] = {leat_stream_ref(&source->stream),
                                     leat_stream_new(loop, &stage_class, NULL),
                                     leat_stream_ref(&sink->stream)};
    assert_null(streams[1]);
    struct leat_future *all = leat_pipeline(streams, 3);
    assert_int_equal(leat_future_result(all)->code, -ENOMEM);
    assert_true(leat_stream_is_destroyed(&source->stream));
    assert_true(leat_stream_is_destroyed(&sink->stream));
    leat_future_ignore(all);
    leat_future_unref(all);
    run();
    leat_stream_unref(&source->stream);
    leat_stream_unref(&sink->stream);
    leat_stream_destroy(NULL, leat_failure(-EIO, "with a sentence"));
    leat_stream_unref(NULL);
}

static void an_error_that_nobody_hears_ends_the_loop(void **state)
{
    struct end *sink = end_new(&sink_class, 4);
    leat_stream_destroy(&sink->stream, leat_failure(-EIO, "the disk is gone"));
    leat_stream_unref(&sink->stream);
    assert_int_equal(leat_loop_run(loop), 1);
    assert_int_equal(leat_loop_error(loop)->code, -EIO);
}

/* ---- memory and events ---- */

static struct leat_stream *victim;
static int victim_event, event_count;

/* Destroys the victim at the nth event of all. */
static void event_seen(void *arg, const struct leat_result *result)
{
    if (event_count++ == victim_event)
        leat_stream_destroy(victim, leat_nothing());
}

static struct leat_future *scenario(struct end *ends[3])
{
    ends[0] = end_new(&source_class, 8);
    ends[1] = end_new(&stage_class, 8);
    ends[2] = end_new(&sink_class, 8);
    struct leat_stream *streams[3];
    for (int i = 0; i < 3; i++)
        if (ends[i] == NULL)
            return NULL;
    for (int i = 0; i < 3; i++)
        streams[i] = leat_stream_ref(&ends[i]->stream);
    ends[0]->read_count = 5;
    return leat_pipeline(streams, 3);
}

static void scenario_free(struct end *ends[3])
{
    for (int i = 0; i < 3; i++) {
        if (ends[i] == NULL)
            continue;
        assert_null(stream_validate(&ends[i]->stream));
        leat_stream_destroy(&ends[i]->stream, leat_nothing());
    }
    run();
    for (int i = 0; i < 3; i++)
        if (ends[i] != NULL)
            leat_stream_unref(&ends[i]->stream);
}

static void every_allocation_fails_once(void **state)
{
    leat_future_unref(leat_settled(loop, leat_nothing())); /* what the core makes once */
    for (uint64_t nth = 1;; nth++) {
        struct leat_heap_stats before, after;
        struct end *ends[3] = {NULL, NULL, NULL};
        leat_heap_stats(leat_core_now, &before);
        leat_heap_fail_at(leat_core_now, nth);
        struct leat_future *all = scenario(ends);
        if (all != NULL)
            leat_future_ignore(all);
        run();
        leat_heap_fail_at(leat_core_now, 0);
        leat_heap_stats(leat_core_now, &after);
        bool has_failed = after.refused_count > before.refused_count;
        if (all != NULL) {
            const struct leat_result *result = leat_future_result(all);
            assert_non_null(result);
            assert_true(result->code == 0 || result->code == -ENOMEM ||
                        result->code == -ECONNABORTED);
            assert_true(has_failed || result->code == 0);
            leat_future_unref(all);
        }
        scenario_free(ends);
        assert_int_equal(buf_stats().live_count, 0);
        if (!has_failed)
            return;
        assert_true(nth < 200);
    }
}

static void listen_to_all(struct end *end)
{
    for (int event = 0; event < LEAT_STREAM_EVENT_COUNT; event++)
        if (event != LEAT_STREAM_READABLE && event != LEAT_STREAM_DATA)
            assert_int_equal(leat_stream_on(&end->stream, (enum leat_stream_event)event, event_seen,
                                            NULL),
                             0);
}

static void every_stream_is_destroyed_at_every_event(void **state)
{
    for (int who = 0; who < 3; who++)
        for (victim_event = 0;; victim_event++) {
            struct end *ends[3];
            event_count = 0;
            struct leat_future *all = scenario(ends);
            leat_future_ignore(all);
            victim = &ends[who]->stream;
            for (int i = 0; i < 3; i++)
                listen_to_all(ends[i]);
            run();
            const struct leat_result *result = leat_future_result(all);
            assert_non_null(result);
            assert_true(result->code == 0 || result->code == -ECONNABORTED);
            bool is_over = event_count <= victim_event;
            leat_future_unref(all);
            scenario_free(ends);
            if (is_over)
                break;
            assert_true(victim_event < 200);
        }
}

static void a_direction_is_small(void **state)
{
    assert_true(sizeof(struct leat_chunk) <= 40);
    assert_true(sizeof(struct leat_stream_readable) <= 96);
    assert_true(sizeof(struct leat_stream_writable) <= 96);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(writes_past_the_limit_are_refused),
        TEST(an_end_that_is_full_by_its_own_mark),
        TEST(an_end_that_refuses_gets_it_again),
        TEST(ready_settles_at_the_drain),
        TEST(ready_fails_when_the_stream_only_closes),
        TEST(next_gives_chunks_and_the_end),
        TEST(next_is_alone),
        TEST(next_hears_of_a_failure),
        TEST(lent_bytes_pass_through_in_place),
        TEST(lent_bytes_are_kept_while_they_wait),
        TEST(a_listener_may_keep_what_waited),
        TEST(a_lender_without_memory_fails_the_stream),
        TEST(a_pipe_keeps_what_is_refused),
        TEST(the_engine_is_visible),
        TEST(a_cancelled_pipeline_destroys_its_streams),
        TEST(a_pipeline_of_a_stream_that_was_not_made_is_rejected),
        TEST(an_error_that_nobody_hears_ends_the_loop),
        TEST(every_allocation_fails_once),
        TEST(every_stream_is_destroyed_at_every_event),
        TEST(a_direction_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
