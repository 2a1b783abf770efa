/* SYN cookies (RFC 4987): 5 bits of time, 3 of MSS, 24 of hash; scale and SACK ride in the
 * timestamp. */
#include "net/stack/tcp/tcp.h"

#define COOKIE_PERIOD_SHIFT 36 /* of nanoseconds: 69 seconds */
#define COOKIE_AGE_MAX      2  /* periods */
#define COOKIE_SCALE_NONE   15
#define COOKIE_SACK         16
#define COOKIE_ECN          32
#define COOKIE_BITS         63 /* of the timestamp */

static const uint16_t cookie_mss[8] = {536, 1220, 1300, 1400, 1440, 1460, 4312, 8960};

static uint32_t cookie_hash(struct stack_tcp *t, const struct tcp_flow *flow, seq32 irs,
                            uint32_t when)
{
    return (uint32_t)tcp_flow_secret(t, flow,
                                     UINT64_C(3) << 56 | (uint64_t)irs.n << 8 | (when & 31)) &
           0xffffff;
}

void tcp_send_cookie(struct stack_tcp *t, struct tcp_embryo *e)
{
    struct tcp_flow flow = {e->local, e->remote, e->local_port, e->remote_port};
    uint32_t when = (uint32_t)(t->stack->now_ns >> COOKIE_PERIOD_SHIFT) & 31, mss = 7;
    while (mss > 0 && cookie_mss[mss] > e->peer_mss)
        mss--;
    e->iss.n = when << 27 | mss << 24 | cookie_hash(t, &flow, e->irs, when);
    uint32_t bits = e->snd_scale == 255 ? COOKIE_SCALE_NONE : e->snd_scale;
    bits |= (e->flags & TCP_USES_SACK ? COOKIE_SACK : 0) | (e->ecn ? COOKIE_ECN : 0);
    if (!(e->flags & TCP_USES_TS)) {
        e->snd_scale = 255;
        e->flags = 0;
        e->ecn = 0;
    }
    /* Never ahead of the clock: the peer would take what follows for old (PAWS). */
    uint32_t now = t->now_ms + e->ts_offset, value = (now & ~(uint32_t)COOKIE_BITS) | bits;
    if (value - now - 1 < COOKIE_BITS)
        value -= COOKIE_BITS + 1;
    t->count.cookies_sent++;
    tcp_send_syn_ack(t, e, value);
}

/* Makes of an ACK the embryo that its cookie stands for. */
bool tcp_read_cookie(struct stack_tcp *t, struct tcp_listener *l, const struct tcp_segment *g,
                     struct tcp_embryo *e)
{
    struct tcp_flow flow = {g->p->dst, g->p->src, g->dst_port, g->src_port};
    uint32_t cookie = seq_sub(g->ack, 1).n, when = cookie >> 27;
    uint32_t now = (uint32_t)(t->stack->now_ns >> COOKIE_PERIOD_SHIFT);
    seq32 irs = seq_sub(g->seq, 1);
    if (((now - when) & 31) > COOKIE_AGE_MAX ||
        (cookie & 0xffffff) != cookie_hash(t, &flow, irs, when))
        return false;
    *e = tcp_read_syn(t, l, g);
    e->iss.n = cookie;
    e->irs = irs;
    e->peer_mss = cookie_mss[cookie >> 24 & 7];
    e->sent_ns = 0;
    e->flags = 0;
    e->ecn = 0;
    e->snd_scale = 255;
    if (g->has_ts) {
        uint32_t scale = g->ts_echo & 15;
        e->flags = TCP_USES_TS | (g->ts_echo & COOKIE_SACK ? TCP_USES_SACK : 0);
        e->ecn = (g->ts_echo & COOKIE_ECN) && t->stack->ecn != STACK_ECN_OFF ? ECN_ON : 0;
        e->snd_scale = scale == COOKIE_SCALE_NONE ? 255 : (uint8_t)scale;
    }
    return true;
}
