/* What the applications at both ends of a flow do, and what they see. */
#include <errno.h>
#include <stdlib.h>

#include "net/sim/play_internal.h"

#define REUSED_FIRST       20000 /* client ports; all below the ephemeral ones */
#define SIMULTANEOUS_FIRST 21000
#define DRIPPED_BYTES      2000 /* to a reader that sleeps: a buffer for each would show */

static void side_violation(const struct side *s, const char *what, uint64_t a, uint64_t b)
{
    sim_violation(s->flow->play->sim, "flow %u, port %u, %s: %s (%llu, %llu)", s->flow->number,
                  s->flow->port, s->is_client ? "client" : "server", what, (unsigned long long)a,
                  (unsigned long long)b);
}

/* The bytes of a flow and a direction from a position on; PATTERN_BYTES - PATTERN_PERIOD of them.
 */
static const uint8_t *bytes_at(const struct flow *f, bool up, uint64_t at)
{
    uint64_t from = f->pattern + (up ? 0 : PATTERN_PERIOD / 2) + at;
    return f->play->pattern + from % PATTERN_PERIOD;
}

/* ---- later ---- */

struct later {
    struct side *side;
    enum { LATER_RESUME, LATER_RELEASE, LATER_PUMP, LATER_ABORT } what;
};

static void side_pump(struct side *s);

static void on_later(struct sim *sim, void *arg)
{
    struct later *later = arg;
    struct side *s = later->side;
    (void)sim;
    sim_enter(s->host);
    switch (later->what) {
    case LATER_RESUME:
        if (leat_conn_resume(s->conn) != 0 && !s->is_closed)
            side_violation(s, "resuming gave an error", 0, 0);
        break;
    case LATER_RELEASE:
        while (s->held_count > 0)
            leat_conn_release(s->conn, s->held[--s->held_count]);
        break;
    case LATER_PUMP:
        s->is_pump_due = false;
        side_pump(s);
        break;
    case LATER_ABORT:
        if (s->is_open && !s->is_closed)
            (void)leat_conn_abort(s->conn);
        break;
    }
    sim_leave(s->host);
    free(later);
}

static void do_later(struct side *s, unsigned what, uint64_t within_ns)
{
    struct play *p = s->flow->play;
    struct later *later = malloc(sizeof(*later));
    CHECK(later != NULL);
    later->side = s;
    later->what = what;
    sim_at(p->sim, sim_now(p->sim) + below(p, within_ns), on_later, later);
}

static void pump_later(struct side *s, uint64_t within_ns)
{
    if (s->is_pump_due)
        return;
    s->is_pump_due = true;
    do_later(s, LATER_PUMP, within_ns);
}

/* ---- sending ---- */

