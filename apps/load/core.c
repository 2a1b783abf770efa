/* What one core of `leat load` does: it finds the server, opens connections, keeps the schedule,
 * looks for timeouts, and ends. */
#include "apps/load/load_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/why.h"
#include "buffers/heap.h"

#define UNBOUNDED (UINT64_MAX / 2)

struct load_slot *load_core_slot(const struct load_core *core, uint32_t index)
{
    return (struct load_slot *)(void *)(core->slots + index * core->slot_bytes);
}

void load_core_say(struct load_core *core, int code, const char *format, ...)
{
    struct leat_error *error = &core->results.error;
    if (error->code != 0 || core->stage == LOAD_DONE)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(error->sentence, sizeof(error->sentence), format, args);
    va_end(args);
    error->code = code;
}

uint32_t load_core_allows(const struct load_core *core, uint32_t wanted)
{
    if (unlikely(core->stage != LOAD_RUNNING))
        return 0;
    if (core->outstanding_count >= core->in_flight_max)
        return 0;
    return core->budget_count < wanted ? (uint32_t)core->budget_count : wanted;
}

/* ---- The end ---- */

/* Closes connections, a burst in each turn, so that those already closing go on. */
static void close_some(void *arg)
{
    struct load_core *core = arg;
    for (unsigned i = 0; i < LOAD_CLOSES_PER_TURN && core->slots_closed < core->slots_begun; i++)
        load_slot_fini(load_core_slot(core, core->slots_closed++));
    if (core->slots_closed == core->slots_begun ||
        leat_set_immediate(core->loop, close_some, core) == 0)
        leat_run_unref(core->loop); /* the transport closes what is left */
}

static void core_finish(struct load_core *core)
{
    if (core->stage == LOAD_DONE)
        return;
    core->results.unfinished_count += core->outstanding_count;
    core->stage = LOAD_DONE;
    leat_timer_stop(&core->tick);
    leat_timer_stop(&core->due);
    leat_timer_stop(&core->stop);
    if (core->load->is_ramp && core->results.begin_ns != 0) {
        fprintf(stderr, "leat load: measured\n");
        leat_timer_start(&core->stop, LOAD_SETTLE_NS, 0);
        return;
    }
    close_some(core);
}

static void core_measure(struct load_core *core, uint64_t now_ns)
{
    struct load_results *results = &core->results;
    struct load_cpu cpu = load_cpu_now(core->loop);
    double wall_ns = (double)(now_ns - results->begin_ns);
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++)
        if (cpu.layer_cycles[i] > core->cpu.layer_cycles[i]) /* estimates may fall */
            results->layer_cycles[i] = cpu.layer_cycles[i] - core->cpu.layer_cycles[i];
    if (wall_ns > 0) {
        double awake_ns = (double)(cpu.awake_ns - core->cpu.awake_ns);
        double work_ns = (double)(cpu.work_ns - core->cpu.work_ns);
        double run_ns = (double)(cpu.run_ns - core->cpu.run_ns);
        results->busy = awake_ns > 0 ? run_ns * (work_ns / awake_ns) / wall_ns : 0;
        if (cpu.wait_ns > core->cpu.wait_ns) /* else it could not be read */
            results->wait = (double)(cpu.wait_ns - core->cpu.wait_ns) / wall_ns;
    }
}

/* No more requests: what was due and not sent is unfinished. */
static void core_drain(struct load_core *core)
{
    if (core->stage < LOAD_RUNNING)
        core_finish(core);
    if (core->stage != LOAD_RUNNING)
        return;
    uint64_t now_ns = leat_loop_clock(core->loop);
    core->stage = LOAD_DRAINING;
    core_measure(core, now_ns);
    if (core->results.end_ns < now_ns && core->load->requests_count == 0)
        core->results.end_ns = now_ns;
    if (load_is_open_loop(core->load) && core->budget_count > 0 && core->due_ns < now_ns) {
        uint64_t missed_count = (now_ns - core->due_ns) / (core->interval_ns + 1) + 1;
        core->results.unfinished_count +=
            missed_count < core->budget_count ? missed_count : core->budget_count;
    }
    leat_timer_stop(&core->due);
    leat_timer_start(&core->stop, LOAD_DRAIN_NS, 0);
    load_core_settled(core);
}

