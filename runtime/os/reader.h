/* Reads files off the loop: a thread that takes jobs in order, one at a time, and gives them back
 * to the loop that asked. For a transport that must not wait for a disk. Internal: not installed.
 *
 * One reader per loop; every function is for the loop's core. A job and the memory it reads into
 * are the caller's, who leaves them alone from reader_submit to done. How many jobs wait is the
 * caller's bound. A read that hangs (a file system that is gone) hangs reader_free. */
#ifndef LEAT_READER_H
#define LEAT_READER_H

#include <leat/defs.h>
#include <leat/error.h>
#include <leat/loop.h>

struct reader;

struct reader_job {
    struct reader_job *next; /* the reader's */
    int fd;
    uint64_t offset_bytes;
    void *to;
    size_t length_bytes;
    int64_t result; /* bytes read, fewer than asked for at the end of the file; or -errno */
    void (*done)(struct reader_job *job); /* on the loop, out of reader_collect or reader_free */
};

enum reader_kind {
    READER_THREAD,
    READER_INLINE, /* reads in reader_submit, for simulators: the same order in every run */
};

/* on_done is posted to the loop when jobs may be collected; it calls reader_collect if the reader
 * still exists. NULL with error filled. */
struct reader *reader_new(struct leat_loop *loop, enum reader_kind kind, leat_callback *on_done,
                          struct leat_error *error);
void reader_submit(struct reader *reader, struct reader_job *job);
void reader_collect(struct reader *reader);
/* Waits for the read that is under way; calls done for every job, with -ECANCELED for those that
 * had not begun. */
void reader_free(struct reader *reader);

#endif
