/* Upgrade (RFC 9110 7.8): the 101, and the connection to who speaks the other protocol. */
#include "net/http/reply_internal.h"

#include <errno.h>

static bool list_has_token(struct leat_view list, const char *token)
{
    const char *end = list.data + list.length_bytes;

    for (const char *at = list.data; at < end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        const char *next = comma ? comma + 1 : end;
        for (; at < stop && (*at == ' ' || *at == '\t'); at++)
            continue;
        for (; stop > at && (stop[-1] == ' ' || stop[-1] == '\t'); stop--)
            continue;
        if (leat_view_equal_nocase((struct leat_view){at, (size_t)(stop - at)}, token))
            return true;
        at = next;
    }
    return false;
}

bool leat_request_wants_upgrade(const struct leat_request *req, const char *protocol)
{
    if (req->x.is_broken || !req->head.upgrade)
        return false;
    for (int at = -1; (at = http_field_next(&req->head, HTTP_UPGRADE, (unsigned)(at + 1))) >= 0;)
        if (list_has_token(http_request_view(req, req->head.fields[at].value), protocol))
            return true;
    return false;
}

static size_t rest_copy(uint8_t *to, const uint8_t *from, size_t bytes)
{
    if (bytes)
        memcpy(to, from, bytes);
    return bytes;
}

/* Everything that was read behind the request. */
static int rest_copy_all(struct leat_request *req, struct leat_buf *rest)
{
    size_t input = (size_t)(req->input_end - req->input), bytes = input, at;
    struct http_backlog *backlog = &req->backlog;

    if (!req->in_pump)
        bytes = backlog->end - backlog->begin;
    for (unsigned i = 0; i < req->more_count; i++)
        bytes += req->more[i].length_bytes;
    *rest = (struct leat_buf){0};
    if (bytes == 0)
        return 0;
    *rest = leat_buf_alloc_unsafe(bytes);
    if (!rest->data)
        return -ENOMEM;
    if (req->in_pump)
        at = rest_copy(rest->data, req->input, input);
    else
        at = rest_copy(rest->data, backlog->buf.data + backlog->begin,
                       backlog->end - backlog->begin);
    for (unsigned i = 0; i < req->more_count; i++)
        at += rest_copy(rest->data + at, req->more[i].data, req->more[i].length_bytes);
    return 0;
}

static int respond_switch(struct leat_request *req, const char *protocol)
{
    struct http_exchange *x = &req->x;
    struct leat_http *http = req->http;
    size_t length = strlen(protocol);

    if (x->bad_header || length > 64)
        return -EINVAL;
    http_prefix_refresh(http);
    uint8_t *start = http_out_reserve(req, HTTP_REPLY_BYTES_MAX + req->kept.headers.length_bytes),
            *to;
    if (!start)
        return -ENOMEM;
    to = http_put_status(start, 101);
    to = http_put(to, http->prefix, http->prefix_bytes);
    to = HTTP_PUT(to, "Connection: upgrade\r\nUpgrade: ");
    to = http_put(to, protocol, length);
    to = HTTP_PUT(to, "\r\n");
    if (req->kept.headers.data)
        to = http_put(to, req->kept.headers.data, req->kept.headers.length_bytes);
    to = HTTP_PUT(to, "\r\n");
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

int leat_request_upgrade(struct leat_request *req, const char *protocol,
                         const struct leat_conn_ops *ops, void *user, struct leat_buf *rest)
{
    struct http_conn *conn = req->conn;

    if (req->x.begun)
        return -EALREADY;
    if (req->phase != HTTP_PHASE_EXCHANGE)
        return -EPIPE;
    if (!leat_request_wants_upgrade(req, protocol) || !req->x.body_done)
        return -EPROTO;
    http_out_flush(req);
    if (req->phase != HTTP_PHASE_EXCHANGE)
        return -EPIPE;
    if (req->is_blocked)
        return -ENOMEM;
    int result = rest_copy_all(req, rest);
    if (!result)
        result = respond_switch(req, protocol);
    if (!result) {
        leat_conn handle = conn->conn;
        bool was_paused = req->conn_paused;
        req->core->stats.upgrades_count++;
        result = http_conn_detach(conn, ops, user);
        if (was_paused)
            (void)leat_conn_resume(handle);
    }
    if (result) {
        leat_buf_unref(*rest);
        *rest = (struct leat_buf){0};
    }
    return result;
}
