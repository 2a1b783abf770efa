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

#include "buffers/slots.h"
#include "net/api/transport.h"
#include "net/stack/stack.h"
#include "net/stack/tcp/conn.h"
#include "net/stack/tcp/table.h"

#define TCP_CONNS_MAX     (SLOTS_COUNT_MAX - 1) /* further ones are refused, and counted */
#define TCP_EMBRYOS_MAX   1024                  /* further handshakes are done by cookie */
#define TCP_TIME_WAIT_MAX 65536                 /* the oldest is forgotten for a newer one */
#define TCP_LISTENERS_MAX 64
#define TCP_SLICES_MAX    32   /* one on_data */
#define TCP_POOL_MAX      8192 /* free objects kept of each kind */
#define TCP_PEER_ROWS     2    /* the sketch that counts connections of each address */
#define TCP_PEER_CELLS    4096
/* Received bytes that were copied because they wait; further ones are dropped, and counted. */
#define TCP_COPIED_BYTES_MAX (UINT64_C(256) << 20)
/* What is sent in a turn: no more full segments than frames are polled, so that their ACKs do not
 * come faster than they are looked at, and fill the port's ring. */
#define TCP_TURN_BYTES (LEAT_PORT_BURST * 1448u)

#define TCP_EPHEMERAL_FIRST 32768
#define TCP_EPHEMERAL_COUNT 28232

#define TCP_TS_BYTES         12 /* the timestamp option with its padding */
#define TCP_MSS_FLOOR        64
#define TCP_SCALE_MAX        14
#define TCP_RTO_NS_INITIAL   LEAT_NS_PER_S
#define TCP_RTO_NS_MARGIN    (200 * LEAT_NS_PER_MS) /* over the round trip, at least */
#define TCP_RTO_NS_MAX       (60 * LEAT_NS_PER_S)
#define TCP_RETRIES_MAX      12                    /* without progress; then the peer is gone */
#define TCP_SYN_RETRIES_MAX  5                     /* of an embryo, which is forgotten then */
#define TCP_DELAYED_ACK_NS   (10 * LEAT_NS_PER_MS) /* decision 16 */
#define TCP_TIME_WAIT_NS     (60 * LEAT_NS_PER_S)
#define TCP_KEEPALIVE_PROBES 5
#define TCP_KEEPALIVE_GAP_NS (10 * LEAT_NS_PER_S)

enum tcp_pressure { PRESSURE_NONE, PRESSURE_TIGHT, PRESSURE_FULL }; /* pressure.c */

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
    bool is_shut;   /* tcp_shut has begun */
    uint32_t burst; /* its number */
    bool has_more;  /* after tcp_flush: what the port would take, and the next turn sends */
    uint64_t turn_end_bytes;                  /* of all that was ever sent */
    uint32_t closed_first, closed_last;       /* index + 1, linked by hash: wait for on_close */
    struct tcp_rx *delivered[TCP_SLICES_MAX]; /* of the on_data that runs */
    unsigned delivered_count;

    struct tcp_work *connecting_first; /* outgoing ones that are not established */
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

/* tcp.c: life of the module */
int tcp_init(struct stack *s, struct leat_loop *loop, struct leat_error *error) LEAT_MUST_CHECK;
/* Resets and closes all connections with LEAT_CLOSE_SHUTDOWN, on_close included; none can be opened
 * any more. Listeners stay. Twice is once. */
void tcp_shut(struct stack *s);
void tcp_fini(struct stack *s); /* tcp_shut, and frees all */
/* The timer of embryos and TIME_WAIT has work at at_ns. */
void tcp_slow_due(struct stack_tcp *t, uint64_t at_ns);

/* pool.c */
void tcp_pool_init(struct tcp_pool *pool, size_t bytes);
void tcp_pool_fini(struct tcp_pool *pool);
void *tcp_pool_take(struct tcp_pool *pool); /* NULL: out of memory */
void tcp_pool_give(struct tcp_pool *pool, void *object);

/* work.c: the work of connections, and the lists of those that have some */
struct tcp_work *tcp_work_of(struct tcp_conn *c); /* NULL: out of memory, counted */
void tcp_work_end(struct tcp_conn *c);
void tcp_work_free(struct stack_tcp *t, struct tcp_work *w);
void tcp_dirty(struct tcp_conn *c);
/* The connection has something for its callbacks. */
void tcp_want_deliver(struct stack_tcp *t, struct tcp_conn *c);
/* Output of the dirty connections, in turn, until the turn's bytes were sent. */
void tcp_flush(struct stack_tcp *t);
static inline struct stack_tcp *tcp_of(const struct tcp_conn *c);

