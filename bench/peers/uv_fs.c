/* What bench/async_read.c and bench/async_files.c do, on libuv: `uv_fs read|files SECONDS` prints
 * the same figures of the process's CPU time. A file that is read or written whole takes a request
 * for each of its system calls, for libuv has no other. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum { BATCH = 32, READ_BYTES = 4096, FILES = 10000, FILE_BYTES = 1024, UNDER_WAY = 64 };

static double clock_s(clockid_t which)
{
    struct timespec at;
    clock_gettime(which, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

/* ---- reading 4 KiB ---- */

static char *buffers;
static unsigned left;

static void on_batch_read(uv_fs_t *request)
{
    if (request->result != READ_BYTES)
        abort();
    uv_fs_req_cleanup(request);
    left--;
}

static void batch_read(uv_loop_t *loop, int fd)
{
    static uv_fs_t requests[BATCH];
    for (left = 0; left < BATCH; left++) {
        uv_buf_t to = uv_buf_init(buffers + left * READ_BYTES, READ_BYTES);
        uv_fs_read(loop, &requests[left], fd, &to, 1, left * READ_BYTES, on_batch_read);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    if (left != 0)
        abort();
}

static double read_for(uv_loop_t *loop, int fd, double seconds)
{
    double end = clock_s(CLOCK_MONOTONIC) + seconds, begin = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t count = 0;
    for (; clock_s(CLOCK_MONOTONIC) < end; count += BATCH)
        batch_read(loop, fd);
    return (clock_s(CLOCK_PROCESS_CPUTIME_ID) - begin) * 1e9 / (double)count;
}

static void work_read(uv_loop_t *loop, double seconds)
{
    char path[] = "/tmp/leat-bench-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    buffers = calloc(BATCH, READ_BYTES);
    if (buffers == NULL || fd < 0 || unlink(path) != 0 ||
        pwrite(fd, buffers, BATCH * READ_BYTES, 0) != BATCH * READ_BYTES)
        abort();
    memset(buffers, 1, BATCH * READ_BYTES);
    (void)read_for(loop, fd, seconds / 10);
    printf("{\"read/callback\": %.3f}\n", read_for(loop, fd, seconds));
    close(fd);
    free(buffers);
}

/* ---- 10,000 small files ---- */

struct chain { /* one file after the other */
    uv_fs_t request;
    uv_file fd;
    char path[64], bytes[FILE_BYTES + 1];
};

static struct chain chains[UNDER_WAY];
static char folder[] = "/tmp/leat-bench-XXXXXX";
static void (*step)(uv_loop_t *loop, struct chain *chain);
static unsigned begun_count, ended_count;

static void file_begin(uv_loop_t *loop, struct chain *chain)
{
    if (begun_count == FILES)
        return;
    snprintf(chain->path, sizeof(chain->path), "%s/%u", folder, begun_count++);
    chain->request.data = chain;
    step(loop, chain);
}

static void file_end(uv_loop_t *loop, struct chain *chain)
{
    ended_count++;
    file_begin(loop, chain);
}

static void on_ended(uv_fs_t *request)
{
    if (request->result < 0)
        abort();
    struct chain *chain = request->data;
    uv_fs_req_cleanup(request);
    file_end(request->loop, chain);
}

static void step_stat(uv_loop_t *loop, struct chain *chain)
{
    uv_fs_stat(loop, &chain->request, chain->path, on_ended);
}

static void step_remove(uv_loop_t *loop, struct chain *chain)
{
    uv_fs_unlink(loop, &chain->request, chain->path, on_ended);
}

static void on_moved(uv_fs_t *request);
static void step_read(uv_loop_t *loop, struct chain *chain);

static void on_opened(uv_fs_t *request)
{
    struct chain *chain = request->data;
    uv_buf_t bytes = uv_buf_init(chain->bytes, FILE_BYTES);
    if (request->result < 0)
        abort();
    chain->fd = (uv_file)request->result;
    uv_fs_req_cleanup(request);
    if (step == step_read)
        uv_fs_read(request->loop, request, chain->fd, &bytes, 1, 0, on_moved);
    else
        uv_fs_write(request->loop, request, chain->fd, &bytes, 1, 0, on_moved);
}

static void on_moved(uv_fs_t *request)
{
    struct chain *chain = request->data;
    if (request->result != FILE_BYTES)
        abort();
    uv_fs_req_cleanup(request);
    uv_fs_close(request->loop, request, chain->fd, on_ended);
}

static void step_read(uv_loop_t *loop, struct chain *chain)
{
    uv_fs_open(loop, &chain->request, chain->path, UV_FS_O_RDONLY, 0, on_opened);
}

static void step_write(uv_loop_t *loop, struct chain *chain)
{
    uv_fs_open(loop, &chain->request, chain->path, UV_FS_O_WRONLY | UV_FS_O_CREAT | UV_FS_O_TRUNC,
               0666, on_opened);
}

static double step_us(uv_loop_t *loop, void (*what)(uv_loop_t *, struct chain *))
{
    double begin = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    step = what;
    begun_count = ended_count = 0;
    for (unsigned i = 0; i < UNDER_WAY; i++)
        file_begin(loop, &chains[i]);
    uv_run(loop, UV_RUN_DEFAULT);
    if (ended_count != FILES)
        abort();
    return (clock_s(CLOCK_PROCESS_CPUTIME_ID) - begin) * 1e6 / FILES;
}

static void work_files(uv_loop_t *loop)
{
    double us[4] = {0};
    if (mkdtemp(folder) == NULL)
        abort();
    for (int round = 0; round < 2; round++) {
        us[0] = step_us(loop, step_write);
        us[1] = step_us(loop, step_stat);
        us[2] = step_us(loop, step_read);
        us[3] = step_us(loop, step_remove);
    }
    rmdir(folder);
    printf("{\"files/write\": %.3f, \"files/stat\": %.3f, \"files/read\": %.3f, "
           "\"files/remove\": %.3f}\n",
           us[0], us[1], us[2], us[3]);
}

int main(int argc, char **argv)
{
    double seconds = argc == 3 ? strtod(argv[2], NULL) : 0.0;
    if (seconds > 0 && strcmp(argv[1], "read") == 0)
        work_read(uv_default_loop(), seconds);
    else if (seconds > 0 && strcmp(argv[1], "files") == 0)
        work_files(uv_default_loop());
    else
        return 2;
    return 0;
}
