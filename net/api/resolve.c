/* Host names where addresses are written, by the system's resolver. */
#include "net/api/resolve.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define NAME_BYTES_MAX 254 /* RFC 1035 2.3.4, NUL included */

static bool addr_convert(struct leat_addr *addr, const struct sockaddr *from)
{
    *addr = (struct leat_addr){.family = LEAT_FAMILY_NONE};
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)from;
        addr->family = LEAT_FAMILY_IPV4;
        memcpy(addr->ip, &in->sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;
        addr->family = LEAT_FAMILY_IPV6;
        addr->scope = in6->sin6_scope_id;
        memcpy(addr->ip, &in6->sin6_addr, 16);
    }
    return addr->family != LEAT_FAMILY_NONE;
}

static bool addr_is_among(const struct leat_addr *addr, const struct leat_addr *addrs, int count)
{
    for (int i = 0; i < count; i++)
        if (leat_addr_equal(addr, &addrs[i]))
            return true;
    return false;
}

int addr_resolve_host(struct leat_addr addrs[RESOLVED_MAX], const char *host, uint16_t port,
                      struct leat_error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int count = 0;
    int result = getaddrinfo(host, NULL, &hints, &found);
    if (result != 0)
        return leat_fail(error, -ENOENT, "cannot find the address of %.100s: %s", host,
                         gai_strerror(result));
    for (const struct addrinfo *at = found; at != NULL && count < RESOLVED_MAX; at = at->ai_next) {
        struct leat_addr addr;
        bool is_ip = addr_convert(&addr, at->ai_addr);
        addr.port = port;
        if (is_ip && !addr_is_among(&addr, addrs, count))
            addrs[count++] = addr;
    }
    freeaddrinfo(found);
    return count > 0 ? count
                     : leat_fail(error, -ENOENT, "%.100s has no IPv4 or IPv6 address", host);
}

/* Letters, digits, "-", "_" and dots; the last label begins with a letter, so that a wrong IPv4
 * address is not taken for a name (RFC 3696 2). */
static bool host_is_name(const char *host)
{
    size_t length = strlen(host);
    const char *label = host;
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)host[i]) && strchr("-_.", host[i]) == NULL)
            return false;
        if (host[i] == '.' && i + 1 < length)
            label = host + i + 1;
    }
    return isalpha((unsigned char)*label) && host[0] != '.' && host[0] != '-';
}

/* "HOST" or "HOST:PORT". True: host is a name, *port is NULL or what is behind the colon. */
static bool name_split(const char *text, char host[NAME_BYTES_MAX], const char **port)
{
    size_t length = strcspn(text, ":");
    if (length == 0 || length >= NAME_BYTES_MAX)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    *port = text[length] == ':' ? text + length + 1 : NULL;
    return strcmp(host, "unix") != 0 && host_is_name(host);
}

int addr_resolve(struct leat_addr addrs[RESOLVED_MAX], const char *text, uint16_t default_port,
                 struct leat_error *error)
{
    char host[NAME_BYTES_MAX], numeric[NAME_BYTES_MAX + 16];
    const char *port, *rest = text;
    struct leat_addr pattern;
    if (leat_addr_parse(&addrs[0], text, default_port, error) == 0)
        return 1;
    if (strncmp(rest, "sock:", 5) == 0 || strncmp(rest, "net:", 4) == 0)
        rest = strchr(rest, ':') + 1;
    if (!name_split(rest, host, &port))
        return -EINVAL;
    /* What stands around the name is parsed by what parses all of it elsewhere. */
    snprintf(numeric, sizeof(numeric), "%.*s0.0.0.0%s%.16s", (int)(rest - text), text,
             port != NULL ? ":" : "", port != NULL ? port : "");
    if (leat_addr_parse(&pattern, numeric, default_port, NULL) < 0)
        return leat_fail(error, -EINVAL,
                         "address \"%.80s\": the port must be a number from 0 to 65535", text);
    int count = addr_resolve_host(addrs, host, pattern.port, error);
    for (int i = 0; i < count; i++)
        addrs[i].via = pattern.via;
    return count;
}
