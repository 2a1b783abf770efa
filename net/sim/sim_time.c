/* Time in the simulator: events in their order, and the turns of hosts between them. */
#include "net/sim/sim_internal.h"

#include <stdlib.h>

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

/* A core that rests sleeps as its source says, until the interrupt or the end of a nap. */
static void host_sleep(struct sim_host *host)
{
    struct leat_source *source = (struct leat_source *)host->source;
    struct leat_nap nap = {.fd = -1, .nap_ns_max = UINT64_MAX};
    if (host->options.kind != SIM_STACK || host->options.port.wake == SIM_WAKE_POLLED ||
        host->is_asleep)
        return;
    host->interrupt_ns = UINT64_MAX; /* also of a core without a queue */
    sim_enter_quietly(host);
    source->ops->arm(source, &nap);
    if (nap.has_work)
        source->ops->disarm(source);
    sim_leave_quietly(host);
    host->is_asleep = !nap.has_work;
    host->nap_until_ns =
        nap.nap_ns_max == UINT64_MAX ? UINT64_MAX : host->sim->now_ns + nap.nap_ns_max;
}

static void host_wake(struct sim_host *host)
{
    struct leat_source *source = (struct leat_source *)host->source;
    if (!host->is_asleep)
        return;
    host->has_fired = host->interrupt_ns <= host->sim->now_ns;
    host->is_asleep = false;
    sim_enter_quietly(host);
    source->ops->disarm(source);
    sim_leave_quietly(host);
}

static bool run_host(struct sim_host *host)
{
    struct sim *sim = host->sim;
    unsigned turns = 0;
    while (host_next(host) <= sim->now_ns) {
        host_wake(host);
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
    host_sleep(host);
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
