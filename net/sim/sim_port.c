/* The port of a simulated host: truthful about what it claims, wasteful where it helps to find
 * errors. Every frame and every head is an allocation of its own, exactly as long as it is, so that
 * the sanitizers see each byte read or written outside; what is in flight is summed when it is
 * taken and again when it is done. */
#include "net/sim/sim_internal.h"

#include <stdlib.h>

#define PIECE_BYTES 500 /* of a scattered frame */

/* The port is the host's; each queue's state is its core's. */
static struct sim_host *host_of(struct leat_port *port, unsigned queue)
{
    struct sim_host *leader = (struct sim_host *)port;
    return leader->core_count > 1 && queue < leader->core_count ? leader->mates[queue] : leader;
}

/* ---- receiving ---- */

/* A frame has come to a queue that waits for one. */
static void interrupt_raise(struct sim_host *host)
{
    const struct sim_port_options *o = &host->leader->options.port;
    if (!host->is_armed || host->interrupt_ns != UINT64_MAX || host->has_lost_interrupt)
        return;
    bool comes = o->wake == SIM_WAKE_TRUE || o->wake == SIM_WAKE_LATE ||
                 (o->wake == SIM_WAKE_FIRST_QUEUE && host->core_index == 0) ||
                 (o->wake == SIM_WAKE_HALF && sim_chance(host->sim, 500000));
    host->has_lost_interrupt = !comes;
    if (comes)
        host->interrupt_ns = host->sim->now_ns + (o->wake == SIM_WAKE_LATE ? o->wake_late_ns : 0);
}

void sim_port_deliver(struct sim_host *host, const uint8_t *bytes, uint32_t length)
{
    const struct sim_port_options *o = &host->options.port;
    struct sim_arrived *a = malloc(sizeof(*a));
    CHECK(a != NULL);
    *a = (struct sim_arrived){.at_ns = host->sim->now_ns, .length_bytes = length};
    a->bytes = malloc(length);
    CHECK(a->bytes != NULL);
    memcpy(a->bytes, bytes, length);
    if (host->core_count > 1)
        host = sim_cores_receiver(host, a);
    if (o->rx_buffers_max != 0 && host->lent_count + host->arrived_count >= o->rx_buffers_max) {
        host->stats.drops[LEAT_PORT_DROP_RX_NO_BUFFER]++;
        free(a->bytes);
        free(a);
        return;
    }
    *host->arrived_last = a;
    host->arrived_last = &a->next;
    host->arrived_count++;
    interrupt_raise(host);
}

static struct sim_arrived *arrived_pull(struct sim_host *host)
{
    struct sim_arrived *a = host->arrived;
    if (a == NULL)
        return NULL;
    host->arrived = a->next;
    if (host->arrived == NULL)
        host->arrived_last = &host->arrived;
    host->arrived_count--;
    return a;
}

/* What the hardware would say of the transport checksum: looks only at plain IPv4 and IPv6. */
static enum leat_verdict l4_verdict(const uint8_t *frame, uint32_t length)
{
    const struct eth_header *eth = (const void *)frame;
    const struct ipv4_header *ip4 = (const void *)(frame + 14);
    const struct ipv6_header *ip6 = (const void *)(frame + 14);
    struct ip_addr src, dst;
    uint32_t header, bytes;
    uint8_t protocol;
    if (length >= 34 && be16_get(eth->type) == ETHERTYPE_IPV4) {
        header = (ip4->version_ihl & 15u) * 4u;
        bytes = be16_get(ip4->length);
        src = ip_addr_v4(ip4->src);
        dst = ip_addr_v4(ip4->dst);
        protocol = ip4->protocol;
        if ((be16_get(ip4->fragment) & (IPV4_MF | IPV4_OFFSET)) != 0)
            return LEAT_VERDICT_UNKNOWN;
    } else if (length >= 54 && be16_get(eth->type) == ETHERTYPE_IPV6) {
        header = 40;
        bytes = 40u + be16_get(ip6->length);
        src = ip6->src;
        dst = ip6->dst;
        protocol = ip6->next;
    } else {
        return LEAT_VERDICT_UNKNOWN;
    }
    if ((protocol != IP_TCP && protocol != IP_UDP) || bytes < header || bytes + 14 > length)
        return LEAT_VERDICT_UNKNOWN;
    csum sum = csum_pseudo(&src, &dst, protocol, bytes - header);
    sum = csum_add(sum, frame + 14 + header, bytes - header);
    return csum_finish(sum).raw == 0 ? LEAT_VERDICT_GOOD : LEAT_VERDICT_BAD;
}

