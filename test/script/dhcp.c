/* Getting, keeping and losing a DHCP lease, on the virtual clock: the peer is the server. */
#include "test/script/dhcp_server.h"

static void rfc2131_3_1_a_lease_is_obtained(void **state)
{
    struct world *w = begin();
    struct heard h = hear_within(w, DHCP_DISCOVER, 1);
    assert_int_equal(h.src, 0);
    assert_int_equal(h.dst, ALL);
    assert_true(h.is_broadcast);
    assert_int_equal(h.flags, 0x8000);
    assert_int_equal(h.client, 0);
    uint32_t xid = h.xid;
    say(w, &offer);
    h = hear(w, DHCP_REQUEST);
    assert_int_equal(h.xid, xid);
    assert_int_equal(h.asked, OFFERED);
    assert_int_equal(h.server, SERVER);
    assert_int_equal(h.src, 0);
    assert_int_equal(h.client, 0);
    say(w, &ack);
    assert_false(has_address(w)); /* it is probed for first */
    assert_int_equal(w->changes, 0);
    pass(w, 5000);
    assert_true(has_address(w));
    assert_true(has_route(w));
    assert_int_equal(w->changes, 1);
    assert_int_equal(be32_get(w->lease.ip), OFFERED);
    silence(w);
    end(w);
}

static void rfc2131_4_1_discover_backs_off_with_jitter(void **state)
{
    static const unsigned seconds[] = {4, 8, 16, 32, 64, 64};
    struct world *w = begin();
    uint64_t before = hear_within(w, DHCP_DISCOVER, 1).at_ns;
    for (unsigned i = 0; i < 6; i++) {
        uint64_t now = hear_within(w, DHCP_DISCOVER, 66).at_ns, gap = now - before;
        assert_in_range(gap, (seconds[i] - 1) * LEAT_NS_PER_S, (seconds[i] + 1) * LEAT_NS_PER_S);
        before = now;
    }
    end(w);
}

static void rfc2131_3_1_a_request_without_answer_begins_anew(void **state)
{
    struct world *w = begin();
    uint32_t xid = hear_within(w, DHCP_DISCOVER, 1).xid;
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    for (unsigned i = 0; i < 3; i++)
        hear_within(w, DHCP_REQUEST, 20);
    assert_true(hear_within(w, DHCP_DISCOVER, 40).xid != xid);
    end(w);
}

static void rfc2131_3_1_a_nak_begins_anew(void **state)
{
    struct world *w = begin();
    hear_within(w, DHCP_DISCOVER, 1);
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    say(w, &nak);
    silence(w);
    hear_within(w, DHCP_DISCOVER, 2);
    assert_int_equal(w->changes, 0);
    end(w);
}

static void rfc5227_2_1_1_a_conflict_is_declined(void **state)
{
    struct world *w = begin();
    hear_within(w, DHCP_DISCOVER, 1);
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    say(w, &ack);
    pass(w, 1500);
    arp(w, ARP_REPLY, OFFERED, 0); /* another has it */
    struct heard h = hear(w, DHCP_DECLINE);
    assert_int_equal(h.asked, OFFERED);
    assert_int_equal(h.server, SERVER);
    assert_int_equal(h.client, 0);
    assert_false(has_address(w));
    pass(w, 9000);
    silence(w); /* RFC 2131 3.1: ten seconds */
    hear_within(w, DHCP_DISCOVER, 3);
    assert_int_equal(w->changes, 0);
    end(w);
}

static void rfc5227_2_4_a_conflict_that_lasts_takes_the_address(void **state)
{
    struct world *w = begin();
    obtain(w);
    arp(w, ARP_REPLY, OFFERED, 0);
    assert_true(has_address(w)); /* defended once */
    pass(w, 2000);
    arp(w, ARP_REPLY, OFFERED, 0);
    hear(w, DHCP_DECLINE);
    assert_false(has_address(w));
    assert_int_equal(w->losses, 1);
    end(w);
}

static void rfc2131_4_4_5_renewal_is_unicast_at_t1(void **state)
{
    struct world *w = begin();
    obtain(w);
    pass(w, 1790 * 1000);
    silence(w);
    struct heard h = hear_within(w, DHCP_REQUEST, 10);
    assert_int_equal(h.src, OFFERED);
    assert_int_equal(h.dst, SERVER);
    assert_false(h.is_broadcast);
    assert_int_equal(h.client, OFFERED);
    assert_int_equal(h.asked, 0);
    assert_int_equal(h.server, 0);
    assert_int_equal(h.flags, 0);
    say(w, &ack);
    assert_int_equal(w->changes, 2);
    arp(w, ARP_REPLY, SERVER, OFFERED); /* the server is there, should ARP have asked */
    pass(w, 1700 * 1000);
    silence(w);
    for (unsigned i = 0; i < 120; i++) {
        pass(w, 1000);
        arp(w, ARP_REPLY, SERVER, OFFERED);
    }
    hear(w, DHCP_REQUEST);
    assert_int_equal(w->losses, 0);
    end(w);
}

