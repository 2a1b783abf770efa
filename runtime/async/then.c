/* then, catch and finally: derived futures, and following one that a callback returned. */
#include <errno.h>

#include "runtime/async/async_internal.h"

/* ---- a derived future ----
 * While it is pending its reaction, which waits on the source, is remembered in its value. */

static struct leat_reaction **derived_reaction(struct leat_future *derived)
{
    return (struct leat_reaction **)(void *)&derived->result.pointer;
}

static void derived_cancel(struct leat_future *derived)
{
    struct leat_reaction *reaction = *derived_reaction(derived);
    if (reaction == NULL || !reaction_is_waiting(reaction)) { /* its job is queued, or it follows */
        async_settle_cancelled(derived);
        return;
    }
    *derived_reaction(derived) = NULL;
    struct leat_future *source = reaction->future;
    reaction_cancel(reaction);
    future_settle(derived, leat_failure(-ECANCELED, NULL));
    leat_future_unref(derived); /* the reaction's reference */
    future_cancel_unless_wanted(source);
}

static const struct leat_future_class derived_class = {.name = "then", .cancel = derived_cancel};

/* ---- following ---- */

static void followed_run(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct leat_future *inner = reaction->future, *derived = reaction->derived;
    reaction_free(reaction);
    leat_settle(derived, result_share(inner));
    leat_future_unref(inner);
}

static const struct reaction_class followed_class = {REACTION_JOB, followed_run};

/* The job that Node spends on asking the inner promise. */
static void follow_run(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct leat_future *inner = reaction->future;
    struct leat_reaction *followed = reaction_new(&followed_class);
    followed->derived = reaction->derived;
    reaction_free(reaction);
    reaction_add(inner, followed);
    leat_future_unref(inner); /* what was scheduled has its own */
    leat_future_unref(inner); /* leat_follow's */
}

static const struct reaction_class follow_class = {REACTION_JOB, follow_run};

void future_follow(struct leat_future *derived, struct leat_future *inner)
{
    if (inner == derived) {
        leat_future_unref(inner);
        leat_settle(derived, leat_failure(-EDEADLK, "a future cannot wait for itself"));
        return;
    }
    struct leat_reaction *reaction = reaction_new(&follow_class);
    reaction->future = inner;
    reaction->derived = derived;
    reaction_schedule(reaction);
}

/* ---- then ---- */

static void then_run(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct leat_reaction own = *reaction;
    struct leat_future *source = own.future;
    const struct leat_result *result = &source->result;
    *derived_reaction(own.derived) = NULL;
    reaction_free(reaction);
    leat_then_fn *fn = result->code < 0 ? own.on_rejected : own.on_fulfilled;
    if (future_is_settled(own.derived)) /* cancelled */
        leat_settle(own.derived, leat_nothing());
    else
        leat_settle(own.derived, fn != NULL ? fn(own.arg, result) : result_share(source));
    leat_future_unref(source);
}

static const struct reaction_class then_class = {REACTION_JOB, then_run};

static struct leat_future *derived_new(struct leat_future *source, const struct reaction_class *of,
                                       struct leat_reaction wanted, const void *site)
{
    struct leat_loop *loop = leat_loop_current();
    struct leat_future *derived = async_future_new(loop, &derived_class, site);
    if (async_is_out_of_memory(derived))
        return derived;
    struct leat_reaction *reaction = reaction_new(of);
    reaction->on_fulfilled = wanted.on_fulfilled;
    reaction->on_rejected = wanted.on_rejected;
    reaction->arg = wanted.arg;
    reaction->derived = derived;
    *derived_reaction(derived) = reaction;
    reaction_add(source, reaction);
    return derived;
}

struct leat_future *leat_then(struct leat_future *future, leat_then_fn *on_fulfilled,
                              leat_then_fn *on_rejected, void *arg)
{
    return derived_new(future, &then_class,
                       (struct leat_reaction){.on_fulfilled = on_fulfilled,
                                              .on_rejected = on_rejected,
                                              .arg = arg},
                       __builtin_return_address(0));
}

struct leat_future *leat_catch(struct leat_future *future, leat_then_fn *on_rejected, void *arg)
{
    return derived_new(future, &then_class,
                       (struct leat_reaction){.on_rejected = on_rejected, .arg = arg},
                       __builtin_return_address(0));
}

/* ---- finally ---- */

/* In Node: the callback's value becomes a promise, and behind that comes the value of the source.
 */
static void finally_pass(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct leat_future *waited = reaction->future, *passed = reaction->derived;
    struct leat_future *source = reaction->arg;
    reaction_free(reaction);
    leat_settle(passed, result_share(waited->result.code < 0 ? waited : source));
    leat_future_unref(waited);
    leat_future_unref(source);
}

static const struct reaction_class finally_pass_class = {REACTION_JOB, finally_pass};
static const struct leat_future_class finally_future = {.name = "finally"};

static void finally_run(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct leat_reaction own = *reaction;
    *derived_reaction(own.derived) = NULL;
    reaction_free(reaction);
    struct leat_result out = future_is_settled(own.derived)
                                 ? leat_failure(-ECANCELED, NULL) /* cancelled */
                                 : own.on_fulfilled(own.arg, &own.future->result);
    if (out.kind != LEAT_KIND_FOLLOW && out.code < 0) {
        leat_settle(own.derived, out);
        leat_future_unref(own.future);
        return;
    }
    struct leat_loop *loop = leat_loop_current();
    struct leat_future *waited =
        out.kind == LEAT_KIND_FOLLOW ? out.pointer : leat_settled(loop, out);
    struct leat_future *passed = async_future_new(loop, &finally_future, NULL);
    struct leat_reaction *pass = reaction_new(&finally_pass_class);
    pass->derived = passed;
    pass->arg = own.future; /* with its reference */
    reaction_add(waited, pass);
    leat_future_unref(waited);
    future_follow(own.derived, passed);
}

static const struct reaction_class finally_class = {REACTION_JOB, finally_run};

struct leat_future *leat_finally(struct leat_future *future, leat_then_fn *on_settled, void *arg)
{
    LEAT_CHECK(on_settled != NULL);
    return derived_new(future, &finally_class,
                       (struct leat_reaction){.on_fulfilled = on_settled, .arg = arg},
                       __builtin_return_address(0));
}
