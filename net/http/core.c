/* What the servers of one core share: records of connections, request objects, handles. */
#include <time.h>
#include "buffers/pools.h"
#include "net/watch/counters.h"
#include "net/http/http_internal.h"

#define HANDLE_INDEX_BITS      22
#define HANDLE_GENERATION_BITS 32
#define SLOTS_MAX              ((UINT32_C(1) << HANDLE_INDEX_BITS) - 1)
#define NO_SLOT                UINT32_MAX
#define SHORT_LOOK_NS          (10 * LEAT_NS_PER_MS)
#define SHORT_SHARE            224 /* 256ths of the buffers' bound: as the stack lets nobody in */

struct http_slab {
    struct http_slab *next;
    struct http_conn conns[HTTP_CONNS_PER_SLAB] __attribute__((aligned(64)));
};

static uint64_t wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * LEAT_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- The core's object ---- */

static void ready_run(void *arg)
{
    struct http_core *core = arg;
    struct leat_request *last = NULL;

    /* Those who become ready meanwhile are for the next turn. */
    for (struct leat_request *req = core->ready_first; req; req = req->next)
        last = req;
    for (bool is_last = !last; !is_last;) {
        struct leat_request *req = core->ready_first;
        is_last = req == last;
        core->ready_first = req->next;
        if (!core->ready_first)
            core->ready_last = &core->ready_first;
        req->is_ready = false;
        http_pump(req, NULL, 0);
    }
    if (!core->ready_first)
        leat_hook_stop(&core->ready_hook);
}

void http_request_ready(struct leat_request *req)
{
    struct http_core *core = req->core;

    if (req->is_ready)
        return;
    req->is_ready = true;
    req->next = NULL;
    if (!core->ready_first)
        leat_hook_start(&core->ready_hook);
    *core->ready_last = req;
    core->ready_last = &req->next;
}

static const struct counters_name counter_names[] = {{"http.requests", COUNTERS_TOTAL},
                                                     {"http.connections", COUNTERS_GAUGE},
                                                     {"http.connections_total", COUNTERS_TOTAL},
                                                     {"http.requests_now", COUNTERS_GAUGE},
                                                     {"http.received_bytes", COUNTERS_TOTAL},
                                                     {"http.sent_bytes", COUNTERS_TOTAL},
                                                     {"http.status_2xx", COUNTERS_TOTAL},
                                                     {"http.status_3xx", COUNTERS_TOTAL},
                                                     {"http.status_4xx", COUNTERS_TOTAL},
                                                     {"http.status_5xx", COUNTERS_TOTAL},
#define LEAT_X(name, sentence) {"http.error." #name, COUNTERS_TOTAL},
                                                     LEAT_HTTP_ERRORS(LEAT_X)
#undef LEAT_X
};

static void stats_collect(void *arg, uint64_t *values)
{
    const struct leat_http_stats *stats = &((const struct http_core *)arg)->stats;
    const uint64_t now[] = {
        stats->requests_count,     stats->connections_now_count, stats->connections_count,
        stats->requests_now_count, stats->received_bytes,        stats->sent_bytes,
        stats->status_counts[2],   stats->status_counts[3],      stats->status_counts[4],
        stats->status_counts[5],
    };
    memcpy(values, now, sizeof(now));
    memcpy(values + sizeof(now) / sizeof(now[0]), stats->errors_count, sizeof(stats->errors_count));
}

static const struct counters_block http_counters = {counter_names,
                                                    sizeof(counter_names) /
                                                        sizeof(counter_names[0]),
                                                    stats_collect};

bool http_core_is_short(struct http_core *core)
{
    uint64_t now_ns = leat_loop_now(core->loop);

    if (unlikely(now_ns - core->short_look_ns >= SHORT_LOOK_NS)) {
        core->short_look_ns = now_ns;
        core->is_short = leat_pools_share(core->core) >= SHORT_SHARE;
    }
    return core->is_short;
}

struct http_core *http_core_get(struct leat_loop *loop)
{
    struct leat_core *home = leat_core_now;
    struct http_core *core = home->http;

    if (core)
        return core;
    core = leat_heap_calloc(1, sizeof(*core));
    if (!core)
        return NULL;
    core->core = home;
    core->loop = loop;
    core->free_slot = NO_SLOT;
    core->ready_last = &core->ready_first;
    core->wall_ns = wall_clock;
    http_access_init(core);
    leat_hook_init(&core->ready_hook, loop, LEAT_PHASE_IDLE, ready_run, core);
    home->http = core;
    counters_add(counters_here(), &http_counters, core);
    return core;
}

static void request_free(struct leat_request *req)
{
    struct http_core *core = req->core;
    struct http_slot *slot = &core->slots[req->index];

    slot->request = NULL;
    slot->next_free = core->free_slot;
    core->free_slot = req->index;
    core->stats.requests_memory_bytes -= sizeof(*req);
    leat_heap_free(req);
}

void http_core_put(struct http_core *core)
{
    if (core->servers)
        return;
    DCHECK(core->stats.requests_now_count == 0);
    leat_hook_stop(&core->ready_hook);
    http_access_fini(core);
    leat_buf_unref(core->shared);
    while (core->free_requests) {
        struct leat_request *req = core->free_requests;
        core->free_requests = req->next;
        request_free(req);
    }
    while (core->slabs) {
        struct http_slab *slab = core->slabs;
        core->slabs = slab->next;
        leat_heap_free(slab);
    }
    counters_remove(counters_here(), core);
    leat_heap_free(core->slots);
    core->core->http = NULL;
    leat_heap_free(core);
}

