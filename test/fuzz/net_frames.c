/* Frames, application calls and time against live connections, in the simulated world. The input is
 * a program: one byte of setup, then steps of an opcode and its arguments. The peer is a puppet
 * that knows what it has sent and heard, so that a step can say "at the right edge, minus one".
 *
 * After each step the connections are validated and counted anew; payload is a function of its
 * sequence number, so every byte that arrives at either end is checked where it arrives. At the end
 * everything is closed, an hour passes, and nothing may be left. */
#include <stdio.h>
#include <stdlib.h>

#include <leat/conn.h>

#include "net/stack/tcp/tcp.h"
#include "test/fuzz/net_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes);

#define STEPS_MAX       160
#define FRAMES_STEP_MAX 20000 /* sent in one step: more is no bounded work */
#define SEND_MAX        60000

/* ---- input ---- */

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t take(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static uint32_t take16(struct input *in)
{
    uint32_t high = take(in);
    return high << 8 | take(in);
}

static int32_t take_delta(struct input *in)
{
    uint8_t x = take(in);
    if (x < 0xf0)
        return (int8_t)(x < 0x78 ? x : 0x77 - x);
    static const int32_t far[16] = {127,   -127,   536,     -536,       1448,      -1448,
                                    65535, -65535, 1 << 20, -(1 << 20), INT32_MAX, INT32_MIN,
                                    30000, -30000, 1 << 30, -(1 << 30)};
    return far[x & 15];
}

/* ---- the peer's steps ---- */

static uint8_t segment_options(struct world *w, const struct flow *f, struct input *in, uint8_t *to)
{
    uint8_t kind = take(in), n = 0;
    if ((kind & 1) && f->uses_ts) {
        static const int32_t moves[4] = {0, 1, -1, INT32_MAX};
        n = world_timestamp(w, to, w->ts_value + (uint32_t)moves[kind >> 1 & 3], f->ts_recent);
    }
    if (kind & 8) { /* SACK, at edges near what was sent */
        unsigned blocks = 1 + (kind >> 4 & 3);
        while (n + 4u + 8u * blocks > 40)
            blocks--;
        memcpy(to + n, (const uint8_t[]){1, 1, 5, (uint8_t)(2 + 8 * blocks)}, 4);
        n = (uint8_t)(n + 4);
        for (unsigned i = 0; i < 2 * blocks; i++, n = (uint8_t)(n + 4)) {
            uint32_t from = i % 2 == 0 ? f->host_una + take(in) * 64u : f->host_nxt;
            be32 edge = be32_put(i % 2 == 0 ? from : from - take(in) * 64u);
            memcpy(to + n, &edge, 4);
        }
    } else if (kind & 64) { /* whatever the input says */
        uint8_t more = (uint8_t)(take(in) % 6 * 4);
        if (n + more > 40)
            more = 0;
        for (uint8_t i = 0; i < more; i++)
            to[n + i] = take(in);
        n = (uint8_t)(n + more);
    }
    return n;
}

static uint32_t base_of(const struct flow *f, uint8_t which)
{
    switch (which & 7) {
    case 0:
    case 1:
        return f->nxt;
    case 2:
        return f->una;
    case 3:
        return f->edge;
    case 4:
        return f->iss;
    case 5:
        return f->una + (f->edge - f->una) / 2;
    case 6:
        return f->una + 1448;
    default:
        return f->nxt - 1;
    }
}

static uint32_t length_of(uint8_t x)
{
    static const uint32_t lengths[16] = {0,   1,    2,    8,    100,  535,  536,  537,
                                         900, 1200, 1428, 1440, 1448, 1460, 1000, 20};
    return lengths[x & 15];
}

/* Any segment: the general case. */
static void step_segment(struct world *w, struct input *in)
{
    struct flow *f = &w->flows[take(in) % FLOWS];
    uint8_t bases = take(in), flags = take(in), shape = take(in);
    uint8_t options[40];
    struct peer_segment g = {.flags = flags};
    g.seq = base_of(f, bases) + (uint32_t)take_delta(in);
    uint32_t acks[4] = {f->host_nxt, f->host_una, f->host_iss + 1, f->host_nxt};
    g.ack = acks[bases >> 3 & 3] + (uint32_t)take_delta(in);
    g.length = length_of(shape);
    g.window = (uint16_t)(take(in) * 257u);
    if (flags & TCP_SYN)
        g.option_bytes = world_syn_options(w, f, take(in), options);
    else
        g.option_bytes = segment_options(w, f, in, options);
    g.options = options;
    world_segment(w, f, &g);
}

/* A well-formed handshake from the peer, unless a connection is there. */
static void step_open(struct world *w, struct input *in)
{
    struct flow *f = &w->flows[take(in) % FLOWS_PASSIVE];
    uint8_t options[40];
    struct peer_segment g = {.flags = TCP_SYN, .window = 65535, .options = options};
    f->iss += 0x10000000u + take(in) * 0x00ffff01u; /* across both wraps, sooner or later */
    f->nxt = f->una = f->edge = f->sent_max = f->iss;
    g.seq = f->iss;
    g.option_bytes = world_syn_options(w, f, take(in), options);
    f->host_known = false;
    world_segment(w, f, &g);
    world_run(w, 0);
    if (!f->host_known)
        return;
    world_answer(w, f, TCP_ACK, 0);
}

/* The peer's SYN-ACK to a SYN of the host, well-formed. */
static void step_accept(struct world *w, struct input *in)
{
    struct flow *f = &w->flows[FLOWS_PASSIVE + take(in) % (FLOWS - FLOWS_PASSIVE)];
    uint8_t options[40], flags = take(in);
    if (!f->host_known)
        return;
    struct peer_segment g = {.flags = TCP_SYN | TCP_ACK, .window = 65535, .options = options};
    if (flags & 1)
        g.flags = TCP_SYN; /* simultaneous open */
    f->iss += 0x10000001u;
    f->nxt = f->una = f->edge = f->sent_max = f->iss;
    f->is_wild = f->has_spoken;
    g.seq = f->iss;
    g.ack = f->host_nxt;
    g.length = flags & 2 ? length_of(flags >> 4) : 0;
    g.option_bytes = world_syn_options(w, f, take(in), options);
    world_segment(w, f, &g);
}

/* In order, as it should be. */
static void step_talk(struct world *w, struct input *in)
{
    uint8_t x = take(in), shape = take(in);
    struct flow *f = &w->flows[x % FLOWS];
    if (!f->host_known)
        return;
    w->window = (uint16_t)((shape >> 4) * 4369u);
    world_answer(w, f, (uint8_t)(TCP_ACK | (x & 0x80 ? TCP_FIN : 0)), length_of(shape));
}

/* The last frame again, changed: header bytes, cut, with the checksums right or not. */
static void step_mutate(struct world *w, struct input *in)
{
    uint8_t x = take(in), n = x & 3;
    struct frame f = w->last;
    if (f.length < 15)
        return;
    for (unsigned i = 0; i <= n; i++) {
        size_t at = 14 + take(in) % (f.length - 14 < 96 ? f.length - 14 : 96);
        f.bytes[at] ^= take(in);
    }
    if (x & 4)
        f.length = 14 + take16(in) % (f.length - 13);
    if (x & 8) {
        frame_mend(&f);
        w->is_tainted = true;
    }
    w->is_tainted |= f.length > 0 && !(x & 8); /* a sum may come out right by chance */
    sim_transmit(w->peer, f.bytes, f.length);
}

static void step_icmp(struct world *w, struct input *in)
{
    uint8_t type = take(in), code = take(in), x = take(in);
    static const uint8_t v4[8] = {3, 3, 3, 11, 12, 4, 5, 3}, v6[8] = {1, 2, 2, 3, 4, 1, 2, 137};
    uint8_t message[8 + 128] = {(w->v6 ? v6 : v4)[type & 7], (uint8_t)(code & 7)};
    struct frame f;
    size_t quote = w->heard.length < 14 ? 0 : w->heard.length - 14;
    if (type & 8)
        message[0] = code;
    be32 mtu = be32_put(take16(in));
    memcpy(message + 4, &mtu, 4);
    quote = quote > 128 ? 128 : quote;
    if (x & 1)
        quote = x >> 1 < quote ? x >> 1 : quote;
    memcpy(message + 8, w->heard.bytes + 14, quote);
    if (x & 2 && quote > 0)
        message[8 + take(in) % quote] ^= take(in);
    icmp_sum(message, 8 + quote, &w->ends);
    frame_ip(&f, &w->ends, w->v6 ? IP_ICMPV6 : IP_ICMP, message, 8 + quote);
    sim_transmit(w->peer, f.bytes, f.length);
}

static void step_raw(struct world *w, struct input *in)
{
    uint8_t x = take(in);
    struct frame f;
    static const uint16_t types[4] = {ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_ARP,
                                      ETHERTYPE_VLAN};
    frame_eth(&f, &w->ends, types[x & 3]);
    for (size_t n = take(in); n > 0 && in->left > 0; n--)
        f.bytes[f.length++] = take(in);
    if (x & 4)
        frame_mend(&f);
    w->is_tainted = true;
    sim_transmit(w->peer, f.bytes, f.length);
}

static void step_port(struct world *w, struct input *in)
{
    struct sim_port_options *o = sim_port(w->host);
    uint8_t x = take(in), y = take(in);
    o->tx_refuse_ppm = x & 1 ? y * 3900u : 0;
    o->grant_refuse_ppm = x & 2 ? y * 3900u : 0;
    o->heads_max = x & 4 ? 33u + y : 0;
    o->rx_buffers_max = x & 8 ? 1u + y : 0;
    o->completion_ns = x & 16 ? y * 10 * LEAT_NS_PER_MS : 0;
    w->is_mute = (x & 32) != 0;
}

static void step_udp(struct world *w, struct input *in, bool is_call)
{
    uint8_t x = take(in);
    uint16_t argument = (uint16_t)take16(in);
    if (!is_call) {
        world_datagram(w, x, argument);
        return;
    }
    sim_enter(w->host);
    world_udp_call(w, x, argument);
    sim_leave(w->host);
}

static void step_time(struct world *w, struct input *in)
{
    static const uint32_t ms[16] = {0,   1,    2,    10,   25,    40,    41,    200,
                                    201, 1000, 1001, 3000, 10000, 30000, 61000, 120000};
    world_run(w, ms[take(in) & 15] * LEAT_NS_PER_MS);
}

static void step(struct world *w, struct input *in)
{
    uint8_t op = take(in);
    uint64_t frames = sim_frame_count(w->sim);
    switch (op & 15) {
    case 0:
    case 1:
    case 2:
        step_segment(w, in);
        break;
    case 3:
        step_open(w, in);
        break;
    case 4:
        step_accept(w, in);
        break;
    case 5:
    case 6:
        step_talk(w, in);
        break;
    case 7:
        step_mutate(w, in);
        break;
    case 8:
        step_icmp(w, in);
        break;
    case 9:
        step_raw(w, in);
        break;
    case 10:
        step_port(w, in);
        break;
    case 11:
        step_time(w, in);
        break;
    case 12:
        w->cut = 8u * (1u + take(in) % 32u);
        w->cut_shape = take(in);
        break;
    case 13:
        world_react(w, take(in), take(in));
        break;
    default:
        if (op & 0x40)
            step_udp(w, in, op & 1);
        else
            world_call(w, take(in), take(in), take16(in) % SEND_MAX);
    }
    if (!(op & 0x80)) /* else the next step belongs to the same burst */
        world_run(w, 0);
    if (sim_frame_count(w->sim) - frames > FRAMES_STEP_MAX)
        sim_violation(w->sim, "a step made %llu frames",
                      (unsigned long long)(sim_frame_count(w->sim) - frames));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length_bytes)
{
    struct input in = {data, length_bytes};
    struct world *w = world_new(take(&in), take(&in));
    for (unsigned i = 0; i < STEPS_MAX && in.left > 0 && sim_violation_count(w->sim) == 0; i++)
        step(w, &in);
    world_free(w);
    return 0;
}
