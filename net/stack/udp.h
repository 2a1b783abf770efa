/* UDP sockets on the stack (leat/udp.h): the table of one core, and who is told of what.
 *
 * Sockets are found by local port: a chain of at most UDP_SAME_PORT_MAX in one of UDP_BUCKETS. Of
 * those that fit a datagram the most particular wins: with the peer, then with the address, then a
 * wildcard. A socket's datagrams of one burst are delivered by one callback; what cannot be
 * delivered waits in copies, up to receive_bytes_max. Sending goes straight to the backlog towards
 * the port; nothing is queued here. */
#ifndef LEAT_STACK_UDP_H
#define LEAT_STACK_UDP_H

#include "buffers/slots.h"
#include "net/api/udp_transport.h"
#include "net/stack/stack.h"
#include "runtime/base/list.h"

#include <leat/io.h>
#include <leat/loop.h>

#define UDP_SOCKETS_MAX   16384         /* of a core: one more is -ENOMEM */
#define UDP_BUCKETS       1024          /* a power of two */
#define UDP_SAME_PORT_MAX 64            /* sockets on one port: one more is -EADDRINUSE */
#define UDP_PATH_NS       LEAT_NS_PER_S /* how long the route of the last datagram is trusted */

enum udp_flags {
    UDP_ANY_V4 = 1 << 0, /* bound to every IPv4 address */
    UDP_ANY_V6 = 1 << 1,
    UDP_CONNECTED = 1 << 2,
    UDP_PAUSED = 1 << 3,
    UDP_SEND_REFUSED = 1 << 4, /* on_writable is owed */
    UDP_ON_BURST = 1 << 5,     /* on stack_udp.burst */
    UDP_ON_READY = 1 << 6,     /* on stack_udp.ready: what waits is to be delivered */
    UDP_FINISHED = 1 << 7,
    UDP_HAS_PORT = 1 << 8, /* of all cores: steer_take_port */
};

/* A datagram that waits for its socket. */
struct udp_waiting {
    struct udp_waiting *next;
    struct ip_addr src, dst;
    be16 src_port;
    uint32_t length_bytes;
    uint8_t bytes[];
};

struct udp_socket {
    uint64_t id; /* first: the slot table's */
    const struct leat_udp_ops *ops;
    void *user;
    struct stack_udp *udp;
    struct ip_addr local, peer; /* all zero when any */
    be16 local_port, peer_port;
    uint16_t flags;
    uint8_t group_count, reason;
    uint32_t next;                   /* in its bucket: index + 1 */
    uint8_t burst_first, burst_last; /* in stack.rx: index + 1 */
    uint8_t hop_limit;
    bool broadcast;
    struct udp_waiting *first, *last;
    uint32_t waiting_bytes, receive_max;
    struct list burst_link, link; /* link: in one of stack_udp.ready, .refused, .closing */
    struct path path;             /* of the last datagram, until path_until_ns */
    uint64_t path_until_ns;
    struct leat_udp_info count;
    struct ip_addr groups[LEAT_UDP_GROUPS_MAX];
};

struct stack_udp {
    struct leat_udp_transport transport; /* first */
    struct stack *stack;
    struct leat_loop *loop;
    struct slots sockets;
    uint32_t buckets[UDP_BUCKETS];       /* index + 1 */
    uint8_t burst_next[LEAT_PORT_BURST]; /* index + 1 of the socket's next in stack.rx */
    struct list burst;                   /* sockets with datagrams in this burst */
    struct list ready, refused, closing;
    uint32_t any_count; /* binds to port 0 that are shared between cores */
    uint32_t group_count;
    bool is_pended, is_close_pended;
    bool is_shut; /* udp_shut has begun */
};

int udp_init(struct stack *s, struct leat_loop *loop, struct leat_error *error) LEAT_MUST_CHECK;
/* Ends all sockets with LEAT_CLOSE_SHUTDOWN, on_close included; none can be opened any more. */
void udp_shut(struct stack *s);
void udp_fini(struct stack *s); /* udp_shut, and frees all */
/* The end of a burst: what came in is delivered. */
void udp_deliver(struct stack *s);
/* After output: whoever was refused may send again. */
bool udp_flushed(struct stack *s); /* some still may not */
/* An ICMP error about a datagram of ours. */
void udp_icmp(struct stack *s, const struct icmp_report *report);
/* Sockets that are bound to it end. */
void udp_address_gone(struct stack *s, const struct ip_addr *ip);
/* Whether a socket has joined it. */
bool udp_is_joined(const struct stack *s, const struct ip_addr *group);

/* ---- between udp.c (the wire), udp_socket.c (calls, life) and udp_send.c ---- */

extern const struct leat_udp_transport_ops udp_transport_ops;

static inline uint32_t udp_bucket(be16 port)
{
    return (port.raw * UINT32_C(0x9e3779b1)) >> 22 & (UDP_BUCKETS - 1);
}
static inline struct udp_socket *udp_at(const struct stack_udp *u, uint32_t number)
{
    return number != 0 ? slots_at(&u->sockets, number - 1) : NULL;
}
static inline bool udp_must_wait(const struct udp_socket *k)
{
    return (k->flags & UDP_PAUSED) != 0 || k->count.held_bytes >= k->receive_max;
}
void udp_wait(struct udp_socket *k, const struct rx_packet *p);
void udp_ready(struct udp_socket *k);
void udp_drop_waiting(struct udp_socket *k);
int udp_send(struct leat_udp_transport *transport, leat_udp udp, const struct udp_outgoing *out);
struct ip_addr udp_to_ip(const struct leat_addr *addr);
void udp_set_addr(struct leat_addr *to, const struct ip_addr *ip, be16 port);

#endif
