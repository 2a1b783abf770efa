/* Streams over connections of the simulated stack: what goes through a pipe is whole, a slow sink
 * closes the sender's window, which opens again, and the memory between them is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <leat/stream_conn.h>

#include "net/sim/sim.h"
#include "net/stack/tcp/tcp.h"

#define SENT_BYTES    (8u << 20)
#define PIECE_BYTES   16384u
#define WINDOW_BYTES  100000u
#define BETWEEN_BYTES (1u << 20) /* that the host of the pipe may hold */

/* client -> proxy (a pipe) -> server, which reads when the test says so. */
struct world {
    struct sim *sim;
    struct sim_host *client, *proxy, *server;
    leat_conn sender, receiver;
    struct leat_stream *in, *out;
    struct leat_future *piped;
    uint64_t sent, received;
    bool has_end, is_wrong;
    enum leat_close_reason reason;
    unsigned close_count;
};

static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position % 251);
}

/* ---- the client ---- */

static void client_send(struct world *w)
{
    while (w->sent < SENT_BYTES) {
        struct leat_buf buf = leat_buf_alloc_unsafe(PIECE_BYTES);
        assert_non_null(buf.data);
        for (uint32_t i = 0; i < PIECE_BYTES; i++)
            buf.data[i] = byte_at(w->sent + i);
        if (leat_conn_send(w->sender, &buf, 1) < 0) {
            leat_buf_unref(buf);
            return; /* on_writable goes on */
        }
        w->sent += PIECE_BYTES;
    }
    (void)leat_conn_end(w->sender);
}

static void client_on_open(leat_conn conn, void *user)
{
    client_send(user);
}

static void client_on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct world *w = user;
    w->close_count++;
    w->reason = reason;
}

static const struct leat_conn_ops client_ops = {.on_open = client_on_open,
                                                .on_writable = client_on_open,
                                                .on_close = client_on_close};

/* ---- the server ---- */

static void server_on_open(leat_conn conn, void *user)
{
    struct world *w = user;
    w->receiver = conn;
    (void)leat_conn_pause(conn);
}

static void server_on_data(leat_conn conn, void *user, const struct leat_buf *slices,
                           unsigned count)
{
    struct world *w = user;
    for (unsigned i = 0; i < count; i++)
        for (size_t at = 0; at < slices[i].length_bytes; at++)
            w->is_wrong |= slices[i].data[at] != byte_at(w->received++);
}

static void server_on_end(leat_conn conn, void *user)
{
    ((struct world *)user)->has_end = true;
    (void)leat_conn_end(conn);
}

static const struct leat_conn_ops server_ops = {.on_open = server_on_open,
                                                .on_data = server_on_data,
                                                .on_end = server_on_end};

/* ---- the proxy ---- */

static void proxy_pipe(struct world *w)
{
    struct leat_stream *streams[] = {leat_stream_ref(w->in), leat_stream_ref(w->out)};
    w->piped = leat_pipeline(streams, 2);
}

static void proxy_on_connected(leat_conn conn, void *user)
{
    struct world *w = user;
    w->out = leat_conn_stream(conn, NULL);
    assert_non_null(w->out);
    proxy_pipe(w);
}

static const struct leat_conn_ops connecting_ops = {.on_open = proxy_on_connected};

static void proxy_on_accept(leat_conn conn, void *user)
{
    struct world *w = user;
    struct leat_addr to = sim_addr(w->server, false, 80);
    leat_conn out;
    w->in = leat_conn_stream(conn, NULL);
    assert_non_null(w->in);
    assert_int_equal(leat_connect(sim_loop(w->proxy), &to, NULL, NULL, &connecting_ops, w, &out),
                     0);
}

static const struct leat_conn_ops accept_ops = {.on_open = proxy_on_accept};

static void host_listen(struct world *w, struct sim_host *host, const struct leat_conn_ops *ops)
{
    const struct leat_listen_options options = {.conn.receive_bytes_max = WINDOW_BYTES};
    struct leat_addr at = sim_addr(host, false, 80);
    struct leat_listener *listener;
    sim_enter(host);
    assert_int_equal(leat_listen(sim_loop(host), &at, &options, ops, w, &listener), 0);
    sim_leave(host);
}

static void world_begin(struct world *w)
{
    struct sim_host_options o = {.kind = SIM_STACK, .link.delay_ns = LEAT_NS_PER_MS};
    *w = (struct world){.sim = sim_new(1, NULL, NULL)};
    w->client = sim_add_host(w->sim, &o);
    w->proxy = sim_add_host(w->sim, &o);
    w->server = sim_add_host(w->sim, &o);
    host_listen(w, w->proxy, &accept_ops);
    host_listen(w, w->server, &server_ops);
    struct leat_addr to = sim_addr(w->proxy, false, 80);
    sim_enter(w->client);
    assert_int_equal(leat_connect(sim_loop(w->client), &to, NULL, NULL, &client_ops, w, &w->sender),
                     0);
    sim_leave(w->client);
    sim_run_for(w->sim, 20 * LEAT_NS_PER_MS);
    assert_non_null(w->piped);
}

