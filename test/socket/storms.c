/* Many connections at once, and too many. */
#include "socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server that answers a byte by a byte; counts only. */
struct tally {
    unsigned opens, closes, live;
    uint64_t bytes;
};

static void tally_open(leat_conn conn, void *user)
{
    struct tally *tally = user;
    tally->opens++;
    tally->live++;
}

static void tally_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct tally *tally = user;
    for (unsigned i = 0; i < count; i++)
        tally->bytes += slices[i].length_bytes;
    if (leat_conn_send_bytes(conn, "!", 1) < 0)
        (void)leat_conn_abort(conn);
}

static void tally_end(leat_conn conn, void *user)
{
    (void)leat_conn_end(conn);
}

static void tally_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct tally *tally = user;
    tally->closes++;
    tally->live--;
}

static const struct leat_conn_ops tally_ops = {
    .on_open = tally_open,
    .on_data = tally_data,
    .on_end = tally_end,
    .on_close = tally_close,
};

static struct leat_listener *tally_listen(struct world *w, struct tally *tally)
{
    struct leat_listener *listener = NULL;
    if (leat_listen(w->loop, &w->any, NULL, &tally_ops, tally, &listener) != 0) {
        fprintf(stderr, "%s\n", leat_loop_error(w->loop)->sentence);
        _exit(1);
    }
    return listener;
}

int begin_connect(const struct leat_addr *to)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    memcpy(&in.sin_addr, to->ip, 4);
    if (fd >= 0)
        (void)connect(fd, (struct sockaddr *)&in, sizeof(in));
    return fd;
}

static void starve_of_descriptors(void)
{
    enum { CLIENTS = 40 };
    struct world *w = world_with(NULL);
    struct tally tally = {0};
    struct leat_listener *listener = tally_listen(w, &tally);
    int clients[CLIENTS];
    settle(w);
    leat_listener_pause(listener);
    settle(w);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = begin_connect(leat_listener_addr(listener));
        CHILD_CHECK(clients[i] >= 0);
    }
    struct rlimit limit;
    CHILD_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = (rlim_t)clients[CLIENTS - 1] + 1 + 10; /* ten more */
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    leat_listener_resume(listener);
    for (unsigned i = 0; i < 200 && tally.opens < 10; i++)
        leat_loop_turn(w->loop, LEAT_NS_PER_MS);
    CHILD_CHECK(tally.opens == 10);
    /* Nothing spins: it sleeps from one try to the next. */
    unsigned turns = 0;
    uint64_t end_ns = leat_loop_clock(w->loop) + 500 * LEAT_NS_PER_MS;
    while (leat_loop_clock(w->loop) < end_ns) {
        leat_loop_turn(w->loop, 50 * LEAT_NS_PER_MS);
        turns++;
    }
    CHILD_CHECK(turns < 60);
    CHILD_CHECK(tally.opens == 10);
    struct leat_sockets_stats stats;
    leat_sockets_stats(w->loop, &stats);
    CHILD_CHECK(stats.exhausted_count >= 3 && stats.exhausted_count <= 8);
    /* As descriptors come back, the others get their turn. */
    end_ns = leat_loop_clock(w->loop) + CONTRACT_PATIENCE_NS;
    for (unsigned closed = 0; tally.opens < CLIENTS;) {
        CHILD_CHECK(leat_loop_clock(w->loop) < end_ns);
        if (closed < tally.opens && closed < CLIENTS)
            CHILD_CHECK(shutdown(clients[closed++], SHUT_RDWR) == 0);
        leat_loop_turn(w->loop, 10 * LEAT_NS_PER_MS);
    }
    leat_listener_close(listener);
    leat_sockets_close(w->loop);
    CHILD_CHECK(tally.closes == CLIENTS);
}

void running_out_of_descriptors_pauses_and_recovers(void **state)
{
    in_child(starve_of_descriptors);
}