static void core_begin(struct load_core *core, uint64_t now_ns);

static void on_stop(struct leat_timer *timer, void *arg)
{
    struct load_core *core = arg;
    if (core->stage == LOAD_DONE)
        close_some(core);
    else if (core->stage == LOAD_DRAINING)
        core_finish(core);
    else if (core->stage == LOAD_SETTLING)
        core_begin(core, leat_loop_clock(core->loop));
    else
        core_drain(core);
}

void load_core_settled(struct load_core *core)
{
    if (likely(core->outstanding_count > 0))
        return;
    if (core->stage == LOAD_RUNNING && core->budget_count == 0)
        core_drain(core);
    else if (core->stage == LOAD_DRAINING)
        core_finish(core);
}

static void on_drain(void *arg) /* Ctrl-C, or another core failed */
{
    core_drain(arg);
}

/* A ramp is for all connections or for none. */
void load_core_lost(struct load_core *core)
{
    if (core->stage != LOAD_RAMPING && core->stage != LOAD_SETTLING)
        return;
    load_core_say(core, -ECONNABORTED, "a connection ended before all had an answer");
    core_finish(core);
}

/* ---- The schedule of the open loop ---- */

static void due_advance(struct load_core *core)
{
    uint64_t fraction = (uint64_t)core->due_fraction + core->interval_fraction;
    core->due_fraction = (uint32_t)fraction;
    core->due_ns += core->interval_ns + (fraction >> 32);
}

/* As many as there is room for, the longest idle connection first. */
static void dispatch_limited(struct load_core *core, uint64_t now_ns)
{
    while (!list_is_empty(&core->idle) && load_core_allows(core, 1) > 0) {
        struct load_slot *slot = container_of(core->idle.next, struct load_slot, link);
        list_unlink(&slot->link);
        if (slot->state == SLOT_OPEN)
            load_slot_issue(slot, 1, now_ns, now_ns);
        else
            load_slot_start(slot, now_ns);
        if (slot->state == SLOT_OPEN && slot->in_flight < core->load->pipeline_count)
            list_push(&core->idle, &slot->link);
    }
}

void load_core_dispatch(struct load_core *core, uint64_t now_ns, bool was_free)
{
    if (!load_is_open_loop(core->load)) {
        dispatch_limited(core, now_ns);
        return;
    }
    while (!list_is_empty(&core->idle) && core->due_ns <= now_ns && load_core_allows(core, 1) > 0) {
        struct load_slot *slot = container_of(core->idle.next, struct load_slot, link);
        list_unlink(&slot->link);
        if (was_free) /* else it is late because no connection was free: the server's doing */
            histogram_record(&core->results.late, now_ns - core->due_ns);
        if (slot->state == SLOT_OPEN)
            load_slot_issue(slot, 1, core->due_ns, now_ns);
        else
            load_slot_start(slot, core->due_ns);
        if (slot->state == SLOT_OPEN && slot->in_flight < core->load->pipeline_count)
            list_push(&core->idle, &slot->link);
        due_advance(core);
    }
    if (!list_is_empty(&core->idle) && load_core_allows(core, 1) > 0 &&
        (!leat_timer_is_started(&core->due) || core->due.deadline_ns != core->due_ns))
        leat_timer_start_at(&core->due, core->due_ns);
}

static void on_due(struct leat_timer *timer, void *arg)
{
    struct load_core *core = arg;
    load_core_dispatch(core, leat_loop_clock(core->loop), true);
}

static void schedule_init(struct load_core *core, uint64_t now_ns)
{
    const struct load *load = core->load;
    unsigned __int128 second = (unsigned __int128)LEAT_NS_PER_S << 32;
    unsigned __int128 interval = second * load->cores_count / load->rate;
    core->interval_ns = (uint64_t)(interval >> 32);
    core->interval_fraction = (uint32_t)interval;
    core->due_ns = now_ns + LEAT_NS_PER_S * core->index / load->rate; /* the cores take turns */
}

/* ---- The beginning ---- */