/* validate.c */
bool tcp_rare_is_zero(const struct tcp_work *w);
/* A sentence that says which invariant does not hold, or NULL. Between two turns. */
const char *tcp_invalid(const struct tcp_conn *c);
/* Counts, lists and the table, each counted anew. */
const char *tcp_invalid_counts(struct stack_tcp *t);
/* CHECKs the first. */
void tcp_validate(struct stack_tcp *t, struct tcp_conn *c);

/* What becomes of a segment after a step of RFC 9293 3.10.7. */
enum tcp_step {
    TCP_STEP_NEXT,    /* the next step follows */
    TCP_STEP_DROPPED, /* that was all; the reason is counted */
};

/* options.c. Whether they are well formed; what was read of them is in g then. */
bool tcp_parse_options(struct tcp_segment *g) LEAT_MUST_CHECK;
unsigned tcp_write_syn_options(uint8_t *to, uint16_t mss, int scale, bool sack, bool ts,
                               uint32_t value, uint32_t echo);
/* {NOP, NOP, timestamp}, to be sent alone. */
unsigned tcp_write_ts(uint8_t *to, uint32_t value, uint32_t echo);
unsigned tcp_write_options(const struct stack_tcp *t, struct tcp_conn *c, uint8_t *to);

/* input.c */
void tcp_input_burst(struct stack *s);
bool tcp_matches(void *owner, uint32_t reference, const struct tcp_flow *flow);

/* steps.c: a segment of a connection, prediction apart */
void tcp_conn_input(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g);
void tcp_established(struct stack_tcp *t, struct tcp_conn *c);
void tcp_challenge(struct stack_tcp *t, struct tcp_conn *c);

/* icmp.c */
void tcp_icmp(struct stack *s, const struct icmp_report *report);

/* ack.c, recovery.c: RFC 9293 step 5, 6675, 8985, 6937 */
enum tcp_step tcp_ack(struct stack_tcp *t, struct tcp_conn *c,
                      const struct tcp_segment *g) LEAT_MUST_CHECK;
void tcp_recover(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g,
                 uint32_t acked_bytes, uint32_t delivered_bytes, bool had_dsack);
void tcp_mark_all_lost(struct tcp_conn *c);
void tcp_mark_lost(struct tcp_work *w, struct tcp_sent *r);
bool tcp_rack_detect(struct stack_tcp *t, struct tcp_conn *c, uint64_t *due_ns);
void tcp_enter_recovery(struct stack_tcp *t, struct tcp_conn *c);
void tcp_rack_timeout(struct stack_tcp *t, struct tcp_conn *c);
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
bool tcp_resend(struct stack_tcp *t, struct tcp_conn *c, struct tcp_sent *r);
bool tcp_has_unsent(const struct tcp_conn *c);
void tcp_push_sent(struct stack_tcp *t, struct tcp_conn *c, seq32 from, seq32 to);

/* segment.c. One segment, or several that the hardware cuts, of length bytes from seq on: returns
 * the payload bytes sent, or -1: no room. */
int64_t tcp_emit(struct stack_tcp *t, struct tcp_conn *c, seq32 seq, uint32_t length,
                 uint8_t flags);
void tcp_send_ack(struct stack_tcp *t, struct tcp_conn *c);
void tcp_send_probe(struct stack_tcp *t, struct tcp_conn *c); /* keepalive, zero window */
void tcp_send_reset(struct stack_tcp *t, struct tcp_conn *c);
void tcp_path(const struct tcp_conn *c, struct path *path);
void tcp_update_mss(struct tcp_conn *c);
/* What a SYN of ours says: what the link has room for, or less if --mss does. */
uint16_t tcp_our_mss(const struct stack *s, bool is_v4);
/* The chunk that has seq, or NULL. */
struct tcp_chunk *tcp_chunk_of(const struct tcp_work *w, seq32 seq);
uint8_t tcp_syn_flags(const struct tcp_conn *c); /* of a SYN or SYN-ACK, ECN's with them */
/* After a second timeout nothing is left to the port: perhaps it is to blame. */
bool tcp_is_doubtful(const struct tcp_conn *c);

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

/* receive.c */
void tcp_receive(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *from);
bool tcp_text_waits(const struct tcp_conn *c); /* for the application */

