/* Whose turn it is with a request: middleware, the route, and what answers when there is none. */
#include "net/http/http_internal.h"
#include "net/http/message/path.h"
#include "net/http/message/url.h"
#include "runtime/loop/profile.h"

#include <leat/log.h>
#include <stdarg.h>
#include <stdio.h>

void http_call(struct leat_request *req, leat_handler *handler)
{
    struct leat_loop *loop = req->http->loop;
    int code = handler(req);

    if (unlikely(code < 0))
        leat_request_end_with(req, code);
    leat_loop_gate(loop);
}

/* ---- Failing ---- */

void http_fail(struct leat_request *req, int status, const char *sentence)
{
    struct http_exchange *x = &req->x;
    leat_error_handler *handler = req->http->error_handler;

    if (status == 500)
        LEAT_LOG_ERROR("%.*s %.*s: %s", LEAT_VIEW_PRINT(leat_request_method_name(req)),
                       LEAT_VIEW_PRINT(leat_request_target(req)), sentence);
    if (handler && !x->is_failing && !x->begun) {
        x->is_failing = true;
        handler(req, status, sentence);
        x->is_failing = false;
    }
    if (x->begun)
        return;
    (void)leat_respond_text(req, status, leat_status_phrase(status));
}

int leat_request_fail(struct leat_request *req, int status, const char *format, ...)
{
    char sentence[LEAT_SENTENCE_BYTES_MAX];
    va_list arguments;

    if (req->x.ended)
        return -EALREADY;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    if (!req->x.begun && req->phase != HTTP_PHASE_EXCHANGE)
        return -EPIPE;
    if (!req->x.begun) {
        http_fail(req, status, sentence);
        return 0;
    }
    if (status >= 500)
        LEAT_LOG_ERROR("a response was broken off: %s", sentence);
    req->x.ended = true;
    if (req->conn)
        http_conn_abort(req->conn);
    return -EALREADY;
}

int leat_status_of_code(int code)
{
    static const struct {
        int code, status;
    } rows[] = {{-ENOENT, 404}, {-EACCES, 403}, {-ETIME, 504}, {-EAGAIN, 503}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].code == code)
            return rows[i].status;
    return 500;
}

/* What a handler returns that passes on what responding or awaiting gave it: the client has gone,
 * or the server has said it already. */
static bool code_is_known(int code)
{
    return code == -EPIPE || code == -ENOMEM || code == -ECANCELED;
}

/* It was answered, or began to be. */
static void failed_late(struct leat_request *req, int code)
{
    struct http_exchange *x = &req->x;

    if (req->phase != HTTP_PHASE_EXCHANGE || x->has_failed || code_is_known(code))
        return;
    x->has_failed = true;
    LEAT_LOG_ERROR("%.*s %.*s: the handler failed with %s after it had answered",
                   LEAT_VIEW_PRINT(leat_request_method_name(req)),
                   LEAT_VIEW_PRINT(leat_request_target(req)), leat_errno_name(code));
    if (!x->ended)
        (void)leat_request_fail(req, 500, "%s", leat_errno_name(code));
}

void leat_request_end_with(struct leat_request *req, int code)
{
    if (req == NULL || code >= 0)
        return;
    if (req->x.begun)
        failed_late(req, code);
    else if (req->phase == HTTP_PHASE_EXCHANGE)
        (void)leat_request_fail(req, leat_status_of_code(code), "the handler failed with %s",
                                leat_errno_name(code));
}

void http_check_unanswered(struct leat_request *req)
{
    const struct http_exchange *x = &req->x;

    if (x->deferred || x->reader != HTTP_READER_NONE || req->phase != HTTP_PHASE_EXCHANGE ||
        http_request_is_pinned(req))
        return;
    http_count_error(req, LEAT_HTTP_ERROR_UNANSWERED);
    http_fail(req, 500, leat_http_error_sentence(LEAT_HTTP_ERROR_UNANSWERED));
}

/* ---- No route ---- */

static void reply_add_allow(struct leat_request *req, uint32_t methods)
{
    char allow[96];
    size_t length = 0;

    if (methods & 1u << LEAT_METHOD_GET)
        methods |= 1u << LEAT_METHOD_HEAD;
    if (methods & 1u << LEAT_METHOD_COUNT)
        methods = ~0u;
    methods |= 1u << LEAT_METHOD_OPTIONS;
    for (unsigned method = LEAT_METHOD_GET; method < LEAT_METHOD_COUNT; method++) {
        if (!(methods & 1u << method))
            continue;
        const char *name = leat_method_name((enum leat_method)method);
        if (length) {
            memcpy(allow + length, ", ", 2);
            length += 2;
        }
        memcpy(allow + length, name, strlen(name));
        length += strlen(name);
    }
    (void)leat_response_header_view(req, leat_view_of("Allow"), (struct leat_view){allow, length});
}

