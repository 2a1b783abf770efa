/* Conversations with UDP sockets on the stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <leat/udp.h>
#include <stdlib.h>

#include "test/script/frame.h"
#include "test/script/scripts.h"

#define PEER_PORT 5000
#define HOST_PORT 53

struct world {
    struct sim *sim;
    struct sim_host *host, *peer;
    struct ends v4, v6;
    leat_udp udp, other;
    unsigned datagrams, errors, closes, others;
    enum leat_close_reason reason, error_reason;
    struct leat_addr from, error_peer;
    uint8_t bytes[65536];
    size_t length;
};

static void on_datagrams(leat_udp udp, void *user, const struct leat_datagram *d, unsigned count)
{
    struct world *w = user;
    if (udp.id == w->other.id) {
        w->others += count;
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        w->datagrams++;
        w->length = d[i].data.length_bytes;
        memcpy(w->bytes, d[i].data.data, w->length);
        w->from = (struct leat_addr){.family = d[i].from.family, .port = d[i].from.port};
        memcpy(w->from.ip, d[i].from.ip, sizeof(w->from.ip));
    }
}

static void on_error(leat_udp udp, void *user, const struct leat_addr *peer,
                     enum leat_close_reason reason)
{
    struct world *w = user;
    w->errors++;
    w->error_reason = reason;
    w->error_peer = *peer;
}

static void on_close(leat_udp udp, void *user, enum leat_close_reason reason)
{
    struct world *w = user;
    w->closes++;
    w->reason = reason;
}

static const struct leat_udp_ops ops = {.on_datagrams = on_datagrams,
                                        .on_error = on_error,
                                        .on_close = on_close};

static void forget(struct world *w)
{
    struct sim_frame f;
    while (sim_take(w->peer, &f)) {
    }
}

static void pass(struct world *w, uint64_t ms)
{
    sim_run_for(w->sim, ms * LEAT_NS_PER_MS);
}

static leat_udp bind_at(struct world *w, const struct leat_addr *at)
{
    leat_udp udp;
    sim_enter(w->host);
    assert_int_equal(leat_udp_bind(sim_loop(w->host), at, NULL, &ops, w, &udp), 0);
    sim_leave(w->host);
    return udp;
}

/* The host has a socket on HOST_PORT of every address, and knows the peer's MAC. */
static struct world *begin(void)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->sim = sim_new(1, NULL, NULL);
    w->host = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_STACK});
    w->peer = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    w->v4 = ends_of(w->host, w->peer, false);
    w->v6 = ends_of(w->host, w->peer, true);
    pass(w, 5000);
    struct stack *s = sim_stack(w->host);
    sim_enter_quietly(w->host);
    neighbour_learn(s, &w->v4.peer, &w->v4.peer_mac, NEIGHBOUR_MAKE);
    neighbour_learn(s, &w->v6.peer, &w->v6.peer_mac, NEIGHBOUR_MAKE);
    sim_leave_quietly(w->host);
    neighbour_answer(s, &w->v4.peer, &w->v4.peer_mac, NEIGHBOUR_SOLICITED | NEIGHBOUR_OVERRIDE);
    neighbour_answer(s, &w->v6.peer, &w->v6.peer_mac, NEIGHBOUR_SOLICITED | NEIGHBOUR_OVERRIDE);
    const struct leat_addr any = {.family = LEAT_FAMILY_IPV6, .port = HOST_PORT};
    w->udp = bind_at(w, &any);
    forget(w);
    return w;
}

static void end(struct world *w)
{
    assert_string_equal(sim_violation_sentence(w->sim), "");
    assert_int_equal(sim_free(w->sim), 0);
    free(w);
}

static uint64_t dropped(struct world *w, enum stack_drop drop)
{
    return sim_stack(w->host)->count.drops[drop];
}

/* A datagram with length bytes of payload: 0, 1, 2 ...; returns its length. */
static size_t datagram(uint8_t *to, const struct ends *e, uint16_t port, size_t length)
{
    struct udp_header h = {be16_put(PEER_PORT),
                           be16_put(port),
                           be16_put((uint16_t)(8 + length)),
                           {0}};
    for (size_t i = 0; i < length; i++)
        to[8 + i] = (uint8_t)i;
    memcpy(to, &h, sizeof(h));
    csum sum = csum_pseudo(&e->peer, &e->host, IP_UDP, (uint32_t)(8 + length));
    h.checksum = csum_finish(csum_add(sum, to, 8 + length));
    memcpy(to, &h, sizeof(h));
    return 8 + length;
}

