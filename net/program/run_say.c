/* What the waiting thread says to whoever started the program. The log's writer writes it, so that
 * a reader which does not read keeps no signal waiting. */
#include "net/program/run_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/base/output.h"

#define SAY_LIMIT_MS 1000 /* where there is no writer yet, or no more */

const char *run_name(const struct leat_run_options *options)
{
    return options->name != NULL ? options->name : "leat";
}

static void line_say(const struct leat_run *run, int fd, char *text, size_t length)
{
    if (run->log != NULL && leat_log_say(run->log, fd, text, length)) {
        leat_log_flush(run->log);
        return;
    }
    text[length] = '\n';
    (void)leat_output_write(fd, text, length + 1, SAY_LIMIT_MS);
}

void run_say(const struct leat_run *run, int fd, const char *format, ...)
{
    char text[LEAT_LOG_LINE_BYTES_MAX + 1];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text) - 1, format, args);
    va_end(args);
    size_t length = n < 0 ? 0 : (size_t)n;
    line_say(run, fd, text, length < sizeof(text) - 2 ? length : sizeof(text) - 2);
}

void run_complain(const struct leat_run *run, const char *format, ...)
{
    char text[LEAT_LOG_LINE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    run_say(run, STDERR_FILENO, "%s: %s", run_name(run->options), text);
}
