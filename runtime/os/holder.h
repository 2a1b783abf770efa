/* Who listens on a TCP port, from /proc: for the sentence of -EADDRINUSE. Set-up code: it reads
 * many files, and never runs on a request's path. Internal: not installed. */
#ifndef LEAT_HOLDER_H
#define LEAT_HOLDER_H

#include <leat/defs.h>

#define HOLDER_TEXT_BYTES_MAX 80

/* Writes "nginx (pid 123)", "leat (pid 4, this program itself)", or "another process" where /proc
 * does not show whose it is; returns text. */
const char *holder_of_port(uint16_t port, char text[HOLDER_TEXT_BYTES_MAX]);

#endif
