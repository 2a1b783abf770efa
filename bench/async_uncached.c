/* Reading 4 KiB that are not in the page cache, 32 reads at a time, by the ring of io_uring that a
 * core has for that, and by the pool's threads, as where the kernel refuses one. ns of the
 * process's CPU time for each: its threads' and that of the kernel's workers for it. */
#include "bench/async.h"
#include "bench/settle.h"

#include <leat/fs.h>
#include <leat/future.h>
#include <leat/loop.h>

#include "runtime/os/pool_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH = 32, BYTES = 4096, PAGES = 16384, STRIDE = 7919, READS = 6400 };

struct uncached_bench {
    struct leat_loop *loop;
    struct leat_file *file;
    unsigned left, at_page;
};

static void read_done(void *arg, const struct leat_result *result)
{
    struct uncached_bench *bench = arg;
    if (result->code < 0 || leat_result_buf(result).length_bytes != BYTES)
        abort();
    bench->left--;
}

/* Each page once at most. */
static double read_ns(struct uncached_bench *bench)
{
    int fd = leat_file_fd(bench->file);
    if (fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        abort();
    double begin = async_process_s();
    for (unsigned done = 0; done < READS; done += BATCH) {
        for (bench->left = 0; bench->left < BATCH; bench->left++) {
            bench->at_page = (bench->at_page + STRIDE) % PAGES;
            leat_call(leat_fs_read(bench->file, (uint64_t)bench->at_page * BYTES, BYTES), read_done,
                      bench);
        }
        while (bench->left > 0)
            (void)leat_loop_turn(bench->loop, LEAT_NS_PER_S);
    }
    return (async_process_s() - begin) * 1e9 / READS;
}

static int file_new(void)
{
    static const char page[BYTES] = {1};
    char path[] = "/tmp/leat-bench-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0 || unlink(path) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM) != 0)
        abort();
    for (unsigned i = 0; i < PAGES; i++)
        if (pwrite(fd, page, BYTES, (off_t)i * BYTES) != BYTES)
            abort();
    return fd;
}

void async_uncached(double seconds, unsigned count)
{
    struct uncached_bench bench = {.loop = leat_loop_new(NULL, NULL)};
    if (bench.loop == NULL || (bench.file = leat_file_new(file_new())) == NULL)
        abort();
    bench_settle_clock(bench.loop);
    (void)read_ns(&bench);
    struct pool_core *core = leat_core_now->pool;
    if (core->ring != NULL)
        async_figure("uncached/ring", read_ns(&bench));
    struct fs_ring *ring = core->ring;
    bool is_refused = core->ring_is_refused;
    core->ring = NULL;
    core->ring_is_refused = true;
    (void)read_ns(&bench);
    async_figure("uncached/threads", read_ns(&bench));
    core->ring = ring;
    core->ring_is_refused = is_refused;
    leat_file_unref(bench.file);
    leat_loop_free(bench.loop);
}
