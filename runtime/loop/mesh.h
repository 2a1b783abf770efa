/* What the loops of a mesh have in common; a loop without a mesh has one of its own. For what is
 * there once for all cores and is no global: the pool of threads. Internal to the library: not
 * installed. */
#ifndef LEAT_LOOP_COMMON_H
#define LEAT_LOOP_COMMON_H

#include <pthread.h>
#include <stdatomic.h>

#include <leat/loop.h>

#include "runtime/base/topology.h"

struct pool;

struct loop_common {
    pthread_mutex_t lock;          /* of pinned_cpus and pool */
    struct cpu_mask pinned_cpus;   /* those that a loop is pinned to */
    _Atomic uint32_t pinned_count; /* loops that were noted there: who placed itself looks again */
    struct pool *pool;             /* runtime/os: NULL while no loop of these needs it */
};

void loop_common_init(struct loop_common *common);
void loop_common_fini(struct loop_common *common);

/* Valid as long as the loop. */
struct loop_common *loop_common(struct leat_loop *loop);

#endif
