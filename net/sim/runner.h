/* Plays many seeds in several processes: a seed that crashes or does not end is a violation like
 * any other, and the rest go on. */
#ifndef LEAT_SIM_RUNNER_H
#define LEAT_SIM_RUNNER_H

#include "net/sim/play.h"

#define RUNNER_JOBS_MAX   64
#define RUNNER_SEED_CPU_S 20 /* of one seed: more does not end */
#define RUNNER_PROGRESS_S 10
#define RUNNER_FAILED_MAX 25 /* violations after which no further seeds are played */

struct runner_options {
    uint64_t from, count;
    const char *scenario, *faults, *pcap;
    unsigned jobs;       /* processes; 0: one for each CPU */
    unsigned failed_max; /* 0: RUNNER_FAILED_MAX */
    bool verbose;
};

struct runner_tally {
    uint64_t seeds, failed, frames, faults, flows;
    uint64_t flows_least, faults_least; /* of any seed */
};

/* Prints violations, each with the command that plays it again, and progress to the standard error
 * stream. False: no process could be started. */
bool runner_run(const struct runner_options *options, struct runner_tally *total);

/* One seed, in this process. */
void runner_play(const struct runner_options *options, uint64_t seed, struct runner_tally *tally);

#endif