void load_core_connect_more(struct load_core *core)
{
    while ((core->stage == LOAD_RUNNING || core->stage == LOAD_RAMPING) &&
           core->slots_begun < core->slots_count && core->connecting_count < LOAD_CONNECTING_MAX) {
        struct load_slot *slot = load_core_slot(core, core->slots_begun++);
        load_slot_init(slot, core);
        load_slot_revive(slot, leat_loop_clock(core->loop));
    }
}

/* From here on everything counts. */
static void core_begin(struct load_core *core, uint64_t now_ns)
{
    core->stage = LOAD_RUNNING;
    core->results.begin_ns = now_ns;
    core->results.end_ns = now_ns;
    core->progress_ns = now_ns;
    core->cpu = load_cpu_now(core->loop);
    if (core->load->duration_ns != 0)
        leat_timer_start(&core->stop, core->load->duration_ns, 0);
    if (load_is_open_loop(core->load))
        schedule_init(core, now_ns);
    if (!core->load->is_ramp)
        return;
    if (load_takes_turns(core->load)) {
        load_core_dispatch(core, now_ns, true);
        return;
    }
    for (uint32_t i = 0; i < core->slots_begun; i++)
        load_slot_go_on(load_core_slot(core, i), now_ns);
}

void load_core_reached(struct load_core *core, uint64_t now_ns)
{
    if (likely(core->stage != LOAD_PROBING))
        return;
    core->results.ramp_ns = now_ns;
    if (core->load->is_ramp)
        core->stage = LOAD_RAMPING;
    else
        core_begin(core, now_ns);
}

void load_core_ramped(struct load_core *core)
{
    if (++core->ramped_count < core->slots_count)
        return;
    core->results.ramp_ns = leat_loop_clock(core->loop) - core->results.ramp_ns;
    core->stage = LOAD_SETTLING;
    fprintf(stderr, "leat load: %u connections are open, and each had an answer\n",
            core->ramped_count);
    leat_timer_start(&core->stop, LOAD_SETTLE_NS, 0);
}

static void probe(struct load_core *core)
{
    load_slot_start(load_core_slot(core, 0), leat_loop_clock(core->loop));
}

static void on_probe(void *arg)
{
    struct load_core *core = arg;
    if (core->stage == LOAD_PROBING)
        probe(core);
}

const char *load_remedy_of(enum leat_close_reason reason)
{
    switch (reason) {
    case LEAT_CLOSE_REFUSED:
        return ": start the server, or check the address";
    case LEAT_CLOSE_NO_PORTS:
        return ": use fewer --connections, or more addresses with --from";
    default:
        return "";
    }
}

void load_core_missed(struct load_core *core, enum leat_close_reason reason)
{
    const struct load_target *target = &core->load->target;
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    if (core->address_index + 1 < target->addresses_count) {
        core->address_index++;
        leat_set_immediate(core->loop, on_probe, core);
        return;
    }
    const struct leat_addr *to = &target->addresses[core->address_index];
    load_core_say(core, -ECONNREFUSED, "cannot connect to %s: %s%s", leat_addr_format(to, text),
                  why_not_connected(to, reason), load_remedy_of(reason));
    core->results.errors[reason == LEAT_CLOSE_REFUSED           ? LOAD_ERROR_refused
                         : reason == LEAT_CLOSE_CONNECT_TIMEOUT ? LOAD_ERROR_timeout
                                                                : LOAD_ERROR_connect]++;
    leat_run_end(core->loop, 1);
}

static uint32_t sweep_count(const struct load_core *core)
{
    uint64_t pass_ns = core->load->timeout_ns / LOAD_TIMEOUT_SWEEPS;
    uint64_t count = pass_ns <= LOAD_TICK_NS ? core->slots_begun
                                             : core->slots_begun * LOAD_TICK_NS / pass_ns + 1;
    return count < core->slots_begun ? (uint32_t)count : core->slots_begun;
}

/* With --requests and no --duration nothing else ends a run whose server is gone: every request
 * fails, and takes --timeout for it. */
