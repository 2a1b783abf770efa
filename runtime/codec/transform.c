/* Streams over coders: small pieces on the loop, large ones on the pool. */
#include "runtime/codec/transform.h"

#include "buffers/heap.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"

#include <errno.h>
#include <leat/loop.h>
#include <leat/pool.h>

enum { OUT_BYTES = 65536, OUT_BYTES_SMALL = 16384 };

/* What is true:
 *   is_writing  a write, or the final, has not been told done; only then there is input
 *   is_out      a job has the coder, io and out; nothing else touches them until it is back
 *   is_full     the reader has enough: nothing is made until it asks
 *   is_ended    a decoder's stream is complete: no byte may follow */
struct coder_stream {
    struct leat_stream stream;
    struct leat_coder *coder;
    struct leat_chunk *chunks; /* of this write, each with a reference of its own */
    unsigned count, at;
    size_t offset_bytes; /* of chunks[at], that were read */
    struct leat_chunk one;
    struct leat_buf out; /* out_used of it are written, and not pushed */
    size_t out_used;
    struct leat_coder_io io;
    enum leat_coder_step step;
    bool is_decoder, is_writing, is_final, is_out, is_full, is_ended, is_destroyed;
};

static struct coder_stream *coder_stream_of(struct leat_stream *stream)
{
    return container_of(stream, struct coder_stream, stream);
}

static void chunks_clear(struct coder_stream *self)
{
    for (unsigned i = self->at; i < self->count; i++)
        leat_chunk_drop(&self->chunks[i]);
    if (self->chunks != &self->one)
        leat_heap_free(self->chunks);
    self->chunks = NULL;
    self->count = self->at = 0;
    self->offset_bytes = 0;
}

static void write_done(struct coder_stream *self, struct leat_result result)
{
    chunks_clear(self);
    self->is_writing = false;
    leat_stream_wrote(&self->stream, result);
}

/* Gives what was made to the reader. A little of it is copied, so that a queue of small pieces does
 * not hold a large block each. False: no memory. */
static bool out_push(struct coder_stream *self)
{
    struct leat_buf made = self->out;
    if (self->out_used == 0)
        return true;
    if (self->out_used < made.length_bytes / 4)
        made = leat_buf_from_bytes(self->out.data, self->out_used);
    else if (leat_buf_resize(&made, self->out_used))
        self->out = (struct leat_buf){NULL, 0, NULL};
    if (made.data == NULL)
        return false;
    self->out_used = 0;
    struct leat_chunk chunk = leat_chunk_buf(made);
    self->is_full = leat_push(&self->stream, &chunk, 1) == 1;
    return true;
}

enum coder_next {
    CODER_NEXT_RUN,  /* io is set: there is something to do */
    CODER_NEXT_REST, /* the write is done, or the reader has enough */
};

/* The next piece: of the chunk that is read, or the end. */
static void input_set(struct coder_stream *self)
{
    self->io.mode = self->is_final ? LEAT_CODER_FINISH : LEAT_CODER_GO;
    self->io.in = NULL;
    self->io.in_bytes = 0;
    if (self->at == self->count)
        return;
    const struct leat_buf *buf = &self->chunks[self->at].buf;
    size_t left_bytes = buf->length_bytes - self->offset_bytes;
    self->io.in = buf->data + self->offset_bytes;
    self->io.in_bytes =
        left_bytes < LEAT_TRANSFORM_JOB_BYTES ? left_bytes : LEAT_TRANSFORM_JOB_BYTES;
}

static size_t inline_bytes(const struct coder_stream *self)
{
    return self->is_decoder ? LEAT_DECOMPRESS_INLINE_BYTES : LEAT_COMPRESS_INLINE_BYTES;
}

static bool room_set(struct coder_stream *self)
{
    if (self->out.data == NULL) {
        size_t bytes = self->io.in_bytes > inline_bytes(self) ? OUT_BYTES : OUT_BYTES_SMALL;
        self->out = leat_buf_alloc_unsafe(bytes);
        self->out_used = 0;
    }
    self->io.out = self->out.data + self->out_used;
    self->io.out_bytes = self->out.length_bytes - self->out_used;
    return self->out.data != NULL;
}

static enum coder_next coder_stop(struct coder_stream *self, struct leat_result result)
{
    write_done(self, result);
    return CODER_NEXT_REST;
}

static enum coder_next no_memory(struct coder_stream *self)
{
    return coder_stop(self, leat_failure(-ENOMEM, "no memory for what is %s",
                                         self->is_decoder ? "decompressed" : "compressed"));
}

/* All of this write is in the coder, or all of the stream. */
static enum coder_next input_end(struct coder_stream *self)
{
    bool is_told = self->is_decoder || self->is_final;
    if (is_told && !out_push(self))
        return no_memory(self);
    if (self->is_destroyed)
        return CODER_NEXT_REST;
    if (self->is_final)
        leat_push_end(&self->stream);
    else if (self->is_full)
        return CODER_NEXT_REST; /* read goes on: the writer waits, too */
    return coder_stop(self, leat_nothing());
}

/* What comes next? Sets io for it. */
static enum coder_next coder_next(struct coder_stream *self)
{
    if (self->is_destroyed) /* by who was given what was made */
        return CODER_NEXT_REST;
    while (self->at < self->count &&
           self->offset_bytes == self->chunks[self->at].buf.length_bytes) {
        leat_chunk_drop(&self->chunks[self->at++]);
        self->offset_bytes = 0;
    }
    bool has_input = self->at < self->count;
    if (self->is_ended && has_input)
        return coder_stop(self, leat_failure(-EBADMSG, "bytes follow the end of what was "
                                                       "compressed"));
    if (self->is_ended || (!has_input && !self->is_final && self->step != LEAT_CODER_OUT))
        return input_end(self);
    input_set(self);
    return room_set(self) ? CODER_NEXT_RUN : no_memory(self);
}

