/* Streams: what comes piece by piece, and is stopped when it comes too fast. Node's Readable,
 * Writable, Duplex and Transform, as one struct.
 *
 *     leat_stream_on(body, LEAT_STREAM_DATA, count_bytes, app);
 *     leat_call(leat_pipeline((struct leat_stream *[]){body, zip, file}, 3), stored, app);
 *
 * A stream has a side that gives chunks, a side that takes them, or both. A chunk is bytes, a range
 * of a file or an object; the class of a stream says which kinds its sides know.
 *
 * The three results of a write, here as everywhere in Leat:
 *     0    accepted: go on
 *     1    accepted, and full: wait for LEAT_STREAM_DRAIN, or for leat_writable_ready
 *     < 0  refused, and nothing was taken: -EAGAIN past LEAT_STREAM_OVER_BYTES, -EPIPE after the
 *          end, -ECANCELED after it was destroyed, -ENOMEM
 *
 * Marks. A side is full when its length has reached its mark. Over a connection the transport's own
 * queue is the stream's, with its marks: a drain comes at its low mark, elsewhere at length 0.
 *
 * Order. What Node does: data .. end close; write .. final finish destroy close; a write that fails
 * has its done called, then those behind it, then comes destroy, error, close, and after close
 * nothing. Events that a call causes come after it, but on the path of data: leat_push to a stream
 * that flows, leat_read, and leat_write, which calls the implementer's write.
 *
 * Ownership. A stream is born with the maker's reference, and keeps one of its own until its close
 * was told: it may be left to itself. It must end: a side that nobody reads to its end, or ends,
 * has to be destroyed. What still stands when the loop ends is named on the log.
 *
 * An error that neither a listener, nor leat_finished, leat_pipeline or a future of these hears
 * ends the program, as in Node.
 *
 * Cores. A stream belongs to the core that made it, and everything here is for that core alone. */
#ifndef LEAT_STREAM_H
#define LEAT_STREAM_H

#include <leat/emitter.h>
#include <leat/future.h>

LEAT_BEGIN

#define LEAT_STREAM_MARK_BYTES   65536
#define LEAT_STREAM_MARK_OBJECTS 16
#define LEAT_STREAM_OVER_BYTES   1048576 /* past the mark; then writes are refused */
#define LEAT_STREAM_OVER_OBJECTS 256

struct leat_chunk;
struct leat_file;
struct leat_stream;

/* ---- Chunks ---- */

enum leat_chunk_kind {
    LEAT_CHUNK_NONE = 0, /* was moved away */
    LEAT_CHUNK_BYTES = 1,
    LEAT_CHUNK_RANGE = 2, /* of a file: only where both ends of a pipe know it */
    LEAT_CHUNK_OBJECT = 4,
};

/* Who counts what is kept of bytes that are its own (a connection: against its window), or who
 * keeps a file open. keep makes a borrowed chunk the caller's: 0 or -ENOMEM; give takes that back.
 */
struct leat_lender {
    int (*keep)(struct leat_lender *lender, struct leat_chunk *chunk);
    void (*give)(struct leat_lender *lender, struct leat_chunk *chunk);
};

enum {
    LEAT_CHUNK_BORROWED = 1, /* valid until the function that was given it returns */
    LEAT_CHUNK_MOVABLE = 2,  /* Leat's own: whoever keeps it is the only one */
};

struct leat_chunk {
    union {
        struct leat_buf buf;
        struct {
            struct leat_file *file;
            uint64_t offset_bytes, length_bytes;
        };
        struct {
            void *object;
            leat_drop *drop; /* may be NULL */
        };
    };
    struct leat_lender *lender; /* NULL: the chunk has a reference of its own */
    uint32_t kind;              /* enum leat_chunk_kind */
    uint32_t flags;
};

/* Takes the reference on buf. */
static inline struct leat_chunk leat_chunk_buf(struct leat_buf buf)
{
    struct leat_chunk chunk;
    memset(&chunk, 0, sizeof(chunk));
    chunk.buf = buf;
    chunk.kind = LEAT_CHUNK_BYTES;
    return chunk;
}

