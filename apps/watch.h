/* What `leat top` and `leat ss` share: which program they look at. */
#ifndef LEAT_WATCH_H
#define LEAT_WATCH_H

#include <leat/options.h>

#include "net/watch/counters_read.h"

/* Parses the command line, whose only operand may be a PID, and opens that program, or the only one
 * that runs. Returns -1, or the exit code. */
int watch_take(struct leat_command_line *line, int argc, char **argv, struct counters_view *view);

#endif
