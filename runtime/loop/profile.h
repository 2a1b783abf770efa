/* Which layer the cycles of a turn go to: always on, and nearly free.
 *
 * One turn in PROFILE_TURNS is sampled. In it leat_core_now->profile is set, and code that passes
 * from one layer into another says so: profile_enter returns the layer that it came from, and
 * profile_leave goes back to it. Time is counted to the innermost layer alone, less what reading
 * the counter costs. In all other turns entering is two loads and a branch, and leaving a branch on
 * what entering returned. The loop's own core only.
 * Internal: not installed; leat_loop_metrics tells the result. */
#ifndef LEAT_PROFILE_H
#define LEAT_PROFILE_H

#include <leat/metrics.h>

#include "runtime/base/clock.h"
#include "runtime/base/core.h"

#define PROFILE_TURNS 64
#define PROFILE_NONE  LEAT_LAYER_COUNT /* entered from: not sampled */

struct profile {
    uint64_t turn_count;
    uint64_t since_tsc, stamp_cycles;
    enum leat_layer layer;
    uint64_t turn[LEAT_LAYER_COUNT];   /* of the turn that is sampled */
    uint64_t cycles[LEAT_LAYER_COUNT]; /* of sampled turns that did work */
};

static inline void profile_stamp(struct profile *p, enum leat_layer layer)
{
    uint64_t now = clock_tsc(), took = now - p->since_tsc;
    p->turn[p->layer] += took > p->stamp_cycles ? took - p->stamp_cycles : 0;
    p->since_tsc = now;
    p->layer = layer;
}

static inline enum leat_layer profile_enter(enum leat_layer layer)
{
    struct profile *p = leat_core_now->profile;
    if (likely(p == NULL))
        return PROFILE_NONE;
    enum leat_layer outer = p->layer;
    profile_stamp(p, layer);
    return outer;
}

static inline void profile_leave(enum leat_layer outer)
{
    if (unlikely(outer != PROFILE_NONE))
        profile_stamp(leat_core_now->profile, outer);
}

/* Of the loop itself, which is in no other layer. */
static inline void profile_pass(struct leat_core *core, enum leat_layer layer)
{
    if (unlikely(core->profile != NULL))
        profile_stamp(core->profile, layer);
}

/* The loop's: the cost of a stamp is measured; a turn begins, and ends before it may sleep. */
void profile_init(struct profile *p);
static inline void profile_turn_begin(struct leat_core *core, struct profile *p)
{
    if (likely(++p->turn_count % PROFILE_TURNS != 0))
        return;
    p->layer = LEAT_LAYER_LOOP;
    p->since_tsc = clock_tsc();
    core->profile = p;
}
void profile_turn_count(struct leat_core *core, bool has_worked);
static inline void profile_turn_end(struct leat_core *core, bool has_worked)
{
    if (unlikely(core->profile != NULL))
        profile_turn_count(core, has_worked);
}

#endif
