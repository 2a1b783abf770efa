/* The hosts of a simulated world: their loops, stacks and cores, and entering one. */
#include "net/sim/sim_disk.h"
#include "net/sim/sim_internal.h"

#include <stdlib.h>

#include "runtime/os/op.h"

/* ---- hosts ---- */

struct mac_addr sim_mac(const struct sim_host *host)
{
    return (struct mac_addr){{2, 0, 0, 0, 0, (uint8_t)host->leader->number}};
}

struct ip_addr sim_ip(const struct sim_host *host, bool v6)
{
    if (v6)
        return (struct ip_addr){{0xfd, [15] = (uint8_t)host->leader->number}};
    return ip_addr_v4(be32_put(0x0a000000u + host->leader->number));
}

struct leat_addr sim_addr(const struct sim_host *host, bool v6, uint16_t port)
{
    struct leat_addr addr = {.family = v6 ? LEAT_FAMILY_IPV6 : LEAT_FAMILY_IPV4, .port = port};
    struct ip_addr ip = sim_ip(host, v6);
    memcpy(addr.ip, v6 ? ip.b : ip.b + 12, v6 ? 16 : 4);
    return addr;
}

static void port_init(struct sim_host *host)
{
    host->port.ops = &sim_port_ops;
    host->port.info = (struct leat_port_info){
        .driver = "sim",
        .can = host->options.port.can,
        .tso_bytes_max = 65536,
        .slices_max = LEAT_PORT_SLICES_MAX,
        .mtu_bytes_max = (uint16_t)host->options.mtu_bytes,
        .rx_queue_count = SIM_QUEUES,
        .tx_queue_count = SIM_QUEUES,
        .rx_buffers_count = host->options.port.rx_buffers_max,
        .link_kind = LEAT_LINK_ETHERNET,
        .wake = host->options.port.wake != SIM_WAKE_POLLED ? LEAT_WAKE_INTERRUPT : LEAT_WAKE_NAP,
    };
    struct mac_addr mac = sim_mac(host);
    memcpy(host->port.info.mac, &mac, sizeof(mac));
    host->queue = SIM_QUEUE;
    if (host->options.kind == SIM_GUEST) {
        host->queue = 0;
        host->port.info.rx_queue_count = host->port.info.tx_queue_count = 1;
    }
}

static void start_stack(struct sim_host *host, const uint64_t seed[4])
{
    struct sim *sim = host->sim;
    struct steer *steer = host->leader->steer;
    struct leat_error error = {0};
    const struct leat_loop_options loop_options = {.index = host->number,
                                                   .clock = &sim->clock,
                                                   .buffer_bytes_max =
                                                       host->options.buffer_bytes_max != 0
                                                           ? host->options.buffer_bytes_max
                                                           : 64u << 20};
    struct stack_options o = {.port = &host->port,
                              .queue = SIM_QUEUE,
                              .mtu_bytes = host->options.mtu_bytes,
                              .probe_addresses = host->options.probe_addresses,
                              .autoconfigure = host->options.autoconfigure,
                              .ecn = host->options.ecn,
                              .vlan = host->options.vlan};
    memcpy(o.seed, seed, sizeof(o.seed));
    host->outer = leat_core_now;
    host->loop = leat_loop_new(&loop_options, &error);
    CHECK(host->loop != NULL);
    CHECK(pool_play_drawn(host->loop, &host->files, NULL, sim->seed + host->number) == 0);
    host->files.delay_ns_max = 0; /* files of the machine, which are in memory */
    if (sim->logs_errors_only)
        leat_log_only_errors();
    if (steer != NULL) {
        o.steer = steer;
        o.core = host->core_index;
        o.seed[2] += host->core_index;
        o.port = steer_join(steer, o.core, host->loop, &o.queue, &error);
    }
    host->source = stack_source_new(host->loop, &o, &error);
    CHECK(host->source != NULL);
    host->core = leat_core_now;
    host->stack = stack_source_stack(host->source);
    struct ip_addr v4 = sim_ip(host, false), v6 = sim_ip(host, true);
    CHECK(stack_add_address(host->stack, &v4, 24) == 0);
    CHECK(stack_add_address(host->stack, &v6, 64) == 0);
    leat_core_now = host->outer;
}

void sim_log_only_errors(struct sim *sim)
{
    sim->logs_errors_only = true;
}

static struct sim_host *add_core(struct sim *sim, const struct sim_host_options *options)
{
    CHECK(sim->host_count < SIM_HOSTS_MAX);
    struct sim_host *host = calloc(1, sizeof(*host));
    CHECK(host != NULL);
    host->sim = sim;
    host->leader = host;
    host->options = *options;
    if (host->options.mtu_bytes == 0)
        host->options.mtu_bytes = 1500;
    host->number = sim->host_count + 1;
    host->arrived_last = &host->arrived;
    host->flights_last = &host->flights;
    host->retry_ns = UINT64_MAX;
    sim->hosts[sim->host_count++] = host;
    return host;
}

