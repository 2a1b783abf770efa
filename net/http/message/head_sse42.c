/* The parser of heads, scanning 16 bytes at a time (SSE4.2). */
#include "net/http/message/parser_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define HTTP_TARGET  __attribute__((target("sse4.2")))
#define VECTOR_BYTES 16
typedef uint32_t vector_mask;
#define OPERATION static inline __attribute__((always_inline)) HTTP_TARGET

OPERATION __m128i load(const uint8_t *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

#define ALL(byte) load(http_vectors.byte)

/* A byte is in the class when the bit of its upper half is set in the row of its lower half
 * of table; bytes from 0x80 select a zero row. */
OPERATION vector_mask stop_rows(const uint8_t *at, const uint8_t *table)
{
    const __m128i rows = load(table);
    const __m128i bits = ALL(bits);
    __m128i bytes = load(at);
    __m128i upper = _mm_and_si128(_mm_srli_epi16(bytes, 4), ALL(half));
    __m128i in = _mm_and_si128(_mm_shuffle_epi8(rows, bytes), _mm_shuffle_epi8(bits, upper));

    return (vector_mask)_mm_movemask_epi8(_mm_cmpeq_epi8(in, _mm_setzero_si128()));
}

OPERATION vector_mask stop_token(const uint8_t *at)
{
    return stop_rows(at, http_token_rows);
}

OPERATION vector_mask stop_host(const uint8_t *at)
{
    return stop_rows(at, http_host_rows);
}

OPERATION vector_mask stop_value(const uint8_t *at)
{
    __m128i bytes = load(at);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, ALL(control)), bytes);
    __m128i tab = _mm_cmpeq_epi8(bytes, ALL(tab));
    __m128i del = _mm_cmpeq_epi8(bytes, ALL(del));

    return (vector_mask)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

/* As signed numbers, the bytes up to 0x20 and from 0x80 are those not above 0x20. */
OPERATION vector_mask stop_target(const uint8_t *at)
{
    __m128i bytes = load(at);
    __m128i visible = _mm_cmpgt_epi8(bytes, ALL(space));
    __m128i del = _mm_cmpeq_epi8(bytes, ALL(del));
    __m128i hash = _mm_cmpeq_epi8(bytes, ALL(hash));
    __m128i query = _mm_cmpeq_epi8(bytes, ALL(query));
    __m128i stop = _mm_or_si128(del, _mm_or_si128(hash, query));

    return (vector_mask)_mm_movemask_epi8(_mm_andnot_si128(stop, visible)) ^ 0xffff;
}

#include "net/http/message/scan_vector.inc"

#include "net/http/message/head_parse.inc"

const struct http_isa http_isa_sse42 = {"sse4.2", head_parse};
#endif
