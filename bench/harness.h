/* Micro benchmarks in C over Google Benchmark, and the same cases under callgrind.
 *
 * A file bench/NAME.c defines `const struct bench_group bench_NAME`, and its NAME stands in
 * bench/meson.build; nothing else is to be done. A case is set up once, then run several times with
 * growing numbers of iterations on the same state, then torn down: run must leave the state such
 * that it can go on from there. What a user would take instead (malloc, memchr, libuv) is a case of
 * the same group, named after the alternative: "restart" beside "restart libuv".
 *
 *   build/bench/micro                       every case, Google Benchmark's flags work
 *   build/bench/micro --list                their names
 *   build/bench/micro --count N [PATTERN]   each case whose name contains PATTERN runs N iterations
 *                                           once, with a callgrind dump named after it
 *   build/bench/micro --count-ours N        the same without the alternatives
 *
 * `./dev bench micro` puts both together: ns, cycles and instructions per iteration; `./dev bench
 * count` keeps the instructions of our own cases in a table that CI compares. */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* Where report() puts figures of its own: bench_counter("collisions", 3.0). Names are static. */
struct bench_report;
void bench_counter(struct bench_report *report, const char *name, double value);

struct bench_case {
    const char *name; /* shown as "group/name" */
    /* Makes the state; NULL from it: the case is reported as failed. No setup: the state is NULL */
    void *(*setup)(uint64_t argument);
    void (*run)(void *state, uint64_t iterations);
    void (*teardown)(void *state);                            /* may be NULL */
    void (*report)(void *state, struct bench_report *report); /* may be NULL */
    uint64_t argument;                                        /* setup's */
    uint64_t counted_argument;    /* setup's for --count, when argument takes long; 0: the same */
    bool is_alternative;          /* what a user would take instead, or what the machine costs */
    bool is_uncounted;            /* another case has its instructions */
    uint64_t bytes_per_iteration; /* 0: no bytes/s shown */
    uint64_t items_per_iteration; /* 0: no items/s shown */
};

struct bench_group {
    const char *name;
    const struct bench_case *cases;
    size_t case_count;
};

#define BENCH_GROUP(group_name, group_cases)                                                       \
    const struct bench_group bench_##group_name = {#group_name, group_cases,                       \
                                                   sizeof(group_cases) / sizeof((group_cases)[0])}

/* The compiler must have the value, and must take memory as read and written here. */
static inline void bench_keep(const void *pointer)
{
    __asm__ volatile("" : : "r"(pointer) : "memory");
}

static inline void bench_keep_value(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

/* Numbers that are the same in every run: xorshift64*, state must not be 0. */
static inline uint64_t bench_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

#if defined(__cplusplus)
}
#endif
#endif
