/* The state of a running program, shared by the files of leat_run: run.c (set-up and its undoing),
 * run_wait.c (the thread that waits for signals), run_core.c (what happens on each core), run_cut.c
 * (its end at the drain's limit), and what code on a core calls: run_hooks.c, run_ready.c,
 * run_ask.c, run_stats.c.
 *
 *   STARTING --all started--> RUNNING --signal, leat_run_end--> DRAINING --> all cores ended
 *      \--------one failed-------------------------------------> FAILED  --/
 *
 * A drained core goes on, so that others can still ask it, until all have drained; a stopped loop
 * is kept, so that others can still post to it, until all have stopped. The waiting thread alone
 * moves stage; cores read it under the lock, and tell by event_fd that something changed. */
#ifndef LEAT_RUN_INTERNAL_H
#define LEAT_RUN_INTERNAL_H

#include <leat/run.h>
#include <leat/io.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "net/watch/counters.h"
#include "net/program/open.h"
#include "runtime/base/logger.h"
#include "runtime/base/topology.h"
#include "runtime/os/pool_play.h"

enum run_stage { RUN_STARTING, RUN_RUNNING, RUN_DRAINING, RUN_FAILED };

enum run_hook_kind {
    RUN_HOOK_DRAIN,
    RUN_HOOK_RELOAD,
    RUN_HOOK_END,
    RUN_HOOK_BEFORE_EXIT,
    RUN_HOOK_KINDS
};

struct run_hook {
    leat_callback *fn; /* NULL: forgotten */
    void *arg;
};

struct leat_run_core {
    struct leat_run *run;
    struct leat_cpu cpu;
    uint32_t index;

    /* The core's own. */
    struct run_hook hooks[RUN_HOOK_KINDS][LEAT_RUN_HOOKS_MAX];
    unsigned hook_counts[RUN_HOOK_KINDS];
    uint64_t refs_count;
    bool is_draining;
    bool is_memory_refused;          /* the policy that it asked for; written before it starts */
    struct leat_future *ready_after; /* or NULL: leat_run_ready_after */
    struct leat_source log_source;   /* wakes the log's writer at the end of a turn */
    struct leat_timer cut_timer;     /* of the drain, and since when it waits for what was heard */
    uint64_t cut_ns;
    struct counters_core counters;
    struct pool_play_drawn files; /* of a world that is played */
    const char *net_name;
    void *crash_stack;

    /* Under run->lock. */
    struct leat_loop *loop; /* NULL before it is made and before it is freed */
    int result;             /* of the start */
    struct leat_error error;
    bool has_started, has_drained, has_ended;
    bool is_writing; /* what standard output was given, at its end */

    /* The waiting thread's. */
    pthread_t thread;
    bool is_thread, owes_drain, owes_cut, owes_reload, owes_stats;
};

struct run_line {
    char scheme[16];
    struct leat_addr addr;
};

struct leat_run {
    const struct leat_run_options *options;
    struct leat_topology topology;
    bool is_quota_cut;
    struct leat_logger *logger;
    struct leat_log *log; /* the waiting thread's */
    struct leat_net *net;
    struct leat_mesh *mesh;
    struct counters *counters; /* NULL: there is no place for them */
    struct control *control;   /* the same */
    uint32_t cores_count;
    struct leat_run_core *cores;
    int event_fd, signal_fd;
    sigset_t signals_before; /* blocked when leat_run was called */
    bool had_terminal;       /* a controlling one, at the start */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum run_stage stage;
    uint32_t turn; /* the core whose start it is */
    uint32_t stopped_count;
    struct run_line lines[LEAT_RUN_LISTENING_MAX];
    unsigned lines_count;
    bool has_told_memory; /* whose turn it is to start, touches it */

    _Atomic bool is_exit_asked; /* leat_run_end */
    _Atomic bool is_stop_asked; /* leat_run_exit */
    _Atomic bool is_end_asked;  /* a signal came: what waits while it starts gives up */
    _Atomic int exit_code;
    _Atomic uint64_t drain_until_ns; /* of the monotonic clock; 0: no end was asked for */
};

/* run.c */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_PARKED = 13, EXIT_SIGNAL = 128 };
void run_tell(struct leat_run *run); /* wakes the waiting thread */

/* On a core that starts: nobody wants the program any more. */
bool run_is_end_asked(void);
/* run_limits.c: bytes for the buffers of each loop; the soft limit of descriptors becomes the hard.
 */
uint64_t run_buffer_bytes(const struct leat_run *run);
void run_descriptors_raise(void);

/* run_signals.c */
int run_signals_open(struct leat_run *run, struct leat_error *error);
int run_signals_pending(const struct leat_run *run);
void run_signals_close(struct leat_run *run);
bool run_has_terminal(void);

/* run_say.c: a line, without its newline; the waiting thread's. run_complain: on standard error,
 * behind the program's name. */
const char *run_name(const struct leat_run_options *options);
void run_say(const struct leat_run *run, int fd, const char *format, ...) LEAT_PRINTF(3, 4);
void run_complain(const struct leat_run *run, const char *format, ...) LEAT_PRINTF(2, 3);

/* run_wait.c: the waiting thread's. */
void run_stage_set(struct leat_run *run, enum run_stage stage);
/* Returns the exit code, 128 and the signal when one ended the start, or -1 when a core failed to
 * start: *error is then its sentence. */
int run_wait(struct leat_run *run, struct leat_error *error);

/* run_core.c */
void *run_core_main(void *run_core);

/* run_cut.c: on the core. */
void run_core_cut_open(struct leat_run_core *core);
void run_core_cut_close(struct leat_run_core *core);
void run_core_cut(void *run_core); /* posted to its loop */

/* run_hooks.c: on the core. */
void run_hooks_run(struct leat_run_core *core, enum run_hook_kind kind);
void run_hooks_forget(struct leat_run_core *core); /* behind those of the end */
void run_core_drain(void *run_core);               /* posted to its loop */
void run_core_reload(void *run_core);              /* posted to its loop */

/* run_stats.c: on the core. */
void run_core_stats(void *run_core); /* posted to its loop */

/* run_ready.c: the waiting thread's. */
void run_ready_say(struct leat_run *run);

/* run_ask.c: NULL for a loop that is not of leat_run. */
struct leat_run_core *run_core_of(const struct leat_loop *loop);

#endif
