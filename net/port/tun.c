/* A TAP device as a port: frames in and out by read and write. */
#include "net/port/tun_internal.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static uint8_t *stock_take(struct tun_stock *stock)
{
    return stock->free_count > 0 ? stock->free[--stock->free_count] : NULL;
}

static bool stock_has(const struct tun_stock *stock, const void *buffer)
{
    uintptr_t at = (uintptr_t)buffer, from = (uintptr_t)stock->memory;
    return at >= from && at < from + stock->memory_bytes;
}

static void stock_give(struct tun_stock *stock, void *buffer)
{
    DCHECK(stock_has(stock, buffer) && stock->free_count < stock->count);
    stock->free[stock->free_count++] = buffer;
}

/* ---- receiving ---- */

/* What the kernel says of the checksum: left open because both ends are on this machine, or
 * checked by the card that it came from. */
static enum leat_verdict verdict_of(const struct tun_port *tun, const struct virtio_net_hdr *vnet)
{
    if (tun->vnet_bytes == 0)
        return LEAT_VERDICT_UNKNOWN;
    if (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        return LEAT_VERDICT_NONE;
    return vnet->flags & VIRTIO_NET_HDR_F_DATA_VALID ? LEAT_VERDICT_GOOD : LEAT_VERDICT_UNKNOWN;
}

/* Reads one frame away that there is no buffer for; false when there was none. */
static bool read_away(struct tun_queue *q)
{
    uint8_t rest[64];
    if (read(q->fd, rest, sizeof(rest)) < 0)
        return false;
    q->stats.drops[LEAT_PORT_DROP_RX_NO_BUFFER]++;
    return true;
}

static void buffers_return(struct tun_queue *q, uint8_t *small, uint8_t *large)
{
    if (small != NULL)
        stock_give(&q->small, small);
    if (large != NULL)
        stock_give(&q->large, large);
}

/* One read into small and large; gives back what the frame does not lie in. Returns the frame's
 * length, 0 when it was dropped, or -errno. */
static ssize_t read_frame(struct tun_port *tun, struct tun_queue *q, struct leat_frame *frame)
{
    struct virtio_net_hdr vnet;
    uint8_t *small = stock_take(&q->small);
    uint8_t *large = q->large.count > 0 ? stock_take(&q->large) : NULL;
    if (small == NULL || (q->large.count > 0 && large == NULL)) {
        buffers_return(q, small, large);
        return read_away(q) ? 0 : -EAGAIN;
    }
    struct iovec iov[3] = {{&vnet, tun->vnet_bytes}, {small, TUN_SMALL_BYTES}};
    int count = 2;
    if (large != NULL)
        iov[count++] =
            (struct iovec){large + TUN_SMALL_BYTES, q->large.buffer_bytes - TUN_SMALL_BYTES};
    unsigned skip = tun->vnet_bytes == 0;
    ssize_t n = readv(q->fd, iov + skip, count - (int)skip);
    if (n < 0) {
        ssize_t result = -errno;
        buffers_return(q, small, large);
        return result;
    }
    n -= (ssize_t)tun->vnet_bytes;
    if (n <= 0 || n > (ssize_t)tun->frame_max) {
        buffers_return(q, small, large);
        q->stats.drops[n <= 0 ? LEAT_PORT_DROP_RX_ERROR : LEAT_PORT_DROP_RX_TOO_LONG]++;
        return 0;
    }
    uint8_t *at = small;
    if (large != NULL && n > TUN_SMALL_BYTES) { /* never more without it: the room of iov */
        memcpy(large, small, TUN_SMALL_BYTES);
        at = large;
        stock_give(&q->small, small);
    } else if (large != NULL) {
        stock_give(&q->large, large);
    }
    *frame = (struct leat_frame){
        .data = at,
        .handle = at,
        .length_bytes = (uint32_t)n,
        .buffer_bytes = at == large ? q->large.buffer_bytes : TUN_SMALL_BYTES,
        .l4_verdict = (uint8_t)verdict_of(tun, &vnet),
        .queue = (uint8_t)(q - tun->queues),
    };
    return n;
}

static unsigned tun_poll(struct leat_port *port, unsigned queue, struct leat_frame *frames,
                         unsigned count)
{
    struct tun_port *tun = tun_of(port);
    struct tun_queue *q = &tun->queues[queue];
    unsigned taken = 0;
    for (unsigned tries = 0; taken < count && tries < count; tries++) {
        ssize_t n = read_frame(tun, q, &frames[taken]);
        if (n < 0) {
            if (unlikely(n == -EBADFD)) /* it was deleted */
                atomic_store_explicit(&tun->is_gone, true, memory_order_relaxed);
            break;
        }
        if (n == 0)
            continue;
        q->stats.rx_bytes += (uint64_t)n;
        taken++;
    }
    q->stats.rx_count += taken;
    q->stats.rx_held_count += taken;
    return taken;
}

static void tun_release(struct leat_port *port, unsigned queue, void *const *handles,
                        unsigned count)
{
    struct tun_queue *q = &tun_of(port)->queues[queue];
    CHECK(q->stats.rx_held_count >= count);
    q->stats.rx_held_count -= count;
    for (unsigned i = 0; i < count; i++)
        stock_give(stock_has(&q->small, handles[i]) ? &q->small : &q->large, handles[i]);
}

/* ---- sending ---- */

static unsigned tun_grant(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                          unsigned count)
{
    struct tun_queue *q = &tun_of(port)->queues[queue];
    unsigned given = 0;
    for (uint8_t *head; given < count && (head = stock_take(&q->heads)) != NULL; given++)
        packets[given].head = packets[given].handle = head;
    q->stats.tx_held_count += given;
    return given;
}

static void tun_revoke(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                       unsigned count)
{
    struct tun_queue *q = &tun_of(port)->queues[queue];
    CHECK(q->stats.tx_held_count >= count);
    q->stats.tx_held_count -= count;
    for (unsigned i = 0; i < count; i++)
        stock_give(&q->heads, packets[i].handle);
}

/* virtio's header for what the packet asks for. */
static struct virtio_net_hdr vnet_of(const struct leat_packet *p)
{
    struct virtio_net_hdr vnet = {0};
    if ((p->flags & (LEAT_PACKET_TCP_CHECKSUM | LEAT_PACKET_UDP_CHECKSUM)) == 0)
        return vnet;
    vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    vnet.csum_start = (uint16_t)(p->l2_bytes + p->l3_bytes);
    vnet.csum_offset = p->flags & LEAT_PACKET_TCP_CHECKSUM ? 16 : 6;
    if (p->flags & LEAT_PACKET_TSO) {
        vnet.gso_type =
            p->flags & LEAT_PACKET_IPV6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        vnet.gso_size = p->segment_bytes;
        vnet.hdr_len = (uint16_t)(p->l2_bytes + p->l3_bytes + p->l4_bytes);
    }
    return vnet;
}

/* The kernel wants the TCP length in a large segment's checksum field, where the port contract,
 * like network cards, wants it left out. */
static void add_length(uint8_t *field, uint32_t length)
{
    uint32_t sum = (uint32_t)(field[0] << 8 | field[1]) + (length & 0xffff) + (length >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    field[0] = (uint8_t)(sum >> 8);
    field[1] = (uint8_t)sum;
}

static int write_packet(const struct tun_port *tun, struct tun_queue *q, struct leat_packet *p)
{
    struct iovec iov[2 + LEAT_PORT_SLICES_MAX];
    struct virtio_net_hdr vnet;
    unsigned count = 0;
    uint8_t *field = NULL, before[2] = {0};
    if (tun->vnet_bytes != 0) {
        vnet = vnet_of(p);
        iov[count++] = (struct iovec){&vnet, sizeof(vnet)};
        if (p->flags & LEAT_PACKET_TSO) {
            unsigned l4_at = (unsigned)p->l2_bytes + p->l3_bytes;
            field = p->head + l4_at + 16;
            memcpy(before, field, 2);
            add_length(field, p->head_bytes - l4_at + p->slice_bytes);
        }
    }
    iov[count++] = (struct iovec){p->head, p->head_bytes};
    for (unsigned i = 0; i < p->slice_count; i++)
        iov[count++] = (struct iovec){p->slices[i].data, p->slices[i].length_bytes};
    int result = writev(q->fd, iov, (int)count) < 0 ? -errno : 0;
    if (result == -EAGAIN && field != NULL)
        memcpy(field, before, 2);
    return result;
}

static unsigned tun_transmit(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                             unsigned count)
{
    struct tun_port *tun = tun_of(port);
    struct tun_queue *q = &tun->queues[queue];
    unsigned taken = 0;
    for (; taken < count; taken++) {
        struct leat_packet *p = &packets[taken];
        int result = write_packet(tun, q, p);
        if (result == -EAGAIN)
            break;
        if (result < 0) {
            bool is_down = result == -EIO || result == -EBADFD;
            q->stats.drops[is_down ? LEAT_PORT_DROP_TX_LINK_DOWN : LEAT_PORT_DROP_TX_ERROR]++;
        } else {
            q->stats.tx_count++;
            q->stats.tx_bytes += p->head_bytes + p->slice_bytes;
        }
        for (unsigned i = 0; i < p->slice_count; i++)
            leat_buf_unref(p->slices[i]);
        stock_give(&q->heads, p->handle);
    }
    q->stats.tx_held_count -= taken;
    return taken;
}

static unsigned tun_reclaim(struct leat_port *port, unsigned queue)
{
    (void)port;
    (void)queue;
    return 0;
}

/* ---- the rest ---- */

/* The descriptor is watched by level: what came before the sleep ends it at once. */
static void tun_arm(struct leat_port *port, unsigned queue, struct leat_port_nap *nap)
{
    struct tun_port *tun = tun_of(port);
    bool is_gone = atomic_load_explicit(&tun->is_gone, memory_order_relaxed);
    *nap = (struct leat_port_nap){false, is_gone ? -1 : tun->queues[queue].fd, UINT64_MAX, false};
}

static bool tun_disarm(struct leat_port *port, unsigned queue)
{
    (void)port;
    (void)queue;
    return false;
}

static void tun_link(struct leat_port *port, struct leat_link *link)
{
    struct tun_port *tun = tun_of(port);
    struct ifreq request = {.ifr_ifindex = (int)tun->index};
    if (ioctl(tun->control_fd, SIOCGIFNAME, &request) < 0)
        atomic_store_explicit(&tun->is_gone, true, memory_order_relaxed);
    if (atomic_load_explicit(&tun->is_gone, memory_order_relaxed)) {
        *link = (struct leat_link){.is_gone = true};
        return;
    }
    bool is_known = ioctl(tun->control_fd, SIOCGIFFLAGS, &request) == 0;
    *link = (struct leat_link){.up = is_known && (request.ifr_flags & IFF_UP) != 0};
}

static void tun_stats(struct leat_port *port, unsigned queue, struct leat_port_stats *stats)
{
    *stats = tun_of(port)->queues[queue].stats;
}

static void stock_fini(struct tun_stock *stock)
{
    free(stock->free);
    if (stock->memory != NULL)
        munmap(stock->memory, stock->memory_bytes);
}

static void tun_close(struct leat_port *port)
{
    struct tun_port *tun = tun_of(port);
    for (unsigned i = 0; i < tun->queue_count; i++) {
        struct tun_queue *q = &tun->queues[i];
        CHECK(q->stats.rx_held_count == 0 && q->stats.tx_held_count == 0);
        if (q->fd >= 0)
            close(q->fd);
        stock_fini(&q->small);
        stock_fini(&q->large);
        stock_fini(&q->heads);
    }
    if (tun->control_fd >= 0)
        close(tun->control_fd);
    free(tun);
}

const struct leat_port_ops tun_port_ops = {
    .poll = tun_poll,
    .release = tun_release,
    .grant = tun_grant,
    .transmit = tun_transmit,
    .revoke = tun_revoke,
    .reclaim = tun_reclaim,
    .arm = tun_arm,
    .disarm = tun_disarm,
    .link = tun_link,
    .stats = tun_stats,
    .close = tun_close,
};
