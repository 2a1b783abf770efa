/* Opening and closing a port: the device, what it says of itself. */
#include "net/port/dpdk/setup.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#define LINK_BYTES  22 /* Ethernet header, VLAN tag, checksum */
#define MTU_DEFAULT 1500
#define MTU_MAX     9600

static unsigned mtu_wanted(const struct port_options *o)
{
    return o->mtu_bytes != 0 ? o->mtu_bytes : MTU_DEFAULT;
}

static uint16_t room_of(unsigned mtu_bytes)
{
    unsigned room = mtu_bytes + LINK_BYTES;
    return (uint16_t)(RTE_PKTMBUF_HEADROOM + (room < 2048 ? 2048 : (room + 63) & ~63u));
}

/* Of a head: headers and the payload of a whole packet. memif's driver is quick where this is no
 * more than its own buffers' 2048 bytes. */
static uint16_t head_room_of(unsigned mtu_bytes)
{
    unsigned room = (LEAT_PORT_HEAD_BYTES - 256 + mtu_bytes + 63) & ~63u;
    return (uint16_t)(RTE_PKTMBUF_HEADROOM +
                      (room < LEAT_PORT_HEAD_BYTES ? LEAT_PORT_HEAD_BYTES : room));
}

static uint64_t pool_bytes(const struct port_options *o)
{
    uint64_t buffer = sizeof(struct rte_mbuf) + room_of(mtu_wanted(o)) + 128;
    return o->queue_count * (DPDK_RX_BUFFERS + DPDK_HEADS + DPDK_SLICES / 8) * buffer;
}

/* ---- device ---- */

static int fail_no_driver(const struct opening *o)
{
    const struct dpdk_device *d = &o->device;
    if (d->package != NULL)
        return o->host->fail(o->error, -ENOENT,
                             "DPDK's driver %s is not installed: sudo apt install %s", d->driver,
                             d->package);
    return o->host->fail(o->error, -ENOENT,
                         "DPDK has no driver for %s, or it is not installed: mind the spelling "
                         "(net_ring0, net_tap1 ...); apt search librte-net lists the packages",
                         d->name);
}

static int device_add(struct opening *o)
{
    const struct dpdk_device *d = &o->device;
    struct dpdk_port *port = o->port;
    char what[128];
    snprintf(port->bus, sizeof(port->bus), "%s", d->is_pci ? "pci" : "vdev");
    snprintf(port->device, sizeof(port->device), "%s", d->name);
    snprintf(what, sizeof(what), "cannot open %s:%s", o->options->kind, o->options->where);
    if (!d->is_pci) { /* cards were looked for when DPDK started, and the log has why not */
        dpdk_log_clear();
        int result = rte_eal_hotplug_add(port->bus, d->name, d->args);
        if (result < 0 && strstr(dpdk_log_text(), "failed to parse device") != NULL)
            return fail_no_driver(o);
        if (result < 0)
            return dpdk_fail(o->host, o->error, result, what);
        port->is_added = true;
    }
    if (rte_eth_dev_get_port_by_name(d->name, &port->id) < 0)
        return dpdk_fail(o->host, o->error, -ENODEV, what);
    int result = rte_eth_dev_info_get(port->id, &o->info);
    return result < 0 ? dpdk_fail(o->host, o->error, result, what) : 0;
}

static int mtu_settle(struct opening *o)
{
    unsigned most = o->info.max_mtu;
    if (o->info.max_rx_pktlen > 18 && o->info.max_rx_pktlen - 18 < most)
        most = o->info.max_rx_pktlen - 18;
    if (most > MTU_MAX)
        most = MTU_MAX;
    o->mtu_bytes = mtu_wanted(o->options);
    if (o->mtu_bytes > most)
        return o->host->fail(o->error, -EINVAL,
                             "an MTU of %u is more than the driver %s can: at most %u",
                             o->mtu_bytes, o->info.driver_name, most);
    o->room_bytes = room_of(o->mtu_bytes);
    o->head_room_bytes = head_room_of(o->mtu_bytes);
    return 0;
}

