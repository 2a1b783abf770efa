/* Which signals a program takes, and whether its terminal is still there. Those that are ignored at
 * the start stay ignored: nohup(1) and a shell's background jobs mean it. */
#include "net/program/run_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "runtime/os/signals.h"

static bool signal_is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

bool run_has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

int run_signals_open(struct leat_run *run, struct leat_error *error)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    unsigned count = sizeof(numbers) / sizeof(numbers[0]);
    sigset_t set;
    sigemptyset(&set);
    if (!run->options->stats) /* a program may want SIGUSR1 for itself */
        count--;
    for (unsigned i = 0; i < count; i++)
        if (!signal_is_ignored(numbers[i]))
            sigaddset(&set, numbers[i]);
    run->had_terminal = run_has_terminal();
    pthread_sigmask(SIG_BLOCK, NULL, &run->signals_before);
    int result = leat_signals_block(error);
    if (result < 0)
        return result;
    run->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (run->signal_fd < 0)
        return leat_fail(error, -errno, "cannot wait for signals: %s", strerror(errno));
    return 0;
}

/* SIGINT or SIGTERM that came while something was prepared, which has given up then; 0: none. */
int run_signals_pending(const struct leat_run *run)
{
    struct signalfd_siginfo info;
    while (run->signal_fd >= 0 && read(run->signal_fd, &info, sizeof(info)) == sizeof(info))
        if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM)
            return (int)info.ssi_signo;
    return 0;
}

/* What came for this run has been for it: it is not to end what the program does next. */
void run_signals_close(struct leat_run *run)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    const struct timespec now = {0};
    sigset_t set;
    if (run->signal_fd < 0)
        return;
    sigemptyset(&set);
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (sigismember(&run->signals_before, numbers[i]) == 0)
            sigaddset(&set, numbers[i]);
    while (sigtimedwait(&set, NULL, &now) > 0)
        continue;
    close(run->signal_fd);
    pthread_sigmask(SIG_SETMASK, &run->signals_before, NULL);
}
