/* Percent-encoding, undone. */
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
