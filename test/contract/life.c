/* C1 to C10: handles, and the life of a connection. */
#include "contract.h"

#include <pthread.h>
#include <stdlib.h>

void c01_a_stale_or_invented_handle_is_refused(struct world *w)
{
    struct pair p = pair_open(w, NULL);
    leat_conn live = p.r->conn;
    struct leat_conn_info info;
    assert_int_equal(leat_conn_info(live, &info), 0);
    assert_string_equal(info.transport, w->transport->name);
    assert_int_equal(leat_conn_end(LEAT_CONN_NONE), -ESTALE);
    for (unsigned bit = 0; bit < 64; bit++) {
        leat_conn invented = {live.id ^ UINT64_C(1) << bit};
        int result = leat_conn_send_bytes(invented, "x", 1);
        assert_int_equal(result, bit >= 50 && bit < 60 ? -EXDEV : -ESTALE);
    }
    assert_int_equal(leat_conn_abort(live), 0);
    UNTIL(w, p.r->closes == 1);
    struct leat_buf text = leat_buf_from_static("x", 1);
    assert_int_equal(leat_conn_send(live, &text, 1), -ESTALE);
    assert_int_equal(leat_conn_end(live), -ESTALE);
    assert_int_equal(leat_conn_close(live), -ESTALE);
    assert_int_equal(leat_conn_abort(live), -ESTALE);
    assert_int_equal(leat_conn_pause(live), -ESTALE);
    assert_int_equal(leat_conn_resume(live), -ESTALE);
    assert_int_equal(leat_conn_want_writable(live), -ESTALE);
    assert_int_equal(leat_conn_info(live, &info), -ESTALE);
    assert_int_equal(leat_conn_set(live, NULL, NULL), -ESTALE);
    assert_int_equal(leat_conn_set_timeout(live, 1), -ESTALE);
    assert_int_equal(leat_conn_set_nagle(live, true), -ESTALE);
    assert_null(leat_conn_hold(live, text).data);
    /* A later connection in the same place has another handle. */
    struct peer *second = peer_connect(w, &p.s->addr);
    UNTIL(w, p.s->count == 2);
    assert_true(p.s->record[1].conn.id != live.id);
    assert_int_equal(leat_conn_abort(live), -ESTALE);
    settle(w);
    assert_int_equal(p.s->record[1].closes, 0);
    w->transport->peer_reset(second);
    UNTIL(w, p.s->record[1].closes == 1);
    pair_free(&p);
}

static void *send_from_elsewhere(void *arg)
{
    leat_conn *conn = arg;
    return (void *)(intptr_t)leat_conn_send_bytes(*conn, "x", 1);
}

/* Every function, in every callback. Nothing of it ends the connection. */
static void call_all(struct record *r)
{
    struct leat_addr addr;
    struct leat_conn_info info;
    bool is_over = r->closes > 0;
    assert_int_equal(leat_conn_info(r->conn, &info), 0);
    assert_int_equal(leat_conn_pause(r->conn), 0);
    assert_int_equal(leat_conn_resume(r->conn), 0);
    assert_int_equal(leat_conn_set_timeout(r->conn, 0), 0);
    assert_int_equal(leat_conn_set_nagle(r->conn, true), is_over ? -ENOTCONN : 0);
    assert_int_equal(leat_conn_set_keepalive(r->conn, 0), is_over ? -ENOTCONN : 0);
    assert_int_equal(leat_conn_set_user_timeout(r->conn, 0), is_over ? -ENOTCONN : 0);
    assert_int_equal(leat_conn_set(r->conn, NULL, r), 0);
    assert_int_equal(leat_conn_send_bytes(r->conn, "x", 1), is_over ? -EPIPE : 0);
    assert_int_equal(leat_conn_want_writable(r->conn), is_over ? -EPIPE : 0);
    if (!is_over) {
        assert_int_equal(leat_conn_peer(r->conn, &addr), 0);
        assert_int_equal(leat_conn_local(r->conn, &addr), 0);
    } else {
        assert_int_equal(leat_conn_end(r->conn), 0);
        assert_int_equal(leat_conn_close(r->conn), 0);
        assert_int_equal(leat_conn_abort(r->conn), 0);
    }
}

static void call_all_on_data(struct record *r, const struct leat_buf *slices, unsigned count)
{
    call_all(r);
    struct leat_buf held = leat_conn_hold(r->conn, slices[0]);
    assert_non_null(held.data);
    leat_conn_release(r->conn, held);
}

