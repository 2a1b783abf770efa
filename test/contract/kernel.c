/* The transports over kernel sockets, with raw sockets as peers. */
#include "contract.h"

#include "net/socket/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct peer {
    struct world *w;
    int fd;
};

static int open_with(struct world *w, enum leat_sockets_which which)
{
    struct leat_error error = {0};
    struct leat_loop_options options = {
        .index = w->core_index,
        .buffer_bytes_max = CONTRACT_BUFFER_BYTES,
    };
    if (w->shared == NULL)
        w->shared = leat_sockets_shared_new();
    struct leat_sockets_options sockets = {
        .which = which,
        .connection_count_max = 4096,
        .shared = w->shared,
    };
    w->loop = leat_loop_new(&options, &error);
    if (w->loop == NULL || leat_sockets_open(w->loop, &sockets, &error) != 0) {
        print_error("%s\n", error.sentence);
        return -1;
    }
    int result = leat_addr_parse(&w->any6, "[::1]:0", 0, &error);
    return result == 0 ? leat_addr_parse(&w->any, "127.0.0.1:0", 0, &error) : result;
}

static void kernel_free_shared(void *shared)
{
    leat_sockets_shared_free(shared);
}

static int epoll_open(struct world *w)
{
    return open_with(w, LEAT_SOCKETS_EPOLL);
}

static int uring_open(struct world *w)
{
    return open_with(w, LEAT_SOCKETS_URING);
}

static int black_hole_fds[9];
static unsigned black_hole_count;

static void kernel_close(struct world *w)
{
    leat_sockets_close(w->loop);
    while (black_hole_count > 0)
        close(black_hole_fds[--black_hole_count]);
}

static void kernel_step(struct world *w, uint64_t nap_ns)
{
    leat_loop_turn(w->loop, nap_ns);
}

static void kernel_pause(struct world *w, uint64_t ns)
{
    struct timespec left = {(time_t)(ns / LEAT_NS_PER_S), (long)(ns % LEAT_NS_PER_S)};
    (void)w;
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static struct peer *peer_of(struct world *w, int fd)
{
    struct peer *peer = malloc(sizeof(*peer));
    assert_non_null(peer);
    *peer = (struct peer){w, fd};
    return peer;
}

static struct sockaddr_in address_of(const struct leat_addr *addr)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    memcpy(&in.sin_addr, addr->ip, 4);
    return in;
}

/* On the loopback interface connect(2) completes at once: the kernel's backlog takes it. */
static struct peer *kernel_peer_connect(struct world *w, const struct leat_addr *to)
{
    struct sockaddr_in in = address_of(to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0) {
        close(fd);
        return NULL;
    }
    return peer_of(w, fd);
}

static struct peer *kernel_peer_listen(struct world *w, struct leat_addr *bound)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, length), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
    *bound = (struct leat_addr){.family = LEAT_FAMILY_IPV4, .port = ntohs(in.sin_port)};
    memcpy(bound->ip, &in.sin_addr, 4);
    return peer_of(w, fd);
}

static struct peer *kernel_peer_accept(struct peer *listener)
{
    int fd = accept(listener->fd, NULL, NULL);
    return fd >= 0 ? peer_of(listener->w, fd) : NULL;
}

static long kernel_peer_send(struct peer *peer, const void *bytes, size_t length)
{
    ssize_t sent = send(peer->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent >= 0 ? sent : -errno;
}

static long kernel_peer_receive(struct peer *peer, void *bytes, size_t room)
{
    ssize_t received = recv(peer->fd, bytes, room, MSG_DONTWAIT);
    return received >= 0 ? received : -errno;
}

static void kernel_peer_end(struct peer *peer)
{
    assert_int_equal(shutdown(peer->fd, SHUT_WR), 0);
}

static void kernel_peer_close(struct peer *peer)
{
    close(peer->fd);
    free(peer);
}

static void kernel_peer_reset(struct peer *peer)
{
    struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    kernel_peer_close(peer);
}

/* A listener whose backlog is full drops further SYNs. */
static bool kernel_black_hole(struct world *w, struct leat_addr *addr)
{
    struct peer *listener = kernel_peer_listen(w, addr);
    struct sockaddr_in in = address_of(addr);
    black_hole_fds[black_hole_count++] = listener->fd;
    free(listener);
    while (black_hole_count < sizeof(black_hole_fds) / sizeof(black_hole_fds[0])) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fd, (struct sockaddr *)&in, sizeof(in));
        black_hole_fds[black_hole_count++] = fd;
    }
    return true;
}

