/* What is particular to the transports over kernel sockets; the clauses that every transport must
 * keep are test/contract's, whose worlds, records and peers are used here. */
#ifndef TEST_SOCKET_H
#define TEST_SOCKET_H

#include "../contract/contract.h"

#include "net/socket/sockets.h"

/* A world with options of the test's own, but for which, that the program's argument says. */
struct world *world_with(const struct leat_sockets_options *options);
struct world *world_as(
    const struct leat_sockets_options *options); /* which is the test's as well */
enum leat_sockets_which which_now(void);
int begin_connect(const struct leat_addr *to); /* a client that does not block */

/* Runs test(w) in a process of its own, where limits can be lowered; its exit code must be 0. */
void in_child(void (*test)(void));
#define CHILD_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#define SOCKET_TESTS(X)                                                                            \
    X(running_out_of_descriptors_pauses_and_recovers)                                              \
    X(a_listener_that_closes_takes_nobody_in)                                                      \
    X(the_limit_on_connections_leaves_the_rest_in_the_backlog)                                     \
    X(a_storm_of_connections_is_accepted)                                                          \
    X(completions_beyond_the_queue_are_served)                                                     \
    X(clients_that_vanish_leave_nothing_behind)                                                    \
    X(tiny_send_buffers_deliver_everything)                                                        \
    X(sixty_four_mebibytes_to_slow_readers)                                                        \
    X(too_little_locked_memory_is_done_without)                                                    \
    X(a_file_truncated_while_it_is_sent_aborts)                                                    \
    X(a_file_that_refuses_sendfile_is_copied)                                                      \
    X(few_receive_blocks_starve_nobody)                                                            \
    X(urgent_bytes_are_in_line_and_hide_nothing)                                                   \
    X(pieces_of_unix_streams_hide_nothing)                                                         \
    X(a_loop_that_polls_hears_of_its_sockets)                                                      \
    X(unix_sockets_carry_and_clean_up)                                                             \
    X(ipv6_alone_dual_and_with_zones)                                                              \
    X(a_port_in_use_is_found_out_despite_reuseport)                                                \
    X(a_privileged_port_is_refused_with_the_remedy)                                                \
    X(threads_agree_on_a_free_port)                                                                \
    X(a_kernel_that_refuses_io_uring_gives_epoll)                                                  \
    X(an_idle_connection_costs_little)
typedef void socket_test(void **state);
#define SOCKET_DECLARE(name) socket_test name;
SOCKET_TESTS(SOCKET_DECLARE)

#endif
