/* The transport contracts' tests (net/api/conn.h, clauses C1 to C31; net/api/udp.h, U1 to U18):
 * what they stand on.
 *
 * A world is one loop with one transport, and peers: the other ends of its connections, which are
 * played by hand. A transport brings its own kind of peers (raw sockets for the transports over the
 * kernel; the simulator's for the stack), so the tests know nothing but the contract.
 *
 * A test is a function void name(struct world *w), run once for each transport. */
#ifndef CONTRACT_H
#define CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <leat/buf.h>
#include <leat/conn.h>
#include <leat/loop.h>
#include <leat/timer.h>
#include <leat/udp.h>
#include <string.h>

#define CONTRACT_BUFFER_BYTES (UINT64_C(64) << 20) /* of all pools of a world */
#define CONTRACT_PATIENCE_NS  (20 * LEAT_NS_PER_S) /* a test that waits for longer has failed */

struct world;
struct peer;
struct udp_peer;

struct contract_transport {
    const char *name;
    const char *skips; /* names of clauses that mean nothing to it: left out; NULL: none */
    const char *only;  /* names of the clauses that it is for; NULL: all */
    int (*open)(struct world *w);
    void (*close)(struct world *w); /* again: nothing happens */
    void (*free_shared)(void *shared);
    /* Lets time pass, at most nap_ns, and turns the loop once. */
    void (*step)(struct world *w, uint64_t nap_ns);
    /* Lets time pass without a turn, as when the process is stopped; its peers and the wire go on.
     */
    void (*pause)(struct world *w, uint64_t ns);

    /* Peers. All return at once. */
    struct peer *(*peer_connect)(struct world *w, const struct leat_addr *to);
    struct peer *(*peer_listen)(struct world *w, struct leat_addr *bound);  /* one backlog place */
    struct peer *(*peer_accept)(struct peer *listener);                     /* NULL: nobody yet */
    long (*peer_send)(struct peer *peer, const void *bytes, size_t length); /* or -errno */
    long (*peer_receive)(struct peer *peer, void *bytes, size_t room);      /* 0: FIN; or -errno */
    void (*peer_end)(struct peer *peer);                                    /* FIN */
    void (*peer_reset)(struct peer *peer);                                  /* RST, and free */
    void (*peer_close)(struct peer *peer);                                  /* FIN, and free */
    /* An address that nothing answers at, for connecting: packets vanish. false: none here. */
    bool (*black_hole)(struct world *w, struct leat_addr *addr);

    /* A peer that sends and receives datagrams, on an address of that family; NULL: no such. */
    struct udp_peer *(*udp_peer)(struct world *w, bool v6, struct leat_addr *bound);
    void (*udp_send)(struct udp_peer *peer, const struct leat_addr *to, const void *bytes,
                     size_t length);
    /* Bytes, or -EAGAIN. */
    long (*udp_receive)(struct udp_peer *peer, struct leat_addr *from, void *bytes, size_t room);
    void (*udp_close)(struct udp_peer *peer);
    /* The link takes nothing, or again; NULL: there is none to stop. */
    void (*stall)(struct world *w, bool stalls);
    const char *second_address; /* a further one of ours, for tests of U15 */
};

extern const struct contract_transport contract_epoll, contract_uring, contract_stack;
/* The stack on a host of two cores: what world_beside is for. */
extern const struct contract_transport contract_stack_cores;

struct world {
    const struct contract_transport *transport;
    struct leat_loop *loop;
    struct leat_addr any;  /* an address to listen on, port 0 */
    struct leat_addr any6; /* the same of IPv6 */
    uint32_t core_index;
    void *shared; /* what the cores of one process share; made by the first to open */
    struct leat_core *core;
};

/* A further core beside w, and which of them the thread plays. */
struct world *world_beside(struct world *w, uint32_t core_index);
void world_enter(struct world *w);
void world_free(struct world *w);

