/* The server object: options, listeners, and its end. */
#include "net/http/http_internal.h"

#include <errno.h>
#include <leat/run.h>

/* ---- Options ---- */

static void default32(uint32_t *option, uint32_t value)
{
    if (!*option)
        *option = value;
}

static void default64(uint64_t *option, uint64_t value)
{
    if (!*option)
        *option = value;
}

static void options_fill(struct leat_http_options *options)
{
    default32(&options->target_bytes_max, 8 << 10);
    default32(&options->head_bytes_max, 32 << 10);
    default32(&options->header_count_max, HTTP_FIELDS_DEFAULT);
    default64(&options->body_bytes_max, UINT64_C(1) << 30);
    default32(&options->collect_bytes_max, 1 << 20);
    default32(&options->discard_bytes_max, 64 << 10);
    default32(&options->pipeline_bytes_max, 16 << 10);
    default32(&options->connections_max, 100000);
    default32(&options->requests_max, 100000);
    default32(&options->pipeline_count_max, 64);
    default64(&options->keepalive_requests_max, UINT64_MAX);
    default64(&options->header_ns, 10 * LEAT_NS_PER_S);
    default64(&options->body_ns, 30 * LEAT_NS_PER_S);
    default64(&options->keepalive_ns, 75 * LEAT_NS_PER_S);
    default64(&options->answer_ns, LEAT_HTTP_NEVER);
    default64(&options->write_ns, 10 * LEAT_NS_PER_S);
    default64(&options->linger_ns, 2 * LEAT_NS_PER_S);
    default64(&options->drain_ns, 10 * LEAT_NS_PER_S);
    default32(&options->write_bytes_min, 1024);
    if (!options->server_name)
        options->server_name = "leat";
    options->listen.conn.linger_ns = options->linger_ns;
}

static void prefix_make(struct leat_http *http)
{
    char *to = http->prefix;
    size_t length = strlen(http->server_name);

    if (length) {
        memcpy(to, "Server: ", 8);
        memcpy(to + 8, http->server_name, length);
        memcpy(to + 8 + length, "\r\n", 2);
        to += length + 10;
    }
    memcpy(to, "Date: ", 6);
    http->prefix_date_offset = (uint32_t)(to + 6 - http->prefix);
    memcpy(to + 6 + HTTP_DATE_BYTES, "\r\n", 2);
    http->prefix_bytes = http->prefix_date_offset + HTTP_DATE_BYTES + 2;
    http->prefix_date_number = 0;
}

static int server_name_set(struct leat_http *http, const char *name)
{
    if (strlen(name) > HTTP_SERVER_NAME_BYTES_MAX)
        return leat_fail(&http->error, -EINVAL, "the server name is longer than %d bytes",
                         HTTP_SERVER_NAME_BYTES_MAX);
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            return leat_fail(&http->error, -EINVAL, "the server name has a control byte");
    memmove(http->server_name, name, strlen(name) + 1);
    http->options.server_name = http->server_name;
    prefix_make(http);
    return 0;
}

static void options_apply(struct leat_http *http)
{
    const struct leat_http_options *options = &http->options;
    const uint64_t durations[HTTP_QUEUE_COUNT] = {
        [HTTP_QUEUE_KEEPALIVE] = options->keepalive_ns, [HTTP_QUEUE_HEADER] = options->header_ns,
        [HTTP_QUEUE_BODY] = options->body_ns,           [HTTP_QUEUE_WRITE] = options->write_ns,
        [HTTP_QUEUE_BUSY] = options->answer_ns,
    };

    http_limits_init(&http->limits);
    http->limits.head_bytes_max = options->head_bytes_max;
    http->limits.target_bytes_max = options->target_bytes_max;
    http->limits.fields_max = options->header_count_max;
    for (unsigned i = 0; i < HTTP_QUEUE_COUNT; i++)
        http_queue_init(&http->queues[i], http, durations[i]);
}

