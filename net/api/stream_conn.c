/* Connections as streams: callbacks become pushes, writes become sends. */
#include <leat/stream_conn.h>

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"

#define CONN_BUFS_ON_STACK 32
#define CONN_COPY_BYTES    1024  /* a lent slice up to this is copied: it would pin a whole block */
#define CONN_PINNED_BYTES  65536 /* with so much queued, lent slices are copied */

struct conn_stream {
    struct leat_stream stream; /* first */
    struct leat_lender lender;
    leat_conn conn;
    bool has_ended; /* leat_conn_end was called */
    bool is_gone;   /* on_close has come */
};

static struct conn_stream *conn_of(struct leat_stream *stream)
{
    return container_of(stream, struct conn_stream, stream);
}

/* ---- lending ---- */

/* A held slice keeps the stream, through which it is given back. */
static int conn_keep(struct leat_lender *lender, struct leat_chunk *chunk)
{
    struct conn_stream *c = container_of(lender, struct conn_stream, lender);
    struct leat_buf held = leat_conn_hold(c->conn, chunk->buf);
    if (held.data == NULL)
        return -ENOMEM;
    (void)leat_stream_ref(&c->stream);
    chunk->buf = held;
    chunk->flags = 0;
    return 0;
}

static void conn_give(struct leat_lender *lender, struct leat_chunk *chunk)
{
    struct conn_stream *c = container_of(lender, struct conn_stream, lender);
    leat_conn_release(c->conn, chunk->buf);
    leat_stream_unref(&c->stream);
}

/* ---- what the connection says ---- */

static void conn_on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct conn_stream *c = user;
    struct leat_chunk chunks[CONN_BUFS_ON_STACK];
    for (unsigned done = 0; done < count;) {
        unsigned part = 0;
        for (; part < CONN_BUFS_ON_STACK && done < count; part++) {
            chunks[part] = leat_chunk_buf(slices[done++]);
            chunks[part].lender = &c->lender;
            chunks[part].flags = LEAT_CHUNK_BORROWED;
        }
        if (leat_push(&c->stream, chunks, part) != 0)
            (void)leat_conn_pause(conn); /* read resumes it */
    }
}

static void conn_on_end(leat_conn conn, void *user)
{
    leat_push_end(&((struct conn_stream *)user)->stream);
}

static void conn_on_writable(leat_conn conn, void *user)
{
    leat_stream_drained(&((struct conn_stream *)user)->stream);
}

/* What a close means for who reads or writes; 0: an end that this side asked for, or both. */
static const int close_codes[LEAT_CLOSE_REASON_COUNT] = {
    [LEAT_CLOSE_RESET] = -ECONNRESET,          [LEAT_CLOSE_TIMEOUT] = -ETIMEDOUT,
    [LEAT_CLOSE_REFUSED] = -ECONNREFUSED,      [LEAT_CLOSE_UNREACHABLE] = -EHOSTUNREACH,
    [LEAT_CLOSE_CONNECT_TIMEOUT] = -ETIMEDOUT, [LEAT_CLOSE_PEER_GONE] = -ETIMEDOUT,
    [LEAT_CLOSE_PROTOCOL] = -EPROTO,           [LEAT_CLOSE_FILE] = -EIO,
    [LEAT_CLOSE_NO_MEMORY] = -ENOMEM,          [LEAT_CLOSE_ADDRESS_GONE] = -EADDRNOTAVAIL,
    [LEAT_CLOSE_NO_PORTS] = -EADDRNOTAVAIL,
};

static void conn_on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct conn_stream *c = user;
    struct leat_result why = leat_nothing();
    c->is_gone = true;
    if (leat_stream_is_destroyed(&c->stream)) {
        leat_stream_destroyed(&c->stream, why);
    } else {
        if (close_codes[reason] < 0)
            why = leat_failure(close_codes[reason], "%s", leat_close_reason_sentence(reason));
        leat_stream_destroy(&c->stream, why);
    }
    leat_stream_unref(&c->stream); /* the connection's */
}

static const struct leat_conn_ops conn_stream_ops = {
    .on_data = conn_on_data,
    .on_writable = conn_on_writable,
    .on_end = conn_on_end,
    .on_close = conn_on_close,
};

/* ---- what the stream asks ---- */

static void conn_read(struct leat_stream *stream, unsigned takes)
{
    (void)leat_conn_resume(conn_of(stream)->conn);
}

static bool slice_is_copied(const struct conn_stream *c, const struct leat_chunk *chunk)
{
    struct leat_conn_info info;
    if (chunk->lender == NULL)
        return false;
    return chunk->buf.length_bytes <= CONN_COPY_BYTES ||
           (leat_conn_info(c->conn, &info) == 0 && info.queued_bytes > CONN_PINNED_BYTES);
}

