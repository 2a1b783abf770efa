/* A DHCP server by hand: what the scripts of the client share. */
#ifndef TEST_SCRIPT_DHCP_SERVER_H
#define TEST_SCRIPT_DHCP_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <leat/conn.h>
#include <leat/udp.h>
#include <stdlib.h>

#include "net/stack/dhcp.h"
#include "test/script/frame.h"
#include "test/script/scripts.h"

#define SERVER  UINT32_C(0x0a090001) /* 10.9.0.1 */
#define OFFERED UINT32_C(0x0a090039)
#define ALL     UINT32_C(0xffffffff)

struct world {
    struct sim *sim;
    struct sim_host *host, *peer;
    struct ends ends;
    unsigned changes, losses, closes;
    enum leat_close_reason reason;
    struct dhcp_lease lease;
    uint32_t xid;
};

static inline void on_change(void *arg, const struct dhcp_lease *lease)
{
    struct world *w = arg;
    if (lease == NULL) {
        w->losses++;
        return;
    }
    w->changes++;
    w->lease = *lease;
}

static inline struct world *begin(void)
{
    struct world *w = calloc(1, sizeof(*w));
    struct leat_error error;
    assert_non_null(w);
    w->sim = sim_new(1, NULL, NULL);
    w->host = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_STACK});
    w->peer = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    w->ends = ends_of(w->host, w->peer, false);
    w->ends.peer = ip_addr_v4(be32_put(SERVER));
    w->ends.host = ip_addr_v4(be32_put(ALL));
    sim_run_for(w->sim, 5 * LEAT_NS_PER_S);
    sim_enter(w->host);
    assert_int_equal(dhcp_start(sim_stack(w->host), on_change, w, &error), 0);
    sim_leave(w->host);
    struct sim_frame f;
    while (sim_take(w->peer, &f)) {
    }
    return w;
}

static inline void end(struct world *w)
{
    assert_string_equal(sim_violation_sentence(w->sim), "");
    assert_int_equal(sim_free(w->sim), 0);
    free(w);
}

static inline void pass(struct world *w, uint64_t ms)
{
    sim_run_for(w->sim, ms * LEAT_NS_PER_MS);
}

static inline uint64_t dropped(struct world *w, enum stack_drop drop)
{
    return sim_stack(w->host)->count.drops[drop];
}

/* What was heard of the client. */
struct heard {
    uint64_t at_ns;
    uint8_t type;
    uint32_t xid, src, dst, client, asked, server;
    uint16_t flags;
    bool is_broadcast; /* on the link */
};

static inline uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void read_options(struct heard *h, const uint8_t *at)
{
    for (; *at != 255; at += 2 + at[1])
        if (*at == 53)
            h->type = at[2];
        else if (*at == 50)
            h->asked = u32_at(at + 2);
        else if (*at == 54)
            h->server = u32_at(at + 2);
}

/* The next DHCP message; ARP is passed over. False: silence. */
static inline bool next(struct world *w, struct heard *h)
{
    struct sim_frame f;
    while (sim_take(w->peer, &f)) {
        const struct udp_header *udp = payload_of(&f);
        const uint8_t *m = (const uint8_t *)(udp + 1);
        if (!is_type(&f, ETHERTYPE_IPV4) || ip4_of(&f)->protocol != IP_UDP ||
            be16_get(udp->dst_port) != DHCP_SERVER_PORT)
            continue;
        *h = (struct heard){.at_ns = f.at_ns,
                            .src = be32_get(ip4_of(&f)->src),
                            .dst = be32_get(ip4_of(&f)->dst),
                            .xid = u32_at(m + 4),
                            .flags = (uint16_t)(m[10] << 8 | m[11]),
                            .client = u32_at(m + 12),
                            .is_broadcast = (f.bytes[0] & 1) != 0};
        assert_int_equal(be16_get(udp->src_port), DHCP_CLIENT_PORT);
        assert_memory_equal(m + 28, w->ends.host_mac.b, 6);
        read_options(h, m + 240);
        w->xid = h->xid;
        return true;
    }
    return false;
}

static inline struct heard hear(struct world *w, uint8_t type)
{
    struct heard h;
    assert_true(next(w, &h));
    assert_int_equal(h.type, type);
    return h;
}

