/* ARP, ICMP, UDP and IPv4 options, one frame after the other, checksums right unless the input says
 * otherwise: what is answered, that nothing is amplified, and that no error answers an error. */
#include <string.h>

#include "test/fuzz/net_lone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { STEPS_MAX = 64 };

static be32 address(uint8_t which)
{
    static const uint32_t known[8] = {0x0a000002, 0x0a000001, 0x0a0000ff, 0,
                                      0xffffffff, 0xe0000001, 0x0a000003, 0x7f000001};
    return be32_put(known[which & 7] + ((which & 8) ? (which >> 4) * 5u : 0));
}

static bool is_sent_ok(const struct lone *l, uint32_t i)
{
    const struct eth_header *eth = (const void *)l->sent[i].bytes;
    return memcmp(&eth->src, &l->v4.host_mac, 6) == 0 &&
           ((eth->dst.b[0] & 1) == 0 || be16_get(eth->type) != ETHERTYPE_IPV4);
}

static void check_sent(struct lone *l, size_t in_bytes)
{
    size_t bytes = 0;
    CHECK(l->sent_count <= LONE_SENT_MAX);
    for (uint32_t i = 0; i < l->sent_count; i++) {
        CHECK(is_sent_ok(l, i));
        bytes += l->sent[i].length;
    }
    CHECK(l->sent_count <= 2 + NEIGHBOUR_PARKED_EACH + in_bytes / 1000);
    CHECK(bytes <= 4096 + 8 * 1514);
}

static void step_arp(struct lone *l, struct bytes *in)
{
    uint8_t shape = bytes_take(in), ends = bytes_take(in);
    struct frame f;
    frame_arp(&f, shape & 1 ? ARP_REPLY : ARP_REQUEST, &l->v4);
    struct arp_packet arp;
    memcpy(&arp, f.bytes + 14, sizeof(arp));
    arp.sender_ip = address(ends);
    arp.target_ip = address((uint8_t)(ends >> 4 | (shape & 8)));
    if (shape & 2)
        arp.sender_mac.b[bytes_take(in) % 6] = bytes_take(in);
    bool is_odd = shape & 4;
    if (is_odd)
        ((uint8_t *)&arp)[bytes_take(in) % 8] ^= bytes_take(in);
    memcpy(f.bytes + 14, &arp, sizeof(arp));
    if (shape & 16)
        f.length -= bytes_take(in) % 29;
    bool is_ours = addr_is_local(&l->s, &l->v4.host) && be32_get(arp.target_ip) == 0x0a000001 &&
                   be32_get(arp.sender_ip) == 0x0a000002;
    lone_input(l, f.bytes, f.length);
    if (is_ours && !(shape & (1 | 2 | 4 | 16))) {
        const struct arp_packet *reply = (const void *)(l->sent[0].bytes + 14);
        CHECK(l->sent_count >= 1 && be16_get(reply->operation) == ARP_REPLY);
        CHECK(reply->sender_ip.raw == arp.target_ip.raw);
        CHECK(reply->target_ip.raw == arp.sender_ip.raw);
        CHECK(memcmp(&reply->sender_mac, &l->v4.host_mac, 6) == 0);
    }
}

/* An IPv4 packet with options from the input. */
static void step_ip(struct lone *l, struct bytes *in)
{
    static const uint8_t protocols[8] = {IP_ICMP, IP_UDP, IP_ICMP, 99, IP_ICMP, IP_ICMPV6, 2, 255};
    uint8_t shape = bytes_take(in), ends = bytes_take(in), options = bytes_take(in) % 11 * 4;
    uint8_t protocol = protocols[shape & 7], payload[512];
    struct frame f;
    uint32_t length = bytes_take(in) * 2u;
    if (!(shape & 8))
        options = 0;
    for (uint32_t i = 0; i < length; i++)
        payload[i] = i < 32 ? bytes_take(in) : (uint8_t)i;
    if (protocol == IP_UDP && length >= 8 && !(shape & 16)) {
        payload[4] = (uint8_t)(length >> 8);
        payload[5] = (uint8_t)length;
        payload[6] = payload[7] = 0;
    }
    if (protocol == IP_ICMP && length >= 8)
        icmp_sum(payload, length, &l->v4);
    frame_ip(&f, &l->v4, protocol, payload, length);
    memmove(f.bytes + 34 + options, f.bytes + 34, length);
    f.bytes[14] = (uint8_t)(0x45 + options / 4);
    for (unsigned i = 0; i < options; i++)
        f.bytes[34 + i] = bytes_take(in);
    f.length += options;
    f.bytes[16] = (uint8_t)((f.length - 14) >> 8);
    f.bytes[17] = (uint8_t)(f.length - 14);
    be32 src = address(ends), dst = address((uint8_t)(ends >> 4 | 0x10));
    if (shape & 32) {
        memcpy(f.bytes + 26, &src, 4);
        memcpy(f.bytes + 30, &dst, 4);
    }
    frame_fix_ip(&f);
    if (shape & 64)
        f.bytes[14 + bytes_take(in) % 20] ^= bytes_take(in);
    lone_input(l, f.bytes, f.length);
    bool is_error = protocol == IP_ICMP && length > 0 && payload[0] != ICMP_ECHO;
    if (is_error && !(shape & 64))
        CHECK(l->sent_count == 0);
    bool is_echo = protocol == IP_ICMP && length >= 8 && payload[0] == ICMP_ECHO;
    if (is_echo && !(shape & (8 | 32 | 64)) && addr_is_local(&l->s, &l->v4.host)) {
        CHECK(l->sent_count == 1 && l->sent[0].length == 34 + length);
        CHECK(l->sent[0].bytes[34] == ICMP_ECHO_REPLY);
        CHECK(memcmp(l->sent[0].bytes + 38, payload + 4, length - 4) == 0);
    }
}

static void step_raw(struct lone *l, struct bytes *in)
{
    struct frame f;
    static const uint16_t types[4] = {ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_VLAN, 0x1234};
    uint8_t shape = bytes_take(in);
    frame_eth(&f, &l->v4, types[shape & 3]);
    if (shape & 4)
        memset(f.bytes, 0xff, 6);
    for (size_t n = bytes_take(in); n > 0; n--)
        f.bytes[f.length++] = bytes_take(in);
    if (shape & 8)
        f.length = shape % 15;
    lone_input(l, f.bytes, f.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    static const uint32_t seconds[4] = {1, 5, 31, 1200};
    struct bytes in = {data, length_bytes};
    uint8_t setup = bytes_take(&in);
    struct lone *l = lone_begin(false, setup & 1);
    lone_pass(l, (setup & 6) * LEAT_NS_PER_S);
    for (unsigned i = 0; i < STEPS_MAX && in.left > 0; i++) {
        uint8_t op = bytes_take(&in);
        /* the peer is known again, whatever was said of it */
        neighbour_learn(&l->s, &l->v4.peer, &l->v4.peer_mac, NEIGHBOUR_MAKE);
        stack_flush(&l->s, l->now_ns);
        l->sent_count = 0;
        size_t before = in.left;
        if (op < 0x50)
            step_arp(l, &in);
        else if (op < 0xc0)
            step_ip(l, &in);
        else if (op < 0xe0)
            step_raw(l, &in);
        else {
            lone_pass(l, seconds[op & 3] * LEAT_NS_PER_S);
            continue;
        }
        check_sent(l, before - in.left);
    }
    lone_end(l);
    return 0;
}
