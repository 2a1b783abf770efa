/* A connection from on_open to on_close, and the pump that turns bytes into requests.
 *
 *            first byte of a head        head complete          answered, body read
 *   (idle) ----------------------> HEAD ---------------> EXCHANGE ------------------> HEAD
 *      ^    conn_begin             |  ^   head_take         |   exchange_finish         |
 *      |                           |  `---------------------'                           |
 *      `---------------------------+---- nothing left: conn_release <-------------------'
 *   any of them -> CLOSING (http_conn_close: output first) -> CLOSED -> GONE (conn_on_close)
 *
 * The pump runs in on_data, and from the core's ready list when an answer, a reader or a resume
 * came from outside of it. Requests are handled one after another; bytes behind one that is in
 * progress wait in the backlog. */
#include "net/http/http_internal.h"
#include "runtime/loop/profile.h"

#define OUT_COUNT_HIGH (HTTP_OUT_MAX - 6) /* room for one whole response is left */

/* ---- Backlog ---- */

static int backlog_append(struct leat_request *req, const uint8_t *bytes, size_t length)
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

static void backlog_drop(struct leat_request *req)
{
    leat_buf_unref(req->backlog.buf);
    req->backlog = (struct http_backlog){0};
}

static int backlog_append_slices(struct leat_request *req, const struct leat_buf *slices,
                                 unsigned count)
{
    int result = 0;

    for (unsigned i = 0; i < count && !result; i++)
        result = backlog_append(req, slices[i].data, slices[i].length_bytes);
    return result;
}

/* ---- Ends ---- */

void http_count_error(struct leat_request *req, enum leat_http_error error)
{
    req->core->stats.errors_count[error]++;
}

void http_conn_abort(struct http_conn *conn)
{
    if (conn->request) {
        http_out_drop(conn->request);
        conn->request->phase = HTTP_PHASE_CLOSED;
    }
    conn->flags |= HTTP_CONN_CLOSING | HTTP_CONN_ABORTED;
    (void)leat_conn_abort(conn->conn);
}

void http_conn_close(struct http_conn *conn)
{
    struct leat_request *req = conn->request;

    if (conn->flags & HTTP_CONN_CLOSING)
        return;
    if (req) {
        req->phase = HTTP_PHASE_CLOSING;
        http_out_flush(req);
        if (conn->flags & HTTP_CONN_CLOSING || req->is_blocked)
            return;
        req->phase = HTTP_PHASE_CLOSED;
    }
    conn->flags |= HTTP_CONN_CLOSING;
    (void)(conn->flags & HTTP_CONN_LAST ? leat_conn_close_soon : leat_conn_close)(conn->conn);
}

/* The application had the request, and will not be asked for an answer any more. */
void http_exchange_abort(struct leat_request *req)
{
    struct http_exchange *x = &req->x;
    leat_handler *on_abort = x->on_abort;

    http_request_forget(req);
    x->on_abort = NULL;
    x->on_writable = NULL;
    x->reader = HTTP_READER_NONE;
    x->body_done = true;
    x->close = true;
    if (on_abort)
        http_call(req, on_abort);
}

static void kept_drop(struct leat_request *req)
{
    leat_buf_unref(req->kept.head);
    leat_buf_unref(req->kept.path);
    leat_buf_unref(req->kept.query);
    leat_buf_unref(req->kept.body);
    leat_buf_unref(req->kept.headers);
    leat_buf_unref(req->kept.trailers);
    req->kept = (struct http_kept){0};
}

static __attribute__((noinline)) void extras_drop(struct leat_request *req)
{
    struct http_exchange *x = &req->x;

    if (x->on_free)
        x->on_free(x->state);
    if (x->parts)
        files_parts_free(x->parts);
    leat_heap_free(req->chunk);
    req->chunk = NULL;
    if (x->has_bufs)
        kept_drop(req);
}

static void exchange_fini(struct leat_request *req)
{
    const struct http_exchange *x = &req->x;

    if (!x->is_open)
        return;
    req->x.is_open = false;
    http_request_forget(req);
    if (unlikely(x->on_free || x->parts || req->chunk || x->has_bufs))
        extras_drop(req);
}

static void exchange_finish(struct leat_request *req)
{
    if (unlikely(req->http->options.access_log))
        http_access_log(req);
    exchange_fini(req);
    req->phase = HTTP_PHASE_HEAD;
}

