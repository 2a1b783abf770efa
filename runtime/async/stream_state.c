/* The state words of a stream, and its ticks: every change of them is here (the table of bits is in
 * stream_internal.h). */
#include <errno.h>

#include "runtime/async/stream_internal.h"

/* What a bit may not stand with, and that it stays: rules of the table, as the machine sees them.
 */
struct state_rule {
    uint32_t bit, never_with, needs;
    bool stays;
    const char *name;
};

static const struct state_rule both_rules[] = {
    {STREAM_DESTROYED, 0, 0, true, "destroyed"},
    {STREAM_CLOSED, 0, STREAM_DESTROYED, true, "closed, not destroyed"},
    {STREAM_CLOSE_TOLD, 0, STREAM_CLOSED, true, "close told, not closed"},
    {STREAM_ERRORED, 0, 0, true, "errored"},
    {STREAM_ERROR_TOLD, 0, STREAM_ERRORED, true, "error told, no error"},
};

static const struct state_rule r_rules[] = {
    {R_ENDED, 0, 0, true, "ended"},        {R_END_TOLD, 0, R_ENDED, true, "end told, not ended"},
    {R_SYNC, 0, 0, false, "sync"},         {R_FLOWING, R_STOPPED, 0, false, "flowing and stopped"},
    {R_RESUMING, 0, 0, false, "resuming"},
};

static const struct state_rule w_rules[] = {
    {W_ENDING, 0, 0, true, "ending"},
    {W_FINAL, W_WRITING, W_ENDING | W_FINAL_CALLED, false,
     "final beside a write, or before the end"},
    {W_FINAL_CALLED, 0, W_ENDING, true, "final before the end"},
    {W_PREFINISHED, W_FINAL, W_ENDING, true, "finished before final was"},
    {W_FINISHED, W_WRITING | W_FINAL, W_ENDING | W_PREFINISHED, true, "finished too early"},
    {W_HELD, W_FINAL, W_WRITING, false, "held without a write"},
    {W_REFUSED, 0, W_BLOCKED, false, "refused, and not blocked"},
};

static const char *rules_check(const struct state_rule *rules, size_t count, uint32_t state)
{
    for (size_t i = 0; i < count; i++) {
        const struct state_rule *rule = &rules[i];
        if ((state & rule->bit) != 0 &&
            ((state & rule->never_with) != 0 || (state & rule->needs) != rule->needs))
            return rule->name;
    }
    return NULL;
}

static uint32_t rules_lasting(const struct state_rule *rules, size_t count)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++)
        bits |= rules[i].stays ? rules[i].bit : 0;
    return bits;
}

#define RULES(rules) rules, sizeof(rules) / sizeof((rules)[0])

static void state_change(uint32_t *state, uint32_t set, uint32_t clear,
                         const struct state_rule *rules, size_t count)
{
    DCHECK((clear & rules_lasting(RULES(both_rules))) == 0);
    DCHECK((clear & rules_lasting(rules, count)) == 0);
    *state = (*state & ~clear) | set;
    DCHECK(rules_check(rules, count, *state) == NULL);
}

void stream_change(struct leat_stream *stream, uint32_t set)
{
    DCHECK((set & ~(uint32_t)STREAM_BOTH) == 0);
    if (stream_gives(stream))
        stream->readable.state |= set;
    if (stream_takes(stream))
        stream->writable.state |= set;
    DCHECK(rules_check(RULES(both_rules), stream->readable.state) == NULL);
    DCHECK(rules_check(RULES(both_rules), stream->writable.state) == NULL);
}

void r_change(struct leat_stream *stream, uint32_t set, uint32_t clear)
{
    state_change(&stream->readable.state, set, clear, RULES(r_rules));
}

void w_change(struct leat_stream *stream, uint32_t set, uint32_t clear)
{
    state_change(&stream->writable.state, set, clear, RULES(w_rules));
}

static uint64_t queue_length(const struct stream_queue *queue)
{
    uint64_t length = 0;
    for (uint32_t i = 0; i < queue_count(queue); i++)
        length += leat_chunk_length(&queue->chunks[queue->head + i]);
    return length;
}