static inline struct leat_chunk leat_chunk_object(void *object, leat_drop *drop)
{
    struct leat_chunk chunk;
    memset(&chunk, 0, sizeof(chunk));
    chunk.object = object;
    chunk.drop = drop;
    chunk.kind = LEAT_CHUNK_OBJECT;
    return chunk;
}

/* Bytes, or 1 for an object. */
static inline uint64_t leat_chunk_length(const struct leat_chunk *chunk)
{
    if (chunk->kind == LEAT_CHUNK_BYTES)
        return chunk->buf.length_bytes;
    return chunk->kind == LEAT_CHUNK_RANGE ? chunk->length_bytes : chunk->kind != LEAT_CHUNK_NONE;
}

/* A chunk of the caller's own of what it was only shown, valid until leat_chunk_drop. Bytes of a
 * connection count against its window until then (leat_conn_hold). -EINVAL for an object with a
 * drop that others see as well. 0 or -errno. */
LEAT_API int leat_chunk_keep(struct leat_chunk *chunk, struct leat_chunk *own) LEAT_MUST_CHECK;
LEAT_API void leat_chunk_drop(struct leat_chunk *chunk); /* borrowed, or moved away: no effect */

/* ---- Classes: what implements a stream ---- */

/* None of these functions may await (leat/task.h): a task that calls one, by a write, is stopped
 * with a sentence. What waits starts a task of its own. */
struct leat_stream_class {
    const char *name;    /* in reports: "file" */
    size_t length_bytes; /* of the author's struct, which begins with struct leat_stream */
    uint8_t gives;       /* enum leat_chunk_kind, or'ed; 0: there is no readable side */
    uint8_t takes;       /* 0: there is no writable side */
    uint16_t chunks_max; /* that one call of write gets; 0: all that there are */
    bool is_transform;   /* write pushes what it makes of the chunks; final pushes the rest */
    const char *engine;  /* of pipes that offer it ranges: "send_file"; NULL: it takes none */
    /* More is wanted: leat_push now or later, once at least. takes: kinds that who reads knows. */
    void (*read)(struct leat_stream *stream, unsigned takes);
    /* Writes chunks, which are valid until it returns (leat_chunk_keep): one, if it is a range or
     * the stream a transform. Then calls leat_stream_wrote, now or later; until then it is not
     * called again. */
    void (*write)(struct leat_stream *stream, const struct leat_chunk *chunks, unsigned count);
    /* All is written, and no more comes: leat_stream_wrote when that is done too. May be NULL. */
    void (*final)(struct leat_stream *stream);
    /* Stops everything, also a write that is out, and calls leat_stream_destroyed, now or later.
     * May be NULL. */
    void (*destroy)(struct leat_stream *stream);
    /* The last reference has gone: frees what the struct holds, not the struct. May be NULL. */
    void (*drop)(struct leat_stream *stream);
};

struct leat_stream_options { /* 0 means the default in brackets */
    uint32_t readable_mark;  /* [LEAT_STREAM_MARK_BYTES, _OBJECTS if it gives only objects] */
    uint32_t writable_mark;  /* [the same, by what it takes] */
    bool ends_together;      /* [off] the readable side's end ends the writable one, as in Node
                                with allowHalfOpen: false */
};

struct leat_stream_readable { /* fields are the stream's own */
    uint32_t state, mark;
    uint64_t length;
    struct stream_queue *queue; /* NULL: nothing waits */
    struct stream_pipe *pipes;
    struct stream_next *next; /* of leat_readable_next, while it waits */
};

struct leat_stream_writable { /* fields are the stream's own */
    uint32_t state, mark;
    uint64_t length, writing_length;
    struct stream_queue *queue;
    uint64_t given_length;        /* of a transform: what waited to be read when write was called */
    struct stream_write *current; /* whose done the write that is out has to call */
    uint32_t pending_count;       /* of calls of write and final whose effects are not all told */
    uint32_t told_count;          /* of writes without a done, for one tick */
};

