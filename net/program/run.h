/* The life of a program: one pinned loop per core, from the command line to the exit code.
 *
 *     int main(int argc, char **argv)
 *     {
 *         return leat_main(argc, argv, start);
 *     }
 *
 * start(loop) runs once on every core, on the core's own thread, one core after the other. It
 * returns 0, or a negative errno whose sentence is in leat_loop_error: then all cores stop, the
 * sentence is printed once, and the exit code is 1. What it has to wait for it leaves to
 * leat_run_ready_after. When every core has started, the loops run, and
 * what leat_run_listening was told is printed on standard output.
 *
 * Standard output and error as streams (leat/stdio.h): what they were given before the end is
 * written within what is left of the time of the drain, also after leat_run_exit; what is not is
 * cut off, with a line on the log.
 *
 * The end. SIGTERM and SIGINT start the drain: on each core its drain hooks run, in the reverse of
 * the order of leat_run_on_drain; they stop accepting, and keep the program alive (leat_run_ref)
 * while something is in flight. When every core's references are given back, or drain_timeout_ns
 * has passed and what had come by then is delivered, the loops stop. The exit code is then 0. A
 * second signal ends the process at once with 128 + its number. A program whose loops run dry ends
 * with 0. leat_run_end starts the same drain, leat_run_exit ends without one. A rejection that
 * nobody handles (leat/future.h) ends the program with 1. Before all cores have started there is
 * nothing to drain: those that have started end, one that does not come back from its start within
 * a second is left behind, and the exit code is 128 + the signal.
 *
 * SIGHUP opens again, by their names, the files that standard output and error are (logs that were
 * renamed), and runs the reload hooks. It ends nothing while the terminal that the program was
 * started with is there, or when there was none; when it is gone SIGHUP is like SIGTERM. Signals
 * that are ignored at the start stay ignored (nohup).
 *
 * Exit codes: 0 success, 1 it could not start or go on, 2 the command line was wrong, 13 nothing
 * was left to do while tasks (leat/task.h) still waited, 128 + n signal n.
 *
 * leat_run raises its soft limit of descriptors to the hard one; blocks SIGHUP, SIGINT, SIGTERM,
 * SIGUSR1 and SIGUSR2 in every thread, and gives them back when it returns; ignores SIGPIPE and
 * SIGXFSZ; opens /dev/null on those of the descriptors 0, 1 and 2 that are closed; and waits for
 * the first three on the thread that called it. The other two are free for leat/signals.h, SIGUSR1
 * unless stats is set. What it writes on standard output and error goes through the log's writer
 * (leat/log.h): a reader that does not read keeps neither a core nor the end waiting. */
#ifndef LEAT_RUN_H
#define LEAT_RUN_H

#include <leat/addr.h>
#include <leat/defs.h>
#include <leat/future.h>
#include <leat/log.h>
#include <leat/loop.h>
#include <leat/options.h>

LEAT_BEGIN

#define LEAT_RUN_HOOKS_MAX     32 /* of each kind and core: one more is -ENOSPC */
#define LEAT_RUN_LISTENING_MAX 32 /* ready lines; more are not printed */
#define LEAT_DRAIN_TIMEOUT_NS  (10 * LEAT_NS_PER_S)

typedef int leat_start_fn(struct leat_loop *loop);

/* Zero is the default of each. */
struct leat_run_options {
    leat_start_fn *start;
    void *user;        /* what leat_run_user gives */
    const char *name;  /* of the program, before error sentences ["leat"] */
    const char *cores; /* "3": that many; "0,2-5": these, "0,0": one of them twice [every usable
                          core, within the CPU quota] */
    const char *net;   /* "auto", "uring", "epoll" or a port such as "tun:leat0" ["auto"] */
    struct leat_option_list listen; /* --listen, as written */
    struct leat_option_list ips;    /* of Leat's own stack, for a port: "10.0.0.2/24" */
    struct leat_option_list gateways;
    const char *mac;        /* of the port ["the device's"] */
    uint64_t mtu_bytes;     /* [the device's, at most 1500] */
    uint64_t mss_bytes;     /* [what the MTU has room for] largest TCP segment */
    uint64_t vlan;          /* tag of all frames [none] */
    uint64_t queue_count;   /* of the port [one for each core] */
    const char *net_faults; /* what the port does wrong on purpose: "loss=1%" [nothing] */
    bool hugepages;         /* of leat_loop_options, unless a port's driver needs them */
    bool busy_poll;
    bool json_log;
    bool stats; /* at the end and on SIGUSR1, what each loop did: a line of JSON a core on standard
                   error */
    bool ready_on_stderr; /* what a port's banner and ready lines go to: standard output is for data
                           */
    uint64_t log_buffer_bytes; /* of each core's log, up to a power of two [LEAT_LOG_RING_BYTES] */
    const char *log_level;     /* a name of enum leat_level ["info"] */
    uint64_t drain_timeout_ns; /* [LEAT_DRAIN_TIMEOUT_NS] */
    uint64_t buffer_bytes_max; /* bound of each core's buffer pools [half of the memory that the
                                  program may use, by its cgroups too, shared by the cores; at
                                  most 1 GiB] */
    uint64_t codec_bytes_max;  /* of each core's coders' memory [LEAT_CODEC_MEMORY_BYTES] */
    uint64_t tasks_max;        /* at once on each core [LEAT_TASKS_MAX, which is the most] */
    void (*on_ready)(void *user); /* on the calling thread, when every core has started */
};

/* Runs until the end and returns the exit code; error sentences go to standard error. */
LEAT_API int leat_run(const struct leat_run_options *options);

