/* Ports whose interrupt does not do what is claimed: a server on one of them answers as it should,
 * and its stack comes to believe what is so; and every set of claims that a port may make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <leat/conn.h>

#include "net/sim/sim_internal.h"

#define ASKED    200
#define PAUSE_NS (50 * LEAT_NS_PER_MS)
#define DELAY_NS (100 * LEAT_NS_PER_US)
#define QUICK_NS                                                                                   \
    (2 * DELAY_NS + 2 * WAKE_NAP_NS) /* there and back, with a nap and what it costs               \
                                      */
#define CLIENTS 8

struct client {
    struct world *world;
    leat_conn conn;
    uint64_t asked_ns, longest_ns;
    unsigned asked, answered, late;
    bool is_open;
};

struct world {
    struct sim *sim;
    struct sim_host *server, *visitor;
    struct client clients[CLIENTS];
    unsigned client_count;
};

/* The server gives back what it gets. */
static void on_asked(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    (void)user;
    for (unsigned i = 0; i < count; i++) {
        struct leat_buf copy = leat_buf_alloc(slices[i].length_bytes);
        assert_non_null(copy.data);
        assert_int_equal(leat_conn_send(conn, &copy, 1), 0);
    }
}

static void on_open(leat_conn conn, void *user)
{
    struct client *c = user;
    c->conn = conn;
    c->is_open = true;
}

static void on_answer(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct client *c = user;
    (void)conn;
    uint64_t took_ns = sim_now(c->world->sim) - c->asked_ns;
    for (unsigned i = 0; i < count; i++)
        c->answered += (unsigned)slices[i].length_bytes;
    c->late += took_ns > QUICK_NS && took_ns < PAUSE_NS;
    c->longest_ns = took_ns > c->longest_ns ? took_ns : c->longest_ns;
}

static const struct leat_conn_ops server_ops = {.on_data = on_asked};
static const struct leat_conn_ops client_ops = {.on_open = on_open, .on_data = on_answer};

static void listen_on(struct world *w, struct sim_host *core)
{
    struct leat_addr at = sim_addr(w->server, false, 80);
    struct leat_listen_options listen = {0};
    struct leat_listener *listener;
    sim_enter(core);
    assert_int_equal(leat_listen(sim_loop(core), &at, &listen, &server_ops, NULL, &listener), 0);
    sim_leave(core);
}

static struct world *world_new(const struct sim_port_options *port, uint32_t cores,
                               unsigned clients)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->sim = sim_new(5, NULL, NULL);
    struct sim_host_options o = {.kind = SIM_STACK, .link.delay_ns = DELAY_NS, .core_count = cores};
    w->visitor = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_STACK,
                                                                 .link.delay_ns = DELAY_NS});
    o.port = *port;
    w->server = sim_add_host(w->sim, &o);
    for (uint32_t i = 0; i < cores; i++)
        listen_on(w, sim_core(w->server, i));
    w->client_count = clients;
    struct leat_addr at = sim_addr(w->server, false, 80);
    sim_enter(w->visitor);
    for (unsigned i = 0; i < clients; i++) {
        struct client *c = &w->clients[i];
        const struct leat_conn_options options = {0};
        c->world = w;
        assert_int_equal(leat_connect(sim_loop(w->visitor), &at, NULL, &options, &client_ops, c,
                                      &c->conn),
                         0);
    }
    sim_leave(w->visitor);
    sim_run_for(w->sim, 2 * LEAT_NS_PER_S);
    for (unsigned i = 0; i < clients; i++)
        assert_true(w->clients[i].is_open);
    return w;
}

static void ask(struct client *c)
{
    sim_enter(c->world->visitor);
    struct leat_buf buf = leat_buf_alloc(1);
    if (c->asked++ == c->answered)
        c->asked_ns = sim_now(c->world->sim);
    assert_int_equal(leat_conn_send(c->conn, &buf, 1), 0);
    sim_leave(c->world->visitor);
}

/* Each client so often, one after the other, with time to fall asleep in between. */
static void ask_all(struct world *w, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        for (unsigned k = 0; k < w->client_count; k++) {
            ask(&w->clients[k]);
            sim_run_for(w->sim, PAUSE_NS);
            w->clients[k].late += w->clients[k].answered < w->clients[k].asked;
        }
    assert_string_equal(sim_violation_sentence(w->sim), "");
}

static unsigned late_of(const struct world *w)
{
    unsigned late = 0;
    for (unsigned k = 0; k < w->client_count; k++)
        late += w->clients[k].late;
    return late;
}

static void world_end(struct world *w)
{
    sim_log_only_errors(w->sim);
    sim_run_for(w->sim, 5 * LEAT_NS_PER_S);
    assert_string_equal(sim_violation_sentence(w->sim), "");
    assert_int_equal(sim_free(w->sim), 0);
    free(w);
}

static const struct wake *wake_of(const struct world *w, uint32_t core)
{
    return &sim_stack(sim_core(w->server, core))->wake;
}

