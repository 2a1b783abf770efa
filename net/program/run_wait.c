/* The thread that called leat_run, while the program runs: it waits for signals and for the cores,
 * and moves the stage (run_internal.h). It is no loop, so that a core which hangs cannot keep the
 * program from ending. */
#include "net/program/run_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "net/watch/control.h"
#include "runtime/base/clock.h"

/* How long after the drain's limit a core may take to stop before the process ends without it. */
#define RUN_STOP_GRACE_NS (2 * LEAT_NS_PER_S)
#define RUN_RETRY_MS      1
#define RUN_CONTROL_MS    100 /* between looks at tools that are served */
/* timeout(1) and others send their signal to the process and to its group: that is one signal. */
#define RUN_SAME_SIGNAL_NS (20 * LEAT_NS_PER_MS)

void run_stage_set(struct leat_run *run, enum run_stage stage)
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
    wait->deadline_ns = clock_monotonic() + (limit_ns != 0 ? limit_ns : LEAT_DRAIN_TIMEOUT_NS);
    run_stage_set(run, RUN_DRAINING);
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
    uint64_t now_ns = clock_monotonic();
    if (number == wait->signal_number && now_ns - wait->signal_ns < RUN_SAME_SIGNAL_NS)
        return;
    if (wait->is_end_asked) {
        fprintf(stderr, "%s: SIG%s again: ending at once, requests in flight are cut off\n",
                run_name(run->options), sigabbrev_np(number));
        _exit(EXIT_SIGNAL + number);
    }
    wait->signal_number = number;
    wait->signal_ns = now_ns;
    wait->is_end_asked = true;
    atomic_store(&run->is_end_asked, true);
}

static void on_deadline(struct wait *wait)
{
    if (wait->is_stopping) {
        fprintf(stderr, "%s: a core does not stop: ending without it\n",
                run_name(wait->run->options));
        _exit(EXIT_FAILED);
    }
    fprintf(stderr, "%s: the drain took longer than --drain-timeout: cutting off what is left\n",
            run_name(wait->run->options));
    wait->is_stopping = true;
    wait->deadline_ns = clock_monotonic() + RUN_STOP_GRACE_NS;
    loops_stop(wait->run);
}

struct census {
    uint32_t started, failed, drained, ended;
    const struct leat_error *error; /* of the first that failed */
};

static struct census census_count(struct leat_run *run)
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
    control_turn(run->control, clock_monotonic());
}

static int wait_timeout_ms(const struct wait *wait, bool must_retry)
{
    bool is_busy = control_is_busy(wait->run->control);
    if (must_retry)
        return RUN_RETRY_MS;
    if (wait->deadline_ns == UINT64_MAX)
        return is_busy ? RUN_CONTROL_MS : -1;
    uint64_t now = clock_monotonic();
    uint64_t left_ms = now < wait->deadline_ns ? (wait->deadline_ns - now) / LEAT_NS_PER_MS + 1 : 0;
    uint64_t most_ms = is_busy ? RUN_CONTROL_MS : 60000;
    return (int)(left_ms > most_ms ? most_ms : left_ms);
}

bool run_is_end_asked(void)
{
    const struct leat_run_core *core = leat_core_now->run;
    return core != NULL && atomic_load(&core->run->is_end_asked);
}

static int exit_code(const struct wait *wait, const struct leat_error *error)
{
    if (wait->run->stage != RUN_FAILED)
        return atomic_load(&wait->run->exit_code);
    return wait->signal_number != 0 && error->code == -ECANCELED ? EXIT_SIGNAL + wait->signal_number
                                                                 : -1;
}

int run_wait(struct leat_run *run, struct leat_error *error)
{
    struct wait wait = {.run = run, .deadline_ns = UINT64_MAX};
    for (;;) {
        struct census census = census_count(run);
        if (run->stage == RUN_STARTING && census.failed > 0) {
            *error = *census.error;
            run_stage_set(run, RUN_FAILED);
            wait.deadline_ns = clock_monotonic() + LEAT_DRAIN_TIMEOUT_NS;
        } else if (run->stage == RUN_STARTING && census.started == run->cores_count) {
            run_stage_set(run, RUN_RUNNING);
            if (run->lines_count > 0)
                counters_set_listening(run->counters);
            run_ready_say(run);
            if (run->options->on_ready != NULL)
                run->options->on_ready(run->options->user);
        }
        if (wait.is_end_asked && run->stage == RUN_RUNNING)
            wait_drain(&wait);
        if (run->stage == RUN_DRAINING && census.drained == run->cores_count)
            loops_stop(run);
        if (census.ended == run->cores_count)
            return exit_code(&wait, error);
        if (wait.deadline_ns != UINT64_MAX && clock_monotonic() >= wait.deadline_ns)
            on_deadline(&wait);
        wait_for_news(&wait, wait_timeout_ms(&wait, posts_send(run)));
    }
}
