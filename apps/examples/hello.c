/* The smallest server: one route, one answer. */
#include <leat/leat.h>

static int hello(struct leat_request *req)
{
    return leat_respond_text(req, 200, "Hello, World!\n");
}

static int start(struct leat_loop *loop) /* runs once on every core */
{
    struct leat_http *http = leat_http_new(loop); /* errors stick: checked once, by listen */
    leat_http_get(http, "/", hello);
    return leat_http_listen(http, ":8080");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start); /* --cores, --net, --listen ... come for free */
}
