/* The URL of `leat load`: where to connect to, and what Host and Authorization say (RFC 3986 3.2,
 * RFC 6874, RFC 7617). */
#include "apps/load/load_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/api/resolve.h"
#include "net/http/message/url.h"

#define SCHEME       "http://"
#define TARGET_FORMS "http://[USER:PASSWORD@]HOST[:PORT][/PATH] or unix:FILE[:/PATH]"
#define HTTP_PORT    80

_Static_assert(LOAD_ADDRESSES_MAX == RESOLVED_MAX, "all of a name's addresses are tried");

static int fail_url(struct leat_error *error, const char *url, const char *why)
{
    return leat_fail(error, -EINVAL, "cannot use the URL \"%.100s\": %s", url, why);
}

/* RFC 4648 4. to: 4 bytes for each 3, and NUL. */
static void base64_write(const uint8_t *from, size_t length, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3, to += 4) {
        uint32_t second = i + 1 < length ? from[i + 1] : 0,
                 third = i + 2 < length ? from[i + 2] : 0;
        uint32_t bits = (uint32_t)from[i] << 16 | second << 8 | third;
        to[0] = digits[bits >> 18];
        to[1] = digits[bits >> 12 & 63];
        to[2] = i + 1 < length ? digits[bits >> 6 & 63] : '=';
        to[3] = i + 2 < length ? digits[bits & 63] : '=';
    }
    *to = '\0';
}

/* "USER:PASSWORD", percent-encoded, becomes the credentials of RFC 7617; without a colon the
 * password is empty. */
static int credentials_set(struct load_target *target, const char *url, struct leat_view user_info,
                           struct leat_error *error)
{
    char plain[LOAD_USER_INFO_BYTES_MAX + 2];
    if (user_info.length_bytes > LOAD_USER_INFO_BYTES_MAX)
        return fail_url(error, url, "its user and password are too long");
    ptrdiff_t length = http_url_decode(user_info, plain);
    if (length < 0)
        return fail_url(error, url, "a \"%\" in its user or password is no %XX");
    if (memchr(user_info.data, ':', user_info.length_bytes) == NULL)
        plain[length++] = ':';
    base64_write((const uint8_t *)plain, (size_t)length, target->credentials);
    return 0;
}

/* "[IPV6]" or "HOST": returns its length, 0 when there is none or it has no end. */
static size_t host_length(const char *authority)
{
    const char *end = strchr(authority, ']');
    if (authority[0] != '[')
        return strcspn(authority, ":");
    return end != NULL ? (size_t)(end - authority) + 1 : 0;
}

/* "": the scheme's. Returns 0 for what is no port. */
static uint16_t port_read(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return text[0] == '\0' ? HTTP_PORT : 0;
    int port = atoi(text);
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* An IPv6 address without its brackets, its zone as the system writes it: "%25eth0" and "%eth0"
 * become "%eth0". Host must not have the zone (RFC 6874 3): *zone_length of the host's bytes. */
static void literal_unwrap(char *host, size_t *zone_length)
{
    size_t length = strlen(host) - 2;
    memmove(host, host + 1, length);
    host[length] = '\0';
    char *zone = strchr(host, '%');
    *zone_length = zone != NULL ? strlen(zone) : 0;
    if (zone != NULL && strncmp(zone, "%25", 3) == 0 && zone[3] != '\0')
        memmove(zone + 1, zone + 3, strlen(zone + 3) + 1);
}

/* authority: HOST, HOST:PORT, [IPV6], [IPV6]:PORT. */
static int host_set(struct load_target *target, const char *url, const char *authority,
                    struct leat_error *error)
{
    char host[LOAD_HOST_BYTES_MAX];
    size_t length = host_length(authority), zone_length = 0;
    if (length == 0)
        return fail_url(error, url,
                        authority[0] == '[' ? "an IPv6 address ends in \"]\""
                                            : "write it as " TARGET_FORMS);
    const char *behind = authority + length;
    uint16_t port = *behind == ':' ? port_read(behind + 1) : *behind == '\0' ? HTTP_PORT : 0;
    if (port == 0)
        return fail_url(error, url, "the port is a number from 1 to 65535");
    snprintf(host, sizeof(host), "%.*s", (int)length, authority);
    if (host[0] == '[')
        literal_unwrap(host, &zone_length);
    bool has_zone = zone_length > 0, has_port = behind[0] == ':' && behind[1] != '\0';
    snprintf(target->name, sizeof(target->name), "%.*s%s%s",
             (int)(length - zone_length - (has_zone ? 1 : 0)), authority, has_zone ? "]" : "",
             has_port ? behind : "");
    int count = addr_resolve_host(target->addresses, host, port, error);
    target->addresses_count = count > 0 ? (unsigned)count : 0;
    return count < 0 ? count : 0;
}

static int unix_parse(struct load_target *target, const char *url, struct leat_error *error)
{
    struct leat_addr *addr = &target->addresses[0];
    const char *file = url + strlen("unix:");
    const char *path = strstr(file, ":/");
    size_t length = path != NULL ? (size_t)(path - file) : strlen(file);
    if (length == 0 || length >= sizeof(addr->path))
        return fail_url(error, url, "write the socket's path, of at most 107 bytes, behind unix:");
    memset(addr, 0, sizeof(*addr));
    addr->family = LEAT_FAMILY_UNIX;
    memcpy(addr->path, file, length);
    target->addresses_count = 1;
    target->path = path != NULL ? path + 1 : "/";
    target->scheme = "";
    target->shown = url;
    snprintf(target->name, sizeof(target->name), "localhost");
    return 0;
}

static int http_parse(struct load_target *target, const char *url, struct leat_error *error)
{
    const char *from = url + strlen(SCHEME);
    char authority[LOAD_HOST_BYTES_MAX + LOAD_USER_INFO_BYTES_MAX + 2];
    size_t length = strcspn(from, "/?");
    if (length >= sizeof(authority))
        return fail_url(error, url, "its host is too long");
    snprintf(authority, sizeof(authority), "%.*s", (int)length, from);
    target->path = from[length] != '\0' ? from + length : "/";
    char *host = strrchr(authority, '@');
    host = host != NULL ? host + 1 : authority;
    target->scheme = SCHEME;
    target->shown = from + (host - authority);
    if (strlen(host) >= LOAD_HOST_BYTES_MAX)
        return fail_url(error, url, "its host is too long");
    struct leat_view user_info = {authority, (size_t)(host - authority)};
    user_info.length_bytes -= host > authority ? 1 : 0; /* "@" */
    int result = user_info.length_bytes > 0 ? credentials_set(target, url, user_info, error) : 0;
    return result < 0 ? result : host_set(target, url, host, error);
}

int load_target_parse(struct load_target *target, const char *url, struct leat_error *error)
{
    for (const char *at = url; *at != '\0'; at++)
        if (*at <= ' ' || *at >= 127 || strchr("\"<>\\^`{|}#", *at) != NULL)
            return fail_url(error, url, "a byte in it is not allowed: write it as %XX");
    if (strncmp(url, "unix:", 5) == 0)
        return unix_parse(target, url, error);
    if (strncasecmp(url, "https://", 8) == 0)
        return fail_url(error, url, "there is no TLS yet: measure http://");
    if (strncasecmp(url, SCHEME, strlen(SCHEME)) != 0)
        return fail_url(error, url, "write it as " TARGET_FORMS);
    return http_parse(target, url, error);
}
