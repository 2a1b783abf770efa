#include "test/fuzz/net_world.h"

#include <errno.h>
#include <stdlib.h>

#include "net/stack/tcp/tcp.h"

#define PEER_PORT 5000

/* ---- the application ---- */

static struct app *app_of(struct world *w, leat_conn conn)
{
    for (unsigned i = 0; i < w->app_count; i++)
        if (w->apps[i].conn.id == conn.id)
            return &w->apps[i];
    if (w->app_count == APPS_MAX)
        return NULL;
    struct app *a = &w->apps[w->app_count++];
    *a = (struct app){.world = w, .conn = conn};
    return a;
}

static void app_call(struct world *w, struct app *a, uint8_t call, uint32_t argument);

/* Calls for the connection whose callback this is, or for another one. */
static void react(struct world *w, struct app *a)
{
    uint8_t call = w->reaction, other = w->reaction_argument & 3;
    w->reaction = 0;
    if (call != 0)
        app_call(w, other < 2 ? a : &w->apps[(w->app_count - other + 1) % w->app_count], call,
                 w->reaction_argument * 64u);
}

static void on_open(leat_conn conn, void *user)
{
    struct world *w = user;
    const struct tcp_conn *c = slots_find(&sim_stack(w->host)->tcp->conns, conn.id);
    struct app *a = app_of(w, conn);
    if (a == NULL) {
        CHECK(leat_conn_abort(conn) == 0);
        return;
    }
    CHECK(c != NULL && a->closes == 0 && !a->is_detached);
    CHECK(++a->opens == 1);
    a->iss = c->iss.n;
    a->irs = c->irs.n;
    react(w, a);
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct world *w = user;
    struct app *a = app_of(w, conn);
    if (a == NULL)
        return;
    CHECK(a->opens == 1 && a->ends == 0 && a->closes == 0 && !a->is_detached && count > 0);
    for (unsigned i = 0; i < count; i++) {
        CHECK(slices[i].length_bytes > 0);
        for (size_t k = 0; k < slices[i].length_bytes; k++) {
            uint8_t wanted = world_byte(a->irs + 1 + (uint32_t)a->received++);
            CHECK(slices[i].data[k] == wanted || w->is_tainted);
        }
        if (w->holds > 0 && a->held_count < HELD_MAX) {
            size_t part = w->holds & 1 ? slices[i].length_bytes : slices[i].length_bytes / 2 + 1;
            w->holds--;
            struct leat_buf held = leat_conn_hold(conn, (struct leat_buf){.data = slices[i].data,
                                                                          .length_bytes = part});
            if (held.data != NULL)
                a->held[a->held_count++] = held;
        }
    }
    react(w, a);
}

static void on_writable(leat_conn conn, void *user)
{
    struct app *a = app_of(user, conn);
    if (a == NULL)
        return;
    CHECK(a->opens == 1 && a->closes == 0 && !a->has_ended);
    react(user, a);
}

static void on_end(leat_conn conn, void *user)
{
    struct app *a = app_of(user, conn);
    if (a == NULL)
        return;
    CHECK(a->opens == 1 && a->closes == 0 && !a->is_detached);
    CHECK(++a->ends == 1);
    react(user, a);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct world *w = user;
    struct app *a = app_of(w, conn);
    CHECK(reason < LEAT_CLOSE_REASON_COUNT);
    if (a == NULL)
        return;
    react(w, a);
    CHECK(++a->closes == 1);
}

static const struct leat_conn_ops ops = {on_open, on_data, on_writable, on_end, on_close};

/* What a call may give; after on_close nothing but -ESTALE. */
static void check_result(const struct app *a, int result)
{
    CHECK(result >= 0 || result == -ESTALE || result == -EPIPE || result == -EAGAIN ||
          result == -ENOMEM || result == -ENOTCONN);
    CHECK(a->closes == 0 || result == -ESTALE);
}

static void app_send(struct app *a, uint32_t length)
{
    struct leat_buf bufs[3];
    unsigned count = length % 3 + 1;
    uint32_t done = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t part = i + 1 < count ? length / count : length - done;
        bufs[i] = leat_buf_alloc_unsafe(part != 0 ? part : 1);
        bufs[i].length_bytes = part;
        for (uint32_t k = 0; k < part; k++)
            bufs[i].data[k] = world_byte(a->iss + 1 + (uint32_t)a->sent + done + k);
        done += part;
    }
    int result = leat_conn_send(a->conn, bufs, count);
    check_result(a, result);
    CHECK(result < 0 || !a->has_ended);
    if (result >= 0)
        a->sent += length;
    for (unsigned i = 0; result < 0 && i < count; i++)
        leat_buf_unref(bufs[i]);
}