struct sim_host *sim_add_host(struct sim *sim, const struct sim_host_options *options)
{
    struct sim_host *host = add_core(sim, options);
    uint64_t seed[4];
    host->core_count = options->core_count != 0 ? options->core_count : 1;
    CHECK(host->core_count <= SIM_CORES_MAX);
    host->mates[0] = host;
    for (uint32_t i = 1; i < host->core_count; i++) {
        host->mates[i] = add_core(sim, options);
        host->mates[i]->leader = host;
        host->mates[i]->core_index = i;
    }
    port_init(host);
    if (host->core_count > 1)
        sim_cores_init(host);
    for (unsigned i = 0; i < 4; i++)
        seed[i] = options->kind == SIM_STACK ? sim_random(sim) : 0;
    for (uint32_t i = 0; i < host->core_count && options->kind == SIM_STACK; i++)
        start_stack(host->mates[i], seed);
    return host;
}

struct sim_host *sim_core(struct sim_host *host, uint32_t i)
{
    CHECK(i < host->core_count);
    return host->mates[i];
}

struct sim_host *sim_core_now(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->host_count; i++)
        if (sim->hosts[i]->core == leat_core_now)
            return sim->hosts[i];
    return NULL;
}

/* As at the end of a program's core: operations may hold bytes that the stack lent. Entered. */
static void core_shut(struct sim_host *host)
{
    stack_source_shut(host->source);
    leat_loop_turn(host->loop, 0);
    pool_settle(host->loop);
}

static void stop_core(struct sim_host *host)
{
    struct leat_buf_stats stats = {0};
    bool has_stack = host->source != NULL;
    sim_enter(host);
    if (has_stack) {
        core_shut(host);
        stack_source_free(host->source);
    }
    if (has_stack && host->leader->steer != NULL)
        steer_leave(host->leader->steer, host->core_index);
    host->source = NULL;
    host->stack = NULL;
    sim_port_fini(host);
    if (has_stack)
        leat_buf_stats(&stats);
    if (host->loop != NULL)
        leat_core_now = host->outer;
    host->options.kind = SIM_PUPPET;
    if (host->lent_count != 0 || host->head_count != 0 || stats.live_count != 0)
        sim_violation(host->sim, "host %u keeps %u frames, %u heads and %llu buffers", host->number,
                      host->lent_count, host->head_count, (unsigned long long)stats.live_count);
    host->loop = NULL;
}

static void on_each_core(struct sim_host *host, void (*fn)(struct sim_host *core))
{
    for (uint32_t i = 0; i < host->core_count; i++) {
        struct sim_host *core = host->mates[i];
        if (core->source == NULL)
            continue;
        sim_enter_quietly(core);
        fn(core);
        sim_leave_quietly(core);
    }
}

static void core_end(struct sim_host *core)
{
    stack_source_end(core->source);
}

static void core_settle(struct sim_host *core)
{
    stack_source_settle(core->source);
}

void sim_stop_host(struct sim_host *host)
{
    if (host != host->leader || host->core_count < 2) {
        stop_core(host);
        return;
    }
    on_each_core(host, core_shut);
    on_each_core(host, core_end);
    on_each_core(host, core_settle);
    for (uint32_t i = 0; i < host->core_count; i++)
        stop_core(host->mates[i]);
    steer_free(host->steer);
    host->steer = NULL;
}

void sim_enter(struct sim_host *host)
{
    if (host->loop == NULL)
        return;
    host->outer = leat_core_now;
    leat_core_now = host->core;
}

void sim_leave(struct sim_host *host)
{
    if (host->loop == NULL)
        return;
    leat_core_now = host->outer;
    host->is_kicked = true;
}

void sim_enter_quietly(struct sim_host *host)
{
    host->outer = leat_core_now;
    leat_core_now = host->core;
}

void sim_leave_quietly(struct sim_host *host)
{
    leat_core_now = host->outer;
}

void sim_quiet(struct sim *sim)
{
    sim->is_quiet = true;
}

struct leat_loop *sim_loop(struct sim_host *host)
{
    return host->loop;
}

struct stack *sim_stack(struct sim_host *host)
{
    return host->stack;
}

struct leat_port *sim_guest_port(struct sim_host *guest)
{
    return &guest->port;
}

uint64_t sim_guest_next(struct sim_host *guest)
{
    if (guest->retry_ns <= guest->sim->now_ns) /* a turn has come since */
        guest->retry_ns = UINT64_MAX;
    return sim_port_next(guest);
}

void sim_guest_close(struct sim_host *guest)
{
    sim_port_fini(guest);
}

void sim_set_disk(struct sim_host *host, struct sim_disk *disk)
{
    uint64_t seed = host->sim->seed + host->number;
    sim_enter_quietly(host);
    CHECK(pool_play_drawn(host->loop, &host->files, &disk->sys, seed) == 0);
    sim_leave_quietly(host);
}

struct pool_play_drawn *sim_files(struct sim_host *host)
{
    return &host->files;
}

struct sim_link *sim_link(struct sim_host *host)
{
    return &host->options.link;
}

struct sim_port_options *sim_port(struct sim_host *host)
{
    return &host->options.port;
}

void sim_inject(struct sim_host *host, const void *bytes, size_t length_bytes)
{
    sim_port_deliver(host, bytes, (uint32_t)length_bytes);
}

void sim_transmit(struct sim_host *puppet, const void *bytes, size_t length_bytes)
{
    sim_wire_send(puppet, bytes, (uint32_t)length_bytes);
}
