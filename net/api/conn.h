/* The transport contract: byte-stream connections, the same over kernel sockets, over Leat's own
 * stack, and in the simulator.
 *
 * Clauses are numbered; test/contract/ has a test named after each, and every transport passes
 * them all.
 *
 * Handles and threads
 *
 *  C1   A connection is named by a 64-bit handle. A stale or invented handle gives -ESTALE, never a
 *       crash, and never another connection: slots carry generations.
 *
 *  C2   Every function here is called on the core that owns the connection, any of them inside any
 *       callback, on_close included. Another core gives -EXDEV.
 *
 *  C3   No function calls a callback before it returns; callbacks never nest. Memory is freed at
 *       the end of the turn, so a callback may abort the very connection it runs for.
 *
 * Life
 *
 *  C4   on_open comes first, once, when a connection was accepted or an outgoing one is
 *       established. One that fails before has on_close without on_open.
 *
 *  C5   on_close comes exactly once, last, with one reason; after it the handle is stale. Between
 *       the end and on_close, sending gives -EPIPE and other calls do nothing. It comes in the
 *       close phase, also after leat_conn_abort and when the loop ends.
 *
 *  C6   leat_conn_end half-closes: what was accepted for sending goes out, then FIN; receiving goes
 *       on. Sending after it gives -EPIPE.
 *
 *  C7   on_end comes once when the peer has half-closed and all its bytes were delivered; we may
 *       still send.
 *
 *  C8   leat_conn_close ends gracefully: sends what is queued, then FIN, discards what still
 *       arrives, and waits for the peer's FIN at most linger_ns, so that a response is not
 *       destroyed by a reset (RFC 9112 9.6). on_data, on_writable and on_end no longer come.
 *       linger_ns runs from the FIN; what comes before it is bounded by C21. A connection that is
 *       not established yet ends at once with LEAT_CLOSE_ABORTED.
 *
 *  C28  leat_conn_close_soon is leat_conn_close for a peer that will send nothing more (a client
 *       that asked for "Connection: close", RFC 9112 9.6; Node's destroySoon): it need not wait for
 *       the peer's FIN. Over kernel sockets the connection is closed, and the rest left to the
 *       kernel, as soon as that has taken everything; the stack does as with leat_conn_close. A
 *       peer that sends on all the same may lose what it has not read.
 *
 *  C9   leat_conn_abort resets: what is queued is dropped, the peer sees RST where the protocol has
 *       one.
 *
 *  C10  When both sides have half-closed and everything was sent and delivered, the connection
 *       closes by itself with LEAT_CLOSE_DONE.
 *
 * Receiving
 *
 *  C11  on_data delivers bytes in order, each once, as slices that point into the transport's own
 *       buffers; at least one byte per call, no empty slice. Slices are the transport's: they are
 *       valid until the callback returns.
 *
 *  C12  A callback that needs bytes for longer takes them with leat_conn_hold, which gives a buf
 *       with a reference of its own (the same memory, or a compacted copy when the block is more
 *       than twice as large as what is held in it), and gives them back with leat_conn_release.
 *       Held bytes count against the connection's receive window: with receive_bytes_max held,
 *       nothing more is delivered until some are released, and the peer's sender is stopped by flow
 *       control. leat_conn_release also works when the connection is gone. leat_conn_take gives the
 *       bytes away instead: a buf of the core's own pools, which is the block that they lie in
 *       where that is one of these and half filled by them, else a copy. It is charged to the pools
 *       and not to the window: the credit returns at once, and whoever takes bounds what it keeps.
 *
 *  C13  leat_conn_pause stops on_data and on_end (not within the running callback) until
 *       leat_conn_resume; the peer is stopped by flow control. Both are idempotent.
 *
 *  C14  A window once promised is honoured: nothing that the peer sent within it is dropped for
 *       lack of buffers of ours; when receive buffers run out, connections wait, and go on when
 *       buffers return.
 *
 *  C29  A slice's bytes may be changed in place: by the callback until it returns, and of what is
 *       held by its owner until it is released. Within the slice: what lies before and behind it in
 *       the block is another's. So a transport never reads again what it delivered. It knows what
 *       it acknowledges, and what comes a second time, by numbers and not by content; a capture has
 *       its copy before on_data; and bytes that anybody else may read as well are copied first.
 *       Kernel sockets and ports (net/port) deliver out of buffers of this side alone, without a
 *       copy; what the stack sends to itself is one, for the sender may have to send it again
 *       (C18). What is held or taken after a change has the change. A filter, which is a transport
 *       over another one, may change what it was given and hand it on as slices of its own; who
 *       holds those holds them below.
 *
 * Sending
 *
 *  C15  leat_conn_send is all or nothing. With less than send_high_bytes queued it is accepted
 *       whole, whatever its size, and the references are the transport's; else -EAGAIN, and nothing
 *       is taken. 1 when it was accepted and send_high_bytes are queued now: the sign to stop
 *       before the next one is refused. An answer below 0 is a refusal, and nothing else is.
 *
 *  C16  After -EAGAIN one on_writable follows when less than send_low_bytes are queued. Without
 *       -EAGAIN none comes, except once when leat_conn_want_writable was called.
 *
 *  C17  Bytes go out in the order of the calls, memory and files mixed. What was accepted during a
 *       turn is handed on at the end of that turn at the latest.
 *
 *  C18  Memory that was accepted is not copied if it is large, and must not change until it was
 *       freed by the transport.
 *
 *  C19  leat_conn_send_file sends [offset, offset + length) of an open file without passing through
 *       user memory where the transport can, else read ahead in pieces off the loop: what is sent
 *       is what the file holds when its turn comes. A file that ends early, or fails, aborts the
 *       connection with LEAT_CLOSE_FILE.
 *
 *  C30  leat_conn_info tells what became of what was accepted: sent_bytes + queued_bytes is all of
 *       it, at any time. sent_bytes counts what the kernel took (sockets), what the peer has
 *       acknowledged (the stack), what the layer below counts (filters): it grows while the peer
 *       takes bytes, and stands still while it does not, so that progress can be judged by it.
 *
 *  C31  Nagle's algorithm, keepalive and the user timeout (C27) of an established connection may be
 *       changed at any time, and count from then on: small segments that wait for an ACK go when
 *       nagle is switched off, and what is unacknowledged already is waited for no longer than a
 *       new user timeout from when it was first sent, or from the next try. Before on_open and in
 *       on_close they give -ENOTCONN; over unix sockets they do nothing.
 *
 * Ends
 *
 *  C20  Reasons are a closed set with a name and a sentence each. A peer's reset is
 *       LEAT_CLOSE_RESET whenever it comes, and never a signal or an errno.
 *
 *  C21  A connection on which no byte moved in either direction for timeout_ns is closed with
 *       LEAT_CLOSE_TIMEOUT; 0 means never. An outgoing one that is not established within
 *       connect_timeout_ns: LEAT_CLOSE_CONNECT_TIMEOUT. A lingering one after linger_ns:
 *       LEAT_CLOSE_DONE. What came in time counts, however late it is read: after a pause of this
 *       process bytes are delivered before such a limit ends the connection that they came for
 *       (leat_loop_has_heard).
 *
 *  C27  When bytes that were sent stay unacknowledged for user_timeout_ns, or accepted ones are
 *       kept back by the peer's window for so long, the connection is closed with
 *       LEAT_CLOSE_PEER_GONE; so it is when the probes of keepalive_ns stay unanswered for so long.
 *       Time without anything to acknowledge does not count. 0 leaves it to the transport: some
 *       minutes of tries (RFC 9293 3.8.3), and no end to a window that the peer keeps closed.
 *
 * Listening
 *
 *  C22  A listener delivers connections through the ops it was given, with on_open. Closing it
 *       leaves its connections alone; connections that the kernel had already accepted for it are
 *       still delivered.
 *
 *  C23  leat_listener_pause stops accepting (the backlog fills); resume goes on. Running out of
 *       descriptors or memory pauses it and retries at most every 100 ms: nothing spins, and the
 *       sentence is logged once a minute at most.
 *
 *  C24  The same address may be listened on by each core of the process once; the transport spreads
 *       connections over them.
 *
 *  C25  A listener on port 0 gets a free port, the same for all cores; leat_listener_addr tells it.
 *       The n-th listener on port 0 of a core has the port of the n-th of any other.
 *
 *  C26  An address in use, not ours, or not permitted gives -EADDRINUSE, -EADDRNOTAVAIL, -EACCES
 *       and a sentence with the remedy. A connection for which no local port is left gives
 *       -EADDRINUSE, or ends with NO_PORTS where the transport finds out later.
 */
