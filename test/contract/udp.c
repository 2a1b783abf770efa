/* U1 to U8, U14 to U18: life, addresses, what is delivered. */
#include "udp.h"

#include "runtime/base/core.h"

#include <stdlib.h>

void u01_a_stale_or_invented_handle_is_refused(struct world *w)
{
    struct socket_record *r = udp_bind(w, NULL, NULL);
    leat_udp old = r->udp;
    struct leat_addr addr;
    struct leat_udp_info info;
    udp_free(r);
    struct socket_record *newer = udp_bind(w, NULL, NULL);
    assert_true(newer->udp.id != old.id);
    const uint64_t invented[] = {0,
                                 old.id,
                                 newer->udp.id ^ 1,
                                 newer->udp.id | 0xffffff,
                                 newer->udp.id ^ (UINT64_C(1) << 60),
                                 newer->udp.id ^ (UINT64_C(7) << 60)};
    for (unsigned i = 0; i < sizeof(invented) / sizeof(invented[0]); i++) {
        leat_udp udp = {invented[i]};
        assert_int_equal(leat_udp_send_bytes(udp, &newer->addr, "x", 1), -ESTALE);
        assert_int_equal(leat_udp_pause(udp), -ESTALE);
        assert_int_equal(leat_udp_resume(udp), -ESTALE);
        assert_int_equal(leat_udp_close(udp), -ESTALE);
        assert_int_equal(leat_udp_local(udp, &addr), -ESTALE);
        assert_int_equal(leat_udp_peer(udp, &addr), -ESTALE);
        assert_int_equal(leat_udp_info(udp, &info), -ESTALE);
        assert_int_equal(leat_udp_set(udp, NULL, NULL), -ESTALE);
        assert_null(leat_udp_hold(udp, (struct leat_buf){0}).data);
        assert_int_equal(leat_conn_abort((leat_conn){newer->udp.id}), -ESTALE);
    }
    udp_free(newer);
}

void u02_other_cores_are_refused(struct world *w)
{
    struct socket_record *r = udp_bind(w, NULL, NULL);
    struct leat_core other = {.index = w->core->index + 1};
    leat_udp udp;
    leat_core_now = &other;
    assert_int_equal(leat_udp_close(r->udp), -EXDEV);
    assert_int_equal(leat_udp_bind(w->loop, &w->any, NULL, &socket_record_ops, r, &udp), -EXDEV);
    leat_core_now = NULL;
    assert_int_equal(leat_udp_close(r->udp), -EXDEV);
    world_enter(w);
    udp_free(r);
}

/* To itself, and all calls from inside the callback. */
static void call_all(struct socket_record *r, const struct leat_datagram *d, unsigned count)
{
    struct leat_udp_info info;
    if (r->datagrams < 3)
        assert_int_equal(leat_udp_send_bytes(r->udp, &r->addr, "again", 5), 0);
    assert_int_equal(leat_udp_pause(r->udp), 0);
    assert_int_equal(leat_udp_resume(r->udp), 0);
    assert_int_equal(leat_udp_info(r->udp, &info), 0);
    assert_int_equal(leat_udp_set(r->udp, NULL, r), 0);
    if (r->datagrams == 3)
        assert_int_equal(leat_udp_close(r->udp), 0);
}

void u03_callbacks_never_nest(struct world *w)
{
    struct socket_record *r = udp_bind(w, NULL, NULL);
    r->on_datagrams = call_all;
    udp_send_pattern(r, &r->addr, 100, 1);
    assert_int_equal(r->datagrams, 0);
    UNTIL(w, r->closes == 1);
    assert_int_equal(r->datagrams, 3);
    udp_free(r);
}

static void refuse_sending(struct socket_record *r)
{
    struct leat_addr addr;
    assert_int_equal(leat_udp_send_bytes(r->udp, &r->addr, "x", 1), -EPIPE);
    assert_int_equal(leat_udp_close(r->udp), 0);
    assert_int_equal(leat_udp_local(r->udp, &addr), 0);
}

void u04_close_comes_once_and_last(struct world *w)
{
    struct leat_addr at;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct socket_record *r = udp_bind(w, NULL, NULL);
    r->on_close = refuse_sending;
    udp_peer_send_pattern(w, peer, &r->addr, 10, 1);
    udp_send_pattern(r, &at, 20, 2);
    assert_int_equal(leat_udp_close(r->udp), 0);
    assert_int_equal(leat_udp_close(r->udp), 0);
    assert_int_equal(leat_udp_send_bytes(r->udp, &at, "x", 1), -EPIPE);
    assert_int_equal(r->closes, 0);
    UNTIL(w, r->closes == 1);
    assert_int_equal(r->reason, LEAT_CLOSE_DONE);
    assert_int_equal(leat_udp_close(r->udp), -ESTALE);
    udp_peer_expect(w, peer, NULL, 20, 2); /* what was accepted before */
    settle(w);
    assert_int_equal(r->closes, 1);
    assert_int_equal(r->datagrams, 0);
    udp_free(r);
    w->transport->udp_close(peer);
}

