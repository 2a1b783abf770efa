/* A conversation with the stack's TCP, in the manner of packetdrill: the script is the peer.
 *
 *     struct talk t = talk_listen(NULL);           the host listens on port 80
 *     say(&t, "S", 0, 0, 0);                       flags, sequence number, ACK, bytes of payload
 *     hear(&t, "SA", 0, 1, 0);                     what must come next
 *     say(&t, "A", 1, 1, 0);
 *     say(&t, "PA", 1, 1, 100);
 *     pass(&t, 10); hear(&t, "A", 1, 101, 0);      10 ms later
 *
 * Sequence numbers are relative to each side's initial one: the SYN is 0, the first byte 1. Payload
 * byte n of either direction is talk_byte(n). say sends and lets 1 ms pass; hear takes the next TCP
 * segment of the host and fails the test if it is another, or none; quiet demands that there is
 * none. */
#ifndef TEST_SCRIPT_TALK_H
#define TEST_SCRIPT_TALK_H

#include <stdint.h>

#include <leat/conn.h>

#include "net/stack/tcp/tcp.h"
#include "test/script/frame.h"
#include "test/script/scripts.h"

struct talk_options {
    struct leat_conn_options conn;
    bool v6, no_ts, no_sack, no_scale;
    enum stack_ecn ecn;
    uint32_t can; /* what the host's port claims: enum leat_port_can */
    uint32_t mtu_bytes;
    uint16_t mss;    /* the peer's, 0: 1460 */
    uint16_t window; /* of the peer's SYN, 0: 65535 */
};

struct heard {
    seq32 seq, ack; /* relative */
    uint16_t window;
    uint8_t flags;
    uint32_t length;
    uint8_t ecn;                /* of the IP header: 2 is ECT(0), 3 CE */
    struct tcp_segment options; /* parsed */
    uint64_t at_ns;
};

struct talk {
    struct sim *sim;
    struct sim_host *host, *peer;
    struct ends ends;
    struct talk_options o;
    struct leat_listener *listener;
    uint16_t peer_port, host_port;
    uint32_t peer_iss, host_iss;
    bool host_iss_known;
    uint16_t window;   /* what the peer announces, unscaled */
    uint32_t ts_value; /* the peer's clock, moved by hand or by say */
    uint32_t ts_echo;
    bool uses_ts;
    uint8_t ecn;         /* of the IP headers of what the peer sends */
    uint8_t offset_bias; /* words by which the data offset lies */
    bool holds;          /* what is said waits for the next pass, and comes at once */
    struct heard last;
    /* the application on the host */
    leat_conn conn;
    unsigned opens, ends_seen, closes, writables;
    enum leat_close_reason reason;
    uint64_t received;
    bool bytes_wrong;
};

uint8_t talk_byte(uint64_t at);

/* The host listens; or connects (its SYN is the first thing heard). options may be NULL. */
struct talk *talk_listen(const struct talk_options *options);
struct talk *talk_connect(const struct talk_options *options);
/* Listens, and does the handshake; the connection is open afterwards. */
struct talk *talk_open(const struct talk_options *options);
void talk_end(struct talk *t);

void say(struct talk *t, const char *flags, uint32_t seq, uint32_t ack, uint32_t length);
/* With SACK blocks: pairs of relative numbers. */
void say_sack(struct talk *t, uint32_t seq, uint32_t ack, unsigned blocks, const uint32_t *edges);
/* With raw options, instead of those of the talk. */
void say_raw(struct talk *t, const char *flags, uint32_t seq, uint32_t ack, const uint8_t *options,
             unsigned option_bytes);
/* An ICMP or ICMPv6 error about the host's segment that begins at seq. */
void say_icmp(struct talk *t, uint8_t type, uint8_t code, uint32_t rest, uint32_t seq);
struct heard *hear(struct talk *t, const char *flags, uint32_t seq, uint32_t ack, uint32_t length);
void quiet(struct talk *t);
void pass(struct talk *t, uint64_t ms);
void forget(struct talk *t); /* drops what was not heard; its timestamp is echoed all the same */

/* The application. */
void app_send(struct talk *t, uint64_t from, size_t length); /* bytes talk_byte(from ...) */
void app_end(struct talk *t);
void app_close(struct talk *t);
void app_abort(struct talk *t);
void app_pause(struct talk *t, bool paused);
struct tcp_conn *conn_of(struct talk *t); /* NULL: gone */
uint64_t dropped(struct talk *t, enum stack_drop drop);

#endif