static void app_release(struct app *a)
{
    if (a->held_count > 0)
        leat_conn_release(a->conn, a->held[--a->held_count]);
}

static void app_connect(struct world *w, uint8_t which)
{
    struct flow *f = &w->flows[FLOWS_PASSIVE + which % (FLOWS - FLOWS_PASSIVE)];
    struct leat_addr to = sim_addr(w->peer, w->v6, f->peer_port);
    leat_conn conn;
    if (w->app_count == APPS_MAX ||
        leat_connect(sim_loop(w->host), &to, NULL, &w->options, &ops, w, &conn) < 0)
        return;
    struct app *a = app_of(w, conn);
    const struct tcp_conn *c = slots_find(&sim_stack(w->host)->tcp->conns, conn.id);
    a->iss = c->iss.n;
}

static void app_listen(struct world *w)
{
    if (w->listener != NULL) {
        leat_listener_close(w->listener);
        w->listener = NULL;
        return;
    }
    struct leat_addr at = sim_addr(w->host, w->v6, 80);
    struct leat_listen_options listen = {.conn = w->options};
    CHECK(leat_listen(sim_loop(w->host), &at, &listen, &ops, w, &w->listener) == 0);
}

static void app_look(struct app *a)
{
    struct leat_conn_info info;
    struct leat_addr addr;
    check_result(a, leat_conn_info(a->conn, &info));
    check_result(a, leat_conn_local(a->conn, &addr));
    check_result(a, leat_conn_peer(a->conn, &addr));
}

static void app_end(struct app *a, int result, bool detaches)
{
    check_result(a, result);
    a->has_ended = true;
    a->is_detached |= detaches;
}

static void app_call(struct world *w, struct app *a, uint8_t call, uint32_t argument)
{
    switch (call & 15) {
    case 0:
    case 1:
        app_send(a, argument);
        break;
    case 2:
        app_send(a, argument % 300);
        break;
    case 3:
        check_result(a, leat_conn_pause(a->conn));
        break;
    case 4:
        check_result(a, leat_conn_resume(a->conn));
        break;
    case 5:
        w->holds = (uint8_t)(argument % 16);
        break;
    case 6:
        app_release(a);
        break;
    case 7:
        app_end(a, leat_conn_end(a->conn), false);
        break;
    case 8:
        app_end(a, leat_conn_close(a->conn), true);
        break;
    case 9:
        app_end(a, leat_conn_abort(a->conn), true);
        break;
    case 10:
        check_result(a, leat_conn_want_writable(a->conn));
        break;
    case 11:
    case 12:
        app_connect(w, (uint8_t)argument);
        break;
    case 13:
        if (argument % 4 == 0)
            app_listen(w);
        else if (w->listener != NULL && argument % 2)
            leat_listener_pause(w->listener);
        else if (w->listener != NULL)
            leat_listener_resume(w->listener);
        break;
    case 14:
        check_result(a, leat_conn_set_timeout(a->conn, argument * LEAT_NS_PER_MS));
        break;
    default:
        app_look(a);
    }
}

void world_call(struct world *w, uint8_t which, uint8_t call, uint32_t argument)
{
    unsigned recent = w->app_count < 8 ? w->app_count : 8;
    sim_enter(w->host);
    if (recent == 0)
        app_connect(w, which);
    else
        app_call(w, &w->apps[w->app_count - 1 - which % recent], call, argument);
    sim_leave(w->host);
}

void world_react(struct world *w, uint8_t call, uint8_t argument)
{
    w->reaction = call & 15;
    w->reaction_argument = argument;
}

/* ---- the peer ---- */

uint8_t world_timestamp(struct world *w, uint8_t *to, uint32_t value, uint32_t echo)
{
    be32 fields[2] = {be32_put(value), be32_put(echo)};
    memcpy(to, (const uint8_t[]){1, 1, 8, 10}, 4);
    memcpy(to + 4, fields, 8);
    w->ts_value++;
    return 12;
}

uint8_t world_syn_options(struct world *w, struct flow *f, uint8_t which, uint8_t *to)
{
    static const uint16_t mss[8] = {1460, 536, 88, 1, 0, 65535, 1440, 8960};
    int scale = which & 8 ? -1 : which >> 4;
    bool ts = (which & 0x80) == 0;
    f->uses_ts = ts;
    if (scale > f->scale)
        f->scale = (uint8_t)(scale < 14 ? scale : 14);
    if (which == 0xff)
        return 0;
    return (uint8_t)tcp_write_syn_options(to, mss[which & 7], scale, (which & 0x41) != 0x41, ts,
                                          w->ts_value++, f->ts_recent);
}

