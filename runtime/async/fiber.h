/* One stack that can be left: its context, and what tools must be told when it is.
 *
 * AddressSanitizer wants the bounds of the stack that is gone to, and keeps a fake stack of frames
 * that have ended for each one; ThreadSanitizer wants a fiber for each. Both build Leat's tests: in
 * other builds a fiber is its context. The C++ runtime keeps the exceptions that a thread is
 * handling in two words of the thread, which here are the fiber's.
 *
 * All of it is inline: each return behind a switch that belongs to Leat is one that the processor
 * predicts wrong. Internal to the library: not installed. */
#ifndef LEAT_FIBER_H
#define LEAT_FIBER_H

#include "runtime/async/switch.h"
#include "runtime/base/core.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif
#if !defined(FIBER_ASAN)
#define FIBER_ASAN 0
#endif
#if !defined(FIBER_TSAN)
#define FIBER_TSAN 0
#endif

#if FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct fiber {
    struct switch_context context;
#if FIBER_ASAN
    const void *low;
    size_t bytes;
    void *fake;
#endif
#if FIBER_TSAN
    void *thread;
#endif
};

/* The C++ ABI's record of exceptions that are being handled (Itanium C++ ABI 2.2.2). The function
 * is there when the program is linked with a C++ library. */
struct fiber_exceptions {
    void *caught;
    unsigned uncaught_count;
};
extern struct fiber_exceptions *__cxa_get_globals(void) __attribute__((weak));

/* MXCSR or FPCR: which way results are rounded belongs to the thread, not to a task. */
static inline uint64_t fiber_rounding(void)
{
#if defined(__SSE__)
    return __builtin_ia32_stmxcsr() & 0xffc0; /* not the flags of what has happened */
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
#else
    return 0;
#endif
}

/* The stack that runs now. */
static inline void fiber_init_running(struct fiber *fiber)
{
#if FIBER_TSAN
    fiber->thread = __tsan_get_current_fiber();
#endif
}

static inline void fiber_init(struct fiber *fiber, char *low, char *top, switch_fn *enter,
                              void *arg)
{
#if FIBER_ASAN
    fiber->low = low;
    fiber->bytes = (size_t)(top - low);
    fiber->fake = NULL;
#endif
#if FIBER_TSAN
    fiber->thread = __tsan_create_fiber(0);
#endif
    switch_prepare(&fiber->context, low, top, enter, arg);
}

/* From another stack, when it has been left for the last time. */
static inline void fiber_fini(struct fiber *fiber)
{
#if FIBER_TSAN
    __tsan_destroy_fiber(fiber->thread);
#endif
}

/* The first of what runs on a new fiber. */
static inline void fiber_arrive(struct fiber *fiber, struct fiber *from)
{
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(fiber->fake, &from->low, &from->bytes);
#endif
    if (unlikely(__cxa_get_globals != NULL))
        *__cxa_get_globals() = (struct fiber_exceptions){NULL, 0};
}

/* Returns when somebody switches back. */
static inline __attribute__((always_inline)) void fiber_switch(struct fiber *from, struct fiber *to,
                                                               bool is_last)
{
    struct fiber_exceptions exceptions = {NULL, 0};
    struct fiber_exceptions *thread = __cxa_get_globals != NULL ? __cxa_get_globals() : NULL;
    uint64_t rounding = LEAT_DCHECK_ON ? fiber_rounding() : 0;
    if (unlikely(thread != NULL))
        exceptions = *thread;
#if FIBER_ASAN
    __sanitizer_start_switch_fiber(is_last ? NULL : &from->fake, to->low, to->bytes);
#endif
#if FIBER_TSAN
    __tsan_switch_to_fiber(to->thread, 0);
#endif
    switch_stacks(&from->context, &to->context);
#if FIBER_ASAN
    __sanitizer_finish_switch_fiber(from->fake, &to->low, &to->bytes);
#endif
    if (unlikely(thread != NULL))
        *thread = exceptions;
    DCHECK(rounding == (LEAT_DCHECK_ON ? fiber_rounding() : 0)); /* nobody changed it meanwhile */
}

#endif