/* Half of the time to T2, at least a minute; then all servers are asked; then it is over. */
static void rfc2131_4_4_5_rebinding_then_expiry(void **state)
{
    struct world *w = begin();
    obtain(w);
    uint64_t begun = sim_now(w->sim);
    unsigned unicasts = 0, broadcasts = 0;
    while (has_address(w)) {
        struct heard h;
        pass(w, 1000);
        arp(w, ARP_REPLY, SERVER, OFFERED);
        while (has_address(w) && next(w, &h)) {
            assert_int_equal(h.type, DHCP_REQUEST);
            assert_int_equal(h.client, OFFERED);
            unicasts += !h.is_broadcast;
            broadcasts += h.is_broadcast;
            assert_true(h.is_broadcast == (h.dst == ALL));
        }
        assert_true(sim_now(w->sim) - begun < 3700 * LEAT_NS_PER_S);
    }
    assert_in_range(unicasts, 4, 8);
    assert_in_range(broadcasts, 3, 6);
    assert_in_range((sim_now(w->sim) - begun) / LEAT_NS_PER_S, 3590, 3600);
    assert_int_equal(w->losses, 1);
    assert_false(has_route(w));
    hear_within(w, DHCP_DISCOVER, 2);
    end(w);
}

static void rfc2131_4_4_5_any_server_may_rebind(void **state)
{
    struct world *w = begin();
    struct heard h;
    obtain(w);
    pass(w, 3150 * 1000);
    do {
        assert_true(next(w, &h));
    } while (!h.is_broadcast);
    say(w, &ack);
    assert_int_equal(w->changes, 2);
    assert_true(has_address(w));
    pass(w, 1700 * 1000);
    assert_true(has_address(w));
    end(w);
}

static void a_nak_while_renewing_takes_the_address(void **state)
{
    struct world *w = begin();
    obtain(w);
    hear_within(w, DHCP_REQUEST, 1900);
    say(w, &nak);
    assert_false(has_address(w));
    assert_int_equal(w->losses, 1);
    hear_within(w, DHCP_DISCOVER, 3);
    end(w);
}

static void a_renewal_may_move_us(void **state)
{
    static const struct answer moved = {.type = DHCP_ACK, .ip = OFFERED + 1, .lease_s = 3600};
    struct world *w = begin();
    obtain(w);
    hear_within(w, DHCP_REQUEST, 1900);
    say(w, &moved);
    assert_false(has_address(w));
    assert_int_equal(w->losses, 1);
    pass(w, 5000);
    struct ip_addr ip = ip_addr_v4(be32_put(OFFERED + 1));
    assert_true(addr_is_local(sim_stack(w->host), &ip));
    assert_int_equal(w->changes, 2);
    end(w);
}

static void a_lease_for_ever_is_never_renewed(void **state)
{
    static const struct answer for_ever = {.type = DHCP_ACK, .ip = OFFERED, .lease_s = UINT32_MAX};
    struct world *w = begin();
    hear_within(w, DHCP_DISCOVER, 1);
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    say(w, &for_ever);
    pass(w, 1000 * 3600 * 48);
    assert_true(has_address(w));
    silence(w);
    end(w);
}

static void answers_to_others_are_not_heard(void **state)
{
    struct world *w = begin();
    hear_within(w, DHCP_DISCOVER, 1);
    w->xid ^= 1;
    say(w, &offer);
    silence(w);
    w->xid ^= 1;
    w->ends.host_mac.b[5] ^= 1;
    say(w, &offer);
    w->ends.host_mac.b[5] ^= 1;
    silence(w);
    assert_int_equal(dropped(w, STACK_DROP_DHCP_OTHER), 2);
    say(w, &ack); /* nothing was requested */
    assert_int_equal(w->changes, 0);
    end(w);
}

static void on_close(leat_udp udp, void *user, enum leat_close_reason reason)
{
    struct world *w = user;
    w->closes++;
    w->reason = reason;
}

static void what_is_bound_to_a_lost_address_ends(void **state)
{
    static const struct leat_udp_ops ops = {.on_close = on_close};
    struct leat_addr at = {.family = LEAT_FAMILY_IPV4, .port = 53, .ip = {10, 9, 0, 57}};
    struct world *w = begin();
    leat_udp udp;
    obtain(w);
    sim_enter(w->host);
    assert_int_equal(leat_udp_bind(sim_loop(w->host), &at, NULL, &ops, w, &udp), 0);
    sim_leave(w->host);
    pass(w, 3600 * 1000);
    assert_int_equal(w->closes, 1);
    assert_int_equal(w->reason, LEAT_CLOSE_ADDRESS_GONE);
    end(w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc2131_3_1_a_lease_is_obtained),
        cmocka_unit_test(rfc2131_4_1_discover_backs_off_with_jitter),
        cmocka_unit_test(rfc2131_3_1_a_request_without_answer_begins_anew),
        cmocka_unit_test(rfc2131_3_1_a_nak_begins_anew),
        cmocka_unit_test(rfc5227_2_1_1_a_conflict_is_declined),
        cmocka_unit_test(rfc5227_2_4_a_conflict_that_lasts_takes_the_address),
        cmocka_unit_test(rfc2131_4_4_5_renewal_is_unicast_at_t1),
        cmocka_unit_test(rfc2131_4_4_5_rebinding_then_expiry),
        cmocka_unit_test(rfc2131_4_4_5_any_server_may_rebind),
        cmocka_unit_test(a_nak_while_renewing_takes_the_address),
        cmocka_unit_test(a_renewal_may_move_us),
        cmocka_unit_test(a_lease_for_ever_is_never_renewed),
        cmocka_unit_test(answers_to_others_are_not_heard),
        cmocka_unit_test(what_is_bound_to_a_lost_address_ends),
    };
    return scripts_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
