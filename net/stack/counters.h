/* What a stack counts. */
#ifndef LEAT_STACK_COUNTERS_H
#define LEAT_STACK_COUNTERS_H

#include <stdint.h>

#include "net/stack/drops.h"

#define STACK_COUNTERS(X)                                                                          \
    X(rx_packets)                                                                                  \
    X(rx_bytes)                                                                                    \
    X(tx_packets)                                                                                  \
    X(tx_bytes)                                                                                    \
    X(arp_rx)                                                                                      \
    X(arp_tx)                                                                                      \
    X(nd_rx)                                                                                       \
    X(nd_tx)                                                                                       \
    X(icmp_rx)                                                                                     \
    X(icmp_tx)                                                                                     \
    X(udp_rx)                                                                                      \
    X(udp_tx)                                                                                      \
    X(tcp_rx)                                                                                      \
    X(tcp_tx)                                                                                      \
    X(reassembled)                                                                                 \
    X(fragments_rx)                                                                                \
    X(fragments_tx)                                                                                \
    X(looped)                                                                                      \
    X(parked)                                                                                      \
    X(steered_in)                                                                                  \
    X(steered_out)                                                                                 \
    X(relayed)

/* Tools read them by these names: net/watch/counters_blocks.c. */
struct stack_counters {
    uint64_t drops[STACK_DROP_COUNT];
#define LEAT_X(name) uint64_t name;
    STACK_COUNTERS(LEAT_X)
#undef LEAT_X
};

#endif
