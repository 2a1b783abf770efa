/* Clocks. A loop reads time through a struct leat_clock, which a simulator implements in its own
 * way, or through a clock_machine of its own, which costs no indirect call.
 *
 * clock_machine follows CLOCK_MONOTONIC. Where the processor has an invariant time-stamp counter
 * and the kernel itself keeps time by it, the counter is read directly (9.6 ns against 22.6 ns for
 * the vDSO on the machine where this was decided) and is anchored to CLOCK_MONOTONIC anew: an
 * anchor holds for a quarter of the time over which the rate was measured, at most CLOCK_ANCHOR_NS.
 * It never goes backwards, and is within a microsecond of CLOCK_MONOTONIC as long as the kernel's
 * rate changes as slowly as NTP changes it. One thread's. */
#ifndef LEAT_CLOCK_H
#define LEAT_CLOCK_H

#include "runtime/base/core.h"

#define CLOCK_CALIBRATE_NS                                                                         \
    (20 * LEAT_NS_PER_MS) /* read the vDSO until the rate is known this far */
#define CLOCK_ANCHOR_NS    (500 * LEAT_NS_PER_MS)
#define CLOCK_RATE_NS      (10 * LEAT_NS_PER_S)
#define CLOCK_ERROR_NS_MAX LEAT_NS_PER_MS /* further off: the counter is not to be trusted */

struct leat_clock {
    uint64_t (*now)(const struct leat_clock *clock);
};

struct clock_machine {
    uint64_t anchor_tsc, anchor_ns;
    uint64_t rate;        /* nanoseconds per count, 32 fractional bits */
    uint64_t tsc_age_max; /* counts for which the anchor holds; 0: ask the kernel each time */
    uint64_t last_ns;
    uint64_t first_tsc, first_ns;   /* the rate is measured from here, */
    uint64_t middle_tsc, middle_ns; /* and after CLOCK_RATE_NS from here */
    bool counts;                    /* the counter is invariant: it can tell how much was done, */
    bool has_tsc;                   /* and the kernel keeps time by it too: it can tell the time */
};

void clock_machine_init(struct clock_machine *clock);
uint64_t clock_machine_slow(struct clock_machine *clock);

/* How many counts of the time-stamp counter so many nanoseconds are, measured over the time since
 * the rate was last begun to be measured; 0 without an invariant counter, or in the first
 * CLOCK_CALIBRATE_NS. */
uint64_t clock_machine_counts(const struct clock_machine *clock, uint64_t ns);

/* CLOCK_MONOTONIC as the kernel tells it. */
uint64_t clock_monotonic(void);

#if defined(__x86_64__)
#define clock_tsc() __builtin_ia32_rdtsc()
#else
#define clock_tsc() UINT64_C(0)
#endif

static inline uint64_t clock_machine_now(struct clock_machine *clock)
{
    /* Unsigned: a counter that went backwards looks ancient too. */
    uint64_t age = clock_tsc() - clock->anchor_tsc;
    if (unlikely(age >= clock->tsc_age_max))
        return clock_machine_slow(clock);
    uint64_t now = clock->anchor_ns + (uint64_t)(((unsigned __int128)age * clock->rate) >> 32);
    if (unlikely(now < clock->last_ns))
        now = clock->last_ns;
    clock->last_ns = now;
    return now;
}

#endif
