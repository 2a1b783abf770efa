/* The view that the request "connections" of the control socket gives (net/watch/control.h), and
 * `leat ss` shows. Internal: not installed. */
#ifndef LEAT_CONNECTIONS_H
#define LEAT_CONNECTIONS_H

#include "net/stack/tcp/list.h"
#include "net/watch/view.h"

#define CONNECTION_JSON_BYTES_MAX 768 /* of a row, end included */

/* A listener, handshake, connection or TIME_WAIT record, and its core. */
struct connection_row {
    uint32_t core;
    struct tcp_row tcp;
};

extern const struct view connection_view;

#endif
