/* The switch between two stacks of one thread: what the calling convention lets a function keep
 * (callee-saved registers and the stack pointer), and nothing else. The signal mask, errno, MXCSR
 * and the x87 control word are not saved: they are the thread's.
 *
 * switch_x86_64.S and switch_aarch64.S do it by hand; switch_ucontext.c by swapcontext, which costs
 * two system calls: for other processors, and as the oracle of the tests (-Dswitch=ucontext).
 *
 * Internal to the library: not installed. */
#ifndef LEAT_SWITCH_H
#define LEAT_SWITCH_H

#include <leat/defs.h>
#include <leat/error.h>

typedef void switch_fn(void *arg);

/* A stack that is left. Valid from switch_prepare, or from the switch away from it, until the
 * switch to it. */
struct switch_context {
    void *sp;
};

/* A context that begins with enter(arg) on the stack whose bytes are [low, top); top is a multiple
 * of 16. enter must not return. The caller's frame is its last: unwinders stop there. */
void switch_prepare(struct switch_context *context, char *low, char *top, switch_fn *enter,
                    void *arg);

/* gcc puts a landing pad for branches behind a call of such a function only. */
#if defined(__ARM_FEATURE_BTI_DEFAULT)
#define SWITCH_LANDS __attribute__((returns_twice))
#else
#define SWITCH_LANDS
#endif

/* Leaves the running stack, to which from leads back, for that of to. */
void switch_stacks(struct switch_context *from, const struct switch_context *to) SWITCH_LANDS;

/* 0; or -ENOTSUP with a sentence where the processor keeps a second stack of return addresses, of
 * which a switch by hand knows nothing. */
int switch_is_possible(struct leat_error *error) LEAT_MUST_CHECK;
/* What it says of the answer of arch_prctl(ARCH_SHSTK_STATUS): for tests. */
int switch_judge_shadow_stack(int result, unsigned long features,
                              struct leat_error *error) LEAT_MUST_CHECK;

#endif
