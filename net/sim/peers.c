/* The visitors of --net sim: clients that fetch pages and check that nothing changed. */
#include "net/sim/peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const uint16_t usual_ports[] = {80, 8080};
#define USUAL_COUNT (sizeof(usual_ports) / sizeof(usual_ports[0]))

static const char request[] = "GET / HTTP/1.1\r\nHost: sim\r\n\r\n";
static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n"
                             "Content-Type: text/plain\r\n\r\nHello, World!";

static struct sim *sim_of(const struct visitor *v)
{
    return v->peers->play->sim;
}

/* ---- asking ---- */

static void visitor_ask(struct visitor *v)
{
    while (v->is_open && !v->is_over && v->asked < v->to_ask && v->asked < v->answered + v->depth) {
        if (leat_conn_send_bytes(v->conn, request, sizeof(request) - 1) < 0)
            return;
        v->asked++;
        v->peers->asked++;
    }
}

/* ---- answers ---- */

static const char *head_field(const struct visitor *v, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = v->head; (line = strchr(line, '\n')) != NULL;) {
        line++;
        if (strncasecmp(line, name, length) == 0)
            return line + length;
    }
    return NULL;
}

static void visitor_fail(struct visitor *v, const char *what)
{
    sim_violation(sim_of(v), "visitor %u, answer %u: %s", v->number, v->answered + 1, what);
    (void)leat_conn_abort(v->conn);
}

static void visitor_on_head(struct visitor *v)
{
    const char *length = head_field(v, "Content-Length:");
    v->head[v->head_bytes] = 0;
    v->has_head = true;
    v->head_bytes = 0;
    if (sscanf(v->head, "HTTP/1.%*d %d", &v->status) != 1 || v->status < 100) {
        visitor_fail(v, "no HTTP response");
        return;
    }
    v->body_hash = UINT64_C(0xcbf29ce484222325);
    v->is_endless = length == NULL; /* chunked: its end is not looked for */
    v->body_left = length != NULL ? strtoull(length, NULL, 10) : 0;
}

static void visitor_on_answer(struct visitor *v)
{
    struct peers *p = v->peers;
    v->has_head = false;
    v->answered++;
    p->answered++;
    if (p->status == 0) {
        p->status = v->status;
        p->body_hash = v->body_hash;
    }
    if (v->answered > v->asked)
        visitor_fail(v, "nobody asked for it");
    else if (v->status >= 500 || v->status == 408)
        p->refused++;
    else if (v->status != p->status || v->body_hash != p->body_hash)
        visitor_fail(v, "another than the same question had before");
    if (v->answered == v->to_ask)
        (void)leat_conn_end(v->conn);
    visitor_ask(v);
}

static size_t visitor_read_head(struct visitor *v, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (v->head_bytes + 1 == PEERS_HEAD_MAX) {
            visitor_fail(v, "a head without an end");
            return count;
        }
        v->head[v->head_bytes++] = (char)bytes[i];
        if (v->head_bytes >= 4 && memcmp(v->head + v->head_bytes - 4, "\r\n\r\n", 4) == 0) {
            visitor_on_head(v);
            return i + 1;
        }
    }
    return count;
}

static size_t visitor_read_body(struct visitor *v, const uint8_t *bytes, size_t count)
{
    size_t part = v->is_endless || v->body_left > count ? count : (size_t)v->body_left;
    for (size_t i = 0; i < part; i++)
        v->body_hash = (v->body_hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    v->body_left -= v->is_endless ? 0 : part;
    return part;
}

static void on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct visitor *v = user;
    (void)conn;
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *at = slices[i].data, *end = at + slices[i].length_bytes;
        while (at < end && sim_violation_count(sim_of(v)) == 0) {
            at += v->has_head ? visitor_read_body(v, at, (size_t)(end - at))
                              : visitor_read_head(v, at, (size_t)(end - at));
            if (v->has_head && !v->is_endless && v->body_left == 0)
                visitor_on_answer(v);
        }
    }
}

static void on_open(leat_conn conn, void *user)
{
    struct visitor *v = user;
    v->conn = conn;
    v->is_open = true;
    v->peers->has_found = true;
    v->peers->has_v6 |= v->uses_v6;
    visitor_ask(v);
}

static void on_end(leat_conn conn, void *user)
{
    struct visitor *v = user;
    if (v->is_endless && v->has_head) {
        v->to_ask = v->answered + 1;
        visitor_on_answer(v);
    } else if (v->has_head || v->head_bytes > 0)
        visitor_fail(v, "it ends in its middle");
    (void)leat_conn_close(conn);
}

static void visitor_visit(struct sim *sim, void *visitor);

/* Nobody listens there: the next usual port, or there is no server to visit. */
static void try_next(struct peers *p)
{
    if (p->tried < USUAL_COUNT)
        p->port = usual_ports[p->tried++];
    else
        p->has_given_up = true;
}

static void on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct visitor *v = user;
    struct peers *p = v->peers;
    (void)conn;
    /* A neighbour that did not answer while the world has faults: asked again later. */
    if (reason == LEAT_CLOSE_UNREACHABLE && !v->is_open && !p->play->is_healed) {
        sim_at(sim_of(v), sim_now(sim_of(v)) + LEAT_NS_PER_S, visitor_visit, v);
        return;
    }
    if (!p->has_found && v->number == 0) {
        try_next(p);
        if (!p->has_given_up) {
            sim_at(sim_of(v), sim_now(sim_of(v)) + LEAT_NS_PER_MS, visitor_visit, v);
            return;
        }
    }
    v->is_over = true;
    p->over_count++;
    bool is_probe = v->number == 1 && !p->has_v6; /* whether there is IPv6 */
    if (v->answered == v->to_ask || v->aborts || p->has_given_up || is_probe)
        return;
    p->cut += v->to_ask - v->answered;
    if (v->is_late)
        sim_violation(sim_of(v),
                      "visitor %u came when the faults were over and got %u of %u answers: %s",
                      v->number, v->answered, v->to_ask, leat_close_reason_sentence(reason));
}

