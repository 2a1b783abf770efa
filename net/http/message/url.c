/* Percent-encoding, and paths in their normal form. */
#include "net/http/message/url.h"

/* The byte that the two digits at at stand for, or -1. */
static int escape_read(const char *at, const char *end)
{
    int high, low;

    if (end - at < 2)
        return -1;
    high = http_hex_digit(at[0]);
    low = http_hex_digit(at[1]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

ptrdiff_t http_url_decode(struct leat_view from, char *to)
{
    const char *at = from.data, *end = at + from.length_bytes;
    char *out = to;

    while (at < end) {
        char byte = *at++;
        if (byte == '%') {
            int code = escape_read(at, end);
            if (code < 0)
                return -1;
            byte = (char)code;
            at += 2;
        }
        if (byte == '\0')
            return -1;
        *out++ = byte;
    }
    return out - to;
}

/* The next byte of a path: 0 at its end, -1 when it is refused. */
static int path_byte(const char **at, const char *end)
{
    int byte;

    if (*at == end)
        return 0;
    byte = (unsigned char)*(*at)++;
    if (byte == '%') {
        byte = escape_read(*at, end);
        if (byte < 0 || byte == '/')
            return -1;
        *at += 2;
    }
    return byte <= 0 || byte == '\\' ? -1 : byte;
}

/* Ends the segment between slash (where its "/" stands) and out, which is followed by another one
 * or is the last. Returns where the next byte goes, with "/" before it; NULL above the root. */
static char *segment_end(char *to, char *slash, char *out)
{
    size_t length = (size_t)(out - slash - 1);

    if (length == 0 || (length == 1 && slash[1] == '.'))
        return slash + 1;
    if (length == 2 && slash[1] == '.' && slash[2] == '.') {
        if (slash == to)
            return NULL;
        while (*--slash != '/')
            ;
        return slash + 1;
    }
    *out = '/';
    return out + 1;
}

/* Written bytes never overtake the read ones, so it may be done in place. The last segment is ended
 * like any other, without a slash that was not there. */
ptrdiff_t http_path_normalize(struct leat_view path, char *to)
{
    const char *at = path.data, *end = at + path.length_bytes;
    char *slash = to, *out = to + 1;
    int byte;

    if (at == end || *at++ != '/')
        return -1;
    *to = '/';
    while ((byte = path_byte(&at, end)) > 0) {
        if (byte != '/') {
            *out++ = (char)byte;
            continue;
        }
        out = segment_end(to, slash, out);
        if (!out)
            return -1;
        slash = out - 1;
    }
    if (byte < 0)
        return -1;
    if (out - slash == 2 ? slash[1] == '.' : out - slash == 3 && slash[1] == '.' && slash[2] == '.')
        out = segment_end(to, slash, out);
    return out ? out - to : -1;
}