/* Of one test; *state is the transport before, the world in between. */
int world_set_up(void **state);
int world_tear_down(void **state);
unsigned open_descriptors(void);

/* What happened to one connection of ours. Hooks, where set, run inside the callbacks. */
struct record {
    struct world *w;
    leat_conn conn;
    unsigned opens, datas, writables, ends, closes;
    enum leat_close_reason reason;
    char order[256]; /* "O" open, "D" data, "W" writable, "E" end, "C" close */
    uint8_t *bytes;  /* everything received */
    size_t length, room;
    bool keeps_no_bytes;
    uint64_t hash; /* FNV-1a of everything received */
    void (*on_open)(struct record *r);
    void (*on_data)(struct record *r, const struct leat_buf *slices, unsigned count);
    void (*on_writable)(struct record *r);
    void (*on_end)(struct record *r);
    void (*on_close)(struct record *r);
    void *extra;
    struct leat_buf held[256];
    size_t held_at[256]; /* C29: where each began */
    unsigned held_count;
};

extern const struct leat_conn_ops record_ops;  /* user: struct record * */
extern const struct leat_conn_ops records_ops; /* user: struct records *, one record each */

/* A server: every accepted connection gets the next record. */
#define RECORDS_MAX 64
struct records {
    struct world *w;
    struct record record[RECORDS_MAX];
    unsigned count;
    struct leat_listener *listener;
    struct leat_addr addr;
    void (*on_open)(struct record *r); /* copied into each record */
    void (*on_data)(struct record *r, const struct leat_buf *slices, unsigned count);
};

struct records *serve(struct world *w, const struct leat_listen_options *options);
void records_free(struct records *s); /* closes the listener if it is open */
void record_fini(struct record *r);

/* Turns the loop until condition(arg), or fails the test. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        uint64_t until_end = leat_loop_clock((w)->loop) + CONTRACT_PATIENCE_NS;                    \
        while (!(condition)) {                                                                     \
            if (leat_loop_clock((w)->loop) > until_end)                                            \
                fail_msg("waited in vain for %s", #condition);                                     \
            (w)->transport->step((w), LEAT_NS_PER_MS);                                             \
        }                                                                                          \
    } while (0)

/* Lets everything settle: what has not happened after this will not happen. */
void settle(struct world *w);
void pass(struct world *w, uint64_t ns);

struct leat_buf pattern(size_t length, unsigned seed); /* a buffer of reproducible bytes */
uint8_t pattern_byte(size_t at, unsigned seed);
uint64_t fnv(uint64_t hash, const void *bytes, size_t length);
#define FNV_START UINT64_C(0xcbf29ce484222325)

/* Shorthands over w->transport. */
struct peer *peer_connect(struct world *w, const struct leat_addr *to);
void peer_send_all(struct world *w, struct peer *peer, const void *bytes, size_t length);
/* Receives until length bytes or FIN came, turning the loop; returns the bytes. */
size_t peer_receive_all(struct world *w, struct peer *peer, void *bytes, size_t length);
/* Turns the loop until the peer sees FIN (0) or an error (-errno); bytes are thrown away. */
long peer_end_of(struct world *w, struct peer *peer);

/* A server with one connection and its peer. */
struct pair {
    struct records *s;
    struct record *r;
    struct peer *peer;
};
struct pair pair_open(struct world *w, const struct leat_conn_options *options);
void pair_free(struct pair *p); /* the peer must be gone, or is closed */

