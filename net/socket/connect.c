/* Outgoing connections, and the settings that connections share. */
#include "net/socket/socket_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

/* Field by field into zeroed memory, so that equal settings are equal bytes. */
static void settings_resolve(struct leat_conn_options *to, const struct leat_conn_options *from)
{
    memset(to, 0, sizeof(*to));
    to->send_high_bytes = from->send_high_bytes != 0 ? from->send_high_bytes : SOCK_SEND_HIGH_BYTES;
    to->send_low_bytes = from->send_low_bytes != 0 ? from->send_low_bytes : to->send_high_bytes / 4;
    if (to->send_low_bytes > to->send_high_bytes)
        to->send_low_bytes = to->send_high_bytes;
    if (to->send_low_bytes == 0)
        to->send_low_bytes = 1;
    to->receive_bytes_max =
        from->receive_bytes_max != 0 ? from->receive_bytes_max : SOCK_RECEIVE_BYTES_MAX;
    to->timeout_ns = from->timeout_ns;
    to->linger_ns = from->linger_ns != 0 ? from->linger_ns : SOCK_LINGER_NS;
    to->connect_timeout_ns =
        from->connect_timeout_ns != 0 ? from->connect_timeout_ns : SOCK_CONNECT_TIMEOUT_NS;
    to->nagle = from->nagle;
    to->keepalive_ns = from->keepalive_ns;
    to->user_timeout_ns = from->user_timeout_ns;
}

struct sock_settings *sock_settings_new(const struct leat_conn_options *options)
{
    struct sock_settings *settings = leat_heap_alloc(sizeof(*settings));
    if (settings != NULL) {
        settings_resolve(&settings->options, options);
        settings->ref_count = 1;
    }
    return settings;
}

void sock_settings_unref(struct sock_settings *settings)
{
    if (--settings->ref_count == 0)
        leat_heap_free(settings);
}

/* C31: as leat_conn_options has the value. Returns 0 or -errno. */
static int keepalive_set(int fd, uint64_t keepalive_ns)
{
    uint64_t idle_s = (keepalive_ns + LEAT_NS_PER_S - 1) / LEAT_NS_PER_S;
    int idle = idle_s > 32767 ? 32767 : (int)idle_s; /* Linux: MAX_TCP_KEEPIDLE */
    int on = keepalive_ns != 0;
    bool is_set = setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0 &&
                  (!on || setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) == 0);
    return is_set ? 0 : -errno;
}

int sock_option_set(int fd, enum leat_transport_option option, uint64_t value)
{
    uint64_t wait_s = (value + LEAT_NS_PER_S - 1) / LEAT_NS_PER_S;
    unsigned wait_ms = 1000 * (wait_s < UINT16_MAX ? (unsigned)wait_s : UINT16_MAX);
    int no_delay = value == 0;
    switch (option) {
    case LEAT_TRANSPORT_NAGLE:
        return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay)) < 0 ? -errno
                                                                                         : 0;
    case LEAT_TRANSPORT_KEEPALIVE:
        return keepalive_set(fd, value);
    case LEAT_TRANSPORT_USER_TIMEOUT:
        return setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &wait_ms, sizeof(wait_ms)) < 0 ? -errno
                                                                                            : 0;
    }
    return -EINVAL;
}

int sock_settings_apply(int fd, uint8_t family, const struct leat_conn_options *options)
{
    int on = 1, result = 0;
    if (family == LEAT_FAMILY_UNIX)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) < 0) /* RFC 6093 */
        return -errno;
    if (!options->nagle)
        result = sock_option_set(fd, LEAT_TRANSPORT_NAGLE, 0);
    if (result == 0 && options->keepalive_ns != 0)
        result = sock_option_set(fd, LEAT_TRANSPORT_KEEPALIVE, options->keepalive_ns);
    return result;
}

/* C27. Not before: while connecting, it would cut connect_timeout_ns short. */
int sock_settings_apply_open(int fd, uint8_t family, const struct leat_conn_options *options)
{
    if (options->user_timeout_ns == 0 || family == LEAT_FAMILY_UNIX)
        return 0;
    return sock_option_set(fd, LEAT_TRANSPORT_USER_TIMEOUT, options->user_timeout_ns);
}

/* Connections with the options of the last one share its settings. */
static struct sock_settings *settings_for(struct sock_transport *t,
                                          const struct leat_conn_options *options)
{
    struct leat_conn_options resolved;
    settings_resolve(&resolved, options);
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): other padding costs a copy, no more */
    if (t->settings != NULL && memcmp(&t->settings->options, &resolved, sizeof(resolved)) == 0)
        return t->settings;
    struct sock_settings *settings = sock_settings_new(options);
    if (settings != NULL) {
        if (t->settings != NULL)
            sock_settings_unref(t->settings);
        t->settings = settings;
    }
    return settings;
}

