/* The delivery rate (draft-ietf-ccwg-bbr 4.1.1): how much was delivered between the time that a
 * range was sent and the time that its ACK came. Each range remembers how much had been delivered
 * when it was sent. Inline: it runs for every segment and every ACK. */
#ifndef LEAT_TCP_RATE_H
#define LEAT_TCP_RATE_H

#include "net/stack/tcp/tcp.h"

/* r is being sent, or sent again. */
static inline void tcp_rate_sent(struct tcp_work *w, struct tcp_sent *r, bool was_idle)
{
    if (was_idle)
        w->first_sent_ns = w->delivered_ns = r->sent_ns;
    r->delivered_bytes = w->delivered_bytes;
    r->delivered_ns = w->delivered_ns;
    r->first_sent_ns = w->first_sent_ns;
    r->flags |= w->app_limited_end != 0 ? SENT_APP_LIMITED : 0;
}

/* Of the ranges that one ACK delivers the one that was sent last counts. */
static inline void tcp_rate_delivered(struct tcp_work *w, const struct tcp_sent *r, uint64_t now_ns,
                                      struct cc_sample *sample)
{
    w->delivered_bytes += seq_span(r->from, r->to);
    w->delivered_ns = now_ns;
    if (sample->interval_ns != 0 && r->delivered_bytes < sample->prior_bytes)
        return;
    uint64_t sending_ns = r->sent_ns - r->first_sent_ns, acking_ns = now_ns - r->delivered_ns;
    sample->prior_bytes = r->delivered_bytes;
    sample->interval_ns = sending_ns > acking_ns ? sending_ns : acking_ns;
    sample->is_app_limited = (r->flags & SENT_APP_LIMITED) != 0;
    w->first_sent_ns = r->sent_ns;
}

/* A sample over less than a round trip is an accident of ACKs that came together. */
static inline void tcp_rate_end(struct tcp_work *w, struct cc_sample *sample)
{
    sample->rate_bytes = w->delivered_bytes - sample->prior_bytes;
    if (sample->interval_ns < (uint64_t)w->min_rtt_us * 1000)
        sample->interval_ns = 0;
    if (sample->interval_ns != 0) {
        w->rate_bytes = (uint32_t)sample->rate_bytes;
        w->rate_ns = sample->interval_ns;
    }
    if (w->app_limited_end != 0 && w->delivered_bytes > w->app_limited_end)
        w->app_limited_end = 0;
}

/* Everything is sent and the window has room: what is measured now is the application's rate. */
static inline void tcp_rate_limited(struct tcp_work *w, uint32_t pipe_bytes)
{
    w->app_limited_end = w->delivered_bytes + pipe_bytes;
    w->app_limited_end += w->app_limited_end == 0;
}

#endif
