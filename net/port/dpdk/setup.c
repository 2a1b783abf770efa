/* Setting a device up: what is asked of it, pools, queues, start. */
#include "net/port/dpdk/setup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <rte_errno.h>

/* ---- what it offers ---- */

struct offload_row {
    uint32_t feature;
    uint64_t offloads; /* all of them, or the feature is not offered */
};

static const struct offload_row rx_rows[] = {
    {DPDK_FEATURE_RX_IP, RTE_ETH_RX_OFFLOAD_IPV4_CKSUM},
    {DPDK_FEATURE_RX_L4, RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM},
    {DPDK_FEATURE_RSS_HASH, RTE_ETH_RX_OFFLOAD_RSS_HASH},
    {DPDK_FEATURE_VLAN_FILTER, RTE_ETH_RX_OFFLOAD_VLAN_FILTER},
    {DPDK_FEATURE_SCATTER, RTE_ETH_RX_OFFLOAD_SCATTER},
};
static const struct offload_row tx_rows[] = {
    {DPDK_FEATURE_TX_IP, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM},
    {DPDK_FEATURE_TX_L4, RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM},
    {DPDK_FEATURE_TSO, RTE_ETH_TX_OFFLOAD_TCP_TSO},
    {DPDK_FEATURE_MULTI_SEGS, RTE_ETH_TX_OFFLOAD_MULTI_SEGS},
};
#define RX_ROWS (sizeof(rx_rows) / sizeof(rx_rows[0]))
#define TX_ROWS (sizeof(tx_rows) / sizeof(tx_rows[0]))

static uint32_t features_of(const struct offload_row *rows, unsigned count, uint64_t capa)
{
    uint32_t features = 0;
    for (unsigned i = 0; i < count; i++)
        features |= (capa & rows[i].offloads) == rows[i].offloads ? rows[i].feature : 0;
    return features;
}

static uint64_t offloads_of(const struct offload_row *rows, unsigned count, uint32_t features)
{
    uint64_t offloads = 0;
    for (unsigned i = 0; i < count; i++)
        offloads |= features & rows[i].feature ? rows[i].offloads : 0;
    return offloads;
}

/* Of a driver whose offloads are software's, or worse. */
#define UNTRUSTED                                                                                  \
    (DPDK_FEATURE_RX_IP | DPDK_FEATURE_RX_L4 | DPDK_FEATURE_RSS_HASH | DPDK_FEATURE_TX_IP |        \
     DPDK_FEATURE_TX_L4 | DPDK_FEATURE_TSO)

static uint64_t rss_functions(const struct opening *o)
{
    return o->info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
}

static unsigned rss_key_bytes(const struct opening *o)
{
    return o->info.hash_key_size != 0 ? o->info.hash_key_size : 40;
}

static uint32_t features_wanted(const struct opening *o)
{
    uint32_t wanted = features_of(rx_rows, RX_ROWS, o->info.rx_offload_capa) |
                      features_of(tx_rows, TX_ROWS, o->info.tx_offload_capa);
    if (!o->device.has_trusted_offloads)
        wanted &= ~(uint32_t)UNTRUSTED;
    if (o->device.is_pci) /* its DMA does not know our payload: packets are in one piece */
        wanted &= ~(uint32_t)(DPDK_FEATURE_MULTI_SEGS | DPDK_FEATURE_TSO);
    if (o->room_bytes <= RTE_PKTMBUF_HEADROOM + 2048)
        wanted &= ~(uint32_t)DPDK_FEATURE_SCATTER; /* every frame has room */
    if (o->options->vlan == 0 || !o->device.is_pci)
        wanted &= ~(uint32_t)DPDK_FEATURE_VLAN_FILTER;
    if (o->port->queue_count > 1)
        wanted |= DPDK_FEATURE_QUEUES;
    if (rss_functions(o) != 0 && rss_key_bytes(o) <= sizeof(o->port->port.info.rss_key))
        wanted |= DPDK_FEATURE_RSS;
    if (o->device.is_pci || strcmp(o->options->kind, "tap") == 0)
        wanted |= DPDK_FEATURE_INTERRUPT;
    return features_fit(wanted);
}

static int queues_count(struct opening *o)
{
    struct dpdk_port *port = o->port;
    unsigned most = o->info.max_rx_queues;
    most = o->info.max_tx_queues < most ? o->info.max_tx_queues : most;
    if (port->queue_count > most && most > 0 && !o->options->is_queue_count_given)
        port->queue_count = most; /* loops share them */
    if (port->queue_count > most)
        return o->host->fail(o->error, -EINVAL,
                             "%u queues are more than the driver %s has: %u to receive, %u to "
                             "send; choose --queues accordingly",
                             port->queue_count, o->info.driver_name, o->info.max_rx_queues,
                             o->info.max_tx_queues);
    return 0;
}

/* ---- pools ---- */

static struct rte_mempool *pool_new(const struct opening *o, const char *what, unsigned queue,
                                    unsigned count, uint16_t private_bytes, uint16_t room_bytes)
{
    char name[RTE_MEMPOOL_NAMESIZE];
    int node = rte_eth_dev_socket_id(o->port->id);
    snprintf(name, sizeof(name), "leat_%s_%u", what, queue);
    return rte_pktmbuf_pool_create(name, count, DPDK_POOL_CACHE, private_bytes, room_bytes, node);
}

