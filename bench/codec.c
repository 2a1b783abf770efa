/* Text and bytes, digests, JSON and compression, 4 KiB at a time where nothing else is said. */
#include "bench/harness.h"
#include "buffers/heap.h"
#include "buffers/pools.h"
#include "leat_config.h"

#include <leat/codec.h>
#include <leat/coder.h>
#include <leat/digest.h>
#include <leat/json.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 4096 };

struct codec_bench {
    struct leat_core core;
    struct leat_json_tree tree;
    struct leat_coder *coder, *decoder;
    uint8_t bytes[BYTES];
    char text[4 * BYTES];
    size_t text_bytes;
    uint8_t packed[2 * BYTES], back[BYTES];
    size_t packed_bytes;
};

/* A row as applications send them. */
static const char json_row[] =
    "{\"id\":123456,\"name\":\"Gr\xc3\xbc\xc3\x9f "
    "Gott\",\"price\":19.99,\"tags\":[\"a\",\"bc\",\"def\"],"
    "\"is_new\":true,\"note\":null,\"text\":\"a line\\nand another one, a little longer\"}";

static void codec_teardown(void *state)
{
    struct codec_bench *bench = state;
    leat_json_tree_fini(&bench->tree);
    leat_coder_free(bench->coder);
    leat_coder_free(bench->decoder);
    leat_pools_fini(&bench->core);
    leat_heap_fini(&bench->core);
    leat_core_now = NULL;
    free(bench);
}

static struct codec_bench *codec_new(void)
{
    struct codec_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL)
        return NULL;
    leat_core_now = &bench->core;
    if (leat_heap_init(&bench->core, NULL) != 0 || leat_pools_init(&bench->core, 0, NULL) != 0)
        return NULL;
    leat_json_tree_init(&bench->tree, NULL);
    uint64_t seed = 1;
    for (size_t i = 0; i < BYTES; i++)
        bench->bytes[i] = (uint8_t)(i % 64 < 48 && i > 200 ? bench->bytes[i - 200]
                                                           : 'a' + bench_random(&seed) % 26);
    return bench;
}

/* argument: the encoding whose text of the bytes is made ready. */
static void *text_setup(uint64_t argument)
{
    struct codec_bench *bench = codec_new();
    if (bench != NULL)
        bench->text_bytes = (size_t)leat_bytes_to_text((enum leat_encoding)argument, bench->bytes,
                                                       BYTES, bench->text, sizeof(bench->text));
    return bench;
}

static void text_run(struct codec_bench *bench, enum leat_encoding encoding, uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        bench_keep_value((uint64_t)leat_bytes_to_text(encoding, bench->bytes, BYTES, bench->text,
                                                      sizeof(bench->text)));
        bench_keep(bench->text);
    }
}

static void bytes_run(struct codec_bench *bench, enum leat_encoding encoding, uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        struct leat_bytes_out out = {bench->back, BYTES, 0};
        bench_keep_value(
            (uint64_t)leat_text_to_bytes(encoding, bench->text, bench->text_bytes, &out));
        bench_keep(bench->back);
    }
}

static void hex_write(void *state, uint64_t iterations)
{
    text_run(state, LEAT_HEX, iterations);
}

static void hex_read(void *state, uint64_t iterations)
{
    bytes_run(state, LEAT_HEX, iterations);
}

static void base64_write(void *state, uint64_t iterations)
{
    text_run(state, LEAT_BASE64, iterations);
}

static void base64_read(void *state, uint64_t iterations)
{
    bytes_run(state, LEAT_BASE64, iterations);
}

/* Letters of two bytes each: what is not ASCII. */
static void *letters_setup(uint64_t argument)
{
    struct codec_bench *bench = codec_new();
    for (size_t i = 0; bench != NULL && i < BYTES; i += 2)
        memcpy(bench->bytes + i, "\xc3\xa9", 2);
    return bench;
}

static void utf8_check(void *state, uint64_t iterations)
{
    struct codec_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++)
        bench_keep_value(leat_utf8_validate(bench->bytes, BYTES));
}

static void number_read(void *state, uint64_t iterations)
{
    struct codec_bench *bench = state;
    struct leat_buf buf = leat_buf_from_static(bench->bytes, BYTES);
    uint64_t sum = 0, value = 0;
    for (uint64_t i = 0; i < iterations; i++) {
        bench_keep(bench->bytes);
        if (leat_buf_read_uint(&buf, i % 4000, LEAT_BE(4), &value) == 0)
            sum += value;
    }
    bench_keep_value(sum);
}

static void sha256_run(void *state, uint64_t iterations)
{
    struct codec_bench *bench = state;
    struct leat_digest digest;
    leat_digest_init(&digest, LEAT_SHA256);
    for (uint64_t i = 0; i < iterations; i++) {
        leat_digest_update(&digest, bench->bytes, BYTES);
        leat_digest_finish(&digest, bench->back);
    }
    bench_keep(bench->back);
}