void c02_other_cores_are_refused_and_callbacks_may_call_all(struct world *w)
{
    struct pair p = pair_open(w, NULL);
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, send_from_elsewhere, &p.r->conn), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, -EXDEV);

    p.r->on_data = call_all_on_data;
    p.r->on_writable = NULL;
    p.r->on_end = call_all;
    p.r->on_close = call_all;
    peer_send_all(w, p.peer, "hello", 5);
    UNTIL(w, p.r->length == 5 && p.r->writables > 0);
    p.r->on_writable = call_all;
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->ends == 1 && p.r->writables > 2);
    p.r->on_writable = NULL;
    assert_int_equal(leat_conn_abort(p.r->conn), 0);
    UNTIL(w, p.r->closes == 1);
    settle(w);
    assert_int_equal(p.r->closes, 1);
    pair_free(&p);
}

static unsigned depth, depth_max;

static void try_to_nest(struct record *r)
{
    depth++;
    depth_max = depth > depth_max ? depth : depth_max;
    unsigned before = r->datas + r->ends + r->writables + r->closes + r->opens;
    (void)leat_conn_pause(r->conn);
    (void)leat_conn_resume(r->conn);
    (void)leat_conn_want_writable(r->conn);
    int sent = leat_conn_send_bytes(r->conn, "x", 1);
    assert_true(sent == 0 || sent == -EPIPE);
    if (r->datas >= 3) {
        (void)leat_conn_abort(r->conn);
        (void)leat_conn_close(r->conn);
    }
    assert_int_equal(r->datas + r->ends + r->writables + r->closes + r->opens, before);
    depth--;
}

static void try_to_nest_on_data(struct record *r, const struct leat_buf *slices, unsigned count)
{
    const struct leat_buf last = slices[count - 1];
    try_to_nest(r);
    /* Aborted or not, the slices are good until the callback returns. */
    assert_int_equal(last.data[last.length_bytes - 1], 'e');
}

void c03_callbacks_never_nest(struct world *w)
{
    struct pair p = pair_open(w, NULL);
    depth = depth_max = 0;
    p.r->on_data = try_to_nest_on_data;
    p.r->on_writable = p.r->on_end = p.r->on_close = try_to_nest;
    for (unsigned i = 1; i <= 3; i++) {
        peer_send_all(w, p.peer, "three", 5);
        UNTIL(w, p.r->length == 5 * i);
    }
    UNTIL(w, p.r->closes == 1);
    settle(w);
    assert_int_equal(depth_max, 1);
    assert_int_equal(p.r->closes, 1);
    assert_int_equal(p.r->reason, LEAT_CLOSE_ABORTED);
    pair_free(&p);
}

void c04_open_comes_first(struct world *w)
{
    struct pair p = pair_open(w, NULL);
    peer_send_all(w, p.peer, "hello", 5);
    UNTIL(w, p.r->length == 5);
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->ends == 1);
    assert_int_equal(leat_conn_end(p.r->conn), 0);
    UNTIL(w, p.r->closes == 1);
    assert_string_equal(p.r->order, "ODEC");
    assert_int_equal(p.r->opens, 1);
    pair_free(&p);

    struct leat_addr addr;
    struct peer *listener = w->transport->peer_listen(w, &addr);
    struct record r = {.w = w};
    assert_int_equal(leat_connect(w->loop, &addr, NULL, NULL, &record_ops, &r, &r.conn), 0);
    assert_int_equal(r.opens, 0);
    UNTIL(w, r.opens == 1);
    struct peer *accepted = w->transport->peer_accept(listener);
    assert_non_null(accepted);
    w->transport->peer_close(listener);
    peer_send_all(w, accepted, "hello", 5);
    UNTIL(w, r.length == 5);
    w->transport->peer_close(accepted);
    UNTIL(w, r.ends == 1);
    assert_int_equal(leat_conn_end(r.conn), 0);
    UNTIL(w, r.closes == 1);
    assert_string_equal(r.order, "ODEC");
    record_fini(&r);

    /* Nobody listens there any more: on_close without on_open. */
    struct record refused = {.w = w};
    assert_int_equal(leat_connect(w->loop, &addr, NULL, NULL, &record_ops, &refused, &refused.conn),
                     0);
    UNTIL(w, refused.closes == 1);
    assert_string_equal(refused.order, "C");
    assert_int_equal(refused.reason, LEAT_CLOSE_REFUSED);
}

static void abort_now(struct record *r)
{
    assert_int_equal(leat_conn_abort(r->conn), 0);
    assert_int_equal(leat_conn_send_bytes(r->conn, "x", 1), -EPIPE);
}

static void note_immediate(void *arg)
{
    struct record *r = arg;
    strcat(r->order, "I");
}

