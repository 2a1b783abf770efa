/* The port of a core that has no queue: what its stack sends lies in a ring, whole, until the core
 * of a queue has copied it into packets of its own. The sender's references never leave its core:
 * a place that was given back is a packet that was read. Nothing is ever received here. */
#include "net/stack/steer.h"

#include <errno.h>
#include <stdlib.h>

#include <leat/io.h>

struct relay {
    struct leat_port port; /* first */
    struct steer *steer;
    uint32_t server; /* the core that sends for this one */
    struct ring ring;
    uint32_t reclaimed; /* the sender's: references before this place are dropped */
    uint32_t free_count;
    uint8_t *free[RELAY_HEADS];
    struct leat_port_stats stats;
    struct leat_packet packets[RELAY_PACKETS];
    uint8_t heads[RELAY_HEADS][LEAT_PORT_HEAD_BYTES];
};

static struct relay *relay_of(struct leat_port *port)
{
    return (struct relay *)(void *)port;
}

/* ---- the sender's side ---- */

static unsigned relay_poll(struct leat_port *port, unsigned queue, struct leat_frame *frames,
                           unsigned count)
{
    (void)port, (void)queue, (void)frames, (void)count;
    return 0;
}

static void relay_release(struct leat_port *port, unsigned queue, void *const *handles,
                          unsigned count)
{
    (void)port, (void)queue, (void)handles;
    CHECK(count == 0);
}

static unsigned relay_grant(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                            unsigned count)
{
    struct relay *r = relay_of(port);
    unsigned given = 0;
    (void)queue;
    for (; given < count && r->free_count > 0; given++)
        packets[given].head = packets[given].handle = r->free[--r->free_count];
    r->stats.tx_held_count += given;
    return given;
}

static void relay_revoke(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                         unsigned count)
{
    struct relay *r = relay_of(port);
    (void)queue;
    for (unsigned i = 0; i < count; i++)
        r->free[r->free_count++] = packets[i].handle;
    r->stats.tx_held_count -= count;
}

static void packet_drop_references(struct relay *r, const struct leat_packet *p)
{
    for (unsigned i = 0; i < p->slice_count; i++)
        leat_buf_unref(p->slices[i]);
    r->free[r->free_count++] = p->handle;
    r->stats.tx_held_count--;
}

static unsigned relay_reclaim(struct leat_port *port, unsigned queue)
{
    struct relay *r = relay_of(port);
    uint32_t read = atomic_load_explicit(&r->ring.head, memory_order_acquire);
    (void)queue;
    for (; r->reclaimed != read; r->reclaimed++)
        packet_drop_references(r, &r->packets[r->reclaimed & r->ring.mask]);
    return r->ring.tail_local - r->reclaimed;
}

static unsigned relay_transmit(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                               unsigned count)
{
    struct relay *r = relay_of(port);
    uint32_t room = RELAY_PACKETS - relay_reclaim(port, queue);
    count = count < room ? count : room;
    if (count == 0)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        CHECK(packets[i].head_bytes <= LEAT_PORT_HEAD_BYTES);
        r->packets[(r->ring.tail_local + i) & r->ring.mask] = packets[i];
        r->stats.tx_bytes += packets[i].head_bytes + packets[i].slice_bytes;
    }
    r->stats.tx_count += count;
    ring_publish(&r->ring, count);
    leat_loop_notify(r->steer->cores[r->server].loop);
    return count;
}

static void relay_arm(struct leat_port *port, unsigned queue, struct leat_port_nap *nap)
{
    (void)port, (void)queue;
    *nap = (struct leat_port_nap){false, -1, UINT64_MAX, false};
}

static bool relay_disarm(struct leat_port *port, unsigned queue)
{
    (void)port, (void)queue;
    return false;
}

static void relay_link(struct leat_port *port, struct leat_link *link)
{
    struct leat_port *real = relay_of(port)->steer->port;
    real->ops->link(real, link);
}

static void relay_stats(struct leat_port *port, unsigned queue, struct leat_port_stats *stats)
{
    (void)queue;
    *stats = relay_of(port)->stats;
}

static const struct leat_port_ops relay_ops = {
    .poll = relay_poll,
    .release = relay_release,
    .grant = relay_grant,
    .transmit = relay_transmit,
    .revoke = relay_revoke,
    .reclaim = relay_reclaim,
    .arm = relay_arm,
    .disarm = relay_disarm,
    .link = relay_link,
    .stats = relay_stats,
};

