/* A descriptor as a stream: what is ready is moved at once, the rest when the watch says so, or by
 * a thread. */
#include <leat/fs.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/core.h"
#include "runtime/os/fd_internal.h"
#include "runtime/os/op.h"

#define FD_COPY_BYTES (FD_READ_BYTES / 8) /* a read up to this is copied out of its buffer */

static struct fd_stream *fd_of(struct leat_stream *stream)
{
    return container_of(stream, struct fd_stream, stream);
}

static struct leat_result fd_failure(const struct fd_stream *f, const char *what, int code)
{
    const char *text = strerrordesc_np(-code);
    char name[32];
    snprintf(name, sizeof(name), "descriptor %d", f->fd);
    return leat_failure(code, "%s %s: %s (%s)", what, f->name != NULL ? f->name : name,
                        text != NULL ? text : "failed", leat_errno_name(code));
}

/* ---- what is waited for ---- */

static bool wants_write(const struct fd_stream *f)
{
    return f->chunk_first < f->chunk_count && f->writing == NULL;
}

/* Waits until it is ready for what is wanted. What cannot be asked is always ready: it goes to a
 * thread from now on. 0, or -errno. */
static int fd_watch(struct fd_stream *f)
{
    bool reads = f->wants_read && f->reading == NULL;
    uint32_t events = (reads ? (uint32_t)EPOLLIN : 0) | (wants_write(f) ? (uint32_t)EPOLLOUT : 0);
    if (events == 0) {
        leat_watch_stop(&f->watch);
        return 0;
    }
    if (f->is_paused && !wants_write(f))
        leat_watch_unref(&f->watch);
    else
        leat_watch_ref(&f->watch);
    int result = f->watch.events == events ? 0 : leat_watch_start(&f->watch, events);
    if (result == -EPERM)
        f->way = &fd_way_file;
    return result == -EPERM ? 0 : result;
}

static void fd_wait(struct fd_stream *f, struct leat_future **where, struct leat_future *future,
                    leat_done *done)
{
    (void)leat_stream_ref(&f->stream);
    *where = future;
    leat_on_settled(future, done, f);
}

/* ---- closing ---- */

static void chunks_drop(struct fd_stream *f)
{
    for (unsigned i = f->chunk_first; i < f->chunk_count; i++)
        leat_chunk_drop(&f->chunks[i]);
    f->chunk_first = f->chunk_count = 0;
    f->chunk_done_bytes = 0;
}

static void fd_closed(void *arg, const struct leat_result *result)
{
    struct fd_stream *f = arg;
    struct leat_future *future = f->writing;
    f->writing = NULL;
    leat_stream_destroyed(&f->stream,
                          result->code < 0 ? fd_failure(f, "close", result->code) : leat_nothing());
    leat_future_unref(future);
    leat_stream_unref(&f->stream);
}

/* A file that is written may fail only now. */
static void fd_close(struct fd_stream *f)
{
    struct leat_file *file = f->file;
    if (file == NULL) {
        leat_stream_destroyed(&f->stream, leat_nothing());
        return;
    }
    bool tells = f->way == &fd_way_file && (f->flags & LEAT_FD_SHARED) == 0;
    if (f->watched_fd != leat_file_fd(file))
        close(f->watched_fd);
    f->file = NULL;
    if (tells) {
        fd_wait(f, &f->writing, leat_fs_close(file), fd_closed);
        return;
    }
    leat_file_unref(file);
    leat_stream_destroyed(&f->stream, leat_nothing());
}

static void fd_destroy(struct leat_stream *stream)
{
    struct fd_stream *f = fd_of(stream);
    leat_watch_stop(&f->watch);
    f->wants_read = false;
    stdio_remove(f);
    if (f->reading != NULL)
        leat_future_cancel(f->reading);
    if (f->writing != NULL)
        leat_future_cancel(f->writing);
    chunks_drop(f);
    if (f->reading == NULL && f->writing == NULL)
        fd_close(f);
}

