/* Life of the module: made and ended with its stack. */
#include "net/stack/tcp/tcp.h"

#include <errno.h>

#include "buffers/heap.h"

static void on_slow_timer(struct leat_timer *timer, void *arg)
{
    struct stack_tcp *t = arg;
    (void)timer;
    t->stack->now_ns = leat_loop_turn_began(t->loop); /* what was polled is no older */
    t->now_ms = (uint32_t)(t->stack->now_ns / LEAT_NS_PER_MS);
    uint64_t a = tcp_embryo_tick(t), b = tcp_time_wait_tick(t);
    tcp_slow_due(t, a < b ? a : b);
}

void tcp_slow_due(struct stack_tcp *t, uint64_t at_ns)
{
    if (at_ns != STACK_NEVER && (!leat_timer_is_started(&t->timer) || at_ns < t->timer.deadline_ns))
        leat_timer_start_at(&t->timer, at_ns);
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
    tcp_pool_init(&t->works, sizeof(struct tcp_work));
    tcp_pool_init(&t->chunks, sizeof(struct tcp_chunk));
    tcp_pool_init(&t->laters, sizeof(struct tcp_later));
    tcp_pool_init(&t->sents, sizeof(struct tcp_sent));
    tcp_pool_init(&t->rxs, sizeof(struct tcp_rx));
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

void tcp_shut(struct stack *s)
{
    struct stack_tcp *t = s->tcp;
    t->is_shut = true;
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
}

void tcp_fini(struct stack *s)
{
    struct stack_tcp *t = s->tcp;
    tcp_shut(s);
    while (t->listener_count > 0)
        tcp_transport_ops.listener_close(&t->listeners[0]->listener);
    leat_timer_stop(&t->timer);
    tcp_pressure_fini(t);
    leat_core_now->transports[LEAT_TRANSPORT_STACK] = NULL;
    slots_fini(&t->conns);
    table_fini(&t->table);
    leat_heap_free(t->embryos);
    leat_heap_free(t->time_waits);
    tcp_pool_fini(&t->works);
    tcp_pool_fini(&t->chunks);
    tcp_pool_fini(&t->laters);
    tcp_pool_fini(&t->sents);
    tcp_pool_fini(&t->rxs);
    s->tcp = NULL;
    leat_heap_free(t);
}
