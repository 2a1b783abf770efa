/* Life of the module: pools, work, the dirty list. */
#include "net/stack/tcp/tcp.h"

#include <errno.h>

#include "buffers/heap.h"

void *tcp_pool_take(struct tcp_pool *pool)
{
    void *object = pool->first;
    if (likely(object != NULL)) {
        memcpy(&pool->first, object, sizeof(void *));
        pool->free_count--;
    } else {
        object = leat_heap_alloc_aligned(pool->bytes, 64);
    }
    pool->live_count += object != NULL;
    return object;
}

void tcp_pool_give(struct tcp_pool *pool, void *object)
{
    pool->live_count--;
    if (pool->free_count >= TCP_POOL_MAX) {
        leat_heap_free(object);
        return;
    }
    memcpy(object, &pool->first, sizeof(void *));
    pool->first = object;
    pool->free_count++;
}

static void pool_fini(struct tcp_pool *pool)
{
    while (pool->first != NULL) {
        void *object = pool->first;
        memcpy(&pool->first, object, sizeof(void *));
        leat_heap_free(object);
    }
}

struct tcp_work *tcp_work_of(struct tcp_conn *c)
{
    if (likely(c->work != NULL))
        return c->work;
    struct stack_tcp *t = tcp_of(c);
    bool is_fresh = t->works.first == NULL;
    struct tcp_work *w = tcp_pool_take(&t->works);
    if (w == NULL) {
        stack_drop(t->stack, STACK_DROP_TCP_MEMORY);
        return NULL;
    }
    memset(w, 0, is_fresh ? sizeof(*w) : TCP_WORK_BUSY_BYTES);
    DCHECK(tcp_rare_is_zero(w));
    leat_timer_init(&w->timer, t->loop, tcp_on_timer, w);
    leat_timer_unref(&w->timer);
    w->conn = c;
    w->xmit_ns = w->ack_ns = w->user_ns = w->pace_wait_ns = STACK_NEVER;
    w->send_end = c->snd_nxt;
    w->fack = c->snd_una;
    w->acked_to = c->rcv_nxt;
    w->min_rtt_us = c->srtt_us != 0 ? c->srtt_us : UINT32_MAX;
    w->reo_mult = 1;
    c->work = w;
    return w;
}

void tcp_work_free(struct stack_tcp *t, struct tcp_work *w)
{
    if (unlikely(w->has_rare))
        memset(&w->rare, 0, sizeof(w->rare));
    tcp_pool_give(&t->works, w);
}

/* Gives the work back if nothing is under way. A timer that waits for nothing any more is stopped
 * then: it is left to fire in vain only where the next bytes come before all was acknowledged. */
void tcp_work_end(struct tcp_conn *c)
{
    struct tcp_work *w = c->work;
    if (w == NULL || w->is_dirty || w->send_first != NULL || w->later_first != NULL ||
        w->sent_first != NULL || w->rx_first != NULL || w->ooo_first != NULL || w->fin_known ||
        tcp_due_ns(w) != STACK_NEVER)
        return;
    leat_timer_stop(&w->timer);
    c->work = NULL;
    tcp_work_free(tcp_of(c), w);
}

static void work_dirty(struct stack_tcp *t, struct tcp_work *w)
{
    w->is_dirty = true;
    w->dirty_next = NULL;
    *t->dirty_last = w;
    t->dirty_last = &w->dirty_next;
}

void tcp_dirty(struct tcp_conn *c)
{
    struct tcp_work *w = tcp_work_of(c);
    if (w == NULL || w->is_dirty)
        return;
    work_dirty(tcp_of(c), w);
}

static void on_pended(void *arg)
{
    (void)arg;
    struct stack_tcp *t = tcp_of(NULL);
    if (t == NULL)
        return; /* the stack ended in between */
    t->pended = false;
    t->stack->now_ns = leat_loop_now(t->loop);
    tcp_deliver(t);
}

static void deliver_work(struct stack_tcp *t, struct tcp_work *w)
{
    if (w->wants_deliver)
        return;
    w->wants_deliver = true;
    w->deliver_next = NULL;
    *t->deliver_last = w;
    t->deliver_last = &w->deliver_next;
}

void tcp_want_deliver(struct stack_tcp *t, struct tcp_conn *c)
{
    tcp_dirty(c);
    if (c->work == NULL)
        return;
    deliver_work(t, c->work);
    if (!t->in_burst && !t->pended && leat_loop_pend(t->loop, on_pended, NULL) == 0)
        t->pended = true;
}

static enum tcp_stop flush_one(struct stack_tcp *t, struct tcp_conn *c)
{
    if (c->state == TCP_CLOSED) {
        tcp_work_end(c);
        return TCP_STOP_NONE;
    }
    enum tcp_stop stop = tcp_output(t, c);
    tcp_set_timer(c);
    if (unlikely(c->work->later_first != NULL)) {
        tcp_later_advance(t, c);
        if (c->state == TCP_CLOSED)
            return TCP_STOP_NONE;
    }
    if (stop != TCP_STOP_NONE || c->work->wants_deliver)
        tcp_dirty(c);
    else
        tcp_work_end(c);
    return stop;
}

/* Its connection has gone. What is in the list of deliveries leaves that first. */
static void work_forget(struct stack_tcp *t, struct tcp_work *w)
{
    if (w->wants_deliver)
        work_dirty(t, w);
    else
        tcp_work_free(t, w);
}

/* Once the port takes no more, or the turn's bytes were sent, the others keep their place: with a
 * million of them, looking at each in vain would be all that a turn does. */