/* io_uring keeps the listening socket for a while: whoever connected to it would be reset. */
void a_listener_that_closes_takes_nobody_in(void **state)
{
    enum { BEFORE = 10, AFTER = 10 };
    struct world *w = world_with(NULL);
    struct tally tally = {0};
    struct leat_listener *listener = tally_listen(w, &tally);
    struct leat_addr addr = *leat_listener_addr(listener);
    int clients[BEFORE + AFTER];
    settle(w);
    for (unsigned i = 0; i < BEFORE + AFTER; i++) {
        if (i == BEFORE)
            leat_listener_close(listener);
        clients[i] = begin_connect(&addr);
        assert_true(clients[i] >= 0);
    }
    for (unsigned i = BEFORE; i < BEFORE + AFTER; i++) {
        struct tcp_info info = {0};
        socklen_t length = sizeof(info);
        assert_int_equal(getsockopt(clients[i], IPPROTO_TCP, TCP_INFO, &info, &length), 0);
        assert_int_not_equal(info.tcpi_state, TCP_ESTABLISHED);
    }
    UNTIL(w, tally.opens == BEFORE);
    for (unsigned i = 0; i < BEFORE; i++) {
        char answer;
        assert_int_equal(send(clients[i], "?", 1, 0), 1);
        UNTIL(w, tally.bytes == i + 1);
        settle(w);
        assert_int_equal(recv(clients[i], &answer, 1, 0), 1);
    }
    for (unsigned i = 0; i < BEFORE + AFTER; i++)
        close(clients[i]);
    UNTIL(w, tally.closes == BEFORE);
    world_free(w);
}

void the_limit_on_connections_leaves_the_rest_in_the_backlog(void **state)
{
    enum { LIMIT = 10, CLIENTS = 25 };
    struct leat_sockets_options options = {.connection_count_max = LIMIT};
    struct world *w = world_with(&options);
    struct tally tally = {0};
    struct leat_listener *listener = tally_listen(w, &tally);
    int clients[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = begin_connect(leat_listener_addr(listener));
        assert_true(clients[i] >= 0);
    }
    UNTIL(w, tally.opens == LIMIT);
    settle(w);
    assert_int_equal(tally.opens, LIMIT);
    for (unsigned i = 0; i < CLIENTS; i++) { /* accepted in the order of their coming */
        UNTIL(w, tally.opens > i);
        assert_true(tally.live <= LIMIT);
        close(clients[i]);
    }
    UNTIL(w, tally.closes == CLIENTS);
    leat_listener_close(listener);
    world_free(w);
}

void a_storm_of_connections_is_accepted(void **state)
{
    enum { CLIENTS = 3000 };
    struct world *w = world_with(NULL);
    struct tally tally = {0};
    struct leat_listener *listener = tally_listen(w, &tally);
    static int clients[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = begin_connect(leat_listener_addr(listener));
        assert_true(clients[i] >= 0);
    }
    UNTIL(w, tally.opens == CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(send(clients[i], "?", 1, 0), 1);
    UNTIL(w, tally.bytes == CLIENTS);
    settle(w);
    for (unsigned i = 0; i < CLIENTS; i++) {
        char answer;
        assert_int_equal(recv(clients[i], &answer, 1, 0), 1);
        assert_int_equal(answer, '!');
        close(clients[i]);
    }
    UNTIL(w, tally.closes == CLIENTS);
    struct leat_sockets_stats stats;
    leat_sockets_stats(w->loop, &stats);
    assert_int_equal(stats.accepted_count, CLIENTS);
    assert_int_equal(stats.closed_count, CLIENTS);
    assert_int_equal(stats.live_count, 0);
    leat_listener_close(listener);
    world_free(w);
}

/* Clients that vanish. */

static uint64_t rng_state;

static unsigned roll(unsigned sides)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (unsigned)(rng_state >> 33) % sides;
}

enum { HELD_MAX = 64 };
struct chaos {
    struct tally tally;
    struct {
        leat_conn conn;
        struct leat_buf buf;
    } held[HELD_MAX];
    unsigned held_count;
    struct leat_file *file;
};

static void chaos_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct chaos *chaos = user;
    int result = 0;
    for (unsigned i = 0; i < count; i++) {
        switch (roll(8)) {
        case 0:
            if (chaos->held_count < HELD_MAX) {
                chaos->held[chaos->held_count].conn = conn;
                chaos->held[chaos->held_count].buf = leat_conn_hold(conn, slices[i]);
                chaos->held_count += chaos->held[chaos->held_count].buf.data != NULL;
            }
            break;
        case 1:
            result = leat_conn_send_file(conn, chaos->file, 0, 200000);
            break;
        case 2:
            result = leat_conn_pause(conn);
            break;
        case 3:
            result = roll(4) == 0 ? leat_conn_abort(conn) : leat_conn_want_writable(conn);
            break;
        case 4:
            result = leat_conn_close(conn);
            break;
        default: {
            struct leat_buf echo = leat_buf_ref(slices[i]);
            result = leat_conn_send(conn, &echo, 1);
            if (result < 0)
                leat_buf_unref(echo);
        }
        }
        assert_true(result >= 0 || result == -EAGAIN || result == -EPIPE);
    }
}