static void say_raw(struct world *w, const struct ends *e, const uint8_t *bytes, size_t length)
{
    struct frame f;
    frame_ip(&f, e, IP_UDP, bytes, length);
    sim_transmit(w->peer, f.bytes, f.length);
    pass(w, 1);
}

static void say(struct world *w, const struct ends *e, uint16_t port, size_t length)
{
    uint8_t bytes[SIM_FRAME_BYTES];
    say_raw(w, e, bytes, datagram(bytes, e, port, length));
}

static struct leat_addr peer_at(const struct ends *e, uint16_t port)
{
    bool v4 = ip_addr_is_v4(&e->peer);
    struct leat_addr to = {.family = v4 ? LEAT_FAMILY_IPV4 : LEAT_FAMILY_IPV6, .port = port};
    memcpy(to.ip, e->peer.b + (v4 ? 12 : 0), v4 ? 4 : 16);
    return to;
}

static int send(struct world *w, const struct leat_addr *to, size_t length)
{
    static uint8_t bytes[65536];
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)i;
    sim_kick(w->host); /* so that its loop knows what time it is */
    pass(w, 1);
    sim_enter(w->host);
    int result = leat_udp_send_bytes(w->udp, to, bytes, length);
    sim_leave(w->host);
    pass(w, 1);
    return result;
}

static const struct udp_header *hear(struct world *w, struct sim_frame *f, uint16_t type)
{
    assert_true(sim_take(w->peer, f));
    assert_true(is_type(f, type));
    return payload_of(f);
}

static void silence(struct world *w)
{
    struct sim_frame f;
    assert_false(sim_take(w->peer, &f));
}

/* ---- input ---- */

static void rfc768_a_datagram_is_delivered_with_its_source(void **state)
{
    struct world *w = begin();
    say(w, &w->v4, HOST_PORT, 100);
    assert_int_equal(w->datagrams, 1);
    assert_int_equal(w->length, 100);
    assert_int_equal(w->bytes[99], 99);
    assert_int_equal(w->from.port, PEER_PORT);
    assert_memory_equal(w->from.ip, w->v4.peer.b + 12, 4);
    say(w, &w->v6, HOST_PORT, 50);
    assert_int_equal(w->datagrams, 2);
    assert_memory_equal(w->from.ip, w->v6.peer.b, 16);
    silence(w);
    end(w);
}

static void rfc768_a_zero_checksum_means_none_in_ipv4(void **state)
{
    struct world *w = begin();
    uint8_t bytes[64];
    size_t n = datagram(bytes, &w->v4, HOST_PORT, 20);
    bytes[6] = bytes[7] = 0;
    say_raw(w, &w->v4, bytes, n);
    assert_int_equal(w->datagrams, 1);
    end(w);
}

static void rfc8200_8_1_a_zero_checksum_is_dropped_in_ipv6(void **state)
{
    struct world *w = begin();
    uint8_t bytes[64];
    size_t n = datagram(bytes, &w->v6, HOST_PORT, 20);
    bytes[6] = bytes[7] = 0;
    say_raw(w, &w->v6, bytes, n);
    assert_int_equal(w->datagrams, 0);
    assert_int_equal(dropped(w, STACK_DROP_UDP_CHECKSUM), 1);
    end(w);
}

static void rfc1122_4_1_3_4_a_wrong_checksum_is_dropped(void **state)
{
    struct world *w = begin();
    uint8_t bytes[64];
    size_t n = datagram(bytes, &w->v4, HOST_PORT, 20);
    bytes[20] ^= 1;
    say_raw(w, &w->v4, bytes, n);
    assert_int_equal(w->datagrams, 0);
    assert_int_equal(dropped(w, STACK_DROP_UDP_CHECKSUM), 1);
    silence(w);
    end(w);
}

static void rfc768_a_length_beyond_the_packet_is_dropped(void **state)
{
    struct world *w = begin();
    uint8_t bytes[64];
    size_t n = datagram(bytes, &w->v4, HOST_PORT, 20);
    say_raw(w, &w->v4, bytes, n - 1);
    say_raw(w, &w->v4, bytes, 7);
    bytes[4] = 0;
    bytes[5] = 7; /* shorter than the header */
    say_raw(w, &w->v4, bytes, n);
    assert_int_equal(w->datagrams, 0);
    assert_int_equal(dropped(w, STACK_DROP_UDP_SHORT), 3);
    end(w);
}

static void rfc768_bytes_behind_the_length_are_no_payload(void **state)
{
    struct world *w = begin();
    uint8_t bytes[64] = {0};
    size_t n = datagram(bytes, &w->v4, HOST_PORT, 20);
    say_raw(w, &w->v4, bytes, n + 10);
    assert_int_equal(w->length, 20);
    end(w);
}

