/* Runs one work of async.h and prints its figures as JSON: `async WORK SECONDS [COUNT]`. */
#include "bench/async.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct work {
    const char *name;
    void (*run)(double seconds, unsigned count);
    unsigned count; /* unless another one is asked for */
} works[] = {
    {"read", async_read, 0}, {"files", async_files, 10000},    {"pipe", async_pipe, 0},
    {"gzip", async_gzip, 0}, {"parked", async_parked, 100000}, {"uncached", async_uncached, 0},
};

static const char *between = "{";

void async_figure(const char *name, double value)
{
    printf("%s\"%s\": %.3f", between, name, value);
    between = ", ";
}

static double clock_s(clockid_t which)
{
    struct timespec at;
    clock_gettime(which, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

double async_process_s(void)
{
    return clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

double async_thread_s(void)
{
    return clock_s(CLOCK_THREAD_CPUTIME_ID);
}

double async_now_s(void)
{
    return clock_s(CLOCK_MONOTONIC);
}

static double run_for(uint64_t (*run)(void *state), void *state, double seconds)
{
    double end = async_now_s() + seconds, begin = async_process_s();
    uint64_t count = 0;
    do
        count += run(state);
    while (async_now_s() < end);
    return (async_process_s() - begin) * 1e9 / (double)count;
}

double async_measure(uint64_t (*run)(void *state), void *state, double seconds)
{
    (void)run_for(run, state, seconds / 10);
    return run_for(run, state, seconds);
}

int main(int argc, char **argv)
{
    double seconds = argc >= 3 ? strtod(argv[2], NULL) : 0.0;
    unsigned count = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    for (size_t i = 0; seconds > 0 && i < sizeof(works) / sizeof(works[0]); i++) {
        if (strcmp(works[i].name, argv[1]) != 0)
            continue;
        works[i].run(seconds, count > 0 ? count : works[i].count);
        puts("}");
        return 0;
    }
    fputs("usage: async read|uncached|files|pipe|gzip|parked SECONDS [COUNT]\n", stderr);
    return 2;
}
