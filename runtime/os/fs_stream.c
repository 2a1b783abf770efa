/* Files as streams: one operation at a time, each a future of leat/fs.h. */
#include <leat/fs_stream.h>

#include <errno.h>
#include <string.h>

#include "buffers/heap.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"
#include "runtime/os/fs_internal.h"
#include "runtime/os/op.h"

#define READ_BYTES 65536

struct file_stream {
    struct leat_stream stream; /* first */
    struct leat_file *file;    /* NULL: it is not open */
    char *path;
    struct leat_future *out; /* the operation that is under way; with a reference on the stream */
    struct leat_chunk chunk; /* what is being written */
    struct leat_buf writing; /* its bytes, while the file is being opened */
    uint64_t offset_bytes, left_bytes;
    unsigned flags, takes;
    enum leat_fs_sync sync;
};

static struct file_stream *file_of(struct leat_stream *stream)
{
    return container_of(stream, struct file_stream, stream);
}

/* A stream's class changes when what its file can do is known. */
static const struct leat_stream_class file_plain_class;          /* gives no ranges */
static const struct leat_stream_class file_writable_class;       /* ranges go in the kernel */
static const struct leat_stream_class file_through_memory_class; /* ranges go through memory */
static void file_read_on(struct file_stream *f);
static void file_write_on(struct file_stream *f);

/* ---- operations ---- */

/* Waits for future, which is taken; done must call file_heard first. */
static void file_wait(struct file_stream *f, struct leat_future *future, leat_done *done)
{
    (void)leat_stream_ref(&f->stream);
    f->out = future;
    leat_on_settled(future, done, f);
}

/* What a stream does with its file: one at a time, so it waits for a place in the pool. */
enum file_step { FILE_OPEN, FILE_READ, FILE_MEASURE, FILE_WRITE, FILE_COPY, FILE_SYNC };

static struct leat_future *copy_begin(const struct file_stream *f)
{
    const struct fs_args args = {.file = f->chunk.file,
                                 .offset = f->chunk.offset_bytes,
                                 .to = f->file,
                                 .to_offset = f->offset_bytes,
                                 .number = f->chunk.length_bytes};
    bool is_in_kernel = f->stream.of == &file_writable_class;
    return fs_copy_range(&args, is_in_kernel ? FS_COPY_IN_KERNEL : FS_COPY_THROUGH_MEMORY);
}

static struct leat_future *step_begin(struct file_stream *f, enum file_step step)
{
    struct leat_buf buf = f->writing;
    switch (step) {
    case FILE_OPEN:
        return leat_fs_open(f->stream.loop, f->path, f->flags);
    case FILE_READ:
        return leat_fs_read(f->file, f->offset_bytes,
                            f->left_bytes < READ_BYTES ? (size_t)f->left_bytes : READ_BYTES);
    case FILE_MEASURE:
        return leat_fs_fstat(f->file);
    case FILE_WRITE:
        f->writing = (struct leat_buf){0};
        return leat_fs_write(f->file, f->offset_bytes, buf);
    case FILE_COPY:
        return copy_begin(f);
    case FILE_SYNC:
        break;
    }
    return leat_fs_sync(f->file);
}

static void file_do(struct file_stream *f, enum file_step step, leat_done *done)
{
    op_line_begin(f->stream.loop);
    struct leat_future *future = step_begin(f, step);
    op_line_end(f->stream.loop);
    file_wait(f, future, done);
}

static struct leat_result failure_of(const struct leat_result *result)
{
    return result->code < 0 ? leat_failure(result->code, "%s", leat_result_sentence(result))
                            : leat_nothing();
}

static void file_closed(void *arg, const struct leat_result *result)
{
    struct file_stream *f = arg;
    struct leat_future *future = f->out;
    f->out = NULL;
    leat_stream_destroyed(&f->stream, failure_of(result));
    leat_future_unref(future);
    leat_stream_unref(&f->stream);
}

static void file_close(struct file_stream *f)
{
    struct leat_file *file = f->file;
    leat_chunk_drop(&f->chunk);
    leat_buf_unref(f->writing);
    f->writing = (struct leat_buf){0};
    f->file = NULL;
    if (file == NULL)
        leat_stream_destroyed(&f->stream, leat_nothing());
    else
        file_wait(f, leat_fs_close(file), file_closed);
}

