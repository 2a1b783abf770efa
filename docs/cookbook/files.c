/* A file read in three forms, and one that is not there. */
#include <leat/leat.h>
#include <stdio.h>
#include <unistd.h>

static char path[64];

static void print_text(const char *form, struct leat_buf text)
{
    printf("%s: %.*s\n", form, (int)text.length_bytes - 1, (char *)text.data);
}

static struct leat_result later(void *loop)
{
    struct leat_result text = leat_await(leat_fs_read_file(loop, path, 0));
    if (text.code < 0)
        return text;
    print_text("await", leat_result_buf(&text));
    leat_result_drop(&text);
    struct leat_result unlinked = leat_await(leat_fs_unlink(loop, path));
    if (unlinked.code < 0)
        return unlinked;
    struct leat_result lost = leat_await(leat_fs_read_file(loop, path, 0));
    printf("lost: %s\n", leat_errno_name(leat_result_drop(&lost)));
    return leat_nothing();
}

static void callback_done(void *loop, const struct leat_result *text)
{
    if (text->code < 0) {
        fprintf(stderr, "%s\n", leat_result_sentence(text));
        leat_run_exit(loop, 1);
        return;
    }
    print_text("callback", leat_result_buf(text));
    leat_future_unref(leat_task_start(loop, later, loop, 0));
}

static int start(struct leat_loop *loop)
{
    struct leat_error error;
    struct leat_buf text = leat_buf_from_static("remember the milk\n", 18);
    snprintf(path, sizeof(path), "/tmp/leat-cookbook-%d", getpid());
    if (leat_fs_write_file_sync(path, text, &error) < 0)
        return leat_run_fail(loop, error.code, "%s", error.sentence);
    text = leat_fs_read_file_sync(path, 0, &error);
    if (text.data == NULL)
        return leat_run_fail(loop, error.code, "%s", error.sentence);
    print_text("sync", text);
    leat_buf_unref(text);
    leat_call(leat_fs_read_file(loop, path, 0), callback_done, loop);
    return 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
