/* The datagram contract: UDP sockets, the same over kernel sockets and over Leat's own stack.
 *
 * Clauses are numbered; test/contract/ has a test named after each, and both pass them all. Names
 * and behaviour follow Node's dgram where C allows.
 *
 *  U1   A socket is named by a 64-bit handle. A stale or invented handle gives -ESTALE, never a
 *       crash, and never another socket.
 *
 *  U2   Every function here is called on the core that owns the socket, any of them inside any
 *       callback. Another core gives -EXDEV.
 *
 *  U3   No function calls a callback before it returns; callbacks never nest.
 *
 *  U4   on_close comes exactly once, last, in the close phase, with one reason; after it the handle
 *       is stale. leat_udp_close gives LEAT_CLOSE_DONE, and tries to send what was accepted before.
 *       Between it and on_close sending gives -EPIPE, and no other callback comes. A socket whose
 *       address is taken away ends with LEAT_CLOSE_ADDRESS_GONE, at the loop's end all with
 *       LEAT_CLOSE_SHUTDOWN.
 *
 *  U5   leat_udp_bind takes an address; port 0 means a free one, the same for all cores (the n-th
 *       bind to port 0 of a core has the port of the n-th of any other). Each core of the process
 *       may bind an address once; the transport spreads peers over them, one peer's datagrams
 *       always to the same core. On the stack a core that has not bound it refuses the peers that
 *       would be its own (the kernel gives them to the others). With options.exclusive the address
 *       is this core's alone, and so are all peers.
 *
 *  U6   An address in use, not ours, or not permitted gives -EADDRINUSE, -EADDRNOTAVAIL, -EACCES
 *       and a sentence with the remedy.
 *
 *  U7   leat_udp_connect makes a socket of this core's own with one peer: only that peer's
 *       datagrams are delivered, and leat_udp_send takes no address (-EISCONN with one). A socket
 *       without a peer needs one (-EDESTADDRREQ without).
 *
 *  U8   on_datagrams delivers datagrams whole, never joined or cut, empty ones too, with the
 *       address that each came from and the one it was sent to. Their bytes are the transport's,
 *       valid until the callback returns. Datagrams may be lost, doubled and reordered on the way,
 *       but not here, short of U10.
 *
 *  U9   A callback that needs bytes for longer takes them with leat_udp_hold (the same memory, or a
 *       copy when the block is more than twice as large) and gives them back with leat_udp_release,
 *       also when the socket is gone. With receive_bytes_max held, nothing more is delivered until
 *       some are released.
 *
 *  U10  leat_udp_pause stops on_datagrams until leat_udp_resume; both are idempotent. What arrives
 *       while nothing can be delivered waits, up to about receive_bytes_max; the excess is dropped
 *       and counted in leat_udp_info.dropped_count (the stack's drop udp_queue).
 *
 *  U11  leat_udp_send is all or nothing, the slices are one datagram. With less than
 *       send_high_bytes waiting and room in the link's queue it is accepted and the references are
 *       the transport's; else -EAGAIN, and nothing is taken. After -EAGAIN one on_writable follows
 *       when there is room again; without it none comes.
 *
 *  U12  What was accepted goes out in the order of the calls, at the end of the turn at the latest,
 *       in fragments where it is longer than the path's MTU. Accepted does not mean delivered.
 *
 *  U13  A datagram has at most LEAT_UDP_BYTES_MAX_V4 or _V6 bytes: more is -EMSGSIZE. Port 0 or the
 *       unspecified address as the peer is -EINVAL.
 *
 *  U14  An ICMP error about a datagram that was sent comes as on_error with the peer and one of
 *       LEAT_CLOSE_REFUSED (port unreachable), LEAT_CLOSE_UNREACHABLE, LEAT_CLOSE_PROTOCOL. The
 *       socket lives on, and a later call does not fail for it. A smaller path MTU is heeded, not
 *       reported. Errors are limited in rate by those who send them: none is no proof.
 *
 *  U15  leat_udp_reply sends back to where a datagram came from, from the address that it was sent
 *       to, so that a socket on every address answers from the right one.
 *
 *  U16  A broadcast address needs options.broadcast (-EACCES without). leat_udp_join receives what
 *       is sent to a group; datagrams for a group or broadcast address go to every socket that
 *       listens to them. The stack announces its groups (IGMP, MLD) on Ethernet, and does not hear
 *       what it sends to one.
 *
 *  U17  A wildcard IPv6 address ("[::]:53", ":53") receives IPv4 too, unless options.ipv6_only;
 *       IPv4 peers have IPv4 addresses.
 *
 *  U18  An open socket keeps the loop alive. */
#ifndef LEAT_UDP_H
#define LEAT_UDP_H

#include <leat/addr.h>
#include <leat/buf.h>
#include <leat/conn.h>
#include <leat/defs.h>

LEAT_BEGIN

