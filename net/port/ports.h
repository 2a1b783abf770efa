/* Opening ports: what all kinds are asked for. Set-up thread, before any loop polls; the port is
 * closed with ops->close when no core uses it any more. Internal: not installed. */
#ifndef LEAT_PORTS_H
#define LEAT_PORTS_H

#include <leat/error.h>

#include "net/port/port.h"

struct port_options {
    const char *kind;          /* as --net says it: "tun", "memif" */
    const char *where;         /* what stands behind the kind: a device, an interface, a path */
    unsigned queue_count;      /* at least 1: one for each loop, if the device has so many */
    bool is_queue_count_given; /* by the user: neither more nor fewer */
    uint16_t vlan;             /* that all frames will be tagged with; 0: untagged ones */
    unsigned mtu_bytes;        /* 0: what the device has, or 1500 */
    uint8_t mac[6];            /* all zero: the device's, or a random one */
    bool is_mac_given;
};

/* A TAP device of the kernel's, by name; it is made if it does not exist. NULL with error filled.
 */
struct leat_port *tun_port_open(const struct port_options *options, struct leat_error *error);

/* The kinds that DPDK drives: pci, xdp, packet, tap, memif, dpdk. Its module is loaded for it, once
 * in a process. NULL with error filled: also when the module or DPDK is not installed. */
struct leat_port *dpdk_port_open(const struct port_options *options, struct leat_error *error);

/* A simulated world, its seed behind the colon; not installed, but beside the command where that
 * was built. NULL with error filled. */
struct leat_port *simulator_port_open(const struct port_options *options, struct leat_error *error);

/* Whether dpdk_port_open would find the module and DPDK; loads them. 0, or -errno with a sentence.
 */
int dpdk_module_check(struct leat_error *error) LEAT_MUST_CHECK;

/* A random unicast address that is locally administered. */
void port_random_mac(uint8_t mac[6]);

#endif
