/* A checker that never caught anything proves nothing: each invariant that the simulator looks at
 * is broken here on purpose, and must be noticed, in a world that was right a moment before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <leat/conn.h>

#include "net/sim/play_internal.h"
#include "net/sim/sim_internal.h"
#include "net/stack/tcp/tcp.h"

/* A client that sends without an end to a server that reads nothing of what has come since it
 * paused; the client's first segments of the last burst are lost. */
struct world {
    struct sim *sim;
    struct sim_host *server, *client;
    leat_conn accepted, connected;
    struct stack_tcp *t;
    struct tcp_conn *c; /* the one that the test is about */
    struct tcp_work *w;
};

static void on_accept(leat_conn conn, void *user)
{
    ((struct world *)user)->accepted = conn;
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    (void)conn, (void)user, (void)slices, (void)count;
}

static const struct leat_conn_ops ops = {.on_data = on_data};
static const struct leat_conn_ops accept_ops = {.on_open = on_accept, .on_data = on_data};

static void send_some(struct world *w, size_t bytes)
{
    sim_enter(w->client);
    struct leat_buf buf = leat_buf_alloc(bytes);
    assert_non_null(buf.data);
    assert_int_equal(leat_conn_send(w->connected, &buf, 1), 0);
    sim_leave(w->client);
}

static void look_at(struct world *w, struct sim_host *host, leat_conn conn)
{
    w->t = sim_stack(host)->tcp;
    w->c = slots_find(&w->t->conns, conn.id);
    assert_non_null(w->c);
    w->w = w->c->work;
}

static void begin(struct world *w)
{
    struct sim_host_options o = {.kind = SIM_STACK, .link.delay_ns = LEAT_NS_PER_MS};
    const struct leat_listen_options listen = {.conn.receive_bytes_max = 100000};
    struct leat_listener *listener;
    *w = (struct world){.sim = sim_new(1, NULL, NULL)};
    o.port.completion_ns = 5 * LEAT_NS_PER_MS;
    w->server = sim_add_host(w->sim, &o);
    w->client = sim_add_host(w->sim, &o);
    struct leat_addr at = sim_addr(w->server, false, 80);
    sim_enter(w->server);
    assert_int_equal(leat_listen(sim_loop(w->server), &at, &listen, &accept_ops, w, &listener), 0);
    sim_leave(w->server);
    sim_enter(w->client);
    assert_int_equal(leat_connect(sim_loop(w->client), &at, NULL,
                                  &(struct leat_conn_options){.send_high_bytes = 1u << 20}, &ops, w,
                                  &w->connected),
                     0);
    sim_leave(w->client);
    sim_run_for(w->sim, 20 * LEAT_NS_PER_MS);
    assert_int_not_equal(w->accepted.id, 0);
    sim_enter(w->server);
    (void)leat_conn_pause(w->accepted);
    sim_leave(w->server);
    send_some(w, 20000);
    sim_run_for(w->sim, 50 * LEAT_NS_PER_MS);
    struct sim_link *link = sim_link(w->client);
    link->list[link->list_count++] =
        (struct sim_fault){.number = w->client->sent_count + 2, .kind = SIM_DROP};
    send_some(w, 200000);
    sim_run_for(w->sim, 1500 * LEAT_NS_PER_US); /* some has come, none was acknowledged */
    look_at(w, w->client, w->connected);
}

static void end(struct world *w)
{
    sim_quiet(w->sim);
    sim_free(w->sim);
}

static bool is_noticed(struct world *w, const char *words)
{
    w->server->is_kicked = w->client->is_kicked = false;
    sim_check_host(w->client);
    sim_check_host(w->server);
    bool noticed =
        sim_violation_count(w->sim) > 0 && strstr(sim_violation_sentence(w->sim), words) != NULL;
    if (!noticed)
        print_error("not noticed: %s, but: %s\n", words, sim_violation_sentence(w->sim));
    w->sim->violation_count = 0;
    w->sim->sentence[0] = 0;
    return noticed;
}

