/* Addresses that this process listens on, and how its cores share them.
 *
 * The first core that asks for an address binds it alone, so that another program on it is found
 * out (C26), and only then marks the socket SO_REUSEPORT; further cores bind beside it, each once
 * (C24). A core that asks for port 0 gets the port that the first core was given, the n-th time the
 * n-th such port (C25). A unix path has one socket: further cores get duplicates of its descriptor.
 *
 * Sockets for datagrams share addresses in the same way, among themselves.
 *
 * leat_sockets_shared is the one thing in this folder that several threads use: its lock is held
 * while an address is bound or given up, never on the way of a connection. */
#include "net/socket/socket_internal.h"
#include "runtime/os/holder.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sock_port {
    struct sock_port *next;
    struct leat_addr asked, bound;
    bool is_udp, is_exclusive;
    uint64_t cores[LEAT_CORES_MAX / 64]; /* that listen on it */
    uint32_t core_count;
    int unix_fd; /* the listening descriptor that the cores duplicate, -1: none */
    dev_t device;
    ino_t inode; /* of the path when it was made, so that another's is not removed */
};

struct leat_sockets_shared {
    pthread_mutex_t lock;
    struct sock_port *first;
    atomic_uint told; /* enum sock_told */
};

struct leat_sockets_shared *leat_sockets_shared_new(void)
{
    struct leat_sockets_shared *shared = calloc(1, sizeof(*shared));
    if (shared != NULL)
        pthread_mutex_init(&shared->lock, NULL);
    return shared;
}

void leat_sockets_shared_free(struct leat_sockets_shared *shared)
{
    if (shared != NULL) {
        CHECK(shared->first == NULL); /* a listener is still open */
        pthread_mutex_destroy(&shared->lock);
        free(shared);
    }
}

bool sock_tells_first(struct leat_sockets_shared *shared, enum sock_told what)
{
    return (atomic_fetch_or(&shared->told, what) & what) == 0;
}

static bool port_has_core(const struct sock_port *port, uint32_t core)
{
    return (port->cores[core / 64] >> (core % 64) & 1) != 0;
}

/* The entry that this core joins, or NULL: it is the first. */
static struct sock_port *port_find(struct leat_sockets_shared *shared, const struct leat_addr *addr,
                                   bool is_udp, uint32_t core)
{
    bool any_port = addr->family != LEAT_FAMILY_UNIX && addr->port == 0;
    for (struct sock_port *port = shared->first; port != NULL; port = port->next)
        if (port->is_udp != is_udp || port->is_exclusive)
            continue;
        else if (any_port ? leat_addr_equal(&port->asked, addr) && !port_has_core(port, core)
                          : leat_addr_equal(&port->bound, addr))
            return port;
    return NULL;
}

static bool is_no_socket(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode);
}

static int bind_failed(const struct leat_addr *addr, int code, bool is_udp,
                       struct leat_error *error)
{
    char text[LEAT_ADDR_TEXT_BYTES_MAX], holder[HOLDER_TEXT_BYTES_MAX];
    leat_addr_format(addr, text);
    bool is_unix = addr->family == LEAT_FAMILY_UNIX;
    switch (-code) {
    case EADDRINUSE:
        return is_unix  ? leat_fail(error, code, "%s is %s: choose another path", text,
                                   is_no_socket(addr->path)
                                        ? "a file that is there already, and no socket"
                                        : "in use by another program")
               : is_udp ? leat_fail(error, code,
                                    "UDP port %u is in use by another program: stop it or choose "
                                    "another port",
                                    addr->port)
                        : leat_fail(error, code,
                                    "port %u is in use by %s: stop it or choose another with "
                                    "--listen",
                                    addr->port, holder_of_port(addr->port, holder));
    case EADDRNOTAVAIL:
        return leat_fail(error, code,
                         "%s is not an address of this machine: choose one that `ip address` "
                         "lists, or *:%u for all of them",
                         text, addr->port);
    case EACCES:
    case EPERM:
        return is_unix ? leat_fail(error, -EACCES,
                                   "%s may not be created: choose a path in a folder that this "
                                   "user may write to",
                                   text)
                       : leat_fail(error, -EACCES,
                                   "%s needs a privilege: choose a port from 1024 on, or allow it "
                                   "with `setcap cap_net_bind_service=+ep` on the program",
                                   text);
    case EMFILE:
    case ENFILE:
        return leat_fail(error, code,
                         "cannot listen on %s, too many files are open: raise the limit (ulimit "
                         "-n)",
                         text);
    case ENOENT:
    case ENOTDIR:
        return leat_fail(error, code, "%s cannot be created: its folder does not exist", text);
    case EINVAL:
    case ENODEV:
        return leat_fail(error, code,
                         "%s cannot be bound: a link-local address needs its zone, as in "
                         "[fe80::1%%eth0]:%u",
                         text, addr->port);
    default:
        return leat_fail(error, code, "cannot listen on %s (%s)", text, leat_errno_name(code));
    }
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static bool is_ipv6_only(const struct sock_binding *how)
{
    return how->udp != NULL ? how->udp->ipv6_only : how->listen->ipv6_only;
}

/* Accepted sockets inherit all of it, so that accepting costs no further call. */
static int binding_options(int fd, const struct leat_addr *addr, const struct sock_binding *how)
{
    int result = how->udp != NULL ? sock_udp_settings_apply(fd, addr, how->udp)
                                  : sock_settings_apply(fd, addr->family, &how->listen->conn);
    if (result == 0 && addr->family != LEAT_FAMILY_UNIX && how->udp == NULL)
        result = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (result == 0 && addr->family == LEAT_FAMILY_IPV6)
        result = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_ipv6_only(how));
    return result;
}

