/* Bodies of requests: framing (RFC 9112 6.3, 7.1), and who reads them: nobody yet, a collector, the
 * application piece by piece, or, after the answer, nobody again: it is discarded. */
#include "net/http/http_internal.h"

#include <errno.h>

void http_body_expect(struct leat_request *req)
{
    struct http_exchange *x = &req->x;

    x->framing = (uint8_t)http_framing_of(&req->head, LEAT_METHOD_OTHER);
    x->body_left_bytes = req->head.content_length;
    x->body_done = x->framing == HTTP_BODY_NONE || (!req->head.chunked && !x->body_left_bytes);
}

static bool chunk_state_open(struct leat_request *req)
{
    struct http_chunk_state *state = leat_heap_alloc(sizeof(*state));

    if (!state)
        return false;
    req->chunk = state;
    http_chunked_init(&state->chunked, &req->http->limits, &state->trailers, state->area,
                      sizeof(state->area));
    return true;
}

/* ---- Failing while the application waits for the rest ---- */

static enum http_feed body_fail(struct leat_request *req, int status, enum leat_http_error error,
                                const char *sentence)
{
    bool had_begun = req->x.begun;

    http_count_error(req, error);
    http_exchange_abort(req);
    if (had_begun && !req->x.ended)
        http_conn_abort(req->conn);
    else if (!had_begun)
        http_fail(req, status, sentence);
    return HTTP_FEED_DONE;
}

static enum http_feed body_too_large(struct leat_request *req)
{
    return body_fail(req, 413, LEAT_HTTP_ERROR_BODY_TOO_LARGE,
                     leat_http_error_sentence(LEAT_HTTP_ERROR_BODY_TOO_LARGE));
}

/* ---- Collecting ---- */

static int collect_grow(struct leat_request *req, size_t bytes)
{
    struct http_exchange *x = &req->x;
    size_t size = x->body_capacity ? x->body_capacity * 2 : 4096;

    while (size < bytes)
        size *= 2;
    if (size > x->body_limit_bytes)
        size = x->body_limit_bytes;
    struct leat_buf grown = leat_buf_alloc_unsafe(size);
    if (!grown.data)
        return -ENOMEM;
    if (x->body_bytes)
        memcpy(grown.data, x->body, x->body_bytes);
    leat_buf_unref(req->kept.body);
    x->has_bufs = true;
    req->kept.body = grown;
    x->body_capacity = size;
    x->body = grown.data;
    return 0;
}

/* A body that lies in one piece is not copied: it is kept, if need be, with the other views. */
static int body_collect(struct leat_request *req, const uint8_t *bytes, size_t length, bool is_all)
{
    struct http_exchange *x = &req->x;

    if (is_all && x->body_bytes == 0) {
        x->body = bytes;
        x->body_bytes = length;
        return 0;
    }
    if (x->body_bytes + length > x->body_capacity && collect_grow(req, x->body_bytes + length))
        return -ENOMEM;
    memcpy(req->kept.body.data + x->body_bytes, bytes, length);
    x->body_bytes += length;
    req->kept.body.length_bytes = x->body_bytes;
    return 0;
}

/* ---- Feeding ---- */

static enum http_feed piece_deliver(struct leat_request *req, const uint8_t *bytes, size_t length)
{
    struct http_exchange *x = &req->x;
    struct leat_http *http = req->http;
    bool is_all = x->framing == HTTP_BODY_LENGTH && length == req->head.content_length;

    x->body_seen_bytes += length;
    req->core->stats.received_bytes += length;
    if (x->reader == HTTP_READER_DISCARD) {
        x->discarded_bytes += length;
        if (x->discarded_bytes > http->options.discard_bytes_max)
            http_conn_close(req->conn);
        return HTTP_FEED_DONE;
    }
    if (x->body_seen_bytes > x->body_limit_bytes)
        return body_too_large(req);
    if (x->reader == HTTP_READER_COLLECT) {
        if (body_collect(req, bytes, length, is_all))
            return body_fail(req, 503, LEAT_HTTP_ERROR_NO_MEMORY,
                             leat_http_error_sentence(LEAT_HTTP_ERROR_NO_MEMORY));
        return HTTP_FEED_DONE;
    }
    if (x->on_body) {
        struct leat_buf piece = req->input_slice;
        piece.data = (uint8_t *)(uintptr_t)bytes;
        piece.length_bytes = length;
        x->on_body(req, piece);
        leat_loop_gate(http->loop);
    }
    return HTTP_FEED_DONE;
}

void http_body_unread(struct leat_request *req, size_t bytes)
{
    struct http_exchange *x = &req->x;

    DCHECK(x->paused && req->in_pump);
    req->input -= bytes;
    x->body_seen_bytes -= bytes;
    req->core->stats.received_bytes -= bytes;
    if (x->framing == HTTP_BODY_CHUNKED)
        http_chunked_unread(&req->chunk->chunked, bytes);
    else
        x->body_left_bytes += bytes;
}

