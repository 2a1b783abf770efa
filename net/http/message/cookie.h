/* A cookie that a server sets (RFC 6265 4.1, and what browsers have agreed on since:
 * draft-ietf-httpbis-rfc6265bis). What is left out is the safe choice: the cookie ends with the
 * browser, goes to this host alone, not to scripts, and with requests of other sites only where
 * their user follows a link. */
#ifndef LEAT_COOKIE_H
#define LEAT_COOKIE_H

#include <leat/defs.h>

LEAT_BEGIN

enum leat_same_site { LEAT_SAME_SITE_LAX, LEAT_SAME_SITE_STRICT, LEAT_SAME_SITE_NONE };

/* Whether browsers send it over TLS alone. AUTO: where name, same_site or is_partitioned demand it,
 * and on a connection with TLS. Behind a proxy that has the TLS say ALWAYS. */
enum leat_cookie_secure {
    LEAT_COOKIE_SECURE_AUTO,
    LEAT_COOKIE_SECURE_ALWAYS,
    LEAT_COOKIE_SECURE_NEVER,
};

#define LEAT_COOKIE_REMOVE     INT64_MIN
#define LEAT_COOKIE_BYTES_MAX  4096 /* of name and value together: browsers ignore larger ones */
#define LEAT_COOKIE_PATH_MAX   1024
#define LEAT_COOKIE_DOMAIN_MAX 255

struct leat_cookie {
    const char *name;   /* a token; "__Secure-x" demands Secure, "__Host-x" besides the path "/"
                           and no domain, in any case of letters */
    const char *value;  /* [""] no control bytes, blanks, or any of "\",;  */
    const char *path;   /* ["/"] */
    const char *domain; /* [none: this host alone] with it, all hosts below */
    int64_t max_age_s;  /* [0: until the browser ends] LEAT_COOKIE_REMOVE: the browser forgets it */
    enum leat_same_site same_site;  /* [Lax] None demands Secure */
    enum leat_cookie_secure secure; /* [AUTO] */
    bool is_for_scripts;            /* [false: HttpOnly] */
    bool is_partitioned;            /* [false] Partitioned (CHIPS), demands Secure */
};

LEAT_END
#endif
