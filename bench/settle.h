/* A loop whose clock has learnt the rate of the processor's counter, and asks the kernel no more:
 * what a read costs must not depend on how long the machine took to get here. */
#ifndef BENCH_SETTLE_H
#define BENCH_SETTLE_H

#include "runtime/loop/loop_internal.h"

static inline void bench_settle_clock(struct leat_loop *loop)
{
    struct clock_machine *clock = &loop->machine_clock;
    while (clock->has_tsc && clock_machine_counts(clock, LEAT_NS_PER_S) == 0)
        (void)clock_machine_now(clock);
    clock->tsc_age_max = UINT64_MAX;
}

#endif
