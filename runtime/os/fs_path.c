/* Operations on names: what they are, where they lead, made, moved, removed. Of links and modes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "runtime/os/fs_internal.h"

#define TEMPORARY_TRIES 100

/* ---- stat ---- */

enum leat_entry_type fs_type_of_mode(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return LEAT_ENTRY_FILE;
    case S_IFDIR:
        return LEAT_ENTRY_DIRECTORY;
    case S_IFLNK:
        return LEAT_ENTRY_LINK;
    case S_IFIFO:
        return LEAT_ENTRY_FIFO;
    case S_IFSOCK:
        return LEAT_ENTRY_SOCKET;
    case S_IFCHR:
    case S_IFBLK:
        return LEAT_ENTRY_DEVICE;
    default:
        return LEAT_ENTRY_UNKNOWN;
    }
}

static int64_t stat_ns(struct timespec time)
{
    return (int64_t)time.tv_sec * (int64_t)LEAT_NS_PER_S + time.tv_nsec;
}

static void stat_by(struct op *op, int dir, const char *path, int flags)
{
    struct fs_op *fs = fs_op_of(op);
    struct stat s;
    op->value = op->sys->stat(op->sys, dir, path, flags, &s);
    if (op->value == 0)
        op->value = op->sys->memory(op->sys, &fs->memory, sizeof(struct leat_stat));
    if (op->value < 0)
        return;
    *(struct leat_stat *)fs->memory = (struct leat_stat){
        .type = fs_type_of_mode(s.st_mode),
        .mode = s.st_mode & 07777,
        .uid = s.st_uid,
        .gid = s.st_gid,
        .length_bytes = (uint64_t)s.st_size,
        .allocated_bytes = (uint64_t)s.st_blocks * 512,
        .device = s.st_dev,
        .inode = s.st_ino,
        .link_count = s.st_nlink,
        .modified_ns = stat_ns(s.st_mtim),
        .changed_ns = stat_ns(s.st_ctim),
        .accessed_ns = stat_ns(s.st_atim),
    };
}

static void fs_stat_run(struct op *op)
{
    stat_by(op, AT_FDCWD, fs_op_of(op)->args.path, 0);
}

FS_OP(stat, fs_result_stat, NULL, loop, (struct leat_loop * loop, const char *path), .path = path)

static void fs_lstat_run(struct op *op)
{
    stat_by(op, AT_FDCWD, fs_op_of(op)->args.path, AT_SYMLINK_NOFOLLOW);
}

FS_OP(lstat, fs_result_stat, NULL, loop, (struct leat_loop * loop, const char *path), .path = path)

static void fs_fstat_run(struct op *op)
{
    stat_by(op, leat_file_fd(fs_op_of(op)->args.file), "", AT_EMPTY_PATH);
}

FS_OP(fstat, fs_result_stat, NULL, leat_loop_current(), (struct leat_file * file), .file = file)

/* ---- where a name leads ---- */

static void fs_readlink_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    op->value = op->sys->memory(op->sys, &fs->memory, PATH_MAX);
    if (op->value < 0)
        return;
    char *to = fs->memory;
    op->value = op->sys->readlink(op->sys, fs->args.path, to, PATH_MAX - 1);
    if (op->value >= 0)
        to[op->value] = '\0';
}

FS_OP(readlink, fs_result_string, NULL, loop, (struct leat_loop * loop, const char *path),
      .path = path)

static void fs_realpath_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    op->value = op->sys->memory(op->sys, &fs->memory, PATH_MAX);
    if (op->value == 0)
        op->value = op->sys->realpath(op->sys, fs->args.path, fs->memory);
}

FS_OP(realpath, fs_result_string, NULL, loop, (struct leat_loop * loop, const char *path),
      .path = path)

/* ---- made, moved, removed ---- */

static void fs_mkdir_run(struct op *op)
{
    const struct fs_args *args = &fs_op_of(op)->args;
    op->value = op->sys->mkdir(op->sys, AT_FDCWD, args->path, (uint32_t)args->number);
}

FS_OP(mkdir, fs_result_nothing, NULL, loop,
      (struct leat_loop * loop, const char *path, uint32_t mode), .path = path, .number = mode)

static void fs_mkdtemp_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    size_t bytes = strlen(fs->args.path) + sizeof("XXXXXX");
    op->value = op->sys->memory(op->sys, &fs->memory, bytes);
    if (op->value < 0)
        return;
    snprintf(fs->memory, bytes, "%sXXXXXX", fs->args.path);
    for (unsigned i = 0; i < TEMPORARY_TRIES; i++) {
        op->value = fs_random_name(op->sys, fs->memory);
        if (op->value == 0)
            op->value = op->sys->mkdir(op->sys, AT_FDCWD, fs->memory, 0700);
        if (op->value != -EEXIST)
            return;
    }
}

FS_OP(mkdtemp, fs_result_string, NULL, loop, (struct leat_loop * loop, const char *prefix),
      .path = prefix)

static void fs_rename_run(struct op *op)
{
    const struct fs_args *args = &fs_op_of(op)->args;
    op->value = op->sys->rename(op->sys, args->path, args->other);
}

FS_OP(rename, fs_result_nothing, NULL, loop,
      (struct leat_loop * loop, const char *from, const char *to), .path = from, .other = to)

static void fs_link_run(struct op *op)
{
    const struct fs_args *args = &fs_op_of(op)->args;
    op->value = op->sys->link(op->sys, leat_file_fd(args->file), args->path);
}

FS_OP(link, fs_result_nothing, NULL, leat_loop_current(),
      (struct leat_file * file, const char *path), .file = file, .path = path)

static void fs_unlink_run(struct op *op)
{
    op->value = op->sys->unlink(op->sys, AT_FDCWD, fs_op_of(op)->args.path, 0);
}

FS_OP(unlink, fs_result_nothing, NULL, loop, (struct leat_loop * loop, const char *path),
      .path = path)

static void fs_rmdir_run(struct op *op)
{
    op->value = op->sys->unlink(op->sys, AT_FDCWD, fs_op_of(op)->args.path, AT_REMOVEDIR);
}

FS_OP(rmdir, fs_result_nothing, NULL, loop, (struct leat_loop * loop, const char *path),
      .path = path)

static void fs_symlink_run(struct op *op)
{
    const struct fs_args *args = &fs_op_of(op)->args;
    op->value = op->sys->symlink(op->sys, args->path, args->other);
}

FS_OP(symlink, fs_result_nothing, NULL, loop,
      (struct leat_loop * loop, const char *target, const char *path), .path = target,
      .other = path)

static void fs_chmod_run(struct op *op)
{
    const struct fs_args *args = &fs_op_of(op)->args;
    op->value = op->sys->chmod(op->sys, args->path, (uint32_t)args->number);
}

FS_OP(chmod, fs_result_nothing, NULL, loop,
      (struct leat_loop * loop, const char *path, uint32_t mode), .path = path, .number = mode)
