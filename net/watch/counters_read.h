/* Reading the counters of programs that run on this machine (counters_file.h), without their help.
 *
 * Files that nobody holds any more are removed in passing. A file is checked before it is believed:
 * a reader never looks outside of what is mapped. Internal: not installed. */
#ifndef LEAT_COUNTERS_READ_H
#define LEAT_COUNTERS_READ_H

#include <leat/error.h>

#include "net/watch/counters_file.h"

#define COUNTERS_PROGRAMS_MAX 256 /* further ones are not seen */

struct counters_program {
    int pid;
    bool is_listening;
    char program[COUNTERS_TEXT_BYTES], net[COUNTERS_TEXT_BYTES];
};

/* The programs that run and may be read; returns how many. denied_count: those that may not be. */
unsigned counters_programs(struct counters_program programs[COUNTERS_PROGRAMS_MAX],
                           unsigned *denied_count);

/* pid 0: the only one, or the only one that listens. Returns 0, or -errno with a sentence: -ESRCH
 * (none, or not this one), -EACCES, -EPROTO (of another version), -ENOTUNIQ (which one?). */
int counters_view_open(struct counters_view *view, int pid,
                       struct leat_error *error) LEAT_MUST_CHECK;

/* Names may be added while the program starts. */
unsigned counters_view_count(const struct counters_view *view);
const struct counters_name *counters_view_name(const struct counters_view *view, unsigned index);
/* index as above; a copy that is whole. */
uint64_t counters_view_value(const struct counters_view *view, unsigned core, unsigned index);
/* By name; 0 for what the program does not count. */
uint64_t counters_view_get(const struct counters_view *view, unsigned core, const char *name);

#endif
