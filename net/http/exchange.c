/* One exchange, a request and its answer: it begins with a head, is refused or broken off, and
 * ends. */
#include "net/http/http_internal.h"

void http_count_error(struct leat_request *req, enum leat_http_error error)
{
    req->core->stats.errors_count[error]++;
}

/* ---- Ends ---- */

/* The application will not be asked for an answer any more. */
void http_exchange_abort(struct leat_request *req)
{
    struct http_exchange *x = &req->x;
    void (*on_abort)(struct leat_request *) = x->on_abort;

    if (http_request_is_pinned(req))
        http_task_cancel(req);
    http_request_forget(req);
    x->on_abort = NULL;
    x->on_writable = NULL;
    x->reader = HTTP_READER_NONE;
    x->body_done = true;
    x->close = true;
    if (on_abort == NULL)
        return;
    uint8_t phase = req->phase;
    req->phase = HTTP_PHASE_CLOSED; /* on_abort cannot respond, whatever it was that ended it */
    on_abort(req);
    leat_loop_gate(req->http->loop);
    if (!(req->conn->flags & HTTP_CONN_CLOSING))
        req->phase = phase;
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

__attribute__((noinline)) void http_exchange_drop_extras(struct leat_request *req)
{
    struct http_exchange *x = &req->x;

    http_attachments_drop(req);
    leat_heap_free(req->chunk);
    req->chunk = NULL;
    if (x->has_bufs)
        kept_drop(req);
}

/* ---- Begins ---- */

static void exchange_init(struct leat_request *req, const uint8_t *bytes, size_t length)
{
    req->x = (struct http_exchange){.head_bytes = bytes,
                                    .head_length = (uint32_t)length,
                                    .is_open = true};
    req->phase = HTTP_PHASE_EXCHANGE;
    req->match.route = NULL;
    req->match.param_count = 0;
    if (unlikely(req->http->options.access_log))
        http_access_begin(req);
}

/* A request that cannot be understood, or did not come: answered, then the connection closes. */
void http_exchange_reject(struct leat_request *req, int status, enum leat_http_error error,
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

/* RFC 1945 7.2.2: a body of HTTP/1.0 needs a length. */
static bool head_lacks_length(const struct http_head *head)
{
    return head->minor == 0 && !head->has_length &&
           (head->method == LEAT_METHOD_POST || head->method == LEAT_METHOD_PUT ||
            head->method == LEAT_METHOD_PATCH);
}

/* kept.head is the buffer that the head lies in, when it is ours already. */
void http_exchange_begin(struct leat_request *req, const uint8_t *bytes, size_t length)
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
    if (unlikely(head_lacks_length(head))) {
        req->x.close = true;
        http_count_error(req, LEAT_HTTP_ERROR_LENGTH_REQUIRED);
        http_fail(req, 411, leat_http_error_sentence(LEAT_HTTP_ERROR_LENGTH_REQUIRED));
    } else if (unlikely(head->has_length &&
                        head->content_length > req->http->options.body_bytes_max)) {
        req->x.close = true;
        http_count_error(req, LEAT_HTTP_ERROR_BODY_TOO_LARGE);
        http_fail(req, 413, leat_http_error_sentence(LEAT_HTTP_ERROR_BODY_TOO_LARGE));
    } else if (unlikely(head->is_https)) { /* no connection of ours is secured */
        http_fail(req, 421, "the target's scheme is https, the connection is not (RFC 9110 7.4)");
    } else {
        http_run_handlers(req);
    }
}