/* A call on a thread is over. False: the stream was destroyed meanwhile. */
static bool fd_heard(struct fd_stream *f, struct leat_future **where)
{
    *where = NULL;
    if (!leat_stream_is_destroyed(&f->stream))
        return true;
    if (f->reading == NULL && f->writing == NULL)
        fd_close(f);
    return false;
}

/* ---- reading ---- */

static void read_go_on(struct fd_stream *f);

static void fd_end(struct fd_stream *f)
{
    f->wants_read = false;
    (void)fd_watch(f); /* it only has less to wait for */
    leat_push_end(&f->stream);
}

static void fd_read_failed(struct fd_stream *f, int code)
{
    if (code == -EIO && fd_is_terminal(leat_file_fd(f->file)))
        fd_end(f); /* its other side has gone */
    else
        leat_stream_destroy(&f->stream, fd_failure(f, "read", code));
}

/* Takes buf, which length bytes were read into. */
static void fd_push(struct fd_stream *f, struct leat_buf buf, size_t length)
{
    struct leat_chunk chunk;
    f->wants_read = false; /* unless it is asked for again */
    buf.length_bytes = length;
    if (length <= FD_COPY_BYTES) {
        struct leat_buf copy = leat_buf_from_bytes(buf.data, length);
        if (copy.data != NULL) {
            leat_buf_unref(buf);
            buf = copy;
        }
    }
    chunk = leat_chunk_buf(buf);
    (void)leat_push(&f->stream, &chunk, 1);
}

static void fd_read_done(void *arg, const struct leat_result *result)
{
    struct fd_stream *f = arg;
    struct leat_future *future = f->reading;
    if (fd_heard(f, &f->reading)) {
        struct leat_buf buf = result->kind == LEAT_KIND_BUF ? leat_result_buf(result)
                                                            : (struct leat_buf){NULL, 0, NULL};
        if (result->code == -EAGAIN && f->way->is_watched)
            read_go_on(f);
        else if (result->code < 0)
            fd_read_failed(f, result->code);
        else if (buf.length_bytes == 0)
            fd_end(f);
        else
            fd_push(f, leat_buf_ref(buf), buf.length_bytes);
    }
    leat_future_unref(future);
    leat_stream_unref(&f->stream);
}

static void fd_read_on_thread(struct fd_stream *f)
{
    op_line_begin(f->stream.loop);
    struct leat_future *future = leat_fs_read(f->file, LEAT_FS_HERE, FD_READ_BYTES);
    op_line_end(f->stream.loop);
    fd_wait(f, &f->reading, future, fd_read_done);
}

/* One read: so that a writer who is as fast lets the loop go round. */
static void fd_read_now(struct fd_stream *f)
{
    struct leat_buf buf = leat_buf_alloc_unsafe(FD_READ_BYTES);
    if (buf.data == NULL) {
        fd_read_failed(f, -ENOMEM);
        return;
    }
    ssize_t n = f->way->read(leat_file_fd(f->file), buf.data, buf.length_bytes);
    if (n > 0) {
        fd_push(f, buf, (size_t)n);
        return;
    }
    leat_buf_unref(buf);
    if (n == -EOPNOTSUPP && f->way->next != NULL) {
        f->way = f->way->next;
        read_go_on(f);
    } else if (n == -EAGAIN) {
        read_go_on(f);
    } else if (n < 0) {
        fd_read_failed(f, (int)n);
    } else {
        fd_end(f);
    }
}

/* Waits for what is to be read. */
static void read_go_on(struct fd_stream *f)
{
    int result = f->way->is_watched ? fd_watch(f) : 0;
    if (result < 0)
        fd_read_failed(f, result);
    else if (!f->way->is_watched && f->reading == NULL)
        fd_read_on_thread(f);
}

static void fd_read(struct leat_stream *stream, unsigned takes)
{
    struct fd_stream *f = fd_of(stream);
    bool is_first = !f->has_read;
    f->has_read = f->wants_read = true;
    if (is_first && f->way->read != NULL)
        fd_read_now(f);
    else
        read_go_on(f);
}

