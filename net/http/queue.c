/* Deadlines of connections. All connections in a queue wait equally long, so appending keeps the
 * queue in order of time, and one timer per queue, set to its first, serves any number. The timer
 * is not moved when the first leaves early: it finds out when it fires. */
#include "net/http/http_internal.h"

static void queue_arm(struct http_queue *queue)
{
    if (queue->is_armed || !queue->first || queue->duration_ns == LEAT_HTTP_NEVER)
        return;
    queue->is_armed = true;
    leat_timer_start_at(&queue->timer, queue->first->since_ns + queue->duration_ns);
}

static void queue_on_timer(struct leat_timer *timer, void *arg)
{
    struct http_queue *queue = arg;
    struct leat_http *http = queue->http;
    uint64_t now_ns = leat_loop_now(http->loop);

    queue->is_armed = false;
    http->calls++; /* an error handler that frees the server does not free it under our feet */
    for (unsigned count = 0; count < HTTP_EXPIRED_PER_TURN; count++) {
        struct http_conn *conn = queue->first;
        if (!conn || now_ns - conn->since_ns < queue->duration_ns ||
            !leat_loop_has_heard(http->loop, conn->since_ns + queue->duration_ns))
            break;
        http_conn_expire(conn, now_ns);
    }
    queue_arm(queue);
    http->calls--;
    http_server_settle(http);
}

void http_queue_init(struct http_queue *queue, struct leat_http *http, uint64_t duration_ns)
{
    *queue = (struct http_queue){.http = http, .duration_ns = duration_ns};
    leat_timer_init(&queue->timer, http->loop, queue_on_timer, queue);
    leat_timer_unref(&queue->timer);
}

void http_queue_remove(struct http_conn *conn)
{
    struct http_queue *queue = &conn->http->queues[conn->queue];

    if (conn->prev)
        conn->prev->next = conn->next;
    else
        queue->first = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    else
        queue->last = conn->prev;
    queue->count--;
}

void http_queue_push(struct http_conn *conn, enum http_queue_number number, uint64_t now_ns)
{
    struct http_queue *queue = &conn->http->queues[number];

    conn->queue = (uint8_t)number;
    conn->since_ns = now_ns;
    conn->next = NULL;
    conn->prev = queue->last;
    if (queue->last)
        queue->last->next = conn;
    else
        queue->first = conn;
    queue->last = conn;
    queue->count++;
    queue_arm(queue);
}
