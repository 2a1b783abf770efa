/* Telling of all connections of a core, piece by piece: for tools. */
#ifndef LEAT_TCP_LIST_H
#define LEAT_TCP_LIST_H

#include <leat/addr.h>

#define TCP_LIST_LOOKS_MAX 1024 /* places looked at in one call, taken or not */

struct stack_tcp;

/* One connection, listener, embryo or TIME_WAIT record. */
struct tcp_row {
    const char *state;              /* static: "ESTABLISHED", as in RFC 9293 3.3.2 */
    struct leat_addr local, remote; /* remote of a listener: port 0 */
    uint32_t receive_queued_bytes;  /* arrived, not delivered; of a listener: handshakes */
    uint32_t held_bytes;            /* delivered, kept by the application */
    uint32_t ooo_bytes;             /* arrived, behind a hole */
    uint32_t send_queued_bytes;     /* accepted from the application, not acknowledged */
    uint32_t flight_bytes;          /* ... of these, sent */
    uint32_t lost_bytes;
    uint32_t rtt_us, rtt_variance_us, rto_us; /* rtt 0: not measured */
    uint32_t cwnd_bytes, ssthresh_bytes, mss_bytes;
    uint32_t send_window_bytes, receive_window_bytes;
    uint32_t resent_count; /* segments sent again since it was last idle */
    uint32_t backoff;      /* retransmission timeouts in a row */
    uint32_t idle_ms;      /* since a byte moved */
    uint64_t received_bytes, sent_bytes;
};

/* The states of rows, from index 0 on; NULL past the last. */
const char *tcp_list_state(unsigned index);

/* Where the next call goes on; all zero is the beginning. What is opened or closed in between may
 * be missed or come twice. */
struct tcp_cursor {
    uint32_t kind, index;
    bool is_end;
};

/* Writes at most count rows and looks at no more than TCP_LIST_LOOKS_MAX places; returns how many.
 * On the core. */
unsigned tcp_list(struct stack_tcp *t, struct tcp_cursor *cursor, struct tcp_row *rows,
                  unsigned count);

#endif
