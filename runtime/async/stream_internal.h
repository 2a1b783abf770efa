/* Streams, for the files stream*.c and pipe*.c of this folder.
 *
 *  stream.c           life: made, destroyed, closed, freed; listeners
 *  stream_state.c     the state words and the ticks: who may change them, and the rules
 *  stream_queue.c     chunks, and those that wait
 *  stream_readable.c  the side that gives
 *  stream_writable.c  the side that takes
 *  stream_wait.c      futures: the next chunk, ready to be written to, finished
 *  pipe.c             pipes
 *  pipeline.c         pipelines */
#ifndef LEAT_STREAM_INTERNAL_H
#define LEAT_STREAM_INTERNAL_H

#include <leat/stream.h>

#include "runtime/async/async_internal.h"
#include "runtime/async/tasks.h"

/* The state word of a side. Who writes it: stream_state.c alone, which also holds the table of what
 * may stand together. The first five are of the whole stream, and the same on both sides.
 *
 * | bit           | set when                              | cleared when                        |
 * |---------------|---------------------------------------|-------------------------------------|
 * | DESTROYED     | destroy was asked for                 | -                                   |
 * | CLOSED        | the implementer's destroy is done     | -                                   |
 * | CLOSE_TOLD    | close is being told                   | -                                   |
 * | ERRORED       | the stream has its error              | -                                   |
 * | ERROR_TOLD    | error is being told                   | -                                   |
 * | R_ENDED       | the implementer has pushed the end    | -                                   |
 * | R_END_TOLD    | end is being told                     | -                                   |
 * | R_READING     | read was called                       | something was pushed                |
 * | R_SYNC        | within read                           | read returns                        |
 * | R_FLOWING     | resume, a DATA listener, a pipe       | pause, a READABLE listener          |
 * | R_STOPPED     | pause, a READABLE listener            | resume                              |
 * | R_PAUSED      | pause                                 | resume                              |
 * | R_NEEDS       | who reads has found nothing           | readable is about to be told        |
 * | R_READABLE    | readable is about to be told          | it was, or somebody read            |
 * | R_LISTENING   | a READABLE listener, or a next        | none is left, one tick later        |
 * | R_READ_MORE   | the tick that reads ahead is queued   | it has run                          |
 * | R_RESUMING    | the tick that resumes is queued       | it runs                             |
 * | W_ENDING      | leat_stream_end                       | -                                   |
 * | W_FINAL       | final is out                          | it is done                          |
 * | W_FINAL_CALLED| final was called                      | -                                   |
 * | W_PREFINISHED | final is done, or there is none       | -                                   |
 * | W_FINISHED    | finish is being told                  | -                                   |
 * | W_WRITING     | write is out                          | it is done                          |
 * | W_SYNC        | within write                          | write returns                       |
 * | W_NEEDS_DRAIN | a write was answered with 1           | drain is being told                 |
 * | W_BLOCKED     | the implementer said 1 or -EAGAIN     | leat_stream_drained                 |
 * | W_REFUSED     | write said -EAGAIN                    | write returns                       |
 * | W_FLUSHING    | what waits is being written           | done                                |
 * | W_HELD        | a transform's write is done, and what | its readable side wants more        |
 * |               | it gave has filled the readable side  |                                     |
 */
enum {
    STREAM_DESTROYED = 1u << 0,
    STREAM_CLOSED = 1u << 1,
    STREAM_CLOSE_TOLD = 1u << 2,
    STREAM_ERRORED = 1u << 3,
    STREAM_ERROR_TOLD = 1u << 4,
    STREAM_BOTH = (1u << 5) - 1,
    R_ENDED = 1u << 5,
    R_END_TOLD = 1u << 6,
    R_READING = 1u << 7,
    R_SYNC = 1u << 8,
    R_FLOWING = 1u << 9,
    R_STOPPED = 1u << 10,
    R_PAUSED = 1u << 11,
    R_NEEDS = 1u << 12,
    R_READABLE = 1u << 13,
    R_LISTENING = 1u << 14,
    R_READ_MORE = 1u << 15,
    R_RESUMING = 1u << 16,
    W_ENDING = 1u << 5,
    W_FINAL = 1u << 6,
    W_FINAL_CALLED = 1u << 7,
    W_PREFINISHED = 1u << 8,
    W_FINISHED = 1u << 9,
    W_WRITING = 1u << 10,
    W_SYNC = 1u << 11,
    W_NEEDS_DRAIN = 1u << 12,
    W_BLOCKED = 1u << 13,
    W_REFUSED = 1u << 14,
    W_FLUSHING = 1u << 15,
    W_HELD = 1u << 16,
};

