/* Whole files: read, written, replaced at once and for good, copied. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/os/fs_internal.h"

#define READ_BYTES_FIRST 4096u /* for a file that does not say how long it is */
#define TEMPORARY_TRIES  100

static int64_t path_open(struct op *op, const char *path, uint64_t flags, uint64_t mode)
{
    const struct open_how how = {.flags = flags, .mode = mode};
    struct fs_op *fs = fs_op_of(op);
    int64_t result = op->sys->open(op->sys, AT_FDCWD, path, &how);
    if (result < 0)
        return result;
    fs->fd = (int)result;
    return 0;
}

/* ---- read_file ---- */

static uint64_t limit_of(const struct fs_args *args)
{
    return args->number == 0 || args->number > LEAT_BUF_BYTES_MAX ? LEAT_BUF_BYTES_MAX
                                                                  : args->number;
}

/* Whatever the file says of its length, and whether it grows or shrinks meanwhile: to the end. */
static int64_t whole_read(struct op *op, uint64_t length_said, uint64_t limit)
{
    struct fs_op *fs = fs_op_of(op);
    uint64_t have = 0;
    uint64_t room = length_said > 0 && length_said < limit ? length_said + 1 : READ_BYTES_FIRST;
    for (;;) {
        room = room > limit + 1 ? limit + 1 : room;
        int64_t result = op->sys->memory(op->sys, &fs->memory, (size_t)room);
        while (result == 0 && have < room) {
            int64_t n = op->sys->read(op->sys, fs->fd, (char *)fs->memory + have,
                                      (size_t)(room - have), FS_HERE);
            if (n == 0)
                return (int64_t)have;
            result = n < 0 ? n : 0;
            have += n > 0 ? (uint64_t)n : 0;
        }
        if (result < 0 || have > limit)
            return result < 0 ? result : -EFBIG;
        room *= 2;
    }
}

void fs_read_file_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    struct stat s = {0};
    uint64_t limit = limit_of(&fs->args);
    int64_t result = path_open(op, fs->args.path, O_RDONLY, 0);
    if (result == 0)
        result = op->sys->stat(op->sys, fs->fd, "", AT_EMPTY_PATH, &s);
    if (result == 0 && S_ISREG(s.st_mode) && (uint64_t)s.st_size > limit)
        result = -EFBIG;
    if (result == 0)
        result = whole_read(op, S_ISREG(s.st_mode) ? (uint64_t)s.st_size : 0, limit);
    (void)fs_close_after(op->sys, &fs->fd, 0);
    op->value = result;
}

/* Opened by a name in the cache, short, and all in memory: or it is left alone. */
static bool small_read(struct op *op, uint64_t limit)
{
    struct fs_op *fs = fs_op_of(op);
    struct stat s;
    if (op->sys->stat(op->sys, fs->fd, "", AT_EMPTY_PATH, &s) < 0 || !S_ISREG(s.st_mode) ||
        s.st_size <= 0 || s.st_size > FS_CACHED_BYTES_MAX || (uint64_t)s.st_size > limit)
        return false;
    fs->args.buf = leat_buf_alloc_unsafe((size_t)s.st_size);
    if (fs->args.buf.data == NULL)
        return false;
    op->value = op->sys->read_cached(op->sys, fs->fd, fs->args.buf.data, (size_t)s.st_size, 0);
    if (op->value == s.st_size)
        return true;
    leat_buf_unref(fs->args.buf);
    fs->args.buf = (struct leat_buf){NULL, 0, NULL};
    return false;
}

static enum op_tried fs_read_file_try(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    const struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_CACHED};
    op->value = op->sys->open(op->sys, AT_FDCWD, fs->args.path, &how);
    if (op->value < 0)
        return op->value == -EAGAIN ? OP_LEFT : OP_DONE;
    fs->fd = (int)op->value;
    bool is_done = small_read(op, limit_of(&fs->args));
    (void)fs_close_after(op->sys, &fs->fd, 0);
    return is_done ? OP_DONE : OP_LEFT;
}

