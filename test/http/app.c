#include "test/http/app.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "runtime/base/core.h"

static struct app *app_of(const struct leat_request *req)
{
    return leat_http_user(leat_request_http(req));
}

static int respond_view(struct leat_request *req, struct leat_view view)
{
    if (view.data != NULL)
        return leat_respond_bytes(req, 200, "text/plain", view.data, view.length_bytes);
    return leat_respond_text(req, 200, "(none)");
}

/* Runs fn with the request's handle in a while. */
static void run_later(struct leat_request *req, leat_timer_fn *fn, uint64_t ms)
{
    leat_deferred deferred = leat_request_defer(req);

    if (!leat_set_timeout(leat_request_loop(req), fn, (void *)(uintptr_t)deferred.id, ms))
        leat_request_fail(req, 503, "no memory for a timer");
}

/* ---- At once ---- */

static int on_hello(struct leat_request *req)
{
    return leat_respond_text(req, 200, "hello");
}

static int on_user(struct leat_request *req)
{
    return respond_view(req, leat_request_param(req, "id"));
}

static int on_files(struct leat_request *req)
{
    return respond_view(req, leat_request_param(req, "rest"));
}

static int on_two(struct leat_request *req)
{
    char text[128];
    struct leat_view a = leat_request_param(req, "a"), b = leat_request_param(req, "b");

    snprintf(text, sizeof(text), "%.*s,%.*s", LEAT_VIEW_PRINT(a), LEAT_VIEW_PRINT(b));
    return leat_respond_text(req, 200, text);
}

static int on_query(struct leat_request *req)
{
    return respond_view(req, leat_request_query_param(req, "q"));
}

static int on_cookie(struct leat_request *req)
{
    return respond_view(req, leat_request_cookie(req, "a"));
}

static int on_cookies(struct leat_request *req)
{
    char text[256] = "";
    size_t position = 0, length = 0;
    struct leat_view name, value;

    while (leat_request_cookie_next(req, &position, &name, &value))
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%.*s=%.*s;",
                                   LEAT_VIEW_PRINT(name), LEAT_VIEW_PRINT(value));
    return leat_respond_text(req, 200, text);
}

static int on_set(struct leat_request *req)
{
    leat_response_header(req, "X-One", "1");
    leat_response_set_cookie(req, &(struct leat_cookie){.name = "session", .value = "abc"});
    leat_response_header(req, "Content-Type", "text/css");
    return leat_respond_bytes(req, 201, NULL, "set", 3);
}

static int on_path(struct leat_request *req)
{
    return respond_view(req, leat_request_path(req));
}

static int on_host(struct leat_request *req)
{
    return respond_view(req, leat_request_host(req));
}

static int on_big(struct leat_request *req)
{
    struct leat_buf buf = leat_buf_alloc_unsafe(APP_BIG_BYTES);

    if (!buf.data)
        return leat_request_fail(req, 503, "no buffers");
    memset(buf.data, 'b', APP_BIG_BYTES);
    return leat_respond_buf(req, 200, "text/plain", buf);
}

static int on_file(struct leat_request *req)
{
    leat_response_header(req, "Content-Type", "text/plain");
    return leat_respond_file(req, 200, app_of(req)->file, 2, 5);
}

static int on_redirect(struct leat_request *req)
{
    return leat_respond_redirect(req, 302, "/user/7");
}

static int on_empty(struct leat_request *req)
{
    return leat_respond_empty(req, 204);
}

static int on_close(struct leat_request *req)
{
    leat_response_close(req);
    return leat_respond_text(req, 200, "bye");
}

/* ---- Wrongly ---- */

static int on_nothing(struct leat_request *req)
{
    return 0;
}

static int on_crlf(struct leat_request *req)
{
    if (leat_response_header(req, "X-Evil", "a\r\nSet-Cookie: b=c") != -EINVAL)
        abort();
    return leat_respond_text(req, 200, "not seen");
}

static int on_set_bad(struct leat_request *req)
{
    const struct leat_cookie cookie = {.name = "__Host-session", .path = "/user"};

    if (leat_response_set_cookie(req, &cookie) != -EINVAL)
        abort();
    return leat_respond_text(req, 200, "not seen");
}

static int on_own(struct leat_request *req)
{
    if (leat_response_header(req, "content-length", "3") != -EINVAL)
        abort();
    return leat_respond_text(req, 200, "not seen");
}

