/* Addresses as users write them and as transports take them. Values; no memory is owned. */
#ifndef LEAT_ADDR_H
#define LEAT_ADDR_H

#include <leat/defs.h>
#include <leat/error.h>

LEAT_BEGIN

enum leat_family { LEAT_FAMILY_NONE, LEAT_FAMILY_IPV4, LEAT_FAMILY_IPV6, LEAT_FAMILY_UNIX };

/* Which transport a listener or connection is for; written as a prefix "sock:" or "net:". */
enum leat_via { LEAT_VIA_ANY, LEAT_VIA_SOCKETS, LEAT_VIA_STACK };

#define LEAT_UNIX_PATH_BYTES_MAX 108
#define LEAT_ADDR_TEXT_BYTES_MAX 128

struct leat_addr {
    uint8_t family; /* enum leat_family */
    uint8_t via;    /* enum leat_via */
    uint16_t port;  /* host byte order; 0: any free one */
    uint32_t scope; /* IPv6 zone index, 0: none */
    union {
        uint8_t ip[16];                      /* network byte order; IPv4 in the first four */
        char path[LEAT_UNIX_PATH_BYTES_MAX]; /* a leading '@' means the abstract name space */
    };
};

/* Parses "127.0.0.1:8080", "[::1]:8080", "[fe80::1%eth0]:80" and "[fe80::1%2]:80", ":8080" and
 * "*:8080" (every address: dual-stack IPv6 wildcard), "8080", "unix:/path", each with an optional
 * "sock:" or "net:" before it. default_port serves when none is written. Host names are not
 * resolved. Returns 0, or -EINVAL with a sentence that quotes the text. */
LEAT_API int leat_addr_parse(struct leat_addr *addr, const char *text, uint16_t default_port,
                             struct leat_error *error) LEAT_MUST_CHECK;

/* Writes "127.0.0.1:8080", "[::1]:8080" or "unix:/path", NUL-terminated; returns text. */
LEAT_API char *leat_addr_format(const struct leat_addr *addr, char text[LEAT_ADDR_TEXT_BYTES_MAX]);
LEAT_API bool leat_addr_is_wildcard(const struct leat_addr *addr);
LEAT_API bool leat_addr_equal(const struct leat_addr *a, const struct leat_addr *b);

LEAT_END
#endif
