/* C1 to C10: handles, and the life of a connection. */
#include "contract.h"

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
    assert_int_equal(leat_conn_info(live, &info), -ESTALE);
    assert_int_equal(leat_conn_set(live, NULL, NULL), -ESTALE);
    assert_int_equal(leat_conn_set_timeout(live, 1), -ESTALE);
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