void u04_the_loops_end_closes(struct world *w)
{
    struct socket_record *r = udp_bind(w, NULL, NULL);
    struct socket_record *with_peer = udp_connect(w, &r->addr);
    w->transport->close(w);
    assert_int_equal(r->closes, 1);
    assert_int_equal(r->reason, LEAT_CLOSE_SHUTDOWN);
    assert_int_equal(with_peer->closes, 1);
    assert_int_equal(with_peer->reason, LEAT_CLOSE_SHUTDOWN);
    udp_free(r);
    udp_free(with_peer);
}

void u05_each_core_binds_once(struct world *w)
{
    enum { PEERS = 48 };
    struct world *other = world_beside(w, 1);
    struct udp_peer *peers[PEERS];
    struct leat_addr at;
    leat_udp udp;
    world_enter(w);
    struct socket_record *r = udp_bind(w, NULL, NULL);
    assert_int_equal(leat_udp_bind(w->loop, &r->addr, NULL, &socket_record_ops, r, &udp),
                     -EADDRINUSE);
    world_enter(other);
    const struct leat_udp_options alone = {.exclusive = true};
    assert_int_equal(leat_udp_bind(other->loop, &r->addr, &alone, &socket_record_ops, r, &udp),
                     -EADDRINUSE);
    struct socket_record *s = udp_bind(other, &r->addr, NULL);
    assert_int_equal(s->addr.port, r->addr.port);
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i] = w->transport->udp_peer(w, false, &at);
        udp_peer_send_pattern(w, peers[i], &r->addr, 10, i);
    }
    uint64_t end_ns = leat_loop_clock(w->loop) + CONTRACT_PATIENCE_NS;
    while (r->datagrams + s->datagrams < PEERS) {
        assert_true(leat_loop_clock(w->loop) < end_ns);
        world_enter(w);
        w->transport->step(w, 0);
        world_enter(other);
        w->transport->step(other, 0);
    }
    assert_true(r->datagrams > 0 && s->datagrams > 0);
    for (unsigned i = 0; i < PEERS; i++)
        w->transport->udp_close(peers[i]);
    world_enter(other);
    udp_free(s);
    world_free(other);
    world_enter(w);
    udp_free(r);
}

void u05_a_free_port_is_the_same_for_all_cores(struct world *w)
{
    const struct leat_udp_options alone = {.exclusive = true};
    struct world *other = world_beside(w, 7);
    world_enter(w);
    struct socket_record *lone = udp_bind(w, NULL, &alone);
    struct socket_record *first = udp_bind(w, NULL, NULL), *second = udp_bind(w, NULL, NULL);
    assert_true(first->addr.port != second->addr.port);
    world_enter(other);
    struct socket_record *a = udp_bind(other, NULL, NULL), *b = udp_bind(other, NULL, NULL);
    assert_int_equal(a->addr.port, first->addr.port);
    assert_int_equal(b->addr.port, second->addr.port);
    udp_free(a);
    udp_free(b);
    world_free(other);
    world_enter(w);
    udp_free(lone);
    udp_free(first);
    udp_free(second);
}

static void assert_refused(struct world *w, const char *text, int code)
{
    struct leat_addr addr;
    leat_udp udp;
    assert_int_equal(leat_addr_parse(&addr, text, 0, NULL), 0);
    addr.via = w->any.via;
    if (addr.via == LEAT_VIA_ANY && strcmp(w->transport->name, "stack") == 0)
        addr.via = LEAT_VIA_STACK;
    assert_int_equal(leat_udp_bind(w->loop, &addr, NULL, &socket_record_ops, NULL, &udp), code);
    const char *sentence = leat_loop_error(w->loop)->sentence;
    if (strstr(sentence, "choose") == NULL && strstr(sentence, "once is enough") == NULL)
        fail_msg("%s", sentence);
}

void u06_addresses_that_cannot_be(struct world *w)
{
    struct socket_record *r = udp_bind(w, NULL, NULL);
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    assert_refused(w, leat_addr_format(&r->addr, text), -EADDRINUSE);
    assert_refused(w, "192.0.2.1:5000", -EADDRNOTAVAIL);
    udp_free(r);
}

