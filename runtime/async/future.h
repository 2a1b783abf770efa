/* Futures: what will be known later, once. Node's promises, to the order of their jobs.
 *
 *     struct leat_future *size = leat_then(leat_fs_stat(loop, "a"), size_of, NULL, NULL);
 *     leat_on_settled(size, print, NULL);
 *     leat_future_unref(size);
 *
 * A future is pending until it is settled: fulfilled with a value, or rejected with a code below 0.
 * Reactions run as promise jobs, in the order in which they were added, never before the call that
 * added them or that settled has returned. From a settled future a reaction runs in round 1 of the
 * jobs, what is behind leat_all, leat_race and leat_any in round 2, what is behind a callback that
 * returned a future, or behind leat_finally, in round 4: as in Node (test/node compares traces).
 *
 * Ownership. A future is born with two references: the consumer's, which is returned, and the
 * producer's, which leat_settle takes. A consumer may give its own back at any time: the operation
 * still runs, and its result is dropped. Functions that take a reference say so.
 *
 * Cores. A future belongs to the core that made it, and everything here is for that core alone, but
 * for leat_remote_settle. Using one on another core is a programmer's error and stops the program.
 *
 * Memory. A future is 64 bytes from a free list of its core, a reaction as well. When memory is out
 * the future that is returned is rejected with -ENOMEM; LEAT_REACTIONS_SPARE reactions are kept for
 * that case, and a program that needs more is ended, for a callback would be lost. */
#ifndef LEAT_FUTURE_H
#define LEAT_FUTURE_H

#include <leat/defs.h>
#include <leat/loop.h>
#include <leat/result.h>

LEAT_BEGIN

#define LEAT_REACTIONS_SPARE 256

struct leat_future;

/* What kind of operation a future stands for. Static. A struct of the author's that begins with a
 * struct leat_future is the operation: one allocation for arguments, result and future. */
struct leat_future_class {
    const char *name;    /* in reports: "read_file" */
    size_t length_bytes; /* of the struct; 0: a future alone */
    /* Asks the operation to stop: settles the future now, with -ECANCELED, or soon. NULL: it cannot
     * be stopped. The operation keeps what a kernel or thread still uses. */
    void (*cancel)(struct leat_future *future);
    /* The last reference has gone: free what the struct holds, not the struct. May be NULL. */
    void (*drop)(struct leat_future *future);
};

struct leat_future { /* fields are the future's own */
    uint32_t refs;   /* the low eleven bits: the core */
    uint32_t site;   /* low half of the address of the call that made it, for reports */
    struct leat_reaction *reactions; /* the first of a ring; NULL: none */
    struct leat_result result;
    const struct leat_future_class *of;
};

/* Leat's own: leat_settle with the five words of its result in registers. Written to memory in
 * pieces and read again in larger ones they would wait for each other. */
LEAT_API void leat_settle_words(struct leat_future *future, uint64_t first, uint64_t second,
                                uint64_t third, uint64_t drop, uint64_t code_and_kind);

typedef void leat_done(void *arg, const struct leat_result *result);
typedef struct leat_result leat_then_fn(void *arg, const struct leat_result *result);

/* ---- For producers ---- */

/* A pending future. of may be NULL. A larger struct is zeroed beyond the future. */
LEAT_API struct leat_future *leat_future_new(struct leat_loop *loop,
                                             const struct leat_future_class *of) LEAT_MUST_CHECK;
/* Promise.resolve and Promise.reject: settled with result, which is taken. */
LEAT_API struct leat_future *leat_settled(struct leat_loop *loop,
                                          struct leat_result result) LEAT_MUST_CHECK;
/* Takes result and the producer's reference; with leat_follow the future settles as that one does,
 * later. Settling twice is a programmer's error, but for a
 * future that was cancelled or that is the one of memory that is out: then result is dropped. */
static inline void leat_settle(struct leat_future *future, struct leat_result result)
{
    uint64_t words[5];
    memcpy(words, &result, sizeof(words));
    leat_settle_words(future, words[0], words[1], words[2], words[3], words[4]);
}
/* A leat_done whose arg is a future, to give to anybody's callback API: Node's promisify. */
LEAT_API void leat_done_settle(void *future, const struct leat_result *result);

/* A name for a future that other threads may settle, once: the producer's reference goes into it.
 * loop must live until then. */
struct leat_remote {
    struct leat_loop *loop;
    struct leat_future *future;
};
LEAT_API struct leat_remote leat_future_remote(struct leat_future *future);
/* Any thread. result is taken; it must not hold what belongs to another core (a buffer of that
 * core's pools, a future): numbers, failures, and pointers with a drop that any thread may call.
 * Returns 0, or -ENOMEM: nothing was sent, and the name is still good. */
