/* What the peer hears, and what must hold. */
#include "net/stack/tcp/tcp.h"
#include "test/fuzz/net_world.h"

uint8_t world_byte(uint32_t seq)
{
    return (uint8_t)(seq * 7 + (seq >> 8));
}

/* ---- mending ---- */

static void mend_l4(struct frame *f, size_t at, size_t length, uint8_t protocol,
                    const struct ip_addr *src, const struct ip_addr *dst)
{
    size_t field = protocol == IP_TCP ? 16 : protocol == IP_UDP ? 6 : 2;
    if (length < field + 2)
        return;
    be16 sum = {0};
    memcpy(f->bytes + at + field, &sum, 2);
    csum c = protocol == IP_ICMP ? CSUM_ZERO : csum_pseudo(src, dst, protocol, (uint32_t)length);
    sum = csum_finish(csum_add(c, f->bytes + at, length));
    memcpy(f->bytes + at + field, &sum, 2);
}

void frame_mend(struct frame *f)
{
    struct ipv4_header *ip4 = (void *)(f->bytes + 14);
    struct ipv6_header *ip6 = (void *)(f->bytes + 14);
    const struct eth_header *eth = (const void *)f->bytes;
    if (be16_get(eth->type) == ETHERTYPE_IPV4 && f->length >= 34) {
        size_t header = (ip4->version_ihl & 15u) * 4u;
        if (header < 20 || 14 + header > f->length)
            return;
        struct ip_addr src = ip_addr_v4(ip4->src), dst = ip_addr_v4(ip4->dst);
        ip4->length = be16_put((uint16_t)(f->length - 14));
        ip4->checksum = (be16){0};
        ip4->checksum = csum_finish(csum_add(CSUM_ZERO, ip4, header));
        mend_l4(f, 14 + header, f->length - 14 - header, ip4->protocol, &src, &dst);
    } else if (be16_get(eth->type) == ETHERTYPE_IPV6 && f->length >= 54) {
        struct ip_addr src = ip6->src, dst = ip6->dst;
        ip6->length = be16_put((uint16_t)(f->length - 54));
        mend_l4(f, 54, f->length - 54, ip6->next, &src, &dst);
    }
}

/* ---- hearing ---- */

static void answer_neighbour(struct world *w, const struct sim_frame *in)
{
    struct frame f;
    if (w->is_mute)
        return;
    if (is_type(in, ETHERTYPE_ARP)) {
        const struct arp_packet *arp = (const void *)(in->bytes + 14);
        if (be16_get(arp->operation) != ARP_REQUEST ||
            arp->target_ip.raw != ip_addr_get_v4(&w->ends.peer).raw)
            return;
        frame_arp(&f, ARP_REPLY, &w->ends);
    } else {
        uint8_t na[32] = {ND_ADVERT, [4] = 0x60};
        const struct nd_neighbour *ns = payload_of(in);
        if (ip6_of(in)->next != IP_ICMPV6 || ns->icmp.type != ND_SOLICIT ||
            !ip_addr_equal(&ns->target, &w->ends.peer))
            return;
        memcpy(na + 8, w->ends.peer.b, 16);
        na[24] = ND_OPTION_TARGET_MAC;
        na[25] = 1;
        memcpy(na + 26, w->ends.peer_mac.b, 6);
        icmp_sum(na, sizeof(na), &w->ends);
        frame_ip(&f, &w->ends, IP_ICMPV6, na, sizeof(na));
    }
    sim_transmit(w->peer, f.bytes, f.length);
}

