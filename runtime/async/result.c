/* Results: failures and their sentences, values shared, values given back. */
#include <leat/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

struct leat_result leat_failure(int code, const char *format, ...)
{
    CHECK(code < 0);
    struct leat_result result = leat_nothing();
    result.kind = LEAT_KIND_FAILURE;
    result.code = code;
    if (format == NULL)
        return result;
    char text[LEAT_SENTENCE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t length_bytes = strlen(text);
    char *sentence = leat_heap_alloc(length_bytes + 1);
    if (sentence == NULL)
        return result;
    memcpy(sentence, text, length_bytes + 1);
    result.pointer = sentence;
    result.drop = leat_heap_free;
    return result;
}

const char *leat_result_sentence(const struct leat_result *result)
{
    if (result->kind == LEAT_KIND_FAILURE && result->pointer != NULL)
        return result->pointer;
    return result->code < 0 ? leat_errno_name(result->code) : "no failure";
}

static bool result_has_pointer(const struct leat_result *result)
{
    return result->kind >= LEAT_KIND_POINTER || result->kind == LEAT_KIND_FAILURE;
}

int leat_result_drop(struct leat_result *result)
{
    struct leat_result old = *result;
    *result = leat_nothing();
    if (old.kind == LEAT_KIND_BUF)
        leat_buf_unref(old.buf);
    else if (old.kind == LEAT_KIND_FOLLOW)
        leat_future_unref(old.pointer);
    else if (result_has_pointer(&old) && old.owner != NULL)
        leat_future_unref(old.owner);
    else if (result_has_pointer(&old) && old.drop != NULL)
        old.drop(old.pointer);
    return old.code;
}

struct leat_result result_share(struct leat_future *future)
{
    struct leat_result result = result_read(&future->result);
    if (result.kind == LEAT_KIND_BUF)
        (void)leat_buf_ref(result.buf);
    if (!result_has_pointer(&result) || result.pointer == NULL)
        return result;
    if (result.owner == NULL) {
        future_share_mark(future);
        result.owner = future;
    }
    result.drop = NULL;
    (void)leat_future_ref(result.owner);
    return result;
}

/* A value that nobody else sees leaves the future; others get one share each. */
struct leat_result leat_future_take(struct leat_future *future)
{
    LEAT_CHECK(future_is_here(future) && future_is_settled(future));
    if ((future->result.own & (FUTURE_SHARED | FUTURE_IMMORTAL)) != 0 ||
        future->refs >= 2 * FUTURE_REF)
        return result_share(future);
    struct leat_result result = result_read(&future->result);
    future->result.buf = (struct leat_buf){NULL, 0, NULL};
    future->result.drop = NULL;
    future->result.kind = LEAT_KIND_NOTHING;
    return result;
}
