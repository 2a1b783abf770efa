/* C20, C21, C27: reasons and time limits. */
#include "contract.h"

static void set_nothing(struct world *w, struct pair *p)
{
}

static void set_paused(struct world *w, struct pair *p)
{
    assert_int_equal(leat_conn_pause(p->r->conn), 0);
    peer_send_all(w, p->peer, "unread", 6);
}

static void set_sending(struct world *w, struct pair *p)
{
    struct leat_buf big = pattern(30000000, 1);
    assert_int_equal(leat_conn_send(p->r->conn, &big, 1), 1);
}

static void set_ended_by_peer(struct world *w, struct pair *p)
{
    w->transport->peer_end(p->peer);
    UNTIL(w, p->r->ends == 1);
}

static void set_ended_by_us(struct world *w, struct pair *p)
{
    assert_int_equal(leat_conn_end(p->r->conn), 0);
}

static void set_lingering(struct world *w, struct pair *p)
{
    assert_int_equal(leat_conn_close(p->r->conn), 0);
}

static void set_held(struct world *w, struct pair *p)
{
    set_paused(w, p);
    set_sending(w, p);
}

void c20_a_reset_is_a_reset_in_every_state(struct world *w)
{
    static void (*const states[])(struct world *, struct pair *) = {
        set_nothing,     set_paused,    set_sending, set_ended_by_peer,
        set_ended_by_us, set_lingering, set_held,
    };
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        struct pair p = pair_open(w, NULL);
        states[i](w, &p);
        settle(w);
        assert_int_equal(p.r->closes, 0);
        w->transport->peer_reset(p.peer);
        p.peer = NULL;
        UNTIL(w, p.r->closes == 1);
        assert_int_equal(p.r->reason, LEAT_CLOSE_RESET);
        pair_free(&p);
    }
    for (unsigned i = 0; i < LEAT_CLOSE_REASON_COUNT; i++) {
        assert_true(strlen(leat_close_reason_name((enum leat_close_reason)i)) > 3);
        assert_true(strlen(leat_close_reason_sentence((enum leat_close_reason)i)) > 10);
    }
    assert_string_equal(leat_close_reason_name(LEAT_CLOSE_PEER_GONE), "PEER_GONE");
    assert_string_equal(leat_close_reason_name(LEAT_CLOSE_REASON_COUNT), "?");
}

static void abort_next(struct record *r)
{
    if (r[1].opens != 0)
        assert_int_equal(leat_conn_abort(r[1].conn), 0);
}

/* As in a relay: the end of one connection ends the next, within on_close. */
void c05_one_close_may_cause_another(struct world *w)
{
    enum { COUNT = 4 };
    struct records *s = serve(w, NULL);
    struct peer *peers[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        peers[i] = peer_connect(w, &s->addr);
        UNTIL(w, s->count == i + 1);
        peer_send_all(w, peers[i], "unread", 6);
        s->record[i].on_close = abort_next;
    }
    settle(w);
    w->transport->peer_reset(peers[0]);
    UNTIL(w, s->record[0].closes == 1);
    assert_int_equal(s->record[0].reason, LEAT_CLOSE_RESET);
    for (unsigned i = 1; i < COUNT; i++) {
        UNTIL(w, s->record[i].closes == 1);
        assert_int_equal(s->record[i].reason, LEAT_CLOSE_ABORTED);
        w->transport->peer_close(peers[i]);
    }
    records_free(s);
}

void c21_silence_closes(struct world *w)
{
    struct leat_conn_options options = {.timeout_ns = 80 * LEAT_NS_PER_MS};
    struct pair p = pair_open(w, &options);
    uint64_t start_ns = leat_loop_clock(w->loop);
    for (unsigned i = 1; i <= 6; i++) { /* bytes in either direction put it off */
        pass(w, 30 * LEAT_NS_PER_MS);
        if (i % 2 == 0)
            peer_send_all(w, p.peer, "x", 1);
        else
            assert_int_equal(leat_conn_send_bytes(p.r->conn, "x", 1), 0);
    }
    if (leat_loop_clock(w->loop) - start_ns < 240 * LEAT_NS_PER_MS) /* a slow machine may be late */
        assert_int_equal(p.r->closes, 0);
    uint64_t last_ns = leat_loop_clock(w->loop);
    UNTIL(w, p.r->closes == 1);
    assert_int_equal(p.r->reason, LEAT_CLOSE_TIMEOUT);
    assert_true(leat_loop_clock(w->loop) - last_ns >= 70 * LEAT_NS_PER_MS || p.r->length < 3);
    pair_free(&p);

    p = pair_open(w, NULL);
    assert_int_equal(leat_conn_set_timeout(p.r->conn, 30 * LEAT_NS_PER_MS), 0);
    assert_int_equal(leat_conn_set_timeout(p.r->conn, 0), 0);
    pass(w, 60 * LEAT_NS_PER_MS);
    assert_int_equal(p.r->closes, 0);
    assert_int_equal(leat_conn_set_timeout(p.r->conn, 30 * LEAT_NS_PER_MS), 0);
    UNTIL(w, p.r->closes == 1);
    assert_int_equal(p.r->reason, LEAT_CLOSE_TIMEOUT);
    pair_free(&p);
}