/* ooo.c: what came out of order. The next ACK reports [from, to) as a duplicate: RFC 2883. */
void tcp_set_dsack(struct tcp_work *w, seq32 from, seq32 to);
void tcp_ooo_insert(struct stack_tcp *t, struct tcp_conn *c, struct tcp_segment *g);
/* Moves what became contiguous to the receive queue. */
void tcp_ooo_pull(struct tcp_conn *c);

/* rx.c: received bytes. Keeping and copying return NULL without memory. */
struct tcp_rx *tcp_rx_keep(struct stack_tcp *t, const struct tcp_segment *g);
struct tcp_rx *tcp_rx_copy(struct stack_tcp *t, const struct tcp_segment *g);
/* Whether the segment was copied behind rx, an own copy that has room and ends where it begins. */
bool tcp_rx_append(struct tcp_rx *rx, const struct tcp_segment *g);
/* Not to be kept where it lies: the buffer is much larger, or the port needs it. */
bool tcp_rx_is_wasteful(const struct stack_tcp *t, const struct tcp_segment *g);
void tcp_rx_enqueue(struct tcp_work *w, struct tcp_rx *rx);
void tcp_rx_unref(struct tcp_rx *rx);
void tcp_drop_received(struct stack_tcp *t, struct tcp_conn *c);
struct leat_buf tcp_hold(struct stack_tcp *t, struct tcp_conn *c, struct leat_buf slice);

/* deliver.c */
void tcp_deliver(struct stack_tcp *t);

/* window.c */
uint32_t tcp_window(const struct tcp_conn *c); /* what may be promised now */
bool tcp_window_may_grow(const struct tcp_conn *c);
bool tcp_window_update_due(const struct tcp_conn *c);
uint8_t tcp_scale_for(uint32_t receive_max);

/* timer.c */
void tcp_set_timer(struct tcp_conn *c);
uint64_t tcp_due_ns(const struct tcp_work *w); /* the earliest of its deadlines */
void tcp_on_timer(struct leat_timer *timer, void *arg);
void tcp_arm_rto(struct stack_tcp *t, struct tcp_conn *c);
void tcp_arm_xmit(struct stack_tcp *t, struct tcp_conn *c); /* RTO, probe or none, as it is */
void tcp_arm_probe_again(struct stack_tcp *t, struct tcp_conn *c); /* new data was sent */
void tcp_rtt_sample(struct tcp_conn *c, uint32_t rtt_us);
void tcp_rto_compute(struct tcp_conn *c);
void tcp_arm_user(struct stack_tcp *t, struct tcp_conn *c);
void tcp_user_timeout_changed(struct tcp_conn *c);

/* ecn.c: RFC 3168 */
bool tcp_ecn_is_asked(const struct stack_tcp *t, const struct tcp_segment *g); /* by a SYN */
void tcp_ecn_on_syn(struct tcp_conn *c, const struct tcp_segment *g);
uint8_t tcp_ecn_syn_flags(const struct tcp_conn *c);
uint8_t tcp_ecn_mark(struct tcp_conn *c, bool is_new_text, struct path *path);
void tcp_ecn_on_text(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g);
void tcp_ecn_on_echo(struct stack_tcp *t, struct tcp_conn *c, const struct tcp_segment *g);
void tcp_ecn_reduced(struct tcp_conn *c);

/* file.c: what waits behind the send stream. Return 0, or -ENOMEM; bufs: takes the references */
int tcp_later_file(struct stack_tcp *t, struct tcp_conn *c, struct leat_file *file,
                   uint64_t offset_bytes, uint64_t length_bytes);
int tcp_later_bufs(struct stack_tcp *t, struct tcp_conn *c, const struct leat_buf *bufs,
                   unsigned count);
void tcp_later_drop(struct stack_tcp *t, struct tcp_work *w);
void tcp_later_advance(struct stack_tcp *t, struct tcp_conn *c);
bool tcp_has_numbers_for(const struct tcp_conn *c, uint64_t bytes);

/* rekey.c */
void tcp_rekey(struct stack_tcp *t);

/* listener.c */
struct tcp_listener *tcp_find_listener(struct stack_tcp *t, const struct ip_addr *ip,
                                       uint16_t port);
int tcp_listen(struct leat_transport *transport, const struct leat_addr *addr,
               const struct leat_listen_options *options, const struct leat_conn_ops *ops,
               void *user, struct leat_listener **listener);
void tcp_listener_close(struct leat_listener *listener);
void tcp_listener_pause(struct leat_listener *listener, bool paused);

