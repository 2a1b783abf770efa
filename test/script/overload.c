/* Floods, and what is refused first: each attack is played against a server that has a well-behaved
 * client, which must go on being served; after it the server answers within a virtual second, and
 * no buffer is lost. */
#include "test/script/flood.h"
#include "test/script/scripts.h"

#define SERVED_NS (300 * LEAT_NS_PER_MS) /* the client's longest wait while nothing is refused */

static uint32_t below(struct flood *f, uint32_t bound)
{
    return (uint32_t)sim_random_below(f->sim, bound);
}

static uint64_t dropped(struct flood *f, enum stack_drop reason)
{
    return flood_stack(f)->count.drops[reason];
}

/* ---- without state: SYN, ACK, fragments, garbage ---- */

static void send_syns(struct flood *f, uint64_t ms)
{
    (void)ms;
    for (unsigned i = 0; i < 50; i++)
        flood_shoot(f, &(struct shot){.port = (uint16_t)(20000 + below(f, 40000)),
                                      .seq = (uint32_t)sim_random(f->sim),
                                      .window = 65535,
                                      .flags = TCP_SYN});
}

static void a_syn_flood_leaves_room_for_others_rfc4987(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){0});
    flood_run(f, send_syns, 2000);
    assert_true(flood_tcp(f)->count.cookies_sent > 50000);
    assert_int_equal(flood_tcp(f)->embryo_count, TCP_EMBRYOS_MAX);
    assert_true(flood_tcp(f)->count.cookies_received > 10); /* the client's way in meanwhile */
    /* RFC 7323 5: what a cookie keeps in its timestamp does not make the next segment old */
    assert_int_equal(sim_stack(f->client)->count.drops[STACK_DROP_TCP_PAWS], 0);
    assert_true(f->longest_gap_ns < SERVED_NS);
    assert_int_equal(f->failure_count, 0);
    flood_end(f);
}

/* Sources on the link that are not there: each answer asks for a neighbour. */
static void send_spoofed_syns(struct flood *f, uint64_t ms)
{
    (void)ms;
    for (unsigned i = 0; i < 50; i++) {
        struct shot shot = {.from = ip_addr_v4(be32_put(0x0a000004u + below(f, 250))),
                            .port = (uint16_t)below(f, 65536),
                            .seq = (uint32_t)sim_random(f->sim),
                            .flags = TCP_SYN};
        if (i % 2 == 0) {
            uint64_t low = sim_random(f->sim);
            shot.from = (struct ip_addr){{0xfd}};
            memcpy(shot.from.b + 8, &low, sizeof(low));
        }
        flood_shoot(f, &shot);
    }
}

static void spoofed_sources_do_not_push_out_known_neighbours_rfc6583(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){0});
    flood_run(f, send_spoofed_syns, 2000);
    struct ip_addr client = sim_ip(f->client, false);
    const struct neighbour *n = neighbour_find(flood_stack(f), &client);
    assert_non_null(n);
    assert_int_not_equal(n->state, NEIGHBOUR_INCOMPLETE);
    n = neighbour_find(flood_stack(f), &f->ends.peer); /* known, and idle all the time */
    assert_non_null(n);
    assert_true(f->longest_gap_ns < SERVED_NS);
    assert_int_equal(f->failure_count, 0);
    flood_end(f);
}

static void send_acks(struct flood *f, uint64_t ms)
{
    (void)ms;
    for (unsigned i = 0; i < 50; i++)
        flood_shoot(f, &(struct shot){.port = (uint16_t)below(f, 65536),
                                      .seq = (uint32_t)sim_random(f->sim),
                                      .ack = (uint32_t)sim_random(f->sim),
                                      .window = (uint16_t)sim_random(f->sim),
                                      .length = below(f, 2) * 100,
                                      .flags = (uint8_t)(TCP_ACK | (i % 5 == 0 ? TCP_FIN : 0))});
}

static void an_ack_flood_draws_a_bounded_number_of_resets(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){0});
    flood_run(f, send_acks, 2000);
    assert_true(dropped(f, STACK_DROP_TCP_COOKIE) > 50000);
    assert_in_range(flood_tcp(f)->count.resets_sent, 1000, 2500); /* 1,000 a second */
    assert_int_equal(flood_tcp(f)->embryo_count, 0);
    assert_true(f->longest_gap_ns < SERVED_NS);
    flood_end(f);
}

static void send_fragments(struct flood *f, uint64_t ms)
{
    uint8_t bytes[1480] = {0};
    struct frame frame;
    (void)ms;
    for (unsigned i = 0; i < 20; i++) {
        frame_ip(&frame, &f->ends, IP_UDP, bytes, 8 + 8 * below(f, 180));
        uint16_t offset = (uint16_t)below(f, 8000);
        frame_set_fragment(&frame, (uint16_t)(offset | (below(f, 8) != 0 ? IPV4_MF : 0)),
                           (uint16_t)below(f, 65536));
        sim_inject(f->server, frame.bytes, frame.length);
    }
}

