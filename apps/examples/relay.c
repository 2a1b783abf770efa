/* A TCP proxy of two pipes: `relay --to 127.0.0.1:8080 --listen :9000`. Each connection is a
 * stream; what one gives goes to the other, and who is slow slows the other down, to the wire.
 * proxy.c is the same by callbacks. */
#include <leat/leat.h>

#include <errno.h>

static const char *to_text = "127.0.0.1:8080"; /* where connections go on */
static struct leat_addr to;                    /* the same, set before any loop runs */

/* One end that fails destroys both, with its reason: the other end is reset as well. An end of what
 * comes (a half-close) ends the other's writing alone. */
static void piped(void *arg, const struct leat_result *result)
{
    if (result->code < 0)
        LEAT_LOG_DEBUG("relay: %s", leat_result_sentence(result));
}

static void failed(void *arg, const struct leat_result *result)
{
    piped(arg, result); /* while there is no pipe yet that hears it */
}

static void relay(struct leat_stream *one, struct leat_stream *other)
{
    struct leat_stream *there[] = {leat_stream_ref(one), leat_stream_ref(other)};
    struct leat_stream *back[] = {other, one};
    leat_call(leat_pipeline(there, 2), piped, NULL); /* each takes its references */
    leat_call(leat_pipeline(back, 2), piped, NULL);
}

static void on_connected(leat_conn conn, void *client)
{
    struct leat_stream *server = leat_conn_stream(conn, NULL);
    if (server != NULL) {
        relay(client, server);
        return;
    }
    LEAT_LOG_ERROR("relay: %s", leat_loop_error(leat_loop_current())->sentence);
    (void)leat_conn_abort(conn); /* on_not_connected comes */
}

static void on_not_connected(leat_conn conn, void *client, enum leat_close_reason reason)
{
    LEAT_LOG_WARN("relay: %s: %s", to_text, leat_close_reason_sentence(reason));
    leat_stream_destroy(client, leat_failure(-ECONNABORTED, NULL));
    leat_stream_unref(client);
}

static void on_accepted(leat_conn conn, void *user)
{
    static const struct leat_conn_ops ops = {.on_open = on_connected, .on_close = on_not_connected};
    struct leat_loop *loop = leat_loop_current();
    struct leat_stream *client = leat_conn_stream(conn, NULL);
    leat_conn server;
    if (client == NULL || leat_stream_on(client, LEAT_STREAM_ERROR, failed, NULL) < 0 ||
        leat_connect(loop, &to, NULL, NULL, &ops, client, &server) < 0) {
        LEAT_LOG_ERROR("relay: %s", leat_loop_error(loop)->sentence);
        (void)leat_conn_abort(conn);
        if (client != NULL)
            leat_stream_unref(client);
    }
}

static int start(struct leat_loop *loop)
{
    static const struct leat_conn_ops accept_ops = {.on_open = on_accepted};
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
    const struct leat_program program = {.name = "relay",
                                         .options = &flag,
                                         .option_count = 1,
                                         .start = start};
    return leat_program_main(&program, argc, argv);
}