/* Puts bytes of value over a field, looks, and puts the field right again. */
static void breaks(struct world *w, void *field, size_t bytes, uint64_t value, const char *words)
{
    uint64_t before = 0;
    memcpy(&before, field, bytes);
    memcpy(field, &value, bytes);
    bool noticed = is_noticed(w, words);
    memcpy(field, &before, bytes);
    assert_true(noticed);
    w->server->is_kicked = w->client->is_kicked = false;
    sim_check_host(w->client);
    sim_check_host(w->server);
    assert_int_equal(sim_violation_count(w->sim), 0);
}

#define BREAKS(field, value, words) breaks(&w, &(field), sizeof(field), (uint64_t)(value), words)

static void what_is_in_flight(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    struct tcp_sent *r = w.w->sent_first;
    BREAKS(w.c->snd_una.n, w.c->snd_nxt.n + 1, "SND.UNA is behind");
    BREAKS(w.c->snd_una.n, w.c->snd_una.n + 1, "gap, overlap");
    BREAKS(r->to.n, r->to.n + 1, "do not end at SND.NXT");
    BREAKS(r->to.n, r->from.n, "gap, overlap");
    breaks(&w, &r->prev, sizeof(uintptr_t), (uintptr_t)r, "linked wrongly");
    BREAKS(r->flags, SENT_SACKED | SENT_LOST, "sacked and lost at once");
    BREAKS(r->flags, SENT_RESENT, "not lost");
    BREAKS(w.w->sent_count, w.w->sent_count + 1, "do not end at SND.NXT");
    BREAKS(w.w->sacked_bytes, w.w->sacked_bytes + 1, "sacked, lost or sent again");
    BREAKS(w.w->lost_bytes, w.w->lost_bytes + 1, "sacked, lost or sent again");
    BREAKS(w.w->resent_bytes, w.w->resent_bytes + 1, "sacked, lost or sent again");
    BREAKS(w.w->send_end.n, w.w->send_end.n + 1, "does not end where it should");
    BREAKS(w.w->send_first->seq.n, w.w->send_first->seq.n + 1, "does not end where it should");
    breaks(&w, &w.w->conn, sizeof(uintptr_t), 0, "another connection's");
    end(&w);
}

static void what_was_received(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    look_at(&w, w.server, w.accepted);
    struct tcp_rx *rx = w.w->rx_first, *ooo = w.w->ooo_first;
    assert_non_null(rx);
    assert_non_null(ooo);
    BREAKS(w.c->rcv_nxt.n, w.c->rcv_edge.n + 1, "RCV.NXT is behind");
    BREAKS(rx->refs, 0, "freed buffer");
    BREAKS(rx->length_bytes, 0, "an empty");
    BREAKS(w.w->rx_bytes, w.w->rx_bytes + 1, "wait for delivery are counted");
    BREAKS(rx->buffer_bytes, 100u << 20, "buffers of many times its size");
    BREAKS(ooo->length_bytes, 0, "not sorted");
    BREAKS(ooo->seq.n, w.c->rcv_nxt.n - 1, "not sorted");
    BREAKS(ooo->seq.n, w.c->rcv_nxt.n, "a range out of order is in order");
    BREAKS(w.w->rare.ooo_bytes, w.w->rare.ooo_bytes + 1, "out of order are counted");
    BREAKS(w.w->rare.ooo_count, w.w->rare.ooo_count + 1, "out of order are counted");
    end(&w);
}

static void timers(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    BREAKS(w.w->xmit_ns, STACK_NEVER, "unacknowledged and has no timer");
    BREAKS(w.w->xmit_ns, 1, "later than what it is for");
    BREAKS(w.c->flags, w.c->flags | TCP_ACK_LATER, "owed and has no timer");
    BREAKS(w.c->state, TCP_SYN_SENT, "may take for ever");
    end(&w);
}

