/* The disk in memory: the calls of the seam, with their faults. */
#include "net/sim/sim_disk_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define DISK_OF(sys) container_of(sys, struct sim_disk, sys)

static bool has_chance(struct sim_disk *disk, uint32_t ppm)
{
    return ppm > 0 && rng_below(&disk->rng, 1000000) < ppm;
}

/* Fewer bytes than count now and then, but one at least. */
static size_t count_cut(struct sim_disk *disk, size_t count)
{
    if (count < 2 || !has_chance(disk, disk->faults.short_ppm))
        return count;
    disk->short_count++;
    return 1 + (size_t)rng_below(&disk->rng, count - 1);
}

static bool has_room(struct sim_disk *disk, uint64_t more)
{
    return disk->faults.bytes_max == 0 || disk->used_bytes + more <= disk->faults.bytes_max;
}

/* ---- descriptors ---- */

static int64_t fd_new(struct sim_disk *disk, struct sim_inode *inode, uint64_t flags)
{
    uint32_t at = 0;
    while (at < disk->opened_count && disk->opened[at].inode != NULL)
        at++;
    if (at == disk->opened_count) {
        size_t count = (size_t)disk->opened_count * 2 + 8;
        struct sim_open *opened = realloc(disk->opened, count * sizeof(*opened));
        if (opened == NULL)
            return -ENOMEM;
        memset(opened + at, 0, (count - at) * sizeof(*opened));
        disk->opened = opened;
        disk->opened_count = (uint32_t)count;
    }
    disk->opened[at] = (struct sim_open){.inode = inode, .flags = flags};
    return SIM_DISK_FD_FIRST + (int64_t)at;
}

static struct sim_open *file_of(struct sim_disk *disk, int fd, bool is_write)
{
    struct sim_open *open = sim_open_of(disk, fd);
    if (open == NULL)
        return NULL;
    uint64_t access = open->flags & O_ACCMODE;
    return (is_write ? access != O_RDONLY : access != O_WRONLY) ? open : NULL;
}

static int64_t open_existing(const struct sim_inode *inode, uint64_t flags)
{
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
        return -EEXIST;
    if (S_ISLNK(inode->mode))
        return -ELOOP;
    if ((flags & O_DIRECTORY) != 0 && !S_ISDIR(inode->mode))
        return -ENOTDIR;
    if (S_ISDIR(inode->mode) && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0))
        return -EISDIR;
    return 0;
}

static void file_resize(struct sim_disk *disk, struct sim_inode *inode, size_t length)
{
    disk->used_bytes = disk->used_bytes - inode->now.length + length;
    inode->modified = ++disk->clock;
    CHECK(sim_bytes_resize(&inode->now, length));
}

static bool is_unnamed(uint64_t flags)
{
    return (flags & O_TMPFILE) == O_TMPFILE;
}

/* found is the folder that a file without a name is made in. */
static int64_t open_unnamed(struct sim_disk *disk, const struct sim_found *found,
                            const struct open_how *how)
{
    if (found->inode == NULL || !S_ISDIR(found->inode->mode))
        return found->inode == NULL ? -ENOENT : -ENOTDIR;
    return fd_new(disk, sim_inode_new(disk, S_IFREG | (uint32_t)how->mode), how->flags);
}

static int64_t disk_open(struct fs_sys *sys, int dir, const char *path, const struct open_how *how)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_found found;
    bool is_new = (how->flags & O_CREAT) != 0 && (how->flags & O_EXCL) != 0;
    unsigned flags = (how->flags & O_NOFOLLOW) != 0 || is_new ? 0 : SIM_FOLLOW;
    flags |= (how->resolve & RESOLVE_BENEATH) != 0 ? SIM_BENEATH : 0;
    int64_t result = sim_path_find(disk, dir, path, flags, &found);
    if (result < 0)
        return result;
    if (is_unnamed(how->flags))
        return open_unnamed(disk, &found, how);
    if (found.inode == NULL && ((how->flags & O_CREAT) == 0 || found.name[0] == '\0'))
        return -ENOENT;
    if (found.inode != NULL && (result = open_existing(found.inode, how->flags)) < 0)
        return result;
    if (found.inode == NULL) {
        found.inode = sim_inode_new(disk, S_IFREG | (uint32_t)how->mode);
        sim_change_add(sim_change_new(disk), found.dir, found.name, found.inode);
    } else if ((how->flags & O_TRUNC) != 0 && S_ISREG(found.inode->mode)) {
        file_resize(disk, found.inode, 0);
    }
    return fd_new(disk, found.inode, how->flags);
}

