/* The other hosts of the world that a program runs in with --net sim:SEED: visitors that ask it
 * over HTTP, and a server that answers whatever the program asks.
 *
 * PEERS_VISITORS come while the seed's faults last, PEERS_AFTER when they are over. Of the first,
 * each answer that comes must be whole and the same as every other; the last must all be
 * answered. */
#ifndef LEAT_SIM_PEERS_H
#define LEAT_SIM_PEERS_H

#include "net/sim/play_internal.h"

#define PEERS_VISITORS    50
#define PEERS_AFTER       10
#define PEERS_ANSWERS_MAX 8     /* requests of one visitor */
#define PEERS_HEAD_MAX    16384 /* a longer response head is a violation */
#define PEERS_PATIENCE_NS (120 * LEAT_NS_PER_S)

struct peers;

struct visitor {
    struct peers *peers;
    unsigned number;
    leat_conn conn;
    unsigned asked, answered, to_ask, depth;         /* depth: requests sent ahead */
    bool is_open, is_over, aborts, uses_v6, is_late; /* late: came when all was whole again */
    bool has_head, is_endless;
    uint32_t head_bytes;
    uint64_t body_left, body_hash;
    int status;
    char head[PEERS_HEAD_MAX];
};

struct peers {
    struct play *play;
    struct visitor *visitors;
    uint16_t port;                     /* of the program; 0: none was found yet */
    unsigned tried, over_count, count; /* ports that were tried; visitors that are over, and all */
    uint64_t asked, answered, refused, cut, served;
    uint64_t body_hash;
    int status; /* of the first answer; 0: none yet */
    bool has_found, has_v6, has_given_up;
};

/* port 0: the first of the usual ones that the program listens on. */
void peers_begin(struct peers *peers, struct play *play, uint16_t port);
void peers_end(struct peers *peers);
/* All visitors have come and gone. */
bool peers_are_done(const struct peers *peers);

#endif
