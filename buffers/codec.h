/* Operations on bytes, as Node's Buffer has them: text and back in six encodings, numbers in both
 * byte orders, comparing, searching, filling, copying.
 *
 * Text is UTF-8 here, always, and is not NUL-terminated. "Bytes to text" is Node's
 * buf.toString(encoding), "text to bytes" its Buffer.from(text, encoding).
 *
 * Where Leat is stricter than Node, so that nothing is lost in silence:
 *   text to bytes  Node drops what it cannot read: hex up to the first wrong pair, base64 without
 *                  what is no letter of it, latin1 by the low byte of a character. Here that is
 *                  -EILSEQ, and *wrong_at says where.
 *   base64         padding is there and right, and the bits behind the last byte are zero (RFC 4648
 *                  3.5). base64url is written without padding, and read with and without.
 *   utf16le        half a unit at the end becomes U+FFFD, as WHATWG has it; Node drops it.
 *
 * Bounds: what does not fit, or lies beyond a buffer, is -ERANGE in every build, and nothing has
 * been written. Input and output must not overlap, which is -EINVAL; leat_buf_copy alone permits
 * it. None of these functions allocates but those that return a struct leat_buf, which need a core
 * of Leat. All others run on any thread. */
#ifndef LEAT_CODEC_H
#define LEAT_CODEC_H

#include <leat/buf.h>
#include <leat/error.h>

#include <errno.h>
#include <string.h>

LEAT_BEGIN

enum leat_encoding {
    LEAT_HEX,       /* RFC 4648 8; written in small letters, read in both */
    LEAT_BASE64,    /* RFC 4648 4 */
    LEAT_BASE64URL, /* RFC 4648 5 */
    LEAT_UTF8,      /* RFC 3629 */
    LEAT_LATIN1,    /* a byte is the character of its number, U+0000 to U+00FF */
    LEAT_UTF16LE,   /* RFC 2781, little-endian, no mark is added or removed */
};

/* The most that length_bytes can become; SIZE_MAX when that is beyond size_t. Exact for bytes to
 * text in hex, base64 and base64url. */
LEAT_API size_t leat_bytes_to_text_max(enum leat_encoding encoding, size_t length_bytes);
LEAT_API size_t leat_text_to_bytes_max(enum leat_encoding encoding, size_t length_bytes);

/* Writes at most size_bytes of text and returns how many were written. What is no text in the
 * encoding (utf8, utf16le) becomes U+FFFD, one for each maximal part of a sequence, as WHATWG's
 * decoders do. -ERANGE: the text does not fit; -EINVAL: it overlaps. */
LEAT_API int64_t leat_bytes_to_text(enum leat_encoding encoding, const void *bytes,
                                    size_t length_bytes, char *text,
                                    size_t size_bytes) LEAT_MUST_CHECK;

/* Where the output of leat_text_to_bytes goes. */
struct leat_bytes_out {
    void *bytes;
    size_t size_bytes;
    size_t wrong_at; /* set with -EILSEQ: the first byte of text that cannot be right */
};

/* Writes the bytes that text stands for and returns how many. -EILSEQ: text is none in the
 * encoding; -ERANGE: the bytes do not fit; -EINVAL: they overlap. After -EILSEQ and -ERANGE the
 * output holds nothing of use. */
LEAT_API int64_t leat_text_to_bytes(enum leat_encoding encoding, const char *text,
                                    size_t length_bytes,
                                    struct leat_bytes_out *out) LEAT_MUST_CHECK;

/* The same into a new buffer of the current core. {NULL, 0, NULL}: the pools are exhausted, or the
 * input is empty, or (from_text) error says what is wrong with the text and where; its code is 0
 * for an empty text. error may be NULL. */
LEAT_API struct leat_buf leat_buf_to_text(struct leat_buf buf,
                                          enum leat_encoding encoding) LEAT_MUST_CHECK;
LEAT_API struct leat_buf leat_buf_from_text(enum leat_encoding encoding, const char *text,
                                            size_t length_bytes,
                                            struct leat_error *error) LEAT_MUST_CHECK;

/* How many bytes from the start are valid UTF-8 (RFC 3629: no surrogates, nothing overlong, at most
 * U+10FFFF); length_bytes when all are. */
LEAT_API size_t leat_utf8_validate(const void *bytes, size_t length_bytes);

/* UTF-8 that comes in pieces, as Node's StringDecoder and WHATWG's TextDecoder with stream: true.
 * Begin with zeros. A mark (U+FEFF) at the front is passed on, as StringDecoder does. */
