/* What HTTP costs above its transport: requests given to the server's callbacks, and answers taken
 * from it by a transport that drops them. Beside it, what is left of an answer without a server:
 * its head by snprintf. */
#include "bench/harness.h"

#include <leat/http.h>
#include <leat/io.h>
#include <leat/loop.h>

#include "runtime/base/handle.h"
#include "net/api/transport.h"
#include "runtime/base/clock.h"
#include "runtime/base/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BARE "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
#define BROWSER                                                                                    \
    "GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n"                        \
    "Cache-Control: max-age=0\r\n"                                                                 \
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0\r\n"       \
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"                  \
    "Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"                    \
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n"
#define DEPTH 16

struct sink { /* a transport with one connection, which takes everything and sends nothing */
    struct leat_transport transport; /* first */
    const struct leat_conn_ops *ops;
    void *user;
    uint64_t sent_bytes;
};

struct request_bench {
    struct sink sink;
    struct leat_loop *loop;
    struct leat_http *http;
    char *bytes;
    size_t length_bytes;
};

static struct sink *of(struct leat_transport *transport)
{
    return (struct sink *)transport;
}

static int sink_send(struct leat_transport *transport, leat_conn conn, const struct leat_buf *bufs,
                     unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        of(transport)->sent_bytes += bufs[i].length_bytes;
        leat_buf_unref(bufs[i]);
    }
    return 0;
}

static int sink_set(struct leat_transport *transport, leat_conn conn,
                    const struct leat_conn_ops *ops, void *user)
{
    if (ops != NULL)
        of(transport)->ops = ops;
    of(transport)->user = user;
    return 0;
}

static int sink_ignore(struct leat_transport *transport, leat_conn conn)
{
    return 0;
}

static int sink_close(struct leat_transport *transport, leat_conn conn, bool soon)
{
    return 0;
}

static const struct leat_transport_ops sink_ops = {.name = "sink",
                                                   .send = sink_send,
                                                   .set = sink_set,
                                                   .close = sink_close,
                                                   .abort = sink_ignore};

static leat_conn sink_conn(const struct leat_core *core)
{
    return (leat_conn){(uint64_t)LEAT_TRANSPORT_SOCKETS << HANDLE_TABLE_SHIFT |
                       (uint64_t)core->index << HANDLE_CORE_SHIFT |
                       UINT64_C(1) << HANDLE_INDEX_BITS};
}

static int hello(struct leat_request *req)
{
    return leat_respond_text(req, 200, "Hello, World!");
}

static uint64_t clock_now(const struct leat_clock *clock)
{
    return 1000 * LEAT_NS_PER_S;
}

static struct request_bench *bench_new(const char *request, unsigned depth)
{
    static const struct leat_clock clock = {clock_now};
    const struct leat_loop_options options = {.clock = &clock, .busy_poll = true, .seed = 1};
    struct request_bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL || (bench->loop = leat_loop_new(&options, NULL)) == NULL)
        abort();
    bench->length_bytes = strlen(request) * depth;
    bench->bytes = malloc(bench->length_bytes);
    if (bench->bytes == NULL)
        abort();
    for (unsigned i = 0; i < depth; i++)
        memcpy(bench->bytes + i * strlen(request), request, strlen(request));
    bench->sink.transport.ops = &sink_ops;
    leat_core_now->transports[LEAT_TRANSPORT_SOCKETS] = &bench->sink.transport;
    bench->http = leat_http_new(bench->loop);
    leat_http_get(bench->http, "/", hello);
    if (leat_http_serve(bench->http, sink_conn(leat_core_now)) != 0)
        abort();
    return bench;
}

static void *single_setup(uint64_t argument)
{
    return bench_new(BARE, 1);
}

static void *browser_setup(uint64_t argument)
{
    return bench_new(BROWSER, 1);
}

static void *pipelined_setup(uint64_t argument)
{
    return bench_new(BARE, DEPTH);
}

static void teardown(void *state)
{
    struct request_bench *bench = state;
    bench->sink.ops->on_close(sink_conn(leat_core_now), bench->sink.user, LEAT_CLOSE_DONE);
    leat_http_free(bench->http);
    leat_core_now->transports[LEAT_TRANSPORT_SOCKETS] = NULL;
    leat_loop_free(bench->loop);
    free(bench->bytes);
    free(bench);
}

static void requests(void *state, uint64_t iterations)
{
    struct request_bench *bench = state;
    leat_conn conn = sink_conn(leat_core_now);
    struct leat_buf input = leat_buf_from_static(bench->bytes, bench->length_bytes);
    uint64_t before = bench->sink.sent_bytes;
    for (uint64_t i = 0; i < iterations; i++) {
        bench->sink.ops->on_data(conn, bench->sink.user, &input, 1);
        leat_loop_gate(bench->loop);
    }
    if (bench->sink.sent_bytes == before)
        abort();
}

static void head_snprintf(void *state, uint64_t iterations)
{
    char head[256];
    for (uint64_t i = 0; i < iterations; i++) {
        int length = snprintf(head, sizeof(head),
                              "HTTP/1.1 %d %s\r\nServer: %s\r\nDate: %s\r\nContent-Type: %s\r\n"
                              "Content-Length: %zu\r\n\r\n%s",
                              200, "OK", "leat", "Thu, 01 Jan 1970 00:00:00 GMT", "text/plain",
                              strlen("Hello, World!"), "Hello, World!");
        bench_keep_value((uint64_t)length);
        bench_keep(head);
    }
}

#define REQUEST_CASE(label, set_up, items)                                                         \
    {                                                                                              \
        .name = label, .setup = set_up, .run = requests, .teardown = teardown,                     \
        .items_per_iteration = items                                                               \
    }

static const struct bench_case cases[] = {
    REQUEST_CASE("one", single_setup, 1),
    REQUEST_CASE("one of a browser", browser_setup, 1),
    REQUEST_CASE("16 pipelined", pipelined_setup, DEPTH),
    {.name = "one answer snprintf", .run = head_snprintf, .is_alternative = true},
};
BENCH_GROUP(http_request, cases);
