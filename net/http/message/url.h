/* Percent-encoding: pure functions over bytes of the caller's. Anything is allowed as
 * input; nothing is allocated.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HTTP_URL_H
#define LEAT_HTTP_URL_H

#include <leat/defs.h>
#include <leat/view.h>

/* Decodes %xx (RFC 3986 2.1) from from into to, which has room for from.length_bytes and may be
 * from's own bytes. Returns the decoded length, or -1 for "%" without two hexadecimal digits and
 * for NUL, encoded or not: neither can be part of a name that reaches a file or a C string. */
ptrdiff_t http_url_decode(struct leat_view from, char *to);

/* The value of a hexadecimal digit, or -1. */
static inline int http_hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

#endif
