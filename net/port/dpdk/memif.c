/* memif's control channel, passed on by us.
 *
 * The driver (22.11) unmaps its rings in DPDK's interrupt thread as soon as the peer has gone, and
 * maps them there when one comes, under the feet of whoever is in a burst: a server dies of a
 * client that was killed. So the driver talks to us alone, over a socket of its own, and we pass
 * its messages on to the peer and back. Whatever may make it touch its rings waits until every
 * queue's core has seen that the gate is shut (struct dpdk_gate); only then does it hear that the
 * peer has gone. A client whose server has gone asks for it again, and restarts the driver.
 *
 * Messages are datagrams of a SOCK_SEQPACKET socket, at most one descriptor with each; all that is
 * known of them here is the type in front. One thread of its own for each port does this; it runs
 * when a peer comes or goes. Bounds: one peer at a time, others are turned away. */
#include "net/port/dpdk/dpdk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_BYTES_MAX 512 /* they have 128 */
#define CONNECTED         7   /* the last message of a handshake, in either direction */
#define DRIVER_MS         1000
#define AGAIN_MS          100 /* between two tries to find the server */
#define BACKLOG           4
#define PATIENCE_MS       3000 /* how long a client looks for its server at first */

struct dpdk_relay {
    struct dpdk_port *port;
    pthread_t thread;
    bool is_server, is_running;
    int stop_fd;   /* readable: end */
    int listen_fd; /* server: for peers; client: for the driver */
    int peer_fd, driver_fd;
    char peer_path[108], driver_path[108];
};

/* ---- the gate ---- */

static void relay_nap(void)
{
    usleep(200);
}

static bool is_told_to_end(const struct dpdk_relay *r, int timeout_ms)
{
    struct pollfd stop = {.fd = r->stop_fd, .events = POLLIN};
    return poll(&stop, 1, timeout_ms) > 0;
}

static bool all_have_seen(const struct dpdk_port *port, uint32_t turn)
{
    for (unsigned i = 0; i < port->queue_count; i++)
        if (atomic_load_explicit(&port->queues[i].seen_turn, memory_order_acquire) != turn)
            return false;
    return true;
}

/* Waits for the cores: a core that does not poll does not learn of it, and the driver waits with
 * us. When we are told to end no core polls any more. */
static void gate_shut(struct dpdk_relay *r)
{
    uint32_t turn = atomic_load_explicit(&r->port->gate_turn, memory_order_relaxed);
    if (!(turn & 1))
        atomic_store_explicit(&r->port->gate_turn, ++turn, memory_order_release);
    while (!all_have_seen(r->port, turn) && !is_told_to_end(r, 0))
        relay_nap();
}

static void gate_open(struct dpdk_relay *r)
{
    uint32_t turn = atomic_load_explicit(&r->port->gate_turn, memory_order_relaxed);
    if (turn & 1)
        atomic_store_explicit(&r->port->gate_turn, turn + 1, memory_order_release);
}

static bool gate_is_open(const struct dpdk_relay *r)
{
    return !(atomic_load_explicit(&r->port->gate_turn, memory_order_relaxed) & 1);
}

/* ---- messages ---- */

struct message {
    uint8_t bytes[MESSAGE_BYTES_MAX];
    size_t length;
    int fd;
};

static unsigned type_of(const struct message *m)
{
    uint16_t type = 0;
    if (m->length >= sizeof(type))
        memcpy(&type, m->bytes, sizeof(type));
    return type;
}

/* False: the other side has gone. */
static bool message_take(int from, struct message *m)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {m->bytes, sizeof(m->bytes)};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    ssize_t length = recvmsg(from, &header, MSG_CMSG_CLOEXEC);
    m->fd = -1;
    if (length <= 0)
        return false;
    m->length = (size_t)length;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&m->fd, CMSG_DATA(c), sizeof(int));
    return true;
}

/* False: the other side has gone, or does not read. Descriptors are given away. */
static bool message_give(int to, const struct message *m)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {(void *)(uintptr_t)m->bytes, m->length};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (m->fd >= 0) {
        memcpy(CMSG_DATA(&control.header), &m->fd, sizeof(int));
        header.msg_control = &control;
        header.msg_controllen = sizeof(control);
    }
    bool is_sent = sendmsg(to, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)m->length;
    if (m->fd >= 0)
        close(m->fd);
    return is_sent;
}

