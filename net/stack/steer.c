/* What passes between the cores of one port. */
#include "net/stack/steer.h"
#include "net/stack/dhcp_message.h"

#include <errno.h>
#include <stdlib.h>

#include <leat/log.h>
#include <leat/io.h>

#include "buffers/heap.h"

/* ---- life ---- */

struct steer *steer_new(struct leat_port *port, uint32_t core_count,
                        const uint8_t key[OWNER_KEY_BYTES], struct leat_error *error)
{
    if (core_count > STEER_CORES_MAX) {
        leat_fail(error, -EINVAL, "at most %d loops can share a port, not %u: use fewer --cores",
                  STEER_CORES_MAX, core_count);
        return NULL;
    }
    struct steer *steer = calloc(1, sizeof(*steer));
    if (steer == NULL)
        goto no_memory;
    steer->channels = calloc((size_t)core_count * core_count, sizeof(*steer->channels));
    steer->cores = aligned_alloc(RING_LINE_BYTES, core_count * sizeof(*steer->cores));
    if (steer->channels == NULL || steer->cores == NULL)
        goto free_steer;
    memset(steer->cores, 0, core_count * sizeof(*steer->cores));
    steer->port = port;
    steer->core_count = core_count;
    steer->queue_count = port->info.rx_queue_count;
    pthread_mutex_init(&steer->lock, NULL);
    owner_init(&steer->owners, &port->info, core_count, key);
    atomic_init(&steer->rss, steer->owners.is_hashed ? STEER_RSS_UNPROVEN : STEER_RSS_NONE);
    return steer;

free_steer:
    free(steer->cores);
    free((void *)steer->channels);
    free(steer);
no_memory:
    leat_fail(error, -ENOMEM, "no memory for the rings between %u loops", core_count);
    return NULL;
}

void steer_free(struct steer *steer)
{
    if (steer == NULL)
        return;
    for (size_t i = 0; i < (size_t)steer->core_count * steer->core_count; i++)
        free(steer->channels[i]);
    for (uint32_t i = 0; i < steer->core_count; i++)
        CHECK(steer->cores[i].relay == NULL);
    pthread_mutex_destroy(&steer->lock);
    free((void *)steer->channels);
    free(steer->cores);
    free(steer);
}

struct leat_port *steer_join(struct steer *steer, uint32_t core, struct leat_loop *loop,
                             uint32_t *queue, struct leat_error *error)
{
    struct steer_core *own = &steer->cores[core];
    struct leat_port *port = steer->port;
    CHECK(core < steer->core_count);
    *queue = core;
    if (core >= steer->queue_count) {
        own->relay = relay_new(steer, core, error);
        if (own->relay == NULL)
            return NULL;
        port = relay_port(own->relay);
        *queue = 0;
    }
    own->loop = loop;
    atomic_store(&own->is_open, true);
    return port;
}

void steer_leave(struct steer *steer, uint32_t core)
{
    relay_free(steer->cores[core].relay);
    steer->cores[core].relay = NULL;
}

/* ---- channels ---- */

static struct steer_channel *channel_from(const struct stack *s, uint32_t from)
{
    const struct steer *steer = s->steer;
    return atomic_load_explicit(&steer->channels[s->core * steer->core_count + from],
                                memory_order_acquire);
}

/* NULL: no memory, or the core has gone. */
static struct steer_channel *channel_to(struct stack *s, uint32_t to)
{
    struct steer *steer = s->steer;
    struct steer_channel *_Atomic *at = &steer->channels[to * steer->core_count + s->core];
    struct steer_channel *channel = atomic_load_explicit(at, memory_order_relaxed);
    if (likely(channel != NULL))
        return channel;
    channel = aligned_alloc(RING_LINE_BYTES, sizeof(*channel));
    if (channel == NULL)
        return NULL;
    ring_init(&channel->packets, STEER_PACKETS);
    ring_init(&channel->homeward, STEER_LENT_MAX);
    ring_init(&channel->news, STEER_NEWS);
    atomic_store_explicit(at, channel, memory_order_release);
    return channel;
}

static bool core_is_open(const struct stack *s, uint32_t core)
{
    return atomic_load_explicit(&s->steer->cores[core].is_open, memory_order_acquire);
}

static void channel_publish(struct stack *s, struct ring *ring, uint32_t to)
{
    ring_publish(ring, 1);
    leat_loop_notify(s->steer->cores[to].loop);
}

/* ---- what passes on ---- */

enum pass { PASS_DONE, PASS_DROPPED };

