/* The invariants of a host, whatever it was asked to do: its connections, its counts, and what it
 * has lent and borrowed. Looked at between two turns. */
#include "net/sim/sim_internal.h"

#include "net/stack/tcp/tcp.h"

static const char *invalid_port(const struct sim_host *host)
{
    const struct stack *s = host->stack;
    struct leat_port_stats stats;
    s->port->ops->stats(s->port, s->queue, &stats);
    if (s->count.rx_packets != stats.rx_count)
        return "the stack and its port count different numbers of frames received";
    if (s->count.tx_packets != stats.tx_count + s->tx.queued)
        return "packets were committed and neither sent nor kept";
    /* between bursts a frame is kept for a connection, is at another core, or not at all */
    uint32_t kept = s->tcp->rxs.live_count;
    for (uint32_t i = 0; i < host->leader->core_count && s->steer != NULL; i++)
        kept += s->steer->cores[host->core_index].lent[i];
    if (host->lent_count > kept)
        return "frames of the port were kept by nobody";
    return NULL;
}

void sim_check_host(struct sim_host *host)
{
    struct stack_tcp *t = host->stack != NULL ? host->stack->tcp : NULL;
    if (t == NULL || host->is_kicked || host->sim->violation_count > 0)
        return;
    sim_enter_quietly(host);
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        const struct tcp_conn *c = slots_at(&t->conns, i);
        const char *sentence = c != NULL ? tcp_invalid(c) : NULL;
        if (sentence != NULL)
            sim_violation(host->sim, "host %u, port %u to %u: %s", host->number,
                          be16_get(c->local_port), be16_get(c->remote_port), sentence);
    }
    const char *sentence = tcp_invalid_counts(t);
    if (sentence == NULL)
        sentence = invalid_port(host);
    if (sentence == NULL)
        sentence = sim_cores_invalid(host);
    if (sentence != NULL)
        sim_violation(host->sim, "host %u: %s", host->number, sentence);
    sim_leave_quietly(host);
}

/* At rest: no connection is left, TIME_WAIT has passed, and so every buffer is back. */
static const char *restless_part(const struct sim_host *host, const struct leat_buf_stats *buffers)
{
    const struct stack *s = host->stack;
    const struct stack_tcp *t = s->tcp;
    if (t->conns.live_count != 0)
        return "connections are left";
    if (t->time_wait_count != 0 || t->embryo_count != 0 || t->table.count != 0)
        return "records of TIME_WAIT or embryos never end";
    if (t->works.live_count != 0 || t->chunks.live_count != 0 || t->sents.live_count != 0 ||
        t->rxs.live_count != 0)
        return "works, chunks, ranges or received buffers are left";
    if (host->lent_count != 0)
        return "frames of the port were not given back";
    if (s->steer != NULL && steer_has_work(s))
        return "something lies in a ring between cores";
    uint32_t heads = s->tx.granted + s->tx.queued + s->tx.spared_count;
    if (s->port == &host->leader->port && host->head_count != heads)
        return "heads of the port were not given back";
    return buffers->live_count != 0 ? "buffers are left" : NULL;
}

void sim_check_rest(struct sim_host *host)
{
    struct leat_buf_stats buffers = {0};
    if (host->stack == NULL || host->sim->violation_count > 0)
        return;
    sim_enter_quietly(host);
    leat_buf_stats(&buffers);
    sim_leave_quietly(host);
    const char *sentence = restless_part(host, &buffers);
    if (sentence != NULL)
        sim_violation(host->sim, "host %u at rest: %s", host->number, sentence);
}