/* What came before the limit was there in time, however late the loop looks: bytes, and the answer
 * to a connection attempt. */
void c21_a_pause_loses_nothing(struct world *w)
{
    struct leat_conn_options options = {.timeout_ns = 60 * LEAT_NS_PER_MS,
                                        .connect_timeout_ns = 60 * LEAT_NS_PER_MS};
    struct pair p = pair_open(w, &options);
    for (size_t i = 1; i <= 5; i++) {
        peer_send_all(w, p.peer, "x", 1);
        w->transport->pause(w, 150 * LEAT_NS_PER_MS);
        UNTIL(w, p.r->length == i || p.r->closes > 0);
        assert_int_equal(p.r->closes, 0);
    }
    UNTIL(w, p.r->closes == 1); /* it still ends when nothing comes */
    assert_int_equal(p.r->reason, LEAT_CLOSE_TIMEOUT);
    pair_free(&p);

    struct leat_addr addr;
    struct record r = {.w = w};
    struct peer *listener = w->transport->peer_listen(w, &addr);
    assert_int_equal(leat_connect(w->loop, &addr, NULL, &options, &record_ops, &r, &r.conn), 0);
    w->transport->step(w, 0);
    w->transport->pause(w, 150 * LEAT_NS_PER_MS);
    UNTIL(w, r.opens == 1 || r.closes == 1);
    assert_int_equal(r.opens, 1);
    if (r.closes == 0)
        assert_int_equal(leat_conn_abort(r.conn), 0);
    UNTIL(w, r.closes == 1);
    w->transport->peer_close(listener);
    record_fini(&r);
}

void c21_connecting_has_its_limit(struct world *w)
{
    struct leat_conn_options options = {.connect_timeout_ns = 60 * LEAT_NS_PER_MS};
    struct record r = {.w = w};
    struct leat_addr addr;
    if (!w->transport->black_hole(w, &addr))
        return;
    uint64_t start_ns = leat_loop_clock(w->loop);
    assert_int_equal(leat_connect(w->loop, &addr, NULL, &options, &record_ops, &r, &r.conn), 0);
    assert_int_equal(leat_conn_send_bytes(r.conn, "early", 5), 0);
    UNTIL(w, r.closes == 1);
    assert_true(leat_loop_clock(w->loop) - start_ns >= 60 * LEAT_NS_PER_MS);
    assert_string_equal(r.order, "C");
    assert_int_equal(r.reason, LEAT_CLOSE_CONNECT_TIMEOUT);
}

void c31_options_change_while_it_is_open(struct world *w)
{
    struct pair p = pair_open(w, NULL);
    assert_int_equal(leat_conn_set_nagle(p.r->conn, true), 0);
    assert_int_equal(leat_conn_set_nagle(p.r->conn, false), 0);
    assert_int_equal(leat_conn_set_keepalive(p.r->conn, LEAT_NS_PER_S), 0);
    assert_int_equal(leat_conn_set_keepalive(p.r->conn, 0), 0);
    assert_int_equal(leat_conn_set_user_timeout(p.r->conn, LEAT_NS_PER_S), 0);
    uint64_t start_ns = leat_loop_clock(w->loop);
    set_sending(w, &p);
    UNTIL(w, p.r->closes == 1);
    assert_true(leat_loop_clock(w->loop) - start_ns >= LEAT_NS_PER_S);
    assert_int_equal(p.r->reason, LEAT_CLOSE_PEER_GONE);
    pair_free(&p);

    struct leat_addr addr;
    struct record r = {.w = w};
    if (!w->transport->black_hole(w, &addr))
        return;
    struct leat_conn_options options = {.connect_timeout_ns = 60 * LEAT_NS_PER_MS};
    assert_int_equal(leat_connect(w->loop, &addr, NULL, &options, &record_ops, &r, &r.conn), 0);
    assert_int_equal(leat_conn_set_nagle(r.conn, true), -ENOTCONN);
    UNTIL(w, r.closes == 1);
}

void c27_a_peer_that_takes_nothing_is_gone(struct world *w)
{
    struct leat_conn_options options = {.user_timeout_ns = LEAT_NS_PER_S / 2}; /* a second */
    struct pair p = pair_open(w, &options), idle = pair_open(w, &options);
    uint64_t start_ns = leat_loop_clock(w->loop);
    set_sending(w, &p);
    UNTIL(w, p.r->closes == 1);
    assert_true(leat_loop_clock(w->loop) - start_ns >= LEAT_NS_PER_S);
    assert_int_equal(p.r->reason, LEAT_CLOSE_PEER_GONE);
    pair_free(&p);
    assert_int_equal(idle.r->closes, 0); /* nothing was outstanding */
    peer_send_all(w, idle.peer, "x", 1);
    UNTIL(w, idle.r->length == 1);
    pair_free(&idle);
}
