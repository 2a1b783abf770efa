/* What a dying program still says: signal, address, core, phase and a backtrace with names, files
 * and lines; then it dies of the same signal, so that shells see 128 + n and core dumps are
 * written.
 *
 * The report goes to standard error. Raw addresses come first, by means that neither allocate nor
 * lock. Names come after them, by libdw, which does both: when the crash lies inside the allocator,
 * or nobody reads what is written, a timer ends the attempt after LEAT_CRASH_REPORT_S seconds.
 *
 * One thread reports, the first that crashes or fails a check. Others that do so meanwhile wait
 * without a word until the process has died of the first one's signal; a crash within the report
 * ends it at once. Internal: not installed. */
#ifndef LEAT_CRASH_H
#define LEAT_CRASH_H

#include "runtime/base/core.h"

#define LEAT_CRASH_REPORT_S    5
#define LEAT_CRASH_FRAMES_MAX  64
#define LEAT_CRASH_STACK_BYTES 262144

/* Handles SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT from now on, for the whole process. Returns 0
 * or -errno. */
int leat_crash_install(void);

/* An alternate stack for the calling thread, so that an overflown one can be reported. NULL when
 * memory is out: the report is then written on the thread's own stack. */
void *leat_crash_stack_new(void);
void leat_crash_stack_free(void *stack); /* the same thread's */

/* Before the first word of a report, of which the process is to die by signal_number. Returns in
 * the one thread that is to write it, once, and bounds its time from now on: the signal is raised
 * in it. Any thread. */
void leat_crash_begin(int signal_number);

/* Writes the backtrace of the calling thread to fd, addresses, then names, beginning with the frame
 * that returns to from (__builtin_return_address) where it is found. */
void leat_crash_backtrace(int fd, const void *from);

/* Writes what a higher floor knows of the crash (note_crash of struct leat_core), and returns a
 * place that leat_crash_place writes the name of, behind the backtrace; NULL: none. */
const void *leat_crash_note(int fd, const void *address, const void *sp);
void leat_crash_place(int fd, const void *place);

/* Writes frames as "  #0 function (file:line)"; where names are not known, as module+offset. */
void leat_crash_symbols(int fd, void *const *frames, unsigned count);

#endif
