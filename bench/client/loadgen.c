/* A closed-loop HTTP load generator: each connection sends DEPTH requests at once, and again when
 * all of them were answered. One thread; checks status and length of every answer.
 *
 *   loadgen PORT PATH CONNECTIONS DEPTH SECONDS
 *
 * It never sleeps: on loopback a server pays for waking its client, by an interrupt to another
 * core, and whether the client happens to sleep would blur what is measured. Prints one line of
 * JSON: requests, body_bytes, seconds, errors, busy_share (the time that it found work to do: near
 * 1 the client is the limit). Exits with 1 when an answer was wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 65536,
    DEPTH_MAX = 256,
    INPUT_BYTES = 65536,
    HEAD_BYTES_MAX = 16384,
    EVENTS_PER_WAIT = 256,
};

struct conn {
    int fd;
    unsigned awaited;    /* answers to come */
    uint64_t body_bytes; /* of the answer being read, still to come */
    size_t kept_bytes;   /* of a head that is not whole yet, in kept */
    char *kept;
};

/* What the last head said: the next one is taken to say the same when it only differs in its
 * Date. */
struct shape {
    size_t head_bytes;
    uint64_t body_bytes;
    char head[HEAD_BYTES_MAX];
    size_t date_at;
};

struct load {
    int epoll;
    struct conn *conns;
    unsigned conn_count, depth, open_count;
    char *request; /* depth times the same */
    size_t request_bytes;
    uint64_t requests, body_bytes, errors;
    double busy_seconds;
    struct shape shape;
    char input[INPUT_BYTES];
};

enum { DATE_BYTES = sizeof("Thu, 01 Jan 1970 00:00:00 GMT") - 1 };

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void drop(struct load *load, struct conn *conn)
{
    load->errors++;
    load->open_count--;
    close(conn->fd);
    conn->fd = -1;
}

static void ask(struct load *load, struct conn *conn)
{
    conn->awaited = load->depth;
    if (send(conn->fd, load->request, load->request_bytes, MSG_NOSIGNAL) !=
        (ssize_t)load->request_bytes)
        drop(load, conn);
}

/* The value of a header, which begins after "\n" in any case of letters, or NULL. */
static const char *header(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    return at != NULL ? at + strlen(name) : NULL;
}

static bool learn(struct shape *shape, const char *head, size_t bytes)
{
    if (bytes >= sizeof(shape->head))
        return false;
    memcpy(shape->head, head, bytes);
    shape->head[bytes] = 0;
    shape->head_bytes = bytes;
    const char *length = header(shape->head, "\ncontent-length:");
    const char *date = header(shape->head, "\ndate: ");
    shape->date_at = date != NULL ? (size_t)(date - shape->head) : bytes;
    if (length == NULL || strncmp(shape->head, "HTTP/1.1 200", 12) != 0) {
        shape->head_bytes = 0;
        return false;
    }
    shape->body_bytes = strtoull(length, NULL, 10);
    return true;
}

static bool is_same(const struct shape *shape, const char *head, size_t bytes)
{
    size_t after = shape->date_at + DATE_BYTES;
    return shape->head_bytes != 0 && bytes >= shape->head_bytes && after < shape->head_bytes &&
           memcmp(head, shape->head, shape->date_at) == 0 &&
           memcmp(head + after, shape->head + after, shape->head_bytes - after) == 0;
}

/* Takes one head off the front of at; returns its bytes, 0 when it is not whole, -1 when wrong. */
static ssize_t take_head(struct load *load, struct conn *conn, const char *at, size_t bytes)
{
    struct shape *shape = &load->shape;
    if (!is_same(shape, at, bytes)) {
        const char *end = memmem(at, bytes, "\r\n\r\n", 4);
        if (end == NULL)
            return bytes < HEAD_BYTES_MAX ? 0 : -1;
        if (!learn(shape, at, (size_t)(end - at) + 4))
            return -1;
    }
    conn->body_bytes = shape->body_bytes;
    load->body_bytes += shape->body_bytes;
    return (ssize_t)shape->head_bytes;
}

static void finished(struct load *load, struct conn *conn)
{
    load->requests++;
    conn->awaited--;
}

/* Works through what was read; false when the peer sent nonsense. */
static bool digest(struct load *load, struct conn *conn, const char *at, size_t bytes)
{
    while (bytes > 0) {
        if (conn->body_bytes == 0) {
            if (conn->awaited == 0)
                return false;
            ssize_t head = take_head(load, conn, at, bytes);
            if (head < 0)
                return false;
            if (head == 0) {
                memmove(conn->kept, at, bytes);
                conn->kept_bytes = bytes;
                return true;
            }
            at += head;
            bytes -= (size_t)head;
            if (conn->body_bytes == 0) {
                finished(load, conn);
                continue;
            }
        }
        size_t now = bytes < conn->body_bytes ? bytes : (size_t)conn->body_bytes;
        at += now;
        bytes -= now;
        conn->body_bytes -= now;
        if (now != 0 && conn->body_bytes == 0)
            finished(load, conn);
    }
    return true;
}

