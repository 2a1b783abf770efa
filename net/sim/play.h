/* Scenarios: what the hosts of a simulated world do with TCP, and what must hold of it.
 *
 * A run is a client and a server host, at least 50 flows, and faults for a while, all from one
 * seed. Each flow carries a known byte at each position in both directions. Checked: bytes arrive
 * identical and in order, both ways; on_open comes first, on_end once, on_close exactly once and
 * last, with the reason that the scenario allows; after the faults every flow finishes; the
 * connections' own invariants (tcp_validate), the table's recount; nothing is sent beyond the
 * window that the peer promised; buffers are conserved. */
#ifndef LEAT_SIM_PLAY_H
#define LEAT_SIM_PLAY_H

#include "net/sim/sim.h"

struct play_result {
    unsigned violation_count;
    char sentence[SIM_SENTENCE_BYTES];
    uint64_t frame_count, fault_count, flow_count;
    uint64_t retransmitted, rtos, undone, predicted, segments;
};

/* scenario NULL: chosen by the seed. False: no scenario of that name. */
bool play_seed(uint64_t seed, const char *scenario, const char *pcap_path,
               struct play_result *result);
/* Name of scenario i; NULL past the last. */
const char *play_scenario(unsigned i);

#endif
