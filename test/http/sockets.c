/* The table of conversations over TCP, on the transport named by the argument: the server runs on a
 * loop of its own in a thread, the client is plain blocking sockets. Nothing sleeps for timing;
 * every wait has an end. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket/sockets.h"
#include "test/http/bench.h"

#define PATIENCE_MS   20000
#define VANISH_ROUNDS 24 /* io_uring lost a reset behind bytes once in some thousands */

struct server {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct leat_loop *loop;
    struct leat_http *http;
    struct app app;
    enum leat_sockets_which which;
    uint16_t port;
    bool is_up, has_failed;
    atomic_int rest; /* 1: nothing is in progress, -1: something is, 0: not looked yet */
};

static struct server server;

/* ---- The server's thread ---- */

static uint64_t wall(void)
{
    return UINT64_C(1788918400) * LEAT_NS_PER_S;
}

static int server_start(void)
{
    struct leat_sockets_options sockets = {.which = server.which};
    struct leat_http_options options = bench_options();
    struct leat_error error;

    server.loop = leat_loop_new(NULL, &error);
    if (!server.loop || leat_sockets_open(server.loop, &sockets, &error) < 0) {
        fprintf(stderr, "%s\n", error.sentence);
        return -1;
    }
    server.http = leat_http_new(server.loop);
    leat_http_set_options(server.http, &options);
    app_routes(server.http, &server.app);
    server.http->core->wall_ns = wall;
    if (leat_http_listen(server.http, "127.0.0.1:0") < 0) {
        fprintf(stderr, "%s\n", leat_loop_error(server.loop)->sentence);
        return -1;
    }
    server.port = leat_http_addr(server.http, 0)->port;
    return 0;
}

static void *server_run(void *arg)
{
    int result = server_start();

    pthread_mutex_lock(&server.lock);
    server.is_up = true;
    server.has_failed = result < 0;
    pthread_cond_signal(&server.changed);
    pthread_mutex_unlock(&server.lock);
    if (result < 0)
        return NULL;
    leat_loop_run(server.loop);
    leat_http_free(server.http);
    leat_sockets_close(server.loop);
    leat_loop_turn(server.loop, 0);
    server.has_failed = leat_core_now->http != NULL;
    app_fini(&server.app);
    leat_loop_free(server.loop);
    return NULL;
}

static int group_setup(void **state)
{
    pthread_mutex_init(&server.lock, NULL);
    pthread_cond_init(&server.changed, NULL);
    if (pthread_create(&server.thread, NULL, server_run, NULL))
        return -1;
    pthread_mutex_lock(&server.lock);
    while (!server.is_up)
        pthread_cond_wait(&server.changed, &server.lock);
    pthread_mutex_unlock(&server.lock);
    return server.has_failed ? -1 : 0;
}

static int group_teardown(void **state)
{
    leat_loop_stop(server.loop);
    pthread_join(server.thread, NULL);
    return server.has_failed ? -1 : 0;
}

/* ---- Clients ---- */

struct client {
    int fd;
    bool is_ended, is_reset;
    char *bytes;
    size_t length, capacity;
};

static void client_open(struct client *client)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(server.port)};
    int on = 1;

    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(client->fd >= 0);
    assert_int_equal(setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    client->capacity = 4096;
    client->bytes = calloc(1, client->capacity);
    assert_non_null(client->bytes);
}

static void client_close(struct client *client)
{
    close(client->fd);
    free(client->bytes);
}

