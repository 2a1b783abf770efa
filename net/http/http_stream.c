/* Bodies as streams: views that hang on a request, and go with it. */
#include <leat/http_stream.h>

#include <errno.h>

#include "runtime/base/core.h"
#include "runtime/base/list.h"

struct body_stream {
    struct leat_stream stream; /* first */
    struct leat_lender lender; /* of pieces that are kept */
    struct leat_request *req;  /* NULL: it has ended */
    leat_conn conn;
    bool is_ending; /* of a response: leat_response_end was called */
};

static const char readable_key, writable_key;

static struct body_stream *body_of(struct leat_stream *stream)
{
    return container_of(stream, struct body_stream, stream);
}

/* The request has ended. */
static void body_gone(void *value)
{
    struct body_stream *body = value;
    body->req = NULL;
    if (!body->is_ending)
        leat_stream_destroy(&body->stream, leat_nothing());
    leat_stream_unref(&body->stream);
}

static struct body_stream *body_new(struct leat_request *req, const struct leat_stream_class *of,
                                    const char *key)
{
    struct leat_stream *stream = NULL;
    if (leat_request_attachment(req, key) != NULL)
        (void)leat_fail(&leat_core_now->error, -EALREADY, "this request has its stream already");
    else
        stream = leat_stream_new(leat_request_loop(req), of, NULL);
    if (stream == NULL)
        return NULL;
    struct body_stream *body = body_of(stream);
    body->req = req;
    body->conn = leat_request_conn(req);
    (void)leat_stream_ref(stream); /* the request's */
    int result = leat_request_attach(req, key, body, body_gone);
    if (result == 0) {
        (void)leat_request_defer(req);
        return body;
    }
    (void)leat_fail(&leat_core_now->error, result,
                    "no stream of a request that has ended, or is "
                    "full");
    leat_stream_unref(stream);
    return NULL;
}

static void body_give_up(struct body_stream *body, const char *key, int code)
{
    struct leat_request *req = body->req;
    (void)leat_fail(&leat_core_now->error, code, "the body of this request has a reader already");
    (void)leat_request_attach(req, key, NULL, NULL);
    leat_stream_unref(&body->stream);
}

/* ---- the request's ---- */

static int piece_keep(struct leat_lender *lender, struct leat_chunk *chunk)
{
    struct body_stream *body = container_of(lender, struct body_stream, lender);
    struct leat_held held = leat_request_hold(body->req, chunk->buf);
    if (held.buf.data == NULL)
        return -ENOMEM;
    chunk->buf = held.buf;
    chunk->flags = 0;
    if (held.conn.id == 0)
        chunk->lender = NULL; /* a copy, and the chunk's own */
    else
        (void)leat_stream_ref(&body->stream);
    return 0;
}

static void piece_give(struct leat_lender *lender, struct leat_chunk *chunk)
{
    struct body_stream *body = container_of(lender, struct body_stream, lender);
    leat_held_release((struct leat_held){chunk->buf, body->conn});
    leat_stream_unref(&body->stream);
}

static void body_on_piece(struct leat_request *req, struct leat_buf piece)
{
    struct body_stream *body = leat_request_attachment(req, &readable_key);
    if (body == NULL || leat_stream_is_destroyed(&body->stream))
        return; /* discarded */
    struct leat_chunk chunk = leat_chunk_buf(piece);
    chunk.lender = &body->lender;
    chunk.flags = LEAT_CHUNK_BORROWED;
    if (leat_push(&body->stream, &chunk, 1) == 1)
        leat_request_pause(req);
}

static int body_on_end(struct leat_request *req)
{
    struct body_stream *body = leat_request_attachment(req, &readable_key);
    if (body != NULL) {
        body->is_ending = true;
        leat_push_end(&body->stream);
    }
    return 0;
}

static void request_read(struct leat_stream *stream, unsigned takes)
{
    if (body_of(stream)->req != NULL)
        leat_request_resume(body_of(stream)->req);
}

