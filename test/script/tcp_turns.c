/* Who sends when: connections take turns, and what comes is looked at in between. */
#include "test/script/talk.h"

#define LARGE_BYTES 400000u
#define SMALL_BYTES 100u
#define CONNS       3
#define TURNS       200

/* One more connection of the same peer, from its next port. */
static void open_another(struct talk *t)
{
    t->peer_port++;
    t->host_iss_known = false;
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 1, 1, 0);
}

static struct talk *open_all(leat_conn *conns)
{
    struct talk *t = talk_open(NULL);
    for (unsigned i = 0; i < CONNS; i++) {
        if (i > 0)
            open_another(t);
        conns[i] = t->conn;
        struct tcp_conn *c = conn_of(t);
        c->cwnd = 2 * LARGE_BYTES;
        assert_true(c->snd_wnd > LARGE_BYTES);
    }
    return t;
}

static void send_zeroes(leat_conn conn, size_t bytes)
{
    struct leat_buf buf = leat_buf_alloc(bytes);
    assert_true(leat_conn_send(conn, &buf, 1) >= 0);
}

/* The connection whose segment comes next, and what that carries. False: silence. */
static bool next(struct talk *t, unsigned *conn, uint32_t *bytes)
{
    struct sim_frame f;
    if (!sim_take(t->peer, &f))
        return false;
    const struct tcp_header *h = payload_of(&f);
    *conn = be16_get(h->dst_port) - (t->peer_port - (CONNS - 1u));
    *bytes = be16_get(ip4_of(&f)->length) - 20u - (h->offset >> 4) * 4u;
    assert_true(*conn < CONNS);
    return true;
}

static void large_answers_go_in_turn_and_a_small_one_between(void **state)
{
    leat_conn conns[CONNS];
    struct talk *t = open_all(conns);
    uint32_t sent[CONNS] = {0}, run_bytes = 0, bytes;
    unsigned last = CONNS, conn;
    (void)state;
    sim_enter(t->host);
    send_zeroes(conns[0], LARGE_BYTES);
    send_zeroes(conns[1], LARGE_BYTES);
    send_zeroes(conns[2], SMALL_BYTES);
    sim_leave(t->host);
    pass(t, 1);
    while (next(t, &conn, &bytes)) {
        bool has_end = sent[0] == LARGE_BYTES || sent[1] == LARGE_BYTES;
        run_bytes = conn == last ? run_bytes + bytes : bytes;
        last = conn;
        sent[conn] += bytes;
        assert_true(has_end || run_bytes < TCP_TURN_BYTES + 1448);
        if (conn == 2)
            assert_true(sent[0] + sent[1] < 2 * (TCP_TURN_BYTES + 1448));
    }
    assert_int_equal(sent[0], LARGE_BYTES);
    assert_int_equal(sent[1], LARGE_BYTES);
    assert_int_equal(sent[2], SMALL_BYTES);
    talk_end(t);
}

static void a_turn_sends_no_more_segments_than_a_poll_takes_acks(void **state)
{
    leat_conn conns[CONNS];
    struct talk *t = open_all(conns);
    const uint64_t *packets = &sim_stack(t->host)->count.tx_packets;
    uint64_t most = 0, begin = *packets;
    (void)state;
    sim_enter(t->host);
    for (unsigned i = 0; i < CONNS; i++)
        send_zeroes(conns[i], LARGE_BYTES);
    for (unsigned i = 0; i < TURNS; i++) {
        uint64_t before = *packets;
        leat_loop_turn(sim_loop(t->host), 0);
        most = *packets - before > most ? *packets - before : most;
    }
    sim_leave(t->host);
    assert_in_range(most, LEAT_PORT_BURST - 1, LEAT_PORT_BURST);
    assert_true(*packets - begin >= CONNS * LARGE_BYTES / 1448);
    talk_end(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_answers_go_in_turn_and_a_small_one_between),
        cmocka_unit_test(a_turn_sends_no_more_segments_than_a_poll_takes_acks),
    };
    return run_scripts(tests, argc, argv);
}
