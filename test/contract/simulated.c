/* Leat's own stack on the simulator; its peers are connections of a second simulated host. */
#include "contract.h"

#include "net/sim/sim.h"
#include "runtime/base/core.h"

#include <stdlib.h>

#define ROOM_BYTES 65536 /* what a peer takes in before its window closes */

struct net {
    struct sim *sim;
    struct sim_host *host, *far;
    uint32_t core_count; /* of host */
    struct peer *peers;
    struct udp_peer *udp_peers;
};

struct peer {
    struct peer *next;
    struct net *net;
    leat_conn conn;
    struct leat_listener *listener;
    struct peer *waiting; /* of a listener: accepted and not yet asked for, by next_waiting */
    struct peer *next_waiting;
    uint8_t room[ROOM_BYTES];
    size_t length;
    bool is_open, has_end, is_closed, is_reset, is_gone;
};

/* ---- the far host's callbacks ---- */

static void peer_on_data(leat_conn conn, void *user, const struct leat_buf *slices, unsigned count)
{
    struct peer *p = user;
    (void)conn;
    for (unsigned i = 0; i < count && !p->is_gone; i++) {
        assert_true(p->length + slices[i].length_bytes <= sizeof(p->room));
        memcpy(p->room + p->length, slices[i].data, slices[i].length_bytes);
        p->length += slices[i].length_bytes;
        memset(slices[i].data, 0x5c, slices[i].length_bytes); /* C29 */
    }
    if (p->length > ROOM_BYTES / 2)
        (void)leat_conn_pause(conn);
}

static void peer_on_open(leat_conn conn, void *user)
{
    struct peer *p = user;
    p->conn = conn;
    p->is_open = true;
}

static void peer_on_end(leat_conn conn, void *user)
{
    struct peer *p = user;
    (void)conn;
    p->has_end = true;
}

static void peer_on_close(leat_conn conn, void *user, enum leat_close_reason reason)
{
    struct peer *p = user;
    (void)conn;
    p->is_closed = true;
    p->is_reset = reason == LEAT_CLOSE_RESET || reason == LEAT_CLOSE_REFUSED;
}

static const struct leat_conn_ops peer_ops = {
    .on_open = peer_on_open,
    .on_data = peer_on_data,
    .on_end = peer_on_end,
    .on_close = peer_on_close,
};

static struct peer *peer_new(struct net *net)
{
    struct peer *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->net = net;
    p->next = net->peers;
    net->peers = p;
    return p;
}

static void peer_on_accept(leat_conn conn, void *user)
{
    struct peer *listener = user, *p = peer_new(listener->net);
    assert_int_equal(leat_conn_set(conn, &peer_ops, p), 0);
    peer_on_open(conn, p);
    p->next_waiting = listener->waiting;
    listener->waiting = p;
}

static const struct leat_conn_ops accept_ops = {.on_open = peer_on_accept};

/* ---- peers of datagrams ---- */

#define UDP_ROOM_BYTES (4u << 20)

struct udp_peer {
    struct udp_peer *next;
    struct net *net;
    leat_udp udp;
    uint8_t *room; /* {from, length, bytes} one behind the other */
    size_t length, read;
    bool is_closed;
};

struct udp_kept {
    struct leat_addr from;
    size_t length;
};

static void udp_peer_on_datagrams(leat_udp udp, void *user, const struct leat_datagram *d,
                                  unsigned count)
{
    struct udp_peer *p = user;
    for (unsigned i = 0; i < count; i++) {
        struct udp_kept kept = {.length = d[i].data.length_bytes};
        kept.from.family = d[i].from.family;
        kept.from.port = d[i].from.port;
        memcpy(kept.from.ip, d[i].from.ip, sizeof(kept.from.ip));
        assert_true(p->length + sizeof(kept) + kept.length <= UDP_ROOM_BYTES);
        memcpy(p->room + p->length, &kept, sizeof(kept));
        memcpy(p->room + p->length + sizeof(kept), d[i].data.data, kept.length);
        p->length += sizeof(kept) + kept.length;
    }
}

static const struct leat_udp_ops udp_peer_ops = {.on_datagrams = udp_peer_on_datagrams};

static struct udp_peer *stack_udp_peer(struct world *w, bool v6, struct leat_addr *bound)
{
    struct net *net = w->shared;
    struct udp_peer *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->room = malloc(UDP_ROOM_BYTES);
    assert_non_null(p->room);
    p->net = net;
    p->next = net->udp_peers;
    net->udp_peers = p;
    struct leat_addr any = sim_addr(net->far, v6, 0);
    sim_enter(net->far);
    assert_int_equal(leat_udp_bind(sim_loop(net->far), &any, NULL, &udp_peer_ops, p, &p->udp), 0);
    assert_int_equal(leat_udp_local(p->udp, bound), 0);
    sim_leave(net->far);
    return p;
}

