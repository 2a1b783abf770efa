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

_Static_assert(sizeof(struct leat_result) == 5 * sizeof(uint64_t),
               "leat_settle_words has them all");

static inline void state_settle(struct leat_future *future, struct leat_result value)
{
    uint16_t own = future->result.own;
    LEAT_CHECK(future_is_own(future) && (own & FUTURE_SETTLED) == 0);
    future->result.buf.data = value.buf.data; /* word by word: see leat_settle_words */
    future->result.buf.length_bytes = value.buf.length_bytes;
    future->result.buf.block = value.buf.block;
    future->result.drop = value.drop;
    future->result.code = value.code;
    future->result.kind = value.kind;
    future->result.own = own | (value.code < 0 ? FUTURE_REJECTED : FUTURE_FULFILLED);
    if (unlikely(value.code < 0) && (own & FUTURE_HANDLED) == 0)
        unhandled_add(async_here(), future);
}

void future_settle(struct leat_future *future, struct leat_result result)
{
    state_settle(future, result);
    reactions_schedule(future_ref(future));
}

/* One that was cancelled, or never was; or the result is another future. */
static void settle_otherwise(struct leat_future *future, struct leat_result result)
{
    if ((future->result.own & (FUTURE_CANCELLED | FUTURE_IMMORTAL)) == 0) {
        future_follow(future, result.pointer);
        return;
    }
    future_change(future, 0, FUTURE_CANCELLED);
    leat_result_drop(&result);
    future_unref(future);
}

void leat_settle_words(struct leat_future *future, uint64_t first, uint64_t second, uint64_t third,
                       uint64_t drop, uint64_t code_and_kind)
{
    struct leat_result result;
    result.buf.data = (uint8_t *)(uintptr_t)first;
    result.buf.length_bytes = second;
    result.buf.block = (struct leat_block *)(uintptr_t)third;
    result.drop = (leat_drop *)(uintptr_t)drop;
    memcpy(&result.code, &code_and_kind, sizeof(code_and_kind)); /* and kind, and own */
    if (unlikely((future->result.own & (FUTURE_CANCELLED | FUTURE_IMMORTAL)) != 0 ||
                 result.kind == LEAT_KIND_FOLLOW)) {
        settle_otherwise(future, result);
        return;
    }
    state_settle(future, result);
    if (future->reactions != NULL)
        reactions_schedule(future);
    else
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

void future_handle_listed(struct leat_future *future)
{
    uint16_t own = future->result.own;
    future_change(future, FUTURE_HANDLED, FUTURE_LISTED | FUTURE_REPORTED);
    if ((own & (FUTURE_LISTED | FUTURE_REPORTED)) != 0)
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