static enum http_feed body_complete(struct leat_request *req)
{
    struct http_exchange *x = &req->x;
    leat_handler *then = x->on_body_end;

    x->body_done = true;
    if (x->reader == HTTP_READER_DISCARD || x->ended)
        return HTTP_FEED_DONE;
    x->reader = HTTP_READER_NONE;
    if (then)
        http_call(req, then);
    http_check_charge(req);
    return HTTP_FEED_DONE;
}

static enum http_feed feed_length(struct leat_request *req)
{
    struct http_exchange *x = &req->x;
    const uint8_t *bytes = req->input;
    size_t length = (size_t)(req->input_end - req->input);

    if (length == 0)
        return HTTP_FEED_MORE;
    if (length > x->body_left_bytes)
        length = x->body_left_bytes;
    x->body_left_bytes -= length;
    req->input += length;
    enum http_feed feed = piece_deliver(req, bytes, length);
    if (x->body_left_bytes == 0 && req->phase == HTTP_PHASE_EXCHANGE && !x->body_done)
        return body_complete(req);
    return feed;
}

static enum http_feed feed_chunked(struct leat_request *req)
{
    struct leat_view input = {(const char *)req->input, (size_t)(req->input_end - req->input)};
    struct leat_view payload = {0};

    if (!req->chunk && !chunk_state_open(req))
        return body_fail(req, 503, LEAT_HTTP_ERROR_NO_MEMORY,
                         leat_http_error_sentence(LEAT_HTTP_ERROR_NO_MEMORY));
    if (input.length_bytes == 0)
        return HTTP_FEED_MORE;
    int outcome = http_chunked_decode(&req->chunk->chunked, &input, &payload);
    if (outcome < 0)
        return body_fail(req, -outcome, LEAT_HTTP_ERROR_BAD_REQUEST,
                         http_reason_sentence(req->chunk->chunked.reason));
    req->input = (const uint8_t *)input.data;
    if (outcome == HTTP_CHUNK_DATA)
        return piece_deliver(req, (const uint8_t *)payload.data, payload.length_bytes);
    return outcome == HTTP_CHUNK_END ? body_complete(req) : HTTP_FEED_MORE;
}

/* One step: a piece, or the end. DONE: call again, or look at the phase; MORE: the input is used
 * up; STOP: nobody reads now. */
enum http_feed http_body_feed(struct leat_request *req)
{
    struct http_exchange *x = &req->x;

    if (x->ended && x->reader != HTTP_READER_DISCARD) {
        x->reader = HTTP_READER_DISCARD;
        x->paused = false;
    }
    if (x->paused || x->reader == HTTP_READER_NONE)
        return HTTP_FEED_STOP;
    if (x->framing == HTTP_BODY_NONE)
        return body_complete(req);
    x->body_began |= req->input < req->input_end;
    return x->framing == HTTP_BODY_CHUNKED ? feed_chunked(req) : feed_length(req);
}

/* ---- Views that outlive the input ---- */

static int buf_keep(struct http_exchange *x, struct leat_buf *kept, const uint8_t **bytes,
                    size_t length)
{
    *kept = leat_buf_from_bytes(*bytes, length);
    if (!kept->data)
        return -ENOMEM;
    x->has_bufs = true;
    *bytes = kept->data;
    return 0;
}

static void view_move(struct leat_view *view, const uint8_t *from, size_t length, const uint8_t *to)
{
    uintptr_t offset = (uintptr_t)view->data - (uintptr_t)from;

    if (view->data && offset <= length)
        view->data = (const char *)to + offset;
}

int http_keep_views(struct leat_request *req)
{
    struct http_exchange *x = &req->x;
    const uint8_t *head = x->head_bytes;

    if (x->body_bytes && !req->kept.body.data &&
        buf_keep(x, &req->kept.body, &x->body, x->body_bytes))
        return -ENOMEM;
    if (!head || req->kept.head.data)
        return 0;
    if (buf_keep(x, &req->kept.head, &x->head_bytes, x->head_length))
        return -ENOMEM;
    view_move(&x->path, head, x->head_length, x->head_bytes);
    for (unsigned i = 0; i < req->match.param_count; i++)
        view_move(&req->match.params[i], head, x->head_length, x->head_bytes);
    return 0;
}

/* ---- What applications call ---- */

uint64_t leat_request_content_length(const struct leat_request *req)
{
    if (req->x.framing == HTTP_BODY_CHUNKED)
        return LEAT_LENGTH_UNKNOWN;
    return req->x.framing == HTTP_BODY_LENGTH ? req->head.content_length : 0;
}

