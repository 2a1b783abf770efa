/* Addresses as people write them, and back. */
#include <leat/addr.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

struct text {
    const char *whole; /* for the sentence */
    struct leat_error *error;
};

static int addr_refuse(const struct text *text, const char *why)
{
    return leat_fail(text->error, -EINVAL, "address \"%.80s\": %s", text->whole, why);
}

/* Digits only, at least one, at most max. */
static bool parse_number(const char *digits, size_t length, uint32_t max, uint32_t *number)
{
    uint64_t value = 0;
    if (length == 0 || length > 10)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(digits[i] - '0');
    }
    *number = (uint32_t)value;
    return value <= max;
}

static int parse_port(struct leat_addr *addr, const struct text *text, const char *digits)
{
    uint32_t port;
    if (!parse_number(digits, strlen(digits), UINT16_MAX, &port))
        return addr_refuse(text, "the port must be a number from 0 to 65535");
    addr->port = (uint16_t)port;
    return 0;
}

static int parse_unix(struct leat_addr *addr, const struct text *text, const char *path)
{
    size_t length = strlen(path);
    if (length == 0 || (path[0] == '@' && length == 1))
        return addr_refuse(text, "a path must follow \"unix:\"");
    if (length >= LEAT_UNIX_PATH_BYTES_MAX)
        return addr_refuse(text, "the path of a unix socket has at most 107 bytes");
    addr->family = LEAT_FAMILY_UNIX;
    addr->port = 0;
    memcpy(addr->path, path, length + 1);
    return 0;
}

static int parse_zone(struct leat_addr *addr, const struct text *text, const char *zone)
{
    if (!parse_number(zone, strlen(zone), UINT32_MAX, &addr->scope))
        addr->scope = if_nametoindex(zone);
    /* The stack has one link, whatever it is called: a card's is no interface of the kernel. */
    bool is_named = addr->scope != 0 || (addr->via == LEAT_VIA_STACK && zone[0] != '\0');
    return is_named ? 0 : addr_refuse(text, "there is no network interface of that zone");
}

/* "[ADDRESS]", "[ADDRESS%ZONE]", each with or without ":PORT". */
static int parse_ipv6(struct leat_addr *addr, const struct text *text, const char *bracketed)
{
    const char *end = strchr(bracketed, ']');
    char inside[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    if (end == NULL || (end[1] != 0 && end[1] != ':'))
        return addr_refuse(text, "an IPv6 address is written as \"[::1]:8080\"");
    size_t length = (size_t)(end - bracketed) - 1;
    if (length >= sizeof(inside))
        return addr_refuse(text, "that is too long for an IPv6 address");
    memcpy(inside, bracketed + 1, length);
    inside[length] = 0;
    char *zone = strchr(inside, '%');
    if (zone != NULL)
        *zone = 0;
    if (inet_pton(AF_INET6, inside, addr->ip) != 1)
        return addr_refuse(text, "that is no IPv6 address");
    addr->family = LEAT_FAMILY_IPV6;
    int result = zone != NULL ? parse_zone(addr, text, zone + 1) : 0;
    return result == 0 && end[1] == ':' ? parse_port(addr, text, end + 2) : result;
}

static int refuse_name(const struct text *text)
{
    return addr_refuse(text,
                       "an IP address is wanted, such as 127.0.0.1 or [::1] for this machine");
}

/* "HOST", "HOST:PORT", ":PORT", "PORT". */
static int parse_host(struct leat_addr *addr, const struct text *text, const char *rest)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strchr(rest, ':');
    const char *port = colon != NULL ? colon + 1 : NULL;
    size_t length = colon != NULL ? (size_t)(colon - rest) : strlen(rest);
    if (port != NULL && strchr(port, ':') != NULL)
        return addr_refuse(text, "an IPv6 address is written as \"[::1]:8080\"");
    if (port == NULL && length > 0 && strspn(rest, "0123456789") == length) {
        port = rest;
        length = 0;
    }
    if (length == 0 || (length == 1 && rest[0] == '*')) {
        addr->family = LEAT_FAMILY_IPV6;
        return port != NULL ? parse_port(addr, text, port) : 0;
    }
    if (length >= sizeof(host))
        return refuse_name(text);
    memcpy(host, rest, length);
    host[length] = 0;
    if (inet_pton(AF_INET, host, addr->ip) != 1)
        return refuse_name(text);
    addr->family = LEAT_FAMILY_IPV4;
    return port != NULL ? parse_port(addr, text, port) : 0;
}

