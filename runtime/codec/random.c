/* Random bytes: the kernel's, or a simulation's. */
#include "runtime/codec/random.h"

#include "runtime/base/rng.h"

#include <string.h>

void leat_random_bytes(void *bytes, size_t length_bytes)
{
    struct leat_core *core = leat_core_now;
    if (core == NULL || core->rng == NULL || !core->rng->is_seeded) {
        rng_secret(bytes, length_bytes);
        return;
    }
    for (uint8_t *at = bytes; length_bytes > 0;) {
        uint64_t word = rng_next(core->rng);
        size_t count = length_bytes < sizeof(word) ? length_bytes : sizeof(word);
        memcpy(at, &word, count);
        at += count;
        length_bytes -= count;
    }
}