/* What p keeps of the buffer is the other core's after PASS_DONE. */
static LEAT_MUST_CHECK enum pass packet_pass(struct stack *s, struct rx_packet *p, uint32_t to,
                                             uint16_t flags)
{
    struct steer_channel *channel = core_is_open(s, to) ? channel_to(s, to) : NULL;
    bool is_lent = !(p->flags & RX_HEAP);
    uint32_t *lent = &s->steer->cores[s->core].lent[to];
    if (channel == NULL || ring_room(&channel->packets) == 0) {
        stack_drop(s, STACK_DROP_STEER_FULL);
        return PASS_DROPPED;
    }
    if (is_lent && *lent == STEER_LENT_MAX) {
        stack_drop(s, STACK_DROP_STEER_LENT);
        return PASS_DROPPED;
    }
    CHECK(!(p->flags & RX_FOREIGN));
    struct rx_packet *slot =
        &channel->packet_slots[channel->packets.tail_local & channel->packets.mask];
    *slot = *p;
    slot->flags = (uint16_t)((p->flags & ~RX_KEPT) | flags | (is_lent ? RX_FOREIGN : 0));
    slot->queue = (uint8_t)s->core;
    *lent += is_lent;
    s->count.steered_out++;
    channel_publish(s, &channel->packets, to);
    return PASS_DONE;
}

static void packet_pass_on(struct stack *s, struct rx_packet *p, uint32_t to, uint16_t flags)
{
    if (packet_pass(s, p, to, flags) == PASS_DONE)
        p->flags |= RX_KEPT;
    p->protocol = 0;
}

/* Nobody reads what simulated cards are found to be. */
static bool core_has_log(void)
{
    return leat_core_now->log != NULL;
}

/* The card's word beside ours. */
static void rss_judge(struct stack *s, const struct rx_packet *p, uint32_t hash)
{
    struct steer *steer = s->steer;
    uint32_t now = atomic_load_explicit(&steer->rss, memory_order_relaxed);
    if (now == STEER_RSS_FALSE || now == STEER_RSS_NONE || (p->flags & (RX_HEAP | RX_FOREIGN)))
        return;
    const struct owner_map *owners = &steer->owners;
    struct steer_core *own = &steer->cores[s->core];
    bool is_hash_right = p->flags & RX_HASHED && p->hash == hash;
    bool is_right = (is_hash_right || !(p->flags & RX_HASHED)) &&
                    owners->queues[hash & owners->mask] == s->queue;
    if (is_right) {
        if (now == STEER_RSS_UNPROVEN && ++own->rss_right_count >= STEER_RSS_PROOF &&
            atomic_compare_exchange_strong(&steer->rss, &now, STEER_RSS_TRUE) && core_has_log())
            LEAT_LOG_INFO("the card spreads packets over its queues as it should (RSS)");
        return;
    }
    if (atomic_exchange(&steer->rss, STEER_RSS_FALSE) != STEER_RSS_FALSE && core_has_log())
        LEAT_LOG_WARN("the card says RSS and %s: the loops pass packets on to each other",
                      p->flags & RX_HASHED && !is_hash_right
                          ? "hashes otherwise than it was told"
                          : "delivers to other queues than its table says");
}

bool steer_owns(const struct stack *s, const struct ip_addr *remote, be16 remote_port,
                const struct ip_addr *local, be16 local_port)
{
    const struct owner_map *owners = &s->steer->owners;
    uint8_t ports[4];
    memcpy(ports, &remote_port, 2);
    memcpy(ports + 2, &local_port, 2);
    return owner_of(owners, owner_hash(owners, remote, local, ports)) == s->core;
}

bool steer_take_port(struct stack *s, be16 port)
{
    uint8_t none = 0;
    return atomic_compare_exchange_strong(&s->steer->udp_ports[be16_get(port)], &none,
                                          (uint8_t)(s->core + 1));
}

void steer_give_port(struct stack *s, be16 port)
{
    atomic_store(&s->steer->udp_ports[be16_get(port)], 0);
}

bool steer_is_port_taken(const struct stack *s, be16 port)
{
    uint8_t holder = atomic_load(&s->steer->udp_ports[be16_get(port)]);
    return holder != 0 && holder != s->core + 1;
}

