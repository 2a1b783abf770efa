/* What a library must do to be a coder: one file a library, one row of functions each way.
 *
 * What is true of a coder:
 *   code == 0 until a run fails, and from then on until it is reset the same
 *   is_done   run returned LEAT_CODER_DONE
 *   is_between (of decoders of codings in which streams may follow each other) one has ended, and
 *             nothing is known of what follows
 *   the account of its core has every byte that coder_alloc gave and coder_free has not */
#ifndef LEAT_CODER_INTERNAL_H
#define LEAT_CODER_INTERNAL_H

#include "runtime/base/core.h"
#include "runtime/codec/coder.h"

#include <errno.h>

enum coder_result {
    CODER_USED,   /* the input is used up, the mode's wish done */
    CODER_FULL,   /* the output is, and more is to come */
    CODER_ENDED,  /* the stream is complete */
    CODER_BROKEN, /* it is none of this coding */
    CODER_MEMORY, /* coder_alloc gave NULL */
};

struct coder_block;

struct coder_ops {
    const char *name;
    int level_least, level_most, level_default; /* of an encoder */
    /* The first byte of a stream, when others may follow it; -1: none may. */
    int first_byte;
    int (*begin)(struct leat_coder *coder); /* 0 or -ENOMEM; sets state */
    void (*reset)(struct leat_coder *coder);
    enum coder_result (*run)(struct leat_coder *coder, struct leat_coder_io *io);
    void (*end)(struct leat_coder *coder); /* also of one whose begin failed */
};

struct leat_coder {
    const struct coder_ops *ops;
    void *state;            /* the library's */
    struct leat_core *core; /* whose codec memory is charged; NULL: none's */
    struct leat_coder_options options;
    uint64_t in_bytes, out_bytes; /* since it was reset */
    uint64_t stream_at;           /* in_bytes when this stream began: others may have been before */
    struct coder_block *released; /* by a thread of the pool: to be freed on the core */
    const char *sentence;
    int code;
    bool is_decoder, is_done, is_between;
    bool has_no_memory; /* coder_alloc gave NULL */
    bool was_refused;   /* because of the account, not the heap */
};

/* The signature that zlib's, brotli's and zstd's hooks share but for the order. */
void *coder_alloc(struct leat_coder *coder, size_t bytes);
void coder_release(struct leat_coder *coder, void *memory);

/* By enum leat_coding. */
struct coding {
    const struct coder_ops *encoder, *decoder; /* NULL: the library was not there */
    const char *package;                       /* Debian's, that has it */
};
extern const struct coding codings[];

#endif