static void world_end(struct world *w)
{
    sim_enter(w->proxy);
    leat_future_unref(w->piped);
    leat_stream_unref(w->in);
    leat_stream_unref(w->out);
    sim_leave(w->proxy);
    assert_int_equal(sim_free(w->sim), 0);
}

/* What the peer of the client has promised beyond what is acknowledged. */
static uint32_t client_window(struct world *w)
{
    struct tcp_conn *c = slots_find(&sim_stack(w->client)->tcp->conns, w->sender.id);
    assert_non_null(c);
    return c->snd_wnd;
}

static uint64_t proxy_live_bytes(struct world *w)
{
    struct leat_buf_stats stats;
    sim_enter_quietly(w->proxy);
    leat_buf_stats(&stats);
    sim_leave_quietly(w->proxy);
    return stats.live_bytes;
}

static void server_read(struct world *w, bool reads)
{
    sim_enter(w->server);
    (void)(reads ? leat_conn_resume(w->receiver) : leat_conn_pause(w->receiver));
    sim_leave(w->server);
}

static void a_slow_sink_closes_the_senders_window(void **state)
{
    struct world w;
    world_begin(&w);
    sim_run_for(w.sim, 10 * LEAT_NS_PER_S);
    assert_int_equal(w.received, 0);
    assert_true(w.sent < SENT_BYTES);
    assert_int_equal(client_window(&w), 0);
    assert_true(proxy_live_bytes(&w) < BETWEEN_BYTES);
    uint64_t sent = w.sent;
    server_read(&w, true);
    for (int i = 0; i < 100 && w.sent == sent; i++)
        sim_run_for(w.sim, 5 * LEAT_NS_PER_MS);
    server_read(&w, false);
    sim_run_for(w.sim, 10 * LEAT_NS_PER_S);
    assert_true(w.sent > sent && w.sent < SENT_BYTES); /* it opened, and closed again */
    assert_int_equal(client_window(&w), 0);
    assert_true(proxy_live_bytes(&w) < BETWEEN_BYTES);
    server_read(&w, true);
    sim_run_for(w.sim, 60 * LEAT_NS_PER_S);
    assert_int_equal(w.received, SENT_BYTES);
    assert_true(w.has_end && !w.is_wrong);
    sim_enter(w.proxy);
    assert_non_null(leat_future_result(w.piped));
    assert_int_equal(leat_future_result(w.piped)->code, 0);
    leat_stream_end(w.in); /* a pipeline's first stream keeps its other side */
    leat_stream_resume(w.out);
    sim_leave(w.proxy);
    sim_run_for(w.sim, 60 * LEAT_NS_PER_S);
    assert_int_equal(w.close_count, 1);
    assert_int_equal(w.reason, LEAT_CLOSE_DONE);
    world_end(&w);
}

static void a_lost_receiver_destroys_both(void **state)
{
    struct world w;
    world_begin(&w);
    sim_run_for(w.sim, LEAT_NS_PER_S);
    sim_enter(w.proxy);
    leat_future_ignore(w.piped);
    sim_leave(w.proxy);
    sim_enter(w.server);
    assert_int_equal(leat_conn_abort(w.receiver), 0);
    sim_leave(w.server);
    sim_run_for(w.sim, 5 * LEAT_NS_PER_S);
    sim_enter(w.proxy);
    assert_non_null(leat_future_result(w.piped));
    assert_int_equal(leat_future_result(w.piped)->code, -ECONNRESET);
    assert_true(leat_stream_is_destroyed(w.in) && leat_stream_is_destroyed(w.out));
    sim_leave(w.proxy);
    assert_int_equal(w.close_count, 1);
    assert_int_equal(w.reason, LEAT_CLOSE_RESET);
    world_end(&w);
}

static void a_lost_sender_destroys_both(void **state)
{
    struct world w;
    world_begin(&w);
    sim_run_for(w.sim, LEAT_NS_PER_S);
    sim_enter(w.proxy);
    leat_future_ignore(w.piped);
    sim_leave(w.proxy);
    sim_enter(w.client);
    assert_int_equal(leat_conn_abort(w.sender), 0);
    sim_leave(w.client);
    sim_run_for(w.sim, 5 * LEAT_NS_PER_S);
    sim_enter(w.proxy);
    assert_non_null(leat_future_result(w.piped));
    assert_int_equal(leat_future_result(w.piped)->code, -ECONNRESET);
    assert_true(leat_stream_is_destroyed(w.in) && leat_stream_is_destroyed(w.out));
    sim_leave(w.proxy);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_sink_closes_the_senders_window),
        cmocka_unit_test(a_lost_receiver_destroys_both),
        cmocka_unit_test(a_lost_sender_destroys_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
