/* Small files, 10,000 unless told: written, looked at, read and removed, 64 tasks at a time.
 * Microseconds of the process's CPU time for each file; measured when it was all done once before.
 */
#include "bench/async.h"
#include "bench/settle.h"

#include <leat/fs.h>
#include <leat/future.h>
#include <leat/loop.h>
#include <leat/task.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BYTES = 1024, TASKS = 64 };

struct files_bench {
    struct leat_loop *loop;
    const struct step *step;
    unsigned count, begun_count, ended_count;
    char folder[32];
};

static char bytes[BYTES];

static struct leat_future *file_write(struct leat_loop *loop, const char *path)
{
    return leat_fs_write_file(loop, path, leat_buf_from_static(bytes, BYTES));
}

static struct leat_future *file_read(struct leat_loop *loop, const char *path)
{
    return leat_fs_read_file(loop, path, 0);
}

static const struct step {
    const char *figure;
    struct leat_future *(*start)(struct leat_loop *loop, const char *path);
} steps[] = {
    {"files/write", file_write},
    {"files/stat", leat_fs_stat},
    {"files/read", file_read},
    {"files/remove", leat_fs_unlink},
};

static struct leat_result step_do(void *arg)
{
    struct files_bench *bench = arg;
    while (bench->begun_count < bench->count) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%u", bench->folder, bench->begun_count++);
        struct leat_result result = leat_await(bench->step->start(bench->loop, path));
        if (leat_result_drop(&result) < 0)
            abort();
        bench->ended_count++;
    }
    return leat_nothing();
}

static double step_us(struct files_bench *bench, const struct step *step)
{
    double begin = async_process_s();
    bench->step = step;
    bench->begun_count = bench->ended_count = 0;
    for (unsigned i = 0; i < TASKS; i++)
        leat_future_unref(leat_task_start(bench->loop, step_do, bench, 0));
    if (leat_loop_run(bench->loop) != 0 || bench->ended_count != bench->count)
        abort();
    return (async_process_s() - begin) * 1e6 / bench->count;
}

void async_files(double seconds, unsigned count)
{
    struct files_bench bench = {.loop = leat_loop_new(NULL, NULL),
                                .count = count,
                                .folder = "/tmp/leat-bench-XXXXXX"};
    if (bench.loop == NULL || mkdtemp(bench.folder) == NULL)
        abort();
    bench_settle_clock(bench.loop);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            double us = step_us(&bench, &steps[i]);
            if (round > 0)
                async_figure(steps[i].figure, us);
        }
    }
    rmdir(bench.folder);
    leat_loop_free(bench.loop);
}