LEAT_API int leat_remote_settle(struct leat_remote remote,
                                struct leat_result result) LEAT_MUST_CHECK;

/* ---- For consumers ---- */

LEAT_API struct leat_future *leat_future_ref(struct leat_future *future);
LEAT_API void leat_future_unref(struct leat_future *future);
/* What it was settled with, or NULL while it is pending. The future's own. */
LEAT_API const struct leat_result *leat_future_result(const struct leat_future *future);
/* The result of a settled future, as the caller's own; a value that others see as well is shared.
 * Does not take the reference. */
LEAT_API struct leat_result leat_future_take(struct leat_future *future) LEAT_MUST_CHECK;

/* Runs done(arg, result) as a promise job when the future has settled: then(f, f) without a new
 * future. */
LEAT_API void leat_on_settled(struct leat_future *future, leat_done *done, void *arg);
/* The callback form of every operation: takes the reference, and runs done in the poll phase,
 * through the gate, as Node's callback APIs do; no job is spent. */
LEAT_API void leat_call(struct leat_future *future, leat_done *done, void *arg);

/* Promise.then, catch and finally. NULL for a callback passes the result on. Each returns a new
 * future, which settles with what the callback returns: a value, a failure, or leat_follow(future).
 * The one that is given is not taken. What finally's callback returns counts only if it is a
 * failure, or a future, which is waited for. */
LEAT_API struct leat_future *leat_then(struct leat_future *future, leat_then_fn *on_fulfilled,
                                       leat_then_fn *on_rejected, void *arg) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_catch(struct leat_future *future, leat_then_fn *on_rejected,
                                        void *arg) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_finally(struct leat_future *future, leat_then_fn *on_settled,
                                          void *arg) LEAT_MUST_CHECK;

/* Promise.all, allSettled, race and any. They take the references of futures; what is given back is
 * of kind LEAT_KIND_RESULTS for the first two (leat_any: as a rejection, with -ECANCELED and the
 * sentence of the last; Node's AggregateError), the winner's for the others. When one has settled
 * it leaves the others at once. count may be 0: all and all_settled are fulfilled, any is rejected,
 * race stays pending, as in Node. */
LEAT_API struct leat_future *leat_all(struct leat_loop *loop, struct leat_future *const *futures,
                                      uint32_t count) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_all_settled(struct leat_loop *loop,
                                              struct leat_future *const *futures,
                                              uint32_t count) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_race(struct leat_loop *loop, struct leat_future *const *futures,
                                       uint32_t count) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_any(struct leat_loop *loop, struct leat_future *const *futures,
                                      uint32_t count) LEAT_MUST_CHECK;

/* Asks what is behind a pending future to stop, and what is behind that where nobody else waits for
 * it; the future is rejected with -ECANCELED as soon as its class allows. A settled future: no
 * effect. */
LEAT_API void leat_future_cancel(struct leat_future *future);

/* ---- Time ---- */

/* Fulfilled with nothing after at least ns of the loop's clock. It keeps the loop alive. */
LEAT_API struct leat_future *leat_delay(struct leat_loop *loop, uint64_t ns) LEAT_MUST_CHECK;
/* Takes the reference. Settles as future does, or is rejected with -ETIME after ns, and future is
 * cancelled. */
LEAT_API struct leat_future *leat_with_deadline(struct leat_future *future,
                                                uint64_t ns) LEAT_MUST_CHECK;

/* ---- Rejections that nobody looks at ----
 * A rejected future without a reaction when the microtasks have run is unhandled. Then the loop's
 * hook is called; without one, a line on the log says what, and the program ends with 1
 * (leat_run; other loops are stopped). */

typedef void leat_unhandled_fn(void *arg, struct leat_future *future);
LEAT_API void leat_loop_on_unhandled(struct leat_loop *loop, leat_unhandled_fn *fn, void *arg);
/* A reaction came after all to one that was reported: Node's rejectionHandled. */
LEAT_API void leat_loop_on_rejection_handled(struct leat_loop *loop, leat_unhandled_fn *fn,
                                             void *arg);
/* Its rejection is of no interest. */
LEAT_API void leat_future_ignore(struct leat_future *future);
/* "read_file at upload.c:72" where the program's symbols tell, else a place that addr2line
 * understands. Returns to. */
LEAT_API const char *leat_future_describe(const struct leat_future *future, char *to,
                                          size_t to_bytes);

LEAT_END
#endif
