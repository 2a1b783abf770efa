/* When the jobs of a simulated world are told. */
#include "net/sim/sim_files.h"

#include "runtime/base/list.h"

#define DELAY_NS_MAX (5 * LEAT_NS_PER_MS)

static uint64_t files_delay(struct pool_play *play)
{
    struct sim_files *files = container_of(play, struct sim_files, play);
    return rng_below(&files->rng, files->delay_ns_max + 1);
}

int sim_files_play(struct sim_files *files, struct leat_loop *loop, struct sim_disk *disk,
                   uint64_t seed)
{
    *files = (struct sim_files){.play = {.delay_ns = files_delay,
                                         .sys = disk != NULL ? &disk->sys : NULL},
                                .delay_ns_max = DELAY_NS_MAX};
    rng_init(&files->rng, seed);
    return pool_play_set(loop, &files->play);
}
