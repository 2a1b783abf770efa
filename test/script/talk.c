#include "test/script/talk.h"

#include <stdio.h>
#include <stdlib.h>

#define PEER_PORT    5000
#define PEER_ISS     1000
#define NEIGHBOUR_MS 20000 /* for so long the host believes its neighbour's address */

uint8_t talk_byte(uint64_t at)
{
    return (uint8_t)(at * 7 + (at >> 8));
}

/* ---- the application ---- */

static void on_open(leat_conn conn, void *user)
{
    struct talk *t = user;
    t->conn = conn;
    t->opens++;
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct talk *t = user;
    (void)conn;
    for (unsigned i = 0; i < count; i++)
        for (size_t k = 0; k < slices[i].length_bytes; k++)
            t->bytes_wrong |= slices[i].data[k] != talk_byte(++t->received);
}

static void on_writable(leat_conn conn, void *user)
{
    (void)conn;
    ((struct talk *)user)->writables++;
}

static void on_end(leat_conn conn, void *user)
{
    (void)conn;
    ((struct talk *)user)->ends_seen++;
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct talk *t = user;
    (void)conn;
    t->closes++;
    t->reason = reason;
}

static const struct leat_conn_ops ops = {on_open, on_data, on_writable, on_end, on_close};

void app_send(struct talk *t, uint64_t from, size_t length)
{
    sim_enter(t->host);
    struct leat_buf buf = leat_buf_alloc_unsafe(length);
    for (size_t i = 0; i < length; i++)
        buf.data[i] = talk_byte(from + i);
    int result = leat_conn_send(t->conn, &buf, 1);
    sim_leave(t->host);
    assert_true(result >= 0);
    pass(t, 1);
}

void app_end(struct talk *t)
{
    sim_enter(t->host);
    assert_int_equal(leat_conn_end(t->conn), 0);
    sim_leave(t->host);
    pass(t, 1);
}

void app_close(struct talk *t)
{
    sim_enter(t->host);
    assert_int_equal(leat_conn_close(t->conn), 0);
    sim_leave(t->host);
    pass(t, 1);
}

void app_abort(struct talk *t)
{
    sim_enter(t->host);
    assert_int_equal(leat_conn_abort(t->conn), 0);
    sim_leave(t->host);
    pass(t, 1);
}

void app_pause(struct talk *t, bool paused)
{
    sim_enter(t->host);
    assert_int_equal(paused ? leat_conn_pause(t->conn) : leat_conn_resume(t->conn), 0);
    sim_leave(t->host);
    pass(t, 1);
}

struct tcp_conn *conn_of(struct talk *t)
{
    return slots_find(&sim_stack(t->host)->tcp->conns, t->conn.id);
}

uint64_t dropped(struct talk *t, enum stack_drop drop)
{
    return sim_stack(t->host)->count.drops[drop];
}

/* ---- the world ---- */

static void introduce(struct talk *t)
{
    sim_run_for(t->sim, 5 * LEAT_NS_PER_S); /* announcements */
    sim_enter_quietly(t->host);
    neighbour_learn(sim_stack(t->host), &t->ends.peer, &t->ends.peer_mac, NEIGHBOUR_MAKE);
    sim_leave_quietly(t->host);
    neighbour_answer(sim_stack(t->host), &t->ends.peer, &t->ends.peer_mac,
                     NEIGHBOUR_SOLICITED | NEIGHBOUR_OVERRIDE);
    forget(t);
}

