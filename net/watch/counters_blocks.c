/* What is counted on every core: the loop, its buffers, and the stack where there is one. */
#include "net/watch/counters.h"

#include <leat/buf.h>
#include <leat/metrics.h>

#include "buffers/heap.h"
#include "net/api/transport.h"
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"
#include "runtime/base/logger.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

/* ---- loop and memory ---- */

static const struct counters_name loop_names[] = {
    {"loop.busy_ns", COUNTERS_TOTAL},       {"loop.idle_ns", COUNTERS_TOTAL},
    {"loop.cpu_ns", COUNTERS_TOTAL},        {"loop.work_ns", COUNTERS_TOTAL},
    {"loop.turns", COUNTERS_TOTAL},         {"loop.work_turns", COUNTERS_TOTAL},
    {"loop.events", COUNTERS_TOTAL},        {"loop.timers", COUNTERS_TOTAL},
    {"loop.posts", COUNTERS_TOTAL},         {"loop.sleeps", COUNTERS_TOTAL},
    {"loop.slow_turns", COUNTERS_TOTAL},    {"buffers.live", COUNTERS_GAUGE},
    {"buffers.live_bytes", COUNTERS_GAUGE}, {"buffers.arena_bytes", COUNTERS_GAUGE},
    {"buffers.refused", COUNTERS_TOTAL},    {"heap.bytes", COUNTERS_GAUGE},
    {"heap.refused", COUNTERS_TOTAL},
};

static void collect_loop(void *arg, uint64_t *values)
{
    struct leat_loop_metrics m;
    struct leat_buf_stats b;
    struct leat_heap_stats h;
    leat_loop_metrics(arg, &m);
    leat_buf_stats(&b);
    leat_heap_stats(leat_core_now, &h);
    const uint64_t now[] = {
        m.busy_ns,       m.idle_ns,         m.cpu_ns,          m.work_ns,
        m.turn_count,    m.work_turn_count, m.event_count,     m.timer_count,
        m.post_count,    m.sleep_count,     m.slow_turn_count, b.live_count,
        b.live_bytes,    b.arena_bytes,     b.exhausted_count, h.allocated_bytes - h.freed_bytes,
        h.refused_count,
    };
    _Static_assert(COUNT_OF(now) == COUNT_OF(loop_names), "a name for each value");
    memcpy(values, now, sizeof(now));
}

/* ---- the log ---- */

static const struct counters_name log_names[] = {{"log.lost_full", COUNTERS_TOTAL},
                                                 {"log.lost_write", COUNTERS_TOTAL}};

static void collect_log(void *arg, uint64_t *values)
{
    values[0] = leat_log_lost_full_count(arg);
    values[1] = leat_log_lost_write_count(arg);
}

/* ---- the stack ---- */

static const struct counters_name stack_names[] = {
#define LEAT_X(name) {"stack." #name, COUNTERS_TOTAL},
    STACK_COUNTERS(LEAT_X)
#undef LEAT_X
};
_Static_assert(sizeof(struct stack_counters) ==
                   sizeof(uint64_t) * (STACK_DROP_COUNT + COUNT_OF(stack_names)),
               "drops, and a name for each other counter");

static const struct counters_name drop_names[] = {
#define LEAT_X(name, counter, sentence) {"drop." counter, COUNTERS_TOTAL},
    STACK_DROPS(LEAT_X)
#undef LEAT_X
};

static const struct counters_name tcp_names[] = {
#define LEAT_X(name) {"tcp." #name, COUNTERS_TOTAL},
    TCP_COUNTERS(LEAT_X)
#undef LEAT_X
};
_Static_assert(sizeof(struct tcp_counters) == sizeof(uint64_t) * COUNT_OF(tcp_names),
               "a name for each counter");

static const struct counters_name tcp_gauge_names[] = {
    {"tcp.connections", COUNTERS_GAUGE},    {"tcp.connections_max", COUNTERS_GAUGE},
    {"tcp.embryos", COUNTERS_GAUGE},        {"tcp.time_wait", COUNTERS_GAUGE},
    {"tcp.work", COUNTERS_GAUGE},           {"tcp.send_pieces", COUNTERS_GAUGE},
    {"tcp.receive_pieces", COUNTERS_GAUGE}, {"stack.backlog", COUNTERS_GAUGE},
};

static const struct counters_name offload_names[] = {
#define LEAT_X(name, counter, can, what) {"offload." counter, COUNTERS_GAUGE},
    OFFLOADS(LEAT_X)
#undef LEAT_X
};

