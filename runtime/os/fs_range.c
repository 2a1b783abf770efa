/* A range of one file into another, a piece for each trip to a thread: in the kernel, or through
 * memory where that cannot. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/os/fs_internal.h"

#define RANGE_PIECE_BYTES (UINT64_C(16) << 20) /* what is destroyed is late by as much */

/* Whose descriptors they are: no kernel copies between a simulator's disk and the machine's. */
static bool are_of_one_system(const struct fs_args *args)
{
    return file_sys(args->file) == file_sys(args->to);
}

static bool is_same_file(const struct op *op, const struct fs_args *args)
{
    struct stat from, to;
    struct fs_sys *sys = op->sys;
    return are_of_one_system(args) &&
           sys->stat(sys, leat_file_fd(args->file), "", AT_EMPTY_PATH, &from) == 0 &&
           sys->stat(sys, leat_file_fd(args->to), "", AT_EMPTY_PATH, &to) == 0 &&
           from.st_dev == to.st_dev && from.st_ino == to.st_ino;
}

bool fs_copy_is_refused(int64_t code)
{
    switch (code) {
    case -EXDEV:      /* between these file systems */
    case -EINVAL:     /* these kinds of files, or ranges of one file that overlap */
    case -EBADF:      /* to is appended to */
    case -EOPNOTSUPP: /* the file system */
    case -ENOSYS:
    case -EPERM: /* a filter of system calls */
        return true;
    default:
        return false;
    }
}

static size_t piece_of(const struct fs_args *args)
{
    return (size_t)(args->number < RANGE_PIECE_BYTES ? args->number : RANGE_PIECE_BYTES);
}

static void fs_copy_range_run(struct op *op)
{
    const struct fs_args *args = &fs_op_of(op)->args;
    if (are_of_one_system(args))
        op->value = op->sys->copy(op->sys, leat_file_fd(args->file), (int64_t)args->offset,
                                  leat_file_fd(args->to), (int64_t)args->to_offset, piece_of(args));
    else
        op->value = -EXDEV;
}

FS_CLASS(copy_range, fs_result_number, NULL)

/* Fewer bytes only at the end of file. A file that was opened to be written, and emptied by that,
 * is not its own copy. */
static void fs_copy_bytes_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    const struct fs_args *args = &fs->args;
    size_t left = piece_of(args);
    uint64_t done = 0;
    int64_t result = op->sys->memory(op->sys, &fs->memory, FS_PIECE_BYTES);
    while (result >= 0 && left > 0) {
        result =
            fs_sys_read_all(op->sys, leat_file_fd(args->file), fs->memory,
                            left < FS_PIECE_BYTES ? left : FS_PIECE_BYTES, args->offset + done);
        if (result <= 0)
            break;
        const struct leat_buf piece = {.data = fs->memory, .length_bytes = (size_t)result};
        result = fs_write_all(file_sys(args->to), leat_file_fd(args->to), &piece,
                              args->to_offset + done);
        done += piece.length_bytes;
        left -= piece.length_bytes;
    }
    if (result == 0 && done == 0 && is_same_file(op, args))
        result = -EINVAL;
    op->value = result < 0 ? result : (int64_t)done;
}

FS_CLASS(copy_bytes, fs_result_number, NULL)

struct leat_future *fs_copy_range(const struct fs_args *args, enum fs_copy_how how)
{
    const struct op_class *of =
        how == FS_COPY_IN_KERNEL ? &fs_copy_range_class : &fs_copy_bytes_class;
    return fs_start(leat_loop_current(), of, args, __builtin_return_address(0));
}
