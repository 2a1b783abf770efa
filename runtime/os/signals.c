/* Signals as callbacks of a loop. */
#include <leat/signals.h>

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "runtime/base/core.h"

int leat_signals_block(struct leat_error *error)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    int failed = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (failed != 0)
        return leat_fail(error, -failed, "cannot block signals (%s)", leat_errno_name(failed));
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, &ignore, NULL) != 0 || sigaction(SIGXFSZ, &ignore, NULL) != 0)
        return leat_fail(error, -errno, "cannot ignore SIGPIPE and SIGXFSZ (%s)",
                         leat_errno_name(errno));
    return 0;
}

static void on_readable(struct leat_watch *watch, uint32_t epoll_events, void *arg)
{
    struct leat_signal *signal = arg;
    struct signalfd_siginfo info;
    if (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        signal->fn(signal, signal->arg);
}

void leat_signal_init(struct leat_signal *signal, struct leat_loop *loop, leat_signal_fn *fn,
                      void *arg)
{
    *signal = (struct leat_signal){.fn = fn, .arg = arg};
    leat_watch_init(&signal->watch, loop, -1, on_readable, signal);
}

static bool can_be_had(int number)
{
    return number > 0 && number <= SIGRTMAX && number != SIGKILL && number != SIGSTOP &&
           number != SIGSEGV && number != SIGBUS && number != SIGILL && number != SIGFPE;
}

int leat_signal_start(struct leat_signal *signal, int number)
{
    struct leat_error *error = &leat_core_now->error;
    if (!can_be_had(number))
        return leat_fail(error, -EINVAL, "signal %d cannot be waited for", number);
    if (signal->number != 0)
        return leat_fail(error, -EBUSY, "signal %d is waited for already: stop it first",
                         signal->number);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    int failed = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (failed != 0)
        return leat_fail(error, -failed, "cannot block signal %d (%s)", number,
                         leat_errno_name(failed));
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return leat_fail(error, -errno, "cannot wait for signal %d (%s)", number,
                         leat_errno_name(errno));
    signal->watch.fd = fd;
    int result = leat_watch_start(&signal->watch, EPOLLIN);
    if (result < 0) {
        close(fd);
        signal->watch.fd = -1;
        return result;
    }
    signal->number = number;
    return 0;
}

void leat_signal_stop(struct leat_signal *signal)
{
    if (signal->number == 0)
        return;
    leat_watch_stop(&signal->watch);
    close(signal->watch.fd);
    signal->watch.fd = -1;
    signal->number = 0;
}

void leat_signal_ref(struct leat_signal *signal)
{
    leat_watch_ref(&signal->watch);
}

void leat_signal_unref(struct leat_signal *signal)
{
    leat_watch_unref(&signal->watch);
}