void leat_http_set_options(struct leat_http *http, const struct leat_http_options *options)
{
    if (!http->core || http->error.code)
        return;
    if (http->listening || http->connections_now) {
        leat_fail(&http->error, -EBUSY, "options are set before the first listen");
        return;
    }
    if (options->header_count_max > HTTP_FIELDS_WALL ||
        options->head_bytes_max > HTTP_HEAD_BYTES_WALL) {
        leat_fail(&http->error, -EINVAL,
                  "a head of at most %d headers and %d bytes can be allowed, not of %u and %u",
                  HTTP_FIELDS_WALL, HTTP_HEAD_BYTES_WALL, options->header_count_max,
                  options->head_bytes_max);
        return;
    }
    http->options = *options;
    options_fill(&http->options);
    if (!server_name_set(http, http->options.server_name))
        options_apply(http);
}

const struct leat_http_options *leat_http_get_options(const struct leat_http *http)
{
    return &http->options;
}

/* ---- New ---- */

/* What leat_http_new gives when memory is out: every call on it fails before it writes. */
static struct leat_http *server_failed(void)
{
    static const struct leat_http failed = {.error = {-ENOMEM, "memory is out for a server"}};

    return (struct leat_http *)(uintptr_t)&failed;
}

static void on_program_drain(void *arg)
{
    struct leat_http *http = arg;

    leat_run_ref(http->loop);
    http->has_ref = true;
    leat_http_drain(http, leat_run_drain_timeout(http->loop), NULL, NULL);
}

static void on_program_end(void *arg)
{
    leat_http_free(arg);
}

/* From its making on: a server that fails to listen is freed at the program's end too. */
static void follow_program(struct leat_http *http)
{
    int result = leat_run_on_drain(http->loop, on_program_drain, http);
    if (result == 0)
        result = leat_run_on_end(http->loop, on_program_end, http);
    if (result < 0)
        http->error = *leat_loop_error(http->loop);
}

struct leat_http *leat_http_new(struct leat_loop *loop)
{
    struct http_core *core = http_core_get(loop);
    struct leat_http *http = core ? leat_heap_calloc(1, sizeof(*http)) : NULL;

    if (!http) {
        if (core)
            http_core_put(core);
        return server_failed();
    }
    http->loop = loop;
    http->core = core;
    http->next = core->servers;
    http->prev = &core->servers;
    if (http->next)
        http->next->prev = &http->next;
    core->servers = http;
    options_fill(&http->options);
    (void)server_name_set(http, http->options.server_name);
    options_apply(http);
    leat_timer_init(&http->drain_timer, loop, http_drain_tick, http);
    leat_timer_unref(&http->drain_timer);
    follow_program(http);
    return http;
}

/* ---- Routes ---- */

static bool may_set_up(struct leat_http *http)
{
    if (http->error.code)
        return false;
    if (!http->listening)
        return true;
    leat_fail(&http->error, -EBUSY, "routes are added before the first listen");
    return false;
}

void leat_http_route(struct leat_http *http, const char *method, const char *pattern,
                     leat_handler *handler, void *user)
{
    if (may_set_up(http))
        (void)http_router_add(&http->router, method, pattern, handler, user, &http->error);
}

void leat_http_get(struct leat_http *http, const char *pattern, leat_handler *handler)
{
    leat_http_route(http, "GET", pattern, handler, NULL);
}

void leat_http_head(struct leat_http *http, const char *pattern, leat_handler *handler)
{
    leat_http_route(http, "HEAD", pattern, handler, NULL);
}

void leat_http_post(struct leat_http *http, const char *pattern, leat_handler *handler)
{
    leat_http_route(http, "POST", pattern, handler, NULL);
}

void leat_http_put(struct leat_http *http, const char *pattern, leat_handler *handler)
{
    leat_http_route(http, "PUT", pattern, handler, NULL);
}

void leat_http_patch(struct leat_http *http, const char *pattern, leat_handler *handler)
{
    leat_http_route(http, "PATCH", pattern, handler, NULL);
}

void leat_http_delete(struct leat_http *http, const char *pattern, leat_handler *handler)
{
    leat_http_route(http, "DELETE", pattern, handler, NULL);
}

void leat_http_any(struct leat_http *http, const char *pattern, leat_handler *handler)
{
    leat_http_route(http, NULL, pattern, handler, NULL);
}