/* A reference of the send queue's own. What is borrowed is held for as long as that takes: from
 * then on the send queue bounds it, not the window. data NULL: memory is out. */
static struct leat_buf chunk_ref(const struct conn_stream *c, const struct leat_chunk *chunk)
{
    struct leat_chunk seen = *chunk, own;
    if (slice_is_copied(c, chunk))
        return leat_buf_from_bytes(chunk->buf.data, chunk->buf.length_bytes);
    if ((chunk->flags & LEAT_CHUNK_BORROWED) == 0)
        return leat_buf_ref(chunk->buf);
    if (leat_chunk_keep(&seen, &own) != 0)
        return (struct leat_buf){0};
    struct leat_buf buf = leat_buf_ref(own.buf);
    leat_chunk_drop(&own);
    return buf;
}

/* 0, or -ENOMEM and none was made. */
static int bufs_fill(const struct conn_stream *c, struct leat_buf *bufs,
                     const struct leat_chunk *chunks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        bufs[i] = chunk_ref(c, &chunks[i]);
        if (bufs[i].data != NULL || chunks[i].buf.length_bytes == 0)
            continue;
        while (i-- > 0)
            leat_buf_unref(bufs[i]);
        return -ENOMEM;
    }
    return 0;
}

static int bufs_send(const struct conn_stream *c, struct leat_buf *bufs,
                     const struct leat_chunk *chunks, unsigned count)
{
    int result = bufs_fill(c, bufs, chunks, count);
    if (result != 0)
        return result;
    result = leat_conn_send(c->conn, bufs, count);
    for (unsigned i = 0; result < 0 && i < count; i++)
        leat_buf_unref(bufs[i]);
    return result;
}

static int chunks_send(const struct conn_stream *c, const struct leat_chunk *chunks, unsigned count)
{
    struct leat_buf few[CONN_BUFS_ON_STACK];
    if (chunks[0].kind == LEAT_CHUNK_RANGE) /* it comes alone */
        return leat_conn_send_file(c->conn, chunks[0].file, chunks[0].offset_bytes,
                                   chunks[0].length_bytes);
    if (count <= CONN_BUFS_ON_STACK)
        return bufs_send(c, few, chunks, count);
    struct leat_buf *many = leat_heap_alloc(count * sizeof(*many));
    int result = many != NULL ? bufs_send(c, many, chunks, count) : -ENOMEM;
    leat_heap_free(many);
    return result;
}

static void conn_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    const struct conn_stream *c = conn_of(stream);
    int result = chunks_send(c, chunks, count);
    if (result == 1)
        (void)leat_conn_want_writable(c->conn);
    leat_stream_wrote(stream, result < 0 ? leat_failure(result, NULL) : leat_number(result));
}

static void conn_final(struct leat_stream *stream)
{
    struct conn_stream *c = conn_of(stream);
    int result = leat_conn_end(c->conn);
    c->has_ended = true;
    leat_stream_wrote(stream, result < 0 ? leat_failure(-EPIPE, NULL) : leat_nothing());
}

static void conn_destroy(struct leat_stream *stream)
{
    struct conn_stream *c = conn_of(stream);
    if (c->is_gone)
        leat_stream_destroyed(stream, leat_nothing());
    else if (c->has_ended && leat_stream_error(stream) == NULL)
        (void)leat_conn_close(c->conn);
    else
        (void)leat_conn_abort(c->conn);
}

static const struct leat_stream_class conn_stream_class = {
    .name = "connection",
    .length_bytes = sizeof(struct conn_stream),
    .gives = LEAT_CHUNK_BYTES,
    .takes = LEAT_CHUNK_BYTES | LEAT_CHUNK_RANGE,
    .engine = "send_file",
    .read = conn_read,
    .write = conn_write,
    .final = conn_final,
    .destroy = conn_destroy,
};

struct leat_stream *leat_conn_stream(leat_conn conn, const struct leat_stream_options *options)
{
    struct leat_core *core = leat_core_now;
    struct leat_stream *stream =
        core != NULL ? leat_stream_new(core->loop, &conn_stream_class, options) : NULL;
    if (stream == NULL)
        return NULL;
    struct conn_stream *c = conn_of(stream);
    c->lender = (struct leat_lender){conn_keep, conn_give};
    c->conn = conn;
    (void)leat_stream_ref(stream); /* the connection's */
    int result = leat_conn_set(conn, &conn_stream_ops, c);
    if (result == 0)
        return stream;
    (void)leat_fail(&core->error, result, "no stream of a connection that is gone");
    c->is_gone = true;
    leat_stream_destroy(stream, leat_nothing());
    leat_stream_unref(stream);
    leat_stream_unref(stream);
    return NULL;
}