static void core_give_up(struct load_core *core, uint64_t now_ns)
{
    const struct load_results *results = &core->results;
    uint64_t errors_count = 0, patience_ns = LOAD_PATIENCE_TIMEOUTS * core->load->timeout_ns;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        errors_count += results->errors[i];
    if (core->heard_ns == 0 || results->requests_count != core->heard_count) {
        core->heard_ns = now_ns;
        core->heard_count = results->requests_count;
        core->heard_errors_count = errors_count;
    }
    if (core->load->duration_ns != 0 || core->stage != LOAD_RUNNING ||
        errors_count - core->heard_errors_count < LOAD_PATIENCE_ERRORS ||
        now_ns - core->heard_ns < patience_ns)
        return;
    fprintf(stderr, "leat load: gave up: no answer came for %llu ms\n",
            (unsigned long long)((now_ns - core->heard_ns) / LEAT_NS_PER_MS));
    core_finish(core);
}

static void on_tick(struct leat_timer *timer, void *arg)
{
    struct load_core *core = arg;
    uint64_t now_ns = leat_loop_clock(core->loop);
    core_give_up(core, now_ns);
    for (uint32_t left = sweep_count(core); left > 0; left--) {
        core->sweep_at = core->sweep_at + 1 < core->slots_begun ? core->sweep_at + 1 : 0;
        load_slot_sweep(load_core_slot(core, core->sweep_at), now_ns);
    }
    while (core->stage < LOAD_DRAINING && !list_is_empty(&core->dead)) {
        struct load_slot *slot = container_of(core->dead.next, struct load_slot, link);
        if (now_ns - slot->since_ns < LOAD_RETRY_NS)
            break;
        list_unlink(&slot->link);
        load_slot_revive(slot, now_ns);
    }
    load_progress(core, now_ns);
}

static int core_slots_new(struct load_core *core)
{
    core->slot_bytes = sizeof(struct load_slot) + core->load->pipeline_count * sizeof(uint64_t);
    core->slots = leat_heap_calloc(core->slots_count, core->slot_bytes);
    if (core->slots == NULL) {
        return leat_run_fail(core->loop, -ENOMEM,
                             "no memory for %u connections: use fewer with --connections",
                             core->slots_count);
    }
    load_slot_init(load_core_slot(core, 0), core);
    core->slots_begun = 1;
    return 0;
}

static void share_out(struct load_core *core)
{
    const struct load *load = core->load;
    uint64_t count = load->connections_count / load->cores_count;
    count += core->index < load->connections_count % load->cores_count;
    core->slots_count = (uint32_t)count;
    core->in_flight_max = UNBOUNDED;
    if (load->in_flight_count != 0) {
        core->in_flight_max = load->in_flight_count / load->cores_count;
        core->in_flight_max += core->index < load->in_flight_count % load->cores_count;
    }
    core->budget_count = UNBOUNDED;
    if (load->requests_count != 0) {
        core->budget_count = load->requests_count / load->cores_count;
        core->budget_count += core->index < load->requests_count % load->cores_count;
    }
}

int load_core_start(struct load *load, struct leat_loop *loop)
{
    uint32_t index = leat_loop_index(loop);
    struct load_core *core = calloc(1, sizeof(*core));
    if (core == NULL)
        return leat_run_fail(loop, -ENOMEM, "no memory for a core's counters");
    load->cores[index] = core;
    *core = (struct load_core){.load = load, .loop = loop, .index = index};
    list_init(&core->idle);
    list_init(&core->dead);
    http_reader_core_init(&core->reader);
    core->reader.has_no_digest = load->is_any_body;
    core->reader.may_switch = load->may_switch;
    core->reader.limits.head_bytes_max = (uint32_t)load->head_bytes_max;
    share_out(core);
    leat_timer_init(&core->tick, loop, on_tick, core);
    leat_timer_init(&core->due, loop, on_due, core);
    leat_timer_init(&core->stop, loop, on_stop, core);
    int result = core_slots_new(core);
    result = result < 0 ? result : leat_run_on_drain(loop, on_drain, core);
    if (result < 0)
        return result;
    leat_run_ref(loop);
    if (core->budget_count == 0) { /* fewer requests than cores */
        core_finish(core);
        return 0;
    }
    leat_timer_start(&core->tick, LOAD_TICK_NS, LOAD_TICK_NS);
    probe(core);
    return 0;
}
