/* The state of futures on one core, for the files of this folder. */
#ifndef LEAT_ASYNC_INTERNAL_H
#define LEAT_ASYNC_INTERNAL_H

#include <leat/io.h>
#include <leat/timer.h>

#include "runtime/async/async.h"
#include "runtime/base/core.h"
#include "runtime/base/list.h"
#include "runtime/loop/part.h"

#define FUTURE_REF     (UINT32_C(1) << 11) /* refs: counts above, the core's index below */
#define FUTURE_NOWHERE (FUTURE_REF - 1)    /* the index of the one of memory that is out */
#define BLOCK_BYTES    64                  /* of a future, and of a reaction */

/* The state word of a future, result.own. Who writes it: future_state.c alone, and future_handle.
 *
 * | bit       | set by                        | cleared by               | never with     |
 * |-----------|-------------------------------|--------------------------|----------------|
 * | FULFILLED | state_settle, code >= 0       | -                        | REJECTED       |
 * | REJECTED  | state_settle, code < 0        | -                        | FULFILLED      |
 * | HANDLED   | the first reaction, or ignore | -                        |                |
 * | LISTED    | rejected and not handled      | handled, or reported     | HANDLED        |
 * | REPORTED  | the hook was called           | handled                  | LISTED         |
 * | SHARED    | a share of its value is out   | -                        | pending        |
 * | CANCELLED | leat_future_cancel settled it | the producer's settle    | pending        |
 * | IMMORTAL  | the one of memory that is out | -                        | all but REJECTED | */
enum {
    FUTURE_FULFILLED = 1u << 0,
    FUTURE_REJECTED = 1u << 1,
    FUTURE_HANDLED = 1u << 2,
    FUTURE_LISTED = 1u << 3,
    FUTURE_REPORTED = 1u << 4,
    FUTURE_SHARED = 1u << 5,
    FUTURE_CANCELLED = 1u << 6,
    FUTURE_IMMORTAL = 1u << 7,
    FUTURE_SETTLED = FUTURE_FULFILLED | FUTURE_REJECTED,
};

enum reaction_when {
    REACTION_NOW,  /* within the settling: for Leat's own, which calls nobody */
    REACTION_JOB,  /* as a promise job; a place in the queue is kept for it */
    REACTION_POLL, /* in the poll phase, through the gate */
};

struct reaction_class {
    enum reaction_when when;
    leat_callback *run; /* its argument is the reaction */
};

/* Waits on one future. While it waits it is in the future's ring and holds nothing; when the future
 * has settled it has left the ring and holds a reference until it has run. */
struct leat_reaction {
    struct leat_reaction *next, *prev; /* in the ring; next alone in the core's list of calls */
    struct leat_future *future;
    const struct reaction_class *of;
    union {
        leat_done *done;
        leat_then_fn *on_fulfilled;
    };
    leat_then_fn *on_rejected;
    void *arg;
    struct leat_future *derived; /* its producer's reference is the reaction's */
};

struct async_block {
    struct async_block *next;
};

/* Under sanitizers each block is one of the heap's, so that they see every error. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ASYNC_BLOCKS_KEPT 0
#else
#define ASYNC_BLOCKS_KEPT 4096 /* on the free list of a core; more go to the heap */
#endif

struct async_core {
    struct loop_part part;     /* ends with the loop */
    struct leat_source source; /* runs what was told and the calls in the poll phase */
    struct leat_loop *loop;
    struct loop_queue *jobs;            /* the loop's */
    struct async_block *blocks, *spare; /* free; spare: for when memory is out */
    uint32_t block_count, spare_count;
    uint64_t future_count, reaction_count; /* that are there */
    struct leat_reaction *calls, **calls_end;
    struct leat_stream *streams;                    /* stream.c: all that are there */
    _Alignas(64) _Atomic(struct async_node *) told; /* newest first */
    _Alignas(64) uintptr_t *unhandled;              /* unhandled.c; 0: handled meanwhile */
    uint32_t unhandled_count, unhandled_capacity;
    leat_unhandled_fn *on_unhandled, *on_handled;
    void *on_unhandled_arg, *on_handled_arg;
};

/* core.c */
struct async_core *async_core_new(struct leat_loop *loop);
void async_call_add(struct async_core *core, struct leat_reaction *reaction); /* in the next poll */
static inline struct async_core *async_here(void)
{
    return leat_core_now->async;
}
/* NULL: memory is out. */
static inline struct async_core *async_core_of(struct leat_loop *loop)
{
    struct async_core *core = likely(leat_core_now != NULL) ? async_here() : NULL;
    return likely(core != NULL && core->loop == loop) ? core : async_core_new(loop);
}

/* stream.c */
void streams_report(const struct async_core *core); /* those that never ended, by name */

/* block.c */
struct async_block *async_block_new(void);
void async_block_free(struct async_core *core, struct async_block *block);
int async_spare_fill(struct async_core *core); /* 0, or -ENOMEM */
/* One of LEAT_REACTIONS_SPARE, with its place among the jobs; ends the program when there is none.
 */
void *async_spare_take(struct async_core *core);
void async_blocks_fini(struct async_core *core);

