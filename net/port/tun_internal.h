/* The port on /dev/net/tun: tun_open.c makes the device, tun.c moves frames.
 *
 * Receiving. Each queue has two stocks of buffers: small ones, and large ones that are used where a
 * frame can be longer than a small one. A read goes to a small buffer and, behind it, to a large
 * one whose first SMALL bytes are left free: a frame that spills over is made whole by copying its
 * beginning there. So short frames cost short buffers, and long ones are in one piece.
 *
 * Sending. The kernel copies during writev, so references are dropped at once and reclaim has
 * nothing to do. */
#ifndef LEAT_TUN_INTERNAL_H
#define LEAT_TUN_INTERNAL_H

#include <linux/virtio_net.h>

#include "net/port/ports.h"
#include "runtime/base/core.h"

#define TUN_SMALL_BYTES 2048
#define TUN_SMALL_COUNT 4096 /* per queue; when all are held, frames are dropped: RX_NO_BUFFER */
#define TUN_LARGE_COUNT 512  /* per queue, where frames can be that long */
#define TUN_HEADS_COUNT 1024 /* per queue; grant gives fewer when they are out */
#define TUN_FRAME_MAX   (65535 + 18)
#define TUN_VNET_BYTES  ((unsigned)sizeof(struct virtio_net_hdr))

/* Buffers of one size: a stack of the free ones, and the memory of all. */
struct tun_stock {
    uint8_t *memory;
    uint8_t **free;
    uint32_t free_count, count, buffer_bytes;
    size_t memory_bytes;
};

struct tun_queue {
    int fd;
    struct tun_stock small, large, heads;
    struct leat_port_stats stats;
} __attribute__((aligned(64)));

struct tun_port {
    struct leat_port port; /* first */
    char name[16];
    int control_fd;      /* for the ioctls of the interface; holds its name */
    uint32_t vnet_bytes; /* 0: frames carry no offload header */
    uint32_t frame_max;  /* the longest frame that is accepted, header included */
    unsigned queue_count;
    unsigned index;       /* the interface's */
    _Atomic bool is_gone; /* deleted: whichever queue found it so */
    struct tun_queue queues[];
};

extern const struct leat_port_ops tun_port_ops;

static inline struct tun_port *tun_of(struct leat_port *port)
{
    return (struct tun_port *)(void *)port;
}

#endif
