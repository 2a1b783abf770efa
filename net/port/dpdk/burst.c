/* What a queue does for each burst. */
#include "net/port/dpdk/dpdk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_prefetch.h>

/* ---- receiving ---- */

static uint8_t ip_verdict(uint64_t flags)
{
    switch (flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
    case RTE_MBUF_F_RX_IP_CKSUM_GOOD:
        return LEAT_VERDICT_GOOD;
    case RTE_MBUF_F_RX_IP_CKSUM_BAD:
        return LEAT_VERDICT_BAD;
    case RTE_MBUF_F_RX_IP_CKSUM_NONE:
        return LEAT_VERDICT_NONE;
    default:
        return LEAT_VERDICT_UNKNOWN;
    }
}

static uint8_t l4_verdict(uint64_t flags)
{
    switch (flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
    case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
        return LEAT_VERDICT_GOOD;
    case RTE_MBUF_F_RX_L4_CKSUM_BAD:
        return LEAT_VERDICT_BAD;
    case RTE_MBUF_F_RX_L4_CKSUM_NONE:
        return LEAT_VERDICT_NONE;
    default:
        return LEAT_VERDICT_UNKNOWN;
    }
}

static void frame_fill(struct leat_frame *frame, struct rte_mbuf *m, unsigned queue)
{
    uint64_t flags = m->ol_flags;
    *frame = (struct leat_frame){
        .data = rte_pktmbuf_mtod(m, const uint8_t *),
        .handle = m,
        .length_bytes = m->data_len,
        .buffer_bytes = (uint32_t)m->buf_len + (uint32_t)sizeof(*m),
        .rss_hash = m->hash.rss,
        .ip_verdict = ip_verdict(flags),
        .l4_verdict = l4_verdict(flags),
        .flags = flags & RTE_MBUF_F_RX_RSS_HASH ? LEAT_FRAME_HASHED : 0,
        .queue = (uint8_t)queue,
    };
}

/* A frame in several buffers, each given back by itself; returns how many, 0: dropped. */
static unsigned chain_fill(struct dpdk_queue *q, struct leat_frame *frames, struct rte_mbuf *first,
                           unsigned queue)
{
    unsigned taken = 0;
    if (!q->port->is_scattered || first->nb_segs > DPDK_CHAIN_MAX) {
        q->stats.drops[LEAT_PORT_DROP_RX_TOO_LONG]++;
        rte_pktmbuf_free(first);
        return 0;
    }
    for (struct rte_mbuf *m = first, *next; m != NULL; m = next) {
        next = m->next;
        frame_fill(&frames[taken], m, queue);
        frames[taken].ip_verdict = ip_verdict(first->ol_flags);
        frames[taken].l4_verdict = l4_verdict(first->ol_flags);
        frames[taken++].flags |= next != NULL ? LEAT_FRAME_MORE : 0;
        q->stats.rx_bytes += m->data_len;
        m->next = NULL;
        m->nb_segs = 1;
    }
    return taken;
}

/* What arm found when it looked once more comes first. */
static unsigned mbufs_receive(struct dpdk_queue *q, unsigned queue, struct rte_mbuf **mbufs,
                              unsigned count)
{
    unsigned found = q->found_count < count ? q->found_count : count;
    if (likely(found == 0))
        return rte_eth_rx_burst(q->port->id, (uint16_t)queue, mbufs, (uint16_t)count);
    for (unsigned i = 0; i < found; i++)
        mbufs[i] = q->found[i];
    q->found_count -= found;
    for (unsigned i = 0; i < q->found_count; i++)
        q->found[i] = q->found[found + i];
    return found;
}

