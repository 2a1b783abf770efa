/* Compressing by a stream, and by zlib alone: in 64 KiB pieces of the same bytes, at the same
 * level. MB a second of the clock, and ns of the process's CPU time per KiB. */
#include "bench/async.h"
#include "bench/harness.h"
#include "bench/settle.h"
#include "leat_config.h"

#include <leat/loop.h>
#include <leat/transform.h>

#include "runtime/base/list.h"

#if LEAT_HAVE_ZLIB
#include <zlib.h>

#define LEVEL 6

enum { PIECE = 64 << 10, PIECES = 64 };

/* Gives pieces until the time is over, or takes what they became. */
struct gzip_end {
    struct leat_stream stream; /* first */
    double end_s;
    uint64_t bytes;
};

static uint8_t *corpus;

static void source_read(struct leat_stream *stream, unsigned takes)
{
    struct gzip_end *end = container_of(stream, struct gzip_end, stream);
    if (async_now_s() >= end->end_s) {
        leat_push_end(stream);
        return;
    }
    const uint8_t *piece = corpus + end->bytes % (PIECE * PIECES);
    struct leat_chunk chunk = leat_chunk_buf(leat_buf_from_static(piece, PIECE));
    end->bytes += PIECE;
    (void)leat_push(stream, &chunk, 1);
}

static void sink_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct gzip_end *end = container_of(stream, struct gzip_end, stream);
    for (unsigned i = 0; i < count; i++)
        end->bytes += chunks[i].buf.length_bytes;
    leat_stream_wrote(stream, leat_nothing());
}

static const struct leat_stream_class source_class = {.name = "source",
                                                      .length_bytes = sizeof(struct gzip_end),
                                                      .gives = LEAT_CHUNK_BYTES,
                                                      .read = source_read};
static const struct leat_stream_class sink_class = {.name = "sink",
                                                    .length_bytes = sizeof(struct gzip_end),
                                                    .takes = LEAT_CHUNK_BYTES,
                                                    .write = sink_write};

static struct gzip_end *end_new(struct leat_loop *loop, const struct leat_stream_class *of,
                                double end_s)
{
    struct leat_stream *stream = leat_stream_new(loop, of, NULL);
    if (stream == NULL)
        abort();
    struct gzip_end *end = container_of(stream, struct gzip_end, stream);
    end->end_s = end_s;
    leat_stream_ref(stream);
    return end;
}

struct names {
    const char *speed, *cpu, *ratio;
};

/* names NULL: it was to warm up. */
static void figures(const struct names *names, const double begin[2], const uint64_t bytes[2])
{
    if (names == NULL)
        return;
    async_figure(names->speed, (double)bytes[0] / (async_now_s() - begin[0]) * 1e-6);
    async_figure(names->cpu, (async_process_s() - begin[1]) * 1e9 * 1024 / (double)bytes[0]);
    async_figure(names->ratio, (double)bytes[1] / (double)bytes[0]);
}

static void on_piped(void *arg, const struct leat_result *result)
{
    if (result->code < 0)
        abort();
}

static void stream_measure(struct leat_loop *loop, double seconds, const struct names *names)
{
    const struct leat_coder_options options = {.coding = LEAT_GZIP, .level = LEVEL};
    double begin[] = {async_now_s(), async_process_s()};
    struct gzip_end *source = end_new(loop, &source_class, begin[0] + seconds);
    struct gzip_end *sink = end_new(loop, &sink_class, 0);
    struct leat_stream *stages[] = {&source->stream, leat_compress_new(loop, &options),
                                    &sink->stream};
    leat_call(leat_pipeline(stages, 3), on_piped, NULL);
    if (leat_loop_run(loop) != 0)
        abort();
    figures(names, begin, (uint64_t[]){source->bytes, sink->bytes});
    leat_stream_unref(&source->stream);
    leat_stream_unref(&sink->stream);
}

/* As zlib's manual has it; memory and window as in runtime/codec/zlib.c. */
static void library_measure(double seconds, const struct names *names)
{
    static uint8_t out[PIECE];
    double begin[] = {async_now_s(), async_process_s()};
    uint64_t in_bytes = 0, out_bytes = 0;
    z_stream z = {0};
    int code = Z_OK;
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    do {
        int flush = async_now_s() >= begin[0] + seconds ? Z_FINISH : Z_NO_FLUSH;
        z.next_in = corpus + in_bytes % (PIECE * PIECES);
        z.avail_in = flush == Z_FINISH ? 0 : PIECE;
        in_bytes += z.avail_in;
        do {
            z.next_out = out;
            z.avail_out = PIECE;
            code = deflate(&z, flush);
            out_bytes += PIECE - z.avail_out;
            bench_keep(out);
        } while (z.avail_out == 0);
    } while (code != Z_STREAM_END);
    deflateEnd(&z);
    figures(names, begin, (uint64_t[]){in_bytes, out_bytes});
}

static const struct names of_stream = {"gzip/stream", "gzip/stream cpu", "gzip/stream ratio"};
static const struct names of_library = {"gzip/library", "gzip/library cpu", "gzip/library ratio"};

void async_gzip(double seconds, unsigned count)
{
    uint64_t seed = 1;
    struct leat_loop *loop = leat_loop_new(NULL, NULL);
    corpus = malloc(PIECE * PIECES);
    if (loop == NULL || corpus == NULL)
        abort();
    for (size_t i = 0; i < PIECE * PIECES; i++)
        corpus[i] =
            (uint8_t)(i % 64 < 48 && i > 200 ? corpus[i - 200] : 'a' + bench_random(&seed) % 26);
    stream_measure(loop, seconds / 10, NULL);
    library_measure(seconds / 10, NULL);
    stream_measure(loop, seconds, &of_stream);
    library_measure(seconds, &of_library);
    leat_loop_free(loop);
    free(corpus);
}
#else
void async_gzip(double seconds, unsigned count)
{
}
#endif
