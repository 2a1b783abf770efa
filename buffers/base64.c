/* Base64 and base64url (RFC 4648), strictly: one text for each run of bytes. */
#include "buffers/codec_internal.h"

/* clang-format off */
static const uint8_t values_standard[256] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 64, 64, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64,
    64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 64,
    64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
};

static const uint8_t values_url[256] = {
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 64,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64,
    64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 63,
    64, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
};

/* clang-format on */

const struct base64_form base64_standard =
    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", values_standard, true};
const struct base64_form base64_url =
    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", values_url, false};

static void group_put(const char *letters, uint32_t bits, uint8_t *text)
{
    text[0] = (uint8_t)letters[bits >> 18];
    text[1] = (uint8_t)letters[bits >> 12 & 63];
    text[2] = (uint8_t)letters[bits >> 6 & 63];
    text[3] = (uint8_t)letters[bits & 63];
}

int64_t base64_to_text(const struct base64_form *form, const uint8_t *bytes, size_t length_bytes,
                       uint8_t *text, size_t size_bytes)
{
    size_t groups = length_bytes / 3, rest = length_bytes % 3;
    size_t rest_text = rest == 0 ? 0 : form->is_padded ? 4 : rest + 1;
    if (size_bytes < rest_text || groups > (size_bytes - rest_text) / 4)
        return -ERANGE;
    const char *letters = form->letters;
    for (size_t i = 0; i < groups; i++, bytes += 3, text += 4)
        group_put(letters, (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2], text);
    if (rest != 0) {
        uint8_t last[4];
        group_put(letters, (uint32_t)bytes[0] << 16 | (rest == 2 ? (uint32_t)bytes[1] << 8 : 0),
                  last);
        last[3] = '=';
        if (rest == 1)
            last[2] = '=';
        memcpy(text, last, rest_text);
    }
    return (int64_t)(groups * 4 + rest_text);
}

/* Letters of text without its padding; *is_wrong when the padding is not what the form has. */
static size_t padding_cut(const struct base64_form *form, const uint8_t *text, size_t length_bytes,
                          bool *is_wrong)
{
    size_t letters = length_bytes;
    while (letters > 0 && length_bytes - letters < 2 && text[letters - 1] == '=')
        letters--;
    size_t padding = length_bytes - letters, rest = letters % 4;
    bool is_right = padding == (rest == 0 ? 0 : 4 - rest) || (padding == 0 && !form->is_padded);
    *is_wrong = rest == 1 || !is_right;
    return letters;
}

/* Where in [0, length) the first byte stands that is no letter; length: none. */
static size_t wrong_letter(const uint8_t *values, const uint8_t *text, size_t length_bytes)
{
    size_t i = 0;
    while (i < length_bytes && values[text[i]] < 64)
        i++;
    return i;
}

/* The last 2 or 3 letters; false: bits behind the last byte are not zero. */
static bool rest_read(const uint8_t *values, const uint8_t *text, size_t rest, uint8_t *to)
{
    uint32_t bits = (uint32_t)values[text[0]] << 18 | (uint32_t)values[text[1]] << 12 |
                    (rest == 3 ? (uint32_t)values[text[2]] << 6 : 0);
    to[0] = (uint8_t)(bits >> 16);
    if (rest == 3)
        to[1] = (uint8_t)(bits >> 8);
    return (bits & (rest == 3 ? 0xffu : 0xffffu)) == 0;
}

int64_t base64_to_bytes(const struct base64_form *form, const uint8_t *text, size_t length_bytes,
                        struct leat_bytes_out *out)
{
    const uint8_t *values = form->values;
    bool is_wrong;
    size_t letters = padding_cut(form, text, length_bytes, &is_wrong);
    size_t groups = letters / 4, rest = letters % 4, rest_bytes = rest == 0 ? 0 : rest - 1;
    uint8_t *to = out->bytes;
    if (groups * 3 + rest_bytes > out->size_bytes)
        return -ERANGE;
    for (size_t i = 0; i < groups; i++, text += 4, to += 3) {
        uint32_t a = values[text[0]], b = values[text[1]], c = values[text[2]], d = values[text[3]];
        if ((a | b | c | d) >= 64) {
            out->wrong_at = i * 4 + wrong_letter(values, text, 4);
            return -EILSEQ;
        }
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        to[0] = (uint8_t)(bits >> 16);
        to[1] = (uint8_t)(bits >> 8);
        to[2] = (uint8_t)bits;
    }
    size_t good = wrong_letter(values, text, rest);
    if (good < rest || is_wrong) {
        out->wrong_at = groups * 4 + good;
        return -EILSEQ;
    }
    if (rest != 0 && !rest_read(values, text, rest, to)) {
        out->wrong_at = letters - 1;
        return -EILSEQ;
    }
    return (int64_t)(groups * 3 + rest_bytes);
}
