/* Operations: what blocks is one function that runs on a thread of the pool, and the future of its
 * result. The struct of an operation begins with a struct op, which begins with the future: one
 * allocation holds arguments, result and future.
 *
 *     struct op *op = op_new(loop, &stat_class, 0, site);   (NULL: memory is out)
 *     ... fill in the arguments ...
 *     return op_start(op);
 *
 * The state of an operation, op->state. Who writes it: op.c alone.
 *
 * | state       | entered when                              | left to                  |
 * |-------------|-------------------------------------------|--------------------------|
 * | OP_NEW      | it was made                               | OP_QUEUED, OP_RUNNING    |
 * | OP_QUEUED   | it waits in a queue of the pool, or in    | OP_RUNNING, OP_PASSED    |
 * |             | line for a place there                    |                          |
 * | OP_RUNNING  | a thread, the kernel (fs_ring.c), or the  | - (told to its loop);    |
 * |             | loop itself works on it                   | OP_QUEUED, from a ring   |
 * | OP_PASSED   | it was cancelled before it began          | - (told to its loop)     |
 *
 * From OP_QUEUED both the loop and a thread may move it on; one of them wins. Internal to the
 * library: not installed. */
#ifndef LEAT_OP_H
#define LEAT_OP_H

#include <leat/pool.h>

#include "runtime/async/async.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"

struct fs_sys;
struct op;
struct pool_core;

enum op_state { OP_NEW, OP_QUEUED, OP_RUNNING, OP_PASSED };

/* What a try on the loop came to. */
enum op_tried {
    OP_DONE,  /* op->value is the result */
    OP_LEFT,  /* it would block: run goes on from there */
    OP_GIVEN, /* the kernel works on it; whoever hears of its end tells, or gives it back */
};

struct op_class {
    struct leat_future_class future; /* first. cancel: op_cancel */
    enum leat_lane lane;
    void (*run)(struct op *op); /* any thread, system calls only; leaves op->value */
    /* On the loop before that, where it can be done without blocking. NULL: it cannot. */
    enum op_tried (*try)(struct op *op);
    /* What the future settles with, on its core; called once, unless it was cancelled and
     * op->value is a failure. */
    struct leat_result (*result)(struct op *op);
};

struct op {
    struct leat_future future; /* first */
    struct async_node node;
    struct pool_core *core;
    struct fs_sys *sys; /* system calls of files: the machine's, or a simulator's */
    int64_t value;      /* 0 or more; or -errno */
    _Atomic uint8_t state;
    bool is_cancelled; /* the loop's own: the future was rejected already */
    bool is_in_line;   /* waits for a place in a full lane, instead of being refused */
};

/* Of of->future.length_bytes, zero beyond the struct op, and extra_bytes behind that, which are
 * not. NULL when memory is out, even for what a core has of the pool. */
struct op *op_new(struct leat_loop *loop, const struct op_class *of, size_t extra_bytes,
                  const void *site);
/* Operations that are made between the two wait for a place. For who has one out at a time, and so
 * bounds by itself what waits: streams, connections that send a file, closing. Others are refused,
 * with -EAGAIN, or nothing would bound them. */
void op_line_begin(struct leat_loop *loop);
void op_line_end(struct leat_loop *loop);
/* Takes op, and returns its future. */
struct leat_future *op_start(struct op *op) LEAT_MUST_CHECK;
/* Takes op, whose future is rejected with code; sentence may be NULL. */
struct leat_future *op_refuse(struct op *op, int code, const char *sentence) LEAT_MUST_CHECK;
void op_cancel(struct leat_future *future);
/* An operation that never was: a future that is rejected. */
struct leat_future *op_failed(struct leat_loop *loop, int code, const char *sentence,
                              const void *site) LEAT_MUST_CHECK;

/* For the pool: */
static inline const struct op_class *op_class_of(const struct op *op)
{
    return (const struct op_class *)(const void *)op->future.of;
}
bool op_begin(struct op *op); /* false: it was cancelled */
void op_tell(struct op *op);  /* any thread: it has run, or was passed over */
void op_pass(struct op *op);  /* the loop's end: it will not begin */
/* OP_GIVEN, and the kernel could not: a thread does it. Or it is told why not. */
void op_give_back(struct op *op);

/* Until no operation is open, in turns of the loop: those that run are waited for, those that wait
 * are passed over, and so is what is begun because of that (the close of a file whose write was
 * waited for). On the loop's core, outside of its turns, and before a transport ends: operations,
 * and who waits for them, may hold bytes that it lent. */
void pool_settle(struct leat_loop *loop);

#endif
