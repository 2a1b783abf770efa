/* One core's TCP/IP stack: everything between a queue of a port and the transport's callbacks.
 *
 * Owner: one core; nothing here is shared, locked or atomic. The memory of struct stack is the
 * caller's (it is large: allocate it once). Time comes from outside: stack_poll and stack_flush are
 * given the clock that was read once for the burst, and all that happens in between happens at
 * s->now_ns. Randomness comes from the seed that init is given.
 *
 * A turn: stack_poll (a burst of frames; headers are validated once, and trusted beyond),
 * callbacks, stack_timers, stack_flush (output of dirty connections, one burst to the port), then
 * sleep until stack_next_ns at most.
 *
 * Bounds: constants in the header of each noun; each table says what it does at its limit. */
#ifndef LEAT_STACK_H
#define LEAT_STACK_H

#include "net/port/port.h"
#include "net/stack/addr.h"
#include "net/stack/counters.h"
#include "net/stack/group.h"
#include "net/stack/ip_output.h"
#include "net/stack/link.h"
#include "net/stack/neighbour.h"
#include "net/stack/offload.h"
#include "net/stack/reassembly.h"
#include "net/stack/route.h"
#include "net/stack/rx.h"
#include "net/stack/token_bucket.h"
#include "net/stack/tx.h"
#include "net/stack/wake.h"
#include "net/stack/wire.h"
#include "runtime/base/core.h"

#define STACK_LOOPED_MAX 64 /* packets to ourselves per turn; further ones are dropped */
#define STACK_NEVER      UINT64_MAX

struct stack_tcp;
struct stack_udp;
struct dhcp;
struct steer;

/* RFC 3168, for TCP. */
enum stack_ecn {
    STACK_ECN_ACCEPT,  /* when the peer asks */
    STACK_ECN_REQUEST, /* ask; a SYN that is not answered comes again without */
    STACK_ECN_OFF,
};

struct stack_options {
    struct leat_port *port;
    struct steer *steer; /* NULL: the only core of its port; else port is what steer_join gave */
    uint32_t core;       /* in steer */
    uint32_t queue;
    uint32_t mtu_bytes;     /* 0: the port's, at most 1500 unless said */
    uint16_t mss_bytes_max; /* of TCP's segments, told and sent; 0: the MTU's */
    uint16_t vlan;          /* 0: untagged */
    struct mac_addr mac;    /* all zero: the port's */
    uint64_t seed[4];       /* secret and random; the simulator's are not */
    bool probe_addresses;   /* RFC 5227 probing and RFC 4862 duplicate detection before use */
    bool autoconfigure;     /* accept router advertisements */
    enum stack_ecn ecn;
};

struct stack {
    /* the burst */
    uint64_t now_ns;
    struct leat_port *port;
    struct steer *steer;
    uint32_t core;
    uint32_t queue;
    uint32_t stands_in_count; /* queues behind its own that it polls while their cores start */
    uint32_t rx_count;
    uint8_t l2_bytes;
    uint8_t link_kind;
    uint16_t mtu_bytes; /* the least of the next three: stack_mtu_update */
    uint16_t mtu_link_bytes, mtu_leased_bytes, mtu_advertised_bytes; /* 0: not said */
    uint16_t mss_bytes_max;                                          /* 0: the MTU's */
    uint16_t inline_bytes_max; /* payload up to this is copied behind the headers */
    uint16_t vlan;
    uint8_t hop_limit, hop_limit_v6; /* the second may be raised by a router */
    uint8_t ecn;                     /* enum stack_ecn */
    uint32_t kept_count; /* the port's receive buffers that are kept beyond their burst */
    uint32_t kept_max;   /* half of what it has: beyond, what must wait is copied */
    uint32_t can;        /* what of the port's claims is believed: enum leat_port_can */
    struct offload_belief offloads[OFFLOAD_COUNT];
    struct wake wake;
    struct mac_addr mac;
    struct rx_packet rx[LEAT_PORT_BURST];
    void *released[LEAT_PORT_BURST]; /* frames of our queue on their way back to the port */
    uint32_t released_count;

    struct stack_tcp *tcp; /* NULL until tcp_init */
    struct stack_udp *udp; /* NULL until udp_init */
    struct dhcp *dhcp;     /* NULL: this core does not run the client */
    struct stack_counters count;
    struct tx_ring tx;
    struct neighbour_table neighbours;
    struct reasm_table reasm;
    struct pmtu_entry pmtu[PMTU_MAX];
    struct group_table groups;

    struct stack_addr addrs[STACK_ADDRS_MAX];
    uint16_t addr_index[2 * STACK_ADDRS_MAX]; /* open addressing, index + 1 */
    uint32_t addr_count;
    be32 broadcasts[STACK_ADDRS_MAX]; /* of our networks, each once */
    uint32_t broadcast_count;
    struct stack_route routes[STACK_ROUTES_MAX]; /* longest prefix first */
    uint32_t route_count;
    uint64_t addr_next_ns, route_next_ns, router_next_ns;
    uint64_t link_next_ns; /* when the link is looked at */
    bool is_link_down;
    uint8_t router_solicits_left;
    bool autoconfigure, probe_addresses;

    struct rx_packet looped[STACK_LOOPED_MAX];
    uint32_t looped_first, looped_count;
    struct token_bucket icmp_bucket;
    uint64_t slow_next_ns; /* the earliest of neighbours, reassembly, addresses */
    uint32_t ip_id;
    uint64_t seed[4]; /* 0, 1: secret of hashes; 2, 3: of random numbers */
    uint64_t random_count;
};

/* The port must be open. Returns 0, or -errno with a sentence. */
int stack_init(struct stack *s, const struct stack_options *options, uint64_t now_ns,
               struct leat_error *error) LEAT_MUST_CHECK;
/* Ends in three steps, the first two only if there are other cores (steer.h): nothing is kept any
 * more; what other cores have left is given back or sent; every buffer is back. */
void stack_end(struct stack *s);
void stack_settle(struct stack *s);
void stack_fini(struct stack *s);

/* Handles at most one burst; returns how many packets. */
unsigned stack_poll(struct stack *s, uint64_t now_ns);
/* Runs what is due. */
void stack_timers(struct stack *s, uint64_t now_ns);
/* Sends. Returns whether something that could not be sent remains. */
bool stack_flush(struct stack *s, uint64_t now_ns);
/* Whether there is work now that no frame and no timer announces. */
bool stack_has_work(const struct stack *s);
/* When stack_timers has work next; STACK_NEVER: not without a frame. */
uint64_t stack_next_ns(const struct stack *s);

/* The clock of all that follows. Addresses that ran out while the process was stopped go first. */
static inline void stack_set_now(struct stack *s, uint64_t now_ns)
{
    s->now_ns = now_ns;
    if (unlikely(now_ns >= s->addr_next_ns))
        addr_expire(s);
}

static inline void stack_drop(struct stack *s, enum stack_drop reason)
{
    s->count.drops[reason]++;
}

uint64_t stack_random(struct stack *s);
/* One of the MTUs has changed. */
void stack_mtu_update(struct stack *s);

/* Room of the IP header for dst, and where the transport header begins in a head. */
static inline unsigned ip_header_bytes(const struct ip_addr *dst)
{
    return ip_addr_is_v4(dst) ? sizeof(struct ipv4_header) : sizeof(struct ipv6_header);
}
static inline uint8_t *tx_l4(const struct stack *s, struct leat_packet *packet,
                             const struct ip_addr *dst)
{
    return packet->head + s->l2_bytes + ip_header_bytes(dst);
}

#endif