static int on_twice(struct leat_request *req)
{
    leat_respond_text(req, 200, "once");
    if (leat_respond_text(req, 200, "twice") != -EALREADY ||
        leat_response_header(req, "X-Late", "1") != -EALREADY)
        abort();
    return 0;
}

static int on_bad_status(struct leat_request *req)
{
    return leat_respond_text(req, 99, "not seen");
}

static int on_fail(struct leat_request *req)
{
    return leat_request_fail(req, 503, "the %s is secret", "detail");
}

static int on_teapot(struct leat_request *req)
{
    return leat_request_fail(req, 418, "handled by the error handler");
}

/* ---- Handlers that fail ---- */

static int code_of(const struct leat_request *req)
{
    char text[8] = "";

    leat_view_copy(leat_request_param(req, "number"), text, sizeof(text));
    return -atoi(text);
}

static int on_code(struct leat_request *req)
{
    return code_of(req);
}

static int on_code_behind(struct leat_request *req)
{
    leat_respond_text(req, 200, "answered");
    return code_of(req);
}

static int on_code_begun(struct leat_request *req)
{
    leat_response_begin(req, 200, "text/plain", LEAT_LENGTH_UNKNOWN);
    (void)!leat_response_write_bytes(req, "half", 4);
    return code_of(req);
}

/* Takes charge, and fails all the same. */
static int on_code_taken(struct leat_request *req)
{
    app_of(req)->last_deferred = leat_request_defer(req);
    return code_of(req);
}

static void code_later(struct leat_timer *timer, void *arg)
{
    leat_deferred deferred = {(uintptr_t)arg};

    leat_request_end_with(leat_deferred_request(deferred), 0); /* no effect */
    leat_request_end_with(leat_deferred_request(deferred), -EACCES);
    if (leat_deferred_request(deferred) != NULL)
        abort();
    leat_request_end_with(leat_deferred_request(deferred), -EIO);
}

static int on_code_later(struct leat_request *req)
{
    run_later(req, code_later, 5);
    return 0;
}

static int on_code_collect(struct leat_request *req)
{
    return leat_request_collect(req, 0, on_code);
}

/* Middleware that deals with one failure, and passes the others on. */
static int catcher(struct leat_request *req)
{
    int code = leat_next(req);

    return code == -ENOENT ? leat_respond_text(req, 200, "caught") : code;
}

static void on_error(struct leat_request *req, int status, const char *sentence)
{
    app_of(req)->error_count++;
    if (status == 418)
        leat_respond_text(req, 418, "short and stout");
}

/* ---- Bodies ---- */

static int on_collected(struct leat_request *req)
{
    struct leat_view body = leat_request_body(req);

    return leat_respond_bytes(req, 200, "text/plain", body.data, body.length_bytes);
}

static int on_echo(struct leat_request *req)
{
    return leat_request_collect(req, 0, on_collected);
}

static int on_taken(struct leat_request *req)
{
    return leat_respond_buf(req, 200, "text/plain", leat_request_take_body(req));
}

static int on_take(struct leat_request *req)
{
    return leat_request_collect(req, 0, on_taken);
}

static int on_small(struct leat_request *req)
{
    return leat_request_collect(req, 8, on_collected);
}

static const char counted_key, stream_key;

static void state_free(void *state)
{
    free(state);
}

struct counted {
    size_t bytes;
    struct leat_held held[512];
    unsigned held_count;
    bool has_failed;
    struct app *app;
};

static void counted_free(void *state)
{
    struct counted *counted = state;

    for (unsigned i = 0; i < counted->held_count; i++)
        leat_held_release(counted->held[i]);
    counted->app->freed_count++;
    free(counted);
}

/* NULL: no memory. */
static struct counted *counted_new(struct leat_request *req)
{
    struct counted *counted = calloc(1, sizeof(*counted));

    CHECK(counted);
    counted->app = app_of(req);
    return leat_request_attach(req, &counted_key, counted, counted_free) == 0 ? counted : NULL;
}

static void count_piece(struct leat_request *req, struct leat_buf piece)
{
    struct counted *counted = leat_request_attachment(req, &counted_key);

    counted->bytes += piece.length_bytes;
}