static enum leat_verdict ip_verdict(const uint8_t *frame, uint32_t length)
{
    const struct eth_header *eth = (const void *)frame;
    const struct ipv4_header *ip = (const void *)(frame + 14);
    if (length < 34 || be16_get(eth->type) != ETHERTYPE_IPV4 ||
        14u + (ip->version_ihl & 15u) * 4u > length)
        return LEAT_VERDICT_UNKNOWN;
    csum sum = csum_add(CSUM_ZERO, ip, (ip->version_ihl & 15u) * 4u);
    return csum_finish(sum).raw == 0 ? LEAT_VERDICT_GOOD : LEAT_VERDICT_BAD;
}

/* What the port says of a frame: what is so, unless it lies. */
static void frame_judge(const struct sim_host *host, struct leat_frame *f)
{
    const struct sim_port_options *o = &host->options.port;
    enum leat_verdict l4 = l4_verdict(f->data, f->length_bytes);
    enum leat_verdict ip = ip_verdict(f->data, f->length_bytes);
    bool lies = (o->lies & (SIM_LIE_RX_GOOD | SIM_LIE_RX_BAD)) != 0;
    enum leat_verdict lie = o->lies & SIM_LIE_RX_GOOD ? LEAT_VERDICT_GOOD : LEAT_VERDICT_BAD;
    if (o->can & LEAT_PORT_CAN_RX_L4_CHECKSUM)
        f->l4_verdict = (uint8_t)(lies && l4 != LEAT_VERDICT_UNKNOWN ? lie : l4);
    if (o->can & LEAT_PORT_CAN_RX_IP_CHECKSUM)
        f->ip_verdict = (uint8_t)(lies && ip != LEAT_VERDICT_UNKNOWN ? lie : ip);
}

/* Bug 19: each queue is one core's, and what one queue gave goes back to it. */
static void check_queue(struct sim_host *host, unsigned queue)
{
    bool is_own = host->leader->core_count > 1
                      ? queue == host->core_index && leat_core_now == host->core
                      : queue == host->queue;
    if (!is_own)
        sim_violation(host->sim, "host %u used queue %u, which is not its own", host->number,
                      queue);
}

/* In pieces of PIECE_BYTES, each a buffer of its own; the first carries the verdicts. */
static unsigned frame_scatter(struct sim_host *host, const struct leat_frame *whole,
                              struct leat_frame *frames)
{
    unsigned count = 0;
    for (uint32_t at = 0; at < whole->length_bytes; at += PIECE_BYTES) {
        uint32_t left = whole->length_bytes - at, part = left < PIECE_BYTES ? left : PIECE_BYTES;
        if (part == left && (host->options.port.lies & SIM_LIE_SCATTER))
            break;
        uint8_t *piece = malloc(part);
        CHECK(piece != NULL);
        memcpy(piece, whole->data + at, part);
        frames[count] = *whole;
        frames[count].data = frames[count].handle = piece;
        frames[count].length_bytes = part;
        frames[count].flags |= part < left ? LEAT_FRAME_MORE : 0;
        count++;
    }
    free(whole->handle);
    return count;
}

static unsigned pieces_of(const struct sim_host *host, const struct sim_arrived *a)
{
    bool scatters = (host->options.port.can & LEAT_PORT_CAN_RX_SCATTER) != 0;
    return scatters ? (a->length_bytes + PIECE_BYTES - 1) / PIECE_BYTES : 1;
}

static unsigned sim_poll(struct leat_port *port, unsigned queue, struct leat_frame *frames,
                         unsigned count)
{
    struct sim_host *host = host_of(port, queue);
    unsigned taken = 0;
    check_queue(host, queue);
    while (host->arrived != NULL && taken < count) {
        unsigned pieces = pieces_of(host, host->arrived);
        if (taken > 0 && taken + pieces > count)
            break;
        struct sim_arrived *a = arrived_pull(host);
        struct leat_frame f = {.data = a->bytes,
                               .handle = a->bytes,
                               .length_bytes = a->length_bytes,
                               .buffer_bytes = 2048,
                               .rss_hash = a->rss_hash,
                               .flags = a->is_hashed ? LEAT_FRAME_HASHED : 0,
                               .queue = (uint8_t)queue};
        frame_judge(host, &f);
        host->stats.rx_count++;
        host->stats.rx_bytes += a->length_bytes;
        frames[taken] = f;
        unsigned given =
            pieces > 1 && pieces <= count ? frame_scatter(host, &f, &frames[taken]) : 1;
        host->lent_count += given;
        taken += given;
        free(a);
    }
    return taken;
}

