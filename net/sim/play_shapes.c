/* The scenarios that a seed chooses among, and the mixture of faults on top. */
#include "net/sim/play_internal.h"

#define SPICE_PPM 120000 /* of each further kind of faults, on top of a scenario's own */

static const struct shape shapes[] = {
    {.name = "clean",
     .flow_count = 50,
     .up_max = 40000,
     .down_max = 40000,
     .close_ppm = 300000,
     .is_plain = true,
     .by_name_only = true},
    {.name = "mixed",
     .flow_count = 60,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 60000,
     .burst_ppm = 3000,
     .reorder_ppm = 50000,
     .duplicate_ppm = 30000,
     .corrupt_ppm = 20000,
     .tamper_ppm = 20000,
     .pause_ppm = 100000,
     .hold_ppm = 100000,
     .abort_ppm = 100000,
     .close_ppm = 300000,
     .any_order_ppm = 200000,
     .simultaneous_ppm = 50000,
     .looped_ppm = 50000,
     .tx_refuse_ppm = 50000,
     .grant_refuse_ppm = 20000,
     .late = true,
     .offload = true},
    {.name = "bulk",
     .flow_count = 50,
     .up_max = 150000,
     .down_max = 150000,
     .loss_ppm = 20000,
     .reorder_ppm = 10000,
     .rate = 200000000,
     .offload = true},
    {.name = "request",
     .flow_count = 60,
     .up_max = 4000,
     .down_max = 40000,
     .loss_ppm = 30000,
     .request_bytes = 200,
     .close_ppm = 500000},
    {.name = "orders", /* connect and close in all orders */
     .flow_count = 80,
     .up_max = 4000,
     .down_max = 4000,
     .loss_ppm = 100000,
     .reorder_ppm = 50000,
     .duplicate_ppm = 50000,
     .abort_ppm = 100000,
     .any_order_ppm = 1000000,
     .simultaneous_ppm = 200000,
     .looped_ppm = 100000},
    {.name = "zero-window",
     .flow_count = 50,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 30000,
     .duplicate_ppm = 10000,
     .pause_ppm = 500000,
     .hold_ppm = 300000,
     .receive_max = 6000},
    {.name = "slow-reader", /* long pauses, in which everything queues up */
     .flow_count = 50,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 10000,
     .pause_ppm = 200000,
     .pause_ns_max = 20 * LEAT_NS_PER_S,
     .receive_max = 20000},
    {.name = "half-close",
     .flow_count = 60,
     .up_max = 3000,
     .down_max = 30000,
     .loss_ppm = 100000,
     .reorder_ppm = 100000},
    {.name = "abort",
     .flow_count = 80,
     .up_max = 50000,
     .down_max = 50000,
     .loss_ppm = 30000,
     .abort_ppm = 700000},
    {.name = "outage", /* one way, the other, or both */
     .flow_count = 50,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 5000,
     .outage = true,
     .late = true},
    {.name = "black-hole", /* long frames vanish and nobody says so */
     .flow_count = 50,
     .up_max = 40000,
     .down_max = 40000,
     .black_hole = true},
    {.name = "vanish", /* for good: both ends must notice */
     .flow_count = 50,
     .up_max = 40000,
     .down_max = 40000,
     .pause_ppm = 20000,
     .think_ns_max = 100 * LEAT_NS_PER_MS,
     .vanish = true,
     .fault_ns = 1500 * LEAT_NS_PER_S,
     .is_plain = true},
    {.name = "keepalive", /* silence of minutes, most of it longer than what keepalive waits */
     .flow_count = 50,
     .up_max = 3000,
     .down_max = 3000,
     .loss_ppm = 10000,
     .chunk_max = 1000,
     .think_ns_max = 100 * LEAT_NS_PER_S,
     .keepalive_ns = 5 * LEAT_NS_PER_S,
     .fault_ns = 300 * LEAT_NS_PER_S,
     .is_plain = true},
    {.name = "reuse", /* few ports, each by one connection after the other */
     .flow_count = 50,
     .up_max = 3000,
     .down_max = 3000,
     .loss_ppm = 20000,
     .reorder_ppm = 50000,
     .duplicate_ppm = 50000,
     .any_order_ppm = 500000,
     .reuse = true,
     .fault_ns = 120 * LEAT_NS_PER_S,
     .is_plain = true},
    {.name = "path-mtu", /* shrinks, grows, shrinks */
     .flow_count = 50,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 10000,
     .narrow = true,
     .offload = true},
    {.name = "neighbours", /* forgotten, and not to be found for a while */
     .flow_count = 50,
     .up_max = 20000,
     .down_max = 20000,
     .think_ns_max = 300 * LEAT_NS_PER_MS,
     .forgets = true},
    {.name = "addresses", /* one goes and comes back, or does not */
     .flow_count = 60,
     .up_max = 30000,
     .down_max = 30000,
     .loss_ppm = 5000,
     .think_ns_max = 100 * LEAT_NS_PER_MS,
     .moves = true,
     .is_plain = true},
    {.name = "reorder",
     .flow_count = 50,
     .up_max = 100000,
     .down_max = 100000,
     .reorder_ppm = 300000,
     .duplicate_ppm = 200000},
    {.name = "drip", /* floods of one byte each, out of order, to readers that sleep */
     .flow_count = 50,
     .up_max = 120,
     .down_max = 120,
     .chunk_max = 1,
     .think_ns_max = 200 * LEAT_NS_PER_US,
     .loss_ppm = 20000,
     .reorder_ppm = 200000,
     .pause_ppm = 50000,
     .hold_ppm = 100000},
    {.name = "stranger",
     .flow_count = 50,
     .up_max = 20000,
     .down_max = 20000,
     .loss_ppm = 10000,
     .close_ppm = 300000,
     .forge_ppm = 300000},
    {.name = "forger", /* in the window */
     .flow_count = 50,
     .up_max = 20000,
     .down_max = 20000,
     .close_ppm = 300000,
     .forge_inside_ppm = 300000,
     .is_plain = true},
    {.name = "tampering", /* damage with a right checksum */
     .flow_count = 50,
     .up_max = 20000,
     .down_max = 20000,
     .loss_ppm = 10000,
     .corrupt_ppm = 50000,
     .tamper_ppm = 300000},
    {.name = "tx-full",
     .flow_count = 60,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 20000,
     .tx_refuse_ppm = 500000,
     .grant_refuse_ppm = 200000,
     .heads_max = 48,
     .late = true,
     .offload = true},
    {.name = "buffers", /* the port's receive buffers run out, and our memory */
     .flow_count = 60,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 10000,
     .pause_ppm = 100000,
     .hold_ppm = 200000,
     .rx_buffers_max = 200,
     .buffer_bytes_max = 6u << 20},
    {.name = "marked", /* ECN */
     .flow_count = 50,
     .up_max = 100000,
     .down_max = 100000,
     .loss_ppm = 10000,
     .mark_ppm = 300000,
     .rate = 200000000,
     .offload = true},
    {.name = "cores", /* misdelivery: the port's queues, its hash, or both are wrong */
     .flow_count = 80,
     .cores_max = SIM_CORES_MAX,
     .up_max = 40000,
     .down_max = 40000,
     .loss_ppm = 20000,
     .any_order_ppm = 300000,
     .looped_ppm = 150000,
     .abort_ppm = 50000,
     .tx_refuse_ppm = 20000,
     .grant_refuse_ppm = 10000,
     .hold_ppm = 50000},
    {.name = "many", .flow_count = 400, .up_max = 500, .down_max = 500, .loss_ppm = 20000},
};