/* A file without a name and without a descriptor would still count; it is let go at once. */
static void room_give(struct sim_disk *disk, const struct sim_inode *inode)
{
    if (S_ISREG(inode->mode) && inode->links == 0)
        disk->used_bytes -= inode->now.length;
}

static int64_t disk_close(struct fs_sys *sys, int fd)
{
    struct sim_open *open = sim_open_of(DISK_OF(sys), fd);
    if (open == NULL)
        return -EBADF;
    if (is_unnamed(open->flags))
        room_give(DISK_OF(sys), open->inode);
    open->inode = NULL;
    return 0;
}

/* ---- bytes ---- */

static int64_t disk_read(struct fs_sys *sys, int fd, void *to, size_t bytes, int64_t offset)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_open *open = file_of(disk, fd, false);
    if (open == NULL)
        return -EBADF;
    if (S_ISDIR(open->inode->mode))
        return -EISDIR;
    uint64_t at = offset == FS_HERE ? open->at : (uint64_t)offset;
    const struct sim_bytes *now = &open->inode->now;
    size_t count = at < now->length ? now->length - (size_t)at : 0;
    count = count_cut(disk, count < bytes ? count : bytes);
    if (count > 0)
        memcpy(to, now->bytes + at, count);
    open->at += offset == FS_HERE ? count : 0;
    return (int64_t)count;
}

static int64_t disk_read_cached(struct fs_sys *sys, int fd, void *to, size_t bytes, int64_t offset)
{
    return -EAGAIN; /* every read is a trip to the disk */
}

static int64_t disk_read_later(struct fs_sys *sys, int fd)
{
    return -EOPNOTSUPP; /* its descriptors are none of the kernel's */
}

static int64_t disk_write(struct fs_sys *sys, int fd, const void *bytes, size_t count,
                          int64_t offset)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_open *open = file_of(disk, fd, true);
    if (open == NULL)
        return -EBADF;
    struct sim_inode *inode = open->inode;
    uint64_t at = offset == FS_HERE ? open->at : (uint64_t)offset;
    if ((open->flags & O_APPEND) != 0)
        at = inode->now.length;
    count = count_cut(disk, count);
    while (count > 0 && at + count > inode->now.length &&
           !has_room(disk, at + count - inode->now.length))
        count--; /* what still fits is written first, as disks do */
    if (count == 0)
        return -ENOSPC;
    if (at + count > inode->now.length)
        file_resize(disk, inode, (size_t)at + count);
    memcpy(inode->now.bytes + at, bytes, count);
    inode->modified = ++disk->clock;
    open->at = offset == FS_HERE ? at + count : open->at;
    return (int64_t)count;
}

static int64_t disk_truncate(struct fs_sys *sys, int fd, uint64_t bytes)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_open *open = file_of(disk, fd, true);
    if (open == NULL)
        return -EINVAL;
    if (bytes > UINT32_MAX)
        return -EFBIG;
    if (bytes > open->inode->now.length && !has_room(disk, bytes - open->inode->now.length))
        return -ENOSPC;
    file_resize(disk, open->inode, (size_t)bytes);
    return 0;
}

static int64_t disk_sync(struct fs_sys *sys, int fd)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_open *open = sim_open_of(disk, fd);
    if (open == NULL)
        return -EBADF;
    if (S_ISDIR(open->inode->mode))
        sim_changes_sync(disk);
    else
        sim_file_sync(open->inode);
    return 0;
}

/* Within the kernel, unless the disk is one that cannot (faults.no_copy): who copies then goes
 * through memory. */
