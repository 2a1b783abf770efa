/* The backlog: what was read behind the request in progress, and waits for its turn. */
#include "net/http/http_internal.h"

int http_backlog_append(struct leat_request *req, const uint8_t *bytes, size_t length)
{
    struct http_backlog *backlog = &req->backlog;
    size_t held = backlog->end - backlog->begin;

    if (length == 0)
        return 0;
    if (!backlog->buf.data || backlog->capacity - backlog->end < length) {
        size_t size = held + length > 4096 ? (held + length) * 2 : 4096;
        struct leat_buf grown = leat_buf_alloc_unsafe(size);
        if (!grown.data)
            return -ENOMEM;
        if (backlog->buf.data)
            memcpy(grown.data, backlog->buf.data + backlog->begin, held);
        leat_buf_unref(backlog->buf);
        *backlog = (struct http_backlog){.buf = grown, .end = held, .capacity = size};
    }
    memcpy(backlog->buf.data + backlog->end, bytes, length);
    backlog->end += length;
    return 0;
}

void http_backlog_drop(struct leat_request *req)
{
    leat_buf_unref(req->backlog.buf);
    req->backlog = (struct http_backlog){0};
}

int http_backlog_append_slices(struct leat_request *req, const struct leat_buf *slices,
                               unsigned count)
{
    int result = 0;

    for (unsigned i = 0; i < count && !result; i++)
        result = http_backlog_append(req, slices[i].data, slices[i].length_bytes);
    return result;
}
