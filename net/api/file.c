/* An open file that several connections send: one descriptor, counted. */
#include <leat/conn.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"

#include <unistd.h>

struct leat_file {
    int fd;
    uint32_t ref_count;
};

struct leat_file *leat_file_new(int fd)
{
    struct leat_file *file = leat_heap_alloc(sizeof(*file));
    if (file != NULL)
        *file = (struct leat_file){.fd = fd, .ref_count = 1};
    return file;
}

struct leat_file *leat_file_ref(struct leat_file *file)
{
    file->ref_count++;
    return file;
}

void leat_file_unref(struct leat_file *file)
{
    DCHECK(file->ref_count > 0);
    if (--file->ref_count == 0) {
        close(file->fd);
        leat_heap_free(file);
    }
}

int leat_file_fd(const struct leat_file *file)
{
    return file->fd;
}
