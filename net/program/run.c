/* The thread that called leat_run: it makes the cores' threads, then waits for signals and for the
 * cores. It is no loop, so that a core which hangs cannot keep the program from ending. */
#include "net/watch/control.h"
#include "net/program/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/crash.h"
#include "runtime/os/signals.h"

/* How long after the drain's limit a core may take to stop before the process ends without it. */
#define RUN_STOP_GRACE_NS (2 * LEAT_NS_PER_S)
#define RUN_RETRY_MS      1
#define RUN_CONTROL_MS    100 /* between looks at tools that are served */
/* timeout(1) and others send their signal to the process and to its group: that is one signal. */
#define RUN_SAME_SIGNAL_NS (20 * LEAT_NS_PER_MS)

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_SIGNAL = 128 };

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * LEAT_NS_PER_S + (uint64_t)now.tv_nsec;
}

static const char *name_of(const struct leat_run_options *options)
{
    return options->name != NULL ? options->name : "leat";
}

static int say_error(const struct leat_run_options *options, const struct leat_error *error,
                     int exit_code)
{
    fprintf(stderr, "%s: %s\n", name_of(options), error->sentence);
    return exit_code;
}

static void say_ready(struct leat_run *run)
{
    char banner[1024];
    if (leat_net_banner(run->net, banner, sizeof(banner)) != NULL)
        printf("%s\n", banner);
    for (unsigned i = 0; i < run->lines_count; i++) {
        const struct run_line *line = &run->lines[i];
        char text[LEAT_ADDR_TEXT_BYTES_MAX];
        if (line->addr.family == LEAT_FAMILY_UNIX) {
            printf("listening on %s\n", leat_addr_format(&line->addr, text));
        } else if (leat_addr_is_wildcard(&line->addr)) {
            printf("listening on %s://%s:%u (every address)\n", line->scheme,
                   leat_net_host(run->net, text, sizeof(text)), line->addr.port);
        } else {
            printf("listening on %s://%s\n", line->scheme, leat_addr_format(&line->addr, text));
        }
    }
    fflush(stdout);
}

