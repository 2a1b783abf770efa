/* A burst of frames on its way up: from the port, from ourselves, from other cores; and the buffers
 * on their way back. */
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"
#include "net/stack/udp.h"

#include "buffers/heap.h"
#include "runtime/loop/profile.h"

void rx_released_send(struct stack *s)
{
    if (s->released_count == 0)
        return;
    enum leat_layer outer = profile_enter(LEAT_LAYER_DRIVER_IN);
    s->port->ops->release(s->port, s->queue, s->released, s->released_count);
    profile_leave(outer);
    s->released_count = 0;
}

void stack_release(struct stack *s, void *handle, uint8_t queue, uint8_t flags)
{
    if (flags & RX_HEAP)
        leat_heap_free(handle);
    else if (unlikely(flags & RX_FOREIGN))
        steer_home(s, queue, handle);
    else if (unlikely(queue != s->queue))
        s->port->ops->release(s->port, queue, &handle, 1);
    else {
        s->released[s->released_count++] = handle;
        if (s->released_count == LEAT_PORT_BURST)
            rx_released_send(s);
    }
}

/* A frame in several buffers becomes one in heap memory; returns how many frames it took. */
static unsigned frames_join(struct stack *s, const struct leat_frame *frames, unsigned count,
                            struct rx_packet *p)
{
    unsigned used = 0;
    uint32_t length = 0;
    do
        length += frames[used].length_bytes;
    while (frames[used++].flags & LEAT_FRAME_MORE && used < count);
    uint8_t *bytes = length <= UINT16_MAX + 18 ? leat_heap_alloc(length) : NULL;
    uint32_t at = 0;
    for (unsigned i = 0; i < used; i++) {
        if (bytes != NULL)
            memcpy(bytes + at, frames[i].data, frames[i].length_bytes);
        at += frames[i].length_bytes;
        stack_release(s, frames[i].handle, frames[i].queue, 0);
    }
    p->data = p->handle = bytes;
    p->length_bytes = p->buffer_bytes = bytes != NULL ? length : 0;
    p->flags = bytes != NULL ? RX_HEAP : RX_KEPT;
    if (bytes == NULL)
        stack_drop(s, STACK_DROP_LINK_SCATTER);
    return used;
}

static unsigned frame_input(struct stack *s, const struct leat_frame *f, unsigned count,
                            struct rx_packet *p)
{
    *p = (struct rx_packet){.data = f->data,
                            .length_bytes = f->length_bytes,
                            .buffer_bytes = f->buffer_bytes,
                            .handle = f->handle,
                            .ip_verdict = f->ip_verdict,
                            .l4_verdict = f->l4_verdict,
                            .flags = f->flags & LEAT_FRAME_HASHED ? RX_HASHED : 0,
                            .hash = f->rss_hash,
                            .queue = f->queue};
    unsigned used = f->flags & LEAT_FRAME_MORE ? frames_join(s, f, count, p) : 1;
    s->count.rx_packets++;
    s->count.rx_bytes += p->length_bytes;
    if (unlikely(p->handle == NULL))
        return used;
    if (likely(s->link_kind == LEAT_LINK_ETHERNET))
        ethernet_input(s, p);
    else if (p->length_bytes > 0 && p->data[0] >> 4 == 6)
        ipv6_input(s, p);
    else
        ipv4_input(s, p);
    return used;
}

static void looped_input(struct stack *s)
{
    while (s->looped_count > 0 && s->rx_count < LEAT_PORT_BURST) {
        struct rx_packet *p = &s->rx[s->rx_count++];
        *p = s->looped[s->looped_first];
        s->looped_first = (s->looped_first + 1) % STACK_LOOPED_MAX;
        s->looped_count--;
        if (p->data[0] >> 4 == 6)
            ipv6_input(s, p);
        else
            ipv4_input(s, p);
    }
}

static void burst_release(struct stack *s)
{
    for (unsigned i = 0; i < s->rx_count; i++) {
        const struct rx_packet *p = &s->rx[i];
        if (!(p->flags & RX_KEPT))
            stack_release(s, p->handle, p->queue, (uint8_t)p->flags);
    }
    rx_released_send(s);
}

/* Its own queue, and those that it stands in for. */
static unsigned port_poll(struct stack *s, struct leat_frame *frames, unsigned room)
{
    unsigned count = s->port->ops->poll(s->port, s->queue, frames, room);
    for (uint32_t i = 1; unlikely(i <= s->stands_in_count) && count < room; i++)
        count += s->port->ops->poll(s->port, s->queue + i, frames + count, room - count);
    return count;
}

unsigned stack_poll(struct stack *s, uint64_t now_ns)
{
    struct leat_frame frames[LEAT_PORT_BURST];
    stack_set_now(s, now_ns);
    s->rx_count = 0;
    looped_input(s);
    if (unlikely(s->steer != NULL)) /* half of the burst at most: the port's are not to starve */
        steer_poll(s, (LEAT_PORT_BURST - s->rx_count + 1) / 2);
    unsigned room = LEAT_PORT_BURST - s->rx_count;
    enum leat_layer outer = profile_enter(LEAT_LAYER_DRIVER_IN);
    unsigned count = port_poll(s, frames, room);
    profile_leave(outer);
    if (unlikely(s->wake.is_due))
        wake_judge(&s->wake, count);
    for (unsigned i = 0; i < count;) {
        struct rx_packet *p = &s->rx[s->rx_count++];
        i += frame_input(s, &frames[i], count - i, p);
    }
    if (likely(s->tcp != NULL))
        tcp_input_burst(s);
    udp_deliver(s);
    burst_release(s);
    return s->rx_count;
}
