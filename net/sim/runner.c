/* Playing many seeds in several processes, and telling how it went. */
#include "net/sim/runner.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1200

struct job {
    uint64_t seed; /* that it plays */
    bool is_playing;
    struct runner_tally tally;
};

/* In memory that the processes share; a job writes its own place only. */
struct board {
    _Atomic uint64_t next; /* seed to be played, counted from the first */
    _Atomic unsigned failed;
    struct job jobs[RUNNER_JOBS_MAX];
};

struct runner {
    const struct runner_options *options;
    struct board *board;
    unsigned job_count, failed_max;
    pid_t parent, pids[RUNNER_JOBS_MAX]; /* 0: none */
    struct timespec began;
};

static void tally_add(struct runner_tally *to, const struct runner_tally *from)
{
    if (from->seeds == 0)
        return;
    bool is_first = to->seeds == 0;
    to->seeds += from->seeds;
    to->failed += from->failed;
    to->frames += from->frames;
    to->faults += from->faults;
    to->flows += from->flows;
    if (is_first || from->flows_least < to->flows_least)
        to->flows_least = from->flows_least;
    if (is_first || from->faults_least < to->faults_least)
        to->faults_least = from->faults_least;
}

/* One write for all of it, so that the processes' lines do not mix. */
static void say_violation(const struct runner_options *o, uint64_t seed, const char *sentence)
{
    char line[LINE_BYTES];
    int length = snprintf(line, sizeof(line), "seed %llu: %s\n  again: ./dev sim --seed %llu",
                          (unsigned long long)seed, sentence, (unsigned long long)seed);
    if (o->scenario != NULL)
        length +=
            snprintf(line + length, sizeof(line) - (size_t)length, " --scenario %s", o->scenario);
    if (o->faults != NULL)
        length +=
            snprintf(line + length, sizeof(line) - (size_t)length, " --faults '%.200s'", o->faults);
    snprintf(line + length, sizeof(line) - (size_t)length, " --pcap seed-%llu.pcap\n",
             (unsigned long long)seed);
    fflush(stdout);
    ssize_t written = write(STDOUT_FILENO, line, strlen(line));
    (void)written;
}

static void say_seed(uint64_t seed, const struct play_result *r)
{
    printf("seed %llu, %s: %llu connections, %llu frames, %llu faults, %llu retransmissions, "
           "%llu timeouts, %llu undone, %llu of %llu predicted\n",
           (unsigned long long)seed, r->scenario, (unsigned long long)r->flow_count,
           (unsigned long long)r->frame_count, (unsigned long long)r->fault_count,
           (unsigned long long)r->retransmitted, (unsigned long long)r->rtos,
           (unsigned long long)r->undone, (unsigned long long)r->predicted,
           (unsigned long long)r->segments);
}

void runner_play(const struct runner_options *o, uint64_t seed, struct runner_tally *tally)
{
    struct play_result r;
    play_seed(&(struct play_options){seed, o->scenario, o->faults, o->pcap, o->verbose}, &r);
    if (o->verbose)
        say_seed(seed, &r);
    if (r.violation_count > 0)
        say_violation(o, seed, r.sentence);
    tally_add(tally, &(struct runner_tally){.seeds = 1,
                                            .failed = r.violation_count > 0,
                                            .frames = r.frame_count,
                                            .faults = r.fault_count,
                                            .flows = r.flow_count,
                                            .flows_least = r.flow_count,
                                            .faults_least = r.fault_count});
}

/* ---- a process that plays ---- */

/* A seed that does not end costs processor time: the timer's signal ends the process. */
static void limit_seed(void)
{
    const struct itimerval limit = {.it_value.tv_sec = RUNNER_SEED_CPU_S};
    (void)setitimer(ITIMER_PROF, &limit, NULL);
}

_Noreturn static void play_seeds(struct runner *r, struct job *job)
{
    const struct runner_options *o = r->options;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != r->parent)
        _exit(1);
    while (atomic_load(&r->board->failed) < r->failed_max) {
        uint64_t next = atomic_fetch_add(&r->board->next, 1);
        if (next >= o->count)
            break;
        uint64_t failed = job->tally.failed;
        job->seed = o->from + next;
        job->is_playing = true;
        limit_seed();
        runner_play(o, job->seed, &job->tally);
        job->is_playing = false;
        if (job->tally.failed > failed)
            atomic_fetch_add(&r->board->failed, 1);
    }
    fflush(stdout);
    _exit(0);
}

