/* Neighbour discovery: messages in any order, addresses under probe, routers that come and go,
 * time. Which messages are valid is judged by a second reading of RFC 4861 6.1.2, 7.1.1, 7.1.2. */
#include <string.h>

#include "test/fuzz/net_lone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { STEPS_MAX = 64 };

struct message {
    struct ip_addr src, dst;
    uint8_t hop_limit;
    uint8_t bytes[512];
    uint32_t length;
};

static struct ip_addr address(uint8_t which)
{
    static const struct ip_addr known[8] = {
        {{0xfd, [15] = 2}},       {{0xfe, 0x80, [15] = 2}},
        {{0xfd, [15] = 1}},       {{0xff, 0x02, [11] = 1, [12] = 0xff, [15] = 1}},
        {{0xff, 0x02, [15] = 1}}, {{0}},
        {{0xfe, 0x80, [15] = 1}}, {{0xfd, [15] = 3}},
    };
    struct ip_addr ip = known[which & 7];
    if (which & 8) /* many others */
        ip.b[14] = which;
    return ip;
}

static void put_options(struct message *m, struct bytes *in)
{
    for (unsigned n = bytes_take(in) % 6; n > 0 && m->length + 40 < sizeof(m->bytes); n--) {
        uint8_t kind = bytes_take(in), *at = m->bytes + m->length;
        uint32_t size = kind & 0x40 ? bytes_take(in) % 4u * 8 : (kind & 7) == 3 ? 32 : 8;
        memset(at, 0, 40);
        at[0] = kind & 7;
        at[1] = (uint8_t)(size / 8);
        if (at[0] == ND_OPTION_PREFIX && size == 32) {
            at[2] = kind & 0x80 ? bytes_take(in) : 64;
            at[3] = bytes_take(in);
            for (unsigned i = 4; i < 12; i++)
                at[i] = i % 4 == 3 || kind & 0x20 ? bytes_take(in) : 0;
            struct ip_addr net = address(bytes_take(in));
            net.b[7] = bytes_take(in);
            memcpy(at + 16, net.b, 16);
        } else {
            for (uint32_t i = 2; i < size; i++)
                at[i] = bytes_take(in);
        }
        m->length += size != 0 ? size : 8;
    }
}

static void make(struct message *m, struct bytes *in)
{
    static const uint8_t types[4] = {ND_ROUTER_ADVERT, ND_SOLICIT, ND_ADVERT, ND_ROUTER_SOLICIT};
    uint8_t what = bytes_take(in), ends = bytes_take(in), odd = bytes_take(in);
    *m = (struct message){.src = address(ends & 15), .dst = address(ends >> 4), .hop_limit = 255};
    m->bytes[0] = types[what & 3];
    m->bytes[1] = (odd & 3) == 3 ? odd : 0;
    m->length = m->bytes[0] == ND_ROUTER_ADVERT ? 16 : m->bytes[0] == ND_ROUTER_SOLICIT ? 8 : 24;
    for (unsigned i = 4; i < 8; i++)
        m->bytes[i] = bytes_take(in);
    struct ip_addr target = address(bytes_take(in));
    if (m->length == 24)
        memcpy(m->bytes + 8, target.b, 16);
    put_options(m, in);
    if ((odd & 12) == 12)
        m->hop_limit = odd;
    if ((odd & 48) == 48)
        m->length -= odd >> 6 < 2 ? 1u + odd % m->length : 0;
}

/* The second reading. */
static bool is_valid(const struct message *m)
{
    const uint8_t *b = m->bytes;
    uint32_t at = b[0] == ND_ROUTER_ADVERT ? 16 : b[0] == ND_ROUTER_SOLICIT ? 8 : 24;
    bool has_source = false, from_nobody = true;
    for (unsigned i = 0; i < 16; i++)
        from_nobody &= m->src.b[i] == 0;
    if (b[1] != 0 || m->length < at)
        return false;
    for (; at < m->length; at += b[at + 1] * 8u) {
        if (at + 8 > m->length || b[at + 1] == 0 || at + b[at + 1] * 8u > m->length)
            return false;
        has_source |= b[at] == ND_OPTION_SOURCE_MAC;
    }
    if (b[0] == ND_ROUTER_ADVERT)
        return m->src.b[0] == 0xfe && (m->src.b[1] & 0xc0) == 0x80;
    if (b[8] == 0xff)
        return false;
    if (b[0] == ND_SOLICIT) {
        static const uint8_t group[13] = {0xff, 0x02, [11] = 1, [12] = 0xff};
        return !from_nobody || (!has_source && memcmp(m->dst.b, group, 13) == 0);
    }
    return m->dst.b[0] != 0xff || !(b[4] & 0x40);
}

