/* Neighbours: which MAC belongs to an address on the link, for ARP and ND alike, with the states of
 * RFC 4861 7.3.2. Packets wait for resolution, bounded, oldest dropped first. */
#include "net/stack/steer.h"
#include "net/stack/tcp/tcp.h"

#define REACHABLE_NS (30 * LEAT_NS_PER_S)
#define DELAY_NS     (5 * LEAT_NS_PER_S)
#define RETRANS_NS   LEAT_NS_PER_S
#define PROBES_MAX   3

static uint32_t bucket_of(const struct ip_addr *ip)
{
    uint64_t a, b;
    memcpy(&a, ip->b, 8);
    memcpy(&b, ip->b + 8, 8);
    return (uint32_t)(((a ^ b) * UINT64_C(0x9e3779b97f4a7c15)) >> 56) % NEIGHBOUR_BUCKETS;
}

static struct neighbour *entry_find(struct stack *s, const struct ip_addr *ip)
{
    struct neighbour_table *t = &s->neighbours;
    for (uint16_t i = t->buckets[bucket_of(ip)]; i != 0; i = t->entries[i - 1].next)
        if (ip_addr_equal(&t->entries[i - 1].ip, ip))
            return &t->entries[i - 1];
    return NULL;
}

const struct neighbour *neighbour_find(const struct stack *s, const struct ip_addr *ip)
{
    return entry_find((struct stack *)(uintptr_t)s, ip);
}

static void entry_due(struct stack *s, struct neighbour *n, uint64_t at_ns)
{
    n->next_ns = at_ns;
    if (at_ns < s->neighbours.next_ns)
        s->neighbours.next_ns = at_ns;
    if (at_ns < s->slow_next_ns)
        s->slow_next_ns = at_ns;
}

/* ---- parked packets ---- */

static void parked_pop(struct stack *s, struct neighbour *n, struct leat_packet *out)
{
    struct neighbour_table *t = &s->neighbours;
    uint16_t i = n->parked_first;
    *out = t->parked[i - 1];
    n->parked_first = t->parked_next[i - 1];
    if (n->parked_first == 0)
        n->parked_last = 0;
    n->parked_count--;
    t->parked_next[i - 1] = t->parked_free;
    t->parked_free = i;
}

/* There is a free place. */
static void parked_push(struct stack *s, struct neighbour *n, const struct leat_packet *packet)
{
    struct neighbour_table *t = &s->neighbours;
    uint16_t i = t->parked_free;
    t->parked_free = t->parked_next[i - 1];
    t->parked[i - 1] = *packet;
    t->parked_next[i - 1] = 0;
    if (n->parked_last != 0)
        t->parked_next[n->parked_last - 1] = i;
    else
        n->parked_first = i;
    n->parked_last = i;
    n->parked_count++;
}

static void packet_drop(struct stack *s, struct leat_packet *packet, enum stack_drop reason)
{
    for (unsigned i = 0; i < packet->slice_count; i++)
        leat_buf_unref(packet->slices[i]);
    s->port->ops->revoke(s->port, s->queue, packet, 1);
    stack_drop(s, reason);
}

static void parked_drop(struct stack *s, struct neighbour *n)
{
    while (n->parked_first != 0) {
        struct leat_packet packet;
        parked_pop(s, n, &packet);
        packet_drop(s, &packet, STACK_DROP_NEIGHBOUR_FAILED);
    }
}

static struct ip_addr parked_source(const struct stack *s, const struct leat_packet *packet)
{
    const uint8_t *at = packet->head + s->l2_bytes;
    if (packet->flags & LEAT_PACKET_IPV6)
        return ((const struct ipv6_header *)(const void *)at)->src;
    return ip_addr_v4(((const struct ipv4_header *)(const void *)at)->src);
}

void neighbour_drop_parked_from(struct stack *s, const struct ip_addr *src)
{
    for (unsigned i = 0; i < NEIGHBOURS_MAX; i++) {
        struct neighbour *n = &s->neighbours.entries[i];
        for (unsigned left = n->parked_count; left > 0; left--) {
            struct leat_packet packet;
            parked_pop(s, n, &packet);
            struct ip_addr from = parked_source(s, &packet);
            if (ip_addr_equal(&from, src))
                packet_drop(s, &packet, STACK_DROP_NEIGHBOUR_QUEUE);
            else
                parked_push(s, n, &packet);
        }
    }
}

/* The packet is the ring's last reserved one: its head moves to the parking place, and the ring
 * fetches another head. */