/* Parses the common flags, then leat_run. */
LEAT_API int leat_main(int argc, char **argv, leat_start_fn *start);

/* The same with flags, operands and help of the program's own. When check is given it runs after
 * parsing: returns 0, or an exit code after it has said why on standard error. */
struct leat_program {
    const char *name;
    const char *summary;
    const char *operands;
    unsigned operand_count_max;
    const struct leat_option *options;
    unsigned option_count;
    int (*check)(const struct leat_command_line *line, const struct leat_run_options *options,
                 void *user);
    leat_start_fn *start;
    void *user;
    const char *cores;   /* what --cores is when it is not given [as in leat_run_options] */
    bool is_client;      /* has no --listen */
    const bool *is_data; /* a flag's value: then standard output is for data alone, and what says
                            that the program is ready goes to standard error; may be NULL */
};
LEAT_API int leat_program_main(const struct leat_program *program, int argc, char **argv);

/* ---- For what runs on a loop of leat_run; on other loops these are empty or do nothing. ---- */

LEAT_API void *leat_run_user(const struct leat_loop *loop);
LEAT_API const struct leat_run_options *leat_run_options(
    const struct leat_loop *loop); /* or NULL */
LEAT_API uint32_t leat_run_core_count(const struct leat_loop *loop);
/* The loop of another core, to post to: valid until this core's on_end hooks have run. NULL when
 * there is none, or it has not started yet. Takes a lock: keep what it gives. */
LEAT_API struct leat_loop *leat_run_loop(const struct leat_loop *loop, uint32_t index);
/* Which transport was opened: "uring", "epoll"; "" without one. */
LEAT_API const char *leat_run_net(const struct leat_loop *loop);

/* Leaves a sentence in leat_loop_error, and returns code: what start does when it fails by itself.
 */
LEAT_API int leat_run_fail(struct leat_loop *loop, int code, const char *format, ...)
    LEAT_PRINTF(3, 4);

/* The addresses of --listen, in order, NULL past the last. Whoever listens by default on an address
 * of the program's own uses these instead when there are any. */
LEAT_API const char *leat_run_listen_at(const struct leat_loop *loop, unsigned index);

/* Says "listening on SCHEME://ADDRESS" when the program is ready. Each core says it, it is printed
 * once. */
LEAT_API void leat_run_listening(struct leat_loop *loop, const char *scheme,
                                 const struct leat_addr *addr);

/* For a start that has to wait, Node's top-level await: called in start, once, it has the program
 * ready when future, whose reference is taken, has settled as well. The loop turns meanwhile. A
 * rejection fails the start of the core, with its sentence. Returns 0; -EBUSY: a second call. */
LEAT_API int leat_run_ready_after(struct leat_loop *loop, struct leat_future *future);

/* Hooks of this core; each kind runs in the reverse of the order in which it was added. The end of
 * a core, when its loop has stopped:
 *   1. connections and datagram sockets that are left close, with LEAT_CLOSE_SHUTDOWN, and their
 *      on_close runs; from here on nothing can be opened;
 *   2. what on_close put off (ticks, immediates, the close phase) runs, and operations that are
 *      under way (files, leat_pool_run) are waited for and told: ECANCELED, if they had not begun;
 *   3. the on_end hooks run: nothing uses what was made for connections any more, and it is freed
 *      there. Listeners are still there, and closed by whoever opened them;
 *   4. listeners that are left are closed, and the loop is freed.
 * Return 0 or -ENOSPC. */
LEAT_API int leat_run_on_drain(struct leat_loop *loop, leat_callback *fn, void *arg);
LEAT_API int leat_run_on_reload(struct leat_loop *loop, leat_callback *fn, void *arg);
LEAT_API int leat_run_on_end(struct leat_loop *loop, leat_callback *fn, void *arg);
/* Node's beforeExit: when this core's loop has run dry by itself. What the hooks begin keeps it
 * alive, and they run again when it is dry again; when they begin nothing, the core ends. */
LEAT_API int leat_run_on_before_exit(struct leat_loop *loop, leat_callback *fn, void *arg);
/* One for each core: called on it when it crashes or fails a check, after the report and before the
 * end. It may say what was under way; it cannot go on. The program ends LEAT_CRASH_REPORT_S (5 s)
 * after the crash at the latest. NULL: none. */
LEAT_API void leat_run_on_fatal(struct leat_loop *loop, leat_callback *fn, void *arg);
/* Forgets a hook of any kind, in case its owner goes first. */
LEAT_API void leat_run_forget(struct leat_loop *loop, leat_callback *fn, void *arg);
/* Each ref is given back with one unref; while there are any the loop lives, and a draining core
 * goes on. */
LEAT_API void leat_run_ref(struct leat_loop *loop);
LEAT_API void leat_run_unref(struct leat_loop *loop);
LEAT_API bool leat_run_is_draining(const struct leat_loop *loop);
/* Nanoseconds that a drain may take in all. */
LEAT_API uint64_t leat_run_drain_timeout(const struct leat_loop *loop);

/* Starts the drain of the whole program, as SIGTERM does; code is the exit code. Any loop. */
LEAT_API void leat_run_end(struct leat_loop *loop, int code);
/* Node's process.exit: ends the whole program without a drain; code is the exit code. It returns,
 * and the loops stop after their turn; connections are closed, and on_end hooks run. When
 * leat_run_end was called before, its drain is cut off, and code counts. Any loop. */
LEAT_API void leat_run_exit(struct leat_loop *loop, int code);

LEAT_END
#endif