static void an_idle_connection_owes_nothing(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    sim_enter(w.server);
    (void)leat_conn_resume(w.accepted);
    sim_leave(w.server);
    sim_run_for(w.sim, 10 * LEAT_NS_PER_S);
    assert_null(w.c->work);
    BREAKS(w.c->snd_una.n, w.c->snd_una.n - 1, "an idle connection");
    BREAKS(w.c->flags, w.c->flags | TCP_ACK_LATER, "an idle connection");
    end(&w);
}

static void counts(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    BREAKS(w.t->conns.live_count, 2, "live slots");
    BREAKS(w.t->table.count, 2, "the table does not hold");
    BREAKS(w.c->hash, w.c->hash + 1, "not found by its addresses");
    BREAKS(w.t->works.live_count, 2, "works, chunks or ranges are lost");
    BREAKS(w.t->chunks.live_count, 0, "works, chunks or ranges are lost");
    BREAKS(w.t->sents.live_count, 0, "works, chunks or ranges are lost");
    BREAKS(w.t->embryo_count, 1, "the table does not hold");
    BREAKS(w.t->time_wait_count, 1, "the table does not hold");
    look_at(&w, w.server, w.accepted);
    BREAKS(w.t->listeners[0]->embryo_count, 1, "embryos are counted");
    BREAKS(w.t->rxs.live_count, 0, "received buffers are counted");
    end(&w);
}

static void what_is_lent(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    BREAKS(w.client->stats.rx_count, 0, "different numbers of frames");
    BREAKS(w.client->stats.tx_count, 0, "neither sent nor kept");
    BREAKS(w.server->lent_count, 10000, "kept by nobody");
    end(&w);
}

/* ---- at rest ---- */

static bool is_restless(struct world *w, void *field, size_t bytes, const char *words)
{
    uint64_t before = 0, one = 1;
    memcpy(&before, field, bytes);
    one += before;
    memcpy(field, &one, bytes);
    sim_check_rest(w->client);
    memcpy(field, &before, bytes);
    bool noticed = strstr(sim_violation_sentence(w->sim), words) != NULL;
    w->sim->violation_count = 0;
    w->sim->sentence[0] = 0;
    return noticed;
}

#define RESTLESS(field, words) assert_true(is_restless(&w, &(field), sizeof(field), words))

static void what_is_left(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    sim_check_rest(w.client);
    assert_non_null(strstr(sim_violation_sentence(w.sim), "connections are left"));
    w.sim->violation_count = 0;
    w.sim->sentence[0] = 0;
    sim_enter(w.client);
    (void)leat_conn_abort(w.connected);
    sim_leave(w.client);
    sim_run_for(w.sim, 2 * TCP_TIME_WAIT_NS);
    sim_check_rest(w.client);
    assert_int_equal(sim_violation_count(w.sim), 0);
    RESTLESS(w.t->time_wait_count, "TIME_WAIT");
    RESTLESS(w.t->works.live_count, "works, chunks");
    RESTLESS(w.t->rxs.live_count, "received buffers are left");
    RESTLESS(w.client->lent_count, "frames of the port");
    RESTLESS(w.client->head_count, "heads of the port");
    sim_enter_quietly(w.client);
    struct leat_buf buf = leat_buf_alloc(100);
    sim_leave_quietly(w.client);
    sim_check_rest(w.client);
    assert_non_null(strstr(sim_violation_sentence(w.sim), "buffers are left"));
    sim_enter_quietly(w.client);
    leat_buf_unref(buf);
    sim_leave_quietly(w.client);
    end(&w);
}

/* ---- what the wire and the port see ---- */

static void is_seen(struct world *w, const char *words)
{
    sim_kick(w->client);
    sim_kick(w->server);
    sim_run_for(w->sim, 2 * LEAT_NS_PER_S);
    if (strstr(sim_violation_sentence(w->sim), words) == NULL)
        print_error("not noticed: %s, but: %s\n", words, sim_violation_sentence(w->sim));
    assert_non_null(strstr(sim_violation_sentence(w->sim), words));
    end(w);
}

