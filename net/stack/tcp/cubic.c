/* Congestion control: CUBIC (RFC 9438) with HyStart++ (RFC 9406), initial window of RFC 6928.
 *
 * The rest of TCP knows only the functions cc_*; windows are in bytes, CUBIC's own figures in
 * segments, as the RFC has them. */
#include "net/stack/tcp/tcp.h"

#define CUBIC_C    0.4
#define CUBIC_BETA 0.7

enum { HYSTART_SAMPLES = 8, HYSTART_LIMIT = 8, CSS_DIVISOR = 4, CSS_ROUNDS = 5 };
enum { HYSTART_RTT_US_MIN = 4000, HYSTART_RTT_US_MAX = 16000 };

static uint32_t initial_window(const struct tcp_conn *c)
{
    uint32_t floor = 14600 > 2u * c->mss ? 14600 : 2u * c->mss;
    return 10u * c->mss < floor ? 10u * c->mss : floor;
}

void cc_init(struct tcp_conn *c)
{
    c->cwnd = initial_window(c);
    c->ssthresh = UINT32_MAX;
}

static struct tcp_cubic *cubic_of(struct tcp_conn *c)
{
    struct tcp_cubic *q = &tcp_rare(c->work)->cubic;
    if (unlikely(!q->is_started))
        *q = (struct tcp_cubic){.round_min_us = UINT32_MAX,
                                .last_min_us = UINT32_MAX,
                                .round_end = c->snd_nxt,
                                .is_started = true};
    return q;
}

static void start_round(struct tcp_conn *c)
{
    struct tcp_cubic *q = cubic_of(c);
    q->last_min_us = q->round_min_us;
    q->round_min_us = UINT32_MAX;
    q->samples = 0;
    q->round_end = c->snd_nxt;
}

/* Cube root by Halley's iteration; x >= 0. */
static double cube_root(double x)
{
    double y = x > 1 ? x / 3 + 1 : 1;
    for (unsigned i = 0; i < 40; i++) {
        double cube = y * y * y, next = y * (cube + 2 * x) / (2 * cube + x);
        if (next == y)
            break;
        y = next;
    }
    return y;
}

/* RFC 9406 4.2: leaves slow start when the round trip grows. */
static void hystart_step(struct tcp_conn *c, uint32_t rtt_us)
{
    struct tcp_cubic *q = cubic_of(c);
    if (rtt_us == 0)
        return;
    if (rtt_us < q->round_min_us)
        q->round_min_us = rtt_us;
    q->samples = (uint8_t)(q->samples < 255 ? q->samples + 1 : 255);
    if (q->samples < HYSTART_SAMPLES || q->last_min_us == UINT32_MAX)
        return;
    uint32_t step = q->last_min_us / 8;
    step = step < HYSTART_RTT_US_MIN ? HYSTART_RTT_US_MIN : step;
    step = step > HYSTART_RTT_US_MAX ? HYSTART_RTT_US_MAX : step;
    if (!q->in_css && q->round_min_us >= q->last_min_us + step) {
        q->in_css = true;
        q->css_rounds = 0;
        q->css_base_us = q->round_min_us;
    } else if (q->in_css && q->round_min_us < q->css_base_us) {
        q->in_css = false; /* it was a fluke: slow start goes on */
    }
}

static void slow_start(struct tcp_conn *c, uint32_t acked, uint32_t rtt_us)
{
    struct tcp_cubic *q = cubic_of(c);
    uint32_t most = HYSTART_LIMIT * (uint32_t)c->mss;
    uint32_t grow = acked < most ? acked : most;
    c->cwnd += q->in_css ? grow / CSS_DIVISOR : grow;
    hystart_step(c, rtt_us);
    if (seq_ge(c->snd_una, q->round_end)) {
        if (q->in_css && ++q->css_rounds >= CSS_ROUNDS)
            c->ssthresh = c->cwnd;
        start_round(c);
    }
}

static void start_epoch(struct tcp_conn *c, uint64_t now_ns)
{
    struct tcp_cubic *q = cubic_of(c);
    double cwnd = (double)c->cwnd / c->mss;
    q->epoch_ns = now_ns;
    q->w_est = cwnd;
    if (q->w_max <= cwnd) {
        q->w_max = cwnd;
        q->k = 0;
    } else {
        q->k = cube_root((q->w_max - cwnd) / CUBIC_C);
    }
}