struct relay *relay_new(struct steer *steer, uint32_t core, struct leat_error *error)
{
    struct relay *r = aligned_alloc(RING_LINE_BYTES, sizeof(*r));
    if (r == NULL) {
        leat_fail(error, -ENOMEM, "no memory for what loop %u sends", core);
        return NULL;
    }
    memset(r, 0, sizeof(*r));
    r->steer = steer;
    r->server = core % steer->queue_count;
    r->port.ops = &relay_ops;
    r->port.info = steer->port->info;
    r->port.info.wake = LEAT_WAKE_DEVICE; /* whoever leaves something wakes the loop */
    r->port.info.inline_bytes_max = 0;    /* heads are ours here, and no larger than the least */
    ring_init(&r->ring, RELAY_PACKETS);
    while (r->free_count < RELAY_HEADS) {
        r->free[r->free_count] = r->heads[r->free_count];
        r->free_count++;
    }
    return r;
}

/* What nobody has sent is dropped: the server has settled before. */
void relay_free(struct relay *r)
{
    if (r == NULL)
        return;
    for (; r->reclaimed != r->ring.tail_local; r->reclaimed++)
        packet_drop_references(r, &r->packets[r->reclaimed & r->ring.mask]);
    CHECK(r->free_count == RELAY_HEADS && r->stats.tx_held_count == 0);
    free(r);
}

struct leat_port *relay_port(struct relay *r)
{
    return &r->port;
}

/* ---- the server's side ---- */

static struct relay *relay_client(const struct stack *s, uint32_t core)
{
    return s->core < s->steer->queue_count ? s->steer->cores[core].relay : NULL;
}

static void slices_gather(uint8_t *to, const struct leat_packet *from)
{
    for (unsigned i = 0; i < from->slice_count; i++) {
        memcpy(to, from->slices[i].data, from->slices[i].length_bytes);
        to += from->slices[i].length_bytes;
    }
}

/* False: no room, to be tried again. */
static bool copy_send(struct stack *s, const struct leat_packet *from)
{
    bool is_small = !(from->flags & LEAT_PACKET_TSO) &&
                    from->head_bytes + from->slice_bytes <= LEAT_PORT_HEAD_BYTES;
    bool has_slice = from->slice_bytes > 0 && !is_small;
    struct leat_packet *to = tx_room(s, TX_DATA) > 0 ? tx_reserve(s, TX_DATA) : NULL;
    struct leat_buf payload = {0};
    if (to != NULL && has_slice)
        payload = leat_buf_alloc_unsafe(from->slice_bytes);
    if (to == NULL || (has_slice && payload.data == NULL))
        return false;
    memcpy(to->head, from->head, from->head_bytes);
    slices_gather(has_slice ? payload.data : to->head + from->head_bytes, from);
    to->head_bytes = (uint16_t)(from->head_bytes + (has_slice ? 0 : from->slice_bytes));
    to->slice_count = has_slice;
    to->slice_bytes = has_slice ? from->slice_bytes : 0;
    to->slices[0] = payload;
    to->segment_bytes = from->segment_bytes;
    to->l2_bytes = from->l2_bytes;
    to->l3_bytes = from->l3_bytes;
    to->l4_bytes = from->l4_bytes;
    to->flags = from->flags;
    tx_commit(s, to);
    s->count.relayed++;
    return true;
}

void relay_serve(struct stack *s)
{
    bool *is_blocked = &s->steer->cores[s->core].is_blocked;
    *is_blocked = false;
    for (uint32_t core = s->core + s->steer->queue_count; core < s->steer->core_count;
         core += s->steer->queue_count) {
        struct relay *r = relay_client(s, core);
        uint32_t ready = r != NULL ? ring_ready(&r->ring) : 0, done = 0;
        while (done < ready &&
               copy_send(s, &r->packets[(r->ring.head_local + done) & r->ring.mask]))
            done++;
        *is_blocked |= done < ready;
        if (done > 0)
            ring_release(&r->ring, done);
    }
}

bool relay_is_blocked(const struct stack *s)
{
    return s->steer->cores[s->core].is_blocked;
}

bool relay_is_waiting(const struct stack *s)
{
    if (relay_is_blocked(s))
        return false;
    for (uint32_t core = s->core + s->steer->queue_count; core < s->steer->core_count;
         core += s->steer->queue_count) {
        struct relay *r = relay_client(s, core);
        if (r != NULL && ring_ready(&r->ring) > 0)
            return true;
    }
    return false;
}
