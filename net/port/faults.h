/* A port that wraps a port and treats its packets badly: for tests and for people who want to see
 * how a program behaves on a bad link. --net-faults opens it.
 *
 * Each direction of each queue has its own random numbers from the seed, so that the n-th packet of
 * a direction meets the same fate in every run. A packet is lost, or passes; then it is sent twice,
 * or held back until up to FAULTS_BEHIND_MAX later ones have passed, at most FAULTS_HOLD_NS. Large
 * segments (TSO) share one fate. A frame in several buffers is only lost, never held or doubled.
 *
 * Bounds: FAULTS_HELD_MAX packets of a direction and queue are held, FAULTS_COPIES frames that came
 * twice are out; beyond either packets pass as they are. What is held when a thread leaves the port
 * is sent, or given back. Internal: not installed. */
#ifndef LEAT_FAULTS_H
#define LEAT_FAULTS_H

#include "net/port/port.h"

#define FAULTS_HELD_MAX   16
#define FAULTS_BEHIND_MAX 8
#define FAULTS_HOLD_NS    (2 * LEAT_NS_PER_MS)
#define FAULTS_COPIES     64

/* Chances in a million. */
struct faults_options {
    uint32_t loss, reorder, duplicate;
    uint64_t seed; /* not 0 */
};

/* Reads "loss=1%,reorder=0.5%,duplicate=2%,seed=7"; what is left out is 0, the seed 1. Returns 0,
 * or -EINVAL with a sentence. */
int faults_parse(struct faults_options *options, const char *text, struct leat_error *error);

/* Owns inner from now on, and closes it with itself. NULL with error filled: inner stays the
 * caller's. Set-up thread. */
struct leat_port *faults_port_new(struct leat_port *inner, const struct faults_options *options,
                                  struct leat_error *error);

#endif