/* Writes "?" and the query, if there was one, and redirects. to has room for it. */
static void redirect_with_query(struct leat_request *req, char *location, char *to)
{
    struct leat_view query = leat_request_query(req);

    if (req->head.has_query) {
        *to++ = '?';
        memcpy(to, query.data, query.length_bytes);
        to += query.length_bytes;
    }
    *to = '\0';
    (void)leat_respond_redirect(req, 308, location);
}

static struct leat_buf location_alloc(const struct leat_request *req, size_t path_bytes)
{
    return leat_buf_alloc_unsafe(path_bytes + leat_request_query(req).length_bytes + 3);
}

/* To the same path with its last slash toggled. A path that begins with a backslash behind its
 * slash would name another host to some clients. */
static bool redirect_slash(struct leat_request *req)
{
    struct leat_view path = http_path(&req->head, req->x.head_bytes);
    size_t length = path.length_bytes;

    if (length > 1 && path.data[1] == '\\')
        return false;
    struct leat_buf location = location_alloc(req, length);
    if (!location.data)
        return false;
    char *to = (char *)location.data;
    memcpy(to, path.data, length);
    if (to[length - 1] == '/')
        length--;
    else
        to[length++] = '/';
    redirect_with_query(req, to, to + length);
    leat_buf_unref(location);
    return true;
}

/* Nothing is served under another spelling of its path, so that middleware, routes and files cannot
 * take one path for two. */
static __attribute__((noinline, cold)) void redirect_normal(struct leat_request *req)
{
    struct leat_view path = http_path(&req->head, req->x.head_bytes);
    struct leat_buf location = location_alloc(req, 3 * path.length_bytes);
    ptrdiff_t length = -1;

    if (location.data != NULL)
        length = http_path_normal_form(path, (char *)location.data);
    if (length > 0)
        redirect_with_query(req, (char *)location.data, (char *)location.data + length);
    else if (location.data != NULL)
        http_fail(req, 404, "the path leads out of the root");
    else
        http_fail(req, 503, leat_http_error_sentence(LEAT_HTTP_ERROR_NO_MEMORY));
    leat_buf_unref(location);
}

static __attribute__((noinline, cold)) int run_no_route(struct leat_request *req)
{
    struct leat_http *http = req->http;
    bool is_options = req->head.method == LEAT_METHOD_OPTIONS;

    if (req->head.method == LEAT_METHOD_CONNECT ||
        (req->head.method == LEAT_METHOD_OTHER && !(http->router.methods & 1))) {
        /* What follows a refused CONNECT may be meant for the tunnel: it is no request of ours. */
        req->x.close |= req->head.method == LEAT_METHOD_CONNECT;
        http_count_error(req, LEAT_HTTP_ERROR_NOT_IMPLEMENTED);
        http_fail(req, 501, leat_http_error_sentence(LEAT_HTTP_ERROR_NOT_IMPLEMENTED));
    } else if (req->match.is_odd) {
        redirect_normal(req);
    } else if (is_options && req->head.target_form == HTTP_TARGET_ASTERISK) {
        reply_add_allow(req, http->router.methods & ~1u);
        (void)leat_respond_empty(req, 204);
    } else if (req->match.allowed) {
        reply_add_allow(req, req->match.allowed & ~1u);
        if (is_options)
            (void)leat_respond_empty(req, 204);
        else
            http_fail(req, 405, "the path has no route for this method");
    } else if (req->match.other_slash && redirect_slash(req)) {
        return 0;
    } else if (http->not_found.handler) {
        req->x.user = http->not_found.user;
        return http->not_found.handler(req);
    } else {
        http_fail(req, 404, "no route has this path");
    }
    return 0;
}

/* ---- The chain ---- */

static int run_route(struct leat_request *req)
{
    struct http_match *match = &req->match;
    struct http_wanted wanted = {.method = (enum leat_method)req->head.method,
                                 .raw = http_path(&req->head, req->x.head_bytes),
                                 .text = {req->x.path.data, req->x.path.length_bytes}};

    if (unlikely(wanted.method == LEAT_METHOD_OTHER))
        wanted.method_name = leat_request_method_name(req);
    http_router_find(&req->http->router, &wanted, match);
    if (unlikely(!match->route))
        return run_no_route(req);
    req->x.user = match->route->user;
    enum leat_layer outer = profile_enter(LEAT_LAYER_HANDLER);
    int code = match->route->handler(req);
    profile_leave(outer);
    return code;
}

