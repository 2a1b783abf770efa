#include "net/sim/sim_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#define START_NS (1000 * LEAT_NS_PER_S) /* the clock is never near 0 */

uint64_t sim_random(struct sim *sim)
{
    return rng_next(&sim->rng);
}

uint64_t sim_random_below(struct sim *sim, uint64_t bound)
{
    return bound == 0 ? 0 : rng_below(&sim->rng, bound);
}

bool sim_chance(struct sim *sim, uint32_t ppm)
{
    return sim_random_below(sim, 1000000) < ppm;
}

/* ---- events ---- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void sim_push_event(struct sim *sim, const struct sim_event *event)
{
    if (sim->event_count == sim->event_capacity) {
        sim->event_capacity = sim->event_capacity == 0 ? 256 : sim->event_capacity * 2;
        struct sim_event *events = realloc(sim->events, sim->event_capacity * sizeof(*sim->events));
        CHECK(events != NULL);
        sim->events = events;
    }
    uint32_t at = sim->event_count++;
    struct sim_event e = *event;
    e.order = sim->order++;
    for (; at > 0 && is_before(&e, &sim->events[(at - 1) / 2]); at = (at - 1) / 2)
        sim->events[at] = sim->events[(at - 1) / 2];
    sim->events[at] = e;
}

static struct sim_event pull_event(struct sim *sim)
{
    DCHECK(sim->event_count > 0);
    struct sim_event first = sim->events[0], last = sim->events[--sim->event_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= sim->event_count)
            break;
        if (child + 1 < sim->event_count && is_before(&sim->events[child + 1], &sim->events[child]))
            child++;
        if (!is_before(&sim->events[child], &last))
            break;
        sim->events[at] = sim->events[child];
        at = child;
    }
    sim->events[at] = last;
    sim->events[sim->event_count] = (struct sim_event){0};
    return first;
}

void sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *arg), void *arg)
{
    sim_push_event(sim, &(struct sim_event){.at_ns = at_ns, .fn = fn, .arg = arg});
}

static void run_event(struct sim *sim)
{
    struct sim_event e = pull_event(sim);
    if (e.to != NULL) {
        sim_port_deliver(e.to, e.bytes, e.length_bytes);
        free(e.bytes);
    } else {
        e.fn(sim, e.arg);
    }
}

/* ---- time ---- */

static uint64_t running_next(const struct sim_host *host)
{
    if (host->is_kicked)
        return 0;
    const struct stack *s = host->stack;
    if (stack_has_work(s))
        return 0;
    uint64_t next = sim_port_next(host), nap = leat_loop_nap_ns(host->loop);
    uint64_t loop = nap == UINT64_MAX ? nap : host->sim->now_ns + nap;
    return next < loop ? next : loop;
}

static uint64_t host_next(const struct sim_host *host)
{
    if (host->options.kind != SIM_STACK)
        return UINT64_MAX;
    uint64_t next = running_next(host);
    return next < host->stalled_until_ns ? host->stalled_until_ns : next;
}

uint64_t sim_next(const struct sim *sim)
{
    uint64_t next = sim->event_count > 0 ? sim->events[0].at_ns : UINT64_MAX;
    for (uint32_t i = 0; i < sim->host_count; i++) {
        uint64_t host = host_next(sim->hosts[i]);
        if (host < next)
            next = host;
    }
    return next < sim->now_ns ? sim->now_ns : next;
}

/* What waits for another core to send it is offered again, as by a loop's nap. */
static void note_relay(struct sim_host *host)
{
    const struct stack *s = host->stack;
    bool is_waiting =
        s->steer != NULL && (s->port != s->steer->port ? s->tx.queued > 0 : relay_is_blocked(s));
    if (is_waiting && host->retry_ns > host->sim->now_ns + SIM_RETRY_NS)
        host->retry_ns = host->sim->now_ns + SIM_RETRY_NS;
}

static bool run_host(struct sim_host *host)
{
    struct sim *sim = host->sim;
    unsigned turns = 0;
    while (host_next(host) <= sim->now_ns) {
        if (host->retry_ns <= sim->now_ns)
            host->retry_ns = UINT64_MAX;
        host->is_kicked = false;
        leat_loop_turn(host->loop, 0);
        note_relay(host);
        if (++turns > SIM_TURNS_MAX) {
            sim_violation(sim, "host %u does not come to rest", host->number);
            return false;
        }
    }
    return turns > 0;
}

/* All that happens at this instant. */
static void run_instant(struct sim *sim)
{
    bool busy = true;
    while (busy && sim->violation_count == 0) {
        busy = false;
        while (sim->event_count > 0 && sim->events[0].at_ns <= sim->now_ns) {
            run_event(sim);
            busy = true;
        }
        for (uint32_t i = 0; i < sim->host_count; i++)
            busy |= run_host(sim->hosts[i]);
    }
    if (sim->check != NULL)
        sim->check(sim, sim->check_arg);
}

void sim_run_until(struct sim *sim, uint64_t at_ns)
{
    while (sim->violation_count == 0) {
        uint64_t next = sim_next(sim);
        if (next > at_ns)
            break;
        sim->now_ns = next;
        run_instant(sim);
    }
    if (sim->now_ns < at_ns)
        sim->now_ns = at_ns;
}

void sim_run_for(struct sim *sim, uint64_t duration_ns)
{
    sim_run_until(sim, sim->now_ns + duration_ns);
}

