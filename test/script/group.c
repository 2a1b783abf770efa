/* Multicast groups, as routers and switches hear of them: IGMP (RFC 3376, 2236, 1112) and MLD (RFC
 * 3810, 2710, 3590). The peer plays the querier. */
#include "test/script/world.h"

#include <leat/udp.h>

#define GROUP_A UINT32_C(0xef010203) /* 239.1.2.3 */
#define GROUP_B UINT32_C(0xef010204)

enum { IS_EX = 2, TO_IN = 3, TO_EX = 4 };

static const struct ip_addr group_6 = {{0xff, 0x05, [15] = 0x77}};

/* What the host has said of groups. */
struct said {
    uint8_t type;         /* of the message */
    uint8_t record;       /* of the newest version's report */
    struct ip_addr group; /* of the record */
    struct ip_addr to, from;
    uint64_t at_ns;
};

struct sayings {
    struct said all[64];
    unsigned count;
};

static bool is_group_message(const struct sim_frame *f)
{
    const uint8_t *ip = f->bytes + 14;
    if (is_type(f, ETHERTYPE_IPV4))
        return ip[9] == 2;
    return is_type(f, ETHERTYPE_IPV6) && ip[6] == 0 && ip[40] == IP_ICMPV6;
}

/* TTL 1 and the router alert option, a checksum that is right, the group's MAC. */
static const uint8_t *message_of(const struct sim_frame *f, uint32_t *length)
{
    const uint8_t *ip = f->bytes + 14;
    if (is_type(f, ETHERTYPE_IPV4)) {
        assert_int_equal(ip[0], 0x46);
        assert_int_equal(ip[1], 0xc0);
        assert_int_equal(ip[8], 1);
        assert_memory_equal(ip + 20, ((const uint8_t[]){0x94, 4, 0, 0}), 4);
        assert_int_equal(csum_finish(csum_add(CSUM_ZERO, ip, 24)).raw, 0);
        const uint8_t mac[6] = {1, 0, 0x5e, ip[17] & 0x7f, ip[18], ip[19]};
        assert_memory_equal(f->bytes, mac, 6);
        *length = (uint32_t)(ip[2] << 8 | ip[3]) - 24;
        assert_int_equal(csum_finish(csum_add(CSUM_ZERO, ip + 24, *length)).raw, 0);
        return ip + 24;
    }
    assert_int_equal(ip[7], 1);
    assert_memory_equal(ip + 40, ((const uint8_t[]){IP_ICMPV6, 0, 5, 2, 0, 0, 1, 0}), 8);
    const uint8_t mac[6] = {0x33, 0x33, ip[36], ip[37], ip[38], ip[39]};
    assert_memory_equal(f->bytes, mac, 6);
    *length = (uint32_t)(ip[4] << 8 | ip[5]) - 8;
    csum sum = csum_pseudo(&ip6_of(f)->src, &ip6_of(f)->dst, IP_ICMPV6, *length);
    assert_int_equal(csum_finish(csum_add(sum, ip + 48, *length)).raw, 0);
    return ip + 48;
}

static struct ip_addr ip_at(const uint8_t *at, bool is_v4)
{
    struct ip_addr ip;
    be32 v4;
    memcpy(&v4, at, 4);
    if (is_v4)
        return ip_addr_v4(v4);
    memcpy(ip.b, at, 16);
    return ip;
}

