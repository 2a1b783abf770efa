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
 * Bounds: the constants below; each table says what it does at its limit. */
#ifndef LEAT_STACK_H
#define LEAT_STACK_H

#include "net/port/port.h"
#include "net/stack/drops.h"
#include "net/stack/offload.h"
#include "net/stack/wire.h"
#include "runtime/base/core.h"

#define STACK_ADDRS_MAX      512 /* further ones are refused */
#define STACK_ROUTES_MAX     64  /* further ones are refused */
#define STACK_BACKLOG        512 /* packets the port did not take yet; a power of two */
#define STACK_BACKLOG_SPARED 64  /* of these, kept from data for ACKs, ARP and ICMP */
#define STACK_REPLIES        256 /* of these, the most that answers to strangers may take */
#define STACK_HEADS_SPARED   16  /* heads kept for when data has taken all that the port has */
#define STACK_GRANT          32  /* heads fetched from the port at a time */
#define STACK_LOOPED_MAX     64  /* packets to ourselves per turn; further ones are dropped */
#define STACK_NEVER          UINT64_MAX

#define NEIGHBOURS_MAX        512 /* the least recently used idle one is evicted */
#define NEIGHBOUR_BUCKETS     256
#define NEIGHBOUR_PARKED      64 /* packets that wait for addresses, all neighbours together */
#define NEIGHBOUR_PARKED_EACH 8  /* ... for one; the oldest is dropped for a newer one */

#define REASM_MAX        32            /* datagrams; the oldest is dropped for a newer one */
#define REASM_BYTES_MAX  (1024 * 1024) /* buffers of all */
#define REASM_RANGES_MAX 64            /* fragments of one: a 64 KiB datagram at MTU 1280 */

#define PMTU_MAX 64 /* paths with a smaller MTU than their link's; the oldest is forgotten */

struct stack;
struct stack_tcp;
struct stack_udp;
struct dhcp;
struct steer;
struct steer_news;

/* ---- received packets ---- */