/* In one frame, or in two or three fragments, the later ones first if the shape says so. */
void world_transmit(struct world *w, uint8_t protocol, const uint8_t *payload, uint32_t length)
{
    struct frame f;
    uint32_t cut = w->cut;
    bool overlap = w->cut_shape & 1, backwards = w->cut_shape & 2, lacks = w->cut_shape & 4;
    w->cut = 0;
    frame_ip(&w->last, &w->ends, protocol, payload, length);
    if (cut == 0 || cut >= length) {
        sim_transmit(w->peer, w->last.bytes, w->last.length);
        return;
    }
    w->ip_id++;
    for (unsigned i = 0; i < (lacks ? 1u : 2u); i++) {
        bool is_first = (i == 0) != backwards;
        uint32_t from = is_first ? 0 : overlap ? cut - 8 : cut, to = is_first ? cut : length;
        if (w->v6) {
            uint8_t with_header[SIM_FRAME_BYTES];
            struct ipv6_fragment h = {.next = protocol,
                                      .offset = be16_put((uint16_t)(from | is_first)),
                                      .id = be32_put(w->ip_id)};
            memcpy(with_header, &h, sizeof(h));
            memcpy(with_header + sizeof(h), payload + from, to - from);
            frame_ip(&f, &w->ends, IPV6_FRAGMENT, with_header, sizeof(h) + to - from);
        } else {
            frame_ip(&f, &w->ends, protocol, payload + from, to - from);
            frame_set_fragment(&f, (uint16_t)(from / 8 | (is_first ? IPV4_MF : 0)), w->ip_id);
        }
        sim_transmit(w->peer, f.bytes, f.length);
    }
}

static void note_sent(struct flow *f, const struct peer_segment *g)
{
    uint32_t span = g->length + ((g->flags & TCP_SYN) != 0) + ((g->flags & TCP_FIN) != 0);
    uint32_t end = g->seq + span, wide = UINT32_C(1) << 24;
    if (end - f->una + wide > 2 * wide || g->ack - f->host_nxt + wide > 2 * wide)
        f->is_wild = true;
    f->has_spoken = true;
    if ((int32_t)(end - f->sent_max) > 0)
        f->sent_max = end;
    uint32_t window = (uint32_t)g->window << f->scale;
    uint32_t from = g->flags & TCP_ACK ? g->ack : f->host_iss + 1;
    if (!(g->flags & (TCP_ACK | TCP_SYN)) || (!(g->flags & TCP_ACK) && !f->host_known))
        return;
    if (!f->has_promised || (int32_t)(from + window - f->promised) > 0)
        f->promised = from + window;
    f->has_promised = true;
}

void world_segment(struct world *w, struct flow *f, const struct peer_segment *g)
{
    uint8_t segment[SIM_FRAME_BYTES];
    uint32_t header = 20u + g->option_bytes, total = header + g->length;
    struct tcp_header h = {.src_port = be16_put(f->peer_port),
                           .dst_port = be16_put(f->host_port),
                           .seq = be32_put(g->seq),
                           .ack = be32_put(g->ack),
                           .offset = (uint8_t)(header / 4 << 4),
                           .flags = g->flags,
                           .window = be16_put(g->window)};
    memcpy(segment, &h, sizeof(h));
    memcpy(segment + 20, g->options, g->option_bytes);
    uint32_t first = g->seq + ((g->flags & TCP_SYN) != 0);
    for (uint32_t i = 0; i < g->length; i++)
        segment[header + i] = world_byte(first + i);
    csum sum = csum_pseudo(&w->ends.peer, &w->ends.host, IP_TCP, total);
    h.checksum = csum_finish(csum_add(sum, segment, total));
    memcpy(segment, &h, sizeof(h));
    note_sent(f, g);
    world_transmit(w, IP_TCP, segment, total);
}

void world_answer(struct world *w, struct flow *f, uint8_t flags, uint32_t length)
{
    uint8_t options[40];
    struct peer_segment g = {.flags = flags,
                             .seq = f->una,
                             .ack = f->host_nxt,
                             .length = length,
                             .window = w->window,
                             .options = options};
    if (f->uses_ts)
        g.option_bytes = world_timestamp(w, options, w->ts_value, f->ts_recent);
    if ((int32_t)(f->nxt - f->una) > 0 && (int32_t)(f->nxt - f->edge) <= 0)
        g.seq = f->nxt;
    f->nxt = g.seq + length + ((flags & TCP_FIN) != 0);
    world_segment(w, f, &g);
}

/* ---- life ---- */

