/* The end of a program that is wrong: its sentence, then the crash report. */
#include "runtime/base/crash.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void leat_panic(const char *file, int line, const char *function, const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    const struct leat_core *core = leat_core_now;
    leat_crash_begin(SIGABRT);
    dprintf(STDERR_FILENO, "leat: %s:%d: %s: check failed: %s (core %d, phase %s)\n", file, line,
            function, message, core != NULL ? (int)core->index : -1,
            core != NULL && core->phase != NULL ? core->phase : "none");
    const void *place = leat_crash_note(STDERR_FILENO, NULL, NULL);
    leat_crash_backtrace(STDERR_FILENO, __builtin_return_address(0));
    leat_crash_place(STDERR_FILENO, place);
    abort();
}