/* enum wake_state, enum port_link, and how often frames came without the interrupt since it proved
 * itself last. */
static const struct counters_name wake_names[] = {
    {"port.wake", COUNTERS_GAUGE},
    {"port.wake_missed", COUNTERS_GAUGE},
    {"port.link", COUNTERS_GAUGE},
};

static const struct counters_name port_names[] = {{"port.rx_packets", COUNTERS_TOTAL},
                                                  {"port.rx_bytes", COUNTERS_TOTAL},
                                                  {"port.tx_packets", COUNTERS_TOTAL},
                                                  {"port.tx_bytes", COUNTERS_TOTAL},
                                                  {"port.rx_held", COUNTERS_GAUGE},
                                                  {"port.tx_held", COUNTERS_GAUGE},
#define LEAT_X(name, counter, sentence) {"drop.port_" counter, COUNTERS_TOTAL},
                                                  LEAT_PORT_DROPS(LEAT_X)
#undef LEAT_X
};
_Static_assert(sizeof(struct leat_port_stats) == sizeof(uint64_t) * COUNT_OF(port_names),
               "a name for each value");

static void collect_drops(void *arg, uint64_t *values)
{
    const struct stack *s = arg;
    memcpy(values, s->count.drops, sizeof(s->count.drops));
}

static void collect_stack(void *arg, uint64_t *values)
{
    const struct stack *s = arg;
    memcpy(values, s->count.drops + STACK_DROP_COUNT, COUNT_OF(stack_names) * sizeof(uint64_t));
}

static void collect_tcp(void *arg, uint64_t *values)
{
    const struct stack *s = arg;
    memcpy(values, &s->tcp->count, sizeof(s->tcp->count));
}

static void collect_tcp_gauges(void *arg, uint64_t *values)
{
    const struct stack *s = arg;
    const struct stack_tcp *t = s->tcp;
    const uint64_t now[] = {
        t->conns.live_count, t->conns.limit_count, t->embryo_count,   t->time_wait_count,
        t->works.live_count, t->chunks.live_count, t->rxs.live_count, s->tx.queued,
    };
    _Static_assert(COUNT_OF(now) == COUNT_OF(tcp_gauge_names), "a name for each value");
    memcpy(values, now, sizeof(now));
}

/* enum offload_state: 0 absent, 1 on trial, 2 believed, 3 given up, 4 never says */
static void collect_offloads(void *arg, uint64_t *values)
{
    const struct stack *s = arg;
    for (unsigned i = 0; i < OFFLOAD_COUNT; i++)
        values[i] = s->offloads[i].state;
}

static void collect_wake(void *arg, uint64_t *values)
{
    const struct stack *s = arg;
    const struct leat_port *port = s->steer != NULL ? s->steer->port : s->port;
    const uint64_t now[] = {s->wake.state, s->wake.misses, atomic_load(&port->link_seen)};
    _Static_assert(COUNT_OF(now) == COUNT_OF(wake_names), "a name for each value");
    memcpy(values, now, sizeof(now));
}

static void collect_port(void *arg, uint64_t *values)
{
    const struct stack *s = arg;
    struct leat_port_stats stats = {0};
    s->port->ops->stats(s->port, s->queue, &stats);
    memcpy(values, &stats, sizeof(stats));
}

void counters_add_common(struct counters_core *core)
{
    static const struct counters_block loop = {loop_names, COUNT_OF(loop_names), collect_loop};
    static const struct counters_block of_stack[] = {
        {drop_names, COUNT_OF(drop_names), collect_drops},
        {stack_names, COUNT_OF(stack_names), collect_stack},
        {tcp_names, COUNT_OF(tcp_names), collect_tcp},
        {tcp_gauge_names, COUNT_OF(tcp_gauge_names), collect_tcp_gauges},
        {port_names, COUNT_OF(port_names), collect_port},
        {offload_names, COUNT_OF(offload_names), collect_offloads},
        {wake_names, COUNT_OF(wake_names), collect_wake},
    };
    static const struct counters_block log = {log_names, COUNT_OF(log_names), collect_log};
    counters_add(core, &loop, core->loop);
    if (leat_core_now->log != NULL)
        counters_add(core, &log, leat_core_now->log);
    const struct stack_tcp *t =
        (const struct stack_tcp *)leat_core_now->transports[LEAT_TRANSPORT_STACK];
    for (unsigned i = 0; t != NULL && i < COUNT_OF(of_stack); i++)
        counters_add(core, &of_stack[i], t->stack);
}
