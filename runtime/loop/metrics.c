/* What a loop did: work and sleep, delays, microtasks that starve I/O. */
#include <leat/log.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/base/function_name.h"
#include "runtime/loop/loop_internal.h"

#define STORM_TASK_BYTES 400

static bool may_warn(struct leat_loop *loop, uint64_t now_ns)
{
    if (loop->warned_ns != 0 && now_ns - loop->warned_ns < LOOP_WARN_NS)
        return false;
    loop->warned_ns = now_ns;
    return true;
}

void loop_note_turn(struct leat_loop *loop, uint64_t end_ns)
{
    uint64_t turn_ns = end_ns - loop->turn_ns;
    loop->metrics.turn_count++;
    histogram_record(&loop->delays, turn_ns);
    if (likely(turn_ns <= LOOP_TURN_NS_MAX))
        return;
    loop->metrics.slow_turn_count++;
    if (may_warn(loop, end_ns)) {
        uint64_t timers_ns = end_ns - loop->now_ns; /* the clock was last read before timers */
        LEAT_LOG_WARN("callbacks kept the loop from I/O for %llu ms (%llu ms of it in timers); "
                      "split "
                      "long work, or move it to a worker",
                      (unsigned long long)(turn_ns / LEAT_NS_PER_MS),
                      (unsigned long long)(timers_ns / LEAT_NS_PER_MS));
    }
}

void loop_note_storm(struct leat_loop *loop, const struct loop_callback *last)
{
    char name[FUNCTION_NAME_BYTES], task[STORM_TASK_BYTES];
    void *address;
    loop->metrics.microtask_storm_count++;
    if (!may_warn(loop, loop_clock(loop)))
        return;
    if (loop->core.name_microtask != NULL &&
        loop->core.name_microtask(last->fn, last->arg, task, sizeof(task))) {
        LEAT_LOG_WARN("%u microtasks in a row keep the loop from I/O, the last of them of %s, "
                      "which "
                      "awaits what has settled already; use leat_task_yield to let I/O in between",
                      LOOP_MICROTASKS_MAX, task);
        return;
    }
    memcpy(&address, &last->fn, sizeof(address));
    function_name(address, name);
    LEAT_LOG_WARN("%u microtasks in a row keep the loop from I/O, the last of them %s; use "
                  "leat_set_immediate to let I/O in between",
                  LOOP_MICROTASKS_MAX, name);
}

void loop_count_work(struct leat_loop *loop, uint64_t now_ns)
{
    if (loop->has_worked) {
        loop->metrics.work_ns += now_ns - loop->turn_ns - loop->slept_ns;
        loop->metrics.work_turn_count++;
        loop->has_worked = false;
    }
    loop->slept_ns = 0;
}

void leat_loop_worked(struct leat_loop *loop)
{
    loop->has_worked = true;
}

bool leat_loop_has_worked(const struct leat_loop *loop)
{
    return loop->has_worked;
}

/* ---- layers ---- */

#define STAMPS 64

void profile_init(struct profile *p)
{
    *p = (struct profile){.stamp_cycles = UINT64_MAX};
    for (unsigned i = 0; i < STAMPS; i++) {
        uint64_t from = clock_tsc(), took = clock_tsc() - from;
        p->stamp_cycles = took < p->stamp_cycles ? took : p->stamp_cycles;
    }
}

void profile_turn_count(struct leat_core *core, bool has_worked)
{
    struct profile *p = core->profile;
    profile_stamp(p, LEAT_LAYER_LOOP);
    core->profile = NULL;
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++) {
        p->cycles[i] += has_worked ? p->turn[i] : 0;
        p->turn[i] = 0;
    }
}

const char *leat_layer_name(enum leat_layer layer)
{
    static const char *const names[] = {
#define LEAT_X(name, text) text,
        LEAT_LAYERS(LEAT_X)
#undef LEAT_X
    };
    return names[layer];
}

/* The shares of what was sampled, laid on what was counted. */
static void layers_estimate(const struct profile *p, struct leat_loop_metrics *m)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++)
        sum += p->cycles[i];
    for (unsigned i = 0; i < LEAT_LAYER_COUNT && sum > 0; i++)
        m->layer_cycles[i] = (uint64_t)((unsigned __int128)m->work_cycles * p->cycles[i] / sum);
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * LEAT_NS_PER_S + (uint64_t)now.tv_nsec;
}

void leat_loop_metrics(struct leat_loop *loop, struct leat_loop_metrics *metrics)
{
    *metrics = loop->metrics;
    metrics->work_cycles =
        loop->clock == NULL ? clock_machine_counts(&loop->machine_clock, metrics->work_ns) : 0;
    layers_estimate(&loop->profile, metrics);
    metrics->cpu_ns = loop->clock == NULL ? thread_cpu_ns() : 0;
    metrics->busy_ns = loop_clock(loop) - loop->started_ns - metrics->idle_ns;
}

double leat_loop_utilization(const struct leat_loop_metrics *before,
                             const struct leat_loop_metrics *after)
{
    uint64_t busy_ns = after->busy_ns, idle_ns = after->idle_ns, cpu_ns = 0;
    if (before != NULL) {
        busy_ns -= before->busy_ns;
        idle_ns -= before->idle_ns;
        cpu_ns = after->cpu_ns - before->cpu_ns;
    }
    uint64_t age_ns = busy_ns + idle_ns;
    busy_ns = cpu_ns > busy_ns ? cpu_ns : busy_ns; /* the kernel worked while the loop slept */
    return age_ns == 0 ? 0 : busy_ns > age_ns ? 1 : (double)busy_ns / (double)age_ns;
}

const struct histogram *loop_delays(const struct leat_loop *loop)
{
    return &loop->delays;
}

uint64_t leat_loop_delay_ns(const struct leat_loop *loop, double percent)
{
    return histogram_percentile(&loop->delays, percent);
}

void leat_loop_delay_reset(struct leat_loop *loop)
{
    histogram_reset(&loop->delays);
}