static void fragments_have_a_bound_of_their_own(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){0});
    flood_run(f, send_fragments, 2000);
    assert_true(flood_stack(f)->reasm.bytes <= REASM_BYTES_MAX);
    assert_true(dropped(f, STACK_DROP_FRAGMENT_LIMIT) > 1000);
    assert_true(f->longest_gap_ns < SERVED_NS);
    assert_int_equal(f->failure_count, 0);
    flood_end(f);
}

/* Noise behind a true Ethernet header; true segments with some bytes changed. */
static void send_garbage(struct flood *f, uint64_t ms)
{
    (void)ms;
    for (unsigned i = 0; i < 40; i++) {
        static const uint16_t types[] = {ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_ARP,
                                         ETHERTYPE_VLAN};
        struct frame frame;
        uint8_t segment[60] = {0x04, 0, 0, 80, [12] = 5 << 4, [13] = TCP_ACK};
        frame_ip(&frame, &f->ends, (uint8_t)(i % 2 == 0 ? IP_TCP : sim_random(f->sim)), segment,
                 sizeof(segment));
        size_t first = i % 4 == 0 ? 14 : 14 + below(f, 40), count = i % 4 == 0 ? 200 : 3;
        if (i % 4 == 0) {
            frame_eth(&frame, &f->ends, types[below(f, 4)]);
            frame.length = 14 + below(f, 200);
        }
        for (size_t k = first; k < frame.length && k < first + count; k++)
            frame.bytes[k] = (uint8_t)sim_random(f->sim);
        sim_inject(f->server, frame.bytes, frame.length);
    }
}

static void garbage_is_dropped_under_its_names(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){0});
    flood_run(f, send_garbage, 2000);
    const struct stack *s = flood_stack(f);
    unsigned reasons = 0;
    for (unsigned i = 0; i < STACK_DROP_COUNT; i++)
        reasons += s->count.drops[i] > 0;
    assert_true(reasons > 12);
    assert_true(f->longest_gap_ns < SERVED_NS);
    assert_int_equal(f->failure_count, 0);
    flood_end(f);
}

/* ---- with connections ---- */

static void open_allies(struct flood *f, uint64_t ms)
{
    for (uint32_t i = 0; i < 50; i++)
        flood_connect(f, (uint32_t)ms * 50 + i);
}

/* One byte each, for an application that does not read. */
static void send_bytes(struct flood *f, uint64_t ms)
{
    for (uint32_t i = 0; i < 50; i++)
        flood_say(f, (uint32_t)(ms + i) % 50, 0, 1);
}

static void one_byte_segments_cost_what_they_carry(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){.holds = true});
    flood_run(f, open_allies, 1);
    flood_run(f, NULL, 100);
    assert_int_equal(f->open_count, 50);
    flood_run(f, send_bytes, 2000);
    uint64_t sent = (uint64_t)50 * 2000, most = 2 * sent + 50 * 2048;
    assert_true(flood_tcp(f)->copied_bytes <= most);
    assert_true(flood_stack(f)->kept_count <= 50); /* the first of each at most */
    assert_true(f->longest_gap_ns < SERVED_NS);
    assert_int_equal(f->failure_count, 0);
    flood_end(f);
}

/* Whole windows of full segments, for an application that does not read. */
static void send_bulk(struct flood *f, uint64_t ms)
{
    for (uint32_t i = 0; i < 50; i++)
        flood_say(f, (uint32_t)(ms * 50 + i) % 200, 0, 1400);
}

/* Otherwise the port would be deaf as soon as 2,048 frames are kept. */
static void paused_connections_do_not_keep_the_ports_last_buffers(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){.holds = true});
    flood_run(f, open_allies, 4);
    flood_run(f, NULL, 100);
    assert_int_equal(f->open_count, 200);
    flood_run(f, send_bulk, 400); /* 20,000 segments; the first windows hold 9,000 of them */
    assert_in_range(flood_stack(f)->kept_count, 900, 1024);
    assert_true(flood_tcp(f)->copied_bytes > 4u << 20);
    assert_true(f->longest_gap_ns < SERVED_NS);
    assert_int_equal(f->failure_count, 0);
    flood_end(f);
}

