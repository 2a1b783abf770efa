/* The segment between the hosts: each sender's link decides what becomes of a frame, then it goes
 * to the host whose MAC it names, or to all others. */
#include "net/sim/sim_internal.h"

#include <errno.h>
#include <stdlib.h>

bool sim_pcap_open(struct sim *sim, const char *path, struct leat_error *error)
{
    const uint32_t header[6] = {0xa1b23c4d, 4u << 16 | 2u, 0, 0, 65535, 1};
    sim->pcap = fopen(path, "wb");
    if (sim->pcap == NULL) {
        leat_fail(error, -errno, "cannot write %s: %s", path, leat_errno_name(errno));
        return false;
    }
    fwrite(header, sizeof(header), 1, sim->pcap);
    return true;
}

static void capture(struct sim *sim, const uint8_t *bytes, uint32_t length)
{
    if (sim->pcap == NULL)
        return;
    const uint32_t header[4] = {(uint32_t)(sim->now_ns / LEAT_NS_PER_S),
                                (uint32_t)(sim->now_ns % LEAT_NS_PER_S), length, length};
    fwrite(header, sizeof(header), 1, sim->pcap);
    fwrite(bytes, length, 1, sim->pcap);
}

static bool is_listed(const struct sim_link *link, uint32_t number)
{
    for (uint32_t i = 0; i < link->drop_count; i++)
        if (link->drop_list[i] == number)
            return true;
    return false;
}

static bool is_lost(struct sim_host *from, uint32_t length)
{
    struct sim *sim = from->sim;
    struct sim_link *link = &from->options.link;
    from->sent_count++;
    if (link->down || is_listed(link, from->sent_count))
        return true;
    if (link->mtu_bytes != 0 && length > link->mtu_bytes + sizeof(struct eth_header))
        return true;
    if (from->burst_left > 0) {
        from->burst_left--;
        return true;
    }
    if (link->burst_ppm != 0 && sim_chance(sim, link->burst_ppm)) {
        from->burst_left = link->burst_count;
        return true;
    }
    return link->loss_ppm != 0 && sim_chance(sim, link->loss_ppm);
}

/* When the last bit arrives; 0: the queue before the bottleneck was full. */
static uint64_t arrival(struct sim_host *from, uint32_t length)
{
    struct sim *sim = from->sim;
    const struct sim_link *link = &from->options.link;
    uint64_t at = sim->now_ns;
    if (link->bits_per_second != 0) {
        uint64_t start = from->wire_free_ns > at ? from->wire_free_ns : at;
        uint64_t waiting = (start - at) * link->bits_per_second / 8 / LEAT_NS_PER_S;
        if (link->queue_bytes_max != 0 && waiting + length > link->queue_bytes_max)
            return 0;
        at = start + (uint64_t)length * 8 * LEAT_NS_PER_S / link->bits_per_second;
        from->wire_free_ns = at;
    }
    at += link->delay_ns;
    if (link->jitter_ns != 0)
        at += sim_random_below(sim, link->jitter_ns);
    if (at < from->last_arrival_ns)
        at = from->last_arrival_ns;
    from->last_arrival_ns = at;
    return at;
}

static void schedule(struct sim_host *to, const uint8_t *bytes, uint32_t length, uint64_t at)
{
    uint8_t *copy = malloc(length);
    CHECK(copy != NULL);
    memcpy(copy, bytes, length);
    sim_push_event(to->sim, &(struct sim_event){.at_ns = at,
                                                .to = to,
                                                .bytes = copy,
                                                .length_bytes = length});
}

static void to_all(struct sim_host *from, const uint8_t *bytes, uint32_t length, uint64_t at)
{
    struct sim *sim = from->sim;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        struct sim_host *to = sim->hosts[i];
        struct mac_addr mac = sim_mac(to);
        if (to != from && ((bytes[0] & 1) != 0 || memcmp(bytes, &mac, sizeof(mac)) == 0))
            schedule(to, bytes, length, at);
    }
}

/* ---- a stranger ---- */

#define FAR         (UINT32_C(1) << 30) /* from what is right: outside of every window */
#define FORGED_MAX  (40 + 15 * 4 + 20)
#define FORGED_TEXT 20

static uint32_t far_from(struct sim *sim, uint32_t right)
{
    return right + FAR + (uint32_t)sim_random_below(sim, 2 * (uint64_t)FAR);
}

/* Options of any kind, half of them with a length that is likely. */
static void forge_options(struct sim *sim, uint8_t *to, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)sim_random_below(sim, sim_chance(sim, 500000) ? 12 : 256);
    if (bytes >= 12 && sim_chance(sim, 500000))
        memcpy(to, (const uint8_t[]){1, 1, 8, 10}, 4); /* a timestamp: PAWS lets half of them by */
}

/* A TCP segment from and to the same ports, with right checksums; everything else is made up, and
 * sequence and ACK number are far from what is right. No SYN: in a handshake nobody can tell. */
