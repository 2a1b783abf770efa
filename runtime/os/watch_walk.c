/* The walk of a watched tree, on a thread: a directory is added first and scanned then, since names
 * appear in between. Each is opened from the root without following links, and added by its
 * descriptor, so that no link that is put in its place leads elsewhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#include "runtime/os/fs_sys.h"
#include "runtime/os/watch_tree.h"

#define ENTRIES_BYTES 8192

static struct walk_record *record_at(const struct watch_walk *walk, size_t at)
{
    return (void *)((char *)walk->records + at);
}

struct walk_record *watch_walk_push(struct watch_walk *walk, const char *above, const char *name)
{
    struct fs_sys *sys = walk->op.sys;
    size_t above_bytes = strlen(above), name_bytes = strlen(name);
    size_t bytes = (sizeof(struct walk_record) + above_bytes + name_bytes + 2 + 7) & ~(size_t)7;
    if (walk->used_bytes + bytes > walk->capacity_bytes) {
        size_t capacity = (walk->capacity_bytes + bytes) * 2;
        if (sys->memory(sys, &walk->records, capacity) < 0)
            return NULL;
        walk->capacity_bytes = capacity;
    }
    struct walk_record *record = record_at(walk, walk->used_bytes);
    walk->used_bytes += bytes;
    *record = (struct walk_record){.bytes = (uint32_t)bytes, .parent = -1, .number = -1};
    memcpy(record->path, above, above_bytes);
    if (above_bytes > 0)
        record->path[above_bytes++] = '/';
    memcpy(record->path + above_bytes, name, name_bytes + 1);
    return record;
}

static bool entry_is_directory(struct watch_walk *walk, int fd, const struct dirent64 *entry)
{
    struct fs_sys *sys = walk->op.sys;
    struct stat s;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return sys->stat(sys, fd, entry->d_name, AT_SYMLINK_NOFOLLOW, &s) == 0 && S_ISDIR(s.st_mode);
}

/* What is in the directory of the record at at. */
static int64_t entry_found(struct watch_walk *walk, size_t at, int fd, const struct dirent64 *entry,
                           bool is_told)
{
    char above[PATH_MAX];
    bool is_directory = entry_is_directory(walk, fd, entry);
    if (!is_directory && !is_told)
        return 0;
    if (is_directory ? walk->dirs_count++ >= LEAT_WATCHES_MAX : false) {
        walk->is_full = true;
        return -ENOSPC;
    }
    if (is_told && walk->names_count++ >= TREE_NAMES_MAX) {
        walk->names_are_lost = true;
        if (!is_directory)
            return 0;
    }
    /* The push may move the records. It was opened: its path is shorter. */
    int number = record_at(walk, at)->number;
    snprintf(above, sizeof(above), "%s", record_at(walk, at)->path);
    struct walk_record *record = watch_walk_push(walk, above, entry->d_name);
    if (record == NULL)
        return -ENOMEM;
    record->parent = number;
    record->is_directory = is_directory;
    record->is_told = is_told && !walk->names_are_lost;
    return 0;
}

static int64_t dir_scan(struct watch_walk *walk, size_t at, int fd, bool is_told)
{
    struct fs_sys *sys = walk->op.sys;
    _Alignas(struct dirent64) char bytes[ENTRIES_BYTES];
    int64_t length;
    while ((length = sys->entries(sys, fd, bytes, sizeof(bytes))) > 0) {
        for (int64_t i = 0; i < length;) {
            const struct dirent64 *entry = (const void *)(bytes + i);
            const char *name = entry->d_name;
            i += entry->d_reclen;
            if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')))
                continue;
            int64_t result = entry_found(walk, at, fd, entry, is_told);
            if (result < 0)
                return result;
        }
    }
    return length == -ENOENT ? 0 : length; /* removed since it was opened */
}

/* Of what an open failed with: it says nothing of the directory, but that none can be looked at. */
static bool is_fatal(int64_t code)
{
    return code == -EMFILE || code == -ENFILE || code == -ENOMEM || code == -ENOSYS;
}

/* Adds, then scans. A number beyond all that were seen is a directory that was not watched. */
static int64_t dir_add(struct watch_walk *walk, size_t at, int fd)
{
    char path[32];
    struct walk_record *record = record_at(walk, at);
    int asked = record->is_asked ? record->number : -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int number = inotify_add_watch(walk->tree->fd, path, WATCH_EVENTS);
    record->number = -1;
    if (number < 0)
        return errno == EACCES ? 0 : -errno;
    bool is_new = number > walk->number_max;
    if (asked > 0 && number != asked) { /* another one by now: what is above it will say so */
        if (is_new)
            (void)inotify_rm_watch(walk->tree->fd, number);
        return 0;
    }
    record->number = number;
    if (!is_new)
        return asked > 0 ? dir_scan(walk, at, fd, false) : 0;
    walk->number_max = number;
    if (walk->room == 0) {
        walk->is_full = true;
        return -ENOSPC;
    }
    walk->room--;
    return dir_scan(walk, at, fd, !walk->is_first);
}

static int64_t dir_visit(struct watch_walk *walk, int root, size_t at)
{
    struct fs_sys *sys = walk->op.sys;
    const struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                                 .resolve =
                                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    struct walk_record *record = record_at(walk, at);
    int64_t fd = sys->open(sys, root, record->path[0] != '\0' ? record->path : ".", &how);
    if (fd < 0) {
        record->number = -1;
        return is_fatal(fd) ? fd : 0;
    }
    int64_t result = dir_add(walk, at, (int)fd);
    (void)sys->close(sys, (int)fd);
    return result;
}

void watch_walk_run(struct op *op)
{
    struct watch_walk *walk = container_of(op, struct watch_walk, op);
    struct fs_sys *sys = op->sys;
    const struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW};
    int64_t root = 0;
    if (walk->is_first)
        root = sys->realpath(sys, walk->watch->path, walk->tree->path);
    if (root >= 0)
        root = sys->open(sys, AT_FDCWD, walk->tree->path, &how);
    op->value = root < 0 ? root : 0;
    if (root < 0)
        return;
    for (size_t at = 0; at < walk->used_bytes && op->value >= 0;) {
        if (record_at(walk, at)->is_directory)
            op->value = dir_visit(walk, (int)root, at);
        at += record_at(walk, at)->bytes;
    }
    (void)sys->close(sys, (int)root);
    if (walk->is_first && op->value >= 0 && record_at(walk, 0)->number < 0)
        op->value = -EACCES;
}
