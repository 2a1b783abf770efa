/* The one file that knows liburing. Needs Linux 6.0 (multishot receive); 6.1 saves interrupts
 * (IORING_SETUP_DEFER_TASKRUN), 6.2 tells whether zero-copy sends copied. */
#include "net/socket/ring_internal.h"
#include "net/socket/socket_internal.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING_SQ_COUNT            512
#define RING_CQ_COUNT            4096 /* past it the kernel keeps the rest: IORING_FEAT_NODROP */
#define RING_BLOCK_COUNT_DEFAULT 128
#define RING_BLOCK_COUNT_MAX     32768
#define RING_MESSAGES_MAX        32 /* sends of several pieces between two submissions */
#define RING_GROUP               0
#define RING_IGNORED             UINT64_C(0) /* the tag of completions that nobody waits for */

/* The answer of zero-copy sends came with Linux 6.2, after liburing 2.3. */
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE  (1U << 3)
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

struct ring_message {
    struct msghdr header;
    struct iovec iov[SOCK_IOV_COUNT_MAX];
};

struct ring {
    struct io_uring io;
    struct io_uring_buf_ring *offers; /* blocks offered to the kernel */
    struct leat_buf *blocks;          /* by number; data == NULL: it has none */
    uint16_t *missing;                /* numbers without a block */
    uint32_t missing_count, block_count, block_bytes;
    size_t offers_bytes;
    uint32_t message_count; /* used since the last submission */
    unsigned looked_until;  /* place in the completion queue, for the loop's descriptor */
    bool loop_is_polled;
    struct ring_message messages[RING_MESSAGES_MAX];
};

/* The kernel has read what was prepared (IORING_FEAT_SUBMIT_STABLE): messages are free again. */
static void ring_submitted(struct ring *r)
{
    if (io_uring_sq_ready(&r->io) == 0)
        r->message_count = 0;
}

static void ring_submit(struct ring *r)
{
    (void)io_uring_submit(&r->io);
    ring_submitted(r);
}

/* Submits when the submission queue is full. NULL: the kernel has no memory for requests. */
static struct io_uring_sqe *sqe_next(struct ring *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->io);
    if (unlikely(sqe == NULL)) {
        ring_submit(r);
        sqe = io_uring_get_sqe(&r->io);
    }
    return sqe;
}

/* Operations. The io_uring_prep functions clear the tag: it is set after them. */

bool ring_accept(struct ring *r, int fd, uint64_t tag)
{
    struct io_uring_sqe *sqe = sqe_next(r);
    if (sqe == NULL)
        return false;
    io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    sqe->user_data = tag;
    return true;
}

bool ring_receive(struct ring *r, int fd, uint64_t tag)
{
    struct io_uring_sqe *sqe = sqe_next(r);
    if (sqe == NULL)
        return false;
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = RING_GROUP;
    sqe->user_data = tag;
    return true;
}

bool ring_poll(struct ring *r, int fd, unsigned events, bool repeats, uint64_t tag)
{
    struct io_uring_sqe *sqe = sqe_next(r);
    if (sqe == NULL)
        return false;
    io_uring_prep_poll_add(sqe, fd, events);
    sqe->len |= repeats ? IORING_POLL_ADD_MULTI : 0;
    sqe->user_data = tag;
    return true;
}

bool ring_send(struct ring *r, int fd, const struct leat_buf *buf, uint64_t tag)
{
    struct io_uring_sqe *sqe = sqe_next(r);
    if (sqe == NULL)
        return false;
    io_uring_prep_send(sqe, fd, buf->data, buf->length_bytes, MSG_NOSIGNAL);
    sqe->user_data = tag;
    return true;
}

struct iovec *ring_iov(struct ring *r)
{
    if (r->message_count == RING_MESSAGES_MAX)
        ring_submit(r);
    return r->message_count < RING_MESSAGES_MAX ? r->messages[r->message_count].iov : NULL;
}

