/* The flows that tables of flows are measured with: flow_table.c, rte_hash.c. */
#ifndef BENCH_FLOWS_H
#define BENCH_FLOWS_H

#include "net/stack/tcp/table.h"

#define BURST 32

/* Clients of a /8 that come to one address and port. */
static inline struct tcp_flow flow_of(uint64_t index)
{
    return (struct tcp_flow){
        .local = ip_addr_v4(be32_put(0xc0a80001)),
        .remote = ip_addr_v4(be32_put(0x0a000000 + (uint32_t)(index / 28000))),
        .local_port = be16_put(80),
        .remote_port = be16_put((uint16_t)(32768 + index % 28000)),
    };
}

#endif