static void packet_park(struct stack *s, struct neighbour *n, struct leat_packet *packet)
{
    struct neighbour_table *t = &s->neighbours;
    struct leat_packet old;
    if (n->parked_count == NEIGHBOUR_PARKED_EACH || (t->parked_free == 0 && n->parked_count > 0)) {
        parked_pop(s, n, &old);
        packet_drop(s, &old, STACK_DROP_NEIGHBOUR_QUEUE);
    }
    if (t->parked_free == 0) {
        for (unsigned i = 0; i < packet->slice_count; i++)
            leat_buf_unref(packet->slices[i]);
        stack_drop(s, STACK_DROP_NEIGHBOUR_QUEUE);
        return; /* the head stays granted in the ring */
    }
    parked_push(s, n, packet);
    s->count.parked++;
    tx_forget(s, packet);
}

static uint16_t ether_type(const struct leat_packet *packet)
{
    return packet->flags & LEAT_PACKET_IPV6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4;
}

static void parked_send(struct stack *s, struct neighbour *n)
{
    while (n->parked_first != 0) {
        struct leat_packet packet;
        parked_pop(s, n, &packet);
        ethernet_header(s, packet.head, &n->mac, ether_type(&packet));
        if (!tx_adopt(s, &packet))
            packet_drop(s, &packet, STACK_DROP_TX_BACKLOG);
    }
}

/* ---- entries ---- */

static void entry_unlink(struct stack *s, struct neighbour *n)
{
    struct neighbour_table *t = &s->neighbours;
    uint16_t *link = &t->buckets[bucket_of(&n->ip)];
    uint16_t self = (uint16_t)(n - t->entries + 1);
    while (*link != self)
        link = &t->entries[*link - 1].next;
    *link = n->next;
    parked_drop(s, n);
    n->state = NEIGHBOUR_FREE;
}

/* RFC 6583: one that nobody ever answered for goes before one that is known. */
static bool entry_goes_before(const struct neighbour *a, const struct neighbour *b)
{
    bool a_known = a->state != NEIGHBOUR_INCOMPLETE, b_known = b->state != NEIGHBOUR_INCOMPLETE;
    return a_known != b_known ? b_known : a->used_ns < b->used_ns;
}

/* A free entry, or one that holds no packets: the least recently used of those that were never
 * resolved, else of all. */
static struct neighbour *entry_claim(struct stack *s)
{
    struct neighbour *oldest = NULL;
    for (unsigned i = 0; i < NEIGHBOURS_MAX; i++) {
        struct neighbour *n = &s->neighbours.entries[i];
        if (n->state == NEIGHBOUR_FREE)
            return n;
        if (n->parked_count == 0 && (oldest == NULL || entry_goes_before(n, oldest)))
            oldest = n;
    }
    if (oldest != NULL)
        entry_unlink(s, oldest);
    return oldest;
}

static struct neighbour *entry_create(struct stack *s, const struct ip_addr *ip)
{
    struct neighbour_table *t = &s->neighbours;
    struct neighbour *n = entry_claim(s);
    if (n == NULL) {
        stack_drop(s, STACK_DROP_NEIGHBOUR_LIMIT);
        return NULL;
    }
    uint32_t bucket = bucket_of(ip);
    *n = (struct neighbour){.ip = *ip,
                            .state = NEIGHBOUR_INCOMPLETE,
                            .next = t->buckets[bucket],
                            .generation = ++t->generation != 0 ? t->generation : ++t->generation,
                            .used_ns = s->now_ns,
                            .next_ns = STACK_NEVER};
    t->buckets[bucket] = (uint16_t)(n - t->entries + 1);
    return n;
}

static void entry_solicit(struct stack *s, struct neighbour *n, bool unicast)
{
    const struct stack_addr *from = addr_choose(s, &n->ip, &n->ip);
    entry_due(s, n, s->now_ns + RETRANS_NS);
    n->probes++;
    if (from == NULL)
        return;
    if (ip_addr_is_v4(&n->ip))
        arp_request(s, &n->ip, &from->ip, unicast ? &n->mac : NULL);
    else
        nd_solicit(s, &n->ip, &from->ip, unicast ? &n->mac : NULL);
}

static void entry_set_mac(struct stack *s, struct neighbour *n, const struct mac_addr *mac,
                          enum neighbour_state state)
{
    bool waiting = n->state == NEIGHBOUR_INCOMPLETE;
    n->mac = *mac;
    n->state = (uint8_t)state;
    n->probes = 0;
    n->next_ns = STACK_NEVER;
    if (state == NEIGHBOUR_REACHABLE)
        n->confirmed_ns = s->now_ns;
    if (waiting)
        parked_send(s, n);
}

