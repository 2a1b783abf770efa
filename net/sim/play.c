#include "net/sim/play.h"

#include <errno.h>
#include <stdlib.h>

#include <leat/conn.h>

#include "net/sim/sim_internal.h"
#include "net/stack/tcp/tcp.h"

#define FLOWS_MAX  400
#define HELD_MAX   16
#define PORT       80
#define FAULT_NS   (20 * LEAT_NS_PER_S)
#define FINISH_NS  (3600 * LEAT_NS_PER_S)
#define FRAMES_MAX 400000 /* of one run: more is no progress */

enum end_style { END_HALF, END_CLOSE, END_ABORT };

struct play;
struct flow;

/* One side of a flow. */
struct side {
    struct flow *flow;
    leat_conn conn;
    bool is_client, is_open, has_end, is_closed, has_ended, aborts;
    uint64_t sent, to_send, received, to_receive;
    uint64_t
        answers_per; /* a server that answers each request of so many bytes; 0: sends at will */
    struct leat_buf held[HELD_MAX];
    unsigned held_count;
    enum leat_close_reason reason;
};

struct flow {
    struct play *play;
    uint32_t number;
    uint16_t port; /* the client's */
    struct side client, server;
    enum end_style style;
    bool any_abort;
    uint32_t pause_ppm, hold_ppm, chunk_max;
    uint64_t start_ns;
};

struct shape { /* of a scenario */
    const char *name;
    unsigned flow_count;
    uint64_t up_max, down_max;
    uint32_t loss_ppm, burst_ppm, reorder_ppm, duplicate_ppm, corrupt_ppm, forge_ppm, mark_ppm;
    uint32_t pause_ppm, hold_ppm, abort_ppm, close_ppm;
    uint32_t receive_max; /* 0: the default */
    uint32_t request_bytes;
    uint32_t tx_refuse_ppm, grant_refuse_ppm;
    uint64_t rate;
    bool outage, late, offload;
};

/* Chances and sizes are upper bounds: the seed draws below them. */
static const struct shape shapes[] = {
    {.name = "clean", .flow_count = 50, .up_max = 40000, .down_max = 40000, .close_ppm = 300000},
    {.name = "mixed",
     .flow_count = 60,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 60000,
     .burst_ppm = 3000,
     .reorder_ppm = 50000,
     .duplicate_ppm = 30000,
     .corrupt_ppm = 20000,
     .pause_ppm = 100000,
     .hold_ppm = 100000,
     .abort_ppm = 100000,
     .close_ppm = 300000,
     .tx_refuse_ppm = 50000,
     .grant_refuse_ppm = 20000,
     .late = true,
     .offload = true},
    {.name = "bulk",
     .flow_count = 50,
     .up_max = 400000,
     .down_max = 400000,
     .loss_ppm = 20000,
     .reorder_ppm = 10000,
     .rate = 200000000,
     .offload = true},
    {.name = "request",
     .flow_count = 60,
     .up_max = 4000,
     .down_max = 40000,
     .loss_ppm = 30000,
     .request_bytes = 200,
     .close_ppm = 500000},
    {.name = "zero-window",
     .flow_count = 50,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 30000,
     .duplicate_ppm = 10000,
     .pause_ppm = 500000,
     .hold_ppm = 300000,
     .receive_max = 6000},
    {.name = "half-close",
     .flow_count = 60,
     .up_max = 3000,
     .down_max = 30000,
     .loss_ppm = 100000,
     .reorder_ppm = 100000},
    {.name = "abort",
     .flow_count = 80,
     .up_max = 50000,
     .down_max = 50000,
     .loss_ppm = 30000,
     .abort_ppm = 700000},
    {.name = "outage",
     .flow_count = 50,
     .up_max = 60000,
     .down_max = 60000,
     .loss_ppm = 5000,
     .outage = true,
     .late = true},
    {.name = "reorder",
     .flow_count = 50,
     .up_max = 100000,
     .down_max = 100000,
     .reorder_ppm = 300000,
     .duplicate_ppm = 200000},
    {.name = "stranger",
     .flow_count = 50,
     .up_max = 20000,
     .down_max = 20000,
     .loss_ppm = 10000,
     .close_ppm = 300000,
     .forge_ppm = 300000},
    {.name = "marked",
     .flow_count = 50,
     .up_max = 200000,
     .down_max = 200000,
     .loss_ppm = 10000,
     .mark_ppm = 300000,
     .rate = 200000000,
     .offload = true},
    {.name = "many", .flow_count = 400, .up_max = 500, .down_max = 500, .loss_ppm = 20000},
};