static int bind_to(int fd, const struct leat_addr *addr)
{
    struct sockaddr_storage storage;
    socklen_t length = sock_addr_to(addr, &storage);
    return bind(fd, (struct sockaddr *)&storage, length) < 0 ? -errno : 0;
}

/* A path that a crashed program left behind, on which nobody listens, is removed. */
static int remove_stale_path(const struct leat_addr *addr)
{
    struct sockaddr_storage storage;
    struct stat status;
    socklen_t length = sock_addr_to(addr, &storage);
    if (addr->path[0] == '@' || lstat(addr->path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return -EADDRINUSE;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return -errno;
    bool is_dead = connect(probe, (struct sockaddr *)&storage, length) < 0 && errno == ECONNREFUSED;
    close(probe);
    return is_dead && unlink(addr->path) == 0 ? 0 : -EADDRINUSE;
}

static int bind_unix(int fd, struct sock_port *port, const struct leat_listen_options *options)
{
    const struct leat_addr *addr = &port->asked;
    int result = bind_to(fd, addr);
    if (result == -EADDRINUSE && remove_stale_path(addr) == 0)
        result = bind_to(fd, addr);
    struct stat status;
    if (result == 0 && addr->path[0] != '@') {
        /* Nobody can connect before listen(2): there is no moment of other permissions. */
        if (chmod(addr->path, options->unix_mode != 0 ? options->unix_mode : 0666) < 0 ||
            lstat(addr->path, &status) < 0)
            return -errno;
        port->device = status.st_dev;
        port->inode = status.st_ino;
    }
    return result;
}

static int start_listening(int fd, const struct sock_binding *how)
{
    uint32_t backlog = how->udp != NULL ? 0 : how->listen->backlog_count;
    if (how->udp == NULL && listen(fd, backlog != 0 ? (int)backlog : SOCK_BACKLOG_COUNT) < 0)
        return -errno;
    return 0;
}

/* Binds and listens; returns the descriptor, or -errno. */
static int bind_one(struct sock_port *port, struct leat_addr *addr, bool is_first,
                    const struct sock_binding *how)
{
    int type = how->udp != NULL ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(sock_addr_family(addr), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_unix = addr->family == LEAT_FAMILY_UNIX;
    if (fd < 0)
        return -errno;
    int result = binding_options(fd, addr, how);
    if (result == 0 && !is_unix && !is_first)
        result = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (result == 0)
        result = is_unix ? bind_unix(fd, port, how->listen) : bind_to(fd, addr);
    if (result == 0 && !is_unix && is_first && !how->is_exclusive)
        result = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (result == 0)
        result = start_listening(fd, how);
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

/* ":8080" on a machine without IPv6 means every IPv4 address. */
static bool falls_back_to_ipv4(const struct leat_addr *addr, const struct sock_binding *how,
                               int result)
{
    return (result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL) &&
           addr->family == LEAT_FAMILY_IPV6 && leat_addr_is_wildcard(addr) && !is_ipv6_only(how);
}

static void learn_bound(struct sock_port *port, int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t length = sizeof(storage);
    port->bound = port->asked;
    if (port->asked.family != LEAT_FAMILY_UNIX &&
        getsockname(fd, (struct sockaddr *)&storage, &length) == 0) {
        struct leat_addr bound;
        sock_addr_from(&storage, length, &bound);
        port->bound.family = bound.family;
        port->bound.port = bound.port;
    }
}

static int open_first(struct leat_sockets_shared *shared, const struct leat_addr *addr,
                      const struct sock_binding *how, struct sock_port **made)
{
    struct sock_port *port = calloc(1, sizeof(*port));
    if (port == NULL)
        return -ENOMEM;
    struct leat_addr tried = *addr;
    port->asked = *addr;
    port->is_udp = how->udp != NULL;
    port->is_exclusive = how->is_exclusive;
    port->unix_fd = -1;
    int fd = bind_one(port, &tried, true, how);
    if (falls_back_to_ipv4(addr, how, fd)) {
        tried.family = LEAT_FAMILY_IPV4;
        fd = bind_one(port, &tried, true, how);
    }
    if (fd >= 0 && addr->family == LEAT_FAMILY_UNIX) {
        port->unix_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (port->unix_fd < 0) {
            int code = -errno;
            close(fd);
            fd = code;
        }
    }
    if (fd < 0) {
        free(port);
        return fd;
    }
    learn_bound(port, fd);
    struct sock_port **end = &shared->first;
    while (*end != NULL) /* in the order of their making: the n-th meets the n-th */
        end = &(*end)->next;
    *end = port;
    *made = port;
    return fd;
}

static int open_further(struct sock_port *port, const struct sock_binding *how)
{
    if (port->unix_fd < 0)
        return bind_one(port, &port->bound, false, how);
    int fd = fcntl(port->unix_fd, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int sock_port_open(struct sock_transport *t, const struct leat_addr *addr,
                   const struct sock_binding *how, struct sock_port **port,
                   struct leat_error *error)
{
    struct leat_sockets_shared *shared = t->shared;
    uint32_t core = t->core->index;
    if (sock_addr_family(addr) == AF_UNSPEC)
        return leat_fail(error, -EAFNOSUPPORT, "an address of no family cannot be listened on");
    pthread_mutex_lock(&shared->lock);
    *port = how->is_exclusive ? NULL : port_find(shared, addr, how->udp != NULL, core);
    int result;
    if (*port != NULL && port_has_core(*port, core)) {
        char text[LEAT_ADDR_TEXT_BYTES_MAX];
        result =
            leat_fail(error, -EADDRINUSE, "%s is listened on by this core already: once is enough",
                      leat_addr_format(addr, text));
    } else {
        result = *port != NULL ? open_further(*port, how) : open_first(shared, addr, how, port);
        if (result < 0)
            bind_failed(addr, result, how->udp != NULL, error);
    }
    if (result >= 0) {
        (*port)->cores[core / 64] |= UINT64_C(1) << (core % 64);
        (*port)->core_count++;
    }
    pthread_mutex_unlock(&shared->lock);
    return result;
}

struct leat_addr sock_port_addr(const struct sock_port *port)
{
    struct leat_addr addr = port->bound;
    addr.via = LEAT_VIA_SOCKETS;
    return addr;
}

static void port_free(struct leat_sockets_shared *shared, struct sock_port *port)
{
    struct sock_port **at = &shared->first;
    while (*at != port)
        at = &(*at)->next;
    *at = port->next;
    if (port->unix_fd >= 0) {
        struct stat status;
        close(port->unix_fd);
        if (port->inode != 0 && lstat(port->asked.path, &status) == 0 &&
            status.st_ino == port->inode && status.st_dev == port->device)
            unlink(port->asked.path);
    }
    free(port);
}

void sock_port_close(struct sock_transport *t, struct sock_port *port, int fd)
{
    struct leat_sockets_shared *shared = t->shared;
    uint32_t core = t->core->index;
    pthread_mutex_lock(&shared->lock);
    close(fd);
    port->cores[core / 64] &= ~(UINT64_C(1) << (core % 64));
    if (--port->core_count == 0)
        port_free(shared, port);
    pthread_mutex_unlock(&shared->lock);
}
