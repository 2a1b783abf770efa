/* JSON's writer: values into one buffer that grows. */
#include "net/http/message/json_internal.h"

#include <leat/codec.h>
#include <math.h>
#include <stdio.h>

enum { ROOM_LEAST = 256 };

void leat_json_writer_init(struct leat_json_writer *writer, size_t bytes_max)
{
    memset(writer, 0, sizeof(*writer));
    writer->bytes_max = bytes_max == 0 ? LEAT_JSON_DOCUMENT_BYTES_MAX : bytes_max;
}

void leat_json_writer_fini(struct leat_json_writer *writer)
{
    leat_buf_unref(writer->buf);
    leat_json_writer_init(writer, writer->bytes_max);
}

static void writer_fail(struct leat_json_writer *writer, int code)
{
    if (writer->code == 0)
        writer->code = code;
}

/* Where the next bytes go; NULL: writer->code says why not. */
static char *writer_room(struct leat_json_writer *writer, size_t bytes)
{
    if (writer->code != 0)
        return NULL;
    if (bytes > writer->bytes_max - writer->used_bytes) {
        writer_fail(writer, -EMSGSIZE);
        return NULL;
    }
    size_t wanted_bytes = writer->used_bytes + bytes, room_bytes = writer->buf.length_bytes;
    if (unlikely(wanted_bytes > room_bytes)) {
        size_t grown_bytes = room_bytes * 2 < ROOM_LEAST ? ROOM_LEAST : room_bytes * 2;
        struct leat_buf grown =
            leat_buf_alloc_unsafe(grown_bytes < wanted_bytes ? wanted_bytes : grown_bytes);
        if (grown.data == NULL) {
            writer_fail(writer, -ENOMEM);
            return NULL;
        }
        if (writer->used_bytes != 0)
            memcpy(grown.data, writer->buf.data, writer->used_bytes);
        leat_buf_unref(writer->buf);
        writer->buf = grown;
    }
    return (char *)writer->buf.data + writer->used_bytes;
}

static void writer_put(struct leat_json_writer *writer, const char *bytes, size_t length_bytes)
{
    char *to = writer_room(writer, length_bytes);
    if (to == NULL)
        return;
    /* cppcheck-suppress uninitvar; who calls has filled them by a function that it does not follow
     */
    memcpy(to, bytes, length_bytes);
    writer->used_bytes += length_bytes;
}

static bool is_in_object(const struct leat_json_writer *writer)
{
    return writer->depth != 0 && (writer->objects >> (writer->depth - 1) & 1) != 0;
}

/* Before each value: may one stand here, and does a comma stand before it? */
static void value_begin(struct leat_json_writer *writer)
{
    if (writer->depth == 0 ? writer->has_root : is_in_object(writer) != writer->has_name)
        writer_fail(writer, -EINVAL);
    if (writer->depth != 0 && !is_in_object(writer) && writer->has_items)
        writer_put(writer, ",", 1);
    writer->has_root = writer->has_items = true;
    writer->has_name = false;
}

void leat_json_open(struct leat_json_writer *writer, enum leat_json_kind kind)
{
    value_begin(writer);
    bool is_object = kind == LEAT_JSON_OBJECT;
    if ((!is_object && kind != LEAT_JSON_ARRAY) || writer->depth == LEAT_JSON_DEPTH_MAX) {
        writer_fail(writer, kind == LEAT_JSON_ARRAY || is_object ? -EMSGSIZE : -EINVAL);
        return;
    }
    writer_put(writer, is_object ? "{" : "[", 1);
    writer->objects |= (uint64_t)is_object << writer->depth++;
    writer->has_items = false;
}

void leat_json_close(struct leat_json_writer *writer)
{
    if (writer->depth == 0 || writer->has_name) {
        writer_fail(writer, -EINVAL);
        return;
    }
    writer_put(writer, is_in_object(writer) ? "}" : "]", 1);
    writer->objects &= ~(UINT64_C(1) << --writer->depth);
    writer->has_items = true;
}

/* 0: the byte stands as it is; 'u': as \u00.. */
static char escape_for(uint8_t byte)
{
    static const char controls[32] = {'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n',
                                      'u', 'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
                                      'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u'};
    if (byte < 0x20)
        return controls[byte];
    return byte == '"' || byte == '\\' ? (char)byte : '\0';
}

static void escape_put(struct leat_json_writer *writer, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    char escape[6] = {'\\', escape_for(byte), '0', '0', digits[byte >> 4], digits[byte & 15]};
    writer_put(writer, escape, escape[1] == 'u' ? 6 : 2);
}