struct leat_stream { /* fields are the stream's own */
    struct leat_emitter emitter;
    const struct leat_stream_class *of;
    struct leat_loop *loop;
    struct leat_stream *next, **prev; /* of the core's streams */
    struct stream_watch *watches;
    uint32_t refs, ticks, site, flags;
    struct leat_result error;
    struct leat_stream_readable readable;
    struct leat_stream_writable writable;
};

/* A stream; the author's struct is zeroed beyond it. options may be NULL. NULL: memory is out, with
 * a sentence in leat_loop_error. */
LEAT_API struct leat_stream *leat_stream_new(
    struct leat_loop *loop, const struct leat_stream_class *of,
    const struct leat_stream_options *options) LEAT_MUST_CHECK;

/* Gives chunks to who reads, whatever it returns: 0 go on, 1 full (read is called when more is
 * wanted), -EPIPE after the end, -ECANCELED when it was destroyed, -ENOMEM: it is destroyed. */
LEAT_API int leat_push(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count);
LEAT_API int leat_push_bytes(struct leat_stream *stream, const void *bytes,
                             size_t length_bytes); /* copies */
LEAT_API void leat_push_end(struct leat_stream *stream);

/* write or final is done. result is taken: a failure destroys the stream; the number 1: accepted,
 * and no more is to come before leat_stream_drained; within write also -EAGAIN: nothing was
 * accepted, and it is to come again after leat_stream_drained. */
LEAT_API void leat_stream_wrote(struct leat_stream *stream, struct leat_result result);
LEAT_API void leat_stream_drained(struct leat_stream *stream);
/* destroy is done; a failure is the stream's error if it has none. */
LEAT_API void leat_stream_destroyed(struct leat_stream *stream, struct leat_result result);

/* ---- For everybody ---- */

LEAT_API struct leat_stream *leat_stream_ref(struct leat_stream *stream);
LEAT_API void leat_stream_unref(struct leat_stream *stream); /* NULL: no effect */

enum leat_stream_event {
    LEAT_STREAM_DATA,     /* LEAT_KIND_CHUNK: borrowed */
    LEAT_STREAM_READABLE, /* there is something to leat_read, or the end */
    LEAT_STREAM_END,
    LEAT_STREAM_PAUSE,
    LEAT_STREAM_RESUME,
    LEAT_STREAM_DRAIN,
    LEAT_STREAM_FINISH,
    LEAT_STREAM_PIPE,   /* LEAT_KIND_STREAM: the source */
    LEAT_STREAM_UNPIPE, /* likewise */
    LEAT_STREAM_ERROR,  /* a failure */
    LEAT_STREAM_CLOSE,
    LEAT_STREAM_EVENT_COUNT
};

/* As leat_on, leat_once and leat_off. A listener for DATA makes the stream flow, unless it was
 * paused; one for READABLE stops the flow. 0; -ENOMEM; -EBUSY for DATA while leat_readable_next
 * reads. */
LEAT_API int leat_stream_on(struct leat_stream *stream, enum leat_stream_event event, leat_done *fn,
                            void *arg) LEAT_MUST_CHECK;
LEAT_API int leat_stream_once(struct leat_stream *stream, enum leat_stream_event event,
                              leat_done *fn, void *arg) LEAT_MUST_CHECK;
LEAT_API void leat_stream_off(struct leat_stream *stream, enum leat_stream_event event,
                              leat_done *fn, void *arg);

/* Ends both sides now: what waits is dropped, error (if result is a failure, which is taken) and
 * close follow. A second time, and of NULL: no effect but that the failure is dropped. */
LEAT_API void leat_stream_destroy(struct leat_stream *stream, struct leat_result result);
/* What it failed with, or NULL. */
LEAT_API const struct leat_result *leat_stream_error(const struct leat_stream *stream);
LEAT_API bool leat_stream_is_destroyed(const struct leat_stream *stream);
/* What waits in it: to be read; to be written, and 0 where the transport's queue is the stream's.
 */
