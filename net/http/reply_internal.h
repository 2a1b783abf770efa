/* What the files that write responses share: reply.c (heads), respond.c (whole), stream.c (piece by
 * piece), upgrade.c (101). */
#ifndef LEAT_HTTP_REPLY_INTERNAL_H
#define LEAT_HTTP_REPLY_INTERNAL_H

#include "net/http/http_internal.h"

/* Status line, Server, Date, Connection, framing; not type and extra headers. */
#define HTTP_REPLY_BYTES_MAX 512
#define HTTP_TYPE_BYTES_MAX  256

struct http_reply {
    int status;
    enum http_type type;
    const char *own_type; /* HTTP_TYPE_OWN */
    uint64_t length_bytes;
};

static inline uint8_t *http_put(uint8_t *to, const void *bytes, size_t length)
{
    memcpy(to, bytes, length);
    return to + length;
}
#define HTTP_PUT(to, literal) http_put(to, literal, sizeof(literal) - 1)

uint8_t *http_put_status(uint8_t *to, int status); /* the status line */

/* Whether the ready-made head is for such a reply. */
static inline bool http_reply_is_ready(const struct http_ready_head *ready,
                                       const struct http_reply *reply)
{
    return ready->status == reply->status && ready->type == reply->type;
}
void http_ready_make(struct leat_http *http, const struct http_reply *reply);
/* The ready-made head, made anew when it is not for such a reply. */
static inline uint8_t *http_put_ready(uint8_t *to, struct leat_http *http,
                                      const struct http_reply *reply)
{
    struct http_ready_head *ready = &http->ready;

    if (unlikely(!http_reply_is_ready(ready, reply)))
        http_ready_make(http, reply);
    if (likely(ready->body_bytes == reply->length_bytes))
        return http_put(to, ready->bytes, ready->length_bytes);
    to = http_put(to, ready->bytes, ready->front_bytes);
    to += http_put_number(to, reply->length_bytes);
    return HTTP_PUT(to, "\r\n\r\n");
}

/* Writes the head, and room_bytes behind it for the caller to fill: *body. Returns 0; -EINVAL, and
 * a 500 was written that has no body; -EALREADY, -EPIPE, -ENOMEM, and nothing is to be done. */
int http_reply_begin(struct leat_request *req, struct http_reply *reply, size_t room_bytes,
                     uint8_t **body) LEAT_MUST_CHECK;
int http_reply_no_memory(struct leat_request *req); /* -ENOMEM: the ready-made 503 went out */
int http_reply_broken(struct leat_request *req);    /* -ENOMEM: in the middle of it; aborted */

#endif
