/* What the rest of the library may use of futures beside <leat/future.h>: completions that come
 * from other threads, and operations. Internal to the library: not installed. */
#ifndef LEAT_ASYNC_H
#define LEAT_ASYNC_H

#include <leat/future.h>

#include <stdatomic.h>

/* One message to a loop from any thread. The node is memory of the sender's, so that telling cannot
 * fail: a completion is never lost. */
struct async_node {
    struct async_node *next;
    void (*run)(struct async_node *node); /* on the loop's core, in its poll phase */
};

/* Makes ready what async_tell needs. On the loop's core. Returns 0 or -ENOMEM. */
int async_begin(struct leat_loop *loop) LEAT_MUST_CHECK;
/* Any thread, on a loop that has begun: run is called in the order of the calls of one thread. The
 * loop must not be freed before. */
void async_tell(struct leat_loop *loop, struct async_node *node);

/* What was told so far runs now, without the gate: for a part that ends with the loop. */
void async_hear(struct leat_loop *loop);

/* A future whose making is to be laid to the caller's caller: site is __builtin_return_address(0).
 * Cannot fail otherwise than by the future of memory that is out. */
struct leat_future *async_future_new(struct leat_loop *loop, const struct leat_future_class *of,
                                     const void *site);
/* How many there are on the current core. */
void async_counts(uint64_t *futures, uint64_t *reactions);
/* The same with extra_bytes behind the struct, which are not zeroed: for copies of arguments. */
struct leat_future *async_operation_new(struct leat_loop *loop, const struct leat_future_class *of,
                                        size_t extra_bytes, const void *site);
/* Rejects a pending future with -ECANCELED now; its producer still settles it, without effect, when
 * it has let go of what it uses. */
void async_settle_cancelled(struct leat_future *future);
/* Whether future is the one of memory that is out, which is nobody's operation. */
bool async_is_out_of_memory(const struct leat_future *future);

#endif
