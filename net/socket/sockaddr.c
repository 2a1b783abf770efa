/* The kernel's addresses and errors, and ours. */
#include "net/socket/socket_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static socklen_t unix_to(const struct leat_addr *addr, struct sockaddr_un *un)
{
    size_t length = strnlen(addr->path, sizeof(un->sun_path) - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, addr->path, length);
    if (addr->path[0] == '@') {
        un->sun_path[0] = 0;
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
}

socklen_t sock_addr_to(const struct leat_addr *addr, struct sockaddr_storage *storage)
{
    memset(storage, 0, sizeof(*storage));
    if (addr->family == LEAT_FAMILY_UNIX)
        return unix_to(addr, (struct sockaddr_un *)storage);
    if (addr->family == LEAT_FAMILY_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)storage;
        in->sin_family = AF_INET;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->ip, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(addr->port);
    in6->sin6_scope_id = addr->scope;
    memcpy(&in6->sin6_addr, addr->ip, 16);
    return sizeof(*in6);
}

static void unix_from(const struct sockaddr_un *un, socklen_t length, struct leat_addr *addr)
{
    size_t path_bytes = length > offsetof(struct sockaddr_un, sun_path)
                            ? length - offsetof(struct sockaddr_un, sun_path)
                            : 0;
    addr->family = LEAT_FAMILY_UNIX;
    if (path_bytes > 0 && un->sun_path[0] == 0) {
        addr->path[0] = '@';
        memcpy(addr->path + 1, un->sun_path + 1, path_bytes - 1);
    } else {
        memcpy(addr->path, un->sun_path, strnlen(un->sun_path, path_bytes));
    }
    addr->path[LEAT_UNIX_PATH_BYTES_MAX - 1] = 0;
}

/* An IPv4 peer of a dual-stack listener is an IPv4 address to its users. */
void sock_addr_from(const struct sockaddr_storage *storage, socklen_t length,
                    struct leat_addr *addr)
{
    *addr = (struct leat_addr){.via = LEAT_VIA_SOCKETS};
    if (storage->ss_family == AF_UNIX) {
        unix_from((const struct sockaddr_un *)storage, length, addr);
    } else if (storage->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)storage;
        addr->family = LEAT_FAMILY_IPV4;
        addr->port = ntohs(in->sin_port);
        memcpy(addr->ip, &in->sin_addr, 4);
    } else if (storage->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)storage;
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        addr->family = is_mapped ? LEAT_FAMILY_IPV4 : LEAT_FAMILY_IPV6;
        addr->port = ntohs(in6->sin6_port);
        addr->scope = is_mapped ? 0 : in6->sin6_scope_id;
        memcpy(addr->ip, in6->sin6_addr.s6_addr + (is_mapped ? 12 : 0), is_mapped ? 4 : 16);
    }
}

int sock_addr_family(const struct leat_addr *addr)
{
    switch (addr->family) {
    case LEAT_FAMILY_IPV4:
        return AF_INET;
    case LEAT_FAMILY_IPV6:
        return AF_INET6;
    case LEAT_FAMILY_UNIX:
        return AF_UNIX;
    default:
        return AF_UNSPEC;
    }
}

enum leat_close_reason sock_reason_of(int error, bool connecting)
{
    switch (error) {
    case ECONNREFUSED:
        return LEAT_CLOSE_REFUSED;
    case ENOENT: /* connecting to a unix path */
        return connecting ? LEAT_CLOSE_REFUSED : LEAT_CLOSE_RESET;
    case ETIMEDOUT:
        return connecting ? LEAT_CLOSE_CONNECT_TIMEOUT : LEAT_CLOSE_PEER_GONE;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENONET:
    case EACCES: /* a route or filter that prohibits, or a unix path's permissions */
    case EPERM:
    case EADDRNOTAVAIL:
    case EINVAL:
        return LEAT_CLOSE_UNREACHABLE;
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC: /* epoll's limit on watches */
    case EMFILE:
    case ENFILE:
        return LEAT_CLOSE_NO_MEMORY;
    case EPROTO:
        return LEAT_CLOSE_PROTOCOL;
    default: /* ECONNRESET, EPIPE, ECONNABORTED */
        return LEAT_CLOSE_RESET;
    }
}