void u07_a_connected_socket_hears_its_peer_only(struct world *w)
{
    struct leat_addr at, other_at, peer_addr;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct udp_peer *other = w->transport->udp_peer(w, false, &other_at);
    struct socket_record *r = udp_connect(w, &at), *plain = udp_bind(w, NULL, NULL);
    assert_int_equal(leat_udp_peer(r->udp, &peer_addr), 0);
    assert_true(leat_addr_equal(&peer_addr, &at));
    assert_int_equal(leat_udp_peer(plain->udp, &peer_addr), -ENOTCONN);
    assert_int_equal(leat_udp_send_bytes(r->udp, &at, "x", 1), -EISCONN);
    assert_int_equal(leat_udp_send_bytes(plain->udp, NULL, "x", 1), -EDESTADDRREQ);
    udp_peer_send_pattern(w, other, &r->addr, 30, 3);
    udp_peer_send_pattern(w, peer, &r->addr, 40, 4);
    UNTIL(w, r->datagrams == 1);
    settle(w);
    assert_int_equal(r->datagrams, 1);
    assert_int_equal(r->last_length, 40);
    assert_true(leat_addr_equal(&r->from, &at));
    udp_send_pattern(r, NULL, 50, 5);
    udp_peer_expect(w, peer, &at, 50, 5);
    assert_int_equal(at.port, r->addr.port);
    udp_free(r);
    udp_free(plain);
    w->transport->udp_close(peer);
    w->transport->udp_close(other);
}

static void exchange(struct world *w, bool v6, size_t length_max)
{
    const size_t lengths[] = {1, 0, 100, 256, 257, 1472, 1473, 1452, 1453, 9000, length_max};
    struct leat_addr at, from;
    struct udp_peer *peer = w->transport->udp_peer(w, v6, &at);
    if (peer == NULL)
        skip(); /* no IPv6 here */
    struct socket_record *r = udp_bind(w, v6 ? &w->any6 : NULL, NULL);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        udp_peer_send_pattern(w, peer, &r->addr, lengths[i], i);
        UNTIL(w, r->datagrams == i + 1);
        assert_int_equal(r->last_length, lengths[i]);
        assert_true(udp_is_pattern(r->last, lengths[i], i));
        assert_true(leat_addr_equal(&r->from, &at));
        assert_true(leat_addr_equal(&r->to, &r->addr));
        udp_send_pattern(r, &at, lengths[i], i + 50);
        udp_peer_expect(w, peer, &from, lengths[i], i + 50);
        assert_int_equal(from.port, r->addr.port);
    }
    struct leat_udp_info info;
    assert_int_equal(leat_udp_info(r->udp, &info), 0);
    assert_int_equal(info.received_count, sizeof(lengths) / sizeof(lengths[0]));
    assert_int_equal(info.sent_bytes, info.received_bytes);
    assert_string_equal(info.transport, w->transport->name);
    udp_free(r);
    w->transport->udp_close(peer);
}

void u08_datagrams_come_whole(struct world *w)
{
    exchange(w, false, LEAT_UDP_BYTES_MAX_V4);
}

/* The kernel's loopback has an MTU of 64 KiB: there the longest datagram goes in fragments. */
void u08_datagrams_come_whole_over_ipv6(struct world *w)
{
    exchange(w, true, LEAT_UDP_BYTES_MAX_V6);
}

void u14_an_error_is_told_and_the_socket_lives(struct world *w)
{
    struct leat_addr at, gone;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct udp_peer *ends = w->transport->udp_peer(w, false, &gone);
    w->transport->udp_close(ends);
    settle(w);
    struct socket_record *r = udp_bind(w, NULL, NULL), *with_peer = udp_connect(w, &gone);
    udp_send_pattern(r, &gone, 10, 1);
    UNTIL(w, r->errors == 1);
    assert_int_equal(r->error_reason, LEAT_CLOSE_REFUSED);
    assert_int_equal(r->error_peer.port, gone.port);
    assert_memory_equal(r->error_peer.ip, gone.ip, 4);
    udp_send_pattern(r, &at, 20, 2);
    udp_peer_expect(w, peer, NULL, 20, 2);
    udp_send_pattern(with_peer, NULL, 30, 3);
    UNTIL(w, with_peer->errors == 1);
    assert_int_equal(with_peer->error_reason, LEAT_CLOSE_REFUSED);
    udp_send_pattern(with_peer, NULL, 30, 3);
    UNTIL(w, with_peer->errors == 2);
    assert_int_equal(r->errors, 1);
    udp_free(r);
    udp_free(with_peer);
    w->transport->udp_close(peer);
}