/* leat_stream.flags */
enum {
    STREAM_ENDS_TOGETHER = 1u << 0,
    STREAM_TELLS_ERROR = 1u << 1,  /* destroyed with a failure: error comes before close */
    STREAM_SHORT_OF_END = 1u << 2, /* closed with what was not read, or not ended */
    STREAM_SHORT_OF_FINISH = 1u << 3,
};

/* What a stream has to do in a next tick; one of each kind may be queued. A place in the queue of
 * ticks is kept for each kind as long as the stream lives, so that none can be lost. */
enum stream_tick {
    TICK_CLOSE,     /* error, close */
    TICK_READ_MORE, /* reads ahead up to the mark */
    TICK_READABLE,  /* tells readable, and flows */
    TICK_RESUME,
    TICK_LISTEN,    /* the first listener for READABLE is there */
    TICK_LISTENERS, /* one has gone */
    TICK_END,
    TICK_END_WRITABLE,
    TICK_TOLD,        /* of writes without a done */
    TICK_WRITE_ERROR, /* of a write that failed at once */
    TICK_DROP_QUEUE,  /* destroyed: those that wait are told */
    TICK_FINISH_MAYBE,
    TICK_FINISH,
    TICK_COUNT
};

static inline bool stream_gives(const struct leat_stream *stream)
{
    return stream->of->gives != 0;
}
static inline bool stream_takes(const struct leat_stream *stream)
{
    return stream->of->takes != 0;
}
static inline bool stream_has(const struct leat_stream *stream, uint32_t both_bits)
{
    return ((stream->readable.state | stream->writable.state) & both_bits) != 0;
}
static inline bool r_has(const struct leat_stream *stream, uint32_t bits)
{
    return (stream->readable.state & bits) != 0;
}
static inline bool w_has(const struct leat_stream *stream, uint32_t bits)
{
    return (stream->writable.state & bits) != 0;
}

/* stream_state.c */
void stream_change(struct leat_stream *stream, uint32_t set); /* of STREAM_BOTH, on both sides */
void r_change(struct leat_stream *stream, uint32_t set, uint32_t clear);
void w_change(struct leat_stream *stream, uint32_t set, uint32_t clear);
/* The first rule that does not hold, as text; NULL: all do. Between two events. */
const char *stream_validate(const struct leat_stream *stream);
int stream_ticks_reserve(struct leat_stream *stream) LEAT_MUST_CHECK; /* 0 or -ENOMEM */
void stream_ticks_release(struct leat_stream *stream);
void stream_tick(struct leat_stream *stream, enum stream_tick tick);
void stream_run_tick(struct leat_stream *stream, enum stream_tick tick);

/* stream_queue.c */
/* A leat_write_call: its done is called in a tick of its own, or as part of a later event. */
struct stream_write {
    struct stream_write *next;
    struct leat_stream *stream;
    leat_done *done;
    void *arg;
    uint64_t last; /* number of its last chunk */
};
struct stream_queue {
    struct leat_chunk *chunks;
    uint32_t head, count, capacity;
    uint64_t first; /* number of the chunk at head */
    struct stream_write *writes, **writes_end;
};
static inline uint32_t queue_count(const struct stream_queue *queue)
{
    return queue != NULL ? queue->count : 0;
}
/* Moves, or keeps, all of the chunks: 0, or -ENOMEM, and nothing happened. */
int queue_push(struct stream_queue **where, struct leat_chunk *chunks,
               unsigned count) LEAT_MUST_CHECK;
