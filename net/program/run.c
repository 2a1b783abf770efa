/* leat_run: prepares what the cores share, starts their threads, waits (run_wait.c), and undoes it.
 */
#include "net/program/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/watch/control.h"
#include "runtime/base/crash.h"

void run_tell(struct leat_run *run)
{
    uint64_t one = 1;
    ssize_t n = write(run->event_fd, &one, sizeof(one));
    (void)n; /* a full counter is readable too */
}

static int error_say(const struct leat_run *run, const struct leat_error *error, int exit_code)
{
    run_complain(run, "%s", error->sentence);
    return exit_code;
}

static int threads_start(struct leat_run *run, struct leat_error *error)
{
    for (uint32_t i = 0; i < run->cores_count; i++) {
        struct leat_run_core *core = &run->cores[i];
        int failed = pthread_create(&core->thread, NULL, run_core_main, core);
        if (failed != 0) {
            return leat_fail(error, -failed,
                             "cannot start the thread of core %u: %s; use fewer with --cores or "
                             "raise the limit on threads (ulimit -u)",
                             i, strerror(failed));
        }
        core->is_thread = true;
        char name[16];
        snprintf(name, sizeof(name), "leat-%u", i);
        pthread_setname_np(core->thread, name);
    }
    return 0;
}

static void threads_join(struct leat_run *run)
{
    for (uint32_t i = 0; i < run->cores_count; i++)
        if (run->cores[i].is_thread)
            pthread_join(run->cores[i].thread, NULL);
}

static int descriptors_open(struct leat_run *run, struct leat_error *error)
{
    run->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (run->event_fd < 0)
        return leat_fail(error, -errno, "cannot wait for the cores: %s", strerror(errno));
    return run_signals_open(run, error);
}

/* A program may be started with standard descriptors closed. The next files it opens would get
 * their numbers, and log lines would go into a client's connection. */
static void standard_descriptors_hold(void)
{
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = dup(fd);
    if (fd >= 0)
        close(fd);
}

/* What needs no thread yet and may find the options wrong. */
static int run_configure(struct leat_run *run, struct leat_error *error)
{
    const struct leat_run_options *options = run->options;
    if (options->log_level != NULL && leat_level_parse(options->log_level) < 0) {
        return leat_fail(error, -EINVAL, "--log-level takes error, warn, info or debug, not \"%s\"",
                         options->log_level);
    }
    for (unsigned i = 0; i < options->listen.count; i++) {
        struct leat_addr addr;
        int result = leat_addr_parse(&addr, options->listen.items[i], 0, error);
        if (result < 0)
            return result;
    }
    int result = leat_topology_read(&run->topology, NULL, error);
    if (result < 0)
        return result;
    struct leat_cpu *cpus = calloc(LEAT_CORES_MAX, sizeof(*cpus));
    if (cpus == NULL)
        return leat_fail(error, -ENOMEM, "cannot choose CPUs: out of memory");
    const char *spec = options->cores;
    if (spec == NULL && leat_net_cores_default(options->net) == 1)
        spec = "1";
    int count = leat_topology_choose(&run->topology, spec, cpus, &run->is_quota_cut, error);
    if (count > 0) {
        run->cores_count = (uint32_t)count;
        run->cores = calloc((size_t)count, sizeof(run->cores[0]));
        result = run->cores != NULL ? 0 : leat_fail(error, -ENOMEM, "out of memory for the cores");
    } else {
        result = count;
    }
    for (uint32_t i = 0; run->cores != NULL && i < run->cores_count; i++)
        run->cores[i] = (struct leat_run_core){.run = run, .cpu = cpus[i], .index = i};
    free(cpus);
    return result;
}

static bool core_post(void *arg, uint32_t core, leat_callback *fn, void *fn_arg)
{
    struct leat_run *run = arg;
    pthread_mutex_lock(&run->lock);
    struct leat_loop *loop = run->cores[core].loop;
    bool was_posted = loop != NULL && leat_loop_post(loop, fn, fn_arg) == 0;
    pthread_mutex_unlock(&run->lock);
    return was_posted;
}

