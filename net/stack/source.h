/* A stack on a loop: polled, flushed and timed by its turns. One per loop, on the loop's core. */
#ifndef LEAT_STACK_SOURCE_H
#define LEAT_STACK_SOURCE_H

#include <leat/loop.h>
#include <leat/io.h>

#include "net/stack/stack.h"

struct stack_source;

/* Makes a stack and registers it with the loop. The port must stay open until stack_source_free.
 * NULL with error filled. */
struct stack_source *stack_source_new(struct leat_loop *loop, const struct stack_options *options,
                                      struct leat_error *error);
/* Ends its connections and datagram sockets with LEAT_CLOSE_SHUTDOWN; nothing is received any more,
 * and listeners stay for their owners to close. */
void stack_source_shut(struct stack_source *ss);
/* stack_source_shut, and gives back every buffer. Where other cores share the port: first end on
 * all of them, then settle on all of them, then free. */
void stack_source_end(struct stack_source *ss);
void stack_source_settle(struct stack_source *ss);
void stack_source_free(struct stack_source *ss);
struct stack *stack_source_stack(struct stack_source *ss);

#endif
