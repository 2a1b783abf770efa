/* TCP: RFC 9293 on one core, under the transport contract of leat/conn.h.
 *
 * Objects. A connection block (struct tcp_conn) of four cache lines, all that an idle connection
 * keeps; beside it struct tcp_work, only while something is under way: data unacknowledged, queued
 * or undelivered, a timer, an event. Handshakes of listeners are embryos in a small fixed table,
 * then SYN cookies; TIME_WAIT is a record of one cache line. All three are found through one table
 * by their four-tuple.
 *
 * Send side. Bytes wait in chunks (the application's references) from snd_una to send_end. Segments
 * are always built from the chunks; what was sent is remembered in ranges (struct tcp_sent), sorted
 * by sequence number, with the time of their last transmission: the scoreboard of SACK and RACK.
 *   pipe = (snd_nxt - snd_una) - sacked_bytes - lost_bytes + resent_bytes
 *   sent ranges cover [snd_una, snd_nxt) exactly, SYN and FIN included (tcp_validate).
 *
 * Receive side. Packets wait where they lie (struct tcp_rx) for delivery, in order, or out of order
 * in a sorted list; a payload that is small in a large buffer is copied out. The promised window
 * never shrinks: rcv_edge only grows.
 *
 * A burst: segments change connections and put them on the dirty list; then each dirty connection's
 * callbacks run once; at the end of the turn each dirty connection has one output. */
#ifndef LEAT_STACK_TCP_H
#define LEAT_STACK_TCP_H

#include <leat/io.h>
#include <leat/loop.h>
#include <leat/timer.h>

#include "net/api/slots.h"
#include "net/api/transport.h"
#include "net/stack/stack.h"
#include "net/stack/tcp/table.h"
#include "runtime/os/reader.h"

#define TCP_CONNS_MAX       (SLOTS_COUNT_MAX - 1) /* further ones are refused, and counted */
#define TCP_EMBRYOS_MAX     1024                  /* further handshakes are done by cookie */
#define TCP_TIME_WAIT_MAX   65536                 /* the oldest is forgotten for a newer one */
#define TCP_LISTENERS_MAX   64
#define TCP_OOO_RANGES_MAX  256  /* of one connection; further segments are dropped */
#define TCP_SENT_RANGES_MAX 2048 /* of one connection; nothing new is sent meanwhile */
#define TCP_SLICES_MAX      32   /* one on_data */
#define TCP_POOL_MAX        8192 /* free objects kept of each kind */
#define TCP_PEER_ROWS       2    /* the sketch that counts connections of each address */
#define TCP_PEER_CELLS      4096
/* Received bytes that were copied because they wait; further ones are dropped, and counted. */
#define TCP_COPIED_BYTES_MAX (UINT64_C(256) << 20)
/* What is sent in a turn: no more full segments than frames are polled, so that their ACKs do not
 * come faster than they are looked at, and fill the port's ring. */
#define TCP_TURN_BYTES (LEAT_PORT_BURST * 1448u)

#define TCP_TS_BYTES         12 /* the timestamp option with its padding */
#define TCP_MSS_FLOOR        64
#define TCP_SCALE_MAX        14
#define TCP_RTO_NS_INITIAL   LEAT_NS_PER_S
#define TCP_RTO_NS_MIN       (200 * LEAT_NS_PER_MS)
#define TCP_RTO_NS_MAX       (60 * LEAT_NS_PER_S)
#define TCP_RETRIES_MAX      12                    /* without progress; then the peer is gone */
#define TCP_SYN_RETRIES_MAX  5                     /* of an embryo, which is forgotten then */
#define TCP_DELAYED_ACK_NS   (10 * LEAT_NS_PER_MS) /* decision 16 */
#define TCP_TIME_WAIT_NS     (60 * LEAT_NS_PER_S)
#define TCP_KEEPALIVE_PROBES 5
#define TCP_KEEPALIVE_GAP_NS (10 * LEAT_NS_PER_S)

enum tcp_state {
    TCP_CLOSED, /* waits for its on_close */
    TCP_SYN_SENT,
    TCP_SYN_RCVD, /* after a simultaneous open; passive ones are embryos */
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK,
    TCP_TIME_WAIT, /* waits for its last bytes to be delivered, then becomes a record */
};