static void finish_sending(struct side *s)
{
    bool is_all = s->received == s->to_receive;
    if (s->has_ended || s->sent < s->to_send || (s->style == END_CLOSE && !is_all) ||
        (s->style == END_LAST && !s->has_end))
        return;
    s->has_ended = true;
    bool closes = s->style == END_CLOSE || s->style == END_EARLY;
    int result = closes ? leat_conn_close(s->conn) : leat_conn_end(s->conn);
    if (result != 0)
        side_violation(s, "ending gave an error", (uint64_t)-result, 0);
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

/* C5: data and the reset behind it may come in one burst; then the end is known, and on_close
 * comes, after on_data has answered. */
static bool may_be_reset(const struct flow *f)
{
    return f->any_abort || f->may_die;
}

/* False: not now. */
static bool send_chunk(struct side *s, uint64_t up_to)
{
    struct flow *f = s->flow;
    uint64_t length = 1 + below(f->play, f->chunk_max);
    length = length < up_to - s->sent ? length : up_to - s->sent;
    struct leat_buf buf = leat_buf_alloc_unsafe(length);
    if (buf.data == NULL) {
        pump_later(s, 20 * LEAT_NS_PER_MS);
        return false;
    }
    memcpy(buf.data, bytes_at(f, s->is_client, s->sent), length);
    int result = leat_conn_send(s->conn, &buf, 1);
    if (result >= 0) {
        s->sent += length;
        return true;
    }
    leat_buf_unref(buf);
    if (result == -ENOMEM)
        pump_later(s, 20 * LEAT_NS_PER_MS);
    else if (result != -EAGAIN && !(result == -EPIPE && may_be_reset(f)))
        side_violation(s, "sending gave an error", (uint64_t)-result, s->sent);
    return false;
}

static void side_pump(struct side *s)
{
    struct flow *f = s->flow;
    uint64_t up_to = may_send_up_to(s);
    while (s->is_open && !s->is_closed && !s->has_ended && !s->is_pump_due && s->sent < up_to) {
        if (!send_chunk(s, up_to))
            return;
        if (f->think_ns > 0 && !f->play->is_healed)
            pump_later(s, f->think_ns);
    }
    if (s->is_open && !s->is_closed)
        finish_sending(s);
}

/* ---- receiving ---- */

static void check_bytes(struct side *s, const struct leat_buf *slice)
{
    const size_t most = PATTERN_BYTES - PATTERN_PERIOD;
    for (size_t at = 0; at < slice->length_bytes;) {
        size_t part = slice->length_bytes - at < most ? slice->length_bytes - at : most;
        if (memcmp(slice->data + at, bytes_at(s->flow, !s->is_client, s->received), part) != 0) {
            side_violation(s, "wrong bytes arrived", s->received, part);
            return;
        }
        s->received += part;
        at += part;
    }
    if (s->received > s->to_receive)
        side_violation(s, "more bytes than were sent", s->received, s->to_receive);
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct side *s = user;
    struct flow *f = s->flow;
    bool discards = s->has_ended && (s->style == END_EARLY || s->style == END_CLOSE);
    if (!s->is_open || s->has_end || s->is_closed || discards)
        side_violation(s, "data out of turn", s->received, 0);
    if (count == 0)
        side_violation(s, "data without slices", 0, 0);
    for (unsigned i = 0; i < count; i++) {
        if (slices[i].length_bytes == 0)
            side_violation(s, "an empty slice", 0, 0);
        check_bytes(s, &slices[i]);
        if (s->held_count < HELD_MAX && sim_chance(f->play->sim, f->hold_ppm)) {
            struct leat_buf held = leat_conn_hold(conn, slices[i]);
            if (held.data != NULL) {
                s->held[s->held_count++] = held;
                do_later(s, LATER_RELEASE, f->pause_ns);
            }
        }
        memset(slices[i].data, 0x5c, slices[i].length_bytes); /* C29: nobody reads them again */
    }
    if (f->is_slow_reader || sim_chance(f->play->sim, f->pause_ppm)) {
        (void)leat_conn_pause(conn);
        do_later(s, LATER_RESUME, f->pause_ns);
    }
    side_pump(s);
}

static void on_open(leat_conn conn, void *user)
{
    struct side *s = user;
    if (s->is_open)
        side_violation(s, "opened twice", 0, 0);
    s->conn = conn;
    s->is_open = true;
    side_pump(s);
}

static void on_writable(leat_conn conn, void *user)
{
    (void)conn;
    side_pump(user);
}

static void on_end(leat_conn conn, void *user)
{
    struct side *s = user;
    (void)conn;
    if (s->has_end)
        side_violation(s, "a second end", 0, 0);
    s->has_end = true;
    if (s->received != s->to_receive)
        side_violation(s, "the end before the last byte", s->received, s->to_receive);
    side_pump(s);
}

/* ---- the end ---- */

static bool is_allowed(const struct flow *f, enum leat_close_reason reason)
{
    switch (reason) {
    case LEAT_CLOSE_DONE:
    case LEAT_CLOSE_SHUTDOWN:
        return true;
    case LEAT_CLOSE_ABORTED:
        return f->any_abort;
    case LEAT_CLOSE_RESET:
    case LEAT_CLOSE_REFUSED:
        return may_be_reset(f);
    case LEAT_CLOSE_PEER_GONE:
    case LEAT_CLOSE_TIMEOUT:
    case LEAT_CLOSE_CONNECT_TIMEOUT:
    case LEAT_CLOSE_UNREACHABLE:
    case LEAT_CLOSE_ADDRESS_GONE:
        return f->may_die;
    default:
        return false;
    }
}

/* C21: not before the time allowed has passed. */
static bool is_early(const struct side *s, enum leat_close_reason reason)
{
    const struct play *p = s->flow->play;
    return reason == LEAT_CLOSE_CONNECT_TIMEOUT &&
           sim_now(p->sim) - s->began_ns < p->options.connect_timeout_ns;
}

/* What asks for a neighbour may be lost three times, and whoever meant the connection tries again;
 * where both ends connect, the other may be refused meanwhile. */
static bool is_to_try_again(const struct side *s, enum leat_close_reason reason)
{
    const struct flow *f = s->flow;
    bool is_refused = reason == LEAT_CLOSE_REFUSED && f->is_simultaneous && f->was_unreachable;
    return !s->is_open && !f->may_die && (reason == LEAT_CLOSE_UNREACHABLE || is_refused);
}

static void connect_again(struct sim *sim, void *side);

/* Both ends of a simultaneous open try again at one time, or they might never meet. */
static uint64_t again_ns(struct flow *f)
{
    struct play *p = f->play;
    if (f->again_ns <= sim_now(p->sim))
        f->again_ns = sim_now(p->sim) + 1 + below(p, LEAT_NS_PER_S);
    return f->again_ns;
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct side *s = user;
    struct flow *f = s->flow;
    struct play *p = f->play;
    if (is_to_try_again(s, reason)) {
        f->was_unreachable = true;
        sim_at(p->sim, again_ns(f), connect_again, s);
        return;
    }
    if (s->is_closed)
        side_violation(s, "closed twice", 0, 0);
    s->is_closed = true;
    s->reason = reason;
    p->closed_count++;
    if (!is_allowed(f, reason))
        side_violation(s, leat_close_reason_sentence(reason), s->received, s->to_receive);
    if (is_early(s, reason))
        side_violation(s, "connecting was given up too early, ns after it began",
                       sim_now(p->sim) - s->began_ns, p->options.connect_timeout_ns);
    bool is_all = s->sent == s->to_send && (s->received == s->to_receive || s->style == END_EARLY);
    if (reason == LEAT_CLOSE_DONE && !f->any_abort && !f->may_die && !is_all)
        side_violation(s, "done before everything was sent and received", s->received, s->sent);
    while (s->held_count > 0)
        leat_conn_release(conn, s->held[--s->held_count]);
    if (s->is_client && f->next != NULL)
        sim_at(p->sim, sim_now(p->sim) + below(p, 100 * LEAT_NS_PER_MS), flow_start, f->next);
}

static const struct leat_conn_ops nobody_ops = {.on_open = NULL};

static void on_accept(leat_conn conn, void *user)
{
    struct play *p = user;
    struct leat_addr peer, local;
    CHECK(p != NULL && leat_conn_peer(conn, &peer) == 0 && leat_conn_local(conn, &local) == 0);
    uint16_t number = 0;
    for (unsigned door = 0; door < DOOR_COUNT; door++) {
        struct leat_addr at = play_addr(p, (enum door)door);
        if (leat_addr_equal(&at, &local))
            number = p->by_port[door][peer.port];
    }
    struct flow *f = number != 0 ? &p->flows[number - 1] : NULL;
    if (f == NULL || f->server.is_open) {
        sim_violation(p->sim, "a connection that nobody made was accepted, from port %u",
                      peer.port);
        (void)leat_conn_set(conn, &nobody_ops, NULL);
        (void)leat_conn_abort(conn);
        return;
    }
    f->server.host = sim_core_now(p->sim);
    (void)leat_conn_set(conn, NULL, &f->server);
    on_open(conn, &f->server);
}

const struct leat_conn_ops flow_client_ops = {on_open, on_data, on_writable, on_end, on_close};
const struct leat_conn_ops flow_server_ops = {on_accept, on_data, on_writable, on_end, on_close};

/* ---- the beginning ---- */

static void connect_server(struct flow *f, const struct leat_addr *from)
{
    struct play *p = f->play;
    struct leat_addr to = sim_addr(p->client, p->v6, f->port);
    sim_enter(p->server);
    f->server.began_ns = leat_loop_now(sim_loop(p->server));
    int result = leat_connect(sim_loop(p->server), &to, from, &p->options, &flow_client_ops,
                              &f->server, &f->server.conn);
    sim_leave(p->server);
    if (result != 0)
        side_violation(&f->server, "connecting gave an error", (uint64_t)-result, 0);
}

static uint16_t port_of(const struct flow *f)
{
    if (f->is_simultaneous)
        return (uint16_t)(SIMULTANEOUS_FIRST + f->number);
    return f->play->shape.reuse ? (uint16_t)(REUSED_FIRST + f->number % REUSED_MAX) : 0;
}

/* The client's part. True: the server may connect, too. */
static bool client_connect(struct flow *f, struct leat_addr *server)
{
    struct play *p = f->play;
    struct leat_addr to = play_addr(p, play_door(f)), from = sim_addr(p->client, p->v6, port_of(f)),
                     local;
    if (f->is_simultaneous)
        to.port = from.port;
    *server = to;
    f->port = from.port;
    sim_enter(f->client.host);
    f->client.began_ns = leat_loop_now(sim_loop(f->client.host));
    int result = leat_connect(sim_loop(f->client.host), &to, from.port != 0 ? &from : NULL,
                              &p->options, &flow_client_ops, &f->client, &f->client.conn);
    if (result == 0) {
        CHECK(leat_conn_local(f->client.conn, &local) == 0);
        f->port = local.port;
        p->by_port[play_door(f)][local.port] = (uint16_t)(f->number + 1);
    }
    sim_leave(f->client.host);
    if (result == -EADDRINUSE && p->shape.reuse) /* TIME_WAIT */
        sim_at(p->sim, sim_now(p->sim) + LEAT_NS_PER_S, flow_start, f);
    else if (result != 0)
        side_violation(&f->client, "connecting gave an error", (uint64_t)-result, 0);
    return result == 0;
}

void flow_start(struct sim *sim, void *flow)
{
    struct flow *f = flow;
    struct leat_addr server;
    (void)sim;
    if (client_connect(f, &server) && f->is_simultaneous)
        connect_server(f, &server);
}

static void connect_again(struct sim *sim, void *side)
{
    struct side *s = side;
    struct flow *f = s->flow;
    struct leat_addr server = play_addr(f->play, play_door(f));
    (void)sim;
    server.port = f->port;
    if (s == &f->client)
        (void)client_connect(f, &server);
    else
        connect_server(f, &server);
}

/* ---- drawing ---- */

static enum end_style draw_style(struct play *p)
{
    if (sim_chance(p->sim, p->shape.any_order_ppm))
        return (enum end_style)below(p, 4);
    return END_HALF;
}

static void draw_ends(struct play *p, struct flow *f)
{
    f->client.style = draw_style(p);
    f->server.style = draw_style(p);
    if (f->client.style == END_LAST && f->server.style == END_LAST)
        f->client.style = END_HALF;
    if (sim_chance(p->sim, p->shape.close_ppm))
        f->client.style = f->server.style = END_CLOSE;
    f->is_simultaneous = sim_chance(p->sim, p->shape.simultaneous_ppm);
    if (!f->is_simultaneous && sim_chance(p->sim, p->shape.looped_ppm)) {
        f->is_looped = true;
        f->server.host = p->client;
    }
    f->may_die = p->shape.vanish;
    f->uses_extra = p->shape.moves && sim_chance(p->sim, 500000);
    f->may_die |= f->uses_extra;
    if (sim_chance(p->sim, p->shape.abort_ppm)) {
        f->any_abort = true;
        do_later(sim_chance(p->sim, 500000) ? &f->client : &f->server, LATER_ABORT,
                 4 * LEAT_NS_PER_S);
    }
}

static void draw_pace(struct play *p, struct flow *f)
{
    const struct shape *s = &p->shape;
    f->pause_ppm = (uint32_t)below(p, s->pause_ppm + 1);
    f->hold_ppm = (uint32_t)below(p, s->hold_ppm + 1);
    f->pause_ns = s->pause_ns_max != 0 ? 1 + below(p, s->pause_ns_max) : 500 * LEAT_NS_PER_MS;
    f->think_ns = s->think_ns_max != 0 ? 1 + below(p, s->think_ns_max) : 0;
    f->chunk_max = s->chunk_max != 0 ? s->chunk_max : sim_chance(p->sim, 300000) ? 100 : CHUNK_MAX;
    if (s->chunk_max == 1 && sim_chance(p->sim, 100000)) {
        f->is_slow_reader = true;
        f->pause_ns = 5 * LEAT_NS_PER_S;
        f->client.to_send = f->server.to_receive = DRIPPED_BYTES;
    }
}

void flow_init(struct play *p, unsigned number)
{
    struct flow *f = &p->flows[number];
    const struct shape *shape = &p->shape;
    *f = (struct flow){.play = p, .number = number};
    uint64_t up = below(p, shape->up_max + 1), down = below(p, shape->down_max + 1);
    if (sim_chance(p->sim, 100000))
        up = 0;
    if (sim_chance(p->sim, 100000))
        down = 0;
    f->pattern = (uint32_t)below(p, PATTERN_PERIOD);
    uint32_t core = p->core_count > 1 ? (uint32_t)below(p, p->core_count) : 0;
    f->client = (struct side){.flow = f,
                              .host = sim_core(p->client, core),
                              .is_client = true,
                              .to_send = up,
                              .to_receive = down};
    f->server = (struct side){.flow = f, .host = p->server, .to_send = down, .to_receive = up};
    f->server.answers_per = shape->request_bytes;
    draw_pace(p, f);
    draw_ends(p, f);
    if (shape->reuse && number >= REUSED_MAX)
        p->flows[number - REUSED_MAX].next = f;
    else
        sim_at(p->sim, sim_now(p->sim) + below(p, 3 * LEAT_NS_PER_S), flow_start, f);
}
