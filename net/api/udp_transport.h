/* What a transport of datagrams implements: net/api/udp.c dispatches a handle's calls through
 * these. Internal: not installed.
 *
 * It registers itself in its core's udp[] at the place of its number, which is the top four bits of
 * its handles. Sockets come from a slot table (buffers/slots.h). */
#ifndef LEAT_UDP_TRANSPORT_H
#define LEAT_UDP_TRANSPORT_H

#include <leat/udp.h>

#include "net/api/transport.h"

struct leat_udp_transport;

/* A datagram to be sent. */
struct udp_outgoing {
    const struct leat_addr *to;   /* NULL: the peer */
    const struct leat_addr *from; /* NULL: the socket's; only the address counts */
    struct leat_buf data;
};

struct leat_udp_transport_ops {
    /* to: NULL for a socket without a peer; addr: NULL for any free port. */
    int (*open)(struct leat_udp_transport *, const struct leat_addr *addr,
                const struct leat_addr *to, const struct leat_udp_options *,
                const struct leat_udp_ops *, void *user, leat_udp *);
    /* Takes the reference when it returns 0. The peer's address has been checked (U13). */
    int (*send)(struct leat_udp_transport *, leat_udp, const struct udp_outgoing *);
    int (*pause)(struct leat_udp_transport *, leat_udp, bool paused);
    int (*close)(struct leat_udp_transport *, leat_udp);
    struct leat_buf (*hold)(struct leat_udp_transport *, leat_udp, struct leat_buf data);
    void (*release)(struct leat_udp_transport *, leat_udp, struct leat_buf held);
    int (*join)(struct leat_udp_transport *, leat_udp, const struct leat_addr *, bool joins);
    int (*set)(struct leat_udp_transport *, leat_udp, const struct leat_udp_ops *, void *user);
    int (*address)(struct leat_udp_transport *, leat_udp, bool peer, struct leat_addr *);
    int (*info)(struct leat_udp_transport *, leat_udp, struct leat_udp_info *);
};

struct leat_udp_transport {
    const struct leat_udp_transport_ops *ops;
};

static inline uint64_t udp_bytes_max(uint8_t family)
{
    return family == LEAT_FAMILY_IPV4 ? LEAT_UDP_BYTES_MAX_V4 : LEAT_UDP_BYTES_MAX_V6;
}

/* As leat_udp_options says, defaults filled in. */
static inline struct leat_udp_options udp_options_of(const struct leat_udp_options *given)
{
    struct leat_udp_options o = *given;
    o.send_high_bytes = o.send_high_bytes != 0 ? o.send_high_bytes : 262144;
    o.send_low_bytes = o.send_low_bytes != 0 ? o.send_low_bytes : o.send_high_bytes / 4;
    o.receive_bytes_max = o.receive_bytes_max != 0 ? o.receive_bytes_max : 262144;
    return o;
}

#endif
