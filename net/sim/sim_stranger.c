/* What others than the two ends put on the wire: forged segments, a middlebox that changes headers,
 * a router before a narrow link. */
#include "net/sim/sim_internal.h"

#include <stdlib.h>

#define FAR         (UINT32_C(1) << 30) /* from what is right: outside of every window */
#define INSIDE      4000                /* behind what is right: inside of most windows */
#define FORGED_TEXT 20
#define FORGED_MAX  (14 + 40 + 20 + 15 * 4 + FORGED_TEXT)
#define QUOTED_MAX  1232 /* RFC 4443 3.2: as much as fits into 1280 bytes */

/* Where the layers of a TCP frame lie. */
struct layers {
    struct ip_addr src, dst;
    uint32_t ip_bytes; /* of the IP header */
    uint32_t l4_bytes;
    bool v4;
};

/* Plain TCP only: no IP options, no fragments. */
static bool find_layers(const uint8_t *bytes, uint32_t length, struct layers *at)
{
    const struct eth_header *eth = (const void *)bytes;
    const struct ipv4_header *ip4 = (const void *)(bytes + 14);
    const struct ipv6_header *ip6 = (const void *)(bytes + 14);
    if (length < 74)
        return false;
    if (be16_get(eth->type) == ETHERTYPE_IPV4 && ip4->protocol == IP_TCP &&
        ip4->version_ihl == 0x45 && (be16_get(ip4->fragment) & (IPV4_MF | IPV4_OFFSET)) == 0)
        *at = (struct layers){ip_addr_v4(ip4->src), ip_addr_v4(ip4->dst), 20,
                              be16_get(ip4->length) - 20u, true};
    else if (be16_get(eth->type) == ETHERTYPE_IPV6 && ip6->next == IP_TCP)
        *at = (struct layers){ip6->src, ip6->dst, 40, be16_get(ip6->length), false};
    else
        return false;
    return at->l4_bytes >= 20 && 14 + at->ip_bytes + at->l4_bytes <= length;
}

/* Lengths and checksums of a frame whose headers are filled but for these. */
static void frame_finish(uint8_t *frame, const struct layers *at)
{
    struct ipv4_header *ip4 = (void *)(frame + 14);
    struct ipv6_header *ip6 = (void *)(frame + 14);
    struct tcp_header *tcp = (void *)(frame + 14 + at->ip_bytes);
    be16 zero = {0};
    if (at->v4) {
        ip4->length = be16_put((uint16_t)(at->ip_bytes + at->l4_bytes));
        ip4->checksum = zero;
        ip4->checksum = csum_finish(csum_add(CSUM_ZERO, ip4, at->ip_bytes));
    } else {
        ip6->length = be16_put((uint16_t)at->l4_bytes);
    }
    tcp->checksum = zero;
    csum sum = csum_pseudo(&at->src, &at->dst, IP_TCP, at->l4_bytes);
    tcp->checksum = csum_finish(csum_add(sum, tcp, at->l4_bytes));
}

/* ---- forged segments ---- */

/* Options of any kind, half of them with a length that is likely. */
static void forge_options(struct sim *sim, uint8_t *to, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)sim_random_below(sim, sim_chance(sim, 500000) ? 12 : 256);
    if (bytes >= 12 && sim_chance(sim, 500000))
        memcpy(to, (const uint8_t[]){1, 1, 8, 10}, 4); /* a timestamp: PAWS lets half of them by */
}

static uint32_t far_from(struct sim *sim, uint32_t right)
{
    return right + FAR + (uint32_t)sim_random_below(sim, 2 * (uint64_t)FAR);
}

/* Everything but the ports is made up, and sequence and ACK number are far from what is right. No
 * SYN: in a handshake nobody can tell. */
static void forge_far(struct sim *sim, struct tcp_header *h, uint8_t *options, unsigned bytes)
{
    static const uint8_t flags[] = {TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN,
                                    TCP_RST, TCP_RST | TCP_ACK, TCP_FIN,
                                    0,       TCP_ACK | TCP_URG};
    h->seq = be32_put(far_from(sim, be32_get(h->seq)));
    h->ack = be32_put(far_from(sim, be32_get(h->ack)));
    h->flags = flags[sim_random_below(sim, sizeof(flags))];
    forge_options(sim, options, bytes);
    if (sim_chance(sim, 200000))
        h->offset = (uint8_t)(sim_random_below(sim, 16) << 4);
}

/* RFC 5961: a sequence number inside of the window that is not RCV.NXT, and an ACK that nobody
 * could send. What a reset, a SYN, or text with such an ACK may draw is a challenge. */