/* The coder has run: what it read and wrote, and what it says. */
static enum coder_next coder_ran(struct coder_stream *self, size_t in_before, size_t out_before)
{
    struct leat_error error;
    self->offset_bytes += in_before - self->io.in_bytes;
    self->out_used += out_before - self->io.out_bytes;
    if (self->step == LEAT_CODER_WRONG) {
        leat_coder_error(self->coder, &error);
        return coder_stop(self, leat_failure(error.code, "%s", error.sentence));
    }
    self->is_ended = self->step == LEAT_CODER_DONE;
    if (self->step == LEAT_CODER_OUT && !out_push(self))
        return no_memory(self);
    return self->is_full ? CODER_NEXT_REST : coder_next(self);
}

static struct leat_result coder_job(void *arg)
{
    struct coder_stream *self = arg;
    self->step = leat_coder_run(self->coder, &self->io);
    return leat_nothing();
}

static void coder_go_on(struct coder_stream *self, enum coder_next next);

/* in_before and out_before are what io had: it is the same piece and the same room again. */
static void coder_back(void *arg, const struct leat_result *result)
{
    struct coder_stream *self = arg;
    struct leat_stream *stream = &self->stream;
    struct leat_coder_io after = self->io;
    self->is_out = false;
    if (self->is_destroyed) {
        leat_stream_destroyed(stream, leat_nothing());
        leat_stream_unref(stream);
        return;
    }
    input_set(self);
    size_t in_before = self->io.in_bytes;
    self->io = after;
    if (result->code < 0) /* the pool was full: the job never ran */
        self->step = leat_coder_run(self->coder, &self->io);
    coder_go_on(self, coder_ran(self, in_before, self->out.length_bytes - self->out_used));
    leat_stream_unref(stream);
}

static void coder_go_on(struct coder_stream *self, enum coder_next next)
{
    while (next == CODER_NEXT_RUN) {
        if (self->io.in_bytes > inline_bytes(self)) {
            self->is_out = true;
            leat_stream_ref(&self->stream);
            leat_call(leat_pool_run(self->stream.loop, LEAT_LANE_CPU, coder_job, self), coder_back,
                      self);
            return;
        }
        size_t in_before = self->io.in_bytes, out_before = self->io.out_bytes;
        self->step = leat_coder_run(self->coder, &self->io);
        next = coder_ran(self, in_before, out_before);
    }
}

static void coder_read(struct leat_stream *stream, unsigned takes)
{
    struct coder_stream *self = coder_stream_of(stream);
    (void)takes;
    self->is_full = false;
    if (self->is_writing && !self->is_out)
        coder_go_on(self, coder_next(self));
}

static void coder_write(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count)
{
    struct coder_stream *self = coder_stream_of(stream);
    self->is_writing = true;
    self->chunks = count == 1 ? &self->one : leat_heap_calloc(count, sizeof(*chunks));
    int code = self->chunks == NULL ? -ENOMEM : 0;
    for (self->count = 0; self->count < count && code == 0; self->count += code == 0) {
        struct leat_chunk seen = chunks[self->count];
        code = leat_chunk_keep(&seen, &self->chunks[self->count]);
    }
    self->at = 0;
    self->offset_bytes = 0;
    if (code != 0)
        write_done(self, leat_failure(code, "no memory to keep what was written"));
    else if (!self->is_full)
        coder_go_on(self, coder_next(self));
}

static void coder_final(struct leat_stream *stream)
{
    struct coder_stream *self = coder_stream_of(stream);
    self->is_final = self->is_writing = true;
    self->count = self->at = 0;
    if (!self->is_full)
        coder_go_on(self, coder_next(self));
}

static void coder_destroy(struct leat_stream *stream)
{
    struct coder_stream *self = coder_stream_of(stream);
    self->is_destroyed = true;
    if (!self->is_out)
        leat_stream_destroyed(stream, leat_nothing());
}

static void coder_drop(struct leat_stream *stream)
{
    struct coder_stream *self = coder_stream_of(stream);
    chunks_clear(self);
    leat_buf_unref(self->out);
    leat_coder_free(self->coder);
}

#define CODER_CLASS(word)                                                                          \
    {                                                                                              \
        .name = word, .length_bytes = sizeof(struct coder_stream), .gives = LEAT_CHUNK_BYTES,      \
        .takes = LEAT_CHUNK_BYTES, .read = coder_read, .write = coder_write, .final = coder_final, \
        .destroy = coder_destroy, .drop = coder_drop                                               \
    }
static const struct leat_stream_class compress_class = CODER_CLASS("compressing stream");
static const struct leat_stream_class decompress_class = CODER_CLASS("decompressing stream");

static struct leat_stream *coder_stream_new(struct leat_loop *loop,
                                            const struct leat_stream_class *of,
                                            struct leat_coder *coder)
{
    struct leat_stream *stream = coder == NULL ? NULL : leat_stream_new(loop, of, NULL);
    if (stream == NULL) {
        leat_coder_free(coder);
        return NULL;
    }
    coder_stream_of(stream)->coder = coder;
    coder_stream_of(stream)->is_decoder = of == &decompress_class;
    return stream;
}

struct leat_stream *leat_compress_new(struct leat_loop *loop,
                                      const struct leat_coder_options *options)
{
    return coder_stream_new(loop, &compress_class,
                            leat_encoder_new(options, &leat_core_now->error));
}

struct leat_stream *leat_decompress_new(struct leat_loop *loop,
                                        const struct leat_coder_options *options)
{
    return coder_stream_new(loop, &decompress_class,
                            leat_decoder_new(options, &leat_core_now->error));
}
