/* A handler that waits: what /proc says of this machine. */
#include <leat/leat.h>
#include <stdio.h>

static int show(struct leat_request *req)
{
    char path[256];
    struct leat_view name = leat_request_param(req, "name");
    snprintf(path, sizeof(path), "/proc/%.*s", LEAT_VIEW_PRINT(name));
    struct leat_result file = leat_await(leat_fs_read_file(leat_request_loop(req), path, 65536));
    if (file.code < 0)
        return leat_result_drop(&file); /* to the error handler, with 404 for ENOENT */
    int result = leat_respond_buf(req, 200, "text/plain", leat_buf_ref(leat_result_buf(&file)));
    leat_result_drop(&file);
    return result;
}

static void on_error(struct leat_request *req, int status, const char *sentence)
{
    (void)leat_respond_text(req, status, "nothing of that name\n");
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    leat_http_task(http, "GET", "/:name", show);
    leat_http_on_error(http, on_error);
    return leat_http_listen(http, "127.0.0.1:0");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