struct play {
    struct sim *sim;
    struct sim_host *server, *client;
    struct shape shape;
    bool v6;
    struct flow flows[FLOWS_MAX];
    unsigned flow_count, closed_count;
    struct flow *by_port[65536];
    struct leat_listener *listener;
    struct leat_conn_options options;
    uint64_t instants;
    bool is_healed;
};

const char *play_scenario(unsigned i)
{
    return i < sizeof(shapes) / sizeof(shapes[0]) ? shapes[i].name : NULL;
}

static uint64_t below(struct play *p, uint64_t bound)
{
    return sim_random_below(p->sim, bound);
}

/* The byte of a flow, a direction and a position. */
static uint8_t byte_at(const struct flow *f, bool up, uint64_t at)
{
    uint64_t x = (at + 1) * UINT64_C(0x9e3779b97f4a7c15) + f->number * 2 + up;
    return (uint8_t)(x >> 32 ^ x >> 13);
}

static void violation(const struct side *s, const char *what, uint64_t a, uint64_t b)
{
    sim_violation(s->flow->play->sim, "flow %u, port %u, %s: %s (%llu, %llu)", s->flow->number,
                  s->flow->port, s->is_client ? "client" : "server", what, (unsigned long long)a,
                  (unsigned long long)b);
}

/* ---- sending ---- */

static void finish_sending(struct side *s)
{
    struct flow *f = s->flow;
    if (s->has_ended || s->sent < s->to_send)
        return;
    bool may_close = f->style == END_CLOSE && s->received == s->to_receive;
    if (f->style == END_CLOSE && !may_close)
        return;
    s->has_ended = true;
    int result = may_close ? leat_conn_close(s->conn) : leat_conn_end(s->conn);
    if (result != 0)
        violation(s, "ending gave an error", (uint64_t)-result, 0);
}

static uint64_t may_send_up_to(const struct side *s)
{
    if (s->answers_per == 0)
        return s->to_send;
    uint64_t answered = s->received == s->to_receive
                            ? s->to_send
                            : s->received / s->answers_per * (s->to_send / 20 + 1);
    return answered < s->to_send ? answered : s->to_send;
}

static void pump(struct side *s)
{
    struct flow *f = s->flow;
    uint64_t up_to = may_send_up_to(s);
    while (s->is_open && !s->is_closed && !s->has_ended && s->sent < up_to) {
        uint64_t length = 1 + below(f->play, f->chunk_max);
        length = length < up_to - s->sent ? length : up_to - s->sent;
        struct leat_buf buf = leat_buf_alloc_unsafe(length);
        if (buf.data == NULL)
            return;
        for (uint64_t i = 0; i < length; i++)
            buf.data[i] = byte_at(f, s->is_client, s->sent + i);
        int result = leat_conn_send(s->conn, &buf, 1);
        if (result != 0) {
            leat_buf_unref(buf);
            if (result != -EAGAIN)
                violation(s, "sending gave an error", (uint64_t)-result, s->sent);
            return;
        }
        s->sent += length;
    }
    if (s->is_open && !s->is_closed)
        finish_sending(s);
}

/* ---- receiving ---- */

static void check_bytes(struct side *s, const struct leat_buf *slice)
{
    for (size_t i = 0; i < slice->length_bytes; i++) {
        if (slice->data[i] != byte_at(s->flow, !s->is_client, s->received + i)) {
            violation(s, "a wrong byte arrived", s->received + i, slice->data[i]);
            return;
        }
    }
    s->received += slice->length_bytes;
    if (s->received > s->to_receive)
        violation(s, "more bytes than were sent", s->received, s->to_receive);
}

