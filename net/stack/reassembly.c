/* Fragments become datagrams: RFC 791 3.2, RFC 8200 4.5. Overlaps drop the whole datagram (RFC
 * 5722); datagrams, bytes and fragments are capped, the oldest goes first. */
#include "net/stack/stack.h"
#include "buffers/heap.h"

#define TIMEOUT_V4_NS (30 * LEAT_NS_PER_S)
#define TIMEOUT_V6_NS (60 * LEAT_NS_PER_S)
#define HEADER_ROOM   64 /* the rebuilt IP header lies before the payload, to be quoted in errors */

static void datagram_drop(struct stack *s, struct reasm *r)
{
    s->reasm.bytes -= r->capacity_bytes;
    leat_heap_free(r->bytes);
    r->bytes = NULL;
    r->capacity_bytes = 0;
    r->used = false;
}

static struct reasm *datagram_find(struct stack *s, const struct rx_packet *p,
                                   const struct fragment *f)
{
    for (unsigned i = 0; i < REASM_MAX; i++) {
        struct reasm *r = &s->reasm.entries[i];
        bool v4 = ip_addr_is_v4(&p->src);
        if (r->used && r->id == f->id && (!v4 || r->protocol == f->protocol) &&
            ip_addr_equal(&r->src, &p->src) && ip_addr_equal(&r->dst, &p->dst))
            return r;
    }
    return NULL;
}

static struct reasm *datagram_oldest(struct stack *s, const struct reasm *except)
{
    struct reasm *best = NULL;
    for (unsigned i = 0; i < REASM_MAX; i++) {
        struct reasm *r = &s->reasm.entries[i];
        if (r != except && r->used && (best == NULL || r->deadline_ns < best->deadline_ns))
            best = r;
    }
    return best;
}

static struct reasm *datagram_create(struct stack *s, const struct rx_packet *p,
                                     const struct fragment *f)
{
    struct reasm *r = NULL;
    for (unsigned i = 0; i < REASM_MAX && r == NULL; i++)
        if (!s->reasm.entries[i].used)
            r = &s->reasm.entries[i];
    if (r == NULL) {
        r = datagram_oldest(s, NULL);
        CHECK(r != NULL);
        datagram_drop(s, r);
        stack_drop(s, STACK_DROP_FRAGMENT_LIMIT);
    }
    r->src = p->src;
    r->dst = p->dst;
    r->id = f->id;
    r->protocol = f->protocol;
    r->used = true;
    r->first_seen = r->is_marked = false;
    r->range_count = 0;
    r->total_bytes = 0;
    r->quote_bytes = 0;
    r->deadline_ns = s->now_ns + (ip_addr_is_v4(&p->src) ? TIMEOUT_V4_NS : TIMEOUT_V6_NS);
    if (r->deadline_ns < s->reasm.next_ns)
        s->reasm.next_ns = r->deadline_ns;
    if (r->deadline_ns < s->slow_next_ns)
        s->slow_next_ns = r->deadline_ns;
    return r;
}

/* Room for bytes up to end, within the bound of all datagrams together. */
static bool datagram_reserve(struct stack *s, struct reasm *r, uint32_t end)
{
    uint32_t need = HEADER_ROOM + end;
    if (need <= r->capacity_bytes)
        return true;
    uint32_t capacity = need < 4096 ? 4096 : need < 16384 ? 16384 : HEADER_ROOM + 65536;
    while (s->reasm.bytes - r->capacity_bytes + capacity > REASM_BYTES_MAX) {
        struct reasm *victim = datagram_oldest(s, r);
        if (victim == NULL)
            return false;
        datagram_drop(s, victim);
        stack_drop(s, STACK_DROP_FRAGMENT_LIMIT);
    }
    uint8_t *bytes = leat_heap_realloc(r->bytes, capacity);
    if (bytes == NULL)
        return false;
    s->reasm.bytes += capacity - r->capacity_bytes;
    r->bytes = bytes;
    r->capacity_bytes = capacity;
    return true;
}

enum insert { INSERT_OK, INSERT_OVERLAP, INSERT_SAME, INSERT_FULL };