const struct shape *play_shape(unsigned i)
{
    return i < sizeof(shapes) / sizeof(shapes[0]) ? &shapes[i] : NULL;
}

const char *play_scenario(unsigned i)
{
    return play_shape(i) != NULL ? shapes[i].name : NULL;
}

bool play_is_known(const char *scenario)
{
    for (unsigned i = 0; scenario != NULL && play_shape(i) != NULL; i++)
        if (strcmp(shapes[i].name, scenario) == 0)
            return true;
    return scenario == NULL;
}

static void chance_raise(struct play *p, uint32_t *ppm, uint32_t to)
{
    if (sim_chance(p->sim, SPICE_PPM) && *ppm < to)
        *ppm = to;
}

/* The mixture: any kind of faults beside those that the scenario is about. */
static void shape_spice(struct play *p)
{
    struct shape *s = &p->shape;
    chance_raise(p, &s->loss_ppm, 50000);
    chance_raise(p, &s->burst_ppm, 3000);
    chance_raise(p, &s->reorder_ppm, 50000);
    chance_raise(p, &s->duplicate_ppm, 30000);
    chance_raise(p, &s->corrupt_ppm, 20000);
    chance_raise(p, &s->tamper_ppm, 20000);
    chance_raise(p, &s->mark_ppm, 50000);
    chance_raise(p, &s->forge_ppm, 30000);
    chance_raise(p, &s->tx_refuse_ppm, 50000);
    chance_raise(p, &s->grant_refuse_ppm, 20000);
    chance_raise(p, &s->pause_ppm, 50000);
    chance_raise(p, &s->hold_ppm, 50000);
    chance_raise(p, &s->abort_ppm, 50000);
    chance_raise(p, &s->any_order_ppm, 200000);
    chance_raise(p, &s->looped_ppm, 50000);
    s->outage |= sim_chance(p->sim, SPICE_PPM / 2);
    s->narrow |= !s->black_hole && sim_chance(p->sim, SPICE_PPM / 2);
    s->forgets |= sim_chance(p->sim, SPICE_PPM / 2);
    s->late |= sim_chance(p->sim, SPICE_PPM);
    s->offload |= sim_chance(p->sim, SPICE_PPM);
}

void play_draw_shape(struct play *p, const char *scenario)
{
    unsigned count = sizeof(shapes) / sizeof(shapes[0]), which;
    do
        which = (unsigned)below(p, count);
    while (shapes[which].by_name_only);
    for (unsigned i = 0; scenario != NULL && i < count; i++)
        if (strcmp(shapes[i].name, scenario) == 0)
            which = i;
    p->shape = shapes[which];
    if (!p->shape.is_plain)
        shape_spice(p);
}
