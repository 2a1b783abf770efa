/* Backpressure by pipe: a file becomes smaller, and whole again, however slow its ends are. */
#include <leat/leat.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char from[64], packed[72], to[72];
static const struct leat_coder_options gzip = {.coding = LEAT_GZIP, .ratio_max = 2000};

static struct leat_stream *file_new(struct leat_loop *loop, const char *path)
{
    return leat_fs_writable(loop, path, LEAT_OPEN_CREATE | LEAT_OPEN_EMPTY, LEAT_FS_NO_SYNC);
}

static int through(struct leat_loop *loop, const char *in, struct leat_stream *coder,
                   const char *out)
{
    struct leat_stream *stages[] = {leat_fs_readable(loop, in, 0, UINT64_MAX), coder,
                                    file_new(loop, out)};
    struct leat_result end = leat_await(leat_pipeline(stages, 3));
    return leat_result_drop(&end);
}

static int64_t size_of(struct leat_loop *loop, const char *path)
{
    struct leat_result stat = leat_await(leat_fs_stat(loop, path));
    int64_t size = stat.code < 0 ? stat.code : (int64_t)leat_result_stat(&stat)->length_bytes;
    leat_result_drop(&stat);
    return size;
}

static struct leat_result main_task(void *loop)
{
    int code = through(loop, from, leat_compress_new(loop, &gzip), packed);
    if (code == 0)
        code = through(loop, packed, leat_decompress_new(loop, &gzip), to);
    printf("smaller: %s\n", size_of(loop, packed) < 10000 ? "true" : "false");
    printf("%lld bytes\n", (long long)size_of(loop, to));
    (void)unlink(from);
    (void)unlink(packed);
    (void)unlink(to);
    if (code < 0)
        return leat_failure(code, "cannot pack %s", from);
    struct leat_stream *stages[] = {leat_fs_readable(loop, from, 0, UINT64_MAX),
                                    file_new(loop, to)};
    struct leat_result lost = leat_await(leat_pipeline(stages, 2));
    printf("lost: %s\n", leat_errno_name(leat_result_drop(&lost)));
    (void)unlink(to);
    return leat_nothing();
}

static int start(struct leat_loop *loop)
{
    static char text[1000000];
    memset(text, 'x', sizeof(text));
    snprintf(from, sizeof(from), "/tmp/leat-cookbook-%d", getpid());
    snprintf(packed, sizeof(packed), "%s.gz", from);
    snprintf(to, sizeof(to), "%s-copy", from);
    struct leat_error error;
    if (leat_fs_write_file_sync(from, leat_buf_from_static(text, sizeof(text)), &error) < 0)
        return leat_run_fail(loop, error.code, "%s", error.sentence);
    leat_future_unref(leat_task_start(loop, main_task, loop, 0));
    return 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
