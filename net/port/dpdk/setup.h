/* A port while it is opened: open.c finds the device and says what it is, setup.c makes pools and
 * queues and starts it. Set-up thread. */
#ifndef LEAT_DPDK_SETUP_H
#define LEAT_DPDK_SETUP_H

#include "net/port/dpdk/dpdk_internal.h"
#include "net/port/dpdk/features.h"

struct opening {
    const struct dpdk_host *host;
    const struct port_options *options;
    struct leat_error *error;
    struct dpdk_device device;
    struct dpdk_port *port;
    struct rte_eth_dev_info info;
    unsigned mtu_bytes;
    uint16_t room_bytes, head_room_bytes; /* of a frame, of a packet, in an mbuf */
    uint32_t features, refused;           /* enum dpdk_feature: what works, what did not */
};

/* Configures, makes pools and queues, and starts the device with as much of what it offers as it
 * takes. Returns 0 with features and refused, or -errno with a sentence. */
int dpdk_setup(struct opening *o) LEAT_MUST_CHECK;

#endif
