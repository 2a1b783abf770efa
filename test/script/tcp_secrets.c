/* What a stranger must not guess: initial sequence numbers (RFC 6528), the clock of timestamps (RFC
 * 7323 5.4), local ports (RFC 6056). */
#include "test/script/world.h"

#include <errno.h>

#include <leat/conn.h>

#include "net/stack/tcp/tcp.h"

#define FLOWS 64

static struct tcp_flow flow_of(const struct world *w, uint16_t peer_port)
{
    return (struct tcp_flow){.local = w->v4.host,
                             .remote = w->v4.peer,
                             .local_port = be16_put(80),
                             .remote_port = be16_put(peer_port)};
}

static uint32_t apart(uint32_t a, uint32_t b)
{
    return a - b < b - a ? a - b : b - a;
}

static void the_number_of_a_flow_moves_with_the_clock_alone_rfc6528_3(void **state)
{
    struct world w = begin(false);
    struct stack *s = sim_stack(w.host);
    struct tcp_flow flow = flow_of(&w, 5000);
    (void)state;
    uint32_t first = tcp_initial_seq(s->tcp, &flow, LEAT_NS_PER_S).n;
    uint64_t later_ns = LEAT_NS_PER_S + 64 * UINT64_C(1000);
    assert_int_equal(tcp_initial_seq(s->tcp, &flow, later_ns).n - first, 1000);
    end(&w);
}

/* A loop that slept, or whose callback runs for long, has an old time of the turn. */
static void the_number_of_a_connect_is_of_the_moment_it_is_made_rfc6528_3(void **state)
{
    static const struct leat_conn_ops ops = {0};
    struct world w = begin(false);
    struct stack *s = sim_stack(w.host);
    struct leat_addr to = sim_addr(w.peer, false, 80);
    leat_conn conn;
    (void)state;
    sim_run_for(w.sim, 10 * LEAT_NS_PER_MS);
    sim_enter(w.host);
    assert_int_equal(leat_connect(sim_loop(w.host), &to, NULL, NULL, &ops, NULL, &conn), 0);
    const struct tcp_conn *c = slots_find(&s->tcp->conns, conn.id);
    struct tcp_flow flow = {c->local, c->remote, c->local_port, c->remote_port};
    assert_true(leat_loop_now(sim_loop(w.host)) < sim_now(w.sim));
    assert_int_equal(c->iss.n, tcp_initial_seq(s->tcp, &flow, sim_now(w.sim)).n);
    assert_int_equal(c->work->rare.end_ns, sim_now(w.sim) + 30 * LEAT_NS_PER_S);
    assert_int_equal(leat_conn_abort(conn), 0);
    sim_leave(w.host);
    end(&w);
}

static void numbers_of_other_flows_and_other_starts_tell_nothing_rfc6528_3(void **state)
{
    struct world w = begin(false);
    struct stack *s = sim_stack(w.host);
    uint32_t numbers[FLOWS], clocks[FLOWS];
    (void)state;
    for (uint16_t i = 0; i < FLOWS; i++) {
        struct tcp_flow flow = flow_of(&w, (uint16_t)(5000 + i));
        numbers[i] = tcp_initial_seq(s->tcp, &flow, s->now_ns).n;
        clocks[i] = tcp_ts_offset(s->tcp, &flow);
        for (uint16_t k = 0; k < i; k++) {
            assert_true(apart(numbers[i], numbers[k]) > 4096);
            assert_true(apart(clocks[i], clocks[k]) > 4096);
        }
    }
    struct tcp_flow flow = flow_of(&w, 5000);
    s->seed[0]++;
    assert_true(apart(tcp_initial_seq(s->tcp, &flow, s->now_ns).n, numbers[0]) > 4096);
    s->seed[0]--;
    end(&w);
}

static uint16_t connect_to(struct world *w, uint16_t port)
{
    static const struct leat_conn_ops ops = {0};
    struct leat_addr to = sim_addr(w->peer, false, port), local;
    leat_conn conn;
    sim_enter(w->host);
    assert_int_equal(leat_connect(sim_loop(w->host), &to, NULL, NULL, &ops, NULL, &conn), 0);
    assert_int_equal(leat_conn_local(conn, &local), 0);
    assert_int_equal(leat_conn_abort(conn), 0);
    sim_leave(w->host);
    return local.port;
}

/* Each destination has an offset of its own: what one sees of the ports tells it nothing of the
 * next one elsewhere. */
static void ports_begin_elsewhere_for_each_destination_rfc6056_3_3_3(void **state)
{
    struct world w = begin(false);
    uint16_t ports[FLOWS];
    (void)state;
    introduce(&w);
    for (uint16_t i = 0; i < FLOWS; i++) {
        ports[i] = connect_to(&w, (uint16_t)(8000 + i));
        assert_in_range(ports[i], 32768, 60999);
    }
    unsigned neighbours = 0;
    for (unsigned i = 1; i < FLOWS; i++)
        neighbours += apart(ports[i], ports[i - 1]) < 64;
    assert_in_range(neighbours, 0, 4);
    sim_run_for(w.sim, LEAT_NS_PER_S);
    end(&w);
}

static void ports_to_one_destination_repeat_late_rfc6056_3_3_3(void **state)
{
    struct world w = begin(false);
    bool is_used[65536] = {0};
    (void)state;
    introduce(&w);
    for (unsigned i = 0; i < 1000; i++) {
        uint16_t port = connect_to(&w, 80);
        assert_false(is_used[port]);
        is_used[port] = true;
    }
    sim_run_for(w.sim, LEAT_NS_PER_S);
    end(&w);
}

/* Not "no route", and not by kernel sockets instead: those know nothing of this address. */
static void an_address_without_ports_left_says_so_rfc6056_3_3_3(void **state)
{
    static const struct leat_conn_ops ops = {0};
    struct world w = begin(false);
    struct leat_addr to = sim_addr(w.peer, false, 80), other = sim_addr(w.peer, false, 81);
    leat_conn conn;
    int result = 0;
    unsigned count = 0;
    (void)state;
    settle(&w);
    sim_enter(w.host);
    struct leat_loop *loop = sim_loop(w.host);
    while (count <= TCP_EPHEMERAL_COUNT &&
           (result = leat_connect(loop, &to, NULL, NULL, &ops, NULL, &conn)) == 0)
        count++;
    assert_int_equal(result, -EADDRINUSE);
    assert_int_equal(leat_loop_error(loop)->code, -EADDRINUSE);
    assert_non_null(strstr(leat_loop_error(loop)->sentence, "no ports left on this address"));
    assert_true(count > TCP_EPHEMERAL_COUNT * 9 / 10);
    assert_int_equal(leat_connect(loop, &other, NULL, NULL, &ops, NULL, &conn), 0);
    sim_leave(w.host);
    end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_number_of_a_flow_moves_with_the_clock_alone_rfc6528_3),
        cmocka_unit_test(the_number_of_a_connect_is_of_the_moment_it_is_made_rfc6528_3),
        cmocka_unit_test(numbers_of_other_flows_and_other_starts_tell_nothing_rfc6528_3),
        cmocka_unit_test(ports_begin_elsewhere_for_each_destination_rfc6056_3_3_3),
        cmocka_unit_test(an_address_without_ports_left_says_so_rfc6056_3_3_3),
        cmocka_unit_test(ports_to_one_destination_repeat_late_rfc6056_3_3_3),
    };
    return run_scripts(tests, argc, argv);
}