struct later {
    struct side *side;
    bool resume;
};

static void on_later(struct sim *sim, void *arg)
{
    struct later *later = arg;
    struct side *s = later->side;
    struct sim_host *host = s->is_client ? s->flow->play->client : s->flow->play->server;
    (void)sim;
    sim_enter(host);
    if (later->resume) {
        int result = leat_conn_resume(s->conn);
        if (result != 0 && !s->is_closed)
            violation(s, "resuming gave an error", (uint64_t)-result, 0);
    } else {
        while (s->held_count > 0)
            leat_conn_release(s->conn, s->held[--s->held_count]);
    }
    sim_leave(host);
    free(later);
}

static void do_later(struct side *s, bool resume)
{
    struct play *p = s->flow->play;
    struct later *later = malloc(sizeof(*later));
    CHECK(later != NULL);
    *later = (struct later){s, resume};
    sim_at(p->sim, sim_now(p->sim) + below(p, 500 * LEAT_NS_PER_MS), on_later, later);
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct side *s = user;
    struct flow *f = s->flow;
    if (!s->is_open || s->has_end || s->is_closed)
        violation(s, "data out of turn", s->received, 0);
    if (count == 0)
        violation(s, "data without slices", 0, 0);
    for (unsigned i = 0; i < count; i++) {
        if (slices[i].length_bytes == 0)
            violation(s, "an empty slice", 0, 0);
        check_bytes(s, &slices[i]);
        if (s->held_count < HELD_MAX && sim_chance(f->play->sim, f->hold_ppm)) {
            struct leat_buf held = leat_conn_hold(conn, slices[i]);
            if (held.data != NULL) {
                s->held[s->held_count++] = held;
                do_later(s, false);
            }
        }
    }
    if (sim_chance(f->play->sim, f->pause_ppm)) {
        (void)leat_conn_pause(conn);
        do_later(s, true);
    }
    pump(s);
}

static void on_open(leat_conn conn, void *user)
{
    struct side *s = user;
    if (s->is_open)
        violation(s, "opened twice", 0, 0);
    s->conn = conn;
    s->is_open = true;
    pump(s);
}

static void on_writable(leat_conn conn, void *user)
{
    (void)conn;
    pump(user);
}

static void on_end(leat_conn conn, void *user)
{
    struct side *s = user;
    (void)conn;
    if (s->has_end)
        violation(s, "a second end", 0, 0);
    s->has_end = true;
    if (s->received != s->to_receive)
        violation(s, "the end before the last byte", s->received, s->to_receive);
    pump(s);
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct side *s = user;
    struct flow *f = s->flow;
    if (s->is_closed)
        violation(s, "closed twice", 0, 0);
    s->is_closed = true;
    s->reason = reason;
    f->play->closed_count++;
    bool allowed = reason == LEAT_CLOSE_DONE || reason == LEAT_CLOSE_SHUTDOWN;
    allowed |= f->any_abort && (reason == LEAT_CLOSE_ABORTED || reason == LEAT_CLOSE_RESET ||
                                reason == LEAT_CLOSE_REFUSED);
    if (!allowed)
        violation(s, leat_close_reason_sentence(reason), s->received, s->to_receive);
    if (reason == LEAT_CLOSE_DONE && !f->any_abort &&
        (s->received != s->to_receive || s->sent != s->to_send))
        violation(s, "done before everything was sent and received", s->received, s->sent);
    while (s->held_count > 0)
        leat_conn_release(conn, s->held[--s->held_count]);
}

static void on_accept(leat_conn conn, void *user)
{
    struct play *p = user;
    struct leat_addr peer;
    CHECK(leat_conn_peer(conn, &peer) == 0);
    struct flow *f = p->by_port[peer.port];
    if (f == NULL || f->server.is_open) {
        sim_violation(p->sim, "a connection that nobody made was accepted, from port %u",
                      peer.port);
        (void)leat_conn_abort(conn);
        return;
    }
    (void)leat_conn_set(conn, NULL, &f->server);
    on_open(conn, &f->server);
}

static const struct leat_conn_ops client_ops = {on_open, on_data, on_writable, on_end, on_close};
static const struct leat_conn_ops server_ops = {on_accept, on_data, on_writable, on_end, on_close};