enum tcp_flag {
    TCP_USES_TS = 1,
    TCP_USES_SACK = 2,
    TCP_NAGLE = 4,
    TCP_PAUSED = 8,
    TCP_WANTS_WRITABLE = 16,
    TCP_FIN_QUEUED = 32, /* the application ends; FIN follows the last chunk */
    TCP_FIN_SENT = 64,
    TCP_DETACHED = 128,     /* leat_conn_close: only on_close is still called */
    TCP_OPENED = 256,       /* on_open was called */
    TCP_FIN_RECEIVED = 512, /* and in order: rcv_nxt is behind it */
    TCP_END_DELIVERED = 1024,
    TCP_ACK_NOW = 2048,
    TCP_ACK_LATER = 4096,
    TCP_SYN_NOW = 8192, /* SYN or SYN-ACK is to be sent */
    TCP_PASSIVE = 16384,
    TCP_IPV4 = 32768,
};

enum tcp_ecn {
    ECN_ON = 1,   /* both sides agreed */
    ECN_ECHO = 2, /* CE came: ACKs say ECE until CWR comes */
    ECN_CWR = 4,  /* the window was reduced: the next new text says so */
    ECN_ASKED = 8,
};

enum tcp_pressure { PRESSURE_NONE, PRESSURE_TIGHT, PRESSURE_FULL }; /* pressure.c */

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
    seq32 last_ooo, dsack_from, dsack_to; /* what the next SACK option reports first */
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

struct tcp_listener;

struct tcp_conn {
    /* demultiplexing, prediction, sequence state */
    uint64_t id;
    struct ip_addr local, remote;
    be16 local_port, remote_port;
    uint32_t
        predicted; /* bytes 12 and 13 of the header that is expected, without PSH; 0: none is */
    seq32 rcv_nxt, snd_una, snd_nxt;
    uint8_t state; /* enum tcp_state */
    uint8_t snd_scale, rcv_scale;
    uint8_t close_reason;

    /* windows, congestion, timestamps */
    struct tcp_work *work; /* NULL: idle */
    seq32 rcv_edge;        /* the right edge of the window that was promised */
    uint32_t snd_wnd, snd_wnd_max;
    seq32 snd_wl1, snd_wl2;
    uint32_t cwnd, ssthresh; /* bytes */
    uint32_t ts_recent, ts_recent_ms, ts_offset;
    uint16_t mss;   /* payload of a full segment, options taken off */
    uint16_t flags; /* enum tcp_flag */
    uint32_t held_bytes;
    uint32_t idle_since_ms;  /* time of the last byte in either direction */
    uint8_t ecn;             /* enum tcp_ecn */
    uint16_t user_timeout_s; /* 0: R2 counts tries */

    /* application */
    const struct leat_conn_ops *ops;
    void *user;
    uint32_t send_high, send_low, receive_max;
    uint32_t timeout_ms, linger_ms, keepalive_ms;
    uint64_t received_bytes, sent_bytes;
    uint32_t sent_ms; /* of the last data, to restart slowly after idleness */
    uint32_t challenge_ms;

    /* path, estimates */
    struct ip_addr hop;
    struct neighbour_ref neighbour;
    uint16_t mtu_bytes;
    uint16_t peer_mss;
    uint8_t hop_limit, tos;
    bool is_local;
    uint8_t challenges;
    uint32_t srtt_us, rttvar_us, rto_us; /* srtt 0: no sample */
    uint32_t hash;
    seq32 iss, irs;
    struct tcp_listener *listener; /* NULL: outgoing, or the listener is gone */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct tcp_conn) == 256, "four lines");
_Static_assert(offsetof(struct tcp_conn, work) == 64, "line 1: windows and congestion");
_Static_assert(offsetof(struct tcp_conn, ops) == 128, "line 2: application");
_Static_assert(offsetof(struct tcp_conn, hop) == 192, "line 3: path");

static inline void tcp_prefetch(const struct tcp_conn *c)
{
    for (unsigned at = 0; at < sizeof(*c); at += 64)
        __builtin_prefetch((const uint8_t *)c + at);
}
static inline void tcp_work_prefetch(const struct tcp_work *w)
{
    for (unsigned at = 0; at < TCP_WORK_BUSY_BYTES; at += 64)
        __builtin_prefetch((const uint8_t *)w + at);
}

struct tcp_embryo {
    struct ip_addr local, remote;
    be16 local_port, remote_port;
    uint32_t hash;
    seq32 iss, irs;
    uint32_t ts_recent, ts_offset;
    uint16_t peer_mss;
    uint16_t flags;    /* TCP_USES_* */
    uint8_t snd_scale; /* 255: the peer does not scale */
    uint8_t retries;
    uint8_t ecn; /* ECN_ON or 0 */
    uint16_t peer_window;
    uint32_t next, prev; /* in the order of deadlines of one retry count: index + 1 */
    uint64_t due_ns, sent_ns;
    struct tcp_listener *listener; /* NULL: free */
};