void leat_http_use(struct leat_http *http, const char *prefix, leat_handler *handler, void *user)
{
    size_t bytes = prefix ? strlen(prefix) : 0;
    struct http_middleware *middleware;

    if (!may_set_up(http))
        return;
    if (http->middleware_count == LEAT_MIDDLEWARE_MAX || !handler || (bytes && prefix[0] != '/')) {
        leat_fail(&http->error, -EINVAL,
                  "middleware needs a handler and a prefix that begins with \"/\", and there are "
                  "at most %d",
                  LEAT_MIDDLEWARE_MAX);
        return;
    }
    while (bytes && prefix[bytes - 1] == '/')
        bytes--;
    middleware = &http->middleware[http->middleware_count];
    *middleware = (struct http_middleware){.handler = handler, .user = user};
    if (bytes) {
        middleware->prefix = leat_heap_alloc(bytes);
        if (!middleware->prefix) {
            leat_fail(&http->error, -ENOMEM, "memory is out for middleware");
            return;
        }
        memcpy(middleware->prefix, prefix, bytes);
        middleware->prefix_bytes = bytes;
    }
    http->middleware_count++;
}

void leat_http_not_found(struct leat_http *http, leat_handler *handler, void *user)
{
    if (may_set_up(http))
        http->not_found = (struct http_middleware){.handler = handler, .user = user};
}

void leat_http_on_error(struct leat_http *http, leat_error_handler *handler)
{
    if (may_set_up(http))
        http->error_handler = handler;
}

/* ---- Listening ---- */

int http_set_up_failed(struct leat_http *http)
{
    leat_core_now->error = http->error;
    return http->error.code;
}

int leat_http_listen_addr(struct leat_http *http, const struct leat_addr *addr)
{
    if (http->error.code)
        return http_set_up_failed(http);
    if (http->listener_count == HTTP_LISTENERS_MAX) {
        leat_fail(&http->error, -ENOSPC, "a server has at most %d listeners", HTTP_LISTENERS_MAX);
        return http_set_up_failed(http);
    }
    int result = leat_listen(http->loop, addr, &http->options.listen, &http_listener_ops, http,
                             &http->listeners[http->listener_count]);
    if (result < 0)
        return result;
    http->listener_count++;
    http->listening = true;
    leat_run_listening(http->loop, "http", leat_http_addr(http, http->listener_count - 1));
    return 0;
}

static int listen_text(struct leat_http *http, const char *address)
{
    struct leat_addr addr;
    int result;

    if (http->error.code)
        return http_set_up_failed(http);
    result = leat_addr_parse(&addr, address, 80, &http->error);
    return result ? http_set_up_failed(http) : leat_http_listen_addr(http, &addr);
}

int leat_http_listen(struct leat_http *http, const char *address)
{
    const char *other;
    int result = 0;

    if (http->error.code || http->listening || !leat_run_listen_at(http->loop, 0))
        return listen_text(http, address);
    for (unsigned i = 0; !result && (other = leat_run_listen_at(http->loop, i)); i++)
        result = listen_text(http, other);
    return result;
}

const struct leat_addr *leat_http_addr(const struct leat_http *http, unsigned index)
{
    return index < http->listener_count ? leat_listener_addr(http->listeners[index]) : NULL;
}

/* ---- The end ---- */

static void listeners_close(struct leat_http *http)
{
    while (http->listener_count)
        leat_listener_close(http->listeners[--http->listener_count]);
}

/* Those that have been idle for a while are idle: a request that is on its way to one of the others
 * is still answered, with Connection: close. */
static void drain_idle(struct leat_http *http, uint64_t now_ns)
{
    struct http_queue *queue = &http->queues[HTTP_QUEUE_KEEPALIVE];

    while (queue->first && now_ns - queue->first->since_ns >= HTTP_DRAIN_GRACE_NS) {
        struct http_conn *conn = queue->first;
        http_conn_close(conn);
        http_conn_settle(conn);
        DCHECK(queue->first != conn);
    }
}

static void abort_all(struct leat_http *http)
{
    for (unsigned i = 0; i < HTTP_QUEUE_COUNT; i++)
        for (struct http_conn *conn = http->queues[i].first; conn; conn = conn->next)
            http_conn_abort(conn);
}

