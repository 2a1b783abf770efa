/* Trees: mkdir -p, and rm -r.
 *
 * rm -r never follows a link, whatever somebody does to the tree meanwhile: each directory is
 * opened from the one above it with O_NOFOLLOW, and what is in it is named from its descriptor. One
 * descriptor is open at a time, so that depth needs memory only: the way back is "..", believed
 * when it is the directory that the way down came from. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "runtime/os/fs_internal.h"

#define ENTRIES_BYTES 8192
#define DEPTH_MAX     65536
#define MISSED_MAX    1000

/* ---- mkdir -p ---- */

static int64_t dir_is_there(struct fs_sys *sys, const char *path, int64_t code)
{
    struct stat s;
    if (code != -EEXIST)
        return code;
    int64_t result = sys->stat(sys, AT_FDCWD, path, 0, &s);
    if (result < 0)
        return result;
    return S_ISDIR(s.st_mode) ? 0 : -EEXIST;
}

/* From the first name down; what is in the way shows at the last. */
static int64_t parents_make(struct fs_sys *sys, char *path, uint32_t mode)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/' || at[-1] == '/')
            continue;
        *at = '\0';
        int64_t result = sys->mkdir(sys, AT_FDCWD, path, mode);
        *at = '/';
        if (result < 0 && result != -EEXIST)
            return result;
    }
    return 0;
}

void fs_mkdir_all_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    struct fs_sys *sys = op->sys;
    const char *path = fs->args.path;
    uint32_t mode = (uint32_t)fs->args.number;
    int64_t result = dir_is_there(sys, path, sys->mkdir(sys, AT_FDCWD, path, mode));
    if (result == -ENOENT && *path != '\0') {
        result = sys->memory(sys, &fs->memory, strlen(path) + 1);
        if (result == 0)
            result = parents_make(sys, strcpy(fs->memory, path), mode);
        if (result == 0)
            result = dir_is_there(sys, path, sys->mkdir(sys, AT_FDCWD, path, mode));
    }
    op->value = result;
}

FS_OP(mkdir_all, fs_result_nothing, NULL, loop,
      (struct leat_loop * loop, const char *path, uint32_t mode), .path = path, .number = mode)

/* ---- rm -r ---- */

struct remove_level {
    dev_t device;
    ino_t inode; /* of the directory that the name is in */
    char name[256];
};

struct remove_walk {
    struct fs_sys *sys;
    int fd; /* the directory that is being emptied */
    struct remove_level *levels;
    size_t count, capacity;
    unsigned missed_count; /* directories that were none when they were opened */
};

/* What is found in one directory. */
enum remove_found {
    REMOVE_EMPTY, /* nothing is left in it */
    REMOVE_BELOW, /* name is a directory */
    REMOVE_FAILED,
};

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Removes what it can of the names in bytes; ends at a directory. */
static enum remove_found names_remove(struct remove_walk *walk, char *bytes, int64_t length,
                                      const char **name, int64_t *code)
{
    for (int64_t at = 0; at < length;) {
        const struct dirent64 *entry = (const void *)(bytes + at);
        at += entry->d_reclen;
        *name = entry->d_name;
        if (is_dots(*name))
            continue;
        *code =
            entry->d_type == DT_DIR ? -EISDIR : walk->sys->unlink(walk->sys, walk->fd, *name, 0);
        if (*code == -EISDIR)
            return REMOVE_BELOW;
        if (*code < 0 && *code != -ENOENT) /* gone meanwhile: so be it */
            return REMOVE_FAILED;
    }
    return REMOVE_EMPTY;
}

static int64_t level_push(struct remove_walk *walk, const char *name)
{
    struct stat s;
    if (walk->count == walk->capacity) {
        size_t capacity = walk->capacity == 0 ? 8 : walk->capacity * 2;
        if (capacity > DEPTH_MAX)
            return -ENAMETOOLONG;
        void *levels = walk->levels;
        int64_t grown = walk->sys->memory(walk->sys, &levels, capacity * sizeof(*walk->levels));
        if (grown < 0)
            return grown;
        walk->levels = levels;
        walk->capacity = capacity;
    }
    int64_t result = walk->sys->stat(walk->sys, walk->fd, "", AT_EMPTY_PATH, &s);
    if (result < 0)
        return result;
    struct remove_level *level = &walk->levels[walk->count++];
    level->device = s.st_dev;
    level->inode = s.st_ino;
    strncpy(level->name, name, sizeof(level->name) - 1);
    level->name[sizeof(level->name) - 1] = '\0';
    return 0;
}

