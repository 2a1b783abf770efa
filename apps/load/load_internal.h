/* `leat load`: one struct load per run, set up before the cores start and only read by them; one
 * struct load_core per core, which is that core's alone until the run has ended; one load_slot per
 * connection.
 *
 *   load.c     flags, start, exit code          url.c      the URL and its addresses
 *   target.c   the request, where from
 *   core.c     a core's life and its schedule    slot.c     a connection and its requests
 *   report.c   what is said at the end           check.c    what a response is compared with
 *
 * A slot:
 *   IDLE --slot_start--> CONNECTING --on_open--> OPEN --slot_end--> ENDING --on_close--> IDLE
 *                             \------on_close----------\--on_close--> IDLE
 * and from IDLE at once to slot_start again, or after LOAD_RETRY_NS when nothing was answered. */
#ifndef LEAT_LOAD_INTERNAL_H
#define LEAT_LOAD_INTERNAL_H

#include <leat/leat.h>
#include <leat/metrics.h>

#include <stdatomic.h>

#include "net/http/message/reader.h"
#include "runtime/base/core.h"
#include "runtime/base/histogram.h"
#include "runtime/base/list.h"

#define LOAD_ADDRESSES_MAX       8
#define LOAD_HOST_BYTES_MAX      256
#define LOAD_USER_INFO_BYTES_MAX 256
#define LOAD_CREDENTIALS_BYTES   (4 * (LOAD_USER_INFO_BYTES_MAX + 3) / 3 + 4) /* in base64 */
#define LOAD_SOURCES_MAX         LEAT_OPTION_LIST_MAX
#define LOAD_PORTS               28000 /* connections from one address of --from: a port each */
#define LOAD_PIPELINE_MAX        1024
#define LOAD_CONNECTIONS_MAX     (UINT32_C(1) << 24) /* transport slots have 24 bits */
#define LOAD_CONNECTING_MAX      512 /* connections being opened at once, per core */
#define LOAD_CLOSES_PER_TURN     512
#define LOAD_RETRY_NS            (100 * LEAT_NS_PER_MS)
#define LOAD_TICK_NS             (10 * LEAT_NS_PER_MS)
#define LOAD_SETTLE_NS           LEAT_NS_PER_S /* around the measurement of --ramp: nobody asks */
#define LOAD_DRAIN_NS            LEAT_NS_PER_S /* for answers to what was sent, at the end */
#define LOAD_LINGER_NS           (500 * LEAT_NS_PER_MS)
#define LOAD_PATIENCE_TIMEOUTS   3 /* without an answer, when only --requests ends a run */
#define LOAD_PATIENCE_ERRORS     3 /* and so many failures in that time */
#define LOAD_TIMEOUT_SWEEPS      4 /* passes over all slots per timeout */
#define LOAD_BURST_BYTES         (UINT32_C(1) << 18) /* of copies of the request, made beforehand */
#define LOAD_BODY_BYTES_MAX      (UINT64_C(1) << 30)
#define LOAD_BUSY_LIMIT          0.9 /* from here on the client is the limit */
#define LOAD_WAIT_LIMIT          0.1 /* of the time spent waiting for a processor */

/* What can go wrong with a request, as the report names it. */
#define LOAD_ERRORS(X)                                                                             \
    X(connect, "the connection could not be made")                                                 \
    X(refused, "the connection was refused")                                                       \
    X(reset, "the connection ended before the answer")                                             \
    X(timeout, "no answer came in time")                                                           \
    X(status, "the answer had another status than expected")                                       \
    X(length, "the answer was cut off, or not as long as the first one")                           \
    X(body, "the body differed from the first answer's")                                           \
    X(parse, "the answer was not HTTP/1.1")

enum load_error {
#define LEAT_X(name, sentence) LOAD_ERROR_##name,
    LOAD_ERRORS(LEAT_X)
#undef LEAT_X
        LOAD_ERROR_COUNT
};

