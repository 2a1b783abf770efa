/* What a lease leaves behind when it ends, and what it must not take along; pauses, and links that
 * go and come. */
#include "test/script/dhcp_server.h"

#define STATIC UINT32_C(0x0a090064) /* 10.9.0.100, in the lease's own network */
#define FAR    UINT32_C(0x08080808)

static struct ip_addr v4(uint32_t ip)
{
    return ip_addr_v4(be32_put(ip));
}

/* The next hop towards dst; 0: there is no route. */
static uint32_t hop_of(struct world *w, uint32_t dst)
{
    struct ip_addr to = v4(dst);
    struct path path;
    sim_enter_quietly(w->host);
    sim_stack(w->host)->now_ns = sim_now(w->sim);
    int result = path_find(sim_stack(w->host), NULL, &to, &path);
    sim_leave_quietly(w->host);
    return result == 0 ? be32_get(ip_addr_get_v4(&path.hop)) : 0;
}

static void give_static(struct world *w)
{
    struct ip_addr ip = v4(STATIC), any = v4(0), gateway = v4(SERVER);
    assert_int_equal(stack_add_address(sim_stack(w->host), &ip, 24), 0);
    assert_int_equal(stack_add_route(sim_stack(w->host), &any, 0, &gateway), 0);
}

static void run_out(struct world *w)
{
    pass(w, 3700 * 1000);
    assert_false(has_address(w));
    assert_int_equal(w->losses, 1);
}

static void a_lost_lease_leaves_what_the_flags_gave(void **state)
{
    struct world *w = begin();
    give_static(w);
    obtain(w);
    run_out(w);
    assert_int_equal(hop_of(w, SERVER + 1), SERVER + 1);
    assert_int_equal(hop_of(w, FAR), SERVER);
    struct ip_addr ip = v4(STATIC);
    assert_true(addr_is_local(sim_stack(w->host), &ip));
    end(w);
}

/* The other way round, and without anything of the flags. */
static void a_lost_lease_takes_what_it_gave(void **state)
{
    struct world *w = begin();
    uint32_t routes = sim_stack(w->host)->route_count;
    obtain(w);
    assert_int_equal(hop_of(w, SERVER + 1), SERVER + 1);
    run_out(w);
    assert_int_equal(hop_of(w, SERVER + 1), 0);
    assert_int_equal(hop_of(w, FAR), 0);
    assert_int_equal(sim_stack(w->host)->route_count, routes);
    end(w);
}

static void obtain_as(struct world *w, struct answer a)
{
    hear_within(w, DHCP_DISCOVER, 1);
    a.type = DHCP_OFFER;
    say(w, &a);
    hear(w, DHCP_REQUEST);
    a.type = DHCP_ACK;
    say(w, &a);
    pass(w, 5000);
    assert_true(has_address(w));
}

static void the_mtu_of_a_lost_lease_is_lost_too(void **state)
{
    struct world *w = begin();
    obtain_as(w, (struct answer){.ip = OFFERED, .lease_s = 3600, .mtu = 1300});
    assert_int_equal(sim_stack(w->host)->mtu_bytes, 1300);
    run_out(w);
    assert_int_equal(sim_stack(w->host)->mtu_bytes, 1500);
    end(w);
}

static void rfc2132_5_1_an_mtu_that_cannot_be_is_passed_over(void **state)
{
    struct world *w = begin();
    obtain_as(w, (struct answer){.ip = OFFERED, .lease_s = 3600, .mtu = 60});
    assert_int_equal(sim_stack(w->host)->mtu_bytes, 1500);
    end(w);
}

/* A lease of a /32, as clouds give it: the router is on the link all the same. */
static void a_router_outside_of_a_lone_address_is_used(void **state)
{
    struct world *w = begin();
    obtain_as(w, (struct answer){.ip = OFFERED, .lease_s = 3600, .mask = UINT32_MAX});
    assert_int_equal(hop_of(w, FAR), SERVER);
    assert_int_equal(hop_of(w, SERVER), SERVER);
    assert_int_equal(hop_of(w, SERVER + 1), SERVER);
    end(w);
}

/* ---- pauses ---- */

