/* Extra header and trailer lines of a response, and what is refused: a line is written only when no
 * byte of it can be taken for the end of it. */
#include "net/http/http_internal.h"
#include "net/http/message/cookies.h"

#include <errno.h>
#include <leat/log.h>

/* RFC 9110 5.6.2: tchar, a bit for each byte: ! # $ % & ' * + - . ^ _ ` | ~, digits and letters. */
static inline bool is_token_byte(uint8_t c)
{
    static const uint64_t bytes[4] = {UINT64_C(0x03ff6cfa00000000), UINT64_C(0x57ffffffc7fffffe)};

    return (bytes[c >> 6] >> (c & 63) & 1) != 0;
}

static bool is_token(struct leat_view view)
{
    for (size_t i = 0; i < view.length_bytes; i++)
        if (!is_token_byte((uint8_t)view.data[i]))
            return false;
    return view.length_bytes > 0;
}

static inline bool is_value_byte(uint8_t c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Eight bytes at a time: a byte below 0x20 borrows from its highest bit, and so does 0x7f once it
 * is 0. What looks bad, a tab or a byte behind one, is looked at again byte by byte. */
static inline bool is_value_word(const char *bytes)
{
    const uint64_t each = UINT64_C(0x0101010101010101), high = each << 7;
    uint64_t word, deleted;

    memcpy(&word, bytes, sizeof(word));
    deleted = word ^ each * 0x7f;
    return (((word - each * 0x20) & ~word) & high) == 0 &&
           ((deleted - each) & ~deleted & high) == 0;
}

static bool is_field_value(struct leat_view view)
{
    size_t i = 0;

    while (i + 8 <= view.length_bytes && is_value_word(view.data + i))
        i += 8;
    while (i < view.length_bytes && is_value_byte((uint8_t)view.data[i]))
        i++;
    return i == view.length_bytes;
}

static bool is_own(enum http_known known)
{
    return known == HTTP_CONTENT_LENGTH || known == HTTP_TRANSFER_ENCODING ||
           known == HTTP_CONNECTION || known == HTTP_DATE || known == HTTP_SERVER ||
           known == HTTP_KEEP_ALIVE;
}

static int lines_grow(struct leat_request *req, struct leat_buf *lines, size_t bytes)
{
    size_t used = lines->data ? lines->length_bytes : 0;

    if (used + bytes > LEAT_RESPONSE_HEADER_BYTES_MAX)
        return -ENOSPC;
    if (lines->data && leat_buf_capacity(lines) >= used + bytes)
        return 0;
    size_t size = used + bytes > 512 ? LEAT_RESPONSE_HEADER_BYTES_MAX : 512;
    struct leat_buf grown = leat_buf_alloc_unsafe(size);
    if (!grown.data)
        return -ENOMEM;
    if (used)
        memcpy(grown.data, lines->data, used);
    grown.length_bytes = used;
    leat_buf_unref(*lines);
    *lines = grown;
    req->x.has_bufs = true;
    return 0;
}

static int line_add(struct leat_request *req, struct leat_buf *lines, struct leat_view name,
                    struct leat_view value)
{
    size_t bytes = name.length_bytes + value.length_bytes + 4;
    int result = lines_grow(req, lines, bytes);

    if (result)
        return result;
    uint8_t *to = lines->data + lines->length_bytes;
    memcpy(to, name.data, name.length_bytes);
    to += name.length_bytes;
    *to++ = ':';
    *to++ = ' ';
    if (value.length_bytes)
        memcpy(to, value.data, value.length_bytes);
    to += value.length_bytes;
    *to++ = '\r';
    *to = '\n';
    lines->length_bytes += bytes;
    return 0;
}

static int header_refuse(struct leat_request *req)
{
    LEAT_LOG_ERROR("a handler of %.*s gave a header that cannot be sent",
                   LEAT_VIEW_PRINT(leat_request_path(req)));
    req->x.bad_header = true;
    return -EINVAL;
}

int leat_response_header_view(struct leat_request *req, struct leat_view name,
                              struct leat_view value)
{
    if (req->x.begun)
        return -EALREADY;
    if (req->phase != HTTP_PHASE_EXCHANGE)
        return -EPIPE;
    if (!is_token(name) || !is_field_value(value))
        return header_refuse(req);
    enum http_known known = http_known_find((const uint8_t *)name.data, name.length_bytes);
    if (is_own(known))
        return header_refuse(req);
    int result = line_add(req, &req->kept.headers, name, value);
    if (result) {
        req->x.bad_header = true;
        return result;
    }
    req->x.has_type |= known == HTTP_CONTENT_TYPE;
    req->x.has_upgrade |= known == HTTP_UPGRADE;
    return 0;
}

int leat_response_header(struct leat_request *req, const char *name, const char *value)
{
    return leat_response_header_view(req, leat_view_of(name), leat_view_of(value));
}

int leat_response_trailer(struct leat_request *req, const char *name, const char *value)
{
    struct leat_view name_view = leat_view_of(name), value_view = leat_view_of(value);

    if (req->x.ended)
        return -EALREADY;
    if (!is_token(name_view) || !is_field_value(value_view) ||
        is_own(http_known_find((const uint8_t *)name, name_view.length_bytes)))
        return -EINVAL;
    return line_add(req, &req->kept.trailers, name_view, value_view);
}

int leat_response_set_cookie(struct leat_request *req, const struct leat_cookie *cookie)
{
    struct leat_buf line = leat_buf_alloc_unsafe(HTTP_COOKIE_LINE_BYTES_MAX);

    if (line.data == NULL)
        return -ENOMEM;
    char *text = (char *)line.data;
    ptrdiff_t length = http_cookie_write(cookie, false, text); /* no connection of ours has TLS */
    int result = length < 0 ? header_refuse(req)
                            : leat_response_header_view(req, leat_view_of("Set-Cookie"),
                                                        (struct leat_view){text, (size_t)length});
    leat_buf_unref(line);
    return result;
}

void leat_response_close(struct leat_request *req)
{
    req->x.close = true;
}