/* ---- sockets ---- */

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* A path, or the name of an abstract socket behind a NUL. */
static socklen_t address_of(struct sockaddr_un *addr, const char *path, bool is_abstract)
{
    size_t length = strlen(path);
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(addr->sun_path + is_abstract, path, length);
    return is_abstract ? (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)
                       : (socklen_t)sizeof(*addr);
}

static int socket_new(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

/* Returns the socket, or -errno. */
static int listen_at(const char *path, bool is_abstract)
{
    struct sockaddr_un addr;
    socklen_t bytes = address_of(&addr, path, is_abstract);
    int fd = socket_new();
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&addr, bytes) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int result = -errno;
    close(fd);
    return result;
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr;
    socklen_t bytes = address_of(&addr, path, false);
    int fd = socket_new();
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, bytes) == 0)
        return fd;
    close(fd);
    return -1;
}

static int accept_one(int listen_fd)
{
    return accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
}

/* The driver of this process; anybody may know an abstract name. */
static int accept_own(int listen_fd)
{
    struct ucred who = {0};
    socklen_t bytes = sizeof(who);
    int fd = accept_one(listen_fd);
    if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0 &&
        who.pid == getpid())
        return fd;
    fd_close(&fd);
    return -1;
}

/* ---- one peer, from its coming to its going ---- */

static bool link_is_up(const struct dpdk_relay *r)
{
    struct rte_eth_link link = {0};
    return rte_eth_link_get_nowait(r->port->id, &link) == 0 && link.link_status != 0;
}

static void open_when_up(struct dpdk_relay *r)
{
    for (unsigned i = 0; i < DRIVER_MS * 5 && !link_is_up(r); i++)
        relay_nap();
    if (link_is_up(r))
        gate_open(r);
}

/* From the peer to the driver. After the handshake the only news is the end. */
static bool pass_in(struct dpdk_relay *r)
{
    struct message m;
    bool was_open = gate_is_open(r);
    if (!message_take(r->peer_fd, &m))
        return false;
    gate_shut(r);
    if (!message_give(r->driver_fd, &m) || was_open)
        return false;
    if (!r->is_server && type_of(&m) == CONNECTED)
        open_when_up(r);
    return true;
}

static bool pass_out(struct dpdk_relay *r)
{
    struct message m;
    if (!message_take(r->driver_fd, &m) || !message_give(r->peer_fd, &m))
        return false;
    if (r->is_server && type_of(&m) == CONNECTED)
        open_when_up(r);
    return true;
}

static void turn_away(int listen_fd)
{
    int fd = accept_one(listen_fd);
    fd_close(&fd);
}

/* The driver hears of the end when nobody is in its rings, and hangs up when it has left them. */
static void session_end(struct dpdk_relay *r)
{
    struct pollfd driver = {.fd = r->driver_fd, .events = POLLIN};
    struct message m;
    gate_shut(r);
    if (r->driver_fd >= 0)
        shutdown(r->driver_fd, SHUT_WR);
    while (r->driver_fd >= 0 && poll(&driver, 1, DRIVER_MS) > 0 && message_take(r->driver_fd, &m))
        message_give(r->peer_fd, &m);
    fd_close(&r->driver_fd);
    fd_close(&r->peer_fd);
}

static void session_run(struct dpdk_relay *r)
{
    struct pollfd fds[] = {{.fd = r->peer_fd, .events = POLLIN},
                           {.fd = r->driver_fd, .events = POLLIN},
                           {.fd = r->listen_fd, .events = POLLIN},
                           {.fd = r->stop_fd, .events = POLLIN}};
    for (bool goes_on = true; goes_on;) {
        if (poll(fds, 4, -1) < 0 && errno != EINTR)
            break;
        if (fds[3].revents != 0)
            break;
        if (fds[2].revents != 0)
            turn_away(r->listen_fd);
        if (fds[1].revents != 0)
            goes_on = pass_out(r);
        if (goes_on && fds[0].revents != 0)
            goes_on = pass_in(r);
    }
    session_end(r);
}

/* ---- the thread ---- */

static void relay_serve(struct dpdk_relay *r)
{
    struct pollfd fds[] = {{.fd = r->listen_fd, .events = POLLIN},
                           {.fd = r->stop_fd, .events = POLLIN}};
    while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
        if (fds[1].revents != 0)
            return;
        r->peer_fd = accept_one(r->listen_fd);
        r->driver_fd = r->peer_fd >= 0 ? connect_to(r->driver_path) : -1;
        if (r->driver_fd >= 0)
            session_run(r);
        fd_close(&r->peer_fd);
    }
}

