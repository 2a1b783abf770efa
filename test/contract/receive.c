/* C11 to C14: receiving. */
#include "contract.h"

#include <stdlib.h>

void c11_data_comes_in_order_and_once(struct world *w)
{
    struct pair p = pair_open(w, NULL);
    struct leat_buf sent = pattern(1 << 20, 3);
    peer_send_all(w, p.peer, sent.data, sent.length_bytes);
    UNTIL(w, p.r->length == sent.length_bytes);
    assert_memory_equal(p.r->bytes, sent.data, sent.length_bytes);
    leat_buf_unref(sent);
    w->transport->peer_end(p.peer);
    UNTIL(w, p.r->ends == 1);
    struct leat_conn_info info;
    assert_int_equal(leat_conn_info(p.r->conn, &info), 0);
    assert_int_equal(info.received_bytes, 1 << 20);
    pair_free(&p);
}

static void hold_all(struct record *r, const struct leat_buf *slices, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_true(r->held_count < sizeof(r->held) / sizeof(r->held[0]));
        struct leat_buf held = leat_conn_hold(r->conn, slices[i]);
        assert_non_null(held.data);
        assert_int_equal(held.length_bytes, slices[i].length_bytes);
        r->held[r->held_count++] = held;
    }
}

static void release_all(struct record *r)
{
    while (r->held_count > 0)
        leat_conn_release(r->conn, r->held[--r->held_count]);
}

/* Sends until the peer has been unable to for a while; returns the bytes that it got rid of. */
static size_t send_until_stopped(struct world *w, struct peer *peer, size_t at, size_t total)
{
    struct leat_buf chunk = pattern(1 << 16, 0);
    unsigned idle = 0;
    while (idle < 50 && at < total) {
        for (size_t i = 0; i < chunk.length_bytes; i++)
            chunk.data[i] = pattern_byte(at + i, 9);
        size_t length = total - at < chunk.length_bytes ? total - at : chunk.length_bytes;
        long sent = w->transport->peer_send(peer, chunk.data, length);
        assert_true(sent > 0 || sent == -EAGAIN);
        idle = sent > 0 ? 0 : idle + 1;
        at += sent > 0 ? (size_t)sent : 0;
        w->transport->step(w, LEAT_NS_PER_MS);
    }
    leat_buf_unref(chunk);
    return at;
}

static void assert_pattern(const struct record *r)
{
    for (size_t i = 0; i < r->length; i++)
        assert_int_equal(r->bytes[i], pattern_byte(i, 9));
}

void c12_held_bytes_stop_the_peer(struct world *w)
{
    enum { TOTAL = 32000000 };
    struct leat_conn_options options = {.receive_bytes_max = 100000};
    struct pair p = pair_open(w, &options);
    struct leat_conn_info info;
    p.r->on_data = hold_all;
    size_t sent = send_until_stopped(w, p.peer, 0, TOTAL);
    assert_true(sent < TOTAL);
    assert_int_equal(leat_conn_info(p.r->conn, &info), 0);
    assert_true(info.held_bytes > 100000 - 1460); /* RFC 9293 3.8.6.2.1: whole segments */
    assert_int_equal(info.held_bytes, p.r->length);
    size_t length = p.r->length;
    settle(w);
    assert_int_equal(p.r->length, length);
    for (unsigned i = 0, at = 0; i < p.r->held_count; i++) /* the bytes are still those */
        for (size_t k = 0; k < p.r->held[i].length_bytes; k++, at++)
            assert_int_equal(p.r->held[i].data[k], pattern_byte(at, 9));
    release_all(p.r);
    UNTIL(w, p.r->length > length);
    while (p.r->length < sent) {
        release_all(p.r);
        w->transport->step(w, LEAT_NS_PER_MS);
    }
    assert_int_equal(p.r->length, sent);
    assert_pattern(p.r);
    release_all(p.r);
    assert_int_equal(leat_conn_info(p.r->conn, &info), 0);
    assert_int_equal(info.held_bytes, 0);

    /* What is held outlives the connection. */
    peer_send_all(w, p.peer, "last words", 10);
    UNTIL(w, p.r->held_count > 0 && p.r->length == sent + 10);
    assert_int_equal(leat_conn_abort(p.r->conn), 0);
    UNTIL(w, p.r->closes == 1);
    settle(w);
    assert_memory_equal(p.r->held[0].data, "last words", 1);
    release_all(p.r);
    pair_free(&p);
}

