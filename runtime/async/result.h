/* What an operation ended with: a value of at most 24 bytes, or a failure with its code and
 * sentence. The same struct travels by future, callback and await.
 *
 * A result is a value of the core that made it. It owns what it carries: a buffer's reference, a
 * pointer that its drop frees, or a share of what another result owns. Who is given a
 * `const struct leat_result *` borrows it until it returns; who is given the struct drops it with
 * leat_result_drop, once. */
#ifndef LEAT_RESULT_H
#define LEAT_RESULT_H

#include <leat/buf.h>
#include <leat/check.h>
#include <leat/defs.h>

#include <string.h>

LEAT_BEGIN

struct leat_future;

typedef void leat_drop(void *pointer);

/* Kinds of a value. From LEAT_KIND_POINTER on the value is a pointer, and the kind says to what. */
enum leat_kind {
    LEAT_KIND_NOTHING,
    LEAT_KIND_NUMBER,
    LEAT_KIND_BUF,
    LEAT_KIND_FAILURE, /* code < 0; its sentence, if it has one */
    LEAT_KIND_FOLLOW,  /* returned by a leat_then_fn: settle as this future does */
    LEAT_KIND_POINTER,
    LEAT_KIND_RESULTS,    /* struct leat_results */
    LEAT_KIND_FILE,       /* struct leat_file */
    LEAT_KIND_STAT,       /* struct leat_stat */
    LEAT_KIND_STRING,     /* char, up to its NUL */
    LEAT_KIND_ENTRIES,    /* struct leat_entries */
    LEAT_KIND_CHUNK,      /* struct leat_chunk */
    LEAT_KIND_STREAM,     /* struct leat_stream */
    LEAT_KIND_WATCH,      /* struct leat_fs_watch */
    LEAT_KIND_USER = 256, /* from here on a program's own */
};

struct leat_result {
    union {
        int64_t number;
        struct {
            void *pointer;
            struct leat_future *owner; /* Leat's own: what keeps the pointer valid, or NULL */
        };
        struct leat_buf buf;
    };
    leat_drop *drop; /* of the pointer; NULL: nothing to do */
    int32_t code;    /* 0 or more: it went well; below: a negative errno */
    uint16_t kind;   /* enum leat_kind */
    uint16_t own;    /* a future's own; 0 outside of it */
};

struct leat_results {
    uint32_t count;
    struct leat_result items[]; /* in the order in which the futures were given */
};

/* To settle with, and to return from a leat_then_fn. Each takes what it is given. */
static inline struct leat_result leat_nothing(void)
{
    struct leat_result result;
    result.buf.data = NULL;
    result.buf.length_bytes = 0;
    result.buf.block = NULL;
    result.drop = NULL;
    result.code = 0;
    result.kind = LEAT_KIND_NOTHING;
    result.own = 0;
    return result;
}

static inline struct leat_result leat_number(int64_t number)
{
    struct leat_result result = leat_nothing();
    result.kind = LEAT_KIND_NUMBER;
    result.number = number;
    return result;
}

static inline struct leat_result leat_bytes(struct leat_buf buf)
{
    struct leat_result result = leat_nothing();
    result.kind = LEAT_KIND_BUF;
    result.buf = buf;
    return result;
}

/* kind: LEAT_KIND_POINTER or higher. drop may be NULL. */
static inline struct leat_result leat_pointer(void *pointer, unsigned kind, leat_drop *drop)
{
    struct leat_result result = leat_nothing();
    result.kind = (uint16_t)kind;
    result.pointer = pointer;
    result.drop = drop;
    return result;
}

/* Takes the reference on future: the derived future settles as this one does, as a promise that a
 * callback returns. */
static inline struct leat_result leat_follow(struct leat_future *future)
{
    return leat_pointer(future, LEAT_KIND_FOLLOW, NULL);
}

/* A failure: code is a negative errno. The sentence is kept when there is memory for it; format may
 * be NULL. */
LEAT_API struct leat_result leat_failure(int code, const char *format, ...) LEAT_PRINTF(2, 3);

/* "cannot open x: it is not there", or the name of the errno when there is no sentence. Valid as
 * long as the result. */
LEAT_API const char *leat_result_sentence(const struct leat_result *result);

/* Gives back what the result carries, a failure's sentence as well, and makes it leat_nothing.
 * Returns the code that it had: `return leat_result_drop(&file);` */
LEAT_API int leat_result_drop(struct leat_result *result);

/* The value. Asking for another kind than there is, or for that of a failure, is a programmer's
 * error. */
static inline int64_t leat_result_number(const struct leat_result *result)
{
    LEAT_CHECK(result->kind == LEAT_KIND_NUMBER);
    return result->number;
}

static inline struct leat_buf leat_result_buf(const struct leat_result *result)
{
    LEAT_CHECK(result->kind == LEAT_KIND_BUF);
    return result->buf; /* still the result's: leat_buf_ref keeps it */
}

static inline void *leat_result_pointer(const struct leat_result *result, unsigned kind)
{
    LEAT_CHECK(result->kind == kind && kind >= LEAT_KIND_POINTER);
    return result->pointer;
}

LEAT_END
#endif
