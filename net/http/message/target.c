/* Start lines: targets, hosts, versions (RFC 9112 2.3, 3.2, 4; RFC 3986 3.2). */
#include "net/http/message/parser_internal.h"

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_hex(uint8_t byte)
{
    return is_digit(byte) || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

/* Behind the host: nothing, or ":" and a number of at most 65535. */
static bool port_is_valid(const uint8_t *at, const uint8_t *end, bool strict)
{
    uint32_t port = 0;

    if (at == end)
        return !strict;
    if (*at++ != ':' || (strict && at == end))
        return false;
    for (; at < end; at++) {
        if (!is_digit(*at))
            return false;
        port = port * 10 + (*at - (unsigned)'0');
        if (port > 65535)
            return false;
    }
    return true;
}

static bool is_unreserved(uint8_t byte)
{
    return is_digit(byte) || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') || byte == '-' ||
           byte == '.' || byte == '_' || byte == '~';
}

/* The zone of an IPv6 address, at its "%": where it ends, or NULL. RFC 6874 2 writes "%25eth0";
 * "%eth0", as people and some clients write it, has the same grammar. */
static const uint8_t *zone_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *begin = ++at;

    while (at < end && *at != ']') {
        bool is_encoded = *at == '%' && end - at >= 3 && is_hex(at[1]) && is_hex(at[2]);
        if (!is_encoded && !is_unreserved(*at))
            return NULL;
        at += is_encoded ? 3 : 1;
    }
    return at > begin ? at : NULL;
}

/* IP-literal, at its "[": where it ends, or NULL. IPvFuture is syntax without a user, and refused.
 */
static const uint8_t *literal_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *begin = ++at;

    while (at < end && (is_hex(*at) || *at == ':' || *at == '.'))
        at++;
    if (at - begin < 2)
        return NULL;
    if (at < end && *at == '%')
        at = zone_end(at, end);
    return at != NULL && at < end && *at == ']' ? at + 1 : NULL;
}

bool http_host_is_valid(const uint8_t *at, size_t length, bool strict)
{
    const uint8_t *begin = at, *end = at + length;

    if (at < end && *at == '[') {
        at = literal_end(at, end);
        return at && port_is_valid(at, end, strict);
    }
    for (; at < end; at++) {
        if (likely(http_class[*at] & HTTP_IS_HOST))
            continue;
        if (*at != '%')
            break;
        if (end - at < 3 || !is_hex(at[1]) || !is_hex(at[2]))
            return false;
        at += 2;
    }
    return (at > begin || (!strict && at == end)) && port_is_valid(at, end, strict);
}

/* RFC 9112 3.2.2, RFC 9110 4.2: http or https, a host that is not empty, no user information. */
static int absolute_form(struct http_head *head, const uint8_t *bytes)
{
    struct http_span whole = head->path; /* the target up to "?" */
    const uint8_t *at = bytes + whole.offset, *end = at + whole.length, *host, *slash;
    size_t scheme;

    if (whole.length > 7 && http_token_is(at, "http", 4) && memcmp(at + 4, "://", 3) == 0)
        scheme = 7;
    else if (whole.length > 8 && http_token_is(at, "https", 5) && memcmp(at + 5, "://", 3) == 0)
        scheme = 8;
    else
        return HTTP_REASON_TARGET;
    host = at + scheme;
    slash = memchr(host, '/', (size_t)(end - host));
    if (!slash)
        slash = end;
    if (slash == host || !http_host_is_valid(host, (size_t)(slash - host), false))
        return HTTP_REASON_TARGET;
    head->target_form = HTTP_TARGET_ABSOLUTE;
    head->is_https = scheme == 8;
    head->host = (struct http_span){(uint16_t)(host - bytes), (uint16_t)(slash - host)};
    head->path = (struct http_span){(uint16_t)(slash - bytes), (uint16_t)(end - slash)};
    return HTTP_GO;
}

int http_target_meaning(struct http_head *head, const uint8_t *bytes)
{
    const uint8_t *at = bytes + head->target.offset;

    if (head->method == LEAT_METHOD_CONNECT) {
        if (head->has_query || !http_host_is_valid(at, head->target.length, true))
            return HTTP_REASON_TARGET;
        head->target_form = HTTP_TARGET_AUTHORITY;
        head->host = head->target;
        return HTTP_GO;
    }
    if (head->target.length == 1 && *at == '*') {
        if (head->method != LEAT_METHOD_OPTIONS)
            return HTTP_REASON_TARGET;
        head->target_form = HTTP_TARGET_ASTERISK;
        return HTTP_GO;
    }
    return absolute_form(head, bytes);
}

int http_version_check(const uint8_t *at, size_t length)
{
    static const char shape[8] = "HTTP/0.0";
    size_t there = length < 8 ? length : 8;

    for (size_t i = 0; i < there; i++)
        if (shape[i] == '0' ? !is_digit(at[i]) : at[i] != (uint8_t)shape[i])
            return HTTP_REASON_VERSION;
    if (there < 8)
        return HTTP_WAIT;
    return at[5] == '1' ? HTTP_GO : HTTP_REASON_VERSION_MAJOR;
}

int http_status_check(struct http_head *head, const uint8_t *at, size_t length)
{
    size_t there = length < 12 ? length : 12;
    int step = http_version_check(at, length);

    if (step != HTTP_GO)
        return step;
    for (size_t i = 8; i < there; i++)
        if (i == 8 ? at[i] != ' ' : !is_digit(at[i]))
            return HTTP_REASON_STATUS_LINE;
    if (there > 9 && at[9] < '1')
        return HTTP_REASON_STATUS_LINE;
    if (there < 12)
        return HTTP_WAIT;
    head->minor = (uint8_t)(at[7] - '0');
    head->status = (uint16_t)((at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0'));
    return HTTP_GO;
}