static void text_beyond_the_window(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    w.c->snd_wnd += 200000;
    w.c->cwnd += 200000;
    sim_enter(w.client);
    tcp_dirty(w.c);
    sim_leave(w.client);
    is_seen(&w, "beyond the peer's window");
}

static void an_ack_of_the_unsent(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    look_at(&w, w.server, w.accepted);
    tcp_drop_received(w.t, w.c);
    w.c->rcv_edge = w.c->rcv_nxt = seq_add(w.c->rcv_edge, 1u << 20);
    is_seen(&w, "that were never sent");
}

static void anothers_queue(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    sim_stack(w.client)->queue = 0;
    sim_kick(w.client);
    sim_run_for(w.sim, LEAT_NS_PER_MS);
    sim_stack(w.client)->queue = SIM_QUEUE;
    is_seen(&w, "not its own");
}

static void a_packet_edited_in_flight(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    assert_non_null(w.client->flights);
    for (struct tcp_chunk *k = w.w->send_first; k != NULL; k = k->next)
        memset(k->buf.data, 0xaa, k->buf.length_bytes);
    is_seen(&w, "while the hardware was reading");
}

static void a_wrong_checksum(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    w.client->stack->count.tx_packets++; /* of which the port has heard nothing */
    is_seen(&w, "committed");
}

/* ---- what the applications of a flow see ---- */

static struct play *play_begin(struct side **client)
{
    struct play *p = test_calloc(1, sizeof(*p));
    const struct sim_host_options o = {.kind = SIM_STACK};
    p->sim = sim_new(1, NULL, NULL);
    p->server = sim_add_host(p->sim, &o);
    p->client = sim_add_host(p->sim, &o);
    play_draw_shape(p, "clean");
    p->flow_count = 1;
    flow_init(p, 0);
    *client = &p->flows[0].client;
    (*client)->style = END_HALF;
    (*client)->to_send = 0;
    (*client)->to_receive = 10;
    return p;
}

static void play_end(struct play *p, const char *words)
{
    if (strstr(sim_violation_sentence(p->sim), words) == NULL)
        print_error("not noticed: %s, but: %s\n", words, sim_violation_sentence(p->sim));
    assert_non_null(strstr(sim_violation_sentence(p->sim), words));
    sim_quiet(p->sim);
    sim_free(p->sim);
    test_free(p);
}

static void give(struct side *s, const uint8_t *bytes, size_t length)
{
    uint8_t own[16]; /* it may be changed */
    struct leat_buf slice = {.data = own, .length_bytes = length};
    assert_true(length <= sizeof(own));
    if (length > 0)
        memcpy(own, bytes, length);
    sim_enter_quietly(s->host);
    flow_client_ops.on_data(LEAT_CONN_NONE, s, &slice, 1);
    sim_leave_quietly(s->host);
}

static void callbacks_of_a_flow(void **state)
{
    static const uint8_t zeros[11], wrong[10] = {1};
    const leat_conn none = LEAT_CONN_NONE;
    struct side *s;
    struct play *p = play_begin(&s);
    (void)state;
    s->has_ended = true; /* sends nothing: only what it sees counts */
    give(s, zeros, 10);
    play_end(p, "data out of turn");

    p = play_begin(&s);
    s->has_ended = s->is_open = true;
    give(s, wrong, 10);
    play_end(p, "wrong bytes");

    p = play_begin(&s);
    s->has_ended = s->is_open = true;
    give(s, zeros, 11);
    play_end(p, "more bytes than were sent");

    p = play_begin(&s);
    s->has_ended = s->is_open = true;
    flow_client_ops.on_open(none, s);
    play_end(p, "opened twice");

    p = play_begin(&s);
    s->has_ended = s->is_open = true;
    flow_client_ops.on_end(none, s);
    play_end(p, "the end before the last byte");

    p = play_begin(&s);
    s->has_ended = s->is_open = s->has_end = true;
    s->received = 10;
    flow_client_ops.on_end(none, s);
    play_end(p, "a second end");

    p = play_begin(&s);
    flow_client_ops.on_close(none, s, LEAT_CLOSE_DONE);
    play_end(p, "done before everything");

    p = play_begin(&s);
    flow_client_ops.on_close(none, s, LEAT_CLOSE_RESET);
    play_end(p, "the peer reset it");

    p = play_begin(&s);
    s->flow->may_die = true;
    s->began_ns = sim_now(p->sim);
    p->options.connect_timeout_ns = 1;
    flow_client_ops.on_close(none, s, LEAT_CLOSE_CONNECT_TIMEOUT);
    play_end(p, "given up too early");

    p = play_begin(&s);
    s->received = 10;
    s->is_closed = true;
    flow_client_ops.on_close(none, s, LEAT_CLOSE_DONE);
    play_end(p, "closed twice");
}

