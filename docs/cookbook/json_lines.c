/* JSON Lines: a file of any length, a line at a time. */
#include <leat/leat.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static int64_t price_of(struct leat_json_tree *tree, struct leat_buf line)
{
    int64_t price = 0;
    const struct leat_json_node *order = leat_json_parse(tree, line.data, line.length_bytes, NULL);
    if (leat_json_int(leat_json_find(order, "price"), &price) < 0)
        printf("not JSON: %.*s\n", (int)line.length_bytes, (char *)line.data);
    return price;
}

static int64_t total(struct leat_stream *lines)
{
    struct leat_json_tree tree;
    leat_json_tree_init(&tree, NULL);
    int64_t sum = 0;
    struct leat_result line = leat_await(leat_readable_next(lines));
    while (line.code > 0) {
        sum += price_of(&tree, leat_result_buf(&line));
        leat_result_drop(&line);
        line = leat_await(leat_readable_next(lines));
    }
    leat_json_tree_fini(&tree);
    int code = leat_result_drop(&line); /* 0: the end */
    return code < 0 ? code : sum;
}

static struct leat_result main_task(void *loop)
{
    struct leat_stream *lines = leat_lines(loop, 0);
    if (lines == NULL)
        return leat_failure(leat_loop_error(loop)->code, NULL);
    struct leat_stream *stages[] = {leat_fs_readable(loop, path, 0, UINT64_MAX),
                                    leat_stream_ref(lines)};
    struct leat_future *read = leat_pipeline(stages, 2);
    printf("total: %lld\n", (long long)total(lines));
    leat_stream_unref(lines);
    (void)unlink(path);
    return leat_await(read);
}

static int start(struct leat_loop *loop)
{
    struct leat_error error;
    struct leat_buf text = leat_buf_from_string("{\"price\": 7}\n{\"price\": 12, \"of\": \"tea\"}\n"
                                                "{\"price\"\n{\"price\": 23}");
    snprintf(path, sizeof(path), "/tmp/leat-cookbook-%d", getpid());
    int code = leat_fs_write_file_sync(path, text, &error);
    leat_buf_unref(text);
    if (code < 0)
        return leat_run_fail(loop, code, "%s", error.sentence);
    leat_future_unref(leat_task_start(loop, main_task, loop, 0));
    return 0;
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
