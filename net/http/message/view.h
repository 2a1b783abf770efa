/* A view of bytes that belong to someone else: text in a request is not NUL-terminated, it lies in
 * the packet as it came. data == NULL says "there is none", which an empty view does not. How long
 * the bytes live is said by whoever hands the view out. Prints as
 * printf("%.*s", LEAT_VIEW_PRINT(view)). */
#ifndef LEAT_VIEW_H
#define LEAT_VIEW_H

#include <leat/defs.h>
#include <string.h>

LEAT_BEGIN

struct leat_view {
    const char *data;
    size_t length_bytes;
};

#define LEAT_VIEW_PRINT(view) (int)(view).length_bytes, (view).data

static inline struct leat_view leat_view_of(const char *string)
{
    struct leat_view view = {string, string ? strlen(string) : 0};
    return view;
}

static inline bool leat_view_equal(struct leat_view view, const char *string)
{
    size_t length_bytes = strlen(string);
    return view.data && view.length_bytes == length_bytes &&
           memcmp(view.data, string, length_bytes) == 0;
}

/* ASCII letters in any case, as in header names and protocol tokens. */
LEAT_API bool leat_view_equal_nocase(struct leat_view view, const char *string);

/* Copies at most size_bytes - 1 bytes and a NUL; returns whether all of the view fitted. */
LEAT_API bool leat_view_copy(struct leat_view view, char *to, size_t size_bytes);

LEAT_END
#endif
