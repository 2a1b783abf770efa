/* Operations on files: started, ended, and what their failures say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/os/fs_internal.h"

static size_t string_bytes(const char *string)
{
    return string != NULL ? strlen(string) + 1 : 0;
}

static char *string_put(char **at, const char *string)
{
    if (string == NULL)
        return NULL;
    char *copy = *at;
    *at = stpcpy(copy, string) + 1;
    return copy;
}

static struct leat_future *start_refuse(struct leat_loop *loop, const struct fs_args *args,
                                        int code, const char *sentence, const void *site)
{
    leat_buf_unref(args->buf);
    return op_failed(loop, code, sentence, site);
}

struct leat_future *fs_start(struct leat_loop *loop, const struct op_class *of,
                             const struct fs_args *args, const void *site)
{
    if ((args->file != NULL && !file_is_here(args->file)) ||
        (args->to != NULL && !file_is_here(args->to)))
        return start_refuse(loop, args, -EXDEV, "the file belongs to another core", site);
    size_t path_bytes = string_bytes(args->path), other_bytes = string_bytes(args->other);
    struct op *op = op_new(loop, of, path_bytes + other_bytes, site);
    if (op == NULL)
        return start_refuse(loop, args, -ENOMEM, NULL, site);
    struct fs_op *fs = fs_op_of(op);
    char *at = (char *)(fs + 1);
    fs->args = *args;
    fs->args.path = string_put(&at, args->path);
    fs->args.other = string_put(&at, args->other);
    fs->fd = -1;
    if (args->file != NULL) {
        (void)leat_file_ref(args->file);
        op->sys = file_sys(args->file);
    }
    if (args->to != NULL)
        (void)leat_file_ref(args->to);
    return op_start(op);
}

void fs_drop(struct leat_future *future)
{
    struct fs_op *fs = fs_op_of(container_of(future, struct op, future));
    leat_buf_unref(fs->args.buf);
    if (fs->args.file != NULL)
        leat_file_unref(fs->args.file);
    if (fs->args.to != NULL)
        leat_file_unref(fs->args.to);
    (void)fs_close_after(fs->op.sys, &fs->fd, 0);
    free(fs->memory);
}

/* ---- results ---- */

static const char *remedy_of(int code)
{
    switch (code) {
    case -EMFILE:
        return "; raise the limit on open files (ulimit -n)";
    case -ENOSPC:
        return "; make room on the disk";
    default:
        return "";
    }
}

void fs_sentence(const struct fs_op *fs, const char *name, int code, char *to, size_t to_bytes)
{
    const struct fs_args *args = &fs->args;
    const char *text = strerrordesc_np(-code);
    char on[200];
    if (args->other != NULL)
        snprintf(on, sizeof(on), "\"%.90s\" to \"%.90s\"", args->path, args->other);
    else if (args->path != NULL)
        snprintf(on, sizeof(on), "\"%.190s\"", args->path);
    else
        snprintf(on, sizeof(on), "descriptor %d",
                 args->file != NULL ? leat_file_fd(args->file) : fs->fd);
    snprintf(to, to_bytes, "%s %s: %s (%s)%s", name, on, text != NULL ? text : "failed",
             leat_errno_name(code), remedy_of(code));
}

struct leat_result fs_failure(struct op *op)
{
    char sentence[LEAT_SENTENCE_BYTES_MAX];
    fs_sentence(fs_op_of(op), op->future.of->name, (int)op->value, sentence, sizeof(sentence));
    return leat_failure((int)op->value, "%s", sentence);
}

struct leat_result fs_result_nothing(struct op *op)
{
    return op->value < 0 ? fs_failure(op) : leat_nothing();
}

struct leat_result fs_result_number(struct op *op)
{
    return op->value < 0 ? fs_failure(op) : leat_number(op->value);
}

/* What was read is no longer than what there was room for. */
struct leat_result fs_result_buf(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    if (op->value < 0)
        return fs_failure(op);
    if (op->value == 0)
        return leat_bytes((struct leat_buf){NULL, 0, NULL});
    struct leat_buf buf = fs->args.buf;
    fs->args.buf = (struct leat_buf){NULL, 0, NULL};
    buf.length_bytes = (size_t)op->value;
    return leat_bytes(buf);
}

static struct leat_result result_of_memory(struct op *op, unsigned kind)
{
    struct fs_op *fs = fs_op_of(op);
    if (op->value < 0)
        return fs_failure(op);
    void *memory = fs->memory;
    fs->memory = NULL;
    return leat_pointer(memory, kind, free);
}

struct leat_result fs_result_string(struct op *op)
{
    return result_of_memory(op, LEAT_KIND_STRING);
}

struct leat_result fs_result_stat(struct op *op)
{
    return result_of_memory(op, LEAT_KIND_STAT);
}

static void file_drop(void *file)
{
    leat_file_unref(file);
}

struct leat_result fs_result_file(struct op *op)
{
    struct fs_op *fs = fs_op_of(op);
    if (op->value < 0)
        return fs_failure(op);
    struct leat_file *file = file_new_on(fs->fd, op->sys);
    if (file == NULL) {
        op->value = -ENOMEM;
        return fs_failure(op);
    }
    fs->fd = -1;
    return leat_pointer(file, LEAT_KIND_FILE, file_drop);
}

/* ---- what several operations do ---- */

int64_t fs_write_all(struct fs_sys *sys, int fd, const struct leat_buf *buf, uint64_t offset)
{
    size_t done = 0;
    while (done < buf->length_bytes) {
        int64_t at = offset == LEAT_FS_HERE ? FS_HERE : (int64_t)(offset + done);
        int64_t n = sys->write(sys, fd, buf->data + done, buf->length_bytes - done, at);
        if (n <= 0)
            return n < 0 ? n : -EIO;
        done += (size_t)n;
    }
    return (int64_t)done;
}

int64_t fs_close_after(struct fs_sys *sys, int *fd, int64_t code)
{
    if (*fd < 0)
        return code;
    int64_t closed = sys->close(sys, *fd);
    *fd = -1;
    return code < 0 || closed == 0 ? code : closed;
}

int64_t fs_random_name(struct fs_sys *sys, char *path)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t random[6];
    int64_t result = sys->random(sys, random, sizeof(random));
    char *at = path + strlen(path) - sizeof(random);
    for (unsigned i = 0; i < sizeof(random); i++)
        at[i] = letters[random[i] % (sizeof(letters) - 1)];
    return result < 0 ? result : 0;
}