static struct leat_conn_options conn_options(uint8_t setup, uint8_t more)
{
    static const uint32_t receive[8] = {0, 3000, 70000, 100, 1 << 20, 1460, 20000, 16 << 20};
    return (struct leat_conn_options){
        .receive_bytes_max = receive[more & 7],
        .send_high_bytes = setup & 128 ? 8000 : 0,
        .nagle = (setup & 4) != 0,
        .keepalive_ns = setup & 8 ? 5 * LEAT_NS_PER_S : 0,
        .user_timeout_ns = setup & 64 ? 10 * LEAT_NS_PER_S : 0,
        .timeout_ns = setup & 16 ? 20 * LEAT_NS_PER_S : 0,
        .linger_ns = more & 8 ? 100 * LEAT_NS_PER_MS : 0,
    };
}

/* The peer says its MAC, so that answers to it do not wait. */
static void introduce(struct world *w)
{
    struct frame f;
    uint8_t ns[32] = {ND_SOLICIT};
    if (w->v6) {
        memcpy(ns + 8, w->ends.host.b, 16);
        ns[24] = ND_OPTION_SOURCE_MAC;
        ns[25] = 1;
        memcpy(ns + 26, w->ends.peer_mac.b, 6);
        icmp_sum(ns, sizeof(ns), &w->ends);
        frame_ip(&f, &w->ends, IP_ICMPV6, ns, sizeof(ns));
    } else {
        frame_arp(&f, ARP_REQUEST, &w->ends);
    }
    sim_transmit(w->peer, f.bytes, f.length);
    world_run(w, LEAT_NS_PER_MS);
}

static void check(struct sim *sim, void *arg)
{
    (void)sim;
    world_check(arg);
}

struct world *world_new(uint8_t setup, uint8_t more)
{
    static const uint32_t mtus[4] = {1500, 1280, 9000, 1500};
    struct world *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    w->sim = sim_new(1, NULL, NULL);
    w->v6 = setup & 1;
    w->options = conn_options(setup, more);
    struct sim_host_options host = {.kind = SIM_STACK, .mtu_bytes = mtus[more >> 4 & 3]};
    if (setup & 32)
        host.port.can = LEAT_PORT_CAN_TX_L4_CHECKSUM | LEAT_PORT_CAN_TX_IP_CHECKSUM |
                        LEAT_PORT_CAN_TSO | LEAT_PORT_CAN_RX_L4_CHECKSUM;
    w->host = sim_add_host(w->sim, &host);
    w->peer = sim_add_host(w->sim, &(struct sim_host_options){.kind = SIM_PUPPET});
    w->ends = ends_of(w->host, w->peer, w->v6);
    w->window = 65535;
    w->ts_value = 0x7fffff00;
    for (unsigned i = 0; i < FLOWS; i++)
        w->flows[i] = (struct flow){.peer_port = (uint16_t)(PEER_PORT + i),
                                    .host_port = 80,
                                    .iss = 0x6fff0000u + 0x11111111u * i};
    sim_set_check(w->sim, check, w);
    sim_enter(w->host);
    app_listen(w);
    sim_leave(w->host);
    introduce(w);
    return w;
}

void world_run(struct world *w, uint64_t duration_ns)
{
    sim_run_for(w->sim, duration_ns);
    world_hear(w);
}

static void end_apps(struct world *w)
{
    sim_enter(w->host);
    w->reaction = w->holds = 0;
    for (unsigned i = 0; i < w->app_count; i++) {
        struct app *a = &w->apps[i];
        while (a->held_count > 0)
            app_release(a);
        int result = i % 3 == 0 ? leat_conn_abort(a->conn) : leat_conn_close(a->conn);
        app_end(a, result, true);
    }
    world_udp_end(w);
    if (w->listener != NULL)
        leat_listener_close(w->listener);
    sim_leave(w->host);
}

void world_free(struct world *w)
{
    sim_heal(w->sim);
    end_apps(w);
    sim_run_for(w->sim, 3600 * LEAT_NS_PER_S);
    if (sim_violation_count(w->sim) > 0) {
        sim_free(w->sim); /* says which */
        abort();
    }
    for (unsigned i = 0; i < w->app_count; i++)
        CHECK(w->apps[i].closes == 1);
    const struct stack_tcp *t = sim_stack(w->host)->tcp;
    CHECK(t->conns.live_count == 0 && t->embryo_count == 0 && t->time_wait_count == 0);
    CHECK(t->table.count == 0);
    CHECK(t->works.live_count == 0 && t->chunks.live_count == 0 && t->sents.live_count == 0 &&
          t->rxs.live_count == 0);
    if (sim_free(w->sim) != 0)
        abort();
    for (unsigned i = 0; i < w->udp_count; i++)
        CHECK(w->udps[i].closes == 1);
    free(w);
}
