/* The transport over kernel sockets, on io_uring or epoll: net/api/transport.h implemented.
 *
 * One transport per loop, opened and closed on the loop's own thread. Its connections and listeners
 * are then made by leat_listen and leat_connect. What is promised stands in leat/conn.h; this
 * folder's README.md has the map. */
#ifndef LEAT_SOCKETS_H
#define LEAT_SOCKETS_H

#include <leat/conn.h>
#include <leat/error.h>
#include <leat/loop.h>

enum leat_sockets_which {
    LEAT_SOCKETS_AUTO, /* the cheaper one that the kernel permits (docs/decisions/) */
    LEAT_SOCKETS_URING,
    LEAT_SOCKETS_EPOLL,
};

/* What the loops of one process must agree on: which address is whose, and which free port the
 * first of them got (C24, C25). Made before the loops start, freed after all have closed their
 * sockets; any thread. A second process cannot slip in behind the same address unnoticed. */
struct leat_sockets_shared;
struct leat_sockets_shared *leat_sockets_shared_new(void); /* NULL: memory is out */
void leat_sockets_shared_free(struct leat_sockets_shared *shared);

struct leat_sockets_options {
    enum leat_sockets_which which;
    uint32_t
        connection_count_max;     /* 0: SOCK_CONNECTIONS_DEFAULT; the excess waits in the backlog */
    uint32_t receive_block_bytes; /* 0: the default of the implementation; at most 1 MiB */
    uint32_t receive_block_count; /* io_uring: blocks given to the kernel; 0: default, else 2^n */
    struct leat_sockets_shared *shared; /* NULL: this loop shares no address with another */
};

#define SOCK_CONNECTIONS_DEFAULT (UINT32_C(1) << 20)

/* Descriptors that accepted connections leave to files, logs and tools, or a quarter of the limit
 * (RLIMIT_NOFILE) where that is less. A listener that meets them closes what it accepted, pauses,
 * and counts it (exhausted_count), as when there are none left. */
#define LEAT_SOCKETS_KEPT_FDS 64

/* Makes the transport of the current loop. options may be NULL. SIGPIPE, where it has its default
 * action, is ignored from now on in the whole process: sendfile(2) has no flag against it. Returns
 * 0, or -errno with a sentence; a kernel that refuses io_uring is an error only for
 * LEAT_SOCKETS_URING. */
int leat_sockets_open(struct leat_loop *loop, const struct leat_sockets_options *options,
                      struct leat_error *error) LEAT_MUST_CHECK;

/* Closes all connections and datagram sockets with LEAT_CLOSE_SHUTDOWN; on_close is called before
 * this returns, so not inside a callback. Listeners stay, deaf, for their owners to close; nothing
 * new can be opened. Without leat_sockets_open it does nothing; twice is once. */
void leat_sockets_shut(struct leat_loop *loop);
/* leat_sockets_shut, and frees all listeners, whose pointers are invalid afterwards, and the
 * transport. */
void leat_sockets_close(struct leat_loop *loop);

/* "uring" or "epoll"; NULL when there is none. */
const char *leat_sockets_name(struct leat_loop *loop);

struct leat_sockets_stats {
    uint64_t accepted_count, connected_count, closed_count;
    uint64_t live_count;        /* accepted + connected - closed, connecting ones included */
    uint64_t exhausted_count;   /* times that accepting stopped: descriptors, memory, limit */
    uint64_t starved_count;     /* times that a connection had to wait for a receive buffer */
    uint64_t compacted_count;   /* slices copied by leat_conn_hold */
    uint64_t lent_count;        /* zero-copy sends tried */
    uint64_t lent_copied_count; /* those that the kernel copied all the same */
    uint64_t conn_bytes;        /* memory of one idle connection, without kernel and user */
    uint64_t closed_by_reason[LEAT_CLOSE_REASON_COUNT];
};
void leat_sockets_stats(struct leat_loop *loop, struct leat_sockets_stats *stats);

#endif
