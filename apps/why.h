/* Why a connection was not made, as the tools that connect say it. */
#ifndef LEAT_WHY_H
#define LEAT_WHY_H

#include <leat/conn.h>

/* The reason's sentence; of a unix socket, what is wrong with its path. Static; looks at the file
 * system: for what has failed. */
const char *why_not_connected(const struct leat_addr *to, enum leat_close_reason reason);

#endif
