/* What of a driver's features a port asks for together, and how they are given up one by one when
 * the driver refuses. Pure: includes nothing of DPDK's, so that the tests of machines without it
 * run it too. Internal: not installed.
 *
 * A driver that lists a feature may refuse it all the same, or refuse two that it lists beside each
 * other: which is found by asking. */
#ifndef LEAT_DPDK_FEATURES_H
#define LEAT_DPDK_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#include <leat/defs.h>

/* name, word, what else must be there. Given up in this order: from what is missed least. */
#define DPDK_FEATURES(X)                                                                           \
    X(RSS_HASH, "rss-hash", DPDK_FEATURE_RSS)                                                      \
    X(TSO, "tso", DPDK_FEATURE_TX_L4 | DPDK_FEATURE_MULTI_SEGS)                                    \
    X(TX_IP, "tx-ip-checksum", 0)                                                                  \
    X(TX_L4, "tx-checksum", 0)                                                                     \
    X(RX_IP, "rx-ip-checksum", 0)                                                                  \
    X(RX_L4, "rx-checksum", 0)                                                                     \
    X(INTERRUPT, "interrupts", 0)                                                                  \
    X(RSS, "rss", DPDK_FEATURE_QUEUES)                                                             \
    X(MULTI_SEGS, "multi-segs", 0)                                                                 \
    X(VLAN_FILTER, "vlan-filter", 0)                                                               \
    X(SCATTER, "scatter", 0)                                                                       \
    X(QUEUES, "queues", 0)

enum dpdk_feature_number {
#define LEAT_X(name, word, needs) DPDK_FEATURE_NUMBER_##name,
    DPDK_FEATURES(LEAT_X)
#undef LEAT_X
        DPDK_FEATURE_COUNT
};

/* A set of these is what is asked for. QUEUES: as many as were wanted, not one. */
enum dpdk_feature {
#define LEAT_X(name, word, needs) DPDK_FEATURE_##name = 1 << DPDK_FEATURE_NUMBER_##name,
    DPDK_FEATURES(LEAT_X)
#undef LEAT_X
};

/* The largest part of wanted in which nothing lacks what it needs. */
uint32_t features_fit(uint32_t wanted);

/* Tries to set the device up with a set; 0, or -errno. After a failure it is called again. */
typedef int features_attempt_fn(void *arg, uint32_t features);

/* Asks for wanted; when that fails gives features up until an attempt works, and takes back each
 * that was not the reason. kept: features that the user named, never given up. Returns 0 with *got,
 * of which the last attempt was; or what the last, with no more than kept, failed of. At most
 * 2 * DPDK_FEATURE_COUNT + 2 attempts. */
int features_settle(uint32_t wanted, uint32_t kept, features_attempt_fn *attempt, void *arg,
                    uint32_t *got) LEAT_MUST_CHECK;

/* "rss-hash, tso"; "" for none. Cut at size. */
char *features_format(uint32_t wanted, char *text, size_t size);

#endif
