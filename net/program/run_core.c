/* What a program's life is on one core: start, run, drain, end; and the functions of leat/run.h
 * that code on a core calls. */
#include "net/program/run_internal.h"

#include <leat/buf.h>
#include <leat/metrics.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "runtime/base/crash.h"
#include "runtime/base/list.h"

void run_tell(struct leat_run *run)
{
    uint64_t one = 1;
    ssize_t n = write(run->event_fd, &one, sizeof(one));
    (void)n; /* a full counter is readable too */
}

static struct leat_run_core *core_of(const struct leat_loop *loop)
{
    struct leat_core *core = leat_core_now;
    return core != NULL && core->loop == loop ? core->run : NULL;
}

static void flush_log(struct leat_source *source)
{
    leat_log_flush(leat_core_now->log);
}

static const struct leat_source_ops log_ops = {.name = "log", .flush = flush_log};

static void log_quota(const struct leat_run *run)
{
    unsigned long long milli = run->topology.quota_milli;
    LEAT_LOG_INFO("the CPU quota is %llu.%03llu of %u usable CPUs: %u %s %s", milli / 1000,
                  milli % 1000, run->topology.cpus_count, run->cores_count,
                  run->cores_count == 1 ? "loop" : "loops",
                  run->options->cores == NULL ? "will run; choose otherwise with --cores"
                                              : "as --cores says may be throttled");
}

/* What is done without, a line each for all cores; called by the cores in turn. */
static void log_refusals(struct leat_run_core *core)
{
    struct leat_run *run = core->run;
    struct leat_buf_stats buffers;
    if (core->index == 0 && run->is_quota_cut)
        log_quota(run);
    leat_buf_stats(&buffers);
    if (core->index == 0 && strcmp(buffers.pages, "plain") == 0) {
        LEAT_LOG_INFO("buffers use plain pages: this system offers no transparent huge pages "
                      "(/sys/kernel/mm/transparent_hugepage/enabled)");
    }
    if (core->is_memory_refused && !run->has_told_memory) {
        LEAT_LOG_INFO("memory comes from the node that the kernel chooses: set_mempolicy is "
                      "refused; allow it in the container's seccomp profile");
        run->has_told_memory = true;
    }
}

/* Everything up to the application's start, and that. */
static int core_start(struct leat_run_core *core, struct leat_error *error)
{
    struct leat_run *run = core->run;
    struct leat_loop_options options = {
        .index = core->index,
        .busy_poll = run->options->busy_poll,
        .clock = leat_net_clock(run->net),
        .buffer_bytes_max = run->options->buffer_bytes_max,
        .mesh = run->mesh,
        .hugepages = run->options->hugepages && !leat_net_spares_hugepages(run->net),
    };
    struct leat_loop *loop = leat_loop_new(&options, error);
    if (loop == NULL)
        return error->code < 0 ? error->code : -ENOMEM;
    leat_core_now->run = core;
    leat_core_now->numa_node = core->cpu.numa_node;
    leat_core_now->log = leat_logger_open(run->logger, core->index);
    core->log_source.ops = &log_ops;
    leat_source_add(loop, &core->log_source);
    pthread_mutex_lock(&run->lock);
    core->loop = loop;
    pthread_mutex_unlock(&run->lock);
    log_refusals(core);
    int result = leat_net_open(run->net, loop, error);
    if (result < 0)
        return result;
    core->net_name = leat_net_name(loop);
    counters_open(&core->counters, run->counters, loop);
    counters_add_common(&core->counters);
    leat_core_now->phase = "start";
    result = run->options->start(loop);
    leat_core_now->phase = NULL;
    if (result < 0) {
        *error = *leat_loop_error(loop);
        if (error->code != result) { /* of an earlier call, which start coped with */
            leat_fail(error, result, "the program's start function failed with %s",
                      leat_errno_name(result));
        }
    }
    return result < 0 ? result : 0;
}

static void hooks_run(struct leat_run_core *core, enum run_hook_kind kind)
{
    for (unsigned i = core->hook_counts[kind]; i > 0; i--) {
        struct run_hook hook = core->hooks[kind][i - 1];
        if (hook.fn != NULL) {
            hook.fn(hook.arg);
            leat_loop_gate(leat_core_now->loop);
        }
    }
}

/* No core may post to this loop any more once all have come here. */
static void wait_for_all_stopped(struct leat_run *run)
{
    pthread_mutex_lock(&run->lock);
    run->stopped_count++;
    pthread_cond_broadcast(&run->changed);
    while (run->stopped_count < run->cores_count)
        pthread_cond_wait(&run->changed, &run->lock);
    pthread_mutex_unlock(&run->lock);
}