static int count_end(struct leat_request *req)
{
    struct counted *counted = leat_request_attachment(req, &counted_key);
    struct leat_view sum = leat_request_trailer(req, "X-Sum");
    char text[64];

    snprintf(text, sizeof(text), "%zu bytes%s%.*s", counted->bytes, sum.data ? " " : "",
             LEAT_VIEW_PRINT(sum));
    return leat_respond_text(req, 200, text);
}

static void count_abort(struct leat_request *req)
{
    app_of(req)->aborted_count++;
}

static int on_count(struct leat_request *req)
{
    if (counted_new(req) == NULL)
        return leat_request_fail(req, 503, "no memory to count");
    leat_request_on_abort(req, count_abort);
    return leat_request_on_body(req, count_piece, count_end);
}

static void hold_piece(struct leat_request *req, struct leat_buf piece)
{
    struct counted *counted = leat_request_attachment(req, &counted_key);

    counted->bytes += piece.length_bytes;
    CHECK(counted->held_count < 512);
    counted->held[counted->held_count] = leat_request_hold(req, piece);
    if (counted->held[counted->held_count].buf.data)
        counted->held_count++;
    else
        counted->has_failed = true;
}

static int hold_end(struct leat_request *req)
{
    struct counted *counted = leat_request_attachment(req, &counted_key);
    char text[512];
    size_t length = 0;

    if (counted->has_failed)
        return leat_request_fail(req, 503, "no buffers");
    for (unsigned i = 0; i < counted->held_count; i++) {
        struct leat_buf buf = counted->held[i].buf;
        CHECK(length + buf.length_bytes <= sizeof(text));
        memcpy(text + length, buf.data, buf.length_bytes);
        length += buf.length_bytes;
    }
    return leat_respond_bytes(req, 200, "text/plain", text, length);
}

static int on_hold(struct leat_request *req)
{
    if (counted_new(req) == NULL)
        return leat_request_fail(req, 503, "no memory to count");
    return leat_request_on_body(req, hold_piece, hold_end);
}

static void resume_later(struct leat_timer *timer, void *arg)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});

    if (req)
        leat_request_resume(req);
}

static void pause_piece(struct leat_request *req, struct leat_buf piece)
{
    count_piece(req, piece);
    leat_request_pause(req);
    run_later(req, resume_later, 1);
}

static int on_pause(struct leat_request *req)
{
    if (counted_new(req) == NULL)
        return leat_request_fail(req, 503, "no memory to count");
    return leat_request_on_body(req, pause_piece, count_end);
}

static int on_early(struct leat_request *req)
{
    return leat_respond_text(req, 200, "early");
}

/* ---- Later ---- */

static void later(struct leat_timer *timer, void *arg)
{
    leat_deferred deferred = {(uintptr_t)arg};
    struct leat_request *req = leat_deferred_request(deferred);
    char text[128];

    if (!req)
        return;
    struct leat_view path = leat_request_path(req), host = leat_request_header(req, "host");
    snprintf(text, sizeof(text), "%.*s %.*s %.*s", LEAT_VIEW_PRINT(path), LEAT_VIEW_PRINT(host),
             LEAT_VIEW_PRINT(leat_request_body(req)));
    leat_respond_text(req, 200, text);
    if (leat_deferred_request(deferred) || leat_respond_text(req, 200, "again") != -EALREADY)
        abort();
}

static void later_abort(struct leat_request *req)
{
    struct app *app = app_of(req);

    app->aborted_count++;
    if (leat_deferred_request(app->last_deferred) == req ||
        leat_respond_text(req, 200, "gone") != -EPIPE)
        abort();
}

static int on_later(struct leat_request *req)
{
    struct app *app = app_of(req);

    app->last_deferred = leat_request_defer(req);
    leat_request_on_abort(req, later_abort);
    run_later(req, later, APP_LATER_NS / LEAT_NS_PER_MS);
    return 0;
}

static int on_later_body(struct leat_request *req)
{
    return leat_request_collect(req, 0, on_later);
}

static void collect_later(struct leat_timer *timer, void *arg)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});

    if (req)
        leat_request_collect(req, 0, on_collected);
}

static int on_slow_reader(struct leat_request *req)
{
    run_later(req, collect_later, 50);
    return 0;
}

/* Never answers; the client must go. */
static int on_forever(struct leat_request *req)
{
    app_of(req)->last_deferred = leat_request_defer(req);
    leat_request_on_abort(req, later_abort);
    return counted_new(req) != NULL ? 0 : leat_request_fail(req, 503, "no memory to count");
}