/* The descriptor, or -errno with a sentence. */
static int socket_new(const struct leat_addr *to, const struct leat_addr *from,
                      const struct leat_conn_options *options, struct leat_error *error)
{
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    int fd = socket(sock_addr_family(to), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return leat_fail(error, -errno, "cannot make a socket for %s (%s)%s",
                         leat_addr_format(to, text), leat_errno_name(errno),
                         errno == EMFILE ? ": raise the limit on open files (ulimit -n)" : "");
    }
    int result = sock_settings_apply(fd, to->family, options);
    if (result == 0 && from != NULL) {
        struct sockaddr_storage storage;
        socklen_t length = sock_addr_to(from, &storage);
        int on = 1;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            bind(fd, (struct sockaddr *)&storage, length) < 0) {
            result = leat_fail(error, -errno,
                               "cannot connect from %s (%s): choose an address "
                               "and a free port of this machine",
                               leat_addr_format(from, text), leat_errno_name(errno));
        }
    }
    if (result < 0)
        close(fd);
    return result < 0 ? result : fd;
}

/* 0: established or begun; the connection's flags say which. Else the errno value. */
static int connect_begin(struct sock_conn *c, const struct sockaddr_storage *storage,
                         socklen_t length)
{
    int result;
    do {
        result = connect(c->fd, (const struct sockaddr *)storage, length);
    } while (result < 0 && errno == EINTR);
    if (result == 0) {
        c->flags = (c->flags & ~(uint32_t)SOCK_CONNECTING) | SOCK_OPEN_DUE;
        return 0;
    }
    return errno == EINPROGRESS ? 0 : errno;
}

/* Whether an address of this machine leads to the peer: a datagram socket finds out without a word
 * on the wire. */
static bool has_source(const struct sockaddr_storage *to, socklen_t length)
{
    int fd = socket(to->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_found = fd >= 0 && connect(fd, (const struct sockaddr *)to, length) == 0;
    if (fd >= 0)
        close(fd);
    return is_found;
}

/* The kernel says EADDRNOTAVAIL of an address that is missing, and of one whose ports are taken. */
static void connect_fail(struct sock_conn *c, int error, const struct sockaddr_storage *to,
                         socklen_t length)
{
    if (error == EADDRNOTAVAIL && has_source(to, length))
        sock_conn_finish(c, LEAT_CLOSE_NO_PORTS);
    else
        sock_conn_fail(c, error == EAGAIN ? ECONNREFUSED : error); /* a unix backlog is full */
}

static int conn_begin(struct sock_conn *c, const struct leat_addr *to)
{
    struct sockaddr_storage storage;
    socklen_t length = sock_addr_to(to, &storage);
    int error = connect_begin(c, &storage, length);
    int result = c->transport->backend->conn_start(c);
    if (result < 0)
        return result;
    if (error != 0)
        connect_fail(c, error, &storage, length);
    else if ((c->flags & SOCK_OPEN_DUE) != 0)
        sock_conn_ready(c);
    else if (sock_deadline_set_hard(c, c->settings->options.connect_timeout_ns) < 0)
        sock_conn_fail(c, ENOMEM);
    return 0;
}

int sock_connect(struct leat_transport *base, const struct leat_addr *to,
                 const struct leat_addr *from, const struct leat_conn_options *options,
                 const struct leat_conn_ops *ops, void *user, leat_conn *conn)
{
    struct sock_transport *t = container_of(base, struct sock_transport, base);
    struct leat_error *error = &t->core->error;
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    if (t->is_shut)
        return leat_fail(error, -ESHUTDOWN, "the loop is ending: nothing can connect now");
    if (sock_addr_family(to) == AF_UNSPEC || (to->family != LEAT_FAMILY_UNIX && to->port == 0)) {
        return leat_fail(error, -EINVAL, "cannot connect to %s: write an address and a port",
                         leat_addr_format(to, text));
    }
    struct sock_settings *settings = settings_for(t, options);
    int fd = settings == NULL ? -ENOMEM : socket_new(to, from, options, error);
    if (fd < 0)
        return fd;
    struct sock_conn *c = sock_conn_new(t, fd, settings, ops, user);
    if (c == NULL) {
        close(fd);
        return leat_fail(error, -ENOMEM,
                         "cannot connect to %s: memory or the limit of %u "
                         "connections is out",
                         leat_addr_format(to, text), t->slots.limit_count);
    }
    c->family = to->family;
    c->flags |= SOCK_CONNECTING | SOCK_OUTGOING;
    int result = conn_begin(c, to);
    if (result < 0) {
        sock_conn_free_unopened(c);
        return leat_fail(error, result, "cannot watch the connection to %s (%s)",
                         leat_addr_format(to, text), leat_errno_name(result));
    }
    *conn = (leat_conn){c->id};
    return 0;
}
