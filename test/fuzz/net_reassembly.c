/* Fragments against a reference that marks every byte in an array. The datagrams are echo requests,
 * so that what was put together comes back and is compared whole. */
#include <string.h>

#include "test/fuzz/net_lone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { IDS = 4, STEPS_MAX = 200, DATAGRAM_MAX = 65535 };

struct reference {
    bool used;
    uint32_t total, high; /* 0: unknown; behind the last byte there is */
    uint32_t runs;
    uint64_t deadline_ns;
    uint8_t there[DATAGRAM_MAX + 1], bytes[DATAGRAM_MAX + 1];
};

static struct reference references[IDS];
static uint8_t ideal[IDS][DATAGRAM_MAX + 1];
static unsigned made; /* of ideal, bits */

struct piece {
    uint32_t from, to;
    bool more, is_wrong;
    const uint8_t *bytes;
};

/* ---- the reference ---- */

static void forget(struct reference *r)
{
    memset(r->there, 0, r->high);
    r->used = false;
    r->total = r->high = r->runs = 0;
}

/* Bytes that were not there: a run more, or one that grows, or two that become one. */
static void mark(struct reference *r, uint32_t from, uint32_t to)
{
    bool touches_left = from > 0 && r->there[from - 1], touches_right = r->there[to];
    memset(r->there + from, 1, to - from);
    r->high = to > r->high ? to : r->high;
    r->runs += 1u - touches_left - touches_right;
}

/* True: the datagram is complete. */
static bool reference_input(struct reference *r, const struct piece *p, uint64_t now_ns, bool v6)
{
    uint32_t length = p->to - p->from, most = v6 ? 65535 : 65515, present = 0;
    if (length == 0 || p->to > most || (p->more && length % 8 != 0))
        return false;
    if (!r->used) {
        r->used = true;
        r->deadline_ns = now_ns + (v6 ? 60 : 30) * LEAT_NS_PER_S;
    }
    bool contradicts = r->total != 0 && (p->more ? p->to > r->total : p->to != r->total);
    if (contradicts || (!p->more && r->high > p->to)) {
        forget(r);
        return false;
    }
    for (uint32_t i = p->from; i < p->to; i++)
        present += r->there[i];
    if (present > 0) {
        bool same = present == length && memcmp(r->bytes + p->from, p->bytes, length) == 0;
        if (!same)
            forget(r);
        return false;
    }
    mark(r, p->from, p->to);
    memcpy(r->bytes + p->from, p->bytes, length);
    if (r->runs > REASM_RANGES_MAX) {
        forget(r);
        return false;
    }
    if (!p->more)
        r->total = p->to;
    return r->total != 0 && r->runs == 1 && r->there[0] && r->high == r->total;
}

/* ---- the packets ---- */

static void make_ideal(struct lone *l, bool v6, unsigned id, uint32_t total)
{
    static bool has_pattern[IDS]; /* behind the header it is the same for all inputs */
    uint8_t *to = ideal[id];
    for (uint32_t i = 8; i <= DATAGRAM_MAX && !has_pattern[id]; i++)
        to[i] = (uint8_t)(i * 13 + (i >> 7) + id);
    has_pattern[id] = true;
    memset(to, 0, 8);
    to[0] = v6 ? ICMPV6_ECHO : ICMP_ECHO;
    to[5] = (uint8_t)id;
    icmp_sum(to, total, v6 ? &l->v6 : &l->v4);
}

static void send_piece(struct lone *l, bool v6, unsigned id, const struct piece *p)
{
    struct frame f;
    static uint8_t payload[SIM_FRAME_BYTES];
    uint32_t length = p->to - p->from;
    struct ipv6_fragment h = {.next = IP_ICMPV6,
                              .offset = be16_put((uint16_t)(p->from | p->more)),
                              .id = be32_put(1000 + id)};
    memcpy(payload, &h, sizeof(h));
    memcpy(payload + sizeof(h), p->bytes, length);
    if (v6) {
        frame_ip(&f, &l->v6, IPV6_FRAGMENT, payload, sizeof(h) + length);
    } else {
        frame_ip(&f, &l->v4, IP_ICMP, p->bytes, length);
        frame_set_fragment(&f, (uint16_t)(p->from / 8 | (p->more ? IPV4_MF : 0)),
                           (uint16_t)(1000 + id));
    }
    lone_input(l, f.bytes, f.length);
}