static struct flow *flow_of(struct world *w, const struct tcp_header *h)
{
    uint16_t peer = be16_get(h->dst_port), host = be16_get(h->src_port);
    for (unsigned i = 0; i < FLOWS; i++) {
        struct flow *f = &w->flows[i];
        if (f->peer_port != peer)
            continue;
        if (i >= FLOWS_PASSIVE && (h->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
            f->host_port = host;
        return f->host_port == host ? f : NULL;
    }
    return NULL;
}

static void hear_syn(struct flow *f, const struct tcp_header *h)
{
    uint32_t seq = be32_get(h->seq);
    if (f->host_known && f->host_iss == seq)
        return;
    f->host_known = true;
    f->host_iss = f->host_una = seq;
    f->host_nxt = seq + 1;
    f->has_promised = false;
    f->is_wild = true; /* what was said to its predecessor may count as said to it */
    if (h->flags & TCP_ACK) {
        f->una = f->edge = be32_get(h->ack);
        f->is_wild = f->sent_max - f->una > UINT32_C(1) << 24;
    }
}

static void hear_payload(struct world *w, struct flow *f, const struct tcp_header *h,
                         const uint8_t *bytes, uint32_t length)
{
    uint32_t seq = be32_get(h->seq), end = seq + length;
    for (uint32_t i = 0; i < length && !w->is_tainted; i++)
        if (bytes[i] != world_byte(seq + i)) {
            sim_violation(w->sim, "port %u: byte %u of a segment of %u is wrong", f->peer_port, i,
                          length);
            break;
        }
    if (f->has_promised && !f->is_wild && !w->is_tainted && length > 0 &&
        (int32_t)(end - f->promised) > 0)
        sim_violation(w->sim, "port %u: %u bytes beyond the window", f->peer_port,
                      end - f->promised);
    end += (h->flags & TCP_FIN) != 0;
    if ((int32_t)(end - f->host_nxt) > 0)
        f->host_nxt = end;
}

static void hear_ack(struct world *w, struct flow *f, const struct tcp_header *h)
{
    uint32_t ack = be32_get(h->ack), window = be16_get(h->window);
    if (!f->is_wild && !w->is_tainted && (int32_t)(ack - f->sent_max) > 0)
        sim_violation(w->sim, "port %u: acknowledges %u bytes that were never sent", f->peer_port,
                      ack - f->sent_max);
    if ((int32_t)(ack - f->una) > 0)
        f->una = ack;
    uint32_t edge = ack + (window << (h->flags & TCP_SYN ? 0 : f->host_scale));
    if ((int32_t)(edge - f->edge) > 0)
        f->edge = edge;
}

static void hear_tcp(struct world *w, const struct sim_frame *in)
{
    const struct tcp_header *h = payload_of(in);
    uint32_t total = w->v6 ? be16_get(ip6_of(in)->length) : be16_get(ip4_of(in)->length) - 20u;
    uint32_t header = (h->offset >> 4) * 4u;
    struct flow *f = flow_of(w, h);
    csum sum = csum_pseudo(&w->ends.host, &w->ends.peer, IP_TCP, total);
    if (csum_finish(csum_add(sum, h, total)).raw != 0 || header < 20 || header > total)
        sim_violation(w->sim, "the host sent a broken segment");
    memcpy(w->heard.bytes, in->bytes, in->length_bytes);
    w->heard.length = in->length_bytes;
    struct tcp_segment g = {.flags = h->flags,
                            .options = (const uint8_t *)(h + 1),
                            .option_bytes = (uint8_t)(header - 20)};
    if (!tcp_parse_options(&g))
        sim_violation(w->sim, "the host sent broken options");
    if (f == NULL || (h->flags & TCP_RST))
        return;
    if (h->flags & TCP_SYN) {
        hear_syn(f, h);
        f->host_scale = g.has_scale && f->scale != 0 ? g.scale : 0;
    }
    if (!f->host_known)
        return;
    if (g.has_ts)
        f->ts_recent = g.ts_value;
    hear_payload(w, f, h, (const uint8_t *)h + header, total - header);
    if (h->flags & TCP_ACK)
        hear_ack(w, f, h);
}

void world_hear(struct world *w)
{
    struct sim_frame in;
    while (sim_take(w->peer, &in)) {
        bool v4 = is_type(&in, ETHERTYPE_IPV4), v6 = is_type(&in, ETHERTYPE_IPV6);
        if ((v4 && !w->v6 && ip4_of(&in)->protocol == IP_TCP) ||
            (v6 && w->v6 && ip6_of(&in)->next == IP_TCP))
            hear_tcp(w, &in);
        else if (!v4)
            answer_neighbour(w, &in);
    }
}

/* ---- invariants ---- */

struct recount {
    uint32_t conns, works, chunks, sents;
};

static void check_conn(struct world *w, struct stack_tcp *t, struct tcp_conn *c, struct recount *n)
{
    struct tcp_work *work = c->work;
    n->conns += c->state != TCP_CLOSED;
    if (c->state == TCP_CLOSED || (c->state < TCP_ESTABLISHED && work == NULL))
        return;
    tcp_validate(t, c);
    uint32_t rx = work != NULL ? work->rx_bytes : 0;
    uint64_t charged = (uint64_t)c->held_bytes + rx;
    if (c->state >= TCP_ESTABLISHED)
        charged += seq_span(c->rcv_nxt, c->rcv_edge);
    if (charged > (uint64_t)c->receive_max + (1u << c->rcv_scale) && charged > 1)
        sim_violation(w->sim, "port %u: %u bytes held, %u received, %u promised; %u allowed",
                      be16_get(c->remote_port), c->held_bytes, rx,
                      seq_span(c->rcv_nxt, c->rcv_edge), c->receive_max);
    if (work == NULL)
        return;
    n->works++;
    n->sents += work->sent_count;
    for (const struct tcp_chunk *k = work->send_first; k != NULL; k = k->next)
        n->chunks++;
    if (work->rare.ooo_count > TCP_OOO_RANGES_MAX || work->sent_count > TCP_SENT_RANGES_MAX + 66)
        sim_violation(w->sim, "%u ranges out of order, %u sent", work->rare.ooo_count,
                      work->sent_count);
    if (c->mss < 8 || c->cwnd == 0)
        sim_violation(w->sim, "an MSS of %u, a congestion window of %u", c->mss, c->cwnd);
}

void world_check(struct world *w)
{
    struct stack_tcp *t = sim_stack(w->host)->tcp;
    struct recount n = {0};
    sim_enter_quietly(w->host);
    for (uint32_t i = 0; i < t->conns.unused; i++) {
        struct tcp_conn *c = slots_at(&t->conns, i);
        if (c != NULL)
            check_conn(w, t, c, &n);
    }
    sim_leave_quietly(w->host);
    if (n.sents != t->sents.live_count || n.chunks != t->chunks.live_count ||
        n.works > t->works.live_count)
        sim_violation(w->sim, "%u ranges, %u chunks, %u works counted; %u, %u, %u taken", n.sents,
                      n.chunks, n.works, t->sents.live_count, t->chunks.live_count,
                      t->works.live_count);
    if (t->table.count != n.conns + t->embryo_count + t->time_wait_count)
        sim_violation(w->sim, "the table holds %u of %u connections, %u embryos, %u TIME_WAIT",
                      t->table.count, n.conns, t->embryo_count, t->time_wait_count);
}