static void json_read(void *state, uint64_t iterations)
{
    struct codec_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++)
        bench_keep(leat_json_parse(&bench->tree, json_row, sizeof(json_row) - 1, NULL));
}

static void json_write(void *state, uint64_t iterations)
{
    struct codec_bench *bench = state;
    struct leat_json_writer writer;
    leat_json_writer_init(&writer, 0);
    const struct leat_json_node *root =
        leat_json_parse(&bench->tree, json_row, sizeof(json_row) - 1, NULL);
    for (uint64_t i = 0; i < iterations; i++) {
        struct leat_buf buf;
        leat_json_write_node(&writer, root);
        if (leat_json_writer_end(&writer, &buf) != 0)
            abort();
        leat_buf_unref(buf);
    }
    leat_json_writer_fini(&writer);
}

static void coder_turn(struct leat_coder *coder, struct leat_coder_io *io)
{
    leat_coder_reset(coder);
    if (leat_coder_run(coder, io) != LEAT_CODER_DONE)
        abort();
}

/* argument: the coding. */
static void *coder_setup(uint64_t argument)
{
    struct codec_bench *bench = codec_new();
    struct leat_coder_options options = {.coding = (enum leat_coding)argument};
    if (bench == NULL)
        return NULL;
    bench->coder = leat_encoder_new(&options, NULL);
    bench->decoder = leat_decoder_new(&options, NULL);
    if (bench->coder == NULL || bench->decoder == NULL)
        return NULL;
    struct leat_coder_io io = {bench->bytes, BYTES, bench->packed, sizeof(bench->packed),
                               LEAT_CODER_FINISH};
    coder_turn(bench->coder, &io);
    bench->packed_bytes = sizeof(bench->packed) - io.out_bytes;
    return bench;
}

static void coder_pack(void *state, uint64_t iterations)
{
    struct codec_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        struct leat_coder_io io = {bench->bytes, BYTES, bench->packed, sizeof(bench->packed),
                                   LEAT_CODER_FINISH};
        coder_turn(bench->coder, &io);
    }
}

static void coder_unpack(void *state, uint64_t iterations)
{
    struct codec_bench *bench = state;
    for (uint64_t i = 0; i < iterations; i++) {
        struct leat_coder_io io = {bench->packed, bench->packed_bytes, bench->back, BYTES,
                                   LEAT_CODER_FINISH};
        coder_turn(bench->decoder, &io);
    }
}

#define CODEC(label, set, fn, value, bytes)                                                        \
    {                                                                                              \
        .name = label, .setup = set, .run = fn, .teardown = codec_teardown, .argument = value,     \
        .bytes_per_iteration = bytes                                                               \
    }
/* What a library does is not ours: it changes with the library. */
#define CODER(label, fn, value)                                                                    \
    {                                                                                              \
        .name = label, .setup = coder_setup, .run = fn, .teardown = codec_teardown,                \
        .argument = value, .bytes_per_iteration = BYTES, .is_uncounted = true                      \
    }

static const struct bench_case cases[] = {
    CODEC("bytes to hex", text_setup, hex_write, LEAT_HEX, BYTES),
    CODEC("hex to bytes", text_setup, hex_read, LEAT_HEX, BYTES),
    CODEC("bytes to base64", text_setup, base64_write, LEAT_BASE64, BYTES),
    CODEC("base64 to bytes", text_setup, base64_read, LEAT_BASE64, BYTES),
    CODEC("validate ASCII", text_setup, utf8_check, LEAT_HEX, BYTES),
    CODEC("validate letters of two bytes", letters_setup, utf8_check, 0, BYTES),
    CODEC("read a number of 4 bytes", text_setup, number_read, LEAT_HEX, 0),
    CODEC("SHA-256", text_setup, sha256_run, LEAT_HEX, BYTES),
    CODEC("JSON to tree, 190 bytes", text_setup, json_read, LEAT_HEX, sizeof(json_row) - 1),
    CODEC("tree to JSON", text_setup, json_write, LEAT_HEX, sizeof(json_row) - 1),
#if LEAT_HAVE_ZLIB
    CODER("gzip", coder_pack, LEAT_GZIP),
    CODER("gunzip", coder_unpack, LEAT_GZIP),
#endif
#if LEAT_HAVE_BROTLI
    CODER("brotli", coder_pack, LEAT_BROTLI),
    CODER("unbrotli", coder_unpack, LEAT_BROTLI),
#endif
#if LEAT_HAVE_ZSTD
    CODER("zstd", coder_pack, LEAT_ZSTD),
    CODER("unzstd", coder_unpack, LEAT_ZSTD),
#endif
};
BENCH_GROUP(codec, cases);
