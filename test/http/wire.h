/* A transport in memory, for tests of what stands on net/api/conn.h: bytes are delivered when and
 * how the test says, in slices of exactly their length which are freed behind the callback, so that
 * the sanitizers see every byte read beyond or after; time is the test's own; the client takes what
 * the test lets it take. */
#ifndef TEST_HTTP_WIRE_H
#define TEST_HTTP_WIRE_H

#include <leat/conn.h>
#include <leat/io.h>
#include <leat/loop.h>

struct wire; /* one per loop; virtual time */

struct wire_conn {
    uint64_t id; /* the slot's handle */
    struct wire_conn *next;
    const struct leat_conn_ops *ops;
    void *user;
    uint8_t *sent; /* what has left for the client, NUL behind it */
    size_t sent_bytes, sent_capacity;
    uint8_t *queued; /* accepted, not taken by the client yet */
    size_t queued_bytes, queued_capacity;
    uint8_t *waiting; /* from the client, while we are paused */
    size_t waiting_bytes;
    size_t window_bytes; /* how many more bytes the client takes */
    size_t high_bytes;
    bool paused, wants_writable, refused;
    bool peer_ended, end_delivered;
    bool ended, closed, aborted, gone; /* by the server; gone: on_close came */
    bool soon;                         /* closed by leat_conn_close_soon */
    unsigned held_count;
};

struct wire *wire_new(void);
void wire_free(struct wire *wire);
struct leat_loop *wire_loop(struct wire *wire);
uint64_t wire_now(const struct wire *wire);

/* Time passes, in steps of at most 10 ms, each with a turn of the loop. */
void wire_pass(struct wire *wire, uint64_t ns);
/* Turns the loop, delivers what can be delivered, on_writable, on_end and on_close, until nothing
 * more happens. */
void wire_settle(struct wire *wire);

/* A connection that the test hands to somebody with leat_conn_set or leat_http_serve. Lives until
 * wire_drop, also when it is gone. */
struct wire_conn *wire_connect(struct wire *wire);
leat_conn wire_handle(const struct wire_conn *conn);
void wire_drop(struct wire *wire, struct wire_conn *conn);

/* Delivers bytes in count slices: cuts[i] is where the i-th ends. Without settling. */
void wire_slices(struct wire *wire, struct wire_conn *conn, const void *bytes, const size_t *cuts,
                 unsigned count);
void wire_feed(struct wire *wire, struct wire_conn *conn, const void *bytes, size_t length);
void wire_end(struct wire *wire, struct wire_conn *conn);   /* the client half-closes */
void wire_reset(struct wire *wire, struct wire_conn *conn); /* the client vanishes */
void wire_take(struct wire *wire, struct wire_conn *conn, size_t bytes); /* opens the window */

#endif