static void chaos_writable(leat_conn conn, void *user)
{
    if (roll(2) == 0)
        (void)leat_conn_end(conn);
    (void)leat_conn_resume(conn);
}

static const struct leat_conn_ops chaos_ops = {
    .on_open = tally_open,
    .on_data = chaos_data,
    .on_writable = chaos_writable,
    .on_end = tally_end,
    .on_close = tally_close,
};

static void client_acts(int *fd)
{
    static const char bytes[20000];
    static char room[65536];
    switch (roll(10)) {
    case 0: {
        struct linger reset = {.l_onoff = 1};
        (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(*fd);
        *fd = -1;
        break;
    }
    case 1:
        close(*fd);
        *fd = -1;
        break;
    case 2:
        (void)shutdown(*fd, SHUT_WR);
        break;
    case 3:
    case 4:
        (void)!recv(*fd, room, sizeof(room), MSG_DONTWAIT);
        break;
    default:
        (void)!send(*fd, bytes, 1 + roll(sizeof(bytes)), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void clients_that_vanish_leave_nothing_behind(void **state)
{
    enum { ALL = 4000, AT_ONCE = 100 };
    struct world *w = world_with(NULL);
    struct chaos chaos = {0};
    struct leat_listener *listener;
    struct leat_listen_options options = {
        .conn = {.timeout_ns = 200 * LEAT_NS_PER_MS, .linger_ns = 20 * LEAT_NS_PER_MS}};
    FILE *file = tmpfile();
    int clients[AT_ONCE];
    rng_state = UINT64_C(0x9e3779b97f4a7c15);
    assert_int_equal(ftruncate(fileno(file), 200000), 0);
    chaos.file = leat_file_new(dup(fileno(file)));
    fclose(file);
    assert_int_equal(leat_listen(w->loop, &w->any, &options, &chaos_ops, &chaos, &listener), 0);
    unsigned started = 0, gone = 0;
    for (unsigned i = 0; i < AT_ONCE; i++)
        clients[i] = -1;
    while (gone < ALL) {
        unsigned i = roll(AT_ONCE);
        if (clients[i] >= 0) {
            client_acts(&clients[i]);
            gone += clients[i] < 0;
        } else if (started < ALL) {
            clients[i] = begin_connect(leat_listener_addr(listener));
            assert_true(clients[i] >= 0);
            started++;
        }
        if (roll(4) == 0)
            leat_loop_turn(w->loop, 0);
        if (chaos.held_count > HELD_MAX / 2 || roll(10) == 0) {
            while (chaos.held_count > 0) {
                chaos.held_count--;
                leat_conn_release(chaos.held[chaos.held_count].conn,
                                  chaos.held[chaos.held_count].buf);
            }
        }
    }
    while (chaos.held_count > 0) {
        chaos.held_count--;
        leat_conn_release(chaos.held[chaos.held_count].conn, chaos.held[chaos.held_count].buf);
    }
    UNTIL(w, chaos.tally.live == 0);
    settle(w);
    assert_int_equal(chaos.tally.opens, chaos.tally.closes);
    assert_true(chaos.tally.opens > ALL / 2); /* the rest was reset before it was accepted */
    struct leat_sockets_stats stats;
    leat_sockets_stats(w->loop, &stats);
    assert_int_equal(stats.accepted_count, chaos.tally.opens);
    assert_int_equal(stats.live_count, 0);
    leat_file_unref(chaos.file);
    leat_listener_close(listener);
    world_free(w); /* checks that buffers are conserved */
}

void an_idle_connection_costs_little(void **state)
{
    struct leat_sockets_stats stats;
    struct world *w = world_with(NULL);
    leat_sockets_stats(w->loop, &stats);
    assert_true(stats.conn_bytes <= 256);
    world_free(w);
}
