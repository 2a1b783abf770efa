/* A server that answers the same question in two ways: the simulated visitors must notice. */
#include <leat/leat.h>

#include <stdio.h>

static int lie(struct leat_request *req)
{
    struct leat_http_stats stats;
    char text[32];
    leat_http_stats(leat_request_http(req), &stats);
    snprintf(text, sizeof(text), "%s\n", stats.requests_count % 20 == 19 ? "no" : "yes");
    return leat_respond_text(req, 200, text);
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    leat_http_get(http, "/", lie);
    return leat_http_listen(http, "10.0.0.1:8080");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
