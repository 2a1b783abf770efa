/* Backpressure by hand: a file is copied, and nothing is read while writing is behind. */
#include <leat/leat.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char from[64], to[72];

static int copy_pieces(struct leat_stream *source, struct leat_stream *sink, unsigned *waits)
{
    for (;;) {
        struct leat_result piece = leat_await(leat_readable_next(source));
        if (piece.code <= 0)
            return leat_result_drop(&piece);                               /* 0: the end */
        struct leat_chunk chunk = leat_chunk_buf(leat_result_buf(&piece)); /* takes it */
        int code = leat_write(sink, &chunk, 1);
        if (code < 0) {
            leat_chunk_drop(&chunk);
            return code;
        }
        if (code == 0)
            continue;
        ++*waits;
        struct leat_result ready = leat_await(leat_writable_ready(sink));
        if (ready.code < 0)
            return leat_result_drop(&ready);
    }
}

static int copy(struct leat_loop *loop, unsigned *waits)
{
    struct leat_stream *source = leat_fs_readable(loop, from, 0, UINT64_MAX);
    struct leat_stream *sink = leat_fs_writable(loop, to, LEAT_OPEN_NEW, LEAT_FS_NO_SYNC);
    if (source == NULL || sink == NULL) /* memory is out, and the program ends */
        return leat_loop_error(loop)->code;
    struct leat_future *finished = leat_finished(sink);
    int code = copy_pieces(source, sink, waits);
    if (code == 0)
        leat_stream_end(sink);
    else
        leat_stream_destroy(sink, leat_nothing());
    leat_stream_destroy(source, leat_nothing());
    leat_stream_unref(source);
    leat_stream_unref(sink);
    struct leat_result end = leat_await(finished);
    int end_code = leat_result_drop(&end); /* why, if a stream has failed */
    return end_code < 0 ? end_code : code;
}

static struct leat_result main_task(void *loop)
{
    unsigned waits = 0;
    int code = copy(loop, &waits);
    struct leat_result stat = leat_await(leat_fs_stat(loop, to));
    (void)unlink(from);
    (void)unlink(to);
    if (code < 0 || stat.code < 0)
        return code < 0 ? leat_failure(code, "cannot copy %s", from) : stat;
    printf("it waited: %s\n", waits > 0 ? "true" : "false");
    printf("%llu bytes\n", (unsigned long long)leat_result_stat(&stat)->length_bytes);
    leat_result_drop(&stat);
    return leat_nothing();
}

static int start(struct leat_loop *loop)
{
    static char text[1000000];
    memset(text, 'x', sizeof(text));
    snprintf(from, sizeof(from), "/tmp/leat-cookbook-%d", getpid());
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