static void ping_it(struct world *w)
{
    uint8_t message[64];
    struct frame f;
    struct ends e = w->ends;
    e.host = v4(OFFERED);
    size_t length = icmp_echo(message, &e, 1, 20);
    frame_ip(&f, &e, IP_ICMP, message, length);
    sim_transmit(w->peer, f.bytes, f.length);
}

static void ask_for_it(struct world *w)
{
    struct ends e = w->ends;
    struct frame f;
    e.host = v4(OFFERED);
    frame_arp(&f, ARP_REQUEST, &e);
    sim_transmit(w->peer, f.bytes, f.length);
}

/* The beginning of a handshake, which is never finished. */
static void connect_to_it(struct world *w)
{
    uint8_t syn[20] = {4, 0, 0, 80, 0, 0, 0, 1, [12] = 0x50, 2, 0x20};
    struct frame f;
    struct ends e = w->ends;
    e.host = v4(OFFERED);
    csum sum = csum_pseudo(&e.peer, &e.host, IP_TCP, sizeof(syn));
    be16 checksum = csum_finish(csum_add(sum, syn, sizeof(syn)));
    memcpy(syn + 16, &checksum, sizeof(checksum));
    frame_ip(&f, &e, IP_TCP, syn, sizeof(syn));
    sim_transmit(w->peer, f.bytes, f.length);
}

/* How many frames name the leased address as their sender's. */
static unsigned frames_from_it(struct world *w)
{
    struct sim_frame f;
    unsigned count = 0;
    while (sim_take(w->peer, &f)) {
        const struct arp_packet *arp = (const void *)(f.bytes + 14);
        if (is_type(&f, ETHERTYPE_IPV4))
            count += be32_get(ip4_of(&f)->src) == OFFERED;
        else if (is_type(&f, ETHERTYPE_ARP))
            count += be32_get(arp->sender_ip) == OFFERED;
    }
    return count;
}

static void rfc2131_4_4_5_a_lease_that_ran_out_in_a_pause_is_not_used(void **state)
{
    static const struct leat_udp_ops ops = {0};
    struct leat_addr any = {.family = LEAT_FAMILY_IPV4, .port = 53};
    struct leat_addr to = {.family = LEAT_FAMILY_IPV4, .port = 99, .ip = {10, 9, 0, 77}};
    struct world *w = begin();
    leat_udp udp;
    obtain(w);
    sim_enter(w->host);
    assert_int_equal(leat_udp_bind(sim_loop(w->host), &any, NULL, &ops, w, &udp), 0);
    struct leat_buf data = leat_buf_from_bytes("x", 1);
    assert_int_equal(leat_udp_send(udp, &to, &data, 1), 0); /* waits for ARP */
    sim_leave(w->host);
    ping_it(w);
    pass(w, 1);
    assert_true(frames_from_it(w) >= 2); /* the pong, and the question */
    sim_stall(w->host, 3600 * LEAT_NS_PER_S);
    pass(w, 1000);
    ping_it(w); /* these wait in the port */
    ask_for_it(w);
    arp(w, ARP_REPLY, 0x0a09004d, OFFERED); /* the neighbour that was asked for */
    pass(w, 3600 * 1000);
    assert_int_equal(frames_from_it(w), 0);
    assert_false(has_address(w));
    assert_int_equal(w->losses, 1);
    for (unsigned i = 0; i < 100; i++) { /* and later on */
        pass(w, 1000);
        ping_it(w);
        ask_for_it(w);
    }
    pass(w, 100);
    assert_int_equal(frames_from_it(w), 0);
    end(w);
}

/* A pause that is shorter than the lease costs nothing. */
/* A handshake and its retransmissions end with the address. */
static void what_has_begun_with_a_lost_address_is_not_repeated(void **state)
{
    static const struct leat_conn_ops ops = {0};
    struct leat_addr any = {.family = LEAT_FAMILY_IPV4, .port = 80};
    struct leat_listener *listener;
    struct world *w = begin();
    give_static(w); /* else there is no route either */
    obtain(w);
    sim_enter(w->host);
    assert_int_equal(leat_listen(sim_loop(w->host), &any, NULL, &ops, NULL, &listener), 0);
    sim_leave(w->host);
    frames_from_it(w);
    connect_to_it(w);
    pass(w, 1);
    assert_int_equal(frames_from_it(w), 1);
    arp(w, ARP_REPLY, OFFERED, 0); /* another uses it, and goes on */
    pass(w, 500);
    arp(w, ARP_REPLY, OFFERED, 0);
    assert_false(has_address(w));
    frames_from_it(w);
    pass(w, 60 * 1000);
    assert_int_equal(frames_from_it(w), 0);
    end(w);
}

