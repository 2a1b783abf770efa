/* Looking a field up in a head that was parsed. */
#include "net/http/message/parser_internal.h"

int http_field_next(const struct http_head *head, enum http_known known, unsigned from)
{
    for (unsigned i = from; i < head->field_count; i++)
        if (head->ids[i] == known)
            return (int)i;
    return -1;
}

int http_field_find(const struct http_head *head, const uint8_t *bytes, const char *name,
                    unsigned from)
{
    for (unsigned i = from; i < head->field_count; i++)
        if (leat_view_equal_nocase(http_view_of(bytes, head->fields[i].name), name))
            return (int)i;
    return -1;
}