/* Gives back everything that req holds, and req. The connection stays. */
static void conn_release(struct http_conn *conn)
{
    struct leat_request *req = conn->request;

    conn->request = NULL;
    req->conn = NULL;
    http_request_give(req);
}

static void request_drop(struct leat_request *req)
{
    http_out_drop(req);
    leat_buf_unref(req->partial);
    req->partial = (struct leat_buf){0};
    backlog_drop(req);
    req->conn = NULL;
    req->phase = HTTP_PHASE_GONE;
    if (!req->is_ready && !req->in_pump)
        http_request_give(req);
}

/* ---- Where a connection waits ---- */

static enum http_queue_number queue_for(const struct http_conn *conn)
{
    const struct leat_request *req = conn->request;

    if (!req && likely(!(conn->flags & (HTTP_CONN_BULK | HTTP_CONN_CLOSING))))
        return HTTP_QUEUE_KEEPALIVE;
    if (!req || conn->flags & HTTP_CONN_CLOSING || req->is_blocked)
        return HTTP_QUEUE_WRITE;
    if (req->phase == HTTP_PHASE_HEAD)
        return req->partial.data ? HTTP_QUEUE_HEADER : HTTP_QUEUE_BUSY;
    if (req->phase != HTTP_PHASE_EXCHANGE || req->x.body_done || req->conn_paused ||
        req->x.reader == HTTP_READER_NONE)
        return HTTP_QUEUE_BUSY;
    return HTTP_QUEUE_BODY;
}

/* Bytes that have left for the client: grows while it reads. */
static uint64_t sent_bytes(const struct http_conn *conn, uint64_t *queued_bytes)
{
    struct leat_conn_info info = {0};

    if (leat_conn_info(conn->conn, &info) < 0)
        return UINT64_MAX;
    *queued_bytes = info.queued_bytes;
    return info.sent_bytes;
}

static void conn_requeue(struct http_conn *conn, uint64_t now_ns)
{
    enum http_queue_number number = queue_for(conn);
    uint64_t queued_bytes;

    /* Between two pieces, or two requests, the time counts anew; not within a head or a write. */
    if (number == conn->queue && number != HTTP_QUEUE_KEEPALIVE && number != HTTP_QUEUE_BODY)
        return;
    http_queue_remove(conn);
    if (number == HTTP_QUEUE_WRITE)
        conn->mark_bytes = sent_bytes(conn, &queued_bytes);
    http_queue_push(conn, number, now_ns);
}

static void conn_set_paused(struct leat_request *req)
{
    const struct http_exchange *x = &req->x;
    size_t held = req->backlog.end - req->backlog.begin;
    bool paused = held > req->http->options.pipeline_bytes_max || req->is_blocked;

    if (req->phase == HTTP_PHASE_EXCHANGE && !x->body_done)
        paused |= x->paused || (held && x->reader == HTTP_READER_NONE);
    if (likely(paused == req->conn_paused))
        return;
    req->conn_paused = paused;
    if (paused)
        (void)leat_conn_pause(req->conn->conn);
    else
        (void)leat_conn_resume(req->conn->conn);
}

/* After anything happened to a connection: flow control, its queue, and back to idle if it is. */
void http_conn_settle(struct http_conn *conn)
{
    struct leat_request *req = conn->request;

    if (likely(req != NULL)) {
        if (req->phase <= HTTP_PHASE_EXCHANGE)
            conn_set_paused(req);
        if (req->phase == HTTP_PHASE_HEAD && !req->partial.data && !req->backlog.buf.data &&
            http_out_is_empty(req) && !req->is_ready)
            conn_release(conn);
    }
    conn_requeue(conn, leat_loop_now(conn->http->loop));
}

/* ---- Heads ---- */

static void exchange_init(struct leat_request *req, const uint8_t *bytes, size_t length)
{
    req->x = (struct http_exchange){.head_bytes = bytes,
                                    .head_length = (uint32_t)length,
                                    .is_open = true};
    req->phase = HTTP_PHASE_EXCHANGE;
    req->match.route = NULL;
    req->match.param_count = 0;
    if (unlikely(req->http->options.access_log))
        req->x.began_ns = leat_loop_clock(req->http->loop);
}

/* A request that cannot be understood, or did not come: answered, then the connection closes. */
static void reject(struct leat_request *req, int status, enum leat_http_error error,
                   const char *sentence)
{
    exchange_init(req, NULL, 0);
    req->x.is_broken = true;
    req->x.close = true;
    req->x.body_done = true;
    req->input = req->input_end;
    leat_buf_unref(req->partial);
    req->partial = (struct leat_buf){0};
    http_count_error(req, error);
    http_fail(req, status, sentence);
}

