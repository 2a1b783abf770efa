/* What inotify says of a tree, told with paths from its root; and what it means for the table. */
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "runtime/os/watch_tree.h"

#define READ_BYTES   16384
#define READS_A_TURN 4

static void dir_soil(struct watch_tree *tree, struct tree_dir *dir)
{
    dir->is_dirty = tree->is_dirty = true;
}

static void name_tell(struct watch_tree *tree, enum leat_fs_event event, const struct tree_dir *dir,
                      const char *name, bool is_directory)
{
    char path[PATH_MAX];
    const struct leat_fs_change change = {.event = event,
                                          .name = tree_path(dir, name, path),
                                          .is_directory = is_directory};
    const struct leat_fs_change overflow = {.event = LEAT_FS_OVERFLOW};
    (void)tree_tell(tree, change.name != NULL ? &change : &overflow);
}

/* The first half of a rename had no second one in the tree. */
static void move_tell(struct watch_tree *tree)
{
    struct tree_dir *dir = tree_dir_find(tree, tree->move_number);
    if (tree->move_cookie == 0)
        return;
    tree->move_cookie = 0;
    leat_timer_stop(&tree->move_timer);
    if (dir == NULL)
        return;
    struct tree_dir *moved =
        tree->move_is_directory ? tree_dir_child(tree, dir, tree->move_name) : NULL;
    if (moved != NULL)
        tree_dir_drop(tree, moved);
    name_tell(tree, LEAT_FS_REMOVED, dir, tree->move_name, tree->move_is_directory);
}

void tree_on_move_over(struct leat_timer *timer, void *arg)
{
    struct watch_tree *tree = arg;
    tree->refs_count++;
    move_tell(tree);
    tree_unref(tree);
}

static void move_keep(struct watch_tree *tree, const struct inotify_event *event)
{
    tree->move_cookie = event->cookie;
    tree->move_number = event->wd;
    tree->move_is_directory = (event->mask & IN_ISDIR) != 0;
    strncpy(tree->move_name, event->name, sizeof(tree->move_name) - 1);
}

static bool is_second_half(const struct watch_tree *tree, const struct inotify_event *event)
{
    return (event->mask & IN_MOVED_TO) != 0 && tree->move_cookie != 0 &&
           event->cookie == tree->move_cookie;
}

/* Anywhere in the tree: what is below goes with its directory. */
static void rename_tell(struct watch_tree *tree, struct tree_dir *dir,
                        const struct inotify_event *event)
{
    char from[PATH_MAX], path[PATH_MAX];
    struct tree_dir *before = tree_dir_find(tree, tree->move_number);
    bool is_directory = (event->mask & IN_ISDIR) != 0;
    tree->move_cookie = 0;
    leat_timer_stop(&tree->move_timer);
    if (before == NULL) {
        name_tell(tree, LEAT_FS_CREATED, dir, event->name, is_directory);
        return;
    }
    struct leat_fs_change change = {.event = LEAT_FS_RENAMED,
                                    .name = tree_path(dir, event->name, path),
                                    .from = tree_path(before, tree->move_name, from),
                                    .is_directory = is_directory};
    struct tree_dir *moved = is_directory ? tree_dir_child(tree, before, tree->move_name) : NULL;
    if (moved != NULL)
        (void)tree_dir_place(tree, dir, moved->number, event->name); /* makes none */
    if (change.name == NULL || change.from == NULL)
        change = (struct leat_fs_change){.event = LEAT_FS_OVERFLOW};
    (void)tree_tell(tree, &change);
}

static void overflow_tell(struct watch_tree *tree)
{
    static const struct leat_fs_change overflow = {.event = LEAT_FS_OVERFLOW};
    for (unsigned i = 0; i < WATCH_HASH; i++)
        for (struct tree_dir *dir = tree->dirs[i]; dir != NULL; dir = dir->next)
            dir_soil(tree, dir);
    tree->is_whole = true;
    (void)tree_tell(tree, &overflow);
}

static void dir_lost(struct watch_tree *tree, struct tree_dir *dir)
{
    if (dir == tree->root)
        tree_end(tree, NULL);
    else
        tree_dir_drop(tree, dir);
}

static void event_tell(struct watch_tree *tree, const struct inotify_event *event)
{
    bool is_directory = (event->mask & IN_ISDIR) != 0;
    if (!is_second_half(tree, event))
        move_tell(tree);
    if (tree->core == NULL)
        return;
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        overflow_tell(tree);
        return;
    }
    struct tree_dir *dir = tree_dir_find(tree, event->wd);
    if (dir == NULL)
        return; /* let go since */
    if ((event->mask & (IN_IGNORED | IN_UNMOUNT)) != 0 ||
        ((event->mask & IN_MOVE_SELF) != 0 && dir == tree->root)) {
        dir_lost(tree, dir);
        return;
    }
    if (event->len == 0)
        return; /* of the directory itself: the one above it says so */
    if (is_directory && (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0)
        dir_soil(tree, dir);
    enum leat_fs_event said;
    if ((event->mask & IN_MOVED_FROM) != 0)
        move_keep(tree, event);
    else if (is_second_half(tree, event))
        rename_tell(tree, dir, event);
    else if (watch_event_of(event->mask, &said))
        name_tell(tree, said, dir, event->name, is_directory);
}

static void events_read(struct watch_tree *tree)
{
    _Alignas(struct inotify_event) char bytes[READ_BYTES];
    for (unsigned i = 0; i < READS_A_TURN && tree->core != NULL; i++) {
        ssize_t length = read(tree->fd, bytes, sizeof(bytes));
        if (length <= 0)
            return; /* nothing more, or a signal: the loop comes again */
        for (ssize_t at = 0; at < length && tree->core != NULL;) {
            const struct inotify_event *event = (const void *)(bytes + at);
            at += (ssize_t)(sizeof(*event) + event->len);
            event_tell(tree, event);
        }
    }
}

void tree_on_readable(struct leat_watch *watch, uint32_t events, void *arg)
{
    struct watch_tree *tree = arg;
    tree->refs_count++;
    events_read(tree);
    if (tree->core != NULL && tree->is_dirty)
        tree_walk(tree);
    else if (tree->core != NULL && tree->move_cookie != 0)
        leat_timer_start(&tree->move_timer, WATCH_MOVE_NS, 0);
    tree_unref(tree);
}
