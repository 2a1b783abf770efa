/* Hooks of a core on the drain, the reload and the end of its program, and what holds the end back.
 */
#include "net/program/run_internal.h"

#include <errno.h>
#include <string.h>

#include "runtime/loop/part.h"

void run_hooks_run(struct leat_run_core *core, enum run_hook_kind kind)
{
    for (unsigned i = core->hook_counts[kind]; i > 0; i--) {
        struct run_hook hook = core->hooks[kind][i - 1];
        if (hook.fn != NULL) {
            hook.fn(hook.arg);
            leat_loop_gate(leat_core_now->loop);
        }
    }
}

/* They have freed what the others use; a drain or a reload may still be on its way. */
void run_hooks_forget(struct leat_run_core *core)
{
    memset(core->hook_counts, 0, sizeof(core->hook_counts));
}

static int hook_add(struct leat_loop *loop, enum run_hook_kind kind, leat_callback *fn, void *arg)
{
    struct leat_run_core *core = run_core_of(loop);
    if (core == NULL)
        return 0;
    struct run_hook *hooks = core->hooks[kind];
    unsigned *count = &core->hook_counts[kind];
    while (*count > 0 && hooks[*count - 1].fn == NULL)
        --*count;
    if (*count == LEAT_RUN_HOOKS_MAX) {
        return leat_fail(&leat_core_now->error, -ENOSPC,
                         "more than %d hooks on the end or reload of the program",
                         LEAT_RUN_HOOKS_MAX);
    }
    hooks[(*count)++] = (struct run_hook){fn, arg};
    return 0;
}

int leat_run_on_drain(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    return hook_add(loop, RUN_HOOK_DRAIN, fn, arg);
}

int leat_run_on_reload(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    return hook_add(loop, RUN_HOOK_RELOAD, fn, arg);
}

int leat_run_on_end(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    return hook_add(loop, RUN_HOOK_END, fn, arg);
}

int leat_run_on_before_exit(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    return hook_add(loop, RUN_HOOK_BEFORE_EXIT, fn, arg);
}

void leat_run_on_fatal(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    struct leat_core *core = loop_core(loop);
    core->on_fatal = fn;
    core->on_fatal_arg = arg;
}

void leat_run_forget(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    struct leat_run_core *core = run_core_of(loop);
    for (unsigned kind = 0; core != NULL && kind < RUN_HOOK_KINDS; kind++) {
        for (unsigned i = 0; i < core->hook_counts[kind]; i++) {
            struct run_hook *hook = &core->hooks[kind][i];
            if (hook->fn == fn && hook->arg == arg)
                hook->fn = NULL;
        }
    }
}

static void drained_set(struct leat_run_core *core, bool has_drained)
{
    pthread_mutex_lock(&core->run->lock);
    core->has_drained = has_drained;
    pthread_mutex_unlock(&core->run->lock);
}

void leat_run_ref(struct leat_loop *loop)
{
    struct leat_run_core *core = run_core_of(loop);
    if (core != NULL) {
        core->refs_count++;
        leat_loop_ref(loop);
        if (core->is_draining && core->refs_count == 1)
            drained_set(core, false);
    }
}

void leat_run_unref(struct leat_loop *loop)
{
    struct leat_run_core *core = run_core_of(loop);
    if (core == NULL)
        return;
    CHECK(core->refs_count > 0);
    core->refs_count--;
    leat_loop_unref(loop);
    if (core->refs_count == 0 && core->is_draining) {
        drained_set(core, true);
        run_tell(core->run);
    }
}

void run_core_drain(void *run_core)
{
    struct leat_run_core *core = run_core;
    if (core->is_draining)
        return;
    core->is_draining = true;
    struct leat_loop *loop = leat_core_now->loop;
    leat_loop_ref(loop); /* until it is stopped: others may still ask this core */
    leat_run_ref(loop);  /* what hooks give back does not end it before the last hook ran */
    run_hooks_run(core, RUN_HOOK_DRAIN);
    leat_run_unref(loop);
}

void run_core_reload(void *run_core)
{
    run_hooks_run(run_core, RUN_HOOK_RELOAD);
}
