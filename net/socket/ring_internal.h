/* An io_uring and its ring of receive blocks: what net/socket asks of liburing, which ring.c alone
 * includes.
 *
 * Operations carry a tag, which comes back with their events. The functions that start one return
 * false when the kernel has no memory for requests; nothing was started then. One core's. */
#ifndef LEAT_RING_INTERNAL_H
#define LEAT_RING_INTERNAL_H

#include <leat/buf.h>
#include <leat/error.h>

#include <sys/uio.h>

struct ring;

struct ring_event {
    uint64_t tag;
    int32_t result;
    uint16_t block;       /* receive: number of the block */
    bool more;            /* the operation goes on */
    bool is_notification; /* lend: the memory is back */
    bool is_copied;       /* ... and was copied, or nobody knows */
};

/* block_count: of receive blocks, a power of two, 0: default. Returns 0, or -errno with a sentence:
 * the kernel, or who configured it, refuses. */
int ring_new(struct ring **ring, uint32_t block_count, uint32_t block_bytes,
             struct leat_error *error) LEAT_MUST_CHECK;
/* Submits what is prepared, and cancels what is in the kernel. */
void ring_free(struct ring *ring);

/* Multishot: an event for each accepted descriptor, each filled block. */
bool ring_accept(struct ring *ring, int fd, uint64_t tag);
bool ring_receive(struct ring *ring, int fd, uint64_t tag);
bool ring_poll(struct ring *ring, int fd, unsigned events, bool repeats, uint64_t tag);
bool ring_send(struct ring *ring, int fd, const struct leat_buf *buf, uint64_t tag);
/* Room for SOCK_IOV_COUNT_MAX entries, to be filled and passed on by ring_send_iov at once. */
struct iovec *ring_iov(struct ring *ring);
bool ring_send_iov(struct ring *ring, int fd, unsigned count, uint64_t tag);
/* Zero-copy: an event for the send and, with more, a notification when the memory is back. */
bool ring_lend(struct ring *ring, int fd, const struct leat_buf *buf, uint64_t tag);
void ring_cancel(struct ring *ring, uint64_t tag);
bool ring_cancel_descriptor(struct ring *ring, int fd); /* all operations on it */
void ring_close(struct ring *ring, int fd);

/* Blocks: taken out of an event, given back when delivered. A block that somebody kept is replaced.
 * ring_refill returns whether the kernel has at least one. */
struct leat_buf ring_take_filled(struct ring *ring, const struct ring_event *event);
void ring_give_back(struct ring *ring, uint16_t number, struct leat_buf block);
bool ring_refill(struct ring *ring);

unsigned ring_ready_count(const struct ring *ring);

/* Nothing is waiting to be submitted or collected: the kernel raises a flag in shared memory when
 * it wants to be called (IORING_SETUP_TASKRUN_FLAG). */
bool ring_is_quiet(const struct ring *ring);
unsigned ring_collect(struct ring *ring, struct ring_event *events, unsigned max);
/* Submits, sleeps at most timeout_ns or until there is an event or readable_fd is readable, which
 * it returns. One system call. */
bool ring_wait(struct ring *ring, int readable_fd, uint64_t loop_tag, uint64_t timeout_ns);
void ring_nap(struct ring *ring, uint64_t timeout_ns);

#endif