static uint32_t forge_tcp(struct sim *sim, uint8_t *to, const struct tcp_header *like)
{
    static const uint8_t flags[] = {TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN,
                                    TCP_RST, TCP_RST | TCP_ACK, TCP_FIN,
                                    0,       TCP_ACK | TCP_URG};
    unsigned option_bytes = 4 * (unsigned)sim_random_below(sim, 11);
    uint32_t text = (uint32_t)sim_random_below(sim, FORGED_TEXT + 1);
    uint32_t words = 5 + option_bytes / 4;
    if (sim_chance(sim, 200000))
        words = (uint32_t)sim_random_below(sim, 16);
    struct tcp_header h = {.src_port = like->src_port,
                           .dst_port = like->dst_port,
                           .seq = be32_put(far_from(sim, be32_get(like->seq))),
                           .ack = be32_put(far_from(sim, be32_get(like->ack))),
                           .offset = (uint8_t)(words << 4),
                           .flags = flags[sim_random_below(sim, sizeof(flags))],
                           .window = be16_put((uint16_t)sim_random(sim))};
    memcpy(to, &h, sizeof(h));
    forge_options(sim, to + sizeof(h), option_bytes);
    memset(to + sizeof(h) + option_bytes, 0xee, text);
    return (uint32_t)sizeof(h) + option_bytes + text;
}

static void forge(struct sim_host *from, const uint8_t *bytes, uint32_t length, uint64_t at)
{
    uint8_t frame[14 + FORGED_MAX + 20];
    struct eth_header *eth = (void *)frame;
    struct ipv4_header *ip4 = (void *)(frame + 14);
    struct ipv6_header *ip6 = (void *)(frame + 14);
    if (length < 74)
        return;
    memcpy(frame, bytes, 54);
    bool v4 = be16_get(eth->type) == ETHERTYPE_IPV4 && ip4->protocol == IP_TCP;
    bool v6 = be16_get(eth->type) == ETHERTYPE_IPV6 && ip6->next == IP_TCP;
    if ((!v4 && !v6) || (v4 && ip4->version_ihl != 0x45))
        return;
    uint32_t header = v4 ? 20 : 40;
    uint8_t *l4 = frame + 14 + header;
    uint32_t l4_bytes = forge_tcp(from->sim, l4, (const void *)(bytes + 14 + header));
    struct ip_addr src = v4 ? ip_addr_v4(ip4->src) : ip6->src;
    struct ip_addr dst = v4 ? ip_addr_v4(ip4->dst) : ip6->dst;
    be16 sum = {0};
    if (v4) {
        ip4->length = be16_put((uint16_t)(header + l4_bytes));
        ip4->checksum = sum;
        ip4->checksum = csum_finish(csum_add(CSUM_ZERO, ip4, header));
    } else {
        ip6->length = be16_put((uint16_t)l4_bytes);
    }
    sum = csum_finish(csum_add(csum_pseudo(&src, &dst, IP_TCP, l4_bytes), l4, l4_bytes));
    memcpy(l4 + offsetof(struct tcp_header, checksum), &sum, sizeof(sum));
    to_all(from, frame, 14 + header + l4_bytes, at);
    from->sim->fault_count++;
}

/* A router's queue is long: it marks the packet if its sender can take that (RFC 3168 5). */
static bool mark(uint8_t *bytes)
{
    struct eth_header *eth = (void *)bytes;
    if (be16_get(eth->type) == ETHERTYPE_IPV4) {
        struct ipv4_header *ip = (void *)(bytes + 14);
        if ((ip->tos & 3) == 0)
            return false;
        ip->tos |= 3;
        ip->checksum = (be16){0};
        ip->checksum = csum_finish(csum_add(CSUM_ZERO, ip, (ip->version_ihl & 15u) * 4));
        return true;
    }
    struct ipv6_header *ip = (void *)(bytes + 14);
    uint32_t word = be32_get(ip->version_class_flow);
    if (be16_get(eth->type) != ETHERTYPE_IPV6 || (word >> 20 & 3) == 0)
        return false;
    ip->version_class_flow = be32_put(word | UINT32_C(3) << 20);
    return true;
}

void sim_wire_send(struct sim_host *from, const uint8_t *bytes, uint32_t length)
{
    struct sim *sim = from->sim;
    const struct sim_link *link = &from->options.link;
    uint8_t damaged[SIM_FRAME_BYTES];
    capture(sim, bytes, length);
    if (from->options.kind == SIM_STACK)
        sim_observe(from, bytes, length);
    sim->frame_count++;
    CHECK(length <= SIM_FRAME_BYTES && length >= sizeof(struct eth_header));
    uint64_t at = is_lost(from, length) ? 0 : arrival(from, length);
    if (at == 0) {
        sim->fault_count++;
        return;
    }
    if (link->mark_ppm != 0 && length >= 54 && sim_chance(sim, link->mark_ppm)) {
        memcpy(damaged, bytes, length);
        sim->fault_count += mark(damaged);
        bytes = damaged;
    }
    if (link->corrupt_ppm != 0 && sim_chance(sim, link->corrupt_ppm)) {
        memmove(damaged, bytes, length);
        uint64_t bit = sim_random_below(sim, (length - 14) * 8);
        damaged[14 + bit / 8] ^= (uint8_t)(1u << (bit % 8));
        bytes = damaged;
        sim->fault_count++;
    }
    if (link->reorder_ppm != 0 && sim_chance(sim, link->reorder_ppm)) {
        at += sim_random_below(sim, link->reorder_ns + 1);
        sim->fault_count++;
    }
    to_all(from, bytes, length, at);
    if (link->forge_ppm != 0 && sim_chance(sim, link->forge_ppm))
        forge(from, bytes, length, at);
    if (link->duplicate_ppm != 0 && sim_chance(sim, link->duplicate_ppm)) {
        to_all(from, bytes, length, at + sim_random_below(sim, link->reorder_ns + 1));
        sim->fault_count++;
    }
}