static void stage_set(struct leat_run *run, enum run_stage stage)
{
    pthread_mutex_lock(&run->lock);
    run->stage = stage;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

/* Posts what the cores are owed; returns whether a full lane makes it necessary to come again. */
static bool posts_send(struct leat_run *run)
{
    bool must_retry = false;
    pthread_mutex_lock(&run->lock);
    for (uint32_t i = 0; i < run->cores_count; i++) {
        struct leat_run_core *core = &run->cores[i];
        if (core->owes_drain &&
            (core->loop == NULL || leat_loop_post(core->loop, run_core_drain, core) == 0))
            core->owes_drain = false;
        if (core->owes_reload &&
            (core->loop == NULL || leat_loop_post(core->loop, run_core_reload, core) == 0))
            core->owes_reload = false;
        if (core->owes_stats &&
            (core->loop == NULL || leat_loop_post(core->loop, run_core_stats, core) == 0))
            core->owes_stats = false;
        must_retry = must_retry || core->owes_drain || core->owes_reload || core->owes_stats;
    }
    pthread_mutex_unlock(&run->lock);
    return must_retry;
}

static void loops_stop(struct leat_run *run)
{
    pthread_mutex_lock(&run->lock);
    for (uint32_t i = 0; i < run->cores_count; i++)
        if (run->cores[i].loop != NULL)
            leat_loop_stop(run->cores[i].loop);
    pthread_mutex_unlock(&run->lock);
}

/* What the waiting thread knows and nobody else. */
struct wait {
    struct leat_run *run;
    int signal_number;  /* the first that asked for the end, 0: none did */
    uint64_t signal_ns; /* when it came */
    bool is_end_asked;
    uint64_t deadline_ns; /* of the drain, then of the stop; UINT64_MAX: none */
    bool is_stopping;     /* the drain's limit has passed */
};

static void wait_drain(struct wait *wait)
{
    struct leat_run *run = wait->run;
    uint64_t limit_ns = run->options->drain_timeout_ns;
    wait->deadline_ns = clock_ns() + (limit_ns != 0 ? limit_ns : LEAT_DRAIN_TIMEOUT_NS);
    stage_set(run, RUN_DRAINING);
    for (uint32_t i = 0; i < run->cores_count; i++)
        run->cores[i].owes_drain = true;
}

static void wait_reload(struct wait *wait)
{
    for (uint32_t i = 0; i < wait->run->cores_count; i++)
        wait->run->cores[i].owes_reload = true;
}

static void on_signal(struct wait *wait, int number)
{
    struct leat_run *run = wait->run;
    if (number == SIGUSR1) {
        for (uint32_t i = 0; i < run->cores_count; i++)
            run->cores[i].owes_stats = true;
        return;
    }
    pthread_mutex_lock(&run->lock);
    bool is_reload = number == SIGHUP && run->has_reload_hooks;
    pthread_mutex_unlock(&run->lock);
    if (is_reload) {
        wait_reload(wait);
        return;
    }
    uint64_t now_ns = clock_ns();
    if (number == wait->signal_number && now_ns - wait->signal_ns < RUN_SAME_SIGNAL_NS)
        return;
    if (wait->is_end_asked) {
        fprintf(stderr, "%s: SIG%s again: ending at once, requests in flight are cut off\n",
                name_of(run->options), sigabbrev_np(number));
        _exit(EXIT_SIGNAL + number);
    }
    wait->signal_number = number;
    wait->signal_ns = now_ns;
    wait->is_end_asked = true;
}

static void on_deadline(struct wait *wait)
{
    if (wait->is_stopping) {
        fprintf(stderr, "%s: a core does not stop: ending without it\n",
                name_of(wait->run->options));
        _exit(EXIT_FAILED);
    }
    fprintf(stderr, "%s: the drain took longer than --drain-timeout: cutting off what is left\n",
            name_of(wait->run->options));
    wait->is_stopping = true;
    wait->deadline_ns = clock_ns() + RUN_STOP_GRACE_NS;
    loops_stop(wait->run);
}

struct census {
    uint32_t started, failed, drained, ended;
    const struct leat_error *error; /* of the first that failed */
};

static struct census census_take(struct leat_run *run)
{
    struct census census = {0};
    pthread_mutex_lock(&run->lock);
    for (uint32_t i = 0; i < run->cores_count; i++) {
        const struct leat_run_core *core = &run->cores[i];
        census.started += core->has_started;
        census.drained += core->has_drained || core->has_ended;
        census.ended += core->has_ended;
        if (core->has_started && core->result < 0) {
            census.failed++;
            census.error = census.error == NULL ? &core->error : census.error;
        }
    }
    pthread_mutex_unlock(&run->lock);
    return census;
}

/* Sleeps until a signal, word from a core, or timeout_ms. */
static void wait_for_news(struct wait *wait, int timeout_ms)
{
    struct leat_run *run = wait->run;
    struct pollfd fds[2 + CONTROL_FDS_MAX] = {{run->signal_fd, POLLIN, 0},
                                              {run->event_fd, POLLIN, 0}};
    poll(fds, 2 + control_fds(run->control, fds + 2), timeout_ms);
    uint64_t count;
    ssize_t n = read(run->event_fd, &count, sizeof(count));
    (void)n;
    struct signalfd_siginfo info;
    while (read(run->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        on_signal(wait, (int)info.ssi_signo);
    if (atomic_load(&run->is_exit_asked))
        wait->is_end_asked = true;
    control_turn(run->control, clock_ns());
}

static int timeout_of(const struct wait *wait, bool must_retry)
{
    bool is_busy = control_is_busy(wait->run->control);
    if (must_retry)
        return RUN_RETRY_MS;
    if (wait->deadline_ns == UINT64_MAX)
        return is_busy ? RUN_CONTROL_MS : -1;
    uint64_t now = clock_ns();
    uint64_t left_ms = now < wait->deadline_ns ? (wait->deadline_ns - now) / LEAT_NS_PER_MS + 1 : 0;
    uint64_t most_ms = is_busy ? RUN_CONTROL_MS : 60000;
    return (int)(left_ms > most_ms ? most_ms : left_ms);
}

/* Returns the exit code, or -1 when a core failed to start: *error is then its sentence. */
static int run_wait(struct leat_run *run, struct leat_error *error)
{
    struct wait wait = {.run = run, .deadline_ns = UINT64_MAX};
    for (;;) {
        struct census census = census_take(run);
        if (run->stage == RUN_STARTING && census.failed > 0) {
            *error = *census.error;
            stage_set(run, RUN_FAILED);
            wait.deadline_ns = clock_ns() + LEAT_DRAIN_TIMEOUT_NS;
        } else if (run->stage == RUN_STARTING && census.started == run->cores_count) {
            stage_set(run, RUN_RUNNING);
            if (run->lines_count > 0)
                counters_set_listening(run->counters);
            say_ready(run);
            if (run->options->on_ready != NULL)
                run->options->on_ready(run->options->user);
        }
        if (wait.is_end_asked && run->stage == RUN_RUNNING)
            wait_drain(&wait);
        if (run->stage == RUN_DRAINING && census.drained == run->cores_count)
            loops_stop(run);
        if (census.ended == run->cores_count)
            return run->stage == RUN_FAILED ? -1 : atomic_load(&run->exit_code);
        if (wait.deadline_ns != UINT64_MAX && clock_ns() >= wait.deadline_ns)
            on_deadline(&wait);
        wait_for_news(&wait, timeout_of(&wait, posts_send(run)));
    }
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
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (run->options->stats) /* else a program may want it for itself */
        sigaddset(&set, SIGUSR1);
    int result = leat_signals_block();
    run->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    run->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (result < 0 || run->event_fd < 0 || run->signal_fd < 0) {
        result = result < 0 ? result : -errno;
        return leat_fail(error, result, "cannot wait for signals: %s", strerror(-result));
    }
    return 0;
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
    run->counters = counters_new(name_of(o), o->net, run->cores_count, &error);
    if (run->counters != NULL)
        run->control = control_new(&host, &error);
    if (run->control == NULL)
        fprintf(stderr, "%s: leat top and leat ss will not see this program: %s\n", name_of(o),
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
    const struct leat_run_options *o = run->options;
    const struct leat_net_options net_options = {
        .net = o->net,
        .ips = o->ips,
        .gateways = o->gateways,
        .mac = o->mac,
        .mtu_bytes = o->mtu_bytes,
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
    leat_crash_install();
    struct leat_logger_options log_options = {
        .level = run->options->log_level != NULL
                     ? (enum leat_level)leat_level_parse(run->options->log_level)
                     : LEAT_LEVEL_INFO,
        .json = run->options->json_log,
        .error_fd = STDERR_FILENO,
        .output_fd = STDOUT_FILENO,
    };
    run->logger = leat_logger_new(&log_options, run->cores_count, error);
    if (run->logger == NULL)
        return error->code;
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
    if (run->signal_fd >= 0)
        close(run->signal_fd);
    pthread_cond_destroy(&run->changed);
    pthread_mutex_destroy(&run->lock);
    free(run->cores);
    free(run);
}

int leat_run(const struct leat_run_options *options)
{
    struct leat_error error = {0};
    standard_descriptors_hold();
    struct leat_run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        leat_fail(&error, -ENOMEM, "cannot start: out of memory");
        return say_error(options, &error, EXIT_FAILED);
    }
    run->options = options;
    run->event_fd = run->signal_fd = -1;
    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->changed, NULL);
    void *crash_stack = leat_crash_stack_new();
    int code;
    int result = run_prepare(run, &error);
    if (result < 0) {
        code = say_error(options, &error, result == -EINVAL ? EXIT_USAGE : EXIT_FAILED);
    } else if (threads_start(run, &error) < 0) {
        stage_set(run, RUN_FAILED);
        threads_join(run);
        code = say_error(options, &error, EXIT_FAILED);
    } else {
        code = run_wait(run, &error);
        threads_join(run);
        if (code < 0)
            code = say_error(options, &error, EXIT_FAILED);
        else if (code == EXIT_OK && !leat_net_is_sound(run->net))
            code = EXIT_FAILED;
    }
    run_free(run);
    leat_crash_stack_free(crash_stack);
    return code;
}
