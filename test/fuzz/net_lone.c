#include "test/fuzz/net_lone.h"

#include <stdlib.h>

#include <leat/loop.h>

#include "runtime/base/clock.h"

#define START_NS (1000 * LEAT_NS_PER_S)

static struct lone *of(struct leat_port *port)
{
    return (struct lone *)port;
}

static unsigned port_poll(struct leat_port *port, unsigned queue, struct leat_frame *frames,
                          unsigned count)
{
    struct lone *l = of(port);
    if (l->in == NULL || count == 0)
        return 0;
    frames[0] = (struct leat_frame){.data = l->in,
                                    .handle = (void *)(uintptr_t)l->in,
                                    .length_bytes = l->in_bytes,
                                    .buffer_bytes = 2048};
    l->in = NULL;
    l->lent_count++;
    return 1;
}

static void port_release(struct leat_port *port, unsigned queue, void *const *handles,
                         unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(handles[i]);
    of(port)->lent_count -= count;
}

static unsigned port_grant(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                           unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        packets[i].head = packets[i].handle = malloc(LEAT_PORT_HEAD_BYTES);
        CHECK(packets[i].head != NULL);
    }
    of(port)->head_count += count;
    return count;
}

static void port_revoke(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                        unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(packets[i].handle);
    of(port)->head_count -= count;
}

static unsigned port_transmit(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                              unsigned count)
{
    struct lone *l = of(port);
    for (unsigned i = 0; i < count; i++) {
        struct leat_packet *p = &packets[i];
        struct lone_sent spare,
            *to = l->sent_count < LONE_SENT_MAX ? &l->sent[l->sent_count] : &spare;
        l->sent_count++;
        CHECK(p->head_bytes + p->slice_bytes <= l->s.mtu_bytes + 14u);
        CHECK(p->head_bytes >= 14 && p->head_bytes <= LEAT_PORT_HEAD_BYTES);
        memcpy(to->bytes, p->head, p->head_bytes);
        to->length = p->head_bytes;
        for (unsigned k = 0; k < p->slice_count; k++) {
            memcpy(to->bytes + to->length, p->slices[k].data, p->slices[k].length_bytes);
            to->length += (uint32_t)p->slices[k].length_bytes;
            leat_buf_unref(p->slices[k]);
        }
        CHECK(to->length == p->head_bytes + p->slice_bytes);
        port_revoke(port, queue, p, 1);
    }
    return count;
}

static unsigned port_reclaim(struct leat_port *port, unsigned queue)
{
    return 0;
}

static void port_link(struct leat_port *port, struct leat_link *link)
{
    *link = (struct leat_link){.up = true};
}

static const struct leat_port_ops port_ops = {.poll = port_poll,
                                              .release = port_release,
                                              .grant = port_grant,
                                              .transmit = port_transmit,
                                              .revoke = port_revoke,
                                              .reclaim = port_reclaim,
                                              .link = port_link};

static uint64_t clock_now(const struct leat_clock *clock)
{
    return START_NS;
}

static struct lone *lone_new(void)
{
    static const struct leat_clock clock = {clock_now};
    static struct lone only;
    const struct leat_loop_options options = {.index = 1,
                                              .clock = &clock,
                                              .buffer_bytes_max = 64u << 20};
    struct leat_error error;
    CHECK(leat_loop_new(&options, &error) != NULL);
    only.port.ops = &port_ops;
    only.port.info = (struct leat_port_info){.driver = "lone",
                                             .slices_max = LEAT_PORT_SLICES_MAX,
                                             .mtu_bytes_max = 1500,
                                             .rx_queue_count = 1,
                                             .tx_queue_count = 1,
                                             .link_kind = LEAT_LINK_ETHERNET,
                                             .mac = {2, 0, 0, 0, 0, 1}};
    only.v4 = (struct ends){.peer_mac = {{2, 0, 0, 0, 0, 2}},
                            .host_mac = {{2, 0, 0, 0, 0, 1}},
                            .peer = ip_addr_v4(be32_put(0x0a000002)),
                            .host = ip_addr_v4(be32_put(0x0a000001))};
    only.v6 = only.v4;
    only.v6.peer = (struct ip_addr){{0xfd, [15] = 2}};
    only.v6.host = (struct ip_addr){{0xfd, [15] = 1}};
    return &only;
}

struct lone *lone_begin(bool autoconfigure, bool probe)
{
    static struct lone *l;
    if (l == NULL)
        l = lone_new();
    struct stack_options o = {.port = &l->port,
                              .seed = {1, 2, 3, 4},
                              .autoconfigure = autoconfigure,
                              .probe_addresses = probe};
    struct leat_error error;
    l->now_ns = START_NS;
    l->sent_count = 0;
    CHECK(stack_init(&l->s, &o, l->now_ns, &error) == 0);
    const struct ip_addr link = {{0xfe, 0x80, [15] = 1}};
    CHECK(stack_add_address(&l->s, &l->v4.host, 24) == 0);
    CHECK(stack_add_address(&l->s, &l->v6.host, 64) == 0);
    CHECK(stack_add_address(&l->s, &link, 64) == 0);
    neighbour_learn(&l->s, &l->v4.peer, &l->v4.peer_mac, NEIGHBOUR_MAKE);
    neighbour_learn(&l->s, &l->v6.peer, &l->v6.peer_mac, NEIGHBOUR_MAKE);
    return l;
}

