/* application/x-www-form-urlencoded (URL Standard 5.1), "a=b&c+d=%26": the body of a form, and the
 * query of a target. A push parser: bytes come in pieces of any size, what they come to does not
 * depend on how they were cut. Anything is allowed as input, nothing is allocated.
 *
 *     struct http_urlencoded form = {.field_bytes_max = 65536, .fields_max = 1000};
 *     ... for each piece: make room for http_urlencoded_room(&form, length) bytes more in pairs,
 *     int status = http_urlencoded_push(&form, piece, &pairs);
 *     ... at the end, with room for http_urlencoded_room(&form, 0):
 *     status = http_urlencoded_end(&form, &pairs);
 *
 * "+" is a space; "%" without two hexadecimal digits stands for itself; empty pairs are skipped; a
 * pair without "=" has an empty value. Pairs with NUL in them, encoded or not, are left out: they
 * cannot be C strings. Bytes are not looked at as UTF-8: what is no UTF-8 comes as it is.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HTTP_URLENCODED_H
#define LEAT_HTTP_URLENCODED_H

#include "net/http/message/pairs.h"

struct http_urlencoded {
    size_t field_bytes_max; /* name and value, decoded: 413 */
    uint32_t fields_max;    /* 413 */
    bool is_open;           /* within a pair */
    bool has_nul;           /* which the pair has */
    uint8_t escape_bytes;   /* of an escape that came so far: "%" or "%4" */
    char escape_digit;
};

/* Bytes that length bytes more of the form may need in pairs. */
size_t http_urlencoded_room(const struct http_urlencoded *form, size_t length);
/* 0, or the negative status to answer with; then it must not be called again. */
int http_urlencoded_push(struct http_urlencoded *form, struct leat_view input,
                         struct http_pairs *pairs);
int http_urlencoded_end(struct http_urlencoded *form, struct http_pairs *pairs);

#endif
