/* `leat echo`: a server that sends back, swallows or pours out bytes, and the client that measures
 * with it. One struct echo per run, only read while the cores run; the rest is each core's own. */
#ifndef LEAT_ECHO_INTERNAL_H
#define LEAT_ECHO_INTERNAL_H

#include <leat/leat.h>

#include "net/api/resolve.h"
#include "runtime/base/core.h"
#include "runtime/base/histogram.h"

#define ECHO_ADDRESS         "127.0.0.1:7007"
#define ECHO_PORT            7007
#define ECHO_BYTES           64
#define ECHO_STREAM_BYTES    65536 /* of a piece that a source sends */
#define ECHO_UDP_BYTES       1400  /* of a datagram that a source sends */
#define ECHO_BYTES_MAX       (UINT64_C(1) << 26)
#define ECHO_CONNECTIONS_MAX (UINT64_C(1) << 20)
#define ECHO_CONNECT_NS      (5 * LEAT_NS_PER_S) /* for a connection to be made */

/* What this side does. The peer does the opposite. */
enum echo_mode { ECHO_BACK, ECHO_SINK, ECHO_SOURCE };

struct echo_core;

struct echo {
    bool is_sink, is_source, is_json, is_udp;
    const char *connect; /* NULL: a server */
    uint64_t bytes, duration_ns, trips_count, connections_count;
    enum echo_mode mode;
    struct leat_addr addrs[RESOLVED_MAX]; /* of a client's peer, to be tried in this order */
    unsigned addrs_count;
    uint8_t *block; /* bytes of a message or piece */
    uint32_t cores_count;
    struct echo_core **cores; /* of a client */
};

struct echo_client {
    struct echo_core *core;
    leat_conn conn;
    leat_udp udp;
    uint64_t sent_ns, received_bytes; /* of the message under way */
    uint64_t sequence;                /* of the datagram under way */
    struct leat_timer patience;       /* for it */
    bool is_open;                     /* connected; over UDP: an echo is waited for */
    unsigned addr_at;                 /* of its peer */
};

struct echo_core {
    const struct echo *echo;
    struct leat_loop *loop;
    struct echo_client *clients;
    uint32_t clients_count;
    bool is_over;
    struct leat_timer stop;
    uint64_t budget_count, open_count;
    uint64_t begin_ns, end_ns, bytes, errors_count, lost_count;
    struct histogram trips;
    struct leat_error error;
};

int echo_server_start(struct leat_loop *loop);
int echo_client_start(struct leat_loop *loop, struct echo *echo);
int echo_client_report(const struct echo *echo); /* the exit code */
void echo_core_begin(struct echo_core *core);
void echo_core_finish(struct echo_core *core);
/* One of its clients has nothing more to do. */
void echo_core_leave(struct echo_core *core);
/* A failure of one of its clients, which ends all. */
void echo_client_fail(const struct echo_client *client, int code, const char *what,
                      const char *why);

/* udp.c */
int echo_udp_listen(struct leat_loop *loop, struct echo *echo, const struct leat_addr *addr);
int echo_udp_clients_start(struct echo_core *core);
void echo_udp_close(struct echo_client *client);

/* Sends pieces until the connection takes no more. */
void echo_pour(const struct echo *echo, leat_conn conn);

#endif
