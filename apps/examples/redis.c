/* Redis behind HTTP: hiredis on leat_watch.
 *
 *   GET  /keys/:name     the value, or 404
 *   PUT  /keys/:name     sets it to the body
 *   GET  /events/:name   what is published to a channel, as server-sent events
 *
 * REDIS_SOCKET, or port REDIS_PORT [6379] of this machine. A server that is not there is 503, and
 * asked again by the next request; those who listen to a channel are subscribed again. */
#include <errno.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <leat/leat.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define COMMANDS_MAX    1000 /* of a core, under way: one more is 503 */
#define VALUE_BYTES_MAX 65536
#define SILENCE_NS      (5 * LEAT_NS_PER_S) /* then 504 */
#define AGAIN_NS        (200 * LEAT_NS_PER_MS)

struct store { /* a core's own */
    struct leat_loop *loop;
    redisAsyncContext *redis; /* NULL: the next command connects */
    unsigned commands;
};

/* ---- hiredis on the loop ---- */

struct link {
    redisAsyncContext *redis;
    struct leat_watch watch;
    redisAsyncContext **name; /* set to NULL when this connection has ended */
    struct leat_future *end;  /* likewise settled; may be NULL */
};

static void link_watch(void *arg, uint32_t on, uint32_t off)
{
    struct leat_watch *watch = &((struct link *)arg)->watch;
    uint32_t events = (watch->events | on) & ~off;
    if (events == 0)
        leat_watch_stop(watch);
    else if (leat_watch_start(watch, events) < 0)
        LEAT_LOG_ERROR("redis: its socket cannot be watched");
}

static void read_on(void *link)
{
    link_watch(link, EPOLLIN, 0);
}

static void read_off(void *link)
{
    link_watch(link, 0, EPOLLIN);
}

static void write_on(void *link)
{
    link_watch(link, EPOLLOUT, 0);
}

static void write_off(void *link)
{
    link_watch(link, 0, EPOLLOUT);
}

static void link_cleanup(void *arg) /* the connection's last word, whatever ended it */
{
    struct link *link = arg;
    leat_watch_stop(&link->watch);
    *link->name = NULL;
    if (link->end != NULL)
        leat_settle(link->end, leat_nothing());
    free(link);
}

/* One of the two: either may free the link, and the watch tells the other again. */
static void link_ready(struct leat_watch *watch, uint32_t events, void *arg)
{
    struct link *link = arg;
    if ((events & EPOLLOUT) != 0)
        redisAsyncHandleWrite(link->redis);
    else
        redisAsyncHandleRead(link->redis);
}

/* Whatever comes of it, end (which may be NULL) is settled when it has ended. */
static int link_new(struct store *store, redisAsyncContext **name, struct leat_future *end)
{
    const char *path = getenv("REDIS_SOCKET"), *port = getenv("REDIS_PORT");
    struct link *link = calloc(1, sizeof(*link));
    redisAsyncContext *redis =
        path != NULL ? redisAsyncConnectUnix(path)
                     : redisAsyncConnect("127.0.0.1", port != NULL ? atoi(port) : 6379);
    if (link == NULL || redis == NULL || redis->err != 0) {
        LEAT_LOG_WARN("redis: %s", redis != NULL ? redis->errstr : "memory is out");
        if (redis != NULL)
            redisAsyncFree(redis);
        if (end != NULL)
            leat_settle(end, leat_nothing());
        free(link);
        return -EAGAIN;
    }
    *link = (struct link){.redis = redis, .name = name, .end = end};
    leat_watch_init(&link->watch, store->loop, redis->c.fd, link_ready, link);
    redis->data = store;
    redis->ev.data = link;
    redis->ev.addRead = read_on;
    redis->ev.delRead = read_off;
    redis->ev.addWrite = write_on;
    redis->ev.delWrite = write_off;
    redis->ev.cleanup = link_cleanup;
    *name = redis;
    write_on(link); /* connected, or refused */
    return 0;
}

/* ---- Commands ---- */

static struct leat_result reply_result(const redisAsyncContext *redis, const redisReply *reply)
{
    if (reply == NULL)
        return leat_failure(-EAGAIN, "redis: %s", redis->errstr);
    if (reply->type == REDIS_REPLY_NIL)
        return leat_failure(-ENOENT, NULL);
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS)
        return leat_failure(-EIO, "redis: %s", reply->str != NULL ? reply->str : "not a string");
    if (reply->len == 0)
        return leat_bytes(leat_buf_from_static("", 0));
    struct leat_buf bytes = leat_buf_from_bytes(reply->str, reply->len);
    return bytes.data != NULL ? leat_bytes(bytes) : leat_failure(-EAGAIN, NULL);
}

static void command_done(redisAsyncContext *redis, void *reply, void *future)
{
    ((struct store *)redis->data)->commands--;
    leat_settle(future, reply_result(redis, reply));
}