struct tcp_time_wait { /* 64 bytes */
    struct ip_addr local, remote;
    be16 local_port, remote_port;
    seq32 snd_nxt, rcv_nxt;
    uint32_t ts_recent;
    uint32_t hash;
    uint32_t next, prev; /* index + 1, by time */
    uint32_t expires_ms;
};
_Static_assert(sizeof(struct tcp_time_wait) == 64, "a line");

struct tcp_listener {
    struct leat_listener listener; /* first */
    struct stack_tcp *tcp;
    struct ip_addr ip;
    bool any; /* every address of the family, or of both */
    bool any_v4, any_v6;
    bool paused;
    uint16_t port;
    struct leat_listen_options options;
    const struct leat_conn_ops *ops;
    void *user;
    uint32_t embryo_count;
};

struct tcp_pool {
    void *first;
    uint32_t free_count, live_count;
    uint32_t bytes;
};

#define TCP_COUNTERS(X)                                                                            \
    X(opened_active)                                                                               \
    X(opened_passive)                                                                              \
    X(closed)                                                                                      \
    X(resets_sent)                                                                                 \
    X(resets_received)                                                                             \
    X(segments_in)                                                                                 \
    X(segments_out)                                                                                \
    X(predicted)                                                                                   \
    X(retransmitted)                                                                               \
    X(rtos)                                                                                        \
    X(probes)                                                                                      \
    X(fast_recoveries)                                                                             \
    X(undone)                                                                                      \
    X(cookies_sent)                                                                                \
    X(cookies_received)                                                                            \
    X(challenges)                                                                                  \
    X(delayed_acks)                                                                                \
    X(persists)                                                                                    \
    X(ce_received)                                                                                 \
    X(ecn_reductions)                                                                              \
    X(compacted)                                                                                   \
    X(ooo)                                                                                         \
    X(dup_acks)                                                                                    \
    X(slow_readers)                                                                                \
    X(time_waits)                                                                                  \
    X(rekeys)                                                                                      \
    X(time_wait_reused)                                                                            \
    X(icmp_too_big)

/* Tools read them by these names: net/watch/counters_blocks.c. */
struct tcp_counters {
#define LEAT_X(name) uint64_t name;
    TCP_COUNTERS(LEAT_X)
#undef LEAT_X
};

struct stack_tcp {
    struct leat_transport transport; /* first */
    struct stack *stack;
    struct leat_loop *loop;
    uint32_t now_ms;
    struct slots conns;
    struct tcp_table table;
    uint32_t rekeyed_ms;
    struct tcp_work *dirty_first, **dirty_last;
    struct tcp_work *deliver_first, **deliver_last; /* those that want it: all are dirty, too */
    bool in_burst, pended, close_pended;
    bool has_more; /* after tcp_flush: what the port would take, and the next turn sends */
    uint64_t turn_end_bytes;                  /* of all that was ever sent */
    uint32_t closed_first, closed_last;       /* index + 1, linked by hash: wait for on_close */
    struct tcp_rx *delivered[TCP_SLICES_MAX]; /* of the on_data that runs */
    unsigned delivered_count;

    struct tcp_listener *listeners[TCP_LISTENERS_MAX];
    uint32_t listener_count;
    struct tcp_embryo *embryos;
    uint32_t embryo_free, embryo_count;
    uint32_t embryo_first[8], embryo_last[8]; /* queues by retry count */
    struct tcp_time_wait *time_waits;         /* grows by doubling up to TCP_TIME_WAIT_MAX */
    uint32_t time_wait_capacity, time_wait_count, time_wait_free, time_wait_first, time_wait_last;
    struct leat_timer timer; /* embryos and TIME_WAIT */

    /* pressure.c */
    uint64_t copied_bytes, copied_bytes_max;
    uint32_t pressure; /* enum tcp_pressure */
    uint32_t pressure_ms, pressure_scan, pressure_calm;
    uint32_t peer_conns_max; /* of one address; 0: a share, and only when it is crowded */
    struct leat_timer pressure_timer;
    uint32_t peers[TCP_PEER_ROWS][TCP_PEER_CELLS];

    struct tcp_pool works, chunks, laters, sents, rxs;
    struct reader *reader; /* NULL: no file was sent yet */
    struct token_bucket reset_bucket;
    uint32_t port_counter;
    uint32_t zero_listens; /* listeners on port 0 so far */
    struct tcp_counters count;
};

