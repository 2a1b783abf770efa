/* Log-linear histograms: 128 buckets to a power of two, exact below 128. A value that is read back
 * is the highest of its bucket: at most 1/128 (0.8 %) above what was recorded, never below. Fixed
 * memory of 59 KiB, of which only what is touched becomes resident. Pure; one thread's. */
#ifndef LEAT_HISTOGRAM_H
#define LEAT_HISTOGRAM_H

#include "runtime/base/bits.h"

#define HISTOGRAM_BITS    7
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram { /* all zeros: empty */
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
    if (value < UINT64_C(1) << HISTOGRAM_BITS)
        return (unsigned)value;
    unsigned shift = bits_last(value) - HISTOGRAM_BITS;
    return ((shift + 1) << HISTOGRAM_BITS) + (unsigned)(value >> shift) - (1u << HISTOGRAM_BITS);
}

static inline void histogram_record_many(struct histogram *histogram, uint64_t value,
                                         uint64_t count)
{
    histogram->buckets[histogram_bucket(value)] += count;
    histogram->count += count;
    histogram->sum += value * count;
    if (value > histogram->max)
        histogram->max = value;
}

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
    histogram_record_many(histogram, value, 1);
}

/* The highest value that falls into the bucket. */
uint64_t histogram_bucket_max(unsigned bucket);

void histogram_reset(struct histogram *histogram);

/* Adds what from holds. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* The value below or at which percent (0 .. 100) of what was recorded lies; 0 when empty. 100 gives
 * the exact maximum. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

#endif
