/* Percent-encoding, and the pairs of queries and cookies. */
#include "net/http/message/url.h"

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)(digit | 0x20);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The byte that the two digits at at stand for, or -1. */
static int escape_read(const char *at, const char *end)
{
    int high, low;

    if (end - at < 2)
        return -1;
    high = hex_digit(at[0]);
    low = hex_digit(at[1]);
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

ptrdiff_t http_form_decode(struct leat_view from, char *to)
{
    const char *at = from.data, *end = at + from.length_bytes;
    char *out = to;

    while (at < end) {
        char byte = *at++;
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            int code = escape_read(at, end);
            if (code >= 0) {
                byte = (char)code;
                at += 2;
            }
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

/* Cuts rest at the first separator: what is before it, and rest behind it. */
static struct leat_view view_cut(struct leat_view *rest, char separator)
{
    struct leat_view first = *rest;
    const char *at = memchr(first.data, separator, first.length_bytes);

    if (at)
        first.length_bytes = (size_t)(at - first.data);
    size_t used = first.length_bytes + (at ? 1 : 0);
    rest->data += used;
    rest->length_bytes -= used;
    return first;
}

/* Splits pair at the first "=": value.data is NULL without one. */
static void pair_split(struct leat_view pair, struct leat_view *name, struct leat_view *value)
{
    const char *equals = memchr(pair.data, '=', pair.length_bytes);

    *name = pair;
    *value = (struct leat_view){NULL, 0};
    if (!equals)
        return;
    name->length_bytes = (size_t)(equals - pair.data);
    value->data = equals + 1;
    value->length_bytes = pair.length_bytes - name->length_bytes - 1;
}

bool http_query_next(struct leat_view *rest, struct leat_view *name, struct leat_view *value)
{
    while (rest->length_bytes) {
        struct leat_view pair = view_cut(rest, '&');
        if (pair.length_bytes == 0)
            continue;
        pair_split(pair, name, value);
        return true;
    }
    return false;
}

static struct leat_view view_trim(struct leat_view view)
{
    while (view.length_bytes && (*view.data == ' ' || *view.data == '\t')) {
        view.data++;
        view.length_bytes--;
    }
    while (view.length_bytes &&
           (view.data[view.length_bytes - 1] == ' ' || view.data[view.length_bytes - 1] == '\t'))
        view.length_bytes--;
    return view;
}

bool http_cookie_next(struct leat_view *rest, struct leat_view *name, struct leat_view *value)
{
    while (rest->length_bytes) {
        pair_split(view_cut(rest, ';'), name, value);
        if (!value->data)
            continue;
        *name = view_trim(*name);
        *value = view_trim(*value);
        if (name->length_bytes == 0)
            continue;
        if (value->length_bytes >= 2 && value->data[0] == '"' &&
            value->data[value->length_bytes - 1] == '"') {
            value->data++;
            value->length_bytes -= 2;
        }
        return true;
    }
    return false;
}