static void rfc2131_4_4_5_a_lease_that_outlives_a_pause_is_renewed(void **state)
{
    struct world *w = begin();
    obtain(w);
    sim_stall(w->host, 3000 * LEAT_NS_PER_S);
    pass(w, 3000 * 1000 + 10);
    assert_true(has_address(w));
    hear_within(w, DHCP_REQUEST, 1);
    say(w, &ack);
    assert_int_equal(w->changes, 2);
    assert_int_equal(w->losses, 0);
    pass(w, 1700 * 1000);
    assert_true(has_address(w));
    end(w);
}

/* ---- the link ---- */

static void link_comes_back(struct world *w)
{
    sim_link(w->host)->down = true;
    pass(w, 3000);
    sim_link(w->host)->down = false;
    pass(w, 1100);
}

static void rfc2131_4_4_2_the_address_is_verified_when_the_link_comes_back(void **state)
{
    struct world *w = begin();
    obtain(w);
    link_comes_back(w);
    struct heard h = hear(w, DHCP_REQUEST);
    assert_int_equal(h.asked, OFFERED);
    assert_int_equal(h.server, 0);
    assert_int_equal(h.client, 0);
    assert_int_equal(h.src, 0);
    assert_true(h.is_broadcast);
    say(w, &ack);
    assert_int_equal(w->changes, 2);
    assert_int_equal(w->losses, 0);
    assert_true(has_address(w));
    pass(w, 1000 * 1000);
    silence(w);
    end(w);
}

static void rfc2131_3_2_another_network_refuses_the_address(void **state)
{
    struct world *w = begin();
    obtain(w);
    link_comes_back(w);
    hear(w, DHCP_REQUEST);
    say(w, &nak);
    assert_false(has_address(w));
    assert_int_equal(w->losses, 1);
    hear_within(w, DHCP_DISCOVER, 3);
    end(w);
}

static void rfc2131_3_2_without_an_answer_the_lease_goes_on(void **state)
{
    struct world *w = begin();
    obtain(w);
    link_comes_back(w);
    for (unsigned i = 0; i < 3; i++)
        hear_within(w, DHCP_REQUEST, 20);
    pass(w, 1500 * 1000);
    assert_true(has_address(w));
    silence(w);
    assert_true(hear_within(w, DHCP_REQUEST, 400).client == OFFERED); /* T1 */
    end(w);
}

static void a_link_that_comes_back_is_asked_at_once(void **state)
{
    struct world *w = begin();
    struct heard h;
    hear_within(w, DHCP_DISCOVER, 1);
    pass(w, 200 * 1000); /* once in 64 seconds by now */
    while (next(w, &h)) {
    }
    link_comes_back(w);
    hear_within(w, DHCP_DISCOVER, 1);
    end(w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_lease_leaves_what_the_flags_gave),
        cmocka_unit_test(a_lost_lease_takes_what_it_gave),
        cmocka_unit_test(the_mtu_of_a_lost_lease_is_lost_too),
        cmocka_unit_test(rfc2132_5_1_an_mtu_that_cannot_be_is_passed_over),
        cmocka_unit_test(a_router_outside_of_a_lone_address_is_used),
        cmocka_unit_test(rfc2131_4_4_5_a_lease_that_ran_out_in_a_pause_is_not_used),
        cmocka_unit_test(what_has_begun_with_a_lost_address_is_not_repeated),
        cmocka_unit_test(rfc2131_4_4_5_a_lease_that_outlives_a_pause_is_renewed),
        cmocka_unit_test(rfc2131_4_4_2_the_address_is_verified_when_the_link_comes_back),
        cmocka_unit_test(rfc2131_3_2_another_network_refuses_the_address),
        cmocka_unit_test(rfc2131_3_2_without_an_answer_the_lease_goes_on),
        cmocka_unit_test(a_link_that_comes_back_is_asked_at_once),
    };
    return run_scripts(tests, argc, argv);
}
