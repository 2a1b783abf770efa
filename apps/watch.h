/* What `leat top` and `leat ss` share: which program they look at. */
#ifndef LEAT_WATCH_H
#define LEAT_WATCH_H

#include <leat/options.h>

#include "net/watch/counters_read.h"
#include "net/watch/view.h"

/* Each returns -1, or the exit code. */

/* Parses the command line, whose only operand may be a PID; 0: none was given. */
int watch_parse(struct leat_command_line *line, int argc, char **argv, int *pid);
/* Opens that program; for 0 the only one that runs. name: the tool's, for what is wrong. */
int watch_open(const char *name, int pid, struct counters_view *view);
/* What each key and column of a view means, on standard output. Returns the exit code. */
int watch_columns_say(const char *name, const struct view *columns);

#endif