/* The operation is over; false: the stream was destroyed meanwhile, or by this. */
static bool file_heard(struct file_stream *f, const struct leat_result *result)
{
    f->out = NULL;
    if (leat_stream_is_destroyed(&f->stream)) {
        file_close(f);
        return false;
    }
    return result->code >= 0;
}

/* Behind each done. */
static void file_done(struct file_stream *f, struct leat_future *future)
{
    leat_future_unref(future);
    leat_stream_unref(&f->stream);
}

static void file_destroy(struct leat_stream *stream)
{
    struct file_stream *f = file_of(stream);
    if (f->out != NULL)
        leat_future_cancel(f->out); /* its done closes the file */
    else
        file_close(f);
}

static void file_drop(struct leat_stream *stream)
{
    leat_heap_free(file_of(stream)->path);
}

static void file_take(struct file_stream *f, const struct leat_result *result)
{
    f->file = leat_file_ref(leat_result_pointer(result, LEAT_KIND_FILE));
}

/* ---- reading ---- */

static int range_keep(struct leat_lender *lender, struct leat_chunk *chunk)
{
    (void)leat_file_ref(chunk->file);
    chunk->flags = 0;
    return 0;
}

static void range_give(struct leat_lender *lender, struct leat_chunk *chunk)
{
    leat_file_unref(chunk->file);
}

/* It has no state: nobody writes to it. */
static const struct leat_lender range_lender = {range_keep, range_give};

static void file_piece(void *arg, const struct leat_result *result)
{
    struct file_stream *f = arg;
    struct leat_future *future = f->out;
    if (!file_heard(f, result)) {
        leat_stream_destroy(&f->stream, failure_of(result));
    } else if (result->kind != LEAT_KIND_BUF || leat_result_buf(result).length_bytes == 0) {
        leat_push_end(&f->stream);
    } else {
        struct leat_chunk chunk = leat_chunk_buf(leat_buf_ref(leat_result_buf(result)));
        f->offset_bytes += chunk.buf.length_bytes;
        f->left_bytes -= chunk.buf.length_bytes;
        (void)leat_push(&f->stream, &chunk, 1);
    }
    file_done(f, future);
}

/* A file that does not say how long it is, as those of /proc, is read. */
static void file_read_plainly(struct file_stream *f)
{
    f->stream.of = &file_plain_class;
    f->takes = LEAT_CHUNK_BYTES;
    file_read_on(f);
}

/* All of it at once: who takes ranges reads the file itself. */
static void file_push_range(struct file_stream *f, const struct leat_stat *stat)
{
    uint64_t behind =
        stat->length_bytes > f->offset_bytes ? stat->length_bytes - f->offset_bytes : 0;
    struct leat_chunk chunk = {.file = leat_file_ref(f->file),
                               .offset_bytes = f->offset_bytes,
                               .length_bytes = behind < f->left_bytes ? behind : f->left_bytes,
                               .lender = (struct leat_lender *)(uintptr_t)&range_lender,
                               .kind = LEAT_CHUNK_RANGE};
    (void)leat_push(&f->stream, &chunk, 1);
    leat_push_end(&f->stream);
}

static void file_measured(void *arg, const struct leat_result *result)
{
    struct file_stream *f = arg;
    struct leat_future *future = f->out;
    if (!file_heard(f, result)) {
        leat_stream_destroy(&f->stream, failure_of(result));
    } else {
        const struct leat_stat *stat = leat_result_pointer(result, LEAT_KIND_STAT);
        if (stat->type == LEAT_ENTRY_FILE && stat->length_bytes > 0)
            file_push_range(f, stat);
        else
            file_read_plainly(f);
    }
    file_done(f, future);
}

static void file_read_on(struct file_stream *f)
{
    if (f->left_bytes == 0)
        leat_push_end(&f->stream);
    else if ((f->takes & LEAT_CHUNK_RANGE) != 0)
        file_do(f, FILE_MEASURE, file_measured);
    else
        file_do(f, FILE_READ, file_piece);
}

static void file_opened_to_read(void *arg, const struct leat_result *result)
{
    struct file_stream *f = arg;
    struct leat_future *future = f->out;
    if (result->code >= 0)
        file_take(f, result);
    if (file_heard(f, result))
        file_read_on(f);
    else
        leat_stream_destroy(&f->stream, failure_of(result));
    file_done(f, future);
}