/* True: the entry got another MAC, or its first. */
static bool entry_learn(struct stack *s, const struct ip_addr *ip, const struct mac_addr *mac,
                        uint32_t flags)
{
    struct neighbour *n = entry_find(s, ip);
    if (n == NULL && (flags & NEIGHBOUR_MAKE))
        n = entry_create(s, ip);
    if (n == NULL || (n->state != NEIGHBOUR_INCOMPLETE && memcmp(&n->mac, mac, sizeof(*mac)) == 0))
        return false;
    entry_set_mac(s, n, mac, NEIGHBOUR_STALE);
    return true;
}

/* RFC 4861 7.2.5. True: the entry got another MAC, or its first. */
static bool entry_answer(struct stack *s, const struct steer_news *heard)
{
    struct neighbour *n = entry_find(s, &heard->ip);
    if (n == NULL && (heard->flags & NEIGHBOUR_MAKE))
        n = entry_create(s, &heard->ip);
    if (n == NULL)
        return false;
    bool same =
        n->state != NEIGHBOUR_INCOMPLETE && memcmp(&n->mac, &heard->mac, sizeof(heard->mac)) == 0;
    if (n->state != NEIGHBOUR_INCOMPLETE && !same && !(heard->flags & NEIGHBOUR_OVERRIDE)) {
        if (n->state == NEIGHBOUR_REACHABLE)
            n->state = NEIGHBOUR_STALE;
        return false;
    }
    n->is_router = (heard->flags & NEIGHBOUR_ROUTER) != 0;
    if (heard->flags & NEIGHBOUR_SOLICITED)
        entry_set_mac(s, n, &heard->mac, NEIGHBOUR_REACHABLE);
    else if (!same)
        entry_set_mac(s, n, &heard->mac, NEIGHBOUR_STALE);
    return !same;
}

/* ---- between cores ----
 *
 * What a frame says of a neighbour is told to all cores, for the answer to one core's question may
 * come to another. Who gains by it tells it once more, with NEIGHBOUR_MAKE: then every core has the
 * entry. */

void neighbour_learn(struct stack *s, const struct ip_addr *ip, const struct mac_addr *mac,
                     uint32_t flags)
{
    bool is_new = entry_learn(s, ip, mac, flags);
    if (likely(s->steer == NULL) || (!is_new && entry_find(s, ip) != NULL))
        return;
    steer_tell(s, &(struct steer_news){.kind = STEER_NEWS_LEARN,
                                       .ip = *ip,
                                       .mac = *mac,
                                       .flags = is_new ? NEIGHBOUR_MAKE : 0});
}

void neighbour_answer(struct stack *s, const struct ip_addr *ip, const struct mac_addr *mac,
                      uint32_t flags)
{
    struct steer_news heard = {.kind = STEER_NEWS_ANSWER,
                               .ip = *ip,
                               .mac = *mac,
                               .flags = (uint8_t)(flags & ~(uint32_t)NEIGHBOUR_MAKE)};
    if (entry_answer(s, &heard))
        heard.flags |= NEIGHBOUR_MAKE;
    if (s->steer != NULL)
        steer_tell(s, &heard);
}

void neighbour_hear(struct stack *s, const struct steer_news *heard)
{
    bool is_new = heard->kind == STEER_NEWS_LEARN
                      ? entry_learn(s, &heard->ip, &heard->mac, heard->flags)
                      : entry_answer(s, heard);
    if (!is_new || (heard->flags & NEIGHBOUR_MAKE))
        return;
    struct steer_news more = *heard;
    more.flags |= NEIGHBOUR_MAKE;
    steer_tell(s, &more);
}

/* NULL: the path does not know it, or not any more. */
static struct neighbour *path_entry(struct stack *s, const struct path *path)
{
    struct neighbour *n = &s->neighbours.entries[path->neighbour.index];
    bool is_right = n->generation == path->neighbour.generation && n->state != NEIGHBOUR_FREE;
    return likely(is_right) ? n : NULL;
}

/* A path that has lost its neighbour may have lost its gateway too. NULL: counted. */
static struct neighbour *path_resolve(struct stack *s, struct path *path)
{
    if (path->neighbour.generation != 0 && !route_hop(s, &path->dst, &path->hop)) {
        stack_drop(s, STACK_DROP_ROUTE_NONE);
        return NULL;
    }
    struct neighbour *n = entry_find(s, &path->hop);
    if (n == NULL)
        n = entry_create(s, &path->hop);
    if (n != NULL)
        path->neighbour = (struct neighbour_ref){.index = (uint16_t)(n - s->neighbours.entries),
                                                 .generation = n->generation};
    return n;
}

void neighbour_forget(struct stack *s, struct ip_addr ip)
{
    struct neighbour *n = entry_find(s, &ip);
    if (n != NULL)
        entry_unlink(s, n);
}

