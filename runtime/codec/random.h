/* Random bytes: for keys, tokens, boundaries, whatever must not be guessed. */
#ifndef LEAT_RANDOM_H
#define LEAT_RANDOM_H

#include <leat/defs.h>

LEAT_BEGIN

/* From the kernel's generator (getrandom), on any thread; it does not fail, a system without one
 * stops the program. On a loop whose options have a seed, which simulations and tests set and
 * servers must not, they come from the seed, so that a run repeats. */
LEAT_API void leat_random_bytes(void *bytes, size_t length_bytes);

LEAT_END
#endif