static void under_pressure_windows_are_promised_small(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){.holds = true});
    flood_run(f, open_allies, 4);
    flood_run(f, NULL, 100);
    flood_tcp(f)->copied_bytes_max = 2u << 20;
    flood_run(f, send_bulk, 400);
    assert_int_equal(flood_tcp(f)->pressure, PRESSURE_FULL);
    assert_true(flood_tcp(f)->copied_bytes <= 2u << 20);
    assert_true(dropped(f, STACK_DROP_TCP_MEMORY) > 0); /* the last resort, and counted */
    uint64_t refused = dropped(f, STACK_DROP_TCP_PRESSURE);
    flood_connect(f, 300);
    flood_run(f, NULL, 10);
    assert_int_equal(dropped(f, STACK_DROP_TCP_PRESSURE), refused + 1);
    for (uint32_t i = 0; i < 200; i++) { /* the attacker goes */
        struct ally *a = &f->allies[i];
        struct tcp_flow flow = {sim_ip(f->server, false), f->ends.peer, be16_put(FLOOD_PORT),
                                be16_put((uint16_t)(1024 + i))};
        struct stack_tcp *t = flood_tcp(f);
        uint32_t r = table_find(&t->table, table_hash(&t->table, &flow), &flow, tcp_matches, t);
        assert_int_equal(table_kind(r), KIND_CONN);
        const struct tcp_conn *c = slots_address(&t->conns, table_index(r));
        flood_shoot(f, &(struct shot){.port = (uint16_t)(1024 + i),
                                      .seq = c->rcv_nxt.n,
                                      .ack = a->ack,
                                      .flags = TCP_RST});
    }
    flood_run(f, NULL, 200);
    assert_int_equal(flood_tcp(f)->copied_bytes, 0);
    assert_int_equal(flood_tcp(f)->pressure, PRESSURE_NONE);
    flood_end(f);
}

/* Behind a hole, in any order, of any size. */
static void send_out_of_order(struct flood *f, uint64_t ms)
{
    for (uint32_t i = 0; i < 50; i++)
        flood_say(f, (uint32_t)(ms + i) % 50, 1 + below(f, 60000), 1 + below(f, 1400));
}

static void an_out_of_order_storm_is_bounded_in_ranges_and_bytes(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){0});
    flood_run(f, open_allies, 1);
    flood_run(f, NULL, 100);
    flood_run(f, send_out_of_order, 2000);
    struct stack_tcp *t = flood_tcp(f);
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        struct tcp_conn *c = slots_at(&t->conns, i);
        assert_true(c == NULL || c->work == NULL || c->work->rare.ooo_count <= TCP_OOO_RANGES_MAX);
    }
    assert_true(flood_stack(f)->kept_count <= 1024);
    assert_true(f->longest_gap_ns < SERVED_NS);
    assert_int_equal(f->failure_count, 0);
    flood_end(f);
}

/* Sockstress: all ask, none takes the answer, all say that they live. */
static void ten_thousand_zero_window_readers_are_cut_off_when_room_runs_out(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){.buffer_bytes_max = 12u << 20});
    f->window = 0;
    f->allies_ask = f->allies_answer = true;
    flood_run(f, open_allies, 200);
    assert_true(f->longest_gap_ns < SERVED_NS);
    flood_run(f, NULL, 4000);
    assert_true(f->open_count > 8000);
    struct stack_tcp *t = flood_tcp(f);
    assert_in_range(t->count.slow_readers, 1000, 8000); /* as many as it takes */
    assert_int_equal(f->reset_count, t->count.slow_readers);
    sim_enter_quietly(f->server);
    struct leat_buf_stats stats;
    leat_buf_stats(&stats);
    sim_leave_quietly(f->server);
    assert_true(stats.live_bytes < f->o.buffer_bytes_max * 3 / 4);
    assert_true(f->longest_gap_ns < LEAT_NS_PER_S + SERVED_NS); /* a SYN may have been refused */
    flood_end(f);
}

/* With room for all of them nobody is cut off: RFC 9293 3.8.6.1 has a zero window stay open. */
static void zero_window_readers_may_stay_while_there_is_room_3_8_6_1(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){.buffer_bytes_max = 256u << 20});
    f->window = 0;
    f->allies_ask = f->allies_answer = true;
    flood_run(f, open_allies, 20);
    flood_run(f, NULL, 5000);
    assert_int_equal(f->open_count, 1000);
    assert_int_equal(f->reset_count, 0);
    assert_true(f->longest_gap_ns < SERVED_NS);
    flood_end(f);
}

static unsigned count_attackers(struct flood *f)
{
    struct stack_tcp *t = flood_tcp(f);
    unsigned count = 0;
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        const struct tcp_conn *c = slots_at(&t->conns, i);
        count += c != NULL && ip_addr_equal(&c->remote, &f->ends.peer);
    }
    return count;
}