struct leat_utf8 { /* fields are the decoder's own */
    uint8_t begun[4];
    uint8_t begun_count;  /* bytes of a sequence that is not complete; 0: none */
    uint8_t needed_count; /* bytes that the sequence still needs */
    uint8_t lower, upper; /* bounds of its next byte */
};

/* Writes the complete characters of what came so far, wrong ones as U+FFFD, and returns how many
 * bytes that are: at most LEAT_UTF8_TEXT_MAX(length_bytes). -ERANGE: they do not fit, and the
 * decoder is as before. With bytes NULL the input is at its end: a sequence that is not complete
 * becomes U+FFFD, and the decoder can begin anew. */
#define LEAT_UTF8_TEXT_MAX(length_bytes) (3 * (size_t)(length_bytes) + 3)
LEAT_API int64_t leat_utf8_push(struct leat_utf8 *utf8, const void *bytes, size_t length_bytes,
                                char *text, size_t size_bytes) LEAT_MUST_CHECK;

/* Less than, equal to or greater than 0, byte by byte, a shorter prefix first: Node's
 * Buffer.compare. */
LEAT_API int leat_buf_compare(struct leat_buf a, struct leat_buf b);
LEAT_API bool leat_buf_is_equal(struct leat_buf a, struct leat_buf b);

/* The same in a time that depends on the lengths only, for secrets: Node's timingSafeEqual. Of
 * different lengths: false, at once. */
LEAT_API bool leat_buf_is_equal_secret(struct leat_buf a, struct leat_buf b);

#define LEAT_NOT_FOUND SIZE_MAX
/* The first place at or behind from_bytes at which what stands; LEAT_NOT_FOUND. An empty one is
 * found at from_bytes, if that is at most the length. Takes time in proportion to the length of
 * buf, whatever the two hold. */
LEAT_API size_t leat_buf_index_of(struct leat_buf buf, const void *what, size_t what_bytes,
                                  size_t from_bytes);

/* Repeats pattern over [offset, offset + length) of buf; 0, -ERANGE, or -EINVAL: the pattern is
 * empty (and the range is not), or overlaps the range. */
LEAT_API int leat_buf_fill(struct leat_buf buf, size_t offset_bytes, size_t length_bytes,
                           const void *pattern, size_t pattern_bytes) LEAT_MUST_CHECK;

/* Copies all of from to offset_bytes of to; slices say which part. Both may be of the same block
 * and overlap: as memmove. 0 or -ERANGE. */
LEAT_API int leat_buf_copy(struct leat_buf to, size_t offset_bytes,
                           struct leat_buf from) LEAT_MUST_CHECK;

/* All of them, one after the other, in one new buffer. {NULL, 0, NULL}: the pools are exhausted, or
 * all are empty. */
LEAT_API struct leat_buf leat_buf_concat(const struct leat_buf *bufs, size_t count) LEAT_MUST_CHECK;

/* ---- numbers in bytes ----
 *
 * One family for all of Node's readUInt8 ... writeDoubleLE: how a number lies there is its width
 * and its order, LEAT_BE(2) or LEAT_LE(8); whole numbers have 1 to 8 bytes, others 4 or 8. With a
 * constant each call is a compare and a load.
 *
 *   uint64_t length;
 *   if (leat_buf_read_uint(&frame, 0, LEAT_BE(4), &length) < 0)
 *       return -EBADMSG;
 *
 * 0, or -ERANGE: beyond the buffer, or (writing) the number does not fit the width; -EINVAL: there
 * is no such width. What failed has changed nothing. */
typedef unsigned leat_layout;
#define LEAT_BE(width_bytes) ((leat_layout)(width_bytes))
#define LEAT_LE(width_bytes) ((leat_layout)(width_bytes) | 16u)

static inline unsigned leat_layout_bytes(leat_layout layout)
{
    return layout & 15u;
}

static inline int leat_layout_check(const struct leat_buf *buf, size_t offset_bytes,
                                    leat_layout layout)
{
    unsigned width = leat_layout_bytes(layout);
    if (width - 1u >= 8u || layout >= 32u)
        return -EINVAL;
    if (buf->length_bytes < width || offset_bytes > buf->length_bytes - width)
        return -ERANGE;
    return 0;
}

/* Swapped where the machine's order is the other one. */
static inline uint64_t leat_layout_order(uint64_t word, leat_layout layout)
{
    if ((layout < 16u) != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__))
        return word;
    return __builtin_bswap64(word) >> (64 - 8 * leat_layout_bytes(layout));
}

