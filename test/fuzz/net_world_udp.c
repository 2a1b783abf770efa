/* UDP in the world of net_frames: sockets of the application, and what the peer sends them. A
 * datagram's bytes are a function of its length, so that each is checked where it arrives. */
#include <errno.h>

#include "net/stack/udp.h"
#include "test/fuzz/net_world.h"

#define UDP_PORT  7000 /* the sockets' ports: few, so that they meet */
#define UDP_PORTS 4
#define UDP_PEER  9000
#define BYTES_MAX 4000

static uint8_t datagram_byte(uint32_t length, uint32_t at)
{
    return (uint8_t)(length + 7 * at + (at >> 8));
}

static void fill(uint8_t *to, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        to[i] = datagram_byte(length, i);
}

/* What a call may give; after on_close nothing but -ESTALE. */
static void check_result(const struct udp_app *a, int result)
{
    static const int codes[] = {-ESTALE,       -EPIPE,  -EAGAIN,   -ENOMEM,     -EISCONN,
                                -EDESTADDRREQ, -EINVAL, -EACCES,   -EEXIST,     -ENOENT,
                                -ENOTCONN,     -ENOSPC, -EMSGSIZE, -ENETUNREACH};
    bool is_known = result >= 0;
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        is_known |= result == codes[i];
    CHECK(is_known);
    CHECK(a->closes == 0 || result == -ESTALE);
}

static void react(struct udp_app *a)
{
    struct world *w = a->world;
    uint8_t call = w->udp_reaction;
    w->udp_reaction = 0;
    if (call != 0)
        world_udp_call(w, call, w->udp_argument);
}

static void take_one(struct udp_app *a, const struct leat_datagram *d)
{
    struct world *w = a->world;
    uint32_t length = (uint32_t)d->data.length_bytes;
    CHECK(d->to.port == a->port);
    for (uint32_t i = 0; i < length && !w->is_tainted; i++)
        CHECK(d->data.data[i] == datagram_byte(length, i));
    if (w->udp_holds > 0 && a->held.data == NULL && length > 0) {
        w->udp_holds--;
        a->held = leat_udp_hold(a->udp, d->data);
    } else if (w->udp_answers > 0) {
        w->udp_answers--;
        struct leat_buf echo = leat_buf_from_bytes(d->data.data, length);
        int result = leat_udp_reply(a->udp, d, &echo, 1);
        check_result(a, result);
        a->was_refused |= result == -EAGAIN;
        if (result < 0)
            leat_buf_unref(echo);
    }
}

static void on_datagrams(leat_udp udp, void *user, const struct leat_datagram *datagrams,
                         unsigned count)
{
    struct udp_app *a = user;
    CHECK(udp.id == a->udp.id && count > 0 && !a->is_closed && !a->is_paused);
    for (unsigned i = 0; i < count; i++)
        take_one(a, &datagrams[i]);
    react(a);
}

static void on_writable(leat_udp udp, void *user)
{
    struct udp_app *a = user;
    CHECK(udp.id == a->udp.id && a->was_refused && !a->is_closed);
    a->was_refused = false;
    react(a);
}

static void on_error(leat_udp udp, void *user, const struct leat_addr *peer,
                     enum leat_close_reason reason)
{
    struct udp_app *a = user;
    CHECK(udp.id == a->udp.id && !a->is_closed && peer->port != 0);
    CHECK(reason == LEAT_CLOSE_REFUSED || reason == LEAT_CLOSE_UNREACHABLE ||
          reason == LEAT_CLOSE_PROTOCOL);
    react(a);
}

static void on_close(leat_udp udp, void *user, enum leat_close_reason reason)
{
    struct udp_app *a = user;
    CHECK(udp.id == a->udp.id && a->closes == 0 && reason < LEAT_CLOSE_REASON_COUNT);
    react(a); /* the handle is good until this returns */
    a->closes++;
}

static const struct leat_udp_ops ops = {on_datagrams, on_writable, on_error, on_close};

static void udp_open(struct world *w, uint16_t argument)
{
    struct leat_addr at = sim_addr(w->host, w->v6, (uint16_t)(UDP_PORT + argument % UDP_PORTS));
    struct leat_addr to = sim_addr(w->peer, w->v6, (uint16_t)(UDP_PEER + (argument >> 2) % 4));
    struct leat_udp_options options = {.receive_bytes_max = argument & 16 ? 5000 : 0,
                                       .exclusive = (argument & 32) != 0};
    if (w->udp_count == UDP_APPS_MAX)
        return;
    struct udp_app *a = &w->udps[w->udp_count];
    *a = (struct udp_app){.world = w, .is_connected = (argument & 64) != 0};
    if (argument & 128) /* every address */
        at = (struct leat_addr){.family = at.family, .port = at.port};
    struct leat_loop *loop = sim_loop(w->host);
    int result = a->is_connected ? leat_udp_connect(loop, &to, argument & 256 ? &at : NULL,
                                                    &options, &ops, a, &a->udp)
                                 : leat_udp_bind(loop, &at, &options, &ops, a, &a->udp);
    CHECK(result == 0 || result == -EADDRINUSE || result == -ENETUNREACH);
    if (result < 0)
        return;
    struct leat_addr local;
    CHECK(leat_udp_local(a->udp, &local) == 0);
    a->port = local.port;
    w->udp_count++;
}

