/* The normal form of a path, segment by segment. */
#include "net/http/message/path.h"

#include <string.h>

/* Segments of which the meaning is not their name. */
enum segment { SEGMENT_NAME, SEGMENT_EMPTY, SEGMENT_HERE, SEGMENT_UP };

static enum segment segment_kind(const char *at, const char *end)
{
    unsigned dots = 0;

    if (at == end)
        return SEGMENT_EMPTY;
    for (; at < end && dots < 3; dots++)
        if (*at == '.')
            at++;
        else if (end - at >= 3 && at[0] == '%' && at[1] == '2' && (at[2] | 0x20) == 'e')
            at += 3;
        else
            return SEGMENT_NAME;
    return at < end    ? SEGMENT_NAME
           : dots == 1 ? SEGMENT_HERE
           : dots == 2 ? SEGMENT_UP
                       : SEGMENT_NAME;
}

static const char *segment_end(const char *at, const char *end)
{
    const char *slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;

    return slash != NULL ? slash : end;
}

bool http_path_is_normal(struct leat_view path)
{
    const char *at = path.data, *end = at + path.length_bytes;

    if (path.length_bytes == 0 || *at != '/')
        return true;
    while (at < end) {
        const char *stop = segment_end(++at, end);
        enum segment kind = segment_kind(at, stop);
        if (kind != SEGMENT_NAME && !(kind == SEGMENT_EMPTY && stop == end))
            return false;
        at = stop;
    }
    return true;
}

static char *segment_put(char *to, const char *at, const char *end)
{
    for (; at < end; at++) {
        if (*at == '\\') {
            memcpy(to, "%5C", 3);
            to += 3;
        } else {
            *to++ = *at;
        }
    }
    return to;
}

ptrdiff_t http_path_normal_form(struct leat_view path, char *to)
{
    const char *at = path.data, *end = at + path.length_bytes;
    char *begin = to;

    *to++ = '/'; /* what is written ends in a slash between two segments */
    while (at < end) {
        const char *stop = segment_end(++at, end);
        enum segment kind = segment_kind(at, stop);
        if (kind == SEGMENT_UP) {
            if (--to == begin)
                return -1;
            while (to[-1] != '/')
                to--;
        } else if (kind == SEGMENT_NAME) {
            to = segment_put(to, at, stop);
            if (stop < end)
                *to++ = '/';
        }
        at = stop;
    }
    return to - begin;
}
