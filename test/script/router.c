/* What routers advertise, and which way packets go: RFC 4861 6.3, RFC 4862 5.5. The peer plays the
 * routers. */
#include <errno.h>

#include "test/script/world.h"

#define FAR_NET 0x99 /* 2001:db8:99::/64 is behind the routers */

enum prefix_flags { ON_LINK = 1u << 7, AUTONOMOUS = 1u << 6 };

struct advert {
    uint8_t bytes[256];
    size_t length;
};

static struct ip_addr router(unsigned number)
{
    return (struct ip_addr){
        {0xfe, 0x80, [14] = (uint8_t)(0x10 + (number >> 8)), [15] = (uint8_t)number}};
}

/* The peer is the first router. */
static struct mac_addr router_mac(unsigned number)
{
    if (number <= 3)
        return (struct mac_addr){{2, 0, 0, 0, 0, (uint8_t)(number + 1)}};
    return (struct mac_addr){{2, 9, 9, 9, (uint8_t)(number >> 8), (uint8_t)number}};
}

static struct ip_addr host_in(unsigned net)
{
    return (struct ip_addr){{0x20, 1, 0xd, 0xb8, (uint8_t)(net >> 8), (uint8_t)net, [15] = 7}};
}

static struct advert advert(uint16_t lifetime_s)
{
    return (struct advert){.bytes = {ND_ROUTER_ADVERT, [6] = (uint8_t)(lifetime_s >> 8),
                                     [7] = (uint8_t)lifetime_s},
                           .length = 16};
}

static void put_u32(uint8_t *at, uint32_t x)
{
    be32 value = be32_put(x);
    memcpy(at, &value, sizeof(value));
}

static void add_prefix(struct advert *a, unsigned net, uint8_t flags, uint32_t valid_s,
                       uint32_t preferred_s)
{
    uint8_t *at = a->bytes + a->length;
    struct ip_addr ip = host_in(net);
    memcpy(at, (const uint8_t[]){ND_OPTION_PREFIX, 4, 64, flags}, 4);
    put_u32(at + 4, valid_s);
    put_u32(at + 8, preferred_s);
    memcpy(at + 16, ip.b, 8);
    a->length += 32;
}

static void add_mtu(struct advert *a, uint32_t mtu)
{
    memcpy(a->bytes + a->length, (const uint8_t[]){ND_OPTION_MTU, 1}, 2);
    put_u32(a->bytes + a->length + 4, mtu);
    a->length += 8;
}

