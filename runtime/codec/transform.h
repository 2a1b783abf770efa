/* Streams that compress and decompress: Node's zlib.createGzip and its kin.
 *
 *   leat_pipeline((struct leat_stream *[]){source,
 *                  leat_compress(loop, &(struct leat_coder_options){.coding = LEAT_GZIP}), sink},
 * 3);
 *
 * A piece of at most LEAT_COMPRESS_INLINE_BYTES, or LEAT_DECOMPRESS_INLINE_BYTES, is worked on
 * where it is written; larger ones go to the pool's lane for work of the CPU,
 * LEAT_TRANSFORM_JOB_BYTES at a time, one job per stream at a time. Where the pool's queue is full
 * the loop does that piece itself, and is slow for it: the work is neither lost nor queued without
 * end.
 *
 * Backpressure: nothing is made out of what was written while more waits to be read than the
 * stream's mark, however much a few bytes become. What a compressing stream has made may stay in it
 * until 64 KiB are together or the stream ends.
 *
 * The limits of leat/coder.h hold; what breaks one destroys the stream with its code and sentence.
 * Bytes behind the end of what was compressed are -EBADMSG. */
#ifndef LEAT_TRANSFORM_H
#define LEAT_TRANSFORM_H

#include <leat/coder.h>
#include <leat/stream.h>

LEAT_BEGIN

#define LEAT_COMPRESS_INLINE_BYTES   4096
#define LEAT_DECOMPRESS_INLINE_BYTES 16384
#define LEAT_TRANSFORM_JOB_BYTES     65536

/* NULL: leat_loop_error has what leat_encoder_new or leat_decoder_new say, or -ENOMEM. */
LEAT_API struct leat_stream *leat_compress_new(
    struct leat_loop *loop, const struct leat_coder_options *options) LEAT_MUST_CHECK;
LEAT_API struct leat_stream *leat_decompress_new(
    struct leat_loop *loop, const struct leat_coder_options *options) LEAT_MUST_CHECK;

LEAT_END
#endif
