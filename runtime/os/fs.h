/* Files, off the loop. One function for each operation; it returns a future:
 *
 *     leat_call(leat_fs_read_file(loop, "app.conf", 65536), got_config, app);    as a callback
 *     struct leat_result text = leat_await(leat_fs_read_file(loop, "app.conf", 65536));
 *     struct leat_buf text = leat_fs_read_file_sync("app.conf", 65536, &error);  before the loop
 *
 * What an operation settles with stands beside it. A failure is a negative errno, with a sentence
 * that names the file. Paths are copied. -EAGAIN: LEAT_POOL_JOBS_MAX operations of this core wait
 * (leat/pool.h). Two operations on one file have no order, unless the second is started when the
 * first has settled. An operation is one trip to a thread, whatever it does there; cached reads and
 * cached names are served on the loop, and settle in its next poll phase as well. A read of at most
 * 64 KiB that is not cached waits in the kernel, where that has io_uring, else on a thread.
 *
 * Cancelling rejects the future at once. An operation that is under way goes on to its end; a write
 * that was cancelled, or that failed, may have written a part.
 *
 * Every descriptor has O_CLOEXEC, O_NOCTTY and O_NONBLOCK: opening a FIFO waits for nobody. */
#ifndef LEAT_FS_H
#define LEAT_FS_H

#include <leat/buf.h>
#include <leat/defs.h>
#include <leat/error.h>
#include <leat/file.h>
#include <leat/future.h>
#include <leat/result.h>

LEAT_BEGIN

/* Reads of a core that wait for a disk in the kernel (io_uring), where it permits that; what is
 * more, and all else, waits on threads. */
#define LEAT_FS_INFLIGHT_MAX 256

/* ---- Opening ---- */

enum leat_open { /* 0: to read what is there */
                 LEAT_OPEN_WRITE = 1u << 0,
                 LEAT_OPEN_READ_WRITE = 1u << 1,
                 LEAT_OPEN_CREATE = 1u << 2, /* if it is not there */
                 LEAT_OPEN_NEW = 1u << 3,    /* creates it; -EEXIST if it is there. Implies WRITE */
                 LEAT_OPEN_EMPTY = 1u << 4,  /* cuts it to nothing. Implies WRITE */
                 LEAT_OPEN_APPEND = 1u << 5, /* every write goes to the end. Implies WRITE */
                 LEAT_OPEN_PRIVATE =
                     1u << 6, /* what is created has mode 0600, else 0666; less the umask */
                 LEAT_OPEN_DIRECTORY = 1u << 7, /* -ENOTDIR if it is none */
                 LEAT_OPEN_NO_LINK = 1u << 8,   /* -ELOOP if the last name is a symbolic link */
                 /* path is a folder: a new file in it that has no name, and is gone with its last
                  * reference unless leat_fs_link gives it one (O_TMPFILE; -EOPNOTSUPP where the
                  * file system has none). Implies WRITE */
                 LEAT_OPEN_UNNAMED = 1u << 9,
};

/* LEAT_KIND_FILE: a struct leat_file. -EINVAL: flags that are none. */
LEAT_API struct leat_future *leat_fs_open(struct leat_loop *loop, const char *path,
                                          unsigned flags) LEAT_MUST_CHECK;
/* The same, from dir and nowhere above it: a path or link that leads out of dir is -EXDEV
 * (openat2, RESOLVE_BENEATH). */
LEAT_API struct leat_future *leat_fs_open_beneath(struct leat_loop *loop, struct leat_file *dir,
                                                  const char *path, unsigned flags) LEAT_MUST_CHECK;
/* Nothing. Takes the reference. The descriptor is closed when the last one has gone, which is when
 * this settles, with what the close failed with. -EALREADY: it is being closed. */
LEAT_API struct leat_future *leat_fs_close(struct leat_file *file) LEAT_MUST_CHECK;

/* ---- Reading and writing ---- */

#define LEAT_FS_HERE UINT64_MAX /* as an offset: where the descriptor stands (pipes, terminals) */

