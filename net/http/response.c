/* Responses: a head from ready-made pieces, then a body that was given whole, as a file, or piece
 * by piece. Nothing on this path divides, measures constant text, or formats with printf. */
#include "net/http/http_internal.h"
#include "runtime/loop/profile.h"

#include <leat/log.h>
#include <errno.h>
#include <sys/uio.h>

#define HEAD_BYTES_MAX                                                                             \
    512 /* status line, Server, Date, Connection, framing; not type and extras                     \
         */
#define TYPE_BYTES_MAX 256
#define OUT_COUNT_HIGH (HTTP_OUT_MAX - 4)

struct reply {
    int status;
    enum http_type type;
    const char *own_type; /* HTTP_TYPE_OWN */
    uint64_t length_bytes;
};

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

static inline uint8_t *put(uint8_t *to, const void *bytes, size_t length)
{
    memcpy(to, bytes, length);
    return to + length;
}

#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

size_t http_put_number(uint8_t *to, uint64_t number)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
                                "31323334353637383940414243444546474849505152535455565758596061"
                                "62636465666768697071727374757677787980818283848586878889909192"
                                "93949596979899";
    char digits[20];
    unsigned at = sizeof(digits);

    if (number < 10) {
        *to = (uint8_t)('0' + number);
        return 1;
    }
    if (number < 100) {
        memcpy(to, pairs + number * 2, 2);
        return 2;
    }
    for (; number >= 100; number /= 100) { /* by a constant: a multiplication */
        at -= 2;
        memcpy(digits + at, pairs + (number % 100) * 2, 2);
    }
    if (number >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + number * 2, 2);
    } else {
        digits[--at] = (char)('0' + number);
    }
    memcpy(to, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

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

static uint8_t *put_status(uint8_t *to, int status)
{
    struct leat_view line = http_status_line(status);

    if (likely(line.data != NULL))
        return put(to, line.data, line.length_bytes);
    to = PUT(to, "HTTP/1.1 ");
    to += http_put_number(to, (uint64_t)status);
    return PUT(to, " \r\n");
}

static bool is_ready(const struct http_ready_head *ready, const struct reply *reply)
{
    return ready->status == reply->status && ready->type == reply->type;
}

static inline uint8_t *put_ready(uint8_t *to, struct leat_http *http, const struct reply *reply)
{
    struct http_ready_head *ready = &http->ready;

    if (unlikely(!is_ready(ready, reply))) {
        uint8_t *at = put_status((uint8_t *)ready->bytes, reply->status);
        at = put(at, http->prefix, http->prefix_bytes);
        at = put(at, type_lines[reply->type].data, type_lines[reply->type].length_bytes);
        at = PUT(at, "Content-Length: ");
        ready->front_bytes = (uint32_t)(at - (uint8_t *)ready->bytes);
        at += http_put_number(at, reply->length_bytes);
        at = PUT(at, "\r\n\r\n");
        ready->length_bytes = (uint32_t)(at - (uint8_t *)ready->bytes);
        ready->body_bytes = reply->length_bytes;
        ready->status = (uint16_t)reply->status;
        ready->type = (uint8_t)reply->type;
    }
    if (likely(ready->body_bytes == reply->length_bytes))
        return put(to, ready->bytes, ready->length_bytes);
    to = put(to, ready->bytes, ready->front_bytes);
    to += http_put_number(to, reply->length_bytes);
    return PUT(to, "\r\n\r\n");
}

static uint8_t *put_connection(uint8_t *to, const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;

    if (x->has_upgrade)
        return x->close ? PUT(to, "Connection: upgrade, close\r\n")
                        : PUT(to, "Connection: upgrade\r\n");
    if (x->close)
        return PUT(to, "Connection: close\r\n");
    return req->head.minor ? to : PUT(to, "Connection: keep-alive\r\n");
}

static uint8_t *put_framing(uint8_t *to, const struct leat_request *req, const struct reply *reply)
{
    if (reply->status == 204 || reply->status == 304)
        return to;
    if (reply->length_bytes != LEAT_LENGTH_UNKNOWN) {
        to = PUT(to, "Content-Length: ");
        to += http_put_number(to, reply->length_bytes);
        return PUT(to, "\r\n");
    }
    return req->x.chunked ? PUT(to, "Transfer-Encoding: chunked\r\n") : to;
}

static uint8_t *put_head_slowly(uint8_t *to, const struct leat_request *req,
                                const struct reply *reply)
{
    const struct leat_http *http = req->http;
    const struct http_exchange *x = &req->x;

    to = put_status(to, reply->status);
    to = put(to, http->prefix, http->prefix_bytes);
    if (reply->type == HTTP_TYPE_OWN && !x->has_type) {
        to = PUT(to, "Content-Type: ");
        to = put(to, reply->own_type, strlen(reply->own_type));
        to = PUT(to, "\r\n");
    } else if (reply->type != HTTP_TYPE_OWN && !x->has_type) {
        to = put(to, type_lines[reply->type].data, type_lines[reply->type].length_bytes);
    }
    to = put_framing(to, req, reply);
    to = put_connection(to, req);
    if (req->kept.headers.data)
        to = put(to, req->kept.headers.data, req->kept.headers.length_bytes);
    return PUT(to, "\r\n");
}

static uint8_t *put_head(uint8_t *to, struct leat_request *req, const struct reply *reply)
{
    const struct http_exchange *x = &req->x;

    http_prefix_refresh(req->http);
    if (unlikely(x->close || !req->head.minor || req->kept.headers.data || reply->status == 204 ||
                 reply->status == 304 || reply->type == HTTP_TYPE_OWN ||
                 reply->length_bytes == LEAT_LENGTH_UNKNOWN || x->is_broken))
        return put_head_slowly(to, req, reply);
    return put_ready(to, req->http, reply);
}

/* ---- Beginning ---- */

/* Whether what is left of the request's body would be read for the sake of the next request. */
static bool is_worth_discarding(const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;

    if (req->head.expect_continue && !x->body_began)
        return false;
    return x->framing != HTTP_BODY_LENGTH ||
           x->body_left_bytes <= req->http->options.discard_bytes_max;
}

static void decide_close(struct leat_request *req, const struct reply *reply)
{
    struct http_exchange *x = &req->x;

    x->close |= !req->head.keep_alive || req->http->draining ||
                (req->conn->flags & HTTP_CONN_ENDED && !req->backlog.buf.data &&
                 req->input == req->input_end);
    if (unlikely(!x->body_done) && !is_worth_discarding(req))
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
    return length > 0 && length <= TYPE_BYTES_MAX;
}

/* Makes a 500 of a reply that the program got wrong. Returns -EINVAL if it did. */
static int reply_check(struct leat_request *req, struct reply *reply)
{
    bool is_valid = reply->status >= 200 && reply->status <= 599 && !req->x.bad_header &&
                    (reply->type != HTTP_TYPE_OWN || type_is_valid(reply->own_type));

    if (likely(is_valid))
        return 0;
    LEAT_LOG_ERROR("a handler of %.*s responded with a status, type or header that cannot be sent",
                   LEAT_VIEW_PRINT(leat_request_path(req)));
    http_count_error(req, LEAT_HTTP_ERROR_BAD_HEADER);
    leat_buf_unref(req->kept.headers);
    req->kept.headers = (struct leat_buf){0};
    req->x.has_type = req->x.has_upgrade = false;
    *reply = (struct reply){.status = 500};
    return -EINVAL;
}

static int no_memory(struct leat_request *req)
{
    http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
    req->x.begun = req->x.close = true;
    req->x.status = 503;
    http_out_flush(req);
    if (req->conn && !req->is_blocked && req->phase == HTTP_PHASE_EXCHANGE)
        http_send_overload(req->conn->conn);
    http_response_finish(req);
    return -ENOMEM;
}

/* Writes the head, and room_bytes behind it for the caller to fill: *body. */
static int reply_begin(struct leat_request *req, struct reply *reply, size_t room_bytes,
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
    decide_close(req, reply);
    size_t size = HEAD_BYTES_MAX + TYPE_BYTES_MAX + req->kept.headers.length_bytes + room_bytes;
    uint8_t *start = http_out_reserve(req, size);
    if (unlikely(!start))
        return no_memory(req);
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

static int write_broken(struct leat_request *req)
{
    http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
    http_conn_abort(req->conn);
    return -ENOMEM;
}

/* ---- Whole responses ---- */

static int respond_slowly(struct leat_request *req, const struct reply *given, const void *bytes)
{
    struct reply reply = *given;
    size_t length = reply.length_bytes, room = length <= HTTP_COPY_BYTES_MAX ? length : 0;
    uint8_t *to = NULL;

    int result = reply_begin(req, &reply, room, &to);
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
            return write_broken(req);
        http_out_push(req, large);
    }
    http_response_finish(req);
    return 0;
}

/* Whether nothing is special: within the pump, which has renewed the Date, HTTP/1.1, no HEAD,
 * nothing of the body left, no headers of the handler's, the connection goes on, and the status and
 * type of the answer before. */
static inline bool is_plain(const struct leat_request *req, const struct reply *reply)
{
    const struct http_exchange *x = &req->x;
    const struct http_head *head = &req->head;

    return req->in_pump && !x->begun && !x->close && !x->bad_header && x->body_done &&
           !x->has_bufs && req->phase == HTTP_PHASE_EXCHANGE && head->minor && head->keep_alive &&
           head->method != LEAT_METHOD_HEAD && is_ready(&req->http->ready, reply) &&
           reply->length_bytes <= HTTP_COPY_BYTES_MAX && !req->http->draining &&
           !(req->conn->flags & HTTP_CONN_ENDED);
}

static int write_reply(struct leat_request *req, const struct reply *reply, const void *bytes)
{
    size_t length = reply->length_bytes;
    struct http_exchange *x = &req->x;

    if (!likely(is_plain(req, reply)))
        return respond_slowly(req, reply, bytes);
    uint8_t *start = http_out_reserve(req, HEAD_BYTES_MAX + length), *to = start;
    if (unlikely(!start))
        return no_memory(req);
    to = put_ready(to, req->http, reply);
    to = put(to, bytes, length);
    http_out_advance(req, (size_t)(to - start));
    x->begun = true;
    x->status = (uint16_t)reply->status;
    x->sent_bytes = length;
    req->core->stats.status_counts[reply->status / 100]++;
    http_response_finish(req);
    return 0;
}

static int respond_bytes(struct leat_request *req, const struct reply *reply, const void *bytes)
{
    enum leat_layer outer = profile_enter(LEAT_LAYER_HTTP);
    int result = write_reply(req, reply, bytes);

    profile_leave(outer);
    return result;
}

int leat_respond_text(struct leat_request *req, int status, const char *text)
{
    struct reply reply = {status, HTTP_TYPE_TEXT, NULL, strlen(text)};

    return respond_bytes(req, &reply, text);
}

int leat_respond_html(struct leat_request *req, int status, const char *html)
{
    struct reply reply = {status, HTTP_TYPE_HTML, NULL, strlen(html)};

    return respond_bytes(req, &reply, html);
}

int leat_respond_json(struct leat_request *req, int status, const char *json)
{
    struct reply reply = {status, HTTP_TYPE_JSON, NULL, strlen(json)};

    return respond_bytes(req, &reply, json);
}

int leat_respond_bytes(struct leat_request *req, int status, const char *type, const void *bytes,
                       size_t length_bytes)
{
    struct reply reply = {status, type ? HTTP_TYPE_OWN : HTTP_TYPE_NONE, type, length_bytes};

    return respond_bytes(req, &reply, bytes ? bytes : "");
}

int leat_respond_empty(struct leat_request *req, int status)
{
    struct reply reply = {status, HTTP_TYPE_NONE, NULL, 0};

    return respond_bytes(req, &reply, "");
}

int leat_respond_buf(struct leat_request *req, int status, const char *type, struct leat_buf body)
{
    struct reply reply = {status, type ? HTTP_TYPE_OWN : HTTP_TYPE_NONE, type, body.length_bytes};
    uint8_t *to = NULL;
    int result;

    if (body.length_bytes <= HTTP_COPY_BYTES_MAX) {
        result = respond_bytes(req, &reply, body.data ? body.data : (const uint8_t *)"");
        leat_buf_unref(body);
        return result;
    }
    result = reply_begin(req, &reply, 0, &to);
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
static bool copy_file(uint8_t *to, const struct leat_file *file, uint64_t offset_bytes,
                      size_t length)
{
    struct iovec iov = {to, length};

    return preadv2(leat_file_fd(file), &iov, 1, (off_t)offset_bytes, RWF_NOWAIT) == (ssize_t)length;
}

int leat_respond_file(struct leat_request *req, int status, struct leat_file *file,
                      uint64_t offset_bytes, uint64_t length_bytes)
{
    struct reply reply = {status, HTTP_TYPE_NONE, NULL, length_bytes};
    size_t room = length_bytes <= HTTP_FILE_BYTES_MAX ? (size_t)length_bytes : 0;
    uint8_t *to = NULL;
    int result = reply_begin(req, &reply, room, &to);

    if (result == 0 && !req->x.no_body && length_bytes) {
        req->x.sent_bytes = length_bytes;
        if (room && copy_file(to, file, offset_bytes, room))
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

/* ---- Piece by piece ---- */

int leat_response_begin(struct leat_request *req, int status, const char *type,
                        uint64_t length_bytes)
{
    struct reply reply = {status, type ? HTTP_TYPE_OWN : HTTP_TYPE_NONE, type, length_bytes};
    uint8_t *to = NULL;
    int result = reply_begin(req, &reply, 0, &to);

    if (result == -EINVAL)
        http_response_finish(req);
    if (result)
        return result;
    req->x.has_length = length_bytes != LEAT_LENGTH_UNKNOWN;
    if (!req->in_pump) {
        http_out_flush(req);
        http_conn_settle(req->conn);
    }
    return 0;
}

/* Whether a piece may be written now. */
static int write_check(struct leat_request *req)
{
    struct http_exchange *x = &req->x;

    if (x->ended)
        return -EALREADY;
    if (req->phase != HTTP_PHASE_EXCHANGE)
        return -EPIPE;
    if (!x->begun)
        return -EINVAL;
    if (req->out_count > OUT_COUNT_HIGH)
        http_out_flush(req);
    if (req->phase != HTTP_PHASE_EXCHANGE)
        return -EPIPE;
    x->want_writable = req->is_blocked;
    return req->is_blocked ? -EAGAIN : 0;
}

static void write_done(struct leat_request *req)
{
    if (req->in_pump)
        return;
    http_out_flush(req);
    if (req->is_blocked || req->phase != HTTP_PHASE_EXCHANGE)
        http_conn_settle(req->conn);
}

static uint8_t *put_chunk_size(uint8_t *to, uint64_t bytes)
{
    unsigned shift = 60;

    while (shift && !(bytes >> shift))
        shift -= 4;
    for (;; shift -= 4) {
        *to++ = (uint8_t) "0123456789abcdef"[bytes >> shift & 15];
        if (shift == 0)
            break;
    }
    return PUT(to, "\r\n");
}

/* What stands before a piece: its size, and the end of the piece before. */
static int chunk_open(struct leat_request *req, uint64_t bytes, size_t room, uint8_t **to)
{
    uint8_t *start = http_out_reserve(req, room + 24);

    if (!start)
        return -ENOMEM;
    *to = start;
    if (req->x.chunked && req->x.sent_bytes)
        *to = PUT(*to, "\r\n");
    if (req->x.chunked)
        *to = put_chunk_size(*to, bytes);
    http_out_advance(req, (size_t)(*to - start));
    return 0;
}

/* Counts a piece of that length. Returns 1 when there is something to send. */
static int piece_count(struct leat_request *req, uint64_t bytes)
{
    struct http_exchange *x = &req->x;

    if (x->has_length && bytes > x->left_bytes)
        return -EMSGSIZE;
    if (x->has_length)
        x->left_bytes -= bytes;
    return bytes != 0 && !x->no_body;
}

int leat_response_write_bytes(struct leat_request *req, const void *bytes, size_t length_bytes)
{
    uint8_t *to;
    int result = write_check(req);

    if (result)
        return result;
    if (length_bytes > HTTP_COPY_BYTES_MAX) {
        struct leat_buf piece = leat_buf_from_bytes(bytes, length_bytes);
        return piece.data ? leat_response_write(req, piece) : write_broken(req);
    }
    result = piece_count(req, length_bytes);
    if (result <= 0)
        return result;
    if (chunk_open(req, length_bytes, length_bytes, &to))
        return write_broken(req);
    memcpy(to, bytes, length_bytes);
    http_out_advance(req, length_bytes);
    req->x.sent_bytes += length_bytes;
    write_done(req);
    return 0;
}

int leat_response_write(struct leat_request *req, struct leat_buf piece)
{
    uint8_t *to;
    int result = write_check(req);

    if (result == -EAGAIN)
        return result;
    if (!result)
        result = piece_count(req, piece.length_bytes);
    if (result > 0 && chunk_open(req, piece.length_bytes, 0, &to))
        result = write_broken(req);
    if (result <= 0) {
        leat_buf_unref(piece);
        return result;
    }
    http_out_push(req, piece);
    req->x.sent_bytes += piece.length_bytes;
    write_done(req);
    return 0;
}

int leat_response_write_file(struct leat_request *req, struct leat_file *file,
                             uint64_t offset_bytes, uint64_t length_bytes)
{
    uint8_t *to;
    int result = write_check(req);

    if (!result)
        result = piece_count(req, length_bytes);
    if (result <= 0)
        return result;
    if (chunk_open(req, length_bytes, 0, &to))
        return write_broken(req);
    http_out_push_file(req, file, offset_bytes, length_bytes);
    req->x.sent_bytes += length_bytes;
    write_done(req);
    return 0;
}

void leat_response_on_writable(struct leat_request *req, leat_handler *on_writable)
{
    req->x.on_writable = on_writable;
}

static int chunked_end(struct leat_request *req)
{
    struct http_exchange *x = &req->x;
    uint8_t *start = http_out_reserve(req, req->kept.trailers.length_bytes + 16), *to = start;

    if (!start)
        return write_broken(req);
    if (x->sent_bytes)
        to = PUT(to, "\r\n");
    to = PUT(to, "0\r\n");
    if (req->kept.trailers.data)
        to = put(to, req->kept.trailers.data, req->kept.trailers.length_bytes);
    to = PUT(to, "\r\n");
    http_out_advance(req, (size_t)(to - start));
    return 0;
}

int leat_response_end(struct leat_request *req)
{
    struct http_exchange *x = &req->x;
    int result = 0;

    if (x->ended)
        return -EALREADY;
    if (!x->begun)
        return -EINVAL;
    if (req->phase != HTTP_PHASE_EXCHANGE)
        return -EPIPE;
    if (x->has_length && x->left_bytes && !x->no_body) {
        LEAT_LOG_ERROR("a response ended %llu bytes before its Content-Length",
                       (unsigned long long)x->left_bytes);
        x->ended = true;
        http_conn_abort(req->conn);
        return -EINVAL;
    }
    if (x->chunked)
        result = chunked_end(req);
    if (!result)
        http_response_finish(req);
    return result;
}

/* ---- 101 ---- */

int http_respond_switch(struct leat_request *req, const char *protocol)
{
    struct http_exchange *x = &req->x;
    struct leat_http *http = req->http;
    size_t length = strlen(protocol);

    if (x->bad_header || length > 64)
        return -EINVAL;
    http_prefix_refresh(http);
    uint8_t *start = http_out_reserve(req, HEAD_BYTES_MAX + req->kept.headers.length_bytes), *to;
    if (!start)
        return -ENOMEM;
    to = put_status(start, 101);
    to = put(to, http->prefix, http->prefix_bytes);
    to = PUT(to, "Connection: upgrade\r\nUpgrade: ");
    to = put(to, protocol, length);
    to = PUT(to, "\r\n");
    if (req->kept.headers.data)
        to = put(to, req->kept.headers.data, req->kept.headers.length_bytes);
    to = PUT(to, "\r\n");
    http_out_advance(req, (size_t)(to - start));
    http_out_flush(req);
    if (req->is_blocked || req->phase != HTTP_PHASE_EXCHANGE) {
        http_out_drop(req);
        return -ENOMEM;
    }
    x->begun = x->ended = true;
    x->status = 101;
    req->core->stats.status_counts[1]++;
    return 0;
}