static void rfc768_an_empty_datagram_is_one(void **state)
{
    struct world *w = begin();
    say(w, &w->v4, HOST_PORT, 0);
    assert_int_equal(w->datagrams, 1);
    assert_int_equal(w->length, 0);
    end(w);
}

static void rfc1122_4_1_3_1_a_port_without_a_socket_is_unreachable(void **state)
{
    struct world *w = begin();
    struct sim_frame f;
    say(w, &w->v4, HOST_PORT + 1, 30);
    const struct icmp_header *icmp = (const void *)hear(w, &f, ETHERTYPE_IPV4);
    assert_int_equal(icmp->type, ICMP_UNREACHABLE);
    assert_int_equal(icmp->code, ICMP_CODE_PORT);
    say(w, &w->v6, HOST_PORT + 1, 30);
    icmp = (const void *)hear(w, &f, ETHERTYPE_IPV6);
    assert_int_equal(icmp->type, ICMPV6_UNREACHABLE);
    assert_int_equal(icmp->code, 4);
    assert_int_equal(dropped(w, STACK_DROP_UDP_NO_PORT), 2);
    end(w);
}

static void a_closed_socket_hears_nothing(void **state)
{
    struct world *w = begin();
    sim_enter(w->host);
    assert_int_equal(leat_udp_close(w->udp), 0);
    sim_leave(w->host);
    say(w, &w->v4, HOST_PORT, 30);
    assert_int_equal(w->closes, 1);
    assert_int_equal(w->reason, LEAT_CLOSE_DONE);
    assert_int_equal(w->datagrams, 0);
    end(w);
}

static void the_most_particular_socket_gets_it(void **state)
{
    struct world *w = begin();
    struct leat_addr exact = sim_addr(w->host, false, HOST_PORT);
    w->other = bind_at(w, &exact);
    say(w, &w->v4, HOST_PORT, 10);
    assert_int_equal(w->others, 1);
    assert_int_equal(w->datagrams, 0);
    say(w, &w->v6, HOST_PORT, 10);
    assert_int_equal(w->datagrams, 1);
    end(w);
}

static void fragments_become_one_datagram(void **state)
{
    struct world *w = begin();
    uint8_t bytes[4096];
    struct frame f;
    size_t n = datagram(bytes, &w->v4, HOST_PORT, 2000);
    frame_ip(&f, &w->v4, IP_UDP, bytes + 1400, n - 1400);
    frame_set_fragment(&f, 1400 / 8, 7);
    sim_transmit(w->peer, f.bytes, f.length);
    frame_ip(&f, &w->v4, IP_UDP, bytes, 1400);
    frame_set_fragment(&f, IPV4_MF, 7);
    sim_transmit(w->peer, f.bytes, f.length);
    pass(w, 1);
    assert_int_equal(w->datagrams, 1);
    assert_int_equal(w->length, 2000);
    assert_int_equal(w->bytes[1999], (uint8_t)1999);
    end(w);
}

static void rfc919_a_broadcast_reaches_every_socket_on_the_port(void **state)
{
    struct world *w = begin();
    struct ends e = w->v4;
    struct leat_addr any4 = {.family = LEAT_FAMILY_IPV4, .port = HOST_PORT + 2};
    w->other = bind_at(w, &any4);
    e.host = ip_addr_v4(be32_put(0xffffffff));
    memset(&e.host_mac, 0xff, sizeof(e.host_mac));
    say(w, &e, HOST_PORT, 10);
    assert_int_equal(w->datagrams, 1);
    say(w, &e, HOST_PORT + 2, 10);
    assert_int_equal(w->others, 1);
    say(w, &e, HOST_PORT + 3, 10);
    silence(w); /* RFC 1122 3.2.2: no error about a broadcast */
    end(w);
}

static void rfc1112_only_members_hear_a_group(void **state)
{
    struct world *w = begin();
    struct ends e = w->v6;
    struct leat_addr group = {.family = LEAT_FAMILY_IPV6, .ip = {0xff, 0x02, [15] = 0xfb}};
    memcpy(e.host.b, group.ip, 16);
    e.host_mac = (struct mac_addr){{0x33, 0x33, 0, 0, 0, 0xfb}};
    say(w, &e, HOST_PORT, 10);
    assert_int_equal(w->datagrams, 0);
    sim_enter(w->host);
    assert_int_equal(leat_udp_join(w->udp, &group), 0);
    sim_leave(w->host);
    say(w, &e, HOST_PORT, 10);
    assert_int_equal(w->datagrams, 1);
    end(w);
}

/* ---- output ---- */

