/* What higher floors hang on a loop, and how the loop fails for them. */
#include "runtime/loop/part.h"

#include <stdarg.h>
#include <stdio.h>

#include "runtime/loop/loop_internal.h"

#define ENDING_ROUNDS_MAX 1000 /* of callbacks that begin something while all is being ended */

struct leat_core *loop_core(struct leat_loop *loop)
{
    return &loop->core;
}

void loop_part_add(struct leat_loop *loop, struct loop_part *part)
{
    part->next = loop->parts;
    loop->parts = part;
}

bool loop_is_ending(const struct leat_loop *loop)
{
    return loop->is_ending;
}

static bool parts_end(struct leat_loop *loop)
{
    const struct loop_part *first = loop->parts;
    bool had_some = false;
    for (struct loop_part *part = loop->parts; part != NULL; part = part->next)
        if (part->end != NULL)
            had_some |= part->end(part);
    leat_loop_gate(loop);
    return had_some || loop->parts != first; /* callbacks may begin a part */
}

void loop_fini_parts(struct leat_loop *loop)
{
    loop->is_ending = true;
    bool has_some = loop->parts != NULL;
    for (unsigned rounds = 0; has_some && rounds < ENDING_ROUNDS_MAX; rounds++)
        has_some = parts_end(loop);
    struct loop_part *part;
    while ((part = loop->parts) != NULL) {
        loop->parts = part->next;
        part->fini(part);
    }
}

bool loop_trim_parts(struct leat_loop *loop)
{
    bool has_more = false;
    for (struct loop_part *part = loop->parts; part != NULL; part = part->next)
        if (part->trim != NULL)
            has_more |= part->trim(part);
    return has_more;
}

struct loop_queue *loop_ticks(struct leat_loop *loop)
{
    return &loop->ticks;
}

struct loop_queue *loop_jobs(struct leat_loop *loop)
{
    return &loop->jobs;
}

static void job_nothing(void *arg)
{
}

/* A job, so that the next gate drains. Without memory for one the next gate that drains will do. */
void loop_when_drained(struct leat_loop *loop, leat_callback *fn, void *arg)
{
    loop->drained = (struct loop_callback){fn, arg};
    (void)loop_queue_push(&loop->jobs, job_nothing, NULL);
}

void loop_fail(struct leat_loop *loop, int code, const char *format, ...)
{
    char sentence[LEAT_SENTENCE_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    leat_fail(&loop->core.error, code, "%s", sentence);
    loop->has_failed = true;
    leat_loop_stop(loop);
}

bool loop_note_blocked(struct leat_loop *loop, uint64_t ns)
{
    loop->metrics.blocked_ns += loop->is_turning ? ns : 0;
    return loop->is_turning;
}

bool loop_has_failed(const struct leat_loop *loop)
{
    return loop->has_failed;
}
