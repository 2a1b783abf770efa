/* The three descriptors that a program is born with, as streams, and their end. */
#include <leat/stdio.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/core.h"
#include "runtime/os/fd_internal.h"
#include "runtime/os/stdio_drain.h"

/* A turn sleeps when it has handled what was ready, which may have been the last. */
#define DRAIN_NAP_NS (2 * LEAT_NS_PER_MS)

/* ---- made ---- */

static struct fd_stream *open_failed(int fd, int code)
{
    (void)leat_fail(&leat_core_now->error, code, "no stream of descriptor %d: %s%s", fd,
                    leat_errno_name(code),
                    code == -EBADF    ? "; it is closed"
                    : code == -EMFILE ? "; raise the limit on open files (ulimit -n)"
                                      : "");
    return NULL;
}

/* What was opened for one that others have too is given back when it fails. */
static struct fd_stream *shared_open(struct leat_loop *loop, int fd, unsigned flags)
{
    const struct fd_way *way;
    int own, result = fd_way_choose(fd, flags, &way, &own);
    if (result < 0)
        return open_failed(fd, result);
    int watched = way == &fd_way_own ? fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : own;
    if (watched < 0) {
        result = -errno;
        close(own);
        return open_failed(fd, result);
    }
    struct fd_stream *f = fd_stream_new(loop, flags, way, own, watched);
    if (f != NULL) {
        f->fd = fd;
        return f;
    }
    if (watched != own)
        close(watched);
    close(own);
    return NULL;
}

struct leat_stream *leat_fd_stream(struct leat_loop *loop, int fd, unsigned flags)
{
    const unsigned sides = LEAT_FD_READ | LEAT_FD_WRITE;
    struct fd_stream *f;
    const struct fd_way *way;
    int own, result;
    LEAT_CHECK(loop == leat_loop_current());
    if ((flags & sides) == 0 || (flags & ~(sides | LEAT_FD_SHARED)) != 0)
        f = open_failed(fd, -EINVAL);
    else if ((flags & LEAT_FD_SHARED) != 0)
        f = shared_open(loop, fd, flags);
    else if ((result = fd_way_choose(fd, flags, &way, &own)) < 0)
        f = open_failed(fd, result);
    else
        f = fd_stream_new(loop, flags, way, own, own);
    return f != NULL ? &f->stream : NULL;
}

static struct leat_stream *stdio_open(struct leat_loop *loop, int fd, unsigned flags,
                                      const char *name)
{
    struct leat_stream *stream = leat_fd_stream(loop, fd, flags | LEAT_FD_SHARED);
    if (stream == NULL)
        return NULL;
    struct fd_stream *f = container_of(stream, struct fd_stream, stream);
    struct fd_stream **first = &leat_core_now->stdio;
    f->name = name;
    f->next = *first;
    f->prev = first;
    if (*first != NULL)
        (*first)->prev = &f->next;
    *first = f;
    return stream;
}

struct leat_stream *leat_stdin(struct leat_loop *loop)
{
    return stdio_open(loop, STDIN_FILENO, LEAT_FD_READ, "standard input");
}

struct leat_stream *leat_stdout(struct leat_loop *loop)
{
    return stdio_open(loop, STDOUT_FILENO, LEAT_FD_WRITE, "standard output");
}

struct leat_stream *leat_stderr(struct leat_loop *loop)
{
    return stdio_open(loop, STDERR_FILENO, LEAT_FD_WRITE, "standard error");
}

/* ---- their end ---- */

void stdio_remove(struct fd_stream *f)
{
    if (f->prev == NULL)
        return;
    *f->prev = f->next;
    if (f->next != NULL)
        f->next->prev = f->prev;
    f->prev = NULL;
}

bool stdio_is_pending(void)
{
    const struct fd_stream *f = leat_core_now->stdio;
    while (f != NULL && leat_writable_waiting(&f->stream) == 0)
        f = f->next;
    return f != NULL;
}

/* What is not written of what they were given before the end began. */
static uint64_t bytes_left(void)
{
    uint64_t left = 0;
    for (const struct fd_stream *f = leat_core_now->stdio; f != NULL; f = f->next)
        left += f->goal_bytes > f->written_bytes ? f->goal_bytes - f->written_bytes : 0;
    return left;
}

uint64_t stdio_drain(struct leat_loop *loop, uint64_t until_ns)
{
    uint64_t now_ns = clock_monotonic(), left;
    if (leat_core_now->stdio == NULL)
        return 0;
    for (struct fd_stream *f = leat_core_now->stdio; f != NULL; f = f->next)
        f->goal_bytes = f->written_bytes - f->current_bytes + leat_writable_waiting(&f->stream);
    while ((left = bytes_left()) > 0 && now_ns < until_ns) {
        uint64_t nap_ns = until_ns - now_ns < DRAIN_NAP_NS ? until_ns - now_ns : DRAIN_NAP_NS;
        (void)leat_loop_turn(loop, nap_ns);
        now_ns = clock_monotonic();
    }
    while (leat_core_now->stdio != NULL)
        leat_stream_destroy(&leat_core_now->stdio->stream, leat_nothing());
    (void)leat_loop_turn(loop, 0);
    return left;
}
