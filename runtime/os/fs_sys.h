/* The system calls that files are made of, as a table that can be replaced: by a simulator's disk,
 * or by one that fails the nth call. Every call returns 0 or more, or -errno; none is repeated
 * after a signal but by the machine's table itself. Any thread. Internal: not installed.
 *
 * A row: name, parameters, and the names of the parameters behind the first. */
#ifndef LEAT_FS_SYS_H
#define LEAT_FS_SYS_H

#include <linux/openat2.h>
#include <sys/stat.h>

#include <leat/defs.h>

#define FS_HERE INT64_C(-1) /* as an offset: where the descriptor stands */

#define FS_SYS_CALLS(X)                                                                            \
    X(open, (struct fs_sys * sys, int dir, const char *path, const struct open_how *how), dir,     \
      path, how)                                                                                   \
    X(close, (struct fs_sys * sys, int fd), fd)                                                    \
    X(read, (struct fs_sys * sys, int fd, void *to, size_t bytes, int64_t offset), fd, to, bytes,  \
      offset)                                                                                      \
    X(read_cached, (struct fs_sys * sys, int fd, void *to, size_t bytes, int64_t offset), fd, to,  \
      bytes, offset)                                                                               \
    X(read_later, (struct fs_sys * sys, int fd), fd)                                               \
    X(write, (struct fs_sys * sys, int fd, const void *bytes, size_t count, int64_t offset), fd,   \
      bytes, count, offset)                                                                        \
    X(stat, (struct fs_sys * sys, int dir, const char *path, int flags, struct stat *to), dir,     \
      path, flags, to)                                                                             \
    X(entries, (struct fs_sys * sys, int fd, void *to, size_t bytes), fd, to, bytes)               \
    X(mkdir, (struct fs_sys * sys, int dir, const char *path, uint32_t mode), dir, path, mode)     \
    X(rename, (struct fs_sys * sys, const char *from, const char *to), from, to)                   \
    X(link, (struct fs_sys * sys, int fd, const char *path), fd, path)                             \
    X(unlink, (struct fs_sys * sys, int dir, const char *path, int flags), dir, path, flags)       \
    X(symlink, (struct fs_sys * sys, const char *target, const char *path), target, path)          \
    X(readlink, (struct fs_sys * sys, const char *path, char *to, size_t bytes), path, to, bytes)  \
    X(realpath, (struct fs_sys * sys, const char *path, char *to), path, to)                       \
    X(chmod, (struct fs_sys * sys, const char *path, uint32_t mode), path, mode)                   \
    X(chmod_file, (struct fs_sys * sys, int fd, uint32_t mode), fd, mode)                          \
    X(truncate, (struct fs_sys * sys, int fd, uint64_t bytes), fd, bytes)                          \
    X(sync, (struct fs_sys * sys, int fd), fd)                                                     \
    X(copy,                                                                                        \
      (struct fs_sys * sys, int from, int64_t from_offset, int to, int64_t to_offset,              \
       size_t bytes),                                                                              \
      from, from_offset, to, to_offset, bytes)                                                     \
    X(random, (struct fs_sys * sys, void *to, size_t bytes), to, bytes)                            \
    X(memory, (struct fs_sys * sys, void **at, size_t bytes), at, bytes)

struct fs_sys {
#define FS_SYS_FIELD(name, parameters, ...) int64_t(*name) parameters;
    FS_SYS_CALLS(FS_SYS_FIELD)
#undef FS_SYS_FIELD
};

/* What the rows mean beyond the system call of their name:
 *   link         linkat(2) of the file behind a descriptor.
 *   open         openat2(2), without waiting for the other end of a FIFO; returns a descriptor.
 *   read_cached  read, but -EAGAIN instead of waiting for the disk; -EOPNOTSUPP: it may wait, or
 *                not, and cannot say.
 *   read_later   no call: 0 when the kernel may be asked to read fd beside the loop (fs_ring.c).
 *   stat         fstatat(2); path "" with AT_EMPTY_PATH is dir itself.
 *   entries      getdents64(2): struct dirent64, as many as fit; 0: the end.
 *   realpath     to has PATH_MAX bytes.
 *   copy         copy_file_range(2), from where the descriptors stand for FS_HERE.
 *   memory       realloc(3) of *at, for what is made on a thread: free(3) gives it back. */
struct fs_sys *fs_sys_machine(void);

/* All of bytes from offset on, but for the end of the file; LEAT_FS_HERE: one read. */
int64_t fs_sys_read_all(struct fs_sys *sys, int fd, uint8_t *to, size_t bytes, uint64_t offset);

/* Whose descriptor a file's is. */
struct leat_file;
struct fs_sys *file_sys(const struct leat_file *file);

#endif