/* One core answers for the whole port: a socket of its own, or the DHCP client of the first. */
static bool steer_bound_port(struct stack *s, struct rx_packet *p)
{
    be16 port;
    memcpy(&port, p->data + 2, sizeof(port));
    uint8_t holder =
        be16_get(port) == DHCP_CLIENT_PORT
            ? 1
            : atomic_load_explicit(&s->steer->udp_ports[be16_get(port)], memory_order_relaxed);
    if (holder == 0 || holder > s->steer->core_count)
        return false;
    if (holder == s->core + 1)
        p->flags |= RX_STEERED;
    else
        packet_pass_on(s, p, holder - 1u, RX_STEERED);
    return true;
}

bool steer_flow(struct stack *s, struct rx_packet *p)
{
    const struct owner_map *owners = &s->steer->owners;
    if ((p->flags & RX_STEERED) || p->length_bytes < 4)
        return false;
    if (unlikely(p->protocol == IP_UDP) && steer_bound_port(s, p))
        return p->protocol == 0;
    if (p->flags & RX_MULTICAST)
        return false;
    uint32_t hash = owner_hash(owners, &p->src, &p->dst, p->data);
    uint32_t owner = owner_of(owners, hash);
    if (p->protocol == IP_TCP)
        rss_judge(s, p, hash);
    if (likely(owner == s->core))
        return false;
    packet_pass_on(s, p, owner, RX_STEERED);
    return true;
}

bool steer_fragment(struct stack *s, struct rx_packet *p)
{
    const struct owner_map *owners = &s->steer->owners;
    uint32_t owner = owner_of(owners, owner_hash_pair(owners, &p->src, &p->dst));
    if ((p->flags & RX_STEERED) || owner == s->core)
        return false;
    packet_pass_on(s, p, owner, RX_STEERED | RX_FRAGMENT);
    return true;
}

bool steer_quote(struct stack *s, struct rx_packet *p, const struct ip_addr *src,
                 const struct ip_addr *dst, const uint8_t ports[4])
{
    const struct owner_map *owners = &s->steer->owners;
    const uint8_t turned[4] = {ports[2], ports[3], ports[0], ports[1]};
    uint32_t owner = owner_of(owners, owner_hash(owners, dst, src, turned));
    if ((p->flags & RX_STEERED) || owner == s->core)
        return false;
    p->protocol = ip_addr_is_v4(&p->src) ? IP_ICMP : IP_ICMPV6;
    packet_pass_on(s, p, owner, RX_STEERED);
    return true;
}

void steer_copy(struct stack *s, const struct rx_packet *p, uint8_t protocol)
{
    uint32_t before = (uint32_t)(p->data - p->ip);
    for (uint32_t to = 0; to < s->steer->core_count; to++) {
        uint8_t *bytes = to == s->core ? NULL : leat_heap_alloc(before + p->length_bytes);
        if (bytes == NULL)
            continue;
        memcpy(bytes, p->ip, before + p->length_bytes);
        struct rx_packet copy = *p;
        copy.ip = copy.handle = bytes;
        copy.data = bytes + before;
        copy.ip_bytes = copy.buffer_bytes = before + p->length_bytes;
        copy.flags = (uint16_t)((p->flags & ~(RX_FOREIGN | RX_KEPT)) | RX_HEAP);
        copy.protocol = protocol;
        if (packet_pass(s, &copy, to, RX_STEERED) == PASS_DROPPED)
            leat_heap_free(bytes);
    }
}

void steer_tell(struct stack *s, const struct steer_news *news)
{
    for (uint32_t to = 0; to < s->steer->core_count; to++) {
        if (to == s->core || !core_is_open(s, to))
            continue;
        struct steer_channel *channel = channel_to(s, to);
        if (channel == NULL || ring_room(&channel->news) == 0) {
            stack_drop(s, STACK_DROP_STEER_NEWS);
            continue;
        }
        channel->news_slots[channel->news.tail_local & channel->news.mask] = *news;
        channel_publish(s, &channel->news, to);
    }
}

void steer_home(struct stack *s, uint32_t core, void *handle)
{
    struct steer_channel *channel = channel_to(s, core);
    CHECK(channel != NULL && ring_room(&channel->homeward) > 0);
    channel->home_slots[channel->homeward.tail_local & channel->homeward.mask] = handle;
    channel_publish(s, &channel->homeward, core);
}

/* ---- what comes in ---- */

static void on_news(struct stack *s, struct steer_channel *channel)
{
    for (uint32_t ready = ring_ready(&channel->news); ready > 0; ready--) {
        struct steer_news news = channel->news_slots[channel->news.head_local & channel->news.mask];
        ring_release(&channel->news, 1);
        if (news.kind == STEER_NEWS_ADDRESS)
            addr_hear(s, &news.ip, (enum stack_addr_state)news.address_state);
        else
            neighbour_hear(s, &news);
    }
}