/* It looks at every entry after every turn, within bounds that it checks itself, and its edges tell
 * the fuzzer nothing: instrumented it took a quarter of the time. */
#if defined(__clang__)
#define PLAIN __attribute__((no_sanitize("address", "undefined", "coverage")))
#else
#define PLAIN
#endif

PLAIN void lone_validate(struct lone *l)
{
    const struct neighbour_table *t = &l->s.neighbours;
    unsigned parked = 0, linked = 0, used = 0, spare = 0;
    for (unsigned i = 0; i < NEIGHBOUR_BUCKETS; i++)
        for (uint16_t k = t->buckets[i]; k != 0; k = t->entries[k - 1].next)
            CHECK(k <= NEIGHBOURS_MAX && ++linked <= NEIGHBOURS_MAX &&
                  t->entries[k - 1].state != NEIGHBOUR_FREE);
    for (unsigned i = 0; i < NEIGHBOURS_MAX; i++) {
        const struct neighbour *n = &t->entries[i];
        if (n->state == NEIGHBOUR_FREE)
            continue;
        unsigned count = 0;
        for (uint16_t k = n->parked_first; k != 0; k = t->parked_next[k - 1])
            CHECK(k <= NEIGHBOUR_PARKED && ++count <= NEIGHBOUR_PARKED_EACH);
        CHECK(count == n->parked_count && !ip_addr_is_multicast(&n->ip));
        CHECK(n->state == NEIGHBOUR_INCOMPLETE || (count == 0 && (n->mac.b[0] & 1) == 0));
        /* one that waits for an answer has a timer */
        CHECK(n->state != NEIGHBOUR_PROBE || n->next_ns != STACK_NEVER);
        CHECK(n->state != NEIGHBOUR_INCOMPLETE || n->probes == 0 || n->next_ns != STACK_NEVER);
        parked += count;
        used++;
    }
    for (uint16_t k = t->parked_free; k != 0; k = t->parked_next[k - 1])
        CHECK(k <= NEIGHBOUR_PARKED && ++spare <= NEIGHBOUR_PARKED);
    CHECK(used == linked && parked + spare == NEIGHBOUR_PARKED);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < REASM_MAX; i++) {
        const struct reasm *r = &l->s.reasm.entries[i];
        bytes += r->used ? r->capacity_bytes : 0;
        CHECK(!r->used || r->range_count <= REASM_RANGES_MAX);
        for (unsigned k = 0; r->used && k < r->range_count; k++)
            CHECK(r->ranges[k].from < r->ranges[k].to &&
                  (k == 0 || r->ranges[k - 1].to < r->ranges[k].from));
        CHECK(!r->used || r->deadline_ns > l->now_ns);
    }
    CHECK(bytes == l->s.reasm.bytes && bytes <= REASM_BYTES_MAX);
    CHECK(l->s.addr_count <= STACK_ADDRS_MAX && l->s.route_count <= STACK_ROUTES_MAX);
    CHECK(l->s.mtu_bytes >= 1280 && l->s.hop_limit > 0);
    CHECK(l->head_count == l->s.tx.queued + l->s.tx.granted + l->s.tx.spared_count + parked);
}

static void turn(struct lone *l)
{
    stack_timers(&l->s, l->now_ns);
    stack_flush(&l->s, l->now_ns);
    CHECK(l->lent_count == 0); /* nothing below TCP keeps a frame */
    lone_validate(l);
}

void lone_input(struct lone *l, const void *bytes, size_t length_bytes)
{
    uint8_t *copy = malloc(length_bytes != 0 ? length_bytes : 1);
    CHECK(copy != NULL);
    if (length_bytes > 0)
        memcpy(copy, bytes, length_bytes);
    l->in = copy;
    l->in_bytes = (uint32_t)length_bytes;
    stack_poll(&l->s, l->now_ns);
    turn(l);
}

void lone_pass(struct lone *l, uint64_t duration_ns)
{
    uint64_t end = l->now_ns + duration_ns;
    for (unsigned i = 0; i < 64 && stack_next_ns(&l->s) <= end; i++) {
        if (stack_next_ns(&l->s) > l->now_ns)
            l->now_ns = stack_next_ns(&l->s);
        turn(l);
    }
    l->now_ns = end;
    turn(l);
}

void lone_end(struct lone *l)
{
    struct leat_buf_stats stats;
    stack_end(&l->s);
    stack_fini(&l->s);
    leat_buf_stats(&stats);
    CHECK(l->head_count == 0 && l->lent_count == 0 && stats.live_count == 0);
}

uint64_t lone_drops(const struct lone *l)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STACK_DROP_COUNT; i++)
        sum += l->s.count.drops[i];
    return sum;
}

void lone_ip(struct lone *l, bool v6, uint8_t protocol, const void *payload, size_t length_bytes)
{
    struct frame f;
    frame_ip(&f, v6 ? &l->v6 : &l->v4, protocol, payload, length_bytes);
    lone_input(l, f.bytes, f.length);
}
