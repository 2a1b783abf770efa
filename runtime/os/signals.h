/* Signals as events of a loop (process.on('SIGUSR1') in Node).
 *
 * A started leat_signal takes its number from the kernel through a descriptor, so its callback runs
 * in the poll phase like any other. One number belongs to one leat_signal in the process: a signal
 * that two wait for reaches either. SIGHUP, SIGINT and SIGTERM belong to leat_run where it runs
 * (see leat/run.h); SIGKILL, SIGSTOP and the faults of the CPU cannot be had.
 *
 * A number must be blocked in every thread, or the kernel may give it to one that lets it act: call
 * leat_signals_block before the first thread is made; leat_run does. */
#ifndef LEAT_SIGNALS_H
#define LEAT_SIGNALS_H

#include <leat/defs.h>
#include <leat/error.h>
#include <leat/io.h>

LEAT_BEGIN

struct leat_signal;
typedef void leat_signal_fn(struct leat_signal *signal, void *arg);

struct leat_signal { /* memory of the caller's; fields are the module's own */
    struct leat_watch watch;
    leat_signal_fn *fn;
    void *arg;
    int number; /* 0: not started */
};

/* Blocks SIGHUP, SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 in the calling thread and in those it makes;
 * ignores SIGPIPE and SIGXFSZ (a write to a file at its limit then fails). Returns 0, or -errno
 * with error filled. */
LEAT_API int leat_signals_block(struct leat_error *error);

LEAT_API void leat_signal_init(struct leat_signal *signal, struct leat_loop *loop,
                               leat_signal_fn *fn, void *arg);
/* Starts, blocking number in the calling thread. Returns 0, -EINVAL for a number that cannot be
 * had, -EBUSY when it is started, or the -errno of the kernel; each with a sentence in
 * leat_loop_error. Several signals that came before the
 * callback ran are one. */
LEAT_API int leat_signal_start(struct leat_signal *signal, int number);
LEAT_API void leat_signal_stop(struct leat_signal *signal);
/* An unref'd signal does not keep the loop alive; they start ref'd. */
LEAT_API void leat_signal_ref(struct leat_signal *signal);
LEAT_API void leat_signal_unref(struct leat_signal *signal);

LEAT_END
#endif