static void sim_release(struct leat_port *port, unsigned queue, void *const *handles,
                        unsigned count)
{
    struct sim_host *host = host_of(port, queue);
    check_queue(host, queue);
    for (unsigned i = 0; i < count; i++)
        free(handles[i]);
    CHECK(host->lent_count >= count);
    host->lent_count -= count;
}

bool sim_take(struct sim_host *host, struct sim_frame *frame)
{
    struct sim_arrived *a = arrived_pull(host);
    if (a == NULL)
        return false;
    free(host->taken);
    host->taken = a->bytes;
    *frame = (struct sim_frame){a->at_ns, a->length_bytes, a->bytes};
    free(a);
    return true;
}

/* ---- sending ---- */

static unsigned sim_grant(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                          unsigned count)
{
    struct sim_host *host = host_of(port, queue);
    const struct sim_port_options *o = &host->options.port;
    unsigned given = 0;
    check_queue(host, queue);
    if (o->grant_refuse_ppm != 0 && sim_chance(host->sim, o->grant_refuse_ppm)) {
        host->retry_ns = host->sim->now_ns + SIM_RETRY_NS;
        return 0;
    }
    while (given < count && (o->heads_max == 0 || host->head_count < o->heads_max)) {
        packets[given].head = packets[given].handle = malloc(LEAT_PORT_HEAD_BYTES);
        CHECK(packets[given].head != NULL);
        host->head_count++;
        given++;
    }
    return given;
}

static void sim_revoke(struct leat_port *port, unsigned queue, struct leat_packet *packets,
                       unsigned count)
{
    struct sim_host *host = host_of(port, queue);
    check_queue(host, queue);
    for (unsigned i = 0; i < count; i++)
        free(packets[i].handle);
    host->head_count -= count;
}

/* Eight bytes a step: any change of one of them changes the sum. */
static uint64_t sum_bytes(uint64_t sum, const uint8_t *bytes, size_t length)
{
    uint64_t word = 0;
    for (; length >= sizeof(word); bytes += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 32;
    }
    word = length;
    memcpy(&word, bytes, length);
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
}

static uint64_t sum_packet(const struct leat_packet *p)
{
    uint64_t sum = sum_bytes(1, p->head, p->head_bytes);
    for (unsigned k = 0; k < p->slice_count; k++)
        sum = sum_bytes(sum, p->slices[k].data, p->slices[k].length_bytes);
    return sum;
}

static void drop_slice(const struct sim_host *host, struct leat_buf slice)
{
    if (host->options.guest_unref != NULL)
        host->options.guest_unref(slice);
    else
        leat_buf_unref(slice);
}

static void flight_complete(struct sim_host *host, struct sim_flight *f)
{
    if (sum_packet(&f->packet) != f->sum)
        sim_violation(host->sim, "host %u changed a packet while the hardware was reading it",
                      host->number);
    for (unsigned i = 0; i < f->packet.slice_count; i++)
        drop_slice(host, f->packet.slices[i]);
    free(f->packet.handle);
    host->head_count--;
    free(f);
}

static unsigned sim_reclaim(struct leat_port *port, unsigned queue)
{
    struct sim_host *host = host_of(port, queue);
    unsigned left = 0;
    check_queue(host, queue);
    while (host->flights != NULL && host->flights->done_ns <= host->sim->now_ns) {
        struct sim_flight *f = host->flights;
        host->flights = f->next;
        if (host->flights == NULL)
            host->flights_last = &host->flights;
        flight_complete(host, f);
    }
    for (const struct sim_flight *f = host->flights; f != NULL; f = f->next)
        left++;
    return left;
}

/* A checksum that the packet asked the hardware for; p->l4 as on the wire. */
static void finish_checksum(uint8_t *frame, const struct leat_packet *p, uint32_t length)
{
    unsigned before = p->l2_bytes + p->l3_bytes;
    unsigned at = before + (p->flags & LEAT_PACKET_UDP_CHECKSUM ? 6u : 16u);
    be16 sum = csum_finish(csum_add(CSUM_ZERO, frame + before, length - before));
    memcpy(frame + at, &sum, sizeof(sum));
}

