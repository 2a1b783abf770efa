/* Reading 4 KiB that lie in the page cache, 32 reads at a time: through futures and callbacks, by
 * the bare system call, and by a ring of io_uring. */
#include "bench/async.h"
#include "bench/settle.h"
#include "leat_config.h"

#include <leat/fs.h>
#include <leat/future.h>
#include <leat/loop.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if LEAT_HAVE_URING
#include <liburing.h>
#endif

enum { BATCH = 32, BYTES = 4096 };

struct read_bench {
    struct leat_loop *loop;
    struct leat_file *file;
    unsigned left;
    int fd;
    uint8_t *buffers; /* BATCH of them */
#if LEAT_HAVE_URING
    struct io_uring ring;
#endif
};

static void read_done(void *arg, const struct leat_result *result)
{
    struct read_bench *bench = arg;
    if (result->code < 0 || leat_result_buf(result).length_bytes != BYTES)
        abort();
    bench->left--;
}

static uint64_t turn_until_read(struct read_bench *bench)
{
    while (bench->left > 0)
        (void)leat_loop_turn(bench->loop, LEAT_NS_PER_S);
    return BATCH;
}

static uint64_t by_futures(void *state)
{
    struct read_bench *bench = state;
    for (bench->left = 0; bench->left < BATCH; bench->left++) {
        struct leat_future *future =
            leat_fs_read(bench->file, (uint64_t)bench->left * BYTES, BYTES);
        leat_on_settled(future, read_done, bench);
        leat_future_unref(future);
    }
    return turn_until_read(bench);
}

static uint64_t by_callbacks(void *state)
{
    struct read_bench *bench = state;
    for (bench->left = 0; bench->left < BATCH; bench->left++)
        leat_call(leat_fs_read(bench->file, (uint64_t)bench->left * BYTES, BYTES), read_done,
                  bench);
    return turn_until_read(bench);
}

static uint64_t by_calls(void *state)
{
    struct read_bench *bench = state;
    for (unsigned i = 0; i < BATCH; i++)
        if (pread(bench->fd, bench->buffers + i * BYTES, BYTES, i * BYTES) != BYTES)
            abort();
    return BATCH;
}

#if LEAT_HAVE_URING
static uint64_t by_ring(void *state)
{
    struct read_bench *bench = state;
    struct io_uring_cqe *done[BATCH];
    for (unsigned i = 0; i < BATCH; i++)
        io_uring_prep_read(io_uring_get_sqe(&bench->ring), bench->fd, bench->buffers + i * BYTES,
                           BYTES, (uint64_t)i * BYTES);
    if (io_uring_submit_and_wait(&bench->ring, BATCH) != BATCH ||
        io_uring_peek_batch_cqe(&bench->ring, done, BATCH) != BATCH)
        abort();
    for (unsigned i = 0; i < BATCH; i++)
        if (done[i]->res != BYTES)
            abort();
    io_uring_cq_advance(&bench->ring, BATCH);
    return BATCH;
}

/* Made as the sockets' is. Where the kernel refuses it there is no figure. */
static void ring_measure(struct read_bench *bench, double seconds)
{
    unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (io_uring_queue_init(BATCH, &bench->ring, flags) != 0)
        return;
    async_figure("read/ring", async_measure(by_ring, bench, seconds));
    io_uring_queue_exit(&bench->ring);
}
#else
static void ring_measure(struct read_bench *bench, double seconds)
{
}
#endif

void async_read(double seconds, unsigned count)
{
    struct read_bench bench = {.loop = bench_loop_new(), .buffers = calloc(BATCH, BYTES)};
    char path[] = "/tmp/leat-bench-XXXXXX";
    bench.fd = mkostemp(path, O_CLOEXEC);
    if (bench.buffers == NULL || bench.fd < 0 || unlink(path) != 0 ||
        pwrite(bench.fd, bench.buffers, BATCH * BYTES, 0) != BATCH * BYTES)
        abort();
    memset(bench.buffers, 1, BATCH * BYTES);
    int copy = fcntl(bench.fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0 || (bench.file = leat_file_new(copy)) == NULL)
        abort();
    async_figure("read/future", async_measure(by_futures, &bench, seconds));
    async_figure("read/callback", async_measure(by_callbacks, &bench, seconds));
    async_figure("read/calls", async_measure(by_calls, &bench, seconds));
    ring_measure(&bench, seconds);
    leat_file_unref(bench.file);
    bench_loop_free(bench.loop);
    close(bench.fd);
    free(bench.buffers);
}
