#include <stdio.h>
#include <string.h>
#include "net/http/message/parser.h"
#include "test/http/conversations.h"

struct text {
    char *at;
    size_t left;
};

static void add(struct text *text, const char *bytes, size_t length)
{
    if (length >= text->left)
        length = text->left - 1;
    memcpy(text->at, bytes, length);
    text->at += length;
    text->left -= length;
    *text->at = '\0';
}

static void add_body(struct text *text, const char *body, size_t length)
{
    char size[32];

    if (length == 0)
        return;
    add(text, " ", 1);
    if (length <= 40) {
        add(text, body, length);
        return;
    }
    snprintf(size, sizeof(size), "(%zu)", length);
    add(text, size, strlen(size));
}

/* Decodes into body; returns bytes used, 0 when incomplete. */
static size_t chunked_decode(const char *bytes, size_t length, char *body, size_t *body_bytes)
{
    struct leat_view input = {bytes, length}, payload;
    struct http_chunked chunked;
    struct http_head trailers;
    uint8_t area[1024];
    int outcome;

    struct http_limits limits;
    http_limits_init(&limits);
    http_chunked_init(&chunked, &limits, &trailers, area, sizeof(area));
    *body_bytes = 0;
    while ((outcome = http_chunked_decode(&chunked, &input, &payload)) == HTTP_CHUNK_DATA) {
        if (*body_bytes < 64)
            memcpy(body + *body_bytes, payload.data,
                   payload.length_bytes < 64 ? payload.length_bytes : 64);
        *body_bytes += payload.length_bytes;
    }
    return outcome == HTTP_CHUNK_END ? length - input.length_bytes : 0;
}

/* One response; returns bytes used, 0 when it is not complete. */
static size_t add_response(struct text *text, const char *bytes, size_t length, bool is_head,
                           bool *is_interim)
{
    struct http_limits limits;
    struct http_head head;
    char status[8], body[256];
    size_t body_bytes = 0, rest, used;
    int head_bytes;

    http_limits_init(&limits);
    http_head_init(&head, HTTP_RESPONSE);
    head_bytes = http_parse_head(&head, (const uint8_t *)bytes, length, &limits);
    if (head_bytes <= 0)
        return 0;
    snprintf(status, sizeof(status), "%u", head.status);
    used = (size_t)head_bytes;
    rest = length - used;
    *is_interim = head.status < 200;
    switch (http_framing_of(&head, is_head ? LEAT_METHOD_HEAD : LEAT_METHOD_GET)) {
    case HTTP_BODY_NONE:
        add(text, status, strlen(status));
        return used;
    case HTTP_BODY_LENGTH:
        if (rest < head.content_length)
            return 0;
        add(text, status, strlen(status));
        add_body(text, bytes + used, head.content_length);
        return used + head.content_length;
    case HTTP_BODY_CHUNKED:
        rest = chunked_decode(bytes + used, rest, body, &body_bytes);
        if (!rest)
            return 0;
        add(text, status, strlen(status));
        add_body(text, body, body_bytes);
        return used + rest;
    default:
        add(text, status, strlen(status));
        add_body(text, bytes + used, rest);
        return length;
    }
}

char *outcome_of(const char *bytes, size_t length, uint32_t heads, const char *end, char *text,
                 size_t size)
{
    struct text to = {text, size};
    bool is_interim = false;

    *text = '\0';
    for (size_t used = 0, n; used < length; used += n) {
        if (used)
            add(&to, " | ", 3);
        n = add_response(&to, bytes + used, length - used, heads & 1, &is_interim);
        if (n == 0) {
            add(&to, "...", 3);
            break;
        }
        if (!is_interim)
            heads >>= 1;
    }
    if (*end) {
        if (length)
            add(&to, " | ", 3);
        add(&to, end, strlen(end));
    }
    return text;
}

void outcome_strip_interim(char *text)
{
    static const char interim[] = "100 | ";

    for (char *at; (at = strstr(text, interim));)
        memmove(at, at + sizeof(interim) - 1, strlen(at + sizeof(interim) - 1) + 1);
}
