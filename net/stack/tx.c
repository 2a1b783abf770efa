/* The backlog of packets on their way to the port.
 *
 * A ring of packets in three runs: committed ones [first, first + queued), then those whose heads
 * the port has granted, then empty ones. Output stops when data finds no room; control packets have
 * STACK_BACKLOG_SPARED places of their own. */
#include "net/stack/stack.h"

#include "runtime/loop/profile.h"

#define RING(s, i) (&(s)->tx.packets[(i) & (STACK_BACKLOG - 1)])

uint32_t tx_room(const struct stack *s, enum tx_class class)
{
    uint32_t room = STACK_BACKLOG - s->tx.queued;
    uint32_t spared = class == TX_DATA    ? STACK_BACKLOG_SPARED
                      : class == TX_REPLY ? STACK_BACKLOG - STACK_REPLIES
                                          : 0;
    return room > spared ? room - spared : 0;
}

/* Heads for the places behind the committed ones, up to the ring's edge. */
static bool heads_grant(struct stack *s)
{
    uint32_t at = (s->tx.first + s->tx.queued) & (STACK_BACKLOG - 1);
    uint32_t count = STACK_BACKLOG - at;
    if (count > STACK_BACKLOG - s->tx.queued)
        count = STACK_BACKLOG - s->tx.queued;
    if (count > STACK_GRANT)
        count = STACK_GRANT;
    enum leat_layer outer = profile_enter(LEAT_LAYER_DRIVER_OUT);
    s->tx.granted = s->port->ops->grant(s->port, s->queue, &s->tx.packets[at], count);
    profile_leave(outer);
    return s->tx.granted > 0;
}

bool tx_has_head(struct stack *s)
{
    return s->tx.granted > 0 || heads_grant(s);
}

/* A head of the spared ones becomes the only granted one. */
static bool spared_use(struct stack *s)
{
    if (s->tx.spared_count == 0)
        return false;
    struct leat_packet *packet = RING(s, s->tx.first + s->tx.queued);
    uint32_t i = --s->tx.spared_count;
    packet->head = s->tx.spared[i].head;
    packet->handle = s->tx.spared[i].handle;
    s->tx.granted = 1;
    return true;
}

/* When the port has heads to give. */
static void spared_refill(struct stack *s)
{
    struct leat_packet packets[STACK_HEADS_SPARED];
    uint32_t wanted = STACK_HEADS_SPARED - s->tx.spared_count;
    uint32_t got = s->port->ops->grant(s->port, s->queue, packets, wanted);
    for (uint32_t i = 0; i < got; i++) {
        uint32_t at = s->tx.spared_count++;
        s->tx.spared[at].head = packets[i].head;
        s->tx.spared[at].handle = packets[i].handle;
    }
}

struct leat_packet *tx_reserve(struct stack *s, enum tx_class class)
{
    if (unlikely(tx_room(s, class) == 0)) {
        tx_flush(s);
        if (tx_room(s, class) == 0) {
            stack_drop(s, STACK_DROP_TX_BACKLOG);
            return NULL;
        }
    }
    if (s->tx.granted == 0 && unlikely(!heads_grant(s)) &&
        !(class == TX_CONTROL && spared_use(s))) {
        stack_drop(s, STACK_DROP_TX_MEMORY);
        return NULL;
    }
    struct leat_packet *packet = RING(s, s->tx.first + s->tx.queued);
    packet->head_bytes = 0;
    packet->slice_count = 0;
    packet->segment_bytes = 0;
    packet->l4_bytes = 0;
    packet->flags = 0;
    packet->slice_bytes = 0;
    return packet;
}

void tx_commit(struct stack *s, struct leat_packet *packet)
{
    DCHECK(packet == RING(s, s->tx.first + s->tx.queued) && s->tx.granted > 0);
    s->tx.queued++;
    s->tx.granted--;
    s->count.tx_packets++;
    s->count.tx_bytes += packet->head_bytes + packet->slice_bytes;
}

void tx_forget(struct stack *s, struct leat_packet *packet)
{
    DCHECK(packet == RING(s, s->tx.first + s->tx.queued) && s->tx.granted > 0);
    s->tx.granted--;
    *packet = *RING(s, s->tx.first + s->tx.queued + s->tx.granted);
}

bool tx_adopt(struct stack *s, const struct leat_packet *packet)
{
    if (tx_room(s, TX_CONTROL) == 0)
        return false;
    struct leat_packet *place = RING(s, s->tx.first + s->tx.queued);
    if (s->tx.granted > 0 && s->tx.queued + s->tx.granted < STACK_BACKLOG) {
        *RING(s, s->tx.first + s->tx.queued + s->tx.granted) = *place;
        s->tx.granted++;
    } else if (s->tx.granted > 0) {
        s->port->ops->revoke(s->port, s->queue, place, 1);
    } else {
        s->tx.granted++;
    }
    *place = *packet;
    tx_commit(s, place);
    return true;
}

bool tx_flush(struct stack *s)
{
    if (unlikely(s->tx.spared_count < STACK_HEADS_SPARED))
        spared_refill(s);
    while (s->tx.queued > 0) {
        uint32_t count = STACK_BACKLOG - s->tx.first;
        if (count > s->tx.queued)
            count = s->tx.queued;
        if (count > LEAT_PORT_BURST)
            count = LEAT_PORT_BURST;
        enum leat_layer outer = profile_enter(LEAT_LAYER_DRIVER_OUT);
        uint32_t taken =
            s->port->ops->transmit(s->port, s->queue, &s->tx.packets[s->tx.first], count);
        profile_leave(outer);
        s->tx.first = (s->tx.first + taken) & (STACK_BACKLOG - 1);
        s->tx.queued -= taken;
        if (taken < count)
            return true;
    }
    return false;
}

static void spared_give_back(struct stack *s)
{
    while (s->tx.spared_count > 0) {
        uint32_t i = --s->tx.spared_count;
        struct leat_packet packet = {.head = s->tx.spared[i].head,
                                     .handle = s->tx.spared[i].handle};
        s->port->ops->revoke(s->port, s->queue, &packet, 1);
    }
}

void tx_fini(struct stack *s)
{
    tx_flush(s);
    spared_give_back(s);
    while (s->tx.queued + s->tx.granted > 0) {
        struct leat_packet *packet = RING(s, s->tx.first);
        if (s->tx.queued > 0) {
            for (unsigned i = 0; i < packet->slice_count; i++)
                leat_buf_unref(packet->slices[i]);
            s->tx.queued--;
        } else {
            s->tx.granted--;
        }
        s->port->ops->revoke(s->port, s->queue, packet, 1);
        s->tx.first++;
    }
}
