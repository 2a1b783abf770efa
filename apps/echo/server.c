/* The server's side of `leat echo`. */
#include "apps/echo/echo_internal.h"

#include <errno.h>

#include "buffers/heap.h"

/* A connection whose bytes are sent back. What the transport does not take is kept, and reading
 * pauses: then at most one delivery waits here. */
struct echo_conn {
    struct leat_chain kept;
    bool is_ended;
};

void echo_pour(const struct echo *echo, leat_conn conn)
{
    struct leat_buf piece = leat_buf_from_static(echo->block, echo->bytes);
    while (leat_conn_send(conn, &piece, 1) >= 0) {
    }
}

static void on_open(leat_conn conn, void *user)
{
    struct echo_conn *c = leat_heap_alloc(sizeof(*c));
    if (c == NULL || leat_conn_set(conn, NULL, c) < 0) {
        leat_heap_free(c);
        (void)leat_conn_set(conn, NULL, NULL);
        (void)leat_conn_abort(conn);
        return;
    }
    leat_chain_init(&c->kept);
    c->is_ended = false;
}

static void on_writable(leat_conn conn, void *user)
{
    struct echo_conn *c = user;
    struct leat_buf buf;
    while ((buf = leat_chain_peek(&c->kept)).data != NULL) {
        buf = leat_buf_ref(buf);
        if (leat_conn_send(conn, &buf, 1) < 0) {
            leat_buf_unref(buf);
            return;
        }
        leat_chain_pull(&c->kept, buf.length_bytes);
    }
    if (c->is_ended)
        (void)leat_conn_end(conn);
    else
        (void)leat_conn_resume(conn);
}

/* Returns false when memory is out. */
static bool send_back(struct echo_conn *c, leat_conn conn, struct leat_buf slice)
{
    struct leat_buf held = leat_conn_hold(conn, slice);
    if (held.data == NULL)
        return false;
    struct leat_buf own = leat_buf_ref(held);
    leat_conn_release(conn, held); /* from here on the send queue bounds it, not the window */
    if (c->kept.count == 0 && leat_conn_send(conn, &own, 1) >= 0)
        return true;
    if (leat_chain_push(&c->kept, own) < 0) {
        leat_buf_unref(own);
        return false;
    }
    (void)leat_conn_pause(conn);
    return true;
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct echo_conn *c = user;
    bool is_kept = c != NULL;
    for (unsigned i = 0; i < count && is_kept; i++)
        is_kept = send_back(c, conn, slices[i]);
    if (!is_kept)
        (void)leat_conn_abort(conn);
}

static void on_end(leat_conn conn, void *user)
{
    struct echo_conn *c = user;
    if (c != NULL && c->kept.count > 0)
        c->is_ended = true;
    else
        (void)leat_conn_end(conn);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct echo_conn *c = user;
    if (c != NULL) {
        leat_chain_fini(&c->kept);
        leat_heap_free(c);
    }
}

static void on_source_ready(leat_conn conn, void *user)
{
    echo_pour(user, conn);
}

static void on_stream_end(leat_conn conn, void *user)
{
    (void)leat_conn_close(conn);
}

static void on_stream_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
}

/* Nothing is left to send: there is nothing to linger for. */
static void on_sink_end(leat_conn conn, void *user)
{
    (void)leat_conn_end(conn);
}

static const struct leat_conn_ops back_ops = {on_open, on_data, on_writable, on_end, on_close};
static const struct leat_conn_ops sink_ops = {.on_end = on_sink_end, .on_close = on_stream_close};
static const struct leat_conn_ops source_ops = {.on_open = on_source_ready,
                                                .on_writable = on_source_ready,
                                                .on_end = on_stream_end,
                                                .on_close = on_stream_close};

static void close_listener(void *listener)
{
    leat_listener_close(listener);
}

static int listen_at(struct leat_loop *loop, struct echo *echo, const char *text)
{
    struct leat_error error = {0};
    struct leat_addr addr;
    struct leat_listener *listener;
    const struct leat_listen_options options = {0};
    const struct leat_conn_ops *ops = echo->mode == ECHO_SINK     ? &sink_ops
                                      : echo->mode == ECHO_SOURCE ? &source_ops
                                                                  : &back_ops;
    int result = leat_addr_parse(&addr, text, ECHO_PORT, &error);
    if (result < 0)
        return leat_run_fail(loop, result, "%s", error.sentence);
    if (echo->is_udp)
        return echo_udp_listen(loop, echo, &addr);
    result =
        leat_listen(loop, &addr, &options, ops, echo->mode == ECHO_SOURCE ? echo : NULL, &listener);
    if (result < 0)
        return result;
    leat_run_listening(loop, "tcp", leat_listener_addr(listener));
    result = leat_run_on_drain(loop, close_listener, listener);
    if (result < 0)
        leat_listener_close(listener);
    return result;
}

int echo_server_start(struct leat_loop *loop)
{
    struct echo *echo = leat_run_user(loop);
    const char *text = leat_run_listen_at(loop, 0);
    if (text == NULL)
        return listen_at(loop, echo, ECHO_ADDRESS);
    for (unsigned i = 0; text != NULL; text = leat_run_listen_at(loop, ++i)) {
        int result = listen_at(loop, echo, text);
        if (result < 0)
            return result;
    }
    return 0;
}
