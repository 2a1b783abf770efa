/* Buffers: reference-counted views of pooled memory outside the malloc heap.
 *
 * A struct leat_buf is a value of three words: where, how many bytes, and the block that holds
 * them. Copying the struct does not count a reference; leat_buf_ref does. Every leat_buf that a
 * function hands out carries one reference, which its receiver gives back with leat_buf_unref, or
 * passes on where a function says that it takes it.
 *
 * Blocks belong to the core that allocated them. Counts are plain integers: a block may be
 * referenced by one core at a time. To pass bytes to another core, give the whole reference away
 * (leat_loop_post) and touch it no more; the last unref on a foreign core sends the block home, in
 * batches.
 *
 * Zeros: leat_buf_alloc returns zeros, slack included, always. The pool remembers how far a block
 * was ever granted writable, and clears that far before it is granted again. No byte of an earlier
 * user is readable through leat_buf_alloc. leat_buf_alloc_unsafe does not clear, and is for bytes
 * that are overwritten at once.
 *
 * Bounds: a core's pools hold at most leat_loop_options.buffer_bytes_max; past it allocation
 * returns a buf with data == NULL and counts it (backpressure is the caller's duty). One allocation
 * is at most LEAT_BUF_BYTES_MAX. */
#ifndef LEAT_BUF_H
#define LEAT_BUF_H

#include <leat/defs.h>

LEAT_BEGIN

#define LEAT_BUF_BYTES_MAX (UINT32_C(1) << 30)

struct leat_block;

struct leat_buf {
    uint8_t *data;
    size_t length_bytes;
    struct leat_block *block; /* NULL: static bytes that outlive all use */
};

/* Allocation on the current core. On exhaustion, or length 0: {NULL, 0, NULL}. */
LEAT_API struct leat_buf leat_buf_alloc(size_t length_bytes) LEAT_MUST_CHECK;
LEAT_API struct leat_buf leat_buf_alloc_unsafe(size_t length_bytes) LEAT_MUST_CHECK;
LEAT_API struct leat_buf leat_buf_from_bytes(const void *bytes,
                                             size_t length_bytes) LEAT_MUST_CHECK;
LEAT_API struct leat_buf leat_buf_from_string(const char *string) LEAT_MUST_CHECK;

/* Bytes that live as long as the program: no reference is counted, nothing is freed. */
LEAT_API struct leat_buf leat_buf_from_static(const void *bytes, size_t length_bytes);

/* Memory of the caller's; free_fn(arg) runs once on the core that wrapped it, after the last unref.
 * Needs a block header: may be exhausted. */
LEAT_API struct leat_buf leat_buf_wrap(void *bytes, size_t length_bytes, void (*free_fn)(void *arg),
                                       void *arg) LEAT_MUST_CHECK;

/* How long buf can become in this block while nobody else refers to it (>= length_bytes; exactly
 * that when the block is shared, wrapped or static). leat_buf_resize makes it so, and only then the
 * bytes may be written; it returns false, and changes nothing, when length_bytes does not fit or
 * the block is shared. The bytes that it adds are zero, whatever was there before, but for a buffer
 * of leat_buf_alloc_unsafe: there they are what they are. */
LEAT_API size_t leat_buf_capacity(const struct leat_buf *buf);
LEAT_API bool leat_buf_resize(struct leat_buf *buf, size_t length_bytes) LEAT_MUST_CHECK;

LEAT_API struct leat_buf leat_buf_ref(struct leat_buf buf);
LEAT_API void leat_buf_unref(struct leat_buf buf); /* {NULL,0,NULL} and static bytes: no effect */

/* A view of [offset, offset + length) of buf with a reference of its own; memory is shared. An
 * offset or length beyond buf is clipped. */
LEAT_API struct leat_buf leat_buf_slice(struct leat_buf buf, size_t offset_bytes,
                                        size_t length_bytes);

/* A queue of buffers read as one run of bytes. The struct is the caller's; links come from the
 * core's heap. */
struct leat_chain { /* fields are the chain's own */
    struct leat_chain_link *first, *last;
    uint64_t length_bytes;
    uint32_t count;
};
LEAT_API void leat_chain_init(struct leat_chain *chain);
LEAT_API void leat_chain_fini(struct leat_chain *chain); /* unrefs what is left */
/* Takes the reference; -ENOMEM takes nothing. */
LEAT_API int leat_chain_push(struct leat_chain *chain, struct leat_buf buf) LEAT_MUST_CHECK;
/* The first buffer, still the chain's; {NULL,0,NULL} when empty. */
LEAT_API struct leat_buf leat_chain_peek(const struct leat_chain *chain);
/* Drops length_bytes from the front (at most all), unref'ing what is used up. */
LEAT_API void leat_chain_pull(struct leat_chain *chain, uint64_t length_bytes);
/* Copies [offset, offset + length) to to; returns the bytes copied. */
LEAT_API size_t leat_chain_copy(const struct leat_chain *chain, uint64_t offset_bytes, void *to,
                                size_t length_bytes);

/* What the current core's pools hold. Sums are kept at all times:
 *   granted_count == freed_count + live_count. */
struct leat_buf_stats {
    uint64_t granted_count, freed_count, live_count;
    uint64_t exhausted_count; /* allocations refused */
    uint64_t cleared_bytes;   /* zeroed for leat_buf_alloc */
    uint64_t foreign_count;   /* came home from other cores */
    uint64_t arena_bytes, live_bytes;
    const char *pages; /* "hugetlb", "transparent", "plain" */
};
LEAT_API void leat_buf_stats(struct leat_buf_stats *stats);

LEAT_END
#endif