bool ring_send_iov(struct ring *r, int fd, unsigned count, uint64_t tag)
{
    struct ring_message *message = &r->messages[r->message_count];
    /* Submitting for room frees all messages, this one among them: it is moved to the front. */
    struct io_uring_sqe *sqe = sqe_next(r);
    if (sqe == NULL)
        return false;
    if (message != &r->messages[r->message_count]) {
        memcpy(r->messages[r->message_count].iov, message->iov, count * sizeof(message->iov[0]));
        message = &r->messages[r->message_count];
    }
    r->message_count++;
    message->header = (struct msghdr){.msg_iov = message->iov, .msg_iovlen = count};
    io_uring_prep_sendmsg(sqe, fd, &message->header, MSG_NOSIGNAL);
    sqe->user_data = tag;
    return true;
}

bool ring_lend(struct ring *r, int fd, const struct leat_buf *buf, uint64_t tag)
{
    struct io_uring_sqe *sqe = sqe_next(r);
    if (sqe == NULL)
        return false;
    io_uring_prep_send_zc(sqe, fd, buf->data, buf->length_bytes, MSG_NOSIGNAL,
                          IORING_SEND_ZC_REPORT_USAGE);
    sqe->user_data = tag;
    return true;
}

static void sqe_ignore(struct io_uring_sqe *sqe)
{
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = RING_IGNORED;
}

void ring_cancel(struct ring *r, uint64_t tag)
{
    struct io_uring_sqe *sqe = sqe_next(r);
    if (sqe != NULL) {
        io_uring_prep_cancel64(sqe, tag, 0);
        sqe_ignore(sqe);
    }
}

bool ring_cancel_descriptor(struct ring *r, int fd)
{
    struct io_uring_sqe *sqe = sqe_next(r);
    if (sqe == NULL)
        return false;
    io_uring_prep_cancel_fd(sqe, fd, IORING_ASYNC_CANCEL_ALL);
    sqe_ignore(sqe);
    return true;
}

void ring_close(struct ring *r, int fd)
{
    struct io_uring_sqe *sqe = sqe_next(r);
    if (sqe != NULL) {
        io_uring_prep_close(sqe, fd);
        sqe_ignore(sqe);
    } else {
        close(fd);
    }
}

/* Blocks: offered, filled, given back. */

static void offer_block(struct ring *r, uint16_t number, struct leat_buf block)
{
    r->blocks[number] = block;
    io_uring_buf_ring_add(r->offers, block.data, r->block_bytes, number,
                          io_uring_buf_ring_mask(r->block_count), 0);
    io_uring_buf_ring_advance(r->offers, 1);
}

bool ring_refill(struct ring *r)
{
    while (unlikely(r->missing_count > 0)) {
        struct leat_buf block = leat_buf_alloc_unsafe(r->block_bytes);
        if (block.data == NULL)
            break;
        offer_block(r, r->missing[--r->missing_count], block);
    }
    return r->missing_count < r->block_count;
}

void ring_give_back(struct ring *r, uint16_t number, struct leat_buf block)
{
    block.length_bytes = r->block_bytes;
    if (likely(leat_buf_resize(&block, block.length_bytes))) {
        offer_block(r, number, block);
        return;
    }
    leat_buf_unref(block);
    block = leat_buf_alloc_unsafe(r->block_bytes);
    if (block.data != NULL)
        offer_block(r, number, block);
    else
        r->missing[r->missing_count++] = number;
}

struct leat_buf ring_take_filled(struct ring *r, const struct ring_event *event)
{
    struct leat_buf slice = r->blocks[event->block];
    r->blocks[event->block].data = NULL;
    slice.length_bytes = (size_t)event->result;
    return slice;
}

/* Events. */

unsigned ring_ready_count(const struct ring *r)
{
    return io_uring_cq_ready(&r->io);
}