static void finish_ip_checksum(uint8_t *frame, const struct leat_packet *p)
{
    be16 sum = {0};
    uint8_t *at = frame + p->l2_bytes + offsetof(struct ipv4_header, checksum);
    memcpy(at, &sum, sizeof(sum));
    sum = csum_finish(csum_add(CSUM_ZERO, frame + p->l2_bytes, p->l3_bytes));
    memcpy(at, &sum, sizeof(sum));
}

/* Bugs 13 to 15: what was right when the segment was built may no longer be when it leaves. */
static void put_on_wire(struct sim_host *host, const uint8_t *frame, uint32_t length)
{
    bool lies = (host->options.port.lies & (SIM_LIE_TX_CHECKSUM | SIM_LIE_TX_IP)) != 0;
    if (!lies && l4_verdict(frame, length) == LEAT_VERDICT_BAD)
        sim_violation(host->sim, "host %u sent a wrong checksum", host->number);
    sim_cores_check_sent(host, frame, length);
    sim_wire_send(host->leader, frame, length);
}

static void send_plain(struct sim_host *host, const struct leat_packet *p, uint8_t *frame,
                       uint32_t length)
{
    uint32_t lies = host->options.port.lies;
    if ((p->flags & (LEAT_PACKET_TCP_CHECKSUM | LEAT_PACKET_UDP_CHECKSUM)) &&
        !(lies & SIM_LIE_TX_CHECKSUM))
        finish_checksum(frame, p, length);
    if ((p->flags & LEAT_PACKET_IP_CHECKSUM) && !(lies & SIM_LIE_TX_IP))
        finish_ip_checksum(frame, p);
    put_on_wire(host, frame, length);
}

/* What TSO hardware does: the header before each segment_bytes of payload, sequence numbers and
 * lengths advanced, FIN and PSH on the last, CWR on the first. */
static void send_segments(struct sim_host *host, const struct leat_packet *p, const uint8_t *bytes,
                          uint32_t length)
{
    uint8_t frame[SIM_FRAME_BYTES];
    uint32_t header = (uint32_t)p->l2_bytes + p->l3_bytes + p->l4_bytes;
    for (uint32_t at = header; at < length; at += p->segment_bytes) {
        uint32_t part = length - at < p->segment_bytes ? length - at : p->segment_bytes;
        memcpy(frame, bytes, header);
        memcpy(frame + header, bytes + at, part);
        struct tcp_header *tcp = (void *)(frame + p->l2_bytes + p->l3_bytes);
        tcp->seq = be32_put(be32_get(tcp->seq) + at - header);
        if (at + part < length)
            tcp->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        if (at > header)
            tcp->flags &= (uint8_t)~TCP_CWR;
        uint16_t ip_length = (uint16_t)(header - p->l2_bytes + part);
        if (p->flags & LEAT_PACKET_IPV4) {
            struct ipv4_header *ip = (void *)(frame + p->l2_bytes);
            ip->length = be16_put(ip_length);
            if (!(host->options.port.lies & SIM_LIE_TX_IP))
                finish_ip_checksum(frame, p);
        } else {
            struct ipv6_header *ip = (void *)(frame + p->l2_bytes);
            ip->length = be16_put((uint16_t)(ip_length - 40));
        }
        /* the seed in the field was taken without the length */
        be32 l4_length = be32_put(p->l4_bytes + part);
        csum sum = csum_add(CSUM_ZERO, &l4_length, 4);
        sum = csum_add(sum, frame + p->l2_bytes + p->l3_bytes, p->l4_bytes + part);
        if (!(host->options.port.lies & SIM_LIE_TX_CHECKSUM))
            tcp->checksum = csum_finish(sum);
        put_on_wire(host, frame, header + part);
    }
}

static void packet_send(struct sim_host *host, const struct leat_packet *p)
{
    uint32_t length = p->head_bytes + p->slice_bytes, at = p->head_bytes;
    uint8_t *bytes = malloc(length);
    CHECK(bytes != NULL);
    memcpy(bytes, p->head, p->head_bytes);
    for (unsigned i = 0; i < p->slice_count; i++) {
        memcpy(bytes + at, p->slices[i].data, p->slices[i].length_bytes);
        at += (uint32_t)p->slices[i].length_bytes;
    }
    if (at != length)
        sim_violation(host->sim, "host %u sent slices of %u bytes and said %u", host->number,
                      at - p->head_bytes, p->slice_bytes);
    else if ((p->flags & LEAT_PACKET_TSO) && !(host->options.port.lies & SIM_LIE_TSO))
        send_segments(host, p, bytes, length);
    else if (p->flags & LEAT_PACKET_TSO)
        ; /* swallowed */
    else if (length > host->leader->port.info.mtu_bytes_max + 18u)
        sim_violation(host->sim, "host %u sent a frame of %u bytes", host->number, length);
    else
        send_plain(host, p, bytes, length);
    free(bytes);
    host->stats.tx_count++;
    host->stats.tx_bytes += length;
}

