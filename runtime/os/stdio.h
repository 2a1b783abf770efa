/* Standard input, output and error, and any other descriptor, as streams.
 *
 *     leat_call(leat_pipeline((struct leat_stream *[]){leat_stdin(loop), zip, leat_stdout(loop)},
 * 3), done, app);
 *
 * Whatever the descriptor is, the loop does not wait for it: a pipe, a terminal or a socket is
 * watched, a file or a device that cannot be watched is read and written on the pool's threads.
 *
 * Inherited descriptors. Who opened 0, 1 and 2 shares them with others (the shell, the other end of
 * a pipeline), and O_NONBLOCK would be theirs as well: no flag of them is ever changed. A pipe or a
 * terminal is opened once more for this stream alone; where that is refused each call asks not to
 * block (RWF_NOWAIT), and where the kernel cannot do that for the kind of descriptor a thread makes
 * the call once the descriptor is ready: there a second reader of the same pipe, who is faster, may
 * keep a thread of the pool waiting. What this stream was given is written in its order; two
 * streams, or two programs, on one pipe or terminal mix in between.
 *
 * The end. End of file is the stream's end; so is a terminal that has hung up, and a terminal's
 * other side that is gone. A pipe that nobody reads any more fails a write with -EPIPE: a stream
 * whose error nobody hears ends the program, as in Node. (SIGPIPE must be ignored, as it is in
 * leat_run.) Ending or destroying a stream of 0, 1 or 2 leaves the descriptor open. Reading keeps
 * the loop alive only while somebody wants what comes, writing while something is not written yet.
 * At its end leat_run goes on until what standard output and error were given is written, for what
 * is left of the drain's time, and says what was cut off.
 *
 * A stream belongs to its loop's core, as every stream. */
#ifndef LEAT_STDIO_H
#define LEAT_STDIO_H

#include <leat/defs.h>
#include <leat/stream.h>

LEAT_BEGIN

/* A new stream each time, the caller's. NULL: memory is out, there is no such descriptor (-EBADF:
 * it was closed at the start; leat_run opens /dev/null there), or they are too many (-EMFILE), with
 * a sentence in leat_loop_error. */
LEAT_API struct leat_stream *leat_stdin(struct leat_loop *loop) LEAT_MUST_CHECK;
LEAT_API struct leat_stream *leat_stdout(struct leat_loop *loop) LEAT_MUST_CHECK;
LEAT_API struct leat_stream *leat_stderr(struct leat_loop *loop) LEAT_MUST_CHECK;

enum leat_fd { /* sides, one of them at least */
               LEAT_FD_READ = 1u << 0,
               LEAT_FD_WRITE = 1u << 1,
               /* others have the description too: it is left as it is, and open */
               LEAT_FD_SHARED = 1u << 2,
};
/* Takes fd: it becomes non-blocking, and is closed with the stream, unless it is LEAT_FD_SHARED. A
 * socket's writable side ends with a shutdown. A file is read and written where its descriptor
 * stands. NULL as above, and -EINVAL for flags that are none: fd is then still the caller's. */
LEAT_API struct leat_stream *leat_fd_stream(struct leat_loop *loop, int fd,
                                            unsigned flags) LEAT_MUST_CHECK;

LEAT_END
#endif