int leat_addr_parse(struct leat_addr *addr, const char *text, uint16_t default_port,
                    struct leat_error *error)
{
    struct text context = {.whole = text, .error = error};
    struct leat_addr parsed = {.port = default_port};
    const char *rest = text;
    if (strncmp(rest, "sock:", 5) == 0) {
        parsed.via = LEAT_VIA_SOCKETS;
        rest += 5;
    } else if (strncmp(rest, "net:", 4) == 0) {
        parsed.via = LEAT_VIA_STACK;
        rest += 4;
    }
    int result;
    if (strncmp(rest, "unix:", 5) == 0) {
        result = parsed.via == LEAT_VIA_STACK
                     ? addr_refuse(&context, "a unix socket is the kernel's, not the stack's")
                     : parse_unix(&parsed, &context, rest + 5);
    } else if (rest[0] == 0) {
        result = addr_refuse(&context, "it is empty, write for example \"127.0.0.1:8080\"");
    } else if (rest[0] == '[') {
        result = parse_ipv6(&parsed, &context, rest);
    } else {
        result = parse_host(&parsed, &context, rest);
    }
    if (result == 0)
        *addr = parsed;
    return result;
}

char *leat_addr_format(const struct leat_addr *addr, char text[LEAT_ADDR_TEXT_BYTES_MAX])
{
    char ip[INET6_ADDRSTRLEN];
    char zone[16] = "";
    switch (addr->family) {
    case LEAT_FAMILY_IPV4:
        inet_ntop(AF_INET, addr->ip, ip, sizeof(ip));
        snprintf(text, LEAT_ADDR_TEXT_BYTES_MAX, "%s:%u", ip, addr->port);
        break;
    case LEAT_FAMILY_IPV6:
        inet_ntop(AF_INET6, addr->ip, ip, sizeof(ip));
        if (addr->scope != 0)
            snprintf(zone, sizeof(zone), "%%%u", addr->scope);
        snprintf(text, LEAT_ADDR_TEXT_BYTES_MAX, "[%s%s]:%u", ip, zone, addr->port);
        break;
    case LEAT_FAMILY_UNIX:
        snprintf(text, LEAT_ADDR_TEXT_BYTES_MAX, "unix:%.*s", LEAT_UNIX_PATH_BYTES_MAX, addr->path);
        break;
    default:
        snprintf(text, LEAT_ADDR_TEXT_BYTES_MAX, "none");
    }
    return text;
}

static size_t ip_bytes(const struct leat_addr *addr)
{
    return addr->family == LEAT_FAMILY_IPV4 ? 4 : addr->family == LEAT_FAMILY_IPV6 ? 16 : 0;
}

bool leat_addr_is_wildcard(const struct leat_addr *addr)
{
    static const uint8_t zeros[16];
    size_t length = ip_bytes(addr);
    return length != 0 && memcmp(addr->ip, zeros, length) == 0;
}

bool leat_addr_equal(const struct leat_addr *a, const struct leat_addr *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == LEAT_FAMILY_UNIX)
        return strncmp(a->path, b->path, LEAT_UNIX_PATH_BYTES_MAX) == 0;
    return a->port == b->port && a->scope == b->scope && memcmp(a->ip, b->ip, ip_bytes(a)) == 0;
}