/* ---- Connections ---- */

static bool slab_add(struct http_core *core)
{
    struct http_slab *slab = leat_heap_alloc_aligned(sizeof(*slab), 64);

    if (!slab)
        return false;
    slab->next = core->slabs;
    core->slabs = slab;
    for (unsigned i = 0; i < HTTP_CONNS_PER_SLAB; i++) {
        slab->conns[i].next = core->free_conns;
        core->free_conns = &slab->conns[i];
    }
    return true;
}

struct http_conn *http_conn_take(struct leat_http *http)
{
    struct http_core *core = http->core;

    if (!core->free_conns && !slab_add(core))
        return NULL;
    struct http_conn *conn = core->free_conns;
    core->free_conns = conn->next;
    *conn = (struct http_conn){.http = http};
    http->connections_now++;
    core->stats.connections_count++;
    core->stats.connections_now_count++;
    return conn;
}

void http_conn_give(struct http_core *core, struct http_conn *conn)
{
    http_queue_remove(conn);
    conn->http->connections_now--;
    core->stats.connections_now_count--;
    conn->next = core->free_conns;
    core->free_conns = conn;
}

/* ---- Requests ---- */

static bool slots_grow(struct http_core *core)
{
    uint32_t count = core->slot_count ? core->slot_count * 2 : 64;

    if (count > SLOTS_MAX)
        count = SLOTS_MAX;
    if (count == core->slot_count)
        return false;
    struct http_slot *slots = leat_heap_realloc(core->slots, count * sizeof(*slots));
    if (!slots)
        return false;
    core->slots = slots;
    for (uint32_t i = count; i-- > core->slot_count;) {
        slots[i] = (struct http_slot){.generation = 1, .next_free = core->free_slot};
        core->free_slot = i;
    }
    core->slot_count = count;
    return true;
}

static struct leat_request *request_new(struct http_core *core)
{
    if (core->free_slot == NO_SLOT && !slots_grow(core))
        return NULL;
    struct leat_request *req = leat_heap_calloc(1, sizeof(*req));
    if (!req)
        return NULL;
    req->core = core;
    req->index = core->free_slot;
    core->free_slot = core->slots[req->index].next_free;
    core->slots[req->index].request = req;
    core->stats.requests_memory_bytes += sizeof(*req);
    return req;
}

struct leat_request *http_request_take(struct http_core *core)
{
    struct leat_request *req = core->free_requests;

    if (req) {
        core->free_requests = req->next;
        core->free_request_count--;
    } else if (!(req = request_new(core))) {
        return NULL;
    }
    core->stats.requests_now_count++;
    return req;
}

void http_request_give(struct leat_request *req)
{
    struct http_core *core = req->core;

    DCHECK(!req->is_ready && http_out_is_empty(req));
    core->stats.requests_now_count--;
    req->conn = NULL;
    if (core->free_request_count == HTTP_REQUESTS_KEPT_MAX) {
        request_free(req);
        return;
    }
    req->next = core->free_requests;
    core->free_requests = req;
    core->free_request_count++;
}

/* ---- Handles: 10 bits core, 32 bits generation, 22 bits index + 1. ---- */

/* The time to answer begins now; within the pump its end sees to the queue. */
static void charge_begin(struct leat_request *req)
{
    req->x.deferred = true;
    req->x.deferred_ns = leat_loop_now(req->core->loop);
    if (!req->in_pump)
        http_conn_requeue(req->conn, req->x.deferred_ns);
}

leat_deferred leat_request_defer(struct leat_request *req)
{
    const struct http_core *core = req->core;
    uint64_t generation = core->slots[req->index].generation;

    if (req->x.ended || req->phase != HTTP_PHASE_EXCHANGE)
        return (leat_deferred){0};
    if (!req->x.deferred)
        charge_begin(req);
    req->x.handles |= HTTP_HANDLE;
    return (leat_deferred){(uint64_t)core->core->index << 54 | generation << HANDLE_INDEX_BITS |
                           (req->index + 1)};
}

void http_request_stale(struct leat_request *req)
{
    req->core->slots[req->index].generation++;
    req->x.handles &= (uint8_t)~HTTP_HANDLE;
    if ((req->x.handles & HTTP_PINNED) == 0 || !req->x.ended || req->phase != HTTP_PHASE_EXCHANGE)
        return;
    req->phase = HTTP_PHASE_HELD; /* its task still has it: the next request waits */
    http_task_body_over(req);
}

uint32_t leat_deferred_core(leat_deferred deferred)
{
    return (uint32_t)(deferred.id >> 54);
}

struct leat_request *leat_deferred_request(leat_deferred deferred)
{
    const struct leat_core *home = leat_core_now;
    uint32_t index = (uint32_t)deferred.id & SLOTS_MAX;
    uint32_t generation = (uint32_t)(deferred.id >> HANDLE_INDEX_BITS);

    if (!home || !home->http || leat_deferred_core(deferred) != home->index || index == 0 ||
        index > home->http->slot_count)
        return NULL;
    const struct http_slot *slot = &home->http->slots[index - 1];
    return slot->generation == generation && slot->request &&
                   (slot->request->x.handles & HTTP_HANDLE) != 0
               ? slot->request
               : NULL;
}
