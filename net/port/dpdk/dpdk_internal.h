/* The port on DPDK, version 22.11 or later: eal.c starts and ends DPDK, kinds.c says which device a
 * --net means, open.c opens it, setup.c settles with the driver on its features (features.h),
 * burst.c moves frames, words.c has the last word.
 *
 * Receiving. A frame's handle is its mbuf, which lies in the queue's own pool and goes back there.
 *
 * Sending. A head is an mbuf of the queue's head pool, with room for a whole packet: the drivers
 * copy what they are given, and one mbuf quicker than two. Payload slices, where the stack gives
 * any all the same, travel as external buffers on mbufs of the slice pool, whose private area holds
 * the reference until the driver frees the mbuf. Where the driver takes one mbuf a packet only, or
 * reads memory by DMA that it does not know, they are copied behind the head instead. */
#ifndef LEAT_DPDK_INTERNAL_H
#define LEAT_DPDK_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "net/port/module.h"

#define DPDK_RX_DESCRIPTORS 2048 /* 1 ms of short frames at two million a second */
#define DPDK_TX_DESCRIPTORS 1024
#define DPDK_RX_BUFFERS     12287 /* per queue: in the ring, and up to 10,000 kept by the stack */
#define DPDK_HEADS          4095  /* per queue: granted ones and those in the ring */
#define DPDK_SLICES         4095  /* per queue: payload slices in the ring */
#define DPDK_SPARES         32    /* slice mbufs fetched from the pool at a time */
#define DPDK_CHAIN_MAX      5     /* buffers of a received frame, where frames are long */
#define DPDK_POOL_CACHE     256
#define DPDK_TAIL_NS        500 /* how long one place of the receive ring lasts */

struct dpdk_queue {
    struct rte_mempool *rx_pool, *head_pool, *slice_pool; /* slice_pool NULL: slices are copied */
    struct rte_mbuf *spares[DPDK_SPARES];                 /* of the slice pool */
    unsigned spare_count, found_count;
    struct rte_mbuf *found[LEAT_PORT_BURST]; /* received when the queue was armed */
    uint64_t slices_out;                     /* references that the driver holds */
    uint64_t heads_out;                      /* granted */
    int interrupt_fd;                        /* -1: the driver has none */
    bool is_interrupt_on_demand;             /* it must be enabled before each sleep */
    bool has_signal_owner;                   /* signals of interrupt_fd come to the queue's core */
    struct leat_port_stats stats;
    struct dpdk_port *port;
    _Atomic uint32_t seen_turn; /* the last of gate_turn that the queue's core has seen */
} __attribute__((aligned(64)));

struct dpdk_port {
    struct leat_port port; /* first */
    const struct dpdk_host *host;
    uint16_t id; /* DPDK's number of the port */
    unsigned queue_count;
    uint16_t rx_descriptors;
    /* Odd: the driver's rings may go at any moment, and no core touches them; memif's alone ever
     * changes. Written by the relay's thread. */
    _Atomic uint32_t gate_turn;
    struct dpdk_relay *relay; /* memif's control channel, or NULL */
    /* Set before gate_turn becomes odd for good: no core calls the driver after it has seen that.
     */
    _Atomic bool is_gone, is_closing, is_pulled;
    bool is_unplug_watched, has_remover;
    pthread_t remover;
    unsigned interface_index; /* of the kernel's; 0: there is none */
    int control_fd;           /* to ask for its state, or -1 */
    bool is_started, is_added, can_clean;
    bool is_scattered; /* a received frame may lie in several buffers */
    char refused[128]; /* features, in words */
    char device[64];   /* as DPDK calls it */
    char bus[8];       /* "vdev", "pci" */
    int membership_fd; /* keeps an interface listening to multicast, or -1 */
    uint16_t rss_table[RTE_ETH_RSS_RETA_SIZE_512];
    struct dpdk_queue queues[];
};

/* In the private area of a slice's mbuf. */
struct dpdk_slice {
    struct rte_mbuf_ext_shared_info shared;
    struct leat_buf buf;
    struct dpdk_queue *queue;
};

static inline struct dpdk_port *dpdk_of(struct leat_port *port)
{
    return (struct dpdk_port *)(void *)port;
}

