/* Finding neighbours over IPv6: RFC 4861, 4862. */
#include "test/script/world.h"

static void expect_drop(struct world *w, struct frame *f, enum stack_drop reason)
{
    uint64_t before = dropped(w, reason);
    say(w, f);
    silence(w);
    if (dropped(w, reason) != before + 1)
        fail_msg("%s was not counted", stack_drop_name(reason));
}

static void a_solicitation_is_answered_rfc4861_7_2_4(void **state)
{
    struct world w = begin(false);
    struct frame f;
    uint8_t ns[32] = {ND_SOLICIT};
    settle(&w);
    struct ends e = w.v6;
    e.host = (struct ip_addr){{0xff, 0x02, [11] = 1, [12] = 0xff, [15] = 1}};
    memcpy(ns + 8, w.v6.host.b, 16);
    ns[24] = ND_OPTION_SOURCE_MAC;
    ns[25] = 1;
    memcpy(ns + 26, e.peer_mac.b, 6);
    icmp_sum(ns, sizeof(ns), &e);
    frame_ip(&f, &e, IP_ICMPV6, ns, sizeof(ns));
    memcpy(f.bytes, (const uint8_t[]){0x33, 0x33, 0xff, 0, 0, 1}, 6);
    say(&w, &f);
    struct sim_frame got = hear(&w, ETHERTYPE_IPV6);
    const struct nd_neighbour *na = payload_of(&got);
    assert_int_equal(na->icmp.type, ND_ADVERT);
    assert_int_equal(be32_get(na->icmp.rest) >> 29, 3); /* solicited, override */
    assert_memory_equal(&na->target, &w.v6.host, 16);
    assert_int_equal(ip6_of(&got)->hop_limit, 255);
    assert_memory_equal((const uint8_t *)(na + 1) + 2, &w.v6.host_mac, 6);
    f.bytes[14 + 7] = 254; /* came through a router */
    expect_drop(&w, &f, STACK_DROP_ND_HOP_LIMIT);
    f.bytes[14 + 7] = 255;
    ns[25] = 0; /* RFC 4861 4.6: an option of length 0 */
    icmp_sum(ns, sizeof(ns), &e);
    memcpy(f.bytes + 54, ns, sizeof(ns));
    expect_drop(&w, &f, STACK_DROP_ND_MALFORMED);
    end(&w);
}

static void a_conflict_ends_duplicate_detection_rfc4862_5_4(void **state)
{
    struct world w = begin(true);
    struct frame f;
    uint8_t na[32] = {ND_ADVERT, [4] = 0x20};
    sim_run_for(w.sim, 100);
    struct ends e = w.v6;
    e.peer = w.v6.host;
    e.host = (struct ip_addr){{0xff, 0x02, [15] = 1}};
    memcpy(na + 8, w.v6.host.b, 16);
    na[24] = ND_OPTION_TARGET_MAC;
    na[25] = 1;
    icmp_sum(na, sizeof(na), &e);
    frame_ip(&f, &e, IP_ICMPV6, na, sizeof(na));
    memcpy(f.bytes, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
    say(&w, &f);
    assert_int_equal(addr_find(sim_stack(w.host), &w.v6.host)->state, ADDR_DUPLICATE);
    end(&w);
}

static void a_valid_address_stays_and_its_conflict_is_said_once_rfc4862_5_4_4(void **state)
{
    struct world w = begin(false);
    struct frame f;
    uint8_t na[32] = {ND_ADVERT, [4] = 0x20, [24] = ND_OPTION_TARGET_MAC, [25] = 1};
    settle(&w);
    struct ends e = w.v6;
    e.peer = (struct ip_addr){{0xfe, 0x80, [15] = 0x22}};
    e.host = (struct ip_addr){{0xff, 0x02, [15] = 1}};
    memcpy(na + 8, w.v6.host.b, 16);
    memcpy(na + 26, e.peer_mac.b, 6);
    icmp_sum(na, sizeof(na), &e);
    frame_ip(&f, &e, IP_ICMPV6, na, sizeof(na));
    memcpy(f.bytes, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
    const struct stack_addr *ours = addr_find(sim_stack(w.host), &w.v6.host);
    for (unsigned i = 0; i < 100; i++)
        say(&w, &f);
    assert_int_equal(ours->state, ADDR_VALID);
    assert_int_equal(ours->said_count, 1);
    end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_solicitation_is_answered_rfc4861_7_2_4),
        cmocka_unit_test(a_conflict_ends_duplicate_detection_rfc4862_5_4),
        cmocka_unit_test(a_valid_address_stays_and_its_conflict_is_said_once_rfc4862_5_4_4),
    };
    return run_scripts(tests, argc, argv);
}
