/* The bytes of a head: in one piece where they lie, else gathered until it is complete. */
#include "net/http/http_internal.h"

static enum leat_http_error error_of_status(int status)
{
    switch (status) {
    case 414:
        return LEAT_HTTP_ERROR_TARGET_TOO_LONG;
    case 413:
        return LEAT_HTTP_ERROR_BODY_TOO_LARGE;
    case 417:
        return LEAT_HTTP_ERROR_EXPECTATION;
    case 431:
        return LEAT_HTTP_ERROR_HEAD_TOO_LARGE;
    case 501:
        return LEAT_HTTP_ERROR_NOT_IMPLEMENTED;
    case 505:
        return LEAT_HTTP_ERROR_VERSION;
    default:
        return LEAT_HTTP_ERROR_BAD_REQUEST;
    }
}

static void head_reject(struct leat_request *req, int status)
{
    http_exchange_reject(req, status, error_of_status(status),
                         http_reason_sentence(req->head.reason));
}

/* Room for more of a head that straddles slices: 1, 4, 16, 64 KiB, and never beyond the limit. */
static LEAT_MUST_CHECK int partial_grow(struct leat_request *req)
{
    size_t size = req->partial.data ? req->partial_capacity * 4 : 1024;

    while (size < req->head.at) /* the parser goes on behind what it has seen in the slice */
        size *= 4;
    struct leat_buf grown = leat_buf_alloc_unsafe(size);
    if (!grown.data)
        return -ENOMEM;
    grown.length_bytes = req->partial.length_bytes;
    if (req->partial.data)
        memcpy(grown.data, req->partial.data, req->partial.length_bytes);
    leat_buf_unref(req->partial);
    req->partial = grown;
    req->partial_capacity = size;
    return 0;
}

static size_t partial_add(struct leat_request *req)
{
    size_t room = req->partial_capacity - req->partial.length_bytes;
    size_t bytes = (size_t)(req->input_end - req->input);

    bytes = bytes < room ? bytes : room;
    memcpy(req->partial.data + req->partial.length_bytes, req->input, bytes);
    req->partial.length_bytes += bytes;
    return bytes;
}

static enum http_step head_read_partial(struct leat_request *req)
{
    while (req->input < req->input_end) {
        size_t before = req->partial.length_bytes;
        if ((!req->partial.data || before == req->partial_capacity) && partial_grow(req) < 0) {
            http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
            http_conn_abort(req->conn);
            return HTTP_STEP_GO;
        }
        size_t added = partial_add(req);
        DCHECK(req->head.at <= before + added);
        int used =
            http_parse_head(&req->head, req->partial.data, before + added, &req->http->limits);
        if (used < 0) {
            head_reject(req, -used);
            return HTTP_STEP_GO;
        }
        if (used > 0) {
            req->input += (size_t)used - before;
            req->kept.head = req->partial;
            req->kept.head.length_bytes = (size_t)used;
            req->partial = (struct leat_buf){0};
            if (req->conn->queue == HTTP_QUEUE_HEADER) {
                http_queue_remove(req->conn);
                http_queue_push(req->conn, HTTP_QUEUE_BUSY, 0);
            }
            http_exchange_begin(req, req->kept.head.data, (size_t)used);
            return HTTP_STEP_GO;
        }
        req->input += added;
    }
    return HTTP_STEP_WAIT;
}

enum http_step http_head_read(struct leat_request *req)
{
    if (unlikely(req->partial.data))
        return head_read_partial(req);
    size_t length = (size_t)(req->input_end - req->input);
    http_head_init(&req->head, HTTP_REQUEST);
    int used = http_parse_head(&req->head, req->input, length, &req->http->limits);
    if (likely(used > 0)) {
        const uint8_t *bytes = req->input;
        req->input += used;
        http_exchange_begin(req, bytes, (size_t)used);
        return HTTP_STEP_GO;
    }
    if (used < 0) {
        head_reject(req, -used);
        return HTTP_STEP_GO;
    }
    return head_read_partial(req);
}