static unsigned dpdk_poll(struct leat_port *leat_port, unsigned queue, struct leat_frame *frames,
                          unsigned count)
{
    struct dpdk_port *port = dpdk_of(leat_port);
    struct dpdk_queue *q = &port->queues[queue];
    struct rte_mbuf *mbufs[LEAT_PORT_BURST];
    unsigned taken = 0, dropped = 0;
    if (unlikely(!dpdk_gate_is_open(q)))
        return 0;
    if (count > LEAT_PORT_BURST)
        count = LEAT_PORT_BURST;
    if (unlikely(port->is_scattered)) /* each may be a chain; a chain finds room or is not read */
        count /= DPDK_CHAIN_MAX;
    unsigned received = mbufs_receive(q, queue, mbufs, count);
    for (unsigned i = 0; i < received; i++)
        rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], const void *));
    for (unsigned i = 0; i < received; i++) {
        struct rte_mbuf *m = mbufs[i];
        if (unlikely(m->nb_segs != 1)) {
            unsigned pieces = chain_fill(q, &frames[taken], m, queue);
            dropped += pieces == 0;
            taken += pieces;
            continue;
        }
        frame_fill(&frames[taken++], m, queue);
        q->stats.rx_bytes += m->data_len;
    }
    q->stats.rx_count += received - dropped;
    q->stats.rx_held_count += taken;
    return taken;
}

/* Frames go straight back to their pool, together, unless the driver lent memory of its own. */
static void dpdk_release(struct leat_port *leat_port, unsigned queue, void *const *handles,
                         unsigned count)
{
    struct dpdk_queue *q = &dpdk_of(leat_port)->queues[queue];
    void *plain[LEAT_PORT_BURST];
    unsigned plain_count = 0;
    q->stats.rx_held_count -= count;
    for (unsigned i = 0; i < count; i++) {
        struct rte_mbuf *m = handles[i];
        if (unlikely(m->pool != q->rx_pool || !RTE_MBUF_DIRECT(m) ||
                     rte_mbuf_refcnt_read(m) != 1)) {
            rte_pktmbuf_free(m);
            continue;
        }
        plain[plain_count++] = m;
        if (plain_count == LEAT_PORT_BURST) {
            rte_mempool_put_bulk(q->rx_pool, plain, plain_count);
            plain_count = 0;
        }
    }
    if (plain_count > 0)
        rte_mempool_put_bulk(q->rx_pool, plain, plain_count);
}

/* ---- sending ---- */

static unsigned dpdk_grant(struct leat_port *leat_port, unsigned queue, struct leat_packet *packets,
                           unsigned count)
{
    struct dpdk_queue *q = &dpdk_of(leat_port)->queues[queue];
    struct rte_mbuf *mbufs[LEAT_PORT_BURST];
    if (count > LEAT_PORT_BURST)
        count = LEAT_PORT_BURST;
    if (unlikely(rte_pktmbuf_alloc_bulk(q->head_pool, mbufs, count) != 0))
        return 0;
    for (unsigned i = 0; i < count; i++) {
        packets[i].handle = mbufs[i];
        packets[i].head = rte_pktmbuf_mtod(mbufs[i], uint8_t *);
    }
    q->heads_out += count;
    return count;
}

static void dpdk_revoke(struct leat_port *leat_port, unsigned queue, struct leat_packet *packets,
                        unsigned count)
{
    struct dpdk_queue *q = &dpdk_of(leat_port)->queues[queue];
    for (unsigned i = 0; i < count; i++)
        rte_mbuf_raw_free(packets[i].handle);
    q->heads_out -= count;
}

static void on_slice_sent(void *address, void *opaque)
{
    struct dpdk_slice *slice = opaque;
    (void)address;
    slice->queue->slices_out--;
    slice->queue->port->host->buf_unref(slice->buf);
}

/* An mbuf around one slice; the reference is the mbuf's from now on. NULL: none is left. */
static struct rte_mbuf *wrap_slice(struct dpdk_queue *q, struct leat_buf buf)
{
    if (unlikely(q->spare_count == 0)) {
        if (rte_pktmbuf_alloc_bulk(q->slice_pool, q->spares, DPDK_SPARES) != 0)
            return NULL;
        q->spare_count = DPDK_SPARES;
    }
    struct rte_mbuf *m = q->spares[--q->spare_count];
    struct dpdk_slice *slice = rte_mbuf_to_priv(m);
    slice->buf = buf;
    slice->queue = q;
    slice->shared.free_cb = on_slice_sent;
    slice->shared.fcb_opaque = slice;
    rte_mbuf_ext_refcnt_set(&slice->shared, 1);
    rte_pktmbuf_attach_extbuf(m, buf.data, (rte_iova_t)(uintptr_t)buf.data,
                              (uint16_t)buf.length_bytes, &slice->shared);
    m->data_len = (uint16_t)buf.length_bytes;
    q->slices_out++;
    return m;
}