/* The reply, put together by copying: the same bytes but for type and checksum. */
static void check_reply(struct lone *l, bool v6, const uint8_t *wanted, uint32_t total)
{
    static uint8_t got[DATAGRAM_MAX + 1];
    uint32_t bytes = 0;
    CHECK(l->sent_count > 0 && l->sent_count <= LONE_SENT_MAX);
    for (uint32_t i = 0; i < l->sent_count; i++) {
        const uint8_t *ip = l->sent[i].bytes + 14;
        uint32_t header = v6 ? 40 : 20, at = 0;
        if (ip[-2] == 8 && ip[-1] == 6)
            continue; /* ARP */
        if (v6 && ip[6] == IP_ICMPV6 && ip[40] != ICMPV6_ECHO_REPLY)
            continue; /* neighbour discovery */
        if (v6 && ip[6] == IPV6_FRAGMENT) {
            at = (uint32_t)(ip[42] << 8 | ip[43]) & 0xfff8;
            header = 48;
        } else if (!v6) {
            at = ((uint32_t)(ip[6] << 8 | ip[7]) & IPV4_OFFSET) * 8;
        }
        uint32_t length = l->sent[i].length - 14 - header;
        CHECK(at + length <= total);
        memcpy(got + at, ip + header, length);
        bytes += length;
    }
    CHECK(bytes == total && got[0] == (v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHO_REPLY));
    CHECK(memcmp(got + 4, wanted + 4, total - 4) == 0);
}

static void compare(const struct lone *l)
{
    const struct reasm *of[IDS] = {0};
    for (unsigned i = 0; i < REASM_MAX; i++) {
        const struct reasm *entry = &l->s.reasm.entries[i];
        if (!entry->used)
            continue;
        CHECK(entry->id >= 1000 && entry->id < 1000 + IDS);
        of[entry->id - 1000] = entry;
    }
    for (unsigned id = 0; id < IDS; id++) {
        const struct reference *r = &references[id];
        const struct reasm *found = of[id];
        CHECK((found != NULL) == r->used);
        if (found == NULL)
            continue;
        CHECK(found->total_bytes == r->total && found->range_count == r->runs);
        for (unsigned i = 0; i < found->range_count; i++)
            CHECK(r->there[found->ranges[i].from] && r->there[found->ranges[i].to - 1]);
    }
}

static void step(struct lone *l, bool v6, struct bytes *in, const uint32_t *totals)
{
    uint8_t op = bytes_take(in), id = op & 3;
    uint32_t at = op & 4 ? bytes_take16(in) & 0x1fff : bytes_take(in);
    uint32_t length = op & 8 ? bytes_take(in) % 1400u : (bytes_take(in) % 180u) * 8;
    if (!(made & 1u << id))
        make_ideal(l, v6, id, totals[id]);
    made |= 1u << id;
    struct piece p = {.from = at * 8, .to = at * 8 + length, .more = true};
    static uint8_t wrong[2048];
    if ((op & 0xe0) == 0xe0) {
        uint64_t pass = (op & 16 ? 21u : 1u) * LEAT_NS_PER_S;
        lone_pass(l, pass);
        for (unsigned i = 0; i < IDS; i++)
            if (references[i].used && references[i].deadline_ns <= l->now_ns)
                forget(&references[i]);
        return;
    }
    if (op & 16 && p.from < totals[id] && totals[id] - p.from < 1400)
        p.to = totals[id];
    p.more = p.to != totals[id] && !(op & 32 && op & 64);
    p.bytes = ideal[id] + p.from;
    p.is_wrong = (op & 0xc0) == 0xc0 || p.to > totals[id];
    if (p.is_wrong) {
        memset(wrong, op, sizeof(wrong));
        p.bytes = wrong;
    }
    if (p.from == 0 && !p.more)
        return; /* no fragment */
    uint64_t before = l->s.count.reassembled;
    neighbour_learn(&l->s, &l->v4.peer, &l->v4.peer_mac,
                    NEIGHBOUR_MAKE); /* it may have been silent */
    neighbour_learn(&l->s, &l->v6.peer, &l->v6.peer_mac, NEIGHBOUR_MAKE);
    l->sent_count = 0;
    bool complete = reference_input(&references[id], &p, l->now_ns, v6);
    send_piece(l, v6, id, &p);
    CHECK(l->s.count.reassembled == before + complete);
    if (complete) {
        const struct reference *r = &references[id];
        if (r->total == totals[id] && memcmp(r->bytes, ideal[id], r->total) == 0)
            check_reply(l, v6, ideal[id], r->total);
        forget(&references[id]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    struct bytes in = {data, length_bytes};
    struct lone *l = lone_begin(false, false);
    bool v6 = bytes_take(&in) & 1;
    uint32_t totals[IDS];
    for (unsigned id = 0; id < IDS; id++) {
        uint32_t total = 8u + bytes_take(&in) * (id == 3 ? 256u : id == 2 ? 30u : 8u) + id;
        totals[id] = total < 65515 ? total : 65515;
    }
    made = 0;
    for (unsigned i = 0; i < STEPS_MAX && in.left > 0; i++) {
        step(l, v6, &in, totals);
        compare(l);
    }
    for (unsigned id = 0; id < IDS; id++)
        forget(&references[id]);
    lone_pass(l, 61 * LEAT_NS_PER_S);
    CHECK(l->s.reasm.bytes == 0);
    lone_end(l);
    return 0;
}
