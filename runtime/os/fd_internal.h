/* Descriptors as streams, for the files fd*.c and stdio.c of this folder.
 *
 *  fd_way.c     the ways of moving bytes without waiting, and which of them a descriptor gets
 *  fd_write.c   writes that a thread makes
 *  fd_stream.c  the stream over them
 *  stdio.c      the three that a program is born with, and their end */
#ifndef LEAT_FD_INTERNAL_H
#define LEAT_FD_INTERNAL_H

#include <sys/types.h>
#include <sys/uio.h>

#include <leat/file.h>
#include <leat/io.h>
#include <leat/stdio.h>

#include "runtime/base/list.h" /* container_of */

#define FD_CHUNKS_MAX 16    /* in one write */
#define FD_READ_BYTES 65536 /* in one read */

/* How the bytes of a descriptor are moved. A row is one way; the calls return -errno, -EAGAIN when
 * they would wait, and are NULL where a thread makes them. */
struct fd_way {
    const char *name;
    ssize_t (*read)(int fd, void *to, size_t bytes);
    ssize_t (*write)(int fd, const struct iovec *iov, int count);
    bool is_watched;           /* it is asked whether it is ready */
    size_t write_bytes_max;    /* in one call, so that one that was called ready does not wait */
    const struct fd_way *next; /* when the kernel says -EOPNOTSUPP of a call */
};

extern const struct fd_way fd_way_socket; /* MSG_DONTWAIT */
extern const struct fd_way fd_way_own;    /* a non-blocking description that is ours alone */
extern const struct fd_way fd_way_nowait; /* RWF_NOWAIT */
extern const struct fd_way fd_way_thread; /* a thread, once it is ready */
extern const struct fd_way fd_way_file;   /* a thread: it is always ready */

/* The way for fd, and in *own the descriptor to use it on, which the caller closes; for one that is
 * not shared that is fd itself. 0, or -errno. */
int fd_way_choose(int fd, unsigned flags, const struct fd_way **way, int *own) LEAT_MUST_CHECK;
bool fd_is_socket(int fd);
bool fd_is_terminal(int fd); /* of either side */

struct fd_stream {
    struct leat_stream stream; /* first */
    const struct fd_way *way;
    struct leat_file *file; /* what is read and written; NULL: closed */
    const char *name;       /* static, of 0, 1 and 2; or NULL */
    struct leat_watch watch;
    int watched_fd;  /* what is asked whether it is ready: as it was inherited, or the file's */
    int fd;          /* its number, for sentences */
    unsigned flags;  /* enum leat_fd */
    bool wants_read; /* read was called, and nothing has come since */
    bool has_read;   /* it was called at all */
    bool is_paused;  /* what is read is read ahead: nobody waits for it */
    struct leat_future *reading, *writing; /* calls on threads; each with a reference */

    /* What is being written: references of our own. */
    struct leat_chunk chunks[FD_CHUNKS_MAX];
    unsigned chunk_first, chunk_count;
    size_t chunk_done_bytes; /* of the first */

    struct fd_stream *next, **prev; /* of the core's for 0, 1 and 2; prev NULL: it is none */
    uint64_t written_bytes;         /* in all */
    uint64_t current_bytes;         /* of those: of the write that is out */
    uint64_t goal_bytes;            /* stdio_drain's */
};

/* fd_stream.c: own is used by way, watched asked whether it is ready. Both are taken (they may be
 * one), unless it fails: NULL. */
struct fd_stream *fd_stream_new(struct leat_loop *loop, unsigned flags, const struct fd_way *way,
                                int own, int watched) LEAT_MUST_CHECK;

/* fd_write.c: settles with a number, which may be less than there is; takes references on the
 * chunks' bytes. */
struct leat_future *fd_write_start(struct fd_stream *f) LEAT_MUST_CHECK;
/* What is left of the chunks, at most bytes_max; returns how many iov there are. */
int fd_iov_fill(const struct fd_stream *f, struct iovec *iov, size_t bytes_max);

/* stdio.c */
void stdio_remove(struct fd_stream *f); /* of one that is none: no effect */

#endif