void queue_push_write(struct stream_queue *queue, struct stream_write *write);
struct leat_chunk queue_pull(struct stream_queue *queue);
struct stream_write *queue_pull_writes(struct stream_queue *queue); /* of chunks that were pulled */
void queue_unpull_writes(struct stream_queue *queue, struct stream_write *writes);
int queue_join(struct stream_queue *queue, struct stream_queue *newer) LEAT_MUST_CHECK;
void queue_free(struct stream_queue *queue); /* drops its chunks; it must have no writes */
void chunks_drop(struct leat_chunk *chunks, unsigned count);
uint64_t chunks_length(const struct leat_chunk *chunks, unsigned count);
int chunk_share(const struct leat_chunk *chunk, struct leat_chunk *own) LEAT_MUST_CHECK;

/* Around each call of a class's function: what it calls back runs before it returns. */
#define STREAM_CALL(call)                                                                          \
    do {                                                                                           \
        const char *outer_ = await_forbid("a function of a stream's class");                       \
        call;                                                                                      \
        await_allow(outer_);                                                                       \
    } while (0)

/* stream.c */
/* Tells those of Leat's that watch, then the listeners. */
void stream_tell(struct leat_stream *stream, enum leat_stream_event event,
                 const struct leat_result *value);
unsigned stream_listener_count(const struct leat_stream *stream, enum leat_stream_event event);
static inline bool stream_is_heard(const struct leat_stream *stream, enum leat_stream_event event)
{
    return stream->emitter.list != NULL && stream_listener_count(stream, event) > 0;
}
void stream_fail(struct leat_stream *stream, struct leat_result failure);       /* taken */
void stream_set_error(struct leat_stream *stream, struct leat_result *failure); /* taken */
struct leat_result failure_copy(const struct leat_result *failure);
void stream_close_tick(struct leat_stream *stream);
/* A side has ended: the other one may have before. */
void stream_settle(struct leat_stream *stream);

/* What Leat itself waits for at a stream; told before listeners are. */
struct stream_watch {
    struct stream_watch *next, **prev; /* NULL: it does not watch */
    void (*heard)(struct stream_watch *watch, struct leat_stream *stream,
                  enum leat_stream_event event);
    uint16_t due;      /* bits: events that it has not been told of yet */
    bool hears_errors; /* as a listener for error does */
};
void stream_watch_add(struct leat_stream *stream, struct stream_watch *watch);
void stream_watch_remove(struct stream_watch *watch);

/* stream_readable.c */
void readable_drop(struct leat_stream *stream);    /* closed */
void readable_listen(struct leat_stream *stream);  /* a first one waits for READABLE */
void readable_flow_on(struct leat_stream *stream); /* a consumer of data has come */
/* Takes the next chunk that is there, and shows it to the consumers of data; flags:
 * LEAT_CHUNK_MOVABLE when the caller has no use for it. */
bool readable_read(struct leat_stream *stream, struct leat_chunk *chunk,
                   uint32_t flags) LEAT_MUST_CHECK;

/* stream_writable.c */
void writable_run_tick(struct leat_stream *stream, enum stream_tick tick);
void writable_unhold(struct leat_stream *stream); /* a transform's readable side wants more */
void writable_drop(struct leat_stream *stream);
int writable_write(struct leat_stream *stream, struct leat_chunk *chunks, unsigned count,
                   leat_done *done, void *arg) LEAT_MUST_CHECK;
bool writable_is_full(const struct leat_stream *stream);

/* stream_wait.c */
void outcome_keep(struct leat_stream *stream); /* before what waits is dropped */
void next_serve(struct leat_stream *stream);
/* How a stream stands to its end, for those who wait for it. wants: bits of enum stream_side. */
enum stream_side { SIDE_READABLE = 1, SIDE_WRITABLE = 2 };
struct leat_result stream_outcome(const struct leat_stream *stream, unsigned wants);

/* pipe.c */
/* Gives a chunk to each pipe; with LEAT_CHUNK_MOVABLE the last of them has the chunk itself. */
void pipes_deliver(struct leat_stream *source, struct leat_chunk *chunk, uint32_t flags);
/* All to the one pipe there is, as one write. False: there are more. */
bool pipe_deliver_all(struct leat_stream *source, struct leat_chunk *chunks, unsigned count);
unsigned pipes_take(const struct leat_stream *source); /* kinds that all of them know */
int pipe_add(struct leat_stream *source, struct leat_stream *sink,
             bool leaves_open) LEAT_MUST_CHECK;

#endif