static void text_put(struct leat_json_writer *writer, const char *text, size_t length_bytes)
{
    if (leat_utf8_validate(text, length_bytes) != length_bytes)
        writer_fail(writer, -EILSEQ);
    writer_put(writer, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < length_bytes; i++) {
        if (likely(escape_for((uint8_t)text[i]) == '\0'))
            continue;
        writer_put(writer, text + from, i - from);
        escape_put(writer, (uint8_t)text[i]);
        from = i + 1;
    }
    writer_put(writer, text + from, length_bytes - from);
    writer_put(writer, "\"", 1);
}

static void name_put(struct leat_json_writer *writer, const char *name, size_t length_bytes)
{
    if (!is_in_object(writer) || writer->has_name)
        writer_fail(writer, -EINVAL);
    if (writer->has_items)
        writer_put(writer, ",", 1);
    text_put(writer, name, length_bytes);
    writer_put(writer, ":", 1);
    writer->has_name = true;
}

void leat_json_name(struct leat_json_writer *writer, const char *name)
{
    name_put(writer, name, strlen(name));
}

void leat_json_write_text(struct leat_json_writer *writer, struct leat_view text)
{
    value_begin(writer);
    text_put(writer, text.data == NULL ? "" : text.data, text.length_bytes);
}

void leat_json_write_int(struct leat_json_writer *writer, int64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (value < 0)
        digits[--at] = '-';
    value_begin(writer);
    writer_put(writer, digits + at, sizeof(digits) - at);
}

void leat_json_write_double(struct leat_json_writer *writer, double value)
{
    char text[JSON_DOUBLE_BYTES];
    value_begin(writer);
    if (isfinite(value))
        writer_put(writer, text, json_double_put(value, text));
    else
        writer_fail(writer, -EINVAL);
}

void leat_json_write_literal(struct leat_json_writer *writer, enum leat_json_kind kind)
{
    static const char *const literals[] = {"null", "false", "true"};
    value_begin(writer);
    if (kind < LEAT_JSON_NULL || kind > LEAT_JSON_TRUE) {
        writer_fail(writer, -EINVAL);
        return;
    }
    const char *literal = literals[kind - LEAT_JSON_NULL];
    writer_put(writer, literal, strlen(literal));
}

/* All but arrays and objects. */
static void scalar_put(struct leat_json_writer *writer, const struct leat_json_node *node)
{
    struct leat_view text = leat_json_text(node);
    switch (leat_json_kind(node)) {
    case LEAT_JSON_INT:
        leat_json_write_int(writer, node->integer);
        break;
    case LEAT_JSON_DOUBLE:
        value_begin(writer);
        writer_put(writer, text.data, text.length_bytes);
        break;
    case LEAT_JSON_STRING:
        leat_json_write_text(writer, text);
        break;
    default:
        leat_json_write_literal(writer, leat_json_kind(node));
        break;
    }
}

void leat_json_write_node(struct leat_json_writer *writer, const struct leat_json_node *node)
{
    struct leat_json_each levels[LEAT_JSON_DEPTH_MAX];
    uint32_t depth = 0;
    for (;;) {
        enum leat_json_kind kind = leat_json_kind(node);
        if (kind == LEAT_JSON_ARRAY || kind == LEAT_JSON_OBJECT) {
            leat_json_open(writer, kind);
            levels[depth++] = leat_json_each(node);
        } else {
            scalar_put(writer, node);
        }
        while (depth != 0 && !leat_json_each_next(&levels[depth - 1])) {
            leat_json_close(writer);
            depth--;
        }
        if (depth == 0 || writer->code != 0)
            return;
        const struct leat_json_each *level = &levels[depth - 1];
        if (level->is_object)
            name_put(writer, level->name.data, level->name.length_bytes);
        node = level->value;
    }
}

int leat_json_writer_end(struct leat_json_writer *writer, struct leat_buf *buf)
{
    if (writer->depth != 0 || !writer->has_root)
        writer_fail(writer, -EINVAL);
    int code = writer->code;
    *buf = (struct leat_buf){NULL, 0, NULL};
    if (code == 0 && leat_buf_resize(&writer->buf, writer->used_bytes)) {
        *buf = writer->buf;
        writer->buf = (struct leat_buf){NULL, 0, NULL};
    }
    leat_json_writer_fini(writer);
    return code;
}
