/* Encodings against slow versions and against themselves: what decodes encodes to the same text,
 * what was encoded decodes to the same bytes, UTF-8 in pieces is UTF-8 as a whole. */
#include <leat/check.h>
#include <leat/codec.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { BYTES_MAX = 4096 };

/* Memory of exactly the size, so that what is written beyond it is seen. */
static uint8_t *memory_of(size_t bytes)
{
    uint8_t *memory = malloc(bytes != 0 ? bytes : 1);
    LEAT_CHECK(memory != NULL);
    return memory;
}

static int64_t text_of(enum leat_encoding encoding, const uint8_t *bytes, size_t count,
                       uint8_t **text)
{
    size_t size = leat_bytes_to_text_max(encoding, count);
    *text = memory_of(size);
    int64_t length = leat_bytes_to_text(encoding, bytes, count, (char *)*text, size);
    LEAT_CHECK(length >= 0 && (size_t)length <= size);
    LEAT_CHECK(leat_utf8_validate(*text, (size_t)length) == (size_t)length);
    return length;
}

static int64_t bytes_of(enum leat_encoding encoding, const uint8_t *text, size_t count,
                        uint8_t **bytes)
{
    struct leat_bytes_out out = {.size_bytes = leat_text_to_bytes_max(encoding, count),
                                 .wrong_at = SIZE_MAX};
    out.bytes = *bytes = memory_of(out.size_bytes);
    int64_t length = leat_text_to_bytes(encoding, (const char *)text, count, &out);
    LEAT_CHECK(length == -EILSEQ ? out.wrong_at <= count
                                 : length >= 0 && (size_t)length <= out.size_bytes);
    return length;
}

static bool is_same(const uint8_t *a, int64_t a_count, const uint8_t *b, size_t b_count)
{
    return (size_t)a_count == b_count && memcmp(a, b, b_count) == 0;
}

/* Bytes survive as text in these, whatever they are. */
static void check_bytes(enum leat_encoding encoding, const uint8_t *data, size_t count)
{
    uint8_t *text, *back;
    int64_t text_bytes = text_of(encoding, data, count, &text);
    int64_t bytes = bytes_of(encoding, text, (size_t)text_bytes, &back);
    LEAT_CHECK(bytes >= 0 && is_same(back, bytes, data, count));
    free(text);
    free(back);
}

/* Text that is one becomes the same again, but for the letters' case in hex and the padding of
 * base64url, which are read in two ways. */
static void check_text(enum leat_encoding encoding, const uint8_t *data, size_t count)
{
    uint8_t *bytes, *back;
    int64_t length = bytes_of(encoding, data, count, &bytes);
    if (length >= 0) {
        int64_t text_bytes = text_of(encoding, bytes, (size_t)length, &back);
        for (size_t i = 0; i < (size_t)text_bytes && encoding == LEAT_HEX; i++)
            LEAT_CHECK(back[i] == data[i] || back[i] == (data[i] | 0x20));
        size_t padding = 0;
        while (encoding == LEAT_BASE64URL && padding < count && data[count - 1 - padding] == '=')
            padding++;
        LEAT_CHECK(encoding == LEAT_HEX || is_same(back, text_bytes, data, count - padding));
        free(back);
    }
    free(bytes);
}

/* The first byte of the input says how long the pieces are. */
static void check_pieces(const uint8_t *data, size_t count, size_t piece_bytes)
{
    uint8_t *whole, *pieces = memory_of(LEAT_UTF8_TEXT_MAX(count));
    int64_t length = text_of(LEAT_UTF8, data, count, &whole), got = 0;
    struct leat_utf8 utf8 = {.begun_count = 0};
    for (size_t at = 0; at < count; at += piece_bytes) {
        size_t bytes = count - at < piece_bytes ? count - at : piece_bytes;
        int64_t more = leat_utf8_push(&utf8, data + at, bytes, (char *)pieces + got,
                                      LEAT_UTF8_TEXT_MAX(count) - (size_t)got);
        LEAT_CHECK(more >= 0 && (size_t)more <= LEAT_UTF8_TEXT_MAX(bytes));
        got += more;
    }
    int64_t rest = leat_utf8_push(&utf8, NULL, 0, (char *)pieces + got,
                                  LEAT_UTF8_TEXT_MAX(count) - (size_t)got);
    LEAT_CHECK(rest >= 0 && is_same(pieces, got + rest, whole, (size_t)length));
    free(whole);
    free(pieces);
}

/* Whether what is valid by leat_utf8_validate decodes as it is, and only that. */
static void check_valid(const uint8_t *data, size_t count)
{
    uint8_t *text;
    int64_t length = text_of(LEAT_UTF8, data, count, &text);
    size_t valid = leat_utf8_validate(data, count);
    LEAT_CHECK(valid <= count && (valid == count) == is_same(text, length, data, count));
    LEAT_CHECK(memcmp(text, data, valid) == 0);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    static const enum leat_encoding whole[] = {LEAT_HEX, LEAT_BASE64, LEAT_BASE64URL, LEAT_LATIN1};
    if (length_bytes == 0)
        return 0;
    size_t piece_bytes = 1 + data[0] % 16;
    data++;
    size_t count = length_bytes - 1 < BYTES_MAX ? length_bytes - 1 : BYTES_MAX;
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        check_bytes(whole[i], data, count);
    for (int encoding = LEAT_HEX; encoding <= LEAT_UTF16LE; encoding++)
        check_text((enum leat_encoding)encoding, data, count);
    check_pieces(data, count, piece_bytes);
    check_valid(data, count);
    return 0;
}
