/* The Internet checksum over a header, a full segment and 64 KiB, beside memcpy of the same bytes.
 */
#include "bench/harness.h"

#include "net/stack/wire.h"

#include <stdlib.h>
#include <string.h>

struct bytes {
    size_t length;
    uint8_t *from, *to;
};

static void *setup(uint64_t length)
{
    struct bytes *bytes = calloc(1, sizeof(*bytes));
    if (bytes == NULL)
        return NULL;
    bytes->length = length;
    bytes->from = aligned_alloc(64, (length + 63) / 64 * 64);
    bytes->to = aligned_alloc(64, (length + 63) / 64 * 64);
    if (bytes->from == NULL || bytes->to == NULL)
        abort();
    memset(bytes->from, 0x5a, length);
    return bytes;
}

static void teardown(void *state)
{
    struct bytes *bytes = state;
    free(bytes->from);
    free(bytes->to);
    free(bytes);
}

static void sum(void *state, uint64_t iterations)
{
    const struct bytes *bytes = state;
    for (uint64_t i = 0; i < iterations; i++) {
        bench_keep(bytes->from);
        csum total = csum_add(CSUM_ZERO, bytes->from, bytes->length);
        bench_keep_value(csum_finish(total).raw);
    }
}

static void copy(void *state, uint64_t iterations)
{
    const struct bytes *bytes = state;
    for (uint64_t i = 0; i < iterations; i++) {
        memcpy(bytes->to, bytes->from, bytes->length);
        bench_keep(bytes->to);
    }
}

#define SUM_CASE(label, length)                                                                    \
    {                                                                                              \
        .name = label, .setup = setup, .run = sum, .teardown = teardown, .argument = length,       \
        .bytes_per_iteration = length                                                              \
    }
#define COPY_CASE(label, length)                                                                   \
    {                                                                                              \
        .name = label " memcpy", .setup = setup, .run = copy, .teardown = teardown,                \
        .argument = length, .bytes_per_iteration = length, .is_alternative = true                  \
    }

static const struct bench_case cases[] = {
    SUM_CASE("20 bytes", 20),      COPY_CASE("20 bytes", 20), SUM_CASE("1460 bytes", 1460),
    COPY_CASE("1460 bytes", 1460), SUM_CASE("64 KiB", 65536), COPY_CASE("64 KiB", 65536),
};
BENCH_GROUP(checksum, cases);