void tcp_flush(struct stack_tcp *t)
{
    struct tcp_work *w = t->dirty_first, *next, **last = t->dirty_last;
    enum tcp_stop stop = TCP_STOP_NONE;
    t->turn_end_bytes = t->stack->count.tx_bytes + TCP_TURN_BYTES;
    t->has_more = false;
    if (unlikely(table_is_clumped(&t->table)))
        tcp_rekey(t);
    t->dirty_first = NULL;
    t->dirty_last = &t->dirty_first;
    for (; w != NULL && stop != TCP_STOP_PORT; w = next) {
        if (t->stack->count.tx_bytes >= t->turn_end_bytes) {
            t->has_more = true;
            break;
        }
        next = w->dirty_next;
        w->is_dirty = false;
        if (w->conn == NULL)
            work_forget(t, w);
        else
            stop = flush_one(t, w->conn);
        t->has_more |= stop == TCP_STOP_TURN;
    }
    if (w == NULL)
        return;
    *last = t->dirty_first;
    if (t->dirty_first == NULL)
        t->dirty_last = last;
    t->dirty_first = w;
}

static void on_slow_timer(struct leat_timer *timer, void *arg)
{
    struct stack_tcp *t = arg;
    (void)timer;
    t->stack->now_ns = leat_loop_now(t->loop);
    t->now_ms = (uint32_t)(t->stack->now_ns / LEAT_NS_PER_MS);
    uint64_t a = tcp_embryo_tick(t), b = tcp_time_wait_tick(t);
    tcp_slow_due(t, a < b ? a : b);
}

void tcp_slow_due(struct stack_tcp *t, uint64_t at_ns)
{
    if (at_ns != STACK_NEVER && (!leat_timer_is_started(&t->timer) || at_ns < t->timer.deadline_ns))
        leat_timer_start_at(&t->timer, at_ns);
}

static void pool_init(struct tcp_pool *pool, size_t bytes)
{
    pool->bytes = (uint32_t)((bytes + 63) / 64 * 64);
}

int tcp_init(struct stack *s, struct leat_loop *loop, struct leat_error *error)
{
    struct stack_tcp *t = leat_heap_calloc(1, sizeof(*t));
    if (t == NULL)
        goto no_memory;
    t->transport.ops = &tcp_transport_ops;
    t->stack = s;
    t->loop = loop;
    t->now_ms = (uint32_t)(s->now_ns / LEAT_NS_PER_MS);
    t->dirty_last = &t->dirty_first;
    t->deliver_last = &t->deliver_first;
    t->reset_bucket = (struct token_bucket){s->now_ns, 200, 200, 1000};
    t->port_counter = (uint32_t)stack_random(s);
    pool_init(&t->works, sizeof(struct tcp_work));
    pool_init(&t->chunks, sizeof(struct tcp_chunk));
    pool_init(&t->laters, sizeof(struct tcp_later));
    pool_init(&t->sents, sizeof(struct tcp_sent));
    pool_init(&t->rxs, sizeof(struct tcp_rx));
    tcp_pressure_init(t);
    leat_timer_init(&t->timer, loop, on_slow_timer, t);
    leat_timer_unref(&t->timer);
    const uint64_t key[4] = {stack_random(s), stack_random(s), stack_random(s), stack_random(s)};
    if (table_init(&t->table, key) < 0)
        goto free_tcp;
    t->embryos = leat_heap_calloc(TCP_EMBRYOS_MAX, sizeof(*t->embryos));
    if (t->embryos == NULL)
        goto fini_table;
    for (uint32_t i = 0; i < TCP_EMBRYOS_MAX; i++)
        t->embryos[i].next = i + 1 < TCP_EMBRYOS_MAX ? i + 2 : 0;
    t->embryo_free = 1;
    if (slots_init(&t->conns, LEAT_TRANSPORT_STACK, sizeof(struct tcp_conn), TCP_CONNS_MAX) < 0)
        goto free_embryos;
    s->tcp = t;
    leat_core_now->transports[LEAT_TRANSPORT_STACK] = &t->transport;
    return 0;

free_embryos:
    leat_heap_free(t->embryos);
fini_table:
    table_fini(&t->table);
free_tcp:
    leat_heap_free(t);
no_memory:
    return leat_fail(error, -ENOMEM, "no memory for TCP");
}

void tcp_fini(struct stack *s)
{
    struct stack_tcp *t = s->tcp;
    t->pended = t->close_pended = true; /* nothing is put off any more */
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        struct tcp_conn *c = slots_at(&t->conns, i);
        if (c != NULL && c->state != TCP_CLOSED) {
            if (is_synchronised(c))
                tcp_send_reset(t, c);
            tcp_conn_close(t, c, LEAT_CLOSE_SHUTDOWN);
        }
    }
    tcp_run_closed(t);
    tcp_flush(t);
    reader_free(t->reader);
    while (t->listener_count > 0)
        tcp_transport_ops.listener_close(&t->listeners[0]->listener);
    leat_timer_stop(&t->timer);
    tcp_pressure_fini(t);
    leat_core_now->transports[LEAT_TRANSPORT_STACK] = NULL;
    slots_fini(&t->conns);
    table_fini(&t->table);
    leat_heap_free(t->embryos);
    leat_heap_free(t->time_waits);
    pool_fini(&t->works);
    pool_fini(&t->chunks);
    pool_fini(&t->laters);
    pool_fini(&t->sents);
    pool_fini(&t->rxs);
    s->tcp = NULL;
    leat_heap_free(t);
}
