/* The encodings behind leat/codec.h, one pair of functions each.
 *
 * to_text and to_bytes return what the public functions return. wrong_at is set with -EILSEQ. The
 * caller has looked at overlap; out is as large as size_bytes says, and nothing is written beyond
 * it. */
#ifndef LEAT_CODEC_INTERNAL_H
#define LEAT_CODEC_INTERNAL_H

#include "buffers/codec.h"
#include "runtime/base/core.h"

int64_t hex_to_text(const uint8_t *bytes, size_t length_bytes, uint8_t *text, size_t size_bytes);
int64_t hex_to_bytes(const uint8_t *text, size_t length_bytes, struct leat_bytes_out *out);

/* letters: the 64 of the alphabet; is_padded: '=' is written, and must be read. */
struct base64_form {
    const char *letters;
    const uint8_t *values; /* of a letter, by its byte; 64: none */
    bool is_padded;
};
extern const struct base64_form base64_standard, base64_url;
int64_t base64_to_text(const struct base64_form *form, const uint8_t *bytes, size_t length_bytes,
                       uint8_t *text, size_t size_bytes);
int64_t base64_to_bytes(const struct base64_form *form, const uint8_t *text, size_t length_bytes,
                        struct leat_bytes_out *out);

int64_t utf8_to_text(const uint8_t *bytes, size_t length_bytes, uint8_t *text, size_t size_bytes);
int64_t utf8_to_bytes(const uint8_t *text, size_t length_bytes, struct leat_bytes_out *out);
int64_t latin1_to_text(const uint8_t *bytes, size_t length_bytes, uint8_t *text, size_t size_bytes);
int64_t latin1_to_bytes(const uint8_t *text, size_t length_bytes, struct leat_bytes_out *out);
int64_t utf16_to_text(const uint8_t *bytes, size_t length_bytes, uint8_t *text, size_t size_bytes);
int64_t utf16_to_bytes(const uint8_t *text, size_t length_bytes, struct leat_bytes_out *out);

/* The length of the valid sequence that begins at at, and its character; 0: there is none before
 * end. */
unsigned utf8_sequence(const uint8_t *at, const uint8_t *end, uint32_t *character);
/* Writes character, which is none of the surrogates; the bytes written, 1 to 4, or 0: no room. */
unsigned utf8_put(uint32_t character, uint8_t *at, const uint8_t *end);

#define UTF8_REPLACEMENT UINT32_C(0xfffd)

#endif
