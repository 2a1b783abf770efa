/* A DHCP client against servers that answer anything at any time, hosts that have its address, and
 * time: the parser never reads beyond the message, and the client is always in a state that makes
 * sense. */
#include <string.h>

#include "net/stack/dhcp.h"
#include "test/fuzz/net_lone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

enum { STEPS_MAX = 64, HEADER_BYTES = 240 };

static void on_change(void *arg, const struct dhcp_lease *lease)
{
    bool *has_lease = arg;
    CHECK(lease != NULL || *has_lease); /* what was not told cannot be lost */
    *has_lease = lease != NULL;
}

static void check_lease(const struct dhcp_lease *l)
{
    uint32_t ip = be32_get(l->ip);
    CHECK(l->prefix_bits >= 1 && l->prefix_bits <= 32 && l->route_count <= DHCP_ROUTES_MAX);
    CHECK(ip >> 24 != 0 && ip >> 24 != 127 && ip >> 24 < 224);
    CHECK(l->renew_s <= l->rebind_s && l->rebind_s <= l->lease_s && l->lease_s > 0);
    for (unsigned i = 0; i < l->route_count; i++)
        CHECK(l->routes[i].prefix_bits <= 32);
}

static void check(struct lone *l, bool has_lease)
{
    const struct dhcp *d = l->s.dhcp;
    unsigned leased = 0;
    for (uint32_t i = 0; i < l->s.addr_count; i++)
        leased += l->s.addrs[i].is_leased;
    CHECK(leased == (d->state >= DHCP_PROBING));
    CHECK(has_lease == (d->state >= DHCP_BOUND));
    CHECK(d->next_ns != STACK_NEVER || d->state == DHCP_PROBING || d->renew_ns == STACK_NEVER);
    CHECK(d->state < DHCP_BOUND || l->now_ns < d->expires_ns);
    if (d->state >= DHCP_REQUESTING)
        check_lease(&d->lease);
    for (uint32_t i = 1; i < l->s.route_count; i++)
        CHECK(l->s.routes[i - 1].prefix_bits >= l->s.routes[i].prefix_bits);
}

/* A datagram from port 67 to port 68, to everybody. */
static void send(struct lone *l, const uint8_t *message, size_t length)
{
    static uint8_t packet[8 + 1400];
    struct ends e = l->v4;
    struct frame f;
    struct udp_header h = {be16_put(DHCP_SERVER_PORT),
                           be16_put(DHCP_CLIENT_PORT),
                           be16_put((uint16_t)(8 + length)),
                           {0}};
    memcpy(packet, &h, sizeof(h));
    memcpy(packet + sizeof(h), message, length);
    e.host = ip_addr_v4(be32_put(UINT32_MAX));
    memset(e.host_mac.b, 0xff, sizeof(e.host_mac.b));
    frame_ip(&f, &e, IP_UDP, packet, sizeof(h) + length);
    lone_input(l, f.bytes, f.length);
}

static size_t take_rest(struct bytes *in, uint8_t *to, size_t max)
{
    size_t count = bytes_take(in);
    count = count < max ? count : max;
    for (size_t i = 0; i < count; i++)
        to[i] = bytes_take(in);
    return count;
}

/* A reply that is right but for what the input says: type, address, and any options. */
static void answer(struct lone *l, struct bytes *in)
{
    static const uint8_t types[4] = {DHCP_OFFER, DHCP_ACK, DHCP_NAK, DHCP_DISCOVER};
    uint8_t m[HEADER_BYTES + 600] = {2, 1, 6, 0}, odd = bytes_take(in);
    be32 xid = be32_put(l->s.dhcp->xid ^ (odd >> 7));
    be32 ip = be32_put(UINT32_C(0x0a090000) | (odd >> 2 & 31)), magic = be32_put(0x63825363);
    static const uint8_t server[] = {54, 4, 10, 9, 0, 1}, mask[] = {1, 4, 255, 255, 255, 0};
    uint8_t lease[] = {51, 4, bytes_take(in), 0, bytes_take(in), 60};
    memcpy(m + 4, &xid, 4);
    memcpy(m + 16, &ip, 4);
    memcpy(m + 28, l->s.mac.b, 6);
    memcpy(m + 236, &magic, 4);
    uint8_t *at = m + HEADER_BYTES;
    *at++ = 53;
    *at++ = 1;
    *at++ = types[odd & 3];
    memcpy(at, server, sizeof(server));
    at += sizeof(server);
    memcpy(at, lease, sizeof(lease));
    at += sizeof(lease);
    memcpy(at, mask, sizeof(mask));
    at += sizeof(mask);
    at += take_rest(in, at, 255);
    *at++ = 255;
    send(l, m, (size_t)(at - m));
}

static void anything(struct lone *l, struct bytes *in)
{
    uint8_t m[HEADER_BYTES + 255];
    size_t length = HEADER_BYTES;
    static const uint8_t magic[] = {0x63, 0x82, 0x53, 0x63};
    memset(m, bytes_take(in), HEADER_BYTES);
    m[0] = 2;
    m[1] = 1;
    m[2] = 6;
    memcpy(m + 236, magic, sizeof(magic));
    (void)take_rest(in, m + 44, 192); /* sname and file, which option 52 lends */
    length += take_rest(in, m + HEADER_BYTES, 255);
    struct dhcp_reply reply;
    if (dhcp_reply_parse(&reply, m, length) && reply.type != DHCP_NAK)
        check_lease(&reply.lease);
    send(l, m, length);
}

static void conflict(struct lone *l, uint8_t which)
{
    struct ends e = l->v4;
    struct frame f;
    e.peer = ip_addr_v4(l->s.dhcp->lease.ip);
    e.host = which & 1 ? e.peer : l->v4.host;
    frame_arp(&f, which & 2 ? ARP_REPLY : ARP_REQUEST, &e);
    lone_input(l, f.bytes, f.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    static const uint32_t seconds[8] = {1, 2, 5, 11, 70, 600, 4000, 100000};
    struct bytes in = {data, length_bytes};
    struct lone *l = lone_begin(false, false);
    struct leat_error error;
    bool has_lease = false;
    CHECK(dhcp_start(&l->s, on_change, &has_lease, &error) == 0);
    for (unsigned i = 0; i < STEPS_MAX && in.left > 0; i++) {
        uint8_t op = bytes_take(&in);
        l->sent_count = 0;
        if (op >= 0xc0)
            lone_pass(l, seconds[op & 7] * LEAT_NS_PER_S);
        else if (op >= 0xa0)
            conflict(l, op);
        else if (op >= 0x80)
            anything(l, &in);
        else
            answer(l, &in);
        check(l, has_lease);
    }
    lone_end(l);
    return 0;
}
