/* The life of a stack, and its timers. */
#include "net/stack/dhcp.h"
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"
#include "net/stack/udp.h"

#include <errno.h>

#include "buffers/heap.h"
#include "runtime/base/siphash.h"

#define LINK_LOOK_NS LEAT_NS_PER_S /* for addresses that the network gives */
#define INLINE_BYTES (LEAT_PORT_HEAD_BYTES - 128)

/* SipHash over a counter: unpredictable without the seed, the same again with it. */
uint64_t stack_random(struct stack *s)
{
    const struct siphash_key key = {{s->seed[2], s->seed[3]}};
    s->random_count++;
    return siphash(&key, &s->random_count, sizeof(s->random_count));
}

void stack_mtu_update(struct stack *s)
{
    s->mtu_bytes = s->mtu_link_bytes;
    if (s->mtu_leased_bytes != 0 && s->mtu_leased_bytes < s->mtu_bytes)
        s->mtu_bytes = s->mtu_leased_bytes;
    if (s->mtu_advertised_bytes != 0 && s->mtu_advertised_bytes < s->mtu_bytes)
        s->mtu_bytes = s->mtu_advertised_bytes;
}

static int options_check(const struct stack_options *o, struct leat_error *error)
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
    int result = options_check(o, error);
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
    s->mss_bytes_max = o->mss_bytes_max;
    s->hop_limit = s->hop_limit_v6 = 64;
    s->l2_bytes = info->link_kind == LEAT_LINK_ETHERNET ? (o->vlan != 0 ? 18 : 14) : 0;
    s->mtu_link_bytes = (uint16_t)(o->mtu_bytes != 0            ? o->mtu_bytes
                                   : info->mtu_bytes_max < 1500 ? info->mtu_bytes_max
                                                                : 1500);
    stack_mtu_update(s);
    s->mac = o->mac;
    if (memcmp(&s->mac, &no_mac, sizeof(no_mac)) == 0)
        memcpy(&s->mac, info->mac, sizeof(s->mac));
    s->can = info->can;
    offload_init(s);
    wake_init(&s->wake, s->port);
    s->inline_bytes_max = info->inline_bytes_max != 0 ? info->inline_bytes_max : INLINE_BYTES;
    s->kept_max = info->rx_buffers_count != 0 ? info->rx_buffers_count / 2 : UINT32_MAX;
    memcpy(s->seed, o->seed, sizeof(s->seed));
    s->probe_addresses = o->probe_addresses;
    s->autoconfigure = o->autoconfigure;
    s->ecn = (uint8_t)o->ecn;
    s->router_solicits_left = o->autoconfigure && o->core == 0 ? 3 : 0;
    s->reasm.next_ns = s->addr_next_ns = s->route_next_ns = STACK_NEVER;
    s->slow_next_ns = now_ns;
    s->icmp_bucket = (struct token_bucket){now_ns, 50, 50, 1000};
    neighbour_init(s);
    group_init(s);
    return 0;
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
    rx_released_send(s);
    s->port->ops->reclaim(s->port, s->queue);
}

static uint64_t earlier_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A link that comes back may lead elsewhere: what the network gave is verified. */
static uint64_t link_tick(struct stack *s)
{
    struct leat_link link = {0};
    if (s->core != 0 || (s->dhcp == NULL && !s->autoconfigure))
        return STACK_NEVER;
    if (s->now_ns < s->link_next_ns)
        return s->link_next_ns;
    s->port->ops->link(s->port, &link);
    if (link.up && s->is_link_down) {
        dhcp_link_up(s);
        nd_routers_ask(s);
        addr_announce_all(s);
        group_announce_all(s, true);
        group_announce_all(s, false);
    }
    s->is_link_down = !link.up;
    s->link_next_ns = s->now_ns + LINK_LOOK_NS;
    return s->link_next_ns;
}

void stack_timers(struct stack *s, uint64_t now_ns)
{
    stack_set_now(s, now_ns);
    if (now_ns < s->slow_next_ns)
        return;
    s->slow_next_ns = STACK_NEVER;
    uint64_t next = earlier_ns(link_tick(s), addr_tick(s));
    next = earlier_ns(next, route_tick(s));
    next = earlier_ns(next, group_tick(s));
    next = earlier_ns(next, neighbour_tick(s));
    next = earlier_ns(next, reasm_tick(s));
    next = earlier_ns(next, nd_router_tick(s));
    next = earlier_ns(next, dhcp_tick(s));
    s->slow_next_ns = earlier_ns(s->slow_next_ns, next);
}

bool stack_flush(struct stack *s, uint64_t now_ns)
{
    stack_set_now(s, now_ns);
    if (s->tcp != NULL)
        tcp_flush(s->tcp);
    if (unlikely(s->steer != NULL))
        relay_serve(s);
    bool remains = tx_flush(s);
    remains = udp_flushed(s) || remains;
    rx_released_send(s);
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
