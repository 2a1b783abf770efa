/* An upload: the body goes to a file as it comes, and the client is slowed down, not stored. */
#include <leat/leat.h>
#include <stdio.h>
#include <unistd.h>

static char path[64];

static int put(struct leat_request *req)
{
    struct leat_loop *loop = leat_request_loop(req);
    struct leat_stream *stages[] = {leat_request_readable(req),
                                    leat_fs_writable(loop, path, LEAT_OPEN_CREATE | LEAT_OPEN_EMPTY,
                                                     LEAT_FS_NO_SYNC)};
    struct leat_result end = leat_await(leat_pipeline(stages, 2));
    int code = leat_result_drop(&end);
    return code < 0 ? code : leat_respond_text(req, 201, "kept\n");
}

static int get(struct leat_request *req)
{
    struct leat_result file = leat_await(leat_fs_read_file(leat_request_loop(req), path, 0));
    if (file.code < 0)
        return leat_result_drop(&file); /* to the error handler, with 404 for ENOENT */
    return leat_respond_buf(req, 200, NULL, leat_result_buf(&file)); /* takes it */
}

static int delete (struct leat_request *req)
{
    struct leat_result end = leat_await(leat_fs_unlink(leat_request_loop(req), path));
    int code = leat_result_drop(&end);
    return code < 0 ? code : leat_respond_text(req, 200, "gone\n");
}

static void on_error(struct leat_request *req, int status, const char *sentence)
{
    (void)leat_respond_text(req, status, "sorry\n");
}

static int start(struct leat_loop *loop)
{
    snprintf(path, sizeof(path), "/tmp/leat-cookbook-%d", getpid());
    struct leat_http *http = leat_http_new(loop);
    leat_http_task(http, "PUT", "/", put);
    leat_http_task(http, "GET", "/", get);
    leat_http_task(http, "DELETE", "/", delete);
    leat_http_on_error(http, on_error);
    return leat_http_listen(http, "127.0.0.1:0");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