static void abort_and_note(struct record *r, const struct leat_buf *slices, unsigned count)
{
    assert_int_not_equal(leat_set_immediate(r->w->loop, note_immediate, r), 0);
    abort_now(r);
}

void c05_close_comes_once_and_last(struct world *w)
{
    struct records *s = serve(w, NULL);
    s->on_open = abort_now;
    struct peer *peer = peer_connect(w, &s->addr);
    UNTIL(w, s->count == 1 && s->record[0].closes == 1);
    w->transport->peer_close(peer);
    settle(w);
    assert_string_equal(s->record[0].order, "OC");

    s->on_open = NULL; /* the close phase comes after check */
    s->on_data = abort_and_note;
    peer = peer_connect(w, &s->addr);
    UNTIL(w, s->count == 2);
    peer_send_all(w, peer, "x", 1);
    UNTIL(w, s->record[1].closes == 1);
    w->transport->peer_close(peer);
    assert_string_equal(s->record[1].order, "ODIC");

    /* The loop's end closes what is left. */
    s->on_data = NULL;
    peer = peer_connect(w, &s->addr);
    UNTIL(w, s->count == 3);
    s->listener = NULL;
    w->transport->close(w);
    assert_string_equal(s->record[2].order, "OC");
    assert_int_equal(s->record[2].reason, LEAT_CLOSE_SHUTDOWN);
    w->transport->peer_close(peer);
    records_free(s);
}

/* The whole of pattern(count, seed), and then the end. */
static void peer_receives_pattern(struct world *w, struct peer *peer, size_t count, unsigned seed)
{
    uint8_t *received = malloc(count + 1);
    assert_int_equal(peer_receive_all(w, peer, received, count + 1), count);
    assert_int_equal(fnv(FNV_START, received, 1000) != 0, 1);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(received[i], pattern_byte(i, seed));
    free(received);
}

void c06_end_half_closes(struct world *w)
{
    enum { BYTES = 3000000 };
    struct pair p = pair_open(w, NULL);
    struct leat_buf sent = pattern(BYTES, 5);
    assert_int_equal(leat_conn_send(p.r->conn, &sent, 1), 1);
    assert_int_equal(leat_conn_end(p.r->conn), 0);
    assert_int_equal(leat_conn_end(p.r->conn), 0);
    assert_int_equal(leat_conn_send_bytes(p.r->conn, "x", 1), -EPIPE);
    peer_receives_pattern(w, p.peer, BYTES, 5);
    peer_send_all(w, p.peer, "still here", 10);
    UNTIL(w, p.r->length == 10);
    settle(w);
    assert_int_equal(p.r->closes, 0);
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->closes == 1);
    assert_int_equal(p.r->ends, 1);
    assert_int_equal(p.r->reason, LEAT_CLOSE_DONE);
    pair_free(&p);
}

void c07_on_end_comes_after_all_bytes(struct world *w)
{
    enum { BYTES = 300000 };
    struct pair p = pair_open(w, NULL);
    struct leat_buf sent = pattern(BYTES, 6);
    peer_send_all(w, p.peer, sent.data, BYTES);
    leat_buf_unref(sent);
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->ends == 1);
    assert_int_equal(p.r->length, BYTES);
    assert_string_equal(p.r->order, "ODE");
    settle(w);
    assert_int_equal(p.r->ends, 1);
    char text[6] = "";
    assert_int_equal(leat_conn_send_bytes(p.r->conn, "after", 5), 0);
    assert_int_equal(peer_receive_all(w, p.peer, text, 5), 5);
    assert_string_equal(text, "after");
    assert_int_equal(p.r->closes, 0);
    pair_free(&p);
}

void c08_close_lingers_and_saves_the_response(struct world *w)
{
    enum { BYTES = 2000000 };
    struct pair p = pair_open(w, NULL);
    struct leat_buf sent = pattern(BYTES, 7);
    peer_send_all(w, p.peer, "request", 7);
    UNTIL(w, p.r->length == 7);
    assert_int_equal(leat_conn_send(p.r->conn, &sent, 1), 1);
    assert_int_equal(leat_conn_close(p.r->conn), 0);
    assert_int_equal(leat_conn_close(p.r->conn), 0);
    /* The rest of the request, which nobody wants, does not destroy the response. */
    struct leat_buf body = pattern(200000, 8);
    peer_send_all(w, p.peer, body.data, body.length_bytes);
    leat_buf_unref(body);
    peer_receives_pattern(w, p.peer, BYTES, 7);
    assert_int_equal(p.r->closes, 0);
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->closes == 1);
    assert_string_equal(p.r->order, "ODC"); /* neither the body nor the end */
    assert_int_equal(p.r->length, 7);
    assert_int_equal(p.r->reason, LEAT_CLOSE_DONE);
    pair_free(&p);

    /* A peer that never ends is waited for at most linger_ns. */
    struct leat_conn_options options = {.linger_ns = 50 * LEAT_NS_PER_MS};
    p = pair_open(w, &options);
    uint64_t start_ns = leat_loop_clock(w->loop);
    assert_int_equal(leat_conn_close(p.r->conn), 0);
    UNTIL(w, p.r->closes == 1);
    assert_true(leat_loop_clock(w->loop) - start_ns >= 50 * LEAT_NS_PER_MS);
    assert_int_equal(p.r->reason, LEAT_CLOSE_DONE);
    assert_int_equal(peer_end_of(w, p.peer), 0);
    pair_free(&p);
}

