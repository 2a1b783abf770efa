/* The backlog of packets towards the port. */
#ifndef LEAT_STACK_TX_H
#define LEAT_STACK_TX_H

#include "net/port/port.h"

#define STACK_BACKLOG        512 /* packets the port did not take yet; a power of two */
#define STACK_BACKLOG_SPARED 64  /* of these, kept from data for ACKs, ARP and ICMP */
#define STACK_REPLIES        256 /* of these, the most that answers to strangers may take */
#define STACK_HEADS_SPARED   16  /* heads kept for when data has taken all that the port has */
#define STACK_GRANT          32  /* heads fetched from the port at a time */

struct stack;

enum tx_class {
    TX_DATA,    /* may not use the last STACK_BACKLOG_SPARED places */
    TX_CONTROL, /* ACKs, ARP, ND: may use the spared heads too */
    TX_REPLY,   /* to whom no state is kept for: may use the first STACK_REPLIES places only */
};

struct tx_ring {
    struct leat_packet packets[STACK_BACKLOG];
    uint32_t first, queued, granted; /* [first, queued) committed, then granted ones */
    uint32_t spared_count;
    struct { /* the port's heads */
        uint8_t *head;
        void *handle;
    } spared[STACK_HEADS_SPARED];
};

/* The next packet to be filled: head granted, no slices, everything else zero. NULL: counted, and
 * the caller keeps what it wanted to send. Not committing it is giving it back. */
struct leat_packet *tx_reserve(struct stack *s, enum tx_class class);
uint32_t tx_room(const struct stack *s, enum tx_class class);
/* Whether the next tx_reserve finds a buffer, when there is room. */
bool tx_has_head(struct stack *s);
/* Commits the packet of the last tx_reserve; its head begins with a complete link header. */
void tx_commit(struct stack *s, struct leat_packet *packet);
/* Moves the packet of the last tx_reserve out of the ring (the caller has copied it), and one with
 * its head into it; false: no room, nothing was taken. */
void tx_forget(struct stack *s, struct leat_packet *packet);
bool tx_adopt(struct stack *s, const struct leat_packet *packet);
/* Offers all to the port; true when something remains. */
bool tx_flush(struct stack *s);
void tx_fini(struct stack *s);

#endif