/* What a thread has read lies in memory of its own, which becomes the buffer's. */
static struct leat_result read_file_result(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    if (op->value < 0 || fs->args.buf.data != NULL)
        return fs_result_buf(op);
    if (op->value == 0)
        return leat_bytes(leat_buf_from_static("", 0));
    struct leat_buf buf = leat_buf_wrap(fs->memory, (size_t)op->value, free, fs->memory);
    if (buf.data == NULL) {
        op->value = -ENOMEM;
        return fs_failure(op);
    }
    fs->memory = NULL;
    return leat_bytes(buf);
}

FS_OP(read_file, read_file_result, fs_read_file_try, loop,
      (struct leat_loop * loop, const char *path, uint64_t bytes_max), .path = path,
      .number = bytes_max)

/* ---- write_file ---- */

void fs_write_file_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    int64_t result = path_open(op, fs->args.path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (result == 0)
        result = fs_write_all(op->sys, fs->fd, &fs->args.buf, 0);
    op->value = fs_close_after(op->sys, &fs->fd, result);
}

FS_OP(write_file, fs_result_nothing, NULL, loop,
      (struct leat_loop * loop, const char *path, struct leat_buf buf), .path = path, .buf = buf)

/* ---- replace_file ---- */

/* A file of its own beside the one that it is to replace, with that one's mode. Its name is in
 * fs->memory. */
static int64_t beside_make(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    struct stat s;
    size_t bytes = strlen(fs->args.path) + sizeof(".XXXXXX");
    int64_t result = op->sys->memory(op->sys, &fs->memory, bytes);
    if (result < 0)
        return result;
    snprintf(fs->memory, bytes, "%s.XXXXXX", fs->args.path);
    bool is_there = op->sys->stat(op->sys, AT_FDCWD, fs->args.path, AT_SYMLINK_NOFOLLOW, &s) == 0 &&
                    S_ISREG(s.st_mode);
    for (unsigned i = 0; i < TEMPORARY_TRIES; i++) {
        result = fs_random_name(op->sys, fs->memory);
        if (result == 0)
            result = path_open(op, fs->memory, O_WRONLY | O_CREAT | O_EXCL, is_there ? 0600 : 0666);
        if (result != -EEXIST)
            break;
    }
    if (result == 0 && is_there)
        result = op->sys->chmod_file(op->sys, fs->fd, s.st_mode & 07777);
    return result;
}

/* The name is on the disk when the directory is. */
static int64_t directory_sync(struct op *op, char *path)
{
    struct fs_op *fs = fs_op_of(op);
    char *slash = strrchr(path, '/');
    if (slash == path)
        slash++;
    if (slash != NULL)
        *slash = '\0';
    int64_t result = path_open(op, slash != NULL ? path : ".", O_RDONLY | O_DIRECTORY, 0);
    if (result == 0)
        result = op->sys->sync(op->sys, fs->fd);
    return fs_close_after(op->sys, &fs->fd, result);
}

void fs_replace_file_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    struct fs_sys *sys = op->sys;
    int64_t result = beside_make(op);
    bool is_made = fs->fd >= 0;
    if (result == 0)
        result = fs_write_all(sys, fs->fd, &fs->args.buf, 0);
    if (result >= 0)
        result = sys->sync(sys, fs->fd);
    result = fs_close_after(sys, &fs->fd, result);
    if (result == 0)
        result = sys->rename(sys, fs->memory, fs->args.path);
    if (result < 0 && is_made)
        (void)sys->unlink(sys, AT_FDCWD, fs->memory, 0);
    op->value = result < 0 ? result : directory_sync(op, fs->memory);
}

FS_OP(replace_file, fs_result_nothing, NULL, loop,
      (struct leat_loop * loop, const char *path, struct leat_buf buf), .path = path, .buf = buf)

/* ---- copy ---- */