/* RFC 9110 10.1.1: asked for, and only while the client may still wait. */
static void send_continue(struct leat_request *req)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (likely(!req->head.expect_continue) || req->x.body_began || req->x.body_done ||
        req->input < req->input_end || req->backlog.buf.data)
        return;
    uint8_t *to = http_out_reserve(req, sizeof(line) - 1);
    req->x.body_began = true;
    if (!to)
        return;
    memcpy(to, line, sizeof(line) - 1);
    http_out_advance(req, sizeof(line) - 1);
    req->core->stats.status_counts[1]++;
}

static int reader_start(struct leat_request *req, enum http_reader reader, leat_body_fn *on_body,
                        leat_handler *on_end)
{
    struct http_exchange *x = &req->x;

    if (req->phase != HTTP_PHASE_EXCHANGE)
        return -EPIPE;
    if (x->had_reader || x->ended)
        return -EALREADY;
    x->had_reader = true;
    x->reader = (uint8_t)reader;
    x->on_body = on_body;
    x->on_body_end = on_end;
    send_continue(req);
    /* A body that is complete has its end called by the pump, as every other one. */
    if (x->body_done) {
        x->body_done = false;
        x->framing = HTTP_BODY_NONE;
    }
    if (!req->in_pump) {
        http_out_flush(req);
        http_request_ready(req);
    }
    return 0;
}

bool http_body_is_coded(const struct leat_request *req)
{
    struct leat_view coding = leat_request_header(req, "content-encoding");

    return coding.data != NULL && !leat_view_equal_nocase(coding, "identity");
}

int http_body_refuse_coding(struct leat_request *req)
{
    (void)leat_response_header(req, "Accept-Encoding", "identity");
    return leat_request_fail(req, 415, "the body has a content coding");
}

static int collect_start(struct leat_request *req, uint64_t limit_bytes, leat_handler *then)
{
    struct http_exchange *x = &req->x;
    uint64_t limit = limit_bytes ? limit_bytes : req->http->options.collect_bytes_max;

    if (x->had_reader || x->ended)
        return -EALREADY;
    if (x->body_limit_bytes > limit)
        x->body_limit_bytes = limit;
    if (http_body_is_coded(req))
        return http_body_refuse_coding(req);
    if (req->head.has_length && req->head.content_length > x->body_limit_bytes) {
        http_count_error(req, LEAT_HTTP_ERROR_BODY_TOO_LARGE);
        return leat_request_fail(req, 413, "the body is larger than what is collected");
    }
    return reader_start(req, HTTP_READER_COLLECT, NULL, then);
}

int leat_request_collect(struct leat_request *req, uint64_t limit_bytes, leat_handler *then)
{
    if (then != NULL)
        return collect_start(req, limit_bytes, then);
    return http_task_wait_body(req, collect_start(req, limit_bytes, http_task_body_there));
}

int leat_request_on_body(struct leat_request *req, leat_body_fn *on_body, leat_handler *on_end)
{
    return reader_start(req, HTTP_READER_STREAM, on_body, on_end);
}

struct leat_view leat_request_body(const struct leat_request *req)
{
    return (struct leat_view){(const char *)req->x.body, req->x.body_bytes};
}

struct leat_buf leat_request_take_body(struct leat_request *req)
{
    if (req->kept.body.data)
        return leat_buf_ref(req->kept.body);
    return leat_buf_from_bytes(req->x.body, req->x.body_bytes);
}

struct leat_held leat_request_hold(struct leat_request *req, struct leat_buf piece)
{
    const struct leat_buf *slice = &req->input_slice;
    bool is_lent = slice->data != NULL && piece.data >= slice->data &&
                   piece.data + piece.length_bytes <= slice->data + slice->length_bytes;

    if (req->conn != NULL && is_lent)
        return (struct leat_held){leat_conn_hold(req->conn->conn, piece), req->conn->conn};
    return (struct leat_held){leat_buf_from_bytes(piece.data, piece.length_bytes), LEAT_CONN_NONE};
}

void leat_held_release(struct leat_held held)
{
    if (!held.buf.data)
        return;
    if (held.conn.id)
        leat_conn_release(held.conn, held.buf);
    else
        leat_buf_unref(held.buf);
}

void leat_request_pause(struct leat_request *req)
{
    req->x.paused = true;
    if (!req->in_pump && req->phase == HTTP_PHASE_EXCHANGE)
        http_conn_settle(req->conn);
}

void leat_request_resume(struct leat_request *req)
{
    if (!req->x.paused)
        return;
    req->x.paused = false;
    if (req->phase == HTTP_PHASE_EXCHANGE && !req->in_pump)
        http_request_ready(req);
}

struct leat_view leat_request_trailer(const struct leat_request *req, const char *name)
{
    const struct http_chunk_state *state = req->chunk;

    if (!state || !req->x.body_done)
        return (struct leat_view){0};
    int index = http_field_find(&state->trailers, state->area, name, 0);
    if (index < 0)
        return (struct leat_view){0};
    return http_view_of(state->area, state->trailers.fields[index].value);
}
