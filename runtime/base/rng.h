/* Random numbers for a core: xoshiro256++ (Blackman and Vigna, "Scrambled linear pseudorandom
 * number generators", 2021), seeded from the kernel, or from a number where runs must repeat. Fast
 * and well distributed; not for secrets: whoever sees outputs can tell the next ones. Keys come
 * from rng_secret. */
#ifndef LEAT_RNG_H
#define LEAT_RNG_H

#include "runtime/base/bits.h"
#include "runtime/base/core.h"

struct leat_rng {
    uint64_t state[4];
    bool is_seeded; /* by a number: what comes repeats */
};

/* seed 0: from the kernel. */
void rng_init(struct leat_rng *rng, uint64_t seed);

/* Bytes from the kernel's generator. Stops the program when there is none: no server should run
 * without. */
void rng_secret(void *bytes, size_t length_bytes);

static inline uint64_t rng_next(struct leat_rng *rng)
{
    uint64_t *s = rng->state, result = bits_rotate_left(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = bits_rotate_left(s[3], 45);
    return result;
}

/* 0 .. count - 1, for count > 0. No value is favoured by more than count / 2^64. */
static inline uint64_t rng_below(struct leat_rng *rng, uint64_t count)
{
    return (uint64_t)(((unsigned __int128)rng_next(rng) * count) >> 64);
}

#endif
