/* relay --to ADDR:PORT: each connection it accepts goes on to there, both ways, with backpressure
 * and half closes passed on. So that tools which want their own server, such as iperf3, meet
 * Leat's TCP on both legs. */
#include <stdio.h>

#include <leat/leat.h>

#include "buffers/heap.h"

struct relay {
    const char *text;
    struct leat_addr to;
};

/* One direction's source: what it received and the other end did not take yet. */
struct side {
    struct side *other;
    struct pair *pair;
    leat_conn conn;
    struct leat_chain kept; /* of what came here, at most one delivery: then it is paused */
    bool is_open, has_ended, is_closed;
};

struct pair {
    struct side sides[2];
};

/* Gives the other end what it takes. */
static void push(struct side *s)
{
    struct leat_buf buf;
    if (!s->other->is_open)
        return;
    while ((buf = leat_chain_peek(&s->kept)).data != NULL) {
        buf = leat_buf_ref(buf);
        if (leat_conn_send(s->other->conn, &buf, 1) < 0) {
            leat_buf_unref(buf);
            return;
        }
        leat_chain_pull(&s->kept, buf.length_bytes);
    }
    if (s->has_ended)
        (void)leat_conn_end(s->other->conn);
    else
        (void)leat_conn_resume(s->conn);
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct side *s = user;
    for (unsigned i = 0; i < count; i++) {
        struct leat_buf held = leat_conn_hold(conn, slices[i]);
        if (held.data == NULL || leat_chain_push(&s->kept, leat_buf_ref(held)) < 0) {
            (void)leat_conn_abort(conn);
            return;
        }
        leat_conn_release(conn, held);
    }
    (void)leat_conn_pause(conn);
    push(s);
}

static void on_writable(leat_conn conn, void *user)
{
    struct side *s = user;
    push(s->other);
}

static void on_end(leat_conn conn, void *user)
{
    struct side *s = user;
    s->has_ended = true;
    push(s);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct side *s = user;
    s->is_closed = true;
    s->is_open = false;
    leat_chain_fini(&s->kept);
    if (s->other->is_closed)
        leat_heap_free(s->pair);
    else if (reason != LEAT_CLOSE_DONE)
        (void)leat_conn_abort(s->other->conn);
}

static void on_connected(leat_conn conn, void *user)
{
    struct side *s = user;
    s->conn = conn;
    s->is_open = true;
    push(s->other);
}

static const struct leat_conn_ops out_ops = {on_connected, on_data, on_writable, on_end, on_close};
static const struct leat_conn_ops in_ops = {NULL, on_data, on_writable, on_end, on_close};

static void on_accepted(leat_conn conn, void *user)
{
    const struct relay *r = user;
    struct pair *p = leat_heap_alloc(sizeof(*p));
    LEAT_CHECK(p != NULL);
    *p = (struct pair){.sides = {{.other = &p->sides[1], .pair = p, .conn = conn, .is_open = true},
                                 {.other = &p->sides[0], .pair = p}}};
    leat_chain_init(&p->sides[0].kept);
    leat_chain_init(&p->sides[1].kept);
    LEAT_CHECK(leat_conn_set(conn, &in_ops, &p->sides[0]) == 0);
    const struct leat_conn_options options = {0};
    if (leat_connect(leat_core_now->loop, &r->to, NULL, &options, &out_ops, &p->sides[1],
                     &p->sides[1].conn) < 0) {
        p->sides[1].is_closed = true;
        (void)leat_conn_abort(conn);
    }
}

static const struct leat_conn_ops accept_ops = {.on_open = on_accepted};

static int start(struct leat_loop *loop)
{
    struct relay *r = leat_run_user(loop);
    const struct leat_listen_options options = {0};
    struct leat_error error = {0};
    struct leat_addr at;
    struct leat_listener *listener;
    const char *text;
    if (r->text == NULL || leat_addr_parse(&r->to, r->text, 0, &error) < 0)
        return leat_run_fail(loop, -22, "--to takes an address and port");
    for (unsigned i = 0; (text = leat_run_listen_at(loop, i)) != NULL; i++) {
        if (leat_addr_parse(&at, text, 0, &error) < 0)
            return leat_run_fail(loop, error.code, "%s", error.sentence);
        int result = leat_listen(loop, &at, &options, &accept_ops, r, &listener);
        if (result < 0)
            return result;
        leat_run_listening(loop, "tcp", leat_listener_addr(listener));
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct relay r = {0};
    const struct leat_option options[] = {
        {"to", LEAT_OPTION_TEXT, &r.text, "ADDR:PORT", "where connections go on", 0, 0},
    };
    const struct leat_program program = {
        .name = "relay",
        .summary = "Passes connections on.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .start = start,
        .user = &r,
        .cores = "1",
    };
    return leat_program_main(&program, argc, argv);
}
