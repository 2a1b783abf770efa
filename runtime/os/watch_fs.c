/* Watches on names: added on a thread, for the look at a path may block; told, and let go. */
#include "runtime/os/watch_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "runtime/os/fs_sys.h"

/* ---- directories ---- */

static struct watch_dir **dir_bucket(struct watch_core *core, int number)
{
    return &core->dirs[(unsigned)number % WATCH_HASH];
}

struct watch_dir *watch_dir_find(struct watch_core *core, int number)
{
    struct watch_dir *dir = *dir_bucket(core, number);
    while (dir != NULL && dir->number != number)
        dir = dir->next;
    return dir;
}

static struct watch_dir *dir_of(struct watch_core *core, int number)
{
    struct watch_dir *dir = watch_dir_find(core, number);
    if (dir != NULL)
        return dir;
    dir = leat_heap_alloc(sizeof(*dir));
    if (dir == NULL)
        return NULL;
    *dir = (struct watch_dir){.next = *dir_bucket(core, number), .number = number};
    list_init(&dir->watches);
    return *dir_bucket(core, number) = dir;
}

static void dir_free(struct watch_core *core, struct watch_dir *dir)
{
    struct watch_dir **at = dir_bucket(core, dir->number);
    while (*at != dir)
        at = &(*at)->next;
    *at = dir->next;
    leat_heap_free(dir);
}

/* Lets go of directories that nobody watches (W2). */
static void dirs_sweep(struct watch_core *core)
{
    if (core->adds_count > 0 || core->telling_count > 0)
        return;
    for (unsigned i = 0; i < WATCH_HASH; i++) {
        for (struct watch_dir *dir = core->dirs[i], *next; dir != NULL; dir = next) {
            next = dir->next;
            if (!list_is_empty(&dir->watches))
                continue;
            (void)inotify_rm_watch(core->fd, dir->number);
            dir_free(core, dir);
        }
    }
}

/* ---- a core's watches ---- */

int watch_inotify_new(struct leat_error *error)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0)
        return fd;
    return leat_fail(error, -errno,
                     "cannot watch names (%s): raise fs.inotify.max_user_instances or the limit on "
                     "open files (ulimit -n)",
                     leat_errno_name(errno));
}

static struct watch_core *watch_core_new(struct pool_core *pool)
{
    struct watch_core *core = leat_heap_calloc(1, sizeof(*core));
    if (core == NULL) {
        leat_fail(&pool->error, -ENOMEM, "no memory for watches");
        return NULL;
    }
    core->pool = pool;
    list_init(&core->trees);
    core->fd = watch_inotify_new(&pool->error);
    if (core->fd < 0) {
        leat_heap_free(core);
        return NULL;
    }
    leat_watch_init(&core->readable, pool->loop, core->fd, watch_on_readable, core);
    leat_timer_init(&core->move_timer, pool->loop, watch_on_move_over, core);
    leat_timer_unref(&core->move_timer);
    leat_watch_unref(&core->readable); /* watches keep the loop alive, each for itself */
    if (leat_watch_start(&core->readable, EPOLLIN) != 0) {
        pool->error = *leat_loop_error(pool->loop);
        close(core->fd);
        leat_heap_free(core);
        return NULL;
    }
    return pool->watches = core;
}

void watch_forget(struct leat_fs_watch *watch)
{
    if (watch->is_ref)
        leat_loop_unref(watch->core->pool->loop);
    watch->is_ref = false;
}

void watch_core_fini(struct watch_core *core)
{
    if (core == NULL)
        return;
    for (unsigned i = 0; i < WATCH_HASH; i++) {
        struct watch_dir *dir;
        while ((dir = core->dirs[i]) != NULL) {
            struct list *link;
            while ((link = list_pull(&dir->watches)) != NULL) {
                struct leat_fs_watch *watch = container_of(link, struct leat_fs_watch, link);
                watch_forget(watch);
                watch->core = NULL;
            }
            dir_free(core, dir);
        }
    }
    while (!list_is_empty(&core->trees))
        tree_stop(container_of(core->trees.next, struct watch_tree, link));
    leat_timer_stop(&core->move_timer);
    leat_watch_stop(&core->readable);
    close(core->fd);
    core->pool->watches = NULL;
    leat_heap_free(core);
}

