/* Errors, of three kinds that are never mixed.
 *
 * 1. The peer did it: a named reason out of a closed set (see leat_close_reason in leat/conn.h),
 * counted, never asserted.
 * 2. We ran out, or the caller asked for what cannot be: the function returns -errno, or NULL, and
 * leaves a sentence that says what to do.
 * 3. Leat is wrong: CHECK (leat/check.h) stops the program with a dump.
 *
 * A sentence is one line of plain English without a full stop at the end: what failed, on what, and
 * the remedy. */
#ifndef LEAT_ERROR_H
#define LEAT_ERROR_H

#include <leat/defs.h>

LEAT_BEGIN

#define LEAT_SENTENCE_BYTES_MAX 320

/* Memory is the caller's. A failing call overwrites it, a succeeding one leaves it alone. */
struct leat_error {
    int code;                               /* negative errno value, 0 when nothing failed */
    char sentence[LEAT_SENTENCE_BYTES_MAX]; /* NUL-terminated, truncated at the bound */
};

/* Records code (negative errno) and sentence, and returns code, so that a failing function ends
 * with `return leat_fail(error, -EADDRINUSE, "port %u is taken ...", port);`. error may be NULL. */
LEAT_API int leat_fail(struct leat_error *error, int code, const char *format, ...)
    LEAT_PRINTF(3, 4);

/* The errno constant's name ("EADDRINUSE") for a positive or negative errno value; "E?" when
 * unknown. */
LEAT_API const char *leat_errno_name(int code);

LEAT_END
#endif