/* Widths that are a type of the machine are one load or store, which the compilers make out of the
 * copies; others go byte by byte. */
static inline int leat_buf_read_uint(const struct leat_buf *buf, size_t offset_bytes,
                                     leat_layout layout, uint64_t *value)
{
    int code = leat_layout_check(buf, offset_bytes, layout);
    if (code != 0)
        return code;
    const uint8_t *at = buf->data + offset_bytes;
    unsigned width = leat_layout_bytes(layout);
    uint64_t read = 0;
    if (width == 8) {
        memcpy(&read, at, 8);
        read = leat_layout_order(read, layout);
    } else if (width == 4 || width == 2) {
        uint32_t word = 0;
        uint16_t half = 0;
        if (width == 4)
            memcpy(&word, at, 4);
        else
            memcpy(&half, at, 2);
        read = leat_layout_order(width == 4 ? word : half, layout);
    } else {
        for (unsigned i = 0; i < width; i++)
            read |= (uint64_t)at[i] << (8 * (layout < 16u ? width - 1 - i : i));
    }
    *value = read;
    return 0;
}

static inline int leat_buf_read_int(const struct leat_buf *buf, size_t offset_bytes,
                                    leat_layout layout, int64_t *value)
{
    uint64_t read = 0;
    int code = leat_buf_read_uint(buf, offset_bytes, layout, &read);
    if (code != 0)
        return code;
    uint64_t sign = UINT64_C(1) << (8 * leat_layout_bytes(layout) - 1);
    *value = (int64_t)((read ^ sign) - sign);
    return 0;
}

static inline int leat_buf_write_uint(const struct leat_buf *buf, size_t offset_bytes,
                                      leat_layout layout, uint64_t value)
{
    int code = leat_layout_check(buf, offset_bytes, layout);
    if (code != 0)
        return code;
    unsigned width = leat_layout_bytes(layout);
    if (width < 8 && value >> (8 * width) != 0)
        return -ERANGE;
    uint8_t *at = buf->data + offset_bytes;
    if (width == 8) {
        value = leat_layout_order(value, layout);
        memcpy(at, &value, 8);
    } else if (width == 4) {
        uint32_t word = (uint32_t)leat_layout_order(value, layout);
        memcpy(at, &word, 4);
    } else {
        for (unsigned i = 0; i < width; i++)
            at[i] = (uint8_t)(value >> (8 * (layout < 16u ? width - 1 - i : i)));
    }
    return 0;
}

static inline int leat_buf_write_int(const struct leat_buf *buf, size_t offset_bytes,
                                     leat_layout layout, int64_t value)
{
    unsigned width = leat_layout_bytes(layout);
    uint64_t bits = (uint64_t)value;
    if (width - 1u < 7u) {
        int64_t limit = INT64_C(1) << (8 * width - 1);
        if (value < -limit || value >= limit)
            return leat_layout_check(buf, offset_bytes, layout) == -EINVAL ? -EINVAL : -ERANGE;
        bits &= ((uint64_t)limit << 1) - 1;
    }
    return leat_buf_write_uint(buf, offset_bytes, layout, bits);
}

/* IEEE 754, of 4 or 8 bytes. A double that is written as 4 is rounded; one that is too large for it
 * becomes infinite, as in Node. */
static inline int leat_buf_read_float(const struct leat_buf *buf, size_t offset_bytes,
                                      leat_layout layout, double *value)
{
    uint64_t bits = 0;
    unsigned width = leat_layout_bytes(layout);
    if (width != 4 && width != 8)
        return -EINVAL;
    int code = leat_buf_read_uint(buf, offset_bytes, layout, &bits);
    if (code != 0)
        return code;
    if (width == 4) {
        uint32_t narrow = (uint32_t)bits;
        float number;
        memcpy(&number, &narrow, sizeof(number));
        *value = (double)number;
    } else {
        memcpy(value, &bits, sizeof(*value));
    }
    return 0;
}

static inline int leat_buf_write_float(const struct leat_buf *buf, size_t offset_bytes,
                                       leat_layout layout, double value)
{
    uint64_t bits = 0;
    unsigned width = leat_layout_bytes(layout);
    if (width != 4 && width != 8)
        return -EINVAL;
    if (width == 4) {
        float number = (float)value;
        uint32_t narrow;
        memcpy(&narrow, &number, sizeof(narrow));
        bits = narrow;
    } else {
        memcpy(&bits, &value, sizeof(bits));
    }
    return leat_buf_write_uint(buf, offset_bytes, layout, bits);
}

LEAT_END
#endif