/* Takes a packet apart that the driver did not take; its references are the caller's again. */
static void frame_unbuild(struct dpdk_queue *q, struct rte_mbuf *head)
{
    struct rte_mbuf *m = head->next;
    while (m != NULL) {
        struct rte_mbuf *next = m->next;
        struct dpdk_slice *slice = rte_mbuf_to_priv(m);
        slice->buf = (struct leat_buf){0};
        m->next = NULL;
        m->nb_segs = 1;
        rte_pktmbuf_free_seg(m);
        m = next;
    }
    (void)q;
    head->next = NULL;
    head->nb_segs = 1;
    head->ol_flags = 0;
}

static bool attach_slices(struct dpdk_queue *q, struct rte_mbuf *head, const struct leat_packet *p)
{
    struct rte_mbuf *last = head;
    for (unsigned i = 0; i < p->slice_count; i++) {
        struct rte_mbuf *m = wrap_slice(q, p->slices[i]);
        if (unlikely(m == NULL)) {
            frame_unbuild(q, head);
            return false;
        }
        last->next = m;
        last = m;
        head->nb_segs++;
    }
    return true;
}

static void copy_slices(struct rte_mbuf *head, const struct leat_packet *p)
{
    uint8_t *to = rte_pktmbuf_mtod_offset(head, uint8_t *, p->head_bytes);
    for (unsigned i = 0; i < p->slice_count; i++) {
        memcpy(to, p->slices[i].data, p->slices[i].length_bytes);
        to += p->slices[i].length_bytes;
    }
    head->data_len = (uint16_t)(head->data_len + p->slice_bytes);
}

static uint64_t offload_flags(const struct leat_packet *p)
{
    uint64_t flags = 0;
    flags |= p->flags & LEAT_PACKET_IPV4 ? RTE_MBUF_F_TX_IPV4 : 0;
    flags |= p->flags & LEAT_PACKET_IPV6 ? RTE_MBUF_F_TX_IPV6 : 0;
    flags |= p->flags & LEAT_PACKET_IP_CHECKSUM ? RTE_MBUF_F_TX_IP_CKSUM : 0;
    flags |= p->flags & LEAT_PACKET_TCP_CHECKSUM ? RTE_MBUF_F_TX_TCP_CKSUM : 0;
    flags |= p->flags & LEAT_PACKET_UDP_CHECKSUM ? RTE_MBUF_F_TX_UDP_CKSUM : 0;
    flags |= p->flags & LEAT_PACKET_TSO ? RTE_MBUF_F_TX_TCP_SEG : 0;
    return flags;
}

#define ASKS_OFFLOAD                                                                               \
    (LEAT_PACKET_IP_CHECKSUM | LEAT_PACKET_TCP_CHECKSUM | LEAT_PACKET_UDP_CHECKSUM |               \
     LEAT_PACKET_TSO)

/* False: buffers for the slices ran out, or the packet cannot be sent at all (*is_wrong). */
static bool frame_build(struct dpdk_queue *q, const struct leat_packet *p, bool *is_wrong)
{
    struct rte_mbuf *m = p->handle;
    m->data_len = p->head_bytes;
    m->pkt_len = p->head_bytes + p->slice_bytes;
    if (p->slice_count > 0) {
        if (q->slice_pool == NULL) {
            *is_wrong = p->slice_bytes > rte_pktmbuf_tailroom(m);
            if (*is_wrong)
                return false;
            copy_slices(m, p);
        } else if (!attach_slices(q, m, p)) {
            return false;
        }
    }
    if (p->flags & ASKS_OFFLOAD) {
        m->ol_flags = offload_flags(p);
        m->tx_offload =
            rte_mbuf_tx_offload(p->l2_bytes, p->l3_bytes, p->l4_bytes, p->segment_bytes, 0, 0, 0);
    }
    return true;
}

static void slices_unref(struct dpdk_port *port, const struct leat_packet *p)
{
    for (unsigned i = 0; i < p->slice_count; i++)
        port->host->buf_unref(p->slices[i]);
}

/* One packet that will never be sent, taken and dropped with its references. */
static void packet_drop(struct dpdk_queue *q, const struct leat_packet *p,
                        enum leat_port_drop reason)
{
    frame_unbuild(q, p->handle);
    slices_unref(q->port, p);
    rte_mbuf_raw_free(p->handle);
    q->stats.drops[reason]++;
}

