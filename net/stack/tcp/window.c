/* The receive window: what may be promised, and when it is told (RFC 9293 3.8.6). */
#include "net/stack/tcp/tcp.h"

#define WINDOW_LOW_BYTES 32768 /* with more than this promised nobody waits */

uint8_t tcp_scale_for(uint32_t receive_max)
{
    uint8_t scale = 0;
    while (scale < TCP_SCALE_MAX && receive_max >> scale > 65535)
        scale++;
    return scale;
}

uint32_t tcp_window(const struct tcp_conn *c)
{
    uint32_t used = c->held_bytes + (c->work != NULL ? c->work->rx_bytes : 0);
    const struct stack_tcp *t = tcp_of(c);
    uint32_t max =
        likely(t->pressure == PRESSURE_NONE) ? c->receive_max : tcp_pressure_window(t, c);
    return used < max ? max - used : 0;
}

/* RFC 9293 3.8.6.2.2: no small steps. */
bool tcp_window_may_grow(const struct tcp_conn *c)
{
    uint32_t promised = seq_span(c->rcv_nxt, c->rcv_edge), open = tcp_window(c);
    uint32_t step = 2u * c->mss < c->receive_max / 2 ? 2u * c->mss : c->receive_max / 2;
    uint32_t most = 65535u << c->rcv_scale;
    open = open < most ? open : most;
    return !(c->flags & TCP_FIN_RECEIVED) && open > promised && open - promised >= step;
}

/* Worth a segment of its own: the peer may be waiting for it. */
bool tcp_window_update_due(const struct tcp_conn *c)
{
    uint32_t promised = seq_span(c->rcv_nxt, c->rcv_edge);
    bool is_low = promised < c->receive_max / 2 && promised < WINDOW_LOW_BYTES;
    return (is_low || promised < 2u * c->mss) && tcp_window_may_grow(c);
}