/* Keeps the ranges sorted and joins neighbours. */
static enum insert range_insert(struct reasm *r, uint32_t from, uint32_t to)
{
    uint16_t at = 0;
    while (at < r->range_count && r->ranges[at].to < from)
        at++;
    struct reasm_range *next = &r->ranges[at];
    bool joins_left = at < r->range_count && next->to == from;
    struct reasm_range *right = joins_left ? next + 1 : next;
    bool has_right = right < r->ranges + r->range_count;
    if (at < r->range_count && !joins_left && from >= next->from && to <= next->to)
        return INSERT_SAME;
    if ((at < r->range_count && !joins_left && to > next->from) || (has_right && to > right->from))
        return INSERT_OVERLAP;
    bool joins_right = has_right && to == right->from;
    if (joins_left) {
        next->to = joins_right ? right->to : (uint16_t)to;
        if (joins_right) {
            memmove(right, right + 1,
                    (size_t)(r->ranges + r->range_count - right - 1) * sizeof(*right));
            r->range_count--;
        }
        return INSERT_OK;
    }
    if (joins_right) {
        right->from = (uint16_t)from;
        return INSERT_OK;
    }
    if (r->range_count == REASM_RANGES_MAX)
        return INSERT_FULL;
    memmove(next + 1, next, (size_t)(r->range_count - at) * sizeof(*next));
    *next = (struct reasm_range){(uint16_t)from, (uint16_t)to};
    r->range_count++;
    return INSERT_OK;
}

/* The header of the datagram that was cut: the first fragment's, without what says that it is one.
 * IPv6 extension headers before the fragment header are left out, as they were walked already. */
static uint32_t rebuild_header(const struct reasm *r, uint8_t *end)
{
    if (ip_addr_is_v4(&r->src)) {
        struct ipv4_header *ip = (void *)(end - r->header_bytes);
        memcpy(ip, r->quote, r->header_bytes);
        ip->length = be16_put((uint16_t)(r->header_bytes + r->total_bytes));
        ip->fragment = be16_put(be16_get(ip->fragment) & IPV4_DF);
        ip->checksum = (be16){0};
        ip->checksum = csum_finish(csum_add(CSUM_ZERO, ip, r->header_bytes));
        return r->header_bytes;
    }
    struct ipv6_header *ip = (void *)(end - sizeof(*ip));
    memcpy(ip, r->quote, sizeof(*ip));
    ip->next = r->protocol;
    ip->length = be16_put((uint16_t)r->total_bytes);
    return sizeof(*ip);
}

/* The datagram takes the place of its last fragment, in heap memory, behind a rebuilt header. */
static void datagram_finish(struct stack *s, struct reasm *r, struct rx_packet *p)
{
    uint32_t header = rebuild_header(r, r->bytes + HEADER_ROOM);
    if (!(p->flags & RX_KEPT))
        stack_release(s, p->handle, p->queue, (uint8_t)p->flags);
    p->handle = r->bytes;
    p->flags = (uint16_t)((p->flags & ~(RX_FOREIGN | RX_STEERED | RX_KEPT)) | RX_HEAP);
    p->data = r->bytes + HEADER_ROOM;
    p->length_bytes = r->total_bytes;
    p->buffer_bytes = r->capacity_bytes;
    p->ip = r->bytes + HEADER_ROOM - header;
    p->ip_header_bytes = (uint16_t)header;
    p->ip_bytes = header + r->total_bytes;
    p->next_offset = offsetof(struct ipv6_header, next);
    p->ecn = r->is_marked ? 3 : p->ecn;
    p->protocol = r->protocol;
    p->l4_verdict = LEAT_VERDICT_UNKNOWN;
    s->reasm.bytes -= r->capacity_bytes;
    r->capacity_bytes = 0;
    r->bytes = NULL;
    r->used = false;
    s->count.reassembled++;
}

static bool fragment_is_well_formed(const struct rx_packet *p, const struct fragment *f)
{
    uint32_t end = f->offset_bytes + p->length_bytes;
    uint32_t end_max = ip_addr_is_v4(&p->src) ? 65535 - sizeof(struct ipv4_header) : 65535;
    return p->length_bytes > 0 && end <= end_max && (!f->more || p->length_bytes % 8 == 0);
}