/* Large bodies are thrown away by the kernel (tcp(7), MSG_TRUNC), so that the client is not the
 * limit; false when there is none to come. */
static bool skip_body(struct load *load, struct conn *conn)
{
    if (conn->body_bytes < INPUT_BYTES)
        return false;
    ssize_t length = recv(conn->fd, NULL, conn->body_bytes - 1, MSG_TRUNC | MSG_DONTWAIT);
    if (length > 0)
        conn->body_bytes -= (uint64_t)length;
    else if (length == 0 || (errno != EAGAIN && errno != EINTR))
        drop(load, conn);
    return true;
}

static void on_readable(struct load *load, struct conn *conn)
{
    if (skip_body(load, conn))
        return;
    ssize_t length = recv(conn->fd, load->input, sizeof(load->input), MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    const char *at = load->input;
    size_t bytes = (size_t)length;
    char *joined = NULL;
    if (length > 0 && conn->kept_bytes != 0) {
        bytes += conn->kept_bytes;
        joined = malloc(bytes);
        if (joined == NULL) {
            drop(load, conn);
            return;
        }
        memcpy(joined, conn->kept, conn->kept_bytes);
        memcpy(joined + conn->kept_bytes, load->input, (size_t)length);
        conn->kept_bytes = 0;
        at = joined;
    }
    bool fine = length > 0 && digest(load, conn, at, bytes);
    free(joined);
    if (!fine)
        drop(load, conn);
    else if (conn->awaited == 0 && conn->body_bytes == 0)
        ask(load, conn);
}

static int open_conn(struct load *load, struct conn *conn, uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    conn->kept = malloc(HEAD_BYTES_MAX);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (conn->fd < 0 || conn->kept == NULL ||
        connect(conn->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        epoll_ctl(load->epoll, EPOLL_CTL_ADD, conn->fd, &event) != 0) {
        perror("loadgen: cannot connect");
        return -1;
    }
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    load->open_count++;
    ask(load, conn);
    return 0;
}

static int make_request(struct load *load, const char *path, uint16_t port)
{
    char one[4096];
    int bytes =
        snprintf(one, sizeof(one), "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", path, port);
    if (bytes < 0 || (size_t)bytes >= sizeof(one))
        return -1;
    load->request_bytes = (size_t)bytes * load->depth;
    load->request = malloc(load->request_bytes);
    if (load->request == NULL)
        return -1;
    for (unsigned i = 0; i < load->depth; i++)
        memcpy(load->request + (size_t)bytes * i, one, (size_t)bytes);
    return 0;
}

static void run_until(struct load *load, double end)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    double now = seconds_now();
    while (load->open_count > 0 && now < end) {
        int count = epoll_wait(load->epoll, events, EVENTS_PER_WAIT, 0);
        for (int i = 0; i < count; i++)
            on_readable(load, events[i].data.ptr);
        double before = now;
        now = seconds_now();
        load->busy_seconds += count > 0 ? now - before : 0;
    }
}

static int report(const struct load *load, double seconds)
{
    printf("{\"requests\": %llu, \"body_bytes\": %llu, \"seconds\": %.6f, \"errors\": %llu, "
           "\"busy_share\": %.3f}\n",
           (unsigned long long)load->requests, (unsigned long long)load->body_bytes, seconds,
           (unsigned long long)load->errors, load->busy_seconds / seconds);
    return load->errors != 0 || load->requests == 0;
}

static int run(struct load *load, char **argv)
{
    uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
    load->conn_count = (unsigned)strtoul(argv[3], NULL, 10);
    load->depth = (unsigned)strtoul(argv[4], NULL, 10);
    if (load->conn_count == 0 || load->conn_count > CONNECTIONS_MAX || load->depth == 0 ||
        load->depth > DEPTH_MAX || make_request(load, argv[2], port) != 0) {
        fprintf(stderr, "loadgen: 1 to %d connections, depth 1 to %d\n", CONNECTIONS_MAX,
                DEPTH_MAX);
        return 2;
    }
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->conns = calloc(load->conn_count, sizeof(*load->conns));
    if (load->epoll < 0 || load->conns == NULL)
        return 1;
    for (unsigned i = 0; i < load->conn_count; i++)
        if (open_conn(load, &load->conns[i], port) != 0)
            return 1;
    double start = seconds_now();
    run_until(load, start + strtod(argv[5], NULL));
    return report(load, seconds_now() - start);
}

static void load_free(struct load *load)
{
    for (unsigned i = 0; load != NULL && load->conns != NULL && i < load->conn_count; i++)
        free(load->conns[i].kept);
    if (load != NULL) {
        free(load->conns);
        free(load->request);
    }
    free(load);
}

int main(int argc, char **argv)
{
    struct load *load = calloc(1, sizeof(*load));
    int status = 2;
    if (argc == 6 && load != NULL)
        status = run(load, argv);
    else
        fprintf(stderr, "usage: loadgen PORT PATH CONNECTIONS DEPTH SECONDS\n");
    load_free(load);
    return status;
}