/* ---- telling ---- */

static bool is_about(const struct leat_fs_watch *watch, const struct leat_fs_change *change)
{
    if (watch->is_freed)
        return false;
    if (watch->name == NULL || change->name == NULL)
        return true;
    return strcmp(watch->name, change->name) == 0 ||
           (change->from != NULL && strcmp(watch->name, change->from) == 0);
}

static void freed_sweep(struct watch_core *core)
{
    struct leat_fs_watch *watch;
    if (core->telling_count > 0)
        return;
    while ((watch = core->freed) != NULL) {
        core->freed = watch->next;
        list_unlink(&watch->link);
        leat_heap_free(watch);
    }
    dirs_sweep(core);
}

static void dir_tell(struct watch_core *core, struct watch_dir *dir,
                     const struct leat_fs_change *change)
{
    for (struct list *link = dir->watches.next; link != &dir->watches; link = link->next) {
        struct leat_fs_watch *watch = container_of(link, struct leat_fs_watch, link);
        if (!is_about(watch, change))
            continue;
        watch->fn(watch, change, watch->arg);
        leat_loop_gate(core->pool->loop);
    }
}

void watch_tell(struct watch_core *core, struct watch_dir *dir, const struct leat_fs_change *change)
{
    core->telling_count++;
    dir_tell(core, dir, change);
    core->telling_count--;
    freed_sweep(core);
}

void watch_tell_all(struct watch_core *core, const struct leat_fs_change *change)
{
    core->telling_count++;
    for (unsigned i = 0; i < WATCH_HASH; i++)
        for (struct watch_dir *dir = core->dirs[i]; dir != NULL; dir = dir->next)
            dir_tell(core, dir, change);
    core->telling_count--;
    freed_sweep(core);
}

/* Its watches stay, and hear no more. */
void watch_dir_gone(struct watch_core *core, struct watch_dir *dir)
{
    static const struct leat_fs_change gone = {.event = LEAT_FS_GONE};
    core->telling_count++;
    dir_tell(core, dir, &gone);
    core->telling_count--;
    struct list *link;
    while ((link = list_pull(&dir->watches)) != NULL) {
        struct leat_fs_watch *watch = container_of(link, struct leat_fs_watch, link);
        if (watch->is_freed)
            continue; /* it is swept below */
        watch_forget(watch);
        core->watches_count--;
        watch->core = NULL;
    }
    (void)inotify_rm_watch(core->fd, dir->number);
    dir_free(core, dir);
    freed_sweep(core);
}

/* ---- adding ---- */

struct watch_add {
    struct op op; /* first */
    struct leat_fs_watch *watch;
    struct watch_core *core;
    int fd, number;
};

/* A directory is watched as such; of all else, its name in the directory above it. */
static void watch_run(struct op *op)
{
    struct watch_add *add = container_of(op, struct watch_add, op);
    struct leat_fs_watch *watch = add->watch;
    struct stat s;
    char *slash = strrchr(watch->path, '/');
    const char *dir = watch->path;
    if (op->sys->stat(op->sys, AT_FDCWD, watch->path, 0, &s) < 0 || !S_ISDIR(s.st_mode)) {
        watch->name = slash != NULL ? slash + 1 : watch->path;
        if (slash != NULL)
            *slash = '\0';
        dir = slash == NULL ? "." : slash == watch->path ? "/" : watch->path;
    }
    add->number = inotify_add_watch(add->fd, dir, WATCH_EVENTS);
    op->value = add->number >= 0 ? 0 : -errno;
}

static struct leat_result watch_failure(const struct watch_add *add, int code)
{
    const char *remedy = code == -ENOSPC ? ": raise fs.inotify.max_user_watches" : "";
    return leat_failure(code, "watch \"%.200s\": %s (%s)%s", add->watch->path,
                        strerrordesc_np(-code), leat_errno_name(code), remedy);
}

void watch_drop(void *watch)
{
    leat_fs_watch_free(watch);
}

