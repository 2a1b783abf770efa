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

static void frame_capture(struct sim *sim, const uint8_t *bytes, uint32_t length)
{
    if (sim->pcap == NULL)
        return;
    const uint32_t header[4] = {(uint32_t)(sim->now_ns / LEAT_NS_PER_S),
                                (uint32_t)(sim->now_ns % LEAT_NS_PER_S), length, length};
    fwrite(header, sizeof(header), 1, sim->pcap);
    fwrite(bytes, length, 1, sim->pcap);
}

/* Whether the fault list names this frame for that. */
static bool is_listed(const struct sim_host *from, enum sim_fault_kind kind)
{
    const struct sim_link *link = &from->options.link;
    for (uint32_t i = 0; i < link->list_count; i++)
        if (link->list[i].number == from->sent_count && link->list[i].kind == kind)
            return true;
    return false;
}

/* ARP and neighbour discovery. */
static bool is_of_link(const uint8_t *bytes, uint32_t length)
{
    const struct eth_header *eth = (const void *)bytes;
    const struct ipv6_header *ip6 = (const void *)(bytes + 14);
    if (be16_get(eth->type) == ETHERTYPE_ARP)
        return true;
    return be16_get(eth->type) == ETHERTYPE_IPV6 && length > 54 && ip6->next == IP_ICMPV6 &&
           bytes[54] >= ND_ROUTER_SOLICIT && bytes[54] <= ND_ADVERT;
}

static bool is_lost(struct sim_host *from, const uint8_t *bytes, uint32_t length)
{
    struct sim *sim = from->sim;
    struct sim_link *link = &from->options.link;
    if (link->down || is_listed(from, SIM_DROP) || (link->no_link && is_of_link(bytes, length)))
        return true;
    if (link->mtu_bytes != 0 && length > link->mtu_bytes + sizeof(struct eth_header)) {
        if (link->says_too_big)
            sim_say_too_big(from, bytes, length);
        return true;
    }
    if (from->burst_left > 0 && sim->now_ns < from->burst_until_ns) {
        from->burst_left--;
        return true;
    }
    if (link->burst_ppm != 0 && sim_chance(sim, link->burst_ppm)) {
        from->burst_left = link->burst_count;
        from->burst_until_ns = sim->now_ns + SIM_BURST_NS;
        return true;
    }
    return link->loss_ppm != 0 && sim_chance(sim, link->loss_ppm);
}

/* When the last bit arrives; 0: the queue before the bottleneck was full. */
static uint64_t frame_arrival(struct sim_host *from, uint32_t length)
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

void sim_wire_arrive(struct sim_host *to, const uint8_t *bytes, uint32_t length, uint64_t at)
{
    uint8_t *copy = malloc(length);
    CHECK(copy != NULL);
    memcpy(copy, bytes, length);
    sim_push_event(to->sim, &(struct sim_event){.at_ns = at,
                                                .to = to,
                                                .bytes = copy,
                                                .length_bytes = length});
}

void sim_wire_deliver(struct sim_host *from, const uint8_t *bytes, uint32_t length, uint64_t at)
{
    struct sim *sim = from->sim;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        struct sim_host *to = sim->hosts[i];
        struct mac_addr mac = sim_mac(to);
        if (to == to->leader && to != from &&
            ((bytes[0] & 1) != 0 || memcmp(bytes, &mac, sizeof(mac)) == 0))
            sim_wire_arrive(to, bytes, length, at);
    }
}

static bool is_due(struct sim_host *from, uint32_t ppm, enum sim_fault_kind kind)
{
    return (ppm != 0 && sim_chance(from->sim, ppm)) || is_listed(from, kind);
}

/* A bit that no link's checksum showed; ARP is left alone, because it has no other. */
static void frame_damage(struct sim *sim, uint8_t *bytes, uint32_t length)
{
    const struct eth_header *eth = (const void *)bytes;
    if (be16_get(eth->type) == ETHERTYPE_ARP)
        return;
    uint64_t bit = sim_random_below(sim, (length - 14) * 8);
    bytes[14 + bit / 8] ^= (uint8_t)(1u << (bit % 8));
    sim->fault_count++;
}

/* A router's queue is long: it marks the packet if its sender can take that (RFC 3168 5). */
static bool frame_mark(uint8_t *bytes)
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

/* What happens to a frame that is not lost. */
static void frame_carry(struct sim_host *from, uint8_t *bytes, uint32_t length, uint64_t at)
{
    struct sim *sim = from->sim;
    const struct sim_link *link = &from->options.link;
    if (link->mark_ppm != 0 && length >= 54 && sim_chance(sim, link->mark_ppm))
        sim->fault_count += frame_mark(bytes);
    if (is_due(from, link->corrupt_ppm, SIM_DAMAGE))
        frame_damage(sim, bytes, length);
    else if (link->tamper_ppm != 0 && sim_chance(sim, link->tamper_ppm))
        sim_tamper(from, bytes, length);
    if (is_due(from, link->reorder_ppm, SIM_DELAY)) {
        at += sim_random_below(sim, link->reorder_ns + 1);
        sim->fault_count++;
    }
    sim_wire_deliver(from, bytes, length, at);
    if (link->forge_ppm != 0 && sim_chance(sim, link->forge_ppm))
        sim_forge(from, bytes, length, at, false);
    if (link->forge_inside_ppm != 0 && sim_chance(sim, link->forge_inside_ppm))
        sim_forge(from, bytes, length, at, true);
    if (is_due(from, link->duplicate_ppm, SIM_DOUBLE)) {
        sim_wire_deliver(from, bytes, length, at + sim_random_below(sim, link->reorder_ns + 1));
        sim->fault_count++;
    }
}

void sim_wire_send(struct sim_host *from, const uint8_t *bytes, uint32_t length)
{
    struct sim *sim = from->sim;
    uint8_t copy[SIM_FRAME_BYTES];
    frame_capture(sim, bytes, length);
    if (from->options.kind != SIM_PUPPET)
        sim_observe(from, bytes, length);
    sim->frame_count++;
    from->sent_count++;
    CHECK(length <= SIM_FRAME_BYTES && length >= sizeof(struct eth_header));
    uint64_t at = is_lost(from, bytes, length) ? 0 : frame_arrival(from, length);
    if (at == 0) {
        sim->fault_count++;
        return;
    }
    memcpy(copy, bytes, length);
    frame_carry(from, copy, length, at);
}
