#include "udp.h"

#include <stdlib.h>

static void enter(struct socket_record *r)
{
    assert_false(r->is_inside); /* U3 */
    assert_int_equal(r->closes, 0);
    r->is_inside = true;
}

static void on_datagrams(leat_udp udp, void *user, const struct leat_datagram *d, unsigned count)
{
    struct socket_record *r = user;
    enter(r);
    assert_int_equal(udp.id, r->udp.id);
    assert_true(count > 0);
    r->calls++;
    for (unsigned i = 0; i < count; i++) {
        assert_true(r->datagrams < UDP_NOTED_MAX);
        assert_non_null(d[i].data.data);
        r->lengths[r->datagrams++] = (uint32_t)d[i].data.length_bytes;
        r->bytes += d[i].data.length_bytes;
        r->hash = fnv(r->hash, d[i].data.data, d[i].data.length_bytes);
        r->last = realloc(r->last, d[i].data.length_bytes + 1);
        assert_non_null(r->last);
        memcpy(r->last, d[i].data.data, d[i].data.length_bytes);
        r->last_length = d[i].data.length_bytes;
        r->from = (struct leat_addr){.family = d[i].from.family, .port = d[i].from.port};
        memcpy(r->from.ip, d[i].from.ip, sizeof(r->from.ip));
        r->to = (struct leat_addr){.family = d[i].to.family, .port = d[i].to.port};
        memcpy(r->to.ip, d[i].to.ip, sizeof(r->to.ip));
    }
    if (r->on_datagrams != NULL)
        r->on_datagrams(r, d, count);
    r->is_inside = false;
}

static void on_writable(leat_udp udp, void *user)
{
    struct socket_record *r = user;
    enter(r);
    r->writables++;
    if (r->on_writable != NULL)
        r->on_writable(r);
    r->is_inside = false;
}

static void on_error(leat_udp udp, void *user, const struct leat_addr *peer,
                     enum leat_close_reason reason)
{
    struct socket_record *r = user;
    enter(r);
    r->errors++;
    r->error_reason = reason;
    r->error_peer = *peer;
    r->is_inside = false;
}

static void on_close(leat_udp udp, void *user, enum leat_close_reason reason)
{
    struct socket_record *r = user;
    enter(r);
    r->closes++;
    r->reason = reason;
    if (r->on_close != NULL)
        r->on_close(r);
    r->is_inside = false;
}

const struct leat_udp_ops socket_record_ops = {on_datagrams, on_writable, on_error, on_close};

static struct socket_record *record_new(struct world *w)
{
    struct socket_record *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->w = w;
    r->hash = FNV_START;
    return r;
}

static struct socket_record *opened(struct socket_record *r, int result)
{
    if (result != 0)
        fail_msg("%s", leat_loop_error(r->w->loop)->sentence);
    assert_int_equal(leat_udp_local(r->udp, &r->addr), 0);
    assert_true(r->addr.port != 0);
    return r;
}

struct socket_record *udp_bind(struct world *w, const struct leat_addr *addr,
                               const struct leat_udp_options *options)
{
    struct socket_record *r = record_new(w);
    return opened(r, leat_udp_bind(w->loop, addr != NULL ? addr : &w->any, options,
                                   &socket_record_ops, r, &r->udp));
}

struct socket_record *udp_connect(struct world *w, const struct leat_addr *to)
{
    struct socket_record *r = record_new(w);
    return opened(r, leat_udp_connect(w->loop, to, NULL, NULL, &socket_record_ops, r, &r->udp));
}

void udp_free(struct socket_record *r)
{
    if (r->closes == 0) {
        assert_int_equal(leat_udp_close(r->udp), 0);
        UNTIL(r->w, r->closes == 1);
    }
    free(r->last);
    free(r);
}

bool udp_is_pattern(const uint8_t *bytes, size_t length, unsigned seed)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != pattern_byte(i, seed))
            return false;
    return true;
}

void udp_send_pattern(struct socket_record *r, const struct leat_addr *to, size_t length,
                      unsigned seed)
{
    struct leat_buf buf = {0};
    if (length > 0)
        buf = pattern(length, seed);
    assert_int_equal(leat_udp_send(r->udp, to, &buf, length > 0 ? 1 : 0), 0);
}

void udp_peer_send_pattern(struct world *w, struct udp_peer *peer, const struct leat_addr *to,
                           size_t length, unsigned seed)
{
    uint8_t *bytes = malloc(length + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = pattern_byte(i, seed);
    w->transport->udp_send(peer, to, bytes, length);
    free(bytes);
}

void udp_peer_expect(struct world *w, struct udp_peer *peer, struct leat_addr *from, size_t length,
                     unsigned seed)
{
    static uint8_t room[65536];
    long got = -EAGAIN;
    UNTIL(w, (got = w->transport->udp_receive(peer, from, room, sizeof(room))) != -EAGAIN);
    assert_int_equal(got, length);
    assert_true(udp_is_pattern(room, length, seed));
}
