/* Cancelling: asking what is behind a future to stop. */
#include "runtime/async/async_internal.h"

void leat_future_cancel(struct leat_future *future)
{
    LEAT_CHECK(future_is_here(future));
    if (future_is_settled(future) || future->of->cancel == NULL)
        return;
    (void)leat_future_ref(future);
    future->of->cancel(future);
    leat_future_unref(future);
}

/* Nobody waits for it, and only its producer refers to it. */
void future_cancel_unless_wanted(struct leat_future *future)
{
    if (future->reactions == NULL && future->refs < 2 * FUTURE_REF)
        leat_future_cancel(future);
}