/* ---- Streaming ---- */

static int on_chunked(struct leat_request *req)
{
    leat_response_begin(req, 200, "text/plain", LEAT_LENGTH_UNKNOWN);
    (void)!leat_response_write_bytes(req, "hello ", 6);
    (void)!leat_response_write_bytes(req, "", 0);
    (void)!leat_response_write(req, leat_buf_from_static("world", 5));
    leat_response_trailer(req, "X-Sum", "11");
    return leat_response_end(req);
}

static int on_length(struct leat_request *req)
{
    leat_response_begin(req, 200, "text/plain", 11);
    (void)!leat_response_write_bytes(req, "hello ", 6);
    if (leat_response_write_bytes(req, "too much", 8) != -EMSGSIZE)
        abort();
    (void)!leat_response_write_bytes(req, "world", 5);
    return leat_response_end(req);
}

static int on_short(struct leat_request *req)
{
    leat_response_begin(req, 200, "text/plain", 10);
    (void)!leat_response_write_bytes(req, "hello", 5);
    return leat_response_end(req);
}

struct stream {
    unsigned pieces;
};

static int stream_some(struct leat_request *req)
{
    struct stream *stream = leat_request_attachment(req, &stream_key);
    static const char bytes[APP_STREAM_PIECE_BYTES];
    struct app *app = app_of(req);

    while (stream->pieces < APP_STREAM_PIECES) {
        int result = leat_response_write(req, leat_buf_from_static(bytes, sizeof(bytes)));
        if (result < 0)
            return 0;
        app->streamed_count++;
        stream->pieces++;
        if (result == 1) {
            if (leat_response_write_bytes(req, "more", 4) != -EAGAIN)
                abort(); /* it was told to stop */
            app->writable_count++;
            return 0;
        }
    }
    return leat_response_end(req);
}

static int on_stream(struct leat_request *req)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (leat_request_attach(req, &stream_key, stream, state_free) < 0)
        return leat_request_fail(req, 503, "no memory to stream");
    leat_response_on_writable(req, stream_some);
    leat_response_begin(req, 200, "application/octet-stream", LEAT_LENGTH_UNKNOWN);
    return stream_some(req);
}

static void stream_later(struct leat_timer *timer, void *arg)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});

    if (!req)
        return;
    leat_response_begin(req, 200, "text/plain", LEAT_LENGTH_UNKNOWN);
    (void)!leat_response_write_bytes(req, "in ", 3);
    (void)!leat_response_write_bytes(req, "time", 4);
    leat_response_end(req);
}

/* Begins in time, and takes its time then. */
static void stream_finish(struct leat_timer *timer, void *arg)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});

    if (req != NULL && leat_response_write_bytes(req, "last", 4) >= 0)
        leat_response_end(req);
}

static int on_begun_later(struct leat_request *req)
{
    leat_response_begin(req, 200, "text/plain", LEAT_LENGTH_UNKNOWN);
    run_later(req, stream_finish, 5000);
    return leat_response_write_bytes(req, "at ", 3);
}

static int on_stream_later(struct leat_request *req)
{
    run_later(req, stream_later, 5);
    return 0;
}

/* ---- Middleware ---- */

static int guard(struct leat_request *req)
{
    if (!leat_request_header(req, "authorization").data)
        return leat_request_fail(req, 401, "no credentials");
    leat_response_header(req, "X-Guard", leat_request_user(req));
    return leat_next(req);
}

static void next_later(struct leat_timer *timer, void *arg)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});

    if (req)
        leat_next(req);
}

static int slow_guard(struct leat_request *req)
{
    run_later(req, next_later, 5);
    return 0;
}

/* ---- Upgrade: an echo that speaks first what it was given ---- */

static void echo_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)!leat_conn_send_bytes(conn, slices[i].data, slices[i].length_bytes);
}

static const struct leat_conn_ops echo_ops = {.on_data = echo_data};

static int on_upgrade(struct leat_request *req)
{
    struct app *app = app_of(req);
    leat_conn conn = leat_request_conn(req);
    struct leat_buf rest;

    leat_response_header(req, "X-Extra", "1");
    if (leat_request_upgrade(req, "echo", &echo_ops, app, &rest)) {
        leat_response_header(req, "Upgrade", "echo");
        leat_request_fail(req, 426, "only echo is spoken here");
        return 0;
    }
    app->upgraded = conn;
    if (rest.data) {
        (void)!leat_conn_send_bytes(conn, rest.data, rest.length_bytes);
        leat_buf_unref(rest);
    }
    return 0;
}