enum rx_flags {
    RX_LINK_MULTICAST = 1, /* the frame was broadcast or multicast on the link */
    RX_MULTICAST = 2,      /* the IP destination is a broadcast or multicast address */
    RX_HEAP = 4,           /* handle is heap memory, not the port's */
    RX_KEPT = 8,           /* somebody keeps the buffer: not released at the end of the burst */
    RX_FOREIGN = 16,       /* the buffer belongs to another core's queue: queue is that core */
    RX_HASHED = 32,        /* hash is the card's */
    RX_STEERED = 64,       /* another core has found that this one handles it */
    RX_FRAGMENT = 128,     /* ... from its IP header on */
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

/* ---- addresses, routes, neighbours ---- */

enum stack_addr_state { ADDR_NONE, ADDR_TENTATIVE, ADDR_VALID, ADDR_DUPLICATE };

struct stack_addr {
    struct ip_addr ip;
    uint8_t prefix_bits; /* of 128: an IPv4 /24 is 120 */
    uint8_t state;       /* enum stack_addr_state */
    uint8_t probes_left, announces_left;
    bool automatic; /* made from a router's prefix */
    bool is_leased; /* by DHCP: told of conflicts, and given up to one that lasts */
    uint64_t next_ns, defended_ns;
    uint64_t preferred_until_ns, valid_until_ns; /* STACK_NEVER for configured ones */
};

struct stack_route {
    struct ip_addr net, gateway; /* gateway 0: on the link */
    uint8_t prefix_bits;
    bool automatic;
    uint64_t valid_until_ns;
};

enum neighbour_state {
    NEIGHBOUR_FREE,
    NEIGHBOUR_INCOMPLETE,
    NEIGHBOUR_REACHABLE,
    NEIGHBOUR_STALE,
    NEIGHBOUR_DELAY,
    NEIGHBOUR_PROBE,
};

struct neighbour {
    struct ip_addr ip;
    struct mac_addr mac;
    uint8_t state; /* enum neighbour_state, RFC 4861 7.3.2, for ARP too */
    uint8_t probes;
    uint8_t parked_count;
    bool is_router;
    uint16_t next;                      /* in its bucket, index + 1 */
    uint16_t parked_first, parked_last; /* index + 1 */
    uint32_t generation;                /* changes when the entry gets another owner */
    uint64_t used_ns, confirmed_ns, next_ns;
};

struct neighbour_ref {
    uint16_t index;
    uint16_t unused;
    uint32_t generation; /* 0: none yet */
};

struct neighbour_table {
    struct neighbour entries[NEIGHBOURS_MAX];
    uint16_t buckets[NEIGHBOUR_BUCKETS]; /* index + 1 */
    struct leat_packet parked[NEIGHBOUR_PARKED];
    uint16_t parked_next[NEIGHBOUR_PARKED]; /* index + 1; free list and queues */
    uint16_t parked_free;
    uint32_t generation;
    uint64_t next_ns;
};

/* Where a packet goes: what connections remember of a route. */
struct path {
    struct ip_addr src, dst;
    struct ip_addr hop; /* the neighbour: dst or a gateway */
    struct neighbour_ref neighbour;
    uint16_t mtu_bytes;
    uint8_t hop_limit;
    uint8_t tos;           /* traffic class, ECN included */
    bool local;            /* to ourselves */
    bool by_software;      /* the checksum is not left to the port */
    uint16_t inline_bytes; /* at the end of the head, their sum is known: */
    csum inline_sum;
};

struct pmtu_entry {
    struct ip_addr dst;
    uint16_t mtu_bytes; /* 0: free */
    uint64_t until_ns;
};

/* ---- reassembly ---- */

struct reasm_range {
    uint16_t from, to;
};

struct reasm {
    struct ip_addr src, dst;
    uint32_t id;
    uint8_t protocol;
    bool used;
    bool first_seen;
    bool is_marked; /* CE: RFC 3168 5.3 */
    uint16_t range_count;
    uint32_t total_bytes; /* 0: the last fragment has not come */
    uint32_t capacity_bytes;
    uint8_t *bytes; /* heap: IP header of the first fragment's room, then payload */
    uint64_t deadline_ns;
    struct reasm_range ranges[REASM_RANGES_MAX]; /* sorted, disjoint, not adjacent */
    uint8_t quote[80]; /* the first fragment's beginning: header, and for time exceeded messages */
    uint16_t quote_bytes, header_bytes;
};

struct reasm_table {
    struct reasm entries[REASM_MAX];
    uint32_t bytes;
    uint64_t next_ns;
};

/* ---- transmission ---- */

enum tx_class {
    TX_DATA,    /* may not use the last STACK_BACKLOG_SPARED places */
    TX_CONTROL, /* ACKs, ARP, ND: may use the spared heads too */
    TX_REPLY,   /* to whom no state is kept for: may use the first STACK_REPLIES places only */
};

struct tx_ring {
    struct leat_packet packets[STACK_BACKLOG];
    uint32_t first, queued, granted; /* [first, queued) committed, then granted ones */
    uint32_t spared_count;
    struct { /* the port's heads */
        uint8_t *head;
        void *handle;
    } spared[STACK_HEADS_SPARED];
};

struct token_bucket {
    uint64_t updated_ns;
    uint32_t tokens, tokens_max;
    uint32_t per_second;
};

#define STACK_COUNTERS(X)                                                                          \
    X(rx_packets)                                                                                  \
    X(rx_bytes)                                                                                    \
    X(tx_packets)                                                                                  \
    X(tx_bytes)                                                                                    \
    X(arp_rx)                                                                                      \
    X(arp_tx)                                                                                      \
    X(nd_rx)                                                                                       \
    X(nd_tx)                                                                                       \
    X(icmp_rx)                                                                                     \
    X(icmp_tx)                                                                                     \
    X(udp_rx)                                                                                      \
    X(udp_tx)                                                                                      \
    X(tcp_rx)                                                                                      \
    X(tcp_tx)                                                                                      \
    X(reassembled)                                                                                 \
    X(fragments_rx)                                                                                \
    X(fragments_tx)                                                                                \
    X(looped)                                                                                      \
    X(parked)                                                                                      \
    X(steered_in)                                                                                  \
    X(steered_out)                                                                                 \
    X(relayed)

/* Tools read them by these names: net/watch/counters_blocks.c. */
struct stack_counters {
    uint64_t drops[STACK_DROP_COUNT];
#define LEAT_X(name) uint64_t name;
    STACK_COUNTERS(LEAT_X)
#undef LEAT_X
};

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
    uint32_t mtu_bytes;   /* 0: the port's, at most 1500 unless said */
    uint16_t vlan;        /* 0: untagged */
    struct mac_addr mac;  /* all zero: the port's */
    uint64_t seed[4];     /* secret and random; the simulator's are not */
    bool probe_addresses; /* RFC 5227 probing and RFC 4862 duplicate detection before use */
    bool autoconfigure;   /* accept router advertisements */
    bool reads_inline;    /* files are read where they are asked for: a simulator's */
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
    uint16_t mtu_bytes;
    uint16_t inline_bytes_max; /* payload up to this is copied behind the headers */
    uint16_t vlan;
    uint8_t hop_limit;
    uint8_t ecn;         /* enum stack_ecn */
    uint32_t kept_count; /* the port's receive buffers that are kept beyond their burst */
    uint32_t kept_max;   /* half of what it has: beyond, what must wait is copied */
    uint32_t can;        /* what of the port's claims is believed: enum leat_port_can */
    struct offload_belief offloads[OFFLOAD_COUNT];
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