void c28_close_soon_delivers_everything(struct world *w)
{
    enum { BYTES = 2000000 };
    struct pair p = pair_open(w, NULL);
    struct leat_buf sent = pattern(BYTES, 7);
    peer_send_all(w, p.peer, "request", 7);
    UNTIL(w, p.r->length == 7);
    assert_int_equal(leat_conn_send(p.r->conn, &sent, 1), 1);
    assert_int_equal(leat_conn_close_soon(p.r->conn), 0);
    assert_int_equal(leat_conn_send_bytes(p.r->conn, "x", 1), -EPIPE);
    peer_receives_pattern(w, p.peer, BYTES, 7);
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->closes == 1);
    assert_string_equal(p.r->order, "ODC");
    assert_int_equal(p.r->reason, LEAT_CLOSE_DONE);
    assert_int_equal(leat_conn_close_soon(p.r->conn), -ESTALE);
    pair_free(&p);
}

/* Unless bytes lie there unread: to close over them would reset. */
void c28_close_soon_waits_for_nobody(struct world *w)
{
    struct leat_conn_options options = {.linger_ns = 1000 * LEAT_NS_PER_S};
    for (unsigned unread = 0; unread < 2; unread++) {
        struct pair p = pair_open(w, &options);
        if (unread > 0) {
            assert_int_equal(leat_conn_pause(p.r->conn), 0);
            peer_send_all(w, p.peer, "unread", 6);
            settle(w);
        }
        assert_int_equal(leat_conn_send_bytes(p.r->conn, "response", 8), 0);
        assert_int_equal(leat_conn_close_soon(p.r->conn), 0);
        if (unread == 0)
            UNTIL(w, p.r->closes == 1);
        uint8_t received[9];
        assert_int_equal(peer_receive_all(w, p.peer, received, sizeof(received)), 8);
        assert_int_equal(peer_end_of(w, p.peer), 0);
        w->transport->peer_end(p.peer);
        UNTIL(w, p.r->closes == 1);
        assert_int_equal(p.r->reason, LEAT_CLOSE_DONE);
        pair_free(&p);
    }
}

void c09_abort_resets(struct world *w)
{
    struct pair p = pair_open(w, NULL);
    struct leat_buf sent = pattern(30000000, 1);
    assert_int_equal(leat_conn_send(p.r->conn, &sent, 1), 1);
    w->transport->step(w, 0);
    assert_int_equal(leat_conn_abort(p.r->conn), 0);
    UNTIL(w, p.r->closes == 1);
    assert_int_equal(p.r->reason, LEAT_CLOSE_ABORTED);
    assert_int_equal(peer_end_of(w, p.peer), -ECONNRESET);
    pair_free(&p);
}

void c10_two_half_closes_make_a_close(struct world *w)
{
    struct pair p = pair_open(w, NULL); /* the peer first */
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->ends == 1);
    assert_int_equal(leat_conn_send_bytes(p.r->conn, "bye", 3), 0);
    assert_int_equal(leat_conn_end(p.r->conn), 0);
    UNTIL(w, p.r->closes == 1);
    assert_int_equal(p.r->reason, LEAT_CLOSE_DONE);
    char text[4] = "";
    assert_int_equal(peer_receive_all(w, p.peer, text, 4), 3);
    assert_string_equal(text, "bye");
    pair_free(&p);

    p = pair_open(w, NULL); /* we first */
    assert_int_equal(leat_conn_end(p.r->conn), 0);
    assert_int_equal(peer_end_of(w, p.peer), 0);
    settle(w);
    assert_int_equal(p.r->closes, 0);
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->closes == 1);
    assert_string_equal(p.r->order, "OEC");
    assert_int_equal(p.r->reason, LEAT_CLOSE_DONE);
    pair_free(&p);
}
