/* Latin-1 and UTF-16 in little-endian order, to UTF-8 and back. */
#include "buffers/codec_internal.h"

int64_t latin1_to_text(const uint8_t *bytes, size_t length_bytes, uint8_t *text, size_t size_bytes)
{
    uint8_t *to = text, *end = text + size_bytes;
    for (size_t i = 0; i < length_bytes; i++) {
        unsigned count = utf8_put(bytes[i], to, end);
        if (count == 0)
            return -ERANGE;
        to += count;
    }
    return to - text;
}

int64_t latin1_to_bytes(const uint8_t *text, size_t length_bytes, struct leat_bytes_out *out)
{
    const uint8_t *at = text, *end = text + length_bytes;
    uint8_t *to = out->bytes;
    size_t written = 0;
    while (at < end) {
        uint32_t character = 0;
        unsigned count = utf8_sequence(at, end, &character);
        if (count == 0 || character > 0xff) {
            out->wrong_at = (size_t)(at - text);
            return -EILSEQ;
        }
        if (written == out->size_bytes)
            return -ERANGE;
        to[written++] = (uint8_t)character;
        at += count;
    }
    return (int64_t)written;
}

static bool is_high_surrogate(uint32_t unit)
{
    return (unit & 0xfc00) == 0xd800;
}

static bool is_low_surrogate(uint32_t unit)
{
    return (unit & 0xfc00) == 0xdc00;
}

/* The character at bytes, and how many bytes it takes: 4, 2, or 1 for half a unit at the end. */
static size_t utf16_next(const uint8_t *bytes, size_t left_bytes, uint32_t *character)
{
    *character = UTF8_REPLACEMENT;
    if (left_bytes == 1)
        return 1;
    uint32_t unit = bytes[0] | (uint32_t)bytes[1] << 8;
    if (is_high_surrogate(unit) && left_bytes >= 4) {
        uint32_t low = bytes[2] | (uint32_t)bytes[3] << 8;
        if (is_low_surrogate(low)) {
            *character = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            return 4;
        }
    }
    if (!is_high_surrogate(unit) && !is_low_surrogate(unit))
        *character = unit;
    return 2;
}

int64_t utf16_to_text(const uint8_t *bytes, size_t length_bytes, uint8_t *text, size_t size_bytes)
{
    uint8_t *to = text, *end = text + size_bytes;
    for (size_t i = 0; i < length_bytes;) {
        uint32_t character;
        i += utf16_next(bytes + i, length_bytes - i, &character);
        unsigned count = utf8_put(character, to, end);
        if (count == 0)
            return -ERANGE;
        to += count;
    }
    return to - text;
}

static uint8_t *unit_put(uint32_t unit, uint8_t *to)
{
    to[0] = (uint8_t)unit;
    to[1] = (uint8_t)(unit >> 8);
    return to + 2;
}

int64_t utf16_to_bytes(const uint8_t *text, size_t length_bytes, struct leat_bytes_out *out)
{
    const uint8_t *at = text, *end = text + length_bytes;
    uint8_t *first = out->bytes, *to = first;
    while (at < end) {
        uint32_t character = 0;
        unsigned count = utf8_sequence(at, end, &character);
        if (count == 0) {
            out->wrong_at = (size_t)(at - text);
            return -EILSEQ;
        }
        if (out->size_bytes - (size_t)(to - first) < (character < 0x10000 ? 2u : 4u))
            return -ERANGE;
        if (character < 0x10000) {
            to = unit_put(character, to);
        } else {
            to = unit_put(0xd800 + ((character - 0x10000) >> 10), to);
            to = unit_put(0xdc00 + ((character - 0x10000) & 0x3ff), to);
        }
        at += count;
    }
    return to - first;
}