#define LEAT_UDP_BYTES_MAX_V4 65507 /* of payload, RFC 768 and 791 */
#define LEAT_UDP_BYTES_MAX_V6 65527 /* RFC 8200 without jumbograms */
#define LEAT_UDP_GROUPS_MAX   8     /* joined by one socket: one more is -ENOSPC */

/* Bits as those of a leat_conn. {0} names none. */
typedef struct leat_udp {
    uint64_t id;
} leat_udp;

#define LEAT_UDP_NONE ((leat_udp){0})

struct leat_datagram {
    struct leat_buf data;  /* borrowed; length 0 for an empty one */
    struct leat_addr from; /* the path member of both is not set */
    struct leat_addr to;   /* our address, or the group; with the socket's port */
};

/* All run on the owning core, through the gate. Any but on_close may be NULL; without on_datagrams,
 * datagrams are discarded. */
struct leat_udp_ops {
    void (*on_datagrams)(leat_udp udp, void *user, const struct leat_datagram *datagrams,
                         unsigned count);
    void (*on_writable)(leat_udp udp, void *user);
    void (*on_error)(leat_udp udp, void *user, const struct leat_addr *peer,
                     enum leat_close_reason reason); /* U14 */
    void (*on_close)(leat_udp udp, void *user, enum leat_close_reason reason);
};

struct leat_udp_options {       /* zero means the default in brackets */
    uint32_t send_high_bytes;   /* [262144] */
    uint32_t send_low_bytes;    /* [send_high_bytes / 4] */
    uint32_t receive_bytes_max; /* [262144]; the kernel may have a limit of its own below it */
    uint8_t hop_limit;          /* [64; 1 for groups] */
    bool ipv6_only;             /* U17 */
    bool broadcast;             /* U16 */
    bool exclusive;             /* U5 */
};

/* ops must stay valid as long as the socket. options may be NULL. Return 0 and *udp, or -errno with
 * a sentence in leat_loop_error. */
LEAT_API int leat_udp_bind(struct leat_loop *loop, const struct leat_addr *addr,
                           const struct leat_udp_options *options, const struct leat_udp_ops *ops,
                           void *user, leat_udp *udp) LEAT_MUST_CHECK;
/* from: local address, or NULL for any free port. */
LEAT_API int leat_udp_connect(struct leat_loop *loop, const struct leat_addr *to,
                              const struct leat_addr *from, const struct leat_udp_options *options,
                              const struct leat_udp_ops *ops, void *user,
                              leat_udp *udp) LEAT_MUST_CHECK;

/* All of these return 0, or -ESTALE (U1), -EXDEV (U2) and what their clause says. */

/* U11 to U13. to: NULL with a peer. One slice is sent as it is, several are joined by copying; none
 * is an empty datagram. */
LEAT_API int leat_udp_send(leat_udp udp, const struct leat_addr *to, const struct leat_buf *bufs,
                           unsigned count) LEAT_MUST_CHECK;
LEAT_API int leat_udp_send_bytes(leat_udp udp, const struct leat_addr *to, const void *bytes,
                                 size_t length_bytes) LEAT_MUST_CHECK; /* copies */
LEAT_API int leat_udp_reply(leat_udp udp, const struct leat_datagram *datagram,
                            const struct leat_buf *bufs, unsigned count) LEAT_MUST_CHECK; /* U15 */

LEAT_API int leat_udp_pause(leat_udp udp);  /* U10 */
LEAT_API int leat_udp_resume(leat_udp udp); /* U10 */
LEAT_API int leat_udp_close(leat_udp udp);  /* U4 */

/* U9. hold: within on_datagrams, for the data of one or part of it; the result carries a reference,
 * data == NULL when memory is out. */
LEAT_API struct leat_buf leat_udp_hold(leat_udp udp, struct leat_buf data) LEAT_MUST_CHECK;
LEAT_API void leat_udp_release(leat_udp udp, struct leat_buf held);

/* U16. group: port and via do not matter; scope chooses the interface for kernel sockets. -EEXIST,
 * -ENOENT, -EINVAL when it is no group of the socket's family. */
LEAT_API int leat_udp_join(leat_udp udp, const struct leat_addr *group);
LEAT_API int leat_udp_leave(leat_udp udp, const struct leat_addr *group);

/* Changes whom the callbacks go to, from the next one on. ops NULL leaves them. */
LEAT_API int leat_udp_set(leat_udp udp, const struct leat_udp_ops *ops, void *user);
LEAT_API int leat_udp_local(leat_udp udp, struct leat_addr *addr);
LEAT_API int leat_udp_peer(leat_udp udp, struct leat_addr *addr); /* -ENOTCONN without one */

struct leat_udp_info {
    uint64_t received_count, received_bytes; /* delivered */
    uint64_t sent_count, sent_bytes;         /* handed to the transport's peer or queue */
    uint64_t dropped_count;                  /* U10 */
    uint64_t queued_bytes, held_bytes;
    const char *transport; /* "uring", "epoll", "stack" */
};
LEAT_API int leat_udp_info(leat_udp udp, struct leat_udp_info *info);

LEAT_END
#endif