/* Bug 20: what the stack has committed was taken by the port or waits in the backlog. */
static void check_backlog(struct sim_host *host)
{
    const struct stack *s = host->stack;
    if (s != NULL && s->count.tx_packets != host->stats.tx_count + s->tx.queued)
        sim_violation(host->sim, "host %u committed %llu packets, sent %llu and keeps %u",
                      host->number, (unsigned long long)s->count.tx_packets,
                      (unsigned long long)host->stats.tx_count, s->tx.queued);
}

static unsigned sim_transmit_burst(struct leat_port *port, unsigned queue,
                                   struct leat_packet *packets, unsigned count)
{
    struct sim_host *host = host_of(port, queue);
    const struct sim_port_options *o = &host->options.port;
    check_queue(host, queue);
    check_backlog(host);
    if (o->tx_refuse_ppm != 0 && sim_chance(host->sim, o->tx_refuse_ppm)) {
        count = (unsigned)sim_random_below(host->sim, count);
        host->retry_ns = host->sim->now_ns + SIM_RETRY_NS;
    }
    for (unsigned i = 0; i < count; i++) {
        struct sim_flight *f = malloc(sizeof(*f));
        CHECK(f != NULL);
        *f = (struct sim_flight){.done_ns = host->sim->now_ns + o->completion_ns,
                                 .packet = packets[i]};
        f->sum = sum_packet(&f->packet);
        packet_send(host, &f->packet);
        *host->flights_last = f;
        host->flights_last = &f->next;
    }
    return count;
}

/* When the port alone gives its host something to do. */
uint64_t sim_port_next(const struct sim_host *host)
{
    uint64_t next = host->arrived != NULL ? 0 : UINT64_MAX;
    if (host->is_asleep) /* and does not see what has come */
        next = host->interrupt_ns < host->nap_until_ns ? host->interrupt_ns : host->nap_until_ns;
    if (host->flights != NULL && host->flights->done_ns < next)
        next = host->flights->done_ns;
    return host->retry_ns < next ? host->retry_ns : next;
}

static void sim_arm(struct leat_port *port, unsigned queue, struct leat_port_nap *nap)
{
    struct sim_host *host = host_of(port, queue);
    check_queue(host, queue);
    bool is_claimed = port->info.wake == LEAT_WAKE_INTERRUPT;
    host->is_armed = is_claimed;
    host->has_fired = host->has_lost_interrupt = false;
    host->interrupt_ns = UINT64_MAX;
    *nap = (struct leat_port_nap){host->arrived != NULL, -1, UINT64_MAX, is_claimed};
}

static bool sim_disarm(struct leat_port *port, unsigned queue)
{
    struct sim_host *host = host_of(port, queue);
    check_queue(host, queue);
    host->is_armed = false;
    return host->has_fired;
}

static void sim_get_link(struct leat_port *port, struct leat_link *link)
{
    *link = (struct leat_link){.up = !host_of(port, 0)->options.link.down};
}

static void sim_stats(struct leat_port *port, unsigned queue, struct leat_port_stats *stats)
{
    struct sim_host *host = host_of(port, queue);
    check_queue(host, queue);
    *stats = host->stats;
    stats->rx_held_count = host->lent_count;
    stats->tx_held_count = host->head_count;
}

static void sim_close(struct leat_port *port)
{
    (void)port;
}

void sim_port_fini(struct sim_host *host)
{
    struct sim_arrived *a;
    while ((a = arrived_pull(host)) != NULL) {
        free(a->bytes);
        free(a);
    }
    while (host->flights != NULL) {
        struct sim_flight *f = host->flights;
        host->flights = f->next;
        flight_complete(host, f);
    }
    host->flights_last = &host->flights;
    free(host->taken);
    host->taken = NULL;
}

const struct leat_port_ops sim_port_ops = {
    .poll = sim_poll,
    .release = sim_release,
    .grant = sim_grant,
    .transmit = sim_transmit_burst,
    .revoke = sim_revoke,
    .reclaim = sim_reclaim,
    .arm = sim_arm,
    .disarm = sim_disarm,
    .link = sim_get_link,
    .stats = sim_stats,
    .close = sim_close,
};