/* ---- what the port is ---- */

/* The kernel's card takes the multicast groups that the kernel has joined; neighbour discovery
 * needs more. The membership ends with the descriptor, however the process ends. */
static void hear_multicast(struct opening *o)
{
    if (!o->device.is_hearing_all) {
        rte_eth_allmulticast_enable(o->port->id);
        return;
    }
    struct packet_mreq request = {.mr_ifindex = (int)if_nametoindex(o->device.interface),
                                  .mr_type = PACKET_MR_ALLMULTI};
    o->port->membership_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (o->port->membership_fd >= 0 &&
        setsockopt(o->port->membership_fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request,
                   sizeof(request)) < 0) {
        close(o->port->membership_fd);
        o->port->membership_fd = -1;
    }
}

/* A card may drop tags that it was not told of (virtio-net does): ours, or else all are taken. */
static void hear_vlan(const struct opening *o)
{
    uint16_t id = o->port->id;
    if (o->options->vlan == 0 || !o->device.is_pci)
        return;
    if (!(o->features & DPDK_FEATURE_VLAN_FILTER) ||
        rte_eth_dev_vlan_filter(id, o->options->vlan, 1) < 0)
        rte_eth_promiscuous_enable(id);
}

static void rss_table_read(struct opening *o)
{
    struct dpdk_port *port = o->port;
    struct leat_port_info *info = &port->port.info;
    struct rte_eth_rss_reta_entry64 groups[RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE];
    unsigned count = o->info.reta_size;
    if (port->queue_count < 2 || count == 0 || count > RTE_ETH_RSS_RETA_SIZE_512 ||
        (count & (count - 1)) != 0)
        return;
    memset(groups, 0, sizeof(groups));
    for (unsigned i = 0; i < count / RTE_ETH_RETA_GROUP_SIZE; i++)
        groups[i].mask = UINT64_MAX;
    if (rte_eth_dev_rss_reta_query(port->id, groups, (uint16_t)count) < 0)
        return;
    for (unsigned i = 0; i < count; i++)
        port->rss_table[i] = groups[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
    info->rss_table = port->rss_table;
    info->rss_table_count = (uint16_t)count;
    info->can |= LEAT_PORT_CAN_RSS;
}

static uint32_t can_of(const struct opening *o)
{
    static const struct {
        uint32_t feature, can;
    } claims[] = {
        {DPDK_FEATURE_RX_IP, LEAT_PORT_CAN_RX_IP_CHECKSUM},
        {DPDK_FEATURE_RX_L4, LEAT_PORT_CAN_RX_L4_CHECKSUM},
        {DPDK_FEATURE_TX_IP, LEAT_PORT_CAN_TX_IP_CHECKSUM},
        {DPDK_FEATURE_TX_L4, LEAT_PORT_CAN_TX_L4_CHECKSUM},
        {DPDK_FEATURE_TSO, LEAT_PORT_CAN_TSO},
        {DPDK_FEATURE_SCATTER, LEAT_PORT_CAN_RX_SCATTER},
    };
    uint32_t can = 0;
    for (unsigned i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
        can |= o->features & claims[i].feature ? claims[i].can : 0;
    return can;
}

/* Descriptors to sleep on. PCI interrupts are enabled before each sleep and counted by an eventfd;
 * those of tap are the device itself. */
static void interrupts_find(struct opening *o)
{
    for (unsigned i = 0; i < o->port->queue_count; i++) {
        struct dpdk_queue *q = &o->port->queues[i];
        q->interrupt_fd = o->features & DPDK_FEATURE_INTERRUPT
                              ? rte_eth_dev_rx_intr_ctl_q_get_fd(o->port->id, (uint16_t)i)
                              : -1;
        q->is_interrupt_on_demand = o->device.is_pci && q->interrupt_fd >= 0;
        if (q->is_interrupt_on_demand &&
            rte_eth_dev_rx_intr_disable(o->port->id, (uint16_t)i) < 0) {
            q->interrupt_fd = -1;
            q->is_interrupt_on_demand = false;
        }
    }
}

static int port_describe(struct opening *o)
{
    struct dpdk_port *port = o->port;
    struct leat_port_info *info = &port->port.info;
    struct rte_ether_addr mac;
    int result = rte_eth_macaddr_get(port->id, &mac);
    if (result < 0)
        return dpdk_fail(o->host, o->error, result, "the card says no address");
    memcpy(info->mac, mac.addr_bytes, sizeof(info->mac));
    if (o->device.has_own_mac)
        o->host->random_mac(info->mac);
    if (o->device.has_own_mac && o->options->is_mac_given)
        memcpy(info->mac, o->options->mac, sizeof(info->mac));
    info->driver = o->info.driver_name;
    info->can = can_of(o);
    port->is_scattered = (o->features & DPDK_FEATURE_SCATTER) != 0;
    info->refused = features_format(o->refused, port->refused, sizeof(port->refused));
    info->tso_bytes_max = 65535 - 256;
    info->slices_max = LEAT_PORT_SLICES_MAX;
    unsigned most = o->info.tx_desc_lim.nb_mtu_seg_max;
    if (most > 1 && most - 1 < info->slices_max)
        info->slices_max = (uint16_t)(most - 1);
    info->mtu_bytes_max = info->inline_bytes_max = (uint16_t)o->mtu_bytes;
    info->rx_queue_count = info->tx_queue_count = (uint16_t)port->queue_count;
    info->rx_buffers_count = DPDK_RX_BUFFERS - port->rx_descriptors;
    info->link_kind = LEAT_LINK_ETHERNET;
    for (unsigned i = 0; i < port->queue_count; i++)
        if (port->queues[i].interrupt_fd >= 0)
            info->wake =
                port->queues[i].is_interrupt_on_demand ? LEAT_WAKE_INTERRUPT : LEAT_WAKE_DEVICE;
    rss_table_read(o);
    port->can_clean = rte_eth_tx_done_cleanup(port->id, 0, 0) >= 0;
    return 0;
}

static int mac_set(struct opening *o)
{
    struct rte_ether_addr mac, now;
    if (!o->options->is_mac_given || o->device.has_own_mac)
        return 0;
    memcpy(mac.addr_bytes, o->options->mac, sizeof(mac.addr_bytes));
    if (rte_eth_macaddr_get(o->port->id, &now) == 0 && rte_is_same_ether_addr(&mac, &now))
        return 0;
    int result = rte_eth_dev_default_mac_addr_set(o->port->id, &mac);
    return result < 0
               ? o->host->fail(o->error, result, "the driver %s cannot take the address of --mac",
                               o->info.driver_name)
               : 0;
}

static int relay_start(struct opening *o)
{
    int result = o->device.is_relayed ? dpdk_relay_start(o->port, &o->device) : 0;
    if (result == -ECONNREFUSED)
        return o->host->fail(o->error, result,
                             "nobody serves %s: start the other side first, with --net "
                             "memif:%s,server",
                             o->options->where, o->options->where);
    return result < 0 ? o->host->fail(o->error, result, "memif's socket %s cannot be used: %s",
                                      o->device.peer_path, strerror(-result))
                      : 0;
}

static int device_start(struct opening *o)
{
    int result = relay_start(o);
    if (result < 0)
        return result;
    result = dpdk_setup(o);
    if (result < 0)
        return result;
    dpdk_relay_await(o->port);
    interrupts_find(o);
    hear_multicast(o);
    hear_vlan(o);
    if (o->device.interface != NULL)
        dpdk_interface_watch(o->port, o->device.interface);
    if (o->device.is_pci)
        dpdk_unplug_watch(o->port);
    result = mac_set(o);
    return result < 0 ? result : port_describe(o);
}

/* ---- open, close ---- */

static int open_steps(struct opening *o)
{
    int (*const steps[])(struct opening *) = {device_add, mtu_settle, device_start};
    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int result = steps[i](o);
        if (result < 0)
            return result;
    }
    return 0;
}

/* The two ends of a memif must agree, and an interface has one queue unless it was told otherwise:
 * more are for who asks for them. */
static unsigned queues_wanted(const struct port_options *o)
{
    bool is_lone = strcmp(o->kind, "memif") == 0 || strcmp(o->kind, "xdp") == 0;
    return is_lone && !o->is_queue_count_given ? 1 : o->queue_count;
}

static struct leat_port *dpdk_open(const struct dpdk_host *host, const struct port_options *wanted,
                                   struct leat_error *error)
{
    struct port_options settled = *wanted;
    const struct port_options *options = &settled;
    settled.queue_count = queues_wanted(wanted);
    struct opening o = {.host = host, .options = options, .error = error};
    if (dpdk_device_of(host, options, &o.device, error) < 0 ||
        dpdk_eal_start(host, &o.device, pool_bytes(options), error) < 0)
        return NULL;
    size_t bytes = sizeof(struct dpdk_port) + options->queue_count * sizeof(struct dpdk_queue);
    o.port = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (o.port == NULL) {
        host->fail(error, -ENOMEM, "no memory for the port");
        dpdk_eal_end();
        return NULL;
    }
    memset(o.port, 0, bytes);
    o.port->port.ops = &dpdk_port_ops;
    o.port->host = host;
    o.port->id = RTE_MAX_ETHPORTS;
    o.port->membership_fd = o.port->control_fd = -1;
    o.port->queue_count = options->queue_count;
    for (unsigned i = 0; i < options->queue_count; i++)
        o.port->queues[i].port = o.port;
    dpdk_quiet_begin();
    int result = open_steps(&o);
    dpdk_quiet_end();
    if (result < 0) {
        dpdk_port_close(&o.port->port);
        return NULL;
    }
    return &o.port->port;
}

/* What was lent for sending must have come back by now. (A driver may keep receive buffers in its
 * ring for good.) */
static void pool_free(struct rte_mempool *pool, bool *is_leaking)
{
    if (pool != NULL && rte_mempool_in_use_count(pool) != 0)
        *is_leaking = true;
    rte_mempool_free(pool);
}

static bool pools_free(struct dpdk_port *port)
{
    bool is_leaking = false;
    for (unsigned i = 0; i < port->queue_count; i++) {
        struct dpdk_queue *q = &port->queues[i];
        rte_pktmbuf_free_bulk(q->spares, q->spare_count);
        rte_pktmbuf_free_bulk(q->found, q->found_count);
        pool_free(q->head_pool, &is_leaking);
        pool_free(q->slice_pool, &is_leaking);
        rte_mempool_free(q->rx_pool);
        is_leaking = is_leaking || q->stats.rx_held_count != 0;
    }
    return is_leaking;
}

void dpdk_device_close(struct dpdk_port *port)
{
    if (port->is_started)
        rte_eth_dev_stop(port->id);
    if (port->id != RTE_MAX_ETHPORTS)
        rte_eth_dev_close(port->id);
    if (port->is_added || atomic_load(&port->is_gone))
        rte_eal_hotplug_remove(port->bus, port->device);
    port->is_started = port->is_added = false;
    port->id = RTE_MAX_ETHPORTS;
}

void dpdk_port_close(struct leat_port *leat_port)
{
    struct dpdk_port *port = dpdk_of(leat_port);
    dpdk_quiet_begin();
    dpdk_unplug_end(port);
    dpdk_relay_end(port);
    if (!atomic_load(&port->is_gone) || port->interface_index != 0)
        dpdk_device_close(port);
    dpdk_quiet_end();
    if (pools_free(port))
        fprintf(stderr, "leat: packet buffers of %s were never freed\n", port->device);
    if (port->membership_fd >= 0)
        close(port->membership_fd);
    if (port->control_fd >= 0)
        close(port->control_fd);
    dpdk_eal_end();
    free(port);
}

extern const struct dpdk_module leat_dpdk_module;
LEAT_API const struct dpdk_module leat_dpdk_module = {.abi = DPDK_MODULE_ABI, .open = dpdk_open};