/* A command as a future: LEAT_KIND_BUF. */
static struct leat_future *command(struct store *store, const char *format, ...)
{
    struct leat_future *future = leat_future_new(store->loop, NULL);
    va_list args;
    va_start(args, format);
    if (store->commands == COMMANDS_MAX ||
        (store->redis == NULL && link_new(store, &store->redis, NULL) < 0) ||
        redisvAsyncCommand(store->redis, command_done, future, format, args) != REDIS_OK)
        leat_settle(future, leat_failure(-EAGAIN, NULL));
    else
        store->commands++;
    va_end(args);
    return leat_with_deadline(future, SILENCE_NS);
}

static struct leat_view name_of(struct leat_request *req)
{
    return leat_request_param(req, "name");
}

static int get(struct leat_request *req) /* a task */
{
    struct leat_view name = name_of(req);
    struct leat_result value = leat_await(
        command(leat_http_user(leat_request_http(req)), "GET %b", name.data, name.length_bytes));
    if (value.code < 0)
        return leat_result_drop(&value);
    int code = leat_respond_buf(req, 200, "text/plain", leat_buf_ref(leat_result_buf(&value)));
    leat_result_drop(&value);
    return code;
}

static void was_set(void *arg, const struct leat_result *result)
{
    struct leat_request *req = leat_deferred_request((leat_deferred){(uintptr_t)arg});
    if (req == NULL) /* the client has gone */
        return;
    if (result->code < 0)
        leat_request_end_with(req, result->code);
    else
        (void)leat_respond_empty(req, 204);
}

static int set(struct leat_request *req) /* the body has come, whole */
{
    struct leat_view name = name_of(req), body = leat_request_body(req);
    struct leat_future *done = command(leat_http_user(leat_request_http(req)), "SET %b %b",
                                       name.data, name.length_bytes, body.data, body.length_bytes);
    leat_call(done, was_set, (void *)(uintptr_t)leat_request_defer(req).id);
    return 0;
}

static int put(struct leat_request *req)
{
    return leat_request_collect(req, VALUE_BYTES_MAX, set);
}

/* ---- Channels ---- */

/* Each line of text as one of an event; a CR ends a line there, too. */
static int event_write(struct leat_stream *out, const char *text, size_t length)
{
    int code = 0;
    for (size_t at = 0; code >= 0 && at <= length; at++) {
        size_t begin = at;
        while (at < length && text[at] != '\n' && text[at] != '\r')
            at++;
        code = leat_write_bytes(out, "data: ", 6);
        if (code >= 0 && at > begin)
            code = leat_write_bytes(out, text + begin, at - begin);
        if (code >= 0)
            code = leat_write_bytes(out, "\n", 1);
    }
    return code < 0 ? code : leat_write_bytes(out, "\n", 1);
}

static void heard(redisAsyncContext *redis, void *arg, void *stream)
{
    const redisReply *reply = arg;
    int code = 0;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
        return; /* the connection has ended */
    if (strcmp(reply->element[0]->str, "subscribe") == 0)
        code = leat_write_bytes(stream, ": subscribed\n\n", 14);
    else
        code = event_write(stream, reply->element[2]->str, reply->element[2]->len);
    if (code < 0) /* the client has gone, or reads too slowly */
        leat_stream_destroy(stream, leat_nothing());
}

/* Until the server goes: 0; or the client: -ECANCELED. */
static int channel_follow(struct store *store, struct leat_view name, struct leat_stream *out)
{
    redisAsyncContext *redis = NULL;
    struct leat_future *end = leat_future_new(store->loop, NULL);
    if (link_new(store, &redis, end) == 0)
        redisAsyncCommand(redis, heard, out, "SUBSCRIBE %b", name.data, name.length_bytes);
    struct leat_result result = leat_await(end);
    if (redis != NULL)
        redisAsyncFree(redis);
    return leat_result_drop(&result);
}

static int events(struct leat_request *req) /* a task */
{
    struct store *store = leat_http_user(leat_request_http(req));
    int code = leat_response_begin(req, 200, "text/event-stream", LEAT_LENGTH_UNKNOWN);
    struct leat_stream *out = code == 0 ? leat_response_writable(req) : NULL;
    if (out == NULL)
        return code < 0 ? code : -EAGAIN;
    while (code == 0 && !leat_stream_is_destroyed(out)) {
        code = channel_follow(store, name_of(req), out);
        if (code == 0) {
            struct leat_result waited = leat_await(leat_delay(store->loop, AGAIN_NS));
            code = leat_result_drop(&waited);
        }
    }
    leat_stream_destroy(out, leat_nothing());
    leat_stream_unref(out);
    return 0;
}

static void store_end(void *arg)
{
    struct store *store = arg;
    if (store->redis != NULL)
        redisAsyncFree(store->redis);
    free(store);
}

static int start(struct leat_loop *loop)
{
    struct store *store = calloc(1, sizeof(*store));
    struct leat_http *http = leat_http_new(loop);
    if (store == NULL || leat_run_on_end(loop, store_end, store) < 0)
        return -ENOMEM;
    store->loop = loop;
    leat_http_set_user(http, store);
    leat_http_task(http, "GET", "/keys/:name", get);
    leat_http_put(http, "/keys/:name", put);
    leat_http_task(http, "GET", "/events/:name", events);
    return leat_http_listen(http, "127.0.0.1:8080");
}

int main(int argc, char **argv)
{
    return leat_main(argc, argv, start);
}
