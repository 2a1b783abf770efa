/* What the files of net/socket share: the connection, the transport, and the seam between what
 * epoll and io_uring have in common and what each does by itself. See README.md for the states. */
#ifndef LEAT_SOCKET_INTERNAL_H
#define LEAT_SOCKET_INTERNAL_H

#include "buffers/heap.h"
#include "buffers/slots.h"
#include "net/api/transport.h"
#include "net/api/udp_transport.h"
#include "net/socket/sockets.h"
#include "runtime/base/list.h"

#include <leat/loop.h>
#include <leat/io.h>
#include <leat/timer.h>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SOCK_SEND_HIGH_BYTES     (UINT32_C(256) << 10)
#define SOCK_RECEIVE_BYTES_MAX   (UINT32_C(256) << 10)
#define SOCK_LINGER_NS           (2 * LEAT_NS_PER_S)
#define SOCK_CONNECT_TIMEOUT_NS  (30 * LEAT_NS_PER_S)
#define SOCK_BACKLOG_COUNT       4096
#define SOCK_ACCEPTS_PER_TURN    64 /* of one listener; the rest waits in the kernel */
#define SOCK_READS_PER_TURN      4  /* of one connection: others come first then */
#define SOCK_FLUSH_BYTES_MAX     (UINT64_C(512) << 10) /* of one connection in one turn */
#define SOCK_IOV_COUNT_MAX       64                    /* pieces handed over in one system call */
#define SOCK_CACHED_COUNT_MAX    1024 /* free pieces, free deadlines kept for the next user */
#define SOCK_ACCEPT_RETRY_NS     (100 * LEAT_NS_PER_MS)
#define SOCK_EXHAUSTED_LOG_NS    (60 * LEAT_NS_PER_S)
#define SOCK_STARVED_RETRY_NS    (10 * LEAT_NS_PER_MS)
#define SOCK_FILE_FALLBACK_BYTES (UINT32_C(64) << 10)

struct sock_transport;
struct sock_conn;

/* A connection's options with defaults filled in, shared by all of a listener's connections. */
struct sock_settings {
    struct leat_conn_options options;
    uint32_t ref_count;
};

/* Part of a send queue: memory, or of a file. */
struct sock_piece {
    struct sock_piece *next;
    struct leat_file *file; /* NULL: memory */
    union {
        struct leat_buf buf;
        struct {
            uint64_t offset_bytes, length_bytes;
        } part;
    };
};

struct sock_queue {
    struct sock_piece *first, *last;
    uint64_t bytes;
};

/* Exists only while a connection has a time limit. The timer runs to the earlier of two:
 * hard_ns (connecting, lingering), and moved_ns + timeout_ns. */
struct sock_deadline {
    struct leat_timer timer;
    struct sock_conn *conn;
    uint64_t timeout_ns; /* 0: none */
    uint64_t moved_ns;   /* when bytes moved last */
    uint64_t hard_ns;    /* UINT64_MAX: none */
};

enum sock_flags {
    SOCK_CONNECTING = 1 << 0, /* not established yet */
    SOCK_OPEN_DUE = 1 << 1,   /* on_open is to be called */
    SOCK_PAUSED = 1 << 2,     /* by leat_conn_pause */
    SOCK_END_ASKED = 1 << 3,  /* FIN goes out when the queue is empty */
    SOCK_FIN_SENT = 1 << 4,
    SOCK_PEER_ENDED = 1 << 5,   /* everything up to the peer's FIN was received */
    SOCK_END_DUE = 1 << 6,      /* on_end is to be called */
    SOCK_CLOSING = 1 << 7,      /* leat_conn_close: what arrives is discarded */
    SOCK_SEND_REFUSED = 1 << 8, /* -EAGAIN was returned: on_writable is owed */
    SOCK_WANT_WRITABLE = 1 << 9,
    SOCK_BLOCKED = 1 << 10,     /* the kernel takes no more: wait until it is writable */
    SOCK_ON_DIRTY = 1 << 11,    /* on transport.dirty */
    SOCK_ON_READY = 1 << 12,    /* on transport.ready */
    SOCK_STARVED = 1 << 13,     /* on transport.starved: no receive buffer was to be had */
    SOCK_RESETS = 1 << 14,      /* close with RST */
    SOCK_FINISHED = 1 << 15,    /* reason is set, on_close is due */
    SOCK_CLOSED = 1 << 16,      /* on_close was called, the handle is stale */
    SOCK_OPENED = 1 << 17,      /* on_open was called */
    SOCK_NO_SENDFILE = 1 << 18, /* a file of this connection refused sendfile(2) */
    SOCK_COPIES = 1 << 20,   /* io_uring: memory lent for sending is copied, as far as is known */
    SOCK_LENDS = 1 << 21,    /* io_uring: the kernel said that it did not copy */
    SOCK_OUTGOING = 1 << 19, /* by leat_connect: its user has the handle from the start */
    SOCK_READABLE = 1 << 22, /* epoll: the kernel may have more: bytes, their end, an error */
    SOCK_READ_ON = 1 << 23,  /* epoll: a short read says nothing: on until the kernel has no more */
    SOCK_SOON = 1 << 24,     /* leat_conn_close_soon: does not linger */
};