static bool link_is_down(const struct dpdk_port *port)
{
    struct rte_eth_link link;
    return rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == 0;
}

/* Offers what was built to the driver; returns how many of them are gone, sent or dropped. */
static unsigned mbufs_offer(struct dpdk_queue *q, unsigned queue, struct leat_packet *packets,
                            struct rte_mbuf **mbufs, unsigned count, bool is_offloaded)
{
    struct dpdk_port *port = q->port;
    unsigned ready = count;
    if (is_offloaded)
        ready = rte_eth_tx_prepare(port->id, (uint16_t)queue, mbufs, (uint16_t)count);
    unsigned sent = rte_eth_tx_burst(port->id, (uint16_t)queue, mbufs, (uint16_t)ready);
    for (unsigned i = 0; i < sent; i++) {
        q->stats.tx_bytes += packets[i].head_bytes + packets[i].slice_bytes;
        if (q->slice_pool == NULL)
            slices_unref(port, &packets[i]); /* they were copied */
    }
    q->stats.tx_count += sent;
    if (unlikely(sent == ready && ready < count)) /* the driver cannot send this one */
        packet_drop(q, &packets[sent++], LEAT_PORT_DROP_TX_ERROR);
    else if (unlikely(sent == 0 && link_is_down(port)))
        for (; sent < count; sent++)
            packet_drop(q, &packets[sent], LEAT_PORT_DROP_TX_LINK_DOWN);
    for (unsigned i = sent; i < count; i++)
        frame_unbuild(q, mbufs[i]);
    return sent;
}

/* Packets for nobody. */
static unsigned drop_all(struct dpdk_queue *q, struct leat_packet *packets, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        packet_drop(q, &packets[i], LEAT_PORT_DROP_TX_LINK_DOWN);
    q->heads_out -= count;
    return count;
}

static unsigned dpdk_transmit(struct leat_port *leat_port, unsigned queue,
                              struct leat_packet *packets, unsigned count)
{
    struct dpdk_queue *q = &dpdk_of(leat_port)->queues[queue];
    struct rte_mbuf *mbufs[LEAT_PORT_BURST];
    unsigned built = 0;
    bool is_offloaded = false, is_wrong = false;
    if (count > LEAT_PORT_BURST)
        count = LEAT_PORT_BURST;
    if (unlikely(!dpdk_gate_is_open(q)))
        return drop_all(q, packets, count);
    for (; built < count; built++) {
        if (unlikely(!frame_build(q, &packets[built], &is_wrong)))
            break;
        mbufs[built] = packets[built].handle;
        is_offloaded = is_offloaded || (packets[built].flags & ASKS_OFFLOAD) != 0;
    }
    unsigned taken = built > 0 ? mbufs_offer(q, queue, packets, mbufs, built, is_offloaded) : 0;
    if (unlikely(is_wrong && taken == built))
        packet_drop(q, &packets[taken++], LEAT_PORT_DROP_TX_ERROR);
    q->heads_out -= taken;
    return taken;
}

static unsigned dpdk_reclaim(struct leat_port *leat_port, unsigned queue)
{
    struct dpdk_port *port = dpdk_of(leat_port);
    struct dpdk_queue *q = &port->queues[queue];
    if (q->slices_out > 0 && port->can_clean && !dpdk_is_gone(port))
        rte_eth_tx_done_cleanup(port->id, (uint16_t)queue, 0);
    return (unsigned)q->slices_out;
}

/* ---- sleeping ---- */

/* The driver of tap reads nothing before the device's signal was handled. It asks for signals to
 * the process, which go to a thread that sleeps: it was woken for each packet, and this one waited.
 */
static void take_signals(struct dpdk_queue *q)
{
    struct f_owner_ex self = {.type = F_OWNER_TID, .pid = gettid()};
    fcntl(q->interrupt_fd, F_SETOWN_EX, &self);
    q->has_signal_owner = true;
}

