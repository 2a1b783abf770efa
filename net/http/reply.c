/* The head of a response from ready-made pieces, and what is decided when it begins. Nothing on
 * this path divides, measures constant text, or formats with printf. */
#include "net/http/reply_internal.h"

#include <errno.h>
#include <leat/log.h>

static const struct leat_view type_lines[] = {
#define LINE(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    [HTTP_TYPE_NONE] = {"", 0},
    [HTTP_TYPE_TEXT] = LINE("Content-Type: text/plain; charset=utf-8\r\n"),
    [HTTP_TYPE_HTML] = LINE("Content-Type: text/html; charset=utf-8\r\n"),
    [HTTP_TYPE_JSON] = LINE("Content-Type: application/json\r\n"),
};

/* ---- Ready-made pieces ---- */

/* Server and Date; renewed when the core's Date is. */
void http_prefix_refresh(struct leat_http *http)
{
    struct http_core *core = http->core;

    http_date_refresh(core, leat_loop_now(http->loop));
    if (likely(http->prefix_date_number == core->date_number))
        return;
    http->prefix_date_number = core->date_number;
    memcpy(http->prefix + http->prefix_date_offset, core->date, HTTP_DATE_BYTES);
    http->ready.status = 0;
}

uint8_t *http_put_status(uint8_t *to, int status)
{
    struct leat_view line = http_status_line(status);

    if (likely(line.data != NULL))
        return http_put(to, line.data, line.length_bytes);
    to = HTTP_PUT(to, "HTTP/1.1 ");
    to += http_put_number(to, (uint64_t)status);
    return HTTP_PUT(to, " \r\n");
}

void http_ready_make(struct leat_http *http, const struct http_reply *reply)
{
    struct http_ready_head *ready = &http->ready;
    uint8_t *at = http_put_status((uint8_t *)ready->bytes, reply->status);

    at = http_put(at, http->prefix, http->prefix_bytes);
    at = http_put(at, type_lines[reply->type].data, type_lines[reply->type].length_bytes);
    at = HTTP_PUT(at, "Content-Length: ");
    ready->front_bytes = (uint32_t)(at - (uint8_t *)ready->bytes);
    at += http_put_number(at, reply->length_bytes);
    at = HTTP_PUT(at, "\r\n\r\n");
    ready->length_bytes = (uint32_t)(at - (uint8_t *)ready->bytes);
    ready->body_bytes = reply->length_bytes;
    ready->status = (uint16_t)reply->status;
    ready->type = (uint8_t)reply->type;
}

static uint8_t *put_connection(uint8_t *to, const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;

    if (x->has_upgrade)
        return x->close ? HTTP_PUT(to, "Connection: upgrade, close\r\n")
                        : HTTP_PUT(to, "Connection: upgrade\r\n");
    if (x->close)
        return HTTP_PUT(to, "Connection: close\r\n");
    return req->head.minor ? to : HTTP_PUT(to, "Connection: keep-alive\r\n");
}

static uint8_t *put_framing(uint8_t *to, const struct leat_request *req,
                            const struct http_reply *reply)
{
    if (reply->status == 204 || reply->status == 304)
        return to;
    if (reply->length_bytes != LEAT_LENGTH_UNKNOWN) {
        to = HTTP_PUT(to, "Content-Length: ");
        to += http_put_number(to, reply->length_bytes);
        return HTTP_PUT(to, "\r\n");
    }
    return req->x.chunked ? HTTP_PUT(to, "Transfer-Encoding: chunked\r\n") : to;
}

static uint8_t *put_head_slowly(uint8_t *to, const struct leat_request *req,
                                const struct http_reply *reply)
{
    const struct leat_http *http = req->http;
    const struct http_exchange *x = &req->x;

    to = http_put_status(to, reply->status);
    to = http_put(to, http->prefix, http->prefix_bytes);
    if (reply->type == HTTP_TYPE_OWN && !x->has_type) {
        to = HTTP_PUT(to, "Content-Type: ");
        to = http_put(to, reply->own_type, strlen(reply->own_type));
        to = HTTP_PUT(to, "\r\n");
    } else if (reply->type != HTTP_TYPE_OWN && !x->has_type) {
        to = http_put(to, type_lines[reply->type].data, type_lines[reply->type].length_bytes);
    }
    to = put_framing(to, req, reply);
    to = put_connection(to, req);
    if (req->kept.headers.data)
        to = http_put(to, req->kept.headers.data, req->kept.headers.length_bytes);
    return HTTP_PUT(to, "\r\n");
}

static uint8_t *put_head(uint8_t *to, struct leat_request *req, const struct http_reply *reply)
{
    const struct http_exchange *x = &req->x;

    http_prefix_refresh(req->http);
    if (unlikely(x->close || !req->head.minor || req->kept.headers.data || reply->status == 204 ||
                 reply->status == 304 || reply->type == HTTP_TYPE_OWN ||
                 reply->length_bytes == LEAT_LENGTH_UNKNOWN || x->is_broken))
        return put_head_slowly(to, req, reply);
    return http_put_ready(to, req->http, reply);
}

