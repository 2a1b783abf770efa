/* Standard output and error: writes that are bounded in time, and the end of what a tool printed.
 */
#include "runtime/base/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/clock.h"

/* A pipe that poll calls writable takes PIPE_BUF bytes without blocking. */
ssize_t leat_output_try(int fd, const char *bytes, size_t length)
{
    ssize_t n = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK) {
        struct pollfd ready = {fd, POLLOUT, 0};
        if (poll(&ready, 1, 0) == 0)
            return -EAGAIN;
        n = write(fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
    }
    return n < 0 ? -errno : n;
}

int leat_output_write(int fd, const char *bytes, size_t length, unsigned limit_ms)
{
    uint64_t deadline_ns = clock_monotonic() + limit_ms * LEAT_NS_PER_MS;
    while (length > 0) {
        ssize_t n = leat_output_try(fd, bytes, length);
        if (n >= 0) {
            bytes += n;
            length -= (size_t)n;
            continue;
        }
        if (n != -EAGAIN && n != -EINTR)
            return (int)n;
        uint64_t now_ns = clock_monotonic();
        if (now_ns >= deadline_ns)
            return -ETIMEDOUT;
        struct pollfd ready = {fd, POLLOUT, 0};
        poll(&ready, 1, (int)((deadline_ns - now_ns) / LEAT_NS_PER_MS) + 1);
    }
    return 0;
}

/* Some file systems say only when a descriptor is closed that what was written found no room. */
static int output_close(void)
{
    int copy = dup(STDOUT_FILENO);
    return copy >= 0 ? close(copy) : 0;
}

int leat_output_end(const char *tool, int code)
{
    bool has_failed = ferror(stdout) != 0; /* an earlier write: its errno is long gone */
    errno = 0;
    if (fflush(stdout) == 0 && output_close() == 0 && !has_failed)
        return code;
    fprintf(stderr, "%s: cannot write to standard output: %s\n", tool,
            errno != 0 ? strerror(errno) : "not all of it went out");
    return 1;
}