bool ring_is_quiet(const struct ring *r)
{
    const unsigned calls = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    unsigned flags = __atomic_load_n(r->io.sq.kflags, __ATOMIC_RELAXED);
    return r->loop_is_polled && (flags & calls) == 0 && io_uring_sq_ready(&r->io) == 0 &&
           io_uring_cq_ready(&r->io) == 0;
}

unsigned ring_collect(struct ring *r, struct ring_event *events, unsigned max)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&r->io, head, cqe)
    {
        if (count == max)
            break;
        events[count++] = (struct ring_event){
            .tag = cqe->user_data,
            .result = cqe->res,
            .block = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT),
            .more = (cqe->flags & IORING_CQE_F_MORE) != 0,
            .is_notification = (cqe->flags & IORING_CQE_F_NOTIF) != 0,
            .is_copied = ((uint32_t)cqe->res & IORING_NOTIF_USAGE_ZC_COPIED) != 0,
        };
    }
    io_uring_cq_advance(&r->io, count);
    return count;
}

/* Whether the loop's descriptor was reported readable among the completions that are new. */
static bool loop_was_readable(struct ring *r, uint64_t loop_tag)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    bool readable = false;
    io_uring_for_each_cqe(&r->io, head, cqe)
    {
        if ((int)(head - r->looked_until) >= 0 && cqe->user_data == loop_tag) {
            r->loop_is_polled = false;
            readable = true;
        }
    }
    r->looked_until = head;
    return readable;
}

void ring_nap(struct ring *r, uint64_t timeout_ns)
{
    if (timeout_ns == 0) {
        (void)io_uring_submit_and_get_events(&r->io);
    } else if (timeout_ns == UINT64_MAX) {
        (void)io_uring_submit_and_wait(&r->io, 1);
    } else {
        struct __kernel_timespec timeout = {
            .tv_sec = (long long)(timeout_ns / LEAT_NS_PER_S),
            .tv_nsec = (long long)(timeout_ns % LEAT_NS_PER_S),
        };
        struct io_uring_cqe *cqe;
        (void)io_uring_submit_and_wait_timeout(&r->io, &cqe, 1, &timeout, NULL);
    }
    ring_submitted(r);
}

bool ring_wait(struct ring *r, int readable_fd, uint64_t loop_tag, uint64_t timeout_ns)
{
    if (!r->loop_is_polled)
        r->loop_is_polled = ring_poll(r, readable_fd, EPOLLIN, false, loop_tag);
    ring_nap(r, timeout_ns);
    return loop_was_readable(r, loop_tag) || !r->loop_is_polled;
}

/* Setting up. */

static int ring_refused(struct leat_error *error, const char *what, int code)
{
    const char *remedy = code == -EMFILE || code == -ENFILE
                             ? ": raise the limit on open files (ulimit -n)"
                         : code == -EPERM || code == -EACCES
                             ? ": allow it (sysctl kernel.io_uring_disabled=0, or the container's "
                               "seccomp profile), or use --net epoll"
                         : code == -ENOMEM ? ": raise the limit on locked memory (ulimit -l), or "
                                             "use --net epoll"
                                           : ": Linux 6.0 or later is needed, or --net epoll";
    return leat_fail(error, code, "io_uring is refused (%s: %s)%s", what, leat_errno_name(code),
                     remedy);
}

/* Some sandboxes let rings be made and refuse their use: one request that does nothing tells. */
static int ring_try(struct ring *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->io);
    struct io_uring_cqe *cqe;
    io_uring_prep_nop(sqe);
    int result = io_uring_submit_and_wait(&r->io, 1);
    if (result < 0)
        return result;
    result = io_uring_peek_cqe(&r->io, &cqe);
    if (result < 0)
        return result;
    io_uring_cqe_seen(&r->io, cqe);
    return 0;
}