static void an_interrupt_that_comes_is_believed_and_ends_every_sleep(void **state)
{
    struct world *w = world_new(&(struct sim_port_options){.wake = SIM_WAKE_TRUE}, 1, 1);
    ask_all(w, ASKED);
    assert_int_equal(late_of(w), 0);
    assert_int_equal(wake_of(w, 0)->state, WAKE_BELIEVED);
    assert_true(w->clients[0].longest_ns < 2 * DELAY_NS + LEAT_NS_PER_US);
    world_end(w);
}

static void one_that_never_comes_makes_no_answer_late(void **state)
{
    struct world *w = world_new(&(struct sim_port_options){.wake = SIM_WAKE_NEVER}, 1, 1);
    ask_all(w, ASKED);
    assert_int_equal(late_of(w), 0);
    assert_int_equal(w->clients[0].answered, ASKED);
    assert_int_equal(wake_of(w, 0)->state, WAKE_DISPROVED);
    world_end(w);
}

static void one_that_comes_late_makes_no_answer_late(void **state)
{
    static const uint64_t late_ns[] = {LEAT_NS_PER_US * 300, LEAT_NS_PER_MS * 5, LEAT_NS_PER_S};
    for (unsigned i = 0; i < sizeof(late_ns) / sizeof(late_ns[0]); i++) {
        const struct sim_port_options port = {.wake = SIM_WAKE_LATE, .wake_late_ns = late_ns[i]};
        struct world *w = world_new(&port, 1, 1);
        ask_all(w, ASKED);
        assert_int_equal(late_of(w), 0);
        assert_int_equal(wake_of(w, 0)->state,
                         late_ns[i] < WAKE_NAP_NS ? WAKE_BELIEVED : WAKE_DISPROVED);
        world_end(w);
    }
}

/* Queues of one port differ, and loops without one are woken by those that have it. */
static void each_queue_has_its_own_interrupt(void **state)
{
    const struct sim_port_options port = {.wake = SIM_WAKE_FIRST_QUEUE,
                                          .rss = SIM_RSS_TRUE,
                                          .queue_count = 2};
    for (uint32_t cores = 2; cores <= 3; cores++) {
        struct world *w = world_new(&port, cores, CLIENTS);
        ask_all(w, ASKED / CLIENTS);
        assert_int_equal(late_of(w), 0);
        assert_int_equal(wake_of(w, 0)->state, WAKE_BELIEVED);
        assert_int_equal(wake_of(w, 1)->state, WAKE_DISPROVED);
        world_end(w);
    }
}

/* Believed when it came once, it is asked for ever longer proofs. */
static void one_that_is_lost_now_and_then_is_given_up(void **state)
{
    struct world *w = world_new(&(struct sim_port_options){.wake = SIM_WAKE_HALF}, 1, 1);
    ask_all(w, ASKED);
    assert_true(w->clients[0].longest_ns <= WAKE_LOOK_NS + QUICK_NS);
    unsigned late = late_of(w);
    assert_true(late > 0);
    ask_all(w, ASKED);
    assert_int_equal(late_of(w), late);
    world_end(w);
}

static void one_that_stops_is_found_out(void **state)
{
    struct world *w = world_new(&(struct sim_port_options){.wake = SIM_WAKE_TRUE}, 1, 1);
    ask_all(w, 10);
    assert_int_equal(wake_of(w, 0)->state, WAKE_BELIEVED);
    sim_port(w->server)->wake = SIM_WAKE_NEVER;
    ask_all(w, ASKED);
    assert_true(late_of(w) <= WAKE_LOOK_NS / PAUSE_NS + 1);
    assert_int_equal(wake_of(w, 0)->state, WAKE_DISPROVED);
    sim_port(w->server)->wake = SIM_WAKE_TRUE;
    ask_all(w, 10);
    assert_int_equal(wake_of(w, 0)->state, WAKE_BELIEVED);
    world_end(w);
}

static void whatever_a_port_claims_it_serves(void **state)
{
    for (uint32_t can = 0; can <= LEAT_PORT_CAN_RX_SCATTER * 2 - 1; can++)
        for (unsigned shape = 0; shape < 8; shape++) {
            const struct sim_port_options port = {
                .can = can,
                .wake = shape & 1 ? SIM_WAKE_TRUE : SIM_WAKE_NEVER,
                .rss = shape & 2 ? SIM_RSS_TRUE : SIM_RSS_NONE,
                .queue_count = shape & 4 ? 2 : 1,
            };
            struct world *w = world_new(&port, 2, 2);
            ask_all(w, 2);
            assert_int_equal(late_of(w), 0);
            world_end(w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupt_that_comes_is_believed_and_ends_every_sleep),
        cmocka_unit_test(one_that_never_comes_makes_no_answer_late),
        cmocka_unit_test(one_that_comes_late_makes_no_answer_late),
        cmocka_unit_test(each_queue_has_its_own_interrupt),
        cmocka_unit_test(one_that_is_lost_now_and_then_is_given_up),
        cmocka_unit_test(one_that_stops_is_found_out),
        cmocka_unit_test(whatever_a_port_claims_it_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
