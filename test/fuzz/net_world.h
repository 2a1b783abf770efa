/* The world of net_frames: a host with the stack, a puppet that remembers what it said and heard,
 * an application that takes what comes, and what must hold of all of them at any time. */
#ifndef TEST_FUZZ_NET_WORLD_H
#define TEST_FUZZ_NET_WORLD_H

#include <leat/conn.h>
#include <leat/udp.h>

#include "net/sim/sim.h"
#include "test/script/frame.h"

#define FLOWS         8
#define FLOWS_PASSIVE 5 /* the first ones: the peer connects; the others: the host does */
#define APPS_MAX      64
#define HELD_MAX      8
#define UDP_APPS_MAX  16

/* One four-tuple as the peer sees it. Sequence numbers are absolute. */
struct flow {
    uint16_t peer_port, host_port;
    uint32_t iss, nxt;  /* the peer's; nxt: behind what it sent in order */
    uint32_t sent_max;  /* behind everything that it ever sent */
    uint32_t una, edge; /* acknowledged by the host; the right edge that the host promised */
    uint32_t host_iss, host_una, host_nxt;
    uint32_t promised; /* the furthest right edge that the peer promised */
    uint32_t ts_recent;
    uint8_t scale, host_scale; /* of the SYNs, 0: none */
    bool host_known, has_promised, uses_ts;
    bool has_spoken;
    bool is_wild; /* the peer spoke from far away: its numbers cannot be compared */
};

/* One connection as the application sees it. */
struct app {
    struct world *world;
    leat_conn conn;
    uint32_t iss, irs; /* known from on_open on */
    uint64_t sent, received;
    unsigned opens, ends, closes;
    bool has_ended, is_detached;
    struct leat_buf held[HELD_MAX];
    unsigned held_count;
};

/* One UDP socket as the application sees it. */
struct udp_app {
    struct world *world;
    leat_udp udp;
    uint16_t port;
    bool is_connected, is_paused, is_closed, was_refused;
    unsigned closes;
    struct leat_buf held;
};

struct peer_segment {
    uint32_t seq, ack, length;
    const uint8_t *options;
    uint8_t flags, option_bytes;
    uint16_t window;
};

struct world {
    struct sim *sim;
    struct sim_host *host, *peer;
    struct ends ends;
    struct leat_listener *listener;
    struct leat_conn_options options;
    bool v6;
    bool is_mute;    /* the peer does not answer ARP and neighbour solicitations */
    bool is_tainted; /* bytes were changed under a right checksum: contents prove nothing now */
    struct flow flows[FLOWS];
    struct app apps[APPS_MAX];
    unsigned app_count;
    struct udp_app udps[UDP_APPS_MAX];
    unsigned udp_count;
    unsigned opens, closes;
    uint8_t reaction, reaction_argument;          /* what the next callback does */
    uint8_t udp_reaction, udp_holds, udp_answers; /* and the next one of a UDP socket */
    uint16_t udp_argument;
    uint8_t holds; /* slices that on_data will still hold */
    uint32_t cut;  /* not 0: the next segment goes in fragments, cut there */
    uint8_t cut_shape;
    uint16_t window; /* what the peer announces in well-formed segments */
    uint32_t ts_value;
    uint16_t ip_id;
    struct frame last;  /* that the peer sent */
    struct frame heard; /* the last TCP segment of the host */
};

struct world *world_new(uint8_t setup, uint8_t more);
/* Closes everything and waits; a violation aborts the program. */
void world_free(struct world *w);
/* Lets time pass, hears what the host sends, validates. */
void world_run(struct world *w, uint64_t duration_ns);

/* The peer's. */
void world_segment(struct world *w, struct flow *f, const struct peer_segment *g);
/* In one frame, or in fragments, as cut and cut_shape say. */
void world_transmit(struct world *w, uint8_t protocol, const uint8_t *payload, uint32_t length);
/* At nxt, acknowledging everything. */
void world_answer(struct world *w, struct flow *f, uint8_t flags, uint32_t length);
uint8_t world_timestamp(struct world *w, uint8_t *to, uint32_t value, uint32_t echo);
uint8_t world_syn_options(struct world *w, struct flow *f, uint8_t which, uint8_t *to);
/* Makes the checksums right again, as far as there are headers. */
void frame_mend(struct frame *f);

/* The application's. */
void world_call(struct world *w, uint8_t which, uint8_t call, uint32_t argument);
void world_react(struct world *w, uint8_t call, uint8_t argument);

/* net_world_udp.c. A datagram from the peer; a call of the application, on the host's core. */
void world_datagram(struct world *w, uint8_t shape, uint16_t argument);
void world_udp_call(struct world *w, uint8_t call, uint16_t argument);
void world_udp_end(struct world *w);

/* net_world_check.c */
void world_check(struct world *w);
/* Hears all that the host sent. */
void world_hear(struct world *w);
uint8_t world_byte(uint32_t seq);

#endif
