/* What control.c (clients) and control_list.c (cores and rows) share. */
#ifndef LEAT_CONTROL_INTERNAL_H
#define LEAT_CONTROL_INTERNAL_H

#include "net/watch/connections.h"
#include "net/watch/control.h"

#include <stdatomic.h>

#define CONTROL_OUT_BYTES (CONTROL_ROWS * CONNECTION_JSON_BYTES_MAX)

enum chunk_state { CHUNK_IDLE, CHUNK_ASKED, CHUNK_ANSWERED };

/* Rows on their way from a core. Asked: the core's; else the waiting thread's. */
struct control_chunk {
    const struct control_host *host;
    uint32_t core;
    _Atomic int state; /* enum chunk_state */
    struct tcp_cursor cursor;
    unsigned count;
    struct tcp_row rows[CONTROL_ROWS];
};

struct control_client {
    int fd; /* -1: free */
    char request[64];
    size_t request_bytes;
    bool is_listing, is_ending;
    uint32_t core; /* that is asked */
    bool has_begun, has_asked;
    uint64_t deadline_ns; /* of its next sign of life */
    uint64_t silence_ns;  /* when the core's answer is waited for no longer; 0: not asked yet */
    size_t out_bytes, out_at;
    char out[CONTROL_OUT_BYTES];
};

struct control {
    struct control_host host;
    int fd;
    char path[108];
    struct control_client clients[CONTROL_CLIENTS_MAX];
    struct control_client *lister; /* NULL: nobody lists */
    struct control_chunk *chunks;  /* one for each core */
};

/* Adds a line to what the client is sent; what has no room is our own mistake. */
void control_say(struct control_client *client, const char *format, ...) LEAT_PRINTF(2, 3);
/* Moves the listing on; the client's buffer is empty. */
void control_list(struct control *control, struct control_client *client, uint64_t now_ns);

#endif