struct load_target {
    char name[LOAD_HOST_BYTES_MAX];           /* host and port, for Host */
    char credentials[LOAD_CREDENTIALS_BYTES]; /* for Authorization; "": none */
    const char *scheme, *shown;               /* the URL without user and password is both */
    const char *path;
    struct leat_addr addresses[LOAD_ADDRESSES_MAX];
    unsigned addresses_count;
};

/* Addresses of one network, counting up. */
struct load_source {
    struct leat_addr first;
    uint32_t count;
};

struct load {
    /* Flags. */
    uint64_t connections_count, duration_ns, rate, pipeline_count, timeout_ns, requests_count;
    uint64_t in_flight_count; /* over all connections, 0: no limit */
    uint64_t head_bytes_max;  /* of an answer */
    uint64_t expect_status;   /* 0: that of the first answer, which must be below 400 */
    bool is_json, is_per_request, is_any_body, is_ramp;
    bool may_switch; /* -H asks for an upgrade */
    const char *url, *method, *body;
    struct leat_option_list headers, from;

    struct load_target target;
    struct load_source sources[LOAD_SOURCES_MAX]; /* of --from */
    uint32_t sources_count, sources_addresses_count;
    enum leat_method method_number;
    uint8_t *request; /* copies_count times the same request */
    size_t request_bytes;
    uint32_t copies_count;
    struct leat_conn_options conn_options;

    uint32_t cores_count; /* 0: nothing was started */
    struct load_core **cores;
};

/* The first good answer, with which the others are compared. */
struct load_answer {
    uint64_t length_bytes, digest;
    uint16_t status;
    bool is_set;
};

enum load_stage {
    LOAD_PROBING,  /* one connection at a time, address after address, until one opens */
    LOAD_RAMPING,  /* --ramp: each connection opens and has one answer, which is not measured */
    LOAD_SETTLING, /* and all rest for LOAD_SETTLE_NS */
    LOAD_RUNNING,
    LOAD_DRAINING, /* sends nothing more, waits for answers */
    LOAD_DONE,
};

/* What the scheduler gave this thread: nanoseconds run, and waited for a processor; and of its
 * loop, those awake and, of these, those of turns that did something, whose cycles by layer. */
struct load_cpu {
    uint64_t run_ns, wait_ns, awake_ns, work_ns;
    uint64_t layer_cycles[LEAT_LAYER_COUNT];
};

struct load_results {
    uint64_t requests_count; /* complete answers */
    uint64_t errors[LOAD_ERROR_COUNT];
    uint64_t received_bytes, sent_bytes;
    uint64_t connects_count, resent_count, unfinished_count;
    uint64_t ramp_ns;          /* from the first connection until the last had its answer */
    uint64_t begin_ns, end_ns; /* from the first connection to the last answer, or the end asked */
    double busy, wait;         /* shares of that time */
    uint64_t layer_cycles[LEAT_LAYER_COUNT];
    struct histogram latency, late;
    struct load_answer answer;
    struct leat_error error; /* the first that ended or hindered it; code 0: none */
};

struct load_core {
    struct load *load;
    struct leat_loop *loop;
    enum load_stage stage;
    uint32_t index;
    uint32_t slots_count, slots_begun, slots_closed;
    size_t slot_bytes;
    uint8_t *slots;
    struct list idle; /* open loop, in-flight limit: slots that can take a request, the longest idle
                       * first */
    struct list dead; /* slots that wait for LOAD_RETRY_NS, in order */
    uint32_t connecting_count, sweep_at;
    unsigned address_index;
    uint64_t budget_count;      /* requests that may still be sent */
    uint64_t outstanding_count; /* requests without an answer */
    uint64_t in_flight_max;
    uint32_t ramped_count; /* slots that had their answer */
    struct http_reader_core reader;

    /* Open loop: when the next request is due, with 32 fractional bits, and the time between. */
    uint64_t due_ns, interval_ns;
    uint32_t due_fraction, interval_fraction;

