/* gzip, deflate and raw deflate, by zlib. */
#include "runtime/codec/coder_internal.h"

#include <zlib.h>

enum { MEMORY_LEVEL = 8, WINDOW_BITS = 15, PIECE_BYTES_MAX = 1 << 30 };

static void *zlib_alloc(void *opaque, uInt count, uInt bytes)
{
    return coder_alloc(opaque, (size_t)count * bytes);
}

static void zlib_release(void *opaque, void *memory)
{
    coder_release(opaque, memory);
}

/* How zlib names a coding: in the window's bits. */
static int window_of(const struct leat_coder *coder)
{
    switch (coder->options.coding) {
    case LEAT_GZIP:
        return WINDOW_BITS + 16;
    case LEAT_DEFLATE_RAW:
        return -WINDOW_BITS;
    default:
        return WINDOW_BITS;
    }
}

static int zlib_begin(struct leat_coder *coder)
{
    z_stream *stream = coder_alloc(coder, sizeof(*stream));
    if (stream == NULL)
        return -ENOMEM;
    *stream = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_release, .opaque = coder};
    int code = coder->is_decoder ? inflateInit2(stream, window_of(coder))
                                 : deflateInit2(stream, coder->options.level, Z_DEFLATED,
                                                window_of(coder), MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    if (code != Z_OK) {
        coder_release(coder, stream);
        return -ENOMEM;
    }
    coder->state = stream;
    return 0;
}

static void zlib_reset(struct leat_coder *coder)
{
    if (coder->is_decoder)
        inflateReset(coder->state);
    else
        deflateReset(coder->state);
}

static void zlib_end(struct leat_coder *coder)
{
    if (coder->state == NULL)
        return;
    if (coder->is_decoder)
        inflateEnd(coder->state);
    else
        deflateEnd(coder->state);
    coder_release(coder, coder->state);
    coder->state = NULL;
}

static uInt piece_of(size_t bytes)
{
    return bytes < PIECE_BYTES_MAX ? (uInt)bytes : PIECE_BYTES_MAX;
}

/* One call of zlib, whose counts have 32 bits. */
static int zlib_step(struct leat_coder *coder, struct leat_coder_io *io)
{
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    z_stream *stream = coder->state;
    uInt in_bytes = piece_of(io->in_bytes), out_bytes = piece_of(io->out_bytes);
    union {
        const uint8_t *in;
        uint8_t *out; /* zlib's type of what it only reads */
    } in = {.in = io->in};
    stream->next_in = in.out;
    stream->avail_in = in_bytes;
    stream->next_out = io->out;
    stream->avail_out = out_bytes;
    int flush = in_bytes < io->in_bytes ? Z_NO_FLUSH : flushes[io->mode];
    int code = coder->is_decoder ? inflate(stream, Z_NO_FLUSH) : deflate(stream, flush);
    if (in_bytes != stream->avail_in) {
        io->in += in_bytes - stream->avail_in;
        io->in_bytes -= in_bytes - stream->avail_in;
    }
    io->out += out_bytes - stream->avail_out;
    io->out_bytes -= out_bytes - stream->avail_out;
    return code;
}

static enum coder_result zlib_run(struct leat_coder *coder, struct leat_coder_io *io)
{
    for (;;) {
        if (io->out_bytes == 0)
            return CODER_FULL;
        int code = zlib_step(coder, io);
        if (code == Z_STREAM_END)
            return CODER_ENDED;
        if (code == Z_MEM_ERROR)
            return CODER_MEMORY;
        if (code != Z_OK && code != Z_BUF_ERROR)
            return CODER_BROKEN;
        if (io->out_bytes != 0 && io->in_bytes == 0)
            return CODER_USED;
    }
}

#define ZLIB_CODER(constant, coding_name, first)                                                   \
    const struct coder_ops constant = {                                                            \
        .name = coding_name,                                                                       \
        .level_least = 1,                                                                          \
        .level_most = 9,                                                                           \
        .level_default = 6,                                                                        \
        .first_byte = first,                                                                       \
        .begin = zlib_begin,                                                                       \
        .reset = zlib_reset,                                                                       \
        .run = zlib_run,                                                                           \
        .end = zlib_end,                                                                           \
    }

ZLIB_CODER(coder_gzip, "gzip", 0x1f);
ZLIB_CODER(coder_deflate, "deflate", -1);
ZLIB_CODER(coder_deflate_raw, "raw deflate", -1);