void c12_small_holds_cost_little(struct world *w)
{
    struct leat_buf_stats before, after;
    struct pair p = pair_open(w, NULL);
    p.r->on_data = hold_all;
    peer_send_all(w, p.peer, "0123456789", 10); /* the transport has its buffers now */
    UNTIL(w, p.r->length == 10);
    leat_buf_stats(&before);
    for (unsigned i = 2; i <= 41; i++) {
        peer_send_all(w, p.peer, "0123456789", 10);
        UNTIL(w, p.r->length == 10 * i);
    }
    leat_buf_stats(&after);
    assert_int_equal(p.r->held_count, 41);
    assert_true(after.live_bytes - before.live_bytes <= 40 * 512);
    release_all(p.r);
    pair_free(&p);
}

static void pause_now(struct record *r, const struct leat_buf *slices, unsigned count)
{
    assert_int_equal(leat_conn_pause(r->conn), 0);
    assert_int_equal(leat_conn_pause(r->conn), 0);
}

void c13_pause_stops_the_peer(struct world *w)
{
    enum { TOTAL = 32000000 };
    struct pair p = pair_open(w, NULL);
    p.r->on_data = pause_now;
    size_t sent = send_until_stopped(w, p.peer, 0, TOTAL);
    assert_true(sent < TOTAL);
    assert_int_equal(p.r->datas, 1);
    assert_int_equal(leat_conn_resume(p.r->conn), 0);
    assert_int_equal(p.r->datas, 1);
    UNTIL(w, p.r->datas == 2);
    settle(w);
    assert_int_equal(p.r->datas, 2);
    p.r->on_data = NULL;
    assert_int_equal(leat_conn_resume(p.r->conn), 0);
    assert_int_equal(leat_conn_resume(p.r->conn), 0);
    UNTIL(w, p.r->length == sent);
    assert_pattern(p.r);

    /* The end waits as well, behind the bytes. */
    assert_int_equal(leat_conn_pause(p.r->conn), 0);
    peer_send_all(w, p.peer, "x", 1);
    w->transport->peer_end(p.peer);
    settle(w);
    assert_int_equal(p.r->ends, 0);
    assert_int_equal(p.r->length, sent);
    assert_int_equal(leat_conn_resume(p.r->conn), 0);
    UNTIL(w, p.r->ends == 1);
    assert_int_equal(p.r->length, sent + 1);
    pair_free(&p);

    /* The end alone. */
    p = pair_open(w, NULL);
    assert_int_equal(leat_conn_pause(p.r->conn), 0);
    assert_int_equal(leat_conn_end(p.r->conn), 0);
    settle(w);
    w->transport->peer_end(p.peer);
    settle(w);
    assert_int_equal(p.r->ends + p.r->closes, 0);
    assert_int_equal(leat_conn_resume(p.r->conn), 0);
    UNTIL(w, p.r->closes == 1);
    assert_string_equal(p.r->order, "OEC");
    pair_free(&p);
}

void c14_nothing_is_dropped_when_buffers_run_out(struct world *w)
{
    enum { PEERS = 8, BYTES = 100000, HOARD_MAX = 100000 };
    struct records *s = serve(w, NULL);
    struct peer *peers[PEERS];
    static struct leat_buf hoard[HOARD_MAX];
    unsigned hoarded = 0;
    struct leat_buf sent = pattern(BYTES, 9);
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = peer_connect(w, &s->addr);
    UNTIL(w, s->count == PEERS);
    for (size_t size = 1 << 20; size >= 256; size /= 2)
        do {
            hoard[hoarded] = leat_buf_alloc_unsafe(size);
        } while (hoard[hoarded].data != NULL && ++hoarded < HOARD_MAX);
    assert_true(hoarded < HOARD_MAX);
    for (unsigned i = 0; i < PEERS; i++) {
        size_t at = 0;
        for (unsigned idle = 0; at < BYTES && idle < 20; idle++) {
            long result = w->transport->peer_send(peers[i], sent.data + at, BYTES - at);
            at += result > 0 ? (size_t)result : 0;
            w->transport->step(w, LEAT_NS_PER_MS);
        }
        assert_int_equal(at, BYTES);
        w->transport->peer_end(peers[i]);
    }
    settle(w);
    leat_buf_unref(sent);
    while (hoarded > 0)
        leat_buf_unref(hoard[--hoarded]);
    for (unsigned i = 0; i < PEERS; i++) {
        struct record *r = &s->record[i];
        UNTIL(w, r->ends == 1);
        assert_int_equal(r->length, BYTES);
        assert_pattern(r);
        assert_int_equal(leat_conn_close(r->conn), 0);
        w->transport->peer_close(peers[i]);
        UNTIL(w, r->closes == 1);
    }
    records_free(s);
}