static enum leat_http_error error_of(int status)
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

static void reject_head(struct leat_request *req, int status)
{
    reject(req, status, error_of(status), http_reason_sentence(req->head.reason));
}

/* RFC 1945 7.2.2: a body of HTTP/1.0 needs a length. */
static bool lacks_length(const struct http_head *head)
{
    return head->minor == 0 && !head->has_length &&
           (head->method == LEAT_METHOD_POST || head->method == LEAT_METHOD_PUT ||
            head->method == LEAT_METHOD_PATCH);
}

/* kept.head is the buffer that the head lies in, when it is ours already. */
static void exchange_begin(struct leat_request *req, const uint8_t *bytes, size_t length)
{
    struct http_head *head = &req->head;
    struct http_conn *conn = req->conn;

    exchange_init(req, bytes, length);
    req->x.has_bufs = req->kept.head.data != NULL;
    req->core->stats.requests_count++;
    req->core->stats.received_bytes += length;
    if (++conn->requests_count >= req->http->options.keepalive_requests_max)
        req->x.close = true;
    http_body_begin(req);
    if (unlikely(lacks_length(head))) {
        req->x.close = true;
        http_count_error(req, LEAT_HTTP_ERROR_LENGTH_REQUIRED);
        http_fail(req, 411, leat_http_error_sentence(LEAT_HTTP_ERROR_LENGTH_REQUIRED));
    } else if (unlikely(head->has_length &&
                        head->content_length > req->http->options.body_bytes_max)) {
        req->x.close = true;
        http_count_error(req, LEAT_HTTP_ERROR_BODY_TOO_LARGE);
        http_fail(req, 413, leat_http_error_sentence(LEAT_HTTP_ERROR_BODY_TOO_LARGE));
    } else {
        http_run_handlers(req);
    }
}

