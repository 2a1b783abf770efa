/* The ways of reading and writing a descriptor without waiting for it, and the choice among them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/os/fd_internal.h"

/* Again as long as a signal cuts it short. */
#define AGAIN(call)                                                                                \
    ({                                                                                             \
        ssize_t result_;                                                                           \
        do                                                                                         \
            result_ = (call);                                                                      \
        while (result_ < 0 && errno == EINTR);                                                     \
        result_ < 0 ? -errno : result_;                                                            \
    })

static ssize_t socket_read(int fd, void *to, size_t bytes)
{
    return AGAIN(recv(fd, to, bytes, MSG_DONTWAIT));
}

static ssize_t socket_write(int fd, const struct iovec *iov, int count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                                   .msg_iovlen = (size_t)count};
    return AGAIN(sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static ssize_t own_read(int fd, void *to, size_t bytes)
{
    return AGAIN(read(fd, to, bytes));
}

static ssize_t own_write(int fd, const struct iovec *iov, int count)
{
    return AGAIN(writev(fd, iov, count));
}

/* Of a filter of system calls that does not know the call, too. */
static ssize_t nowait_result(ssize_t result)
{
    return result == -ENOSYS || result == -EPERM ? -EOPNOTSUPP : result;
}

static ssize_t nowait_read(int fd, void *to, size_t bytes)
{
    const struct iovec iov = {to, bytes};
    return nowait_result(AGAIN(preadv2(fd, &iov, 1, -1, RWF_NOWAIT)));
}

static ssize_t nowait_write(int fd, const struct iovec *iov, int count)
{
    return nowait_result(AGAIN(pwritev2(fd, iov, count, -1, RWF_NOWAIT)));
}

const struct fd_way fd_way_socket = {"socket", socket_read, socket_write, true, SIZE_MAX, NULL};
const struct fd_way fd_way_own = {"own", own_read, own_write, true, SIZE_MAX, NULL};
const struct fd_way fd_way_nowait = {"nowait", nowait_read, nowait_write,
                                     true,     SIZE_MAX,    &fd_way_thread};
/* A pipe that is called writable takes PIPE_BUF bytes at once. */
const struct fd_way fd_way_thread = {"thread", NULL, NULL, true, PIPE_BUF, NULL};
const struct fd_way fd_way_file = {"file", NULL, NULL, false, SIZE_MAX, NULL};

/* ---- the choice ---- */

bool fd_is_socket(int fd)
{
    struct stat stat;
    return fstat(fd, &stat) == 0 && S_ISSOCK(stat.st_mode);
}

bool fd_is_terminal(int fd)
{
    struct termios termios;
    return tcgetattr(fd, &termios) == 0;
}

/* The side that a terminal's program is driven from: to open that again would make a new terminal.
 */
static bool is_terminal_master(int fd)
{
    unsigned number;
    return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* The same pipe or terminal, by a description of our own; -1: that is refused (it belongs to
 * another user, /proc is not there, a pipe has no reader). */
static int fd_reopen(int fd, unsigned flags)
{
    static const int modes[] = {[LEAT_FD_READ] = O_RDONLY,
                                [LEAT_FD_WRITE] = O_WRONLY,
                                [LEAT_FD_READ | LEAT_FD_WRITE] = O_RDWR};
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path,
                modes[flags & (LEAT_FD_READ | LEAT_FD_WRITE)] | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static const struct fd_way *way_shared(int fd, unsigned flags, mode_t mode, int *own)
{
    if (S_ISFIFO(mode) || (S_ISCHR(mode) && fd_is_terminal(fd) && !is_terminal_master(fd)))
        *own = fd_reopen(fd, flags);
    if (*own >= 0)
        return &fd_way_own;
    return S_ISSOCK(mode) ? &fd_way_socket : &fd_way_nowait;
}

static bool may_wait_for_disk(mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode);
}

int fd_way_choose(int fd, unsigned flags, const struct fd_way **way, int *own)
{
    struct stat stat;
    *own = (flags & LEAT_FD_SHARED) != 0 ? -1 : fd;
    if (fstat(fd, &stat) != 0)
        return -errno;
    if (may_wait_for_disk(stat.st_mode)) {
        *way = &fd_way_file;
    } else if ((flags & LEAT_FD_SHARED) != 0) {
        *way = way_shared(fd, flags, stat.st_mode, own);
    } else {
        int status = fcntl(fd, F_GETFL);
        *way = S_ISSOCK(stat.st_mode) ? &fd_way_socket : &fd_way_own;
        if (status < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) != 0)
            return -errno;
    }
    if (*own < 0)
        *own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return *own < 0 ? -errno : 0;
}
