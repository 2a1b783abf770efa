/* What the port claims is measured: a stack on a port that tells the truth believes it, and one on
 * a port that lies serves all the same, and gives up that feature and no other. */
#include <leat/conn.h>

#include "net/sim/sim.h"
#include "net/stack/tcp/tcp.h"
#include "test/script/scripts.h"

#include <stdlib.h>

#define EVERYTHING                                                                                 \
    (LEAT_PORT_CAN_RX_IP_CHECKSUM | LEAT_PORT_CAN_RX_L4_CHECKSUM | LEAT_PORT_CAN_TX_IP_CHECKSUM |  \
     LEAT_PORT_CAN_TX_L4_CHECKSUM | LEAT_PORT_CAN_TSO)
#define ABSENT   OFFLOAD_ABSENT
#define TRIAL    OFFLOAD_ON_TRIAL
#define BELIEVED OFFLOAD_BELIEVED
#define GIVEN_UP OFFLOAD_GIVEN_UP
#define PIECE    20000 /* sent at a time */

static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 11 + (at >> 9));
}

/* Bytes go from a to b and from b to a; only a's port claims anything. */
struct side {
    struct world *world;
    leat_conn conn;
    uint64_t sent, received;
    bool is_open, is_wrong;
};

struct world {
    struct sim *sim;
    struct sim_host *a, *b;
    struct leat_listener *listener;
    struct side sides[2]; /* a, b */
    uint64_t total;
};

static void pump(struct side *s)
{
    while (s->is_open && s->sent < s->world->total) {
        uint64_t left = s->world->total - s->sent;
        struct leat_buf buf = leat_buf_alloc_unsafe(left < PIECE ? left : PIECE);
        assert_non_null(buf.data);
        for (size_t i = 0; i < buf.length_bytes; i++)
            buf.data[i] = byte_at(s->sent + i);
        size_t length = buf.length_bytes;
        if (leat_conn_send(s->conn, &buf, 1) < 0) {
            leat_buf_unref(buf);
            return;
        }
        s->sent += length;
    }
}

static void on_open(leat_conn conn, void *user)
{
    struct side *s = user;
    s->conn = conn;
    s->is_open = true;
    pump(s);
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct side *s = user;
    (void)conn;
    for (unsigned i = 0; i < count; i++)
        for (size_t k = 0; k < slices[i].length_bytes; k++)
            s->is_wrong |= slices[i].data[k] != byte_at(s->received++);
}

static void on_writable(leat_conn conn, void *user)
{
    (void)conn;
    pump(user);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    (void)conn;
    (void)reason;
    ((struct side *)user)->is_open = false;
}

static const struct leat_conn_ops ops = {.on_open = on_open,
                                         .on_data = on_data,
                                         .on_writable = on_writable,
                                         .on_close = on_close};

static struct world *world_new(uint32_t can, uint32_t lies)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    const struct sim_link link = {.delay_ns = LEAT_NS_PER_MS};
    w->sim = sim_new(3, NULL, NULL);
    w->a = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_STACK,
                                                           .link = link,
                                                           .port = {.can = can, .lies = lies}});
    w->b = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_STACK, .link = link});
    w->sides[0].world = w->sides[1].world = w;
    struct leat_addr at = sim_addr(w->a, false, 80);
    struct leat_listen_options listen = {0};
    sim_run_for(w->sim, 5 * LEAT_NS_PER_S);
    sim_enter(w->a);
    assert_int_equal(leat_listen(sim_loop(w->a), &at, &listen, &ops, &w->sides[0], &w->listener),
                     0);
    sim_leave(w->a);
    sim_enter(w->b);
    const struct leat_conn_options options = {0};
    assert_int_equal(leat_connect(sim_loop(w->b), &at, NULL, &options, &ops, &w->sides[1],
                                  &w->sides[1].conn),
                     0);
    sim_leave(w->b);
    return w;
}

static bool has_arrived(void *arg)
{
    const struct world *w = arg;
    return w->sides[0].received >= w->total && w->sides[1].received >= w->total;
}

/* So many more bytes each way; returns how long it took. */
static uint64_t exchange(struct world *w, uint64_t bytes)
{
    uint64_t began_ns = sim_now(w->sim);
    w->total += bytes;
    struct sim_host *const hosts[] = {w->a, w->b};
    for (unsigned i = 0; i < 2; i++) {
        sim_enter(hosts[i]);
        pump(&w->sides[i]);
        sim_leave(hosts[i]);
    }
    bool is_done = sim_run_until_done(w->sim, has_arrived, w, 600 * LEAT_NS_PER_S);
    assert_string_equal(sim_violation_sentence(w->sim), "");
    assert_true(is_done);
    assert_false(w->sides[0].is_wrong || w->sides[1].is_wrong);
    assert_int_equal(w->sides[0].received, w->total);
    return sim_now(w->sim) - began_ns;
}

