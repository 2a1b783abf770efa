/* DHCP messages (RFC 2131, 2132, 3396, 3442): reading replies strictly, writing requests. Pure; any
 * thread.
 *
 * A reply is refused as a whole when it cannot be read: an option that runs past its field, a field
 * without its end, no type, server or lease time that makes sense, an address that no host can
 * have. Of what it offers beside, an option that is wrong in itself counts as one that is not
 * there. */
#ifndef LEAT_DHCP_MESSAGE_H
#define LEAT_DHCP_MESSAGE_H

#include "net/stack/wire.h"

#define DHCP_SERVER_PORT   67
#define DHCP_CLIENT_PORT   68
#define DHCP_ROUTES_MAX    16  /* further ones are ignored */
#define DHCP_DNS_MAX       3   /* further ones are ignored */
#define DHCP_REQUEST_BYTES 300 /* RFC 1542 2.1: shorter ones are dropped by old relays */

enum dhcp_type {
    DHCP_DISCOVER = 1,
    DHCP_OFFER,
    DHCP_REQUEST,
    DHCP_DECLINE,
    DHCP_ACK,
    DHCP_NAK,
    DHCP_RELEASE,
};

struct dhcp_route {
    be32 net, gateway; /* gateway 0: on the link */
    uint8_t prefix_bits;
};

/* What a server grants. */
struct dhcp_lease {
    be32 ip, server;
    uint8_t prefix_bits;
    uint8_t route_count, dns_count;
    uint16_t mtu_bytes;                  /* 0: not said */
    uint32_t lease_s, renew_s, rebind_s; /* UINT32_MAX: for ever; renew < rebind < lease */
    uint64_t until_ns;                   /* the client's: when it ends, UINT64_MAX: never */
    struct dhcp_route routes[DHCP_ROUTES_MAX];
    be32 dns[DHCP_DNS_MAX];
};

struct dhcp_reply {
    uint8_t type; /* DHCP_OFFER, DHCP_ACK or DHCP_NAK */
    uint32_t xid;
    struct mac_addr mac;
    struct dhcp_lease lease; /* of a NAK: the server only */
};

/* False: it is no reply, or malformed. */
bool dhcp_reply_parse(struct dhcp_reply *reply, const uint8_t *bytes, size_t length_bytes);

struct dhcp_request {
    uint8_t type;
    uint32_t xid;
    uint16_t seconds; /* since the client began */
    struct mac_addr mac;
    be32 client;        /* our address, where it is in use */
    be32 asked, server; /* 0: the option is left out */
    bool broadcast;     /* replies cannot be sent to our address yet */
};

/* Writes DHCP_REQUEST_BYTES. */
void dhcp_request_write(const struct dhcp_request *request, uint8_t to[DHCP_REQUEST_BYTES]);

#endif
