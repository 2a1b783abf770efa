/* The fields Cookie and Set-Cookie. Pure.
 *
 * Internal to the library: not installed. */
#ifndef LEAT_HTTP_COOKIES_H
#define LEAT_HTTP_COOKIES_H

#include <leat/cookie.h>
#include <leat/view.h>

/* The cookies of one Cookie field (RFC 6265 5.4), "a=b; c=d": *rest, at first all of it, moves
 * forward. Blanks around names and values, and double quotes around values, are left out; pairs
 * without "=" or name are skipped. False when there are no more. */
bool http_cookie_next(struct leat_view *rest, struct leat_view *name, struct leat_view *value);

/* Whether all of value are cookie-octets (RFC 6265 4.1.1). */
bool http_cookie_value_is_valid(struct leat_view value);

/* Bytes that http_cookie_write needs at most. */
#define HTTP_COOKIE_LINE_BYTES_MAX                                                                 \
    (LEAT_COOKIE_BYTES_MAX + LEAT_COOKIE_PATH_MAX + LEAT_COOKIE_DOMAIN_MAX + 128)
/* Writes Set-Cookie's value. Returns its length, or -EINVAL when it breaks a rule of its own. */
ptrdiff_t http_cookie_write(const struct leat_cookie *cookie, bool is_tls, char *to);

#endif
