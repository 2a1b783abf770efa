/* The known fields: from a name to its number and back. */
#include "net/http/message/parser_internal.h"

/* A perfect hash over length, first, middle and last byte. Two fields in one slot are a compiler
 * warning (override-init); then search other multipliers for HTTP_KNOWN_SLOT. */
#define SLOT HTTP_KNOWN_SLOT
const uint8_t http_known_slots[256] = {
    [SLOT(6u, 'a', 'e', 't')] = HTTP_ACCEPT,
    [SLOT(15u, 'a', 'e', 'g')] = HTTP_ACCEPT_ENCODING,
    [SLOT(15u, 'a', 'l', 'e')] = HTTP_ACCEPT_LANGUAGE,
    [SLOT(13u, 'a', '-', 's')] = HTTP_ACCEPT_RANGES,
    [SLOT(30u, 'a', 'r', 's')] = HTTP_ACCESS_CONTROL_REQUEST_HEADERS,
    [SLOT(29u, 'a', '-', 'd')] = HTTP_ACCESS_CONTROL_REQUEST_METHOD,
    [SLOT(3u, 'a', 'g', 'e')] = HTTP_AGE,
    [SLOT(5u, 'a', 'l', 'w')] = HTTP_ALLOW,
    [SLOT(13u, 'a', 'i', 'n')] = HTTP_AUTHORIZATION,
    [SLOT(13u, 'c', 'c', 'l')] = HTTP_CACHE_CONTROL,
    [SLOT(10u, 'c', 'c', 'n')] = HTTP_CONNECTION,
    [SLOT(19u, 'c', 'i', 'n')] = HTTP_CONTENT_DISPOSITION,
    [SLOT(16u, 'c', 'e', 'g')] = HTTP_CONTENT_ENCODING,
    [SLOT(14u, 'c', '-', 'h')] = HTTP_CONTENT_LENGTH,
    [SLOT(13u, 'c', 't', 'e')] = HTTP_CONTENT_RANGE,
    [SLOT(12u, 'c', 't', 'e')] = HTTP_CONTENT_TYPE,
    [SLOT(6u, 'c', 'k', 'e')] = HTTP_COOKIE,
    [SLOT(4u, 'd', 't', 'e')] = HTTP_DATE,
    [SLOT(4u, 'e', 'a', 'g')] = HTTP_ETAG,
    [SLOT(6u, 'e', 'e', 't')] = HTTP_EXPECT,
    [SLOT(7u, 'e', 'i', 's')] = HTTP_EXPIRES,
    [SLOT(9u, 'f', 'a', 'd')] = HTTP_FORWARDED,
    [SLOT(4u, 'h', 's', 't')] = HTTP_HOST,
    [SLOT(14u, 'h', 'e', 's')] = HTTP_HTTP2_SETTINGS,
    [SLOT(8u, 'i', 'a', 'h')] = HTTP_IF_MATCH,
    [SLOT(17u, 'i', 'i', 'e')] = HTTP_IF_MODIFIED_SINCE,
    [SLOT(13u, 'i', 'e', 'h')] = HTTP_IF_NONE_MATCH,
    [SLOT(8u, 'i', 'a', 'e')] = HTTP_IF_RANGE,
    [SLOT(19u, 'i', 'f', 'e')] = HTTP_IF_UNMODIFIED_SINCE,
    [SLOT(10u, 'k', 'a', 'e')] = HTTP_KEEP_ALIVE,
    [SLOT(13u, 'l', 'v', 'd')] = HTTP_LAST_EVENT_ID,
    [SLOT(13u, 'l', 'o', 'd')] = HTTP_LAST_MODIFIED,
    [SLOT(8u, 'l', 't', 'n')] = HTTP_LOCATION,
    [SLOT(12u, 'm', 'r', 's')] = HTTP_MAX_FORWARDS,
    [SLOT(6u, 'o', 'g', 'n')] = HTTP_ORIGIN,
    [SLOT(6u, 'p', 'g', 'a')] = HTTP_PRAGMA,
    [SLOT(19u, 'p', 'h', 'n')] = HTTP_PROXY_AUTHORIZATION,
    [SLOT(16u, 'p', 'n', 'n')] = HTTP_PROXY_CONNECTION,
    [SLOT(5u, 'r', 'n', 'e')] = HTTP_RANGE,
    [SLOT(7u, 'r', 'e', 'r')] = HTTP_REFERER,
    [SLOT(11u, 'r', '-', 'r')] = HTTP_RETRY_AFTER,
    [SLOT(20u, 's', 'k', 't')] = HTTP_SEC_WEBSOCKET_ACCEPT,
    [SLOT(24u, 's', 't', 's')] = HTTP_SEC_WEBSOCKET_EXTENSIONS,
    [SLOT(17u, 's', 'o', 'y')] = HTTP_SEC_WEBSOCKET_KEY,
    [SLOT(22u, 's', 'e', 'l')] = HTTP_SEC_WEBSOCKET_PROTOCOL,
    [SLOT(21u, 's', 'k', 'n')] = HTTP_SEC_WEBSOCKET_VERSION,
    [SLOT(6u, 's', 'v', 'r')] = HTTP_SERVER,
    [SLOT(10u, 's', 'o', 'e')] = HTTP_SET_COOKIE,
    [SLOT(2u, 't', 'e', 'e')] = HTTP_TE,
    [SLOT(7u, 't', 'i', 'r')] = HTTP_TRAILER,
    [SLOT(17u, 't', '-', 'g')] = HTTP_TRANSFER_ENCODING,
    [SLOT(7u, 'u', 'r', 'e')] = HTTP_UPGRADE,
    [SLOT(10u, 'u', 'a', 't')] = HTTP_USER_AGENT,
    [SLOT(4u, 'v', 'r', 'y')] = HTTP_VARY,
    [SLOT(3u, 'v', 'i', 'a')] = HTTP_VIA,
    [SLOT(16u, 'w', 'e', 'e')] = HTTP_WWW_AUTHENTICATE,
    [SLOT(15u, 'x', 'r', 'r')] = HTTP_X_FORWARDED_FOR,
    [SLOT(16u, 'x', 'd', 't')] = HTTP_X_FORWARDED_HOST,
    [SLOT(17u, 'x', 'd', 'o')] = HTTP_X_FORWARDED_PROTO,
    [SLOT(9u, 'x', 'a', 'p')] = HTTP_X_REAL_IP,
    [SLOT(12u, 'x', 'e', 'd')] = HTTP_X_REQUEST_ID,
};

const struct http_known_text http_known_texts[HTTP_KNOWN_COUNT] = {
#define LEAT_X(name, lower) [HTTP_##name] = {lower, sizeof(lower) - 1},
    HTTP_KNOWN_FIELDS(LEAT_X)
#undef LEAT_X
};

_Static_assert(HTTP_KNOWN_COUNT <= 64, "head->present has a bit for each");

const char *http_known_name(enum http_known known)
{
    return (unsigned)known < HTTP_KNOWN_COUNT ? http_known_texts[known].text : "";
}

enum http_known http_known_find(const uint8_t *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!(http_class[name[i]] & HTTP_IS_TOKEN))
            return HTTP_UNKNOWN;
    return http_known_lookup(name, length);
}