static void forge_near(struct sim *sim, struct tcp_header *h, uint32_t end)
{
    static const uint8_t flags[] = {TCP_RST,           TCP_RST | TCP_ACK, TCP_ACK,
                                    TCP_ACK | TCP_FIN, TCP_ACK | TCP_PSH, TCP_SYN};
    h->seq = be32_put(end + 1 + (uint32_t)sim_random_below(sim, INSIDE));
    h->ack = be32_put(far_from(sim, be32_get(h->ack)));
    h->flags = flags[sim_random_below(sim, sizeof(flags))];
}

/* A segment in the window that is on its way. */
struct forged {
    struct sim_host *from;
    uint32_t inside; /* how far its number is from what had been sent when it was made */
    uint32_t length;
    struct layers at;
    uint8_t frame[FORGED_MAX];
};

/* The sender may have gone on meanwhile: then its number could be RCV.NXT by now, and what it asks
 * for would have to be done. It is as far ahead as it was meant to be when it arrives; behind an
 * end, where there is nothing ahead, it does not. */
static void forged_arrive(struct sim *sim, void *arg)
{
    struct forged *f = arg;
    uint32_t end;
    enum sim_place place = sim_observe_place(f->from, f->frame, f->length, &end);
    if (place == SIM_OVERTAKEN) {
        struct tcp_header *tcp = (void *)(f->frame + 14 + f->at.ip_bytes);
        tcp->seq = be32_put(end + f->inside);
        frame_finish(f->frame, &f->at);
    }
    if (place != SIM_PAST_THE_END)
        sim_wire_deliver(f->from, f->frame, f->length, sim->now_ns);
    free(f);
}

static void forged_send(struct sim_host *from, const uint8_t *frame, const struct layers *at,
                        uint32_t end, uint64_t at_ns)
{
    const struct tcp_header *tcp = (const void *)(frame + 14 + at->ip_bytes);
    struct forged *f = malloc(sizeof(*f));
    CHECK(f != NULL);
    *f = (struct forged){.from = from,
                         .inside = be32_get(tcp->seq) - end,
                         .length = 14 + at->ip_bytes + at->l4_bytes,
                         .at = *at};
    memcpy(f->frame, frame, f->length);
    sim_push_event(from->sim, &(struct sim_event){.at_ns = at_ns,
                                                  .bytes = (uint8_t *)f, /* freed with the world */
                                                  .fn = forged_arrive,
                                                  .arg = f});
}

void sim_forge(struct sim_host *from, const uint8_t *bytes, uint32_t length, uint64_t at_ns,
               bool is_inside)
{
    struct sim *sim = from->sim;
    uint8_t frame[FORGED_MAX];
    struct layers at;
    if (!find_layers(bytes, length, &at))
        return;
    uint32_t header = 14 + at.ip_bytes;
    struct tcp_header h;
    memcpy(&h, bytes + header, sizeof(h));
    uint32_t text = at.l4_bytes - (h.offset >> 4) * 4u;
    /* New text and no end: the receiver is past the handshake, and before TIME_WAIT, which a SYN in
     * the window may end (RFC 6191). */
    if (is_inside && (text == 0 || (h.flags & (TCP_SYN | TCP_FIN | TCP_RST)) ||
                      !sim_observe_is_newest(from, bytes, length)))
        return;
    unsigned option_bytes = is_inside ? 0 : 4 * (unsigned)sim_random_below(sim, 11);
    uint32_t forged_text = (uint32_t)sim_random_below(sim, FORGED_TEXT + 1);
    memcpy(frame, bytes, header);
    h.offset = (uint8_t)((5 + option_bytes / 4) << 4);
    h.window = be16_put((uint16_t)sim_random(sim));
    uint32_t end = be32_get(h.seq) + text;
    if (is_inside)
        forge_near(sim, &h, end);
    else
        forge_far(sim, &h, frame + header + 20, option_bytes);
    memcpy(frame + header, &h, sizeof(h));
    memset(frame + header + 20 + option_bytes, 0xee, forged_text);
    at.l4_bytes = 20 + option_bytes + forged_text;
    frame_finish(frame, &at);
    if (is_inside)
        forged_send(from, frame, &at, end, at_ns);
    else
        sim_wire_deliver(from, frame, header + at.l4_bytes, at_ns);
    sim->fault_count++;
}

/* ---- a middlebox ---- */