static int64_t disk_copy(struct fs_sys *sys, int from, int64_t from_offset, int to,
                         int64_t to_offset, size_t bytes)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_open *source = file_of(disk, from, false), *sink = file_of(disk, to, true);
    if (disk->faults.no_copy)
        return -EXDEV;
    if (source == NULL || sink == NULL || (sink->flags & O_APPEND) != 0)
        return -EBADF;
    uint64_t at = from_offset == FS_HERE ? source->at : (uint64_t)from_offset;
    if (source->inode == sink->inode) /* as of ranges that overlap, though these may not */
        return -EINVAL;
    if (at >= source->inode->now.length)
        return 0;
    size_t behind = source->inode->now.length - (size_t)at;
    size_t count = bytes < behind ? bytes : behind;
    int64_t written = disk_write(sys, to, source->inode->now.bytes + at, count, to_offset);
    if (written > 0 && from_offset == FS_HERE)
        source->at += (uint64_t)written;
    return written;
}

/* ---- names ---- */

static int64_t disk_stat(struct fs_sys *sys, int dir, const char *path, int flags, struct stat *to)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_found found = {0};
    struct sim_open *open = sim_open_of(disk, dir);
    int64_t result = 0;
    if (*path == '\0' && (flags & AT_EMPTY_PATH) != 0)
        found.inode = open != NULL ? open->inode : NULL;
    else
        result = sim_path_find(disk, dir, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? 0 : SIM_FOLLOW,
                               &found);
    if (result < 0 || found.inode == NULL)
        return result < 0 ? result : *path == '\0' ? -EBADF : -ENOENT;
    *to = (struct stat){.st_dev = 1,
                        .st_ino = found.inode->number,
                        .st_mode = found.inode->mode,
                        .st_nlink = found.inode->links,
                        .st_size = (off_t)found.inode->now.length,
                        .st_mtim.tv_sec = (time_t)found.inode->modified};
    return 0;
}

/* The descriptor stands behind the last name that was given. */
static int64_t disk_entries(struct fs_sys *sys, int fd, void *to, size_t bytes)
{
    struct sim_open *open = sim_open_of(DISK_OF(sys), fd);
    if (open == NULL || !S_ISDIR(open->inode->mode))
        return open == NULL ? -EBADF : -ENOTDIR;
    size_t used = 0;
    for (const struct sim_name *name = open->inode->names; name != NULL; name = name->next) {
        size_t length = offsetof(struct dirent64, d_name) + strlen(name->name) + 1;
        length = (length + 7) & ~(size_t)7;
        if (name->place <= open->at)
            continue;
        if (used + length > bytes)
            break;
        struct dirent64 *entry = (void *)((char *)to + used);
        entry->d_ino = name->inode->number;
        entry->d_reclen = (unsigned short)length;
        entry->d_type = (unsigned char)((name->inode->mode & S_IFMT) >> 12);
        strcpy(entry->d_name, name->name);
        used += length;
        open->at = name->place;
    }
    return (int64_t)used;
}

/* Where a new name may be made. */
static int64_t place_find(struct sim_disk *disk, int dir, const char *path, struct sim_found *found)
{
    int64_t result = sim_path_find(disk, dir, path, 0, found);
    if (result < 0)
        return result;
    return found->inode != NULL ? -EEXIST : 0;
}

static int64_t disk_mkdir(struct fs_sys *sys, int dir, const char *path, uint32_t mode)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_found found;
    int64_t result = place_find(disk, dir, path, &found);
    if (result < 0)
        return result;
    struct sim_inode *inode = sim_inode_new(disk, S_IFDIR | (mode & 07777));
    inode->parent = found.dir;
    sim_change_add(sim_change_new(disk), found.dir, found.name, inode);
    return 0;
}

static int64_t disk_symlink(struct fs_sys *sys, const char *target, const char *path)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_found found;
    int64_t result = place_find(disk, AT_FDCWD, path, &found);
    if (result < 0 || *target == '\0')
        return result < 0 ? result : -ENOENT;
    struct sim_inode *inode = sim_inode_new(disk, S_IFLNK | 0777);
    CHECK(sim_bytes_resize(&inode->now, strlen(target)));
    memcpy(inode->now.bytes, target, strlen(target));
    sim_change_add(sim_change_new(disk), found.dir, found.name, inode);
    return 0;
}

