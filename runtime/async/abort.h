/* Abort controllers: one hand that stops many operations. Controller and signal in one.
 *
 *     leat_abort_add(closing, upload);   (any future)
 *     leat_abort_fire(closing, -ECANCELED, "the server closes");
 *
 * Firing cancels each future that was added and is still pending. A future leaves when it settles,
 * so that a long-lived controller grows only by what is under way. For the core that made it. */
#ifndef LEAT_ABORT_H
#define LEAT_ABORT_H

#include <leat/future.h>

LEAT_BEGIN

struct leat_abort;

/* NULL: memory is out, with a sentence in leat_loop_error. */
LEAT_API struct leat_abort *leat_abort_new(struct leat_loop *loop) LEAT_MUST_CHECK;
/* Lets go of what was added; fires nothing. */
LEAT_API void leat_abort_free(struct leat_abort *abort);

/* Does not take the reference. A controller that has fired cancels it at once. */
LEAT_API void leat_abort_add(struct leat_abort *abort, struct leat_future *future);
/* to fires when from does: AbortSignal.any, once for each of the signals. from must be freed after
 * to, or not at all before it has fired. 0, or -ENOMEM. */
LEAT_API int leat_abort_add_abort(struct leat_abort *from, struct leat_abort *to) LEAT_MUST_CHECK;

/* Cancels what is there, once; a second call has no effect. code is a negative errno. */
LEAT_API void leat_abort_fire(struct leat_abort *abort, int code, const char *sentence);
/* AbortSignal.timeout: fires with -ETIME after ns. It does not keep the loop alive. */
LEAT_API void leat_abort_after(struct leat_abort *abort, uint64_t ns);
/* Why it has fired: code < 0; 0 while it has not. */
LEAT_API int leat_abort_code(const struct leat_abort *abort);
LEAT_API const char *leat_abort_sentence(const struct leat_abort *abort);

LEAT_END
#endif
