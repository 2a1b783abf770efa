/* Names and values, decoded, one behind another in memory of the caller's: what queries and forms
 * come to. A record is {bytes of the name, bytes of the value, name, value}; where it lies is an
 * offset, so the memory may be moved when it grows.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HTTP_PAIRS_H
#define LEAT_HTTP_PAIRS_H

#include <leat/defs.h>
#include <leat/view.h>

#define HTTP_PAIR_BYTES 8 /* of a record, besides name and value */

struct http_pairs {
    char *bytes;
    size_t used_bytes, capacity_bytes; /* used: of records that are complete */
    size_t open_bytes;                 /* of the one that is being written, behind used */
    uint32_t count;
    bool has_value; /* of the one that is being written: what follows is value */
};

/* Begins a record; one that was begun and not ended is forgotten. The name is what is added
 * first, then, behind _value, the value; _end completes it. The caller has seen to it that there is
 * room. */
void http_pair_begin(struct http_pairs *pairs);
void http_pair_add(struct http_pairs *pairs, const char *bytes, size_t length);
void http_pair_value(struct http_pairs *pairs);
void http_pair_end(struct http_pairs *pairs);
/* Bytes of name and value so far. */
static inline size_t http_pair_length(const struct http_pairs *pairs)
{
    return pairs->open_bytes - HTTP_PAIR_BYTES;
}

/* *position, 0 at first, walks them all in order: false when there are no more. */
bool http_pairs_next(const struct http_pairs *pairs, size_t *position, struct leat_view *name,
                     struct leat_view *value);
/* The first value of name; data == NULL when there is none. */
struct leat_view http_pairs_find(const struct http_pairs *pairs, const char *wanted);

#endif
