/* ARP (RFC 826) with conflict detection and announcement (RFC 5227). */
#include "net/stack/stack.h"

static const struct mac_addr broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static void arp_send(struct stack *s, uint16_t operation, const struct arp_packet *fields,
                     const struct mac_addr *to)
{
    struct leat_packet *packet = tx_reserve(s, TX_CONTROL);
    if (packet == NULL)
        return;
    struct arp_packet *arp = (void *)(packet->head + s->l2_bytes);
    *arp = *fields;
    arp->hardware = be16_put(1);
    arp->protocol = be16_put(ETHERTYPE_IPV4);
    arp->hardware_bytes = 6;
    arp->protocol_bytes = 4;
    arp->operation = be16_put(operation);
    arp->sender_mac = s->mac;
    ethernet_header(s, packet->head, to, ETHERTYPE_ARP);
    packet->head_bytes = (uint16_t)(s->l2_bytes + sizeof(*arp));
    s->count.arp_tx++;
    tx_commit(s, packet);
}

void arp_request(struct stack *s, const struct ip_addr *target, const struct ip_addr *sender,
                 const struct mac_addr *unicast)
{
    struct arp_packet fields = {.sender_ip = ip_addr_get_v4(sender),
                                .target_ip = ip_addr_get_v4(target)};
    if (unicast != NULL)
        fields.target_mac = *unicast;
    arp_send(s, ARP_REQUEST, &fields, unicast != NULL ? unicast : &broadcast);
}

/* RFC 5227 2.1.1 and 2.4: somebody else uses, or probes for, an address of ours. */
static bool arp_is_conflict(struct stack *s, const struct arp_packet *arp,
                            struct stack_addr *target)
{
    struct ip_addr sender = ip_addr_v4(arp->sender_ip);
    struct stack_addr *ours = addr_find(s, &sender);
    if (ours != NULL) {
        stack_drop(s, STACK_DROP_ARP_CONFLICT);
        addr_conflict(s, ours, &arp->sender_mac);
        return true;
    }
    if (arp->sender_ip.raw == 0 && target != NULL && target->state == ADDR_TENTATIVE) {
        stack_drop(s, STACK_DROP_ARP_CONFLICT);
        addr_conflict(s, target, &arp->sender_mac);
        return true;
    }
    return false;
}

static bool arp_is_well_formed(const struct rx_packet *p, const struct arp_packet *arp)
{
    return p->length_bytes >= sizeof(*arp) && be16_get(arp->hardware) == 1 &&
           be16_get(arp->protocol) == ETHERTYPE_IPV4 && arp->hardware_bytes == 6 &&
           arp->protocol_bytes == 4;
}

void arp_input(struct stack *s, struct rx_packet *p)
{
    const struct arp_packet *arp = (const void *)p->data;
    if (!arp_is_well_formed(p, arp)) {
        stack_drop(s, STACK_DROP_ARP_MALFORMED);
        return;
    }
    s->count.arp_rx++;
    struct ip_addr sender = ip_addr_v4(arp->sender_ip), target = ip_addr_v4(arp->target_ip);
    if ((arp->sender_mac.b[0] & 1) != 0 || addr_is_broadcast(s, &sender) ||
        ip_addr_is_multicast(&sender)) {
        stack_drop(s, STACK_DROP_ARP_SENDER);
        return;
    }
    if (memcmp(&arp->sender_mac, &s->mac, sizeof(s->mac)) == 0)
        return; /* our own broadcast came back */
    struct stack_addr *ours = addr_find(s, &target);
    if (arp_is_conflict(s, arp, ours))
        return;
    bool for_us = ours != NULL && ours->state == ADDR_VALID;
    bool is_reply = be16_get(arp->operation) == ARP_REPLY;
    if (arp->sender_ip.raw != 0) {
        if (is_reply && for_us)
            neighbour_answer(s, &sender, &arp->sender_mac,
                             NEIGHBOUR_SOLICITED | NEIGHBOUR_OVERRIDE);
        else
            neighbour_learn(s, &sender, &arp->sender_mac, for_us && !is_reply ? NEIGHBOUR_MAKE : 0);
    }
    if (!is_reply && for_us) {
        struct arp_packet reply = {.sender_ip = arp->target_ip,
                                   .target_mac = arp->sender_mac,
                                   .target_ip = arp->sender_ip};
        arp_send(s, ARP_REPLY, &reply, &arp->sender_mac);
    }
}