/* From here on the file is one like others. */
static int64_t disk_link(struct fs_sys *sys, int fd, const char *path)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_open *open = sim_open_of(disk, fd);
    struct sim_found found;
    if (open == NULL || !is_unnamed(open->flags))
        return open == NULL ? -EBADF : -ENOENT;
    int64_t result = place_find(disk, AT_FDCWD, path, &found);
    if (result < 0)
        return result;
    open->flags &= ~(uint64_t)O_TMPFILE;
    sim_change_add(sim_change_new(disk), found.dir, found.name, open->inode);
    return 0;
}

static int64_t disk_unlink(struct fs_sys *sys, int dir, const char *path, int flags)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_found found;
    bool is_dir = (flags & AT_REMOVEDIR) != 0;
    int64_t result = sim_path_find(disk, dir, path, 0, &found);
    if (result < 0)
        return result;
    if (found.inode == NULL)
        return -ENOENT;
    if (S_ISDIR(found.inode->mode) != is_dir)
        return is_dir ? -ENOTDIR : -EISDIR;
    if (found.name[0] == '\0' || (is_dir && found.inode->names != NULL))
        return found.name[0] == '\0' ? -EINVAL : -ENOTEMPTY;
    sim_change_add(sim_change_new(disk), found.dir, found.name, NULL);
    room_give(disk, found.inode);
    return 0;
}

static bool is_below(const struct sim_inode *dir, const struct sim_inode *top)
{
    while (dir != top && dir != dir->parent)
        dir = dir->parent;
    return dir == top;
}

static int64_t may_replace(const struct sim_inode *from, const struct sim_inode *to)
{
    if (to == NULL)
        return 0;
    if (S_ISDIR(to->mode) && !S_ISDIR(from->mode))
        return -EISDIR;
    if (!S_ISDIR(to->mode) && S_ISDIR(from->mode))
        return -ENOTDIR;
    return to->names != NULL ? -ENOTEMPTY : 0;
}

static int64_t disk_rename(struct fs_sys *sys, const char *from, const char *to)
{
    struct sim_disk *disk = DISK_OF(sys);
    struct sim_found old = {0}, new = {0};
    int64_t result = sim_path_find(disk, AT_FDCWD, from, 0, &old);
    if (result == 0)
        result = sim_path_find(disk, AT_FDCWD, to, 0, &new);
    if (result < 0)
        return result;
    if (old.inode == NULL || old.name[0] == '\0' || new.name[0] == '\0')
        return old.inode == NULL ? -ENOENT : -EBUSY;
    if (old.inode == new.inode)
        return 0;
    if (S_ISDIR(old.inode->mode) && is_below(new.dir, old.inode))
        return -EINVAL;
    result = may_replace(old.inode, new.inode);
    if (result < 0)
        return result;
    struct sim_disk_change *change = sim_change_new(disk);
    sim_change_add(change, new.dir, new.name, old.inode);
    sim_change_add(change, old.dir, old.name, NULL);
    if (S_ISDIR(old.inode->mode))
        old.inode->parent = new.dir;
    if (new.inode != NULL)
        room_give(disk, new.inode);
    return 0;
}

static int64_t disk_readlink(struct fs_sys *sys, const char *path, char *to, size_t bytes)
{
    struct sim_found found;
    int64_t result = sim_path_find(DISK_OF(sys), AT_FDCWD, path, 0, &found);
    if (result < 0)
        return result;
    if (found.inode == NULL || !S_ISLNK(found.inode->mode))
        return found.inode == NULL ? -ENOENT : -EINVAL;
    size_t length = found.inode->now.length < bytes ? found.inode->now.length : bytes;
    memcpy(to, found.inode->now.bytes, length);
    return (int64_t)length;
}