/* ---- the course of a run ---- */

static void start_flow(struct sim *sim, void *arg)
{
    struct flow *f = arg;
    struct play *p = f->play;
    struct leat_addr to = sim_addr(p->server, p->v6, PORT), local;
    sim_enter(p->client);
    int result = leat_connect(sim_loop(p->client), &to, NULL, &p->options, &client_ops, &f->client,
                              &f->client.conn);
    if (result != 0) {
        sim_violation(sim, "connecting gave %s", leat_errno_name(result));
    } else {
        CHECK(leat_conn_local(f->client.conn, &local) == 0);
        p->by_port[local.port] = f;
        f->port = local.port;
    }
    sim_leave(p->client);
}

static void abort_flow(struct sim *sim, void *arg)
{
    struct side *s = arg;
    struct play *p = s->flow->play;
    struct sim_host *host = s->is_client ? p->client : p->server;
    (void)sim;
    if (!s->is_open || s->is_closed)
        return;
    sim_enter(host);
    (void)leat_conn_abort(s->conn);
    sim_leave(host);
}

static void outage(struct sim *sim, void *arg)
{
    struct play *p = arg;
    struct sim_host *host = sim_chance(sim, 500000) ? p->client : p->server;
    if (p->is_healed)
        return;
    sim_link(host)->down = !sim_link(host)->down;
    sim_at(sim, sim_now(sim) + below(p, 4 * LEAT_NS_PER_S), outage, p);
}

static void make_flow(struct play *p, unsigned number)
{
    struct flow *f = &p->flows[number];
    const struct shape *shape = &p->shape;
    *f = (struct flow){.play = p, .number = number};
    uint64_t up = below(p, shape->up_max + 1), down = below(p, shape->down_max + 1);
    if (sim_chance(p->sim, 100000))
        up = 0;
    if (sim_chance(p->sim, 100000))
        down = 0;
    f->client = (struct side){.flow = f, .is_client = true, .to_send = up, .to_receive = down};
    f->server = (struct side){.flow = f, .to_send = down, .to_receive = up};
    f->server.answers_per = shape->request_bytes;
    f->style = sim_chance(p->sim, shape->close_ppm) ? END_CLOSE : END_HALF;
    f->pause_ppm = (uint32_t)below(p, shape->pause_ppm + 1);
    f->hold_ppm = (uint32_t)below(p, shape->hold_ppm + 1);
    f->chunk_max = sim_chance(p->sim, 300000) ? 100 : 8000;
    f->start_ns = sim_now(p->sim) + below(p, 3 * LEAT_NS_PER_S);
    sim_at(p->sim, f->start_ns, start_flow, f);
    if (sim_chance(p->sim, shape->abort_ppm)) {
        f->any_abort = true;
        struct side *who = sim_chance(p->sim, 500000) ? &f->client : &f->server;
        sim_at(p->sim, f->start_ns + below(p, LEAT_NS_PER_S), abort_flow, who);
    }
}

static struct sim_link draw_link(struct play *p)
{
    const struct shape *s = &p->shape;
    struct sim_link link = {
        .delay_ns = 20000 + below(p, sim_chance(p->sim, 300000) ? 80000000 : 2000000),
        .loss_ppm = (uint32_t)below(p, s->loss_ppm + 1),
        .burst_ppm = (uint32_t)below(p, s->burst_ppm + 1),
        .burst_count = 1 + (uint32_t)below(p, 10),
        .reorder_ppm = (uint32_t)below(p, s->reorder_ppm + 1),
        .duplicate_ppm = (uint32_t)below(p, s->duplicate_ppm + 1),
        .corrupt_ppm = (uint32_t)below(p, s->corrupt_ppm + 1),
        .forge_ppm = s->forge_ppm,
        .reorder_ns = 1 + below(p, 30 * LEAT_NS_PER_MS),
    };
    if (s->mark_ppm != 0)
        link.mark_ppm = (uint32_t)below(p, s->mark_ppm + 1);
    if (sim_chance(p->sim, 500000))
        link.jitter_ns = below(p, link.delay_ns);
    if (s->rate != 0) {
        link.bits_per_second = s->rate / 20 + below(p, s->rate);
        link.queue_bytes_max = 30000 + (uint32_t)below(p, 300000);
    }
    return link;
}

