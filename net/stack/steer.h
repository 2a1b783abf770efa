/* The cores of one port: who owns which packet (owner.h), and what passes between them.
 *
 * Core i of core_count polls queue i, if the port has that many; the others have no queue. Whoever
 * receives a packet checks whose it is, and passes it on if it is another core's: where the frame
 * lies, its headers validated, through a ring from the one core to the other. The buffer goes home
 * through another ring when it is done with. A core without a queue sends through a relay
 * (relay.c): the core of a queue copies its packets and sends them.
 *
 *   flows       to the owner of what the packet carries
 *   fragments   to the owner of (source, destination), put together there, and steered again
 *   ICMP errors to the owner of the packet that they quote
 *   the rest    (ARP, ND, echo) is handled where it arrives; what it says of neighbours, addresses
 *               and routers is told to all other cores
 *
 * Threads. Each ring has one producing and one consuming core, and is allocated when it is first
 * used. What was published is made known with leat_loop_notify, so a turn pays one fence for all.
 * Everything else in struct steer is constant while the cores run, or has its own rule.
 *
 * Bounds. STEER_PACKETS in a ring: further ones are dropped, steer_full. STEER_LENT_MAX buffers of
 * one core's queue at another: further packets are dropped, steer_lent; so the way home is never
 * full. STEER_NEWS: further news is dropped, steer_news; its sender's peers ask again.
 *
 * The end, each step on all cores before the next begins on any: stack_source_end, _settle, _free.
 */
#ifndef LEAT_STEER_H
#define LEAT_STEER_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/stack/owner.h"
#include "net/stack/stack.h"
#include "runtime/base/ring.h"

#define STEER_CORES_MAX LEAT_PORT_QUEUES_MAX
#define STEER_PACKETS   256
#define STEER_LENT_MAX  4096
#define STEER_NEWS      512
#define STEER_PORTS_MAX 64 /* listeners on port 0 of one core in its life; others are refused */
#define STEER_RSS_PROOF 64 /* right hashes of one core until the card's are believed */

struct leat_loop;
struct relay;

/* What the card's hash is worth. It decides nothing: it says why packets are passed on. */
enum steer_rss {
    STEER_RSS_NONE,     /* the port does not hash */
    STEER_RSS_UNPROVEN, /* it says so; too few packets have come to know */
    STEER_RSS_TRUE,
    STEER_RSS_FALSE, /* another hash, or another queue than its table says: for good */
};

enum steer_news_kind {
    STEER_NEWS_LEARN,  /* neighbour_learn */
    STEER_NEWS_ANSWER, /* neighbour_answer */
    STEER_NEWS_ADDRESS /* an address is valid or duplicate */
};

struct steer_news {
    struct ip_addr ip;
    struct mac_addr mac;
    uint8_t kind; /* enum steer_news_kind */
    uint8_t address_state;
    uint8_t flags; /* enum neighbour_flags */
};

/* From one core to another. */
struct steer_channel {
    struct ring packets, homeward, news;
    struct rx_packet packet_slots[STEER_PACKETS];
    void *home_slots[STEER_LENT_MAX]; /* handles of the consumer's queue */
    struct steer_news news_slots[STEER_NEWS];
};

struct steer_core {
    _Alignas(RING_LINE_BYTES) struct leat_loop *loop; /* set before any core runs */
    struct relay *relay;                              /* of a core without a queue */
    _Atomic bool is_open;                             /* false: nothing is sent to it any more */
    _Alignas(RING_LINE_BYTES) uint32_t lent[STEER_CORES_MAX]; /* its own: buffers at others */
    uint32_t next_from;                                       /* its own: who is looked at first */
    uint32_t rss_right_count;                                 /* its own */
    bool is_blocked; /* its own: there was no room for what others want sent */
};

struct steer {
    struct owner_map owners;
    struct leat_port *port;
    uint32_t core_count, queue_count;
    _Atomic uint32_t rss;                    /* enum steer_rss */
    struct steer_channel *_Atomic *channels; /* [to * core_count + from] */
    struct steer_core *cores;
    pthread_mutex_t lock; /* of zero_ports: listening is no request */
    uint16_t zero_ports[STEER_PORTS_MAX];
    _Atomic uint8_t udp_ports[65536]; /* core + 1 whose alone the port is; 0: shared by the tuple */
};

/* key: random, for a port that does not hash. NULL with error filled: -EINVAL for more than
 * STEER_CORES_MAX cores. Set-up thread; steer_free after the last core has gone. */
struct steer *steer_new(struct leat_port *port, uint32_t core_count,
                        const uint8_t key[OWNER_KEY_BYTES], struct leat_error *error);
void steer_free(struct steer *steer);

/* The port and the queue that a core's stack works on: the port itself, or the core's relay. NULL
 * with error filled: no memory. steer_leave gives it back, when its stack has ended. */
struct leat_port *steer_join(struct steer *steer, uint32_t core, struct leat_loop *loop,
                             uint32_t *queue, struct leat_error *error);
void steer_leave(struct steer *steer, uint32_t core);

/* ---- of a stack that has s->steer ---- */

/* Whether packets from remote to local belong to this core. */
bool steer_owns(const struct stack *s, const struct ip_addr *remote, be16 remote_port,
                const struct ip_addr *local, be16 local_port);

/* Each: true when the packet is another core's, and was passed on or dropped. */
bool steer_flow(struct stack *s, struct rx_packet *p);
bool steer_fragment(struct stack *s, struct rx_packet *p);
/* An ICMP message that is about a packet of ours from src to dst, with ports. */
bool steer_quote(struct stack *s, struct rx_packet *p, const struct ip_addr *src,
                 const struct ip_addr *dst, const uint8_t ports[4]);

/* A copy of the packet goes to all other cores. */
void steer_copy(struct stack *s, const struct rx_packet *p, uint8_t protocol);
/* All datagrams to that port are this core's from now on; false: another core has the port. */
bool steer_take_port(struct stack *s, be16 port);
void steer_give_port(struct stack *s, be16 port);
/* Whether another core has it so. */
bool steer_is_port_taken(const struct stack *s, be16 port);
void steer_tell(struct stack *s, const struct steer_news *news);

/* Takes in what others have left: at most room packets, each handled in s->rx. */
void steer_poll(struct stack *s, unsigned room);
bool steer_has_work(const struct stack *s);
/* A buffer of another core's queue goes back to it. */
void steer_home(struct stack *s, uint32_t core, void *handle);

/* Nothing is sent to this core any more; then: what lies in its rings goes back; then: what it lent
 * has come home. */
void steer_close(struct stack *s);
void steer_settle(struct stack *s);
void steer_collect(struct stack *s);

/* The port of the n-th listener on port 0 of each core: as others have it, or candidate. 0: there
 * were too many. */
uint16_t steer_zero_port(struct stack *s, uint32_t n, uint16_t candidate);

/* ---- relay.c ---- */

#define RELAY_PACKETS 256 /* on their way; further ones wait in the stack's backlog */
#define RELAY_HEADS   1024

struct relay *relay_new(struct steer *steer, uint32_t core, struct leat_error *error);
void relay_free(struct relay *relay);
struct leat_port *relay_port(struct relay *relay);
/* On the core of a queue: sends what others have left. */
void relay_serve(struct stack *s);
/* Something waits that could be sent; something waits that could not: to be tried again soon. */
bool relay_is_waiting(const struct stack *s);
bool relay_is_blocked(const struct stack *s);

#endif
