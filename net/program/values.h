/* Sizes and times as users write them: one parser for all sizes, one for all times. Pure functions.
 * Internal: not installed.
 *
 * Sizes, as in GNU's tools: k, M, G, T and KiB, MiB, GiB, TiB are powers of 1024, kB, MB, GB, TB
 * powers of 1000; B and nothing are bytes. Times: ns, us, ms, s, m or min, h, d; nothing is
 * seconds. The case of a unit does not matter.
 * A number may have a fraction, "1.5s", "0.5MiB", of which at most nine digits count; half a byte
 * or half a nanosecond is none. */
#ifndef LEAT_VALUES_H
#define LEAT_VALUES_H

#include <leat/options.h>

/* Decimal digits and nothing else. True: *value is set. */
bool value_count_parse(const char *text, uint64_t *value);
bool value_bytes_parse(const char *text, uint64_t *value);
/* Nanoseconds. */
bool value_duration_parse(const char *text, uint64_t *value);

/* The parser of a kind that is a number, and what its sentences give as an example. */
struct value_kind {
    bool (*parse)(const char *text, uint64_t *value);
    const char *example;
};
const struct value_kind *value_kind_of(enum leat_option_kind kind);

/* In the largest unit that tells it exactly, as "64k" or "90s". Returns text. */
char *value_format(enum leat_option_kind kind, uint64_t value, char text[32]);

#endif