/* ---- datagrams ---- */

struct udp_peer {
    int fd;
    bool v6;
};

static socklen_t to_kernel(const struct leat_addr *addr, struct sockaddr_in6 *to)
{
    if (addr->family == LEAT_FAMILY_IPV4) {
        struct sockaddr_in in = address_of(addr);
        memcpy(to, &in, sizeof(in));
        return sizeof(in);
    }
    *to = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
    memcpy(&to->sin6_addr, addr->ip, sizeof(to->sin6_addr));
    return sizeof(*to);
}

static void from_kernel(const struct sockaddr_in6 *from, struct leat_addr *addr)
{
    struct sockaddr_in in;
    memcpy(&in, from, sizeof(in));
    bool v4 = in.sin_family == AF_INET;
    *addr = (struct leat_addr){.family = v4 ? LEAT_FAMILY_IPV4 : LEAT_FAMILY_IPV6,
                               .port = ntohs(in.sin_port)};
    if (v4)
        memcpy(addr->ip, &in.sin_addr, sizeof(in.sin_addr));
    else
        memcpy(addr->ip, &from->sin6_addr, sizeof(from->sin6_addr));
}

static struct udp_peer *kernel_udp_peer(struct world *w, bool v6, struct leat_addr *bound)
{
    struct udp_peer *peer = malloc(sizeof(*peer));
    struct sockaddr_in6 at;
    socklen_t length = to_kernel(v6 ? &w->any6 : &w->any, &at);
    assert_non_null(peer);
    *peer = (struct udp_peer){socket(v6 ? AF_INET6 : AF_INET,
                                     SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                              v6};
    if (peer->fd < 0 || bind(peer->fd, (struct sockaddr *)&at, length) < 0) {
        if (peer->fd >= 0)
            close(peer->fd);
        free(peer);
        return NULL;
    }
    int room = 4 << 20;
    assert_int_equal(setsockopt(peer->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
    assert_int_equal(getsockname(peer->fd, (struct sockaddr *)&at, &length), 0);
    from_kernel(&at, bound);
    struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
    if (!v6)
        assert_int_equal(setsockopt(peer->fd, IPPROTO_IP, IP_MULTICAST_IF, &loopback,
                                    sizeof(loopback)),
                         0);
    return peer;
}

static void kernel_udp_send(struct udp_peer *peer, const struct leat_addr *to, const void *bytes,
                            size_t length)
{
    struct sockaddr_in6 at;
    socklen_t room = to_kernel(to, &at);
    ssize_t sent = sendto(peer->fd, bytes, length, 0, (struct sockaddr *)&at, room);
    assert_int_equal(sent, length);
}

static long kernel_udp_receive(struct udp_peer *peer, struct leat_addr *from, void *bytes,
                               size_t room)
{
    struct sockaddr_in6 at = {0};
    socklen_t length = sizeof(at);
    ssize_t got = recvfrom(peer->fd, bytes, room, 0, (struct sockaddr *)&at, &length);
    if (got >= 0 && from != NULL)
        from_kernel(&at, from);
    return got >= 0 ? got : -errno;
}

static void kernel_udp_close(struct udp_peer *peer)
{
    close(peer->fd);
    free(peer);
}

#define KERNEL(label, opener)                                                                      \
    {                                                                                              \
        .name = label, .open = opener, .close = kernel_close, .free_shared = kernel_free_shared,   \
        .step = kernel_step, .pause = kernel_pause, .peer_connect = kernel_peer_connect,           \
        .peer_listen = kernel_peer_listen, .peer_accept = kernel_peer_accept,                      \
        .peer_send = kernel_peer_send, .peer_receive = kernel_peer_receive,                        \
        .peer_end = kernel_peer_end, .peer_reset = kernel_peer_reset,                              \
        .peer_close = kernel_peer_close, .black_hole = kernel_black_hole,                          \
        .udp_peer = kernel_udp_peer, .udp_send = kernel_udp_send,                                  \
        .udp_receive = kernel_udp_receive, .udp_close = kernel_udp_close,                          \
        .second_address = "127.0.0.2:0",                                                           \
    }
const struct contract_transport contract_epoll = KERNEL("epoll", epoll_open);
const struct contract_transport contract_uring = KERNEL("uring", uring_open);
