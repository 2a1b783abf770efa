#ifndef LEAT_SIM_PLAY_INTERNAL_H
#define LEAT_SIM_PLAY_INTERNAL_H

#include <leat/conn.h>

#include "net/sim/play.h"
#include "runtime/base/rng.h"

#define FLOWS_MAX  400
#define HELD_MAX   16
#define CHUNK_MAX  8000
#define PORT       80
#define REUSED_MAX 8 /* client ports of the scenario that uses few */

/* Bytes of flows repeat after a prime, so that no length of segments or buffers divides it. */
#define PATTERN_PERIOD 65521
#define PATTERN_BYTES  (PATTERN_PERIOD + 16384)

struct play;
struct flow;

enum end_style {
    END_HALF,  /* half-closes when all is sent */
    END_CLOSE, /* closes when all is sent and received */
    END_LAST,  /* half-closes when all is sent and the peer has ended */
    END_EARLY, /* closes when all is sent; what still arrives is discarded */
};

/* One side of a flow. */
struct side {
    struct flow *flow;
    struct sim_host *host;
    leat_conn conn;
    enum end_style style;
    bool is_client, is_open, has_end, is_closed, has_ended, is_pump_due;
    uint64_t sent, to_send, received, to_receive;
    uint64_t answers_per; /* a server that answers each request of so many bytes; 0: at will */
    struct leat_buf held[HELD_MAX];
    unsigned held_count;
    uint64_t began_ns; /* to connect, by the loop's time */
    enum leat_close_reason reason;
};

struct flow {
    struct play *play;
    uint32_t number;
    uint16_t port; /* the client's */
    struct side client, server;
    bool any_abort;       /* a side resets it on purpose */
    bool may_die;         /* an end may vanish, or its address */
    bool is_simultaneous; /* both ends connect */
    bool uses_extra;      /* the server's second address */
    bool is_slow_reader;
    uint64_t again_ns;    /* when both ends try again */
    bool was_unreachable; /* an attempt ended so, and its side tries again */
    bool is_looped;       /* the client's host is the server's too */
    uint32_t pause_ppm, hold_ppm, chunk_max, pattern;
    uint64_t pause_ns, think_ns;
    struct flow *next; /* of a chain that uses one port: begins when this one has closed */
};

/* An address that is connected to, and whose connections those are. */
enum door { DOOR_SERVER, DOOR_EXTRA, DOOR_LOOPED, DOOR_COUNT };

/* What a scenario is about. Chances and sizes are upper bounds: the seed draws below them. */
struct shape {
    const char *name;
    unsigned flow_count;
    uint32_t cores_max; /* of each host; 0: 1 */
    uint64_t up_max, down_max;
    uint32_t loss_ppm, burst_ppm, reorder_ppm, duplicate_ppm, corrupt_ppm, tamper_ppm;
    uint32_t mark_ppm, forge_ppm, forge_inside_ppm;
    uint32_t pause_ppm, hold_ppm, abort_ppm;
    uint32_t close_ppm, any_order_ppm; /* ends by END_CLOSE; ends in any style */
    uint32_t simultaneous_ppm, looped_ppm;
    uint32_t receive_max; /* 0: the default */
    uint32_t request_bytes, chunk_max;
    uint32_t tx_refuse_ppm, grant_refuse_ppm, rx_buffers_max, heads_max;
    uint64_t buffer_bytes_max;
    uint64_t rate, pause_ns_max, think_ns_max, keepalive_ns, fault_ns;
    bool late, offload;
    bool outage, black_hole, vanish, narrow, forgets, moves, reuse; /* play_faults.c */
    bool is_plain;     /* no further kinds of faults on top */
    bool by_name_only; /* no seed chooses it */
};

struct play {
    struct sim *sim;
    struct sim_host *server, *client;
    struct shape shape;
    bool v6, is_healed, has_named_faults;
    uint32_t mtu_bytes, core_count;
    struct flow flows[FLOWS_MAX];
    unsigned flow_count, closed_count;
    uint16_t by_port[DOOR_COUNT][65536]; /* flow's number + 1, by the client's port */
    struct leat_conn_options options;
    uint64_t instants, fault_until_ns;
    struct leat_rng stalls; /* of its own: seeds without stalls play as they always did */
    bool has_stalls;
    uint8_t pattern[PATTERN_BYTES];
};

static inline uint64_t below(struct play *p, uint64_t bound)
{
    return sim_random_below(p->sim, bound);
}

/* play_shapes.c */
const struct shape *play_shape(unsigned i); /* NULL past the last */
void play_draw_shape(struct play *p, const char *scenario);

/* play_flow.c */
extern const struct leat_conn_ops flow_client_ops, flow_server_ops;
void flow_init(struct play *p, unsigned number);
void flow_start(struct sim *sim, void *flow);

/* play_faults.c */
void play_draw_link(struct play *p, struct sim_link *link);
void play_draw_port(struct play *p, struct sim_port_options *port);
void play_faults_begin(struct play *p);
void play_faults_end(struct play *p); /* the world is whole from now on */
bool play_faults_parse(const char *text, struct sim_link *client, struct sim_link *server);
enum door play_door(const struct flow *f);
struct leat_addr play_addr(const struct play *p, enum door door);

#endif
