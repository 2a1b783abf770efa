/* Addresses that the network gives: --ip dhcp and --ip slaac. Internal: not installed.
 *
 * Core 0 runs the DHCP client; what it is granted, and loses, is posted to the other cores, whose
 * stacks take it over. Routers' announcements are heard by each stack for itself. The start waits
 * for the first address. */
#ifndef LEAT_BYPASS_LEASE_H
#define LEAT_BYPASS_LEASE_H

#include <pthread.h>

#include <leat/loop.h>
#include <leat/timer.h>

#include "net/program/bypass_flags.h"
#include "net/stack/dhcp.h"

#define BYPASS_LEASE_WAIT_NS (20 * LEAT_NS_PER_S) /* that the start waits; then it fails */

struct bypass_lease;

struct bypass_lease_core {
    struct bypass_lease *all;
    struct leat_loop *loop; /* NULL: not open; under the lock */
    struct stack *stack;
    bool is_posted, has_lease; /* the first under the lock */
    struct dhcp_lease lease;   /* applied */
};

struct bypass_lease {
    const char *net; /* as written */
    const struct bypass_flags *flags;
    pthread_mutex_t lock;
    bool is_granted;           /* under the lock, like the next two */
    struct dhcp_lease granted; /* of core 0 */
    struct ip_addr announced;  /* the first address made from a router's prefix; or all zero */
    struct leat_timer retry;   /* core 0's: a post found no room */
    struct bypass_lease_core cores[LEAT_PORT_QUEUES_MAX];
};

void bypass_lease_init(struct bypass_lease *l, const char *net, const struct bypass_flags *flags);
void bypass_lease_fini(struct bypass_lease *l);

/* On each loop's own thread, when its stack has its other addresses. 0, or -ETIMEDOUT with a
 * sentence, or what starting the client gave. */
int bypass_lease_open(struct bypass_lease *l, struct leat_loop *loop, struct stack *stack,
                      uint32_t core, struct leat_error *error) LEAT_MUST_CHECK;
/* Before the stack is freed. */
void bypass_lease_close(struct bypass_lease *l, uint32_t core);

/* " 10.9.0.57/24 (leased from 10.9.0.1 for 3600 s)"; "" when there is nothing. Returns text. */
char *bypass_lease_format(struct bypass_lease *l, char *text, size_t size);
/* An address that was given; all zero: none. */
struct ip_addr bypass_lease_address(struct bypass_lease *l);

#endif