static void reply(struct socket_record *r, const struct leat_datagram *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct leat_buf answer = leat_buf_from_bytes(d[i].data.data, d[i].data.length_bytes);
        assert_int_equal(leat_udp_reply(r->udp, &d[i], &answer, 1), 0);
    }
}

void u15_a_reply_comes_from_the_address_that_was_asked(struct world *w)
{
    struct leat_addr any = {.family = LEAT_FAMILY_IPV4}, at, second, from;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct socket_record *r = udp_bind(w, &any, NULL);
    r->on_datagrams = reply;
    assert_int_equal(leat_addr_parse(&second, w->transport->second_address, 0, NULL), 0);
    struct leat_addr asked[] = {w->any, second};
    for (unsigned i = 0; i < 2; i++) {
        asked[i].port = r->addr.port;
        udp_peer_send_pattern(w, peer, &asked[i], 64, i);
        udp_peer_expect(w, peer, &from, 64, i);
        assert_memory_equal(from.ip, asked[i].ip, 4);
        assert_int_equal(from.port, r->addr.port);
        assert_memory_equal(r->to.ip, asked[i].ip, 4);
    }
    udp_free(r);
    w->transport->udp_close(peer);
}

void u16_groups_and_broadcasts(struct world *w)
{
    struct leat_addr any = {.family = LEAT_FAMILY_IPV4}, at, group, everybody;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct socket_record *r = udp_bind(w, &any, NULL);
    assert_int_equal(leat_addr_parse(&group, "239.1.2.3:0", 0, NULL), 0);
    assert_int_equal(leat_addr_parse(&everybody, "255.255.255.255:9", 0, NULL), 0);
    assert_int_equal(leat_udp_send_bytes(r->udp, &everybody, "x", 1), -EACCES);
    group.scope = 1; /* the kernel's loopback interface */
    assert_int_equal(leat_udp_join(r->udp, &at), -EINVAL);
    assert_int_equal(leat_udp_leave(r->udp, &group), -ENOENT);
    assert_int_equal(leat_udp_join(r->udp, &group), 0);
    assert_int_equal(leat_udp_join(r->udp, &group), -EEXIST);
    group.port = r->addr.port;
    udp_peer_send_pattern(w, peer, &group, 77, 7);
    UNTIL(w, r->datagrams == 1);
    assert_int_equal(r->last_length, 77);
    assert_memory_equal(r->to.ip, group.ip, 4);
    assert_int_equal(leat_udp_leave(r->udp, &group), 0);
    udp_peer_send_pattern(w, peer, &group, 78, 8);
    settle(w);
    assert_int_equal(r->datagrams, 1);
    udp_free(r);
    w->transport->udp_close(peer);
}

void u17_a_wildcard_hears_both_families(struct world *w)
{
    const struct leat_udp_options only = {.ipv6_only = true};
    struct leat_addr any = {.family = LEAT_FAMILY_IPV6}, at, at6;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct udp_peer *peer6 = w->transport->udp_peer(w, true, &at6);
    if (peer6 == NULL)
        skip();
    struct socket_record *r = udp_bind(w, &any, NULL), *six = udp_bind(w, &any, &only);
    struct leat_addr to = w->any, to6 = w->any6;
    r->on_datagrams = reply;
    to.port = to6.port = r->addr.port;
    udp_peer_send_pattern(w, peer, &to, 10, 1);
    udp_peer_expect(w, peer, NULL, 10, 1);
    assert_int_equal(r->from.family, LEAT_FAMILY_IPV4);
    assert_int_equal(r->to.family, LEAT_FAMILY_IPV4);
    udp_peer_send_pattern(w, peer6, &to6, 20, 2);
    udp_peer_expect(w, peer6, NULL, 20, 2);
    assert_int_equal(r->from.family, LEAT_FAMILY_IPV6);
    to6.port = six->addr.port;
    udp_peer_send_pattern(w, peer6, &to6, 30, 3);
    UNTIL(w, six->datagrams == 1);
    to.port = six->addr.port;
    udp_peer_send_pattern(w, peer, &to, 40, 4);
    settle(w);
    assert_int_equal(six->datagrams, 1);
    udp_free(r);
    udp_free(six);
    w->transport->udp_close(peer);
    w->transport->udp_close(peer6);
}

void u18_a_socket_keeps_the_loop_alive(struct world *w)
{
    assert_false(leat_loop_is_alive(w->loop));
    struct socket_record *r = udp_bind(w, NULL, NULL);
    settle(w);
    assert_true(leat_loop_is_alive(w->loop));
    udp_free(r);
    assert_false(leat_loop_is_alive(w->loop));
}
