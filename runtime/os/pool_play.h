/* A pool that is played: for a simulator. A job runs when it is submitted, in the loop's own thread
 * but with no core current, as on a thread of the pool; it is told at a time that the simulator
 * draws, and so in a drawn order. Internal: not installed. */
#ifndef LEAT_POOL_PLAY_H
#define LEAT_POOL_PLAY_H

#include <leat/loop.h>

#include "runtime/base/rng.h"

struct fs_sys;

struct pool_play { /* the simulator's; embedded in what it knows itself */
    uint64_t (*delay_ns)(struct pool_play *play);
    struct fs_sys *sys; /* NULL: the machine's files */
};

/* Before the loop's first operation. play must live as long as the loop. 0, or -ENOMEM. */
int pool_play_set(struct leat_loop *loop, struct pool_play *play) LEAT_MUST_CHECK;
/* Times drawn from seed, up to POOL_PLAY_NS_MAX, of jobs on the machine's files: for programs that
 * run in a simulated world. memory is the caller's, and lives as long as the loop. 0, or -ENOMEM.
 */
#define POOL_PLAY_NS_MAX (5 * LEAT_NS_PER_MS)
struct pool_play_drawn {
    struct pool_play play; /* first */
    struct leat_rng rng;
    uint64_t delay_ns_max; /* a slow disk has more */
};
int pool_play_drawn(struct leat_loop *loop, struct pool_play_drawn *drawn, struct fs_sys *sys,
                    uint64_t seed) LEAT_MUST_CHECK;

#endif
