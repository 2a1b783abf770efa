/* The life of a watched tree: walked, told of, walked again, let go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "runtime/os/watch_tree.h"

bool tree_tell(struct watch_tree *tree, const struct leat_fs_change *change)
{
    if (tree->core == NULL || tree->watch == NULL)
        return false;
    struct leat_loop *loop = tree->core->pool->loop;
    tree->watch->fn(tree->watch, change, tree->watch->arg);
    leat_loop_gate(loop);
    return tree->core != NULL;
}

void tree_end(struct watch_tree *tree, const struct leat_error *error)
{
    const struct leat_fs_change gone = {.event = LEAT_FS_GONE, .error = error};
    tree->refs_count++;
    (void)tree_tell(tree, &gone);
    tree_stop(tree);
    tree_unref(tree);
}

void tree_free(struct watch_tree *tree)
{
    tree_stop(tree);
    tree->watch = NULL;
    tree_unref(tree);
}

/* ---- walks ---- */

static struct leat_error walk_error(const struct watch_walk *walk, int code)
{
    struct leat_error error;
    const char *remedy = code != -ENOSPC ? ""
                         : walk->is_full ? ": this core has all the watches that it may have"
                                         : ": raise fs.inotify.max_user_watches";
    leat_fail(&error, code, "watch the tree \"%.100s\": %s (%s)%s",
              walk->is_first ? walk->watch->path : walk->tree->path, strerrordesc_np(-code),
              leat_errno_name(-code), remedy);
    return error;
}

static const struct walk_record *record_at(const struct watch_walk *walk, size_t at)
{
    return (const void *)((const char *)walk->records + at);
}

static int record_merge(struct watch_tree *tree, const struct walk_record *record)
{
    const char *slash = strrchr(record->path, '/');
    if (!record->is_directory || record->number < 0)
        return 0;
    struct tree_dir *dir = tree_dir_find(tree, record->number);
    if (record->is_asked && dir != NULL) {
        dir->is_dirty = false;
        dir->seen = tree->walks_count;
        return 0;
    }
    int result = tree_dir_place(tree, tree_dir_find(tree, record->parent), record->number,
                                slash != NULL ? slash + 1 : record->path);
    if (tree->root == NULL)
        tree->root = tree_dir_find(tree, record->number);
    return result;
}

/* After events were lost: those that no name leads to any more. */
static void unseen_drop(struct watch_tree *tree)
{
    for (unsigned i = 0; i < WATCH_HASH; i++)
        for (struct tree_dir *dir = tree->dirs[i]; dir != NULL; dir = dir->next)
            dir->is_doomed = dir != tree->root && dir->seen != tree->walks_count;
    tree_sweep(tree);
}

static int walk_merge(struct watch_tree *tree, struct watch_walk *walk)
{
    int result = 0;
    tree->walks_count++;
    for (size_t at = 0; at < walk->used_bytes && result == 0; at += record_at(walk, at)->bytes)
        result = record_merge(tree, record_at(walk, at));
    tree->number_max = walk->number_max;
    walk->is_full = result == -ENOSPC;
    if (result == 0 && walk->is_whole)
        unseen_drop(tree);
    return result;
}

static void found_tell(struct watch_tree *tree, const struct watch_walk *walk)
{
    static const struct leat_fs_change overflow = {.event = LEAT_FS_OVERFLOW};
    for (size_t at = 0; at < walk->used_bytes; at += record_at(walk, at)->bytes) {
        const struct walk_record *record = record_at(walk, at);
        const struct leat_fs_change change = {.event = LEAT_FS_CREATED,
                                              .name = record->path,
                                              .is_directory = record->is_directory};
        if (record->is_told && !tree_tell(tree, &change))
            return;
    }
    if (walk->names_are_lost)
        (void)tree_tell(tree, &overflow);
}

/* T1 is over. A directory that was not where it was looked for stays dirty, and is looked for again
 * behind the events that say where it is. */
static int tree_resume(struct watch_tree *tree)
{
    tree->is_walking = false;
    if (tree->move_cookie != 0)
        leat_timer_start(&tree->move_timer, WATCH_MOVE_NS, 0);
    return leat_watch_start(&tree->readable, EPOLLIN);
}

static struct leat_result walk_result(struct op *op)
{
    struct watch_walk *walk = container_of(op, struct watch_walk, op);
    struct watch_tree *tree = walk->tree;
    int code = (int)op->value;
    if (tree->core == NULL)
        return leat_failure(-ECANCELED, NULL);
    if (code == 0)
        code = walk_merge(tree, walk);
    if (code == 0)
        code = tree_resume(tree);
    struct leat_error error;
    if (code < 0)
        error = walk_error(walk, code);
    if (!walk->is_first) {
        if (code < 0)
            tree_end(tree, &error);
        else
            found_tell(tree, walk);
        return leat_nothing();
    }
    if (code < 0)
        return leat_failure(code, "%s", error.sentence);
    struct leat_fs_watch *watch = walk->watch;
    walk->watch = NULL;
    watch->core = tree->core;
    watch->is_ref = true;
    leat_loop_ref(op->core->loop);
    return leat_pointer(watch, LEAT_KIND_WATCH, watch_drop);
}