/* NULL: memory is out. */
static inline void *async_block_take(struct async_core *core)
{
    struct async_block *block = core->blocks;
    if (unlikely(block == NULL))
        return async_block_new();
    core->blocks = block->next;
    core->block_count--;
    return block;
}

static inline void async_block_give(struct async_core *core, void *memory)
{
    struct async_block *block = memory;
    if (unlikely(core->spare_count != LEAT_REACTIONS_SPARE ||
                 core->block_count == ASYNC_BLOCKS_KEPT)) {
        async_block_free(core, block);
        return;
    }
    block->next = core->blocks;
    core->blocks = block;
    core->block_count++;
}

/* future_state.c */
static inline bool future_is_settled(const struct leat_future *future)
{
    return (future->result.own & FUTURE_SETTLED) != 0;
}
/* On the core that made it; everything is where memory was out. */
static inline bool future_is_own(const struct leat_future *future)
{
    return (future->refs & (FUTURE_REF - 1)) == leat_core_now->index;
}
static inline bool future_is_here(const struct leat_future *future)
{
    return likely(future_is_own(future)) || (future->refs & (FUTURE_REF - 1)) == FUTURE_NOWHERE;
}
extern const struct leat_future future_out_of_memory;
void future_settle(struct leat_future *future, struct leat_result result); /* keeps the reference */
void future_share_mark(struct leat_future *future);
void future_handle_listed(struct leat_future *future);
/* Somebody looks at its rejection. */
static inline void future_handle(struct leat_future *future)
{
    uint16_t own = future->result.own;
    if (likely((own & (FUTURE_LISTED | FUTURE_REPORTED | FUTURE_IMMORTAL)) == 0))
        future->result.own = own | FUTURE_HANDLED;
    else
        future_handle_listed(future);
}
void future_list(struct leat_future *future);   /* nobody has so far */
void future_report(struct leat_future *future); /* the hook was called */

/* future.c */
void future_free(struct leat_future *future);
/* Neither its own nor that of memory that is out: the program ends. */
void future_must_be_nowhere(const struct leat_future *future);

static inline struct leat_future *future_ref(struct leat_future *future)
{
    if (likely(future_is_own(future)))
        future->refs += FUTURE_REF;
    else
        future_must_be_nowhere(future);
    return future;
}

static inline void future_unref(struct leat_future *future)
{
    if (unlikely(!future_is_own(future))) {
        future_must_be_nowhere(future);
        return;
    }
    future->refs -= FUTURE_REF;
    if (future->refs < FUTURE_REF)
        future_free(future);
}

/* Word by word, as results are written: a load of 16 bytes waits until two stores of 8 are out. */
static inline struct leat_result result_read(const struct leat_result *from)
{
    struct leat_result to;
    to.buf.data = __atomic_load_n(&from->buf.data, __ATOMIC_RELAXED);
    to.buf.length_bytes = __atomic_load_n(&from->buf.length_bytes, __ATOMIC_RELAXED);
    to.buf.block = __atomic_load_n(&from->buf.block, __ATOMIC_RELAXED);
    to.drop = __atomic_load_n(&from->drop, __ATOMIC_RELAXED);
    to.code = from->code;
    to.kind = from->kind;
    to.own = 0;
    return to;
}

/* result.c */
struct leat_result result_share(
    struct leat_future *future); /* what it was settled with, once more */

/* reaction.c */
/* With its place among the jobs if it needs one. Fields beside of are not set. */
struct leat_reaction *reaction_new_otherwise(const struct reaction_class *of);
static inline struct leat_reaction *reaction_new(const struct reaction_class *of)
{
    struct async_core *core = async_here();
    if (unlikely(core == NULL || core->blocks == NULL ||
                 (of->when == REACTION_JOB && !loop_queue_reserve(core->jobs, 1))))
        return reaction_new_otherwise(of);
    struct leat_reaction *reaction = async_block_take(core);
    core->reaction_count++;
    reaction->of = of;
    return reaction;
}
static inline void reaction_free(struct leat_reaction *reaction)
{
    struct async_core *core = async_here();
    core->reaction_count--;
    async_block_give(core, reaction);
}
void reaction_add(struct leat_future *future, struct leat_reaction *reaction);
/* The same, but a rejection remains unhandled. */
void reaction_watch(struct leat_future *future, struct leat_reaction *reaction);
static inline bool reaction_is_waiting(const struct leat_reaction *reaction)
{
    return reaction->next != NULL;
}
void reaction_unlink(struct leat_reaction *reaction);   /* one that waits */
void reaction_cancel(struct leat_reaction *reaction);   /* likewise, and frees it */
void reaction_schedule(struct leat_reaction *reaction); /* its future has settled */
/* All that wait. Takes a reference on future, which the last of them gets. */
void reactions_schedule(struct leat_future *future);

/* cancel.c */
void future_cancel_unless_wanted(struct leat_future *future);

/* then.c */
void future_follow(struct leat_future *derived, struct leat_future *inner); /* takes both */

/* unhandled.c */
void unhandled_add(struct async_core *core, struct leat_future *future);
void unhandled_leave(struct async_core *core, struct leat_future *future, bool was_reported);
void unhandled_fini(struct async_core *core);

#endif