static void one_address_has_its_share_of_connections_only(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){.conns_max = 400});
    flood_run(f, open_allies, 20);
    flood_run(f, NULL, 500);
    assert_in_range(count_attackers(f), 285, 300); /* until three quarters are taken */
    assert_true(dropped(f, STACK_DROP_TCP_PEER_LIMIT) > 500);
    assert_int_equal(dropped(f, STACK_DROP_TCP_CONNS), 0);
    assert_int_equal(f->failure_count, 0);
    assert_true(f->longest_gap_ns < SERVED_NS);
    flood_end(f);
}

static void an_explicit_limit_holds_for_each_address(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){0});
    flood_tcp(f)->peer_conns_max = 30;
    flood_run(f, open_allies, 2);
    flood_run(f, NULL, 100);
    assert_int_equal(count_attackers(f), 30);
    for (uint32_t i = 0; i < 30; i++) /* who goes makes room */
        flood_shoot(f, &(struct shot){.port = (uint16_t)(1024 + i),
                                      .seq = f->allies[i].seq,
                                      .ack = f->allies[i].ack,
                                      .flags = TCP_RST});
    flood_run(f, NULL, 10);
    assert_int_equal(count_attackers(f), 0);
    for (uint32_t i = 0; i < 20; i++)
        flood_connect(f, 200 + i);
    flood_run(f, NULL, 100);
    assert_int_equal(count_attackers(f), 20);
    flood_end(f);
}

/* ---- reserves for sending ---- */

static unsigned hear_arp(struct flood *f)
{
    struct sim_frame frame;
    unsigned count = 0;
    while (sim_take(f->attacker, &frame))
        count += is_type(&frame, ETHERTYPE_ARP);
    return count;
}

/* Data has taken every head, and the hardware gives none back. */
static void arp_is_answered_when_data_has_taken_all_heads(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){0});
    f->o.answer_bytes = 1000000;
    sim_port(f->server)->heads_max = 40;
    sim_port(f->server)->completion_ns = 10 * LEAT_NS_PER_S;
    sim_run_for(f->sim, 500 * LEAT_NS_PER_MS);
    assert_true(dropped(f, STACK_DROP_TX_MEMORY) > 0);
    (void)hear_arp(f);
    struct frame frame;
    frame_arp(&frame, 1, &f->ends);
    sim_inject(f->server, frame.bytes, frame.length);
    sim_run_for(f->sim, 10 * LEAT_NS_PER_MS);
    assert_int_equal(hear_arp(f), 1);
    sim_port(f->server)->heads_max = 0;
    sim_port(f->server)->completion_ns = 0;
    f->o.answer_bytes = 1000;
    sim_run_for(f->sim, 10 * LEAT_NS_PER_S); /* the hardware is done with the rest */
    flood_end(f);
}

/* The port takes nothing: answers to strangers fill half of the backlog, the rest stays. */
static void answers_to_strangers_leave_room_in_the_backlog(void **state)
{
    struct flood *f = flood_new(&(struct flood_options){0});
    sim_port(f->server)->tx_refuse_ppm = 1000000;
    flood_run(f, send_syns, 20);
    const struct stack *s = flood_stack(f);
    assert_in_range(s->tx.queued, STACK_REPLIES / 2, STACK_REPLIES + 8);
    assert_true(tx_room(s, TX_DATA) > 100);
    assert_true(dropped(f, STACK_DROP_TX_BACKLOG) > 100);
    sim_port(f->server)->tx_refuse_ppm = 0;
    flood_end(f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syn_flood_leaves_room_for_others_rfc4987),
        cmocka_unit_test(spoofed_sources_do_not_push_out_known_neighbours_rfc6583),
        cmocka_unit_test(an_ack_flood_draws_a_bounded_number_of_resets),
        cmocka_unit_test(fragments_have_a_bound_of_their_own),
        cmocka_unit_test(garbage_is_dropped_under_its_names),
        cmocka_unit_test(one_byte_segments_cost_what_they_carry),
        cmocka_unit_test(paused_connections_do_not_keep_the_ports_last_buffers),
        cmocka_unit_test(under_pressure_windows_are_promised_small),
        cmocka_unit_test(an_out_of_order_storm_is_bounded_in_ranges_and_bytes),
        cmocka_unit_test(ten_thousand_zero_window_readers_are_cut_off_when_room_runs_out),
        cmocka_unit_test(zero_window_readers_may_stay_while_there_is_room_3_8_6_1),
        cmocka_unit_test(one_address_has_its_share_of_connections_only),
        cmocka_unit_test(an_explicit_limit_holds_for_each_address),
        cmocka_unit_test(arp_is_answered_when_data_has_taken_all_heads),
        cmocka_unit_test(answers_to_strangers_leave_room_in_the_backlog),
    };
    return run_scripts(tests, argc, argv);
}
