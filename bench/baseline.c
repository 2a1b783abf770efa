/* What the machine itself costs, to read the other groups against. */
#include "bench/harness.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COPY_BYTES = 1024 };

static void nothing(void *state, uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++)
        bench_keep_value(i);
}

static void clock_read(void *state, uint64_t iterations)
{
    struct timespec now;
    for (uint64_t i = 0; i < iterations; i++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        bench_keep(&now);
    }
}

static void malloc_free(void *state, uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        void *memory = malloc(COPY_BYTES);
        bench_keep(memory);
        free(memory);
    }
}

static void *copy_setup(uint64_t argument)
{
    return calloc(2, argument);
}

static void copy(void *state, uint64_t iterations)
{
    char *memory = state;
    for (uint64_t i = 0; i < iterations; i++) {
        memcpy(memory, memory + COPY_BYTES, COPY_BYTES);
        bench_keep(memory);
    }
}

static const struct bench_case cases[] = {
    {.name = "empty loop", .run = nothing, .is_alternative = true},
    {.name = "clock_gettime", .run = clock_read, .is_alternative = true},
    {.name = "malloc and free 1 KiB", .run = malloc_free, .is_alternative = true},
    {.name = "memcpy 1 KiB",
     .setup = copy_setup,
     .run = copy,
     .teardown = free,
     .argument = COPY_BYTES,
     .bytes_per_iteration = COPY_BYTES,
     .is_alternative = true},
};
BENCH_GROUP(baseline, cases);