struct sock_conn {
    uint64_t id; /* first: the slot table's */
    const struct leat_conn_ops *ops;
    void *user;
    struct sock_transport *transport;
    struct sock_settings *settings;
    struct sock_deadline *deadline; /* NULL: no time limit */
    struct sock_queue out;
    struct sock_conn *next_dirty;
    struct list link; /* in one of: listener.waiting, transport.ready, .starved, .closing */
    uint64_t received_bytes, sent_bytes;
    uint32_t flags;
    int fd;
    uint32_t held_bytes;
    uint8_t reason;
    uint8_t family;
    union {
        struct leat_watch watch;                           /* epoll */
        struct {                                           /* io_uring */
            struct sock_piece *parked_first, *parked_last; /* received, not deliverable yet */
            uint32_t operations; /* bits of enum uring_operation: what the kernel works on */
            bool ended;          /* the peer's FIN comes after what is parked */
            bool hung_up;        /* nothing more can happen: not watched for errors */
        } uring;
    };
};

struct sock_listener {
    struct leat_listener base;
    struct sock_transport *transport;
    struct sock_listener *next, **prev;
    const struct leat_conn_ops *ops;
    void *user;
    struct sock_settings *settings;
    struct sock_port *port; /* its entry in leat_sockets_shared */
    int fd;
    bool paused, closed;
    bool exhausted; /* waits for retry */
    struct leat_timer retry;
    struct leat_watch watch; /* epoll */
    uint32_t operations;     /* io_uring */
    struct list waiting;     /* accepted while paused */
};

/* What epoll and io_uring do each in their way. */
struct sock_backend {
    const char *name;
    int (*open)(struct sock_transport *, const struct leat_sockets_options *, struct leat_error *);
    void (*close)(struct sock_transport *);

    /* accept: from now on connections come to sock_accepted, until stopped. */
    int (*listener_start)(struct sock_listener *);
    void (*listener_stop)(struct sock_listener *);
    /* No completion refers to the listener any more. */
    bool (*listener_is_idle)(const struct sock_listener *);

    /* An established connection, or one that connect(2) has begun. */
    int (*conn_start)(struct sock_conn *);
    /* It is established now. */
    void (*conn_established)(struct sock_conn *);
    /* Of one that was accepted, after its on_open. NULL: nothing is left to be done. */
    void (*conn_opened)(struct sock_conn *);
    /* sock_may_read has become true. */
    void (*conn_read)(struct sock_conn *);
    /* Hands queued bytes on; calls sock_sent afterwards. */
    void (*conn_flush)(struct sock_conn *);
    /* No callback of ours after this; the descriptor is closed, later where the kernel still works
     * on it. */
    void (*conn_stop)(struct sock_conn *);
    bool (*conn_is_idle)(const struct sock_conn *); /* its memory may be given back */
    /* What was received but could not be delivered until now. */
    void (*conn_deliver_parked)(struct sock_conn *);
    /* Receive buffers are there again: the starved may go on. */
    bool (*has_buffers)(struct sock_transport *);
};

struct uring;
struct sock_udp_core;

