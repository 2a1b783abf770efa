/* What a transport implements: net/api/conn.c dispatches a handle's calls through these. Internal:
 * not installed.
 *
 * A transport registers itself in its core's transports[] at a fixed number, which is the top four
 * bits of its handles. It allocates connections from a slot table with generations
 * (buffers/slots.h) so that looking one up is two loads and a compare. */
#ifndef LEAT_TRANSPORT_H
#define LEAT_TRANSPORT_H

#include <leat/conn.h>

struct leat_transport;

enum leat_transport_number {
    LEAT_TRANSPORT_NONE, /* so that {0} is never a connection */
    LEAT_TRANSPORT_SOCKETS,
    LEAT_TRANSPORT_STACK,
    LEAT_TRANSPORT_TLS,
    LEAT_TRANSPORT_UDP_SOCKETS, /* of datagrams: net/api/udp_transport.h */
    LEAT_TRANSPORT_UDP_STACK,   /* at most 13: HANDLE_TABLE_TIMEOUTS follows */
};

/* C31 */
enum leat_transport_option {
    LEAT_TRANSPORT_NAGLE, /* 0 or 1 */
    LEAT_TRANSPORT_KEEPALIVE,
    LEAT_TRANSPORT_USER_TIMEOUT, /* ns */
};

struct leat_transport_ops {
    const char *name;
    int (*listen)(struct leat_transport *, const struct leat_addr *,
                  const struct leat_listen_options *, const struct leat_conn_ops *, void *user,
                  struct leat_listener **);
    int (*connect)(struct leat_transport *, const struct leat_addr *to,
                   const struct leat_addr *from, const struct leat_conn_options *,
                   const struct leat_conn_ops *, void *user, leat_conn *);
    void (*listener_close)(struct leat_listener *);
    void (*listener_pause)(struct leat_listener *, bool paused);
    int (*send)(struct leat_transport *, leat_conn, const struct leat_buf *, unsigned count);
    int (*send_file)(struct leat_transport *, leat_conn, struct leat_file *, uint64_t offset_bytes,
                     uint64_t length_bytes);
    int (*want_writable)(struct leat_transport *, leat_conn);
    int (*end)(struct leat_transport *, leat_conn);
    int (*close)(struct leat_transport *, leat_conn, bool soon);
    int (*abort)(struct leat_transport *, leat_conn);
    int (*pause)(struct leat_transport *, leat_conn, bool paused);
    struct leat_buf (*hold)(struct leat_transport *, leat_conn, struct leat_buf slice);
    struct leat_buf (*take)(struct leat_transport *, leat_conn, struct leat_buf slice);
    void (*release)(struct leat_transport *, leat_conn, struct leat_buf held);
    int (*set)(struct leat_transport *, leat_conn, const struct leat_conn_ops *, void *user);
    int (*set_timeout)(struct leat_transport *, leat_conn, uint64_t timeout_ns);
    int (*set_option)(struct leat_transport *, leat_conn, enum leat_transport_option,
                      uint64_t value);
    int (*address)(struct leat_transport *, leat_conn, bool peer, struct leat_addr *);
    int (*info)(struct leat_transport *, leat_conn, struct leat_conn_info *);
};

struct leat_transport {
    const struct leat_transport_ops *ops;
};

/* The head of every transport's listener. */
struct leat_listener {
    struct leat_transport *transport;
    struct leat_addr addr;
};

#endif
