/* Error codes by name, and sentences that fit their place. */
#include <leat/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int leat_fail(struct leat_error *error, int code, const char *format, ...)
{
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->sentence, sizeof(error->sentence), format, args);
        va_end(args);
        error->code = code;
    }
    return code;
}

const char *leat_errno_name(int code)
{
    const char *name = strerrorname_np(code < 0 ? -code : code);
    return name != NULL ? name : "E?";
}
