/* Text and back in any encoding: sizes, overlap, and the same into new buffers. */
#include "buffers/codec_internal.h"

static size_t times_or_max(size_t count, size_t factor)
{
    size_t product;
    return __builtin_mul_overflow(count, factor, &product) ? SIZE_MAX : product;
}

size_t leat_bytes_to_text_max(enum leat_encoding encoding, size_t length_bytes)
{
    size_t rest = length_bytes % 3;
    switch (encoding) {
    case LEAT_HEX:
    case LEAT_LATIN1:
        return times_or_max(length_bytes, 2);
    case LEAT_BASE64:
        return times_or_max(length_bytes / 3 + (rest != 0), 4);
    case LEAT_BASE64URL:
        if (length_bytes / 3 >= SIZE_MAX / 4)
            return SIZE_MAX;
        return length_bytes / 3 * 4 + (rest == 0 ? 0 : rest + 1);
    case LEAT_UTF8:
        return times_or_max(length_bytes, 3);
    case LEAT_UTF16LE:
        return times_or_max(length_bytes / 2 + length_bytes % 2, 3);
    }
    return SIZE_MAX;
}

size_t leat_text_to_bytes_max(enum leat_encoding encoding, size_t length_bytes)
{
    switch (encoding) {
    case LEAT_HEX:
        return length_bytes / 2;
    case LEAT_BASE64:
    case LEAT_BASE64URL:
        return length_bytes / 4 * 3 + (length_bytes % 4 == 0 ? 0 : length_bytes % 4 - 1);
    case LEAT_UTF8:
    case LEAT_LATIN1:
        return length_bytes;
    case LEAT_UTF16LE:
        return times_or_max(length_bytes, 2);
    }
    return SIZE_MAX;
}

static bool is_apart(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    uintptr_t a_at = (uintptr_t)a, b_at = (uintptr_t)b;
    return a_bytes == 0 || b_bytes == 0 || a_at + a_bytes <= b_at || b_at + b_bytes <= a_at;
}

int64_t leat_bytes_to_text(enum leat_encoding encoding, const void *bytes, size_t length_bytes,
                           char *text, size_t size_bytes)
{
    uint8_t *to = (uint8_t *)text;
    if (!is_apart(bytes, length_bytes, text, size_bytes))
        return -EINVAL;
    switch (encoding) {
    case LEAT_HEX:
        return hex_to_text(bytes, length_bytes, to, size_bytes);
    case LEAT_BASE64:
        return base64_to_text(&base64_standard, bytes, length_bytes, to, size_bytes);
    case LEAT_BASE64URL:
        return base64_to_text(&base64_url, bytes, length_bytes, to, size_bytes);
    case LEAT_UTF8:
        return utf8_to_text(bytes, length_bytes, to, size_bytes);
    case LEAT_LATIN1:
        return latin1_to_text(bytes, length_bytes, to, size_bytes);
    case LEAT_UTF16LE:
        return utf16_to_text(bytes, length_bytes, to, size_bytes);
    }
    return -EINVAL;
}

int64_t leat_text_to_bytes(enum leat_encoding encoding, const char *text, size_t length_bytes,
                           struct leat_bytes_out *out)
{
    const uint8_t *from = (const uint8_t *)text;
    if (!is_apart(text, length_bytes, out->bytes, out->size_bytes))
        return -EINVAL;
    switch (encoding) {
    case LEAT_HEX:
        return hex_to_bytes(from, length_bytes, out);
    case LEAT_BASE64:
        return base64_to_bytes(&base64_standard, from, length_bytes, out);
    case LEAT_BASE64URL:
        return base64_to_bytes(&base64_url, from, length_bytes, out);
    case LEAT_UTF8:
        return utf8_to_bytes(from, length_bytes, out);
    case LEAT_LATIN1:
        return latin1_to_bytes(from, length_bytes, out);
    case LEAT_UTF16LE:
        return utf16_to_bytes(from, length_bytes, out);
    }
    return -EINVAL;
}

/* What was granted for the worst case becomes as long as it turned out. */
static struct leat_buf buf_cut(struct leat_buf buf, int64_t length_bytes)
{
    if (length_bytes > 0 && leat_buf_resize(&buf, (size_t)length_bytes))
        return buf;
    leat_buf_unref(buf);
    return (struct leat_buf){NULL, 0, NULL};
}

struct leat_buf leat_buf_to_text(struct leat_buf buf, enum leat_encoding encoding)
{
    size_t size_bytes = leat_bytes_to_text_max(encoding, buf.length_bytes);
    if (encoding == LEAT_UTF8 && leat_utf8_validate(buf.data, buf.length_bytes) == buf.length_bytes)
        size_bytes = buf.length_bytes; /* the common case needs no room for U+FFFD */
    struct leat_buf text = leat_buf_alloc_unsafe(size_bytes);
    if (text.data == NULL)
        return text;
    return buf_cut(text, leat_bytes_to_text(encoding, buf.data, buf.length_bytes, (char *)text.data,
                                            text.length_bytes));
}

struct leat_buf leat_buf_from_text(enum leat_encoding encoding, const char *text,
                                   size_t length_bytes, struct leat_error *error)
{
    static const char *const names[] = {"hex", "base64", "base64url", "utf8", "latin1", "utf16le"};
    if (error != NULL)
        error->code = 0;
    size_t size_bytes = leat_text_to_bytes_max(encoding, length_bytes);
    uint8_t none[1] = {0}; /* a text that can hold no byte may still be wrong */
    struct leat_buf buf =
        size_bytes == 0 ? leat_buf_from_static(none, 0) : leat_buf_alloc_unsafe(size_bytes);
    if (buf.data == NULL) {
        leat_fail(error, -ENOMEM, "no buffer of %zu bytes: the core's pools are used up",
                  size_bytes);
        return buf;
    }
    struct leat_bytes_out out = {buf.data, buf.length_bytes, 0};
    int64_t count = leat_text_to_bytes(encoding, text, length_bytes, &out);
    if (count < 0)
        leat_fail(error, (int)count, "not %s: the byte at %zu of %zu cannot stand there",
                  names[encoding], out.wrong_at, length_bytes);
    return buf_cut(buf, count);
}
