/* The machine's own system calls for files. */
#include "runtime/os/fs_sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/base/core.h"
#include "runtime/base/rng.h"

#define OPEN_ALWAYS (O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* Again as long as a signal cuts it short. */
#define AGAIN(call)                                                                                \
    ({                                                                                             \
        int64_t result_;                                                                           \
        do                                                                                         \
            result_ = (int64_t)(call);                                                             \
        while (result_ < 0 && errno == EINTR);                                                     \
        result_ < 0 ? -(int64_t)errno : result_;                                                   \
    })

/* Where the kernel or a sandbox has no openat2, what needs none of its rules is opened without. */
static int64_t machine_open(struct fs_sys *sys, int dir, const char *path,
                            const struct open_how *how)
{
    struct open_how own = *how;
    own.flags |= OPEN_ALWAYS;
    int64_t fd = AGAIN(syscall(SYS_openat2, dir, path, &own, sizeof(own)));
    if (likely(fd != -ENOSYS))
        return fd;
    if ((how->resolve & RESOLVE_CACHED) != 0)
        return -EAGAIN;
    if (how->resolve != 0)
        return fd;
    return AGAIN(openat(dir, path, (int)own.flags, (mode_t)own.mode));
}

/* The descriptor is gone whatever close says; -EINTR is no failure. */
static int64_t machine_close(struct fs_sys *sys, int fd)
{
    return close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

static int64_t machine_read(struct fs_sys *sys, int fd, void *to, size_t bytes, int64_t offset)
{
    if (offset == FS_HERE)
        return AGAIN(read(fd, to, bytes));
    return AGAIN(pread(fd, to, bytes, offset));
}

static int64_t machine_read_cached(struct fs_sys *sys, int fd, void *to, size_t bytes,
                                   int64_t offset)
{
    struct iovec iov = {to, bytes};
    int64_t result = AGAIN(preadv2(fd, &iov, 1, offset, RWF_NOWAIT));
    return result == -ENOSYS ? -EOPNOTSUPP : result;
}

static int64_t machine_read_later(struct fs_sys *sys, int fd)
{
    return 0;
}

static int64_t machine_write(struct fs_sys *sys, int fd, const void *bytes, size_t count,
                             int64_t offset)
{
    if (offset == FS_HERE)
        return AGAIN(write(fd, bytes, count));
    return AGAIN(pwrite(fd, bytes, count, offset));
}

static int64_t machine_stat(struct fs_sys *sys, int dir, const char *path, int flags,
                            struct stat *to)
{
    return AGAIN(fstatat(dir, path, to, flags));
}

static int64_t machine_entries(struct fs_sys *sys, int fd, void *to, size_t bytes)
{
    return AGAIN(getdents64(fd, to, bytes));
}

static int64_t machine_mkdir(struct fs_sys *sys, int dir, const char *path, uint32_t mode)
{
    return AGAIN(mkdirat(dir, path, mode));
}

static int64_t machine_rename(struct fs_sys *sys, const char *from, const char *to)
{
    return AGAIN(rename(from, to));
}

/* AT_EMPTY_PATH would ask for a capability. */
static int64_t machine_link(struct fs_sys *sys, int fd, const char *path)
{
    char from[32];
    snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
    return AGAIN(linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
}

static int64_t machine_unlink(struct fs_sys *sys, int dir, const char *path, int flags)
{
    return AGAIN(unlinkat(dir, path, flags));
}

static int64_t machine_symlink(struct fs_sys *sys, const char *target, const char *path)
{
    return AGAIN(symlink(target, path));
}

static int64_t machine_readlink(struct fs_sys *sys, const char *path, char *to, size_t bytes)
{
    return AGAIN(readlink(path, to, bytes));
}

static int64_t machine_realpath(struct fs_sys *sys, const char *path, char *to)
{
    return realpath(path, to) != NULL ? 0 : -errno;
}

static int64_t machine_chmod(struct fs_sys *sys, const char *path, uint32_t mode)
{
    return AGAIN(chmod(path, mode));
}

static int64_t machine_chmod_file(struct fs_sys *sys, int fd, uint32_t mode)
{
    return AGAIN(fchmod(fd, mode));
}

static int64_t machine_truncate(struct fs_sys *sys, int fd, uint64_t bytes)
{
    return bytes > INT64_MAX ? -EFBIG : AGAIN(ftruncate(fd, (off_t)bytes));
}

static int64_t machine_sync(struct fs_sys *sys, int fd)
{
    return AGAIN(fsync(fd));
}

static int64_t machine_copy(struct fs_sys *sys, int from, int64_t from_offset, int to,
                            int64_t to_offset, size_t bytes)
{
    off64_t from_at = from_offset, to_at = to_offset;
    return AGAIN(copy_file_range(from, from_offset != FS_HERE ? &from_at : NULL, to,
                                 to_offset != FS_HERE ? &to_at : NULL, bytes, 0));
}

static int64_t machine_random(struct fs_sys *sys, void *to, size_t bytes)
{
    rng_secret(to, bytes);
    return 0;
}

static int64_t machine_memory(struct fs_sys *sys, void **at, size_t bytes)
{
    void *memory = realloc(*at, bytes);
    if (memory == NULL)
        return -ENOMEM;
    *at = memory;
    return 0;
}

struct fs_sys *fs_sys_machine(void)
{
    static const struct fs_sys machine = {
#define MACHINE_ROW(name, ...) .name = machine_##name,
        FS_SYS_CALLS(MACHINE_ROW)};
    return (struct fs_sys *)(uintptr_t)&machine; /* which nobody writes to */
}

int64_t fs_sys_read_all(struct fs_sys *sys, int fd, uint8_t *to, size_t bytes, uint64_t offset)
{
    size_t have = 0;
    if (offset == (uint64_t)FS_HERE)
        return sys->read(sys, fd, to, bytes, FS_HERE);
    while (have < bytes) {
        int64_t n = sys->read(sys, fd, to + have, bytes - have, (int64_t)(offset + have));
        if (n < 0)
            return n;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (int64_t)have;
}