static void world_end(struct world *w)
{
    assert_string_equal(sim_violation_sentence(w->sim), "");
    assert_int_equal(sim_free(w->sim), 0);
    free(w);
}

static void assert_beliefs(const struct world *w, unsigned rx_ip, unsigned rx_l4, unsigned tx_l4,
                           unsigned tso)
{
    const struct offload_belief *o = sim_stack(w->a)->offloads;
    assert_int_equal(o[OFFLOAD_RX_IP].state, rx_ip);
    assert_int_equal(o[OFFLOAD_RX_L4].state, rx_l4);
    assert_int_equal(o[OFFLOAD_TX_L4].state, tx_l4);
    assert_int_equal(o[OFFLOAD_TSO].state, tso);
}

/* ---- the truth ---- */

static void a_truthful_port_is_believed(void **state)
{
    struct world *w = world_new(EVERYTHING, 0);
    assert_beliefs(w, TRIAL, TRIAL, TRIAL, TRIAL);
    exchange(w, 1000000);
    assert_beliefs(w, BELIEVED, BELIEVED, BELIEVED, BELIEVED);
    assert_int_equal(sim_stack(w->a)->can, EVERYTHING);
    assert_int_equal(sim_stack(w->a)->tcp->count.retransmitted, 0);
    world_end(w);
}

static void what_is_not_claimed_is_done_by_software(void **state)
{
    struct world *w = world_new(0, 0);
    exchange(w, 300000);
    assert_beliefs(w, ABSENT, ABSENT, ABSENT, ABSENT);
    world_end(w);
}

/* Loss, damage and an outage are not the port's fault. */
static void loss_and_an_outage_cost_no_belief(void **state)
{
    struct world *w = world_new(EVERYTHING, 0);
    exchange(w, 300000);
    sim_link(w->a)->loss_ppm = sim_link(w->b)->loss_ppm = 50000;
    sim_link(w->a)->corrupt_ppm = sim_link(w->b)->corrupt_ppm = 20000;
    exchange(w, 3000000);
    sim_link(w->a)->down = true;
    sim_run_for(w->sim, 20 * LEAT_NS_PER_S);
    sim_link(w->a)->down = false;
    exchange(w, 300000);
    assert_beliefs(w, BELIEVED, BELIEVED, BELIEVED, BELIEVED);
    world_end(w);
}

/* A train that a narrow link swallowed says nothing of who cut it. */
static void a_path_that_became_narrow_costs_no_belief_rfc1191(void **state)
{
    struct world *w = world_new(EVERYTHING, 0);
    sim_run_for(w->sim, LEAT_NS_PER_S);
    sim_link(w->a)->mtu_bytes = 1000;
    sim_link(w->a)->says_too_big = true;
    exchange(w, 300000);
    assert_true(sim_stack(w->a)->tcp->count.icmp_too_big > 0);
    assert_true(sim_stack(w->a)->offloads[OFFLOAD_TSO].state != OFFLOAD_GIVEN_UP);
    assert_true(sim_stack(w->a)->offloads[OFFLOAD_TX_L4].state != OFFLOAD_GIVEN_UP);
    world_end(w);
}

static void a_scattered_frame_is_put_together(void **state)
{
    struct world *w = world_new(LEAT_PORT_CAN_RX_SCATTER | LEAT_PORT_CAN_RX_L4_CHECKSUM, 0);
    exchange(w, 500000);
    assert_int_equal(sim_stack(w->a)->offloads[OFFLOAD_RX_L4].state, BELIEVED);
    assert_int_equal(sim_stack(w->a)->tcp->count.retransmitted, 0);
    world_end(w);
}

/* ---- lies about what was received ---- */

/* Every checksum is good, it says: the first damaged frame ends the belief, during the trial. */
static void a_port_that_calls_damaged_frames_good_is_not_believed(void **state)
{
    struct world *w = world_new(EVERYTHING, SIM_LIE_RX_GOOD);
    sim_link(w->b)->corrupt_ppm = 200000;
    exchange(w, 300000);
    const struct stack *s = sim_stack(w->a);
    assert_int_equal(s->offloads[OFFLOAD_RX_L4].state, GIVEN_UP);
    assert_int_equal(s->offloads[OFFLOAD_TX_L4].state, BELIEVED);
    assert_true(s->count.drops[STACK_DROP_TCP_CHECKSUM] > 10); /* software saw them */
    world_end(w);
}

/* Without the measuring such a server would be deaf. */
static void a_port_that_calls_right_frames_bad_is_not_believed(void **state)
{
    struct world *w = world_new(EVERYTHING, SIM_LIE_RX_BAD);
    exchange(w, 300000);
    assert_beliefs(w, GIVEN_UP, GIVEN_UP, BELIEVED, BELIEVED);
    assert_int_equal(sim_stack(w->a)->tcp->count.retransmitted, 0);
    assert_int_equal(sim_stack(w->a)->count.drops[STACK_DROP_TCP_CHECKSUM], 0);
    world_end(w);
}

