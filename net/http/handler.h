/* What a handler that is part of the library needs of the server, beyond what http.h gives every
 * application. Internal to the library: not installed. */
#ifndef LEAT_HTTP_HANDLER_H
#define LEAT_HTTP_HANDLER_H

#include <leat/http.h>

/* Hung on a request until it ends, beside the application's own state: the first member of what
 * on_free frees. on_free runs once, when the request ends in whatever way. */
struct http_attachment {
    void (*on_free)(struct http_attachment *attachment);
};
/* req has none yet. */
void http_request_attach(struct leat_request *req, struct http_attachment *attachment);
struct http_attachment *http_request_attachment(const struct leat_request *req); /* or NULL */

#define HTTP_DATE_BYTES 29 /* RFC 9110 5.6.7: IMF-fixdate */
/* Not NUL-terminated. Years up to 9999. */
void http_date_format(uint64_t unix_s, char text[HTTP_DATE_BYTES]);

#endif