void neighbour_release_paths(struct stack *s, const struct ip_addr *ip)
{
    struct neighbour_table *t = &s->neighbours;
    struct neighbour *n = entry_find(s, ip);
    if (n != NULL)
        n->generation = ++t->generation != 0 ? t->generation : ++t->generation;
}

void neighbour_confirm(struct stack *s, struct neighbour_ref ref)
{
    struct neighbour *n = &s->neighbours.entries[ref.index];
    if (n->generation != ref.generation || n->state < NEIGHBOUR_REACHABLE)
        return;
    n->state = NEIGHBOUR_REACHABLE;
    n->probes = 0;
    n->confirmed_ns = s->now_ns;
    n->next_ns = STACK_NEVER;
}

static void multicast_output(struct stack *s, struct leat_packet *packet, const struct ip_addr *dst)
{
    struct mac_addr mac = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    if (!ip_addr_is_v4(dst))
        mac = (struct mac_addr){{0x33, 0x33, dst->b[12], dst->b[13], dst->b[14], dst->b[15]}};
    else if (ip_addr_is_multicast(dst))
        mac = (struct mac_addr){{0x01, 0, 0x5e, dst->b[13] & 0x7f, dst->b[14], dst->b[15]}};
    ethernet_header(s, packet->head, &mac, ether_type(packet));
    tx_commit(s, packet);
}

void neighbour_output(struct stack *s, struct leat_packet *packet, struct path *path)
{
    if (s->link_kind != LEAT_LINK_ETHERNET) {
        tx_commit(s, packet);
        return;
    }
    struct neighbour *n = path_entry(s, path);
    if (unlikely(n == NULL)) {
        if (ip_addr_is_multicast(&path->hop) || addr_is_broadcast(s, &path->hop)) {
            multicast_output(s, packet, &path->hop);
            return;
        }
        n = path_resolve(s, path);
    }
    if (unlikely(n == NULL)) {
        for (unsigned i = 0; i < packet->slice_count; i++)
            leat_buf_unref(packet->slices[i]);
        return;
    }
    n->used_ns = s->now_ns;
    if (unlikely(n->state == NEIGHBOUR_INCOMPLETE)) {
        packet_park(s, n, packet);
        if (n->probes == 0)
            entry_solicit(s, n, false);
        return;
    }
    if (n->state == NEIGHBOUR_REACHABLE && s->now_ns - n->confirmed_ns > REACHABLE_NS)
        n->state = NEIGHBOUR_STALE;
    if (n->state == NEIGHBOUR_STALE) {
        n->state = NEIGHBOUR_DELAY;
        entry_due(s, n, s->now_ns + DELAY_NS);
    }
    ethernet_header(s, packet->head, &n->mac, ether_type(packet));
    tx_commit(s, packet);
}

static void entry_expire(struct stack *s, struct neighbour *n)
{
    if (n->probes >= PROBES_MAX) {
        route_suspect(s, &n->ip);
        tcp_neighbour_gone(s, &n->ip);
        entry_unlink(s, n);
        return;
    }
    if (n->state == NEIGHBOUR_DELAY) {
        n->state = NEIGHBOUR_PROBE;
        n->probes = 0;
    }
    entry_solicit(s, n, n->state == NEIGHBOUR_PROBE);
}

uint64_t neighbour_tick(struct stack *s)
{
    struct neighbour_table *t = &s->neighbours;
    if (s->now_ns < t->next_ns)
        return t->next_ns;
    t->next_ns = STACK_NEVER;
    for (unsigned i = 0; i < NEIGHBOURS_MAX; i++) {
        struct neighbour *n = &t->entries[i];
        if (n->state == NEIGHBOUR_FREE || n->next_ns == STACK_NEVER)
            continue;
        if (n->next_ns <= s->now_ns)
            entry_expire(s, n);
        if (n->state != NEIGHBOUR_FREE && n->next_ns < t->next_ns)
            t->next_ns = n->next_ns;
    }
    return t->next_ns;
}

void neighbour_init(struct stack *s)
{
    struct neighbour_table *t = &s->neighbours;
    t->next_ns = STACK_NEVER;
    for (uint16_t i = 0; i < NEIGHBOUR_PARKED; i++)
        t->parked_next[i] = (uint16_t)(i + 2 <= NEIGHBOUR_PARKED ? i + 2 : 0);
    t->parked_free = 1;
}

void neighbour_fini(struct stack *s)
{
    for (unsigned i = 0; i < NEIGHBOURS_MAX; i++)
        if (s->neighbours.entries[i].state != NEIGHBOUR_FREE)
            entry_unlink(s, &s->neighbours.entries[i]);
}