static void note_frame(struct sayings *s, const struct sim_frame *f)
{
    bool is_v4 = is_type(f, ETHERTYPE_IPV4);
    uint32_t length, bytes = is_v4 ? 4 : 16;
    const uint8_t *m = message_of(f, &length);
    struct said said = {.type = m[0], .at_ns = f->at_ns};
    said.to = is_v4 ? ip_addr_v4(ip4_of(f)->dst) : ip6_of(f)->dst;
    said.from = is_v4 ? ip_addr_v4(ip4_of(f)->src) : ip6_of(f)->src;
    bool is_newest = m[0] == (is_v4 ? 0x22 : 143);
    unsigned records = is_newest ? (unsigned)(m[6] << 8 | m[7]) : 1;
    assert_int_equal(length, is_newest ? 8 + records * (4 + bytes) : is_v4 ? 8 : 24);
    for (unsigned i = 0; i < records; i++) {
        const uint8_t *at = is_newest ? m + 8 + i * (4 + bytes) : m + (is_v4 ? 4 : 8);
        said.record = is_newest ? at[0] : 0;
        said.group = ip_at(is_newest ? at + 4 : at, is_v4);
        assert_true(s->count < 64);
        s->all[s->count++] = said;
    }
}

/* Passes the time, and gives what was said of groups of the family meanwhile. */
static struct sayings listen_for(struct world *w, bool is_v4, uint64_t ms)
{
    struct sayings s = {.count = 0};
    struct sim_frame f;
    sim_run_for(w->sim, ms * LEAT_NS_PER_MS);
    while (sim_take(w->peer, &f))
        if (is_group_message(&f) && is_type(&f, is_v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6))
            note_frame(&s, &f);
    return s;
}

static struct ip_addr v4(uint32_t ip)
{
    return ip_addr_v4(be32_put(ip));
}

static void assert_said(const struct said *s, uint8_t type, uint8_t record, struct ip_addr group,
                        struct ip_addr to)
{
    assert_int_equal(s->type, type);
    assert_int_equal(s->record, record);
    assert_memory_equal(&s->group, &group, sizeof(group));
    assert_memory_equal(&s->to, &to, sizeof(to));
}

static struct leat_addr addr_of(const struct ip_addr *ip)
{
    bool is_v4 = ip_addr_is_v4(ip);
    struct leat_addr addr = {.family = is_v4 ? LEAT_FAMILY_IPV4 : LEAT_FAMILY_IPV6, .port = 5353};
    memcpy(addr.ip, is_v4 ? ip->b + 12 : ip->b, is_v4 ? 4 : 16);
    return addr;
}

static leat_udp bind_any(struct world *w, uint16_t port)
{
    static const struct leat_udp_ops ops = {0};
    struct leat_addr any = {.family = LEAT_FAMILY_IPV6, .port = port};
    leat_udp udp;
    sim_enter(w->host);
    assert_int_equal(leat_udp_bind(sim_loop(w->host), &any, NULL, &ops, NULL, &udp), 0);
    sim_leave(w->host);
    return udp;
}

static void join(struct world *w, leat_udp udp, struct ip_addr group)
{
    struct leat_addr addr = addr_of(&group);
    sim_enter(w->host);
    assert_int_equal(leat_udp_join(udp, &addr), 0);
    sim_leave(w->host);
}

static void leave(struct world *w, leat_udp udp, struct ip_addr group)
{
    struct leat_addr addr = addr_of(&group);
    sim_enter(w->host);
    assert_int_equal(leat_udp_leave(udp, &addr), 0);
    sim_leave(w->host);
}

/* ---- the querier ---- */

/* bytes: the message but for its checksum. */
static void say_igmp(struct world *w, struct ip_addr to, const void *bytes, size_t length)
{
    uint8_t m[64];
    struct frame f;
    struct ends e = w->v4;
    e.host = to;
    memcpy(m, bytes, length);
    icmp_sum(m, length, &e);
    frame_ip(&f, &e, 2, m, length);
    f.bytes[14 + 8] = 1;
    frame_fix_ip(&f);
    memcpy(f.bytes, (const uint8_t[]){1, 0, 0x5e, 0, 0, 1}, 6);
    say(w, &f);
}

