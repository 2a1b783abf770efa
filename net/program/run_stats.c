/* The line of JSON that --stats says about a core: at the end, and on SIGUSR1. */
#include "net/program/run_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <leat/metrics.h>

#include "buffers/heap.h"

static void stats_say(struct leat_loop *loop)
{
    struct leat_loop_metrics m;
    struct leat_heap_stats heap;
    leat_loop_metrics(loop, &m);
    leat_heap_stats(leat_core_now, &heap);
    char line[1024];
    int length =
        snprintf(line, sizeof(line),
                 "{\"core\":%u,\"busy_ns\":%" PRIu64 ",\"idle_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64
                 ",\"work_ns\":%" PRIu64 ",\"work_cycles\":%" PRIu64 ",\"turns\":%" PRIu64
                 ",\"work_turns\":%" PRIu64 ",\"events\":%" PRIu64 ",\"timers\":%" PRIu64
                 ",\"sleeps\":%" PRIu64 ",\"heap_bytes\":%" PRIu64 ",\"layer_cycles\":{",
                 leat_loop_index(loop), m.busy_ns, m.idle_ns, m.cpu_ns, m.work_ns, m.work_cycles,
                 m.turn_count, m.work_turn_count, m.event_count, m.timer_count, m.sleep_count,
                 heap.allocated_bytes - heap.freed_bytes);
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++)
        length += snprintf(line + length, sizeof(line) - (size_t)length, "%s\"%s\":%" PRIu64,
                           i > 0 ? "," : "", leat_layer_name(i), m.layer_cycles[i]);
    length += snprintf(line + length, sizeof(line) - (size_t)length, "}}");
    (void)leat_log_report(line, (size_t)length);
}

void run_core_stats(void *run_core)
{
    const struct leat_run_core *core = run_core;
    stats_say(core->loop);
}
