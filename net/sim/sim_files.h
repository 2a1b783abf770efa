/* Files in a simulated world: a loop whose pool is played. A job runs on the disk in memory when it
 * is submitted, and is told at a virtual time that is drawn, and so in a drawn order. */
#ifndef LEAT_SIM_FILES_H
#define LEAT_SIM_FILES_H

#include "net/sim/sim_disk.h"
#include "runtime/os/pool_play.h"

struct sim_files {
    struct pool_play play; /* first */
    struct leat_rng rng;
    uint64_t delay_ns_max; /* of a job; a slow disk has more */
};

/* Before loop's first operation; files and disk must outlive it. disk NULL: the machine's files. 0,
 * or -ENOMEM. */
int sim_files_play(struct sim_files *files, struct leat_loop *loop, struct sim_disk *disk,
                   uint64_t seed) LEAT_MUST_CHECK;

#endif