static void query_v3(struct world *w, uint32_t group, uint8_t code, uint8_t robustness)
{
    const uint8_t m[12] = {0x11,
                           code,
                           0,
                           0,
                           (uint8_t)(group >> 24),
                           (uint8_t)(group >> 16),
                           (uint8_t)(group >> 8),
                           (uint8_t)group,
                           robustness,
                           125};
    say_igmp(w, v4(group != 0 ? group : 0xe0000001), m, sizeof(m));
}

static void query_v2(struct world *w, uint8_t code)
{
    const uint8_t m[8] = {0x11, code};
    say_igmp(w, v4(0xe0000001), m, sizeof(m));
}

enum mld_fault { FAULT_NONE, FAULT_HOP_LIMIT, FAULT_SOURCE, FAULT_ALERT };

/* length 24: MLDv1, 28: MLDv2. */
static void query_mld(struct world *w, const struct ip_addr *group, uint16_t code, size_t length,
                      enum mld_fault fault)
{
    static const struct ip_addr all_nodes = {{0xff, 0x02, [15] = 1}};
    uint8_t m[8 + 28] = {IP_ICMPV6, 0, 5, 2, 0, 0, 1, 0, 130};
    struct ends e = w->v6;
    struct frame f;
    if (fault == FAULT_ALERT)
        m[2] = 1, m[3] = 4; /* padding instead */
    if (fault != FAULT_SOURCE)
        e.peer = (struct ip_addr){{0xfe, 0x80, [15] = 0x22}};
    e.host = group != NULL ? *group : all_nodes;
    m[8 + 4] = (uint8_t)(code >> 8);
    m[8 + 5] = (uint8_t)code;
    if (group != NULL)
        memcpy(m + 8 + 8, group->b, 16);
    icmp_sum(m + 8, length, &e);
    frame_ip(&f, &e, 0, m, 8 + length);
    f.bytes[14 + 7] = fault == FAULT_HOP_LIMIT ? 255 : 1;
    memcpy(f.bytes, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
    say(w, &f);
}

/* ---- IGMP ---- */

static void a_join_is_said_twice_rfc3376_5_1(void **state)
{
    struct world w = begin(false);
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    join(&w, udp, v4(GROUP_A));
    struct sayings s = listen_for(&w, true, 5000);
    assert_int_equal(s.count, 2);
    assert_said(&s.all[0], 0x22, TO_EX, v4(GROUP_A), v4(0xe0000016));
    assert_said(&s.all[1], 0x22, TO_EX, v4(GROUP_A), v4(0xe0000016));
    assert_memory_equal(&s.all[0].from, &w.v4.host, 16);
    assert_true(s.all[1].at_ns - s.all[0].at_ns <= LEAT_NS_PER_S + LEAT_NS_PER_MS);
    assert_int_equal(listen_for(&w, true, 1000 * 1000).count, 0);
    end(&w);
}

static void the_group_of_all_systems_is_never_said_rfc3376_6(void **state)
{
    static const struct ip_addr quiet[] = {{{0xff, 0x02, [15] = 1}},
                                           {{0xff, 0x01, [15] = 9}},
                                           {{0xff, 0x00, [15] = 9}}};
    struct world w = begin(false);
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    join(&w, udp, v4(0xe0000001));
    for (unsigned i = 0; i < 3; i++)
        join(&w, udp, quiet[i]);
    assert_int_equal(listen_for(&w, true, 3000).count, 0);
    query_v3(&w, 0, 10, 2);
    assert_int_equal(listen_for(&w, true, 3000).count, 0);
    leave(&w, udp, v4(0xe0000001));
    assert_int_equal(listen_for(&w, true, 3000).count, 0);
    end(&w);
}

/* When the last socket has left, whichever way. */
static void a_leave_is_said_twice_rfc3376_5_1(void **state)
{
    struct world w = begin(false);
    settle(&w);
    leat_udp first = bind_any(&w, 5353), second = bind_any(&w, 5354);
    join(&w, first, v4(GROUP_A));
    join(&w, second, v4(GROUP_A));
    assert_int_equal(listen_for(&w, true, 5000).count, 2);
    leave(&w, first, v4(GROUP_A));
    assert_int_equal(listen_for(&w, true, 5000).count, 0);
    sim_enter(w.host);
    assert_int_equal(leat_udp_close(second), 0);
    sim_leave(w.host);
    struct sayings s = listen_for(&w, true, 5000);
    assert_int_equal(s.count, 2);
    assert_said(&s.all[1], 0x22, TO_IN, v4(GROUP_A), v4(0xe0000016));
    query_v3(&w, 0, 10, 2);
    assert_int_equal(listen_for(&w, true, 5000).count, 0);
    end(&w);
}

static void a_general_query_is_answered_in_one_report_rfc3376_5_2(void **state)
{
    struct world w = begin(false);
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    join(&w, udp, v4(GROUP_A));
    join(&w, udp, v4(GROUP_B));
    listen_for(&w, true, 5000);
    query_v3(&w, 0, 100, 2); /* within ten seconds */
    struct sayings s = listen_for(&w, true, 10000);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.all[0].record, IS_EX);
    assert_int_equal(s.all[1].record, IS_EX);
    assert_int_equal(s.all[0].at_ns, s.all[1].at_ns);
    assert_false(ip_addr_equal(&s.all[0].group, &s.all[1].group));
    query_v3(&w, GROUP_B, 10, 2);
    s = listen_for(&w, true, 1100);
    assert_int_equal(s.count, 1);
    assert_said(&s.all[0], 0x22, IS_EX, v4(GROUP_B), v4(0xe0000016));
    query_v3(&w, GROUP_B + 1, 10, 2);
    assert_int_equal(listen_for(&w, true, 3000).count, 0);
    end(&w);
}