/* From the inode up, by the names that lead to it. */
static int64_t disk_realpath(struct fs_sys *sys, const char *path, char *to)
{
    struct sim_found found;
    int64_t result = sim_path_find(DISK_OF(sys), AT_FDCWD, path, SIM_FOLLOW, &found);
    if (result < 0)
        return result;
    if (found.inode == NULL)
        return -ENOENT;
    size_t at = PATH_MAX - 1;
    to[at] = '\0';
    const struct sim_inode *dir = found.name[0] != '\0' ? found.dir : found.inode->parent;
    for (const struct sim_inode *inode = found.inode; inode != inode->parent;) {
        const struct sim_name *name = dir->names;
        while (name->inode != inode)
            name = name->next;
        size_t length = strlen(name->name);
        if (at < length + 1)
            return -ENAMETOOLONG;
        at -= length + 1;
        to[at] = '/';
        memcpy(to + at + 1, name->name, length);
        inode = dir;
        dir = dir->parent;
    }
    memmove(to, at < PATH_MAX - 1 ? to + at : "/", at < PATH_MAX - 1 ? PATH_MAX - at : 2);
    return 0;
}

static int64_t disk_chmod(struct fs_sys *sys, const char *path, uint32_t mode)
{
    struct sim_found found;
    int64_t result = sim_path_find(DISK_OF(sys), AT_FDCWD, path, SIM_FOLLOW, &found);
    if (result < 0 || found.inode == NULL)
        return result < 0 ? result : -ENOENT;
    found.inode->mode = (found.inode->mode & S_IFMT) | (mode & 07777);
    return 0;
}

static int64_t disk_chmod_file(struct fs_sys *sys, int fd, uint32_t mode)
{
    struct sim_open *open = sim_open_of(DISK_OF(sys), fd);
    if (open == NULL)
        return -EBADF;
    open->inode->mode = (open->inode->mode & S_IFMT) | (mode & 07777);
    return 0;
}

static int64_t disk_random(struct fs_sys *sys, void *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)to)[i] = (uint8_t)rng_next(&DISK_OF(sys)->rng);
    return 0;
}

static int64_t disk_memory(struct fs_sys *sys, void **at, size_t bytes)
{
    return fs_sys_machine()->memory(fs_sys_machine(), at, bytes);
}

/* ---- the table: each call counted, and failed when it is its turn ---- */

static int64_t call_fails(struct sim_disk *disk)
{
    disk->calls_count++;
    if (disk->faults.fail_at == 0 || --disk->faults.fail_at != 0)
        return 0;
    disk->failed_count++;
    return disk->faults.fail_code != 0 ? disk->faults.fail_code : -EIO;
}

/* A close that fails has closed all the same. */
#define SIM_CALL(name, parameters, ...)                                                            \
    static int64_t call_##name parameters                                                          \
    {                                                                                              \
        int64_t failure = call_fails(DISK_OF(sys));                                                \
        if (failure < 0 && (void *)disk_##name != (void *)disk_close)                              \
            return failure;                                                                        \
        int64_t result = disk_##name(sys, __VA_ARGS__);                                            \
        return failure < 0 ? failure : result;                                                     \
    }
FS_SYS_CALLS(SIM_CALL)
#undef SIM_CALL

struct sim_disk *sim_disk_new(uint64_t seed)
{
    struct sim_disk *disk = calloc(1, sizeof(*disk));
    CHECK(disk != NULL);
#define SIM_ROW(name, ...) disk->sys.name = call_##name;
    FS_SYS_CALLS(SIM_ROW)
#undef SIM_ROW
    rng_init(&disk->rng, seed);
    disk->changes_last = &disk->changes;
    disk->root = sim_inode_new(disk, S_IFDIR | 0755);
    disk->root->parent = disk->root;
    return disk;
}

static void names_free(struct sim_name *names)
{
    for (struct sim_name *next; names != NULL; names = next) {
        next = names->next;
        free(names);
    }
}

void sim_disk_free(struct sim_disk *disk)
{
    for (struct sim_inode *inode = disk->inodes, *next; inode != NULL; inode = next) {
        next = inode->next;
        names_free(inode->names);
        names_free(inode->names_synced);
        free(inode->now.bytes);
        free(inode->synced.bytes);
        free(inode);
    }
    for (struct sim_disk_change *change = disk->changes, *next; change != NULL; change = next) {
        next = change->next;
        free(change);
    }
    free(disk->opened);
    free(disk);
}

uint32_t sim_disk_open_count(const struct sim_disk *disk)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < disk->opened_count; i++)
        count += disk->opened[i].inode != NULL;
    return count;
}
