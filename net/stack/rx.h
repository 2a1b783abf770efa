/* Packets on their way up, and the layers that take them: each consumes what it can, and counts
 * what it drops. A header is trusted beyond the layer that validated it. */
#ifndef LEAT_STACK_RX_H
#define LEAT_STACK_RX_H

#include "net/stack/wire.h"

struct stack;

enum rx_flags {
    RX_LINK_MULTICAST = 1u << 0, /* the frame was broadcast or multicast on the link */
    RX_MULTICAST = 1u << 1,      /* the IP destination is a broadcast or multicast address */
    RX_HEAP = 1u << 2,           /* handle is heap memory, not the port's */
    RX_KEPT = 1u << 3,         /* somebody keeps the buffer: not released at the end of the burst */
    RX_FOREIGN = 1u << 4,      /* the buffer belongs to another core's queue: queue is that core */
    RX_HASHED = 1u << 5,       /* hash is the card's */
    RX_STEERED = 1u << 6,      /* another core has found that this one handles it */
    RX_FRAGMENT = 1u << 7,     /* ... from its IP header on */
    RX_ROUTER_ALERT = 1u << 8, /* IPv6: the option of RFC 2711 */
};

/* A packet on its way up. data and length_bytes shrink from layer to layer. */
struct rx_packet {
    const uint8_t *data;
    uint32_t length_bytes;
    uint32_t buffer_bytes; /* truesize */
    void *handle;
    const uint8_t *ip; /* the IP header, to be quoted in errors */
    uint32_t ip_bytes; /* ... with all that follows it */
    uint16_t ip_header_bytes;
    uint8_t protocol;
    uint8_t ecn;
    uint8_t hop_limit;
    uint8_t ip_verdict, l4_verdict; /* enum leat_verdict */
    uint8_t queue;
    uint16_t flags;       /* enum rx_flags */
    uint16_t next_offset; /* IPv6: of the field that names protocol, for parameter problems */
    struct mac_addr src_mac;
    struct ip_addr src, dst;
    uint32_t hash; /* of the flow: set by the layer that looks it up */
};

void ethernet_input(struct stack *s, struct rx_packet *p);
void arp_input(struct stack *s, struct rx_packet *p);
void ipv4_input(struct stack *s, struct rx_packet *p);
void ipv6_input(struct stack *s, struct rx_packet *p);
/* Behind the IP headers: ICMP and UDP at once; TCP waits in s->rx for the burst's stages. */
void ip_deliver(struct stack *s, struct rx_packet *p);
void icmp_input(struct stack *s, struct rx_packet *p);
void icmpv6_input(struct stack *s, struct rx_packet *p);
void nd_input(struct stack *s, struct rx_packet *p);
void udp_input(struct stack *s, struct rx_packet *p);

/* A buffer somebody kept with RX_KEPT comes back; a frame at the end of the burst or of the turn.
 */
void stack_release(struct stack *s, void *handle, uint8_t queue, uint8_t rx_flags);
/* Frames of our queue go back to the port. */
void rx_released_send(struct stack *s);

/* Whether the transport checksum of p, over length bytes, is right: by the port's word where it is
 * believed, else summed. */
bool l4_checksum_is_right(struct stack *s, const struct rx_packet *p, uint8_t protocol,
                          uint32_t length);

#endif