/* Restarted, the driver asks for its server again, which is us. */
static bool driver_restart(struct dpdk_relay *r)
{
    struct pollfd listening = {.fd = r->listen_fd, .events = POLLIN};
    rte_eth_dev_stop(r->port->id);
    if (rte_eth_dev_start(r->port->id) < 0 || poll(&listening, 1, DRIVER_MS) <= 0)
        return false;
    r->driver_fd = accept_own(r->listen_fd);
    return r->driver_fd >= 0;
}

/* The first connection was made by dpdk_relay_new. */
static void relay_ask(struct dpdk_relay *r)
{
    struct pollfd fds[] = {{.fd = r->listen_fd, .events = POLLIN},
                           {.fd = r->stop_fd, .events = POLLIN}};
    if (poll(fds, 2, -1) > 0 && fds[0].revents != 0)
        r->driver_fd = accept_own(r->listen_fd);
    if (r->driver_fd >= 0)
        session_run(r);
    while (!is_told_to_end(r, AGAIN_MS)) {
        r->peer_fd = connect_to(r->peer_path);
        if (r->peer_fd >= 0 && driver_restart(r))
            session_run(r);
        fd_close(&r->peer_fd);
    }
}

static void *relay_main(void *arg)
{
    struct dpdk_relay *r = arg;
    if (r->is_server)
        relay_serve(r);
    else
        relay_ask(r);
    return NULL;
}

/* ---- life ---- */

/* Signals are blocked while a program prepares itself; who waits looks for them. */
static bool end_is_asked(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1);
}

/* The server may be starting, or taking leave of its last client. */
static int find_server(struct dpdk_relay *r)
{
    for (unsigned i = 0; i < PATIENCE_MS / AGAIN_MS * 2; i++) {
        if (end_is_asked())
            return -EINTR;
        r->peer_fd = connect_to(r->peer_path);
        if (r->peer_fd >= 0)
            return 0;
        usleep(AGAIN_MS * 1000 / 2);
    }
    return -ECONNREFUSED;
}

static int thread_start(struct dpdk_relay *r)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&r->thread, NULL, relay_main, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result == 0)
        pthread_setname_np(r->thread, "leat-memif");
    r->is_running = result == 0;
    return -result;
}

int dpdk_relay_start(struct dpdk_port *port, const struct dpdk_device *device)
{
    struct dpdk_relay *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    port->relay = r;
    r->port = port;
    r->is_server = device->is_server;
    r->listen_fd = r->peer_fd = r->driver_fd = -1;
    snprintf(r->peer_path, sizeof(r->peer_path), "%s", device->peer_path);
    snprintf(r->driver_path, sizeof(r->driver_path), "%s", device->driver_path);
    atomic_store_explicit(&port->gate_turn, 1, memory_order_relaxed);
    for (unsigned i = 0; i < port->queue_count; i++)
        atomic_store_explicit(&port->queues[i].seen_turn, 1, memory_order_relaxed);
    r->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->stop_fd < 0)
        return -errno;
    r->listen_fd = listen_at(r->is_server ? r->peer_path : r->driver_path, !r->is_server);
    if (r->listen_fd < 0)
        return r->listen_fd;
    int result = r->is_server ? 0 : find_server(r);
    return result < 0 ? result : thread_start(r);
}

void dpdk_relay_await(const struct dpdk_port *port)
{
    const struct dpdk_relay *r = port->relay;
    for (unsigned i = 0; r != NULL && !r->is_server && !gate_is_open(r) && i < DRIVER_MS * 5; i++)
        relay_nap();
}

void dpdk_relay_end(struct dpdk_port *port)
{
    struct dpdk_relay *r = port->relay;
    if (r == NULL)
        return;
    if (r->is_running) {
        eventfd_write(r->stop_fd, 1);
        pthread_join(r->thread, NULL);
    }
    if (r->is_server && r->listen_fd >= 0)
        unlink(r->peer_path);
    fd_close(&r->peer_fd);
    fd_close(&r->driver_fd);
    fd_close(&r->listen_fd);
    fd_close(&r->stop_fd);
    free(r);
    port->relay = NULL;
}