/* Room for more of a head that straddles slices: 1, 4, 16, 64 KiB, and never beyond the limit. */
static bool partial_grow(struct leat_request *req)
{
    size_t size = req->partial.data ? req->partial_capacity * 4 : 1024;

    while (size < req->head.at) /* the parser goes on behind what it has seen in the slice */
        size *= 4;
    struct leat_buf grown = leat_buf_alloc_unsafe(size);
    if (!grown.data)
        return false;
    grown.length_bytes = req->partial.length_bytes;
    if (req->partial.data)
        memcpy(grown.data, req->partial.data, req->partial.length_bytes);
    leat_buf_unref(req->partial);
    req->partial = grown;
    req->partial_capacity = size;
    return true;
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

/* Returns false when more input is needed. */
static bool head_take_partial(struct leat_request *req)
{
    while (req->input < req->input_end) {
        size_t before = req->partial.length_bytes;
        if ((!req->partial.data || before == req->partial_capacity) && !partial_grow(req)) {
            http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
            http_conn_abort(req->conn);
            return true;
        }
        size_t added = partial_add(req);
        DCHECK(req->head.at <= before + added);
        int used =
            http_parse_head(&req->head, req->partial.data, before + added, &req->http->limits);
        if (used < 0) {
            reject_head(req, -used);
            return true;
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
            exchange_begin(req, req->kept.head.data, (size_t)used);
            return true;
        }
        req->input += added;
    }
    return false;
}

static bool head_take(struct leat_request *req)
{
    if (unlikely(req->partial.data))
        return head_take_partial(req);
    size_t length = (size_t)(req->input_end - req->input);
    http_head_init(&req->head, HTTP_REQUEST);
    int used = http_parse_head(&req->head, req->input, length, &req->http->limits);
    if (likely(used > 0)) {
        const uint8_t *bytes = req->input;
        req->input += used;
        exchange_begin(req, bytes, (size_t)used);
        return true;
    }
    if (used < 0) {
        reject_head(req, -used);
        return true;
    }
    return head_take_partial(req);
}

/* ---- The pump ---- */

/* The client half-closed in the middle of a body, or it broke off. */
static void truncated(struct leat_request *req)
{
    bool had_begun = req->x.begun;

    http_exchange_abort(req);
    if (had_begun)
        return;
    http_count_error(req, LEAT_HTTP_ERROR_BAD_REQUEST);
    http_fail(req, 400, "the client ended the connection within the body (RFC 9112 8)");
}

/* RFC 9112 9.6: a client that asks for the close must not send another request. One of which bytes
 * are there already does not hold to that. */
static bool was_last(const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;
    return x->body_done && !x->is_broken && !req->head.keep_alive && req->input == req->input_end &&
           req->more_count == 0 && req->backlog.buf.data == NULL;
}

/* Returns false when the request has to wait for input, or for the application. */
static bool exchange_step(struct leat_request *req)
{
    struct http_exchange *x = &req->x;

    if (x->ended && x->close) {
        if (was_last(req))
            req->conn->flags |= HTTP_CONN_LAST;
        exchange_finish(req);
        http_conn_close(req->conn);
        return false;
    }
    if (!x->body_done) {
        enum http_feed feed = http_body_feed(req);
        if (feed == HTTP_FEED_MORE && req->conn && req->conn->flags & HTTP_CONN_ENDED) {
            truncated(req);
            return true;
        }
        return feed == HTTP_FEED_DONE;
    }
    if (!x->ended)
        return false;
    exchange_finish(req);
    return true;
}

static bool head_step(struct leat_request *req, unsigned *handled)
{
    if (req->is_blocked)
        return false;
    if (req->input == req->input_end) {
        if (req->conn->flags & HTTP_CONN_ENDED && !req->more_count)
            http_conn_close(req->conn);
        return false;
    }
    if (req->out_count > OUT_COUNT_HIGH) {
        http_out_flush(req);
        if (req->is_blocked || req->phase != HTTP_PHASE_HEAD)
            return false;
    }
    if (++*handled > req->http->options.pipeline_count_max) {
        http_request_ready(req);
        return false;
    }
    return head_take(req);
}

static void pump_steps(struct leat_request *req, unsigned *handled)
{
    bool goes_on = true;

    while (goes_on)
        if (req->phase == HTTP_PHASE_HEAD)
            goes_on = head_step(req, handled);
        else if (req->phase == HTTP_PHASE_EXCHANGE)
            goes_on = exchange_step(req);
        else
            break;
}

/* Input from the backlog. What is behind it stays there. */
static void pump_backlog(struct leat_request *req, unsigned *handled)
{
    struct http_backlog *backlog = &req->backlog;

    req->input_slice = (struct leat_buf){0};
    req->input = backlog->buf.data ? backlog->buf.data + backlog->begin : NULL;
    req->input_end = backlog->buf.data ? backlog->buf.data + backlog->end : NULL;
    pump_steps(req, handled);
    if (backlog->buf.data)
        backlog->begin = (size_t)(req->input - backlog->buf.data);
}

static void pump_slices(struct leat_request *req, const struct leat_buf *slices, unsigned count,
                        unsigned *handled)
{
    for (unsigned i = 0; i < count && req->phase <= HTTP_PHASE_EXCHANGE; i++) {
        req->input_slice = slices[i];
        req->input = slices[i].data;
        req->input_end = slices[i].data + slices[i].length_bytes;
        req->more = slices + i + 1;
        req->more_count = count - i - 1;
        pump_steps(req, handled);
        if (req->input == req->input_end || req->phase > HTTP_PHASE_EXCHANGE)
            continue;
        if (backlog_append(req, req->input, (size_t)(req->input_end - req->input)) ||
            backlog_append_slices(req, req->more, req->more_count)) {
            http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
            http_conn_abort(req->conn);
        }
        break;
    }
}

/* Returns false when the connection is gone. */
static bool pump_begin(struct leat_request *req)
{
    if (req->phase == HTTP_PHASE_GONE) {
        http_request_give(req);
        return false;
    }
    req->in_pump = true;
    req->http->calls++;
    http_prefix_refresh(req->http);
    if (likely(!req->x.want_writable) || req->is_blocked || req->phase != HTTP_PHASE_EXCHANGE)
        return true;
    req->x.want_writable = false;
    if (req->x.on_writable)
        http_call(req, req->x.on_writable);
    return true;
}

static void pump_end(struct leat_request *req)
{
    struct leat_http *http = req->http;

    req->more_count = 0;
    if (req->phase == HTTP_PHASE_EXCHANGE && http_keep_views(req)) {
        http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
        http_conn_abort(req->conn);
    }
    if (req->backlog.buf.data && req->backlog.begin == req->backlog.end)
        backlog_drop(req);
    http_out_flush(req);
    req->input = req->input_end = NULL;
    req->in_pump = false;
    if (req->phase == HTTP_PHASE_CLOSING)
        http_conn_close(req->conn);
    if (likely(req->phase != HTTP_PHASE_GONE))
        http_conn_settle(req->conn);
    else if (!req->is_ready)
        http_request_give(req);
    http->calls--;
    if (unlikely(http->freeing || http->draining))
        http_server_settle(http);
}

void http_pump(struct leat_request *req, const struct leat_buf *slices, unsigned count)
{
    unsigned handled = 0;

    if (!pump_begin(req))
        return;
    if (likely(!req->backlog.buf.data)) {
        if (count == 0)
            pump_steps(req, &handled);
        else
            pump_slices(req, slices, count, &handled);
    } else if (backlog_append_slices(req, slices, count)) {
        http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
        http_conn_abort(req->conn);
    } else {
        pump_backlog(req, &handled);
    }
    pump_end(req);
}

/* ---- Callbacks of the transport ---- */

static struct leat_request *conn_begin(struct http_conn *conn)
{
    struct http_core *core = conn->http->core;
    struct leat_request *req = NULL;

    if (core->stats.requests_now_count < conn->http->options.requests_max &&
        !http_core_is_short(core))
        req = http_request_take(core);
    if (unlikely(!req)) {
        core->stats.errors_count[LEAT_HTTP_ERROR_OVERLOAD]++;
        return NULL;
    }
    req->conn = conn;
    req->http = conn->http;
    req->phase = HTTP_PHASE_HEAD;
    req->conn_paused = false;
    req->x.want_writable = false;
    conn->request = req;
    return req;
}

static void conn_on_data(leat_conn handle, void *user, const struct leat_buf *slices,
                         unsigned count)
{
    struct http_conn *conn = user;
    struct leat_request *req = conn->request;

    if (unlikely(conn->flags & HTTP_CONN_CLOSING))
        return;
    if (!req && !(req = conn_begin(conn))) {
        http_send_overload(handle);
        http_conn_close(conn);
        http_conn_settle(conn);
        return;
    }
    enum leat_layer outer = profile_enter(LEAT_LAYER_HTTP);
    http_pump(req, slices, count);
    profile_leave(outer);
}

static void conn_on_writable(leat_conn handle, void *user)
{
    struct http_conn *conn = user;
    struct leat_request *req = conn->request;

    if (!req || !req->is_blocked)
        return;
    req->is_blocked = false;
    http_out_flush(req);
    http_pump(req, NULL, 0);
}

static void conn_on_end(leat_conn handle, void *user)
{
    struct http_conn *conn = user;

    conn->flags |= HTTP_CONN_ENDED;
    if (conn->request) {
        http_pump(conn->request, NULL, 0);
        return;
    }
    http_conn_close(conn);
    http_conn_settle(conn);
}

static void conn_on_close(leat_conn handle, void *user, enum leat_close_reason reason)
{
    struct http_conn *conn = user;
    struct leat_http *http = conn->http;
    struct leat_request *req = conn->request;

    http->calls++;
    conn->flags |= HTTP_CONN_CLOSING;
    if (req) {
        req->phase = HTTP_PHASE_CLOSED;
        if (req->x.is_open && !req->x.ended) {
            http_count_error(req, LEAT_HTTP_ERROR_CLIENT_GONE);
            http_exchange_abort(req);
        }
        exchange_fini(req);
        request_drop(req);
    }
    http_conn_give(http->core, conn);
    http->calls--;
    http_server_settle(http);
}

static const struct leat_conn_ops conn_ops = {
    .on_data = conn_on_data,
    .on_writable = conn_on_writable,
    .on_end = conn_on_end,
    .on_close = conn_on_close,
};

/* ---- Opening, and refusing ---- */

static void refused_on_close(leat_conn handle, void *user, enum leat_close_reason reason)
{
    struct leat_http *http = user;

    http->rejected_now--;
    http_server_settle(http);
}

static const struct leat_conn_ops refused_ops = {.on_close = refused_on_close};

void http_send_overload(leat_conn handle)
{
    static const char response[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                   "Content-Length: 0\r\n"
                                   "Connection: close\r\n"
                                   "Retry-After: 1\r\n"
                                   "\r\n";
    struct leat_buf buf = leat_buf_from_static(response, sizeof(response) - 1);

    (void)!leat_conn_send(handle, &buf, 1);
}

static void refuse(struct leat_http *http, leat_conn handle)
{
    http->core->stats.errors_count[LEAT_HTTP_ERROR_OVERLOAD]++;
    http->rejected_now++;
    (void)leat_conn_set(handle, &refused_ops, http);
    if (http->rejected_now > HTTP_REFUSED_NOW_MAX) {
        (void)leat_conn_abort(handle);
        return;
    }
    http_send_overload(handle);
    (void)leat_conn_close(handle);
}

static int serve(struct leat_http *http, leat_conn handle)
{
    struct http_conn *conn;

    if (http->connections_now >= http->options.connections_max || !(conn = http_conn_take(http)))
        return -EBUSY;
    conn->conn = handle;
    http_queue_push(conn, HTTP_QUEUE_KEEPALIVE, leat_loop_now(http->loop));
    int result = leat_conn_set(handle, &conn_ops, conn);
    if (result < 0)
        http_conn_give(http->core, conn);
    return result;
}

static void listener_on_open(leat_conn handle, void *user)
{
    if (serve(user, handle) < 0)
        refuse(user, handle);
}

const struct leat_conn_ops http_listener_ops = {.on_open = listener_on_open};

int leat_http_serve(struct leat_http *http, leat_conn conn)
{
    return http->error.code != 0 ? http_set_up_failed(http) : serve(http, conn);
}

/* Takes the connection away from the server: its callbacks go elsewhere. */
int http_conn_detach(struct http_conn *conn, const struct leat_conn_ops *ops, void *user)
{
    struct leat_request *req = conn->request;
    int result = leat_conn_set(conn->conn, ops, user);

    if (result < 0)
        return result;
    conn->request = NULL;
    http_conn_give(conn->http->core, conn);
    req->conn = NULL;
    exchange_fini(req);
    req->phase = HTTP_PHASE_GONE;
    leat_buf_unref(req->partial);
    req->partial = (struct leat_buf){0};
    backlog_drop(req);
    if (!req->in_pump)
        http_request_ready(req);
    return 0;
}

/* ---- Deadlines and drain ---- */

static void expire_write(struct http_conn *conn, uint64_t now_ns)
{
    uint64_t queued_bytes = 0, sent = sent_bytes(conn, &queued_bytes);

    if (sent != UINT64_MAX && queued_bytes && !(conn->flags & HTTP_CONN_ABORTED) &&
        sent - conn->mark_bytes < conn->http->options.write_bytes_min) {
        conn->http->core->stats.errors_count[LEAT_HTTP_ERROR_WRITE_TIMEOUT]++;
        http_conn_abort(conn);
    } else if (queued_bytes == 0) {
        conn->flags &= (uint8_t)~HTTP_CONN_BULK;
    }
    conn->mark_bytes = sent;
    http_queue_remove(conn);
    http_queue_push(conn, queue_for(conn), now_ns);
}

static void expire_body(struct leat_request *req)
{
    bool had_begun = req->x.begun;

    http_count_error(req, LEAT_HTTP_ERROR_BODY_TIMEOUT);
    http_exchange_abort(req);
    if (had_begun) {
        req->x.ended = true;
        http_conn_abort(req->conn);
    } else {
        http_fail(req, 408, leat_http_error_sentence(LEAT_HTTP_ERROR_BODY_TIMEOUT));
    }
}

void http_conn_expire(struct http_conn *conn, uint64_t now_ns)
{
    struct leat_request *req = conn->request;
    uint64_t queued_bytes = 0;

    switch (conn->queue) {
    case HTTP_QUEUE_WRITE:
        expire_write(conn, now_ns);
        return;
    case HTTP_QUEUE_HEADER:
        reject(req, 408, LEAT_HTTP_ERROR_HEADER_TIMEOUT,
               leat_http_error_sentence(LEAT_HTTP_ERROR_HEADER_TIMEOUT));
        break;
    case HTTP_QUEUE_BODY:
        expire_body(req);
        break;
    default:
        (void)sent_bytes(conn, &queued_bytes);
        if (queued_bytes) {
            conn->http->core->stats.errors_count[LEAT_HTTP_ERROR_WRITE_TIMEOUT]++;
            http_conn_abort(conn);
        } else {
            http_conn_close(conn);
        }
    }
    http_queue_remove(conn);
    http_queue_push(conn, HTTP_QUEUE_BUSY, now_ns);
    if (req)
        http_request_ready(req);
    else
        conn_requeue(conn, now_ns);
}
