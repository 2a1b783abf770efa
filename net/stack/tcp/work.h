/* The work of a connection: what it has only while something is under way. tcp.h says what holds.
 */
#ifndef LEAT_STACK_TCP_WORK_H
#define LEAT_STACK_TCP_WORK_H

#include <leat/buf.h>
#include <leat/timer.h>

#include "net/stack/wire.h"

struct stack;
struct tcp_conn;

#define TCP_OOO_RANGES_MAX  256  /* of one connection; further segments are dropped */
#define TCP_SACK_GROWN      4    /* ranges are told of again in as many ACKs as have room */
#define TCP_SENT_RANGES_MAX 2048 /* of one connection; nothing new is sent meanwhile */

enum tcp_xmit_timer { XMIT_NONE, XMIT_RTO, XMIT_PROBE, XMIT_REORDER, XMIT_PERSIST };

/* A piece of what the application sends. */
struct tcp_chunk {
    struct tcp_chunk *next;
    seq32 seq;
    struct leat_buf buf;
};

enum tcp_sent_flag {
    SENT_SACKED = 1,
    SENT_LOST = 2,
    SENT_RESENT = 4,
    SENT_EVER_RESENT = 8,
    SENT_APP_LIMITED = 16,  /* there was nothing more to send (rate.h) */
    SENT_BY_PORT = 32,      /* its checksum was the port's to fill in */
    SENT_CUT_BY_PORT = 64,  /* and it was cut into segments there */
    SENT_BY_SOFTWARE = 128, /* later, when it was sent again, neither */
};

/* What was accepted and has no sequence numbers yet: file.c. */
struct tcp_later {
    struct tcp_later *next;
    struct leat_buf buf;    /* the whole of it, or ... */
    struct leat_file *file; /* NULL: buf */
    uint64_t offset_bytes, left_bytes;
};

/* A range of sequence numbers that was sent at one time. */
struct tcp_sent {
    struct tcp_sent *next, *prev;
    seq32 from, to;
    uint64_t sent_ns;
    uint64_t delivered_bytes, delivered_ns, first_sent_ns; /* when it was sent: rate.h */
    uint32_t flags;
    uint32_t unused;
};
_Static_assert(sizeof(struct tcp_sent) == 64, "a line");

/* Received bytes where they lie. */
struct tcp_rx {
    struct tcp_rx *next;
    struct stack *stack;
    const uint8_t *data;
    void *handle;
    uint32_t length_bytes, buffer_bytes;
    seq32 seq;
    uint32_t refs;
    uint8_t rx_flags, queue;
};

struct tcp_cubic { /* cubic.c */
    uint64_t epoch_ns;
    double w_max, k, w_est;
    uint32_t prior_cwnd;
    /* HyStart++ */
    uint32_t round_min_us, last_min_us, css_base_us;
    seq32 round_end;
    uint8_t samples, css_rounds;
    bool is_started, in_css;
};

/* What one ACK tells the congestion controller. */
struct cc_sample {
    uint32_t acked_bytes; /* snd_una moved by */
    uint32_t rtt_us;      /* 0: none */
    uint64_t rate_bytes;  /* were delivered within interval_ns */
    uint64_t interval_ns; /* 0: no sample of the rate */
    uint64_t prior_bytes; /* delivered when what is measured was sent */
    bool is_app_limited;  /* the rate is the application's, not the path's */
};

/* What only some connections need, and most of them never: all zeros until it is first written.
 * Whoever writes gets it by tcp_rare. */
