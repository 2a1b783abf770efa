/* Watching names: what appears, changes and goes in a directory, by inotify.
 *
 * A watch on a directory hears of all names in it, but not of those below; a watch on any other
 * path, there or not, hears of that name in its directory, and so survives programs that save by
 * writing beside and renaming. What happens after the future has settled is reported.
 *
 * Events are hints: several may have become one, and LEAT_FS_OVERFLOW says that some were lost.
 * Network file systems, and what changes without the kernel, report nothing. At most
 * LEAT_WATCHES_MAX of a core. A watch belongs to the core that made it.
 *
 * LEAT_FS_TREE: the directory and all below, names are paths from it ("a/b/c"). Symbolic links in
 * it are not followed; directories that may not be read are passed over. Each directory counts as a
 * watch. What is found in a directory that appears is told as created, some of it perhaps twice.
 * Directories that are renamed in the tree keep their watches; of what is in one that is moved out
 * nothing is told but the directory. Directories are looked at through /proc. */
#ifndef LEAT_WATCH_FS_H
#define LEAT_WATCH_FS_H

#include <leat/defs.h>
#include <leat/future.h>
#include <leat/result.h>

LEAT_BEGIN

#define LEAT_WATCHES_MAX 8192

struct leat_fs_watch;
struct leat_error;

enum leat_fs_watch_flags { /* 0: one directory, or one name */
                           LEAT_FS_TREE = 1u << 0,
};

enum leat_fs_event {
    LEAT_FS_CREATED,  /* or moved here from elsewhere */
    LEAT_FS_REMOVED,  /* or moved away */
    LEAT_FS_RENAMED,  /* within the directory, or the tree: from, name */
    LEAT_FS_CHANGED,  /* its bytes */
    LEAT_FS_WRITTEN,  /* who had it open for writing has closed it */
    LEAT_FS_MODE,     /* mode, owner, times, links */
    LEAT_FS_OVERFLOW, /* events were lost: look again. No name */
    LEAT_FS_GONE,     /* the directory was removed or moved, or see error: nothing more comes. No
                         name */
};

struct leat_fs_change { /* valid until the callback returns */
    enum leat_fs_event event;
    const char *name; /* in the directory, below the tree's root; NULL: none */
    const char *from; /* of LEAT_FS_RENAMED: the name before; else NULL */
    bool is_directory;
    /* LEAT_FS_GONE of a tree that could not be watched further, as when watches ran out; or NULL */
    const struct leat_error *error;
};

/* In the poll phase. May free watch. */
typedef void leat_fs_watch_fn(struct leat_fs_watch *watch, const struct leat_fs_change *change,
                              void *arg);

/* flags: enum leat_fs_watch_flags. LEAT_KIND_WATCH: a struct leat_fs_watch, which is freed with the
 * result. -ENOSPC: this core has LEAT_WATCHES_MAX, or the user has as many as
 * fs.inotify.max_user_watches says. -ENOTSUP in a simulated world. -ENOTDIR: a tree's path is no
 * directory. It keeps the loop alive until it is freed or gone. */
LEAT_API struct leat_future *leat_fs_watch(struct leat_loop *loop, const char *path, unsigned flags,
                                           leat_fs_watch_fn *fn, void *arg) LEAT_MUST_CHECK;
LEAT_API void leat_fs_watch_free(struct leat_fs_watch *watch);
/* It no longer keeps the loop alive. */
LEAT_API void leat_fs_watch_unref(struct leat_fs_watch *watch);

static inline struct leat_fs_watch *leat_result_watch(const struct leat_result *result)
{
    return (struct leat_fs_watch *)leat_result_pointer(result, LEAT_KIND_WATCH);
}

LEAT_END
#endif
