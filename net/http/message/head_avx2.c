/* The parser of heads, scanning 32 bytes at a time (AVX2). */
#include "net/http/message/parser_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define HTTP_TARGET  __attribute__((target("avx2,bmi,bmi2")))
#define VECTOR_BYTES 32
typedef uint32_t vector_mask;
#define OPERATION static inline __attribute__((always_inline)) HTTP_TARGET

OPERATION __m256i load(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

#define ALL(byte) load(http_vectors.byte)

/* As in head_sse42.c, on 32 bytes. */
OPERATION vector_mask stop_rows(const uint8_t *at, const uint8_t *table)
{
    const __m256i rows =
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
    const __m256i bits = ALL(bits);
    __m256i bytes = load(at);
    __m256i upper = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), ALL(half));
    __m256i in =
        _mm256_and_si256(_mm256_shuffle_epi8(rows, bytes), _mm256_shuffle_epi8(bits, upper));

    return (vector_mask)_mm256_movemask_epi8(_mm256_cmpeq_epi8(in, _mm256_setzero_si256()));
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
    __m256i bytes = load(at);
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, ALL(control)), bytes);
    __m256i tab = _mm256_cmpeq_epi8(bytes, ALL(tab));
    __m256i del = _mm256_cmpeq_epi8(bytes, ALL(del));

    return (vector_mask)_mm256_movemask_epi8(
        _mm256_or_si256(_mm256_andnot_si256(tab, control), del));
}

OPERATION vector_mask stop_target(const uint8_t *at)
{
    __m256i bytes = load(at);
    __m256i visible = _mm256_cmpgt_epi8(bytes, ALL(space));
    __m256i del = _mm256_cmpeq_epi8(bytes, ALL(del));
    __m256i hash = _mm256_cmpeq_epi8(bytes, ALL(hash));
    __m256i query = _mm256_cmpeq_epi8(bytes, ALL(query));
    __m256i stop = _mm256_or_si256(del, _mm256_or_si256(hash, query));

    return (vector_mask)_mm256_movemask_epi8(_mm256_andnot_si256(stop, visible)) ^ 0xffffffff;
}

#include "net/http/message/scan_vector.inc"

#include "net/http/message/head_parse.inc"

const struct http_isa http_isa_avx2 = {"avx2", head_parse};
#endif
