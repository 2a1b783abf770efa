/* A connection from on_open to on_close.
 *
 *            first byte of a head        head complete          answered, body read
 *   (idle) ----------------------> HEAD ---------------> EXCHANGE ------------------> HEAD
 *      ^    conn_begin             |  ^  http_head_read     |  http_exchange_finish     |
 *      |                           |  `---------------------'                           |
 *      `---------------------------+---- nothing left: conn_release <-------------------'
 *   any of them -> CLOSING (http_conn_close: output first) -> CLOSED -> GONE (conn_on_close) */
#include "net/http/http_internal.h"
#include "runtime/loop/profile.h"

/* ---- Ends ---- */

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
    http_backlog_drop(req);
    req->conn = NULL;
    req->phase = HTTP_PHASE_GONE;
    if (!req->is_ready && !req->in_pump)
        http_request_give_gone(req);
}

/* ---- Where a connection waits ---- */

enum http_queue_number http_conn_queue_for(const struct http_conn *conn)
{
    const struct leat_request *req = conn->request;

    if (!req && likely(!(conn->flags & (HTTP_CONN_BULK | HTTP_CONN_CLOSING))))
        return HTTP_QUEUE_KEEPALIVE;
    if (!req || conn->flags & HTTP_CONN_CLOSING || req->is_blocked ||
        (req->phase == HTTP_PHASE_EXCHANGE && req->x.is_full))
        return HTTP_QUEUE_WRITE;
    if (req->phase == HTTP_PHASE_HEAD)
        return req->partial.data ? HTTP_QUEUE_HEADER : HTTP_QUEUE_BUSY;
    if (req->phase != HTTP_PHASE_EXCHANGE || req->x.body_done || req->conn_paused ||
        req->x.reader == HTTP_READER_NONE)
        return HTTP_QUEUE_BUSY;
    return HTTP_QUEUE_BODY;
}

/* Bytes that have left for the client: grows while it reads. */
uint64_t http_conn_sent_bytes(const struct http_conn *conn, uint64_t *queued_bytes)
{
    struct leat_conn_info info = {0};

    if (leat_conn_info(conn->conn, &info) < 0)
        return UINT64_MAX;
    *queued_bytes = info.queued_bytes;
    return info.sent_bytes;
}

/* In the queue of those that the application has, for the sake of another request or handler. */
static bool is_deferred_anew(const struct http_conn *conn)
{
    return conn->queue == HTTP_QUEUE_BUSY && conn->request->x.deferred &&
           conn->request->x.deferred_ns > conn->since_ns;
}

void http_conn_requeue(struct http_conn *conn, uint64_t now_ns)
{
    enum http_queue_number number = http_conn_queue_for(conn);
    uint64_t queued_bytes;

    /* Between two pieces, or two requests, the time counts anew; not within a head or a write. */
    if (number == conn->queue && number != HTTP_QUEUE_KEEPALIVE && number != HTTP_QUEUE_BODY &&
        !is_deferred_anew(conn))
        return;
    http_queue_remove(conn);
    if (number == HTTP_QUEUE_WRITE)
        conn->mark_bytes = http_conn_sent_bytes(conn, &queued_bytes);
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
    http_conn_requeue(conn, leat_loop_now(conn->http->loop));
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

    if (!req || (!req->is_blocked && !req->x.is_full))
        return;
    req->is_blocked = req->x.is_full = false;
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
        if (req->x.is_open && http->options.access_log)
            http_access_cut(req);
        if (req->x.is_open && !req->x.ended) {
            http_count_error(req, LEAT_HTTP_ERROR_CLIENT_GONE);
            http_exchange_abort(req);
        }
        if (http_request_is_pinned(req))
            http_task_cancel(req); /* what it looks at stays until it returns */
        else
            http_exchange_fini(req);
        request_drop(req);
    }
    if (unlikely(conn->flags & HTTP_CONN_LOGS))
        http_access_close(conn);
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

static void conn_refuse(struct leat_http *http, leat_conn handle)
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

static int conn_serve(struct leat_http *http, leat_conn handle)
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
    if (conn_serve(user, handle) < 0)
        conn_refuse(user, handle);
}

const struct leat_conn_ops http_listener_ops = {.on_open = listener_on_open};

int leat_http_serve(struct leat_http *http, leat_conn conn)
{
    return http->error.code != 0 ? http_set_up_failed(http) : conn_serve(http, conn);
}

/* Takes the connection away from the server: its callbacks go elsewhere. */
int http_conn_detach(struct http_conn *conn, const struct leat_conn_ops *ops, void *user)
{
    struct leat_request *req = conn->request;
    int result = leat_conn_set(conn->conn, ops, user);

    if (result < 0)
        return result;
    if (conn->http->options.access_log)
        http_access_log(req);
    conn->request = NULL;
    http_conn_give(conn->http->core, conn);
    req->conn = NULL;
    if (!http_request_is_pinned(req))
        http_exchange_fini(req);
    req->phase = HTTP_PHASE_GONE;
    leat_buf_unref(req->partial);
    req->partial = (struct leat_buf){0};
    http_backlog_drop(req);
    if (!req->in_pump)
        http_request_ready(req);
    return 0;
}
