/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for tables whose keys a peer chooses,
 * and for what must not be guessed (initial sequence numbers, cookies). Pure. */
#ifndef LEAT_SIPHASH_H
#define LEAT_SIPHASH_H

#include <leat/defs.h>

struct siphash_key {
    uint64_t words[2]; /* from rng_secret */
};

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t length_bytes);

#endif
