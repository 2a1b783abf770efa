/* zstd, by its own library. */
#define ZSTD_STATIC_LINKING_ONLY /* contexts with an allocator of our own */
#include "runtime/codec/coder_internal.h"

#include <zstd.h>

enum { DECODER_WINDOW_BITS_MAX = 23 }; /* RFC 9659: 8 MiB is what a receiver must take */

static void *zstd_alloc(void *opaque, size_t bytes)
{
    return coder_alloc(opaque, bytes);
}

static void zstd_release(void *opaque, void *memory)
{
    coder_release(opaque, memory);
}

static ZSTD_customMem memory_of(struct leat_coder *coder)
{
    return (ZSTD_customMem){zstd_alloc, zstd_release, coder};
}

static int encoder_begin(struct leat_coder *coder)
{
    coder->state = ZSTD_createCCtx_advanced(memory_of(coder));
    if (coder->state == NULL)
        return -ENOMEM;
    ZSTD_CCtx_setParameter(coder->state, ZSTD_c_compressionLevel, coder->options.level);
    /* Levels from 17 on would make a window that no receiver must take. */
    ZSTD_CCtx_setParameter(coder->state, ZSTD_c_windowLog,
                           coder->options.level > 16 ? DECODER_WINDOW_BITS_MAX : 0);
    return 0;
}

static void encoder_reset(struct leat_coder *coder)
{
    ZSTD_CCtx_reset(coder->state, ZSTD_reset_session_only);
}

static void encoder_end(struct leat_coder *coder)
{
    ZSTD_freeCCtx(coder->state);
    coder->state = NULL;
}

static void io_advance(struct leat_coder_io *io, size_t in_bytes, size_t out_bytes)
{
    if (in_bytes != 0)
        io->in += in_bytes;
    io->in_bytes -= in_bytes;
    if (out_bytes != 0)
        io->out += out_bytes;
    io->out_bytes -= out_bytes;
}

static enum coder_result encoder_run(struct leat_coder *coder, struct leat_coder_io *io)
{
    static const ZSTD_EndDirective directives[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    for (;;) {
        ZSTD_inBuffer in = {io->in, io->in_bytes, 0};
        ZSTD_outBuffer out = {io->out, io->out_bytes, 0};
        size_t left = ZSTD_compressStream2(coder->state, &out, &in, directives[io->mode]);
        if (ZSTD_isError(left))
            return coder->has_no_memory ? CODER_MEMORY : CODER_BROKEN;
        io_advance(io, in.pos, out.pos);
        if (io->mode == LEAT_CODER_FINISH && left == 0)
            return CODER_ENDED;
        if (io->in_bytes == 0 && (io->mode == LEAT_CODER_GO || left == 0))
            return CODER_USED;
        if (io->out_bytes == 0)
            return CODER_FULL;
        if (in.pos == 0 && out.pos == 0)
            return CODER_BROKEN; /* neither reads nor writes: it would turn for ever */
    }
}

static int decoder_begin(struct leat_coder *coder)
{
    coder->state = ZSTD_createDCtx_advanced(memory_of(coder));
    if (coder->state == NULL)
        return -ENOMEM;
    ZSTD_DCtx_setParameter(coder->state, ZSTD_d_windowLogMax, DECODER_WINDOW_BITS_MAX);
    return 0;
}

static void decoder_reset(struct leat_coder *coder)
{
    ZSTD_DCtx_reset(coder->state, ZSTD_reset_session_only);
}

static void decoder_end(struct leat_coder *coder)
{
    ZSTD_freeDCtx(coder->state);
    coder->state = NULL;
}

/* A frame of which the library sees the whole at once goes another way through it, that looks
 * neither for the largest window nor for an empty last block; and where an input begins like a
 * frame of a version before 1.0 it may take that for one. The header byte by byte leads all frames
 * one way, so that it never matters how one was cut. */
static size_t bytes_at_once(const struct leat_coder *coder, const struct leat_coder_io *io,
                            size_t given_bytes)
{
    uint64_t at = coder->in_bytes - coder->stream_at + given_bytes - io->in_bytes;
    return at < ZSTD_FRAMEHEADERSIZE_MAX && io->in_bytes > 1 ? 1 : io->in_bytes;
}

static enum coder_result decoder_run(struct leat_coder *coder, struct leat_coder_io *io)
{
    size_t given_bytes = io->in_bytes;
    for (;;) {
        ZSTD_inBuffer in = {io->in, bytes_at_once(coder, io, given_bytes), 0};
        ZSTD_outBuffer out = {io->out, io->out_bytes, 0};
        if (io->out_bytes == 0)
            return CODER_FULL;
        size_t left = ZSTD_decompressStream(coder->state, &out, &in);
        if (ZSTD_isError(left))
            return coder->has_no_memory ? CODER_MEMORY : CODER_BROKEN;
        io_advance(io, in.pos, out.pos);
        if (left == 0)
            return CODER_ENDED;
        if (io->out_bytes == 0)
            return CODER_FULL;
        if (io->in_bytes == 0)
            return CODER_USED;
    }
}

const struct coder_ops coder_zstd_encoder = {
    .name = "zstd",
    .level_least = 1,
    .level_most = 19,
    .level_default = 3,
    .first_byte = 0x28,
    .begin = encoder_begin,
    .reset = encoder_reset,
    .run = encoder_run,
    .end = encoder_end,
};
const struct coder_ops coder_zstd_decoder = {
    .name = "zstd",
    .first_byte = 0x28,
    .begin = decoder_begin,
    .reset = decoder_reset,
    .run = decoder_run,
    .end = decoder_end,
};
