/* Random numbers: seeds, and secrets from the kernel. */
#include "runtime/base/rng.h"

#include <errno.h>
#include <sys/random.h>

void rng_secret(void *bytes, size_t length_bytes)
{
    uint8_t *at = bytes;
    while (length_bytes > 0) {
        ssize_t got = getrandom(at, length_bytes, 0);
        CHECK(got > 0 || errno == EINTR);
        if (got <= 0)
            continue;
        at += got;
        length_bytes -= (size_t)got;
    }
}

void rng_init(struct leat_rng *rng, uint64_t seed)
{
    rng->is_seeded = seed != 0;
    if (seed == 0)
        rng_secret(&seed, sizeof(seed));
    /* splitmix64, which the authors of xoshiro recommend for its state: never all zeros. */
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        rng->state[i] = z ^ (z >> 31);
    }
}