/* Changes what must not matter, and puts the checksums right: damage that no checksum shows. */
void sim_tamper(struct sim_host *from, uint8_t *bytes, uint32_t length)
{
    struct sim *sim = from->sim;
    struct layers at;
    if (!find_layers(bytes, length, &at))
        return;
    struct ipv4_header *ip4 = (void *)(bytes + 14);
    struct ipv6_header *ip6 = (void *)(bytes + 14);
    struct tcp_header *tcp = (void *)(bytes + 14 + at.ip_bytes);
    switch (sim_random_below(sim, 4)) {
    case 0: /* reserved bits */
        tcp->offset |= (uint8_t)((1 + sim_random_below(sim, 7)) << 1);
        break;
    case 1:
        tcp->flags ^= TCP_PSH;
        break;
    case 2: /* an urgent pointer without its flag */
        tcp->urgent = be16_put((uint16_t)sim_random(sim));
        break;
    default: /* a longer way */
        if (at.v4)
            ip4->ttl = (uint8_t)(1 + sim_random_below(sim, ip4->ttl));
        else
            ip6->hop_limit = (uint8_t)(1 + sim_random_below(sim, ip6->hop_limit));
        break;
    }
    frame_finish(bytes, &at);
    sim->fault_count++;
}

/* ---- a router before a narrow link: RFC 1191, RFC 8201 ---- */

static const struct mac_addr router_mac = {{2, 0, 0, 0, 0, 0xfe}};

static uint32_t put_too_big4(uint8_t *to, const uint8_t *ip, uint32_t quoted, uint32_t mtu)
{
    const struct ipv4_header *of = (const void *)ip;
    struct ipv4_header h = {.version_ihl = 0x45,
                            .length = be16_put((uint16_t)(28 + quoted)),
                            .ttl = 64,
                            .protocol = IP_ICMP,
                            .src = be32_put(0x0a0000fe),
                            .dst = of->src};
    struct icmp_header icmp = {.type = ICMP_UNREACHABLE,
                               .code = ICMP_CODE_FRAGMENTATION_NEEDED,
                               .rest = be32_put(mtu)};
    h.checksum = csum_finish(csum_add(CSUM_ZERO, &h, 20));
    memcpy(to, &h, 20);
    memcpy(to + 20, &icmp, 8);
    memcpy(to + 28, ip, quoted);
    icmp.checksum = csum_finish(csum_add(CSUM_ZERO, to + 20, 8 + quoted));
    memcpy(to + 20, &icmp, 8);
    return 28 + quoted;
}

static uint32_t put_too_big6(uint8_t *to, const uint8_t *ip, uint32_t quoted, uint32_t mtu)
{
    const struct ipv6_header *of = (const void *)ip;
    const struct ip_addr router = {{0xfd, [15] = 0xfe}}, dst = of->src;
    struct ipv6_header h = *of;
    struct icmp_header icmp = {.type = ICMPV6_TOO_BIG, .rest = be32_put(mtu)};
    h.next = IP_ICMPV6;
    h.length = be16_put((uint16_t)(8 + quoted));
    h.hop_limit = 64;
    h.src = router;
    h.dst = dst;
    memcpy(to, &h, 40);
    memcpy(to + 40, &icmp, 8);
    memcpy(to + 48, ip, quoted);
    csum sum = csum_pseudo(&router, &dst, IP_ICMPV6, 8 + quoted);
    icmp.checksum = csum_finish(csum_add(sum, to + 40, 8 + quoted));
    memcpy(to + 40, &icmp, 8);
    return 48 + quoted;
}

void sim_say_too_big(struct sim_host *from, const uint8_t *bytes, uint32_t length)
{
    const struct sim_link *link = &from->options.link;
    uint8_t frame[14 + 48 + QUOTED_MAX];
    struct eth_header *eth = (void *)frame;
    struct layers at;
    if (!find_layers(bytes, length, &at))
        return;
    uint32_t quoted = at.ip_bytes + at.l4_bytes < 548 || !at.v4 ? at.ip_bytes + at.l4_bytes : 548;
    quoted = quoted < QUOTED_MAX ? quoted : QUOTED_MAX;
    struct mac_addr to = sim_mac(from);
    memcpy(frame, &to, 6);
    memcpy(frame + 6, &router_mac, 6);
    eth->type = be16_put(at.v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    uint32_t ip_bytes = at.v4 ? put_too_big4(frame + 14, bytes + 14, quoted, link->mtu_bytes)
                              : put_too_big6(frame + 14, bytes + 14, quoted, link->mtu_bytes);
    sim_wire_arrive(from, frame, 14 + ip_bytes, from->sim->now_ns + link->delay_ns);
}