static bool reaches(struct lone *l, const struct message *m)
{
    static const uint8_t groups[2][13] = {{0xff, 2, [11] = 1, [12] = 0xff}, {0xff, 2}};
    bool is_group = memcmp(m->dst.b, groups[0], 13) == 0 ||
                    (memcmp(m->dst.b, groups[1], 13) == 0 && m->dst.b[14] == 0);
    return m->src.b[0] != 0xff && !addr_is_local(&l->s, &m->src) &&
           (is_group ? m->dst.b[14] == 0 && m->dst.b[15] == 1 : addr_is_local(&l->s, &m->dst));
}

static void send(struct lone *l, struct message *m)
{
    struct ends e = l->v6;
    struct frame f;
    e.peer = m->src;
    e.host = m->dst;
    if (m->length >= 4)
        icmp_sum(m->bytes, m->length, &e);
    frame_ip(&f, &e, IP_ICMPV6, m->bytes, m->length);
    f.bytes[14 + 7] = m->hop_limit;
    const uint64_t *drops = l->s.count.drops;
    uint64_t before = drops[STACK_DROP_ND_MALFORMED], heard = l->s.count.nd_rx;
    bool expected = reaches(l, m) && m->length >= 8 && m->hop_limit == 255;
    l->sent_count = 0;
    lone_input(l, f.bytes, f.length);
    CHECK(l->s.count.nd_rx - heard == expected);
    if (expected && m->bytes[0] != ND_ROUTER_SOLICIT)
        CHECK((drops[STACK_DROP_ND_MALFORMED] == before) == is_valid(m));
    else
        CHECK(drops[STACK_DROP_ND_MALFORMED] == before);
    CHECK(l->sent_count <= 4 + NEIGHBOUR_PARKED_EACH); /* no amplification */
}

/* Something that needs an answer waits for an address. */
static void ping_from(struct lone *l, uint8_t which)
{
    uint8_t message[64];
    struct ends e = l->v6;
    struct frame f;
    e.peer = address(which);
    size_t n = icmp_echo(message, &e, which, 16);
    frame_ip(&f, &e, IP_ICMPV6, message, n);
    lone_input(l, f.bytes, f.length);
}

static void check_addresses(struct lone *l)
{
    for (uint32_t i = 0; i < l->s.addr_count; i++) {
        struct stack_addr *a = &l->s.addrs[i];
        CHECK(addr_find(&l->s, &a->ip) == a && !ip_addr_is_multicast(&a->ip));
        CHECK(a->state != ADDR_TENTATIVE || a->next_ns != STACK_NEVER);
        CHECK(a->valid_until_ns > l->now_ns && a->next_ns <= a->valid_until_ns);
    }
    for (uint32_t i = 1; i < l->s.route_count; i++)
        CHECK(l->s.routes[i - 1].prefix_bits >= l->s.routes[i].prefix_bits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    static const uint32_t seconds[8] = {0, 1, 1, 4, 5, 30, 600, 7300};
    struct bytes in = {data, length_bytes};
    uint8_t setup = bytes_take(&in);
    struct lone *l = lone_begin(setup & 1, setup & 2);
    struct message m;
    lone_pass(l, (setup & 4) * LEAT_NS_PER_S);
    for (unsigned i = 0; i < STEPS_MAX && in.left > 0; i++) {
        uint8_t op = bytes_take(&in);
        if (op >= 0xe0) {
            lone_pass(l, seconds[op & 7] * LEAT_NS_PER_S);
        } else if (op >= 0xc0) {
            ping_from(l, op & 15);
        } else {
            make(&m, &in);
            send(l, &m);
        }
        check_addresses(l);
    }
    lone_end(l);
    return 0;
}
