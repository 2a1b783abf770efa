/* Addresses that this process listens on, and how its cores share them.
 *
 * The first core that asks for an address binds it alone, so that another program on it is found
 * out (C26), and only then marks the socket SO_REUSEPORT; further cores bind beside it, each once
 * (C24). A core that asks for port 0 gets the port that the first core was given, the n-th time the
 * n-th such port (C25). A unix path has one socket: further cores get duplicates of its descriptor.
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
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sock_port {
    struct sock_port *next;
    struct leat_addr asked, bound;
    uint64_t cores[LEAT_CORES_MAX / 64]; /* that listen on it */
    uint32_t core_count;
    int unix_fd; /* the listening descriptor that the cores duplicate, -1: none */
    dev_t device;
    ino_t inode; /* of the path when it was made, so that another's is not removed */
};

struct leat_sockets_shared {
    pthread_mutex_t lock;
    struct sock_port *first;
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

static bool port_has_core(const struct sock_port *port, uint32_t core)
{
    return (port->cores[core / 64] >> (core % 64) & 1) != 0;
}

/* The entry that this core joins, or NULL: it is the first. */
static struct sock_port *port_find(struct leat_sockets_shared *shared, const struct leat_addr *addr,
                                   uint32_t core)
{
    bool any_port = addr->family != LEAT_FAMILY_UNIX && addr->port == 0;
    for (struct sock_port *port = shared->first; port != NULL; port = port->next)
        if (any_port ? leat_addr_equal(&port->asked, addr) && !port_has_core(port, core)
                     : leat_addr_equal(&port->bound, addr))
            return port;
    return NULL;
}

static bool is_no_socket(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode);
}

static int bind_failed(const struct leat_addr *addr, int code, struct leat_error *error)
{
    char text[LEAT_ADDR_TEXT_BYTES_MAX], holder[HOLDER_TEXT_BYTES_MAX];
    leat_addr_format(addr, text);
    bool is_unix = addr->family == LEAT_FAMILY_UNIX;
    switch (-code) {
    case EADDRINUSE:
        return is_unix ? leat_fail(error, code, "%s is %s: choose another path", text,
                                   is_no_socket(addr->path)
                                       ? "a file that is there already, and no socket"
                                       : "in use by another program")
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

/* Accepted sockets inherit all of it, so that accepting costs no further call. */
static int listener_options(int fd, const struct leat_addr *addr,
                            const struct leat_listen_options *options)
{
    int result = sock_settings_apply(fd, addr->family, &options->conn);
    if (result == 0 && addr->family != LEAT_FAMILY_UNIX)
        result = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (result == 0 && addr->family == LEAT_FAMILY_IPV6)
        result = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
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

/* Binds and listens; returns the descriptor, or -errno. */
static int bind_one(struct sock_port *port, struct leat_addr *addr, bool is_first,
                    const struct leat_listen_options *options)
{
    int fd = socket(sock_addr_family(addr), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int backlog = options->backlog_count != 0 ? (int)options->backlog_count : SOCK_BACKLOG_COUNT;
    bool is_unix = addr->family == LEAT_FAMILY_UNIX;
    if (fd < 0)
        return -errno;
    int result = listener_options(fd, addr, options);
    if (result == 0 && !is_unix && !is_first)
        result = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (result == 0)
        result = is_unix ? bind_unix(fd, port, options) : bind_to(fd, addr);
    if (result == 0 && !is_unix && is_first)
        result = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (result == 0 && listen(fd, backlog) < 0)
        result = -errno;
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

/* ":8080" on a machine without IPv6 means every IPv4 address. */
static bool falls_back_to_ipv4(const struct leat_addr *addr,
                               const struct leat_listen_options *options, int result)
{
    return (result == -EAFNOSUPPORT || result == -EADDRNOTAVAIL) &&
           addr->family == LEAT_FAMILY_IPV6 && leat_addr_is_wildcard(addr) && !options->ipv6_only;
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

static int open_first(struct leat_sockets_shared *shared, struct sock_listener *l,
                      const struct leat_addr *addr, const struct leat_listen_options *options)
{
    struct sock_port *port = calloc(1, sizeof(*port));
    if (port == NULL)
        return -ENOMEM;
    struct leat_addr tried = *addr;
    port->asked = *addr;
    port->unix_fd = -1;
    int fd = bind_one(port, &tried, true, options);
    if (falls_back_to_ipv4(addr, options, fd)) {
        tried.family = LEAT_FAMILY_IPV4;
        fd = bind_one(port, &tried, true, options);
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
    l->port = port;
    return fd;
}

static int open_further(struct sock_listener *l, struct sock_port *port,
                        const struct leat_listen_options *options)
{
    int fd;
    if (port->unix_fd >= 0) {
        fd = fcntl(port->unix_fd, F_DUPFD_CLOEXEC, 0);
        fd = fd < 0 ? -errno : fd;
    } else {
        fd = bind_one(port, &port->bound, false, options);
    }
    if (fd >= 0)
        l->port = port;
    return fd;
}

int sock_port_open(struct sock_listener *l, const struct leat_addr *addr,
                   const struct leat_listen_options *options, struct leat_error *error)
{
    struct leat_sockets_shared *shared = l->transport->shared;
    uint32_t core = l->transport->core->index;
    if (sock_addr_family(addr) == AF_UNSPEC)
        return leat_fail(error, -EAFNOSUPPORT, "an address of no family cannot be listened on");
    pthread_mutex_lock(&shared->lock);
    struct sock_port *port = port_find(shared, addr, core);
    int result;
    if (port != NULL && port_has_core(port, core)) {
        char text[LEAT_ADDR_TEXT_BYTES_MAX];
        result =
            leat_fail(error, -EADDRINUSE, "%s is listened on by this core already: once is enough",
                      leat_addr_format(addr, text));
    } else {
        int fd =
            port != NULL ? open_further(l, port, options) : open_first(shared, l, addr, options);
        result = fd < 0 ? bind_failed(addr, fd, error) : 0;
        l->fd = fd;
    }
    if (result == 0) {
        l->port->cores[core / 64] |= UINT64_C(1) << (core % 64);
        l->port->core_count++;
        l->base.addr = l->port->bound;
        l->base.addr.via = LEAT_VIA_SOCKETS;
    }
    pthread_mutex_unlock(&shared->lock);
    return result;
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

void sock_port_close(struct sock_listener *l)
{
    struct leat_sockets_shared *shared = l->transport->shared;
    uint32_t core = l->transport->core->index;
    pthread_mutex_lock(&shared->lock);
    close(l->fd);
    l->fd = -1;
    l->port->cores[core / 64] &= ~(UINT64_C(1) << (core % 64));
    if (--l->port->core_count == 0)
        port_free(shared, l->port);
    l->port = NULL;
    pthread_mutex_unlock(&shared->lock);
}
