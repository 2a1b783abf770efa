/* The simulator: a world of hosts on one Ethernet segment, played from a seed in virtual time, in
 * one thread. The hosts run the real stack on real loops; only the wire, the clock and the random
 * seed are the simulator's. A library for tests and tools; it is no part of libleat.
 *
 * Hosts are of three kinds. SIM_STACK runs the stack: enter its core with sim_enter, call the
 * transport API as a program would, leave. SIM_PUPPET runs nothing: the caller injects and takes
 * its frames, for scripts and other harnesses. SIM_GUEST is a host whose stack somebody else runs
 * on the port that sim_guest_port gives; net/sim/world.c is how a program gets one.
 *
 * Host number n (from 1) has the MAC 02:00:00:00:00:n and, if it is a SIM_STACK, the addresses
 * 10.0.0.n/24 and fd00::n/64.
 *
 * The clock jumps to the next event: a frame's arrival, a timer, a callback of sim_at. The same
 * seed and the same calls give the same world, bit for bit.
 *
 * A host may have several cores, which share its port: each is a struct sim_host of its own, to be
 * entered and looked at as such; link and port are the first one's, which is the host.
 *
 * Every host's port obeys struct sim_link (what happens to frames that it sends) and struct
 * sim_port_options (what the port claims and how it misbehaves). The port checks that nothing in
 * flight is edited, and counts what it lent out; sim_free reports what never came back. */
#ifndef LEAT_SIM_H
#define LEAT_SIM_H

#include <leat/addr.h>
#include <leat/loop.h>

#include "net/port/port.h"
#include "net/stack/stack.h"

#define SIM_HOSTS_MAX      16 /* cores counted */
#define SIM_CORES_MAX      4  /* of a host */
#define SIM_FAULT_LIST_MAX 64
#define SIM_FRAME_BYTES    (9000 + 18)
#define SIM_TURNS_MAX      100000 /* of one host at one instant: more is a livelock */
#define SIM_SENTENCE_BYTES 512

enum sim_kind { SIM_STACK, SIM_PUPPET, SIM_GUEST };

/* One fault by name: "drop the 3rd and the 7th". */
enum sim_fault_kind { SIM_DROP, SIM_DOUBLE, SIM_DELAY, SIM_DAMAGE };
struct sim_fault {
    uint32_t number; /* of the frame, among those that the host sends, from 1 */
    uint8_t kind;    /* enum sim_fault_kind; SIM_DELAY: by reorder_ns */
};

/* What happens to the frames that a host sends. Chances are in millionths. */
struct sim_link {
    uint64_t delay_ns, jitter_ns; /* jitter alone does not reorder */
    uint64_t bits_per_second;     /* 0: no limit */
    uint32_t queue_bytes_max;     /* of frames waiting for the rate; 0: no limit */
    uint32_t mtu_bytes;           /* longer IP packets vanish; 0: no limit */
    bool says_too_big;            /* ... and a router before the narrow link says so by ICMP */
    uint32_t loss_ppm, burst_ppm, burst_count;
    uint32_t reorder_ppm, duplicate_ppm, corrupt_ppm;
    uint32_t tamper_ppm;       /* a middlebox changes what does no harm, the checksum too */
    uint32_t mark_ppm;         /* of the ECN-capable ones: congestion experienced */
    uint32_t forge_ppm;        /* a stranger who knows the ports, not the numbers, joins in */
    uint32_t forge_inside_ppm; /* one who knows the window as well, but not RCV.NXT and the ACK */
    uint64_t reorder_ns;       /* how much later at most a reordered frame comes */
    struct sim_fault list[SIM_FAULT_LIST_MAX];
    uint32_t list_count;
    bool down;    /* one-way partition */
    bool no_link; /* ARP and neighbour discovery vanish, nothing else */
};