static bool start_job(struct runner *r, unsigned i)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        play_seeds(r, &r->board->jobs[i]);
    r->pids[i] = pid > 0 ? pid : 0;
    return pid > 0;
}

/* ---- the process that waits ---- */

static void on_end(struct runner *r, unsigned i, int status)
{
    struct job *job = &r->board->jobs[i];
    char sentence[200];
    r->pids[i] = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
        snprintf(sentence, sizeof(sentence), "does not end: %d s of processor time",
                 RUNNER_SEED_CPU_S);
    else if (WIFSIGNALED(status))
        snprintf(sentence, sizeof(sentence), "the process died of SIG%s",
                 sigabbrev_np(WTERMSIG(status)));
    else
        snprintf(sentence, sizeof(sentence), "the process ended with exit code %d",
                 WEXITSTATUS(status));
    if (job->is_playing)
        say_violation(r->options, job->seed, sentence);
    job->is_playing = false;
    job->tally.seeds++;
    job->tally.failed++;
    atomic_fetch_add(&r->board->failed, 1);
    (void)start_job(r, i);
}

static struct runner_tally tally_sum(const struct runner *r)
{
    struct runner_tally total = {0};
    for (unsigned i = 0; i < r->job_count; i++)
        tally_add(&total, &r->board->jobs[i].tally);
    return total;
}

static void say_progress(const struct runner *r)
{
    struct runner_tally now = tally_sum(r);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double past = (double)(t.tv_sec - r->began.tv_sec);
    double left =
        now.seeds == 0 ? 0 : past / (double)now.seeds * (double)(r->options->count - now.seeds);
    fprintf(stderr, "%llu of %llu seeds, %llu with violations, %.0f s, about %.0f s left\n",
            (unsigned long long)now.seeds, (unsigned long long)r->options->count,
            (unsigned long long)now.failed, past, left);
}

static unsigned runner_reap(struct runner *r)
{
    unsigned running = 0;
    for (unsigned i = 0; i < r->job_count; i++) {
        int status;
        if (r->pids[i] > 0 && waitpid(r->pids[i], &status, WNOHANG) == r->pids[i])
            on_end(r, i, status);
        running += r->pids[i] > 0;
    }
    return running;
}

static void wait_for_all(struct runner *r)
{
    time_t said = r->began.tv_sec;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    while (runner_reap(r) > 0) {
        const struct timespec second = {.tv_sec = 1};
        struct timespec now;
        (void)sigtimedwait(&set, NULL, &second);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - said >= RUNNER_PROGRESS_S) {
            say_progress(r);
            said = now.tv_sec;
        }
    }
}

static unsigned count_jobs(const struct runner_options *o)
{
    cpu_set_t cpus;
    unsigned count = o->jobs;
    if (count == 0 && sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
        count = (unsigned)CPU_COUNT(&cpus);
    count = count == 0 ? 1 : count > RUNNER_JOBS_MAX ? RUNNER_JOBS_MAX : count;
    return count < o->count ? count : (unsigned)o->count;
}

bool runner_run(const struct runner_options *o, struct runner_tally *total)
{
    struct runner r = {.options = o, .job_count = count_jobs(o), .parent = getpid()};
    sigset_t set, before;
    bool is_started = false;
    r.failed_max = o->failed_max != 0 ? o->failed_max : RUNNER_FAILED_MAX;
    void *board =
        mmap(NULL, sizeof(*r.board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return false;
    r.board = board;
    clock_gettime(CLOCK_MONOTONIC, &r.began);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &before);
    for (unsigned i = 0; i < r.job_count; i++)
        is_started |= start_job(&r, i);
    wait_for_all(&r);
    sigprocmask(SIG_SETMASK, &before, NULL);
    *total = tally_sum(&r);
    munmap(r.board, sizeof(*r.board));
    return is_started;
}
