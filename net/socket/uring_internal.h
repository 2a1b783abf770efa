/* What the files of the io_uring transport share. */
#ifndef LEAT_URING_INTERNAL_H
#define LEAT_URING_INTERNAL_H

#include "net/socket/ring_internal.h"
#include "net/socket/socket_internal.h"

#define URING_BLOCK_BYTES (UINT32_C(8) << 10)
#define URING_SLICES_MAX  16                    /* delivered by one on_data */
#define URING_LEND_BYTES  (UINT32_C(128) << 10) /* less is cheaper to copy */
#define URING_LENT_MAX    1024                  /* sends whose memory the kernel has */

/* In the low bits of a tag, and as bits 1 << operation in what a connection or listener counts
 * as being in the kernel. */
enum uring_operation {
    URING_NOTHING, /* a completion that nobody waits for */
    URING_RECEIVE,
    URING_SEND,
    URING_WRITABLE, /* poll for POLLOUT: connecting, or sendfile would block */
    URING_ERRORS,   /* poll for POLLERR, POLLHUP of one that may not hear of its end otherwise */
    URING_ACCEPT,
    URING_ACCEPTABLE, /* poll for POLLIN of a listener, near the limit on connections */
    URING_LEND,       /* zero-copy send: the tag is of a struct uring_lent */
    URING_LOOP,       /* poll of the loop's own epoll descriptor */
    URING_OPERATION_MASK = 15
};

/* Memory that the network card may still be reading: given back when the kernel says so, which may
 * be after the connection's end. */
struct uring_lent {
    struct sock_conn *conn; /* NULL: the send has completed */
    struct leat_buf buf;
    uint64_t id;
};

struct uring {
    struct ring *ring;
    uint32_t lent_count;
    bool cannot_lend; /* the kernel does not say whether it copied */
};

static inline uint64_t tag(const void *object, enum uring_operation operation)
{
    return (uint64_t)(uintptr_t)object | operation;
}

/* uring_conn.c */
int uring_conn_start(struct sock_conn *c);
void uring_conn_opened(struct sock_conn *c);
void uring_conn_established(struct sock_conn *c);
void uring_conn_read(struct sock_conn *c);
void uring_conn_stop(struct sock_conn *c);
bool uring_conn_is_idle(const struct sock_conn *c);
void uring_conn_deliver_parked(struct sock_conn *c);
bool uring_start_poll(struct sock_conn *c, enum uring_operation operation, unsigned events);
/* Goes on receiving, or, where nobody wants to receive, waits for errors. */
void uring_watch_on(struct sock_conn *c);
/* An operation has completed: of a finished connection it may have been the last. */
void uring_conn_completed(struct sock_conn *c);
/* Returns how many of the events it used. */
unsigned uring_on_receive(struct sock_conn *c, const struct ring_event *events, unsigned count);
void uring_on_writable(struct sock_conn *c);
void uring_on_errors(struct sock_conn *c, const struct ring_event *event);

/* uring_send.c */
void uring_conn_flush(struct sock_conn *c);
void uring_on_send(struct sock_conn *c, int result);
void uring_on_lent(struct sock_transport *t, struct uring_lent *lent,
                   const struct ring_event *event);

#endif