static bool fragment_refuse(struct stack *s, struct reasm *r, enum stack_drop reason)
{
    datagram_drop(s, r);
    stack_drop(s, reason);
    return false;
}

bool reasm_input(struct stack *s, struct rx_packet *p, const struct fragment *f)
{
    s->count.fragments_rx++;
    p->protocol = 0;
    if (!fragment_is_well_formed(p, f)) {
        stack_drop(s, STACK_DROP_FRAGMENT_MALFORMED);
        return false;
    }
    struct reasm *r = datagram_find(s, p, f);
    if (r == NULL)
        r = datagram_create(s, p, f);
    uint32_t end = f->offset_bytes + p->length_bytes;
    bool beyond = r->total_bytes != 0 && (f->more ? end > r->total_bytes : end != r->total_bytes);
    bool short_last = !f->more && r->range_count > 0 && r->ranges[r->range_count - 1].to > end;
    if (beyond || short_last)
        return fragment_refuse(s, r, STACK_DROP_FRAGMENT_OVERLAP);
    if (!datagram_reserve(s, r, end))
        return fragment_refuse(s, r, STACK_DROP_FRAGMENT_MEMORY);
    switch (range_insert(r, f->offset_bytes, end)) {
    case INSERT_SAME: /* RFC 8200 4.5: an exact repetition may be ignored */
        if (memcmp(r->bytes + HEADER_ROOM + f->offset_bytes, p->data, p->length_bytes) == 0)
            return false;
        return fragment_refuse(s, r, STACK_DROP_FRAGMENT_OVERLAP);
    case INSERT_OVERLAP:
        return fragment_refuse(s, r, STACK_DROP_FRAGMENT_OVERLAP);
    case INSERT_FULL:
        return fragment_refuse(s, r, STACK_DROP_FRAGMENT_LIMIT);
    case INSERT_OK:
        break;
    }
    memcpy(r->bytes + HEADER_ROOM + f->offset_bytes, p->data, p->length_bytes);
    if (!f->more)
        r->total_bytes = end;
    if (f->offset_bytes == 0) {
        r->first_seen = true;
        r->protocol = f->protocol;
        r->quote_bytes = (uint16_t)(p->ip_bytes < 80 ? p->ip_bytes : 80);
        memcpy(r->quote, p->ip, r->quote_bytes);
        r->header_bytes = p->ip_header_bytes;
    }
    r->is_marked |= p->ecn == 3;
    if (r->total_bytes == 0 || r->range_count != 1 || r->ranges[0].from != 0 ||
        r->ranges[0].to != r->total_bytes)
        return false;
    datagram_finish(s, r, p);
    return true;
}

/* RFC 792, RFC 8200 4.5: only if the first fragment has come. */
static void datagram_expire(struct stack *s, struct reasm *r)
{
    bool v4 = ip_addr_is_v4(&r->src);
    struct icmp_header icmp = {.type = v4 ? ICMP_TIME_EXCEEDED : ICMPV6_TIME_EXCEEDED, .code = 1};
    if (r->first_seen && !ip_addr_is_multicast(&r->dst) && addr_is_local(s, &r->dst))
        icmp_error_quote(s, &r->src, &r->dst, r->quote, r->quote_bytes, &icmp);
    datagram_drop(s, r);
    stack_drop(s, STACK_DROP_FRAGMENT_TIMEOUT);
}

uint64_t reasm_tick(struct stack *s)
{
    if (s->now_ns < s->reasm.next_ns)
        return s->reasm.next_ns;
    s->reasm.next_ns = STACK_NEVER;
    for (unsigned i = 0; i < REASM_MAX; i++) {
        struct reasm *r = &s->reasm.entries[i];
        if (r->used && r->deadline_ns <= s->now_ns)
            datagram_expire(s, r);
        if (r->used && r->deadline_ns < s->reasm.next_ns)
            s->reasm.next_ns = r->deadline_ns;
    }
    return s->reasm.next_ns;
}

void reasm_fini(struct stack *s)
{
    for (unsigned i = 0; i < REASM_MAX; i++)
        if (s->reasm.entries[i].used)
            datagram_drop(s, &s->reasm.entries[i]);
}
