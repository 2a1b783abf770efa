/* pinger KIND:WHERE OWN PEER COUNT BYTES: pings a neighbour over any port, straight on the port
 * contract and without a stack, so that what fails is the port. Payload travels in slices. Prints
 * "received N of COUNT", and fails unless all came back unchanged and every buffer is accounted
 * for. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buffers/heap.h"
#include "buffers/pools.h"
#include "net/port/ports.h"
#include "net/stack/wire.h"

#define LIMIT_NS (UINT64_C(20) * LEAT_NS_PER_S)
#define WINDOW   16
#define RETRY_NS (100 * LEAT_NS_PER_MS)

struct pinger {
    struct leat_port *port;
    be32 own, peer;
    struct mac_addr mac, peer_mac;
    bool has_peer_mac;
    uint32_t count, bytes, sent, received, wrong;
    struct leat_buf payload;
};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * LEAT_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void send_packet(struct pinger *p, struct leat_packet *packet)
{
    const struct leat_port_ops *ops = p->port->ops;
    uint64_t until_ns = clock_ns() + RETRY_NS;
    while (ops->transmit(p->port, 0, packet, 1) == 0) {
        if (clock_ns() < until_ns)
            continue;
        for (unsigned i = 0; i < packet->slice_count; i++)
            leat_buf_unref(packet->slices[i]);
        ops->revoke(p->port, 0, packet, 1);
        return;
    }
}

static bool start_packet(struct pinger *p, struct leat_packet *packet, const struct mac_addr *to,
                         uint16_t type)
{
    memset(packet, 0, sizeof(*packet));
    if (p->port->ops->grant(p->port, 0, packet, 1) != 1)
        return false;
    struct eth_header eth = {*to, p->mac, be16_put(type)};
    memcpy(packet->head, &eth, sizeof(eth));
    packet->head_bytes = sizeof(eth);
    packet->l2_bytes = sizeof(eth);
    return true;
}

static void send_arp(struct pinger *p, const struct mac_addr *to, be32 target, uint16_t operation)
{
    static const struct mac_addr all = {{255, 255, 255, 255, 255, 255}};
    struct leat_packet packet;
    struct arp_packet arp = {be16_put(1), be16_put(ETHERTYPE_IPV4), 6,
                             4,           be16_put(operation),      p->mac,
                             p->own,      to != NULL ? *to : all,   target};
    if (!start_packet(p, &packet, to != NULL ? to : &all, ETHERTYPE_ARP))
        return;
    memcpy(packet.head + packet.head_bytes, &arp, sizeof(arp));
    packet.head_bytes = (uint16_t)(packet.head_bytes + sizeof(arp));
    send_packet(p, &packet);
}

static bool send_echo(struct pinger *p)
{
    struct leat_packet packet;
    if (!start_packet(p, &packet, &p->peer_mac, ETHERTYPE_IPV4))
        return false;
    struct icmp_header icmp = {.type = ICMP_ECHO, .rest = be32_put(p->sent)};
    csum sum = csum_add(CSUM_ZERO, &icmp, sizeof(icmp));
    icmp.checksum =
        csum_finish(csum_append(sum, csum_add(CSUM_ZERO, p->payload.data, p->payload.length_bytes),
                                sizeof(icmp)));
    struct ipv4_header ip = {.version_ihl = 0x45,
                             .length = be16_put((uint16_t)(20 + sizeof(icmp) + p->bytes)),
                             .ttl = 64,
                             .protocol = IP_ICMP,
                             .src = p->own,
                             .dst = p->peer};
    ip.checksum = csum_finish(csum_add(CSUM_ZERO, &ip, sizeof(ip)));
    memcpy(packet.head + 14, &ip, sizeof(ip));
    memcpy(packet.head + 34, &icmp, sizeof(icmp));
    packet.head_bytes = 34 + sizeof(icmp);
    packet.l3_bytes = 20;
    size_t first = p->bytes / 3;
    if (p->bytes > 0) {
        if (first > 0)
            packet.slices[packet.slice_count++] = leat_buf_slice(p->payload, 0, first);
        packet.slices[packet.slice_count++] = leat_buf_slice(p->payload, first, p->bytes - first);
        packet.slice_bytes = p->bytes;
    }
    send_packet(p, &packet);
    p->sent++;
    return true;
}

static void take_frame(struct pinger *p, const struct leat_frame *f)
{
    const struct eth_header *eth = (const void *)f->data;
    const struct arp_packet *arp = (const void *)(f->data + 14);
    const struct ipv4_header *ip = (const void *)(f->data + 14);
    const struct icmp_header *icmp = (const void *)(f->data + 34);
    if (f->length_bytes >= 42 && be16_get(eth->type) == ETHERTYPE_ARP &&
        be32_equal(arp->target_ip, p->own)) {
        if (be16_get(arp->operation) == ARP_REQUEST) {
            send_arp(p, &arp->sender_mac, arp->sender_ip, ARP_REPLY);
        } else if (be32_equal(arp->sender_ip, p->peer)) {
            p->peer_mac = arp->sender_mac;
            p->has_peer_mac = true;
        }
        return;
    }
    if (f->length_bytes < 42 + p->bytes || be16_get(eth->type) != ETHERTYPE_IPV4 ||
        ip->protocol != IP_ICMP || icmp->type != ICMP_ECHO_REPLY || !be32_equal(ip->src, p->peer))
        return;
    if (p->bytes > 0 && memcmp(f->data + 42, p->payload.data, p->bytes) != 0)
        p->wrong++;
    p->received++;
}

static void poll_port(struct pinger *p)
{
    struct leat_frame frames[LEAT_PORT_BURST];
    void *handles[LEAT_PORT_BURST];
    unsigned count = p->port->ops->poll(p->port, 0, frames, LEAT_PORT_BURST);
    for (unsigned i = 0; i < count; i++) {
        take_frame(p, &frames[i]);
        handles[i] = frames[i].handle;
    }
    if (count > 0)
        p->port->ops->release(p->port, 0, handles, count);
    p->port->ops->reclaim(p->port, 0);
}

static void run(struct pinger *p)
{
    uint64_t until_ns = clock_ns() + LIMIT_NS, asked_ns = 0;
    while (p->received < p->count && clock_ns() < until_ns) {
        if (!p->has_peer_mac && clock_ns() - asked_ns > RETRY_NS) {
            asked_ns = clock_ns();
            send_arp(p, NULL, p->peer, ARP_REQUEST);
        }
        while (p->has_peer_mac && p->sent < p->count && p->sent - p->received < WINDOW)
            if (!send_echo(p))
                break;
        poll_port(p);
    }
}

/* What is still in flight comes back before the count. */
static int settle(struct pinger *p)
{
    struct leat_port_stats stats;
    uint64_t until_ns = clock_ns() + LEAT_NS_PER_S;
    while (p->port->ops->reclaim(p->port, 0) > 0 && clock_ns() < until_ns)
        poll_port(p);
    p->port->ops->stats(p->port, 0, &stats);
    if (stats.rx_held_count != 0 || stats.tx_held_count != 0)
        printf("held: %llu frames, %llu packets\n", (unsigned long long)stats.rx_held_count,
               (unsigned long long)stats.tx_held_count);
    for (unsigned i = 0; i < LEAT_PORT_DROP_COUNT; i++)
        if (stats.drops[i] != 0)
            printf("dropped: %u x %llu\n", i, (unsigned long long)stats.drops[i]);
    return stats.rx_held_count == 0 && stats.tx_held_count == 0 ? 0 : 1;
}