static void stack_udp_send(struct udp_peer *p, const struct leat_addr *to, const void *bytes,
                           size_t length)
{
    sim_enter(p->net->far);
    assert_int_equal(leat_udp_send_bytes(p->udp, to, bytes, length), 0);
    sim_leave(p->net->far);
}

static long stack_udp_receive(struct udp_peer *p, struct leat_addr *from, void *bytes, size_t room)
{
    struct udp_kept kept;
    if (p->read == p->length)
        return -EAGAIN;
    memcpy(&kept, p->room + p->read, sizeof(kept));
    assert_true(kept.length <= room);
    memcpy(bytes, p->room + p->read + sizeof(kept), kept.length);
    p->read += sizeof(kept) + kept.length;
    if (from != NULL)
        *from = kept.from;
    if (p->read == p->length)
        p->read = p->length = 0;
    return (long)kept.length;
}

static void stack_udp_close(struct udp_peer *p)
{
    sim_enter(p->net->far);
    (void)leat_udp_close(p->udp);
    p->is_closed = true;
    sim_leave(p->net->far);
}

/* ---- the world ---- */

static int open_host(struct world *w, uint32_t core_count)
{
    struct net *net = calloc(1, sizeof(*net));
    assert_non_null(net);
    struct sim_host_options options = {.kind = SIM_STACK,
                                       .core_count = core_count,
                                       .link.delay_ns = 1000,
                                       .buffer_bytes_max = CONTRACT_BUFFER_BYTES};
    net->sim = sim_new(1, NULL, NULL);
    net->core_count = core_count;
    net->host = sim_add_host(net->sim, &options);
    options.core_count = 1;
    net->far = sim_add_host(net->sim, &options);
    w->shared = net;
    w->loop = sim_loop(net->host);
    w->any = sim_addr(net->host, false, 0);
    w->any6 = sim_addr(net->host, true, 0);
    struct ip_addr second = ip_addr_v4(be32_put(0x0a00004d));
    assert_int_equal(stack_add_address(sim_stack(net->host), &second, 24), 0);
    sim_enter(net->host);
    return 0;
}

static int stack_open(struct world *w)
{
    return open_host(w, 1);
}

/* The second world is the second core. */
static int cores_open(struct world *w)
{
    struct net *net = w->shared;
    if (net == NULL)
        return open_host(w, 2);
    w->loop = sim_loop(sim_core(net->host, 1));
    w->any = sim_addr(net->host, false, 0);
    w->any6 = sim_addr(net->host, true, 0);
    sim_enter(sim_core(net->host, 1));
    return 0;
}

static struct net *net_of(struct world *w)
{
    return w->shared;
}

static void stack_step(struct world *w, uint64_t nap_ns)
{
    struct net *net = net_of(w);
    for (uint32_t i = 0; i < net->core_count; i++)
        sim_kick(sim_core(net->host, i));
    sim_kick(net->far);
    sim_run_for(net->sim, nap_ns + 10 * LEAT_NS_PER_US);
}

static void stack_pause(struct world *w, uint64_t ns)
{
    struct net *net = net_of(w);
    for (uint32_t i = 0; i < net->core_count; i++)
        sim_stall(sim_core(net->host, i), ns);
    sim_run_for(net->sim, ns - 1);
}

/* What is still open on the far side is no matter of the test's. */
static void stack_close(struct world *w)
{
    struct net *net = net_of(w);
    sim_stop_host(net->host);
    sim_enter(net->far);
    for (struct peer *p = net->peers; p != NULL; p = p->next) {
        if (p->listener != NULL) {
            leat_listener_close(p->listener);
            p->listener = NULL;
        } else if (!p->is_closed) {
            (void)leat_conn_abort(p->conn);
        }
    }
    for (struct udp_peer *p = net->udp_peers; p != NULL; p = p->next)
        if (!p->is_closed)
            (void)leat_udp_close(p->udp);
    sim_leave(net->far);
}

static void stack_free_shared(void *shared)
{
    struct net *net = shared;
    assert_int_equal(sim_free(net->sim), 0);
    while (net->peers != NULL) {
        struct peer *p = net->peers;
        net->peers = p->next;
        free(p);
    }
    while (net->udp_peers != NULL) {
        struct udp_peer *p = net->udp_peers;
        net->udp_peers = p->next;
        free(p->room);
        free(p);
    }
    free(net);
}

/* ---- peers ---- */

static struct peer *stack_peer_connect(struct world *w, const struct leat_addr *to)
{
    struct net *net = net_of(w);
    struct peer *p = peer_new(net);
    sim_enter(net->far);
    int result = leat_connect(sim_loop(net->far), to, NULL, NULL, &peer_ops, p, &p->conn);
    sim_leave(net->far);
    assert_int_equal(result, 0);
    return p;
}

