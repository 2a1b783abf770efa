/* Emitters: who is told when something of a kind happens. Node's EventEmitter.
 *
 *     static LEAT_EVENT(joined);
 *     static LEAT_ERROR_EVENT(failed);
 *     struct room { struct leat_emitter emitter; ... };       (zeroed: nobody listens)
 *
 *     leat_on(&room->emitter, &joined, greet, room);
 *     leat_emit(&room->emitter, &joined, &(struct leat_result){...});
 *
 * An event is the address of a constant: define it in one .c file, and let others see it as extern.
 * A listener is a leat_done, so that leat_done_settle is one too. What it is given is borrowed from
 * who emits until it returns.
 *
 * leat_emit calls the listeners before it returns, in their order, without microtasks in between:
 * those that were there when it began. One that was removed meanwhile still runs, one that was
 * added does not; one of leat_once is removed before it is called. An error event without a
 * listener ends the program with a report, and 1.
 *
 * An emitter is embedded in its owner's struct, one pointer while nobody listens, and belongs to
 * the core of its owner. It may be ended while it emits: then nobody else is called. */
#ifndef LEAT_EMITTER_H
#define LEAT_EMITTER_H

#include <leat/future.h>

LEAT_BEGIN

/* More listeners for one event of one emitter are said on the log, once: they may be forgotten
 * ones.
 */
#define LEAT_LISTENERS_WARN 10

struct leat_event {
    const char *name;
    bool is_error; /* with nobody listening it ends the program */
};

#define LEAT_EVENT(event)       const struct leat_event event = {#event, false}
#define LEAT_ERROR_EVENT(event) const struct leat_event event = {#event, true}

struct leat_emitter {
    struct emitter_list *list; /* the emitter's own; NULL: nobody listens */
};

/* Adds a listener: last, last for one time, or first. The same may be added twice, and is called
 * twice. 0, or -ENOMEM. */
LEAT_API int leat_on(struct leat_emitter *emitter, const struct leat_event *event, leat_done *fn,
                     void *arg) LEAT_MUST_CHECK;
LEAT_API int leat_once(struct leat_emitter *emitter, const struct leat_event *event, leat_done *fn,
                       void *arg) LEAT_MUST_CHECK;
LEAT_API int leat_prepend(struct leat_emitter *emitter, const struct leat_event *event,
                          leat_done *fn, void *arg) LEAT_MUST_CHECK;
/* Removes the last one with these. None: no effect. */
LEAT_API void leat_off(struct leat_emitter *emitter, const struct leat_event *event, leat_done *fn,
                       void *arg);

/* Calls the listeners. value stays the caller's; NULL: nothing. Returns whether there were any. */
LEAT_API bool leat_emit(struct leat_emitter *emitter, const struct leat_event *event,
                        const struct leat_result *value);
LEAT_API unsigned leat_emitter_count(const struct leat_emitter *emitter,
                                     const struct leat_event *event);

/* Settles with what the next event of that kind carries, or is rejected by an error event before
 * it, and with -ECANCELED when the emitter ends. It leaves the emitter when it settles or is
 * cancelled. A pointer is passed on as it is: who emits it sees to it that it lives until the
 * microtasks have run. */
LEAT_API struct leat_future *leat_emitter_next(struct leat_emitter *emitter,
                                               const struct leat_event *event) LEAT_MUST_CHECK;

/* Removes all listeners. The struct is the owner's; it may be used again. */
LEAT_API void leat_emitter_fini(struct leat_emitter *emitter);

LEAT_END
#endif
