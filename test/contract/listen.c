/* C22 to C26: listening. */
#include "contract.h"

#include <unistd.h>

void c22_a_closed_listener_leaves_its_connections(struct world *w)
{
    struct records *s = serve(w, NULL);
    struct peer *peers[4];
    peers[0] = peer_connect(w, &s->addr);
    UNTIL(w, s->count == 1);
    for (unsigned i = 1; i < 4; i++)
        peers[i] = peer_connect(w, &s->addr);
    leat_listener_close(s->listener); /* three wait in the backlog */
    s->listener = NULL;
    assert_int_equal(s->count, 1);
    UNTIL(w, s->count == 4);
    for (unsigned i = 0; i < 4; i++)
        peer_send_all(w, peers[i], "alive", 5);
    size_t length = 0;
    for (unsigned i = 0; i < 4; i++) {
        UNTIL(w, s->record[i].length == 5);
        length += s->record[i].length;
    }
    assert_int_equal(length, 20);
    assert_null(w->transport->peer_connect(w, &s->addr)); /* refused */
    for (unsigned i = 0; i < 4; i++)
        w->transport->peer_reset(peers[i]);
    for (unsigned i = 0; i < 4; i++)
        UNTIL(w, s->record[i].closes == 1);
    records_free(s);
}

void c23_a_paused_listener_accepts_nothing(struct world *w)
{
    struct records *s = serve(w, NULL);
    settle(w);
    leat_listener_pause(s->listener);
    leat_listener_pause(s->listener);
    struct peer *peers[3];
    for (unsigned i = 0; i < 3; i++)
        peers[i] = peer_connect(w, &s->addr);
    settle(w);
    assert_int_equal(s->count, 0);
    leat_listener_resume(s->listener);
    leat_listener_resume(s->listener);
    assert_int_equal(s->count, 0);
    UNTIL(w, s->count == 3);
    for (unsigned i = 0; i < 3; i++)
        w->transport->peer_reset(peers[i]);
    for (unsigned i = 0; i < 3; i++)
        UNTIL(w, s->record[i].closes == 1);
    records_free(s);
}

static void step_both(struct world *a, struct world *b)
{
    world_enter(a);
    a->transport->step(a, 0);
    world_enter(b);
    b->transport->step(b, 0);
}

void c24_each_core_listens_once(struct world *w)
{
    enum { PEERS = 48 };
    struct world *other = world_beside(w, 1);
    struct peer *peers[PEERS];
    struct leat_listener *twice;
    world_enter(w);
    struct records *s = serve(w, NULL);
    assert_int_equal(leat_listen(w->loop, &s->addr, NULL, &records_ops, s, &twice), -EADDRINUSE);
    world_enter(other);
    other->any = s->addr;
    struct records *t = serve(other, NULL);
    assert_true(leat_addr_equal(&t->addr, &s->addr));
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = peer_connect(w, &s->addr);
    uint64_t end_ns = leat_loop_clock(w->loop) + CONTRACT_PATIENCE_NS;
    while (s->count + t->count < PEERS) {
        assert_true(leat_loop_clock(w->loop) < end_ns);
        step_both(w, other);
    }
    assert_true(s->count > 0);
    assert_true(t->count > 0);
    for (unsigned i = 0; i < PEERS; i++)
        w->transport->peer_reset(peers[i]);
    for (unsigned i = 0; i < 30; i++)
        step_both(w, other);
    world_enter(other);
    records_free(t);
    world_free(other);
    world_enter(w);
    records_free(s);
}

void c25_a_free_port_is_the_same_for_all_cores(struct world *w)
{
    struct world *other = world_beside(w, 7);
    world_enter(w);
    struct records *first = serve(w, NULL);
    struct records *second = serve(w, NULL);
    assert_true(first->addr.port != 0);
    assert_true(first->addr.port != second->addr.port);
    world_enter(other);
    struct records *a = serve(other, NULL);
    struct records *b = serve(other, NULL);
    assert_int_equal(a->addr.port, first->addr.port);
    assert_int_equal(b->addr.port, second->addr.port);
    records_free(a);
    records_free(b);
    world_free(other);
    world_enter(w);
    records_free(first);
    records_free(second);
}

static void assert_refused(struct world *w, const char *text, int code, const char *quoted)
{
    struct leat_addr addr;
    struct leat_listener *listener;
    struct records s = {.w = w};
    assert_int_equal(leat_addr_parse(&addr, text, 0, NULL), 0);
    assert_int_equal(leat_listen(w->loop, &addr, NULL, &records_ops, &s, &listener), code);
    const struct leat_error *error = leat_loop_error(w->loop);
    assert_int_equal(error->code, code);
    if (strstr(error->sentence, quoted) == NULL || strstr(error->sentence, "choose") == NULL)
        fail_msg("%s", error->sentence);
}

void c26_addresses_that_cannot_be(struct world *w)
{
    struct leat_addr taken;
    char text[LEAT_ADDR_TEXT_BYTES_MAX];
    struct peer *listener = w->transport->peer_listen(w, &taken);
    leat_addr_format(&taken, text);
    assert_refused(w, text, -EADDRINUSE, strchr(text, ':') + 1);
    w->transport->peer_close(listener);
    assert_refused(w, "192.0.2.1:8080", -EADDRNOTAVAIL, "192.0.2.1:8080");
    if (geteuid() != 0)
        assert_refused(w, "127.0.0.1:1", -EACCES, "127.0.0.1:1");
}
