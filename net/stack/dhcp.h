/* A DHCP client (RFC 2131): one core of the program runs it, and all get the address.
 *
 *     INIT -> SELECTING -> REQUESTING -> PROBING -> BOUND -> RENEWING -> REBINDING -> INIT
 *                                                     \-(the link came back)-> REBOOTING -> BOUND
 *
 * The first offer is taken. What is granted is probed for by ARP before it is used (RFC 5227); a
 * conflict then, or one that lasts later, declines it. A NAK or the lease's end takes the address
 * away: what is bound to it ends with LEAT_CLOSE_ADDRESS_GONE, and the client begins anew; a lease
 * that ran out while the process was stopped goes before anything is taken or sent. When the link
 * comes back the server is asked whether the address still holds, which is used meanwhile. The
 * client never gives up: retransmissions back off to one in 64 seconds. The lease is not released
 * at the end, so that a restart gets the same address soon. */
#ifndef LEAT_STACK_DHCP_H
#define LEAT_STACK_DHCP_H

#include "net/stack/dhcp_message.h"
#include "net/stack/stack.h"

enum dhcp_state {
    DHCP_INIT,
    DHCP_SELECTING,
    DHCP_REQUESTING,
    DHCP_PROBING,
    DHCP_BOUND, /* from here on there is a lease */
    DHCP_REBOOTING,
    DHCP_RENEWING,
    DHCP_REBINDING,
};

struct dhcp {
    struct stack *stack;
    /* lease NULL: there is none any more. Runs on the core, outside of any callback of a user. */
    void (*on_change)(void *arg, const struct dhcp_lease *lease);
    void *arg;
    uint8_t state; /* enum dhcp_state */
    uint8_t tries;
    uint32_t xid;
    uint64_t began_ns, next_ns;
    uint64_t renew_ns, rebind_ns, expires_ns; /* while bound */
    uint64_t requested_ns;                    /* when the request was first sent */
    struct dhcp_lease lease;                  /* offered, then granted */
};

/* Starts the client on an Ethernet link. Returns 0 or -ENOMEM, -EINVAL. */
int dhcp_start(struct stack *s, void (*on_change)(void *arg, const struct dhcp_lease *lease),
               void *arg, struct leat_error *error) LEAT_MUST_CHECK;
void dhcp_stop(struct stack *s);

/* A datagram to DHCP_CLIENT_PORT, header and all. */
void dhcp_input(struct stack *s, const struct rx_packet *p);
/* Gives up a lease that has run out. */
void dhcp_expire(struct stack *s);
/* The link came back: maybe to another network. */
void dhcp_link_up(struct stack *s);
/* Does what is due; returns when it has work next. */
uint64_t dhcp_tick(struct stack *s);
/* The leased address has become valid, or another host uses it: dhcp_tick looks. */
void dhcp_address_changed(struct stack *s);

/* Gives another core's stack what was leased, and takes it away again. Return 0 or -errno. */
int dhcp_lease_apply(struct stack *s, const struct dhcp_lease *lease);
void dhcp_lease_remove(struct stack *s, const struct dhcp_lease *lease);

#endif