/* How a port may be wrong about what it claims. */
enum sim_lie {
    SIM_LIE_RX_GOOD = 1,     /* every checksum is good */
    SIM_LIE_RX_BAD = 2,      /* every checksum is bad */
    SIM_LIE_TX_CHECKSUM = 4, /* leaves transport checksums as they are */
    SIM_LIE_TX_IP = 8,       /* leaves IPv4 header checksums as they are */
    SIM_LIE_TSO = 16,        /* swallows what it should cut */
    SIM_LIE_SCATTER = 32,    /* the last piece of a frame never comes */
};

/* What the port says of receive-side scaling, and what it does. */
enum sim_rss {
    SIM_RSS_NONE, /* it claims nothing, and puts each frame into any queue */
    SIM_RSS_TRUE,
    SIM_RSS_OTHER_KEY,   /* it claims it, and hashes with another key */
    SIM_RSS_OTHER_QUEUE, /* ... and puts each frame into any queue */
};

/* What the port's receive interrupt does. */
enum sim_wake {
    SIM_WAKE_POLLED, /* none is claimed, and the core never sleeps: it has a turn for each frame */
    SIM_WAKE_TRUE,
    SIM_WAKE_NEVER,       /* it is claimed, and does not come */
    SIM_WAKE_LATE,        /* ... comes wake_late_ns after the frame */
    SIM_WAKE_FIRST_QUEUE, /* ... comes for queue 0 only */
    SIM_WAKE_HALF,        /* ... comes for one sleep in two, by chance */
};

struct sim_port_options {
    uint32_t can;              /* enum leat_port_can, honoured but for lies */
    uint32_t lies;             /* enum sim_lie */
    uint32_t rx_buffers_max;   /* frames lent out at a time; 0: no limit */
    uint32_t heads_max;        /* 0: no limit */
    uint32_t tx_refuse_ppm;    /* transmit takes nothing */
    uint32_t grant_refuse_ppm; /* grant gives nothing */
    uint64_t completion_ns;    /* how long the hardware keeps references */
    uint32_t queue_count;      /* of a host with several cores; 0: one for each */
    enum sim_rss rss;
    enum sim_wake wake;
    uint64_t wake_late_ns;
};

struct sim_host_options {
    enum sim_kind kind;
    uint32_t core_count; /* 0: 1 */
    uint32_t mtu_bytes;  /* 0: 1500 */
    uint64_t buffer_bytes_max;
    struct sim_link link;
    struct sim_port_options port;
    bool probe_addresses, autoconfigure;
    void *user;                               /* the caller's */
    void (*guest_unref)(struct leat_buf buf); /* drops what a SIM_GUEST's packets carry */
    enum stack_ecn ecn;
    uint16_t vlan; /* 0: untagged */
};

struct sim;
struct sim_host;

struct sim_frame { /* one that arrived at a puppet */
    uint64_t at_ns;
    uint32_t length_bytes;
    uint8_t *bytes; /* the puppet's until sim_take's next call */
};

/* pcap_path NULL: no capture. NULL with error filled. */
struct sim *sim_new(uint64_t seed, const char *pcap_path, struct leat_error *error);
/* Ends all hosts and checks that every buffer came home. Returns the number of violations in all.
 */
unsigned sim_free(struct sim *sim);

/* Hosts that are added from now on log errors only: what they say of a world full of faults is no
 * news to who made it. */
void sim_log_only_errors(struct sim *sim);

struct sim_host *sim_add_host(struct sim *sim, const struct sim_host_options *options);
/* Core number i of a host; 0 is the host. */
struct sim_host *sim_core(struct sim_host *host, uint32_t i);
/* The core that is entered, or whose turn it is. */
struct sim_host *sim_core_now(struct sim *sim);
/* Its one queue is number 0. */
struct leat_port *sim_guest_port(struct sim_host *guest);
/* When the port alone gives the guest something to do; 0: now, UINT64_MAX: never. */
uint64_t sim_guest_next(struct sim_host *guest);
/* Drops what the guest's hardware still holds. */
void sim_guest_close(struct sim_host *guest);
struct leat_loop *sim_loop(struct sim_host *host);
struct stack *sim_stack(struct sim_host *host);
struct sim_link *sim_link(struct sim_host *host); /* may be changed at any time */
struct sim_port_options *sim_port(struct sim_host *host);
/* Its files are on disk, instead of the machine's, and take their time: before its first operation.
 * disk must live as long as the host. */