struct sock_transport {
    struct leat_transport base;
    struct leat_source source;
    struct leat_loop *loop;
    struct leat_core *core;
    const struct sock_backend *backend;
    struct slots slots;
    struct list ready;       /* callbacks are due: poll */
    struct list starved;     /* without a receive buffer: poll */
    struct list closing;     /* on_close is due: the close phase */
    struct sock_conn *dirty; /* something to send: flush */
    struct sock_listener *listeners, *dead_listeners;
    struct sock_settings *settings; /* the last used for leat_connect */
    struct sock_piece *pieces;      /* free ones */
    struct sock_deadline *deadlines;
    uint32_t pieces_cached_count, deadlines_cached_count;
    uint32_t receive_block_bytes;
    struct leat_buf block; /* what a call receives into next (block.c) */
    bool close_is_due;     /* leat_loop_close_later was asked */
    bool is_shut;          /* leat_sockets_shut has begun */
    uint64_t exhausted_log_ns;
    uint32_t fd_limit; /* descriptors from here on are not for connections that are accepted */
    struct leat_sockets_shared *shared;
    struct leat_sockets_shared *own_shared; /* made here, freed here */
    struct uring *uring;
    struct sock_udp_core *udp;
    struct leat_sockets_stats stats;
};

extern const struct sock_backend sock_epoll;
extern const struct sock_backend sock_uring;

/* transport.c: what each backend's source does alike */
void sock_flush(struct sock_transport *t);
void sock_conn_flush(struct sock_conn *c); /* one that was taken off transport.dirty */
void sock_arm(struct sock_transport *t, struct leat_nap *nap);

/* block.c */
bool sock_block_ready(struct sock_transport *t); /* false: memory is out */
void sock_block_recycle(struct sock_transport *t);

/* conn.c: the life of a connection */
struct sock_conn *sock_conn_new(struct sock_transport *t, int fd, struct sock_settings *settings,
                                const struct leat_conn_ops *ops, void *user);
void sock_conn_free_unopened(struct sock_conn *c); /* no callback was or will be called */
void sock_conn_ready(struct sock_conn *c);         /* put on transport.ready */
void sock_conn_starve(struct sock_conn *c);
void sock_conn_dirty(struct sock_conn *c);
void sock_conn_finish(struct sock_conn *c, enum leat_close_reason reason);
void sock_conn_fail(struct sock_conn *c, int error); /* finish with the errno value's reason */
void sock_conn_try_free(struct sock_conn *c);
void sock_conn_established(struct sock_conn *c);
void sock_received(struct sock_conn *c, const struct leat_buf *slices, unsigned count,
                   size_t bytes);
void sock_peer_ended(struct sock_conn *c);
/* Calls on_open, and starts receiving, of an accepted or connected one. */
void sock_conn_open(struct sock_conn *c);
unsigned sock_run_ready(struct sock_transport *t);
void sock_run_starved(struct sock_transport *t);
/* Asks for the close phase, if a connection waits for it. */
void sock_ask_for_close_phase(struct sock_transport *t);

static inline bool sock_may_read(const struct sock_conn *c)
{
    const uint32_t never =
        SOCK_CONNECTING | SOCK_OPEN_DUE | SOCK_PEER_ENDED | SOCK_STARVED | SOCK_FINISHED;
    if ((c->flags & never) != 0)
        return false;
    return (c->flags & SOCK_CLOSING) != 0 ||
           ((c->flags & SOCK_PAUSED) == 0 &&
            c->held_bytes < c->settings->options.receive_bytes_max);
}

static inline void sock_moved(struct sock_conn *c)
{
    if (unlikely(c->deadline != NULL))
        c->deadline->moved_ns = leat_loop_now(c->transport->loop);
}

/* deadline.c: time limits; -ENOMEM */
int sock_deadline_set_timeout(struct sock_conn *c, uint64_t timeout_ns);
int sock_deadline_set_hard(struct sock_conn *c, uint64_t after_ns);
void sock_deadline_drop(struct sock_conn *c);

/* recv(2) and send(2). The C library's own are points at which a thread may be cancelled, which
 * none of ours is, and cost two atomic operations each for it as soon as there are two threads. */
static inline ssize_t sock_syscall_recv(int fd, void *bytes, size_t length, int flags)
{
    return syscall(SYS_recvfrom, fd, bytes, length, flags, NULL, NULL);
}

static inline ssize_t sock_syscall_send(int fd, const void *bytes, size_t length, int flags)
{
    return syscall(SYS_sendto, fd, bytes, length, flags, NULL, 0);
}