/* ---- Beginning ---- */

/* Whether what is left of the request's body would be read for the sake of the next request. */
static bool body_is_worth_discarding(const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;

    if (req->head.expect_continue && !x->body_began)
        return false;
    return x->framing != HTTP_BODY_LENGTH ||
           x->body_left_bytes <= req->http->options.discard_bytes_max;
}

static void reply_decide_close(struct leat_request *req, const struct http_reply *reply)
{
    struct http_exchange *x = &req->x;

    x->close |= !req->head.keep_alive || req->http->draining ||
                (req->conn->flags & HTTP_CONN_ENDED && !req->backlog.buf.data &&
                 req->input == req->input_end);
    if (unlikely(!x->body_done) && !body_is_worth_discarding(req))
        x->close = true;
    if (reply->length_bytes == LEAT_LENGTH_UNKNOWN && !x->no_body) {
        x->chunked = req->head.minor > 0;
        x->close |= !x->chunked;
    }
}

static bool type_is_valid(const char *type)
{
    size_t length = strlen(type);

    for (size_t i = 0; i < length; i++)
        if ((unsigned char)type[i] < 0x20 || type[i] == 0x7f)
            return false;
    return length > 0 && length <= HTTP_TYPE_BYTES_MAX;
}

/* Makes a 500 of a reply that the program got wrong. Returns -EINVAL if it did. */
static int reply_check(struct leat_request *req, struct http_reply *reply)
{
    bool is_valid = reply->status >= 200 && reply->status <= 599 && !req->x.bad_header &&
                    (reply->type != HTTP_TYPE_OWN || type_is_valid(reply->own_type));

    if (likely(is_valid))
        return 0;
    req->x.has_failed = true;
    LEAT_LOG_ERROR("a handler of %.*s responded with a status, type or header that cannot be sent",
                   LEAT_VIEW_PRINT(leat_request_path(req)));
    http_count_error(req, LEAT_HTTP_ERROR_BAD_HEADER);
    leat_buf_unref(req->kept.headers);
    req->kept.headers = (struct leat_buf){0};
    req->x.has_type = req->x.has_upgrade = false;
    *reply = (struct http_reply){.status = 500};
    return -EINVAL;
}

/* The ready-made 503, for which nothing has to be had. */
static void reply_ready_made(struct leat_request *req, enum leat_http_error error)
{
    http_count_error(req, error);
    req->x.begun = req->x.close = true;
    req->x.status = 503;
    http_out_flush(req);
    if (req->conn && !req->is_blocked && req->phase == HTTP_PHASE_EXCHANGE)
        http_send_overload(req->conn->conn);
    http_response_finish(req);
}

int http_reply_no_memory(struct leat_request *req)
{
    reply_ready_made(req, LEAT_HTTP_ERROR_NO_MEMORY);
    return -ENOMEM;
}

int http_reply_overload(struct leat_request *req)
{
    reply_ready_made(req, LEAT_HTTP_ERROR_OVERLOAD);
    return 0;
}

/* Writes the head, and room_bytes behind it for the caller to fill: *body. */
int http_reply_begin(struct leat_request *req, struct http_reply *reply, size_t room_bytes,
                     uint8_t **body)
{
    struct http_exchange *x = &req->x;

    if (unlikely(x->begun))
        return -EALREADY;
    if (unlikely(req->phase != HTTP_PHASE_EXCHANGE || !req->conn))
        return -EPIPE;
    int result = reply_check(req, reply);
    if (unlikely(result)) {
        reply->length_bytes = 0;
        room_bytes = 0;
    }
    x->no_body =
        req->head.method == LEAT_METHOD_HEAD || reply->status == 204 || reply->status == 304;
    reply_decide_close(req, reply);
    size_t size =
        HTTP_REPLY_BYTES_MAX + HTTP_TYPE_BYTES_MAX + req->kept.headers.length_bytes + room_bytes;
    uint8_t *start = http_out_reserve(req, size);
    if (unlikely(!start))
        return http_reply_no_memory(req);
    x->begun = true;
    x->status = (uint16_t)reply->status;
    x->left_bytes = reply->length_bytes;
    req->core->stats.status_counts[reply->status / 100]++;
    *body = put_head(start, req, reply);
    http_out_advance(req, (size_t)(*body - start));
    return result;
}

void http_response_finish(struct leat_request *req)
{
    req->x.ended = true;
    http_request_forget(req);
    if (likely(req->in_pump))
        return;
    http_out_flush(req);
    if (req->phase == HTTP_PHASE_EXCHANGE)
        http_request_ready(req);
    if (req->conn)
        http_conn_settle(req->conn);
}

int http_reply_broken(struct leat_request *req)
{
    http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
    http_conn_abort(req->conn);
    return -ENOMEM;
}