/* LEAT_KIND_BUF: up to bytes_max bytes (LEAT_BUF_BYTES_MAX at most) from offset on; fewer only at
 * the end of the file or at LEAT_FS_HERE; none (data NULL) at the end. */
LEAT_API struct leat_future *leat_fs_read(struct leat_file *file, uint64_t offset_bytes,
                                          size_t bytes_max) LEAT_MUST_CHECK;
/* LEAT_KIND_NUMBER: how many bytes were written, which is all of buf. Takes the reference. */
LEAT_API struct leat_future *leat_fs_write(struct leat_file *file, uint64_t offset_bytes,
                                           struct leat_buf buf) LEAT_MUST_CHECK;
/* Nothing. The file becomes so long; what is added is zero. */
LEAT_API struct leat_future *leat_fs_truncate(struct leat_file *file,
                                              uint64_t length_bytes) LEAT_MUST_CHECK;
/* Nothing: what was written has reached the disk (fsync). */
LEAT_API struct leat_future *leat_fs_sync(struct leat_file *file) LEAT_MUST_CHECK;

/* ---- Looking ---- */

enum leat_entry_type {
    LEAT_ENTRY_UNKNOWN, /* the file system does not say: leat_fs_lstat does */
    LEAT_ENTRY_FILE,
    LEAT_ENTRY_DIRECTORY,
    LEAT_ENTRY_LINK,
    LEAT_ENTRY_FIFO,
    LEAT_ENTRY_SOCKET,
    LEAT_ENTRY_DEVICE,
};

struct leat_stat {
    enum leat_entry_type type;
    uint32_t mode; /* permissions: the low 12 bits */
    uint32_t uid, gid;
    uint64_t length_bytes, allocated_bytes;
    uint64_t device, inode, link_count;
    int64_t modified_ns, changed_ns, accessed_ns; /* since 1970, UTC */
};

struct leat_entry {
    const char *name;
    enum leat_entry_type type;
};

struct leat_entries {
    uint32_t count; /* 0: the end */
    struct leat_entry items[];
};

/* LEAT_KIND_STAT: a struct leat_stat; of the link itself (lstat), or of an open file. */
LEAT_API struct leat_future *leat_fs_stat(struct leat_loop *loop, const char *path) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_fs_lstat(struct leat_loop *loop,
                                           const char *path) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_fs_fstat(struct leat_file *file) LEAT_MUST_CHECK;
/* LEAT_KIND_ENTRIES: the next names of an open directory, some at a time, in no order, without "."
 * and ".."; a count of 0 is the end. */
LEAT_API struct leat_future *leat_fs_readdir(struct leat_file *dir) LEAT_MUST_CHECK;
/* LEAT_KIND_STRING. */
LEAT_API struct leat_future *leat_fs_readlink(struct leat_loop *loop,
                                              const char *path) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_fs_realpath(struct leat_loop *loop,
                                              const char *path) LEAT_MUST_CHECK;

/* ---- Names ---- all settle with nothing, unless said */

LEAT_API struct leat_future *leat_fs_mkdir(struct leat_loop *loop, const char *path,
                                           uint32_t mode) LEAT_MUST_CHECK;
/* mkdir -p: those above it too; a directory that is there is no failure. */
LEAT_API struct leat_future *leat_fs_mkdir_all(struct leat_loop *loop, const char *path,
                                               uint32_t mode) LEAT_MUST_CHECK;
/* LEAT_KIND_STRING: prefix and six random characters, a directory of mode 0700. */
LEAT_API struct leat_future *leat_fs_mkdtemp(struct leat_loop *loop,
                                             const char *prefix) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_fs_rename(struct leat_loop *loop, const char *from,
                                            const char *to) LEAT_MUST_CHECK;
/* Nothing. Gives an open file that was made with LEAT_OPEN_UNNAMED its name, whole as it stands;
 * -EEXIST if the name is taken: nothing is replaced. */
LEAT_API struct leat_future *leat_fs_link(struct leat_file *file, const char *path) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_fs_unlink(struct leat_loop *loop,
                                            const char *path) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_fs_rmdir(struct leat_loop *loop,
                                           const char *path) LEAT_MUST_CHECK;
