/* Taking targets, forms and cookies apart: pure functions over bytes of the caller's. Anything is
 * allowed as input; nothing is allocated. Names and values come as they stand, still encoded:
 * http_url_decode and http_form_decode decode them.
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

/* The same for application/x-www-form-urlencoded, where "+" is a space. As in the URL Standard, a
 * "%" without two digits stands for itself. Still -1 for NUL. */
ptrdiff_t http_form_decode(struct leat_view from, char *to);

/* Turns the path of a request into one that can be looked up: decodes it as http_url_decode does,
 * then removes "." and ".." segments and empty ones (RFC 3986 5.2.4), so that the result begins
 * with
 * "/", and no segment is empty but the last, none is "." or "..". Refused with -1, besides: ".."
 * above the root, an encoded "/" and a "\" in any form (whether they separate depends on who reads
 * them), a path that does not begin with "/". to may be path's own bytes. */
ptrdiff_t http_path_normalize(struct leat_view path, char *to);

/* The pairs of a query or a form, "a=b&c&d=": *rest, at first all of it, moves forward. value.data
 * is NULL when there is no "=". Empty pairs are skipped. False when there are no more. */
bool http_query_next(struct leat_view *rest, struct leat_view *name, struct leat_view *value);

/* The cookies of one Cookie field (RFC 6265 5.4), "a=b; c=d", the same way: blanks around names and
 * values, and double quotes around values, are left out; pairs without "=" or name are skipped. */
bool http_cookie_next(struct leat_view *rest, struct leat_view *name, struct leat_view *value);

#endif
