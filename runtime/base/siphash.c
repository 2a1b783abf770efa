/* SipHash-2-4. */
#include "runtime/base/siphash.h"

#include <string.h>

#include "runtime/base/bits.h"

static void sip_rounds(uint64_t v[4], int count)
{
    while (count-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = bits_rotate_left(v[1], 13) ^ v[0];
        v[3] = bits_rotate_left(v[3], 16) ^ v[2];
        v[0] = bits_rotate_left(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = bits_rotate_left(v[1], 17) ^ v[2];
        v[3] = bits_rotate_left(v[3], 21) ^ v[0];
        v[2] = bits_rotate_left(v[2], 32);
    }
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
}

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t length_bytes)
{
    const uint8_t *at = bytes;
    uint64_t k0 = key->words[0], k1 = key->words[1], word;
    uint64_t v[4] = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                     k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    for (size_t left = length_bytes; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        sip_absorb(v, word);
    }
    word = (uint64_t)length_bytes << 56;
    for (size_t i = 0; i < (length_bytes & 7); i++)
        word |= (uint64_t)at[i] << (8 * i);
    sip_absorb(v, word);
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie");