LEAT_API uint64_t leat_readable_waiting(const struct leat_stream *stream);
LEAT_API uint64_t leat_writable_waiting(const struct leat_stream *stream);

/* Fulfilled when the stream has closed after its end and finish; rejected with its error, or with
 * -ECONNABORTED, "closed before its end". */
LEAT_API struct leat_future *leat_finished(struct leat_stream *stream) LEAT_MUST_CHECK;

/* ---- Reading ---- */

/* Node's pause and resume. */
LEAT_API void leat_stream_pause(struct leat_stream *stream);
LEAT_API void leat_stream_resume(struct leat_stream *stream);
/* Takes the next chunk that is there: true, and it is the caller's; false: none is there, LEAT_
 * STREAM_READABLE or END follows. */
LEAT_API bool leat_read(struct leat_stream *stream, struct leat_chunk *chunk) LEAT_MUST_CHECK;
/* The next chunk as a future: its code is 1 (bytes as LEAT_KIND_BUF, an object as
 * LEAT_KIND_POINTER, a range as LEAT_KIND_CHUNK), or 0 at the end. Rejected with the stream's
 * error, -ECONNABORTED when it was closed before its end, -EBUSY when others read: DATA, a pipe,
 * another one of these. */
LEAT_API struct leat_future *leat_readable_next(struct leat_stream *stream) LEAT_MUST_CHECK;

/* ---- Writing ---- */

/* The array is one write, as between Node's cork and uncork. Takes the chunks unless it refuses. */
LEAT_API int leat_write(struct leat_stream *stream, struct leat_chunk *chunks,
                        unsigned count) LEAT_MUST_CHECK;
/* The same; done(arg, result) is called when the chunks were written, or have failed, unless they
 * were refused. */
LEAT_API int leat_write_call(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count,
                             leat_done *done, void *arg) LEAT_MUST_CHECK;
LEAT_API int leat_write_bytes(struct leat_stream *stream, const void *bytes,
                              size_t length_bytes) LEAT_MUST_CHECK; /* copies */
/* No more is written; finish follows. */
LEAT_API void leat_stream_end(struct leat_stream *stream);
/* Fulfilled when a write may follow: at once, or at the drain. Rejected with the stream's error,
 * -EPIPE after its end, -ECONNABORTED when it closes. */
LEAT_API struct leat_future *leat_writable_ready(struct leat_stream *stream) LEAT_MUST_CHECK;

/* ---- Pipes ---- */

/* Node's pipe: source's chunks go to sink, source is stopped while that is full, and its end ends
 * sink (unless leaves_open). A source that fails leaves sink open; a sink that fails is unpiped,
 * and source lives on, paused. Of several pipes each gets every chunk; objects with a drop have one
 * owner, and fail a source with two pipes. 0; -ENOMEM; -EINVAL when sink does not take what source
 * gives; -EBUSY while leat_readable_next reads. */
LEAT_API int leat_pipe(struct leat_stream *source, struct leat_stream *sink,
                       bool leaves_open) LEAT_MUST_CHECK;
/* sink NULL: all of source's. */
LEAT_API void leat_unpipe(struct leat_stream *source, struct leat_stream *sink);
/* How bytes go from source to sink: "chunks", or what sink's class names for ranges of files; NULL:
 * they are not piped. It becomes "chunks" when somebody listens to DATA. */
LEAT_API const char *leat_pipe_engine_name(const struct leat_stream *source,
                                           const struct leat_stream *sink);
/* Pipes each stream into the next, and takes the references, whatever happens. Fulfilled when all
 * has gone through and all have closed (a last one with a readable side: has finished). When one
 * fails or closes before its end, the others are destroyed with that failure, and the future is
 * rejected with it, once. Cancelling destroys them. count is 2 at least. NULL, for a stream that
 * could not be made, is such a failure too: leat_loop_error says which. */
LEAT_API struct leat_future *leat_pipeline(struct leat_stream *const *streams,
                                           unsigned count) LEAT_MUST_CHECK;

LEAT_END
#endif