static void run_wake(void *arg)
{
    run_tell(arg);
}

/* Tools are a help, and no reason not to serve: what is missing is said once. */
static void watch_open(struct leat_run *run)
{
    struct leat_error error = {0};
    const struct leat_run_options *o = run->options;
    const struct control_host host = {run, run->cores_count, core_post, run_wake};
    run->counters = counters_new(run_name(o), o->net, run->cores_count, &error);
    if (run->counters != NULL)
        run->control = control_new(&host, &error);
    if (run->control == NULL)
        run_complain(run,
                     "leat top and leat ss will not see this program: %s; LEAT_RUN_DIR names "
                     "another folder",
                     error.sentence);
}

static int run_prepare(struct leat_run *run, struct leat_error *error)
{
    int result = run_configure(run, error);
    if (result < 0)
        return result;
    result = descriptors_open(run, error); /* threads of drivers are to inherit the mask */
    if (result < 0)
        return result;
    leat_crash_install(); /* drivers may end the program */
    const struct leat_run_options *o = run->options;
    const struct leat_net_options net_options = {
        .net = o->net,
        .ips = o->ips,
        .gateways = o->gateways,
        .mac = o->mac,
        .mtu_bytes = o->mtu_bytes,
        .mss_bytes = o->mss_bytes,
        .vlan = o->vlan,
        .queue_count = o->queue_count,
        .faults = o->net_faults,
        .cores_count = run->cores_count,
    };
    run->net = leat_net_new(&net_options, error);
    if (run->net == NULL)
        return error->code;
    run->mesh = leat_mesh_new(run->cores_count, error);
    if (run->mesh == NULL)
        return error->code;
    struct leat_logger_options log_options = {
        .level = run->options->log_level != NULL
                     ? (enum leat_level)leat_level_parse(run->options->log_level)
                     : LEAT_LEVEL_INFO,
        .json = run->options->json_log,
        .error_fd = STDERR_FILENO,
        .output_fd = STDOUT_FILENO,
        .ring_bytes = run->options->log_buffer_bytes,
    };
    run->logger = leat_logger_new(&log_options, run->cores_count, error);
    if (run->logger == NULL)
        return error->code;
    run->log = leat_logger_open(run->logger, LEAT_LOG_NO_CORE);
    watch_open(run);
    return 0;
}

static void run_free(struct leat_run *run)
{
    control_free(run->control);
    counters_free(run->counters);
    leat_logger_free(run->logger);
    leat_mesh_free(run->mesh);
    leat_net_free(run->net);
    if (run->event_fd >= 0)
        close(run->event_fd);
    run_signals_close(run);
    pthread_cond_destroy(&run->changed);
    pthread_mutex_destroy(&run->lock);
    free(run->cores);
    free(run);
}

int leat_run(const struct leat_run_options *options)
{
    struct leat_error error = {0};
    standard_descriptors_hold();
    run_descriptors_raise();
    struct leat_run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        const struct leat_run none = {.options = options};
        leat_fail(&error, -ENOMEM, "cannot start: out of memory");
        return error_say(&none, &error, EXIT_FAILED);
    }
    run->options = options;
    run->event_fd = run->signal_fd = -1;
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->changed, NULL);
    void *crash_stack = leat_crash_stack_new();
    int code;
    int result = run_prepare(run, &error);
    int signal_number = result < 0 ? run_signals_pending(run) : 0;
    if (signal_number != 0) {
        code = EXIT_SIGNAL + signal_number;
    } else if (result < 0) {
        code = error_say(run, &error, result == -EINVAL ? EXIT_USAGE : EXIT_FAILED);
    } else if (threads_start(run, &error) < 0) {
        run_stage_set(run, RUN_FAILED);
        threads_join(run);
        code = error_say(run, &error, EXIT_FAILED);
    } else {
        code = run_wait(run, &error);
        threads_join(run);
        if (code < 0)
            code = error_say(run, &error, EXIT_FAILED);
        else if (code == EXIT_OK && !leat_net_is_sound(run->net))
            code = EXIT_FAILED;
    }
    run_free(run);
    leat_crash_stack_free(crash_stack);
    return code;
}
