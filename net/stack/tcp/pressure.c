/* What is refused first when room runs out, so that the rest goes on.
 *
 * Two kinds of room. Memory: receive buffers of the port that are kept, copies of received bytes,
 * and the core's buffer pools, which hold what waits to be sent. Its level is measured while
 * segments come, and while it is not PRESSURE_NONE also by a timer. Connections: how many there may
 * be.
 *
 *   PRESSURE_TIGHT (three quarters used): windows are promised small, what comes out of order is
 * not kept, and who takes its data too slowly is cut off. PRESSURE_FULL (seven eighths): nobody new
 * is let in, and windows are promised for two segments. Crowded (TIGHT, or three quarters of the
 * connections): nobody new from an address that has more than its share already.
 *
 * Nothing that was promised is taken back: what a peer sends within its window is dropped only when
 * the last eighth is used up too, and that is counted (tcp_memory). */
#include "net/stack/tcp/tcp.h"

#include "buffers/pools.h"
#include "runtime/base/siphash.h"

#define MEASURE_MS         10 /* how old a level may be while segments come */
#define TICK_NS            (100 * LEAT_NS_PER_MS)
#define SCAN_CONNS         4096 /* looked at in one tick */
#define PROGRESS_MS        2000 /* in which a slow reader must have taken ... */
#define PROGRESS_BYTES     4096 /* ... so much of what waits for it */
#define PEER_SHARE_SHIFT   2    /* a quarter of all connections */
#define FULL_SEGMENTS      2
#define TIGHT_WINDOW_BYTES (16u << 10)

/* ---- level ---- */

static uint64_t share_of(uint64_t used, uint64_t max)
{
    return max != 0 ? used * 256 / max : 0;
}

static uint64_t share_larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void pressure_measure(struct stack_tcp *t)
{
    const struct stack *s = t->stack;
    uint64_t share = share_of(s->kept_count, (uint64_t)s->kept_max * 2);
    share = share_larger(share, share_of(t->copied_bytes, t->copied_bytes_max));
    share = share_larger(share, leat_pools_share(leat_core_now));
    t->pressure = share >= 224 ? PRESSURE_FULL : share >= 192 ? PRESSURE_TIGHT : PRESSURE_NONE;
    t->pressure_ms = t->now_ms;
    if (t->pressure != PRESSURE_NONE && !leat_timer_is_started(&t->pressure_timer)) {
        t->pressure_calm = 0;
        leat_timer_start_at(&t->pressure_timer, s->now_ns + TICK_NS);
    }
}

void tcp_pressure_look(struct stack_tcp *t)
{
    if (unlikely(t->now_ms - t->pressure_ms >= MEASURE_MS))
        pressure_measure(t);
}

static bool is_crowded(const struct stack_tcp *t)
{
    return t->pressure != PRESSURE_NONE ||
           t->conns.live_count >= t->conns.limit_count - t->conns.limit_count / 4;
}

uint32_t tcp_pressure_window(const struct stack_tcp *t, const struct tcp_conn *c)
{
    uint32_t most =
        t->pressure == PRESSURE_FULL ? (uint32_t)FULL_SEGMENTS * c->mss : TIGHT_WINDOW_BYTES;
    return c->receive_max < most ? c->receive_max : most;
}

/* ---- shares: how many connections an address has let in, in a sketch of two rows ---- */

/* IPv6 hosts have a whole /64 to choose from. */
static uint64_t peer_hash(const struct stack_tcp *t, const struct ip_addr *peer)
{
    const struct siphash_key key = {{t->stack->seed[0], t->stack->seed[1] ^ 5}};
    return ip_addr_is_v4(peer) ? siphash(&key, peer->b, sizeof(peer->b))
                               : siphash(&key, peer->b, 8);
}

static uint32_t *peer_cell(struct stack_tcp *t, unsigned row, uint64_t hash)
{
    return &t->peers[row][hash >> (32 * row) & (TCP_PEER_CELLS - 1)];
}

void tcp_peer_count(struct stack_tcp *t, const struct ip_addr *peer, int change)
{
    uint64_t hash = peer_hash(t, peer);
    for (unsigned row = 0; row < TCP_PEER_ROWS; row++)
        *peer_cell(t, row, hash) += (uint32_t)change;
}

