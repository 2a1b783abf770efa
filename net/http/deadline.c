/* What happens to a connection whose time in its queue is up. */
#include "net/http/http_internal.h"
#include "runtime/base/function_name.h"

#include <leat/log.h>

static void expire_write(struct http_conn *conn, uint64_t now_ns)
{
    uint64_t queued_bytes = 0, sent = http_conn_sent_bytes(conn, &queued_bytes);

    if (sent != UINT64_MAX && queued_bytes && !(conn->flags & HTTP_CONN_ABORTED) &&
        sent - conn->mark_bytes < conn->http->options.write_bytes_min) {
        conn->http->core->stats.errors_count[LEAT_HTTP_ERROR_WRITE_TIMEOUT]++;
        http_conn_abort(conn);
    } else if (queued_bytes == 0) {
        conn->flags &= (uint8_t)~HTTP_CONN_BULK;
    }
    conn->mark_bytes = sent;
    http_queue_remove(conn);
    http_queue_push(conn, http_conn_queue_for(conn), now_ns);
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

/* A deferral that was forgotten; what has no deadline, a response that is written piece by piece
 * or a body that is paused, goes on. */
static void expire_answer(struct leat_request *req)
{
    const struct http_exchange *x = &req->x;
    leat_handler *handler = http_handler_last(req);
    char name[FUNCTION_NAME_BYTES] = "a handler";
    void *address;

    if (req->phase != HTTP_PHASE_EXCHANGE || !x->deferred || x->begun)
        return;
    if (handler != NULL) {
        memcpy(&address, &handler, sizeof(address));
        function_name(address, name);
    }
    LEAT_LOG_ERROR("%.*s %.*s: %s deferred it and did not answer within %llu ms",
                   LEAT_VIEW_PRINT(leat_request_method_name(req)),
                   LEAT_VIEW_PRINT(leat_request_target(req)), name,
                   (unsigned long long)(req->http->options.answer_ns / LEAT_NS_PER_MS));
    http_count_error(req, LEAT_HTTP_ERROR_ANSWER_TIMEOUT);
    http_exchange_abort(req);
    http_fail(req, 504, leat_http_error_sentence(LEAT_HTTP_ERROR_ANSWER_TIMEOUT));
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
        http_exchange_reject(req, 408, LEAT_HTTP_ERROR_HEADER_TIMEOUT,
                             leat_http_error_sentence(LEAT_HTTP_ERROR_HEADER_TIMEOUT));
        break;
    case HTTP_QUEUE_BODY:
        expire_body(req);
        break;
    case HTTP_QUEUE_BUSY:
        expire_answer(req);
        break;
    default:
        (void)http_conn_sent_bytes(conn, &queued_bytes);
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
        http_conn_requeue(conn, now_ns);
}
