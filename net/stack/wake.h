/* What ends a sleep: whether a queue's interrupt is believed to come. One core's, of its queue.
 *
 * A driver that says it has a receive interrupt may be wrong: for all queues, for one, or from some
 * moment on. So sleep is bounded by WAKE_NAP_NS, with the interrupt enabled all the same, until an
 * interrupt has ended a sleep that had frames. Frames that a sleep ends with and no interrupt end
 * the belief: WAKE_PROOFS_MAX bounds how many interrupts in a row it then takes, twice as many each
 * time, so that a port that wakes now and then is soon a port that naps.
 *
 * A believed interrupt that fails is found out when the loop wakes of its own accord, which it does
 * every WAKE_LOOK_NS.
 *
 * A sleep shorter than WAKE_SLEEP_NS proves nothing against: its frames may have come when it was
 * ending anyway. */
#ifndef LEAT_WAKE_H
#define LEAT_WAKE_H

#include "net/port/port.h"

#define WAKE_NAP_NS     LEAT_NS_PER_MS
#define WAKE_LOOK_NS    LEAT_NS_PER_S
#define WAKE_SLEEP_NS   (200 * LEAT_NS_PER_US)
#define WAKE_PROOFS_MAX 64
#define WAKE_DEAF       16 /* misses in a row until the log says so */

enum wake_state {
    WAKE_POLLED,   /* nothing ends a sleep: naps */
    WAKE_SURE,     /* the kernel's own descriptor does */
    WAKE_ON_TRIAL, /* an interrupt is claimed, and naps are bounded */
    WAKE_BELIEVED,
    WAKE_DISPROVED, /* it was missed, and naps are bounded until it has proved itself again */
};

struct wake {
    uint8_t state;  /* enum wake_state */
    bool is_asleep; /* between arm and disarm, with a claim */
    bool is_due;    /* the next poll judges the sleep */
    bool has_fired; /* ... which the interrupt ended, or did not */
    bool has_said;
    uint32_t proofs, proofs_wanted; /* in a row */
    uint32_t misses;                /* since the last proof */
    uint64_t armed_ns;
};

void wake_init(struct wake *w, const struct leat_port *port);
/* After the port's arm: bounds the nap that it allows; returns whether its descriptor is doubted.
 */
bool wake_armed(struct wake *w, struct leat_port_nap *nap, uint64_t now_ns);
void wake_disarmed(struct wake *w, bool has_fired, uint64_t now_ns);
/* Judges the last sleep by what the first poll after it found. */
void wake_judge(struct wake *w, unsigned frame_count);

#endif
