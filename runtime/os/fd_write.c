/* Writes to a descriptor that a thread makes: where only a blocking call is to be had. */
#include <errno.h>
#include <poll.h>
#include <sys/uio.h>

#include "runtime/os/fd_internal.h"
#include "runtime/os/op.h"

struct fd_write {
    struct op op; /* first */
    struct leat_file *file;
    struct leat_buf bufs[FD_CHUNKS_MAX];
    struct iovec iov[FD_CHUNKS_MAX];
    int iov_count;
};

int fd_iov_fill(const struct fd_stream *f, struct iovec *iov, size_t bytes_max)
{
    int count = 0;
    size_t skip = f->chunk_done_bytes;
    for (unsigned i = f->chunk_first; i < f->chunk_count && bytes_max > 0; i++) {
        const struct leat_buf *buf = &f->chunks[i].buf;
        size_t length = buf->length_bytes - skip;
        if (length > bytes_max)
            length = bytes_max;
        iov[count++] = (struct iovec){buf->data + skip, length};
        bytes_max -= length;
        skip = 0;
    }
    return count;
}

static struct fd_write *write_of(struct op *op)
{
    return container_of(op, struct fd_write, op);
}

static void fd_write_run(struct op *op)
{
    const struct fd_write *write = write_of(op);
    ssize_t n;
    do
        n = writev(leat_file_fd(write->file), write->iov, write->iov_count);
    while (n < 0 && errno == EINTR);
    op->value = n < 0 ? -errno : n;
}

static struct leat_result fd_write_result(struct op *op)
{
    return op->value < 0 ? leat_failure((int)op->value, NULL) : leat_number(op->value);
}

static void fd_write_drop(struct leat_future *future)
{
    struct fd_write *write = write_of(container_of(future, struct op, future));
    for (int i = 0; i < FD_CHUNKS_MAX; i++)
        leat_buf_unref(write->bufs[i]);
    leat_file_unref(write->file);
}

static const struct op_class fd_write_class = {
    .future = {.name = "fd_write",
               .length_bytes = sizeof(struct fd_write),
               .cancel = op_cancel,
               .drop = fd_write_drop},
    .lane = LEAT_LANE_FS,
    .run = fd_write_run,
    .result = fd_write_result,
};

struct leat_future *fd_write_start(struct fd_stream *f)
{
    const void *site = __builtin_return_address(0);
    op_line_begin(f->stream.loop); /* one is out at a time */
    struct op *op = op_new(f->stream.loop, &fd_write_class, 0, site);
    op_line_end(f->stream.loop);
    if (op == NULL)
        return op_failed(f->stream.loop, -ENOMEM, NULL, site);
    struct fd_write *write = write_of(op);
    write->file = leat_file_ref(f->file);
    for (unsigned i = f->chunk_first; i < f->chunk_count; i++)
        write->bufs[i] = leat_buf_ref(f->chunks[i].buf);
    write->iov_count = fd_iov_fill(f, write->iov, f->way->write_bytes_max);
    return op_start(op);
}
