/* Counters of a running program, in memory that tools can read without its help (counters_file.h).
 *
 * Each core writes its own with plain stores, and never waits: those that are known everywhere
 * count in their own structures, and a core publishes them at the end of a turn, at most once in
 * COUNTERS_PUBLISH_NS and never later than that after the turn that changed something. An idle loop
 * is woken once for it and then left alone. A reader sees each value whole, but not all of one
 * instant.
 *
 * A program that cannot make the file (no /dev/shm) runs without. Internal: not installed. */
#ifndef LEAT_COUNTERS_H
#define LEAT_COUNTERS_H

#include <leat/loop.h>
#include <leat/io.h>
#include <leat/timer.h>

#include "net/watch/counters_file.h"

#define COUNTERS_PUBLISH_NS (100 * LEAT_NS_PER_MS)
#define COUNTERS_BLOCKS_MAX 16 /* of one core */

/* The counters of one module: names, and a function that writes their values. The same on every
 * core. */
struct counters_block {
    const struct counters_name *names; /* static */
    unsigned count;
    void (*collect)(void *arg, uint64_t *values);
};

struct counters; /* the file */

struct counters_core {
    struct leat_source source; /* first */
    struct leat_loop *loop;
    struct counters *counters;
    uint64_t *values; /* in the file; NULL: there is none */
    struct leat_timer timer;
    bool is_due;
    struct {
        const struct counters_block *block;
        void *arg;
        unsigned first;
    } blocks[COUNTERS_BLOCKS_MAX];
    unsigned block_count;
};

/* Set-up thread. NULL with error filled: run without. */
struct counters *counters_new(const char *program, const char *net, uint32_t core_count,
                              struct leat_error *error);
/* It serves something: tools that are not told which program they are to look at choose it. */
void counters_set_listening(struct counters *counters);
/* Removes the file's name, while cores still count. NULL: no effect. */
void counters_unlink(struct counters *counters);
/* After all cores have closed: removes the file. NULL: no effect. */
void counters_free(struct counters *counters);

/* On the core's thread, after all other sources, so that its flush comes last. counters may be
 * NULL. */
void counters_open(struct counters_core *core, struct counters *counters, struct leat_loop *loop);
void counters_close(struct counters_core *core);

/* Counts what the block says until the core closes, or counters_remove. core NULL: no effect. */
void counters_add(struct counters_core *core, const struct counters_block *block, void *arg);
void counters_remove(struct counters_core *core, void *arg);
/* Of the core that runs this thread; NULL where nothing is counted. */
struct counters_core *counters_here(void);

/* counters_blocks.c: the loop, its buffers, and the stack where there is one. */
void counters_add_common(struct counters_core *core);

#endif
