/* Hexadecimal text and back. */
#include "buffers/codec_internal.h"

static const char digits[16] = "0123456789abcdef";

int64_t hex_to_text(const uint8_t *bytes, size_t length_bytes, uint8_t *text, size_t size_bytes)
{
    if (length_bytes > size_bytes / 2)
        return -ERANGE;
    for (size_t i = 0; i < length_bytes; i++) {
        text[2 * i] = (uint8_t)digits[bytes[i] >> 4];
        text[2 * i + 1] = (uint8_t)digits[bytes[i] & 15];
    }
    return (int64_t)(2 * length_bytes);
}

/* 0 to 15, or more than 15: no digit. */
static inline unsigned digit_value(uint8_t byte)
{
    unsigned decimal = byte - (unsigned)'0', letter = (byte | 0x20u) - (unsigned)'a';
    if (decimal < 10)
        return decimal;
    return letter < 6 ? letter + 10 : 16;
}

int64_t hex_to_bytes(const uint8_t *text, size_t length_bytes, struct leat_bytes_out *out)
{
    uint8_t *to = out->bytes;
    if (length_bytes / 2 > out->size_bytes)
        return -ERANGE;
    for (size_t i = 0; i < length_bytes / 2; i++) {
        unsigned high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
        if ((high | low) > 15) {
            out->wrong_at = 2 * i + (high > 15 ? 0 : 1);
            return -EILSEQ;
        }
        to[i] = (uint8_t)(high << 4 | low);
    }
    if (length_bytes % 2 != 0) { /* a digit that has no second one, or none at all */
        out->wrong_at = digit_value(text[length_bytes - 1]) > 15 ? length_bytes - 1 : length_bytes;
        return -EILSEQ;
    }
    return (int64_t)(length_bytes / 2);
}
