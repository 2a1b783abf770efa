/* The end of standard input, output and error as streams, for who ends a program's loops. Internal:
 * not installed. */
#ifndef LEAT_STDIO_DRAIN_H
#define LEAT_STDIO_DRAIN_H

#include <leat/loop.h>

/* Whether streams of this core over standard output or error have something that is not written. */
bool stdio_is_pending(void);
/* Turns the loop until what they were given so far is written, at the latest at until_ns of the
 * monotonic clock, and destroys them. Returns how many bytes were cut off. */
uint64_t stdio_drain(struct leat_loop *loop, uint64_t until_ns);

#endif
