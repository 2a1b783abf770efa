/* Which transports a --net means, and opening them on a loop. Internal: not installed.
 *
 * Kernel sockets are always there. A --net that names a port adds Leat's own stack on it, beside
 * the sockets, so that clients on the same host still find a way in. */
#ifndef LEAT_OPEN_H
#define LEAT_OPEN_H

#include <leat/addr.h>
#include <leat/error.h>
#include <leat/loop.h>
#include <leat/options.h>

struct leat_net; /* what the loops of one process share of their transports */

/* As the flags give it; zero is the default of each. */
struct leat_net_options {
    const char *net; /* "auto", "uring", "epoll", or a port: "tun:leat0" */
    struct leat_option_list ips, gateways;
    const char *mac;
    uint64_t mtu_bytes, mss_bytes, vlan, queue_count;
    const char *faults;   /* as --net-faults gives it; NULL: none */
    uint32_t cores_count; /* loops that will open it */
};

/* NULL with error filled: -EINVAL for what the flags have wrong. Set-up thread. */
struct leat_net *leat_net_new(const struct leat_net_options *options, struct leat_error *error);
/* After every loop has closed. NULL: no effect. */
void leat_net_free(struct leat_net *net);

/* How many loops run when --cores does not say: 0 when as many as there are cores. */
uint32_t leat_net_cores_default(const char *name);

/* On each loop's own thread. 0 or -errno with a sentence. */
int leat_net_open(struct leat_net *net, struct leat_loop *loop, struct leat_error *error);
/* Closes connections and datagram sockets, their on_close included; listeners stay for their owners
 * to close, and nothing new can be opened. Without leat_net_open it does nothing. */
void leat_net_shut(struct leat_net *net, struct leat_loop *loop);
/* leat_net_shut, and frees listeners and transports. */
void leat_net_close(struct leat_net *net, struct leat_loop *loop);
/* What the loops' clock must be; NULL: the machine's. */
const struct leat_clock *leat_net_clock(const struct leat_net *net);
/* Of a world that is played; 0: it is none. */
uint64_t leat_net_seed(const struct leat_net *net);
/* Whether hugetlb pages are for the port's driver, and buffers should leave them alone. */
bool leat_net_spares_hugepages(const struct leat_net *net);
/* After every loop has closed: false when a simulated world saw what must not be. */
bool leat_net_is_sound(const struct leat_net *net);
/* "uring" or "epoll"; "" when nothing is open. */
const char *leat_net_name(struct leat_loop *loop);
/* One line about the port: its driver, offloads and addresses; NULL without one. */
const char *leat_net_banner(const struct leat_net *net, char *text, size_t size);
/* Whether a listener there is reached through the port; true without one. */
bool leat_net_reaches(const struct leat_net *net, const struct leat_addr *listener);
/* Where a listener on every address is reached: an address of the port's, else "localhost". */
const char *leat_net_host(const struct leat_net *net, char *text, size_t size);

#endif
