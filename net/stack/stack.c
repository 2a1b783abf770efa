#include "net/stack/dhcp.h"
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"
#include "net/stack/udp.h"

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/base/siphash.h"
#include "runtime/loop/profile.h"

#define INLINE_BYTES (LEAT_PORT_HEAD_BYTES - 128)

/* SipHash over a counter: unpredictable without the seed, the same again with it. */
uint64_t stack_random(struct stack *s)
{
    const struct siphash_key key = {{s->seed[2], s->seed[3]}};
    s->random_count++;
    return siphash(&key, &s->random_count, sizeof(s->random_count));
}

bool token_take(struct token_bucket *b, uint64_t now_ns)
{
    uint64_t earned = (now_ns - b->updated_ns) * b->per_second / LEAT_NS_PER_S;
    if (earned > 0) {
        b->tokens =
            earned < b->tokens_max - b->tokens ? b->tokens + (uint32_t)earned : b->tokens_max;
        b->updated_ns = now_ns;
    }
    if (b->tokens == 0)
        return false;
    b->tokens--;
    return true;
}

static int check_options(const struct stack_options *o, struct leat_error *error)
{
    const struct leat_port_info *info = &o->port->info;
    if (o->mtu_bytes > info->mtu_bytes_max)
        return leat_fail(error, -EINVAL, "an MTU of %u is more than the %s port can: at most %u",
                         o->mtu_bytes, info->driver, info->mtu_bytes_max);
    if (o->mtu_bytes != 0 && o->mtu_bytes < 576)
        return leat_fail(error, -EINVAL, "an MTU of %u is too small: at least 576", o->mtu_bytes);
    if (o->queue >= info->rx_queue_count || o->queue >= info->tx_queue_count)
        return leat_fail(error, -EINVAL, "queue %u does not exist: the %s port has %u", o->queue,
                         info->driver, info->rx_queue_count);
    return 0;
}

int stack_init(struct stack *s, const struct stack_options *o, uint64_t now_ns,
               struct leat_error *error)
{
    static const struct mac_addr no_mac;
    int result = check_options(o, error);
    if (result < 0)
        return result;
    memset(s, 0, sizeof(*s));
    const struct leat_port_info *info = &o->port->info;
    s->now_ns = now_ns;
    s->port = o->port;
    s->queue = o->queue;
    s->steer = o->steer;
    s->core = o->core;
    s->link_kind = info->link_kind;
    s->vlan = o->vlan;
    s->hop_limit = 64;
    s->l2_bytes = info->link_kind == LEAT_LINK_ETHERNET ? (o->vlan != 0 ? 18 : 14) : 0;
    s->mtu_bytes = (uint16_t)(o->mtu_bytes != 0            ? o->mtu_bytes
                              : info->mtu_bytes_max < 1500 ? info->mtu_bytes_max
                                                           : 1500);
    s->mac = o->mac;
    if (memcmp(&s->mac, &no_mac, sizeof(no_mac)) == 0)
        memcpy(&s->mac, info->mac, sizeof(s->mac));
    s->can = info->can;
    offload_init(s);
    s->inline_bytes_max = info->inline_bytes_max != 0 ? info->inline_bytes_max : INLINE_BYTES;
    s->kept_max = info->rx_buffers_count != 0 ? info->rx_buffers_count / 2 : UINT32_MAX;
    memcpy(s->seed, o->seed, sizeof(s->seed));
    s->probe_addresses = o->probe_addresses;
    s->autoconfigure = o->autoconfigure;
    s->ecn = (uint8_t)o->ecn;
    s->reads_inline = o->reads_inline;
    s->router_solicits_left = o->autoconfigure && o->core == 0 ? 3 : 0;
    s->reasm.next_ns = s->addr_next_ns = STACK_NEVER;
    s->slow_next_ns = now_ns;
    s->icmp_bucket = (struct token_bucket){now_ns, 50, 50, 1000};
    neighbour_init(s);
    return 0;
}

static void send_released(struct stack *s)
{
    if (s->released_count == 0)
        return;
    enum leat_layer outer = profile_enter(LEAT_LAYER_DRIVER_IN);
    s->port->ops->release(s->port, s->queue, s->released, s->released_count);
    profile_leave(outer);
    s->released_count = 0;
}

