/* Streams over coders: there and back on the loop and on the pool, readers that are slow, streams
 * that are damaged, cut off, too large, and destroyed while a job is out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <leat/loop.h>
#include <leat/transform.h>

#include "buffers/heap.h"
#include "buffers/pools.h"
#include "leat_config.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"
#include "runtime/base/rng.h"

enum { BYTES = 600000 };

static struct leat_loop *loop;
static uint8_t *bytes;

/* Gives bytes in pieces, or takes what comes and compares it. */
struct end {
    struct leat_stream stream; /* first */
    const uint8_t *data;
    size_t data_bytes, at_bytes, piece_bytes;
    bool is_slow, is_waiting; /* a sink whose write is done when the test says so */
    uint64_t waiting_max;     /* the most that waited in the stage before it */
    struct leat_stream *before;
};

static void source_read(struct leat_stream *stream, unsigned takes)
{
    struct end *end = container_of(stream, struct end, stream);
    size_t left = end->data_bytes - end->at_bytes;
    size_t count = left < end->piece_bytes ? left : end->piece_bytes;
    if (left == 0) {
        leat_push_end(stream);
        return;
    }
    end->at_bytes += count;
    (void)leat_push_bytes(stream, end->data + end->at_bytes - count, count);
}

static void sink_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct end *end = container_of(stream, struct end, stream);
    for (unsigned i = 0; i < count; i++) {
        assert_true(chunks[i].buf.length_bytes <= end->data_bytes - end->at_bytes);
        assert_memory_equal(chunks[i].buf.data, end->data + end->at_bytes,
                            chunks[i].buf.length_bytes);
        end->at_bytes += chunks[i].buf.length_bytes;
    }
    uint64_t waiting = end->before == NULL ? 0 : leat_readable_waiting(end->before);
    end->waiting_max = waiting > end->waiting_max ? waiting : end->waiting_max;
    end->is_waiting = end->is_slow;
    if (!end->is_slow)
        leat_stream_wrote(stream, leat_nothing());
}

static const struct leat_stream_class source_class = {.name = "source",
                                                      .length_bytes = sizeof(struct end),
                                                      .gives = LEAT_CHUNK_BYTES,
                                                      .read = source_read};
static const struct leat_stream_class sink_class = {.name = "sink",
                                                    .length_bytes = sizeof(struct end),
                                                    .takes = LEAT_CHUNK_BYTES,
                                                    .write = sink_write};

static struct end *end_new(const struct leat_stream_class *of, const void *data, size_t data_bytes,
                           size_t piece_bytes)
{
    struct leat_stream *stream = leat_stream_new(loop, of, NULL);
    struct end *end = container_of(stream, struct end, stream);
    assert_non_null(stream);
    end->data = data;
    end->data_bytes = data_bytes;
    end->piece_bytes = piece_bytes;
    return end;
}

static int setup(void **state)
{
    struct leat_rng rng;
    rng_init(&rng, 3);
    loop = leat_loop_new(NULL, NULL);
    bytes = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = i % 61 < 50 && i > 300 ? bytes[i - 300] : (uint8_t)(rng_below(&rng, 64) + 32);
    return loop == NULL;
}

static int teardown(void **state)
{
    struct leat_buf_stats stats;
    leat_buf_stats(&stats);
    assert_int_equal(stats.live_count, 0);
    assert_int_equal(leat_core_now->codec_bytes, 0);
    leat_loop_free(loop);
    free(bytes);
    return 0;
}

static void ended(void *arg, const struct leat_result *result)
{
    *(int *)arg = result->code;
}

/* source, compressing, decompressing, sink: what comes out is what went in. */
static void check_through(enum leat_coding coding, size_t count, size_t piece_bytes)
{
    struct leat_coder_options options = {.coding = coding};
    struct end *source = end_new(&source_class, bytes, count, piece_bytes);
    struct end *sink = end_new(&sink_class, bytes, count, 0);
    struct leat_stream *stages[] = {&source->stream, leat_compress_new(loop, &options),
                                    leat_decompress_new(loop, &options), &sink->stream};
    int code = 1;
    leat_stream_ref(&sink->stream);
    leat_call(leat_pipeline(stages, 4), ended, &code);
    assert_int_equal(leat_loop_run(loop), 0);
    assert_int_equal(code, 0);
    assert_int_equal(sink->at_bytes, count);
    leat_stream_unref(&sink->stream);
}

