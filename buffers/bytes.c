/* Buffers compared, searched, filled, copied, joined. */
#include "buffers/codec_internal.h"

int leat_buf_compare(struct leat_buf a, struct leat_buf b)
{
    size_t common = a.length_bytes < b.length_bytes ? a.length_bytes : b.length_bytes;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0)
        return order;
    return a.length_bytes < b.length_bytes ? -1 : a.length_bytes > b.length_bytes;
}

bool leat_buf_is_equal(struct leat_buf a, struct leat_buf b)
{
    return a.length_bytes == b.length_bytes && leat_buf_compare(a, b) == 0;
}

bool leat_buf_is_equal_secret(struct leat_buf a, struct leat_buf b)
{
    if (a.length_bytes != b.length_bytes)
        return false;
    uint8_t difference = 0;
    for (size_t i = 0; i < a.length_bytes; i++) {
        difference |= (uint8_t)(a.data[i] ^ b.data[i]);
        /* The compiler must not see that it may stop at the first difference. */
        __asm__ volatile("" : "+r"(difference));
    }
    return difference == 0;
}

size_t leat_buf_index_of(struct leat_buf buf, const void *what, size_t what_bytes,
                         size_t from_bytes)
{
    if (from_bytes > buf.length_bytes || what_bytes > buf.length_bytes - from_bytes)
        return LEAT_NOT_FOUND;
    if (what_bytes == 0)
        return from_bytes;
    /* glibc's memmem is of the two-way kind for long needles: linear, whatever both hold. */
    const uint8_t *found =
        memmem(buf.data + from_bytes, buf.length_bytes - from_bytes, what, what_bytes);
    return found == NULL ? LEAT_NOT_FOUND : (size_t)(found - buf.data);
}

static bool is_within(struct leat_buf buf, size_t offset_bytes, size_t length_bytes)
{
    return offset_bytes <= buf.length_bytes && length_bytes <= buf.length_bytes - offset_bytes;
}

int leat_buf_fill(struct leat_buf buf, size_t offset_bytes, size_t length_bytes,
                  const void *pattern, size_t pattern_bytes)
{
    if (!is_within(buf, offset_bytes, length_bytes))
        return -ERANGE;
    if (length_bytes == 0)
        return 0;
    uint8_t *at = buf.data + offset_bytes;
    uintptr_t to = (uintptr_t)at, from = (uintptr_t)pattern;
    if (pattern_bytes == 0 || (from < to + length_bytes && to < from + pattern_bytes))
        return -EINVAL;
    if (pattern_bytes == 1) {
        memset(at, *(const uint8_t *)pattern, length_bytes);
        return 0;
    }
    size_t filled = pattern_bytes < length_bytes ? pattern_bytes : length_bytes;
    memcpy(at, pattern, filled);
    while (filled < length_bytes) { /* what is there doubles */
        size_t more = filled < length_bytes - filled ? filled : length_bytes - filled;
        memcpy(at + filled, at, more);
        filled += more;
    }
    return 0;
}

int leat_buf_copy(struct leat_buf to, size_t offset_bytes, struct leat_buf from)
{
    if (!is_within(to, offset_bytes, from.length_bytes))
        return -ERANGE;
    if (from.length_bytes != 0)
        memmove(to.data + offset_bytes, from.data, from.length_bytes);
    return 0;
}

struct leat_buf leat_buf_concat(const struct leat_buf *bufs, size_t count)
{
    size_t length_bytes = 0;
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(length_bytes, bufs[i].length_bytes, &length_bytes))
            return (struct leat_buf){NULL, 0, NULL};
    struct leat_buf all = leat_buf_alloc_unsafe(length_bytes);
    if (all.data == NULL)
        return all;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (bufs[i].length_bytes != 0)
            memcpy(all.data + at, bufs[i].data, bufs[i].length_bytes);
        at += bufs[i].length_bytes;
    }
    return all;
}