struct sim_disk;
void sim_set_disk(struct sim_host *host, struct sim_disk *disk);
/* How long operations of the host may take: may be changed at any time. */
struct pool_play_drawn *sim_files(struct sim_host *host);
struct mac_addr sim_mac(const struct sim_host *host);
struct ip_addr sim_ip(const struct sim_host *host, bool v6);
struct leat_addr sim_addr(const struct sim_host *host, bool v6, uint16_t port);

/* Makes the host's core current until sim_leave. */
void sim_enter(struct sim_host *host);
void sim_leave(struct sim_host *host);

/* To look, not to call: no turn follows. */
void sim_enter_quietly(struct sim_host *host);
void sim_leave_quietly(struct sim_host *host);

/* Its loop has a turn next, even if it seems idle. */
void sim_kick(struct sim_host *host);
/* A core that is stopped (SIGSTOP, a frozen container, a long callback): it has no turn for so
 * long, while its clock and the world go on. */
void sim_stall(struct sim_host *host, uint64_t duration_ns);
/* Ends its stack and its port, on all of its cores or on one that is not the first; the loops are
 * the caller's from now on, to be freed. */
void sim_stop_host(struct sim_host *host);

/* A frame reaches host now, past every link. */
void sim_inject(struct sim_host *host, const void *bytes, size_t length_bytes);
/* A puppet sends over its link. */
void sim_transmit(struct sim_host *puppet, const void *bytes, size_t length_bytes);
/* The next frame that arrived at a puppet; false: none. */
bool sim_take(struct sim_host *puppet, struct sim_frame *frame);

uint64_t sim_now(const struct sim *sim);
uint64_t sim_random(struct sim *sim); /* of the world's seed */
uint64_t sim_random_below(struct sim *sim, uint64_t bound);
bool sim_chance(struct sim *sim, uint32_t ppm);

/* Calls fn(arg) at a time, outside of every core. */
void sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *arg), void *arg);

/* Runs everything that happens up to and including at_ns; the clock stands at at_ns afterwards. */
void sim_run_until(struct sim *sim, uint64_t at_ns);
void sim_run_for(struct sim *sim, uint64_t duration_ns);
/* Runs until done(arg), at most up to limit_ns of virtual time; false: the limit came first. */
bool sim_run_until_done(struct sim *sim, bool (*done)(void *arg), void *arg, uint64_t limit_ns);
/* The time of the next event; UINT64_MAX: nothing will ever happen. */
uint64_t sim_next(const struct sim *sim);

/* Ends every fault of every link and port; delays and rates stay. */
void sim_heal(struct sim *sim);

/* The invariants of a host, to be looked at between any two events: what each of its connections
 * says of itself, every count against a recount, every frame and packet lent and borrowed. */
void sim_check_host(struct sim_host *host);
/* When all connections have closed and TIME_WAIT has passed: nothing may be left. */
void sim_check_rest(struct sim_host *host);

/* Called between any two events: the scenario's invariants. */
void sim_set_check(struct sim *sim, void (*fn)(struct sim *sim, void *arg), void *arg);
/* Records a violation: the first one's sentence is kept. */
void sim_violation(struct sim *sim, const char *format, ...) LEAT_PRINTF(2, 3);
unsigned sim_violation_count(const struct sim *sim);
const char *sim_violation_sentence(const struct sim *sim);

uint64_t sim_frame_count(const struct sim *sim); /* sent by all hosts */
uint64_t sim_fault_count(
    const struct sim *sim); /* frames lost, delayed, doubled, damaged, made up */

#endif
