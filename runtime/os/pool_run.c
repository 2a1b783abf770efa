/* A program's own functions on the pool's threads. */
#include <leat/pool.h>

#include <errno.h>

#include "runtime/os/pool_internal.h"

struct pool_call {
    struct op op; /* first */
    leat_pool_fn *fn;
    void *arg;
    struct leat_result result;
};

static void call_run(struct op *op)
{
    struct pool_call *call = container_of(op, struct pool_call, op);
    call->result = call->fn(call->arg);
}

static struct leat_result call_result(struct op *op)
{
    struct pool_call *call = container_of(op, struct pool_call, op);
    struct leat_result result = call->result;
    call->result = leat_nothing();
    return result;
}

#define CALL_CLASS(lane_, name_)                                                                   \
    [lane_] = {.future = {.name = name_,                                                           \
                          .length_bytes = sizeof(struct pool_call),                                \
                          .cancel = op_cancel},                                                    \
               .lane = lane_,                                                                      \
               .run = call_run,                                                                    \
               .result = call_result}
static const struct op_class call_classes[POOL_LANES] = {
    CALL_CLASS(LEAT_LANE_FS, "pool_run(fs)"),
    CALL_CLASS(LEAT_LANE_DNS, "pool_run(dns)"),
    CALL_CLASS(LEAT_LANE_CPU, "pool_run(cpu)"),
    CALL_CLASS(LEAT_LANE_USER, "pool_run(user)"),
};

struct leat_future *leat_pool_run(struct leat_loop *loop, enum leat_lane lane, leat_pool_fn *fn,
                                  void *arg)
{
    const void *site = __builtin_return_address(0);
    if ((unsigned)lane >= POOL_LANES)
        return op_failed(loop, -EINVAL, "the pool has no such lane", site);
    struct op *op = op_new(loop, &call_classes[lane], 0, site);
    if (op == NULL)
        return op_failed(loop, -ENOMEM, NULL, site);
    struct pool_call *call = container_of(op, struct pool_call, op);
    call->fn = fn;
    call->arg = arg;
    return op_start(op);
}