/* rm -r: path and, if it is a directory, all beneath it. Links are removed, never followed, also
 * when somebody changes the tree meanwhile. It ends at the first failure. -EINVAL: the last name is
 * "." or "..", or path is the root. -EBUSY: a directory was moved away while it was emptied. */
LEAT_API struct leat_future *leat_fs_remove(struct leat_loop *loop,
                                            const char *path) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_fs_symlink(struct leat_loop *loop, const char *target,
                                             const char *path) LEAT_MUST_CHECK;
LEAT_API struct leat_future *leat_fs_chmod(struct leat_loop *loop, const char *path,
                                           uint32_t mode) LEAT_MUST_CHECK;

/* ---- Whole files ---- */

/* LEAT_KIND_BUF: the whole file, read to its end whatever length it says it has. bytes_max 0:
 * LEAT_BUF_BYTES_MAX. -EFBIG: it has more. */
LEAT_API struct leat_future *leat_fs_read_file(struct leat_loop *loop, const char *path,
                                               uint64_t bytes_max) LEAT_MUST_CHECK;
/* Nothing. Creates the file or overwrites it. Takes the reference on buf. */
LEAT_API struct leat_future *leat_fs_write_file(struct leat_loop *loop, const char *path,
                                                struct leat_buf buf) LEAT_MUST_CHECK;
/* Nothing. The same, at once and for good: whoever opens path, also after a loss of power, finds
 * what was there before or all of buf (a file beside it, write, fsync, rename, fsync of the
 * directory). The mode stays; a link is replaced by a file. Takes the reference on buf. */
LEAT_API struct leat_future *leat_fs_replace_file(struct leat_loop *loop, const char *path,
                                                  struct leat_buf buf) LEAT_MUST_CHECK;
enum leat_copy { LEAT_COPY_NEW = 1u << 0 /* -EEXIST if to is there */ };
/* LEAT_KIND_NUMBER: bytes. A file to a file, with its mode if to is made; where the file system can
 * it shares the blocks. A failure may leave a part of it, but with LEAT_COPY_NEW. */
LEAT_API struct leat_future *leat_fs_copy(struct leat_loop *loop, const char *from, const char *to,
                                          unsigned flags) LEAT_MUST_CHECK;

/* ---- Now, on the calling thread ----
 * For the time before the loop. On a loop that turns they work as well, hold up all else, and the
 * log says so. They return 0 or more, or -errno with a sentence; error may be NULL. buf stays the
 * caller's. */
LEAT_API struct leat_buf leat_fs_read_file_sync(const char *path, uint64_t bytes_max,
                                                struct leat_error *error) LEAT_MUST_CHECK;
LEAT_API int leat_fs_write_file_sync(const char *path, struct leat_buf buf,
                                     struct leat_error *error) LEAT_MUST_CHECK;
LEAT_API int leat_fs_replace_file_sync(const char *path, struct leat_buf buf,
                                       struct leat_error *error) LEAT_MUST_CHECK;
LEAT_API int leat_fs_mkdir_all_sync(const char *path, uint32_t mode,
                                    struct leat_error *error) LEAT_MUST_CHECK;
LEAT_API int leat_fs_remove_sync(const char *path, struct leat_error *error) LEAT_MUST_CHECK;
LEAT_API int leat_fs_copy_sync(const char *from, const char *to, unsigned flags,
                               struct leat_error *error) LEAT_MUST_CHECK;

/* ---- The values ---- */

static inline struct leat_file *leat_result_file(const struct leat_result *result)
{
    return (struct leat_file *)leat_result_pointer(result, LEAT_KIND_FILE);
}

static inline const struct leat_stat *leat_result_stat(const struct leat_result *result)
{
    return (const struct leat_stat *)leat_result_pointer(result, LEAT_KIND_STAT);
}

static inline const struct leat_entries *leat_result_entries(const struct leat_result *result)
{
    return (const struct leat_entries *)leat_result_pointer(result, LEAT_KIND_ENTRIES);
}

static inline const char *leat_result_string(const struct leat_result *result)
{
    return (const char *)leat_result_pointer(result, LEAT_KIND_STRING);
}

LEAT_END
#endif
