/* Finding neighbours over IPv4: ARP (RFC 826), probes and announcements (RFC 5227), RFC 1122 2.3.2.
 */
#include "test/script/world.h"

static void a_request_for_us_is_answered_rfc826(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    frame_arp(&f, ARP_REQUEST, &w.v4);
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_ARP);
    const struct arp_packet *arp = (const void *)(got.bytes + 14);
    assert_int_equal(be16_get(arp->operation), ARP_REPLY);
    assert_memory_equal(&arp->sender_mac, &w.v4.host_mac, 6);
    assert_memory_equal(&arp->target_mac, &w.v4.peer_mac, 6);
    assert_int_equal(be32_get(arp->sender_ip), 0x0a000001);
    silence(&w);
    end(&w);
}

static void a_request_for_another_is_not_rfc826(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    struct ends e = w.v4;
    e.host = ip_addr_v4(be32_put(0x0a000063));
    frame_arp(&f, ARP_REQUEST, &e);
    say(&w, &f);
    silence(&w);
    end(&w);
}

static void other_hardware_is_dropped_rfc826(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    frame_arp(&f, ARP_REQUEST, &w.v4);
    f.bytes[15] = 6;
    say(&w, &f);
    f.length = 40;
    f.bytes[15] = 1;
    say(&w, &f);
    silence(&w);
    assert_int_equal(dropped(&w, STACK_DROP_ARP_MALFORMED), 2);
    end(&w);
}

static void an_address_is_announced_twice_rfc5227_2_3(void **state)
{
    struct world w = begin(false);
    struct sim_frame got;
    unsigned announcements = 0;
    sim_run_for(w.sim, 10 * LEAT_NS_PER_S);
    while (sim_take(w.peer, &got)) {
        const struct arp_packet *arp = (const void *)(got.bytes + 14);
        if (is_type(&got, ETHERTYPE_ARP) && be32_equal(arp->sender_ip, arp->target_ip))
            announcements++;
    }
    assert_int_equal(announcements, 2);
    end(&w);
}

static void probes_come_before_use_and_a_conflict_ends_it_rfc5227_2_1(void **state)
{
    struct world w = begin(true);
    struct frame f;
    struct sim_frame got;
    sim_run_for(w.sim, 1100 * LEAT_NS_PER_MS);
    unsigned probes = 0;
    while (sim_take(w.peer, &got))
        probes += is_type(&got, ETHERTYPE_ARP) &&
                  ((const struct arp_packet *)(const void *)(got.bytes + 14))->sender_ip.raw == 0;
    assert_true(probes >= 1);
    struct ends e = w.v4;
    e.peer = w.v4.host; /* somebody else has it */
    frame_arp(&f, ARP_REPLY, &e);
    say(&w, &f);
    assert_int_equal(addr_find(sim_stack(w.host), &w.v4.host)->state, ADDR_DUPLICATE);
    assert_int_equal(dropped(&w, STACK_DROP_ARP_CONFLICT), 1);
    end(&w);
}

static void a_conflict_is_answered_once_in_ten_seconds_rfc5227_2_4(void **state)
{
    struct world w = begin(false);
    struct frame f;
    struct ends e = w.v4;
    settle(&w);
    e.peer = w.v4.host;
    frame_arp(&f, ARP_REQUEST, &e);
    say(&w, &f);
    say(&w, &f);
    hear(&w, ETHERTYPE_ARP);
    silence(&w);
    sim_run_for(w.sim, 11 * LEAT_NS_PER_S);
    say(&w, &f);
    hear(&w, ETHERTYPE_ARP);
    end(&w);
}

