/* What a check found, made from a format. */
#include "apps/doctor/machine.h"

#include <stdarg.h>
#include <stdio.h>

struct finding finding_of(enum finding_mark mark, const char *mend, const char *format, ...)
{
    struct finding finding = {.mark = mark};
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): the line above has started it */
    vsnprintf(finding.fact, sizeof(finding.fact), format, args);
    va_end(args);
    snprintf(finding.mend, sizeof(finding.mend), "%s", mend != NULL ? mend : "");
    return finding;
}
