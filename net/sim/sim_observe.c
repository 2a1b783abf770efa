/* Watches the wire for what no endpoint may do, whatever the network did before: TCP data beyond
 * the window that the peer has promised at any time so far, and ACKs of what was never sent. Each
 * is judged when a frame is sent, before the faults. */
#include "net/sim/sim_internal.h"

#include <stdlib.h>

#define OBSERVED_MAX (OBSERVED_PAGES * PAGE_FLOWS) /* others are not watched */
#define PAGE_FLOWS   128

/* One direction: what its sender has sent and promised. */
struct half {
    uint32_t sent_end;     /* behind the highest byte sent, SYN and FIN included */
    uint32_t promised_end; /* the furthest right edge of its receive window */
    uint32_t prior_end;    /* sent_end of the connection before: the peer may still speak of it */
    uint8_t scale;         /* of its SYN; 255: none offered */
    bool has_sent, has_promised, has_only_syn, has_prior, has_ended;
};

struct observed {
    struct ip_addr a, b;
    uint16_t a_port, b_port;
    bool used, is_mixed;
    struct half half[2]; /* of a, of b */
};

struct segment {
    struct ip_addr src, dst;
    uint16_t src_port, dst_port, window;
    uint32_t seq, ack, length;
    uint8_t flags, scale;
};

static uint8_t find_scale(const uint8_t *at, size_t left)
{
    while (left > 0 && *at != 0) {
        size_t length = *at == 1 ? 1 : left > 1 && at[1] >= 2 ? at[1] : left;
        if (*at == 3 && length == 3 && left >= 3)
            return at[2];
        length = length < left ? length : left;
        at += length;
        left -= length;
    }
    return 255;
}

static bool segment_parse(const uint8_t *frame, uint32_t length, struct segment *g)
{
    const struct eth_header *eth = (const void *)frame;
    const struct ipv4_header *ip4 = (const void *)(frame + 14);
    const struct ipv6_header *ip6 = (const void *)(frame + 14);
    uint32_t header, total;
    if (be16_get(eth->type) == ETHERTYPE_IPV4 && length >= 54 && ip4->protocol == IP_TCP) {
        header = (ip4->version_ihl & 15u) * 4u;
        total = be16_get(ip4->length);
        g->src = ip_addr_v4(ip4->src);
        g->dst = ip_addr_v4(ip4->dst);
    } else if (be16_get(eth->type) == ETHERTYPE_IPV6 && length >= 74 && ip6->next == IP_TCP) {
        header = 40;
        total = 40u + be16_get(ip6->length);
        g->src = ip6->src;
        g->dst = ip6->dst;
    } else {
        return false;
    }
    const struct tcp_header *h = (const void *)(frame + 14 + header);
    uint32_t tcp_bytes = (h->offset >> 4) * 4u;
    if (total + 14 > length || total < header + tcp_bytes)
        return false;
    g->src_port = be16_get(h->src_port);
    g->dst_port = be16_get(h->dst_port);
    g->seq = be32_get(h->seq);
    g->ack = be32_get(h->ack);
    g->window = be16_get(h->window);
    g->flags = h->flags;
    g->length = total - header - tcp_bytes;
    g->scale = g->flags & TCP_SYN ? find_scale((const uint8_t *)(h + 1), tcp_bytes - 20) : 255;
    return true;
}

/* Most worlds have few flows: pages of the table are made when one comes to them. */
static struct observed *at_slot(struct sim *sim, uint32_t slot)
{
    struct observed **page = &sim->observed[slot / PAGE_FLOWS];
    if (*page == NULL)
        *page = calloc(PAGE_FLOWS, sizeof(**page));
    CHECK(*page != NULL);
    return &(*page)[slot % PAGE_FLOWS];
}

/* The flow's entry, made if need be; *from_a tells which end sent. NULL: the table is full. */
static struct observed *observed_find(struct sim *sim, const struct segment *g, bool *from_a)
{
    uint32_t slot = (uint32_t)(g->src_port * 31u) ^ (uint32_t)(g->dst_port * 31u);
    for (uint32_t i = 0; i < 64; i++) {
        struct observed *o = at_slot(sim, (slot + i) & (OBSERVED_MAX - 1));
        if (!o->used) {
            *o = (struct observed){.a = g->src,
                                   .b = g->dst,
                                   .a_port = g->src_port,
                                   .b_port = g->dst_port,
                                   .used = true};
        }
        *from_a = o->a_port == g->src_port && o->b_port == g->dst_port &&
                  ip_addr_equal(&o->a, &g->src) && ip_addr_equal(&o->b, &g->dst);
        bool from_b = o->b_port == g->src_port && o->a_port == g->dst_port &&
                      ip_addr_equal(&o->b, &g->src) && ip_addr_equal(&o->a, &g->dst);
        if (*from_a || from_b)
            return o;
    }
    return NULL;
}

