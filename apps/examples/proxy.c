/* A TCP proxy: `proxy --to 127.0.0.1:8080 --listen :9000`. Who sends faster than the other end
 * reads is slowed down by flow control: at most one delivery and one send queue wait in between. */
#include <leat/leat.h>

#include <stdlib.h>

static const char *to_text = "127.0.0.1:8080"; /* where connections go on */
static struct leat_addr to;                    /* the same, set before any loop runs */

struct side { /* one of the two connections, and what came from it and has not gone on yet */
    struct side *other;
    leat_conn conn;
    struct leat_chain kept;
    bool is_closed;
};

static void pass_on(struct side *from) /* as much as the other end takes; then reading goes on */
{
    struct leat_buf piece;
    while ((piece = leat_chain_peek(&from->kept)).data != NULL) {
        piece = leat_buf_ref(piece);
        if (leat_conn_send(from->other->conn, &piece, 1) < 0) {
            leat_buf_unref(piece);
            return; /* on_writable comes when there is room again */
        }
        leat_chain_pull(&from->kept, piece.length_bytes);
    }
    (void)leat_conn_resume(from->conn);
}

static void on_connected(leat_conn conn, void *user)
{
    struct side *side = user;
    (void)leat_conn_resume(side->other->conn); /* the client, which waits since it came */
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct side *side = user;
    for (unsigned i = 0; i < count; i++) {
        struct leat_buf held = leat_conn_hold(conn, slices[i]), own = leat_buf_ref(held);
        if (held.data != NULL)
            leat_conn_release(conn, held); /* own stays: the queue bounds it, not the window */
        if (own.data == NULL || leat_chain_push(&side->kept, own) < 0) {
            leat_buf_unref(own);
            (void)leat_conn_abort(conn); /* memory is out */
            return;
        }
    }
    (void)leat_conn_pause(conn);
    pass_on(side);
}

static void on_writable(leat_conn conn, void *user)
{
    pass_on(((struct side *)user)->other);
}

static void on_end(leat_conn conn, void *user) /* not while paused: all has gone on */
{
    (void)leat_conn_end(((struct side *)user)->other->conn);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct side *side = user;
    if (side == NULL)
        return;
    side->is_closed = true;
    leat_chain_fini(&side->kept);
    if (side->other->is_closed)
        free(side < side->other ? side : side->other); /* two in one piece of memory */
    else if (reason != LEAT_CLOSE_DONE)
        (void)leat_conn_abort(side->other->conn);
}

static const struct leat_conn_ops ops = {on_connected, on_data, on_writable, on_end, on_close};

static void on_accepted(leat_conn conn, void *user)
{
    struct side *sides = calloc(2, sizeof(*sides));
    (void)leat_conn_set(conn, &ops, sides);
    (void)leat_conn_pause(conn);
    if (sides != NULL) {
        sides[0] = (struct side){.other = &sides[1], .conn = conn};
        sides[1] = (struct side){.other = &sides[0], .is_closed = true};
    }
    if (sides == NULL ||
        leat_connect(leat_loop_current(), &to, NULL, NULL, &ops, &sides[1], &sides[1].conn) < 0)
        (void)leat_conn_abort(conn); /* on_close comes */
    else
        sides[1].is_closed = false;
}

static int start(struct leat_loop *loop)
{
    static const struct leat_conn_ops accept_ops = {.on_open = on_accepted, .on_close = on_close};
    const char *at = leat_run_listen_at(loop, 0);
    struct leat_listener *listener;
    struct leat_error error = {0};
    struct leat_addr addr;
    if (leat_addr_parse(&to, to_text, 0, &error) < 0 ||
        leat_addr_parse(&addr, at != NULL ? at : "127.0.0.1:9000", 9000, &error) < 0)
        return leat_run_fail(loop, error.code, "%s", error.sentence);
    int result = leat_listen(loop, &addr, NULL, &accept_ops, NULL, &listener);
    if (result == 0)
        leat_run_listening(loop, "tcp", leat_listener_addr(listener));
    return result;
}

int main(int argc, char **argv)
{
    const struct leat_option flag =
        {"to", LEAT_OPTION_TEXT, &to_text, "ADDR:PORT", "where connections go on", 0, 0};
    const struct leat_program program = {.name = "proxy",
                                         .options = &flag,
                                         .option_count = 1,
                                         .start = start};
    return leat_program_main(&program, argc, argv);
}
