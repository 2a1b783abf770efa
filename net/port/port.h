/* The port contract: where frames come from and go to. DPDK (a module), our own tun, and the
 * simulator's wire implement it; net/stack is its only caller. Internal: not installed.
 *
 * Threads. A port has queues; queue q belongs to one core, and every function that names a queue is
 * called on that core only. Nothing here blocks, sleeps or allocates on the heap once the port is
 * open; each call does work bounded by its count.
 *
 * Receiving. poll fills an array of frames. A frame's bytes are the receiver's alone, to read and
 * to change within its length (conn.h C29), until its handle is given back with release, which
 * costs the port nothing but its own buffer: no copy on the way up. The receiver may keep a frame
 * as long as it likes; a port that runs out of receive buffers drops (RX_NO_BUFFER) and never takes
 * a frame back.
 *
 * Sending. A packet is a head (headers, and payload small enough to be worth copying), which lies
 * in the port's own memory, and slices of reference-counted payload, which do not move. grant hands
 * out heads; transmit takes a prefix of the packets, heads and references with it; what it did not
 * take stays the caller's, unchanged, to be offered again or given back with revoke. The port drops
 * the references after the hardware has read them, at the latest in reclaim, which the caller also
 * calls while it is idle. A head that was taken is never seen again: nothing in flight is edited.
 *
 * The end of a device. One that is deleted or unplugged is gone for good: from then on poll gives
 * nothing, transmit takes packets and drops them (TX_LINK_DOWN), arm names no descriptor and no
 * limit, and link says is_gone; the program goes on without it, and one that is to use the next
 * device of that name is started again. A link that is down, a memif whose peer is dead, may come
 * back, and then all goes on as before.
 *
 * Bounds: LEAT_PORT_BURST frames or packets a call, LEAT_PORT_SLICES_MAX slices a packet. */
#ifndef LEAT_PORT_H
#define LEAT_PORT_H

#include <stdatomic.h>

#include <leat/buf.h>
#include <leat/defs.h>
#include <leat/error.h>

#define LEAT_PORT_BURST      32
#define LEAT_PORT_HEAD_BYTES 384 /* room in every head: 128 of headers, 256 of payload at least */
#define LEAT_PORT_SLICES_MAX 18  /* 64 KiB in pages, both ends unaligned */
#define LEAT_PORT_QUEUES_MAX 64

/* What the hardware says of a checksum: DPDK's four states, so that none is lost in between. */
enum leat_verdict {
    LEAT_VERDICT_UNKNOWN, /* nobody looked: verify in software */
    LEAT_VERDICT_GOOD,
    LEAT_VERDICT_BAD,
    LEAT_VERDICT_NONE, /* not in the frame, but its data is known to be intact */
};

enum leat_frame_flags {
    LEAT_FRAME_HASHED = 1, /* rss_hash is valid */
    LEAT_FRAME_MORE = 2,   /* the next frame of the array continues this one (receive scatter) */
};

struct leat_frame {
    const uint8_t *data; /* the link header, or the IP header on LEAT_LINK_IP */
    void *handle;        /* for release */
    uint32_t length_bytes;
    uint32_t buffer_bytes; /* what keeping it costs: the whole buffer */
    uint32_t rss_hash;
    uint8_t ip_verdict; /* enum leat_verdict: IPv4 header */
    uint8_t l4_verdict; /* TCP or UDP checksum */
    uint8_t flags;      /* enum leat_frame_flags */
    uint8_t queue;      /* that it came from */
};

/* What a packet asks of the port. Each needs the capability of the same name. */
enum leat_packet_flags {
    LEAT_PACKET_IPV4 = 1,
    LEAT_PACKET_IPV6 = 2,
    LEAT_PACKET_IP_CHECKSUM = 4,  /* IPv4 header: its field is 0 */
    LEAT_PACKET_TCP_CHECKSUM = 8, /* its field holds the pseudo header's sum, without length for TSO
                                   */
    LEAT_PACKET_UDP_CHECKSUM = 16,
    LEAT_PACKET_TSO = 32, /* cut into segments of segment_bytes */
};

struct leat_packet {
    uint8_t *head; /* LEAT_PORT_HEAD_BYTES of room, or 128 and inline_bytes_max */
    void *handle;  /* the port's */
    uint16_t head_bytes;
    uint16_t slice_count;
    uint16_t segment_bytes; /* payload of each, for TSO */
    uint8_t l2_bytes, l3_bytes, l4_bytes;
    uint8_t flags;                                /* enum leat_packet_flags */
    uint32_t slice_bytes;                         /* sum over slices */
    struct leat_buf slices[LEAT_PORT_SLICES_MAX]; /* each carries one reference */
};

enum leat_link_kind {
    LEAT_LINK_ETHERNET,
    LEAT_LINK_IP, /* frames begin with the IP header; there are no neighbours */
};

enum leat_port_can {
    LEAT_PORT_CAN_RX_IP_CHECKSUM = 1,
    LEAT_PORT_CAN_RX_L4_CHECKSUM = 2,
    LEAT_PORT_CAN_TX_IP_CHECKSUM = 4,
    LEAT_PORT_CAN_TX_L4_CHECKSUM = 8,
    LEAT_PORT_CAN_TSO = 16,
    LEAT_PORT_CAN_RX_SCATTER = 32, /* may set LEAT_FRAME_MORE */
    LEAT_PORT_CAN_RSS = 64,
    LEAT_PORT_CAN_RELEASE_ANYWHERE = 128, /* release may be called on any core */
};

