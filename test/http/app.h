/* The application that the tests of the server talk to: a route for everything that a handler can
 * do. */
#ifndef TEST_HTTP_APP_H
#define TEST_HTTP_APP_H

#include <leat/http.h>
#include <leat/timer.h>

#define APP_BIG_BYTES          100000
#define APP_LATER_NS           (50 * LEAT_NS_PER_MS)
#define APP_STREAM_PIECE_BYTES 20000
#define APP_STREAM_PIECES      100

struct app {                                         /* per server: leat_http_user */
    unsigned aborted_count, freed_count, late_count; /* late: a deferred handle had gone stale */
    unsigned writable_count, error_count;
    unsigned streamed_count; /* pieces of /stream that were accepted */
    leat_deferred last_deferred;
    leat_conn upgraded;
    struct leat_file *file;
};

/* Adds the routes, and makes app the server's user. */
void app_routes(struct leat_http *http, struct app *app);
void app_fini(struct app *app);

#endif