    struct leat_timer tick, due, stop;
    struct load_cpu cpu;
    uint64_t heard_ns, heard_count, heard_errors_count; /* at the last tick with a new answer */
    uint64_t progress_ns, progress_count;               /* core 0's: the last progress line */
    _Atomic uint64_t published_count;                   /* answers, read by core 0 */
    struct load_results results;
};

enum load_slot_state { SLOT_IDLE, SLOT_CONNECTING, SLOT_OPEN, SLOT_ENDING };

struct load_slot {
    struct list link; /* core->idle or dead */
    struct load_core *core;
    leat_conn conn;
    uint64_t since_ns; /* of the last answer, or when the oldest request was sent, or the state's */
    struct http_reader reader;
    uint16_t first, in_flight, owed; /* owed: of those in flight, accepted by no transport yet */
    uint8_t state;                   /* enum load_slot_state */
    bool has_answered;
    uint64_t due_ns[]; /* pipeline_count, a ring: when each request in flight was due */
};

/* url.c, target.c: return 0, or -errno with a sentence. load->request is malloc'd. */
int load_target_parse(struct load_target *target, const char *url, struct leat_error *error);
int load_request_make(struct load *load, struct leat_error *error);
int load_sources_parse(struct load *load, struct leat_error *error);
/* Where the connection of that number comes from; NULL: wherever. */
const struct leat_addr *load_source_at(const struct load *load, uint64_t number,
                                       struct leat_addr *addr);

/* core.c */
int load_core_start(struct load *load, struct leat_loop *loop);
static inline bool load_is_open_loop(const struct load *load)
{
    return load->rate != 0;
}
/* Requests go to the connection that is idle longest, not to the one that was just answered. */
static inline bool load_takes_turns(const struct load *load)
{
    return load->rate != 0 || load->in_flight_count != 0;
}
/* How many of wanted requests may be sent now. */
uint32_t load_core_allows(const struct load_core *core, uint32_t wanted);
void load_core_reached(struct load_core *core, uint64_t now_ns); /* a connection has opened */
/* What to do about it, to be said behind the reason; "": nothing. */
const char *load_remedy_of(enum leat_close_reason reason);
void load_core_missed(struct load_core *core, enum leat_close_reason reason); /* none has */
/* Sends what is due. was_free: a slot was idle before this call's occasion. */
void load_core_dispatch(struct load_core *core, uint64_t now_ns, bool was_free);
void load_core_connect_more(struct load_core *core);
void load_core_ramped(struct load_core *core); /* one more connection had its first answer */
void load_core_lost(struct load_core *core);   /* a connection: before the measurement, the end */
/* Requests were answered or lost: ends the run when they were the last. */
void load_core_settled(struct load_core *core);
void load_core_say(struct load_core *core, int code, const char *format, ...) LEAT_PRINTF(3, 4);
struct load_slot *load_core_slot(const struct load_core *core, uint32_t index);

/* slot.c */
void load_slot_init(struct load_slot *slot, struct load_core *core);
void load_slot_start(struct load_slot *slot, uint64_t due_ns); /* due: of its request, if it has */
void load_slot_issue(struct load_slot *slot, uint32_t count, uint64_t due_ns, uint64_t now_ns);
void load_slot_go_on(struct load_slot *slot, uint64_t now_ns); /* after LOAD_SETTLING */
void load_slot_sweep(struct load_slot *slot, uint64_t now_ns);
void load_slot_revive(struct load_slot *slot, uint64_t now_ns); /* after LOAD_RETRY_NS */
void load_slot_fini(struct load_slot *slot);                    /* closes or aborts it */

/* check.c */
void load_check(struct load_core *core, const struct http_reader *reader);

/* report.c: returns the exit code. */
int load_report(const struct load *load);
void load_progress(struct load_core *core, uint64_t now_ns);
struct load_cpu load_cpu_now(struct leat_loop *loop);
const char *load_error_name(enum load_error error);

#endif