/* ---- writing ---- */

static void write_go_on(struct fd_stream *f);

static void fd_write_failed(struct fd_stream *f, int code)
{
    chunks_drop(f);
    leat_stream_wrote(&f->stream, fd_failure(f, "write to", code));
}

/* bytes more are written: of the chunks what has gone is given back. */
static void fd_wrote(struct fd_stream *f, size_t bytes)
{
    f->written_bytes += bytes;
    f->current_bytes += bytes;
    bytes += f->chunk_done_bytes;
    while (f->chunk_first < f->chunk_count && bytes >= f->chunks[f->chunk_first].buf.length_bytes) {
        bytes -= f->chunks[f->chunk_first].buf.length_bytes;
        leat_chunk_drop(&f->chunks[f->chunk_first++]);
    }
    f->chunk_done_bytes = bytes;
}

static void fd_write_done(void *arg, const struct leat_result *result)
{
    struct fd_stream *f = arg;
    struct leat_future *future = f->writing;
    if (fd_heard(f, &f->writing)) {
        if (result->code >= 0)
            fd_wrote(f, (size_t)leat_result_number(result));
        if (result->code < 0 && (result->code != -EAGAIN || !f->way->is_watched))
            fd_write_failed(f, result->code);
        else
            write_go_on(f);
    }
    leat_future_unref(future);
    leat_stream_unref(&f->stream);
}

/* Writes what it takes now; 0, or -errno. */
static int fd_write_now(struct fd_stream *f)
{
    struct iovec iov[FD_CHUNKS_MAX];
    int count = fd_iov_fill(f, iov, f->way->write_bytes_max);
    ssize_t n = f->way->write(leat_file_fd(f->file), iov, count);
    if (n == -EOPNOTSUPP && f->way->next != NULL) {
        f->way = f->way->next;
        return 0;
    }
    if (n >= 0)
        fd_wrote(f, (size_t)n);
    return n < 0 && n != -EAGAIN ? (int)n : 0;
}

/* Waits until more can be written, or is done. */
static void write_go_on(struct fd_stream *f)
{
    int result = 0;
    if (f->chunk_first == f->chunk_count) {
        f->chunk_first = f->chunk_count = 0;
        f->current_bytes = 0;
        leat_stream_wrote(&f->stream, leat_nothing());
        return;
    }
    if (f->way->is_watched)
        result = fd_watch(f);
    if (result < 0)
        fd_write_failed(f, result);
    else if (!f->way->is_watched)
        fd_wait(f, &f->writing, fd_write_start(f), fd_write_done);
}

static int chunks_keep(struct fd_stream *f, const struct leat_chunk *chunks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct leat_chunk seen = chunks[i];
        if (seen.buf.length_bytes == 0)
            continue;
        int result = leat_chunk_keep(&seen, &f->chunks[f->chunk_count]);
        if (result != 0)
            return result;
        f->chunk_count++;
    }
    return 0;
}

static void fd_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct fd_stream *f = fd_of(stream);
    f->current_bytes = 0;
    int result = chunks_keep(f, chunks, count);
    if (result == 0 && f->chunk_count > 0 && f->way->write != NULL)
        result = fd_write_now(f);
    if (result < 0)
        fd_write_failed(f, result);
    else
        write_go_on(f);
}

static void fd_final(struct leat_stream *stream)
{
    const struct fd_stream *f = fd_of(stream);
    if (f->way == &fd_way_socket && (f->flags & LEAT_FD_SHARED) == 0)
        (void)shutdown(leat_file_fd(f->file),
                       SHUT_WR); /* one that is gone: read or write says so */
    leat_stream_wrote(stream, leat_nothing());
}

/* ---- what the watch says ---- */

static void ready_to_read(struct fd_stream *f)
{
    if (f->way->read != NULL)
        fd_read_now(f);
    else
        fd_read_on_thread(f);
}