/* send.c: the send queue */
enum sock_sent { SOCK_DRAINED, SOCK_WOULD_BLOCK, SOCK_MORE, SOCK_FAILED };
struct sock_piece *sock_piece_take(struct sock_transport *t);
void sock_piece_give(struct sock_transport *t, struct sock_piece *piece);
int sock_queue_push_bufs(struct sock_conn *c, const struct leat_buf *bufs, unsigned count);
int sock_queue_push_file(struct sock_conn *c, struct leat_file *file, uint64_t offset_bytes,
                         uint64_t length_bytes);
void sock_queue_pull(struct sock_conn *c, uint64_t bytes);
void sock_queue_drop(struct sock_conn *c);
/* Fills iov from the memory at the front; *file_follows says why it ends. Returns the count. */
unsigned sock_queue_gather(const struct sock_conn *c, struct iovec *iov, unsigned max,
                           bool *file_follows);
/* Hands on what the kernel takes at once. SOCK_FAILED: the connection is finished. */
enum sock_sent sock_send_now(struct sock_conn *c);
/* After progress: owed on_writable, FIN, end. */
void sock_sent(struct sock_conn *c);

/* listen.c, port.c */
int sock_listen(struct leat_transport *, const struct leat_addr *,
                const struct leat_listen_options *, const struct leat_conn_ops *, void *user,
                struct leat_listener **);
void sock_listener_close(struct leat_listener *);
void sock_listener_pause(struct leat_listener *, bool paused);
void sock_free_dead_listeners(struct sock_transport *t);
/* Takes fd. */
void sock_accepted(struct sock_listener *l, int fd);
/* accept(2) said so: pauses and retries where that helps. */
void sock_accept_failed(struct sock_listener *l, int error);
/* Accepts at most SOCK_ACCEPTS_PER_TURN. */
void sock_accept_burst(struct sock_listener *l);

/* An address that cores of this process listen on: what is opened there. */
struct sock_binding {
    const struct leat_listen_options *listen; /* one of the two */
    const struct leat_udp_options *udp;
    bool is_exclusive; /* not shared with other cores */
};
/* Takes or makes a bound, listening descriptor: returns it, or -errno with a sentence. */
int sock_port_open(struct sock_transport *t, const struct leat_addr *addr,
                   const struct sock_binding *how, struct sock_port **port,
                   struct leat_error *error);
struct leat_addr sock_port_addr(const struct sock_port *port);
void sock_port_close(struct sock_transport *t, struct sock_port *port, int fd);
/* What one log line of the first core that meets it tells for all. Returns whether this is it. */
enum sock_told { SOCK_TOLD_EPOLL = 1, SOCK_TOLD_COPYING = 2 };
bool sock_tells_first(struct leat_sockets_shared *shared, enum sock_told what);

/* udp.c: sockets for datagrams */
struct sock_udp_core *sock_udp_new(struct sock_transport *t);
void sock_udp_free(struct sock_udp_core *u);
void sock_udp_flush(struct sock_udp_core *u);
/* All end with LEAT_CLOSE_SHUTDOWN; false: some wait for the close phase. */
bool sock_udp_shut(struct sock_udp_core *u);
int sock_udp_settings_apply(int fd, const struct leat_addr *addr,
                            const struct leat_udp_options *options);

/* connect.c */
int sock_connect(struct leat_transport *, const struct leat_addr *to, const struct leat_addr *from,
                 const struct leat_conn_options *, const struct leat_conn_ops *, void *user,
                 leat_conn *);
struct sock_settings *sock_settings_new(const struct leat_conn_options *options);
void sock_settings_unref(struct sock_settings *settings);
int sock_settings_apply(int fd, uint8_t family, const struct leat_conn_options *options);
int sock_option_set(int fd, enum leat_transport_option option, uint64_t value); /* C31 */
int sock_settings_apply_open(int fd, uint8_t family, const struct leat_conn_options *options);

/* sockaddr.c */
/* Room for the longest that an IP or unix address needs. */
socklen_t sock_addr_to(const struct leat_addr *addr, struct sockaddr_storage *storage);
void sock_addr_from(const struct sockaddr_storage *storage, socklen_t length,
                    struct leat_addr *addr);
int sock_addr_family(const struct leat_addr *addr);
enum leat_close_reason sock_reason_of(int error, bool connecting);

#endif
