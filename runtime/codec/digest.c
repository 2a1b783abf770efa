/* SHA-1 and SHA-256. */
#include "runtime/codec/digest.h"

#include <leat/check.h>

#include <string.h>

static uint32_t rotate_left(uint32_t word, unsigned count)
{
    return word << count | word >> (32 - count);
}

static uint32_t rotate_right(uint32_t word, unsigned count)
{
    return word >> count | word << (32 - count);
}

static uint32_t word_read(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

static void word_write(uint8_t *at, uint32_t word)
{
    for (int i = 3; i >= 0; i--, word >>= 8)
        at[i] = (uint8_t)word;
}

/* RFC 3174 6.1, with the message schedule as a ring of 16 words (6.2). */
static void sha1_block(uint32_t words[8], const uint8_t *block)
{
    uint32_t ring[16], a = words[0], b = words[1], c = words[2], d = words[3], e = words[4];
    for (unsigned i = 0; i < 80; i++) {
        uint32_t mixed, constant;
        if (i < 16)
            ring[i] = word_read(block + 4 * i);
        else
            ring[i & 15] = rotate_left(ring[(i + 13) & 15] ^ ring[(i + 8) & 15] ^
                                           ring[(i + 2) & 15] ^ ring[i & 15],
                                       1);
        if (i < 20) {
            mixed = d ^ (b & (c ^ d));
            constant = 0x5a827999;
        } else if (i < 40) {
            mixed = b ^ c ^ d;
            constant = 0x6ed9eba1;
        } else if (i < 60) {
            mixed = (b & c) | (d & (b | c));
            constant = 0x8f1bbcdc;
        } else {
            mixed = b ^ c ^ d;
            constant = 0xca62c1d6;
        }
        uint32_t next = rotate_left(a, 5) + mixed + e + constant + ring[i & 15];
        e = d;
        d = c;
        c = rotate_left(b, 30);
        b = a;
        a = next;
    }
    words[0] += a;
    words[1] += b;
    words[2] += c;
    words[3] += d;
    words[4] += e;
}

/* The fractions of the cube roots of the first 64 primes (RFC 6234 5.1). */
static const uint32_t sha256_constants[64] =
    {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
     0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
     0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
     0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
     0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
     0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
     0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
     0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
     0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
     0xc67178f2};

/* RFC 6234 6.2. */
static void sha256_block(uint32_t words[8], const uint8_t *block)
{
    uint32_t schedule[64], v[8];
    for (unsigned i = 0; i < 16; i++)
        schedule[i] = word_read(block + 4 * i);
    for (unsigned i = 16; i < 64; i++) {
        uint32_t far = schedule[i - 15], near = schedule[i - 2];
        schedule[i] = schedule[i - 16] + schedule[i - 7] +
                      (rotate_right(far, 7) ^ rotate_right(far, 18) ^ far >> 3) +
                      (rotate_right(near, 17) ^ rotate_right(near, 19) ^ near >> 10);
    }
    memcpy(v, words, sizeof(v));
    for (unsigned i = 0; i < 64; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t first = v[7] + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) +
                         (v[6] ^ (e & (v[5] ^ v[6]))) + sha256_constants[i] + schedule[i];
        uint32_t second = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) +
                          ((a & v[1]) | (v[2] & (a | v[1])));
        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[4] += first;
        v[0] = first + second;
    }
    for (unsigned i = 0; i < 8; i++)
        words[i] += v[i];
}

static const struct {
    size_t digest_bytes;
    void (*block)(uint32_t words[8], const uint8_t *block);
    uint32_t words[8];
} kinds[] = {
    [LEAT_SHA1] = {20,
                   sha1_block,
                   {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0, 0, 0, 0}},
    [LEAT_SHA256] = {32,
                     sha256_block,
                     {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                      0x1f83d9ab, 0x5be0cd19}},
};

void leat_digest_init(struct leat_digest *digest, enum leat_digest_kind kind)
{
    LEAT_CHECK(kind <= LEAT_SHA256);
    memset(digest, 0, sizeof(*digest));
    digest->kind = kind;
    memcpy(digest->words, kinds[kind].words, sizeof(digest->words));
}

void leat_digest_update(struct leat_digest *digest, const void *bytes, size_t length_bytes)
{
    const uint8_t *at = bytes;
    size_t filled = digest->length_bytes % sizeof(digest->block);
    digest->length_bytes += length_bytes;
    if (filled != 0) {
        size_t room = sizeof(digest->block) - filled;
        size_t count = length_bytes < room ? length_bytes : room;
        memcpy(digest->block + filled, at, count);
        at += count;
        length_bytes -= count;
        if (count < room)
            return;
        kinds[digest->kind].block(digest->words, digest->block);
    }
    for (; length_bytes >= sizeof(digest->block); at += sizeof(digest->block)) {
        kinds[digest->kind].block(digest->words, at);
        length_bytes -= sizeof(digest->block);
    }
    if (length_bytes != 0)
        memcpy(digest->block, at, length_bytes);
}

size_t leat_digest_finish(struct leat_digest *digest, uint8_t *to)
{
    uint64_t bits = digest->length_bytes * 8;
    size_t filled = digest->length_bytes % sizeof(digest->block);
    size_t padding = (filled < 56 ? 56 : 120) - filled, bytes = kinds[digest->kind].digest_bytes;
    uint8_t last[128] = {0x80};
    word_write(last + padding, (uint32_t)(bits >> 32));
    word_write(last + padding + 4, (uint32_t)bits);
    leat_digest_update(digest, last, padding + 8);
    for (size_t i = 0; i < bytes / 4; i++)
        word_write(to + 4 * i, digest->words[i]);
    leat_digest_init(digest, digest->kind);
    return bytes;
}