static void upgrade_later(struct leat_timer *timer, void *arg)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});

    if (req)
        on_upgrade(req);
}

static int on_upgrade_later(struct leat_request *req)
{
    run_later(req, upgrade_later, 5);
    return 0;
}

/* ---- All of it ---- */

static void file_open(struct app *app)
{
    int fd = memfd_create("app", MFD_CLOEXEC);

    CHECK(fd >= 0 && write(fd, "0123456789", 10) == 10);
    app->file = leat_file_new(fd);
    CHECK(app->file);
}

void app_fini(struct app *app)
{
    leat_file_unref(app->file);
}

static const struct {
    const char *method, *pattern;
    leat_handler *handler;
} routes[] = {
    {"GET", "/", on_hello},
    {"GET", "/user/:id", on_user},
    {"GET", "/user/me", on_hello},
    {"GET", "/user/:id/posts", on_user},
    {"GET", "/two/:a/:b", on_two},
    {"GET", "/files/*rest", on_files},
    {"GET", "/query", on_query},
    {"GET", "/cookie", on_cookie},
    {"GET", "/cookies", on_cookies},
    {"GET", "/set", on_set},
    {"GET", "/path/*rest", on_path},
    {"GET", "/host", on_host},
    {"GET", "/big", on_big},
    {"GET", "/file", on_file},
    {"GET", "/redirect", on_redirect},
    {"GET", "/empty", on_empty},
    {"GET", "/close", on_close},
    {"GET", "/nothing", on_nothing},
    {"GET", "/crlf", on_crlf},
    {"GET", "/own", on_own},
    {"GET", "/set-bad", on_set_bad},
    {"GET", "/twice", on_twice},
    {"GET", "/bad-status", on_bad_status},
    {"GET", "/fail", on_fail},
    {"GET", "/teapot", on_teapot},
    {"GET", "/code/:number", on_code},
    {"POST", "/code/:number", on_code_collect},
    {"GET", "/code-behind/:number", on_code_behind},
    {"GET", "/code-begun/:number", on_code_begun},
    {"GET", "/code-taken/:number", on_code_taken},
    {"GET", "/code-later", on_code_later},
    {"GET", "/caught/:number", on_code},
    {"GET", "/slow/code/:number", on_code},
    {"POST", "/echo", on_echo},
    {"PUT", "/echo", on_echo},
    {"POST", "/take", on_take},
    {"POST", "/small", on_small},
    {"POST", "/count", on_count},
    {"POST", "/hold", on_hold},
    {"POST", "/pause", on_pause},
    {"POST", "/early", on_early},
    {"GET", "/later", on_later},
    {"POST", "/later", on_later_body},
    {"POST", "/slow-reader", on_slow_reader},
    {NULL, "/forever", on_forever},
    {"GET", "/chunked", on_chunked},
    {"GET", "/length", on_length},
    {"GET", "/short", on_short},
    {"GET", "/stream", on_stream},
    {"GET", "/stream-later", on_stream_later},
    {"GET", "/begun-later", on_begun_later},
    {"GET", "/slow/later", on_later},
    {"GET", "/guarded/x", on_hello},
    {"GET", "/guardedx", on_hello},
    {"GET", "/slow/x", on_hello},
    {"GET", "/slow/nothing", on_nothing},
    {"GET", "/upgrade", on_upgrade},
    {"GET", "/upgrade-later", on_upgrade_later},
    {"DELETE", "/thing", on_empty},
    {"POST", "/thing", on_echo},
    {NULL, "/any", on_hello},
    {"GET", "/slash/", on_hello},
};

void app_routes(struct leat_http *http, struct app *app)
{
    *app = (struct app){0};
    file_open(app);
    leat_http_set_user(http, app);
    leat_http_use(http, "/guarded", guard, (void *)(uintptr_t) "yes");
    leat_http_use(http, "/slow/", slow_guard, NULL);
    leat_http_use(http, "/caught", catcher, NULL);
    leat_http_on_error(http, on_error);
    for (unsigned i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        leat_http_route(http, routes[i].method, routes[i].pattern, routes[i].handler, NULL);
}