static bool prefix_matches(const struct http_middleware *middleware, struct leat_view path)
{
    size_t bytes = middleware->prefix_bytes;

    return bytes == 0 ||
           (path.length_bytes >= bytes && memcmp(path.data, middleware->prefix, bytes) == 0 &&
            (path.length_bytes == bytes || path.data[bytes] == '/'));
}

/* The next that concerns the request; NULL: none is left. */
static __attribute__((noinline)) const struct http_middleware *middleware_next(
    struct leat_request *req)
{
    const struct leat_http *http = req->http;
    struct http_exchange *x = &req->x;

    while (x->chain_index < http->middleware_count) {
        const struct http_middleware *middleware = &http->middleware[x->chain_index++];
        if (prefix_matches(middleware, x->path))
            return middleware;
    }
    return NULL;
}

static int run_middleware(struct leat_request *req, const struct http_middleware *middleware)
{
    req->x.user = middleware->user;
    enum leat_layer outer = profile_enter(LEAT_LAYER_HANDLER);
    int code = middleware->handler(req);
    profile_leave(outer);
    return code;
}

static int chain_next(struct leat_request *req)
{
    bool has_more = req->x.chain_index < req->http->middleware_count;
    const struct http_middleware *middleware = unlikely(has_more) ? middleware_next(req) : NULL;

    if (middleware != NULL)
        return run_middleware(req, middleware);
    return req->x.chain_index++ == req->http->middleware_count ? run_route(req) : 0;
}

/* Middleware that had taken charge gives it to the next, who must answer or take it too. What
 * called leat_next is then no handler whose return the server sees, or need not be. */
static int charge_give(struct leat_request *req)
{
    if (req->x.begun)
        return -EALREADY;
    if (req->phase != HTTP_PHASE_EXCHANGE)
        return -EPIPE;
    req->x.deferred = false;
    leat_request_end_with(req, chain_next(req));
    http_check_charge(req);
    return 0;
}

int leat_next(struct leat_request *req)
{
    const struct http_exchange *x = &req->x;

    if (!req->in_pump || x->deferred || x->reader != HTTP_READER_NONE)
        return charge_give(req);
    return chain_next(req);
}

leat_handler *http_handler_last(const struct leat_request *req)
{
    const struct leat_http *http = req->http;
    unsigned index = req->x.chain_index;

    if (index > http->middleware_count)
        return req->match.route != NULL ? req->match.route->handler : http->not_found.handler;
    return index > 0 ? http->middleware[index - 1].handler : NULL;
}

/* Returns 0, or the status of the failure. */
static __attribute__((noinline)) int decode_escapes(struct leat_request *req, struct leat_view raw)
{
    struct http_exchange *x = &req->x;

    if (likely(!memchr(raw.data, '%', raw.length_bytes)))
        return 0;
    req->kept.path = leat_buf_alloc_unsafe(raw.length_bytes);
    if (!req->kept.path.data)
        return 503;
    x->has_bufs = true;
    x->path.data = (const char *)req->kept.path.data;
    ptrdiff_t length = http_url_decode(raw, (char *)req->kept.path.data);
    x->path.length_bytes = (size_t)length;
    return length < 0 ? 400 : 0;
}

static __attribute__((noinline, cold)) void path_broken(struct leat_request *req, int status)
{
    req->x.path = (struct leat_view){0};
    http_count_error(req, status == 400 ? LEAT_HTTP_ERROR_BAD_REQUEST : LEAT_HTTP_ERROR_NO_MEMORY);
    http_fail(req, status, "the path has a broken percent escape, or memory is out");
}

void http_run_handlers(struct leat_request *req)
{
    struct leat_loop *loop = req->http->loop;
    int status = 0, code = 0;

    req->x.path = http_path(&req->head, req->x.head_bytes);
    if (req->x.path.length_bytes > 1) /* what has one byte is "/" or "*" */
        status = decode_escapes(req, req->x.path);
    if (unlikely(status)) {
        path_broken(req, status);
        return;
    }
    if (unlikely(req->http->middleware_count > 0) &&
        !http_path_is_normal(http_path(&req->head, req->x.head_bytes)))
        redirect_normal(req);
    else
        code = chain_next(req);
    if (unlikely(code < 0))
        leat_request_end_with(req, code);
    leat_loop_gate(loop);
    http_check_charge(req);
}
