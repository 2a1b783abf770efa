/* What fields mean for the message itself: its length, its connection, its host. */
#include "net/http/message/parser_internal.h"

/* RFC 9110 6.5.1: fields that frame or route a message would make two readers of it disagree. */
#define TRAILER_REFUSED                                                                            \
    (HTTP_BIT(TRANSFER_ENCODING) | HTTP_BIT(CONTENT_LENGTH) | HTTP_BIT(HOST) |                     \
     HTTP_BIT(CONNECTION) | HTTP_BIT(UPGRADE) | HTTP_BIT(EXPECT) | HTTP_BIT(TE) |                  \
     HTTP_BIT(TRAILER) | HTTP_BIT(KEEP_ALIVE) | HTTP_BIT(PROXY_CONNECTION) |                       \
     HTTP_BIT(HTTP2_SETTINGS))
/* Those that modify a request, authenticate it, or describe its content come too late there. */
#define TRAILER_DROPPED                                                                            \
    (HTTP_BIT(AUTHORIZATION) | HTTP_BIT(PROXY_AUTHORIZATION) | HTTP_BIT(COOKIE) |                  \
     HTTP_BIT(SET_COOKIE) | HTTP_BIT(CONTENT_ENCODING) | HTTP_BIT(CONTENT_TYPE) |                  \
     HTTP_BIT(CONTENT_RANGE) | HTTP_BIT(CONTENT_DISPOSITION) | HTTP_BIT(CACHE_CONTROL) |           \
     HTTP_BIT(PRAGMA) | HTTP_BIT(MAX_FORWARDS) | HTTP_BIT(RANGE) | HTTP_BIT(IF_MATCH) |            \
     HTTP_BIT(IF_NONE_MATCH) | HTTP_BIT(IF_MODIFIED_SINCE) | HTTP_BIT(IF_UNMODIFIED_SINCE) |       \
     HTTP_BIT(IF_RANGE) | HTTP_BIT(ORIGIN) | HTTP_BIT(FORWARDED) | HTTP_BIT(X_FORWARDED_FOR) |     \
     HTTP_BIT(X_FORWARDED_HOST) | HTTP_BIT(X_FORWARDED_PROTO) | HTTP_BIT(X_REAL_IP) |              \
     HTTP_BIT(LOCATION) | HTTP_BIT(RETRY_AFTER) | HTTP_BIT(VARY) | HTTP_BIT(WWW_AUTHENTICATE) |    \
     HTTP_BIT(AGE) | HTTP_BIT(EXPIRES) | HTTP_BIT(DATE))
#define FRAMING (HTTP_BIT(CONTENT_LENGTH) | HTTP_BIT(TRANSFER_ENCODING) | HTTP_BIT(CONNECTION))

const uint64_t http_special[4] = {
    [HTTP_REQUEST] = FRAMING | HTTP_BIT(HOST) | HTTP_BIT(EXPECT),
    [HTTP_RESPONSE] = FRAMING,
    [HTTP_TRAILERS] = TRAILER_REFUSED | TRAILER_DROPPED,
    [HTTP_PART] = 0,
};

/* The next element of a comma-separated list, without white space around it; empty elements are
 * given too. False past the last. */
static bool list_next(const uint8_t **at, const uint8_t *end, struct leat_view *element)
{
    const uint8_t *begin = *at, *comma;

    if (begin > end)
        return false;
    comma = begin == end ? NULL : memchr(begin, ',', (size_t)(end - begin));
    if (!comma)
        comma = end;
    *at = comma + 1;
    while (begin < comma && (*begin == ' ' || *begin == '\t'))
        begin++;
    while (comma > begin && (comma[-1] == ' ' || comma[-1] == '\t'))
        comma--;
    *element = (struct leat_view){(const char *)begin, (size_t)(comma - begin)};
    return true;
}

/* lower consists of letters, digits and "-". A value has no control bytes (bar tabs), and the other
 * bytes that http_token_is would take for one of these are control bytes. */
static bool view_is(struct leat_view view, const char *lower)
{
    size_t length = strlen(lower);

    return view.length_bytes == length && http_token_is((const uint8_t *)view.data, lower, length);
}

static bool view_is_token(struct leat_view view)
{
    for (size_t i = 0; i < view.length_bytes; i++)
        if (!(http_class[(uint8_t)view.data[i]] & HTTP_IS_TOKEN))
            return false;
    return view.length_bytes > 0;
}

/* RFC 9112 6.1 and 6.3: in a response Transfer-Encoding overrides Content-Length, and nothing is
 * read behind such a message. In a request both are an attempt to smuggle, and refused. */
static int length_override(struct http_head *head)
{
    head->has_length = false;
    head->content_length = 0;
    head->connection |= HTTP_CONNECTION_CLOSE;
    return HTTP_GO;
}