static struct sim_host *make_host(struct play *p, uint32_t mtu)
{
    const struct shape *s = &p->shape;
    struct sim_host_options o = {.kind = SIM_STACK, .mtu_bytes = mtu, .link = draw_link(p)};
    o.port.tx_refuse_ppm = (uint32_t)below(p, s->tx_refuse_ppm + 1);
    o.port.grant_refuse_ppm = (uint32_t)below(p, s->grant_refuse_ppm + 1);
    if (s->mark_ppm != 0)
        o.ecn = (enum stack_ecn)below(p, 3);
    if (s->late)
        o.port.completion_ns = below(p, 3 * LEAT_NS_PER_MS);
    if (s->offload && sim_chance(p->sim, 500000))
        o.port.can = LEAT_PORT_CAN_RX_L4_CHECKSUM | LEAT_PORT_CAN_TX_IP_CHECKSUM |
                     LEAT_PORT_CAN_TX_L4_CHECKSUM | LEAT_PORT_CAN_TSO;
    return sim_add_host(p->sim, &o);
}

static void validate_host(struct sim_host *host)
{
    struct stack_tcp *t = sim_stack(host)->tcp;
    sim_enter_quietly(host);
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        struct tcp_conn *c = slots_at(&t->conns, i);
        if (c != NULL && c->state != TCP_CLOSED)
            tcp_validate(t, c);
    }
    sim_leave_quietly(host);
}

static void recount(struct play *p, struct sim_host *host)
{
    struct stack_tcp *t = sim_stack(host)->tcp;
    uint32_t live = 0;
    for (uint32_t i = 0; i < t->conns.capacity_count; i++) {
        const struct tcp_conn *c = slots_at(&t->conns, i);
        live += c != NULL && c->state != TCP_CLOSED;
    }
    uint32_t sum = live + t->embryo_count + t->time_wait_count;
    if (sum != t->table.count || sum != table_recount(&t->table))
        sim_violation(p->sim, "the table counts %u, finds %u, and should have %u", t->table.count,
                      table_recount(&t->table), sum);
}

static void check(struct sim *sim, void *arg)
{
    struct play *p = arg;
    p->instants++;
    if (p->instants % 64 == 0) {
        validate_host(p->server);
        validate_host(p->client);
        recount(p, p->server);
        recount(p, p->client);
    }
    if (sim_frame_count(sim) > FRAMES_MAX)
        sim_violation(sim, "%u frames and no end", FRAMES_MAX);
}

/* A flow that was aborted early may never have been accepted. */
static bool is_done(void *arg)
{
    const struct play *p = arg;
    if (p->closed_count < p->flow_count)
        return false;
    for (unsigned i = 0; i < p->flow_count; i++) {
        const struct flow *f = &p->flows[i];
        bool server = f->server.is_closed || (f->any_abort && !f->server.is_open);
        if (!f->client.is_closed || !server)
            return false;
    }
    return true;
}

/* Who never opened on the server's side, because it was aborted before, does not close there. */
static bool is_finished(struct play *p)
{
    for (unsigned i = 0; i < p->flow_count; i++) {
        const struct flow *f = &p->flows[i];
        if (!f->client.is_closed || (f->server.is_open && !f->server.is_closed) ||
            (!f->server.is_open && !f->any_abort)) {
            const struct side *s = f->client.is_closed ? &f->server : &f->client;
            sim_violation(p->sim,
                          "flow %u, port %u, never finished: %s has received %llu of %llu, sent "
                          "%llu of %llu",
                          f->number, f->port, s->is_client ? "client" : "server",
                          (unsigned long long)s->received, (unsigned long long)s->to_receive,
                          (unsigned long long)s->sent, (unsigned long long)s->to_send);
            return false;
        }
    }
    return true;
}

