/* Microtasks and the phases that are no I/O: pending, idle, prepare, check, close. */
#include "runtime/loop/loop_internal.h"

static void loop_run_microtasks(struct leat_loop *loop, struct loop_queue *queue,
                                uint32_t *left_count)
{
    while (queue->count > 0) {
        struct loop_callback task = loop_queue_pull(queue);
        if (unlikely(--*left_count == 0)) { /* before: what it belongs to is still there */
            loop_note_storm(loop, &task);
            *left_count = LOOP_MICROTASKS_MAX;
        }
        task.fn(task.arg);
        loop->metrics.microtask_count++;
    }
}

static void loop_call_drained(struct leat_loop *loop)
{
    struct loop_callback drained = loop->drained;
    if (likely(drained.fn == NULL))
        return;
    loop->drained = (struct loop_callback){0};
    drained.fn(drained.arg);
}

static void loop_drain(struct leat_loop *loop)
{
    uint32_t left_count = LOOP_MICROTASKS_MAX;
    loop->is_draining = true;
    do {
        loop_run_microtasks(loop, &loop->ticks, &left_count);
        loop_run_microtasks(loop, &loop->jobs, &left_count);
        if (loop->ticks.count == 0)
            loop_call_drained(loop);
    } while ((loop->ticks.count | loop->jobs.count) != 0);
    loop->is_draining = false;
}

void leat_loop_gate(struct leat_loop *loop)
{
    if (unlikely((loop->ticks.count | loop->jobs.count) != 0) && !loop->is_draining)
        loop_drain(loop);
}

int leat_next_tick(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    return loop_queue_push(&loop->ticks, fn, arg);
}

int leat_queue_microtask(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    return loop_queue_push(&loop->jobs, fn, arg);
}

int leat_loop_pend(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    return loop_queue_push(&loop->pending, fn, arg);
}

int leat_loop_close_later(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    return loop_queue_push(&loop->closing, fn, arg);
}

/* What is queued while it runs waits for the next turn. */
static void loop_run_queue(struct leat_loop *loop, struct loop_queue *queue)
{
    for (uint32_t left = queue->count; left > 0; left--)
        loop_call(loop, loop_queue_pull(queue));
}

void loop_run_pending(struct leat_loop *loop)
{
    loop->core.phase = "pending";
    loop_run_queue(loop, &loop->pending);
}

void loop_run_closing(struct leat_loop *loop)
{
    loop->core.phase = "close";
    loop_run_queue(loop, &loop->closing);
}

leat_immediate leat_set_immediate(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    struct loop_immediate *immediate =
        loop_slot_take(&loop->immediates_set, HANDLE_TABLE_IMMEDIATES, sizeof(*immediate));
    if (immediate == NULL)
        return 0;
    immediate->callback = (struct loop_callback){fn, arg};
    list_push(&loop->immediates, &immediate->link);
    return immediate->id;
}

void leat_clear_immediate(leat_immediate id)
{
    struct slots *slots = &leat_loop_current()->immediates_set;
    struct loop_immediate *immediate = slots_find(slots, id);
    if (immediate == NULL)
        return;
    list_unlink(&immediate->link);
    slots_give(slots, immediate);
}

void loop_fini_immediates(struct leat_loop *loop)
{
    if (loop->immediates_set.chunks != NULL)
        slots_fini(&loop->immediates_set);
}

void loop_run_immediates(struct leat_loop *loop)
{
    loop->core.phase = "check";
    struct list running;
    list_init(&running);
    list_take(&running, &loop->immediates);
    struct list *link;
    while ((link = list_pull(&running)) != NULL) {
        struct loop_immediate *immediate = container_of(link, struct loop_immediate, link);
        struct loop_callback callback = immediate->callback;
        slots_give(&loop->immediates_set, immediate);
        loop_call(loop, callback);
    }
}

enum { HOOK_STARTED = 1, HOOK_UNREF = 2 };

void leat_hook_init(struct leat_hook *hook, struct leat_loop *loop, enum leat_phase phase,
                    leat_callback *fn, void *arg)
{
    *hook = (struct leat_hook){.loop = loop, .fn = fn, .arg = arg, .phase = phase};
}

void leat_hook_start(struct leat_hook *hook)
{
    if ((hook->flags & HOOK_STARTED) != 0)
        return;
    struct leat_hook **end = &hook->loop->hooks[hook->phase];
    while (*end != NULL)
        end = &(*end)->next;
    hook->next = NULL;
    hook->prev = end;
    *end = hook;
    hook->flags |= HOOK_STARTED;
    if ((hook->flags & HOOK_UNREF) == 0)
        hook->loop->refs++;
}

void leat_hook_stop(struct leat_hook *hook)
{
    if ((hook->flags & HOOK_STARTED) == 0)
        return;
    if (hook->loop->hook_next == hook)
        hook->loop->hook_next = hook->next;
    *hook->prev = hook->next;
    if (hook->next != NULL)
        hook->next->prev = hook->prev;
    hook->flags &= ~(uint32_t)HOOK_STARTED;
    if ((hook->flags & HOOK_UNREF) == 0)
        hook->loop->refs--;
}

void leat_hook_ref(struct leat_hook *hook)
{
    if ((hook->flags & (HOOK_STARTED | HOOK_UNREF)) == (HOOK_STARTED | HOOK_UNREF))
        hook->loop->refs++;
    hook->flags &= ~(uint32_t)HOOK_UNREF;
}

void leat_hook_unref(struct leat_hook *hook)
{
    if ((hook->flags & (HOOK_STARTED | HOOK_UNREF)) == HOOK_STARTED)
        hook->loop->refs--;
    hook->flags |= HOOK_UNREF;
}

void loop_run_hooks(struct leat_loop *loop, enum leat_phase phase)
{
    loop->core.phase = phase == LEAT_PHASE_IDLE      ? "idle"
                       : phase == LEAT_PHASE_PREPARE ? "prepare"
                                                     : "check";
    for (struct leat_hook *hook = loop->hooks[phase]; hook != NULL; hook = loop->hook_next) {
        loop->hook_next = hook->next;
        loop_call(loop, (struct loop_callback){hook->fn, hook->arg});
    }
    loop->hook_next = NULL;
}
