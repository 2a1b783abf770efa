/* The table of a watched tree: directories by their numbers, each with its place. */
#include "runtime/os/watch_tree.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "buffers/heap.h"

static struct tree_dir **dir_bucket(struct watch_tree *tree, int number)
{
    return &tree->dirs[(unsigned)number % WATCH_HASH];
}

struct tree_dir *tree_dir_find(struct watch_tree *tree, int number)
{
    struct tree_dir *dir = *dir_bucket(tree, number);
    while (dir != NULL && dir->number != number)
        dir = dir->next;
    return dir;
}

struct tree_dir *tree_dir_child(struct watch_tree *tree, const struct tree_dir *dir,
                                const char *name)
{
    for (unsigned i = 0; i < WATCH_HASH; i++)
        for (struct tree_dir *child = tree->dirs[i]; child != NULL; child = child->next)
            if (child->parent == dir && dir != NULL && strcmp(child->name, name) == 0)
                return child;
    return NULL;
}

static bool dir_is_in(const struct tree_dir *dir, const struct tree_dir *above)
{
    while (dir != NULL && dir != above)
        dir = dir->parent;
    return dir != NULL;
}

char *tree_path(const struct tree_dir *dir, const char *name, char to[PATH_MAX])
{
    size_t bytes = strlen(name), at = PATH_MAX - 1 - bytes;
    memcpy(to + at, name, bytes + 1);
    for (; dir->parent != NULL; dir = dir->parent) {
        bytes = strlen(dir->name);
        if (at < bytes + 1)
            return NULL;
        if (to[at] != '\0')
            to[--at] = '/';
        at -= bytes;
        memcpy(to + at, dir->name, bytes);
    }
    return to + at;
}

int tree_dir_place(struct watch_tree *tree, struct tree_dir *parent, int number, const char *name)
{
    struct tree_dir *dir = tree_dir_find(tree, number);
    if (dir != NULL && dir == tree->root)
        return 0;
    if (parent == NULL && tree->root != NULL) { /* let go: its own number, too, unless placed */
        if (dir == NULL)
            (void)inotify_rm_watch(tree->fd, number);
        return 0;
    }
    if (dir != NULL && dir_is_in(parent, dir)) { /* moved about meanwhile: events will tell */
        tree_dir_drop(tree, dir);
        return 0;
    }
    if (dir == NULL) {
        if (tree->core->watches_count >= LEAT_WATCHES_MAX)
            return -ENOSPC;
        dir = leat_heap_calloc(1, sizeof(*dir));
        if (dir == NULL)
            return -ENOMEM;
        dir->number = number;
        dir->next = *dir_bucket(tree, number);
        *dir_bucket(tree, number) = dir;
        tree->core->watches_count++;
    }
    dir->parent = parent;
    dir->seen = tree->walks_count;
    strncpy(dir->name, name, sizeof(dir->name) - 1);
    return 0;
}

static bool dir_is_doomed(const struct tree_dir *dir)
{
    while (dir != NULL && !dir->is_doomed)
        dir = dir->parent;
    return dir != NULL;
}

void tree_sweep(struct watch_tree *tree)
{
    for (unsigned i = 0; i < WATCH_HASH; i++)
        for (struct tree_dir *dir = tree->dirs[i]; dir != NULL; dir = dir->next)
            dir->is_doomed = dir_is_doomed(dir);
    for (unsigned i = 0; i < WATCH_HASH; i++) {
        for (struct tree_dir **at = &tree->dirs[i], *dir; (dir = *at) != NULL;) {
            if (!dir->is_doomed) {
                at = &dir->next;
                continue;
            }
            *at = dir->next;
            (void)inotify_rm_watch(tree->fd, dir->number);
            tree->core->watches_count--;
            leat_heap_free(dir);
        }
    }
}

void tree_dir_drop(struct watch_tree *tree, struct tree_dir *dir)
{
    dir->is_doomed = true;
    tree_sweep(tree);
}

/* The kernel's watches end with the descriptor, which a walk may still use. */
void tree_stop(struct watch_tree *tree)
{
    struct watch_core *core = tree->core;
    if (core == NULL)
        return;
    for (unsigned i = 0; i < WATCH_HASH; i++) {
        struct tree_dir *dir;
        while ((dir = tree->dirs[i]) != NULL) {
            tree->dirs[i] = dir->next;
            core->watches_count--;
            leat_heap_free(dir);
        }
    }
    tree->root = NULL;
    leat_timer_stop(&tree->move_timer);
    leat_watch_stop(&tree->readable);
    list_unlink(&tree->link);
    if (tree->watch != NULL) {
        watch_forget(tree->watch);
        tree->watch->core = NULL;
    }
    tree->core = NULL;
}

void tree_unref(struct watch_tree *tree)
{
    if (--tree->refs_count > 0)
        return;
    close(tree->fd);
    leat_heap_free(tree);
}