    struct stack_addr addrs[STACK_ADDRS_MAX];
    uint16_t addr_index[2 * STACK_ADDRS_MAX]; /* open addressing, index + 1 */
    uint32_t addr_count;
    be32 broadcasts[STACK_ADDRS_MAX]; /* of our networks, each once */
    uint32_t broadcast_count;
    struct stack_route routes[STACK_ROUTES_MAX]; /* longest prefix first */
    uint32_t route_count;
    uint64_t addr_next_ns, router_next_ns;
    uint8_t router_solicits_left;
    bool autoconfigure, probe_addresses, reads_inline;

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

static inline void stack_drop(struct stack *s, enum stack_drop reason)
{
    s->count.drops[reason]++;
}

uint64_t stack_random(struct stack *s);

/* A buffer somebody kept with RX_KEPT comes back; a frame at the end of the burst or of the turn.
 */
void stack_release(struct stack *s, void *handle, uint8_t queue, uint8_t rx_flags);

/* True when a token was there. */
bool token_take(struct token_bucket *bucket, uint64_t now_ns);

/* ---- input, each layer: consumes what it can, counts what it drops ---- */

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

/* ---- addresses and routes (route.c) ---- */

/* prefix_bits of the family (24, 64). Adds the route to its network. Returns 0, -EEXIST, -ENOSPC,
 * -EINVAL. */
int stack_add_address(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits);
int stack_remove_address(struct stack *s, const struct ip_addr *ip);
/* gateway NULL: on the link. */
int stack_add_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                    const struct ip_addr *gateway);
void stack_remove_route(struct stack *s, const struct ip_addr *net, unsigned prefix_bits,
                        const struct ip_addr *gateway);
/* As stack_add_address; probed for before it is used, or not at all. */
int stack_add_leased(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits, bool probes);
/* The entry, whatever its state; NULL: not ours. */
struct stack_addr *addr_find(struct stack *s, const struct ip_addr *ip);
bool addr_is_local(struct stack *s, const struct ip_addr *ip); /* and valid */
/* An IPv4 broadcast address, limited or of one of our networks. */
bool addr_is_broadcast(const struct stack *s, const struct ip_addr *ip);
/* RFC 6724 in short: same family, the gateway's network, matching scope, longest prefix. NULL: none
 */
const struct stack_addr *addr_choose(const struct stack *s, const struct ip_addr *dst,
                                     const struct ip_addr *hop);
void addr_conflict(struct stack *s, struct stack_addr *a);
/* Another core says so. */
void addr_hear(struct stack *s, const struct ip_addr *ip, enum stack_addr_state state);
uint64_t addr_tick(struct stack *s);
/* Adds an address with lifetimes, or renews it (SLAAC). */
int addr_add_automatic(struct stack *s, const struct ip_addr *ip, unsigned prefix_bits,
                       uint64_t preferred_until_ns, uint64_t valid_until_ns);