static void on_homeward(struct stack *s, struct steer_channel *channel, uint32_t from)
{
    struct ring *ring = &channel->homeward;
    for (uint32_t ready; (ready = ring_ready(ring)) > 0;) {
        uint32_t at = ring->head_local & ring->mask, count = ring->mask + 1 - at;
        count = ready < count ? ready : count;
        count = count < LEAT_PORT_BURST ? count : LEAT_PORT_BURST;
        s->port->ops->release(s->port, s->queue, &channel->home_slots[at], count);
        ring_release(ring, count);
        CHECK(s->steer->cores[s->core].lent[from] >= count);
        s->steer->cores[s->core].lent[from] -= count;
    }
}

/* A fragment begins again at its IP header, which is known to be right. */
static void packet_handle(struct stack *s, struct rx_packet *p)
{
    if (!(p->flags & RX_FRAGMENT)) {
        ip_deliver(s, p);
        return;
    }
    p->flags &= (uint16_t)~RX_FRAGMENT;
    p->data = p->ip;
    p->length_bytes = p->ip_bytes;
    p->ip_verdict = LEAT_VERDICT_GOOD;
    if (ip_addr_is_v4(&p->src))
        ipv4_input(s, p);
    else
        ipv6_input(s, p);
}

static unsigned on_packets(struct stack *s, struct steer_channel *channel, unsigned room)
{
    struct ring *ring = &channel->packets;
    uint32_t ready = ring_ready(ring), count = ready < room ? ready : room;
    for (uint32_t i = 0; i < count; i++) {
        struct rx_packet *p = &s->rx[s->rx_count++];
        *p = channel->packet_slots[ring->head_local & ring->mask];
        ring_release(ring, 1);
        packet_handle(s, p);
    }
    s->count.steered_in += count;
    return count;
}

void steer_poll(struct stack *s, unsigned room)
{
    struct steer_core *own = &s->steer->cores[s->core];
    uint32_t count = s->steer->core_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t from =
            own->next_from + i < count ? own->next_from + i : own->next_from + i - count;
        struct steer_channel *channel = channel_from(s, from);
        if (channel == NULL)
            continue;
        on_news(s, channel);
        on_homeward(s, channel, from);
        room -= on_packets(s, channel, room);
    }
    own->next_from = own->next_from + 1 < count ? own->next_from + 1 : 0;
}

bool steer_has_work(const struct stack *s)
{
    for (uint32_t from = 0; from < s->steer->core_count; from++) {
        struct steer_channel *channel = channel_from(s, from);
        if (channel != NULL &&
            (ring_ready(&channel->packets) > 0 || ring_ready(&channel->homeward) > 0 ||
             ring_ready(&channel->news) > 0))
            return true;
    }
    return relay_is_waiting(s);
}

/* ---- the end ---- */

void steer_close(struct stack *s)
{
    atomic_store(&s->steer->cores[s->core].is_open, false);
}

void steer_settle(struct stack *s)
{
    for (uint32_t from = 0; from < s->steer->core_count; from++) {
        struct steer_channel *channel = channel_from(s, from);
        if (channel == NULL)
            continue;
        for (uint32_t ready = ring_ready(&channel->packets); ready > 0; ready--) {
            const struct rx_packet *p =
                &channel->packet_slots[channel->packets.head_local & channel->packets.mask];
            stack_release(s, p->handle, p->queue, (uint8_t)p->flags);
            ring_release(&channel->packets, 1);
        }
    }
    relay_serve(s);
    tx_flush(s);
}

void steer_collect(struct stack *s)
{
    for (uint32_t from = 0; from < s->steer->core_count; from++) {
        struct steer_channel *channel = channel_from(s, from);
        if (channel != NULL)
            on_homeward(s, channel, from);
        CHECK(s->steer->cores[s->core].lent[from] == 0);
    }
}

uint16_t steer_zero_port(struct stack *s, uint32_t n, uint16_t candidate)
{
    struct steer *steer = s->steer;
    if (n >= STEER_PORTS_MAX)
        return 0;
    pthread_mutex_lock(&steer->lock);
    if (steer->zero_ports[n] == 0)
        steer->zero_ports[n] = candidate;
    uint16_t port = steer->zero_ports[n];
    pthread_mutex_unlock(&steer->lock);
    return port;
}
