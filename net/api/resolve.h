/* Addresses as users write them, host names included. It asks the system's resolver and waits for
 * the answer: set-up threads only, never on a loop. Internal: not installed. */
#ifndef LEAT_RESOLVE_H
#define LEAT_RESOLVE_H

#include <leat/addr.h>

#define RESOLVED_MAX 8 /* addresses of one name; more are left out */

/* All that leat_addr_parse takes, and "localhost:8080", "sock:example.org:80": writes what the name
 * stands for, in the order in which they are to be tried (RFC 6724). Returns how many, at least one
 * and at most RESOLVED_MAX; -EINVAL for what is no address, -ENOENT for a name that nobody knows,
 * each with a sentence that quotes the text. */
int addr_resolve(struct leat_addr addrs[RESOLVED_MAX], const char *text, uint16_t default_port,
                 struct leat_error *error) LEAT_MUST_CHECK;

/* The same for a host and its port apart, as a URL has them. */
int addr_resolve_host(struct leat_addr addrs[RESOLVED_MAX], const char *host, uint16_t port,
                      struct leat_error *error) LEAT_MUST_CHECK;

#endif