static void the_querier_says_how_often_rfc3376_4_1_6(void **state)
{
    struct world w = begin(false);
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    query_v3(&w, 0, 10, 4);
    listen_for(&w, true, 2000);
    join(&w, udp, v4(GROUP_A));
    assert_int_equal(listen_for(&w, true, 10000).count, 4);
    end(&w);
}

static void to_an_older_querier_its_version_is_spoken_rfc3376_7_2_1(void **state)
{
    struct world w = begin(false);
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    query_v2(&w, 100);
    join(&w, udp, v4(GROUP_A));
    struct sayings s = listen_for(&w, true, 11000);
    assert_int_equal(s.count, 2);
    assert_said(&s.all[0], 0x16, 0, v4(GROUP_A), v4(GROUP_A));
    query_v2(&w, 100);
    s = listen_for(&w, true, 10100);
    assert_int_equal(s.count, 1);
    assert_said(&s.all[0], 0x16, 0, v4(GROUP_A), v4(GROUP_A));
    leave(&w, udp, v4(GROUP_A));
    s = listen_for(&w, true, 11000);
    assert_int_equal(s.count, 1);
    assert_said(&s.all[0], 0x17, 0, v4(GROUP_A), v4(0xe0000002));
    listen_for(&w, true, 260 * 1000); /* the old querier is gone */
    join(&w, udp, v4(GROUP_A));
    s = listen_for(&w, true, 5000);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.all[0].type, 0x22);
    end(&w);
}

static void the_oldest_hears_no_leave_rfc1112(void **state)
{
    struct world w = begin(false);
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    query_v2(&w, 0);
    join(&w, udp, v4(GROUP_A));
    struct sayings s = listen_for(&w, true, 11000);
    assert_int_equal(s.count, 2);
    assert_said(&s.all[0], 0x12, 0, v4(GROUP_A), v4(GROUP_A));
    leave(&w, udp, v4(GROUP_A));
    assert_int_equal(listen_for(&w, true, 11000).count, 0);
    end(&w);
}

