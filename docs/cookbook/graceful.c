/* A graceful end: who is being served is served to the end, then the program goes. */
#include <leat/leat.h>
#include <errno.h>
#include <stdio.h>

static int serve(struct leat_request *req)
{
    leat_response_begin(req, 200, NULL, LEAT_LENGTH_UNKNOWN);
    int code = leat_response_write_bytes(req, "it takes a moment ...\n", 22);
    struct leat_result delay = leat_await(leat_delay(leat_request_loop(req), 100 * LEAT_NS_PER_MS));
    if (leat_result_drop(&delay) < 0 || code < 0)
        return -EPIPE; /* the client has gone */
    code = leat_response_write_bytes(req, "here it is\n", 11);
    return code < 0 ? code : leat_response_end(req);
}

static void on_end(void *arg)
{
    puts("all are served");
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    leat_http_task(http, "GET", "/", serve);
    int code = leat_run_on_end(loop, on_end, NULL);
    return code < 0 ? code : leat_http_listen(http, "127.0.0.1:0");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start); /* a SIGTERM begins the end by itself */
}