/* A server that has closed already makes no difference: what counts is what it answered. */
static void client_send(struct client *client, const char *bytes, size_t length)
{
    while (length) {
        ssize_t sent = send(client->fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return;
        bytes += sent;
        length -= (size_t)sent;
    }
}

static bool client_receive(struct client *client, int timeout_ms)
{
    struct pollfd pollfd = {.fd = client->fd, .events = POLLIN};
    ssize_t received;

    if (client->is_ended || poll(&pollfd, 1, timeout_ms) <= 0)
        return false;
    if (client->capacity - client->length < 65536) {
        client->capacity = client->capacity * 2 + 65536;
        client->bytes = realloc(client->bytes, client->capacity);
        assert_non_null(client->bytes);
    }
    received =
        recv(client->fd, client->bytes + client->length, client->capacity - client->length - 1, 0);
    client->is_ended = received <= 0;
    client->is_reset = received < 0;
    if (received > 0)
        client->length += (size_t)received;
    client->bytes[client->length] = '\0';
    return true;
}

static void client_check(struct client *client, const struct conversation *c, bool is_whole)
{
    char text[OUTCOME_BYTES], expected[OUTCOME_BYTES];

    snprintf(expected, sizeof(expected), "%s", c->outcome);
    if (!is_whole)
        outcome_strip_interim(expected);
    for (;;) {
        const char *end = client->is_reset ? "abort" : client->is_ended ? "close" : "";
        outcome_of(client->bytes, client->length, c->heads, end, text, sizeof(text));
        if (!is_whole)
            outcome_strip_interim(text);
        if (strcmp(text, expected) == 0)
            break;
        if (!client_receive(client, PATIENCE_MS))
            fail_msg("%s:\n  expected %s\n  got      %s", c->name, expected, text);
    }
    if ((c->has && !strstr(client->bytes, c->has)) || (c->lacks && strstr(client->bytes, c->lacks)))
        fail_msg("%s: the response must have \"%s\" and lack \"%s\":\n%s", c->name,
                 c->has ? c->has : "", c->lacks ? c->lacks : "", client->bytes);
}

/* All conversations at once, each in pieces of piece_bytes (0: whole), one piece to each in turn;
 * those that overrun only whole. */
static void play_all(size_t piece_bytes)
{
    struct client *clients = calloc(conversation_count, sizeof(*clients));
    bool goes_on = true;

    assert_non_null(clients);
    for (unsigned i = 0; i < conversation_count; i++)
        client_open(&clients[i]);
    for (size_t from = 0; goes_on; from += piece_bytes) {
        goes_on = false;
        for (unsigned i = 0; i < conversation_count; i++) {
            const struct conversation *c = &conversations[i];
            size_t length = strlen(c->request);
            size_t piece = piece_bytes ? piece_bytes : length;
            if (from >= length || (c->overruns && piece_bytes != 0))
                continue;
            piece = length - from < piece ? length - from : piece;
            client_send(&clients[i], c->request + from, piece);
            if (from + piece == length && c->ends)
                shutdown(clients[i].fd, SHUT_WR);
            goes_on |= piece_bytes && from + piece < length;
        }
    }
    for (unsigned i = 0; i < conversation_count; i++) {
        if (piece_bytes == 0 || !conversations[i].overruns)
            client_check(&clients[i], &conversations[i], piece_bytes == 0);
        client_close(&clients[i]);
    }
    free(clients);
}

static void played_whole(void **state)
{
    play_all(0);
}

static void played_byte_by_byte(void **state)
{
    play_all(1);
}

static void played_in_pieces(void **state)
{
    static const size_t pieces[] = {2, 3, 7, 16, 40, 100};

    for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        play_all(pieces[i]);
}

/* ---- Clients that vanish ---- */

static void look_for_rest(void *arg)
{
    struct leat_http_stats stats;

    leat_http_stats(server.http, &stats);
    atomic_store(&server.rest,
                 stats.requests_now_count == 0 && stats.connections_now_count == 0 ? 1 : -1);
}

static void wait_for_rest(void)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms++) {
        atomic_store(&server.rest, 0);
        while (leat_loop_post(server.loop, look_for_rest, NULL))
            poll(NULL, 0, 1);
        while (atomic_load(&server.rest) == 0)
            poll(NULL, 0, 1);
        if (atomic_load(&server.rest) == 1)
            return;
    }
    fail_msg("requests or connections were left behind");
}

static void vanish(unsigned i, unsigned seed)
{
    const char *request = conversations[i].request;
    struct linger linger = {.l_onoff = (int)(seed & 1)};
    struct client client;

    client_open(&client);
    client_send(&client, request, (seed >> 1) % (strlen(request) + 1));
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    client_close(&client);
}

static void thousands_vanish_and_nothing_is_left(void **state)
{
    unsigned seed = 1;

    for (unsigned round = 0; round < VANISH_ROUNDS; round++)
        for (unsigned i = 0; i < conversation_count; i++) {
            seed = seed * 1103515245 + 12345;
            vanish(i, seed >> 8);
        }
    /* One request nobody ever answers is ended by its client's going. */
    wait_for_rest();
    play_all(0);
    wait_for_rest();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(played_whole),
        cmocka_unit_test(played_byte_by_byte),
        cmocka_unit_test(played_in_pieces),
        cmocka_unit_test(thousands_vanish_and_nothing_is_left),
    };

    server.which =
        argc > 1 && strcmp(argv[1], "uring") == 0 ? LEAT_SOCKETS_URING : LEAT_SOCKETS_EPOLL;
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
