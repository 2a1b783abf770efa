/* Emitters: one list of listeners each, and a clock of its own that says who was there when an
 * event began. */
#include <leat/emitter.h>
#include <leat/error.h>
#include <leat/log.h>

#include <dlfcn.h>
#include <errno.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"
#include "runtime/async/tasks.h"

enum {
    ENTRY_ONCE = 1u << 0,
    ENTRY_FIRED = 1u << 1,  /* it was called for its one time, perhaps by an inner emit */
    ENTRY_WARNED = 1u << 2, /* the log was told of its event */
};

/* A listener. It was there for an event that began at a time t of the list's clock when added <= t,
 * and it was not removed, or later than t. */
struct emitter_entry {
    struct list link;
    const struct leat_event *event; /* NULL: every error event */
    leat_done *fn;
    void *arg;
    uint64_t added, removed; /* removed 0: it is there */
    uint32_t flags;
};

struct emitter_list {
    struct list entries;
    uint64_t clock;
    uint32_t count; /* of entries that are there */
    uint32_t depth; /* of emits that are running: nothing is unlinked meanwhile */
    bool is_gone;   /* the emitter has ended */
};

static struct emitter_list *list_of(struct leat_emitter *emitter)
{
    struct emitter_list *list = emitter->list;
    if (list != NULL)
        return list;
    list = leat_heap_calloc(1, sizeof(*list));
    if (list == NULL)
        return NULL;
    list_init(&list->entries);
    return emitter->list = list;
}

static struct emitter_entry *entry_of(struct list *link)
{
    return container_of(link, struct emitter_entry, link);
}

static bool entry_is_for(const struct emitter_entry *entry, const struct leat_event *event)
{
    return entry->event == event || (entry->event == NULL && event->is_error);
}

static void entries_sweep(struct emitter_list *list)
{
    for (struct list *link = list->entries.next, *next; link != &list->entries; link = next) {
        next = link->next;
        if (entry_of(link)->removed != 0) {
            list_unlink(link);
            leat_heap_free(entry_of(link));
        }
    }
}

/* Nobody is there any more, and nobody emits. */
static void list_settle(struct leat_emitter *emitter, struct emitter_list *list)
{
    if (list->depth > 0)
        return;
    entries_sweep(list);
    if (list->count > 0)
        return;
    if (!list->is_gone)
        emitter->list = NULL;
    leat_heap_free(list);
}

static void entry_remove(struct emitter_list *list, struct emitter_entry *entry)
{
    entry->removed = ++list->clock;
    list->count--;
}

/* ---- adding and removing ---- */

static const char *site_name(const void *site)
{
    Dl_info info;
    return dladdr(site, &info) != 0 && info.dli_sname != NULL ? info.dli_sname : "an unknown place";
}

/* Once for each event: the entry that was one too many remembers it. */
static void listeners_warn(struct emitter_list *list, struct emitter_entry *added, const void *site)
{
    unsigned count = 0;
    for (struct list *link = list->entries.next; link != &list->entries; link = link->next) {
        const struct emitter_entry *entry = entry_of(link);
        if (entry->event != added->event || entry->removed != 0)
            continue;
        if ((entry->flags & ENTRY_WARNED) != 0)
            return;
        count++;
    }
    if (count <= LEAT_LISTENERS_WARN || added->event == NULL)
        return;
    added->flags |= ENTRY_WARNED;
    LEAT_LOG_WARN("%u listeners for '%s', the last added by %s: are they removed when they are no "
                  "longer needed?",
                  count, added->event->name, site_name(site));
}

static int entry_add(struct leat_emitter *emitter, const struct emitter_entry *wanted,
                     bool is_first, const void *site)
{
    struct emitter_list *list = list_of(emitter);
    struct emitter_entry *entry = list != NULL ? leat_heap_alloc(sizeof(*entry)) : NULL;
    if (entry == NULL) {
        if (list != NULL)
            list_settle(emitter, list);
        return -ENOMEM;
    }
    *entry = *wanted;
    entry->added = ++list->clock;
    list_push(is_first ? list->entries.next : &list->entries, &entry->link);
    list->count++;
    if (unlikely(list->count > LEAT_LISTENERS_WARN))
        listeners_warn(list, entry, site);
    return 0;
}