/* A segment on its way through the steps of RFC 9293 3.10.7. */
struct tcp_segment {
    struct rx_packet *p;
    const uint8_t *data;
    uint32_t length; /* of the payload */
    seq32 seq, ack;
    uint16_t window; /* unscaled */
    uint8_t flags;
    uint8_t option_bytes;
    be16 src_port, dst_port;
    const uint8_t *options;
    const struct tcp_work *work; /* its connection's when the burst came: to prefetch by */
    /* of the options, when parsed */
    bool has_ts, has_scale, sack_ok;
    uint8_t scale, sack_count;
    uint16_t mss; /* 0: none */
    uint32_t ts_value, ts_echo;
    seq32 sack[4][2];
};

static inline uint32_t tcp_segment_span(const struct tcp_segment *g)
{
    return g->length + ((g->flags & TCP_SYN) != 0) + ((g->flags & TCP_FIN) != 0);
}

/* Accepted and not acknowledged. */
static inline uint64_t tcp_queued_bytes(const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    if (w == NULL)
        return 0;
    return (seq_lt(c->snd_una, w->send_end) ? seq_span(c->snd_una, w->send_end) : 0) +
           (w->later_first != NULL ? w->rare.later_bytes : 0);
}

static inline bool is_synchronised(const struct tcp_conn *c)
{
    return c->state >= TCP_ESTABLISHED;
}

/* tcp.c: life of the module */
int tcp_init(struct stack *s, struct leat_loop *loop, struct leat_error *error) LEAT_MUST_CHECK;
void tcp_fini(struct stack *s);
void tcp_dirty(struct tcp_conn *c);
struct tcp_work *tcp_work_of(struct tcp_conn *c); /* NULL: out of memory */
void tcp_work_end(struct tcp_conn *c);
void tcp_work_free(struct stack_tcp *t, struct tcp_work *w);
void *tcp_pool_take(struct tcp_pool *pool);
void tcp_pool_give(struct tcp_pool *pool, void *object);
static inline struct stack_tcp *tcp_of(const struct tcp_conn *c);

/* validate.c */
bool tcp_rare_is_zero(const struct tcp_work *w);
/* A sentence that says which invariant does not hold, or NULL. Between two turns. */
const char *tcp_invalid(const struct tcp_conn *c);
/* Counts, lists and the table, each counted anew. */
const char *tcp_invalid_counts(struct stack_tcp *t);
/* CHECKs the first. */
void tcp_validate(struct stack_tcp *t, struct tcp_conn *c);

/* options.c */
bool tcp_parse_options(struct tcp_segment *g);
unsigned tcp_write_syn_options(uint8_t *to, uint16_t mss, int scale, bool sack, bool ts,
                               uint32_t value, uint32_t echo);
/* {NOP, NOP, timestamp}, to be sent alone. */
unsigned tcp_write_ts(uint8_t *to, uint32_t value, uint32_t echo);
unsigned tcp_write_options(const struct stack_tcp *t, struct tcp_conn *c, uint8_t *to);

/* input.c */
void tcp_input_burst(struct stack *s);
bool tcp_matches(void *owner, uint32_t reference, const struct tcp_flow *flow);
/* The steps for a segment of a connection, prediction apart. */
void tcp_conn_input(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g);
void tcp_icmp(struct stack *s, const struct icmp_report *report);

/* ack.c, recovery.c: RFC 9293 step 5, 6675, 8985, 6937 */
bool tcp_ack(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g);
void tcp_recover(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
                 uint32_t acked_bytes, uint32_t delivered_bytes, bool had_dsack);
void tcp_mark_all_lost(struct tcp_conn *c);
void tcp_mark_lost(struct tcp_work *w, struct tcp_sent *r);
bool tcp_rack_detect(struct stack_tcp *t, struct tcp_conn *c, uint64_t *due_ns);
void tcp_enter_recovery(struct stack_tcp *t, struct tcp_conn *c);
uint32_t tcp_pipe(const struct tcp_conn *c);
uint32_t tcp_send_allowance(const struct tcp_conn *c);
struct tcp_sent *tcp_sent_split(struct stack_tcp *t, struct tcp_work *w, struct tcp_sent *r,
                                seq32 at);
void tcp_sent_remove(struct stack_tcp *t, struct tcp_work *w, struct tcp_sent *r);

