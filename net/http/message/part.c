/* The head of a part of a form: its name, that of its file, its type. */
#include "net/http/message/part.h"

#include "net/http/message/params.h"

/* ---- Names that clients give ---- */

size_t http_filename_reduce(char *name, size_t length)
{
    size_t begin = 0, out = 0;

    for (size_t i = 0; i < length; i++)
        if (name[i] == '/' || name[i] == '\\')
            begin = i + 1;
    for (size_t i = begin; i < length; i++)
        if ((unsigned char)name[i] >= 0x20 && name[i] != 0x7f)
            name[out++] = name[i];
    if (out > HTTP_FILENAME_BYTES_MAX) { /* not in the middle of a character of UTF-8 */
        out = HTTP_FILENAME_BYTES_MAX;
        while (out > HTTP_FILENAME_BYTES_MAX - 3 && ((unsigned char)name[out] & 0xc0) == 0x80)
            out--;
    }
    if ((out == 1 || out == 2) && name[0] == '.' && name[out - 1] == '.')
        return 0;
    return out;
}

/* Browsers write a quote in a name as %22 (URL and HTML Standards, multipart/form-data). */
static size_t quotes_decode(char *name, size_t length)
{
    size_t out = 0;

    for (size_t i = 0; i < length; i++) {
        bool is_quote = length - i >= 3 && memcmp(name + i, "%22", 3) == 0;
        name[out++] = is_quote ? '"' : name[i];
        i += is_quote ? 2 : 0;
    }
    return out;
}

/* ---- The fields ---- */

/* Fills name, or filename, from a parameter of the disposition; false when it is the second. */
static bool param_store(const struct http_param *param, struct leat_view *to)
{
    char *text = (char *)(uintptr_t)param->value.data; /* in the area */

    if (to->data != NULL)
        return false;
    size_t length = quotes_decode(text, http_param_copy(param, text));
    *to = (struct leat_view){text, length};
    return true;
}

/* RFC 7578 4.2: filename* must not be used, and is passed over with all that is not known. */
static enum http_multipart_reason disposition_read(struct leat_view value, struct http_part *part)
{
    struct http_param param;
    enum http_param_step step;

    if (!leat_view_equal_nocase(http_params_begin(&value), "form-data"))
        return HTTP_MULTIPART_DISPOSITION;
    while ((step = http_param_next(&value, &param)) == HTTP_PARAM) {
        bool is_name = leat_view_equal_nocase(param.name, "name");
        if (!is_name && !leat_view_equal_nocase(param.name, "filename"))
            continue;
        if (!param_store(&param, is_name ? &part->name : &part->filename))
            return HTTP_MULTIPART_NAME;
    }
    if (step == HTTP_PARAM_BROKEN)
        return HTTP_MULTIPART_DISPOSITION;
    if (part->name.data == NULL)
        return HTTP_MULTIPART_NAME;
    if (part->filename.data != NULL)
        part->filename.length_bytes = http_filename_reduce((char *)(uintptr_t)part->filename.data,
                                                           part->filename.length_bytes);
    return HTTP_MULTIPART_NONE;
}

/* What is encoded is not decoded, so it is not given for what it is not. */
static bool encoding_is_none(struct leat_view encoding)
{
    return encoding.data == NULL || leat_view_equal_nocase(encoding, "binary") ||
           leat_view_equal_nocase(encoding, "8bit") || leat_view_equal_nocase(encoding, "7bit");
}

enum http_multipart_reason http_part_read(const struct http_head *head, char *area,
                                          struct http_part *part)
{
    const uint8_t *bytes = (const uint8_t *)area;
    int at = http_field_next(head, HTTP_CONTENT_DISPOSITION, 0);
    int encoding = http_field_find(head, bytes, "content-transfer-encoding", 0);

    *part = (struct http_part){.type = http_field_value(head, bytes, HTTP_CONTENT_TYPE)};
    if (at < 0 || http_field_next(head, HTTP_CONTENT_DISPOSITION, (unsigned)at + 1) >= 0)
        return HTTP_MULTIPART_DISPOSITION;
    if (encoding >= 0 && !encoding_is_none(http_view_of(bytes, head->fields[encoding].value)))
        return HTTP_MULTIPART_ENCODING;
    struct http_span value = head->fields[at].value;
    return disposition_read((struct leat_view){area + value.offset, value.length}, part);
}