static int ping(struct pinger *p, const char *net)
{
    struct leat_error error = {0};
    char kind[16];
    size_t length = strcspn(net, ":");
    snprintf(kind, sizeof(kind), "%.*s", (int)length, net);
    struct port_options options = {.kind = kind, .where = net + length + 1, .queue_count = 1};
    bool is_tun = strcmp(kind, "tun") == 0;
    p->port = is_tun ? tun_port_open(&options, &error) : dpdk_port_open(&options, &error);
    if (p->port == NULL) {
        fprintf(stderr, "%s\n", error.sentence);
        return 2;
    }
    const struct leat_port_ops *ops = p->port->ops;
    if (ops->enter != NULL && ops->enter(p->port, &error) < 0) {
        fprintf(stderr, "%s\n", error.sentence);
        return 2;
    }
    memcpy(&p->mac, p->port->info.mac, sizeof(p->mac));
    p->payload = leat_buf_alloc_unsafe(p->bytes > 0 ? p->bytes : 1);
    for (uint32_t i = 0; i < p->bytes; i++)
        p->payload.data[i] = (uint8_t)(i * 7 + 1);
    uint64_t from_ns = clock_ns();
    run(p);
    uint64_t took_ns = clock_ns() - from_ns;
    int held = settle(p);
    leat_buf_unref(p->payload);
    if (ops->leave != NULL)
        ops->leave(p->port);
    ops->close(p->port);
    printf("received %u of %u, %u wrong, in %llu us\n", p->received, p->count, p->wrong,
           (unsigned long long)(took_ns / 1000));
    return held != 0 || p->received != p->count || p->wrong != 0;
}

int main(int argc, char **argv)
{
    static struct leat_core core;
    struct pinger p = {.count = 0};
    if (argc != 6 || inet_pton(AF_INET, argv[2], &p.own) != 1 ||
        inet_pton(AF_INET, argv[3], &p.peer) != 1) {
        fprintf(stderr, "usage: pinger KIND:WHERE OWN PEER COUNT BYTES\n");
        return 2;
    }
    p.count = (uint32_t)atoi(argv[4]);
    p.bytes = (uint32_t)atoi(argv[5]);
    leat_core_now = &core;
    if (leat_heap_init(&core, NULL) < 0 || leat_pools_init(&core, 64 << 20, NULL) < 0)
        return 2;
    int code = ping(&p, argv[1]);
    if (leat_pools_fini(&core) != 0)
        code = 1;
    leat_heap_fini(&core);
    return code;
}