static void file_read(struct leat_stream *stream, unsigned takes)
{
    struct file_stream *f = file_of(stream);
    f->takes = takes & f->stream.of->gives;
    if (f->file == NULL)
        file_do(f, FILE_OPEN, file_opened_to_read);
    else
        file_read_on(f);
}

/* ---- writing ---- */

static void file_written(void *arg, const struct leat_result *result)
{
    struct file_stream *f = arg;
    struct leat_future *future = f->out;
    if (file_heard(f, result)) {
        f->offset_bytes += (uint64_t)leat_result_number(result);
        leat_chunk_drop(&f->chunk);
    }
    if (!leat_stream_is_destroyed(&f->stream))
        leat_stream_wrote(&f->stream, failure_of(result));
    file_done(f, future);
}

/* The kernel cannot copy between these two: from now on each byte goes through memory, and the
 * pipe's name says so. */
static void range_is_refused(struct file_stream *f)
{
    f->stream.of = &file_through_memory_class;
    file_write_on(f);
}

static void file_copied(void *arg, const struct leat_result *result)
{
    struct file_stream *f = arg;
    struct leat_future *future = f->out;
    bool is_in_kernel = f->stream.of == &file_writable_class;
    bool goes_on = file_heard(f, result);
    uint64_t copied = result->code >= 0 ? (uint64_t)leat_result_number(result) : 0;
    f->offset_bytes += copied;
    if (goes_on) {
        f->chunk.offset_bytes += copied;
        f->chunk.length_bytes -= copied;
    }
    if (leat_stream_is_destroyed(&f->stream)) {
        file_done(f, future);
        return;
    }
    if (is_in_kernel && (fs_copy_is_refused(result->code) || (goes_on && copied == 0))) {
        range_is_refused(f);
    } else if (goes_on && copied > 0 && f->chunk.length_bytes > 0) {
        file_write_on(f);
    } else {
        leat_chunk_drop(&f->chunk);
        leat_stream_wrote(&f->stream, failure_of(result));
    }
    file_done(f, future);
}

static void file_write_on(struct file_stream *f)
{
    if (f->chunk.kind == LEAT_CHUNK_RANGE)
        file_do(f, FILE_COPY, file_copied);
    else
        file_do(f, FILE_WRITE, file_written);
}

static void file_opened_to_write(void *arg, const struct leat_result *result)
{
    struct file_stream *f = arg;
    struct leat_future *future = f->out;
    if (result->code >= 0)
        file_take(f, result);
    if (file_heard(f, result))
        file_write_on(f);
    else if (!leat_stream_is_destroyed(&f->stream))
        leat_stream_wrote(&f->stream, failure_of(result));
    file_done(f, future);
}

/* Several chunks become one write: a trip to a thread costs more than the copy. */
static struct leat_buf chunks_join(const struct leat_chunk *chunks, unsigned count)
{
    size_t length_bytes = 0;
    for (unsigned i = 0; i < count; i++)
        length_bytes += chunks[i].buf.length_bytes;
    struct leat_buf joined = leat_buf_alloc_unsafe(length_bytes);
    uint8_t *to = joined.data;
    for (unsigned i = 0; i < count && joined.data != NULL; i++) {
        if (chunks[i].buf.length_bytes == 0) /* it may have no bytes to point to */
            continue;
        memcpy(to, chunks[i].buf.data, chunks[i].buf.length_bytes);
        to += chunks[i].buf.length_bytes;
    }
    return joined;
}

/* Lent bytes stay lent until they are written, so that a slow disk stops who sends them. */
static bool chunks_keep(struct file_stream *f, const struct leat_chunk *chunks, unsigned count)
{
    struct leat_chunk seen = chunks[0];
    if (seen.kind == LEAT_CHUNK_RANGE) /* it comes alone */
        return leat_chunk_keep(&seen, &f->chunk) == 0;
    if (count > 1)
        f->writing = chunks_join(chunks, count);
    else if (leat_chunk_keep(&seen, &f->chunk) == 0)
        f->writing = leat_buf_ref(f->chunk.buf);
    return f->writing.data != NULL;
}