static void say_stats(struct leat_loop *loop)
{
    struct leat_loop_metrics m;
    struct leat_heap_stats heap;
    leat_loop_metrics(loop, &m);
    leat_heap_stats(leat_core_now, &heap);
    char line[1024];
    int length = snprintf(line, sizeof(line),
                          "{\"core\":%u,\"busy_ns\":%" PRIu64 ",\"idle_ns\":%" PRIu64
                          ",\"work_ns\":%" PRIu64 ",\"work_cycles\":%" PRIu64 ",\"turns\":%" PRIu64
                          ",\"work_turns\":%" PRIu64 ",\"events\":%" PRIu64 ",\"timers\":%" PRIu64
                          ",\"sleeps\":%" PRIu64 ",\"heap_bytes\":%" PRIu64 ",\"layer_cycles\":{",
                          leat_loop_index(loop), m.busy_ns, m.idle_ns, m.work_ns, m.work_cycles,
                          m.turn_count, m.work_turn_count, m.event_count, m.timer_count,
                          m.sleep_count, heap.allocated_bytes - heap.freed_bytes);
    for (unsigned i = 0; i < LEAT_LAYER_COUNT; i++)
        length += snprintf(line + length, sizeof(line) - (size_t)length, "%s\"%s\":%" PRIu64,
                           i > 0 ? "," : "", leat_layer_name(i), m.layer_cycles[i]);
    snprintf(line + length, sizeof(line) - (size_t)length, "}}\n");
    fputs(line, stderr);
}

void run_core_stats(void *run_core)
{
    const struct leat_run_core *core = run_core;
    say_stats(core->loop);
}

static void core_end(struct leat_run_core *core)
{
    struct leat_loop *loop = core->loop;
    if (loop == NULL) {
        wait_for_all_stopped(core->run);
    } else {
        if (core->run->options->stats)
            say_stats(loop);
        hooks_run(core, RUN_HOOK_END);
        counters_close(&core->counters);
        leat_net_close(core->run->net, loop);
        /* What they put off to the close phase runs before the memory goes. */
        leat_loop_turn(loop, 0);
        leat_source_remove(loop, &core->log_source);
        leat_log_flush(leat_core_now->log);
        wait_for_all_stopped(core->run);
        pthread_mutex_lock(&core->run->lock);
        core->loop = NULL;
        pthread_mutex_unlock(&core->run->lock);
        leat_loop_free(loop);
    }
    leat_crash_stack_free(core->crash_stack);
}

void *run_core_main(void *run_core)
{
    struct leat_run_core *core = run_core;
    struct leat_run *run = core->run;
    struct leat_error error = {0};
    core->crash_stack = leat_crash_stack_new();
    int pinned = leat_topology_pin(&run->topology, &core->cpu, &core->is_memory_refused);

    pthread_mutex_lock(&run->lock);
    while (run->turn != core->index && run->stage != RUN_FAILED)
        pthread_cond_wait(&run->changed, &run->lock);
    bool may_start = run->stage != RUN_FAILED;
    pthread_mutex_unlock(&run->lock);

    int result = may_start ? core_start(core, &error) : -ECANCELED;
    if (may_start && pinned < 0) {
        LEAT_LOG_WARN("cannot pin this loop to CPU %u (%s): it runs where the kernel puts it",
                      core->cpu.number, leat_errno_name(pinned));
    }
    leat_log_flush(leat_core_now != NULL ? leat_core_now->log : NULL);

    pthread_mutex_lock(&run->lock);
    core->result = result;
    core->error = error;
    core->has_started = true;
    if (result == 0) /* else nobody else needs to start */
        run->turn++;
    pthread_cond_broadcast(&run->changed);
    run_tell(run);
    while (run->stage == RUN_STARTING)
        pthread_cond_wait(&run->changed, &run->lock);
    bool may_run = run->stage != RUN_FAILED;
    pthread_mutex_unlock(&run->lock);

    if (may_run)
        leat_loop_run(core->loop);
    core_end(core);
    pthread_mutex_lock(&run->lock);
    core->has_ended = true;
    pthread_mutex_unlock(&run->lock);
    run_tell(run);
    return NULL;
}

void run_core_drain(void *run_core)
{
    struct leat_run_core *core = run_core;
    if (core->is_draining)
        return;
    core->is_draining = true;
    struct leat_loop *loop = leat_core_now->loop;
    leat_loop_ref(loop); /* until it is stopped: others may still ask this core */
    leat_run_ref(loop);  /* what hooks release does not end it before the last hook ran */
    hooks_run(core, RUN_HOOK_DRAIN);
    leat_run_unref(loop);
}

void run_core_reload(void *run_core)
{
    hooks_run(run_core, RUN_HOOK_RELOAD);
}

