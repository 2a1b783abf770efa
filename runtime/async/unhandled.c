/* Rejections that nobody looks at. As in Node they are looked through when all microtasks have run,
 * so that a reaction which a tick or a job adds is in time. */
#include <leat/log.h>

#include <errno.h>
#include <string.h>

#include "buffers/heap.h"
#include "runtime/async/async_internal.h"

#define UNHANDLED_COUNT_MIN 16

/* An entry is a future with a reference; with the lowest bit set it is one that was reported and
 * has been handled since. */
static struct leat_future *entry_future(uintptr_t entry)
{
    return (struct leat_future *)(entry & ~(uintptr_t)1);
}

static bool unhandled_grow(struct async_core *core)
{
    uint32_t capacity = core->unhandled_capacity * 2;
    if (capacity == 0)
        capacity = UNHANDLED_COUNT_MIN;
    uintptr_t *entries = leat_heap_realloc(core->unhandled, capacity * sizeof(*entries));
    if (entries == NULL)
        return false;
    core->unhandled = entries;
    core->unhandled_capacity = capacity;
    return true;
}

static void unhandled_end(struct async_core *core, struct leat_future *future)
{
    char name[320];
    leat_future_describe(future, name, sizeof(name));
    LEAT_LOG_ERROR("a rejection that nobody handles: %s: %s (%s)", name,
                   leat_result_sentence(&future->result), leat_errno_name(future->result.code));
    loop_fail(core->loop, future->result.code, "a rejection was not handled: %s: %s", name,
              leat_result_sentence(&future->result));
}

static void unhandled_report(struct async_core *core, struct leat_future *future)
{
    if (loop_is_ending(core->loop) && future->result.code == -ECANCELED)
        return; /* its loop ended, and that is known */
    future_report(future);
    if (core->on_unhandled != NULL)
        core->on_unhandled(core->on_unhandled_arg, future);
    else
        unhandled_end(core, future);
}

static void entry_run(struct async_core *core, uintptr_t entry)
{
    struct leat_future *future = entry_future(entry);
    if ((entry & 1) == 0)
        unhandled_report(core, future);
    else if (core->on_handled != NULL)
        core->on_handled(core->on_handled_arg, future);
    leat_future_unref(future);
}

/* Of the first count entries those with that tag. */
static void entries_run(struct async_core *core, uint32_t count, uintptr_t tag)
{
    for (uint32_t i = 0; i < count; i++) {
        uintptr_t entry = core->unhandled[i];
        if (entry == 0 || (entry & 1) != tag)
            continue;
        core->unhandled[i] = 0;
        entry_run(core, entry);
    }
}

/* As Node does: first what was handled late, then what is unhandled. What the hooks add waits until
 * the microtasks have run again. */
static void unhandled_check(void *arg)
{
    struct async_core *core = arg;
    uint32_t count = core->unhandled_count;
    entries_run(core, count, 1);
    entries_run(core, count, 0);
    core->unhandled_count -= count;
    if (core->unhandled_count == 0)
        return;
    memmove(core->unhandled, core->unhandled + count,
            core->unhandled_count * sizeof(core->unhandled[0]));
    loop_when_drained(core->loop, unhandled_check, core);
}

static void entry_add(struct async_core *core, uintptr_t entry)
{
    (void)leat_future_ref(entry_future(entry));
    if (core->unhandled_count == core->unhandled_capacity && !unhandled_grow(core)) {
        entry_run(core, entry); /* earlier than it should, but said */
        return;
    }
    core->unhandled[core->unhandled_count++] = entry;
    loop_when_drained(core->loop, unhandled_check, core);
}

void unhandled_add(struct async_core *core, struct leat_future *future)
{
    future_list(future);
    entry_add(core, (uintptr_t)future);
}

static void unhandled_forget(struct async_core *core, struct leat_future *future)
{
    for (uint32_t i = core->unhandled_count; i-- > 0;) {
        if (core->unhandled[i] != (uintptr_t)future)
            continue;
        core->unhandled[i] = 0;
        leat_future_unref(future);
        return;
    }
}

void unhandled_leave(struct async_core *core, struct leat_future *future, bool was_reported)
{
    if (was_reported)
        entry_add(core, (uintptr_t)future | 1);
    else
        unhandled_forget(core, future);
}

void unhandled_fini(struct async_core *core)
{
    while (core->unhandled_count > 0)
        unhandled_check(core);
    leat_heap_free(core->unhandled);
}

void leat_loop_on_unhandled(struct leat_loop *loop, leat_unhandled_fn *fn, void *arg)
{
    struct async_core *core = async_core_of(loop);
    LEAT_CHECK(core != NULL);
    core->on_unhandled = fn;
    core->on_unhandled_arg = arg;
}

void leat_loop_on_rejection_handled(struct leat_loop *loop, leat_unhandled_fn *fn, void *arg)
{
    struct async_core *core = async_core_of(loop);
    LEAT_CHECK(core != NULL);
    core->on_handled = fn;
    core->on_handled_arg = arg;
}
