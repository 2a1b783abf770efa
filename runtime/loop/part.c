/* What higher floors hang on a loop, and how the loop fails for them. */
#include "runtime/loop/part.h"

#include <stdarg.h>
#include <stdio.h>

#include "runtime/loop/loop_internal.h"

struct leat_core *loop_core(struct leat_loop *loop)
{
    return &loop->core;
}

void loop_part_add(struct leat_loop *loop, struct loop_part *part)
{
    part->next = loop->parts;
    loop->parts = part;
}

void loop_fini_parts(struct leat_loop *loop)
{
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
