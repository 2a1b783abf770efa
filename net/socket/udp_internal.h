/* What the files of UDP over kernel sockets share. */
#ifndef LEAT_SOCKET_UDP_INTERNAL_H
#define LEAT_SOCKET_UDP_INTERNAL_H

#include "net/socket/socket_internal.h"

#include <netinet/in.h>

#define UDP_SOCKETS_MAX 65536                 /* of a core: one more is -ENOMEM */
#define UDP_BATCH       16                    /* datagrams received, or sent, by one system call */
#define UDP_BLOCK_BYTES 65536                 /* the longest datagram fits */
#define UDP_ERRORS_MAX  16                    /* taken from a socket's error queue at a time */
#define UDP_SPARE_MAX   256                   /* free messages kept for the next user */
#define UDP_RETRY_NS    (10 * LEAT_NS_PER_MS) /* when memory for receiving was out */

/* A datagram on its way to the kernel. */
struct udp_message {
    struct udp_message *next;
    struct leat_buf buf;
    struct sockaddr_in6 to; /* or a sockaddr_in */
    socklen_t to_bytes;     /* 0: the peer */
    struct in6_addr from;   /* IPv4 as mapped */
    bool has_from;
};

enum udp_flags {
    UDP_CONNECTED = 1 << 0,
    UDP_PAUSED = 1 << 1,
    UDP_STARVED = 1 << 2,      /* no memory to receive into: waits for the retry */
    UDP_BLOCKED = 1 << 3,      /* the kernel takes no more: waits until it is writable */
    UDP_SEND_REFUSED = 1 << 4, /* on_writable is owed */
    UDP_ON_DIRTY = 1 << 5,
    UDP_ON_READY = 1 << 6,
    UDP_FINISHED = 1 << 7,
    UDP_FAILED = 1 << 8, /* on_error is owed for what sending failed of */
};

struct udp_socket {
    uint64_t id; /* first: the slot table's */
    const struct leat_udp_ops *ops;
    void *user;
    struct sock_udp_core *core;
    struct sock_port *port;
    struct leat_watch watch;
    struct leat_udp_options options;
    struct leat_addr local, peer, failed_to;
    struct udp_message *first, *last;
    struct udp_socket *next_dirty;
    struct list link; /* in core.ready or core.closing */
    struct leat_udp_info count;
    int fd;
    uint16_t flags;
    uint8_t family, reason, failed_reason;
};

struct sock_udp_core {
    struct leat_udp_transport base;
    struct sock_transport *transport;
    struct slots slots;
    struct list ready;   /* callbacks are owed: the pending phase */
    struct list closing; /* on_close is owed: the close phase */
    struct udp_socket *dirty;
    struct udp_message *spare;
    uint32_t spare_count;
    bool is_pended, is_close_due;
    struct leat_timer retry;
    struct leat_buf blocks[UDP_BATCH];
};

extern const struct leat_udp_transport_ops sock_udp_ops;

/* udp.c */
void sock_udp_ready(struct udp_socket *k);
void sock_udp_finish(struct udp_socket *k, enum leat_close_reason reason);
void sock_udp_watch(struct udp_socket *k); /* for what is wanted now */

static inline bool udp_may_read(const struct udp_socket *k)
{
    return (k->flags & (UDP_PAUSED | UDP_STARVED | UDP_FINISHED)) == 0 &&
           k->count.held_bytes < k->options.receive_bytes_max;
}

/* udp_receive.c */
void sock_udp_on_ready(struct leat_watch *watch, uint32_t events, void *arg);
void sock_udp_drop_blocks(struct sock_udp_core *u);

/* udp_send.c */
int sock_udp_push(struct udp_socket *k, const struct udp_outgoing *out);
void sock_udp_flush_one(struct udp_socket *k);
void sock_udp_drop_queue(struct udp_socket *k);
/* The kernel's form of addr for a socket of that family; 0: it cannot be reached from it. */
socklen_t sock_udp_sockaddr(uint8_t family, const struct leat_addr *addr, struct sockaddr_in6 *to);

#endif
