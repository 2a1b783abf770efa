/* brotli, by its own library.
 *
 * The encoder of 1.0.9, Debian's, ends the program when its allocator returns NULL. So ours does
 * not return then: it jumps back into the call that turned the encoder, and every block that the
 * encoder has is given back. The library keeps nothing outside of these blocks, no lock and no
 * global, so that nothing is left behind. The decoder returns an error, as it should. */
#include "runtime/base/list.h"
#include "runtime/codec/coder_internal.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <setjmp.h>

/* A window of 512 KiB, not of 16 MiB: many streams share a core's memory for coders. */
enum { WINDOW_BITS = 19 };

struct encoder {
    struct leat_coder *coder;
    BrotliEncoderState *brotli; /* NULL: there was no memory for it */
    struct list blocks;         /* all that brotli has */
    jmp_buf no_memory;          /* set while brotli runs */
};

struct encoder_block {
    _Alignas(16) struct list link;
};

static void *encoder_alloc(void *opaque, size_t bytes)
{
    struct encoder *encoder = opaque;
    struct encoder_block *block = bytes > SIZE_MAX - sizeof(*block)
                                      ? NULL
                                      : coder_alloc(encoder->coder, sizeof(*block) + bytes);
    if (block == NULL)
        longjmp(encoder->no_memory, 1);
    list_push(&encoder->blocks, &block->link);
    return block + 1;
}

static void encoder_release(void *opaque, void *memory)
{
    struct encoder *encoder = opaque;
    if (memory == NULL)
        return;
    struct encoder_block *block = (struct encoder_block *)memory - 1;
    list_unlink(&block->link);
    coder_release(encoder->coder, block);
}

static void encoder_clear(struct encoder *encoder)
{
    struct list *link;
    while ((link = list_pull(&encoder->blocks)) != NULL)
        coder_release(encoder->coder, container_of(link, struct encoder_block, link));
    encoder->brotli = NULL;
}

/* Without memory brotli stays NULL, and the next run says so. */
static void encoder_reset(struct leat_coder *coder)
{
    struct encoder *encoder = coder->state;
    encoder_clear(encoder); /* the library has no reset */
    if (setjmp(encoder->no_memory) != 0) {
        encoder_clear(encoder);
        return;
    }
    encoder->brotli = BrotliEncoderCreateInstance(encoder_alloc, encoder_release, encoder);
    if (encoder->brotli == NULL)
        return;
    BrotliEncoderSetParameter(encoder->brotli, BROTLI_PARAM_QUALITY,
                              (uint32_t)coder->options.level);
    BrotliEncoderSetParameter(encoder->brotli, BROTLI_PARAM_LGWIN, WINDOW_BITS);
}

static int encoder_begin(struct leat_coder *coder)
{
    struct encoder *encoder = coder_alloc(coder, sizeof(*encoder));
    if (encoder == NULL)
        return -ENOMEM;
    coder->state = encoder;
    encoder->coder = coder;
    list_init(&encoder->blocks);
    encoder_reset(coder);
    return encoder->brotli == NULL ? -ENOMEM : 0;
}

static void encoder_end(struct leat_coder *coder)
{
    if (coder->state == NULL)
        return;
    encoder_clear(coder->state);
    coder_release(coder, coder->state);
    coder->state = NULL;
}

static enum coder_result encoder_turn(BrotliEncoderState *brotli, struct leat_coder_io *io)
{
    static const BrotliEncoderOperation operations[] = {BROTLI_OPERATION_PROCESS,
                                                        BROTLI_OPERATION_FLUSH,
                                                        BROTLI_OPERATION_FINISH};
    for (;;) {
        size_t in_before = io->in_bytes, out_before = io->out_bytes;
        if (!BrotliEncoderCompressStream(brotli, operations[io->mode], &io->in_bytes, &io->in,
                                         &io->out_bytes, &io->out, NULL))
            return CODER_BROKEN;
        if (BrotliEncoderIsFinished(brotli))
            return CODER_ENDED;
        if (io->in_bytes == 0 && !BrotliEncoderHasMoreOutput(brotli))
            return CODER_USED;
        if (io->out_bytes == 0)
            return CODER_FULL;
        if (io->in_bytes == in_before && io->out_bytes == out_before)
            return CODER_BROKEN; /* neither reads nor writes: it would turn for ever */
    }
}

static enum coder_result encoder_run(struct leat_coder *coder, struct leat_coder_io *io)
{
    struct encoder *encoder = coder->state;
    if (encoder->brotli == NULL)
        return CODER_MEMORY;
    if (setjmp(encoder->no_memory) != 0) {
        encoder_clear(encoder);
        return CODER_MEMORY;
    }
    return encoder_turn(encoder->brotli, io);
}

static void *decoder_alloc(void *opaque, size_t bytes)
{
    return coder_alloc(opaque, bytes);
}

static void decoder_release(void *opaque, void *memory)
{
    coder_release(opaque, memory);
}

static int decoder_begin(struct leat_coder *coder)
{
    coder->state = BrotliDecoderCreateInstance(decoder_alloc, decoder_release, coder);
    return coder->state == NULL ? -ENOMEM : 0;
}

static void decoder_end(struct leat_coder *coder)
{
    if (coder->state != NULL)
        BrotliDecoderDestroyInstance(coder->state);
    coder->state = NULL;
}

static void decoder_reset(struct leat_coder *coder)
{
    decoder_end(coder);
    (void)decoder_begin(coder);
}

static enum coder_result decoder_run(struct leat_coder *coder, struct leat_coder_io *io)
{
    if (coder->state == NULL)
        return CODER_MEMORY;
    switch (BrotliDecoderDecompressStream(coder->state, &io->in_bytes, &io->in, &io->out_bytes,
                                          &io->out, NULL)) {
    case BROTLI_DECODER_RESULT_SUCCESS:
        return CODER_ENDED;
    case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
        return CODER_USED;
    case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
        return CODER_FULL;
    default:
        return coder->has_no_memory ? CODER_MEMORY : CODER_BROKEN;
    }
}

const struct coder_ops coder_brotli_encoder = {
    .name = "brotli",
    .level_least = 1,
    .level_most = 11,
    .level_default = 4,
    .first_byte = -1,
    .begin = encoder_begin,
    .reset = encoder_reset,
    .run = encoder_run,
    .end = encoder_end,
};
const struct coder_ops coder_brotli_decoder = {
    .name = "brotli",
    .first_byte = -1,
    .begin = decoder_begin,
    .reset = decoder_reset,
    .run = decoder_run,
    .end = decoder_end,
};