/* RFC 9438 4.2 to 4.5 */
static void avoid_congestion(struct stack_tcp *t, struct tcp_conn *c, uint32_t acked)
{
    struct tcp_cubic *q = cubic_of(c);
    uint64_t now_ns = t->stack->now_ns;
    if (q->epoch_ns == 0)
        start_epoch(c, now_ns);
    double mss = c->mss, cwnd = c->cwnd / mss, segments = acked / mss;
    double at = (double)(now_ns - q->epoch_ns + c->srtt_us * 1000ull) / 1e9 - q->k;
    double target = CUBIC_C * at * at * at + q->w_max;
    target = target < cwnd ? cwnd : target > 1.5 * cwnd ? 1.5 * cwnd : target;
    double alpha = q->w_est >= q->prior_cwnd / mss ? 1 : 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA);
    q->w_est += alpha * segments / cwnd;
    if (target < q->w_est)
        cwnd = q->w_est > cwnd ? q->w_est : cwnd;
    else
        cwnd += (target - cwnd) / cwnd * segments;
    c->cwnd = (uint32_t)(cwnd * mss);
}

void cc_ack(struct stack_tcp *t, struct tcp_conn *c, const struct cc_sample *sample)
{
    if (c->cwnd < c->ssthresh)
        slow_start(c, sample->acked_bytes, sample->rtt_us);
    else
        avoid_congestion(t, c, sample->acked_bytes);
    if (c->cwnd > UINT32_C(1) << 30)
        c->cwnd = UINT32_C(1) << 30;
}

/* RFC 9438 4.6 and 4.7. From the window itself, since one that is not used does not grow; but
 * during a recovery it is what PRR lets out, and what is in flight tells more. */
static void window_reduce(struct tcp_conn *c)
{
    struct tcp_cubic *q = cubic_of(c);
    uint32_t window = c->work->in_recovery ? seq_span(c->snd_una, c->snd_nxt) : c->cwnd;
    double cwnd = (double)window / c->mss;
    q->w_max = cwnd < q->w_max ? cwnd * (1 + CUBIC_BETA) / 2 : cwnd;
    q->prior_cwnd = window;
    q->epoch_ns = 0;
    uint32_t ssthresh = (uint32_t)(window * CUBIC_BETA);
    c->ssthresh = ssthresh > 2u * c->mss ? ssthresh : 2u * c->mss;
}

void cc_loss(struct stack_tcp *t, struct tcp_conn *c)
{
    (void)t;
    window_reduce(c); /* cwnd follows through PRR */
}

void cc_rto(struct stack_tcp *t, struct tcp_conn *c)
{
    (void)t;
    window_reduce(c);
    c->cwnd = c->mss; /* RFC 5681 3.1: the loss window */
}

void cc_save(struct tcp_conn *c)
{
    struct tcp_rare *rare = tcp_rare(c->work);
    rare->undo_cwnd = c->cwnd;
    rare->undo_ssthresh = c->ssthresh;
    rare->undo_cubic = rare->cubic;
}

/* RFC 9438 4.9 */
void cc_undo(struct tcp_conn *c)
{
    struct tcp_rare *rare = tcp_rare(c->work);
    if (rare->undo_cwnd > c->cwnd)
        c->cwnd = rare->undo_cwnd;
    if (rare->undo_ssthresh > c->ssthresh)
        c->ssthresh = rare->undo_ssthresh;
    rare->cubic = rare->undo_cubic;
}

/* RFC 3168 6.1.2: as if a segment had been lost. */
void cc_ecn(struct stack_tcp *t, struct tcp_conn *c)
{
    cc_loss(t, c);
    if (c->cwnd > c->ssthresh)
        c->cwnd = c->ssthresh;
}

/* RFC 5681 4.1: after an idle time of one RTO the window starts anew. */
void cc_idle(struct stack_tcp *t, struct tcp_conn *c)
{
    uint32_t initial = initial_window(c);
    if (t->now_ms - c->sent_ms > c->rto_us / 1000 && c->cwnd > initial)
        c->cwnd = initial;
}
