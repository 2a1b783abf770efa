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
    if (link->corrupt_ppm != 0 && sim_chance(sim, link->corrupt_ppm)) {
        memcpy(damaged, bytes, length);
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
    if (link->duplicate_ppm != 0 && sim_chance(sim, link->duplicate_ppm)) {
        to_all(from, bytes, length, at + sim_random_below(sim, link->reorder_ns + 1));
        sim->fault_count++;
    }
}