static int pools_make(struct opening *o, unsigned queue, bool copies)
{
    struct dpdk_queue *q = &o->port->queues[queue];
    uint16_t slice_bytes = (uint16_t)((sizeof(struct dpdk_slice) + 63) & ~(size_t)63);
    q->rx_pool = pool_new(o, "rx", queue, DPDK_RX_BUFFERS, 0, o->room_bytes);
    q->head_pool = pool_new(o, "head", queue, DPDK_HEADS, 0, o->head_room_bytes);
    q->slice_pool = copies ? NULL : pool_new(o, "slice", queue, DPDK_SLICES, slice_bytes, 0);
    if (q->rx_pool == NULL || q->head_pool == NULL || (!copies && q->slice_pool == NULL))
        return o->host->fail(o->error, -ENOMEM,
                             "DPDK has no memory for the buffers of queue %u (%s): reserve more "
                             "hugepages, or use fewer queues",
                             queue, rte_strerror(rte_errno));
    return 0;
}

/* Gives back what the features that work have no use for. */
static void pools_shed(struct opening *o)
{
    struct dpdk_port *port = o->port;
    unsigned count = o->features & DPDK_FEATURE_QUEUES ? port->queue_count : 1;
    for (unsigned i = 0; i < port->queue_count; i++) {
        struct dpdk_queue *q = &port->queues[i];
        if (i >= count || !(o->features & DPDK_FEATURE_MULTI_SEGS)) {
            rte_mempool_free(q->slice_pool);
            q->slice_pool = NULL;
        }
        if (i < count)
            continue;
        rte_mempool_free(q->rx_pool);
        rte_mempool_free(q->head_pool);
        q->rx_pool = q->head_pool = NULL;
    }
    port->queue_count = count;
}

/* ---- one attempt ---- */

static int device_configure(struct opening *o, uint32_t features, uint16_t queues)
{
    struct rte_eth_conf conf = {
        .rxmode = {.mtu = o->mtu_bytes, .offloads = offloads_of(rx_rows, RX_ROWS, features)},
        .txmode = {.offloads = offloads_of(tx_rows, TX_ROWS, features)},
        .intr_conf = {.rxq = (features & DPDK_FEATURE_INTERRUPT) != 0},
    };
    if (features & DPDK_FEATURE_RSS) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_key = o->port->port.info.rss_key;
        conf.rx_adv_conf.rss_conf.rss_key_len = (uint8_t)rss_key_bytes(o);
        conf.rx_adv_conf.rss_conf.rss_hf = rss_functions(o);
    }
    int result = rte_eth_dev_configure(o->port->id, queues, queues, &conf);
    return result < 0 ? dpdk_fail(o->host, o->error, result, "the card cannot be set up") : 0;
}

static int queues_make(struct opening *o, uint32_t features, uint16_t queues)
{
    struct dpdk_port *port = o->port;
    uint16_t rx = DPDK_RX_DESCRIPTORS, tx = DPDK_TX_DESCRIPTORS;
    unsigned node = (unsigned)rte_eth_dev_socket_id(port->id);
    if (rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx) < 0)
        return o->host->fail(o->error, -EINVAL, "the driver %s says no ring size",
                             o->info.driver_name);
    port->rx_descriptors = rx;
    for (uint16_t i = 0; i < queues; i++) {
        struct rte_eth_rxconf rxconf = o->info.default_rxconf;
        struct rte_eth_txconf txconf = o->info.default_txconf;
        rxconf.offloads = offloads_of(rx_rows, RX_ROWS, features);
        txconf.offloads = offloads_of(tx_rows, TX_ROWS, features);
        int result =
            rte_eth_rx_queue_setup(port->id, i, rx, node, &rxconf, port->queues[i].rx_pool);
        if (result == 0)
            result = rte_eth_tx_queue_setup(port->id, i, tx, node, &txconf);
        if (result < 0)
            return dpdk_fail(o->host, o->error, result, "a queue of the card cannot be set up");
    }
    return 0;
}

static int setup_attempt(void *arg, uint32_t features)
{
    struct opening *o = arg;
    uint16_t queues = features & DPDK_FEATURE_QUEUES ? (uint16_t)o->port->queue_count : 1;
    if (o->port->is_started)
        rte_eth_dev_stop(o->port->id);
    o->port->is_started = false;
    dpdk_log_clear();
    int result = device_configure(o, features, queues);
    if (result == 0)
        result = queues_make(o, features, queues);
    if (result < 0)
        return result;
    result = rte_eth_dev_start(o->port->id);
    if (result < 0)
        return dpdk_fail(o->host, o->error, result, "the card cannot be started");
    o->port->is_started = true;
    return 0;
}

int dpdk_setup(struct opening *o)
{
    struct leat_port_info *info = &o->port->port.info;
    int result = queues_count(o);
    if (result < 0)
        return result;
    if (getrandom(info->rss_key, sizeof(info->rss_key), 0) != (ssize_t)sizeof(info->rss_key))
        return o->host->fail(o->error, -EIO, "the system gives no random numbers");
    uint32_t wanted = features_wanted(o);
    bool copies = !(wanted & DPDK_FEATURE_MULTI_SEGS);
    for (unsigned i = 0; i < o->port->queue_count && result == 0; i++)
        result = pools_make(o, i, copies);
    if (result < 0)
        return result;
    uint32_t kept = o->options->is_queue_count_given ? DPDK_FEATURE_QUEUES : 0;
    result = features_settle(wanted, kept, setup_attempt, o, &o->features);
    if (result < 0)
        return result;
    o->refused = wanted & ~o->features;
    pools_shed(o);
    return 0;
}
