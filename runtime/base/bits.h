/* Bit arithmetic with names. Arguments of the *_first and *_last functions must not be 0. */
#ifndef LEAT_BITS_H
#define LEAT_BITS_H

#include <leat/defs.h>

static inline unsigned bits_first(uint64_t word)
{
    return (unsigned)__builtin_ctzll(word);
}

static inline unsigned bits_last(uint64_t word)
{
    return 63 - (unsigned)__builtin_clzll(word);
}

static inline uint64_t bits_rotate_left(uint64_t word, unsigned count)
{
    return (word << (count & 63)) | (word >> ((64 - count) & 63));
}

static inline bool bits_is_power_of_two(uint64_t word)
{
    return word != 0 && (word & (word - 1)) == 0;
}

/* The smallest power of two >= word; word must be 1 .. 2^63. */
static inline uint64_t bits_round_up_power_of_two(uint64_t word)
{
    return word <= 1 ? 1 : UINT64_C(1) << (bits_last(word - 1) + 1);
}

#endif
