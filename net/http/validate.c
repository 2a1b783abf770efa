/* The rules of connections and exchanges (http_internal.h, exchange_internal.h) as checks: for
 * tests, and after every event in builds with LEAT_DCHECK. */
#include "net/http/http_internal.h"

struct rule {
    bool is_broken;
    const char *text;
};

static const char *rules_check(const struct rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rules[i].is_broken)
            return rules[i].text;
    return NULL;
}
#define RULES_CHECK(rules) rules_check(rules, sizeof(rules) / sizeof((rules)[0]))

static bool kept_is_empty(const struct http_kept *kept)
{
    return kept->head.data == NULL && kept->path.data == NULL && kept->query.data == NULL &&
           kept->body.data == NULL && kept->headers.data == NULL && kept->trailers.data == NULL;
}

static const char *exchange_validate(const struct leat_request *req)
{
    const struct http_exchange *x = &req->x;
    bool is_reading = x->reader == HTTP_READER_COLLECT || x->reader == HTTP_READER_STREAM;
    bool has_extras = x->has_type || x->has_upgrade;
    const struct rule rules[] = {
        {x->ended && !x->begun, "ended, but not begun"},
        {x->chunked && !x->begun, "chunked, but not begun"},
        {x->chunked && x->has_length, "chunked, and of a known length"},
        {x->no_body && !x->begun, "without a body, but not begun"},
        {x->want_writable && !x->begun, "waits to write, but has not begun"},
        {x->is_full && !x->want_writable, "full, and does not wait to write"},
        {x->is_broken && !x->close, "broken, and the connection is to go on"},
        {x->has_failed && !x->begun, "failed behind its answer, but not begun"},
        {x->is_failing, "the error handler runs between two events"},
        {is_reading && !x->had_reader, "a reader that was not started"},
        {has_extras && req->kept.headers.data == NULL, "of extra headers that are not there"},
        {!x->has_bufs && !kept_is_empty(&req->kept), "keeps buffers without saying so"},
        {x->handles != 0 && x->ended && req->phase == HTTP_PHASE_EXCHANGE,
         "can be answered later, or is a task's, and was answered"},
        {req->phase == HTTP_PHASE_HELD && !(http_request_is_pinned(req) && x->ended),
         "held, and not a task's that was answered"},
    };

    return RULES_CHECK(rules);
}

static const char *request_validate(const struct http_conn *conn, const struct leat_request *req)
{
    bool is_open = req->x.is_open;
    const struct rule rules[] = {
        {req->conn != conn, "a request of another connection"},
        {req->in_pump, "the pump runs between two events"},
        {req->input != NULL || req->more_count != 0, "input outside of the pump (I3)"},
        {req->is_blocked && http_out_is_empty(req), "blocked with nothing to send"},
        {req->phase == HTTP_PHASE_HEAD && is_open, "an exchange that is open between two"},
        {req->phase == HTTP_PHASE_EXCHANGE && !is_open, "an exchange that is not open"},
        {req->phase == HTTP_PHASE_HELD && !is_open, "held, and not open"},
        {req->phase == HTTP_PHASE_GONE, "gone, and still a connection's"},
        {req->phase <= HTTP_PHASE_EXCHANGE && conn->flags & HTTP_CONN_ABORTED,
         "aborted, and in a phase that goes on"},
        {req->phase <= HTTP_PHASE_EXCHANGE && conn->flags & HTTP_CONN_LAST &&
             !(conn->flags & HTTP_CONN_CLOSING),
         "behind the last request, and not closing"},
    };
    const char *broken = RULES_CHECK(rules);

    return broken == NULL && is_open ? exchange_validate(req) : broken;
}

const char *http_conn_validate(const struct http_conn *conn)
{
    bool is_idle = conn->request == NULL;
    const struct rule rules[] = {
        {conn->queue >= HTTP_QUEUE_COUNT, "in no queue (I1)"},
        {conn->flags & HTTP_CONN_ABORTED && !(conn->flags & HTTP_CONN_CLOSING),
         "aborted, and not closing"},
        {is_idle && conn->queue != HTTP_QUEUE_KEEPALIVE && conn->queue != HTTP_QUEUE_WRITE,
         "idle in a queue of those that are not (I2)"},
        {!is_idle && conn->queue == HTTP_QUEUE_KEEPALIVE, "busy in the queue of the idle (I2)"},
    };
    const char *broken = RULES_CHECK(rules);

    return broken == NULL && !is_idle ? request_validate(conn, conn->request) : broken;
}

static const char *queue_validate(const struct leat_http *http, unsigned number)
{
    const struct http_queue *queue = &http->queues[number];
    const struct http_conn *last = NULL;
    uint64_t count = 0;

    for (const struct http_conn *conn = queue->first; conn != NULL; conn = conn->next) {
        const struct rule rules[] = {
            {conn->queue != number, "in one queue, and said to be in another (I1)"},
            {conn->prev != last, "a queue whose links do not agree"},
            {last != NULL && last->since_ns > conn->since_ns, "a queue that is out of order"},
            {conn->http != http, "a connection of another server"},
        };
        const char *broken = RULES_CHECK(rules);
        broken = broken == NULL ? http_conn_validate(conn) : broken;
        if (broken != NULL)
            return broken;
        last = conn;
        count++;
    }
    return count != queue->count || queue->last != last ? "a queue that is miscounted (I1)" : NULL;
}

const char *http_server_validate(const struct leat_http *http)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HTTP_QUEUE_COUNT; i++) {
        const char *broken = queue_validate(http, i);
        if (broken != NULL)
            return broken;
        count += http->queues[i].count;
    }
    return count != http->connections_now ? "connections in no queue (I1)" : NULL;
}