const char *stream_validate(const struct leat_stream *stream)
{
    const struct leat_stream_readable *r = &stream->readable;
    const struct leat_stream_writable *w = &stream->writable;
    const char *broken = NULL;
    if (stream_gives(stream) && stream_takes(stream) &&
        (r->state & STREAM_BOTH) != (w->state & STREAM_BOTH))
        return "the sides differ in what is of both";
    if ((broken = rules_check(RULES(both_rules), r->state)) != NULL ||
        (broken = rules_check(RULES(both_rules), w->state)) != NULL ||
        (stream_gives(stream) && (broken = rules_check(RULES(r_rules), r->state)) != NULL) ||
        (stream_takes(stream) && (broken = rules_check(RULES(w_rules), w->state)) != NULL))
        return broken;
    if (!stream_has(stream, STREAM_CLOSED) && queue_length(r->queue) != r->length)
        return "the readable side's length is not that of its chunks";
    if (!stream_has(stream, STREAM_DESTROYED) &&
        queue_length(w->queue) + w->writing_length != w->length)
        return "the writable side's length is not that of its chunks";
    if (w_has(stream, W_FINISHED) && w->length != 0 && !stream_has(stream, STREAM_DESTROYED))
        return "finished with bytes that wait";
    return (stream->error.code < 0) == stream_has(stream, STREAM_ERRORED) ? NULL
                                                                          : "errored by half";
}

/* ---- ticks ---- */

#define TICK_RUNNER(tick)                                                                          \
    static void run_##tick(void *stream)                                                           \
    {                                                                                              \
        tick_run(stream, tick);                                                                    \
    }

/* Its place is kept again, for the next one of the kind: it has just become free. */
static void tick_run(struct leat_stream *stream, enum stream_tick tick)
{
    CHECK(loop_queue_reserve(loop_ticks(stream->loop), 1));
    stream->ticks &= ~(1u << tick);
    stream_run_tick(stream, tick);
    leat_stream_unref(stream);
}

TICK_RUNNER(TICK_CLOSE)
TICK_RUNNER(TICK_READ_MORE)
TICK_RUNNER(TICK_READABLE)
TICK_RUNNER(TICK_RESUME)
TICK_RUNNER(TICK_LISTEN)
TICK_RUNNER(TICK_LISTENERS)
TICK_RUNNER(TICK_END)
TICK_RUNNER(TICK_END_WRITABLE)
TICK_RUNNER(TICK_TOLD)
TICK_RUNNER(TICK_WRITE_ERROR)
TICK_RUNNER(TICK_DROP_QUEUE)
TICK_RUNNER(TICK_FINISH_MAYBE)
TICK_RUNNER(TICK_FINISH)

static leat_callback *const tick_runners[TICK_COUNT] = {
    [TICK_CLOSE] = run_TICK_CLOSE,
    [TICK_READ_MORE] = run_TICK_READ_MORE,
    [TICK_READABLE] = run_TICK_READABLE,
    [TICK_RESUME] = run_TICK_RESUME,
    [TICK_LISTEN] = run_TICK_LISTEN,
    [TICK_LISTENERS] = run_TICK_LISTENERS,
    [TICK_END] = run_TICK_END,
    [TICK_END_WRITABLE] = run_TICK_END_WRITABLE,
    [TICK_TOLD] = run_TICK_TOLD,
    [TICK_WRITE_ERROR] = run_TICK_WRITE_ERROR,
    [TICK_DROP_QUEUE] = run_TICK_DROP_QUEUE,
    [TICK_FINISH_MAYBE] = run_TICK_FINISH_MAYBE,
    [TICK_FINISH] = run_TICK_FINISH,
};

int stream_ticks_reserve(struct leat_stream *stream)
{
    return loop_queue_reserve(loop_ticks(stream->loop), TICK_COUNT) ? 0 : -ENOMEM;
}

void stream_ticks_release(struct leat_stream *stream)
{
    loop_queue_release(loop_ticks(stream->loop), TICK_COUNT);
}

void stream_tick(struct leat_stream *stream, enum stream_tick tick)
{
    if ((stream->ticks & 1u << tick) != 0)
        return;
    stream->ticks |= 1u << tick;
    (void)leat_stream_ref(stream);
    loop_queue_push_reserved(loop_ticks(stream->loop), tick_runners[tick], stream);
}
