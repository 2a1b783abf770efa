/* Writing to standard output and error without waiting for ever: a pipe that nobody reads, a
 * stopped terminal and a full disk must not keep a program from its work or its end. Any thread.
 * Internal: not installed. */
#ifndef LEAT_OUTPUT_H
#define LEAT_OUTPUT_H

#include <leat/defs.h>

#include <sys/types.h>

/* Writes what fd takes now, at most PIPE_BUF bytes; returns how many, or -errno (-EAGAIN: nothing
 * now). Who shares a pipe with other writers may still wait for these: no descriptor's flags are
 * changed, for they are not ours alone. */
ssize_t leat_output_try(int fd, const char *bytes, size_t length_bytes);

/* Writes all, waiting at most limit_ms for a reader that does not read. Returns 0, -ETIMEDOUT, or
 * the -errno of the write. */
int leat_output_write(int fd, const char *bytes, size_t length_bytes, unsigned limit_ms);

/* The end of a tool that prints on standard output by stdio: returns code, or 1 after a sentence on
 * standard error when what it printed did not all go out. */
int leat_output_end(const char *tool, int code);

#endif
