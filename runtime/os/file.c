/* An open file: one descriptor, counted, and closed where a close may block. */
#include <leat/file.h>

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/os/fs_internal.h"
#include "runtime/os/pool_internal.h"

struct leat_file {
    int fd;
    uint32_t ref_count;
    uint32_t core;         /* its index */
    struct fs_sys *sys;    /* whose descriptor fd is */
    struct fs_op *closing; /* leat_fs_close, which waits for the last reference; or NULL */
};

struct leat_file *file_new_on(int fd, struct fs_sys *sys)
{
    struct leat_file *file = leat_heap_alloc(sizeof(*file));
    if (file != NULL)
        *file = (struct leat_file){.fd = fd,
                                   .ref_count = 1,
                                   .core = leat_core_now != NULL ? leat_core_now->index : 0,
                                   .sys = sys};
    return file;
}

struct leat_file *leat_file_new(int fd)
{
    return file_new_on(fd, fs_sys_machine());
}

bool file_is_here(const struct leat_file *file)
{
    return leat_core_now != NULL && leat_core_now->index == file->core;
}

struct fs_sys *file_sys(const struct leat_file *file)
{
    return file->sys;
}

struct leat_file *leat_file_ref(struct leat_file *file)
{
    file->ref_count++;
    return file;
}

int leat_file_fd(const struct leat_file *file)
{
    return file->fd;
}

/* ---- closing ---- */

static void fs_close_run(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    op->value = fs_close_after(op->sys, &fs->fd, 0);
}

FS_CLASS(close, fs_result_nothing, NULL)

/* NULL: memory is out. */
static struct fs_op *close_new(struct leat_file *file, const void *site)
{
    struct op *op = op_new(leat_loop_current(), &fs_close_class, 0, site);
    if (op == NULL)
        return NULL;
    struct fs_op *fs = fs_op_of(op);
    op->sys = file->sys;
    op->is_in_line = true; /* there are no more of them than descriptors */
    fs->fd = -1;
    return fs;
}

/* The file's last. What is refused or cancelled is closed by the operation's drop. */
static struct leat_future *close_start(struct fs_op *fs, struct leat_file *file)
{
    fs->fd = file->fd;
    leat_heap_free(file);
    return op_start(&fs->op);
}

/* A core that has jobs on threads already gives them this one as well. */
static bool has_threads(void)
{
    const struct pool_core *core = leat_core_now != NULL ? leat_core_now->pool : NULL;
    return core != NULL && (core->pool != NULL || core->play != NULL) && !core->has_ended;
}

void leat_file_unref(struct leat_file *file)
{
    DCHECK(file->ref_count > 0);
    if (--file->ref_count > 0)
        return;
    if (file->closing != NULL) {
        (void)close_start(file->closing, file); /* the caller of leat_fs_close has its future */
        return;
    }
    struct fs_op *fs = has_threads() ? close_new(file, __builtin_return_address(0)) : NULL;
    if (fs == NULL) {
        (void)file->sys->close(file->sys, file->fd);
        leat_heap_free(file);
        return;
    }
    struct leat_future *future = close_start(fs, file);
    leat_future_ignore(future);
    leat_future_unref(future);
}

struct leat_future *leat_fs_close(struct leat_file *file)
{
    struct leat_loop *loop = leat_loop_current();
    const void *site = __builtin_return_address(0);
    if (!file_is_here(file))
        return op_failed(loop, -EXDEV, "the file belongs to another core", site);
    if (file->closing != NULL) {
        leat_file_unref(file);
        return op_failed(loop, -EALREADY, "the file is being closed", site);
    }
    struct fs_op *fs = close_new(file, site);
    if (fs == NULL) {
        leat_file_unref(file);
        return op_failed(loop, -ENOMEM, NULL, site);
    }
    if (file->ref_count == 1)
        return close_start(fs, file);
    file->ref_count--;
    file->closing = fs;
    return &fs->op.future;
}
