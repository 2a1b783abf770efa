/* Comparing and copying views. */
#include <leat/view.h>

static unsigned char letter_lower(char c)
{
    unsigned char byte = (unsigned char)c;
    return (unsigned char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}

bool leat_view_equal_nocase(struct leat_view view, const char *string)
{
    if (!view.data)
        return false;
    for (size_t i = 0; i < view.length_bytes; i++)
        if (!string[i] || letter_lower(view.data[i]) != letter_lower(string[i]))
            return false;
    return string[view.length_bytes] == '\0';
}

bool leat_view_copy(struct leat_view view, char *to, size_t size_bytes)
{
    if (size_bytes == 0)
        return false;
    size_t length_bytes = view.length_bytes < size_bytes ? view.length_bytes : size_bytes - 1;
    if (length_bytes)
        memcpy(to, view.data, length_bytes);
    to[length_bytes] = '\0';
    return length_bytes == view.length_bytes;
}
