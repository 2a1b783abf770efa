/* Scenarios: what the hosts of a simulated world do with TCP, and what must hold of it.
 *
 * A run is a client and a server host, at least 50 connections (flows), and at least 10 faults, all
 * from one seed. The seed chooses a scenario, and further kinds of faults on top of those that the
 * scenario is about. Each flow carries a known byte at each position in both directions.
 *
 * Checked, all the time: bytes arrive identical and in order, both ways; on_open comes first,
 * on_end once, on_close exactly once and last, with a reason that the scenario allows; what
 * sim_check_host looks at; nothing is sent beyond the window that the peer promised, nothing
 * acknowledged that was not sent (sim_observe.c). After the faults every flow finishes, within a
 * bounded number of frames, and at the end what sim_check_rest looks at. */
#ifndef LEAT_SIM_PLAY_H
#define LEAT_SIM_PLAY_H

#include "net/sim/sim.h"

#define PLAY_FLOWS_MIN  50
#define PLAY_FAULTS_MIN 10

struct play_options {
    uint64_t seed;
    const char *scenario;  /* NULL: chosen by the seed */
    const char *faults;    /* NULL: the seed's; else a list: "client drop 3 7, server delay 5" */
    const char *pcap_path; /* NULL: none */
    bool verbose;          /* what the hosts log is shown; else only errors */
};

struct play_result {
    unsigned violation_count;
    char sentence[SIM_SENTENCE_BYTES];
    const char *scenario;
    uint64_t frame_count, fault_count, flow_count;
    uint64_t retransmitted, rtos, undone, predicted, segments;
};

void play_seed(const struct play_options *options, struct play_result *result);

/* Name of scenario i; NULL past the last. */
const char *play_scenario(unsigned i);
/* Of what options may say; NULL is good. */
bool play_is_known(const char *scenario);
bool play_faults_are_good(const char *faults);

#endif
