/* Chains of IPv6 extension headers against a slow reading of RFC 8200: what is delivered, and which
 * ICMPv6 error answers what is not. Input: the first next header, a byte of choices, the chain. */
#include <stdlib.h>
#include <string.h>

#include "test/fuzz/net_lone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum outcome { DROPPED, DELIVERED, PROBLEM, FRAGMENTED };

struct verdict {
    enum outcome outcome;
    uint8_t protocol, code;
    uint32_t at; /* of the upper layer, or the pointer of the problem */
};

static struct verdict problem(uint8_t code, uint32_t pointer)
{
    return (struct verdict){.outcome = PROBLEM, .code = code, .at = pointer};
}

/* RFC 8200 4.2 over the options from at to end. */
static struct verdict read_options(const uint8_t *ip, uint32_t at, uint32_t end, bool multicast)
{
    while (at < end) {
        uint8_t kind = ip[at];
        if (kind == 0) {
            at++;
            continue;
        }
        if (at + 2 > end || at + 2 + ip[at + 1] > end)
            return (struct verdict){.outcome = DROPPED};
        if (kind != 1 && kind != 5) {
            switch (kind / 64) {
            case 0:
                break;
            case 1:
                return (struct verdict){.outcome = DROPPED};
            case 2:
                return problem(2, at);
            default:
                return multicast ? (struct verdict){.outcome = DROPPED} : problem(2, at);
            }
        }
        at += 2u + ip[at + 1];
    }
    return (struct verdict){.outcome = DELIVERED};
}

static struct verdict read_chain(const uint8_t *ip, uint32_t length, bool multicast)
{
    uint32_t at = 40, named_at = 6;
    uint8_t next = ip[6];
    for (unsigned count = 0;; count++) {
        bool is_extension = next == 0 || next == 43 || next == 60 || next == 44 || next == 59;
        if (!is_extension)
            return count >= 8 ? (struct verdict){.outcome = DROPPED}
                              : (struct verdict){DELIVERED, .protocol = next, .at = at};
        if (count == 8 || next == 59)
            return (struct verdict){.outcome = DROPPED};
        if (next == 0 && count > 0)
            return problem(1, named_at);
        if (at + 8 > length)
            return (struct verdict){.outcome = DROPPED};
        uint32_t size = next == 44 ? 8 : (ip[at + 1] + 1u) * 8;
        if (at + size > length)
            return (struct verdict){.outcome = DROPPED};
        if (next == 44 && ((ip[at + 2] << 8 | ip[at + 3]) & 0xfff9) != 0)
            return (struct verdict){.outcome = FRAGMENTED};
        if (next == 43 && ip[at + 3] != 0)
            return problem(0, at + 2);
        if (next == 0 || next == 60) {
            struct verdict v = read_options(ip, at + 2, at + size, multicast);
            if (v.outcome != DELIVERED)
                return v;
        }
        named_at = at;
        next = ip[at];
        at += size;
    }
}

static void check_problem(const struct lone *l, const struct verdict *v, uint8_t code)
{
    const uint8_t *icmp = l->sent[0].bytes + 54;
    CHECK(l->sent_count == 1 && l->sent[0].bytes[20] == IP_ICMPV6);
    CHECK(icmp[0] == ICMPV6_PARAMETER && icmp[1] == code);
    CHECK(((uint32_t)icmp[4] << 24 | (uint32_t)icmp[5] << 16 | (uint32_t)icmp[6] << 8 | icmp[7]) ==
          v->at);
}

/* What must have come back of a packet that was delivered. */
static void check_delivered(const struct lone *l, const struct verdict *v, const struct frame *f,
                            bool multicast)
{
    uint32_t length = (uint32_t)f->length - 14 - v->at;
    if (v->protocol == IP_TCP || v->protocol == IP_UDP)
        return;
    if (v->protocol != IP_ICMPV6) {
        struct verdict unknown = *v;
        const uint8_t *ip = f->bytes + 14;
        unknown.at = 6; /* where the last next header field stands */
        for (uint32_t at = 40; at < v->at; at += ip[unknown.at] == 44 ? 8 : (ip[at + 1] + 1u) * 8)
            unknown.at = at;
        if (!multicast && unknown.at == 6)
            check_problem(l, &unknown, 1);
        else
            CHECK(l->sent_count <= 1);
    } else if (length >= 8 && f->bytes[14 + v->at] == ICMPV6_ECHO && length < 1200) {
        CHECK(l->sent_count == 1 && l->sent[0].length == 54 + length);
        CHECK(l->sent[0].bytes[54] == ICMPV6_ECHO_REPLY);
        CHECK(memcmp(l->sent[0].bytes + 58, f->bytes + 14 + v->at + 4, length - 4) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    struct frame f;
    if (length_bytes < 2 || length_bytes > 1400)
        return 0;
    struct lone *l = lone_begin(false, false);
    struct ends to = l->v6;
    lone_pass(l, 3 * LEAT_NS_PER_S); /* announcements */
    l->sent_count = 0;
    bool multicast = data[1] & 1;
    if (multicast)
        to.host = (struct ip_addr){{0xff, 0x02, [15] = 1}};
    frame_ip(&f, &to, data[0], data + 2, length_bytes - 2);
    struct verdict v = read_chain(f.bytes + 14, (uint32_t)f.length - 14, multicast);
    if (v.outcome == DELIVERED && v.protocol == IP_ICMPV6 && f.length >= 14 + v.at + 8)
        icmp_sum(f.bytes + 14 + v.at, f.length - 14 - v.at, &to);
    lone_input(l, f.bytes, f.length);
    if (v.outcome == DROPPED)
        CHECK(l->sent_count == 0 && lone_drops(l) > 0);
    else if (v.outcome == PROBLEM && (!multicast || v.code == 2))
        check_problem(l, &v, v.code);
    else if (v.outcome == PROBLEM)
        CHECK(l->sent_count == 0);
    else if (v.outcome == DELIVERED)
        check_delivered(l, &v, &f, multicast);
    lone_end(l);
    return 0;
}