#ifndef LEAT_CONN_H
#define LEAT_CONN_H

#include <leat/addr.h>
#include <leat/buf.h>
#include <leat/defs.h>
#include <leat/error.h>
#include <leat/file.h>

LEAT_BEGIN

struct leat_loop;
struct leat_listener;

/* 4 bits transport, 10 bits core, 26 bits generation, 24 bits index. {0} names none. */
typedef struct leat_conn {
    uint64_t id;
} leat_conn;

#define LEAT_CONN_NONE ((leat_conn){0})

#define LEAT_CLOSE_REASONS(X)                                                                      \
    X(DONE, "both sides finished")                                                                 \
    X(ABORTED, "this side aborted it")                                                             \
    X(RESET, "the peer reset it")                                                                  \
    X(TIMEOUT, "no bytes moved for the time allowed")                                              \
    X(REFUSED, "the peer refuses connections on that port")                                        \
    X(UNREACHABLE, "no route to the peer")                                                         \
    X(CONNECT_TIMEOUT, "the peer did not answer in the time allowed")                              \
    X(PEER_GONE, "the peer stopped acknowledging")                                                 \
    X(PROTOCOL, "the peer broke the protocol")                                                     \
    X(FILE, "a file that was being sent failed or ended early")                                    \
    X(NO_MEMORY, "this side ran out of memory or descriptors")                                     \
    X(SHUTDOWN, "the loop ended")                                                                  \
    X(ADDRESS_GONE, "this side's address was taken away")                                          \
    X(NO_PORTS, "no ports left on this address")