int leat_on(struct leat_emitter *emitter, const struct leat_event *event, leat_done *fn, void *arg)
{
    struct emitter_entry wanted = {.event = event, .fn = fn, .arg = arg};
    return entry_add(emitter, &wanted, false, __builtin_return_address(0));
}

int leat_once(struct leat_emitter *emitter, const struct leat_event *event, leat_done *fn,
              void *arg)
{
    struct emitter_entry wanted = {.event = event, .fn = fn, .arg = arg, .flags = ENTRY_ONCE};
    return entry_add(emitter, &wanted, false, __builtin_return_address(0));
}

int leat_prepend(struct leat_emitter *emitter, const struct leat_event *event, leat_done *fn,
                 void *arg)
{
    struct emitter_entry wanted = {.event = event, .fn = fn, .arg = arg};
    return entry_add(emitter, &wanted, true, __builtin_return_address(0));
}

/* The one that stands last. */
static struct emitter_entry *entry_find(struct emitter_list *list, const struct leat_event *event,
                                        leat_done *fn, const void *arg)
{
    struct emitter_entry *last = NULL;
    for (struct list *link = list->entries.next; link != &list->entries; link = link->next) {
        struct emitter_entry *entry = entry_of(link);
        if (entry->event == event && entry->fn == fn && entry->arg == arg && entry->removed == 0)
            last = entry;
    }
    return last;
}

/* flags: what it is marked with as it goes. */
static void entry_leave(struct leat_emitter *emitter, const struct emitter_entry *wanted,
                        uint32_t flags)
{
    struct emitter_list *list = emitter->list;
    struct emitter_entry *entry =
        list != NULL ? entry_find(list, wanted->event, wanted->fn, wanted->arg) : NULL;
    if (entry == NULL)
        return;
    entry->flags |= flags;
    entry_remove(list, entry);
    list_settle(emitter, list);
}

void leat_off(struct leat_emitter *emitter, const struct leat_event *event, leat_done *fn,
              void *arg)
{
    struct emitter_entry wanted = {.event = event, .fn = fn, .arg = arg};
    entry_leave(emitter, &wanted, 0);
}

unsigned leat_emitter_count(const struct leat_emitter *emitter, const struct leat_event *event)
{
    const struct emitter_list *list = emitter->list;
    unsigned count = 0;
    if (list == NULL)
        return 0;
    for (struct list *link = list->entries.next; link != &list->entries; link = link->next)
        count += entry_of(link)->removed == 0 && entry_is_for(entry_of(link), event);
    return count;
}

/* ---- emitting ---- */

static void error_unheard(const struct leat_event *event, const struct leat_result *value,
                          const void *site)
{
    struct leat_loop *loop = leat_loop_current();
    const char *code = value->code < 0 ? leat_errno_name(value->code) : "no code";
    LEAT_LOG_ERROR("'%s' was emitted by %s and nobody listens: %s (%s)", event->name,
                   site_name(site), leat_result_sentence(value), code);
    loop_fail(loop, value->code < 0 ? value->code : -EIO, "'%s' without a listener: %s",
              event->name, leat_result_sentence(value));
}

static bool entry_is_due(const struct emitter_entry *entry, const struct leat_event *event,
                         uint64_t began)
{
    return entry_is_for(entry, event) && entry->added <= began &&
           (entry->removed == 0 || entry->removed > began) && (entry->flags & ENTRY_FIRED) == 0;
}

static bool entries_call(struct emitter_list *list, const struct leat_event *event,
                         const struct leat_result *value)
{
    bool has_called = false;
    uint64_t began = list->clock;
    for (struct list *link = list->entries.next; link != &list->entries; link = link->next) {
        struct emitter_entry *entry = entry_of(link);
        if (!entry_is_due(entry, event, began))
            continue;
        if ((entry->flags & ENTRY_ONCE) != 0) {
            entry->flags |= ENTRY_FIRED;
            if (entry->removed == 0)
                entry_remove(list, entry);
        }
        has_called = true;
        entry->fn(entry->arg, value);
        if (list->is_gone)
            break;
    }
    return has_called;
}