static inline bool dpdk_is_gone(const struct dpdk_port *port)
{
    return atomic_load_explicit(&port->is_gone, memory_order_relaxed);
}

/* Whether the queue's core may touch the driver's rings now; it says at once that it saw that it
 * may not. A plain load while nothing changes. */
static inline bool dpdk_gate_is_open(struct dpdk_queue *q)
{
    uint32_t turn = atomic_load_explicit(&q->port->gate_turn, memory_order_acquire);
    if (__builtin_expect(turn != atomic_load_explicit(&q->seen_turn, memory_order_relaxed), 0))
        atomic_store_explicit(&q->seen_turn, turn, memory_order_release);
    return (turn & 1) == 0;
}

/* What a --net means to DPDK. */
struct dpdk_device {
    bool is_pci;
    bool is_hearing_all; /* the kernel's interface must be told to take all multicast */
    bool is_relayed;     /* its control channel passes through memif.c, with these: */
    bool is_server;
    char peer_path[108], driver_path[108]; /* of sockets; a client's driver's is abstract */
    bool has_own_mac;          /* the device's address is the kernel's: the stack needs another */
    const char *driver;        /* static */
    const char *package;       /* of the driver, static; NULL: not known */
    const char *interface;     /* of the kernel's, or NULL */
    bool has_trusted_offloads; /* false: the driver's offloads are software or worse */
    char name[64], args[256];
};

/* kinds.c: returns 0, or -errno with a sentence. */
int dpdk_device_of(const struct dpdk_host *host, const struct port_options *options,
                   struct dpdk_device *device, struct leat_error *error);

/* interface.c: 0, or -errno with a sentence. */
int dpdk_interface_check(const struct dpdk_host *host, const struct port_options *options,
                         const char *kind, struct leat_error *error);

/* eal.c. wanted_bytes: what the pools will need. The calling thread's affinity is restored. */
int dpdk_eal_start(const struct dpdk_host *host, const struct dpdk_device *device,
                   uint64_t wanted_bytes, struct leat_error *error);
void dpdk_eal_end(void);
/* The same of a process that is dying: no lock is taken, and the last of it may be missing. */
const char *dpdk_log_unflushed(void);

/* words.c. What DPDK and the libraries below it print beside the log is kept aside in between; may
 * be nested. One thread at a time: the set-up thread, or the one that closes the port. */
void dpdk_quiet_begin(void);
void dpdk_quiet_end(void);
/* From now on an end of the process inside DPDK (rte_panic, rte_exit, abort) says on the user's own
 * standard error what DPDK said last. Once in a process. */
void dpdk_words_watch(void);
/* Forgets what DPDK has logged so far; the last lines since then, joined. Set-up thread. */
void dpdk_log_clear(void);
const char *dpdk_log_text(void);
/* One sentence for what DPDK logged: its remedy where it is a known one. */
int dpdk_fail(const struct dpdk_host *host, struct leat_error *error, int code, const char *what);

/* memif.c: between the driver and its peer. Returns 0 or -errno; dpdk_relay_end also after a
 * failure. No core may use the port when it ends. */
int dpdk_relay_start(struct dpdk_port *port, const struct dpdk_device *device);
/* Until a client's link is up, for a second at most: a first packet that is lost is late by one. */
void dpdk_relay_await(const struct dpdk_port *port);
void dpdk_relay_end(struct dpdk_port *port);

/* gone.c: whether the device is still there. The first two watch an interface of the kernel's, and
 * look at it: link says up, or is_gone for good. */
void dpdk_interface_watch(struct dpdk_port *port, const char *interface);
void dpdk_interface_look(struct dpdk_port *port, struct leat_link *link);
/* A card that is pulled is given back when no core uses it any more. */
void dpdk_unplug_watch(struct dpdk_port *port);
void dpdk_card_look(struct dpdk_port *port, struct leat_link *link);
void dpdk_unplug_end(struct dpdk_port *port);
/* open.c: stops and closes the device, once; buffers stay. */
void dpdk_device_close(struct dpdk_port *port);

extern const struct leat_port_ops dpdk_port_ops;
void dpdk_port_close(struct leat_port *port);

#endif
