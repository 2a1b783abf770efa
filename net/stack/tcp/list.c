/* The rows of leat ss: listeners, handshakes and connections, a piece at a time. */
#include "net/stack/tcp/list.h"

#include "net/stack/tcp/tcp.h"

#define TCP_LISTENS "LISTEN" /* what a listener does; it is no enum tcp_state */

enum { LIST_LISTENERS, LIST_EMBRYOS, LIST_CONNS, LIST_TIME_WAITS, LIST_KINDS };

static const char *const state_names[] = {
    [TCP_CLOSED] = "CLOSED",           [TCP_SYN_SENT] = "SYN-SENT",
    [TCP_SYN_RCVD] = "SYN-RECEIVED",   [TCP_ESTABLISHED] = "ESTABLISHED",
    [TCP_FIN_WAIT_1] = "FIN-WAIT-1",   [TCP_FIN_WAIT_2] = "FIN-WAIT-2",
    [TCP_CLOSE_WAIT] = "CLOSE-WAIT",   [TCP_CLOSING] = "CLOSING",
    [TCP_LAST_ACK] = "LAST-ACK",       [TCP_TIME_WAIT] = "TIME-WAIT",
    [TCP_TIME_WAIT + 1] = TCP_LISTENS,
};

const char *tcp_list_state(unsigned index)
{
    return index < sizeof(state_names) / sizeof(state_names[0]) ? state_names[index] : NULL;
}

static bool tell_listener(const struct stack_tcp *t, uint32_t index, struct tcp_row *row)
{
    const struct tcp_listener *l = t->listeners[index];
    *row = (struct tcp_row){.state = TCP_LISTENS,
                            .local = l->listener.addr,
                            .receive_queued_bytes = l->embryo_count};
    row->remote.family = l->listener.addr.family;
    return true;
}

static bool tell_embryo(const struct stack_tcp *t, uint32_t index, struct tcp_row *row)
{
    const struct tcp_embryo *e = &t->embryos[index];
    if (e->listener == NULL)
        return false;
    *row = (struct tcp_row){.state = state_names[TCP_SYN_RCVD],
                            .local = tcp_to_addr(&e->local, e->local_port),
                            .remote = tcp_to_addr(&e->remote, e->remote_port),
                            .mss_bytes = e->peer_mss,
                            .backoff = e->retries};
    return true;
}

static bool tell_time_wait(const struct stack_tcp *t, uint32_t index, struct tcp_row *row)
{
    const struct tcp_time_wait *tw = &t->time_waits[index];
    struct tcp_flow flow = {tw->local, tw->remote, tw->local_port, tw->remote_port};
    uint32_t r =
        table_find(&t->table, tw->hash, &flow, tcp_matches, (struct stack_tcp *)(uintptr_t)t);
    if (r != table_reference(KIND_TIME_WAIT, index))
        return false; /* a free record */
    *row = (struct tcp_row){.state = state_names[TCP_TIME_WAIT],
                            .local = tcp_to_addr(&tw->local, tw->local_port),
                            .remote = tcp_to_addr(&tw->remote, tw->remote_port)};
    return true;
}

static void tell_work(const struct tcp_conn *c, struct tcp_row *row)
{
    const struct tcp_work *w = c->work;
    row->receive_queued_bytes = w->rx_bytes;
    row->ooo_bytes = w->rare.ooo_bytes;
    row->send_queued_bytes =
        seq_lt(c->snd_una, w->send_end) ? seq_span(c->snd_una, w->send_end) : 0;
    row->lost_bytes = w->lost_bytes;
    row->resent_count = w->rare.resent_count;
    row->backoff = w->backoff;
}

static bool tell_conn(const struct stack_tcp *t, uint32_t index, struct tcp_row *row)
{
    const struct tcp_conn *c = slots_at(&t->conns, index);
    if (c == NULL)
        return false;
    *row = (struct tcp_row){.state = state_names[c->state],
                            .local = tcp_to_addr(&c->local, c->local_port),
                            .remote = tcp_to_addr(&c->remote, c->remote_port),
                            .held_bytes = c->held_bytes,
                            .flight_bytes = seq_span(c->snd_una, c->snd_nxt),
                            .rtt_us = c->srtt_us,
                            .rtt_variance_us = c->rttvar_us,
                            .rto_us = c->rto_us,
                            .cwnd_bytes = c->cwnd,
                            .ssthresh_bytes = c->ssthresh,
                            .mss_bytes = c->mss,
                            .send_window_bytes = c->snd_wnd,
                            .receive_window_bytes = seq_span(c->rcv_nxt, c->rcv_edge),
                            .idle_ms = t->now_ms - c->idle_since_ms,
                            .received_bytes = c->received_bytes,
                            .sent_bytes = tcp_sent_bytes(c)};
    if (c->work != NULL)
        tell_work(c, row);
    return true;
}

unsigned tcp_list(struct stack_tcp *t, struct tcp_cursor *cursor, struct tcp_row *rows,
                  unsigned count)
{
    static bool (*const tell[LIST_KINDS])(const struct stack_tcp *, uint32_t, struct tcp_row *) = {
        tell_listener,
        tell_embryo,
        tell_conn,
        tell_time_wait,
    };
    const uint32_t counts[LIST_KINDS] = {t->listener_count, TCP_EMBRYOS_MAX,
                                         t->conns.capacity_count, t->time_wait_capacity};
    unsigned written = 0;
    t->now_ms = (uint32_t)(leat_loop_now(t->loop) / LEAT_NS_PER_MS);
    for (unsigned looks = 0; looks < TCP_LIST_LOOKS_MAX && written < count; looks++) {
        while (cursor->kind < LIST_KINDS && cursor->index >= counts[cursor->kind]) {
            cursor->kind++;
            cursor->index = 0;
        }
        if (cursor->kind == LIST_KINDS) {
            cursor->is_end = true;
            break;
        }
        written += tell[cursor->kind](t, cursor->index++, &rows[written]);
    }
    return written;
}