/* What ends a sleep on a queue when frames come. */
enum leat_port_wake {
    LEAT_WAKE_NAP,       /* nothing does: naps */
    LEAT_WAKE_DEVICE,    /* the descriptor that the frames are read from, which cannot fail */
    LEAT_WAKE_INTERRUPT, /* the hardware's interrupt: a claim, which the stack measures (wake.h) */
};

struct leat_clock;

/* What the port says of itself. Constant while it is open; claims are checked by the stack. */
struct leat_port_info {
    const char *driver; /* static: "tun", "sim", "net_memif" */
    uint32_t can;       /* enum leat_port_can */
    uint32_t tso_bytes_max;
    uint16_t slices_max; /* per packet, at most LEAT_PORT_SLICES_MAX */
    uint16_t mtu_bytes_max;
    /* Payload up to this has room in every head, and is better copied there than sliced, because
     * the driver copies what it is given anyway; 0: the 256 bytes that every head has. */
    uint16_t inline_bytes_max;
    uint16_t rx_queue_count, tx_queue_count;
    uint32_t rx_buffers_count; /* of a queue, that may be kept before it is deaf; 0: no limit */
    uint8_t link_kind;         /* enum leat_link_kind */
    uint8_t wake;              /* enum leat_port_wake: what arm will say */
    uint8_t mac[6];
    uint8_t rss_key[52];
    const struct leat_clock
        *clock;                /* NULL: the machine's; else read until close, and after leave */
    uint64_t seed;             /* ... and what all that is random begins with */
    uint16_t rss_table_count;  /* 0: no RSS; else entries of rss_table, a power of two */
    const uint16_t *rss_table; /* queue of each */
    /* What the driver refused, for the start line: "rss-hash, tso"; or NULL. The port owns it. */
    const char *refused;
};

struct leat_link {
    bool up;
    bool is_gone;        /* for good */
    uint32_t speed_mbps; /* 0: not known */
};

#define LEAT_PORT_DROPS(X)                                                                         \
    X(RX_NO_BUFFER, "rx_no_buffer", "the port had no free receive buffer")                         \
    X(RX_RING_FULL, "rx_ring_full", "the stack did not poll in time and the ring overflowed")      \
    X(RX_ERROR, "rx_error", "the hardware reported a damaged frame")                               \
    X(RX_TOO_LONG, "rx_too_long", "the frame is longer than the port's buffers")                   \
    X(TX_ERROR, "tx_error", "the port could not send the packet")                                  \
    X(TX_LINK_DOWN, "tx_link_down", "the link is down")                                            \
    X(FAULT, "fault", "--net-faults lost the packet on purpose")

enum leat_port_drop {
#define LEAT_X(name, counter, sentence) LEAT_PORT_DROP_##name,
    LEAT_PORT_DROPS(LEAT_X)
#undef LEAT_X
        LEAT_PORT_DROP_COUNT
};

/* One core's view of one queue. */
struct leat_port_stats {
    uint64_t rx_count, rx_bytes, tx_count, tx_bytes;
    uint64_t rx_held_count; /* frames polled and not yet released */
    uint64_t tx_held_count; /* heads granted, and packets taken whose references are not dropped */
    uint64_t drops[LEAT_PORT_DROP_COUNT];
};

/* How to sleep on a queue; as struct leat_nap, which net/stack fills from it. */
struct leat_port_nap {
    bool has_work;       /* frames arrived meanwhile: do not sleep */
    int fd;              /* readable when frames arrive; -1: there is none, nap instead */
    uint64_t nap_ns_max; /* how long the receive ring lasts; UINT64_MAX: no limit */
    bool is_claimed;     /* that fd becomes readable is a claim of the hardware's */
};

struct leat_port;

struct leat_port_ops {
    /* Before and after all other calls on each thread that uses a queue; NULL: nothing to do. enter
     * returns 0, or -errno with a sentence. */
    int (*enter)(struct leat_port *port, struct leat_error *error);
    void (*leave)(struct leat_port *port);

    unsigned (*poll)(struct leat_port *port, unsigned queue, struct leat_frame *frames,
                     unsigned count);
    void (*release)(struct leat_port *port, unsigned queue, void *const *handles, unsigned count);

    /* Sets head and handle of up to count packets; returns how many (fewer: buffers ran out). */
    unsigned (*grant)(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                      unsigned count);
    unsigned (*transmit)(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                         unsigned count);
    void (*revoke)(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                   unsigned count);
    /* Drops the references of what the hardware has sent; returns how many are still out. */
    unsigned (*reclaim)(struct leat_port *port, unsigned queue);

    /* Enables the queue's interrupt, then looks once more. disarm turns it off, and returns whether
     * it came in between; where arm said is_claimed that is looked at, elsewhere not. */
    void (*arm)(struct leat_port *port, unsigned queue, struct leat_port_nap *nap);
    bool (*disarm)(struct leat_port *port, unsigned queue);

    void (*link)(struct leat_port *port, struct leat_link *link);
    void (*stats)(struct leat_port *port, unsigned queue, struct leat_port_stats *stats);
    /* After the last leave: whether all that the port watched was right; false makes the program's
     * exit code 1. NULL: it watches nothing. */
    bool (*is_sound)(struct leat_port *port);
    /* Every queue must be idle, every frame and head back, every thread left. Payload that the
     * hardware still holds is dropped here, on the calling core. */
    void (*close)(struct leat_port *port);
};

enum port_link { PORT_LINK_UNKNOWN, PORT_LINK_UP, PORT_LINK_DOWN, PORT_LINK_GONE };

/* The head of every port. */
struct leat_port {
    const struct leat_port_ops *ops;
    struct leat_port_info info;
    _Atomic uint8_t link_seen; /* enum port_link: as last looked at by net/program; any core */
};

#endif