static struct leat_result watch_result(struct op *op)
{
    struct watch_add *add = container_of(op, struct watch_add, op);
    struct leat_fs_watch *watch = add->watch;
    if (op->value < 0)
        return watch_failure(add, (int)op->value);
    struct watch_dir *dir = op->core->watches != NULL ? dir_of(add->core, add->number) : NULL;
    if (dir == NULL)
        return watch_failure(add, -ENOMEM);
    add->watch = NULL;
    watch->core = add->core;
    watch->is_ref = true;
    leat_loop_ref(op->core->loop);
    list_push(&dir->watches, &watch->link);
    add->core->watches_count++;
    return leat_pointer(watch, LEAT_KIND_WATCH, watch_drop);
}

static void watch_add_drop(struct leat_future *future)
{
    struct watch_add *add = container_of(future, struct watch_add, op.future);
    const struct pool_core *pool = leat_core_now->pool;
    leat_heap_free(add->watch);
    if (pool == NULL || pool->watches == NULL)
        return; /* the loop ends */
    add->core->adds_count--;
    freed_sweep(add->core);
}

static const struct op_class watch_class = {.future = {.name = "watch",
                                                       .length_bytes = sizeof(struct watch_add),
                                                       .cancel = op_cancel,
                                                       .drop = watch_add_drop},
                                            .lane = LEAT_LANE_FS,
                                            .run = watch_run,
                                            .result = watch_result};

/* NULL with a sentence in pool->error. */
static struct watch_core *watch_core_of(struct pool_core *pool)
{
    struct watch_core *core = pool->watches;
    if (pool->play != NULL) {
        leat_fail(&pool->error, -ENOTSUP, "a simulated world has no watches on names");
        return NULL;
    }
    if (core == NULL)
        return watch_core_new(pool);
    if (core->watches_count + core->adds_count >= LEAT_WATCHES_MAX) {
        leat_fail(&pool->error, -ENOSPC, "this core has %d watches, which is all it may have",
                  LEAT_WATCHES_MAX);
        return NULL;
    }
    return core;
}

static struct leat_fs_watch *watch_new(const char *path, leat_fs_watch_fn *fn, void *arg)
{
    size_t path_bytes = strlen(path) + 1;
    struct leat_fs_watch *watch = leat_heap_calloc(1, sizeof(*watch) + path_bytes);
    if (watch == NULL)
        return NULL;
    memcpy(watch->path, path, path_bytes);
    list_init(&watch->link);
    watch->fn = fn;
    watch->arg = arg;
    return watch;
}

struct leat_future *leat_fs_watch(struct leat_loop *loop, const char *path, unsigned flags,
                                  leat_fs_watch_fn *fn, void *arg)
{
    const void *site = __builtin_return_address(0);
    struct pool_core *pool = pool_core_of(loop);
    struct watch_core *core = pool != NULL ? watch_core_of(pool) : NULL;
    if (core == NULL)
        return op_failed(loop, pool != NULL ? pool->error.code : -ENOMEM,
                         pool != NULL ? pool->error.sentence : NULL, site);
    struct leat_fs_watch *watch = watch_new(path, fn, arg);
    if (watch == NULL)
        return op_failed(loop, -ENOMEM, NULL, site);
    if ((flags & LEAT_FS_TREE) != 0)
        return tree_start(core, watch, site);
    struct op *op = op_new(loop, &watch_class, 0, site);
    if (op == NULL) {
        leat_heap_free(watch);
        return op_failed(loop, -ENOMEM, NULL, site);
    }
    struct watch_add *add = container_of(op, struct watch_add, op);
    add->watch = watch;
    add->core = core;
    add->fd = core->fd;
    core->adds_count++;
    return op_start(op);
}

/* ---- letting go ---- */

void leat_fs_watch_unref(struct leat_fs_watch *watch)
{
    if (watch->core != NULL)
        watch_forget(watch);
}

void leat_fs_watch_free(struct leat_fs_watch *watch)
{
    struct watch_core *core = watch->core;
    if (watch->tree != NULL) {
        tree_free(watch->tree);
        leat_heap_free(watch);
        return;
    }
    if (core == NULL) { /* its directory has gone, or its loop has ended */
        leat_heap_free(watch);
        return;
    }
    DCHECK(!watch->is_freed);
    watch_forget(watch);
    core->watches_count--;
    watch->is_freed = true;
    watch->next = core->freed;
    core->freed = watch;
    freed_sweep(core);
}
