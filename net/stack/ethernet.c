/* Ethernet II with at most one VLAN tag (IEEE 802.3, 802.1Q). */
#include "net/stack/stack.h"

static bool is_group_mac(const struct mac_addr *mac)
{
    return (mac->b[0] & 1) != 0;
}

/* The type behind the header and its tag; 0 when the tag is not ours. Priority tags (VLAN 0) count
 * as none. */
static uint16_t strip_tag(struct stack *s, struct rx_packet *p)
{
    const struct vlan_tag *tag = (const void *)p->data;
    if (p->length_bytes < sizeof(*tag))
        return 0;
    uint16_t vlan = be16_get(tag->tci) & 0xfff;
    if (vlan != 0 && vlan != s->vlan)
        return 0;
    if (vlan == 0 && s->vlan != 0)
        return 0;
    p->data += sizeof(*tag);
    p->length_bytes -= (uint32_t)sizeof(*tag);
    return be16_get(tag->type);
}

void ethernet_input(struct stack *s, struct rx_packet *p)
{
    const struct eth_header *eth = (const void *)p->data;
    if (unlikely(p->length_bytes < sizeof(*eth))) {
        stack_drop(s, STACK_DROP_LINK_SHORT);
        return;
    }
    if (memcmp(&eth->dst, &s->mac, sizeof(s->mac)) != 0) {
        if (!is_group_mac(&eth->dst)) {
            stack_drop(s, STACK_DROP_LINK_OTHER_HOST);
            return;
        }
        p->flags |= RX_LINK_MULTICAST;
    }
    p->src_mac = eth->src;
    p->data += sizeof(*eth);
    p->length_bytes -= (uint32_t)sizeof(*eth);
    uint16_t type = be16_get(eth->type);
    if (type == ETHERTYPE_VLAN || s->vlan != 0) {
        type = type == ETHERTYPE_VLAN ? strip_tag(s, p) : 0;
        if (type == 0) {
            stack_drop(s, STACK_DROP_LINK_VLAN);
            return;
        }
    }
    if (likely(type == ETHERTYPE_IPV4))
        ipv4_input(s, p);
    else if (type == ETHERTYPE_IPV6)
        ipv6_input(s, p);
    else if (type == ETHERTYPE_ARP)
        arp_input(s, p);
    else
        stack_drop(s, STACK_DROP_LINK_PROTOCOL);
}

void ethernet_header(const struct stack *s, uint8_t *head, const struct mac_addr *dst,
                     uint16_t type)
{
    if (s->link_kind != LEAT_LINK_ETHERNET)
        return;
    struct eth_header *eth = (void *)head;
    eth->dst = *dst;
    eth->src = s->mac;
    eth->type = be16_put(s->vlan != 0 ? ETHERTYPE_VLAN : type);
    if (s->vlan != 0) {
        struct vlan_tag tag = {be16_put(s->vlan), be16_put(type)};
        memcpy(head + sizeof(*eth), &tag, sizeof(tag));
    }
}