bool sim_run_until_done(struct sim *sim, bool (*done)(void *arg), void *arg, uint64_t limit_ns)
{
    uint64_t end = sim->now_ns + limit_ns;
    while (!done(arg)) {
        uint64_t next = sim_next(sim);
        if (next > end || sim->violation_count > 0)
            return false;
        sim->now_ns = next;
        run_instant(sim);
    }
    return true;
}

uint64_t sim_now(const struct sim *sim)
{
    return sim->now_ns;
}

static uint64_t clock_now(const struct leat_clock *clock)
{
    return ((const struct sim *)(const void *)clock)->now_ns;
}

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
                              .vlan = host->options.vlan,
                              .reads_inline = true};
    memcpy(o.seed, seed, sizeof(o.seed));
    host->outer = leat_core_now;
    host->loop = leat_loop_new(&loop_options, &error);
    CHECK(host->loop != NULL);
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

static void stop_core(struct sim_host *host)
{
    struct leat_buf_stats stats = {0};
    bool has_stack = host->source != NULL;
    sim_enter(host);
    if (has_stack)
        stack_source_free(host->source);
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

static void on_each_core(struct sim_host *host, void (*fn)(struct stack_source *source))
{
    for (uint32_t i = 0; i < host->core_count; i++) {
        struct sim_host *core = host->mates[i];
        if (core->source == NULL)
            continue;
        sim_enter_quietly(core);
        fn(core->source);
        sim_leave_quietly(core);
    }
}

void sim_stop_host(struct sim_host *host)
{
    if (host != host->leader || host->core_count < 2) {
        stop_core(host);
        return;
    }
    on_each_core(host, stack_source_end);
    on_each_core(host, stack_source_settle);
    for (uint32_t i = 0; i < host->core_count; i++)
        stop_core(host->mates[i]);
    steer_free(host->steer);
    host->steer = NULL;
}

void sim_kick(struct sim_host *host)
{
    host->is_kicked = true;
}

void sim_stall(struct sim_host *host, uint64_t duration_ns)
{
    uint64_t until_ns = host->sim->now_ns + duration_ns;
    if (until_ns > host->stalled_until_ns)
        host->stalled_until_ns = until_ns;
    host->is_kicked = true; /* it goes on by itself, even if it seems idle */
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

/* ---- the world ---- */

struct sim *sim_new(uint64_t seed, const char *pcap_path, struct leat_error *error)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    if (sim == NULL) {
        leat_fail(error, -ENOMEM, "no memory for a simulated world");
        return NULL;
    }
    sim->clock.now = clock_now;
    sim->now_ns = START_NS;
    sim->seed = seed;
    rng_init(&sim->rng, seed + 1); /* 0 would be the kernel's */
    if (pcap_path != NULL && !sim_pcap_open(sim, pcap_path, error)) {
        free(sim);
        return NULL;
    }
    return sim;
}

unsigned sim_free(struct sim *sim)
{
    struct leat_loop *loops[SIM_HOSTS_MAX];
    for (uint32_t i = 0; i < sim->host_count; i++)
        loops[i] = sim->hosts[i]->loop;
    for (uint32_t i = 0; i < sim->host_count; i++)
        if (sim->hosts[i] == sim->hosts[i]->leader)
            sim_stop_host(sim->hosts[i]);
    for (uint32_t i = 0; i < sim->host_count; i++)
        leat_loop_free(loops[i]);
    for (uint32_t i = 0; i < sim->host_count; i++)
        free(sim->hosts[i]);
    for (uint32_t i = 0; i < sim->event_count; i++)
        free(sim->events[i].bytes);
    free(sim->events);
    for (uint32_t i = 0; i < OBSERVED_PAGES; i++)
        free(sim->observed[i]);
    if (sim->pcap != NULL)
        fclose(sim->pcap);
    unsigned violations = sim->violation_count;
    if (violations > 0 && !sim->is_quiet)
        fprintf(stderr, "sim: seed %llu: %s\n", (unsigned long long)sim->seed, sim->sentence);
    free(sim);
    return violations;
}

void sim_heal(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->host_count; i++) {
        struct sim_host_options *o = &sim->hosts[i]->options;
        sim->hosts[i]->burst_left = 0;
        o->link = (struct sim_link){.delay_ns = o->link.delay_ns,
                                    .bits_per_second = o->link.bits_per_second,
                                    .queue_bytes_max = o->link.queue_bytes_max};
        o->port = (struct sim_port_options){.can = o->port.can,
                                            .completion_ns = o->port.completion_ns,
                                            .queue_count = o->port.queue_count,
                                            .rss = o->port.rss};
    }
}

void sim_set_check(struct sim *sim, void (*fn)(struct sim *sim, void *arg), void *arg)
{
    sim->check = fn;
    sim->check_arg = arg;
}

void sim_violation(struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (sim->violation_count++ == 0)
        vsnprintf(sim->sentence, sizeof(sim->sentence), format, args);
    va_end(args);
}

unsigned sim_violation_count(const struct sim *sim)
{
    return sim->violation_count;
}

const char *sim_violation_sentence(const struct sim *sim)
{
    return sim->sentence;
}

uint64_t sim_frame_count(const struct sim *sim)
{
    return sim->frame_count;
}

uint64_t sim_fault_count(const struct sim *sim)
{
    return sim->fault_count;
}
