/* What is said on the link: Ethernet headers, ARP, neighbour discovery. */
#ifndef LEAT_STACK_LINK_H
#define LEAT_STACK_LINK_H

#include "net/stack/wire.h"

struct stack;

void ethernet_header(const struct stack *s, uint8_t *head, const struct mac_addr *dst,
                     uint16_t type);

void arp_request(struct stack *s, const struct ip_addr *target, const struct ip_addr *sender,
                 const struct mac_addr *unicast);
void nd_solicit(struct stack *s, const struct ip_addr *target, const struct ip_addr *sender,
                const struct mac_addr *unicast);
void nd_advertise(struct stack *s, const struct ip_addr *target, const struct ip_addr *to,
                  const struct mac_addr *mac, uint32_t flags);
/* Routers are asked anew: the link came back. */
void nd_routers_ask(struct stack *s);
uint64_t nd_router_tick(struct stack *s);

#endif
