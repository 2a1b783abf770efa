/* The pump turns the bytes of a connection into requests, one after another. It runs in on_data,
 * and from the core's ready list when an answer, a reader or a resume came from outside of it.
 * Bytes behind a request that is in progress wait in the backlog. */
#include "net/http/http_internal.h"

#define OUT_COUNT_HIGH (HTTP_OUT_MAX - 6) /* room for one whole response is left */

/* The client half-closed in the middle of a body, or it broke off. */
static void exchange_truncated(struct leat_request *req)
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
static bool exchange_was_last(const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;
    return x->body_done && !x->is_broken && !req->head.keep_alive && req->input == req->input_end &&
           req->more_count == 0 && req->backlog.buf.data == NULL;
}

static LEAT_MUST_CHECK enum http_step exchange_step(struct leat_request *req)
{
    struct http_exchange *x = &req->x;

    if (x->ended && x->close) {
        if (exchange_was_last(req))
            req->conn->flags |= HTTP_CONN_LAST;
        http_exchange_finish(req);
        http_conn_close(req->conn);
        return HTTP_STEP_WAIT;
    }
    if (!x->body_done) {
        enum http_feed feed = http_body_feed(req);
        if (feed == HTTP_FEED_MORE && req->conn && req->conn->flags & HTTP_CONN_ENDED) {
            exchange_truncated(req);
            return HTTP_STEP_GO;
        }
        return feed == HTTP_FEED_DONE ? HTTP_STEP_GO : HTTP_STEP_WAIT;
    }
    if (!x->ended)
        return HTTP_STEP_WAIT;
    http_exchange_finish(req);
    return HTTP_STEP_GO;
}

static LEAT_MUST_CHECK enum http_step head_step(struct leat_request *req, unsigned *handled)
{
    if (req->is_blocked)
        return HTTP_STEP_WAIT;
    if (req->input == req->input_end) {
        if (req->conn->flags & HTTP_CONN_ENDED && !req->more_count)
            http_conn_close(req->conn);
        return HTTP_STEP_WAIT;
    }
    if (req->out_count > OUT_COUNT_HIGH) {
        http_out_flush(req);
        if (req->is_blocked || req->phase != HTTP_PHASE_HEAD)
            return HTTP_STEP_WAIT;
    }
    if (++*handled > req->http->options.pipeline_count_max) {
        http_request_ready(req);
        return HTTP_STEP_WAIT;
    }
    return http_head_read(req);
}

static void pump_steps(struct leat_request *req, unsigned *handled)
{
    enum http_step step = HTTP_STEP_GO;

    while (step == HTTP_STEP_GO)
        if (req->phase == HTTP_PHASE_HEAD)
            step = head_step(req, handled);
        else if (req->phase == HTTP_PHASE_EXCHANGE)
            step = exchange_step(req);
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
        if (http_backlog_append(req, req->input, (size_t)(req->input_end - req->input)) ||
            http_backlog_append_slices(req, req->more, req->more_count)) {
            http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
            http_conn_abort(req->conn);
        }
        break;
    }
}

static LEAT_MUST_CHECK enum http_step pump_begin(struct leat_request *req)
{
    if (req->phase == HTTP_PHASE_GONE) {
        http_request_give_gone(req);
        return HTTP_STEP_GONE;
    }
    req->in_pump = true;
    req->http->calls++;
    http_prefix_refresh(req->http);
    if (likely(!req->x.want_writable) || req->is_blocked || req->x.is_full ||
        req->phase != HTTP_PHASE_EXCHANGE)
        return HTTP_STEP_GO;
    req->x.want_writable = false;
    if (req->x.on_writable)
        http_call(req, req->x.on_writable);
    return HTTP_STEP_GO;
}

/* Of a request that is looked at later: by the application, or by a task that has answered it. */
static void pump_keep_views(struct leat_request *req)
{
    if (req->phase > HTTP_PHASE_EXCHANGE || !http_keep_views(req))
        return;
    http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
    http_conn_abort(req->conn);
}

static void pump_end(struct leat_request *req)
{
    struct leat_http *http = req->http;

    req->more_count = 0;
    if (req->phase != HTTP_PHASE_HEAD)
        pump_keep_views(req);
    if (req->backlog.buf.data && req->backlog.begin == req->backlog.end)
        http_backlog_drop(req);
    http_out_flush(req);
    req->input = req->input_end = NULL;
    req->in_pump = false;
    if (req->phase == HTTP_PHASE_CLOSING)
        http_conn_close(req->conn);
    if (likely(req->phase != HTTP_PHASE_GONE)) {
        struct http_conn *conn = req->conn;
        http_conn_settle(conn);
        DCHECK(http_conn_validate(conn) == NULL);
    } else if (!req->is_ready)
        http_request_give_gone(req);
    http->calls--;
    if (unlikely(http->freeing || http->draining))
        http_server_settle(http);
}

void http_pump(struct leat_request *req, const struct leat_buf *slices, unsigned count)
{
    unsigned handled = 0;

    if (pump_begin(req) == HTTP_STEP_GONE)
        return;
    if (likely(!req->backlog.buf.data)) {
        if (count == 0)
            pump_steps(req, &handled);
        else
            pump_slices(req, slices, count, &handled);
    } else if (http_backlog_append_slices(req, slices, count)) {
        http_count_error(req, LEAT_HTTP_ERROR_NO_MEMORY);
        http_conn_abort(req->conn);
    } else {
        pump_backlog(req, &handled);
    }
    pump_end(req);
}
