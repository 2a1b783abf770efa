/* Connections as streams: a duplex over the transport's own queues.
 *
 *     struct leat_stream *here = leat_conn_stream(conn, NULL), *there = ...;
 *     leat_call(leat_pipeline((struct leat_stream *[]){here, there}, 2), done, proxy);
 *
 * Writing. The transport's queue is the stream's buffer: a write is answered with 1 when the
 * connection has send_high_bytes queued (C15), and drain comes below send_low_bytes (C16), not at 0
 * as in Node, so that the wire never idles. Only what is written past that waits in the stream.
 * finish is told when all was accepted and the half-close is queued behind it (C6).
 *
 * Reading. What a stream passes on at once stays in the transport's buffers and is not counted;
 * what waits is held (C12), so that the peer is stopped by flow control.
 *
 * Ends. The peer's half-close is the end. A connection that was lost is an error (-ECONNRESET,
 * -ETIMEDOUT ...); close is told when the connection has closed. leat_stream_destroy closes one
 * whose writable side has ended (C8: what is queued still goes out), and resets any other. */
#ifndef LEAT_STREAM_CONN_H
#define LEAT_STREAM_CONN_H

#include <leat/conn.h>
#include <leat/stream.h>

LEAT_BEGIN

/* Takes over an open connection and its callbacks. Marks of options count for what waits to be
 * read, and in the stream; may be NULL. NULL: memory is out, or the connection is gone, with a
 * sentence in leat_loop_error; it is still the caller's. */
LEAT_API struct leat_stream *leat_conn_stream(
    leat_conn conn, const struct leat_stream_options *options) LEAT_MUST_CHECK;

LEAT_END
#endif
