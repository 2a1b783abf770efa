/* The work of connections, and the two lists of those that have some: to be delivered, and to be
 * sent. */
#include "net/stack/tcp/tcp.h"

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

/* ---- the list of what is to be sent ---- */

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

/* ---- the list of what is to be delivered ---- */

static void on_pended(void *arg)
{
    (void)arg;
    struct stack_tcp *t = tcp_of(NULL);
    if (t == NULL)
        return; /* the stack ended in between */
    t->pended = false;
    tcp_set_now(t);
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