/* A default router with a lifetime; until now: it is withdrawn. */
void route_set_default(struct stack *s, const struct ip_addr *gateway, uint64_t until_ns);

/* src NULL: chosen. Returns 0, -ENETUNREACH (no route), -EADDRNOTAVAIL (no source address). */
int path_find(struct stack *s, const struct ip_addr *src, const struct ip_addr *dst,
              struct path *path) LEAT_MUST_CHECK;
/* RFC 1191, 8201: the MTU of a path shrank. */
void pmtu_learn(struct stack *s, const struct ip_addr *dst, uint32_t mtu_bytes);
uint16_t pmtu_of(const struct stack *s, const struct ip_addr *dst);

/* ---- neighbours (neighbour.c) ---- */

void neighbour_init(struct stack *s);
void neighbour_fini(struct stack *s);
/* A solicitation or request shows a mapping: existing entries are updated, one is made if make.
 */
void neighbour_learn(struct stack *s, const struct ip_addr *ip, const struct mac_addr *mac,
                     bool make);
/* An answer: solicited confirms; override replaces another MAC. */
void neighbour_answer(struct stack *s, const struct ip_addr *ip, const struct mac_addr *mac,
                      bool solicited, bool override, bool is_router);
/* Another core says so. */
void neighbour_hear(struct stack *s, const struct steer_news *heard);
/* The address is no neighbour's any more: it has become a broadcast address. */
void neighbour_forget(struct stack *s, struct ip_addr ip);
/* TCP made progress: the path works in both directions. */
void neighbour_confirm(struct stack *s, struct neighbour_ref ref);
/* Fills the link header of a finished packet and sends it, or parks it until the MAC is known.
 * Takes the packet, which is tx_reserve's last. */
void neighbour_output(struct stack *s, struct leat_packet *packet, struct path *path);
const struct neighbour *neighbour_find(const struct stack *s, const struct ip_addr *ip);
uint64_t neighbour_tick(struct stack *s);

void arp_request(struct stack *s, const struct ip_addr *target, const struct ip_addr *sender,
                 const struct mac_addr *unicast);
void nd_solicit(struct stack *s, const struct ip_addr *target, const struct ip_addr *sender,
                const struct mac_addr *unicast);
void nd_advertise(struct stack *s, const struct ip_addr *target, const struct ip_addr *to,
                  const struct mac_addr *mac, uint32_t flags);
uint64_t nd_router_tick(struct stack *s);

/* ---- reassembly.c ---- */

struct fragment {
    uint32_t offset_bytes, id;
    uint8_t protocol;
    bool more;
};
/* Takes a fragment whose payload is p->data; true when p has become the whole datagram. */
bool reasm_input(struct stack *s, struct rx_packet *p, const struct fragment *f);
void reasm_fini(struct stack *s);
uint64_t reasm_tick(struct stack *s);

/* Whether the transport checksum of p, over length bytes, is right: by the port's word where it is
 * believed, else summed. */
bool l4_checksum_is_right(struct stack *s, const struct rx_packet *p, uint8_t protocol,
                          uint32_t length);

/* ---- output ---- */

/* The next packet to be filled: head granted, no slices, everything else zero. NULL: counted, and
 * the caller keeps what it wanted to send. Not committing it is giving it back. */
struct leat_packet *tx_reserve(struct stack *s, enum tx_class class);
uint32_t tx_room(const struct stack *s, enum tx_class class);
/* Whether the next tx_reserve finds a buffer, when there is room. */
bool tx_has_head(struct stack *s);
/* Commits the packet of the last tx_reserve; its head begins with a complete link header. */
void tx_commit(struct stack *s, struct leat_packet *packet);
/* Moves the packet of the last tx_reserve out of the ring (the caller has copied it), and one with
 * its head into it; false: no room, nothing was taken. */
void tx_forget(struct stack *s, struct leat_packet *packet);
bool tx_adopt(struct stack *s, const struct leat_packet *packet);
/* Offers all to the port; true when something remains. */
bool tx_flush(struct stack *s);
void tx_fini(struct stack *s);
void ethernet_header(const struct stack *s, uint8_t *head, const struct mac_addr *dst,
                     uint16_t type);

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