/* cubic.c: the congestion controller; all in bytes. It sets cwnd, ssthresh, and pace_ns_per_kib if
 * it wants the segments of a window apart in time (CUBIC leaves that off). */
void cc_init(struct tcp_conn *c);
void cc_ack(struct stack_tcp *t, struct tcp_conn *c, const struct cc_sample *sample);
void cc_loss(struct stack_tcp *t, struct tcp_conn *c);
void cc_rto(struct stack_tcp *t, struct tcp_conn *c);
void cc_ecn(struct stack_tcp *t, struct tcp_conn *c);
void cc_save(struct tcp_conn *c); /* before a reduction that may be undone */
void cc_undo(struct tcp_conn *c);
void cc_idle(struct stack_tcp *t, struct tcp_conn *c);

/* undo.c: spurious recoveries and timeouts, RFC 3522, 3708, 4015 */
void tcp_undo_arm(struct tcp_conn *c);
void tcp_undo_resent(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_sent *r);
void tcp_undo_check(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
                    uint32_t acked_bytes, bool had_dsack);

/* output.c */
enum tcp_stop {
    TCP_STOP_NONE, /* all that may be sent now was sent */
    TCP_STOP_TURN, /* the turn's bytes were sent, and there is more */
    TCP_STOP_PORT, /* the port or its backlog took no more */
};
enum tcp_stop tcp_output(struct stack_tcp *t, struct tcp_conn *c);
void tcp_send_ack(struct stack_tcp *t, struct tcp_conn *c);
void tcp_send_probe(struct stack_tcp *t, struct tcp_conn *c); /* keepalive, zero window */
void tcp_send_reset(struct stack_tcp *t, struct tcp_conn *c);
bool tcp_resend(struct stack_tcp *t, struct tcp_conn *c, struct tcp_sent *r);
bool tcp_has_unsent(const struct tcp_conn *c);

/* A segment without a connection: all of its fields, swapped ends already. */
struct tcp_reply {
    const struct ip_addr *src, *dst;
    be16 src_port, dst_port;
    seq32 seq, ack;
    uint8_t flags;
    uint16_t window;
    const uint8_t *options;
    unsigned option_bytes;
};
void tcp_send_reply(struct stack_tcp *t, const struct tcp_reply *r);
/* RFC 9293 3.10.7.1: the RST that answers a segment, rate-limited. */
void tcp_reset_segment(struct stack_tcp *t, const struct tcp_segment *g);
void tcp_update_mss(struct tcp_conn *c);

/* receive.c */
void tcp_receive(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *from);
void tcp_deliver(struct stack_tcp *t);
/* The connection has something for its callbacks. */
void tcp_want_deliver(struct stack_tcp *t, struct tcp_conn *c);
uint32_t tcp_window(const struct tcp_conn *c); /* what may be promised now */
bool tcp_window_may_grow(const struct tcp_conn *c);
bool tcp_window_update_due(const struct tcp_conn *c);
void tcp_drop_received(struct stack_tcp *t, struct tcp_conn *c);
void tcp_rx_unref(struct tcp_rx *rx);
struct leat_buf tcp_hold(struct stack_tcp *t, struct tcp_conn *c, struct leat_buf slice);

/* timer.c */
void tcp_set_timer(struct tcp_conn *c);
uint64_t tcp_due_ns(const struct tcp_work *w); /* the earliest of its deadlines */
void tcp_on_timer(struct leat_timer *timer, void *arg);
void tcp_arm_rto(struct stack_tcp *t, struct tcp_conn *c);
void tcp_arm_xmit(struct stack_tcp *t, struct tcp_conn *c); /* RTO, probe or none, as it is */
void tcp_rtt_sample(struct tcp_conn *c, uint32_t rtt_us);
void tcp_rto_compute(struct tcp_conn *c);
void tcp_arm_user(struct stack_tcp *t, struct tcp_conn *c);

/* ecn.c: RFC 3168 */
bool tcp_ecn_is_asked(const struct stack_tcp *t, const struct tcp_segment *g); /* by a SYN */
void tcp_ecn_take_syn(struct tcp_conn *c, const struct tcp_segment *g);
uint8_t tcp_ecn_syn_flags(const struct tcp_conn *c);
uint8_t tcp_ecn_mark(struct tcp_conn *c, bool is_new_text, struct path *path);
void tcp_ecn_take_text(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g);
void tcp_ecn_take_echo(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g);
void tcp_ecn_reduced(struct tcp_conn *c);