static void rfc768_what_is_sent_has_a_checksum(void **state)
{
    struct world *w = begin();
    struct sim_frame f;
    const struct ends *ends[] = {&w->v4, &w->v6};
    for (unsigned i = 0; i < 2; i++) {
        struct leat_addr to = peer_at(ends[i], PEER_PORT);
        assert_int_equal(send(w, &to, 300), 0);
        const struct udp_header *h = hear(w, &f, i == 0 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
        assert_int_equal(be16_get(h->src_port), HOST_PORT);
        assert_int_equal(be16_get(h->dst_port), PEER_PORT);
        assert_int_equal(be16_get(h->length), 308);
        csum sum = csum_pseudo(&ends[i]->host, &ends[i]->peer, IP_UDP, 308);
        assert_int_equal(csum_finish(csum_add(sum, h, 308)).raw, 0);
    }
    end(w);
}

static void rfc791_a_long_datagram_goes_in_fragments(void **state)
{
    struct world *w = begin();
    struct leat_addr to = peer_at(&w->v4, PEER_PORT);
    struct sim_frame f;
    size_t at = 0;
    assert_int_equal(send(w, &to, 4000), 0);
    for (unsigned i = 0; at < 4008; i++) {
        hear(w, &f, ETHERTYPE_IPV4);
        uint16_t field = be16_get(ip4_of(&f)->fragment);
        size_t length = be16_get(ip4_of(&f)->length) - 20u;
        assert_int_equal((field & IPV4_OFFSET) * 8u, at);
        assert_int_equal(field & IPV4_DF, 0);
        at += length;
        assert_int_equal((field & IPV4_MF) != 0, at < 4008);
    }
    assert_int_equal(at, 4008);
    silence(w);
    end(w);
}

static void send_icmp(struct world *w, uint8_t type, uint8_t code, uint32_t rest,
                      const struct sim_frame *quoted)
{
    uint8_t message[128] = {type, code};
    struct frame f;
    be32 field = be32_put(rest);
    memcpy(message + 4, &field, 4);
    memcpy(message + 8, quoted->bytes + 14, 28);
    icmp_sum(message, 36, &w->v4);
    frame_ip(&f, &w->v4, IP_ICMP, message, 36);
    sim_transmit(w->peer, f.bytes, f.length);
    pass(w, 1);
}

static void rfc1191_a_smaller_path_mtu_is_heeded(void **state)
{
    struct world *w = begin();
    struct leat_addr to = peer_at(&w->v4, PEER_PORT);
    struct sim_frame f;
    assert_int_equal(send(w, &to, 1200), 0);
    hear(w, &f, ETHERTYPE_IPV4);
    assert_true((be16_get(ip4_of(&f)->fragment) & IPV4_DF) != 0);
    send_icmp(w, ICMP_UNREACHABLE, 4, 600, &f);
    assert_int_equal(w->errors, 0);
    assert_int_equal(send(w, &to, 1200), 0);
    hear(w, &f, ETHERTYPE_IPV4);
    assert_true(be16_get(ip4_of(&f)->length) <= 600);
    assert_true((be16_get(ip4_of(&f)->fragment) & IPV4_MF) != 0);
    end(w);
}

static void rfc1122_4_1_3_3_icmp_errors_are_passed_up(void **state)
{
    static const struct {
        uint8_t type, code;
        enum leat_close_reason reason;
    } cases[] = {{ICMP_UNREACHABLE, ICMP_CODE_PORT, LEAT_CLOSE_REFUSED},
                 {ICMP_UNREACHABLE, 1, LEAT_CLOSE_UNREACHABLE},
                 {ICMP_TIME_EXCEEDED, 0, LEAT_CLOSE_UNREACHABLE},
                 {ICMP_PARAMETER, 0, LEAT_CLOSE_PROTOCOL}};
    struct world *w = begin();
    struct leat_addr to = peer_at(&w->v4, PEER_PORT);
    struct sim_frame f;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(send(w, &to, 100), 0);
        hear(w, &f, ETHERTYPE_IPV4);
        send_icmp(w, cases[i].type, cases[i].code, 0, &f);
        assert_int_equal(w->errors, i + 1);
        assert_int_equal(w->error_reason, cases[i].reason);
        assert_int_equal(w->error_peer.port, PEER_PORT);
    }
    assert_int_equal(send(w, &to, 100), 0);
    end(w);
}

