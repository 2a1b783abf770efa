/* A core's ring of io_uring for reads of files.
 *
 *   R1  A read is in the ring from fs_ring_read on until its completion was seen: inflight_count
 *       counts it, sent or not. There are as many entries to submit as may be in flight.
 *   R2  The kernel writes into a read's buffer until it has completed, also when it was cancelled:
 *       the operation, which holds buffer and file, is told then and not before.
 *   R3  A completion runs no callback: it tells, and the result comes in a poll phase. */
#include "runtime/os/fs_ring.h"

#include <errno.h>
#include <liburing.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "runtime/os/fs_internal.h"
#include "runtime/os/pool_internal.h"

#define RING_FLAGS (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN) /* Linux 6.1 */
/* Of the kernel's own, for what it cannot begin without blocking: else hundreds may come. */
#define RING_WORKERS_MAX 4

struct fs_ring {
    struct io_uring io;
    struct leat_watch readable; /* of an eventfd: the ring's own descriptor is silent about what a
                                   deferred completion would be */
    struct pool_core *core;
    uint32_t inflight_count, unsent_count; /* R1 */
    uint32_t placed_for;                   /* as in pool_worker.c */
};

/* ---- made, when the first read wants it ---- */

/* A sandbox may permit to set up a ring and refuse to enter it. */
static int ring_try(struct io_uring *io)
{
    struct io_uring_cqe *cqe;
    io_uring_prep_nop(io_uring_get_sqe(io));
    int result = io_uring_submit_and_wait(io, 1);
    if (result >= 0)
        result = io_uring_peek_cqe(io, &cqe);
    if (result == 0)
        io_uring_cqe_seen(io, cqe);
    return result < 0 ? result : 0;
}

/* The kernel's workers stay off the loops' CPUs, as the pool's threads do: those of a ring that was
 * made on a pinned thread would have its CPU alone. */
static void ring_place(struct fs_ring *ring)
{
    struct loop_common *common = loop_common(ring->core->loop);
    uint32_t now = atomic_load(&common->pinned_count);
    struct cpu_mask loops, spare;
    if (now + 1 == ring->placed_for)
        return;
    ring->placed_for = now + 1;
    pthread_mutex_lock(&common->lock);
    loops = common->pinned_cpus;
    pthread_mutex_unlock(&common->lock);
    if (leat_topology_spare(&loops, &spare) > 0)
        (void)io_uring_register_iowq_aff(&ring->io, sizeof(spare), (const cpu_set_t *)&spare);
}

static void ring_on_readable(struct leat_watch *watch, uint32_t events, void *arg);

static struct fs_ring *ring_new(struct pool_core *core)
{
    struct fs_ring *ring = leat_heap_calloc(1, sizeof(*ring));
    unsigned workers[2] = {RING_WORKERS_MAX, RING_WORKERS_MAX}; /* bounded work, unbounded work */
    if (ring == NULL)
        return NULL;
    ring->core = core;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        goto no_event;
    if (io_uring_queue_init(LEAT_FS_INFLIGHT_MAX, &ring->io, RING_FLAGS) < 0)
        goto no_ring;
    leat_watch_init(&ring->readable, core->loop, fd, ring_on_readable, ring);
    leat_watch_unref(&ring->readable); /* operations keep the loop alive, each for itself */
    if (ring_try(&ring->io) < 0 || io_uring_register_eventfd(&ring->io, fd) < 0 ||
        leat_watch_start(&ring->readable, EPOLLIN | EPOLLET) < 0)
        goto no_use;
    (void)io_uring_register_iowq_max_workers(&ring->io, workers);
    ring_place(ring);
    return ring;
no_use:
    io_uring_queue_exit(&ring->io);
no_ring:
    close(fd);
no_event:
    leat_heap_free(ring);
    return NULL;
}

/* NULL: refused. It is asked for once. */
static struct fs_ring *ring_of(struct pool_core *core)
{
    if (core->ring == NULL && !core->ring_is_refused) {
        core->ring = ring_new(core);
        core->ring_is_refused = core->ring == NULL;
    }
    return core->ring;
}

