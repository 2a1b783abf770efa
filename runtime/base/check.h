/* Assertions: the third kind of error, in which Leat or its user's program is wrong.
 *
 * LEAT_CHECK is kept in every build. LEAT_DCHECK is kept in debug, sanitizer and simulation builds,
 * and costs nothing in others (its condition is still compiled). Both stop the program with a dump
 * of core, loop phase and backtrace, through leat_panic. They are never used on what a peer or the
 * system can cause. */
#ifndef LEAT_CHECK_H
#define LEAT_CHECK_H

#include <leat/defs.h>

LEAT_BEGIN

/* Prints where, what, the current core and its phase, and a backtrace; ends the process by SIGABRT.
 */
LEAT_API void leat_panic(const char *file, int line, const char *function, const char *format, ...)
    __attribute__((noreturn, cold)) LEAT_PRINTF(4, 5);

#define LEAT_CHECK(condition)                                                                      \
    ((condition) ? (void)0 : leat_panic(__FILE__, __LINE__, __func__, "%s", #condition))

#if !defined(LEAT_DCHECK_ON)
#define LEAT_DCHECK_ON 0
#endif
#define LEAT_DCHECK(condition)                                                                     \
    ((!LEAT_DCHECK_ON || (condition))                                                              \
         ? (void)0                                                                                 \
         : leat_panic(__FILE__, __LINE__, __func__, "%s", #condition))

LEAT_END
#endif
