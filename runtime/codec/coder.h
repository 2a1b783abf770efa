/* Compression: gzip, deflate, brotli and zstd, both ways, behind one interface: bytes in, bytes
 * out.
 *
 *   struct leat_coder *coder = leat_encoder_new(&(struct leat_coder_options){.coding = LEAT_GZIP},
 * &error); struct leat_coder_io io = {in, in_bytes, out, out_bytes, LEAT_CODER_FINISH}; switch
 * (leat_coder_run(coder, &io)) { ... }
 *
 * A library that was not there when Leat was built is -ENOTSUP, with a sentence that names the
 * package.
 *
 * Memory comes from the core's heap and is counted: the coders of a core hold at most
 * LEAT_CODEC_MEMORY_BYTES together (leat_run_options.codec_bytes_max, --codec-memory); past it a
 * coder is not made, or fails while it runs, with -EAGAIN. zstd's windows beyond 8 MiB are refused
 * (RFC 9659).
 *
 * A coder is made and freed on its core. In between it runs on one thread at a time, on any: a
 * large piece belongs on a thread of the pool.
 *
 * Decoding is bounded, because a few bytes may become many: bytes_max, and ratio_max, which counts
 * from LEAT_CODER_RATIO_FREE_BYTES of output on. Both are -EMSGSIZE. */
#ifndef LEAT_CODER_H
#define LEAT_CODER_H

#include <leat/defs.h>
#include <leat/error.h>

LEAT_BEGIN

#define LEAT_CODEC_MEMORY_BYTES     (UINT64_C(64) << 20)
#define LEAT_CODER_BYTES_MAX        (UINT64_C(64) << 20)
#define LEAT_CODER_RATIO_MAX        100
#define LEAT_CODER_RATIO_FREE_BYTES (UINT64_C(64) << 10)

enum leat_coding {
    LEAT_GZIP,        /* RFC 1952; members may follow each other */
    LEAT_DEFLATE,     /* RFC 1950: what HTTP calls deflate */
    LEAT_DEFLATE_RAW, /* RFC 1951 */
    LEAT_BROTLI,      /* RFC 7932 */
    LEAT_ZSTD,        /* RFC 8878; frames may follow each other */
};

struct leat_coder_options {
    enum leat_coding coding;
    int level;          /* of an encoder; 0: the default. gzip, deflate: 1 to 9 [6]; brotli: 1 to 11
                           [4]; zstd: 1 to 19 [3] */
    uint32_t ratio_max; /* of a decoder: output by input; 0: LEAT_CODER_RATIO_MAX */
    uint64_t bytes_max; /* of a decoder: output; 0: LEAT_CODER_BYTES_MAX */
};

enum leat_coder_mode {
    LEAT_CODER_GO,     /* more will come */
    LEAT_CODER_FLUSH,  /* what came so far shall be readable on the other side */
    LEAT_CODER_FINISH, /* nothing will come behind this input */
};

/* run moves in and out on by what it read and wrote. */
struct leat_coder_io {
    const uint8_t *in;
    size_t in_bytes;
    uint8_t *out;
    size_t out_bytes;
    enum leat_coder_mode mode;
};

enum leat_coder_step {
    LEAT_CODER_IN,    /* the input is used up, and the mode's wish done: bring more */
    LEAT_CODER_OUT,   /* the output is full: call again with room, and the same input and mode */
    LEAT_CODER_DONE,  /* the end. A decoder may leave input: it is not of this stream */
    LEAT_CODER_WRONG, /* leat_coder_error says why; the coder is to be reset or freed */
};

struct leat_coder;

/* NULL: error has -ENOTSUP, -EINVAL (no such level), -EAGAIN (codec memory) or -ENOMEM. */
LEAT_API struct leat_coder *leat_encoder_new(const struct leat_coder_options *options,
                                             struct leat_error *error) LEAT_MUST_CHECK;
LEAT_API struct leat_coder *leat_decoder_new(const struct leat_coder_options *options,
                                             struct leat_error *error) LEAT_MUST_CHECK;
LEAT_API void leat_coder_free(struct leat_coder *coder); /* NULL: no effect */

/* For a new stream with the same options, whatever became of the last. Memory is kept. */
LEAT_API void leat_coder_reset(struct leat_coder *coder);
LEAT_API enum leat_coder_step leat_coder_run(struct leat_coder *coder,
                                             struct leat_coder_io *io) LEAT_MUST_CHECK;
/* Fills error with what made the last run LEAT_CODER_WRONG, and returns its code: -EBADMSG (not of
 * this coding, or cut off), -EMSGSIZE, -EAGAIN, -ENOMEM. */
LEAT_API int leat_coder_error(const struct leat_coder *coder, struct leat_error *error);

LEAT_END
#endif