void stack_end(struct stack *s)
{
    dhcp_stop(s);
    neighbour_fini(s);
    reasm_fini(s);
    for (; s->looped_count > 0; s->looped_count--)
        leat_heap_free(s->looped[s->looped_first++ % STACK_LOOPED_MAX].handle);
    tx_flush(s);
    if (s->steer != NULL)
        steer_close(s);
}

void stack_settle(struct stack *s)
{
    if (s->steer != NULL)
        steer_settle(s);
}

void stack_fini(struct stack *s)
{
    if (s->steer != NULL)
        steer_collect(s);
    tx_fini(s);
    send_released(s);
    s->port->ops->reclaim(s->port, s->queue);
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
            send_released(s);
    }
}

/* A frame in several buffers becomes one in heap memory; returns how many frames it took. */
static unsigned join_frames(struct stack *s, const struct leat_frame *frames, unsigned count,
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

static unsigned take_frame(struct stack *s, const struct leat_frame *f, unsigned count,
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
    unsigned used = f->flags & LEAT_FRAME_MORE ? join_frames(s, f, count, p) : 1;
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

static void take_looped(struct stack *s)
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

static void release_burst(struct stack *s)
{
    for (unsigned i = 0; i < s->rx_count; i++) {
        const struct rx_packet *p = &s->rx[i];
        if (!(p->flags & RX_KEPT))
            stack_release(s, p->handle, p->queue, (uint8_t)p->flags);
    }
    send_released(s);
}

/* Its own queue, and those that it stands in for. */
static unsigned poll_port(struct stack *s, struct leat_frame *frames, unsigned room)
{
    unsigned count = s->port->ops->poll(s->port, s->queue, frames, room);
    for (uint32_t i = 1; unlikely(i <= s->stands_in_count) && count < room; i++)
        count += s->port->ops->poll(s->port, s->queue + i, frames + count, room - count);
    return count;
}

unsigned stack_poll(struct stack *s, uint64_t now_ns)
{
    struct leat_frame frames[LEAT_PORT_BURST];
    s->now_ns = now_ns;
    s->rx_count = 0;
    take_looped(s);
    if (unlikely(s->steer != NULL)) /* half of the burst at most: the port's are not to starve */
        steer_poll(s, (LEAT_PORT_BURST - s->rx_count + 1) / 2);
    unsigned room = LEAT_PORT_BURST - s->rx_count;
    enum leat_layer outer = profile_enter(LEAT_LAYER_DRIVER_IN);
    unsigned count = poll_port(s, frames, room);
    profile_leave(outer);
    for (unsigned i = 0; i < count;) {
        struct rx_packet *p = &s->rx[s->rx_count++];
        i += take_frame(s, &frames[i], count - i, p);
    }
    if (likely(s->tcp != NULL))
        tcp_input_burst(s);
    udp_deliver(s);
    release_burst(s);
    return s->rx_count;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void stack_timers(struct stack *s, uint64_t now_ns)
{
    s->now_ns = now_ns;
    if (now_ns < s->slow_next_ns)
        return;
    s->slow_next_ns = STACK_NEVER;
    uint64_t next = addr_tick(s);
    next = earlier(next, neighbour_tick(s));
    next = earlier(next, reasm_tick(s));
    next = earlier(next, nd_router_tick(s));
    next = earlier(next, dhcp_tick(s));
    s->slow_next_ns = earlier(s->slow_next_ns, next);
}

bool stack_flush(struct stack *s, uint64_t now_ns)
{
    s->now_ns = now_ns;
    if (s->tcp != NULL)
        tcp_flush(s->tcp);
    if (unlikely(s->steer != NULL))
        relay_serve(s);
    bool remains = tx_flush(s);
    remains = udp_flushed(s) || remains;
    send_released(s);
    s->port->ops->reclaim(s->port, s->queue);
    if (unlikely(s->steer != NULL))
        remains = relay_is_blocked(s) || remains;
    return remains || s->looped_count > 0 || (s->tcp != NULL && s->tcp->dirty_first != NULL);
}

bool stack_has_work(const struct stack *s)
{
    return s->looped_count > 0 || (s->tcp != NULL && s->tcp->has_more) ||
           (s->steer != NULL && steer_has_work(s));
}

uint64_t stack_next_ns(const struct stack *s)
{
    return s->slow_next_ns;
}