static void begin(struct play *p)
{
    static const uint32_t mtus[] = {576, 1280, 1500, 1500, 1500, 9000};
    p->v6 = sim_chance(p->sim, 400000);
    uint32_t mtu = mtus[below(p, 6)];
    if (p->v6 && mtu < 1280)
        mtu = 1280;
    p->server = make_host(p, mtu);
    p->client = make_host(p, mtu);
    p->options = (struct leat_conn_options){.linger_ns = 1000 * LEAT_NS_PER_S,
                                            .connect_timeout_ns = 600 * LEAT_NS_PER_S,
                                            .receive_bytes_max = p->shape.receive_max,
                                            /* who was aborted and heard nothing of it asks */
                                            .keepalive_ns = 60 * LEAT_NS_PER_S,
                                            .nagle = sim_chance(p->sim, 300000)};
    struct leat_listen_options listen = {.conn = p->options};
    struct leat_addr at = sim_addr(p->server, p->v6, PORT);
    sim_enter(p->server);
    CHECK(leat_listen(sim_loop(p->server), &at, &listen, &server_ops, p, &p->listener) == 0);
    sim_leave(p->server);
    p->flow_count = p->shape.flow_count;
    for (unsigned i = 0; i < p->flow_count; i++)
        make_flow(p, i);
    if (p->shape.outage)
        sim_at(p->sim, sim_now(p->sim) + below(p, LEAT_NS_PER_S), outage, p);
    sim_set_check(p->sim, check, p);
}

/* Bug 17: TIME_WAIT and embryos pass. */
static void check_rest(struct play *p)
{
    sim_run_for(p->sim, 2 * TCP_TIME_WAIT_NS);
    for (unsigned i = 0; i < 2 && sim_violation_count(p->sim) == 0; i++) {
        const struct stack_tcp *t = sim_stack(i ? p->client : p->server)->tcp;
        if (t->time_wait_count != 0 || t->embryo_count != 0)
            sim_violation(p->sim, "%u records of TIME_WAIT and %u embryos never end",
                          t->time_wait_count, t->embryo_count);
    }
}

static void collect(struct play *p, struct play_result *r)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct tcp_counters *n = &sim_stack(i ? p->client : p->server)->tcp->count;
        r->retransmitted += n->retransmitted;
        r->rtos += n->rtos;
        r->undone += n->undone;
        r->predicted += n->predicted;
        r->segments += n->segments_in;
    }
    r->frame_count = sim_frame_count(p->sim);
    r->fault_count = sim_fault_count(p->sim);
    r->flow_count = p->flow_count;
}

bool play_seed(uint64_t seed, const char *scenario, const char *pcap_path, struct play_result *r)
{
    unsigned count = sizeof(shapes) / sizeof(shapes[0]), which = 0;
    while (scenario != NULL && which < count && strcmp(shapes[which].name, scenario) != 0)
        which++;
    if (which == count)
        return false;
    *r = (struct play_result){0};
    struct play *p = calloc(1, sizeof(*p));
    struct leat_error error = {0};
    CHECK(p != NULL);
    p->sim = sim_new(seed, pcap_path, &error);
    CHECK(p->sim != NULL);
    if (scenario == NULL)
        which = (unsigned)below(p, count);
    p->shape = shapes[which];
    begin(p);
    if (!sim_run_until_done(p->sim, is_done, p, FAULT_NS)) {
        p->is_healed = true;
        sim_heal(p->sim);
        (void)sim_run_until_done(p->sim, is_done, p, FINISH_NS);
        if (sim_violation_count(p->sim) == 0)
            (void)is_finished(p);
    }
    collect(p, r);
    sim_set_check(p->sim, NULL, NULL);
    p->is_healed = true;
    sim_heal(p->sim);
    sim_run_for(p->sim, LEAT_NS_PER_S);
    check_rest(p);
    snprintf(r->sentence, sizeof(r->sentence), "%s", sim_violation_sentence(p->sim));
    sim_quiet(p->sim);
    r->violation_count = sim_free(p->sim);
    if (r->violation_count > 0 && r->sentence[0] == 0)
        snprintf(r->sentence, sizeof(r->sentence), "at the end: buffers were lost");
    free(p);
    return true;
}