/* The router says it, and its MAC. */
static void announce(struct world *w, unsigned number, struct advert a)
{
    static const struct ip_addr all_nodes = {{0xff, 0x02, [15] = 1}};
    struct ends e = w->v6;
    struct mac_addr mac = router_mac(number);
    struct frame f;
    e.peer = router(number);
    e.peer_mac = mac;
    e.host = all_nodes;
    memcpy(a.bytes + a.length, (const uint8_t[]){ND_OPTION_SOURCE_MAC, 1}, 2);
    memcpy(a.bytes + a.length + 2, mac.b, sizeof(mac.b));
    icmp_sum(a.bytes, a.length + 8, &e);
    frame_ip(&f, &e, IP_ICMPV6, a.bytes, a.length + 8);
    memcpy(f.bytes, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
    say(w, &f);
}

static struct world begin_routed(void)
{
    struct world w = {0};
    w.sim = sim_new(1, NULL, NULL);
    w.host =
        sim_add_host(w.sim, &(struct sim_host_options){.kind = SIM_STACK, .autoconfigure = true});
    w.peer = sim_add_host(w.sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    w.v4 = ends_of(w.host, w.peer, false);
    w.v6 = ends_of(w.host, w.peer, true);
    settle(&w);
    return w;
}

static struct stack *stack_of(struct world *w)
{
    return sim_stack(w->host);
}

static void pass_s(struct world *w, uint64_t seconds)
{
    sim_run_for(w->sim, seconds * LEAT_NS_PER_S);
}

static int find(struct world *w, const struct ip_addr *dst, struct path *path)
{
    sim_enter_quietly(w->host);
    stack_of(w)->now_ns = sim_now(w->sim);
    int result = path_find(stack_of(w), NULL, dst, path);
    sim_leave_quietly(w->host);
    return result;
}

static void goes_by(struct world *w, struct ip_addr dst, struct ip_addr hop)
{
    struct path path;
    assert_int_equal(find(w, &dst, &path), 0);
    assert_memory_equal(&path.hop, &hop, sizeof(hop));
}

static void goes_nowhere(struct world *w, struct ip_addr dst)
{
    struct path path;
    assert_int_equal(find(w, &dst, &path), -ENETUNREACH);
}

static unsigned address_count(struct world *w, unsigned net)
{
    struct ip_addr prefix = host_in(net);
    unsigned count = 0;
    for (uint32_t i = 0; i < stack_of(w)->addr_count; i++)
        count += ip_addr_in(&stack_of(w)->addrs[i].ip, &prefix, 64);
    return count;
}

/* Each prefix lives ten seconds; there is room for a hundred of them at no time. */
static void three_hundred_renumberings_leave_ipv6_alive_rfc4861_6_3_5(void **state)
{
    struct world w = begin_routed();
    uint32_t routes = stack_of(&w)->route_count, addrs = stack_of(&w)->addr_count;
    for (unsigned net = 0x100; net < 0x100 + 300; net++) {
        struct advert a = advert(1800);
        add_prefix(&a, net, ON_LINK | AUTONOMOUS, 10, 5);
        announce(&w, 1, a);
        goes_by(&w, host_in(net), host_in(net));
        assert_int_equal(address_count(&w, net), 1);
        pass_s(&w, 20);
        assert_int_equal(address_count(&w, net), 0);
        assert_int_equal(stack_of(&w)->route_count, routes + 1); /* the router's */
    }
    pass_s(&w, 1800);
    assert_int_equal(stack_of(&w)->route_count, routes);
    assert_int_equal(stack_of(&w)->addr_count, addrs);
    end(&w);
}

/* The old ones stay valid for two hours, by RFC 4862 5.5.3 (e). */
static void a_deprecated_address_makes_room_for_a_new_one_rfc4862_5_5_4(void **state)
{
    struct world w = begin_routed();
    struct path path;
    for (unsigned net = 0x100; net < 0x100 + 300; net++) {
        struct advert a = advert(1800);
        add_prefix(&a, net, ON_LINK | AUTONOMOUS, 86400, 14400);
        if (net > 0x100)
            add_prefix(&a, net - 1, ON_LINK | AUTONOMOUS, 0, 0);
        announce(&w, 1, a);
        struct ip_addr far = host_in(FAR_NET), own = host_in(net);
        assert_int_equal(find(&w, &far, &path), 0);
        assert_true(ip_addr_in(&path.src, &own, 64));
        if (net > 0x100)
            goes_by(&w, host_in(net - 1), router(1));
    }
    assert_true(stack_of(&w)->addr_count <= ADDR_AUTOMATIC_MAX + 3);
    end(&w);
}

static void a_prefix_is_on_the_link_only_when_it_says_so_rfc4861_6_3_4(void **state)
{
    struct world w = begin_routed();
    struct advert a = advert(1800);
    add_prefix(&a, 1, AUTONOMOUS, 3600, 3600);
    add_prefix(&a, 2, ON_LINK, 3600, 3600);
    announce(&w, 1, a);
    assert_int_equal(address_count(&w, 1), 1);
    goes_by(&w, host_in(1), router(1));
    assert_int_equal(address_count(&w, 2), 0);
    goes_by(&w, host_in(2), host_in(2));
    a = advert(1800); /* without the flag it is not said that it is off the link */
    add_prefix(&a, 2, 0, 0, 0);
    announce(&w, 1, a);
    goes_by(&w, host_in(2), host_in(2));
    a = advert(1800);
    add_prefix(&a, 2, ON_LINK, 0, 0);
    announce(&w, 1, a);
    goes_by(&w, host_in(2), router(1));
    end(&w);
}

static void what_the_flags_gave_outlives_its_prefix_rfc4861_6_3_5(void **state)
{
    struct world w = begin_routed();
    struct ip_addr net = host_in(3), gateway = host_in(3);
    struct advert a = advert(1);
    gateway.b[15] = 1;
    assert_int_equal(stack_add_address(stack_of(&w), &net, 64), 0);
    assert_int_equal(stack_add_route(stack_of(&w), &(struct ip_addr){{0}}, 0, &gateway), 0);
    add_prefix(&a, 3, ON_LINK | AUTONOMOUS, 1, 1);
    announce(&w, 1, a);
    pass_s(&w, 5);
    struct ip_addr neighbour = host_in(3);
    neighbour.b[15] = 9;
    goes_by(&w, neighbour, neighbour);
    goes_by(&w, host_in(FAR_NET), gateway);
    end(&w);
}

static void a_router_that_withdraws_is_left_at_once_rfc4861_6_3_4(void **state)
{
    struct world w = begin_routed();
    announce(&w, 1, advert(1800));
    announce(&w, 2, advert(1800));
    goes_by(&w, host_in(FAR_NET), router(1));
    announce(&w, 1, advert(0));
    goes_by(&w, host_in(FAR_NET), router(2));
    announce(&w, 2, advert(0));
    goes_nowhere(&w, host_in(FAR_NET));
    announce(&w, 1, advert(5));
    goes_by(&w, host_in(FAR_NET), router(1));
    pass_s(&w, 6);
    goes_nowhere(&w, host_in(FAR_NET));
    end(&w);
}

/* An echo request from far away, through a router. */
static void ping_from_far(struct world *w, unsigned number, uint16_t sequence)
{
    struct ends e = w->v6;
    e.peer = host_in(FAR_NET);
    e.peer_mac = router_mac(number);
    ping(w, &e, sequence, 56);
}

/* Whether a packet to far away has come to the router; frames of other kinds are passed over. */
static bool passes(struct sim_host *router)
{
    struct sim_frame f;
    struct ip_addr far = host_in(FAR_NET);
    bool has_passed = false;
    while (sim_take(router, &f))
        has_passed |= is_type(&f, ETHERTYPE_IPV6) && ip_addr_equal(&ip6_of(&f)->dst, &far);
    return has_passed;
}

static void assert_mac(struct mac_addr is, struct mac_addr wanted)
{
    assert_memory_equal(&is, &wanted, sizeof(is));
}

static void a_silent_router_is_left_for_another_rfc4861_6_3_6(void **state)
{
    struct world w = begin_routed();
    struct sim_host *second = sim_add_host(w.sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    announce(&w, 1, advert(9000));
    announce(&w, 2, advert(9000));
    ping_from_far(&w, 1, 1);
    assert_true(passes(w.peer));
    pass_s(&w, 20); /* five seconds, and three probes that nobody answers */
    ping_from_far(&w, 2, 2);
    assert_false(passes(w.peer));
    assert_true(passes(second));
    pass_s(&w, 60); /* both are silent: each is tried again */
    goes_by(&w, host_in(FAR_NET), router(1));
    end(&w);
}

/* An advertisement of the router's address with another MAC, to all nodes. */
static void say_mac(struct world *w, unsigned number, struct mac_addr mac)
{
    struct ends e = w->v6;
    uint8_t na[32] = {ND_ADVERT, [4] = 0xa0, [24] = ND_OPTION_TARGET_MAC, [25] = 1};
    struct ip_addr ip = router(number);
    struct frame f;
    e.peer = ip;
    e.host = (struct ip_addr){{0xff, 0x02, [15] = 1}};
    memcpy(na + 8, ip.b, 16);
    memcpy(na + 26, mac.b, 6);
    icmp_sum(na, sizeof(na), &e);
    frame_ip(&f, &e, IP_ICMPV6, na, sizeof(na));
    memcpy(f.bytes, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
    say(w, &f);
}

static void another_mac_of_the_router_is_found_out_rfc4861_7_3_3(void **state)
{
    struct world w = begin_routed();
    struct sim_host *successor =
        sim_add_host(w.sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    struct sim_frame f;
    announce(&w, 1, advert(9000));
    ping_from_far(&w, 1, 1);
    assert_true(passes(w.peer));
    say_mac(&w, 1, router_mac(2)); /* its successor speaks up by itself */
    ping_from_far(&w, 1, 2);
    assert_false(passes(w.peer));
    assert_true(passes(successor));
    pass_s(&w, 20); /* now nobody answers there: it is asked for by its group */
    passes(w.peer);
    ping_from_far(&w, 1, 3);
    bool has_asked = false;
    while (sim_take(w.peer, &f))
        has_asked |= is_type(&f, ETHERTYPE_IPV6) && f.bytes[0] == 0x33 &&
                     ((const struct icmp_header *)payload_of(&f))->type == ND_SOLICIT;
    assert_true(has_asked);
    announce(&w, 1, advert(9000));
    assert_true(passes(w.peer));
    end(&w);
}

static void parameters_out_of_range_are_passed_over_rfc4861_6_3_4(void **state)
{
    static const uint32_t wrong[] = {0, 68, 1279, 1501, 65536 + 1400, UINT32_MAX};
    struct world w = begin_routed();
    struct advert a = advert(1800);
    add_mtu(&a, 1400);
    announce(&w, 1, a);
    assert_int_equal(stack_of(&w)->mtu_bytes, 1400);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        a = advert(1800);
        add_mtu(&a, wrong[i]);
        add_prefix(&a, 0x200 + i, ON_LINK, 1000, 1000);
        announce(&w, 1, a);
        assert_int_equal(stack_of(&w)->mtu_bytes, 1400);
        goes_by(&w, host_in(0x200 + i), host_in(0x200 + i)); /* the rest counts */
    }
    a = advert(1800);
    add_mtu(&a, 1500);
    announce(&w, 1, a);
    assert_int_equal(stack_of(&w)->mtu_bytes, 1500);
    end(&w);
}

static void a_hop_limit_is_only_raised_rfc3756_4_2_7(void **state)
{
    struct world w = begin_routed();
    struct advert a = advert(1800);
    a.bytes[4] = 1;
    announce(&w, 1, a);
    assert_int_equal(stack_of(&w)->hop_limit_v6, 64);
    a.bytes[4] = 128;
    announce(&w, 1, a);
    assert_int_equal(stack_of(&w)->hop_limit_v6, 128);
    assert_int_equal(stack_of(&w)->hop_limit, 64); /* IPv4 is none of its business */
    end(&w);
}

static void a_wrong_option_does_not_spoil_the_others_rfc4861_4_6(void **state)
{
    struct world w = begin_routed();
    struct advert a = advert(1800);
    memcpy(a.bytes + a.length, (const uint8_t[]){ND_OPTION_SOURCE_MAC, 1, 0xff, 1, 1, 1, 1, 1}, 8);
    a.length += 8; /* a group's MAC */
    memcpy(a.bytes + a.length, (const uint8_t[]){ND_OPTION_MTU, 2, 0, 0, 0, 0, 5, 0x78}, 8);
    a.length += 16; /* of twice the length */
    memcpy(a.bytes + a.length, (const uint8_t[]){ND_OPTION_PREFIX, 1, 64, 0xc0}, 4);
    a.length += 8; /* too short */
    add_prefix(&a, 5, ON_LINK, 1000, 1000);
    announce(&w, 1, a);
    goes_by(&w, host_in(5), host_in(5));
    goes_by(&w, host_in(FAR_NET), router(1));
    assert_int_equal(stack_of(&w)->mtu_bytes, 1500);
    struct ip_addr first = router(1);
    assert_mac(neighbour_find(stack_of(&w), &first)->mac, router_mac(1));
    end(&w);
}

static void a_flood_of_advertisements_leaves_what_was_there_rfc3756_4_3(void **state)
{
    struct world w = begin_routed();
    struct advert a = advert(9000);
    add_prefix(&a, 5, ON_LINK | AUTONOMOUS, 90000, 90000);
    announce(&w, 1, a);
    uint32_t before = stack_of(&w)->route_count;
    for (unsigned i = 0; i < 1000; i++) {
        a = advert(9000);
        add_prefix(&a, 0x1000 + i, ON_LINK | AUTONOMOUS, 90000, 90000);
        announce(&w, 2 + i, a);
    }
    assert_true(stack_of(&w)->route_count <= before + ROUTE_PREFIXES_MAX + ROUTE_ROUTERS_MAX);
    assert_true(stack_of(&w)->addr_count <= ADDR_AUTOMATIC_MAX + 3);
    assert_true(dropped(&w, STACK_DROP_ND_LIMIT) > 1000);
    assert_int_equal(address_count(&w, 5), 1);
    goes_by(&w, host_in(5), host_in(5));
    goes_by(&w, host_in(FAR_NET), router(1));
    struct ip_addr ten = ip_addr_v4(be32_put(0x0a010203)), gate = w.v4.peer;
    assert_int_equal(stack_add_route(stack_of(&w), &ten, 24, &gate), 0); /* room for flags */
    goes_by(&w, ten, gate);
    end(&w);
}

/* ---- after a pause ---- */

static void a_prefix_that_ran_out_in_a_pause_is_not_used_again_rfc4862_5_5_4(void **state)
{
    struct world w = begin_routed();
    struct advert a = advert(9000);
    struct sim_frame f;
    add_prefix(&a, 5, ON_LINK | AUTONOMOUS, 100, 100);
    announce(&w, 1, a);
    struct ends e = w.v6;
    for (uint32_t i = 0; i < stack_of(&w)->addr_count; i++)
        if (stack_of(&w)->addrs[i].automatic)
            e.host = stack_of(&w)->addrs[i].ip;
    e.peer = router(1);
    e.peer_mac = router_mac(1);
    ping(&w, &e, 1, 56);
    settle_quietly(&w);
    sim_stall(w.host, 200 * LEAT_NS_PER_S);
    pass_s(&w, 10);
    ping(&w, &e, 2, 56); /* waits in the port's ring */
    pass_s(&w, 300);
    while (sim_take(w.peer, &f))
        assert_false(is_type(&f, ETHERTYPE_IPV6) && ip_addr_equal(&ip6_of(&f)->src, &e.host));
    assert_int_equal(address_count(&w, 5), 0);
    goes_by(&w, host_in(5), router(1));
    end(&w);
}

/* Nobody was there to hear the answer to the probe. */
static void duplicate_detection_begins_anew_after_a_pause_rfc4862_5_4(void **state)
{
    struct world w = begin(true);
    struct sim_frame f;
    unsigned probes = 0;
    while (probes == 0) {
        sim_run_for(w.sim, 10 * LEAT_NS_PER_MS);
        while (sim_take(w.peer, &f))
            probes += is_type(&f, ETHERTYPE_IPV6) &&
                      ((const struct icmp_header *)payload_of(&f))->type == ND_SOLICIT;
    }
    sim_stall(w.host, 100 * LEAT_NS_PER_S);
    pass_s(&w, 100);
    sim_run_for(w.sim, 100 * LEAT_NS_PER_MS);
    assert_int_equal(addr_find(stack_of(&w), &w.v6.host)->state, ADDR_TENTATIVE);
    pass_s(&w, 5);
    while (sim_take(w.peer, &f))
        probes += is_type(&f, ETHERTYPE_IPV6) &&
                  ((const struct icmp_header *)payload_of(&f))->type == ND_SOLICIT;
    assert_int_equal(probes, 2);
    assert_int_equal(addr_find(stack_of(&w), &w.v6.host)->state, ADDR_VALID);
    end(&w);
}

static unsigned solicitations(struct world *w)
{
    struct sim_frame f;
    unsigned count = 0;
    while (sim_take(w->peer, &f))
        count += is_type(&f, ETHERTYPE_IPV6) && ip6_of(&f)->next == IP_ICMPV6 &&
                 ((const struct icmp_header *)payload_of(&f))->type == ND_ROUTER_SOLICIT;
    return count;
}

static void routers_are_asked_again_when_the_link_comes_back_rfc4861_6_3_7(void **state)
{
    struct world w = begin_routed();
    struct ip_addr local = {{0xfe, 0x80, [8] = 2, [15] = 1}};
    assert_int_equal(stack_add_address(stack_of(&w), &local, 64), 0);
    announce(&w, 1, advert(1800));
    pass_s(&w, 30);
    solicitations(&w);
    sim_link(w.host)->down = true;
    pass_s(&w, 5);
    sim_link(w.host)->down = false;
    pass_s(&w, 20);
    assert_int_equal(solicitations(&w), 3);
    sim_link(w.host)->down = true;
    pass_s(&w, 5);
    sim_link(w.host)->down = false;
    pass_s(&w, 2);
    announce(&w, 1, advert(1800)); /* one answer is enough */
    pass_s(&w, 20);
    assert_int_equal(solicitations(&w), 1);
    end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_hundred_renumberings_leave_ipv6_alive_rfc4861_6_3_5),
        cmocka_unit_test(a_deprecated_address_makes_room_for_a_new_one_rfc4862_5_5_4),
        cmocka_unit_test(a_prefix_is_on_the_link_only_when_it_says_so_rfc4861_6_3_4),
        cmocka_unit_test(what_the_flags_gave_outlives_its_prefix_rfc4861_6_3_5),
        cmocka_unit_test(a_router_that_withdraws_is_left_at_once_rfc4861_6_3_4),
        cmocka_unit_test(a_silent_router_is_left_for_another_rfc4861_6_3_6),
        cmocka_unit_test(another_mac_of_the_router_is_found_out_rfc4861_7_3_3),
        cmocka_unit_test(parameters_out_of_range_are_passed_over_rfc4861_6_3_4),
        cmocka_unit_test(a_hop_limit_is_only_raised_rfc3756_4_2_7),
        cmocka_unit_test(a_wrong_option_does_not_spoil_the_others_rfc4861_4_6),
        cmocka_unit_test(a_flood_of_advertisements_leaves_what_was_there_rfc3756_4_3),
        cmocka_unit_test(a_prefix_that_ran_out_in_a_pause_is_not_used_again_rfc4862_5_5_4),
        cmocka_unit_test(duplicate_detection_begins_anew_after_a_pause_rfc4862_5_4),
        cmocka_unit_test(routers_are_asked_again_when_the_link_comes_back_rfc4861_6_3_7),
    };
    return run_scripts(tests, argc, argv);
}