static void file_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct file_stream *f = file_of(stream);
    if (count == 1 && leat_chunk_length(&chunks[0]) == 0)
        leat_stream_wrote(stream, leat_nothing());
    else if (!chunks_keep(f, chunks, count))
        leat_stream_wrote(stream,
                          leat_failure(-ENOMEM, "memory is out: %s is not written on", f->path));
    else if (f->file == NULL)
        file_do(f, FILE_OPEN, file_opened_to_write);
    else
        file_write_on(f);
}

static void file_synced(void *arg, const struct leat_result *result)
{
    struct file_stream *f = arg;
    struct leat_future *future = f->out;
    (void)file_heard(f, result);
    if (!leat_stream_is_destroyed(&f->stream))
        leat_stream_wrote(&f->stream, failure_of(result));
    file_done(f, future);
}

static void file_finish(struct file_stream *f)
{
    if (f->sync == LEAT_FS_SYNC)
        file_do(f, FILE_SYNC, file_synced);
    else
        leat_stream_wrote(&f->stream, leat_nothing());
}

static void file_opened_empty(void *arg, const struct leat_result *result)
{
    struct file_stream *f = arg;
    struct leat_future *future = f->out;
    if (result->code >= 0)
        file_take(f, result);
    if (file_heard(f, result))
        file_finish(f);
    else if (!leat_stream_is_destroyed(&f->stream))
        leat_stream_wrote(&f->stream, failure_of(result));
    file_done(f, future);
}

/* A file that nothing was written to is made all the same. */
static void file_final(struct leat_stream *stream)
{
    struct file_stream *f = file_of(stream);
    if (f->file == NULL)
        file_do(f, FILE_OPEN, file_opened_empty);
    else
        file_finish(f);
}

/* ---- made ---- */

#define READABLE_CLASS(gives_)                                                                     \
    {                                                                                              \
        .name = "file", .length_bytes = sizeof(struct file_stream), .gives = gives_,               \
        .read = file_read, .destroy = file_destroy, .drop = file_drop,                             \
    }
static const struct leat_stream_class file_readable_class =
    READABLE_CLASS(LEAT_CHUNK_BYTES | LEAT_CHUNK_RANGE);
static const struct leat_stream_class file_plain_class = READABLE_CLASS(LEAT_CHUNK_BYTES);

#define WRITABLE_CLASS(engine_)                                                                    \
    {                                                                                              \
        .name = "file", .length_bytes = sizeof(struct file_stream),                                \
        .takes = LEAT_CHUNK_BYTES | LEAT_CHUNK_RANGE, .engine = engine_, .write = file_write,      \
        .final = file_final, .destroy = file_destroy, .drop = file_drop,                           \
    }
static const struct leat_stream_class file_writable_class = WRITABLE_CLASS("copy_file_range");
static const struct leat_stream_class file_through_memory_class = WRITABLE_CLASS("read_write");

static struct file_stream *file_stream_new(struct leat_loop *loop,
                                           const struct leat_stream_class *of, const char *path)
{
    size_t path_bytes = strlen(path) + 1;
    char *own = leat_heap_alloc(path_bytes);
    struct leat_stream *stream = own != NULL ? leat_stream_new(loop, of, NULL) : NULL;
    if (stream == NULL) {
        leat_heap_free(own);
        (void)leat_fail(&leat_core_now->error, -ENOMEM, "memory is out: no stream of %s", path);
        return NULL;
    }
    memcpy(own, path, path_bytes);
    file_of(stream)->path = own;
    return file_of(stream);
}

struct leat_stream *leat_fs_readable(struct leat_loop *loop, const char *path,
                                     uint64_t offset_bytes, uint64_t length_bytes)
{
    struct file_stream *f = file_stream_new(loop, &file_readable_class, path);
    if (f == NULL)
        return NULL;
    f->offset_bytes = offset_bytes;
    f->left_bytes = length_bytes;
    return &f->stream;
}

struct leat_stream *leat_fs_writable(struct leat_loop *loop, const char *path, unsigned flags,
                                     enum leat_fs_sync sync)
{
    bool appends = (flags & LEAT_OPEN_APPEND) != 0; /* no kernel copies to what is appended to */
    struct file_stream *f =
        file_stream_new(loop, appends ? &file_through_memory_class : &file_writable_class, path);
    if (f == NULL)
        return NULL;
    f->flags = flags | LEAT_OPEN_WRITE;
    f->sync = sync;
    return &f->stream;
}
