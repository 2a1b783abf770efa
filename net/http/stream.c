/* Responses that are written piece by piece. */
#include "net/http/reply_internal.h"

#include <errno.h>
#include <leat/log.h>

#define OUT_COUNT_HIGH (HTTP_OUT_MAX - 4)

int leat_response_begin(struct leat_request *req, int status, const char *type,
                        uint64_t length_bytes)
{
    struct http_reply reply = {status, type ? HTTP_TYPE_OWN : HTTP_TYPE_NONE, type, length_bytes};
    uint8_t *to = NULL;
    int result = http_reply_begin(req, &reply, 0, &to);

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
static int stream_check(struct leat_request *req)
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
    x->want_writable = req->is_blocked || x->is_full;
    return x->want_writable ? -EAGAIN : 0;
}

/* The end of a write that was accepted: its result. Small pieces that a handler writes within the
 * pump go together, at its end. */
static int stream_done(struct leat_request *req)
{
    struct http_exchange *x = &req->x;

    if (req->in_pump && req->out_count <= OUT_COUNT_HIGH && http_out_bytes(req) < HTTP_GATHER_BYTES)
        return 0;
    int result = http_out_flush(req);
    if (req->phase == HTTP_PHASE_EXCHANGE && result == 1) {
        x->want_writable = x->is_full = true;
        if (!req->is_blocked)
            (void)leat_conn_want_writable(req->conn->conn);
    }
    if (!req->in_pump && (result == 1 || req->phase != HTTP_PHASE_EXCHANGE))
        http_conn_settle(req->conn);
    return result;
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
    return HTTP_PUT(to, "\r\n");
}

/* What stands before a piece: its size, and the end of the piece before. */
static int chunk_open(struct leat_request *req, uint64_t bytes, size_t room, uint8_t **to)
{
    uint8_t *start = http_out_reserve(req, room + 24);

    if (!start)
        return -ENOMEM;
    *to = start;
    if (req->x.chunked && req->x.sent_bytes)
        *to = HTTP_PUT(*to, "\r\n");
    if (req->x.chunked)
        *to = put_chunk_size(*to, bytes);
    http_out_advance(req, (size_t)(*to - start));
    return 0;
}

/* Counts a piece of that length. Returns 1 when there is something to send. */
static int stream_count(struct leat_request *req, uint64_t bytes)
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
    int result = stream_check(req);

    if (result)
        return result;
    if (length_bytes > HTTP_COPY_BYTES_MAX) {
        struct leat_buf piece = leat_buf_from_bytes(bytes, length_bytes);
        return piece.data ? leat_response_write(req, piece) : http_reply_broken(req);
    }
    result = stream_count(req, length_bytes);
    if (result <= 0)
        return result;
    if (chunk_open(req, length_bytes, length_bytes, &to))
        return http_reply_broken(req);
    memcpy(to, bytes, length_bytes);
    http_out_advance(req, length_bytes);
    req->x.sent_bytes += length_bytes;
    return stream_done(req);
}

int leat_response_write(struct leat_request *req, struct leat_buf piece)
{
    uint8_t *to;
    int result = stream_check(req);

    if (result == -EAGAIN)
        return result;
    if (!result)
        result = stream_count(req, piece.length_bytes);
    if (result > 0 && chunk_open(req, piece.length_bytes, 0, &to))
        result = http_reply_broken(req);
    if (result <= 0) {
        leat_buf_unref(piece);
        return result;
    }
    http_out_push(req, piece);
    req->x.sent_bytes += piece.length_bytes;
    return stream_done(req);
}

int leat_response_write_file(struct leat_request *req, struct leat_file *file,
                             uint64_t offset_bytes, uint64_t length_bytes)
{
    uint8_t *to;
    int result = stream_check(req);

    if (!result)
        result = stream_count(req, length_bytes);
    if (result <= 0)
        return result;
    if (chunk_open(req, length_bytes, 0, &to))
        return http_reply_broken(req);
    http_out_push_file(req, file, offset_bytes, length_bytes);
    req->x.sent_bytes += length_bytes;
    return stream_done(req);
}

void leat_response_on_writable(struct leat_request *req, leat_handler *on_writable)
{
    req->x.on_writable = on_writable;
}

static int chunks_end(struct leat_request *req)
{
    struct http_exchange *x = &req->x;
    uint8_t *start = http_out_reserve(req, req->kept.trailers.length_bytes + 16), *to = start;

    if (!start)
        return http_reply_broken(req);
    if (x->sent_bytes)
        to = HTTP_PUT(to, "\r\n");
    to = HTTP_PUT(to, "0\r\n");
    if (req->kept.trailers.data)
        to = http_put(to, req->kept.trailers.data, req->kept.trailers.length_bytes);
    to = HTTP_PUT(to, "\r\n");
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
        result = chunks_end(req);
    if (!result)
        http_response_finish(req);
    return result;
}