static void udp_send_to(struct udp_app *a, uint16_t argument)
{
    struct world *w = a->world;
    struct leat_addr to = sim_addr(w->peer, w->v6, (uint16_t)(UDP_PEER + argument % 4));
    uint32_t length = argument % BYTES_MAX;
    struct leat_buf buf = leat_buf_alloc_unsafe(length != 0 ? length : 1);
    buf.length_bytes = length;
    fill(buf.data, length);
    int result = leat_udp_send(a->udp, a->is_connected ? NULL : &to, &buf, 1);
    check_result(a, result);
    CHECK(result != 0 || !a->is_closed);
    a->was_refused |= result == -EAGAIN;
    if (result != 0)
        leat_buf_unref(buf);
}

static void udp_release(struct udp_app *a)
{
    if (a->held.data != NULL)
        leat_udp_release(a->udp, a->held);
    a->held = (struct leat_buf){0};
}

static void udp_close(struct udp_app *a)
{
    check_result(a, leat_udp_close(a->udp));
    a->is_closed = true;
}

static void udp_look(struct udp_app *a)
{
    struct leat_udp_info info;
    struct leat_addr addr;
    check_result(a, leat_udp_info(a->udp, &info));
    check_result(a, leat_udp_local(a->udp, &addr));
    check_result(a, leat_udp_peer(a->udp, &addr));
}

static void udp_group(struct udp_app *a, uint16_t argument)
{
    struct leat_addr group = {.family = LEAT_FAMILY_IPV4, .ip = {224, 0, 1, (uint8_t)argument}};
    if (a->world->v6)
        group = (struct leat_addr){.family = LEAT_FAMILY_IPV6,
                                   .ip = {0xff, 2, [15] = (uint8_t)argument}};
    check_result(a,
                 argument & 256 ? leat_udp_leave(a->udp, &group) : leat_udp_join(a->udp, &group));
}

/* Of a socket that is there, closed ones included, or of one that is opened now. */
void world_udp_call(struct world *w, uint8_t call, uint16_t argument)
{
    struct udp_app *a = w->udp_count > 0 ? &w->udps[(call >> 4) % w->udp_count] : NULL;
    if (a == NULL || (call & 15) < 2) {
        udp_open(w, argument);
        return;
    }
    switch (call & 15) {
    case 2:
    case 3:
    case 4:
        udp_send_to(a, argument);
        break;
    case 5:
        a->is_paused = true;
        check_result(a, leat_udp_pause(a->udp));
        break;
    case 6:
        a->is_paused = false;
        check_result(a, leat_udp_resume(a->udp));
        break;
    case 7:
        w->udp_holds = (uint8_t)(argument % 8);
        break;
    case 8:
        udp_release(a);
        break;
    case 9:
        udp_close(a);
        break;
    case 10:
        w->udp_answers = (uint8_t)(argument % 64);
        break;
    case 11:
        udp_group(a, argument);
        break;
    case 12:
    case 13:
        w->udp_reaction = (uint8_t)(argument >> 8);
        w->udp_argument = (uint16_t)(argument * 257u);
        break;
    default:
        udp_look(a);
    }
}

void world_datagram(struct world *w, uint8_t shape, uint16_t argument)
{
    uint8_t datagram[SIM_FRAME_BYTES];
    uint32_t length = shape & 64 ? argument % 1400 : argument % 64;
    uint16_t to = (uint16_t)(UDP_PORT + shape % UDP_PORTS);
    if ((shape & 32) && w->udp_count > 0) /* the ports that were chosen, too */
        to = w->udps[shape % w->udp_count].port;
    struct udp_header h = {.src_port = be16_put((uint16_t)(UDP_PEER + (shape >> 2) % 4)),
                           .dst_port = be16_put(to),
                           .length = be16_put((uint16_t)(sizeof(h) + length))};
    uint32_t total = (uint32_t)sizeof(h) + length;
    memcpy(datagram, &h, sizeof(h));
    fill(datagram + sizeof(h), length);
    csum sum = csum_pseudo(&w->ends.peer, &w->ends.host, IP_UDP, total);
    h.checksum = csum_finish(csum_add(sum, datagram, total));
    memcpy(datagram, &h, sizeof(h));
    world_transmit(w, IP_UDP, datagram, total);
}

void world_udp_end(struct world *w)
{
    w->udp_reaction = w->udp_holds = w->udp_answers = 0;
    for (unsigned i = 0; i < w->udp_count; i++) {
        udp_release(&w->udps[i]);
        if (i % 4 != 3) /* the loop's end closes the others */
            udp_close(&w->udps[i]);
    }
}