/* How long a drain takes at least. */
static uint64_t drain_ns_min(const struct leat_http *http)
{
    return http->drain_limit_ns < HTTP_DRAIN_SETTLE_NS ? http->drain_limit_ns
                                                       : HTTP_DRAIN_SETTLE_NS;
}

void http_drain_tick(struct leat_timer *timer, void *arg)
{
    struct leat_http *http = arg;
    uint64_t now_ns = leat_loop_now(http->loop), elapsed_ns = now_ns - http->drain_start_ns;

    if (!leat_loop_has_heard(http->loop, timer->deadline_ns)) {
        leat_timer_start_at(timer, timer->deadline_ns);
        return;
    }
    if (!http->connections_now && elapsed_ns >= drain_ns_min(http)) {
        http_server_settle(http);
        return;
    }
    if (elapsed_ns >= http->drain_limit_ns) {
        abort_all(http);
        return;
    }
    drain_idle(http, now_ns);
    uint64_t left_ns = http->drain_limit_ns - elapsed_ns;
    uint64_t grace_ns = elapsed_ns < HTTP_DRAIN_SETTLE_NS ? HTTP_DRAIN_SETTLE_NS - elapsed_ns
                                                          : HTTP_DRAIN_GRACE_NS / 2;
    leat_timer_start(timer, left_ns < grace_ns ? left_ns : grace_ns, 0);
}

void leat_http_drain(struct leat_http *http, uint64_t limit_ns, void (*done)(void *arg), void *arg)
{
    if (!http->core)
        return;
    http->drain_done = done;
    http->drain_arg = arg;
    if (!http->draining) {
        http->draining = true;
        http->drain_start_ns = leat_loop_now(http->loop);
        http->drain_limit_ns = limit_ns ? limit_ns : http->options.drain_ns;
        listeners_close(http);
        drain_idle(http, http->drain_start_ns);
    }
    /* The answer comes by callback, even when nothing is left to wait for. */
    leat_timer_ref(&http->drain_timer);
    leat_timer_start(&http->drain_timer, 0, 0);
}

static void server_destroy(struct leat_http *http)
{
    struct http_core *core = http->core;

    leat_run_forget(http->loop, on_program_drain, http);
    leat_run_forget(http->loop, on_program_end, http);
    for (unsigned i = 0; i < HTTP_QUEUE_COUNT; i++)
        leat_timer_stop(&http->queues[i].timer);
    leat_timer_stop(&http->drain_timer);
    for (unsigned i = 0; i < http->middleware_count; i++)
        leat_heap_free(http->middleware[i].prefix);
    http_router_fini(&http->router);
    *http->prev = http->next;
    if (http->next)
        http->next->prev = http->prev;
    leat_heap_free(http);
    http_core_put(core);
}

static void drain_finish(struct leat_http *http)
{
    void (*done)(void *) = http->drain_done;

    leat_timer_stop(&http->drain_timer);
    http->drain_done = NULL;
    http->calls++;
    if (done)
        done(http->drain_arg);
    if (http->has_ref) {
        http->has_ref = false;
        leat_run_unref(http->loop);
    }
    http->calls--;
}

void http_server_settle(struct leat_http *http)
{
    if (http->calls || http->connections_now || http->rejected_now)
        return;
    if (http->draining && !http->freeing &&
        leat_loop_now(http->loop) - http->drain_start_ns < drain_ns_min(http))
        return; /* the drain's timer comes again */
    if (http->draining)
        drain_finish(http);
    if (http->freeing)
        server_destroy(http);
}

void leat_http_free(struct leat_http *http)
{
    if (!http || !http->core || http->freeing)
        return;
    http->freeing = true;
    http->draining = true;
    listeners_close(http);
    abort_all(http);
    http_server_settle(http);
}

/* ---- Looking at it ---- */

void leat_http_set_user(struct leat_http *http, void *user)
{
    if (http->core)
        http->user = user;
}

void *leat_http_user(const struct leat_http *http)
{
    return http->user;
}

struct leat_loop *leat_http_loop(const struct leat_http *http)
{
    return http->loop;
}

void leat_http_stats(const struct leat_http *http, struct leat_http_stats *stats)
{
    *stats = (struct leat_http_stats){0};
    if (!http->core)
        return;
    *stats = http->core->stats;
    stats->connection_bytes = sizeof(struct http_conn);
}
