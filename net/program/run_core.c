/* What a program's life is on one core: start, run, end. */
#include "net/program/run_internal.h"

#include <leat/buf.h>

#include <errno.h>
#include <string.h>

#include "runtime/async/tasks.h"
#include "runtime/base/clock.h"
#include "runtime/base/crash.h"
#include "runtime/loop/part.h"
#include "runtime/os/op.h"
#include "runtime/os/stdio_drain.h"

static void log_source_flush(struct leat_source *source)
{
    leat_log_flush(leat_core_now->log);
}

static const struct leat_source_ops log_ops = {.name = "log", .flush = log_source_flush};

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
    if (core->index == 0 &&
        run->options->buffer_bytes_max > leat_memory_bytes("") / run->cores_count) {
        LEAT_LOG_WARN("--buffers for each of %u loops is more than the %llu MiB of memory that "
                      "there are: the kernel may end the program before they are full",
                      run->cores_count, (unsigned long long)(leat_memory_bytes("") >> 20));
    }
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

int leat_run_ready_after(struct leat_loop *loop, struct leat_future *future)
{
    struct leat_run_core *core = run_core_of(loop);
    if (core != NULL && core->ready_after == NULL) {
        core->ready_after = future;
        return 0;
    }
    leat_future_unref(future);
    return core == NULL ? 0 : leat_run_fail(loop, -EBUSY, "leat_run_ready_after was called before");
}

static void ready_stop(void *loop, const struct leat_result *result)
{
    leat_loop_stop(loop);
}

/* Until it has settled, or the end was asked for, or nothing is left to do. */
static int core_wait_ready(struct leat_run_core *core, struct leat_error *error)
{
    struct leat_future *future = core->ready_after;
    leat_on_settled(future, ready_stop, core->loop);
    (void)leat_loop_run(core->loop);
    const struct leat_result *result = leat_future_result(future);
    int code = 0;
    if (result != NULL && result->code < 0)
        code =
            leat_fail(error, result->code, "the program's start: %s", leat_result_sentence(result));
    else if (result == NULL && tasks_name_parked(core->loop) > 0)
        code = leat_fail(error, -EDEADLK, "the program's start waits for what nothing will bring");
    else if (result == NULL)
        code = -ECANCELED;
    core->ready_after = NULL;
    leat_future_unref(future);
    return code;
}

/* At most so many at once; 0: as many as there may be. */
static int tasks_set(struct leat_loop *loop, uint64_t max, struct leat_error *error)
{
    int result = max != 0 ? tasks_limit(loop, max < UINT32_MAX ? (uint32_t)max : UINT32_MAX) : 0;
    if (result < 0)
        *error = *leat_loop_error(loop);
    return result;
}

/* Everything up to the application's start, and that. */
static int core_start(struct leat_run_core *core, struct leat_error *error)
{
    struct leat_run *run = core->run;
    struct leat_loop_options options = {
        .index = core->index,
        .busy_poll = run->options->busy_poll,
        .clock = leat_net_clock(run->net),
        .buffer_bytes_max = run_buffer_bytes(run),
        .codec_bytes_max = run->options->codec_bytes_max,
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
    run_core_cut_open(core);
    log_refusals(core);
    int result = tasks_set(loop, run->options->tasks_max, error);
    if (result == 0 &&
        options.clock != NULL) /* in a world that is played, so is what runs beside the loop */
        result = pool_play_drawn(loop, &core->files, NULL, leat_net_seed(run->net) + core->index);
    if (result == 0)
        result = leat_net_open(run->net, loop, error);
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
    if (core->ready_after != NULL && result < 0)
        leat_future_unref(core->ready_after);
    else if (core->ready_after != NULL)
        result = core_wait_ready(core, error);
    return result < 0 ? result : 0;
}

/* No core may post to this loop any more once all have come here. */
static void core_wait_for_all(struct leat_run *run)
{
    pthread_mutex_lock(&run->lock);
    run->stopped_count++;
    pthread_cond_broadcast(&run->changed);
    while (run->stopped_count < run->cores_count)
        pthread_cond_wait(&run->changed, &run->lock);
    pthread_mutex_unlock(&run->lock);
}

static void writing_set(struct leat_run_core *core, bool is_writing)
{
    pthread_mutex_lock(&core->run->lock);
    core->is_writing = is_writing;
    pthread_mutex_unlock(&core->run->lock);
}

/* What standard output and error were given goes out while the drain's time lasts. */
static void core_write_out(struct leat_run_core *core)
{
    uint64_t until_ns = atomic_load(&core->run->drain_until_ns);
    if (until_ns == 0) /* the loop has stopped by itself */
        until_ns = clock_monotonic() + leat_run_drain_timeout(core->loop);
    writing_set(core, stdio_is_pending());
    uint64_t left_bytes = stdio_drain(core->loop, until_ns);
    writing_set(core, false);
    if (left_bytes > 0)
        LEAT_LOG_WARN("%llu bytes for standard output or error are cut off: who reads them did not "
                      "within --drain-timeout",
                      (unsigned long long)left_bytes);
}

static void core_end(struct leat_run_core *core)
{
    struct leat_loop *loop = core->loop;
    if (loop == NULL) {
        core_wait_for_all(core->run);
    } else {
        if (core->run->options->stats)
            run_core_stats(core);
        tasks_stop(loop); /* what they use is still there */
        counters_close(&core->counters);
        leat_net_shut(core->run->net, loop);
        leat_loop_turn(loop, 0); /* what on_close put off, before the hooks free what it uses */
        core_write_out(core);
        pool_settle(loop); /* likewise; and operations may hold bytes that the transport lent */
        run_hooks_run(core, RUN_HOOK_END);
        run_hooks_forget(core);
        core_write_out(core); /* what they had to say */
        pool_settle(loop);    /* what the hooks began: a file that is closed */
        leat_net_close(core->run->net, loop);
        leat_loop_turn(loop, 0); /* what the hooks put off, before the memory goes */
        run_core_cut_close(core);
        leat_source_remove(&core->log_source);
        leat_log_flush(leat_core_now->log);
        core_wait_for_all(core->run);
        pthread_mutex_lock(&core->run->lock);
        core->loop = NULL;
        pthread_mutex_unlock(&core->run->lock);
        leat_loop_free(loop);
    }
    leat_crash_stack_free(core->crash_stack);
}

/* Until it is stopped, or dry although the hooks were asked. */
static void core_run(struct leat_run_core *core)
{
    while (leat_loop_run(core->loop) == 0) {
        run_hooks_run(core, RUN_HOOK_BEFORE_EXIT);
        if (!leat_loop_is_alive(core->loop))
            break;
    }
    if (!leat_loop_is_alive(core->loop) && tasks_name_parked(core->loop) > 0)
        leat_run_end(core->loop, EXIT_PARKED);
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
        core_run(core);
    if (may_run && loop_has_failed(core->loop)) /* the log has said why */
        leat_run_end(core->loop, EXIT_FAILED);
    core_end(core);
    pthread_mutex_lock(&run->lock);
    core->has_ended = true;
    pthread_mutex_unlock(&run->lock);
    run_tell(run);
    return NULL;
}
