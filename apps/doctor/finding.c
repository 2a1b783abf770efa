/* What a check found, made from a format. */
#include "apps/doctor/machine.h"

#include <stdarg.h>
#include <stdio.h>

static void finding_write(struct finding *finding, const char *mend, const char *format,
                          va_list args) LEAT_PRINTF(3, 0);
static void finding_write(struct finding *finding, const char *mend, const char *format,
                          va_list args)
{
    vsnprintf(finding->fact, sizeof(finding->fact), format, args);
    snprintf(finding->mend, sizeof(finding->mend), "%s", mend != NULL ? mend : "");
}

struct finding finding_ok(const char *format, ...)
{
    struct finding finding = {.mark = FINDING_OK};
    va_list args;
    va_start(args, format);
    finding_write(&finding, NULL, format, args);
    va_end(args);
    return finding;
}

struct finding finding_note(const char *mend, const char *format, ...)
{
    struct finding finding = {.mark = FINDING_NOTE};
    va_list args;
    va_start(args, format);
    finding_write(&finding, mend, format, args);
    va_end(args);
    return finding;
}

struct finding finding_fail(const char *mend, const char *format, ...)
{
    struct finding finding = {.mark = FINDING_FAIL};
    va_list args;
    va_start(args, format);
    finding_write(&finding, mend, format, args);
    va_end(args);
    return finding;
}