static void drained_set(struct leat_run_core *core, bool has_drained)
{
    pthread_mutex_lock(&core->run->lock);
    core->has_drained = has_drained;
    pthread_mutex_unlock(&core->run->lock);
}

void leat_run_ref(struct leat_loop *loop)
{
    struct leat_run_core *core = core_of(loop);
    if (core != NULL) {
        core->refs_count++;
        leat_loop_ref(loop);
        if (core->is_draining && core->refs_count == 1)
            drained_set(core, false);
    }
}

void leat_run_unref(struct leat_loop *loop)
{
    struct leat_run_core *core = core_of(loop);
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

static int hook_add(struct leat_loop *loop, enum run_hook_kind kind, leat_callback *fn, void *arg)
{
    struct leat_run_core *core = core_of(loop);
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
    struct leat_run_core *core = core_of(loop);
    if (core != NULL) {
        pthread_mutex_lock(&core->run->lock);
        core->run->has_reload_hooks = true;
        pthread_mutex_unlock(&core->run->lock);
    }
    return hook_add(loop, RUN_HOOK_RELOAD, fn, arg);
}

int leat_run_on_end(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    return hook_add(loop, RUN_HOOK_END, fn, arg);
}

void leat_run_forget(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    struct leat_run_core *core = core_of(loop);
    for (unsigned kind = 0; core != NULL && kind < RUN_HOOK_KINDS; kind++) {
        for (unsigned i = 0; i < core->hook_counts[kind]; i++) {
            struct run_hook *hook = &core->hooks[kind][i];
            if (hook->fn == fn && hook->arg == arg)
                hook->fn = NULL;
        }
    }
}

void leat_run_listening(struct leat_loop *loop, const char *scheme, const struct leat_addr *addr)
{
    struct leat_run_core *core = core_of(loop);
    if (core == NULL)
        return;
    struct leat_run *run = core->run;
    pthread_mutex_lock(&run->lock);
    bool is_new = run->stage == RUN_STARTING && run->lines_count < LEAT_RUN_LISTENING_MAX;
    for (unsigned i = 0; i < run->lines_count; i++)
        is_new = is_new && !leat_addr_equal(&run->lines[i].addr, addr);
    if (is_new) {
        struct run_line *line = &run->lines[run->lines_count++];
        snprintf(line->scheme, sizeof(line->scheme), "%s", scheme);
        line->addr = *addr;
    }
    pthread_mutex_unlock(&run->lock);
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

void *leat_run_user(const struct leat_loop *loop)
{
    const struct leat_run_core *core = core_of(loop);
    return core != NULL ? core->run->options->user : NULL;
}

const struct leat_run_options *leat_run_options(const struct leat_loop *loop)
{
    const struct leat_run_core *core = core_of(loop);
    return core != NULL ? core->run->options : NULL;
}

uint32_t leat_run_core_count(const struct leat_loop *loop)
{
    const struct leat_run_core *core = core_of(loop);
    return core != NULL ? core->run->cores_count : 0;
}

struct leat_loop *leat_run_loop(const struct leat_loop *loop, uint32_t index)
{
    struct leat_run_core *core = core_of(loop);
    if (core == NULL || index >= core->run->cores_count)
        return NULL;
    pthread_mutex_lock(&core->run->lock);
    struct leat_loop *other = core->run->cores[index].loop;
    pthread_mutex_unlock(&core->run->lock);
    return other;
}

const char *leat_run_net(const struct leat_loop *loop)
{
    const struct leat_run_core *core = core_of(loop);
    return core != NULL && core->net_name != NULL ? core->net_name : "";
}

const char *leat_run_listen_at(const struct leat_loop *loop, unsigned index)
{
    const struct leat_run_core *core = core_of(loop);
    return core != NULL && index < core->run->options->listen.count
               ? core->run->options->listen.items[index]
               : NULL;
}

bool leat_run_is_draining(const struct leat_loop *loop)
{
    const struct leat_run_core *core = core_of(loop);
    return core != NULL && core->is_draining;
}

uint64_t leat_run_drain_timeout(const struct leat_loop *loop)
{
    const struct leat_run_core *core = core_of(loop);
    uint64_t timeout_ns = core != NULL ? core->run->options->drain_timeout_ns : 0;
    return timeout_ns != 0 ? timeout_ns : LEAT_DRAIN_TIMEOUT_NS;
}

void leat_run_exit(struct leat_loop *loop, int code)
{
    struct leat_run_core *core = core_of(loop);
    if (core != NULL && !atomic_exchange(&core->run->is_exit_asked, true)) {
        atomic_store(&core->run->exit_code, code);
        run_tell(core->run);
    }
}