static void request_destroy(struct leat_stream *stream)
{
    if (body_of(stream)->req != NULL)
        leat_request_resume(body_of(stream)->req); /* what still comes is discarded */
    leat_stream_destroyed(stream, leat_nothing());
}

static const struct leat_stream_class request_class = {
    .name = "request",
    .length_bytes = sizeof(struct body_stream),
    .gives = LEAT_CHUNK_BYTES,
    .read = request_read,
    .destroy = request_destroy,
};

struct leat_stream *leat_request_readable(struct leat_request *req)
{
    struct body_stream *body = body_new(req, &request_class, &readable_key);
    if (body == NULL)
        return NULL;
    body->lender = (struct leat_lender){piece_keep, piece_give};
    int result = leat_request_on_body(req, body_on_piece, body_on_end);
    if (result != 0) {
        body_give_up(body, &readable_key, result);
        return NULL;
    }
    leat_request_pause(req); /* until it is read */
    return &body->stream;
}

/* ---- the response's ---- */

static int response_begin(struct leat_request *req)
{
    return leat_request_is_answered(req) ? 0
                                         : leat_response_begin(req, 200, NULL, LEAT_LENGTH_UNKNOWN);
}

static int response_send(struct leat_request *req, const struct leat_chunk *chunk)
{
    struct leat_chunk seen = *chunk, own;
    int result = response_begin(req);
    if (result < 0)
        return result;
    if (chunk->kind == LEAT_CHUNK_RANGE)
        return leat_response_write_file(req, chunk->file, chunk->offset_bytes, chunk->length_bytes);
    if (leat_chunk_keep(&seen, &own) != 0)
        return -ENOMEM;
    struct leat_buf piece = leat_buf_ref(own.buf); /* from here on the send queue bounds it */
    leat_chunk_drop(&own);
    result = leat_response_write(req, piece);
    if (result == -EAGAIN)
        leat_buf_unref(piece);
    return result;
}

static void response_write(struct leat_stream *stream, const struct leat_chunk *chunks,
                           unsigned count)
{
    struct body_stream *body = body_of(stream);
    int result = body->req != NULL ? response_send(body->req, &chunks[0]) : -EPIPE;
    leat_stream_wrote(stream, result < 0 ? leat_failure(result, NULL) : leat_number(result));
}

static int response_on_writable(struct leat_request *req)
{
    struct body_stream *body = leat_request_attachment(req, &writable_key);
    if (body != NULL)
        leat_stream_drained(&body->stream);
    return 0;
}

static void response_final(struct leat_stream *stream)
{
    struct body_stream *body = body_of(stream);
    struct leat_request *req = body->req;
    int result = req != NULL ? response_begin(req) : -EPIPE;
    if (result == 0) {
        body->is_ending = true;
        result = leat_response_end(req);
    }
    leat_stream_wrote(stream, result < 0 ? leat_failure(result, NULL) : leat_nothing());
}

static void response_destroy(struct leat_stream *stream)
{
    struct body_stream *body = body_of(stream);
    if (body->req != NULL && !body->is_ending && leat_request_is_answered(body->req))
        (void)leat_conn_abort(body->conn);
    leat_stream_destroyed(stream, leat_nothing());
}

static const struct leat_stream_class response_class = {
    .name = "response",
    .length_bytes = sizeof(struct body_stream),
    .takes = LEAT_CHUNK_BYTES | LEAT_CHUNK_RANGE,
    .chunks_max = 1,
    .engine = "send_file",
    .write = response_write,
    .final = response_final,
    .destroy = response_destroy,
};

struct leat_stream *leat_response_writable(struct leat_request *req)
{
    struct body_stream *body = body_new(req, &response_class, &writable_key);
    if (body == NULL)
        return NULL;
    leat_response_on_writable(req, response_on_writable);
    return &body->stream;
}
