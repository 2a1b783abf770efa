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

static void take_all(struct record *r, const struct leat_buf *slices, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_true(r->held_count < sizeof(r->held) / sizeof(r->held[0]));
        struct leat_buf taken = leat_conn_take(r->conn, slices[i]);
        assert_non_null(taken.data);
        assert_int_equal(taken.length_bytes, slices[i].length_bytes);
        r->held[r->held_count++] = taken;
    }
}

enum { HOARD_MAX = 100000 };
static struct leat_buf hoard[HOARD_MAX];

/* All that the core has; returns how many. */
static unsigned hoard_all(void)
{
    unsigned hoarded = 0;
    for (size_t size = 1 << 20; size >= 256; size /= 2)
        do {
            hoard[hoarded] = leat_buf_alloc_unsafe(size);
        } while (hoard[hoarded].data != NULL && ++hoarded < HOARD_MAX);
    assert_true(hoarded < HOARD_MAX);
    return hoarded;
}

static void hoard_give(unsigned hoarded)
{
    while (hoarded > 0)
        leat_buf_unref(hoard[--hoarded]);
}

static void take_without_memory(struct record *r, const struct leat_buf *slices, unsigned count)
{
    unsigned hoarded = hoard_all();
    for (unsigned i = 0; i < count; i++) {
        assert_null(leat_conn_take(r->conn, slices[i]).data);
        assert_memory_equal(slices[i].data, "short", 5); /* and it is still there */
    }
    hoard_give(hoarded);
}

static void taken_free(struct record *r)
{
    while (r->held_count > 0)
        leat_buf_unref(r->held[--r->held_count]);
}

void c12_taken_bytes_cost_no_window(struct world *w)
{
    enum { TOTAL = 300000, PIECE = 4000, MAX = 20000 };
    struct leat_conn_options options = {.receive_bytes_max = MAX};
    struct leat_buf_stats before, after;
    struct leat_conn_info info;
    struct pair p = pair_open(w, &options);
    struct leat_buf sent = pattern(TOTAL, 9);
    leat_buf_stats(&before);
    p.r->on_data = take_all;
    for (size_t at = 0; at < TOTAL; at += PIECE) {
        peer_send_all(w, p.peer, sent.data + at, PIECE); /* with MAX held it would come to a halt */
        UNTIL(w, p.r->length == at + PIECE);
    }
    assert_int_equal(leat_conn_info(p.r->conn, &info), 0);
    assert_int_equal(info.held_bytes, 0);
    leat_buf_stats(&after);
    assert_true(after.live_bytes - before.live_bytes >= TOTAL); /* the pools' */
    p.r->on_data = take_without_memory;
    peer_send_all(w, p.peer, "short", 5);
    UNTIL(w, p.r->length == TOTAL + 5);
    assert_int_equal(leat_conn_abort(p.r->conn), 0);
    UNTIL(w, p.r->closes == 1);
    settle(w);
    for (unsigned i = 0, at = 0; i < p.r->held_count; i++)
        for (size_t k = 0; k < p.r->held[i].length_bytes; k++, at++)
            assert_int_equal(p.r->held[i].data[k], pattern_byte(at, 9));
    assert_null(leat_conn_take(p.r->conn, sent).data); /* stale */
    leat_buf_unref(sent);
    taken_free(p.r);
    pair_free(&p);
}

/* ---- C29 ---- */

#define HELD_MAX 8

static void bytes_change(const struct leat_buf *buf)
{
    for (size_t i = 0; i < buf->length_bytes; i++)
        buf->data[i] ^= 0xff;
}

/* Each byte becomes another; some slices are held, before that or after. */
static void change_all(struct record *r, const struct leat_buf *slices, unsigned count)
{
    size_t at = r->length;
    for (unsigned i = 0; i < count; i++)
        at -= slices[i].length_bytes;
    for (unsigned i = 0; i < count; at += slices[i++].length_bytes) {
        const struct leat_buf *slice = &slices[i];
        struct leat_buf held = {0};
        if (r->held_count % 2 == 0 && r->held_count < HELD_MAX)
            held = leat_conn_hold(r->conn, *slice);
        bool is_copy = held.data != NULL && held.data != slice->data;
        bytes_change(slice);
        if (is_copy)
            bytes_change(&held);
        if (r->held_count % 2 != 0 && r->held_count < HELD_MAX)
            held = leat_conn_hold(r->conn, *slice);
        if (held.data == NULL)
            continue;
        r->held_at[r->held_count] = at;
        r->held[r->held_count++] = held;
    }
}

void c29_slices_may_be_changed(struct world *w)
{
    enum { TOTAL = 1 << 20 };
    struct leat_conn_options options = {.receive_bytes_max = TOTAL}; /* of what is held */
    struct pair p = pair_open(w, &options), other = pair_open(w, NULL);
    struct leat_buf sent = pattern(TOTAL, 9);
    p.r->on_data = change_all;
    for (size_t at = 0; at < TOTAL; at += 1 << 16) {
        peer_send_all(w, p.peer, sent.data + at, 1 << 16);
        peer_send_all(w, other.peer, sent.data + at, 100); /* whose bytes may lie beside these */
    }
    UNTIL(w, p.r->length == TOTAL && other.r->length == 100 * (TOTAL >> 16));
    assert_memory_equal(p.r->bytes, sent.data, TOTAL); /* as they were when they came */
    for (size_t i = 0; i < other.r->length; i++)
        assert_int_equal(other.r->bytes[i], sent.data[(i / 100 << 16) + i % 100]);
    settle(w);
    assert_int_equal(p.r->held_count, HELD_MAX);
    for (unsigned i = 0; i < p.r->held_count; i++) /* and as they were made, where they are held */
        for (size_t k = 0; k < p.r->held[i].length_bytes; k++)
            assert_int_equal(p.r->held[i].data[k] ^ 0xff, pattern_byte(p.r->held_at[i] + k, 9));
    release_all(p.r);
    leat_buf_unref(sent);
    pair_free(&other);
    pair_free(&p);
}

/* What was sent is the sender's, and may have to be sent again. */
void c29_what_is_sent_to_oneself_may_be_changed(struct world *w)
{
    enum { TOTAL = 100000 };
    struct records *s = serve(w, NULL);
    struct record near = {.w = w};
    struct leat_buf sent = pattern(TOTAL, 9), same = pattern(TOTAL, 9);
    assert_int_equal(leat_connect(w->loop, &s->addr, NULL, NULL, &record_ops, &near, &near.conn),
                     0);
    UNTIL(w, near.opens == 1 && s->count == 1);
    struct leat_buf given = leat_buf_ref(sent);
    assert_int_equal(leat_conn_send(near.conn, &given, 1), 0);
    UNTIL(w, s->record[0].length == TOTAL);
    assert_pattern(&s->record[0]);
    assert_memory_equal(sent.data, same.data, TOTAL);
    leat_buf_unref(sent);
    leat_buf_unref(same);
    assert_int_equal(leat_conn_abort(near.conn), 0);
    UNTIL(w, near.closes == 1 && s->record[0].closes == 1);
    record_fini(&near);
    records_free(s);
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
    enum { PEERS = 8, BYTES = 100000 };
    struct records *s = serve(w, NULL);
    struct peer *peers[PEERS];
    struct leat_buf sent = pattern(BYTES, 9);
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = peer_connect(w, &s->addr);
    UNTIL(w, s->count == PEERS);
    unsigned hoarded = hoard_all();
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
    hoard_give(hoarded);
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