struct tcp_rare {
    uint64_t end_ns;       /* when connecting or lingering is over; 0: never */
    uint64_t stuck_ns;     /* since when the peer takes nothing; of use while backoff is not 0 */
    uint64_t pace_next_ns; /* new data not before */
    uint32_t probed_ms;    /* of the last keepalive probe; 0: none */
    uint32_t resent_count; /* segments, for those who look */
    uint32_t progress_ms;  /* since when it has taken less than it should; 0: nothing waits */
    seq32 progress_una;
    struct tcp_later *later_last;
    uint64_t later_bytes;
    /* recovery */
    seq32 recovery_end;
    uint32_t prr_delivered, prr_out, prr_flight;
    uint32_t prr_out_before;        /* when the burst of ACKs began that is worked through */
    uint32_t prr_fresh, prr_credit; /* since then: delivered, and a segment for each ACK */
    seq32 probe_end;
    seq32 dsack_round;
    seq32 ecn_end; /* what was in flight at the last reduction for ECE */
    /* undo.c */
    bool undo_waits_for_ack;
    uint32_t undo_ts;          /* of the first retransmission */
    uint32_t undo_bytes;       /* sent again, and not reported as duplicates */
    seq32 undo_first;          /* end of the first retransmission */
    seq32 undo_from, undo_end; /* where duplicates count */
    seq32 undo_until;          /* once the recovery is over */
    uint32_t undo_cwnd, undo_ssthresh;
    struct tcp_cubic undo_cubic;
    struct tcp_cubic cubic;
    /* out of order */
    struct tcp_rx *ooo_hint;
    uint32_t ooo_count, ooo_bytes;
    seq32 fin_seq;
    seq32 dsack_from, dsack_to; /* what the next SACK option reports first */
    /* a number in each of the ranges that grew last, the latest first: RFC 2018 4 */
    seq32 grown[TCP_SACK_GROWN];
    seq32 grown_end; /* where the latest segment ended */
    uint8_t grown_count;
    uint8_t dup_acks_owed; /* by dup_acks_burst so far, those sent included */
    uint32_t dup_acks_burst;
    struct tcp_work *connecting_next, *connecting_prev; /* while it connects */
};

/* The first five lines are what each request and each ACK reads and writes. */
struct tcp_work {
    struct leat_timer timer; /* first */

    struct tcp_conn *conn;
    struct tcp_work *dirty_next, *deliver_next;
    uint64_t xmit_ns, ack_ns, user_ns, pace_wait_ns; /* deadlines; STACK_NEVER */
    uint8_t xmit_timer;                              /* enum tcp_xmit_timer */
    uint8_t backoff;
    uint16_t probes;
    uint32_t pace_ns_per_kib; /* the controller's; 0: off */

    /* send queue and scoreboard */
    bool is_dirty, wants_deliver;
    bool is_reading; /* later_first, a file */
    bool fin_known;
    bool in_recovery, in_rto_recovery;
    bool probe_out; /* a tail loss probe is unanswered */
    bool probe_was_new;
    struct tcp_chunk *send_first, *send_last,
        *send_hint; /* hint: the chunk of snd_nxt, or before */
    struct tcp_sent *sent_first, *sent_last;
    struct tcp_later *later_first; /* behind send_end */
    seq32 send_end;
    uint32_t sent_count;

    /* scoreboard; RACK, RFC 8985; receive queue */
    uint32_t sacked_bytes, lost_bytes, resent_bytes;
    uint32_t dup_acks;
    uint64_t rack_ns; /* when the most recent delivered range was sent */
    seq32 rack_end;
    uint32_t rack_rtt_us, min_rtt_us;
    seq32 fack;                /* highest sequence number delivered */
    uint32_t unacked_segments; /* received since the last ACK went out */
    seq32 acked_to;            /* what that ACK said: Last.ACK.sent of RFC 7323 */
    struct tcp_rx *rx_first, *rx_last;

    /* the delivery rate: rate.h; receive queue */
    uint64_t delivered_bytes, delivered_ns, first_sent_ns;
    uint64_t app_limited_end; /* in delivered_bytes; 0: not limited */
    uint64_t rate_ns;         /* the last sample; 0: none yet */
    uint32_t rate_bytes;      /* two windows at most */
    uint32_t rx_bytes;
    struct tcp_rx *ooo_first;
    bool has_rare; /* rare is not all zeros */
    bool has_dsack, in_dsack_round;
    bool can_undo;
    bool has_ecn_end;
    bool reordering_seen;
    uint8_t reo_persist; /* recoveries until reo_mult is 1 again */
    uint8_t reo_mult;

    struct tcp_rare rare;
};

#define TCP_WORK_BUSY_BYTES 320

_Static_assert(offsetof(struct tcp_work, conn) == 64, "line 1: lists and deadlines");
_Static_assert(offsetof(struct tcp_work, is_dirty) == 128, "line 2: what is sent");
_Static_assert(offsetof(struct tcp_work, sacked_bytes) == 192, "line 3: what is acknowledged");
_Static_assert(offsetof(struct tcp_work, delivered_bytes) == 256, "line 4: rate and window");
_Static_assert(offsetof(struct tcp_work, rare) == TCP_WORK_BUSY_BYTES, "the rest");

static inline struct tcp_rare *tcp_rare(struct tcp_work *w)
{
    w->has_rare = true;
    return &w->rare;
}

static inline void tcp_work_prefetch(const struct tcp_work *w)
{
    for (unsigned at = 0; at < TCP_WORK_BUSY_BYTES; at += 64)
        __builtin_prefetch((const uint8_t *)w + at);
}

#endif