static const struct leat_conn_ops visitor_ops = {.on_open = on_open,
                                                 .on_data = on_data,
                                                 .on_end = on_end,
                                                 .on_close = on_close};

static void visitor_leave(struct sim *sim, void *arg)
{
    struct visitor *v = arg;
    (void)sim;
    if (!v->is_open || v->is_over)
        return;
    sim_enter(v->peers->play->client);
    (void)leat_conn_abort(v->conn);
    sim_leave(v->peers->play->client);
}

static void visitor_visit(struct sim *sim, void *visitor)
{
    struct visitor *v = visitor;
    struct peers *p = v->peers;
    struct play *play = p->play;
    v->uses_v6 = v->number == 1 || (v->number % 2 == 1 && p->has_v6);
    struct leat_addr to = sim_addr(play->server, v->uses_v6, p->port);
    const struct leat_conn_options options = {.timeout_ns = PEERS_PATIENCE_NS,
                                              .connect_timeout_ns = PEERS_PATIENCE_NS};
    if (p->has_given_up) {
        v->is_over = true;
        p->over_count++;
        return;
    }
    if (!p->has_found && v->number > 0) {
        sim_at(sim, sim_now(sim) + LEAT_NS_PER_S, visitor_visit, v);
        return;
    }
    sim_enter(play->client);
    int result =
        leat_connect(sim_loop(play->client), &to, NULL, &options, &visitor_ops, v, &v->conn);
    sim_leave(play->client);
    if (result != 0)
        sim_violation(sim, "visitor %u cannot connect: %s", v->number, leat_errno_name(result));
    else if (v->aborts)
        sim_at(sim, sim_now(sim) + below(play, LEAT_NS_PER_S), visitor_leave, v);
}

/* ---- the server ---- */

struct asker { /* a connection of the program to us: how much of "\r\n\r\n" has come */
    struct peers *peers;
    unsigned matched;
};

static void serve_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct asker *a = user;
    for (unsigned i = 0; i < count; i++) {
        for (size_t at = 0; at < slices[i].length_bytes; at++) {
            bool is_cr = slices[i].data[at] == '\r', is_lf = slices[i].data[at] == '\n';
            bool fits = a->matched % 2 == 0 ? is_cr : is_lf;
            a->matched = fits ? a->matched + 1 : is_cr;
            if (a->matched < 4)
                continue;
            a->matched = 0;
            a->peers->served++;
            (void)!leat_conn_send_bytes(conn, answer, sizeof(answer) - 1);
        }
    }
}

static void serve_open(leat_conn conn, void *user)
{
    struct asker *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    a->peers = user;
    (void)leat_conn_set(conn, NULL, a);
}

static void serve_end(leat_conn conn, void *user)
{
    (void)user;
    (void)leat_conn_close(conn);
}

static void serve_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    (void)conn, (void)reason;
    free(user);
}

static const struct leat_conn_ops serve_ops = {.on_open = serve_open,
                                               .on_data = serve_data,
                                               .on_end = serve_end,
                                               .on_close = serve_close};

static void listen_at(struct peers *p, uint16_t port)
{
    struct sim_host *host = p->play->client;
    struct leat_addr at = {.family = LEAT_FAMILY_IPV6, .port = port};
    const struct leat_listen_options options = {.conn.timeout_ns = 600 * LEAT_NS_PER_S};
    struct leat_listener *listener;
    sim_enter(host);
    CHECK(leat_listen(sim_loop(host), &at, &options, &serve_ops, p, &listener) == 0);
    sim_leave(host);
}

/* ---- the course ---- */

static void whole_again(struct sim *sim, void *arg)
{
    struct peers *p = arg;
    play_faults_end(p->play);
    for (unsigned i = PEERS_VISITORS; i < p->count; i++)
        sim_at(sim, sim_now(sim) + LEAT_NS_PER_S + below(p->play, LEAT_NS_PER_S), visitor_visit,
               &p->visitors[i]);
}

void peers_begin(struct peers *p, struct play *play, uint16_t port)
{
    struct sim *sim = play->sim;
    *p = (struct peers){.play = play, .port = port, .count = PEERS_VISITORS + PEERS_AFTER};
    p->tried = port == 0 ? 0 : USUAL_COUNT;
    if (port == 0)
        try_next(p);
    p->visitors = calloc(p->count, sizeof(*p->visitors));
    CHECK(p->visitors != NULL);
    for (unsigned i = 0; i < p->count; i++) {
        struct visitor *v = &p->visitors[i];
        *v = (struct visitor){.peers = p, .number = i, .is_late = i >= PEERS_VISITORS};
        v->to_ask = 1 + (unsigned)below(play, PEERS_ANSWERS_MAX);
        v->depth = 1 + (unsigned)below(play, 4);
        v->aborts = !v->is_late && i > 0 && sim_chance(sim, 100000);
        uint64_t at = i == 0 ? 0 : LEAT_NS_PER_S + below(play, 3 * LEAT_NS_PER_S);
        if (!v->is_late)
            sim_at(sim, sim_now(sim) + LEAT_NS_PER_MS + at, visitor_visit, v);
    }
    listen_at(p, 80);
    listen_at(p, 8080);
    sim_at(sim, play->fault_until_ns, whole_again, p);
}

bool peers_are_done(const struct peers *p)
{
    return p->has_given_up || p->over_count == p->count;
}

void peers_end(struct peers *p)
{
    free(p->visitors);
}
