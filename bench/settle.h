/* A loop whose clock knows the rate of the processor's counter, and asks the kernel no more: what a
 * read costs must not depend on how long the machine took to get here, nor on what its kernel keeps
 * time by. */
#ifndef BENCH_SETTLE_H
#define BENCH_SETTLE_H

#include <stdlib.h>

#include "runtime/loop/loop_internal.h"

static inline void bench_settle_clock(struct leat_loop *loop)
{
    struct clock_machine *clock = &loop->machine_clock;
    while (clock->counts && clock_machine_counts(clock, LEAT_NS_PER_S) == 0)
        (void)clock_machine_now(clock);
    clock->anchor_ns = clock_machine_now(clock);
    clock->anchor_tsc = clock_tsc();
    if (clock->counts)
        clock->rate = (LEAT_NS_PER_S << 32) / clock_machine_counts(clock, LEAT_NS_PER_S);
    clock->tsc_age_max = UINT64_MAX;
}

/* A loop that never sleeps, settled, and alive until bench_loop_free. */
static inline struct leat_loop *bench_loop_new(void)
{
    struct leat_loop *loop = leat_loop_new(&(struct leat_loop_options){.busy_poll = true}, NULL);
    if (loop == NULL)
        abort();
    bench_settle_clock(loop);
    leat_loop_ref(loop);
    return loop;
}

static inline void bench_loop_free(struct leat_loop *loop)
{
    leat_loop_unref(loop);
    leat_loop_free(loop);
}

#endif