static void rfc5927_an_error_about_what_nobody_sent_is_dropped(void **state)
{
    struct world *w = begin();
    struct leat_addr to = peer_at(&w->v4, PEER_PORT);
    struct sim_frame f;
    assert_int_equal(send(w, &to, 100), 0);
    hear(w, &f, ETHERTYPE_IPV4);
    f.bytes[14 + 20 + 1]++; /* another source port */
    send_icmp(w, ICMP_UNREACHABLE, ICMP_CODE_PORT, 0, &f);
    assert_int_equal(w->errors, 0);
    assert_int_equal(dropped(w, STACK_DROP_ICMP_QUOTE), 1);
    end(w);
}

static void rfc1122_2_3_2_2_a_datagram_waits_for_arp(void **state)
{
    struct world *w = begin();
    struct ends e = w->v4;
    e.peer = ip_addr_v4(be32_put(0x0a000063));
    struct leat_addr to = peer_at(&e, PEER_PORT);
    struct sim_frame f;
    struct frame reply;
    assert_int_equal(send(w, &to, 100), 0);
    hear(w, &f, ETHERTYPE_ARP);
    silence(w);
    frame_arp(&reply, ARP_REPLY, &e);
    sim_transmit(w->peer, reply.bytes, reply.length);
    pass(w, 1);
    hear(w, &f, ETHERTYPE_IPV4);
    end(w);
}

static void rfc1112_6_1_a_group_gets_hop_limit_one(void **state)
{
    struct world *w = begin();
    struct leat_addr group = {.family = LEAT_FAMILY_IPV4, .port = 9, .ip = {239, 1, 2, 3}};
    struct sim_frame f;
    assert_int_equal(send(w, &group, 10), 0);
    hear(w, &f, ETHERTYPE_IPV4);
    assert_int_equal(ip4_of(&f)->ttl, 1);
    assert_int_equal(f.bytes[0], 0x01); /* RFC 1112 6.4 */
    end(w);
}

static void no_route_is_an_error_at_once(void **state)
{
    struct world *w = begin();
    struct leat_addr far = {.family = LEAT_FAMILY_IPV4, .port = 9, .ip = {8, 8, 8, 8}};
    assert_int_equal(send(w, &far, 10), -ENETUNREACH);
    silence(w);
    end(w);
}

static void an_address_that_goes_ends_its_sockets(void **state)
{
    struct world *w = begin();
    struct leat_addr exact = sim_addr(w->host, false, 99);
    w->other = bind_at(w, &exact);
    sim_enter(w->host);
    struct ip_addr ip = sim_ip(w->host, false);
    assert_int_equal(stack_remove_address(sim_stack(w->host), &ip), 0);
    sim_leave(w->host);
    pass(w, 1);
    assert_int_equal(w->closes, 1);
    assert_int_equal(w->reason, LEAT_CLOSE_ADDRESS_GONE);
    say(w, &w->v6, HOST_PORT, 10); /* the wildcard lives on */
    assert_int_equal(w->datagrams, 1);
    end(w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc768_a_datagram_is_delivered_with_its_source),
        cmocka_unit_test(rfc768_a_zero_checksum_means_none_in_ipv4),
        cmocka_unit_test(rfc8200_8_1_a_zero_checksum_is_dropped_in_ipv6),
        cmocka_unit_test(rfc1122_4_1_3_4_a_wrong_checksum_is_dropped),
        cmocka_unit_test(rfc768_a_length_beyond_the_packet_is_dropped),
        cmocka_unit_test(rfc768_bytes_behind_the_length_are_no_payload),
        cmocka_unit_test(rfc768_an_empty_datagram_is_one),
        cmocka_unit_test(rfc1122_4_1_3_1_a_port_without_a_socket_is_unreachable),
        cmocka_unit_test(a_closed_socket_hears_nothing),
        cmocka_unit_test(the_most_particular_socket_gets_it),
        cmocka_unit_test(fragments_become_one_datagram),
        cmocka_unit_test(rfc919_a_broadcast_reaches_every_socket_on_the_port),
        cmocka_unit_test(rfc1112_only_members_hear_a_group),
        cmocka_unit_test(rfc768_what_is_sent_has_a_checksum),
        cmocka_unit_test(rfc791_a_long_datagram_goes_in_fragments),
        cmocka_unit_test(rfc1191_a_smaller_path_mtu_is_heeded),
        cmocka_unit_test(rfc1122_4_1_3_3_icmp_errors_are_passed_up),
        cmocka_unit_test(rfc5927_an_error_about_what_nobody_sent_is_dropped),
        cmocka_unit_test(rfc1122_2_3_2_2_a_datagram_waits_for_arp),
        cmocka_unit_test(rfc1112_6_1_a_group_gets_hop_limit_one),
        cmocka_unit_test(no_route_is_an_error_at_once),
        cmocka_unit_test(an_address_that_goes_ends_its_sockets),
    };
    return scripts_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
