/* A file read in three forms, and one that is not there. */
#include <leat/leat.h>
#include <stdio.h>
#include <unistd.h>

static char path[64];

static void print_text(const char *form, struct leat_buf text)
{
    printf("%s: %.*s\n", form, (int)text.length_bytes - 1, (char *)text.data);
}

static struct leat_result promise_done(void *loop, const struct leat_result *text)
{
    print_text("promise", leat_result_buf(text));
    return leat_follow(leat_fs_unlink(loop, path));
}

static struct leat_result read_again(void *loop, const struct leat_result *result)
{
    return leat_follow(leat_fs_read_file(loop, path, 0));
}

static void lost(void *loop, const struct leat_result *result)
{
    printf("lost: %s\n", leat_errno_name(result->code));
}

static void callback_done(void *loop, const struct leat_result *text)
{
    print_text("callback", leat_result_buf(text));
    struct leat_future *promise = leat_fs_read_file(loop, path, 0);
    struct leat_future *unlinked = leat_then(promise, promise_done, NULL, loop);
    leat_call(leat_then(unlinked, read_again, NULL, loop), lost, loop);
    leat_future_unref(promise);
    leat_future_unref(unlinked);
}

static int start(struct leat_loop *loop)
{
    struct leat_buf text = leat_buf_from_static("remember the milk\n", 18);
    snprintf(path, sizeof(path), "/tmp/leat-cookbook-%d", getpid());
    if (leat_fs_write_file_sync(path, text, NULL) < 0)
        return leat_run_fail(loop, -1, "cannot write %s", path);
    text = leat_fs_read_file_sync(path, 0, NULL);
    print_text("sync", text);
    leat_buf_unref(text);
    leat_call(leat_fs_read_file(loop, path, 0), callback_done, loop);
    return 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
