/* The application of the tests as a program, for real clients: test/http/clients.py. */
#include <leat/leat.h>
#include <stdlib.h>
#include "test/http/app.h"

static void free_app(void *arg)
{
    struct app *app = arg;

    app_fini(app);
    free(app);
}

static int start(struct leat_loop *loop)
{
    struct leat_http *http = leat_http_new(loop);
    struct app *app = calloc(1, sizeof(*app));

    if (!app)
        return -1;
    app_routes(http, app);
    int result = leat_run_on_end(loop, free_app, app);
    return result ? result : leat_http_listen(http, "127.0.0.1:0");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
