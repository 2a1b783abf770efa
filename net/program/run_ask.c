/* What code on a core asks of its program: options, other cores, its transport, the end. */
#include "net/program/run_internal.h"

#include <stdarg.h>
#include <stdio.h>

struct leat_run_core *run_core_of(const struct leat_loop *loop)
{
    struct leat_core *core = leat_core_now;
    return core != NULL && core->loop == loop ? core->run : NULL;
}

void *leat_run_user(const struct leat_loop *loop)
{
    const struct leat_run_core *core = run_core_of(loop);
    return core != NULL ? core->run->options->user : NULL;
}

const struct leat_run_options *leat_run_options(const struct leat_loop *loop)
{
    const struct leat_run_core *core = run_core_of(loop);
    return core != NULL ? core->run->options : NULL;
}

uint32_t leat_run_core_count(const struct leat_loop *loop)
{
    const struct leat_run_core *core = run_core_of(loop);
    return core != NULL ? core->run->cores_count : 0;
}

struct leat_loop *leat_run_loop(const struct leat_loop *loop, uint32_t index)
{
    struct leat_run_core *core = run_core_of(loop);
    if (core == NULL || index >= core->run->cores_count)
        return NULL;
    pthread_mutex_lock(&core->run->lock);
    struct leat_loop *other = core->run->cores[index].loop;
    pthread_mutex_unlock(&core->run->lock);
    return other;
}

const char *leat_run_net(const struct leat_loop *loop)
{
    const struct leat_run_core *core = run_core_of(loop);
    return core != NULL && core->net_name != NULL ? core->net_name : "";
}

const char *leat_run_listen_at(const struct leat_loop *loop, unsigned index)
{
    const struct leat_run_core *core = run_core_of(loop);
    return core != NULL && index < core->run->options->listen.count
               ? core->run->options->listen.items[index]
               : NULL;
}

bool leat_run_is_draining(const struct leat_loop *loop)
{
    const struct leat_run_core *core = run_core_of(loop);
    return core != NULL && core->is_draining;
}

uint64_t leat_run_drain_timeout(const struct leat_loop *loop)
{
    const struct leat_run_core *core = run_core_of(loop);
    uint64_t timeout_ns = core != NULL ? core->run->options->drain_timeout_ns : 0;
    return timeout_ns != 0 ? timeout_ns : LEAT_DRAIN_TIMEOUT_NS;
}

int leat_run_fail(struct leat_loop *loop, int code, const char *format, ...)
{
    struct leat_core *core = leat_core_now;
    CHECK(core != NULL && core->loop == loop);
    va_list args;
    va_start(args, format);
    vsnprintf(core->error.sentence, sizeof(core->error.sentence), format, args);
    va_end(args);
    core->error.code = code;
    return code;
}

void leat_run_exit(struct leat_loop *loop, int code)
{
    struct leat_run_core *core = run_core_of(loop);
    if (core != NULL && !atomic_exchange(&core->run->is_stop_asked, true)) {
        atomic_store(&core->run->exit_code, code);
        run_tell(core->run);
    }
}

void leat_run_end(struct leat_loop *loop, int code)
{
    struct leat_run_core *core = run_core_of(loop);
    if (core != NULL && !atomic_exchange(&core->run->is_exit_asked, true)) {
        atomic_store(&core->run->exit_code, code);
        run_tell(core->run);
    }
}
