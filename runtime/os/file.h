/* Open files: one descriptor, counted. Operations (leat/fs.h), connections that send the file and
 * the program each hold a reference, so that a number is never closed, and given to another file,
 * under a read. A file belongs to the core that made it: operations on another one are rejected
 * with -EXDEV. */
#ifndef LEAT_FILE_H
#define LEAT_FILE_H

#include <leat/defs.h>

LEAT_BEGIN

struct leat_file;

LEAT_API struct leat_file *leat_file_new(
    int fd); /* takes fd; NULL when memory is out: fd stays the caller's */
LEAT_API struct leat_file *leat_file_ref(struct leat_file *file);
/* The last one closes the descriptor: on a thread, if this core has operations at all, for a close
 * may block. What it fails with is lost: leat_fs_close reports it. */
LEAT_API void leat_file_unref(struct leat_file *file);
LEAT_API int leat_file_fd(const struct leat_file *file);

LEAT_END
#endif
