/* The state word of a future: every change of it is here (the table is in async_internal.h). */
#include <errno.h>

#include "runtime/async/async_internal.h"

static const struct leat_future_class future_no_memory = {.name = "operation"};

/* Nobody writes to it, so that all cores may have it. */
const struct leat_future future_out_of_memory = {
    .refs = FUTURE_REF | FUTURE_NOWHERE,
    .result = {.code = -ENOMEM,
               .kind = LEAT_KIND_FAILURE,
               .own = FUTURE_IMMORTAL | FUTURE_REJECTED | FUTURE_HANDLED},
    .of = &future_no_memory,
};

static void future_change(struct leat_future *future, uint16_t set, uint16_t clear)
{
    if ((future->result.own & FUTURE_IMMORTAL) == 0)
        future->result.own = (uint16_t)((future->result.own & ~clear) | set);
}

/* Those that wait leave the ring, the first first. */
static void reactions_schedule(struct leat_future *future)
{
    struct leat_reaction *reaction;
    while ((reaction = future->reactions) != NULL) {
        reaction_unlink(reaction);
        reaction_schedule(reaction);
    }
}

static inline void state_settle(struct leat_future *future, const struct leat_result *result)
{
    uint16_t own = future->result.own;
    LEAT_CHECK(future_is_own(future) && (own & FUTURE_SETTLED) == 0);
    future->result = *result;
    future->result.own = own | (result->code < 0 ? FUTURE_REJECTED : FUTURE_FULFILLED);
    if (unlikely(result->code < 0) && (own & FUTURE_HANDLED) == 0)
        unhandled_add(async_here(), future);
    if (future->reactions != NULL)
        reactions_schedule(future);
}

void future_settle(struct leat_future *future, struct leat_result result)
{
    state_settle(future, &result);
}

void leat_settle(struct leat_future *future, struct leat_result result)
{
    if (unlikely((future->result.own & (FUTURE_CANCELLED | FUTURE_IMMORTAL)) != 0)) {
        future_change(future, 0, FUTURE_CANCELLED);
        leat_result_drop(&result);
    } else if (unlikely(result.kind == LEAT_KIND_FOLLOW)) {
        future_follow(future, result.pointer);
        return;
    } else {
        state_settle(future, &result);
    }
    future_unref(future);
}

void leat_done_settle(void *future, const struct leat_result *result)
{
    struct leat_result own = *result;
    LEAT_CHECK(own.kind <= LEAT_KIND_FAILURE); /* a borrowed pointer would not live on */
    own.own = 0;
    if (own.kind == LEAT_KIND_BUF)
        (void)leat_buf_ref(own.buf);
    if (own.kind == LEAT_KIND_FAILURE)
        own = leat_failure(result->code, "%s", leat_result_sentence(result));
    leat_settle(future, own);
}

void async_settle_cancelled(struct leat_future *future)
{
    future_change(future, FUTURE_CANCELLED, 0);
    future_settle(future, leat_failure(-ECANCELED, NULL));
}

void future_share_mark(struct leat_future *future)
{
    future_change(future, FUTURE_SHARED, 0);
}

void future_handle(struct leat_future *future)
{
    uint16_t own = future->result.own;
    if (likely((own & FUTURE_HANDLED) != 0))
        return;
    future_change(future, FUTURE_HANDLED, FUTURE_LISTED | FUTURE_REPORTED);
    if (unlikely((own & (FUTURE_LISTED | FUTURE_REPORTED)) != 0))
        unhandled_leave(async_here(), future, (own & FUTURE_REPORTED) != 0);
}

void leat_future_ignore(struct leat_future *future)
{
    LEAT_CHECK(future_is_here(future));
    future_handle(future);
}

void future_list(struct leat_future *future)
{
    future_change(future, FUTURE_LISTED, 0);
}

void future_report(struct leat_future *future)
{
    future_change(future, FUTURE_REPORTED, FUTURE_LISTED);
}