/* Bug 20: packets are not lost while the neighbour's address is asked for. */
static void packets_wait_for_resolution_1122_2_3_2_2(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    ping(&w, &w.v4, 1, 56);
    struct sim_frame got = hear(&w, ETHERTYPE_ARP);
    const struct arp_packet *arp = (const void *)(got.bytes + 14);
    assert_int_equal(be32_get(arp->target_ip), 0x0a000002);
    silence(&w);
    frame_arp(&f, ARP_REPLY, &w.v4);
    say(&w, &f);
    got = hear(&w, ETHERTYPE_IPV4);
    const struct icmp_header *icmp = payload_of(&got);
    assert_int_equal(icmp->type, ICMP_ECHO_REPLY);
    assert_memory_equal(&eth_of(&got)->dst, &w.v4.peer_mac, 6);
    end(&w);
}

static void the_oldest_waiting_packet_is_dropped_for_a_newer_one_1122_2_3_2_2(void **state)
{
    struct world w = begin(false);
    struct frame f;
    struct sim_frame got;
    settle(&w);
    for (uint16_t i = 0; i < 12; i++)
        ping(&w, &w.v4, i, 300); /* too long for the head: payload travels as a reference */
    while (sim_take(w.peer, &got))
        assert_true(is_type(&got, ETHERTYPE_ARP));
    assert_int_equal(dropped(&w, STACK_DROP_NEIGHBOUR_QUEUE), 12 - NEIGHBOUR_PARKED_EACH);
    frame_arp(&f, ARP_REPLY, &w.v4);
    say(&w, &f);
    for (uint16_t i = 12 - NEIGHBOUR_PARKED_EACH; i < 12; i++) {
        got = hear(&w, ETHERTYPE_IPV4);
        const struct icmp_header *icmp = payload_of(&got);
        assert_int_equal(be32_get(icmp->rest) & 0xffff, i);
    }
    silence(&w);
    end(&w);
}

static void a_silent_neighbour_is_given_up_after_three_requests_rfc4861_7_2_2(void **state)
{
    struct world w = begin(false);
    settle(&w);
    ping(&w, &w.v4, 1, 56);
    sim_run_for(w.sim, 20 * LEAT_NS_PER_S);
    for (unsigned i = 0; i < 3; i++)
        hear(&w, ETHERTYPE_ARP);
    silence(&w);
    assert_int_equal(dropped(&w, STACK_DROP_NEIGHBOUR_FAILED), 1);
    assert_null(neighbour_find(sim_stack(w.host), &w.v4.peer));
    end(&w);
}

static void a_conflict_is_said_once_a_minute_rfc5227_2_4(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    struct ends e = w.v4;
    e.peer = w.v4.host;
    frame_arp(&f, ARP_REPLY, &e);
    const struct stack_addr *ours = addr_find(sim_stack(w.host), &w.v4.host);
    for (unsigned second = 0; second < 150; second++) {
        say(&w, &f);
        assert_int_equal(ours->said_count, 1 + second / 60);
        sim_run_for(w.sim, LEAT_NS_PER_S - LEAT_NS_PER_MS);
    }
    assert_int_equal(ours->state, ADDR_VALID);
    end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_for_us_is_answered_rfc826),
        cmocka_unit_test(a_request_for_another_is_not_rfc826),
        cmocka_unit_test(other_hardware_is_dropped_rfc826),
        cmocka_unit_test(an_address_is_announced_twice_rfc5227_2_3),
        cmocka_unit_test(probes_come_before_use_and_a_conflict_ends_it_rfc5227_2_1),
        cmocka_unit_test(a_conflict_is_answered_once_in_ten_seconds_rfc5227_2_4),
        cmocka_unit_test(a_conflict_is_said_once_a_minute_rfc5227_2_4),
        cmocka_unit_test(packets_wait_for_resolution_1122_2_3_2_2),
        cmocka_unit_test(the_oldest_waiting_packet_is_dropped_for_a_newer_one_1122_2_3_2_2),
        cmocka_unit_test(a_silent_neighbour_is_given_up_after_three_requests_rfc4861_7_2_2),
    };
    return run_scripts(tests, argc, argv);
}
