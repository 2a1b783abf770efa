/* Forms and queries as pairs of names and values. */
#include "net/http/message/urlencoded.h"

#include <string.h>
#include "net/http/message/url.h"

/* A piece may bring as many pairs as it has bytes, rounded up, each at least one byte and a
 * separator; an escape that came before it may turn out to be none. */
size_t http_urlencoded_room(const struct http_urlencoded *form, size_t length)
{
    return length + form->escape_bytes + (length / 2 + 2) * HTTP_PAIR_BYTES;
}

static void pair_put(struct http_urlencoded *form, struct http_pairs *pairs, char byte)
{
    form->has_nul |= byte == '\0';
    http_pair_add(pairs, &byte, 1);
}

/* An escape that is none stands for itself. */
static void escape_flush(struct http_urlencoded *form, struct http_pairs *pairs)
{
    const char text[2] = {'%', form->escape_digit};

    http_pair_add(pairs, text, form->escape_bytes);
    form->escape_bytes = 0;
}

static int pair_check(const struct http_urlencoded *form, const struct http_pairs *pairs)
{
    return http_pair_length(pairs) > form->field_bytes_max ? -413 : 0;
}

static int pair_close(struct http_urlencoded *form, struct http_pairs *pairs)
{
    if (!form->is_open)
        return 0;
    escape_flush(form, pairs);
    form->is_open = false;
    if (pair_check(form, pairs) < 0 || (!form->has_nul && pairs->count == form->fields_max))
        return -413;
    if (!form->has_nul)
        http_pair_end(pairs);
    return 0;
}

static void pair_open(struct http_urlencoded *form, struct http_pairs *pairs)
{
    if (form->is_open)
        return;
    form->is_open = true;
    form->has_nul = false;
    http_pair_begin(pairs);
}

/* Whether byte belongs to the escape that was begun, or begins one. */
static bool escape_read(struct http_urlencoded *form, char byte, struct http_pairs *pairs)
{
    if (form->escape_bytes == 0) {
        form->escape_bytes = byte == '%';
        return byte == '%';
    }
    if (http_hex_digit(byte) < 0) {
        escape_flush(form, pairs);
        form->escape_bytes = byte == '%';
        return byte == '%';
    }
    if (form->escape_bytes == 1) {
        form->escape_digit = byte;
        form->escape_bytes = 2;
        return true;
    }
    form->escape_bytes = 0;
    int value = http_hex_digit(form->escape_digit) * 16 + http_hex_digit(byte);
    pair_put(form, pairs, (char)value);
    return true;
}

static void byte_read(struct http_urlencoded *form, char byte, struct http_pairs *pairs)
{
    pair_open(form, pairs);
    if (escape_read(form, byte, pairs))
        return;
    if (byte == '=' && !pairs->has_value)
        http_pair_value(pairs);
    else
        pair_put(form, pairs, byte == '+' ? ' ' : byte);
}

int http_urlencoded_push(struct http_urlencoded *form, struct leat_view input,
                         struct http_pairs *pairs)
{
    int status = 0;

    for (size_t i = 0; i < input.length_bytes && status == 0; i++)
        if (input.data[i] == '&')
            status = pair_close(form, pairs);
        else
            byte_read(form, input.data[i], pairs);
    return status == 0 && form->is_open ? pair_check(form, pairs) : status;
}

int http_urlencoded_end(struct http_urlencoded *form, struct http_pairs *pairs)
{
    return pair_close(form, pairs);
}