static struct peer *stack_peer_listen(struct world *w, struct leat_addr *bound)
{
    struct net *net = net_of(w);
    struct peer *p = peer_new(net);
    struct leat_addr any = sim_addr(net->far, false, 0);
    sim_enter(net->far);
    int result = leat_listen(sim_loop(net->far), &any, NULL, &accept_ops, p, &p->listener);
    assert_int_equal(result, 0);
    *bound = *leat_listener_addr(p->listener);
    sim_leave(net->far);
    return p;
}

static struct peer *stack_peer_accept(struct peer *listener)
{
    struct peer *p = listener->waiting;
    if (p != NULL)
        listener->waiting = p->next_waiting;
    return p;
}

static long stack_peer_send(struct peer *p, const void *bytes, size_t length)
{
    size_t part = length < 16384 ? length : 16384;
    if (p->is_closed)
        return p->is_reset ? -ECONNRESET : -EPIPE;
    sim_enter(p->net->far);
    int result = leat_conn_send_bytes(p->conn, bytes, part);
    sim_leave(p->net->far);
    return result >= 0 ? (long)part : result;
}

static long stack_peer_receive(struct peer *p, void *bytes, size_t room)
{
    if (p->is_reset)
        return -ECONNRESET;
    if (p->length == 0)
        return p->has_end ? 0 : -EAGAIN;
    size_t part = p->length < room ? p->length : room;
    memcpy(bytes, p->room, part);
    memmove(p->room, p->room + part, p->length - part);
    p->length -= part;
    if (p->length <= ROOM_BYTES / 2) {
        sim_enter(p->net->far);
        (void)leat_conn_resume(p->conn);
        sim_leave(p->net->far);
    }
    return (long)part;
}

static void stack_peer_end(struct peer *p)
{
    sim_enter(p->net->far);
    assert_int_equal(leat_conn_end(p->conn), 0);
    sim_leave(p->net->far);
}

static void stack_peer_close(struct peer *p)
{
    sim_enter(p->net->far);
    if (p->listener != NULL) {
        leat_listener_close(p->listener);
        p->listener = NULL;
        p->is_closed = true;
    } else {
        (void)leat_conn_close(p->conn);
    }
    p->is_gone = true;
    sim_leave(p->net->far);
}

static void stack_peer_reset(struct peer *p)
{
    sim_enter(p->net->far);
    (void)leat_conn_abort(p->conn);
    p->is_gone = true;
    sim_leave(p->net->far);
}

/* Nobody has the address: packets wait for a neighbour that does not answer. */
static bool stack_black_hole(struct world *w, struct leat_addr *addr)
{
    return leat_addr_parse(addr, "10.0.0.200:80", 0, NULL) == 0;
}

static void stack_stall(struct world *w, bool stalls)
{
    sim_port(net_of(w)->host)->grant_refuse_ppm = stalls ? 1000000 : 0;
}

/* Of a host of two cores: one core ends alone, or the host with all that is left. */
static void cores_close(struct world *w)
{
    struct net *net = net_of(w);
    if (w->core_index != 0)
        sim_stop_host(sim_core(net->host, 1));
    else
        stack_close(w);
}

#define STACK_FUNCTIONS                                                                            \
    .free_shared = stack_free_shared, .step = stack_step, .pause = stack_pause,                    \
    .peer_connect = stack_peer_connect, .peer_listen = stack_peer_listen,                          \
    .peer_accept = stack_peer_accept, .peer_send = stack_peer_send,                                \
    .peer_receive = stack_peer_receive, .peer_end = stack_peer_end,                                \
    .peer_reset = stack_peer_reset, .peer_close = stack_peer_close,                                \
    .black_hole = stack_black_hole, .udp_peer = stack_udp_peer, .udp_send = stack_udp_send,        \
    .udp_receive = stack_udp_receive, .udp_close = stack_udp_close, .stall = stack_stall,          \
    .second_address = "10.0.0.77:0"

const struct contract_transport contract_stack = {
    .name = "stack",
    /* c22: a handshake that nobody accepted is no connection yet; c24, c25, u05: see stack-cores;
     * c26: its peers listen on another host's addresses */
    .skips = "c28_close_soon_waits_for_nobody c22_a_closed_listener_leaves_its_connections "
             "c24_each_core_listens_once "
             "c25_a_free_port_is_the_same_for_all_cores c26_addresses_that_cannot_be "
             "u05_each_core_binds_once u05_a_free_port_is_the_same_for_all_cores",
    .open = stack_open,
    .close = stack_close,
    STACK_FUNCTIONS,
};

const struct contract_transport contract_stack_cores = {
    .name = "stack-cores",
    .only = "c24_each_core_listens_once c25_a_free_port_is_the_same_for_all_cores "
            "u05_a_free_port_is_the_same_for_all_cores",
    .open = cores_open,
    .close = cores_close,
    STACK_FUNCTIONS,
};
