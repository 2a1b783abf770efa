#ifndef LEAT_SIM_INTERNAL_H
#define LEAT_SIM_INTERNAL_H

#include <stdio.h>

#include "net/sim/sim.h"
#include "net/stack/source.h"
#include "net/stack/steer.h"
#include "runtime/base/clock.h"
#include "runtime/base/logger.h"
#include "runtime/base/rng.h"
#include "runtime/os/pool_play.h"

#define SIM_QUEUES     2
#define SIM_RSS_TABLE  128
#define OBSERVED_PAGES 64                     /* a power of two */
#define SIM_RETRY_NS   (20 * LEAT_NS_PER_US)  /* until refused output is tried again */
#define SIM_BURST_NS   (100 * LEAT_NS_PER_MS) /* of losses: no longer, whoever sends */
#define SIM_QUEUE      1 /* the stack's: not the one that a forgotten number names */

struct sim_event {
    uint64_t at_ns, order;
    struct sim_host *to; /* a frame's arrival, or NULL */
    uint8_t *bytes;
    uint32_t length_bytes;
    void (*fn)(struct sim *sim, void *arg);
    void *arg;
};

/* What the port's hardware still reads. */
struct sim_flight {
    struct sim_flight *next;
    uint64_t done_ns, sum; /* over all bytes, taken at transmission */
    struct leat_packet packet;
};

struct sim_arrived {
    struct sim_arrived *next;
    uint64_t at_ns;
    uint32_t length_bytes, rss_hash;
    bool is_hashed;
    uint8_t *bytes;
};

struct sim_host {
    struct leat_port port; /* first */
    struct sim *sim;
    struct sim_host_options options;
    uint32_t number;         /* from 1 */
    struct sim_host *leader; /* the host: the first core's, which has the rest of this paragraph */
    struct sim_host *mates[SIM_CORES_MAX];
    uint32_t core_count, core_index;
    struct steer *steer; /* NULL: one core */
    uint8_t rss_key[OWNER_KEY_BYTES];
    uint16_t rss_table[SIM_RSS_TABLE];
    uint32_t queue; /* of a host of one core: the one that it may use */

    struct leat_loop *loop;
    struct leat_core *core, *outer;
    struct pool_play_drawn files;
    struct stack *stack;
    struct stack_source *source;
    struct sim_arrived *arrived, **arrived_last;
    uint32_t arrived_count, lent_count, head_count;
    struct sim_flight *flights, **flights_last;
    bool is_kicked;            /* somebody called in: a turn must follow */
    uint64_t stalled_until_ns; /* it has no turn before; 0: it runs */
    uint64_t retry_ns;         /* when output that was refused is tried again */
    /* Of a core that sleeps, where the port claims an interrupt: */
    bool is_armed, has_fired, has_lost_interrupt, is_asleep;
    uint64_t interrupt_ns, nap_until_ns; /* UINT64_MAX: never */
    uint64_t wire_free_ns, last_arrival_ns, burst_until_ns;
    uint32_t sent_count, burst_left;
    uint8_t *taken; /* the puppet's last frame */
    struct leat_port_stats stats;
};

struct sim {
    struct leat_clock clock; /* first */
    uint64_t now_ns, order;
    uint64_t seed;
    struct leat_rng rng;
    struct sim_event *events; /* a binary heap by (at_ns, order) */
    uint32_t event_count, event_capacity;
    struct sim_host *hosts[SIM_HOSTS_MAX];
    uint32_t host_count;
    FILE *pcap;
    struct observed *observed[OBSERVED_PAGES]; /* a hash table of flows; NULL: none there */
    bool is_quiet, logs_errors_only;
    void (*check)(struct sim *sim, void *arg);
    void *check_arg;
    uint64_t frame_count, fault_count;
    unsigned violation_count;
    char sentence[SIM_SENTENCE_BYTES];
};

/* sim_port.c */
extern const struct leat_port_ops sim_port_ops;
void sim_port_deliver(struct sim_host *host, const uint8_t *bytes, uint32_t length_bytes);
void sim_port_fini(struct sim_host *host);
uint64_t sim_port_next(const struct sim_host *host);

/* sim_cores.c */
void sim_cores_init(struct sim_host *leader);
struct sim_host *sim_cores_receiver(struct sim_host *leader, struct sim_arrived *arrived);
void sim_cores_check_sent(struct sim_host *host, const uint8_t *frame, uint32_t length_bytes);
const char *sim_cores_invalid(const struct sim_host *host); /* NULL: all is well */

/* sim_wire.c */
void sim_wire_send(struct sim_host *from, const uint8_t *bytes, uint32_t length_bytes);
bool sim_pcap_open(struct sim *sim, const char *path, struct leat_error *error);

void sim_wire_arrive(struct sim_host *to, const uint8_t *bytes, uint32_t length_bytes,
                     uint64_t at_ns);
/* To the host whose MAC it names, or to all others. */
void sim_wire_deliver(struct sim_host *from, const uint8_t *bytes, uint32_t length_bytes,
                      uint64_t at_ns);

/* sim_stranger.c: what others put on the wire */
void sim_forge(struct sim_host *from, const uint8_t *bytes, uint32_t length_bytes, uint64_t at_ns,
               bool is_inside);
void sim_tamper(struct sim_host *from, uint8_t *bytes, uint32_t length_bytes);
void sim_say_too_big(struct sim_host *from, const uint8_t *bytes, uint32_t length_bytes);

/* sim_observe.c */
void sim_observe(struct sim_host *from, const uint8_t *frame, uint32_t length);
/* Whether nothing has been sent behind the text of frame, which was observed, no FIN either. */
bool sim_observe_is_newest(struct sim_host *from, const uint8_t *frame, uint32_t length);
/* Where the number of a frame, which from never sent, lies beside what from has sent: *end. */
enum sim_place {
    SIM_AHEAD,        /* behind all that was sent, or nobody knows */
    SIM_OVERTAKEN,    /* sent already */
    SIM_PAST_THE_END, /* sent already, and a FIN too */
};
enum sim_place sim_observe_place(struct sim_host *from, const uint8_t *frame, uint32_t length,
                                 uint32_t *end);

/* sim.c */
void sim_quiet(struct sim *sim); /* sim_free prints nothing */

/* sim_time.c */
void sim_push_event(struct sim *sim, const struct sim_event *event);

#endif
