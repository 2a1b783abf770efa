/* Files as streams.
 *
 *     leat_call(leat_pipeline((struct leat_stream *[]){leat_fs_readable(loop, "a", 0, LEAT_TO_END),
 *                                                      zip, leat_fs_writable(loop, "b",
 *                                                                LEAT_OPEN_NEW, LEAT_FS_SYNC)}, 3),
 *               done, app);
 *
 * A file is opened when it is first read or written, and closed before close is told; an error of
 * any of these is the stream's, with a sentence that names the file. One operation is out at a
 * time: what is written keeps its order. finish means that all was written, with LEAT_FS_SYNC that
 * it has reached the disk. A stream that is destroyed leaves what was written so far.
 *
 * From file to file the kernel copies, and shares blocks where the file system can: the pipe's
 * engine (leat_pipe_engine_name) is "copy_file_range". Where it cannot (another file system, a file
 * that is appended to, ranges of one file that overlap) a thread reads and writes, which is
 * "read_write" from then on. How much is copied is what the source has when it is first read; a
 * file that does not say how long it is, as those of /proc, goes by "chunks". A file that is piped
 * into itself and was emptied to be written is -EINVAL. */
#ifndef LEAT_FS_STREAM_H
#define LEAT_FS_STREAM_H

#include <leat/fs.h>
#include <leat/stream.h>

LEAT_BEGIN

#define LEAT_TO_END UINT64_MAX

/* [offset, offset + length) of a file, in pieces of at most 64 KiB, to its end if that comes
 * before. Piped into a connection or a response it goes as one range ("send_file"), as into another
 * file: it is then not read here. NULL: memory is out, with a sentence in leat_loop_error. */
LEAT_API struct leat_stream *leat_fs_readable(struct leat_loop *loop, const char *path,
                                              uint64_t offset_bytes,
                                              uint64_t length_bytes) LEAT_MUST_CHECK;

enum leat_fs_sync { LEAT_FS_NO_SYNC, LEAT_FS_SYNC };
/* flags: enum leat_open, LEAT_OPEN_WRITE is implied. NULL as above. */
LEAT_API struct leat_stream *leat_fs_writable(struct leat_loop *loop, const char *path,
                                              unsigned flags,
                                              enum leat_fs_sync sync) LEAT_MUST_CHECK;

LEAT_END
#endif