static void ready_to_write(struct fd_stream *f)
{
    if (f->way->write == NULL) {
        fd_wait(f, &f->writing, fd_write_start(f), fd_write_done);
        return;
    }
    int result = fd_write_now(f);
    if (result < 0)
        fd_write_failed(f, result);
    else
        write_go_on(f);
}

/* A reader's watch stays when what was read went on: most often more is wanted at once. Until then
 * it does not keep the loop alive; if it is ready again before that it is stopped. */
static void fd_watch_on(struct fd_stream *f, bool had_reader)
{
    int result = 0;
    if (had_reader && !f->wants_read && !wants_write(f)) {
        leat_watch_unref(&f->watch);
        return;
    }
    if ((result = fd_watch(f)) < 0)
        leat_stream_destroy(&f->stream, fd_failure(f, "watch", result));
}

static void fd_on_ready(struct leat_watch *watch, uint32_t events, void *arg)
{
    struct fd_stream *f = arg;
    const uint32_t over = EPOLLHUP | EPOLLERR;
    bool had_reader = f->wants_read && f->reading == NULL;
    (void)leat_stream_ref(&f->stream);
    if (had_reader && (events & (EPOLLIN | over)) != 0)
        ready_to_read(f);
    if (wants_write(f) && (events & (EPOLLOUT | over)) != 0)
        ready_to_write(f);
    if (!leat_stream_is_destroyed(&f->stream))
        fd_watch_on(f, had_reader);
    leat_stream_unref(&f->stream);
}

static void fd_paused(void *arg, const struct leat_result *result)
{
    struct fd_stream *f = arg;
    f->is_paused = true;
    if (!wants_write(f))
        leat_watch_unref(&f->watch);
}

static void fd_resumed(void *arg, const struct leat_result *result)
{
    struct fd_stream *f = arg;
    f->is_paused = false;
    if (f->wants_read)
        leat_watch_ref(&f->watch);
}

/* ---- made ---- */

#define FD_CLASS(gives_, takes_)                                                                   \
    {                                                                                              \
        .name = "descriptor", .length_bytes = sizeof(struct fd_stream), .gives = gives_,           \
        .takes = takes_, .chunks_max = FD_CHUNKS_MAX, .read = fd_read, .write = fd_write,          \
        .final = fd_final, .destroy = fd_destroy,                                                  \
    }
static const struct leat_stream_class fd_classes[] = {
    [LEAT_FD_READ] = FD_CLASS(LEAT_CHUNK_BYTES, 0),
    [LEAT_FD_WRITE] = FD_CLASS(0, LEAT_CHUNK_BYTES),
    [LEAT_FD_READ | LEAT_FD_WRITE] = FD_CLASS(LEAT_CHUNK_BYTES, LEAT_CHUNK_BYTES),
};

static int fd_listen(struct fd_stream *f)
{
    struct leat_stream *stream = &f->stream;
    int result = 0;
    if ((f->flags & LEAT_FD_READ) != 0)
        result = leat_stream_on(stream, LEAT_STREAM_PAUSE, fd_paused, f);
    if (result == 0 && (f->flags & LEAT_FD_READ) != 0)
        result = leat_stream_on(stream, LEAT_STREAM_RESUME, fd_resumed, f);
    return result;
}

struct fd_stream *fd_stream_new(struct leat_loop *loop, unsigned flags, const struct fd_way *way,
                                int own, int watched)
{
    struct leat_stream *stream =
        leat_stream_new(loop, &fd_classes[flags & ~(unsigned)LEAT_FD_SHARED], NULL);
    if (stream == NULL)
        return NULL;
    struct fd_stream *f = fd_of(stream);
    f->way = way;
    f->fd = own;
    f->flags = flags;
    f->watched_fd = watched;
    leat_watch_init(&f->watch, loop, watched, fd_on_ready, f);
    if (fd_listen(f) == 0 && (f->file = leat_file_new(own)) != NULL)
        return f;
    leat_stream_destroy(stream, leat_nothing());
    leat_stream_unref(stream);
    (void)leat_fail(&leat_core_now->error, -ENOMEM, "memory is out: no stream of a descriptor");
    return NULL;
}
