/* The part of --net that goes around the kernel: which port a name means, the addresses that the
 * flags give, and a stack on each loop. Internal: not installed.
 *
 * bypass_new and bypass_free are the set-up thread's; bypass_open and bypass_close are each loop's
 * own. The port is closed by the last loop that leaves it; a simulated world by bypass_free. */
#ifndef LEAT_BYPASS_H
#define LEAT_BYPASS_H

#include "net/program/open.h"

struct bypass;

/* Whether --net NAME means a port ("tun:leat0") and not kernel sockets. */
bool bypass_is_meant(const char *net);

/* Checks the flags and opens the port. NULL with error filled: -EINVAL for what the command line
 * has wrong. */
struct bypass *bypass_new(const struct leat_net_options *options, struct leat_error *error);
void bypass_free(struct bypass *bypass);

int bypass_open(struct bypass *bypass, struct leat_loop *loop, struct leat_error *error);
void bypass_shut(struct bypass *bypass);
void bypass_close(struct bypass *bypass);

/* The port's driver takes hugetlb pages, and others should not. */
bool bypass_spares_hugepages(const struct bypass *bypass);
/* NULL: the machine's. Of a simulated world: the loops' clock as well. */
const struct leat_clock *bypass_clock(const struct bypass *bypass);
uint64_t bypass_seed(const struct bypass *bypass); /* of a world that is played */
/* After every loop has closed: false when what the port watched was not right. */
bool bypass_is_sound(const struct bypass *bypass);

/* One line about the port and its addresses. Returns text. */
char *bypass_banner(struct bypass *bypass, char *text, size_t size);

/* Whether a listener there is reached through the port. */
bool bypass_reaches(const struct bypass *bypass, const struct leat_addr *listener);

/* An address of the stack as a URL wants it: "10.0.0.2", "[fd00::2]". Returns text. */
const char *bypass_host(struct bypass *bypass, char *text, size_t size);

#endif