static bool is_built(enum leat_coding coding)
{
    return coding == LEAT_BROTLI ? LEAT_HAVE_BROTLI
           : coding == LEAT_ZSTD ? LEAT_HAVE_ZSTD
                                 : LEAT_HAVE_ZLIB;
}

static void through_and_back(void **state)
{
    for (enum leat_coding coding = LEAT_GZIP; coding <= LEAT_ZSTD; coding++) {
        if (!is_built(coding))
            continue;
        check_through(coding, 0, 1);
        check_through(coding, 1, 1);
        check_through(coding, 30000, 1000);  /* on the loop */
        check_through(coding, BYTES, 20000); /* on the pool */
        check_through(coding, BYTES, BYTES); /* more jobs than one to a write */
    }
}

static size_t packed_of(const void *data, size_t count, uint8_t *packed, size_t room)
{
    struct leat_error error;
    struct leat_coder *coder =
        leat_encoder_new(&(struct leat_coder_options){.coding = LEAT_GZIP}, &error);
    struct leat_coder_io io = {data, count, packed, room, LEAT_CODER_FINISH};
    assert_int_equal(leat_coder_run(coder, &io), LEAT_CODER_DONE);
    leat_coder_free(coder);
    return room - io.out_bytes;
}

/* What a packed text becomes through leat_decompress_new: the code, and how far the sink came. */
static int unpacked(const uint8_t *packed, size_t packed_bytes, struct end *sink,
                    const struct leat_coder_options *options)
{
    struct end *source = end_new(&source_class, packed, packed_bytes, 5000);
    struct leat_stream *stages[] = {&source->stream, leat_decompress_new(loop, options),
                                    &sink->stream};
    int code = 1;
    sink->before = stages[1];
    leat_stream_ref(&sink->stream);
    leat_call(leat_pipeline(stages, 3), ended, &code);
    assert_int_equal(leat_loop_run(loop), 0);
    while (sink->is_waiting) {
        sink->is_waiting = false;
        leat_stream_wrote(&sink->stream, leat_nothing());
        assert_int_equal(leat_loop_run(loop), 0);
    }
    leat_stream_unref(&sink->stream);
    return code;
}

static void a_slow_reader_bounds_what_waits(void **state)
{
    enum { ZEROS = 8 << 20, PACKED = 65536 };
    uint8_t *zeros = calloc(1, ZEROS), *packed = malloc(PACKED);
    size_t count = packed_of(zeros, ZEROS, packed, PACKED);
    struct end *sink = end_new(&sink_class, zeros, ZEROS, 0);
    sink->is_slow = true;
    leat_stream_ref(&sink->stream);
    struct leat_coder_options options = {.coding = LEAT_GZIP, .ratio_max = UINT32_MAX};
    assert_int_equal(unpacked(packed, count, sink, &options), 0);
    assert_int_equal(sink->at_bytes, ZEROS);
    assert_in_range(sink->waiting_max, 1, 2 * LEAT_STREAM_MARK_BYTES + 65536);
    leat_stream_unref(&sink->stream);
    free(zeros);
    free(packed);
}

static void what_is_wrong_ends_the_pipeline(void **state)
{
    uint8_t *packed = malloc(BYTES + 4);
    size_t count = packed_of(bytes, 50000, packed, BYTES);
    struct leat_coder_options options = {.coding = LEAT_GZIP};
    assert_int_equal(unpacked(packed, count, end_new(&sink_class, bytes, 50000, 0), &options), 0);
    assert_int_equal(unpacked(packed, count - 1, end_new(&sink_class, bytes, 50000, 0), &options),
                     -EBADMSG);
    memcpy(packed + count, "junk", 4);
    assert_int_equal(unpacked(packed, count + 4, end_new(&sink_class, bytes, 50000, 0), &options),
                     -EBADMSG);
    packed[0] = 'x';
    assert_int_equal(unpacked(packed, count, end_new(&sink_class, bytes, 50000, 0), &options),
                     -EBADMSG);
    packed[0] = 0x1f;
    options.bytes_max = 49999;
    assert_int_equal(unpacked(packed, count, end_new(&sink_class, bytes, 50000, 0), &options),
                     -EMSGSIZE);
    free(packed);
}