static void dpdk_arm(struct leat_port *leat_port, unsigned queue, struct leat_port_nap *nap)
{
    struct dpdk_port *port = dpdk_of(leat_port);
    struct dpdk_queue *q = &port->queues[queue];
    *nap = (struct leat_port_nap){false, q->interrupt_fd, UINT64_MAX, q->is_interrupt_on_demand};
    if (unlikely(dpdk_is_gone(port))) {
        *nap = (struct leat_port_nap){.fd = -1, .nap_ns_max = UINT64_MAX};
        return;
    }
    if (q->interrupt_fd < 0) {
        nap->nap_ns_max = (uint64_t)port->rx_descriptors * DPDK_TAIL_NS;
        return;
    }
    if (!q->has_signal_owner)
        take_signals(q);
    if (!q->is_interrupt_on_demand)
        return;
    /* A frame that came since the last poll and before this raises no interrupt, and few drivers
     * can say that it is there without giving it. */
    rte_eth_dev_rx_intr_enable(port->id, (uint16_t)queue);
    if (q->found_count == 0)
        q->found_count = rte_eth_rx_burst(port->id, (uint16_t)queue, q->found, LEAT_PORT_BURST);
    nap->has_work = q->found_count > 0;
}

static bool dpdk_disarm(struct leat_port *leat_port, unsigned queue)
{
    struct dpdk_port *port = dpdk_of(leat_port);
    struct dpdk_queue *q = &port->queues[queue];
    uint64_t count;
    if (q->interrupt_fd < 0 || !q->is_interrupt_on_demand || dpdk_is_gone(port))
        return false;
    rte_eth_dev_rx_intr_disable(port->id, (uint16_t)queue);
    return read(q->interrupt_fd, &count, sizeof(count)) > 0; /* an eventfd that does not block */
}

/* ---- the rest ---- */

static int dpdk_enter(struct leat_port *leat_port, struct leat_error *error)
{
    const struct dpdk_host *host = dpdk_of(leat_port)->host;
    if (rte_lcore_id() != LCORE_ID_ANY || rte_thread_register() == 0)
        return 0;
    return host->fail(error, -rte_errno,
                      "DPDK takes no more threads than %d in a process: use fewer --cores",
                      RTE_MAX_LCORE);
}

static void dpdk_leave(struct leat_port *leat_port)
{
    (void)leat_port;
    rte_thread_unregister();
}

static void dpdk_link(struct leat_port *leat_port, struct leat_link *link)
{
    struct dpdk_port *port = dpdk_of(leat_port);
    struct rte_eth_link now = {0};
    if (dpdk_is_gone(port)) {
        *link = (struct leat_link){.is_gone = true};
        return;
    }
    rte_eth_link_get_nowait(port->id, &now);
    *link = (struct leat_link){
        .up = now.link_status != 0,
        .speed_mbps = now.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : now.link_speed,
    };
    dpdk_interface_look(port, link);
    dpdk_card_look(port, link);
}

/* The driver counts for all queues together: its drops stand with the first. */
static void dpdk_stats(struct leat_port *leat_port, unsigned queue, struct leat_port_stats *stats)
{
    struct dpdk_port *port = dpdk_of(leat_port);
    struct dpdk_queue *q = &port->queues[queue];
    struct rte_eth_stats counted;
    *stats = q->stats;
    stats->tx_held_count = q->heads_out + q->slices_out;
    if (queue != 0 || dpdk_is_gone(port) || rte_eth_stats_get(port->id, &counted) < 0)
        return;
    stats->drops[LEAT_PORT_DROP_RX_RING_FULL] += counted.imissed;
    stats->drops[LEAT_PORT_DROP_RX_NO_BUFFER] += counted.rx_nombuf;
    stats->drops[LEAT_PORT_DROP_RX_ERROR] += counted.ierrors;
    stats->drops[LEAT_PORT_DROP_TX_ERROR] += counted.oerrors;
}

const struct leat_port_ops dpdk_port_ops = {
    .enter = dpdk_enter,
    .leave = dpdk_leave,
    .poll = dpdk_poll,
    .release = dpdk_release,
    .grant = dpdk_grant,
    .transmit = dpdk_transmit,
    .revoke = dpdk_revoke,
    .reclaim = dpdk_reclaim,
    .arm = dpdk_arm,
    .disarm = dpdk_disarm,
    .link = dpdk_link,
    .stats = dpdk_stats,
    .close = dpdk_port_close,
};
