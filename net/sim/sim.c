/* A simulated world: its beginning and end, its chance, and what went wrong in it. */
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

uint64_t sim_now(const struct sim *sim)
{
    return sim->now_ns;
}

static uint64_t clock_now(const struct leat_clock *clock)
{
    return ((const struct sim *)(const void *)clock)->now_ns;
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
        o->port =
            (struct sim_port_options){.can = o->port.can,
                                      .completion_ns = o->port.completion_ns,
                                      .queue_count = o->port.queue_count,
                                      .wake = o->port.wake == SIM_WAKE_POLLED ? SIM_WAKE_POLLED
                                                                              : SIM_WAKE_TRUE,
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
