/* The path of a target as a file's name, and a name as part of a URL. */
#include "net/http/files/files_internal.h"

#include <errno.h>
#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The absolute-form's path (RFC 9112 3.2.2); the origin-form's is the target itself. */
static struct leat_view path_of(struct leat_view target)
{
    const char *at = target.data, *end = at + target.length_bytes;
    if (at == end)
        return (struct leat_view){"/", 1};
    if (*at != '/') {
        const char *colon = memchr(at, ':', (size_t)(end - at));
        if (colon == NULL || end - colon < 3 || colon[1] != '/' || colon[2] != '/')
            return (struct leat_view){NULL, 0}; /* "*", or an authority */
        at = colon + 3;
        while (at < end && *at != '/' && *at != '?')
            at++;
    }
    const char *path = at;
    while (at < end && *at != '?')
        at++;
    return at > path ? (struct leat_view){path, (size_t)(at - path)} : (struct leat_view){"/", 1};
}

static bool is_servable(const char *segment, size_t length, bool is_first, bool serve_hidden)
{
    if (length == 0 || (length == 1 && segment[0] == '.') ||
        (length == 2 && segment[0] == '.' && segment[1] == '.'))
        return false;
    return serve_hidden || segment[0] != '.' ||
           (is_first && length == 11 && memcmp(segment, ".well-known", 11) == 0);
}

/* Decodes one byte at *at, which may be an escape, and moves on; -EINVAL, or -ENOENT for a byte
 * that stands in no file's name. */
static int decode_byte(const char **at, const char *end)
{
    char c = *(*at)++;
    if (c == '%') {
        int high = end - *at >= 2 ? hex_value((*at)[0]) : -1;
        int low = high >= 0 ? hex_value((*at)[1]) : -1;
        if (low < 0)
            return -EINVAL;
        *at += 2;
        c = (char)(high << 4 | low);
        if (c == '/')
            return -ENOENT;
    }
    return c == '\0' ? -ENOENT : (uint8_t)c;
}

int files_path_decode(struct leat_view target, bool serve_hidden,
                      char path[LEAT_FILES_PATH_BYTES_MAX])
{
    struct leat_view raw = path_of(target);
    if (raw.data == NULL || raw.data[0] != '/')
        return -ENOENT;
    const char *at = raw.data + 1, *end = raw.data + raw.length_bytes;
    size_t length = 1, segment = 1;
    path[0] = '/';
    while (at < end) {
        bool is_slash = *at == '/';
        int byte = decode_byte(&at, end);
        if (byte < 0)
            return byte;
        if (is_slash && !is_servable(path + segment, length - segment, segment == 1, serve_hidden))
            return -ENOENT;
        if (length + 1 >= LEAT_FILES_PATH_BYTES_MAX)
            return -ENAMETOOLONG;
        path[length++] = (char)byte;
        segment = is_slash ? length : segment;
    }
    if (segment < length &&
        !is_servable(path + segment, length - segment, segment == 1, serve_hidden))
        return -ENOENT;
    path[length] = '\0';
    return (int)length;
}

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

size_t files_path_encode(const char *text, char *to, size_t size_bytes)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t length = 0, written = 0; /* what does not fit is left out whole */
    for (; *text != '\0'; text++) {
        uint8_t c = (uint8_t)*text;
        char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
        bool is_plain = is_unreserved(c) || c == '/';
        size_t bytes = is_plain ? 1 : sizeof(escape);
        length += bytes;
        if (length < size_bytes) {
            memcpy(to + written, is_plain ? text : escape, bytes);
            written = length;
        }
    }
    if (size_bytes > 0)
        to[written] = '\0';
    return length;
}