/* ---- there ---- */

static void read_prepare(struct fs_ring *ring, struct fs_op *fs)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->io);
    struct leat_buf *buf = &fs->args.buf;
    CHECK(sqe != NULL); /* R1 */
    io_uring_prep_read(sqe, leat_file_fd(fs->args.file), buf->data + fs->done_bytes,
                       (unsigned)(buf->length_bytes - fs->done_bytes),
                       fs->args.offset + fs->done_bytes);
    io_uring_sqe_set_data(sqe, fs);
    ring->unsent_count++;
}

enum op_tried fs_ring_read(struct fs_op *fs)
{
    struct fs_ring *ring = ring_of(fs->op.core);
    struct fs_sys *sys = fs->op.sys;
    if (ring == NULL || ring->inflight_count == LEAT_FS_INFLIGHT_MAX ||
        sys->read_later(sys, leat_file_fd(fs->args.file)) < 0)
        return OP_LEFT;
    ring->inflight_count++;
    read_prepare(ring, fs);
    return OP_GIVEN;
}

/* What the kernel is short of it takes in the next turn. */
void fs_ring_flush(struct pool_core *core)
{
    struct fs_ring *ring = core->ring;
    if (ring == NULL || ring->unsent_count == 0)
        return;
    ring_place(ring);
    int sent = io_uring_submit(&ring->io);
    ring->unsent_count -= sent > 0 ? (uint32_t)sent : 0;
}

bool fs_ring_has_unsent(const struct pool_core *core)
{
    return core->ring != NULL && core->ring->unsent_count > 0;
}

/* ---- and back ---- */

/* The pool does what the ring could not, from where it came to: so that what is wrong with a file
 * is said alike. A disk that failed is not asked twice. */
static void read_end(struct fs_ring *ring, struct fs_op *fs, int result)
{
    struct op *op = &fs->op;
    fs->done_bytes += result > 0 ? (uint64_t)result : 0;
    if (result > 0 && fs->done_bytes < fs->args.buf.length_bytes && !op->is_cancelled) {
        read_prepare(ring, fs);
        return;
    }
    ring->inflight_count--;
    op->value = result < 0 ? result : (int64_t)fs->done_bytes;
    if (result < 0 && result != -EIO && result != -ECANCELED && !op->is_cancelled)
        op_give_back(op);
    else
        op_tell(op);
}

static void ring_collect(struct fs_ring *ring)
{
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&ring->io, &cqe) == 0) {
        struct fs_op *fs = io_uring_cqe_get_data(cqe);
        int result = cqe->res;
        io_uring_cqe_seen(&ring->io, cqe);
        if (fs != NULL) /* else that of a cancellation */
            read_end(ring, fs, result);
    }
}

static void ring_on_readable(struct leat_watch *watch, uint32_t events, void *arg)
{
    struct fs_ring *ring = arg;
    (void)io_uring_get_events(&ring->io);
    ring_collect(ring);
}

/* What waits for nothing but more to read is cut short; a disk cannot be stopped. */
static void reads_cancel(struct fs_ring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->io);
    if (sqe == NULL)
        return;
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data(sqe, NULL);
}

void fs_ring_settle(struct pool_core *core)
{
    struct fs_ring *ring = core->ring;
    if (ring == NULL || ring->inflight_count == 0)
        return;
    fs_ring_flush(core);
    reads_cancel(ring);
    while (ring->inflight_count > 0) {
        (void)io_uring_submit_and_wait(&ring->io, 1);
        ring_collect(ring);
    }
    ring->unsent_count = 0;
}

void fs_ring_fini(struct pool_core *core)
{
    struct fs_ring *ring = core->ring;
    if (ring == NULL)
        return;
    CHECK(ring->inflight_count == 0);
    leat_watch_stop(&ring->readable);
    close(ring->readable.fd);
    io_uring_queue_exit(&ring->io);
    leat_heap_free(ring);
    core->ring = NULL;
}
