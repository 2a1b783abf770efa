/* Whole responses: a body that is given at once, or a file. */
#include "net/http/reply_internal.h"
#include "runtime/loop/profile.h"

#include <errno.h>
#include <sys/uio.h>

static int reply_write_slowly(struct leat_request *req, const struct http_reply *given,
                              const void *bytes)
{
    struct http_reply reply = *given;
    size_t length = reply.length_bytes, room = length <= HTTP_COPY_BYTES_MAX ? length : 0;
    uint8_t *to = NULL;

    int result = http_reply_begin(req, &reply, room, &to);
    if (unlikely(result)) {
        if (result == -EINVAL)
            http_response_finish(req);
        return result;
    }
    req->x.left_bytes = 0;
    if (unlikely(req->x.no_body)) {
        http_response_finish(req);
        return 0;
    }
    req->x.sent_bytes = length;
    if (length == room) {
        memcpy(to, bytes, length);
        http_out_advance(req, length);
    } else {
        struct leat_buf large = leat_buf_from_bytes(bytes, length);
        if (!large.data)
            return http_reply_broken(req);
        http_out_push(req, large);
    }
    http_response_finish(req);
    return 0;
}

/* Whether nothing is special: within the pump, which has renewed the Date, HTTP/1.1, no HEAD,
 * nothing of the body left, no headers of the handler's, the connection goes on, and the status and
 * type of the answer before. */
static inline bool reply_is_plain(const struct leat_request *req, const struct http_reply *reply)
{
    const struct http_exchange *x = &req->x;
    const struct http_head *head = &req->head;

    return req->in_pump && !x->begun && !x->close && !x->bad_header && x->body_done &&
           !x->has_bufs && req->phase == HTTP_PHASE_EXCHANGE && head->minor && head->keep_alive &&
           head->method != LEAT_METHOD_HEAD && http_reply_is_ready(&req->http->ready, reply) &&
           reply->length_bytes <= HTTP_COPY_BYTES_MAX && !req->http->draining &&
           !(req->conn->flags & HTTP_CONN_ENDED);
}

static int reply_write(struct leat_request *req, const struct http_reply *reply, const void *bytes)
{
    size_t length = reply->length_bytes;
    struct http_exchange *x = &req->x;

    if (!likely(reply_is_plain(req, reply)))
        return reply_write_slowly(req, reply, bytes);
    uint8_t *start = http_out_reserve(req, HTTP_REPLY_BYTES_MAX + length), *to = start;
    if (unlikely(!start))
        return http_reply_no_memory(req);
    to = http_put_ready(to, req->http, reply);
    to = http_put(to, bytes, length);
    http_out_advance(req, (size_t)(to - start));
    x->begun = true;
    x->status = (uint16_t)reply->status;
    x->sent_bytes = length;
    req->core->stats.status_counts[reply->status / 100]++;
    http_response_finish(req);
    return 0;
}

static int reply_respond(struct leat_request *req, const struct http_reply *reply,
                         const void *bytes)
{
    enum leat_layer outer = profile_enter(LEAT_LAYER_HTTP);
    int result = reply_write(req, reply, bytes);

    profile_leave(outer);
    return result;
}

int leat_respond_text(struct leat_request *req, int status, const char *text)
{
    struct http_reply reply = {status, HTTP_TYPE_TEXT, NULL, strlen(text)};

    return reply_respond(req, &reply, text);
}

int leat_respond_html(struct leat_request *req, int status, const char *html)
{
    struct http_reply reply = {status, HTTP_TYPE_HTML, NULL, strlen(html)};

    return reply_respond(req, &reply, html);
}

int leat_respond_json(struct leat_request *req, int status, const char *json)
{
    struct http_reply reply = {status, HTTP_TYPE_JSON, NULL, strlen(json)};

    return reply_respond(req, &reply, json);
}

int leat_respond_bytes(struct leat_request *req, int status, const char *type, const void *bytes,
                       size_t length_bytes)
{
    struct http_reply reply = {status, type ? HTTP_TYPE_OWN : HTTP_TYPE_NONE, type, length_bytes};

    return reply_respond(req, &reply, bytes ? bytes : "");
}

int leat_respond_empty(struct leat_request *req, int status)
{
    struct http_reply reply = {status, HTTP_TYPE_NONE, NULL, 0};

    return reply_respond(req, &reply, "");
}

int leat_respond_buf(struct leat_request *req, int status, const char *type, struct leat_buf body)
{
    struct http_reply reply = {status, type ? HTTP_TYPE_OWN : HTTP_TYPE_NONE, type,
                               body.length_bytes};
    uint8_t *to = NULL;
    int result;

    if (body.length_bytes <= HTTP_COPY_BYTES_MAX) {
        result = reply_respond(req, &reply, body.data ? body.data : (const uint8_t *)"");
        leat_buf_unref(body);
        return result;
    }
    result = http_reply_begin(req, &reply, 0, &to);
    if (result || req->x.no_body) {
        leat_buf_unref(body);
    } else {
        req->x.sent_bytes = body.length_bytes;
        http_out_push(req, body);
    }
    req->x.left_bytes = 0;
    if (result == 0 || result == -EINVAL)
        http_response_finish(req);
    return result;
}

/* What the kernel has in memory of a small file goes behind its head: to copy that costs less than
 * handing pages over, or than asking another thread. Never waits for a disk. */
static bool file_copy(uint8_t *to, const struct leat_file *file, uint64_t offset_bytes,
                      size_t length)
{
    struct iovec iov = {to, length};

    return preadv2(leat_file_fd(file), &iov, 1, (off_t)offset_bytes, RWF_NOWAIT) == (ssize_t)length;
}

int leat_respond_file(struct leat_request *req, int status, struct leat_file *file,
                      uint64_t offset_bytes, uint64_t length_bytes)
{
    struct http_reply reply = {status, HTTP_TYPE_NONE, NULL, length_bytes};
    size_t room = length_bytes <= HTTP_FILE_BYTES_MAX ? (size_t)length_bytes : 0;
    uint8_t *to = NULL;
    int result = http_reply_begin(req, &reply, room, &to);

    if (result == 0 && !req->x.no_body && length_bytes) {
        req->x.sent_bytes = length_bytes;
        if (room && file_copy(to, file, offset_bytes, room))
            http_out_advance(req, room);
        else
            http_out_push_file(req, file, offset_bytes, length_bytes);
    }
    req->x.left_bytes = 0;
    if (result == 0 || result == -EINVAL)
        http_response_finish(req);
    return result;
}

int leat_respond_redirect(struct leat_request *req, int status, const char *location)
{
    bool is_redirect =
        status == 301 || status == 302 || status == 303 || status == 307 || status == 308;

    for (const char *at = location; *at; at++)
        if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f)
            is_redirect = false;
    if (!is_redirect || !*location)
        req->x.bad_header = true;
    else
        (void)leat_response_header(req, "Location", location);
    return leat_respond_empty(req, status);
}
