/* The life of an operation: made, begun, cancelled, told; every change of its state is here. */
#include "runtime/os/op.h"

#include <errno.h>

#include "runtime/os/pool_internal.h"

static bool op_move(struct op *op, enum op_state from, enum op_state to)
{
    uint8_t expected = (uint8_t)from;
    return atomic_compare_exchange_strong_explicit(&op->state, &expected, (uint8_t)to,
                                                   memory_order_acq_rel, memory_order_acquire);
}

bool op_begin(struct op *op)
{
    return op_move(op, OP_QUEUED, OP_RUNNING);
}

void op_pass(struct op *op)
{
    (void)op_move(op, OP_QUEUED, OP_PASSED);
}

/* The result of one that was cancelled is made only to be dropped: there may be a descriptor in it.
 */
static void op_deliver(struct async_node *node)
{
    struct op *op = container_of(node, struct op, node);
    struct pool_core *core = op->core;
    bool was_passed = atomic_load_explicit(&op->state, memory_order_relaxed) == OP_PASSED;
    struct leat_result result;
    leat_loop_unref(core->loop);
    core->open_count--;
    if (unlikely(core->in_line_count > 0))
        pool_lines_move(core);
    if (op->is_cancelled)
        core->dropped_count += !was_passed;
    if (was_passed || (op->is_cancelled && op->value < 0))
        result = leat_failure(-ECANCELED, NULL);
    else
        result = op_class_of(op)->result(op);
    leat_settle(&op->future, result);
}

void op_line_begin(struct leat_loop *loop)
{
    struct pool_core *core = pool_core_of(loop);
    if (core != NULL)
        core->is_in_line = true;
}

void op_line_end(struct leat_loop *loop)
{
    struct pool_core *core = pool_core_of(loop);
    if (core != NULL)
        core->is_in_line = false;
}

void op_tell(struct op *op)
{
    async_tell(op->core->loop, &op->node);
}

struct op *op_new(struct leat_loop *loop, const struct op_class *of, size_t extra_bytes,
                  const void *site)
{
    struct pool_core *core = pool_core_of(loop);
    if (core == NULL)
        return NULL;
    struct leat_future *future = async_operation_new(loop, &of->future, extra_bytes, site);
    if (async_is_out_of_memory(future))
        return NULL;
    struct op *op = container_of(future, struct op, future);
    op->node.run = op_deliver;
    op->core = core;
    op->sys = core->sys;
    op->is_in_line = core->is_in_line;
    atomic_init(&op->state, OP_NEW);
    return op;
}

/* What the loop can do itself is told as well: its result comes in the next poll phase, so that who
 * waits for one after the other lets the loop go round. */
static bool op_is_tried(struct op *op)
{
    const struct op_class *of = op_class_of(op);
    struct pool_core *core = op->core;
    enum op_tried tried = of->try != NULL && pool_may_try(core) ? of->try(op) : OP_LEFT;
    if (tried == OP_LEFT)
        return false;
    (void)op_move(op, OP_NEW, OP_RUNNING);
    if (tried == OP_DONE)
        op_tell(op);
    return true;
}

void op_give_back(struct op *op)
{
    (void)op_move(op, OP_RUNNING, OP_QUEUED);
    int result = pool_submit(op->core, op);
    if (likely(result == 0))
        return;
    (void)op_move(op, OP_QUEUED, OP_RUNNING);
    op->value = result;
    op_tell(op);
}

struct leat_future *op_start(struct op *op)
{
    struct pool_core *core = op->core;
    leat_loop_ref(core->loop);
    core->open_count++;
    if (op_is_tried(op))
        return &op->future;
    (void)op_move(op, OP_NEW, OP_QUEUED);
    int result = pool_submit(core, op);
    if (likely(result == 0))
        return &op->future;
    leat_loop_unref(core->loop);
    core->open_count--;
    return op_refuse(op, result, core->error.sentence);
}

struct leat_future *op_refuse(struct op *op, int code, const char *sentence)
{
    leat_settle(&op->future, leat_failure(code, sentence != NULL ? "%s" : NULL, sentence));
    return &op->future;
}

void op_cancel(struct leat_future *future)
{
    struct op *op = container_of(future, struct op, future);
    op_pass(op);
    op->is_cancelled = true;
    async_settle_cancelled(future);
}

static const struct leat_future_class op_failed_class = {.name = "operation"};

struct leat_future *op_failed(struct leat_loop *loop, int code, const char *sentence,
                              const void *site)
{
    struct leat_future *future = async_future_new(loop, &op_failed_class, site);
    leat_settle(future, leat_failure(code, sentence != NULL ? "%s" : NULL, sentence));
    return future;
}