/* What it calls bad is looked at for ever. */
static void a_port_that_begins_to_lie_later_is_found_out(void **state)
{
    struct world *w = world_new(EVERYTHING, 0);
    exchange(w, 300000);
    assert_beliefs(w, BELIEVED, BELIEVED, BELIEVED, BELIEVED);
    sim_port(w->a)->lies = SIM_LIE_RX_BAD;
    exchange(w, 300000);
    assert_beliefs(w, GIVEN_UP, GIVEN_UP, BELIEVED, BELIEVED);
    world_end(w);
}

/* Frames that are cut short are dropped, and nothing of them is kept. */
static void a_port_that_loses_the_last_piece_is_survived(void **state)
{
    struct world *w = world_new(LEAT_PORT_CAN_RX_SCATTER, SIM_LIE_SCATTER);
    w->total = 20000;
    sim_run_for(w->sim, 10 * LEAT_NS_PER_S);
    assert_true(sim_stack(w->a)->count.drops[STACK_DROP_IP_SHORT] > 0);
    sim_port(w->a)->lies = 0;
    exchange(w, 300000);
    world_end(w);
}

/* ---- lies about what is sent ---- */

static void checksums_that_are_never_filled_in_are_given_up(void **state)
{
    struct world *w = world_new(LEAT_PORT_CAN_TX_L4_CHECKSUM, SIM_LIE_TX_CHECKSUM);
    exchange(w, 30000);
    assert_beliefs(w, ABSENT, ABSENT, GIVEN_UP, ABSENT);
    uint64_t resent = sim_stack(w->a)->tcp->count.retransmitted;
    assert_true(exchange(w, 1000000) < LEAT_NS_PER_S);
    assert_int_equal(sim_stack(w->a)->tcp->count.retransmitted, resent);
    world_end(w);
}

/* It hangs where it should cut: segments that software cuts get through. */
static void segmentation_that_swallows_is_given_up_alone(void **state)
{
    struct world *w = world_new(EVERYTHING, SIM_LIE_TSO);
    exchange(w, 300000);
    assert_beliefs(w, BELIEVED, BELIEVED, BELIEVED, GIVEN_UP);
    uint64_t resent = sim_stack(w->a)->tcp->count.retransmitted;
    assert_true(exchange(w, 1000000) < LEAT_NS_PER_S);
    assert_int_equal(sim_stack(w->a)->tcp->count.retransmitted, resent);
    world_end(w);
}

/* The header's sum is asked for only where segments are cut. */
static void ip_checksums_that_are_never_filled_in_cost_segmentation(void **state)
{
    struct world *w = world_new(EVERYTHING, SIM_LIE_TX_IP);
    exchange(w, 300000);
    assert_beliefs(w, BELIEVED, BELIEVED, BELIEVED, GIVEN_UP);
    assert_true(exchange(w, 1000000) < LEAT_NS_PER_S);
    world_end(w);
}

/* Both at once, found one by one; what begins to fail after it was believed, too. */
static void sending_offloads_that_fail_later_are_given_up(void **state)
{
    struct world *w = world_new(EVERYTHING, 0);
    exchange(w, 300000);
    assert_beliefs(w, BELIEVED, BELIEVED, BELIEVED, BELIEVED);
    sim_port(w->a)->lies = SIM_LIE_TX_CHECKSUM | SIM_LIE_TSO;
    exchange(w, 300000);
    assert_beliefs(w, BELIEVED, BELIEVED, GIVEN_UP, GIVEN_UP);
    assert_true(exchange(w, 1000000) < LEAT_NS_PER_S);
    world_end(w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_truthful_port_is_believed),
        cmocka_unit_test(what_is_not_claimed_is_done_by_software),
        cmocka_unit_test(loss_and_an_outage_cost_no_belief),
        cmocka_unit_test(a_path_that_became_narrow_costs_no_belief_rfc1191),
        cmocka_unit_test(a_scattered_frame_is_put_together),
        cmocka_unit_test(a_port_that_calls_damaged_frames_good_is_not_believed),
        cmocka_unit_test(a_port_that_calls_right_frames_bad_is_not_believed),
        cmocka_unit_test(a_port_that_begins_to_lie_later_is_found_out),
        cmocka_unit_test(a_port_that_loses_the_last_piece_is_survived),
        cmocka_unit_test(checksums_that_are_never_filled_in_are_given_up),
        cmocka_unit_test(segmentation_that_swallows_is_given_up_alone),
        cmocka_unit_test(ip_checksums_that_are_never_filled_in_cost_segmentation),
        cmocka_unit_test(sending_offloads_that_fail_later_are_given_up),
    };
    return run_scripts(tests, argc, argv);
}