/* file.c: what waits behind the send stream. Return 0, or -ENOMEM; bufs: takes the references */
int tcp_later_file(struct stack_tcp *t, struct tcp_conn *c, struct leat_file *file,
                   uint64_t offset_bytes, uint64_t length_bytes);
int tcp_later_bufs(struct stack_tcp *t, struct tcp_conn *c, const struct leat_buf *bufs,
                   unsigned count);
void tcp_later_drop(struct stack_tcp *t, struct tcp_work *w);
void tcp_later_advance(struct stack_tcp *t, struct tcp_conn *c);
bool tcp_has_numbers_for(const struct tcp_conn *c, uint64_t bytes);
int tcp_reader_ready(struct stack_tcp *t); /* 0, or -errno with a sentence */

/* rekey.c */
void tcp_rekey(struct stack_tcp *t);

/* listen.c: listeners, embryos, cookies */
struct tcp_listener *tcp_find_listener(struct stack_tcp *t, const struct ip_addr *ip,
                                       uint16_t port);
void tcp_listen_input(struct stack_tcp *t, struct tcp_segment *g);
void tcp_embryo_input(struct stack_tcp *t, struct tcp_embryo *e, struct tcp_segment *g);
void tcp_embryo_free(struct stack_tcp *t, struct tcp_embryo *e);
uint64_t tcp_embryo_tick(struct stack_tcp *t);
seq32 tcp_initial_seq(struct stack_tcp *t, const struct tcp_flow *flow);
uint32_t tcp_ts_offset(struct stack_tcp *t, const struct tcp_flow *flow);

/* conn.c: the transport's functions, and life of a connection */
extern const struct leat_transport_ops tcp_transport_ops;
struct tcp_conn *tcp_conn_new(struct stack_tcp *t, const struct tcp_flow *flow, uint32_t hash,
                              const struct leat_conn_options *options);
/* Connections from that address of ours end: it was taken away. */
void tcp_address_gone(struct stack *s, const struct ip_addr *ip);
void tcp_conn_close(struct stack_tcp *t, struct tcp_conn *c, enum leat_close_reason reason);
void tcp_push_chunk(struct tcp_work *w, struct tcp_chunk *k, struct leat_buf buf);
void tcp_start_linger(struct stack_tcp *t, struct tcp_conn *c);
void tcp_settle(struct stack_tcp *t, struct tcp_conn *c);
/* The timer of embryos and TIME_WAIT has work at at_ns. */
void tcp_slow_due(struct stack_tcp *t, uint64_t at_ns);
void tcp_run_closed(struct stack_tcp *t);
/* Output of the dirty connections, in turn, until the turn's bytes were sent. */
void tcp_flush(struct stack_tcp *t);
void tcp_path(const struct tcp_conn *c, struct path *path);
void tcp_challenge(struct stack_tcp *t, struct tcp_conn *c);
void tcp_established(struct stack_tcp *t, struct tcp_conn *c);
void tcp_push_sent(struct stack_tcp *t, struct tcp_conn *c, seq32 from, seq32 to);
uint8_t tcp_scale_for(uint32_t receive_max);
struct leat_addr tcp_to_addr(const struct ip_addr *ip, be16 port);

/* pressure.c */
void tcp_pressure_init(struct stack_tcp *t);
void tcp_pressure_fini(struct stack_tcp *t);
void tcp_pressure_look(struct stack_tcp *t);  /* once per burst */
void tcp_pressure_crowd(struct stack_tcp *t); /* there is one more */
/* The largest window to promise under pressure. */
uint32_t tcp_pressure_window(const struct stack_tcp *t, const struct tcp_conn *c);
/* One more or one less connection that was let in from peer. */
void tcp_peer_count(struct stack_tcp *t, const struct ip_addr *peer, int change);
/* Whether peer may have one more; false: counted. */
bool tcp_lets_in(struct stack_tcp *t, const struct ip_addr *peer);

/* time_wait.c */
void tcp_time_wait_add(struct stack_tcp *t, const struct tcp_conn *c);
/* True: the segment is a SYN that opens anew (RFC 6191); the record is gone. */
bool tcp_time_wait_input(struct stack_tcp *t, uint32_t index, const struct tcp_segment *g);
uint64_t tcp_time_wait_tick(struct stack_tcp *t);
void tcp_time_wait_remove(struct stack_tcp *t, uint32_t index);

static inline struct stack_tcp *tcp_of(const struct tcp_conn *c)
{
    (void)c;
    return (struct stack_tcp *)leat_core_now->transports[LEAT_TRANSPORT_STACK];
}

#endif