/* embryo.c: handshakes of listeners */
void tcp_listen_input(struct stack_tcp *t, struct tcp_segment *g);
/* The listener that takes this segment, a SYN, now; NULL: none, and if one refuses, counted. */
struct tcp_listener *tcp_listener_of_syn(struct stack_tcp *t, const struct tcp_segment *g);
void tcp_listener_on_syn(struct stack_tcp *t, struct tcp_listener *l, const struct tcp_segment *g);
void tcp_embryo_input(struct stack_tcp *t, struct tcp_embryo *e, struct tcp_segment *g);
void tcp_embryo_free(struct stack_tcp *t, struct tcp_embryo *e);
/* Handshakes of an address that has gone. */
void tcp_embryos_end(struct stack_tcp *t, const struct ip_addr *local);
uint64_t tcp_embryo_tick(struct stack_tcp *t);
/* What a SYN says, as an embryo that is in no table yet. */
struct tcp_embryo tcp_read_syn(struct stack_tcp *t, struct tcp_listener *l,
                               const struct tcp_segment *g);
void tcp_send_syn_ack(struct stack_tcp *t, const struct tcp_embryo *e, uint32_t ts_value);

/* cookie.c */
void tcp_send_cookie(struct stack_tcp *t, struct tcp_embryo *e);
/* Whether the segment's ACK is a cookie; then e is the embryo that it stands for. */
bool tcp_read_cookie(struct stack_tcp *t, struct tcp_listener *l, const struct tcp_segment *g,
                     struct tcp_embryo *e);

/* secrets.c */
uint64_t tcp_flow_secret(struct stack_tcp *t, const struct tcp_flow *flow, uint64_t purpose);
seq32 tcp_initial_seq(struct stack_tcp *t, const struct tcp_flow *flow, uint64_t now_ns);
uint32_t tcp_ts_offset(struct stack_tcp *t, const struct tcp_flow *flow);

/* connect.c */
int tcp_connect(struct leat_transport *transport, const struct leat_addr *to,
                const struct leat_addr *from, const struct leat_conn_options *options,
                const struct leat_conn_ops *ops, void *user, leat_conn *conn);

void tcp_connecting_remove(struct stack_tcp *t, struct tcp_conn *c);
/* Attempts to connect by way of hop end: nobody answers there. */
void tcp_neighbour_gone(struct stack *s, const struct ip_addr *hop);

/* transport.c */
extern const struct leat_transport_ops tcp_transport_ops;
void tcp_push_chunk(struct tcp_work *w, struct tcp_chunk *k, struct leat_buf buf);

/* conn.c: life of a connection. A new one is not in the table yet; NULL: counted. */
struct tcp_conn *tcp_conn_new(struct stack_tcp *t, const struct tcp_flow *flow, uint32_t hash,
                              const struct leat_conn_options *options);
/* Connections from that address of ours end: it was taken away. */
void tcp_address_gone(struct stack *s, const struct ip_addr *ip);
void tcp_conn_close(struct stack_tcp *t, struct tcp_conn *c, enum leat_close_reason reason);
void tcp_drop_work(struct stack_tcp *t, struct tcp_conn *c);
void tcp_start_linger(struct stack_tcp *t, struct tcp_conn *c);
void tcp_settle(struct stack_tcp *t, struct tcp_conn *c);
void tcp_run_closed(struct stack_tcp *t);
struct leat_addr tcp_to_addr(const struct ip_addr *ip, be16 port);
struct ip_addr tcp_to_ip(const struct leat_addr *addr);
uint16_t tcp_to_seconds(uint64_t ns);                  /* rounded up, 18 hours at most */
uint32_t tcp_to_ms(uint64_t ns, uint64_t fallback_ns); /* fallback: where ns is 0 */

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
void tcp_time_wait_input(struct stack_tcp *t, uint32_t index, const struct tcp_segment *g);
uint64_t tcp_time_wait_tick(struct stack_tcp *t);
void tcp_time_wait_remove(struct stack_tcp *t, uint32_t index);

static inline struct stack_tcp *tcp_of(const struct tcp_conn *c)
{
    (void)c;
    return (struct stack_tcp *)leat_core_now->transports[LEAT_TRANSPORT_STACK];
}

static inline struct stack_tcp *tcp_of_transport(struct leat_transport *transport)
{
    return (struct stack_tcp *)transport;
}

/* Calls of users and timers come between bursts: at the time of the turn. */
static inline void tcp_set_now(struct stack_tcp *t)
{
    t->stack->now_ns = leat_loop_now(t->loop);
    t->now_ms = (uint32_t)(t->stack->now_ns / LEAT_NS_PER_MS);
}

#endif
