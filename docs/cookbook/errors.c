/* A server whose handlers fail, and the one place that tells the client. */
#include <leat/leat.h>
#include <errno.h>
#include <stdio.h>

static int fine(struct leat_request *req)
{
    return leat_respond_text(req, 200, "fine\n");
}

static int lost(struct leat_request *req)
{
    return -ENOENT;
}

static int secret(struct leat_request *req)
{
    return -EACCES;
}

static int broken(struct leat_request *req)
{
    return -EIO;
}

static void on_error(struct leat_request *req, int status, const char *sentence)
{
    char text[64];
    snprintf(text, sizeof(text), "sorry: %d\n", status);
    (void)leat_respond_text(req, status, text);
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    leat_http_get(http, "/", fine);
    leat_http_get(http, "/lost", lost);
    leat_http_get(http, "/secret", secret);
    leat_http_get(http, "/broken", broken);
    leat_http_on_error(http, on_error);
    return leat_http_listen(http, "127.0.0.1:0");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