static void walk_drop(struct leat_future *future)
{
    struct watch_walk *walk = container_of(future, struct watch_walk, op.future);
    if (walk->watch != NULL)
        leat_fs_watch_free(walk->watch);
    free(walk->records);
    tree_unref(walk->tree);
}

static const struct op_class walk_class = {.future = {.name = "watch a tree",
                                                      .length_bytes = sizeof(struct watch_walk),
                                                      .cancel = op_cancel,
                                                      .drop = walk_drop},
                                           .lane = LEAT_LANE_FS,
                                           .run = watch_walk_run,
                                           .result = walk_result};

/* NULL when memory is out. */
static struct watch_walk *walk_new(struct watch_tree *tree, const void *site)
{
    struct watch_core *core = tree->core;
    struct op *op = op_new(core->pool->loop, &walk_class, 0, site);
    if (op == NULL)
        return NULL;
    struct watch_walk *walk = container_of(op, struct watch_walk, op);
    uint32_t used = core->watches_count + core->adds_count;
    walk->tree = tree;
    tree->refs_count++;
    walk->number_max = tree->number_max;
    walk->room = used < LEAT_WATCHES_MAX ? LEAT_WATCHES_MAX - used : 0;
    return walk;
}

static bool walk_ask(struct watch_walk *walk, const char *path, int number)
{
    struct walk_record *record = watch_walk_push(walk, "", path);
    if (record == NULL)
        return false;
    record->is_asked = record->is_directory = true;
    record->number = number;
    return true;
}

/* 0, or the code of a walk that did not begin. */
static int dirty_walk(struct watch_tree *tree)
{
    char path[PATH_MAX];
    struct leat_loop *loop = tree->core->pool->loop;
    op_line_begin(loop); /* one at a time */
    struct watch_walk *walk = walk_new(tree, __builtin_return_address(0));
    op_line_end(loop);
    if (walk == NULL)
        return -ENOMEM;
    int code = 0;
    for (unsigned i = 0; i < WATCH_HASH; i++) {
        for (struct tree_dir *dir = tree->dirs[i]; dir != NULL; dir = dir->next) {
            const char *below = dir->is_dirty ? tree_path(dir, "", path) : NULL;
            if (below != NULL && !walk_ask(walk, below, dir->number))
                code = -ENOMEM;
        }
    }
    walk->is_whole = tree->is_whole;
    struct leat_future *future = code < 0 ? op_refuse(&walk->op, code, NULL) : op_start(&walk->op);
    const struct leat_result *refused = leat_future_result(future);
    code = refused != NULL ? refused->code : 0;
    leat_future_ignore(future);
    leat_future_unref(future);
    return code;
}

void tree_walk(struct watch_tree *tree)
{
    struct leat_error error;
    leat_watch_stop(&tree->readable);
    leat_timer_stop(&tree->move_timer);
    tree->is_walking = true;
    int code = dirty_walk(tree);
    tree->is_dirty = tree->is_whole = false;
    if (code == 0)
        return;
    leat_fail(&error, code, "watch the tree \"%.100s\": %s (%s)", tree->path,
              strerrordesc_np(-code), leat_errno_name(-code));
    tree_end(tree, &error);
}

/* ---- the start ---- */

/* Takes nothing; NULL with a sentence in pool->error. */
static struct watch_tree *tree_new(struct watch_core *core, struct leat_fs_watch *watch)
{
    struct pool_core *pool = core->pool;
    struct watch_tree *tree = leat_heap_calloc(1, sizeof(*tree));
    if (tree == NULL) {
        leat_fail(&pool->error, -ENOMEM, "no memory for a tree's watch");
        return NULL;
    }
    tree->fd = watch_inotify_new(&pool->error);
    if (tree->fd < 0) {
        leat_heap_free(tree);
        return NULL;
    }
    tree->core = core;
    tree->watch = watch;
    watch->tree = tree;
    tree->refs_count = 1; /* the watch's */
    leat_watch_init(&tree->readable, pool->loop, tree->fd, tree_on_readable, tree);
    leat_watch_unref(&tree->readable);
    leat_timer_init(&tree->move_timer, pool->loop, tree_on_move_over, tree);
    leat_timer_unref(&tree->move_timer);
    list_push(&core->trees, &tree->link);
    return tree;
}

/* Takes watch. */
struct leat_future *tree_start(struct watch_core *core, struct leat_fs_watch *watch,
                               const void *site)
{
    struct leat_loop *loop = core->pool->loop;
    struct watch_tree *tree = tree_new(core, watch);
    struct watch_walk *walk = tree != NULL ? walk_new(tree, site) : NULL;
    if (walk == NULL) {
        int code = tree == NULL ? core->pool->error.code : -ENOMEM;
        leat_fs_watch_free(watch);
        return op_failed(loop, code, tree == NULL ? core->pool->error.sentence : NULL, site);
    }
    walk->is_first = tree->is_walking = true;
    walk->watch = watch;
    if (!walk_ask(walk, "", 0))
        return op_refuse(&walk->op, -ENOMEM, NULL);
    return op_start(&walk->op);
}