bool leat_emit(struct leat_emitter *emitter, const struct leat_event *event,
               const struct leat_result *value)
{
    static const struct leat_result nothing;
    struct emitter_list *list = emitter->list;
    bool has_called = false;
    value = value != NULL ? value : &nothing;
    if (list != NULL) {
        const char *outer = await_forbid("a listener of an emitter");
        list->depth++;
        has_called = entries_call(list, event, value);
        list->depth--;
        await_allow(outer);
        list_settle(emitter, list);
    }
    if (!has_called && event->is_error)
        error_unheard(event, value, __builtin_return_address(0));
    return has_called;
}

/* ---- the next one, as a future ---- */

struct emitter_next {
    struct leat_future future; /* first */
    struct leat_emitter *emitter;
    const struct leat_event *event;
};

static void next_heard(void *arg, const struct leat_result *value);
static void next_failed(void *arg, const struct leat_result *value);

/* It must not be called again, not even by an emit that has begun before. */
static void next_leave(struct emitter_next *next)
{
    struct emitter_entry heard = {.event = next->event, .fn = next_heard, .arg = next};
    struct emitter_entry failed = {.fn = next_failed, .arg = next};
    entry_leave(next->emitter, &heard, ENTRY_FIRED);
    entry_leave(next->emitter, &failed, ENTRY_FIRED);
}

static struct leat_result value_copy(const struct leat_result *value)
{
    struct leat_result copy = *value;
    copy.own = 0;
    copy.drop = NULL;
    if (copy.kind == LEAT_KIND_BUF)
        (void)leat_buf_ref(copy.buf);
    else if (copy.kind == LEAT_KIND_FAILURE)
        copy = leat_failure(value->code, "%s", leat_result_sentence(value));
    else if (copy.kind >= LEAT_KIND_POINTER)
        copy.owner = NULL;
    return copy;
}

static void next_heard(void *arg, const struct leat_result *value)
{
    struct emitter_next *next = arg;
    next_leave(next);
    leat_settle(&next->future, value_copy(value));
}

static void next_failed(void *arg, const struct leat_result *value)
{
    next_heard(arg, value->code < 0
                        ? value
                        : &(struct leat_result){.kind = LEAT_KIND_FAILURE, .code = -EIO});
}

static void next_cancel(struct leat_future *future)
{
    next_leave(container_of(future, struct emitter_next, future));
    leat_settle(future, leat_failure(-ECANCELED, NULL));
}

static const struct leat_future_class next_class = {.name = "emitter_next",
                                                    .length_bytes = sizeof(struct emitter_next),
                                                    .cancel = next_cancel};

struct leat_future *leat_emitter_next(struct leat_emitter *emitter, const struct leat_event *event)
{
    const void *site = __builtin_return_address(0);
    struct leat_future *future = async_future_new(leat_loop_current(), &next_class, site);
    if (async_is_out_of_memory(future))
        return future;
    struct emitter_next *next = container_of(future, struct emitter_next, future);
    next->emitter = emitter;
    next->event = event;
    struct emitter_entry heard = {.event = event, .fn = next_heard, .arg = next};
    struct emitter_entry failed = {.fn = next_failed, .arg = next};
    if (entry_add(emitter, &heard, false, site) != 0 ||
        (!event->is_error && entry_add(emitter, &failed, false, site) != 0)) {
        next_leave(next);
        leat_settle(future, leat_failure(-ENOMEM, NULL));
    }
    return future;
}

/* ---- the end ---- */

static void entry_end(struct emitter_list *list, struct emitter_entry *entry)
{
    bool waits = entry->fn == next_heard && entry->removed == 0;
    if (entry->removed == 0)
        entry_remove(list, entry);
    if (waits)
        leat_settle(&((struct emitter_next *)entry->arg)->future,
                    leat_failure(-ECANCELED, "the emitter has ended"));
}

void leat_emitter_fini(struct leat_emitter *emitter)
{
    struct emitter_list *list = emitter->list;
    if (list == NULL)
        return;
    emitter->list = NULL;
    list->is_gone = true;
    for (struct list *link = list->entries.next; link != &list->entries; link = link->next)
        entry_end(list, entry_of(link));
    list_settle(emitter, list);
}