/* ---- what hosts log ---- */

static bool warns(struct sim_host *host)
{
    sim_enter_quietly(host);
    bool is_on = leat_log_is_on(LEAT_LEVEL_WARN);
    sim_leave_quietly(host);
    return is_on;
}

static void hosts_that_log_errors_only(void **state)
{
    const struct sim_host_options o = {.kind = SIM_STACK};
    struct sim *sim = sim_new(1, NULL, NULL);
    (void)state;
    struct sim_host *loud = sim_add_host(sim, &o);
    sim_log_only_errors(sim);
    struct sim_host *hushed = sim_add_host(sim, &o);
    assert_true(warns(loud));
    assert_false(warns(hushed));
    assert_int_equal(sim_free(sim), 0);
}

/* ---- lists of faults ---- */

static void faults_by_name(void **state)
{
    struct play_result none, some;
    struct play_options o = {.seed = 1, .scenario = "clean", .faults = ""};
    (void)state;
    play_seed(&o, &none);
    o.faults = "client drop 3 7, server delay 5 double 9";
    play_seed(&o, &some);
    assert_int_equal(none.fault_count, 0);
    assert_int_equal(none.retransmitted, 0);
    assert_int_equal(some.fault_count, 4);
    assert_true(some.retransmitted > 0);
    assert_int_equal(none.violation_count + some.violation_count, 0);
    assert_false(play_faults_are_good("drop 3"));
    assert_false(play_faults_are_good("client 3"));
    assert_false(play_faults_are_good("client drop 0"));
    assert_false(play_faults_are_good("client lose 3"));
}

static void the_same_seed_gives_the_same_world(void **state)
{
    struct play_result a, b;
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        play_seed(&(struct play_options){.seed = seed}, &a);
        play_seed(&(struct play_options){.seed = seed}, &b);
        assert_int_equal(a.violation_count, 0);
        assert_int_equal(a.frame_count, b.frame_count);
        assert_int_equal(a.segments, b.segments);
        assert_int_equal(a.fault_count, b.fault_count);
        assert_true(a.flow_count >= PLAY_FLOWS_MIN && a.fault_count >= PLAY_FAULTS_MIN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_flight),
        cmocka_unit_test(what_was_received),
        cmocka_unit_test(timers),
        cmocka_unit_test(an_idle_connection_owes_nothing),
        cmocka_unit_test(counts),
        cmocka_unit_test(what_is_lent),
        cmocka_unit_test(what_is_left),
        cmocka_unit_test(text_beyond_the_window),
        cmocka_unit_test(an_ack_of_the_unsent),
        cmocka_unit_test(anothers_queue),
        cmocka_unit_test(a_packet_edited_in_flight),
        cmocka_unit_test(a_wrong_checksum),
        cmocka_unit_test(callbacks_of_a_flow),
        cmocka_unit_test(hosts_that_log_errors_only),
        cmocka_unit_test(faults_by_name),
        cmocka_unit_test(the_same_seed_gives_the_same_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
