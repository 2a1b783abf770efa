/* A proxy of one connection over loopback: by a pipe of streams, and by on_data that sends on to
 * the other connection. ns of the CPU time of the loop's thread per KiB; who sends and who receives
 * are threads of their own, on the last of this process's CPUs, where there are two. */
#include "bench/async.h"
#include "bench/settle.h"

#include <leat/conn.h>
#include <leat/loop.h>
#include <leat/stream_conn.h>

#include "net/socket/sockets.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 64 << 10, SLICES_MAX = 64 };

struct proxy {
    struct leat_listener *listener;
    leat_conn conns[2]; /* the client's, and on to the sink */
    struct leat_addr sink_addr;
    bool is_piped;
    unsigned open_count;
    double begin_s, cpu_s;
};

struct traffic {
    pthread_t thread;
    int fd;         /* the sink's listener */
    uint16_t port;  /* to connect to */
    double end_s;   /* of sending */
    uint64_t bytes; /* received */
};

/* ---- the two ends ---- */

static cpu_set_t allowed; /* to the process */

static void thread_place(bool is_last)
{
    cpu_set_t one;
    unsigned found = CPU_SETSIZE;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && (found == CPU_SETSIZE || is_last))
            found = cpu;
    CPU_ZERO(&one);
    CPU_SET(found, &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void *source_main(void *arg)
{
    static const char block[BLOCK];
    struct traffic *source = arg;
    struct sockaddr_in to = loopback(source->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        abort();
    while (async_now_s() < source->end_s)
        if (send(fd, block, sizeof(block), MSG_NOSIGNAL) <= 0)
            abort();
    shutdown(fd, SHUT_WR);
    char end;
    if (recv(fd, &end, 1, 0) != 0) /* the sink's end comes back through the proxy */
        abort();
    close(fd);
    return NULL;
}

static void *sink_main(void *arg)
{
    static char block[BLOCK];
    struct traffic *sink = arg;
    int fd = accept4(sink->fd, NULL, NULL, SOCK_CLOEXEC);
    ssize_t length;
    while ((length = recv(fd, block, sizeof(block), 0)) > 0)
        sink->bytes += (uint64_t)length;
    if (length < 0)
        abort();
    close(fd);
    return NULL;
}

static void traffic_start(struct traffic *traffic, void *(*run)(void *))
{
    thread_place(true); /* the thread is born there */
    if (pthread_create(&traffic->thread, NULL, run, traffic) != 0)
        abort();
    thread_place(false);
}

static uint16_t sink_listen(struct traffic *sink)
{
    struct sockaddr_in at = loopback(0);
    socklen_t length = sizeof(at);
    sink->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sink->fd < 0 || bind(sink->fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(sink->fd, 1) != 0 || getsockname(sink->fd, (struct sockaddr *)&at, &length) != 0)
        abort();
    return ntohs(at.sin_port);
}

/* ---- the proxy ---- */

static leat_conn other_of(const struct proxy *proxy, leat_conn conn)
{
    return proxy->conns[conn.id == proxy->conns[0].id];
}

/* What is taken over is the other's to free, and counts no more against this one's window, as a
 * pipe has it: the mark bounds it. */
static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct leat_buf own[SLICES_MAX];
    leat_conn other = other_of(user, conn);
    if (count > SLICES_MAX)
        abort();
    for (unsigned i = 0; i < count; i++) {
        struct leat_buf held = leat_conn_hold(conn, slices[i]);
        own[i] = leat_buf_ref(held);
        leat_conn_release(conn, held);
    }
    int result = leat_conn_send(other, own, count);
    if (result < 0)
        abort();
    if (result == 1) {
        (void)leat_conn_pause(conn);
        (void)leat_conn_want_writable(other);
    }
}

static void on_writable(leat_conn conn, void *user)
{
    (void)leat_conn_resume(other_of(user, conn));
}

static void on_end(leat_conn conn, void *user)
{
    (void)leat_conn_end(other_of(user, conn));
}

static void proxy_closed(struct proxy *proxy)
{
    if (--proxy->open_count > 0)
        return;
    proxy->cpu_s = async_thread_s() - proxy->begin_s;
    leat_listener_close(proxy->listener);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    if (reason != LEAT_CLOSE_DONE)
        abort();
    proxy_closed(user);
}

static const struct leat_conn_ops by_hand = {.on_data = on_data,
                                             .on_writable = on_writable,
                                             .on_end = on_end,
                                             .on_close = on_close};

static void on_finished(void *proxy, const struct leat_result *result)
{
    if (result->code < 0)
        abort();
    proxy_closed(proxy);
}

static void streams_pipe(struct proxy *proxy)
{
    struct leat_stream *here = leat_conn_stream(proxy->conns[0], NULL);
    struct leat_stream *there = leat_conn_stream(proxy->conns[1], NULL);
    if (here == NULL || there == NULL || leat_pipe(here, there, false) != 0 ||
        leat_pipe(there, here, false) != 0)
        abort();
    leat_call(leat_finished(here), on_finished, proxy);
    leat_call(leat_finished(there), on_finished, proxy);
    leat_stream_unref(here);
    leat_stream_unref(there);
}

static void on_connected(leat_conn conn, void *user)
{
    struct proxy *proxy = user;
    proxy->begin_s = async_thread_s();
    if (proxy->is_piped) {
        streams_pipe(proxy);
    } else {
        (void)leat_conn_set(proxy->conns[0], &by_hand, proxy);
        (void)leat_conn_set(proxy->conns[1], &by_hand, proxy);
    }
    (void)leat_conn_resume(proxy->conns[0]);
}

static const struct leat_conn_ops to_sink = {.on_open = on_connected};

static void on_accepted(leat_conn conn, void *user)
{
    struct proxy *proxy = user;
    (void)leat_conn_pause(conn);
    proxy->conns[0] = conn;
    if (leat_connect(leat_loop_current(), &proxy->sink_addr, NULL, NULL, &to_sink, proxy,
                     &proxy->conns[1]) < 0)
        abort();
}

static const struct leat_conn_ops from_source = {.on_open = on_accepted};

/* ns per KiB. */
static double proxy_ns(struct leat_loop *loop, bool is_piped, double seconds)
{
    struct proxy proxy = {.is_piped = is_piped, .open_count = 2};
    struct traffic sink = {0}, source = {.end_s = async_now_s() + seconds};
    struct leat_addr at;
    char text[32];
    snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)sink_listen(&sink));
    if (leat_addr_parse(&proxy.sink_addr, text, 0, NULL) != 0 ||
        leat_addr_parse(&at, "127.0.0.1:0", 0, NULL) != 0 ||
        leat_listen(loop, &at, NULL, &from_source, &proxy, &proxy.listener) != 0)
        abort();
    source.port = leat_listener_addr(proxy.listener)->port;
    traffic_start(&sink, sink_main);
    traffic_start(&source, source_main);
    if (leat_loop_run(loop) != 0)
        abort();
    pthread_join(source.thread, NULL);
    pthread_join(sink.thread, NULL);
    close(sink.fd);
    return proxy.cpu_s * 1e9 * 1024 / (double)sink.bytes;
}

static void pipe_measure(enum leat_sockets_which which, const char *pipe, const char *hand,
                         double seconds)
{
    const struct leat_sockets_options options = {.which = which};
    struct leat_loop *loop = leat_loop_new(NULL, NULL);
    struct leat_error error;
    if (loop == NULL)
        abort();
    bench_settle_clock(loop);
    if (leat_sockets_open(loop, &options, &error) == 0) {
        (void)proxy_ns(loop, true, seconds / 10);
        async_figure(pipe, proxy_ns(loop, true, seconds));
        async_figure(hand, proxy_ns(loop, false, seconds));
        leat_sockets_close(loop);
    }
    leat_loop_free(loop);
}

/* Where the kernel refuses io_uring there are no figures for it. */
void async_pipe(double seconds, unsigned count)
{
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        abort();
    pipe_measure(LEAT_SOCKETS_EPOLL, "pipe/streams, epoll", "pipe/by hand, epoll", seconds);
    pipe_measure(LEAT_SOCKETS_URING, "pipe/streams, uring", "pipe/by hand, uring", seconds);
}