static void one_report_of_the_group_is_enough_rfc2236_3(void **state)
{
    const uint8_t report[8] = {0x16, 0, 0, 0, 239, 1, 2, 3};
    struct world w = begin(false);
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    query_v2(&w, 100);
    join(&w, udp, v4(GROUP_A));
    listen_for(&w, true, 11000);
    query_v2(&w, 250);
    say_igmp(&w, v4(GROUP_A), report, sizeof(report)); /* of another host */
    assert_int_equal(listen_for(&w, true, 26000).count, 0);
    end(&w);
}

static void malformed_messages_are_dropped_rfc3376_4(void **state)
{
    struct world w = begin(false);
    struct frame f;
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    join(&w, udp, v4(GROUP_A));
    listen_for(&w, true, 5000);
    const uint8_t wrong[12] = {0x11, 10, 1, 2};
    struct ends e = w.v4;
    e.host = v4(0xe0000001);
    frame_ip(&f, &e, 2, wrong, 12); /* its checksum */
    say(&w, &f);
    say_igmp(&w, v4(0xe0000001), wrong, 10); /* between two lengths */
    say_igmp(&w, v4(0xe0000001), wrong, 4);
    assert_int_equal(listen_for(&w, true, 5000).count, 0);
    assert_int_equal(dropped(&w, STACK_DROP_GROUP_MALFORMED), 3);
    end(&w);
}

/* ---- MLD ---- */

static const struct ip_addr mld_routers = {{0xff, 0x02, [15] = 0x16}};

static void the_group_of_an_address_is_joined_before_the_probe_rfc4862_5_4_2(void **state)
{
    struct world w = begin(true);
    struct sim_frame f;
    struct sayings s = {.count = 0};
    unsigned probes = 0;
    sim_run_for(w.sim, 5 * LEAT_NS_PER_S);
    while (sim_take(w.peer, &f)) {
        if (is_group_message(&f))
            note_frame(&s, &f);
        else if (is_type(&f, ETHERTYPE_IPV6) &&
                 ((const struct icmp_header *)payload_of(&f))->type == ND_SOLICIT) {
            assert_true(s.count > 0);
            probes++;
        }
    }
    assert_int_equal(probes, 1);
    assert_int_equal(s.count, 2);
    assert_said(&s.all[0], 143, TO_EX, group_solicited(&w.v6.host), mld_routers);
    assert_true(ip_addr_is_any(&s.all[0].from)); /* RFC 3590: while there is no other */
    end(&w);
}

static void a_link_local_address_says_all_again_rfc3590_4(void **state)
{
    struct world w = begin(true);
    struct ip_addr local = {{0xfe, 0x80, [15] = 0x11}};
    settle(&w);
    sim_enter(w.host);
    assert_int_equal(stack_add_address(sim_stack(w.host), &local, 64), 0);
    sim_leave(w.host);
    struct sayings s = listen_for(&w, false, 10000);
    unsigned named = 0;
    for (unsigned i = 0; i < s.count; i++)
        named += ip_addr_equal(&s.all[i].from, &local);
    assert_int_equal(named, 4); /* two groups, twice */
    end(&w);
}

static void the_group_of_an_address_goes_with_it_rfc3810_6_1(void **state)
{
    struct world w = begin(false);
    settle(&w);
    sim_enter(w.host);
    assert_int_equal(stack_remove_address(sim_stack(w.host), &w.v6.host), 0);
    sim_leave(w.host);
    struct sayings s = listen_for(&w, false, 5000);
    assert_int_equal(s.count, 2);
    assert_said(&s.all[0], 143, TO_IN, group_solicited(&w.v6.host), mld_routers);
    end(&w);
}

