/* Trees of directories that are watched, for the files of this folder.
 *
 * Each tree has an inotify of its own. Its loop reads events, its walks, which run on a thread, add
 * directories; never both at a time:
 *
 *   T1  While a walk is under way no event is read and no directory is let go: what a walk adds is
 *       in the table before its first event is read.
 *   T2  A directory is known by its number, and placed by {parent, name}: a rename moves one entry,
 *       and all that is below with it. The kernel gives no number twice.
 *   T3  Names may be stale when they are read, numbers are not: a directory into which one came is
 *       dirty, is scanned again, and places what it finds by number.
 *   T4  A tree lives as long as its watch or a walk of it. */
#ifndef LEAT_WATCH_TREE_H
#define LEAT_WATCH_TREE_H

#include <limits.h>

#include "runtime/os/watch_internal.h"

#define TREE_NAMES_MAX 8192u /* told after one walk; beyond them LEAT_FS_OVERFLOW says it */

struct tree_dir {
    struct tree_dir *next;   /* of its bucket */
    struct tree_dir *parent; /* NULL: the root */
    int number;
    uint32_t seen; /* the last walk that saw it */
    bool is_dirty, is_doomed;
    char name[NAME_MAX + 1];
};

struct watch_tree {
    struct list link;            /* core->trees */
    struct watch_core *core;     /* NULL: it hears no more */
    struct leat_fs_watch *watch; /* NULL: freed */
    struct leat_watch readable;
    struct leat_timer move_timer;
    int fd, number_max; /* the highest number that was seen */
    uint32_t refs_count, walks_count;
    bool is_dirty, is_whole, is_walking; /* whole: events were lost */
    struct tree_dir *root, *dirs[WATCH_HASH];
    uint32_t move_cookie; /* the first half of a rename; 0: none */
    int move_number;
    bool move_is_directory;
    char move_name[NAME_MAX + 1];
    char path[PATH_MAX]; /* the root's, absolute; by the first walk */
};

/* A directory to be looked at, or one or another name that was found. */
struct walk_record {
    uint32_t bytes;     /* of all, a multiple of 8 */
    int parent, number; /* number -1: not a directory that is watched */
    bool is_directory, is_asked, is_told;
    char path[]; /* below the root; "": the root */
};

struct watch_walk {
    struct op op; /* first */
    struct watch_tree *tree;
    struct leat_fs_watch *watch; /* the first walk's, until it settles */
    int number_max;
    uint32_t room, names_count, dirs_count;
    bool is_first, is_whole, is_full, names_are_lost; /* full: Leat's limit, not the kernel's */
    void *records;                                    /* by sys->memory */
    size_t used_bytes, capacity_bytes;
};

/* watch_walk.c: any thread */
void watch_walk_run(struct op *op);
/* NULL when memory is out. */
struct walk_record *watch_walk_push(struct watch_walk *walk, const char *above, const char *name);

/* watch_tree.c: the table. All on the tree's core, no walk under way. */
struct tree_dir *tree_dir_find(struct watch_tree *tree, int number);
struct tree_dir *tree_dir_child(struct watch_tree *tree, const struct tree_dir *dir,
                                const char *name);
/* The path of name in dir, in to; NULL: longer than any path. */
char *tree_path(const struct tree_dir *dir, const char *name, char to[PATH_MAX]);
/* dir may be NULL: it is not in the table. 0 or -errno. */
int tree_dir_place(struct watch_tree *tree, struct tree_dir *parent, int number, const char *name);
void tree_dir_drop(struct watch_tree *tree, struct tree_dir *dir); /* and all below */
void tree_sweep(struct watch_tree *tree);                          /* those that are doomed */
void tree_stop(struct watch_tree *tree);                           /* hears no more */
void tree_unref(struct watch_tree *tree);

/* watch_tree_life.c */
struct leat_future *tree_start(struct watch_core *core, struct leat_fs_watch *watch,
                               const void *site) LEAT_MUST_CHECK;
void tree_free(struct watch_tree *tree); /* its watch is freed */
void tree_walk(struct watch_tree *tree);
/* GONE; error NULL: it was removed or moved. */
void tree_end(struct watch_tree *tree, const struct leat_error *error);
/* false: nothing more is to be told. */
bool tree_tell(struct watch_tree *tree, const struct leat_fs_change *change);

/* watch_tree_read.c */
void tree_on_readable(struct leat_watch *watch, uint32_t events, void *arg);
void tree_on_move_over(struct leat_timer *timer, void *arg);

#endif