typedef void contract_test(struct world *w);
#define CONTRACT_TESTS(X)                                                                          \
    X(c01_a_stale_or_invented_handle_is_refused)                                                   \
    X(c02_other_cores_are_refused_and_callbacks_may_call_all)                                      \
    X(c03_callbacks_never_nest)                                                                    \
    X(c04_open_comes_first)                                                                        \
    X(c05_close_comes_once_and_last)                                                               \
    X(c05_one_close_may_cause_another)                                                             \
    X(c06_end_half_closes)                                                                         \
    X(c07_on_end_comes_after_all_bytes)                                                            \
    X(c08_close_lingers_and_saves_the_response)                                                    \
    X(c28_close_soon_delivers_everything)                                                          \
    X(c28_close_soon_waits_for_nobody)                                                             \
    X(c09_abort_resets)                                                                            \
    X(c10_two_half_closes_make_a_close)                                                            \
    X(c11_data_comes_in_order_and_once)                                                            \
    X(c12_held_bytes_stop_the_peer)                                                                \
    X(c12_small_holds_cost_little)                                                                 \
    X(c12_taken_bytes_cost_no_window)                                                              \
    X(c29_slices_may_be_changed)                                                                   \
    X(c29_what_is_sent_to_oneself_may_be_changed)                                                  \
    X(c13_pause_stops_the_peer)                                                                    \
    X(c14_nothing_is_dropped_when_buffers_run_out)                                                 \
    X(c15_a_send_is_taken_whole_or_not_at_all)                                                     \
    X(c16_writable_comes_when_owed_and_only_then)                                                  \
    X(c17_bytes_go_in_order_at_the_end_of_the_turn)                                                \
    X(c30_sent_and_queued_are_what_was_accepted)                                                   \
    X(c18_memory_is_freed_once_after_it_was_sent)                                                  \
    X(c19_a_file_is_sent)                                                                          \
    X(c19_a_file_that_ends_early_aborts)                                                           \
    X(c20_a_reset_is_a_reset_in_every_state)                                                       \
    X(c21_silence_closes)                                                                          \
    X(c21_a_pause_loses_nothing)                                                                   \
    X(c21_connecting_has_its_limit)                                                                \
    X(c31_options_change_while_it_is_open)                                                         \
    X(c27_a_peer_that_takes_nothing_is_gone)                                                       \
    X(c22_a_closed_listener_leaves_its_connections)                                                \
    X(c23_a_paused_listener_accepts_nothing)                                                       \
    X(c24_each_core_listens_once)                                                                  \
    X(c25_a_free_port_is_the_same_for_all_cores)                                                   \
    X(c26_addresses_that_cannot_be)
#define CONTRACT_UDP_TESTS(X)                                                                      \
    X(u01_a_stale_or_invented_handle_is_refused)                                                   \
    X(u02_other_cores_are_refused)                                                                 \
    X(u03_callbacks_never_nest)                                                                    \
    X(u04_close_comes_once_and_last)                                                               \
    X(u04_the_loops_end_closes)                                                                    \
    X(u05_each_core_binds_once)                                                                    \
    X(u05_a_free_port_is_the_same_for_all_cores)                                                   \
    X(u06_addresses_that_cannot_be)                                                                \
    X(u07_a_connected_socket_hears_its_peer_only)                                                  \
    X(u08_datagrams_come_whole)                                                                    \
    X(u08_datagrams_come_whole_over_ipv6)                                                          \
    X(u09_held_bytes_stop_delivery)                                                                \
    X(u10_what_waits_is_bounded)                                                                   \
    X(u11_writable_comes_when_owed_and_only_then)                                                  \
    X(u12_datagrams_go_in_order_at_the_end_of_the_turn)                                            \
    X(u13_what_is_too_long_is_refused)                                                             \
    X(u14_an_error_is_told_and_the_socket_lives)                                                   \
    X(u15_a_reply_comes_from_the_address_that_was_asked)                                           \
    X(u16_groups_and_broadcasts)                                                                   \
    X(u17_a_wildcard_hears_both_families)                                                          \
    X(u18_a_socket_keeps_the_loop_alive)
#define CONTRACT_DECLARE(name) contract_test name;
CONTRACT_TESTS(CONTRACT_DECLARE)
CONTRACT_UDP_TESTS(CONTRACT_DECLARE)

#endif
