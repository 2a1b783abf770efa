/* What higher floors hang on a loop: a part that ends with it, and their jobs. For the loop's core.
 * Internal to the library: not installed. */
#ifndef LEAT_LOOP_PART_H
#define LEAT_LOOP_PART_H

#include <leat/loop.h>

#include "runtime/loop/queue.h"

/* leat_loop_free ends them in this order, each time the youngest first, the core being current:
 *   1  end of each, then the gate, again until none had anything left. Nothing new begins, what is
 *      under way is cancelled or waited for, and whoever waits on it is told, for a callback that
 *      never came could give back nothing.
 *   2  fini of each. Nothing runs any more. */
struct loop_part {
    bool (*end)(struct loop_part *part); /* returns whether it had something left; may be NULL */
    void (*fini)(struct loop_part *part);
    /* The core is idle: gives memory back, for a bounded time. Returns whether there is more to
     * give. May be NULL. */
    bool (*trim)(struct loop_part *part);
    struct loop_part *next;
};

struct leat_core *loop_core(struct leat_loop *loop);

/* The part's memory lives until fini, which may free it. */
void loop_part_add(struct leat_loop *loop, struct loop_part *part);
bool loop_is_ending(const struct leat_loop *loop); /* leat_loop_free has begun */

/* The queues of next ticks and of promise jobs. */
struct loop_queue *loop_ticks(struct leat_loop *loop);
struct loop_queue *loop_jobs(struct leat_loop *loop);

/* Calls fn once, when the gate has run all microtasks that there are; what fn queues runs after it.
 * One place a loop: a second call replaces the first. */
void loop_when_drained(struct leat_loop *loop, leat_callback *fn, void *arg);

/* Leaves a sentence in leat_loop_error and stops the loop; leat_run ends the program with 1. */
void loop_fail(struct leat_loop *loop, int code, const char *format, ...) LEAT_PRINTF(3, 4);
/* A callback has blocked the loop for ns. False: no callback runs, and nothing was counted. */
bool loop_note_blocked(struct leat_loop *loop, uint64_t ns);
bool loop_has_failed(const struct leat_loop *loop);

#endif