/* RFC 9112 6.3. "5, 5" and a second line with the same number may be accepted by the RFC; another
 * reader may take them otherwise, so they are not. */
static int content_length_read(struct http_head *head, const uint8_t *at, size_t length)
{
    uint64_t number = 0;

    if (http_has(head, HTTP_CONTENT_LENGTH))
        return HTTP_REASON_LENGTH_REPEATED;
    if (head->coding != 0 && head->kind != HTTP_RESPONSE)
        return HTTP_REASON_CODING_AND_LENGTH;
    if (length == 0)
        return HTTP_REASON_LENGTH;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = at[i] - (unsigned)'0';

        if (digit > 9 || number > ((uint64_t)INT64_MAX - digit) / 10)
            return HTTP_REASON_LENGTH;
        number = number * 10 + digit;
    }
    head->has_length = true;
    head->content_length = number;
    return head->coding != 0 ? length_override(head) : HTTP_GO;
}

/* A coding other than chunked: a token, and perhaps parameters, which nobody here understands. */
static bool coding_is_valid(struct leat_view coding)
{
    const char *semicolon = memchr(coding.data, ';', coding.length_bytes);

    if (semicolon != NULL)
        coding.length_bytes = (size_t)(semicolon - coding.data);
    while (coding.length_bytes > 0 && (coding.data[coding.length_bytes - 1] == ' ' ||
                                       coding.data[coding.length_bytes - 1] == '\t'))
        coding.length_bytes--;
    return view_is_token(coding) && !view_is(coding, "chunked");
}

/* RFC 9112 6.1, 6.3 and 7: codings are applied in order, chunked once and last. Several lines are
 * one list (RFC 9110 5.3), which http_head_finish judges when it is whole. */
static int transfer_encoding_read(struct http_head *head, const uint8_t *at, size_t length)
{
    const uint8_t *end = at + length;
    struct leat_view element;

    if (head->minor == 0)
        return HTTP_REASON_CODING_VERSION;
    if (head->has_length && head->kind != HTTP_RESPONSE)
        return HTTP_REASON_CODING_AND_LENGTH;
    head->coding |= HTTP_CODING_GIVEN;
    while (list_next(&at, end, &element)) {
        if (head->chunked)
            return HTTP_REASON_CODING;
        head->chunked = view_is(element, "chunked");
        if (head->chunked)
            continue;
        if (!coding_is_valid(element))
            return HTTP_REASON_CODING;
        head->coding |= HTTP_CODING_UNKNOWN;
    }
    return head->has_length ? length_override(head) : HTTP_GO;
}

/* RFC 9110 7.6.1. Options that we do not know are none of our business. */
static int connection_read(struct http_head *head, const uint8_t *at, size_t length)
{
    const uint8_t *end = at + length;
    struct leat_view element;

    while (list_next(&at, end, &element))
        if (view_is(element, "keep-alive"))
            head->connection |= HTTP_CONNECTION_KEEP_ALIVE;
        else if (view_is(element, "close"))
            head->connection |= HTTP_CONNECTION_CLOSE;
        else if (view_is(element, "upgrade"))
            head->connection |= HTTP_CONNECTION_UPGRADE;
    return HTTP_GO;
}

/* RFC 9110 10.1.1: one expectation is defined; in HTTP/1.0 it is ignored. */
static int expect_read(struct http_head *head, const uint8_t *at, size_t length)
{
    const uint8_t *end = at + length;
    struct leat_view element;

    if (head->minor == 0)
        return HTTP_GO;
    while (list_next(&at, end, &element))
        if (view_is(element, "100-continue"))
            head->expect_continue = true;
        else if (element.length_bytes)
            return HTTP_REASON_EXPECTATION;
    return HTTP_GO;
}

static int host_read(struct http_head *head, const uint8_t *bytes, struct http_span value)
{
    if (http_has(head, HTTP_HOST))
        return HTTP_REASON_HOST_REPEATED;
    if (!http_host_is_valid(bytes + value.offset, value.length, false))
        return HTTP_REASON_HOST;
    return http_host_set(head, value);
}

int http_field_meaning(struct http_head *head, const uint8_t *bytes, enum http_known known,
                       struct http_span value)
{
    const uint8_t *at = bytes + value.offset;

    if (head->kind == HTTP_TRAILERS)
        return UINT64_C(1) << known & TRAILER_REFUSED ? HTTP_REASON_TRAILER_FIELD : HTTP_DROP;
    switch (known) {
    case HTTP_HOST:
        return host_read(head, bytes, value);
    case HTTP_CONNECTION:
        return connection_read(head, at, value.length);
    case HTTP_CONTENT_LENGTH:
        return content_length_read(head, at, value.length);
    case HTTP_TRANSFER_ENCODING:
        return transfer_encoding_read(head, at, value.length);
    case HTTP_EXPECT:
        return expect_read(head, at, value.length);
    default:
        return HTTP_GO;
    }
}
