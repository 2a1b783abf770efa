/* Operations on open files: open, read, write, truncate, sync, and what they are. */
#include <errno.h>
#include <fcntl.h>

#include "runtime/os/fs_internal.h"
#include "runtime/os/fs_ring.h"

/* ---- open ---- */

static const struct open_row {
    unsigned bit;
    int flags;
    bool is_write; /* opens for writing, unless READ_WRITE says both */
} open_rows[] = {
    {LEAT_OPEN_WRITE, 0, true},
    {LEAT_OPEN_READ_WRITE, 0, true},
    {LEAT_OPEN_CREATE, O_CREAT, false},
    {LEAT_OPEN_NEW, O_CREAT | O_EXCL, true},
    {LEAT_OPEN_EMPTY, O_TRUNC, true},
    {LEAT_OPEN_APPEND, O_APPEND, true},
    {LEAT_OPEN_PRIVATE, 0, false},
    {LEAT_OPEN_DIRECTORY, O_DIRECTORY, false},
    {LEAT_OPEN_NO_LINK, O_NOFOLLOW, false},
    {LEAT_OPEN_UNNAMED, O_TMPFILE, true},
};

#define OPEN_MAKES (LEAT_OPEN_CREATE | LEAT_OPEN_NEW | LEAT_OPEN_UNNAMED)

/* -EINVAL: a bit that is none. */
static int open_how_of(uint64_t bits, uint64_t resolve, struct open_how *how)
{
    uint64_t flags = 0, known = 0;
    bool is_write = false;
    for (size_t i = 0; i < sizeof(open_rows) / sizeof(open_rows[0]); i++) {
        const struct open_row *row = &open_rows[i];
        known |= row->bit;
        if ((bits & row->bit) == 0)
            continue;
        flags |= (unsigned)row->flags;
        is_write |= row->is_write;
    }
    if ((bits & ~known) != 0)
        return -EINVAL;
    flags |= (bits & LEAT_OPEN_READ_WRITE) != 0 ? O_RDWR : is_write ? O_WRONLY : O_RDONLY;
    uint64_t mode = (bits & LEAT_OPEN_PRIVATE) != 0 ? 0600 : 0666;
    *how = (struct open_how){.flags = flags,
                             .mode = (bits & OPEN_MAKES) != 0 ? mode : 0,
                             .resolve = resolve};
    return 0;
}

static void open_by(struct op *op, uint64_t resolve)
{
    struct fs_op *fs = fs_op_of(op);
    const struct fs_args *args = &fs->args;
    struct open_how how;
    int dir = args->file != NULL ? leat_file_fd(args->file) : AT_FDCWD;
    resolve |= args->file != NULL ? RESOLVE_BENEATH : 0;
    op->value = open_how_of(args->number, resolve, &how);
    if (op->value == 0)
        op->value = op->sys->open(op->sys, dir, args->path, &how);
    fs->fd = op->value >= 0 ? (int)op->value : -1;
}

static void fs_open_run(struct op *op)
{
    open_by(op, 0);
}

/* A name that the kernel has in its cache opens without waiting for a disk. */
static enum op_tried fs_open_try(struct op *op)
{
    if ((fs_op_of(op)->args.number & (OPEN_MAKES | LEAT_OPEN_EMPTY)) != 0)
        return OP_LEFT;
    open_by(op, RESOLVE_CACHED);
    return op->value == -EAGAIN ? OP_LEFT : OP_DONE;
}

FS_OP(open, fs_result_file, fs_open_try, loop,
      (struct leat_loop * loop, const char *path, unsigned flags), .path = path, .number = flags)

static void fs_open_beneath_run(struct op *op)
{
    open_by(op, 0);
}

FS_OP(open_beneath, fs_result_file, fs_open_try, loop,
      (struct leat_loop * loop, struct leat_file *dir, const char *path, unsigned flags),
      .file = dir, .path = path, .number = flags)

/* ---- read ---- */

static void fs_read_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    uint64_t offset = fs->args.offset;
    size_t done = (size_t)fs->done_bytes;
    int64_t n = fs_sys_read_all(op->sys, leat_file_fd(fs->args.file), fs->args.buf.data + done,
                                fs->args.buf.length_bytes - done,
                                offset == LEAT_FS_HERE ? offset : offset + done);
    op->value = n < 0 ? n : n + (int64_t)done;
}

/* What lies in memory, up to the first page that does not; that one the kernel may wait for. */
static enum op_tried fs_read_try(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    struct leat_buf *buf = &fs->args.buf;
    if (fs->args.offset == LEAT_FS_HERE || buf->length_bytes > FS_CACHED_BYTES_MAX)
        return OP_LEFT;
    while (fs->done_bytes < buf->length_bytes) {
        int64_t n =
            op->sys->read_cached(op->sys, leat_file_fd(fs->args.file), buf->data + fs->done_bytes,
                                 buf->length_bytes - fs->done_bytes,
                                 (int64_t)(fs->args.offset + fs->done_bytes));
        if (n == -EAGAIN)
            return fs_ring_read(fs);
        if (n == -EOPNOTSUPP)
            return OP_LEFT;
        if (n <= 0) {
            op->value = n < 0 ? n : (int64_t)fs->done_bytes;
            return OP_DONE;
        }
        fs->done_bytes += (uint64_t)n;
    }
    op->value = (int64_t)fs->done_bytes;
    return OP_DONE;
}

FS_CLASS(read, fs_result_buf, fs_read_try)

/* The check of bytes is here, for the buffer is the loop's. */
struct leat_future *leat_fs_read(struct leat_file *file, uint64_t offset_bytes, size_t bytes_max)
{
    struct leat_loop *loop = leat_loop_current();
    const void *site = __builtin_return_address(0);
    if (bytes_max == 0 || bytes_max > LEAT_BUF_BYTES_MAX)
        return op_failed(loop, -EINVAL, "a read is of 1 byte to LEAT_BUF_BYTES_MAX", site);
    struct fs_args args = {.file = file, .offset = offset_bytes};
    args.buf = leat_buf_alloc_unsafe(bytes_max);
    if (args.buf.data == NULL)
        return op_failed(loop, -ENOMEM, "no buffer for what is read: the core's are all in use",
                         site);
    return fs_start(loop, &fs_read_class, &args, site);
}

/* ---- the rest ---- */

static void fs_write_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    op->value = fs_write_all(op->sys, leat_file_fd(fs->args.file), &fs->args.buf, fs->args.offset);
}

FS_OP(write, fs_result_number, NULL, leat_loop_current(),
      (struct leat_file * file, uint64_t offset_bytes, struct leat_buf buf), .file = file,
      .offset = offset_bytes, .buf = buf)

static void fs_truncate_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    op->value = op->sys->truncate(op->sys, leat_file_fd(fs->args.file), fs->args.number);
}

FS_OP(truncate, fs_result_nothing, NULL, leat_loop_current(),
      (struct leat_file * file, uint64_t length_bytes), .file = file, .number = length_bytes)

static void fs_sync_run(struct op *op)
{
    op->value = op->sys->sync(op->sys, leat_file_fd(fs_op_of(op)->args.file));
}

FS_OP(sync, fs_result_nothing, NULL, leat_loop_current(), (struct leat_file * file), .file = file)