static void queries_of_the_link_are_answered_rfc3810_6_2(void **state)
{
    struct world w = begin(false);
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    join(&w, udp, group_6);
    assert_int_equal(listen_for(&w, false, 5000).count, 2);
    query_mld(&w, NULL, 1000, 28, FAULT_NONE);
    struct sayings s = listen_for(&w, false, 1100);
    assert_int_equal(s.count, 2); /* the socket's and the address's */
    assert_int_equal(s.all[0].record, IS_EX);
    query_mld(&w, &group_6, 1000, 28, FAULT_NONE);
    s = listen_for(&w, false, 1100);
    assert_int_equal(s.count, 1);
    assert_said(&s.all[0], 143, IS_EX, group_6, mld_routers);
    for (enum mld_fault fault = FAULT_HOP_LIMIT; fault <= FAULT_ALERT; fault++)
        query_mld(&w, NULL, 1000, 28, fault);
    query_mld(&w, NULL, 1000, 26, FAULT_NONE);
    assert_int_equal(listen_for(&w, false, 5000).count, 0);
    assert_int_equal(dropped(&w, STACK_DROP_GROUP_MALFORMED), 4);
    end(&w);
}

static void to_an_older_querier_mldv1_is_spoken_rfc3810_8_2_1(void **state)
{
    static const struct ip_addr all_routers = {{0xff, 0x02, [15] = 2}};
    struct world w = begin(false);
    settle(&w);
    leat_udp udp = bind_any(&w, 5353);
    join(&w, udp, group_6);
    listen_for(&w, false, 5000);
    query_mld(&w, &group_6, 1000, 24, FAULT_NONE);
    struct sayings s = listen_for(&w, false, 1100);
    assert_int_equal(s.count, 1);
    assert_said(&s.all[0], 131, 0, group_6, group_6);
    leave(&w, udp, group_6);
    s = listen_for(&w, false, 11000);
    assert_int_equal(s.count, 1);
    assert_said(&s.all[0], 132, 0, group_6, all_routers);
    end(&w);
}

static void a_report_is_cut_where_the_packet_ends_rfc3376_4_2_16(void **state)
{
    struct world w = begin(false);
    settle(&w);
    for (uint16_t i = 0; i < 40; i++) {
        leat_udp udp = bind_any(&w, (uint16_t)(6000 + i));
        join(&w, udp, v4(GROUP_A + i));
    }
    sim_run_for(w.sim, 5 * LEAT_NS_PER_S);
    settle_quietly(&w);
    query_v3(&w, 0, 10, 2);
    struct sayings s = listen_for(&w, true, 2000);
    assert_int_equal(s.count, 40);
    for (unsigned i = 0; i < 40; i++)
        for (unsigned k = 0; k < i; k++)
            assert_false(ip_addr_equal(&s.all[i].group, &s.all[k].group));
    end(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_is_said_twice_rfc3376_5_1),
        cmocka_unit_test(the_group_of_all_systems_is_never_said_rfc3376_6),
        cmocka_unit_test(a_leave_is_said_twice_rfc3376_5_1),
        cmocka_unit_test(a_general_query_is_answered_in_one_report_rfc3376_5_2),
        cmocka_unit_test(the_querier_says_how_often_rfc3376_4_1_6),
        cmocka_unit_test(to_an_older_querier_its_version_is_spoken_rfc3376_7_2_1),
        cmocka_unit_test(the_oldest_hears_no_leave_rfc1112),
        cmocka_unit_test(one_report_of_the_group_is_enough_rfc2236_3),
        cmocka_unit_test(malformed_messages_are_dropped_rfc3376_4),
        cmocka_unit_test(the_group_of_an_address_is_joined_before_the_probe_rfc4862_5_4_2),
        cmocka_unit_test(a_link_local_address_says_all_again_rfc3590_4),
        cmocka_unit_test(the_group_of_an_address_goes_with_it_rfc3810_6_1),
        cmocka_unit_test(queries_of_the_link_are_answered_rfc3810_6_2),
        cmocka_unit_test(to_an_older_querier_mldv1_is_spoken_rfc3810_8_2_1),
        cmocka_unit_test(a_report_is_cut_where_the_packet_ends_rfc3376_4_2_16),
    };
    return run_scripts(tests, argc, argv);
}