static struct talk *begin(const struct talk_options *options)
{
    static const struct talk_options none;
    struct talk *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->o = options != NULL ? *options : none;
    t->sim = sim_new(1, NULL, NULL);
    struct sim_host_options host = {.kind = SIM_STACK,
                                    .mtu_bytes = t->o.mtu_bytes,
                                    .port.can = t->o.can,
                                    .ecn = t->o.ecn};
    t->host = sim_add_host(t->sim, &host);
    t->peer = sim_add_host(t->sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    t->ends = ends_of(t->host, t->peer, t->o.v6);
    t->peer_port = PEER_PORT;
    t->host_port = 80;
    t->peer_iss = PEER_ISS;
    t->window = t->o.window != 0 ? t->o.window : 65535;
    t->ts_value = 77;
    introduce(t);
    return t;
}

struct talk *talk_listen(const struct talk_options *options)
{
    struct talk *t = begin(options);
    struct leat_addr at = sim_addr(t->host, t->o.v6, 80);
    struct leat_listen_options listen = {.conn = t->o.conn};
    sim_enter(t->host);
    assert_int_equal(leat_listen(sim_loop(t->host), &at, &listen, &ops, t, &t->listener), 0);
    sim_leave(t->host);
    return t;
}

struct talk *talk_connect(const struct talk_options *options)
{
    struct talk *t = begin(options);
    struct leat_addr to = sim_addr(t->peer, t->o.v6, PEER_PORT), local;
    sim_enter(t->host);
    assert_int_equal(leat_connect(sim_loop(t->host), &to, NULL, &t->o.conn, &ops, t, &t->conn), 0);
    assert_int_equal(leat_conn_local(t->conn, &local), 0);
    sim_leave(t->host);
    t->host_port = local.port;
    pass(t, 1);
    return t;
}

struct talk *talk_open(const struct talk_options *options)
{
    struct talk *t = talk_listen(options);
    say(t, "S", 0, 0, 0);
    hear(t, "SA", 0, 1, 0);
    say(t, "A", 1, 1, 0);
    assert_int_equal(t->opens, 1);
    return t;
}

void talk_end(struct talk *t)
{
    assert_false(t->bytes_wrong);
    assert_true(t->closes <= 1);
    assert_string_equal(sim_violation_sentence(t->sim), "");
    assert_int_equal(sim_free(t->sim), 0);
    free(t);
}

/* The peer answers what the host asks about its address. */
static void keep_neighbour(struct talk *t)
{
    sim_enter_quietly(t->host);
    sim_stack(t->host)->now_ns = sim_now(t->sim); /* the host may sleep since long ago */
    neighbour_learn(sim_stack(t->host), &t->ends.peer, &t->ends.peer_mac, NEIGHBOUR_MAKE);
    neighbour_answer(sim_stack(t->host), &t->ends.peer, &t->ends.peer_mac,
                     NEIGHBOUR_SOLICITED | NEIGHBOUR_OVERRIDE);
    sim_leave_quietly(t->host);
}

void pass(struct talk *t, uint64_t ms)
{
    while (ms > 0) {
        uint64_t part = ms < NEIGHBOUR_MS ? ms : NEIGHBOUR_MS;
        sim_run_for(t->sim, part * LEAT_NS_PER_MS);
        keep_neighbour(t);
        ms -= part;
    }
    struct tcp_conn *c = conn_of(t);
    if (c != NULL && c->state != TCP_CLOSED) {
        sim_enter_quietly(t->host);
        tcp_validate(sim_stack(t->host)->tcp, c);
        sim_leave_quietly(t->host);
    }
}

/* ---- saying ---- */

static uint8_t flags_of(const char *text)
{
    uint8_t flags = 0;
    static const char letters[] = "FSRPAUEC";
    for (; *text != 0; text++)
        flags |= (uint8_t)(1u << (strchr(letters, *text) - letters));
    return flags;
}

static void transmit(struct talk *t, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t length,
                     const uint8_t *options, unsigned option_bytes)
{
    uint8_t segment[SIM_FRAME_BYTES];
    struct frame f;
    struct tcp_header h = {.src_port = be16_put(t->peer_port),
                           .dst_port = be16_put(t->host_port),
                           .seq = be32_put(t->peer_iss + seq),
                           .ack = be32_put(flags & TCP_ACK ? t->host_iss + ack : 0),
                           .offset = (uint8_t)(((20 + option_bytes) / 4 + t->offset_bias) << 4),
                           .flags = flags,
                           .window = be16_put(t->window)};
    memcpy(segment, &h, sizeof(h));
    memcpy(segment + 20, options, option_bytes);
    for (uint32_t i = 0; i < length; i++)
        segment[20 + option_bytes + i] = talk_byte(seq + i);
    uint32_t total = 20 + option_bytes + length;
    csum sum = csum_pseudo(&t->ends.peer, &t->ends.host, IP_TCP, total);
    h.checksum = csum_finish(csum_add(sum, segment, total));
    memcpy(segment, &h, sizeof(h));
    frame_ip(&f, &t->ends, IP_TCP, segment, total);
    frame_set_ecn(&f, &t->ends, t->ecn);
    sim_transmit(t->peer, f.bytes, f.length);
    if (!t->holds)
        pass(t, 1);
}

static unsigned own_options(struct talk *t, uint8_t flags, uint8_t *to)
{
    unsigned n = 0;
    if (flags & TCP_SYN)
        n = tcp_write_syn_options(to, t->o.mss != 0 ? t->o.mss : 1460, t->o.no_scale ? -1 : 7,
                                  !t->o.no_sack, !t->o.no_ts, t->ts_value, t->ts_echo);
    else if (t->uses_ts) {
        be32 value = be32_put(t->ts_value), echo = be32_put(t->ts_echo);
        memcpy(to, (const uint8_t[]){1, 1, 8, 10}, 4);
        memcpy(to + 4, &value, 4);
        memcpy(to + 8, &echo, 4);
        n = 12;
    }
    t->ts_value++;
    return n;
}

void say(struct talk *t, const char *flags, uint32_t seq, uint32_t ack, uint32_t length)
{
    uint8_t options[40], bits = flags_of(flags);
    unsigned n = own_options(t, bits, options);
    transmit(t, bits, seq, ack, length, options, n);
}

void say_sack(struct talk *t, uint32_t seq, uint32_t ack, unsigned blocks, const uint32_t *edges)
{
    uint8_t options[40];
    unsigned n = own_options(t, TCP_ACK, options);
    memcpy(options + n, (const uint8_t[]){1, 1, 5, (uint8_t)(2 + 8 * blocks)}, 4);
    n += 4;
    for (unsigned i = 0; i < 2 * blocks; i++, n += 4) {
        be32 edge = be32_put(t->host_iss + edges[i]);
        memcpy(options + n, &edge, 4);
    }
    transmit(t, TCP_ACK, seq, ack, 0, options, n);
}

void say_raw(struct talk *t, const char *flags, uint32_t seq, uint32_t ack, const uint8_t *options,
             unsigned option_bytes)
{
    transmit(t, flags_of(flags), seq, ack, 0, options, option_bytes);
}

void say_icmp(struct talk *t, uint8_t type, uint8_t code, uint32_t rest, uint32_t seq)
{
    struct ends back = {.peer = t->ends.host, .host = t->ends.peer};
    struct tcp_header h = {.src_port = be16_put(t->host_port),
                           .dst_port = be16_put(t->peer_port),
                           .seq = be32_put(t->host_iss + seq)};
    struct icmp_header icmp = {.type = type, .code = code, .rest = be32_put(rest)};
    struct frame quoted, f;
    uint8_t message[128];
    frame_ip(&quoted, &back, IP_TCP, &h, 8);
    size_t quote = quoted.length - 14;
    memcpy(message, &icmp, sizeof(icmp));
    memcpy(message + sizeof(icmp), quoted.bytes + 14, quote);
    icmp_sum(message, sizeof(icmp) + quote, &t->ends);
    frame_ip(&f, &t->ends, t->o.v6 ? IP_ICMPV6 : IP_ICMP, message, sizeof(icmp) + quote);
    sim_transmit(t->peer, f.bytes, f.length);
    pass(t, 1);
}

/* ---- hearing ---- */

static bool next_segment(struct talk *t, struct sim_frame *f, const struct tcp_header **h,
                         uint32_t *length)
{
    while (sim_take(t->peer, f)) {
        bool v4 = is_type(f, ETHERTYPE_IPV4), v6 = is_type(f, ETHERTYPE_IPV6);
        if ((v4 && ip4_of(f)->protocol == IP_TCP) || (v6 && ip6_of(f)->next == IP_TCP)) {
            *h = payload_of(f);
            *length = v4 ? be16_get(ip4_of(f)->length) - 20u : be16_get(ip6_of(f)->length);
            csum sum = csum_pseudo(&t->ends.host, &t->ends.peer, IP_TCP, *length);
            assert_int_equal(csum_finish(csum_add(sum, *h, *length)).raw, 0);
            return true;
        }
    }
    return false;
}

static void describe(char *to, size_t room, const struct heard *x)
{
    char flags[9] = "";
    unsigned n = 0;
    for (unsigned i = 0; i < 8; i++)
        if (x->flags >> i & 1)
            flags[n++] = "FSRPAUEC"[i];
    snprintf(to, room, "%s seq %u ack %u length %u window %u", flags, x->seq.n, x->ack.n, x->length,
             x->window);
}

static void check_payload(struct talk *t, const uint8_t *bytes)
{
    for (uint32_t i = 0; i < t->last.length; i++)
        if (bytes[i] != talk_byte(t->last.seq.n + i))
            fail_msg("byte %u of the payload is wrong", i);
}

struct heard *hear(struct talk *t, const char *flags, uint32_t seq, uint32_t ack, uint32_t length)
{
    const struct tcp_header *h;
    struct sim_frame f;
    uint32_t total;
    char got[128];
    uint8_t wanted = flags_of(flags);
    if (!next_segment(t, &f, &h, &total))
        fail_msg("silence instead of %s seq %u ack %u length %u", flags, seq, ack, length);
    if ((h->flags & TCP_SYN) && !t->host_iss_known) {
        t->host_iss = be32_get(h->seq);
        t->host_iss_known = true;
    }
    struct heard *x = &t->last;
    uint32_t header = (h->offset >> 4) * 4u;
    *x = (struct heard){.seq.n = be32_get(h->seq) - t->host_iss,
                        .ack.n = h->flags & TCP_ACK ? be32_get(h->ack) - t->peer_iss : 0,
                        .window = be16_get(h->window),
                        .flags = h->flags,
                        .length = total - header,
                        .ecn = ecn_of(&f),
                        .at_ns = f.at_ns};
    x->options = (struct tcp_segment){.flags = h->flags,
                                      .options = (const uint8_t *)(h + 1),
                                      .option_bytes = (uint8_t)(header - 20)};
    assert_true(tcp_parse_options(&x->options));
    if (x->options.has_ts)
        t->ts_echo = x->options.ts_value;
    if (h->flags & TCP_SYN)
        t->uses_ts = x->options.has_ts && !t->o.no_ts;
    describe(got, sizeof(got), x);
    uint8_t ignored = wanted & TCP_PSH ? 0 : TCP_PSH; /* P is checked where it is written */
    if ((x->flags & ~ignored) != wanted || x->seq.n != seq || x->ack.n != ack ||
        x->length != length)
        fail_msg("heard %s, not %s seq %u ack %u length %u", got, flags, seq, ack, length);
    check_payload(t, (const uint8_t *)h + header);
    return x;
}

void quiet(struct talk *t)
{
    const struct tcp_header *h;
    struct sim_frame f;
    uint32_t total;
    if (next_segment(t, &f, &h, &total))
        fail_msg("not quiet: flags %x seq %u ack %u, %u bytes", h->flags,
                 be32_get(h->seq) - t->host_iss, be32_get(h->ack) - t->peer_iss, total);
}

void forget(struct talk *t)
{
    const struct tcp_header *h;
    struct sim_frame f;
    uint32_t total;
    while (next_segment(t, &f, &h, &total)) {
        struct tcp_segment g = {.options = (const uint8_t *)(h + 1),
                                .option_bytes = (uint8_t)((h->offset >> 4) * 4u - 20)};
        if (tcp_parse_options(&g) && g.has_ts)
            t->ts_echo = g.ts_value;
    }
}