static int64_t dir_open(struct remove_walk *walk, const char *name)
{
    const struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW};
    int64_t fd = walk->sys->open(walk->sys, walk->fd, name, &how);
    if (fd < 0)
        return fd;
    if (walk->fd != AT_FDCWD)
        (void)walk->sys->close(walk->sys, walk->fd);
    walk->fd = (int)fd;
    return 0;
}

/* Where the name was a directory a moment ago there may be anything: a link is not opened, and is
 * met again as a name to be removed. */
static int64_t walk_down(struct remove_walk *walk, const char *name)
{
    int64_t result = level_push(walk, name);
    if (result < 0)
        return result;
    result = dir_open(walk, name);
    if (result != -ENOENT && result != -ENOTDIR && result != -ELOOP)
        return result;
    walk->count--;
    if (++walk->missed_count > MISSED_MAX)
        return -EBUSY;
    return dir_open(walk, "."); /* read from its beginning, for names behind it were passed over */
}

static int64_t walk_up(struct remove_walk *walk)
{
    struct stat s;
    const struct remove_level *level = &walk->levels[walk->count - 1];
    int64_t result = dir_open(walk, "..");
    if (result == 0)
        result = walk->sys->stat(walk->sys, walk->fd, "", AT_EMPTY_PATH, &s);
    if (result < 0)
        return result;
    if (s.st_dev != level->device || s.st_ino != level->inode)
        return -EBUSY; /* it was moved: what is above it now is nobody's to empty */
    walk->count--;
    result = walk->sys->unlink(walk->sys, walk->fd, level->name, AT_REMOVEDIR);
    return result == -ENOENT ? 0 : result;
}

/* One directory, until it is empty or leads down. */
static int64_t walk_step(struct remove_walk *walk, bool *is_over)
{
    _Alignas(struct dirent64) char bytes[ENTRIES_BYTES];
    const char *name = NULL;
    int64_t code = 0;
    int64_t length = walk->sys->entries(walk->sys, walk->fd, bytes, sizeof(bytes));
    if (length < 0)
        return length;
    if (length == 0) {
        *is_over = walk->count == 0;
        return *is_over ? 0 : walk_up(walk);
    }
    switch (names_remove(walk, bytes, length, &name, &code)) {
    case REMOVE_BELOW:
        return walk_down(walk, name);
    case REMOVE_FAILED:
        return code;
    case REMOVE_EMPTY:
        break;
    }
    return 0;
}

/* Nothing that ends in "." or "..", and not the root. */
static bool may_remove(const char *path)
{
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    size_t begin = length;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    size_t bytes = length - begin;
    return bytes > 0 && !(bytes == 1 && path[begin] == '.') &&
           !(bytes == 2 && path[begin] == '.' && path[begin + 1] == '.');
}

void fs_remove_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    struct fs_sys *sys = op->sys;
    struct remove_walk walk = {.sys = sys, .fd = AT_FDCWD};
    const char *path = fs->args.path;
    bool is_over = false;
    op->value = may_remove(path) ? sys->unlink(sys, AT_FDCWD, path, 0) : -EINVAL;
    if (op->value != -EISDIR)
        return;
    op->value = dir_open(&walk, path);
    while (op->value == 0 && !is_over)
        op->value = walk_step(&walk, &is_over);
    fs->memory = walk.levels; /* for the drop */
    fs->fd = walk.fd != AT_FDCWD ? walk.fd : -1;
    op->value = fs_close_after(sys, &fs->fd, op->value);
    if (op->value == 0)
        op->value = sys->unlink(sys, AT_FDCWD, path, AT_REMOVEDIR);
}

FS_OP(remove, fs_result_nothing, NULL, loop, (struct leat_loop * loop, const char *path),
      .path = path)
