/* Watches on directories of one core, for the files of this folder.
 *
 *   W1  A directory is in dirs as long as the kernel watches it for us: from the first watch that
 *       was added on, until it is gone, or swept with no watch left.
 *   W2  Nothing is swept while a thread adds one (adds_count): the kernel would give it the number
 *       of a directory that is being let go.
 *   W3  A watch that is freed while events are told is only marked, and freed when they were. */
#ifndef LEAT_WATCH_INTERNAL_H
#define LEAT_WATCH_INTERNAL_H

#include <sys/inotify.h>

#include <leat/io.h>
#include <leat/timer.h>
#include <leat/watch_fs.h>

#include "runtime/os/pool_internal.h"

#define WATCH_MOVE_NS (2 * LEAT_NS_PER_MS) /* how long the other half of a rename is waited for */
#define WATCH_HASH    256u
#define WATCH_EVENTS                                                                               \
    (IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM |              \
     IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)

struct watch_tree;

struct watch_dir {
    struct watch_dir *next; /* of its bucket */
    struct list watches;
    int number; /* the kernel's */
};

struct leat_fs_watch {
    struct list link;        /* of its directory's watches */
    struct watch_core *core; /* NULL: it hears no more */
    leat_fs_watch_fn *fn;
    void *arg;
    const char *name;           /* that it is about; NULL: all in the directory */
    bool is_ref, is_freed;      /* it keeps the loop alive; W3 */
    struct watch_tree *tree;    /* NULL: one directory, or a name in it */
    struct leat_fs_watch *next; /* freed: of core->freed */
    char path[];
};

struct watch_core {
    struct pool_core *pool;
    struct leat_watch readable;
    struct leat_timer move_timer;
    int fd;
    uint32_t watches_count, adds_count, telling_count;
    struct watch_dir *dirs[WATCH_HASH];
    struct list trees; /* watch_tree.h */
    struct leat_fs_watch *freed;
    /* The first half of a rename, the second of which has not been read. */
    uint32_t move_cookie; /* 0: none */
    int move_number;
    bool move_is_directory;
    char move_name[256];
};

struct watch_dir *watch_dir_find(struct watch_core *core, int number); /* NULL: not watched */
/* To every watch of dir that is about name or from. */
void watch_tell(struct watch_core *core, struct watch_dir *dir,
                const struct leat_fs_change *change);
void watch_tell_all(struct watch_core *core, const struct leat_fs_change *change);
void watch_dir_gone(struct watch_core *core, struct watch_dir *dir);

void watch_forget(struct leat_fs_watch *watch); /* it keeps its loop alive no longer */
void watch_drop(void *watch);                   /* leat_fs_watch_free */
/* A descriptor, or -errno with a sentence. */
int watch_inotify_new(struct leat_error *error) LEAT_MUST_CHECK;

/* watch_read.c */
bool watch_event_of(uint32_t mask, enum leat_fs_event *event); /* false: of none that is told */
void watch_on_readable(struct leat_watch *watch, uint32_t events, void *arg);
void watch_on_move_over(struct leat_timer *timer, void *arg);

/* For the end of a core's part in the pool. */
void watch_core_fini(struct watch_core *core); /* NULL: no effect */

#endif
