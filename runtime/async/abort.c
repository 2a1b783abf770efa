/* Abort controllers: a list of futures that leave it when they settle. */
#include <leat/abort.h>
#include <leat/error.h>

#include <errno.h>
#include <stdio.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

struct leat_abort {
    struct leat_loop *loop;
    struct list entries;   /* futures, pending */
    struct list followers; /* of this one */
    struct leat_timer timer;
    int code;
    char sentence[LEAT_SENTENCE_BYTES_MAX];
};

struct abort_entry {
    struct leat_reaction reaction; /* first */
    struct list link;
};

struct abort_follower {
    struct list link;
    struct leat_abort *to;
};

static void abort_over(struct leat_timer *timer, void *arg)
{
    leat_abort_fire(arg, -ETIME, "the time for it was over");
}

struct leat_abort *leat_abort_new(struct leat_loop *loop)
{
    struct leat_abort *abort = leat_heap_calloc(1, sizeof(*abort));
    if (abort == NULL || async_begin(loop) != 0) {
        leat_heap_free(abort);
        leat_fail(&leat_core_now->error, -ENOMEM, "no memory for an abort controller");
        return NULL;
    }
    abort->loop = loop;
    list_init(&abort->entries);
    list_init(&abort->followers);
    leat_timer_init(&abort->timer, loop, abort_over, abort);
    leat_timer_unref(&abort->timer);
    return abort;
}

static struct leat_future *entry_leave(struct abort_entry *entry)
{
    struct leat_future *future = entry->reaction.future;
    list_unlink(&entry->link);
    if (reaction_is_waiting(&entry->reaction))
        reaction_unlink(&entry->reaction);
    leat_heap_free(entry);
    return future;
}

static void entry_heard(void *arg)
{
    struct leat_reaction *reaction = arg;
    struct abort_entry *entry = container_of(reaction, struct abort_entry, reaction);
    leat_future_unref(entry_leave(entry)); /* the reference of what was scheduled */
}

static const struct reaction_class entry_class = {REACTION_NOW, entry_heard};

/* Asking for a future's end does not handle its rejection: somebody else waits for it. */
void leat_abort_add(struct leat_abort *abort, struct leat_future *future)
{
    if (future_is_settled(future))
        return;
    struct abort_entry *entry = abort->code == 0 ? leat_heap_calloc(1, sizeof(*entry)) : NULL;
    if (entry == NULL) { /* it has fired; or what cannot be stopped later is stopped now */
        leat_future_cancel(future);
        return;
    }
    entry->reaction.of = &entry_class;
    list_push(&abort->entries, &entry->link);
    reaction_watch(future, &entry->reaction);
}

static void followers_free(struct leat_abort *abort)
{
    struct list *link;
    while ((link = list_pull(&abort->followers)) != NULL)
        leat_heap_free(container_of(link, struct abort_follower, link));
}

void leat_abort_free(struct leat_abort *abort)
{
    if (abort == NULL)
        return;
    leat_timer_stop(&abort->timer);
    while (!list_is_empty(&abort->entries))
        (void)entry_leave(container_of(abort->entries.next, struct abort_entry, link));
    followers_free(abort);
    leat_heap_free(abort);
}

int leat_abort_add_abort(struct leat_abort *from, struct leat_abort *to)
{
    if (from->code != 0) {
        leat_abort_fire(to, from->code, from->sentence);
        return 0;
    }
    struct abort_follower *follower = leat_heap_alloc(sizeof(*follower));
    if (follower == NULL)
        return leat_fail(&leat_core_now->error, -ENOMEM, "no memory to follow an abort controller");
    follower->to = to;
    list_push(&from->followers, &follower->link);
    return 0;
}

void leat_abort_fire(struct leat_abort *abort, int code, const char *sentence)
{
    LEAT_CHECK(code < 0);
    if (abort->code != 0)
        return;
    abort->code = code;
    snprintf(abort->sentence, sizeof(abort->sentence), "%s",
             sentence != NULL ? sentence : leat_errno_name(code));
    leat_timer_stop(&abort->timer);
    while (!list_is_empty(&abort->entries))
        leat_future_cancel(
            entry_leave(container_of(abort->entries.next, struct abort_entry, link)));
    for (struct list *link = abort->followers.next; link != &abort->followers; link = link->next)
        leat_abort_fire(container_of(link, struct abort_follower, link)->to, code, abort->sentence);
}

void leat_abort_after(struct leat_abort *abort, uint64_t ns)
{
    if (abort->code == 0)
        leat_timer_start(&abort->timer, ns, 0);
}

int leat_abort_code(const struct leat_abort *abort)
{
    return abort->code;
}

const char *leat_abort_sentence(const struct leat_abort *abort)
{
    return abort->sentence;
}