enum leat_close_reason {
#define LEAT_X(name, sentence) LEAT_CLOSE_##name,
    LEAT_CLOSE_REASONS(LEAT_X)
#undef LEAT_X
        LEAT_CLOSE_REASON_COUNT
};
LEAT_API const char *leat_close_reason_name(enum leat_close_reason reason);     /* "RESET" */
LEAT_API const char *leat_close_reason_sentence(enum leat_close_reason reason); /* static */

/* All run on the owning core, through the gate. Any but on_close may be NULL; without on_data,
 * bytes are discarded. */
struct leat_conn_ops {
    void (*on_open)(leat_conn conn, void *user);
    void (*on_data)(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count);
    void (*on_writable)(leat_conn conn, void *user);
    void (*on_end)(leat_conn conn, void *user);
    void (*on_close)(leat_conn conn, void *user, enum leat_close_reason reason);
};

struct leat_conn_options {       /* zero means the default in brackets */
    uint32_t send_high_bytes;    /* [262144] */
    uint32_t send_low_bytes;     /* [send_high_bytes / 4] */
    uint32_t receive_bytes_max;  /* [262144] held bytes at which delivery stops */
    uint64_t timeout_ns;         /* [never] inactivity, C21 */
    uint64_t linger_ns;          /* [2 s] */
    uint64_t connect_timeout_ns; /* [30 s] */
    bool nagle;                  /* [off]: small segments wait for an ACK, RFC 9293 3.7.4 */
    uint64_t keepalive_ns;       /* [off] idle time before probes, RFC 9293 3.8.4 */
    uint64_t user_timeout_ns; /* [the transport's] C27; rounded up to seconds, 18 hours at most */
};

struct leat_listen_options {
    struct leat_conn_options conn; /* for every accepted connection */
    uint32_t backlog_count;        /* [4096] */
    bool ipv6_only;                /* for "[::]:port" */
    uint32_t unix_mode;            /* [0666] permission bits of a unix socket's path */
};

/* ops must stay valid as long as connections use them. options may be NULL. user is what the
 * callbacks get until leat_conn_set changes it. Returns 0 and *listener, or -errno with a sentence
 * in leat_loop_error. */
LEAT_API int leat_listen(struct leat_loop *loop, const struct leat_addr *addr,
                         const struct leat_listen_options *options, const struct leat_conn_ops *ops,
                         void *user, struct leat_listener **listener) LEAT_MUST_CHECK;