static int ring_init(struct ring *r, struct leat_error *error)
{
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    };
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && result == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
            .cq_entries = RING_CQ_COUNT,
        };
        result = io_uring_queue_init_params(RING_SQ_COUNT, &r->io, &params);
    }
    if (result < 0)
        return ring_refused(error, "io_uring_setup", result);
    struct io_uring_probe *probe = io_uring_get_probe_ring(&r->io);
    bool is_new_enough = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
    io_uring_free_probe(probe);
    if (!is_new_enough || (r->io.features & IORING_FEAT_NODROP) == 0) {
        io_uring_queue_exit(&r->io);
        return ring_refused(error, "multishot receive", -ENOSYS);
    }
    result = ring_try(r);
    if (result < 0) {
        io_uring_queue_exit(&r->io);
        return ring_refused(error, "io_uring_enter", result);
    }
    return 0;
}

static int offers_init(struct ring *r, struct leat_error *error)
{
    r->offers_bytes = r->block_count * sizeof(struct io_uring_buf);
    r->offers =
        mmap(NULL, r->offers_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (r->offers == MAP_FAILED)
        return ring_refused(error, "mmap", -errno);
    /* After a fork the kernel and this process must still see the same page. */
    (void)madvise(r->offers, r->offers_bytes, MADV_DONTFORK);
    io_uring_buf_ring_init(r->offers);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)r->offers,
        .ring_entries = r->block_count,
        .bgid = RING_GROUP,
    };
    int result = io_uring_register_buf_ring(&r->io, &registration, 0);
    if (result < 0) {
        munmap(r->offers, r->offers_bytes);
        return ring_refused(error, "provided buffers", result);
    }
    return 0;
}

static int blocks_init(struct ring *r, struct leat_error *error)
{
    r->blocks = leat_heap_calloc(r->block_count, sizeof(*r->blocks));
    r->missing = leat_heap_calloc(r->block_count, sizeof(*r->missing));
    if (r->blocks != NULL && r->missing != NULL) {
        for (uint32_t i = r->block_count; i > 0; i--)
            r->missing[r->missing_count++] = (uint16_t)(i - 1);
        if (ring_refill(r))
            return 0;
    }
    leat_heap_free(r->blocks);
    leat_heap_free(r->missing);
    return leat_fail(error, -ENOMEM, "memory is out: no buffers to receive into");
}

int ring_new(struct ring **ring, uint32_t block_count, uint32_t block_bytes,
             struct leat_error *error)
{
    block_count = block_count != 0 ? block_count : RING_BLOCK_COUNT_DEFAULT;
    if (block_count > RING_BLOCK_COUNT_MAX || (block_count & (block_count - 1)) != 0) {
        return leat_fail(error, -EINVAL, "%u receive blocks: a power of two up to %d is wanted",
                         block_count, RING_BLOCK_COUNT_MAX);
    }
    struct ring *r = leat_heap_calloc(1, sizeof(*r));
    if (r == NULL)
        return leat_fail(error, -ENOMEM, "memory is out: the sockets cannot be opened");
    r->block_count = block_count;
    r->block_bytes = block_bytes;
    int result = ring_init(r, error);
    if (result < 0)
        goto no_ring;
    result = offers_init(r, error);
    if (result < 0)
        goto no_offers;
    result = blocks_init(r, error);
    if (result < 0)
        goto no_blocks;
    *ring = r;
    return 0;
no_blocks:
    munmap(r->offers, r->offers_bytes);
no_offers:
    io_uring_queue_exit(&r->io);
no_ring:
    leat_heap_free(r);
    return result;
}

void ring_free(struct ring *r)
{
    (void)io_uring_submit(&r->io); /* descriptors that are to be closed */
    io_uring_queue_exit(&r->io);
    for (uint32_t i = 0; i < r->block_count; i++)
        if (r->blocks[i].data != NULL)
            leat_buf_unref(r->blocks[i]);
    leat_heap_free(r->blocks);
    leat_heap_free(r->missing);
    munmap(r->offers, r->offers_bytes);
    leat_heap_free(r);
}