/* In the kernel, as far as it will: it cannot between all file systems, and files that do not say
 * how long they are seem to be empty. Returns the bytes. */
static int64_t blocks_copy(struct fs_sys *sys, int from, int to)
{
    int64_t total = 0;
    for (;;) {
        int64_t n = sys->copy(sys, from, FS_HERE, to, FS_HERE, (size_t)1 << 30);
        if (fs_copy_is_refused(n))
            return total;
        if (n <= 0)
            return n < 0 ? n : total;
        total += n;
    }
}

/* The rest through memory: most often only the end of the file is left to be seen. */
static int64_t bytes_copy(struct op *op, int from, int to, int64_t total)
{
    struct fs_op *fs = fs_op_of(op);
    int64_t result = op->sys->memory(op->sys, &fs->memory, FS_PIECE_BYTES);
    while (result == 0) {
        int64_t n = op->sys->read(op->sys, from, fs->memory, FS_PIECE_BYTES, FS_HERE);
        if (n <= 0)
            return n < 0 ? n : total;
        const struct leat_buf piece = {.data = fs->memory, .length_bytes = (size_t)n};
        for (struct leat_buf left = piece; result == 0 && left.length_bytes > 0;) {
            n = op->sys->write(op->sys, to, left.data, left.length_bytes, FS_HERE);
            result = n > 0 ? 0 : n < 0 ? n : -EIO;
            left.data += n > 0 ? n : 0;
            left.length_bytes -= n > 0 ? (size_t)n : 0;
            total += n > 0 ? n : 0;
        }
    }
    return result;
}

/* Opens to, which must not be from itself: cutting that would empty both. */
static int64_t copy_open(struct op *op, const struct stat *from, int *to)
{
    struct fs_op *fs = fs_op_of(op);
    struct stat s;
    bool is_new = (fs->args.number & LEAT_COPY_NEW) != 0;
    const struct open_how how = {.flags = O_WRONLY | O_CREAT | (is_new ? (unsigned)O_EXCL : 0),
                                 .mode = from->st_mode & 0777};
    int64_t result = op->sys->open(op->sys, AT_FDCWD, fs->args.other, &how);
    if (result < 0)
        return result;
    *to = (int)result;
    result = op->sys->stat(op->sys, *to, "", AT_EMPTY_PATH, &s);
    if (result == 0 && s.st_dev == from->st_dev && s.st_ino == from->st_ino)
        result = -EINVAL;
    if (result == 0 && s.st_size > 0)
        result = op->sys->truncate(op->sys, *to, 0);
    return result;
}

void fs_copy_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    struct stat s;
    int to = -1;
    bool is_new = (fs->args.number & LEAT_COPY_NEW) != 0;
    int64_t result = (fs->args.number & ~(uint64_t)LEAT_COPY_NEW) != 0 ? -EINVAL : 0;
    if (result == 0)
        result = path_open(op, fs->args.path, O_RDONLY, 0);
    if (result == 0)
        result = op->sys->stat(op->sys, fs->fd, "", AT_EMPTY_PATH, &s);
    if (result == 0 && !S_ISREG(s.st_mode))
        result = S_ISDIR(s.st_mode) ? -EISDIR : -EINVAL;
    if (result == 0)
        result = copy_open(op, &s, &to);
    if (result == 0)
        result = blocks_copy(op->sys, fs->fd, to);
    if (result >= 0)
        result = bytes_copy(op, fs->fd, to, result);
    bool is_made = to >= 0;
    result = fs_close_after(op->sys, &to, result);
    (void)fs_close_after(op->sys, &fs->fd, 0);
    if (result < 0 && is_made && is_new)
        (void)op->sys->unlink(op->sys, AT_FDCWD, fs->args.other, 0);
    op->value = result;
}

FS_OP(copy, fs_result_number, NULL, loop,
      (struct leat_loop * loop, const char *from, const char *to, unsigned flags), .path = from,
      .other = to, .number = flags)
