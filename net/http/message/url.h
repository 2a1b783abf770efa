/* Percent-encoding and paths: pure functions over bytes of the caller's. Anything is allowed as
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

/* Turns the path of a request into one that can be looked up: decodes it as http_url_decode does,
 * then removes "." and ".." segments and empty ones (RFC 3986 5.2.4), so that the result begins
 * with
 * "/", and no segment is empty but the last, none is "." or "..". Refused with -1, besides: ".."
 * above the root, an encoded "/" and a "\" in any form (whether they separate depends on who reads
 * them), a path that does not begin with "/". to may be path's own bytes. */
ptrdiff_t http_path_normalize(struct leat_view path, char *to);

#endif
