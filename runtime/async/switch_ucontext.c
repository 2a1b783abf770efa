/* The switch of stacks by the C library: for processors without an assembler file of their own, and
 * as the oracle that the others are tested against. Each switch sets the signal mask, by a system
 * call. */
#include <stdint.h>
#include <ucontext.h>

#include "runtime/async/switch.h"
#include "runtime/base/core.h"

/* makecontext passes ints alone. */
struct switch_start {
    ucontext_t first;
    switch_fn *enter;
    void *arg;
};

static void switch_begin(unsigned low, unsigned high)
{
    struct switch_start *start = (struct switch_start *)(((uintptr_t)high << 16 << 16) | low);
    start->enter(start->arg);
    CHECK(false); /* enter does not return */
}

void switch_prepare(struct switch_context *context, char *low, char *top, switch_fn *enter,
                    void *arg)
{
    size_t bytes = (sizeof(struct switch_start) + 63) & ~(size_t)63;
    struct switch_start *start = (struct switch_start *)(void *)(top - bytes);
    CHECK(getcontext(&start->first) == 0);
    start->enter = enter;
    start->arg = arg;
    start->first.uc_stack = (stack_t){.ss_sp = low, .ss_size = (size_t)((char *)start - low)};
    start->first.uc_link = NULL;
    uintptr_t at = (uintptr_t)start;
    makecontext(&start->first, (void (*)(void))(uintptr_t)switch_begin, 2, (unsigned)at,
                (unsigned)(at >> 16 >> 16));
    context->sp = &start->first;
}

void switch_stacks(struct switch_context *from, const struct switch_context *to)
{
    ucontext_t own;
    from->sp = &own;
    CHECK(swapcontext(&own, to->sp) == 0);
}