struct end_of_victim {
    struct leat_stream *stream;
    unsigned turns;
};

static void victim_look(void *arg)
{
    struct end_of_victim *victim = arg;
    if (victim->turns-- == 0)
        leat_stream_destroy(victim->stream, leat_failure(-EIO, "by the test"));
    else
        assert_true(leat_set_immediate(loop, victim_look, victim) != 0);
}

/* After each number of turns, so that a job is sometimes out and sometimes not. */
static void destroyed_at_any_time_nothing_is_left(void **state)
{
    for (unsigned turns = 0; turns < 12; turns++) {
        struct leat_coder_options options = {.coding = LEAT_GZIP};
        struct end *source = end_new(&source_class, bytes, BYTES, 200000);
        struct end *sink = end_new(&sink_class, bytes, BYTES, 0);
        struct leat_stream *stages[] = {&source->stream, leat_compress_new(loop, &options),
                                        leat_decompress_new(loop, &options), &sink->stream};
        struct end_of_victim victim = {leat_stream_ref(stages[1 + turns % 2]), turns};
        int code = 1;
        leat_call(leat_pipeline(stages, 4), ended, &code);
        victim_look(&victim);
        assert_int_equal(leat_loop_run(loop), 0);
        assert_true(code == -EIO || (code == 0 && turns > 8)); /* on a fast machine */
        leat_stream_unref(victim.stream);
    }
}

/* Each allocation of a pipeline that works on the loop and on the pool fails once, the pool's own
 * among them: then the loop does that piece itself. */
static void each_allocation_fails_once(void **state)
{
    unsigned failed = 0, went_well = 0;
    for (unsigned nth = 1; nth <= 60; nth++)
        for (int is_pools = 0; is_pools < 2; is_pools++) {
            struct leat_coder_options options = {.coding = LEAT_GZIP};
            struct end *source = end_new(&source_class, bytes, 100000, 30000);
            struct end *sink = end_new(&sink_class, bytes, 100000, 0);
            struct leat_stream *stages[] = {&source->stream, leat_compress_new(loop, &options),
                                            leat_decompress_new(loop, &options), &sink->stream};
            int code = 1;
            leat_stream_ref(&sink->stream);
            if (is_pools)
                leat_pools_fail_at(leat_core_now, nth);
            else
                leat_heap_fail_at(leat_core_now, nth);
            leat_call(leat_pipeline(stages, 4), ended, &code);
            assert_int_equal(leat_loop_run(loop), 0);
            leat_pools_fail_at(leat_core_now, 0);
            leat_heap_fail_at(leat_core_now, 0);
            assert_true(code == -ENOMEM || (code == 0 && sink->at_bytes == 100000));
            failed += code != 0;
            went_well += code == 0;
            leat_stream_unref(&sink->stream);
        }
    assert_in_range(failed, 5, 119);
    assert_in_range(went_well, 5, 119);
}

static void what_cannot_be_made_is_said(void **state)
{
    assert_null(leat_compress_new(loop, &(struct leat_coder_options){.level = 77}));
    assert_int_equal(leat_loop_error(loop)->code, -EINVAL);
    leat_core_now->codec_bytes_max = 1000;
    assert_null(leat_compress_new(loop, &(struct leat_coder_options){.coding = LEAT_GZIP}));
    assert_int_equal(leat_loop_error(loop)->code, -EAGAIN);
    leat_core_now->codec_bytes_max = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(through_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_reader_bounds_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_ends_the_pipeline, setup, teardown),
        cmocka_unit_test_setup_teardown(destroyed_at_any_time_nothing_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(each_allocation_fails_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_made_is_said, setup, teardown),
    };
    return LEAT_HAVE_ZLIB ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
