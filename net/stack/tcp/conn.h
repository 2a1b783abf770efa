/* The connection block: four cache lines, all that an idle connection keeps. tcp.h says what holds.
 */
#ifndef LEAT_STACK_TCP_CONN_H
#define LEAT_STACK_TCP_CONN_H

#include <leat/conn.h>

#include "net/stack/stack.h"
#include "net/stack/tcp/work.h"

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
    uint64_t received_bytes, accepted_bytes;
    uint32_t sent_ms; /* of the last data, to restart slowly after idleness */
    uint32_t challenge_ms;

    /* path, estimates */
    struct ip_addr hop;
    struct neighbour_ref neighbour;
    uint16_t mtu_bytes;
    uint16_t peer_mss;
    uint8_t hop_limit, tos;
    bool is_local : 1;
    uint8_t no_ts_count : 7; /* segments without the agreed timestamp, up to their limit */
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

/* Accepted and not acknowledged. */
static inline uint64_t tcp_queued_bytes(const struct tcp_conn *c)
{
    const struct tcp_work *w = c->work;
    if (w == NULL)
        return 0;
    return (seq_lt(c->snd_una, w->send_end) ? seq_span(c->snd_una, w->send_end) : 0) +
           (w->later_first != NULL ? w->rare.later_bytes : 0);
}

/* Acknowledged (C30). */
static inline uint64_t tcp_sent_bytes(const struct tcp_conn *c)
{
    return c->accepted_bytes - tcp_queued_bytes(c);
}

static inline bool is_synchronised(const struct tcp_conn *c)
{
    return c->state >= TCP_ESTABLISHED;
}

#endif
