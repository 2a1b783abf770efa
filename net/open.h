/* Which transport a --net means, and opening it on a loop. Internal: not installed. */
#ifndef LEAT_OPEN_H
#define LEAT_OPEN_H

#include <leat/error.h>
#include <leat/loop.h>

struct leat_net; /* what the loops of one process share of their transports */

/* name: "auto", "uring", "epoll"; NULL is "auto". NULL with error filled: -EINVAL for a name that
 * this build does not know. Set-up thread. */
struct leat_net *leat_net_new(const char *name, struct leat_error *error);
/* After every loop has closed. NULL: no effect. */
void leat_net_free(struct leat_net *net);

/* On each loop's own thread. 0 or -errno with a sentence. */
int leat_net_open(struct leat_net *net, struct leat_loop *loop, struct leat_error *error);
/* Closes listeners and connections; without leat_net_open it does nothing. */
void leat_net_close(struct leat_loop *loop);
/* "uring" or "epoll"; "" when nothing is open. */
const char *leat_net_name(struct leat_loop *loop);

#endif
