/* U9 to U13: what is held, what waits, what is refused. */
#include "udp.h"

#include <stdlib.h>

static void hold_each(struct socket_record *r, const struct leat_datagram *d, unsigned count)
{
    for (unsigned i = 0; i < count && r->held_count < 64; i++) {
        r->held[r->held_count] = leat_udp_hold(r->udp, d[i].data);
        assert_int_equal(r->held[r->held_count].length_bytes, d[i].data.length_bytes);
        assert_memory_equal(r->held[r->held_count].data, d[i].data.data, d[i].data.length_bytes);
        r->held_count++;
    }
}

void u09_held_bytes_stop_delivery(struct world *w)
{
    const struct leat_udp_options options = {.receive_bytes_max = 20000};
    struct leat_addr at;
    struct leat_udp_info info;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct socket_record *r = udp_bind(w, NULL, &options);
    r->on_datagrams = hold_each;
    for (unsigned i = 0; i < 3; i++) {
        udp_peer_send_pattern(w, peer, &r->addr, 8000, i);
        settle(w);
    }
    assert_int_equal(r->datagrams, 3);
    udp_peer_send_pattern(w, peer, &r->addr, 100, 9);
    settle(w);
    assert_int_equal(r->datagrams, 3);
    assert_int_equal(leat_udp_info(r->udp, &info), 0);
    assert_int_equal(info.held_bytes, 24000);
    for (unsigned i = 0; i < 3; i++)
        assert_true(udp_is_pattern(r->held[i].data, 8000, i));
    leat_udp_release(r->udp, r->held[0]);
    UNTIL(w, r->datagrams == 4);
    assert_int_equal(r->last_length, 100);
    leat_udp udp = r->udp;
    struct leat_buf left[3] = {r->held[1], r->held[2], r->held[3]};
    udp_free(r);
    for (unsigned i = 0; i < 3; i++)
        leat_udp_release(udp, left[i]);
    w->transport->udp_close(peer);
}

void u10_what_waits_is_bounded(struct world *w)
{
    enum { SENT = 600, BYTES = 1000 };
    const struct leat_udp_options options = {.receive_bytes_max = 65536};
    struct leat_addr at;
    struct leat_udp_info info;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct socket_record *r = udp_bind(w, NULL, &options);
    assert_int_equal(leat_udp_pause(r->udp), 0);
    assert_int_equal(leat_udp_pause(r->udp), 0);
    for (unsigned i = 0; i < SENT; i++) {
        udp_peer_send_pattern(w, peer, &r->addr, BYTES, i);
        if (i % 16 == 0)
            w->transport->step(w, 0);
    }
    settle(w);
    assert_int_equal(r->datagrams, 0);
    assert_int_equal(leat_udp_resume(r->udp), 0);
    assert_int_equal(leat_udp_resume(r->udp), 0);
    settle(w);
    assert_true(r->datagrams >= 16 && r->datagrams < SENT);
    assert_int_equal(leat_udp_info(r->udp, &info), 0);
    assert_int_equal(info.dropped_count, SENT - r->datagrams);
    udp_peer_send_pattern(w, peer, &r->addr, 5, 5);
    UNTIL(w, r->last_length == 5);
    udp_free(r);
    w->transport->udp_close(peer);
}

void u11_writable_comes_when_owed_and_only_then(struct world *w)
{
    const struct leat_udp_options options = {.send_high_bytes = 10000};
    struct leat_addr at;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct socket_record *r = udp_bind(w, NULL, &options);
    unsigned accepted = 0;
    int result;
    udp_send_pattern(r, &at, 10, 1);
    udp_peer_expect(w, peer, NULL, 10, 1);
    settle(w);
    assert_int_equal(r->writables, 0);
    if (w->transport->stall != NULL)
        w->transport->stall(w, true);
    struct leat_buf buf = pattern(1000, 2);
    while ((result = leat_udp_send(r->udp, &at, &buf, 1)) == 0) {
        accepted++;
        assert_true(accepted < 2000);
        buf = pattern(1000, 2);
    }
    assert_int_equal(result, -EAGAIN);
    assert_int_equal(leat_udp_send(r->udp, &at, &buf, 1), -EAGAIN);
    leat_buf_unref(buf);
    assert_true(accepted >= 10);
    if (w->transport->stall != NULL) {
        settle(w);
        assert_int_equal(r->writables, 0);
        w->transport->stall(w, false);
    }
    UNTIL(w, r->writables == 1);
    settle(w);
    assert_int_equal(r->writables, 1);
    for (unsigned i = 0; i < accepted; i++)
        udp_peer_expect(w, peer, NULL, 1000, 2);
    udp_free(r);
    w->transport->udp_close(peer);
}

void u12_datagrams_go_in_order_at_the_end_of_the_turn(struct world *w)
{
    struct leat_addr at;
    struct udp_peer *peer = w->transport->udp_peer(w, false, &at);
    struct socket_record *r = udp_bind(w, NULL, NULL);
    udp_send_pattern(r, &at, 1, 0);
    udp_peer_expect(w, peer, NULL, 1, 0);
    for (unsigned i = 1; i <= 100; i++)
        udp_send_pattern(r, &at, i * 30, i);
    w->transport->step(w, 0);
    for (unsigned i = 1; i <= 100; i++)
        udp_peer_expect(w, peer, NULL, i * 30, i);
    struct leat_buf parts[3] = {pattern(10, 1), pattern(20, 2), pattern(30, 3)};
    uint8_t room[100];
    long got = -EAGAIN;
    assert_int_equal(leat_udp_send(r->udp, &at, parts, 3), 0);
    UNTIL(w, (got = w->transport->udp_receive(peer, NULL, room, sizeof(room))) != -EAGAIN);
    assert_int_equal(got, 60);
    assert_true(udp_is_pattern(room, 10, 1));
    assert_true(udp_is_pattern(room + 10, 20, 2));
    assert_true(udp_is_pattern(room + 30, 30, 3));
    udp_free(r);
    w->transport->udp_close(peer);
}

void u13_what_is_too_long_is_refused(struct world *w)
{
    static uint8_t bytes[LEAT_UDP_BYTES_MAX_V6 + 1];
    struct socket_record *r = udp_bind(w, NULL, NULL);
    struct leat_addr to = r->addr;
    assert_int_equal(leat_udp_send_bytes(r->udp, &to, bytes, LEAT_UDP_BYTES_MAX_V4 + 1), -EMSGSIZE);
    assert_int_equal(leat_udp_send_bytes(r->udp, &to, bytes, sizeof(bytes)), -EMSGSIZE);
    to.port = 0;
    assert_int_equal(leat_udp_send_bytes(r->udp, &to, bytes, 1), -EINVAL);
    to = (struct leat_addr){.family = LEAT_FAMILY_IPV4, .port = 9};
    assert_int_equal(leat_udp_send_bytes(r->udp, &to, bytes, 1), -EINVAL);
    udp_free(r);
}
