/* Frames by hand: what a script's peer sends, and what it reads of what comes back. */
#ifndef TEST_SCRIPT_FRAME_H
#define TEST_SCRIPT_FRAME_H

#include "net/sim/sim.h"

struct frame {
    uint8_t bytes[SIM_FRAME_BYTES];
    size_t length;
};

/* The two ends: host is the stack under test, peer the puppet. */
struct ends {
    struct mac_addr peer_mac, host_mac;
    struct ip_addr peer, host;
};

struct ends ends_of(const struct sim_host *host, const struct sim_host *peer, bool v6);

void frame_eth(struct frame *f, const struct ends *e, uint16_t type);
/* A whole frame from the peer to the host: Ethernet, IP of the family of e, payload. */
void frame_ip(struct frame *f, const struct ends *e, uint8_t protocol, const void *payload,
              size_t length);
/* Sets the IPv4 fragment field and the id, and the header checksum anew. */
void frame_set_fragment(struct frame *f, uint16_t field, uint16_t id);
/* Makes the IPv4 header checksum right again after a change. */
void frame_fix_ip(struct frame *f);
/* The ECN field of a whole frame. */
void frame_set_ecn(struct frame *f, const struct ends *e, uint8_t ecn);
uint8_t ecn_of(const struct sim_frame *f);
void frame_arp(struct frame *f, uint16_t operation, const struct ends *e);
/* An echo request with length bytes of data, as the IP payload; returns its length. */
size_t icmp_echo(uint8_t *to, const struct ends *e, uint16_t sequence, size_t length);
/* Any ICMP message: writes the checksum into the first header. */
void icmp_sum(uint8_t *message, size_t length, const struct ends *e);

static inline const struct eth_header *eth_of(const struct sim_frame *f)
{
    return (const void *)f->bytes;
}
static inline const struct ipv4_header *ip4_of(const struct sim_frame *f)
{
    return (const void *)(f->bytes + 14);
}
static inline const struct ipv6_header *ip6_of(const struct sim_frame *f)
{
    return (const void *)(f->bytes + 14);
}
static inline bool is_type(const struct sim_frame *f, uint16_t type)
{
    return be16_get(eth_of(f)->type) == type;
}
static inline const void *payload_of(const struct sim_frame *f) /* behind a plain IP header */
{
    return f->bytes + 14 + (is_type(f, ETHERTYPE_IPV6) ? 40 : 20);
}

#endif