/* Never less than it is; more only if another address falls on both cells. */
static uint32_t peer_has(struct stack_tcp *t, const struct ip_addr *peer)
{
    uint64_t hash = peer_hash(t, peer);
    uint32_t a = *peer_cell(t, 0, hash), b = *peer_cell(t, 1, hash);
    return a < b ? a : b;
}

bool tcp_lets_in(struct stack_tcp *t, const struct ip_addr *peer)
{
    uint32_t share = t->conns.limit_count >> PEER_SHARE_SHIFT;
    uint32_t most = t->peer_conns_max != 0 ? t->peer_conns_max : UINT32_MAX;
    tcp_pressure_look(t);
    if (t->pressure == PRESSURE_FULL) {
        stack_drop(t->stack, STACK_DROP_TCP_PRESSURE);
        return false;
    }
    if (is_crowded(t) && share < most)
        most = share;
    if (most == UINT32_MAX || peer_has(t, peer) < most)
        return true;
    stack_drop(t->stack, STACK_DROP_TCP_PEER_LIMIT);
    return false;
}

/* ---- slow readers, and windows that may open again ---- */

/* True: something waits for the peer, and it has taken too little of it for too long. */
static bool is_too_slow(const struct stack_tcp *t, struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    bool waits = w->send_first != NULL && c->state >= TCP_ESTABLISHED;
    uint32_t taken = seq_span(w->rare.progress_una, c->snd_una);
    if (!waits || w->rare.progress_ms == 0 || taken >= PROGRESS_BYTES) {
        struct tcp_rare *rare = tcp_rare(w);
        rare->progress_ms = waits ? (t->now_ms | 1) : 0;
        rare->progress_una = c->snd_una;
        return false;
    }
    return (int32_t)(t->now_ms - w->rare.progress_ms) >= PROGRESS_MS;
}

static void look_at(struct stack_tcp *t, struct tcp_conn *c)
{
    if (c->state == TCP_CLOSED)
        return;
    if (tcp_window_update_due(c))
        tcp_dirty(c);
    if (c->work == NULL || !is_too_slow(t, c) || !is_crowded(t))
        return;
    t->count.slow_readers++;
    tcp_send_reset(t, c);
    tcp_conn_close(t, c, LEAT_CLOSE_TIMEOUT);
}

static void on_tick(struct leat_timer *timer, void *arg)
{
    struct stack_tcp *t = arg;
    (void)timer;
    t->stack->now_ns = leat_loop_now(t->loop);
    t->now_ms = (uint32_t)(t->stack->now_ns / LEAT_NS_PER_MS);
    pressure_measure(t);
    uint32_t capacity = t->conns.capacity_count;
    for (unsigned i = 0; i < SCAN_CONNS && i < capacity; i++) {
        t->pressure_scan = t->pressure_scan + 1 < capacity ? t->pressure_scan + 1 : 0;
        struct tcp_conn *c = slots_at(&t->conns, t->pressure_scan);
        if (c != NULL)
            look_at(t, c);
    }
    /* Calm must last for one look at each, so that every window that was held down is opened. */
    t->pressure_calm = is_crowded(t) ? 0 : t->pressure_calm + SCAN_CONNS;
    if (t->pressure_calm < capacity + SCAN_CONNS)
        leat_timer_start_at(&t->pressure_timer, t->stack->now_ns + TICK_NS);
}

void tcp_pressure_init(struct stack_tcp *t)
{
    t->copied_bytes_max = TCP_COPIED_BYTES_MAX;
    leat_timer_init(&t->pressure_timer, t->loop, on_tick, t);
    leat_timer_unref(&t->pressure_timer);
}

void tcp_pressure_fini(struct stack_tcp *t)
{
    leat_timer_stop(&t->pressure_timer);
}

/* Crowded by connections alone: the timer looks for those that can be cut off. */
void tcp_pressure_crowd(struct stack_tcp *t)
{
    if (unlikely(is_crowded(t)) && !leat_timer_is_started(&t->pressure_timer)) {
        t->pressure_calm = 0;
        leat_timer_start_at(&t->pressure_timer, t->stack->now_ns + TICK_NS);
    }
}
