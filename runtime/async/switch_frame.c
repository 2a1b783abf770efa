/* The first frame of a stack that switch_x86_64.S or switch_aarch64.S will switch to. */
#include "runtime/async/switch_frame.h"

#include <stddef.h>

#include "runtime/async/switch.h"

/* The names of the fields are those of x86-64 and AArch64: what the first switch needs. */
struct switch_frame {
#if defined(__x86_64__)
    void *r15, *r14, *enter, *arg, *rbx, *fp, *pc;
#else
    void *arg, *enter, *x21_to_x28[8], *fp, *pc;
    double d8_to_d15[8];
#endif
};

_Static_assert(sizeof(struct switch_frame) == SWITCH_FRAME_BYTES, "the assembler's frame");
_Static_assert(offsetof(struct switch_frame, arg) == SWITCH_FRAME_ARG, "x19 or r12");
_Static_assert(offsetof(struct switch_frame, enter) == SWITCH_FRAME_ENTER, "x20 or r13");
_Static_assert(offsetof(struct switch_frame, fp) == SWITCH_FRAME_FP, "x29 or rbp");
_Static_assert(offsetof(struct switch_frame, pc) == SWITCH_FRAME_PC, "where it goes on");
_Static_assert(offsetof(struct switch_context, sp) == 0, "what the assembler stores and loads");
#if defined(__aarch64__)
_Static_assert(offsetof(struct switch_frame, d8_to_d15) == SWITCH_FRAME_D8, "d8");
_Static_assert(SWITCH_FRAME_BYTES % 16 == 0, "sp is a multiple of 16");
#endif

void switch_begin(void); /* in assembler: calls enter(arg) */

void switch_prepare(struct switch_context *context, char *low, char *top, switch_fn *enter,
                    void *arg)
{
    struct switch_frame *frame = (struct switch_frame *)(void *)(top - sizeof(*frame));
    *frame = (struct switch_frame){.enter = (void *)(uintptr_t)enter,
                                   .arg = arg,
                                   .pc = (void *)(uintptr_t)switch_begin};
    context->sp = frame;
}