static bool is_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

static void half_on_syn(struct observed *o, struct half *mine, const struct segment *g)
{
    if (mine->has_sent && mine->sent_end == g->seq + 1)
        return; /* again */
    /* a SYN-ACK that answers an old duplicate of the SYN: two connections in one flow */
    o->is_mixed = (g->flags & TCP_ACK) && (o->is_mixed || mine->has_sent);
    struct half *theirs = mine == &o->half[0] ? &o->half[1] : &o->half[0];
    if (!(g->flags & TCP_ACK) && !theirs->has_only_syn) /* else both open at once */
        *theirs = (struct half){0};
    *mine = (struct half){.scale = g->scale,
                          .has_only_syn = !(g->flags & TCP_ACK),
                          .has_prior = mine->has_sent,
                          .prior_end = mine->sent_end};
}

static void half_on_promise(struct half *mine, const struct half *theirs, const struct segment *g)
{
    bool scaled = !(g->flags & TCP_SYN) && mine->scale != 255 && theirs->scale != 255;
    uint32_t end = g->ack + ((uint32_t)g->window << (scaled ? mine->scale : 0));
    if (!mine->has_promised || is_after(end, mine->promised_end))
        mine->promised_end = end;
    mine->has_promised = true;
}

/* Until it has heard of a new connection, an end may acknowledge the one before: TIME-WAIT does,
 * and then numbers of the new one may lie below. */
static bool is_of_prior(struct half *theirs, const struct segment *g)
{
    if (!is_after(g->ack, theirs->sent_end))
        theirs->has_prior = false;
    return theirs->has_prior && !is_after(g->ack, theirs->prior_end);
}

void sim_observe(struct sim_host *from, const uint8_t *frame, uint32_t length)
{
    struct segment g;
    bool from_a;
    struct observed *o = NULL;
    if (segment_parse(frame, length, &g) && !(g.flags & TCP_RST))
        o = observed_find(from->sim, &g, &from_a);
    if (o == NULL)
        return;
    struct half *mine = &o->half[!from_a], *theirs = &o->half[from_a];
    if (g.flags & TCP_SYN)
        half_on_syn(o, mine, &g);
    else
        mine->has_only_syn = false;
    if (o->is_mixed)
        return;
    uint32_t end = g.seq + g.length;
    if (g.length > 0 && theirs->has_promised && is_after(end, theirs->promised_end))
        sim_violation(from->sim, "host %u, port %u sent %u bytes beyond the peer's window",
                      from->number, g.src_port, end - theirs->promised_end);
    bool is_judged = (g.flags & TCP_ACK) && theirs->has_sent && !is_of_prior(theirs, &g);
    if (is_judged && is_after(g.ack, theirs->sent_end))
        sim_violation(from->sim, "host %u, port %u acknowledged %u bytes that were never sent",
                      from->number, g.src_port, g.ack - theirs->sent_end);
    end += g.flags & TCP_SYN ? 1 : 0;
    end += g.flags & TCP_FIN ? 1 : 0;
    if (!mine->has_sent || is_after(end, mine->sent_end))
        mine->sent_end = end;
    mine->has_sent = true;
    mine->has_ended |= (g.flags & TCP_FIN) != 0;
    if (g.flags & TCP_ACK)
        half_on_promise(mine, theirs, &g);
}

/* What has been sent in the direction of a frame; NULL: nobody knows. */
static const struct half *half_of(struct sim_host *from, const uint8_t *frame, uint32_t length,
                                  struct segment *g)
{
    bool from_a;
    struct observed *o =
        segment_parse(frame, length, g) ? observed_find(from->sim, g, &from_a) : NULL;
    return o != NULL && !o->is_mixed && o->half[!from_a].has_sent ? &o->half[!from_a] : NULL;
}

bool sim_observe_is_newest(struct sim_host *from, const uint8_t *frame, uint32_t length)
{
    struct segment g;
    const struct half *half = half_of(from, frame, length, &g);
    return half != NULL && half->sent_end == g.seq + g.length;
}

enum sim_place sim_observe_place(struct sim_host *from, const uint8_t *frame, uint32_t length,
                                 uint32_t *end)
{
    struct segment g;
    const struct half *half = half_of(from, frame, length, &g);
    if (half == NULL || is_after(g.seq, half->sent_end))
        return SIM_AHEAD;
    *end = half->sent_end;
    return half->has_ended ? SIM_PAST_THE_END : SIM_OVERTAKEN;
}
