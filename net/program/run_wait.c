/* The thread that called leat_run, while the program runs: it waits for signals and for the cores,
 * and moves the stage (run_internal.h). It is no loop, so that a core which hangs cannot keep the
 * program from ending. */
#include "net/program/run_internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "net/watch/control.h"
#include "runtime/base/clock.h"

/* How long after the drain's limit a core may take to stop before the process ends without it. */
#define RUN_STOP_GRACE_NS (2 * LEAT_NS_PER_S)
/* A core that starts when the end is asked for may take as long to come back. */
#define RUN_START_GRACE_NS LEAT_NS_PER_S
#define RUN_TERMINAL_NS    (100 * LEAT_NS_PER_MS) /* from a SIGHUP to the second look */
#define RUN_LAST_WORDS_MS  100
#define RUN_RETRY_MS       1
#define RUN_CONTROL_MS     100 /* between looks at tools that are served */
/* timeout(1) and others send their signal to the process and to its group: that is one signal. */
#define RUN_SAME_SIGNAL_NS (20 * LEAT_NS_PER_MS)

void run_stage_set(struct leat_run *run, enum run_stage stage)
{
    pthread_mutex_lock(&run->lock);
    run->stage = stage;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

/* Posts fn if the core is owed it; a core without a loop is owed nothing. */
static void core_post(struct leat_run_core *core, bool *owes, leat_callback *fn)
{
    if (*owes && (core->loop == NULL || leat_loop_post(core->loop, fn, core) == 0))
        *owes = false;
}

/* Posts what the cores are owed; returns whether a full lane makes it necessary to come again. */
static bool posts_send(struct leat_run *run)
{
    bool must_retry = false;
    pthread_mutex_lock(&run->lock);
    for (uint32_t i = 0; i < run->cores_count; i++) {
        struct leat_run_core *core = &run->cores[i];
        core_post(core, &core->owes_drain, run_core_drain);
        core_post(core, &core->owes_cut, run_core_cut);
        core_post(core, &core->owes_reload, run_core_reload);
        core_post(core, &core->owes_stats, run_core_stats);
        must_retry = must_retry || core->owes_drain || core->owes_cut || core->owes_reload ||
                     core->owes_stats;
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
    bool is_cancelled;    /* the end was asked for before all cores had started */
    bool is_stopping;     /* the drain's limit has passed, or there is nothing to drain */
    uint64_t deadline_ns; /* of the drain, then of the stop; UINT64_MAX: none */
    uint64_t terminal_ns; /* when to look again whether it is there; UINT64_MAX: never */
};

static uint64_t run_drain_ns(const struct leat_run *run)
{
    uint64_t limit_ns = run->options->drain_timeout_ns;
    return limit_ns != 0 ? limit_ns : LEAT_DRAIN_TIMEOUT_NS;
}

static void wait_drain(struct wait *wait)
{
    struct leat_run *run = wait->run;
    wait->deadline_ns = clock_monotonic() + run_drain_ns(run);
    atomic_store(&run->drain_until_ns, wait->deadline_ns);
    run_stage_set(run, RUN_DRAINING);
    for (uint32_t i = 0; i < run->cores_count; i++)
        run->cores[i].owes_drain = true;
}

static void wait_stop_begin(struct wait *wait)
{
    struct leat_run *run = wait->run;
    uint64_t now_ns = clock_monotonic();
    wait->is_stopping = true;
    wait->deadline_ns = now_ns + RUN_STOP_GRACE_NS;
    if (atomic_load(&run->drain_until_ns) == 0)
        atomic_store(&run->drain_until_ns, now_ns + run_drain_ns(run));
    run_stage_set(run, RUN_DRAINING);
}

/* Without a drain, or what is left of it. */
static void wait_stop(struct wait *wait)
{
    wait_stop_begin(wait);
    loops_stop(wait->run);
}

/* Each core stops by itself, after what had come for it when the drain's limit passed. */
static void wait_cut(struct wait *wait)
{
    wait_stop_begin(wait);
    for (uint32_t i = 0; i < wait->run->cores_count; i++)
        wait->run->cores[i].owes_cut = true;
}

/* A core that has stopped may write to standard output as long as the drain would have lasted. */
static bool wait_prolong(struct wait *wait)
{
    struct leat_run *run = wait->run;
    uint64_t until_ns = atomic_load(&run->drain_until_ns) + RUN_STOP_GRACE_NS;
    bool is_writing = false;
    pthread_mutex_lock(&run->lock);
    for (uint32_t i = 0; i < run->cores_count; i++)
        is_writing = is_writing || run->cores[i].is_writing;
    pthread_mutex_unlock(&run->lock);
    if (!is_writing || wait->deadline_ns >= until_ns)
        return false;
    wait->deadline_ns = until_ns;
    return true;
}

/* Nothing is in flight yet: cores that have started end, those whose turn it is not do not start.
 */
static void wait_cancel(struct wait *wait)
{
    wait->is_cancelled = wait->is_stopping = true;
    wait->deadline_ns = clock_monotonic() + RUN_START_GRACE_NS;
    run_stage_set(wait->run, RUN_FAILED);
    loops_stop(wait->run);
}

/* Ends the process as it is: a core may be anywhere. */
static _Noreturn void wait_exit(const struct wait *wait, int code)
{
    struct leat_run *run = wait->run;
    counters_unlink(run->counters);
    control_unlink(run->control);
    (void)leat_logger_stop(run->logger, RUN_LAST_WORDS_MS);
    _exit(code);
}

static void on_end_signal(struct wait *wait, int number)
{
    uint64_t now_ns = clock_monotonic();
    if (number == wait->signal_number && now_ns - wait->signal_ns < RUN_SAME_SIGNAL_NS)
        return;
    if (wait->is_end_asked) {
        run_complain(wait->run, "SIG%s again: ending at once, requests in flight are cut off",
                     sigabbrev_np(number));
        wait_exit(wait, EXIT_SIGNAL + number);
    }
    wait->signal_number = number;
    wait->signal_ns = now_ns;
    wait->is_end_asked = true;
    atomic_store(&wait->run->is_end_asked, true);
}

/* A terminal that hangs up may still be there when its signal comes: it is looked for again. */
static void on_hang_up(struct wait *wait)
{
    struct leat_run *run = wait->run;
    if (run->had_terminal && !run_has_terminal()) {
        on_end_signal(wait, SIGHUP);
        return;
    }
    if (run->had_terminal)
        wait->terminal_ns = clock_monotonic() + RUN_TERMINAL_NS;
    run_complain(run, "SIGHUP: log files are opened again and reload hooks run; SIGTERM ends it");
    leat_logger_reopen(run->logger);
    for (uint32_t i = 0; i < run->cores_count; i++)
        run->cores[i].owes_reload = true;
}

static void on_terminal_due(struct wait *wait)
{
    wait->terminal_ns = UINT64_MAX;
    if (!run_has_terminal() && !wait->is_end_asked)
        on_end_signal(wait, SIGHUP);
}

static void on_signal(struct wait *wait, int number)
{
    if (number == SIGHUP)
        on_hang_up(wait);
    else if (number == SIGUSR1)
        for (uint32_t i = 0; i < wait->run->cores_count; i++)
            wait->run->cores[i].owes_stats = true;
    else
        on_end_signal(wait, number);
}

static void on_deadline(struct wait *wait)
{
    if (wait->is_stopping && wait_prolong(wait))
        return;
    if (wait->is_stopping) {
        run_complain(wait->run, "a core does not %s: ending without it",
                     wait->is_cancelled ? "come back from its start" : "stop");
        wait_exit(wait, wait->signal_number != 0 && wait->is_cancelled
                            ? EXIT_SIGNAL + wait->signal_number
                            : EXIT_FAILED);
    }
    run_complain(wait->run, "the drain took longer than --drain-timeout: cutting off what is left");
    wait_cut(wait);
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
    uint64_t due_ns = wait->deadline_ns < wait->terminal_ns ? wait->deadline_ns : wait->terminal_ns;
    if (must_retry)
        return RUN_RETRY_MS;
    if (due_ns == UINT64_MAX)
        return is_busy ? RUN_CONTROL_MS : -1;
    uint64_t now = clock_monotonic();
    uint64_t left_ms = now < due_ns ? (due_ns - now) / LEAT_NS_PER_MS + 1 : 0;
    uint64_t most_ms = is_busy ? RUN_CONTROL_MS : 60000;
    return (int)(left_ms > most_ms ? most_ms : left_ms);
}

bool run_is_end_asked(void)
{
    const struct leat_run_core *core = leat_core_now->run;
    return core != NULL && atomic_load(&core->run->is_end_asked);
}

static int exit_code(const struct wait *wait)
{
    if (wait->run->stage != RUN_FAILED)
        return atomic_load(&wait->run->exit_code);
    return wait->is_cancelled ? EXIT_SIGNAL + wait->signal_number : -1;
}

/* Everything has started: tells so. */
static void wait_ready(struct wait *wait)
{
    struct leat_run *run = wait->run;
    run_stage_set(run, RUN_RUNNING);
    if (run->lines_count > 0)
        counters_set_listening(run->counters);
    run_ready_say(run);
    if (run->options->on_ready != NULL)
        run->options->on_ready(run->options->user);
}

/* What is due now that the cores are as census says. */
static void wait_step(struct wait *wait, const struct census *census, struct leat_error *error)
{
    struct leat_run *run = wait->run;
    if (run->stage == RUN_STARTING && wait->signal_number != 0) {
        wait_cancel(wait);
    } else if (run->stage == RUN_STARTING && census->failed > 0) {
        *error = *census->error;
        run_stage_set(run, RUN_FAILED);
        wait->deadline_ns = clock_monotonic() + LEAT_DRAIN_TIMEOUT_NS;
    } else if (run->stage == RUN_STARTING && census->started == run->cores_count) {
        wait_ready(wait);
    }
    if (atomic_load(&run->is_stop_asked) && !wait->is_stopping &&
        (run->stage == RUN_RUNNING || run->stage == RUN_DRAINING))
        wait_stop(wait);
    if (wait->is_end_asked && run->stage == RUN_RUNNING)
        wait_drain(wait);
    if (run->stage == RUN_DRAINING && census->drained == run->cores_count)
        loops_stop(run);
}

int run_wait(struct leat_run *run, struct leat_error *error)
{
    struct wait wait = {.run = run, .deadline_ns = UINT64_MAX, .terminal_ns = UINT64_MAX};
    for (;;) {
        struct census census = census_count(run);
        wait_step(&wait, &census, error);
        if (census.ended == run->cores_count)
            return exit_code(&wait);
        if (wait.deadline_ns != UINT64_MAX && clock_monotonic() >= wait.deadline_ns)
            on_deadline(&wait);
        if (wait.terminal_ns != UINT64_MAX && clock_monotonic() >= wait.terminal_ns)
            on_terminal_due(&wait);
        wait_for_news(&wait, wait_timeout_ms(&wait, posts_send(run)));
    }
}
