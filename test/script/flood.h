/* A server under attack: a stack that answers requests, a well-behaved client that asks one after
 * the other, and a puppet whose frames are made by hand.
 *
 *     struct flood *f = flood_new(&(struct flood_options){0});
 *     flood_run(f, send_syns, 2000);           send_syns(f, i) once each virtual millisecond
 *     assert_true(f->longest_gap_ns < ...);    between two answers that the client got
 *     flood_end(f);                            it answers again within a second, nothing is lost
 *
 * The server pauses every connection of the attacker's if .holds, and answers each 64 bytes with
 * .answer_bytes. */
#ifndef TEST_SCRIPT_FLOOD_H
#define TEST_SCRIPT_FLOOD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <leat/conn.h>

#include "net/stack/tcp/tcp.h"
#include "test/script/frame.h"

#define FLOOD_PORT          80
#define FLOOD_REQUEST_BYTES 64
#define FLOOD_ALLIES_MAX    12000 /* connections of the attacker's */

struct flood_options {
    uint32_t rx_buffers_max;   /* of the server's port [2048] */
    uint64_t buffer_bytes_max; /* [16 MiB] */
    uint32_t answer_bytes;     /* [1000] */
    uint32_t conns_max;        /* [as many as TCP allows] */
    bool holds;
};

/* A connection of the attacker's, by its port. */
struct ally {
    uint32_t seq, ack; /* absolute: what it sends next, what it expects */
    bool is_open, is_reset;
};

struct flood {
    struct sim *sim;
    struct sim_host *server, *client, *attacker;
    struct flood_options o;
    struct ends ends; /* of attacker and server */
    struct leat_listener *listener;
    struct ally *allies; /* port 1024 + index */
    uint32_t open_count, reset_count;
    uint16_t window;    /* that allies announce */
    bool allies_ask;    /* they send a request as soon as they are open */
    bool allies_answer; /* they acknowledge what comes, and nothing in it */
    /* the client */
    leat_conn conn;
    bool is_connecting, is_stopped;
    uint64_t got_bytes, answer_count, connect_count, failure_count;
    uint64_t last_ns, longest_gap_ns;
    /* the running attack */
    void (*attack)(struct flood *f, uint64_t ms);
    uint64_t ms, ms_max;
};

struct flood *flood_new(const struct flood_options *options);
/* attack may be NULL: only time passes. Notes the client's longest wait for an answer meanwhile. */
void flood_run(struct flood *f, void (*attack)(struct flood *f, uint64_t ms), uint64_t ms);
/* A new connection gets an answer within a virtual second; every buffer comes home. */
void flood_end(struct flood *f);

struct stack *flood_stack(struct flood *f);
struct stack_tcp *flood_tcp(struct flood *f);

/* One segment to the server, from any address and port. */
struct shot {
    struct ip_addr from; /* all zero: the attacker's own */
    uint16_t port, to_port, window;
    uint32_t seq, ack, length;
    uint8_t flags;
};
void flood_shoot(struct flood *f, const struct shot *shot);
/* An ally's SYN; the rest of the handshake follows when the answer comes. */
void flood_connect(struct flood *f, uint32_t ally);
/* length bytes at offset behind what the ally has sent; if they follow, they count as sent. */
void flood_say(struct flood *f, uint32_t ally, uint32_t offset, uint32_t length);

#endif
