/* Log-linear histograms. */
#include "runtime/base/histogram.h"

#include <string.h>

uint64_t histogram_bucket_max(unsigned bucket)
{
    if (bucket < 1u << HISTOGRAM_BITS)
        return bucket;
    unsigned shift = (bucket >> HISTOGRAM_BITS) - 1;
    uint64_t top = (UINT64_C(1) << HISTOGRAM_BITS) | (bucket & ((1u << HISTOGRAM_BITS) - 1));
    return (top << shift) + ((UINT64_C(1) << shift) - 1);
}

void histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

void histogram_merge(struct histogram *histogram, const struct histogram *from)
{
    if (from->count == 0)
        return;
    histogram->count += from->count;
    histogram->sum += from->sum;
    if (from->max > histogram->max)
        histogram->max = from->max;
    for (unsigned i = 0; i <= histogram_bucket(from->max); i++)
        histogram->buckets[i] += from->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    double exact = (double)histogram->count * percent / 100;
    uint64_t rank = (uint64_t)exact + ((double)(uint64_t)exact < exact), seen = 0;
    if (rank == 0)
        rank = 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            uint64_t value = histogram_bucket_max(i);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return histogram->max;
}
