/* The twins without a loop: the same runs, on the caller's stack and now. On a loop that turns they
 * hold up all else, and the log says who did. */
#include <leat/log.h>

#include <errno.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/loop/part.h"
#include "runtime/os/fs_internal.h"
#include "runtime/os/pool_internal.h"

static struct fs_op fs_op_here(struct fs_args args)
{
    struct fs_op fs = {.args = args, .fd = -1};
    const struct pool_core *core = leat_core_now != NULL ? leat_core_now->pool : NULL;
    fs.op.sys = core != NULL ? core->sys : fs_sys_machine();
    return fs;
}

/* Counted, and said once a second. */
static void blocked_say(const struct fs_op *fs, const char *name, uint64_t began_ns)
{
    uint64_t now_ns = clock_monotonic();
    struct leat_core *core = leat_core_now;
    if (core == NULL || !loop_note_blocked(core->loop, now_ns - began_ns))
        return;
    if (core->pool != NULL && now_ns - core->pool->blocked_said_ns < LEAT_NS_PER_S)
        return;
    if (core->pool != NULL)
        core->pool->blocked_said_ns = now_ns;
    LEAT_LOG_WARN("%s_sync of \"%.200s\" held up the loop for %llu us: %s has a future instead",
                  name, fs->args.path, (unsigned long long)((now_ns - began_ns) / LEAT_NS_PER_US),
                  name);
}

static void fs_op_run(struct fs_op *fs, const char *name, void (*run)(struct op *op),
                      struct leat_error *error)
{
    uint64_t began_ns = clock_monotonic();
    run(&fs->op);
    blocked_say(fs, name, began_ns);
    if (fs->op.value < 0) {
        char sentence[LEAT_SENTENCE_BYTES_MAX];
        fs_sentence(fs, name, (int)fs->op.value, sentence, sizeof(sentence));
        leat_fail(error, (int)fs->op.value, "%s", sentence);
    }
}

static int fs_op_end(struct fs_op *fs)
{
    free(fs->memory);
    return fs->op.value < 0 ? (int)fs->op.value : 0;
}

struct leat_buf leat_fs_read_file_sync(const char *path, uint64_t bytes_max,
                                       struct leat_error *error)
{
    struct fs_op fs = fs_op_here((struct fs_args){.path = path, .number = bytes_max});
    struct leat_buf buf = {NULL, 0, NULL};
    if (leat_core_now == NULL) {
        leat_fail(error, -ENODEV, "read_file_sync needs a loop of this thread, for its buffer");
        return buf;
    }
    fs_op_run(&fs, "read_file", fs_read_file_run, error);
    if (fs.op.value == 0) {
        buf = leat_buf_from_static("", 0);
    } else if (fs.op.value > 0) {
        buf = leat_buf_wrap(fs.memory, (size_t)fs.op.value, free, fs.memory);
        if (buf.data != NULL)
            fs.memory = NULL;
        else
            leat_fail(error, -ENOMEM, "no buffer for \"%.200s\"", path);
    }
    (void)fs_op_end(&fs);
    return buf;
}

int leat_fs_write_file_sync(const char *path, struct leat_buf buf, struct leat_error *error)
{
    struct fs_op fs = fs_op_here((struct fs_args){.path = path, .buf = buf});
    fs_op_run(&fs, "write_file", fs_write_file_run, error);
    return fs_op_end(&fs);
}

int leat_fs_replace_file_sync(const char *path, struct leat_buf buf, struct leat_error *error)
{
    struct fs_op fs = fs_op_here((struct fs_args){.path = path, .buf = buf});
    fs_op_run(&fs, "replace_file", fs_replace_file_run, error);
    return fs_op_end(&fs);
}

int leat_fs_mkdir_all_sync(const char *path, uint32_t mode, struct leat_error *error)
{
    struct fs_op fs = fs_op_here((struct fs_args){.path = path, .number = mode});
    fs_op_run(&fs, "mkdir_all", fs_mkdir_all_run, error);
    return fs_op_end(&fs);
}

int leat_fs_remove_sync(const char *path, struct leat_error *error)
{
    struct fs_op fs = fs_op_here((struct fs_args){.path = path});
    fs_op_run(&fs, "remove", fs_remove_run, error);
    return fs_op_end(&fs);
}

int leat_fs_copy_sync(const char *from, const char *to, unsigned flags, struct leat_error *error)
{
    struct fs_op fs = fs_op_here((struct fs_args){.path = from, .other = to, .number = flags});
    fs_op_run(&fs, "copy", fs_copy_run, error);
    return fs_op_end(&fs);
}
