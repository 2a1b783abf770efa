/* Packets on their way down: IP headers and checksums, and ICMP errors. */
#ifndef LEAT_STACK_IP_OUTPUT_H
#define LEAT_STACK_IP_OUTPUT_H

#include "net/stack/route.h"

struct rx_packet;
struct stack;

/* The transport header (l4_bytes) and inline payload stand in the head, head_bytes covers them, the
 * slices follow. Writes the IP header, settles the transport checksum, 0 so far, at checksum_at of
 * the transport header, and sends. */
void ip_output(struct stack *s, struct leat_packet *packet, struct path *path, uint8_t protocol,
               unsigned checksum_at);
/* A whole datagram with its transport header and checksum, fragmented where it must be. Takes the
 * reference. */
void ip_send(struct stack *s, struct path *path, uint8_t protocol, struct leat_buf datagram);

/* An ICMP error about a packet of ours; l4 is its transport header, at least 8 bytes of it. */
struct icmp_report {
    struct ip_addr src, dst; /* of the quoted packet: src is ours */
    const uint8_t *l4;
    uint32_t l4_bytes;
    uint32_t mtu_bytes; /* not 0: packet too big; what the router says, unverified */
    uint8_t protocol, type, code;
    bool is_v6;
};

void icmp_error(struct stack *s, const struct rx_packet *p, uint8_t type, uint8_t code,
                uint32_t rest);
void icmp_error_quote(struct stack *s, const struct ip_addr *to, const struct ip_addr *from,
                      const uint8_t *quote, size_t quote_bytes, const struct icmp_header *icmp);

#endif