/* Passes time, second by second, until something is heard; fails after that many. */
static inline struct heard hear_within(struct world *w, uint8_t type, unsigned seconds)
{
    struct heard h = {0};
    for (unsigned i = 0; i <= 10 * seconds; i++) {
        if (next(w, &h)) {
            assert_int_equal(h.type, type);
            return h;
        }
        pass(w, 100);
    }
    fail_msg("silence for %u seconds, instead of message type %u", seconds, type);
    return h;
}

static inline void silence(struct world *w)
{
    struct heard h;
    assert_false(next(w, &h));
}

struct answer {
    uint8_t type;
    uint32_t ip, lease_s;
    uint32_t mask; /* 0: of a /24 */
    uint16_t mtu;  /* 0: not said */
};

static inline void say(struct world *w, const struct answer *a)
{
    static const uint8_t head[] = {2, 1, 6, 0};
    uint8_t m[8 + 300] = {0}, *at = m + 8 + 240;
    struct udp_header h = {be16_put(67), be16_put(68), be16_put(sizeof(m)), {0}};
    be32 ip = be32_put(a->ip), xid = be32_put(w->xid), server = be32_put(SERVER);
    be16 mtu = be16_put(a->mtu);
    be32 lease = be32_put(a->lease_s), mask = be32_put(a->mask != 0 ? a->mask : 0xffffff00),
         magic = be32_put(0x63825363);
    memcpy(m, &h, sizeof(h));
    memcpy(m + 8, head, sizeof(head));
    memcpy(m + 12, &xid, 4);
    memcpy(m + 8 + 16, &ip, 4);
    memcpy(m + 8 + 28, w->ends.host_mac.b, 6);
    memcpy(m + 8 + 236, &magic, 4);
    const struct {
        uint8_t code;
        const void *bytes;
        uint8_t length;
    } options[] = {{53, &a->type, 1}, {54, &server, 4}, {51, &lease, 4},
                   {1, &mask, 4},     {3, &server, 4},  {26, &mtu, 2}};
    for (unsigned i = 0; i < (a->mtu != 0 ? 6u : 5u); i++) {
        *at++ = options[i].code;
        *at++ = options[i].length;
        memcpy(at, options[i].bytes, options[i].length);
        at += options[i].length;
    }
    *at = 255;
    struct frame f;
    struct ends e = w->ends;
    memset(e.host_mac.b, 0xff, 6);
    frame_ip(&f, &e, IP_UDP, m, sizeof(m));
    sim_transmit(w->peer, f.bytes, f.length);
    pass(w, 1);
}

static inline void arp(struct world *w, uint16_t operation, uint32_t sender, uint32_t target)
{
    struct ends e = w->ends;
    struct frame f;
    e.peer = ip_addr_v4(be32_put(sender));
    e.host = ip_addr_v4(be32_put(target));
    frame_arp(&f, operation, &e);
    sim_transmit(w->peer, f.bytes, f.length);
    pass(w, 1);
}

static inline bool has_address(struct world *w)
{
    struct ip_addr ip = ip_addr_v4(be32_put(OFFERED));
    return addr_is_local(sim_stack(w->host), &ip);
}

static inline bool has_route(struct world *w)
{
    struct ip_addr far = ip_addr_v4(be32_put(0x08080808));
    struct path path;
    sim_enter_quietly(w->host);
    bool found = path_find(sim_stack(w->host), NULL, &far, &path) == 0;
    sim_leave_quietly(w->host);
    return found;
}

static const struct answer offer = {.type = DHCP_OFFER, .ip = OFFERED, .lease_s = 3600};
static const struct answer ack = {.type = DHCP_ACK, .ip = OFFERED, .lease_s = 3600};
static const struct answer nak = {.type = DHCP_NAK};

/* DISCOVER to BOUND; the server's MAC is known afterwards. */
static inline void obtain(struct world *w)
{
    hear_within(w, DHCP_DISCOVER, 1);
    say(w, &offer);
    hear(w, DHCP_REQUEST);
    say(w, &ack);
    pass(w, 5000);
    assert_true(has_address(w));
    assert_int_equal(w->changes, 1);
    arp(w, ARP_REQUEST, SERVER, OFFERED);
}

#endif