LEAT_API void leat_listener_close(struct leat_listener *listener);
LEAT_API void leat_listener_pause(struct leat_listener *listener);
LEAT_API void leat_listener_resume(struct leat_listener *listener);
LEAT_API const struct leat_addr *leat_listener_addr(const struct leat_listener *listener);

/* Starts an outgoing connection. from: local address, or NULL; options may be NULL. Returns 0 and
 * *conn, and its outcome comes by callback; or -errno with a sentence in leat_loop_error. */
LEAT_API int leat_connect(struct leat_loop *loop, const struct leat_addr *to,
                          const struct leat_addr *from, const struct leat_conn_options *options,
                          const struct leat_conn_ops *ops, void *user,
                          leat_conn *conn) LEAT_MUST_CHECK;

/* All of these return 0 or a value >= 0, or -ESTALE (C1), -EXDEV (C2) and what their clause says.
 */
LEAT_API int leat_conn_send(leat_conn conn, const struct leat_buf *bufs,
                            unsigned count) LEAT_MUST_CHECK; /* C15, C16 */
LEAT_API int leat_conn_send_bytes(leat_conn conn, const void *bytes,
                                  size_t length_bytes) LEAT_MUST_CHECK; /* copies */
/* Takes a reference on file of its own. */
LEAT_API int leat_conn_send_file(leat_conn conn, struct leat_file *file, uint64_t offset_bytes,
                                 uint64_t length_bytes) LEAT_MUST_CHECK; /* C19 */
LEAT_API int leat_conn_want_writable(leat_conn conn);                    /* C16 */
LEAT_API int leat_conn_end(leat_conn conn);                              /* C6 */
LEAT_API int leat_conn_close(leat_conn conn);                            /* C8 */
LEAT_API int leat_conn_close_soon(leat_conn conn);                       /* C28 */
LEAT_API int leat_conn_abort(leat_conn conn);                            /* C9 */
LEAT_API int leat_conn_pause(leat_conn conn);                            /* C13 */
LEAT_API int leat_conn_resume(leat_conn conn);                           /* C13 */

/* C12. hold: within on_data, for a slice or part of one; the result carries a reference, data ==
 * NULL when memory is out (then the caller should abort or close). release takes the reference back
 * and returns the credit; the buf must be one that hold returned for conn, whole. take as hold; its
 * result goes back with leat_buf_unref, and to other cores as any buf of this one's does. */
LEAT_API struct leat_buf leat_conn_hold(leat_conn conn, struct leat_buf slice) LEAT_MUST_CHECK;
LEAT_API struct leat_buf leat_conn_take(leat_conn conn, struct leat_buf slice) LEAT_MUST_CHECK;
LEAT_API void leat_conn_release(leat_conn conn, struct leat_buf held);

/* Changes whom the callbacks go to, from the next one on. ops NULL leaves them. */
LEAT_API int leat_conn_set(leat_conn conn, const struct leat_conn_ops *ops, void *user);
LEAT_API int leat_conn_set_timeout(leat_conn conn, uint64_t timeout_ns); /* C21 */
/* C31. As in leat_conn_options; 0 or -ENOTCONN. */
LEAT_API int leat_conn_set_nagle(leat_conn conn, bool is_on);
LEAT_API int leat_conn_set_keepalive(leat_conn conn, uint64_t keepalive_ns);
LEAT_API int leat_conn_set_user_timeout(leat_conn conn, uint64_t user_timeout_ns);
/* -ENOTCONN when the connection has ended (in on_close). */
LEAT_API int leat_conn_local(leat_conn conn, struct leat_addr *addr);
LEAT_API int leat_conn_peer(leat_conn conn, struct leat_addr *addr);

struct leat_conn_info {
    uint64_t received_bytes; /* payload that was delivered */
    uint64_t sent_bytes;     /* C30 */
    uint64_t queued_bytes;   /* C30: accepted, and not sent */
    uint64_t held_bytes;
    const char *transport; /* "uring", "epoll", "stack" */
};
LEAT_API int leat_conn_info(leat_conn conn, struct leat_conn_info *info);

LEAT_END
#endif
