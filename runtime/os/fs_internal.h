/* Operations on files, for the files of this folder: what all of them are made of.
 *
 * An operation is one row, FS_OP, beside its one function, fs_NAME_run, which makes system calls
 * and leaves op->value; what it makes on the way it leaves in struct fs_op, whose drop gives back
 * what the result did not take: so a failure, a cancellation and a refusal need no care. */
#ifndef LEAT_FS_INTERNAL_H
#define LEAT_FS_INTERNAL_H

#include <leat/fs.h>

#include "runtime/os/fs_sys.h"
#include "runtime/os/op.h"

#define FS_CACHED_BYTES_MAX (64u << 10) /* read on the loop */
#define FS_PIECE_BYTES      (64u << 10) /* of what is copied through memory */

struct fs_args {
    const char *path, *other; /* copied behind the struct */
    struct leat_file *file;   /* with a reference */
    struct leat_buf buf;      /* with a reference */
    uint64_t number, offset;
    struct leat_file *to; /* with a reference */
    uint64_t to_offset;
};

struct fs_op {
    struct op op; /* first */
    struct fs_args args;
    int fd;       /* an open one, or -1 */
    void *memory; /* by sys->memory, or NULL */
    uint64_t done_bytes;
};

/* Takes args->buf. */
struct leat_future *fs_start(struct leat_loop *loop, const struct op_class *of,
                             const struct fs_args *args, const void *site);
void fs_drop(struct leat_future *future);

/* What an operation settles with. */
struct leat_result fs_result_nothing(struct op *op);
struct leat_result fs_result_number(struct op *op);
struct leat_result fs_result_buf(struct op *op);    /* args.buf, op->value bytes of it */
struct leat_result fs_result_string(struct op *op); /* memory */
struct leat_result fs_result_stat(struct op *op);   /* memory */
struct leat_result fs_result_file(struct op *op);   /* fd */
struct leat_result fs_failure(struct op *op);
/* "open "app.conf": No such file or directory (ENOENT)". */
void fs_sentence(const struct fs_op *fs, const char *name, int code, char *to, size_t to_bytes);

static inline struct fs_op *fs_op_of(struct op *op)
{
    return container_of(op, struct fs_op, op);
}

#define FS_CLASS(name_, result_, try_)                                                             \
    static const struct op_class fs_##name_##_class = {.future = {.name = #name_,                  \
                                                                  .length_bytes =                  \
                                                                      sizeof(struct fs_op),        \
                                                                  .cancel = op_cancel,             \
                                                                  .drop = fs_drop},                \
                                                       .lane = LEAT_LANE_FS,                       \
                                                       .run = fs_##name_##_run,                    \
                                                       .try = try_,                                \
                                                       .result = result_};
/* Declares leat_fs_NAME: its class, and the function that copies its arguments and starts it. */
#define FS_OP(name_, result_, try_, loop_, parameters, ...)                                        \
    FS_CLASS(name_, result_, try_)                                                                 \
    struct leat_future *leat_fs_##name_ parameters                                                 \
    {                                                                                              \
        const struct fs_args args = {__VA_ARGS__};                                                 \
        return fs_start(loop_, &fs_##name_##_class, &args, __builtin_return_address(0));           \
    }

/* What several operations do. */
int64_t fs_write_all(struct fs_sys *sys, int fd, const struct leat_buf *buf, uint64_t offset);
/* Closes *fd, if it is open; returns code, or if that is no failure what close failed with. */
int64_t fs_close_after(struct fs_sys *sys, int *fd, int64_t code);
/* Replaces the "XXXXXX" at the end of path. */
int64_t fs_random_name(struct fs_sys *sys, char *path);
enum leat_entry_type fs_type_of_mode(uint32_t mode);
/* Settles with how many of number bytes from offset of file went to to_offset of to: some, or none,
 * which at the end of file is no failure. In the kernel -errno may mean that it cannot between
 * these two. */
enum fs_copy_how { FS_COPY_IN_KERNEL, FS_COPY_THROUGH_MEMORY };
struct leat_future *fs_copy_range(const struct fs_args *args, enum fs_copy_how how) LEAT_MUST_CHECK;
bool fs_copy_is_refused(int64_t code); /* by the kernel, for good */
/* The core's files: leat_file_unref, and what fs_result_file makes. */
struct leat_file *file_new_on(int fd, struct fs_sys *sys);
bool file_is_here(const struct leat_file *file);

/* The runs that have a twin without a loop. */
void fs_read_file_run(struct op *op);
void fs_write_file_run(struct op *op);
void fs_replace_file_run(struct op *op);
void fs_mkdir_all_run(struct op *op);
void fs_remove_run(struct op *op);
void fs_copy_run(struct op *op);

#endif
